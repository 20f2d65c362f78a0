#include "model.h"

struct _AllavaPicture {
  gatomicrefcount ref_count;
  int size;
  uint8_t *pixels; /* [S, S, 3] */
  char *sha256;
};

AllavaPicture *
allava_picture_new (AllavaModel *model, const AllavaPixels *pixels, GError **error)
{
  g_return_val_if_fail (model != NULL && pixels != NULL, NULL);
  uint8_t *square = allava_preprocess_square (&model->preprocess, pixels, error);
  if (square == NULL)
    return NULL;
  size_t size = model->preprocess.crop_size;
  AllavaPicture *picture = g_new0 (AllavaPicture, 1);
  g_atomic_ref_count_init (&picture->ref_count);
  picture->size = size;
  picture->pixels = square;
  picture->sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, square, size * size * 3);
  return picture;
}

AllavaPicture *
allava_picture_ref (AllavaPicture *picture)
{
  g_atomic_ref_count_inc (&picture->ref_count);
  return picture;
}

void
allava_picture_unref (AllavaPicture *picture)
{
  if (picture == NULL || !g_atomic_ref_count_dec (&picture->ref_count))
    return;
  g_free (picture->pixels);
  g_free (picture->sha256);
  g_free (picture);
}

int
allava_picture_get_size (AllavaPicture *picture)
{
  return picture->size;
}

const uint8_t *
allava_picture_get_pixels (AllavaPicture *picture)
{
  return picture->pixels;
}

const char *
allava_picture_get_sha256 (AllavaPicture *picture)
{
  return picture->sha256;
}
