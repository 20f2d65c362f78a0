#include "allava-image-pixbuf.h"

#include <glib/gi18n-lib.h>

static void
free_file_cb (guchar *pixels, gpointer user_data)
{
  allava_image_file_free (user_data);
}

/* The side that SIDE of a picture becomes when its longer side becomes MAX_SIDE. */
static int
scaled (int side, int longer, int max_side)
{
  return MAX ((int)((double)side * max_side / longer + 0.5), 1);
}

GdkPixbuf *
allava_image_pixbuf_new (AllavaImageFile *file, int max_side, GError **error)
{
  const AllavaPixels *pixels = allava_image_file_get_pixels (file);
  int width = pixels->width, height = pixels->height;
  g_autoptr (GdkPixbuf) whole =
      gdk_pixbuf_new_from_data (pixels->data, GDK_COLORSPACE_RGB, FALSE, 8, width, height,
                                (int)pixels->stride, free_file_cb, file);
  int longer = MAX (width, height);
  if (max_side <= 0 || longer <= max_side)
    return g_steal_pointer (&whole);

  GdkPixbuf *small =
      gdk_pixbuf_scale_simple (whole, scaled (width, longer, max_side),
                               scaled (height, longer, max_side), GDK_INTERP_BILINEAR);
  if (small == NULL)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 _ ("Not enough memory to scale a picture of %d x %d pixels"), width, height);
  return small;
}

GdkPixbuf *
allava_image_pixbuf_load (const char *path, int max_side, GCancellable *cancellable, GError **error)
{
  AllavaImageFile *file = allava_image_file_load (path, ALLAVA_ALPHA_WHITE, cancellable, error);
  return file != NULL ? allava_image_pixbuf_new (file, max_side, error) : NULL;
}

void
allava_image_pixbuf_save_thumbnail (GdkPixbuf *thumbnail, const char *path)
{
  g_autofree char *content = NULL;
  size_t length;
  if (gdk_pixbuf_save_to_buffer (thumbnail, &content, &length, "png", NULL, NULL))
    g_file_set_contents_full (path, content, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                              NULL);
}
