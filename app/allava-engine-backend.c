#include <glib/gi18n-lib.h>

#include "allava-generator-backend.h"
#include "allava-image-file.h"
#include "allava-model-finder.h"

/* What the model sees of an image is a third of a megabyte; beyond so many, start again. */
#define MAX_PICTURES 64

typedef struct {
  char *path;
  int threads;
  gboolean background;
  AllavaModel *model;
  AllavaSession *session; /* NULL after the GPU has failed: the processor takes over */
  GHashTable *pictures;   /* SHA-256 of the file -> AllavaPicture */
} Loaded;

void
allava_backend_info_clear (AllavaBackendInfo *info)
{
  g_free (info->name);
  g_free (info->device);
  g_free (info->dtype);
  g_free (info->device_note);
  g_clear_pointer (&info->model, allava_model_unref);
  *info = (AllavaBackendInfo){0};
}

static void
fill_info (AllavaModel *model, const char *path, AllavaBackendInfo *info)
{
  const AllavaModelInfo *from = allava_model_get_info (model);
  info->name = allava_model_finder_dup_name (path);
  info->device = g_strdup (from->device);
  info->dtype = g_strdup (allava_dtype_to_string (from->dtype));
  if (from->device_note != NULL)
    info->device_note =
        g_strdup_printf (_ ("The graphics card is not in use: %s"), from->device_note);
  info->context_length = from->context_length;
  info->image_positions = from->image_positions;
  info->model = allava_model_ref (model);
}

static void
engine_unload (gpointer data)
{
  Loaded *loaded = data;
  g_hash_table_unref (loaded->pictures);
  g_clear_pointer (&loaded->session, allava_session_free);
  g_clear_pointer (&loaded->model, allava_model_unref);
  g_free (loaded->path);
  g_free (loaded);
}

static gpointer
engine_load (const char *path,
             const AllavaModelOptions *options,
             AllavaBackendInfo *info,
             GError **error)
{
  g_autoptr (AllavaModel) model = allava_model_load (path, options, error);
  AllavaSession *session = model != NULL ? allava_session_new (model, error) : NULL;
  if (session == NULL)
    return NULL;
  fill_info (model, path, info);
  Loaded *loaded = g_new (Loaded, 1);
  loaded->path = g_strdup (path);
  loaded->threads = options->threads;
  loaded->background = options->background;
  loaded->model = g_steal_pointer (&model);
  loaded->session = session;
  loaded->pictures =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)allava_picture_unref);
  return loaded;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

AllavaPicture *
allava_engine_backend_make_picture (AllavaModel *model,
                                    AllavaImage *image,
                                    GCancellable *cancellable,
                                    GError **error)
{
  const char *name = allava_image_get_name (image);
  g_autoptr (GFile) file = g_file_new_for_path (allava_image_get_path (image));
  g_autoptr (GFileInputStream) stream = g_file_read (file, cancellable, NULL);
  if (stream == NULL) {
    if (!g_cancellable_set_error_if_cancelled (cancellable, error))
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                   _ ("The picture %s is no longer there; add it again"), name);
    return NULL;
  }
  g_autoptr (AllavaImageFile) decoded =
      allava_image_file_load_stream (G_INPUT_STREAM (stream), name, ALLAVA_ALPHA_WHITE,
                                     ALLAVA_IMAGE_FILE_MAX_PIXELS, cancellable, error);
  return decoded != NULL ? allava_picture_new (model, allava_image_file_get_pixels (decoded), error)
                         : NULL;
}

/* Borrowed. */
static AllavaPicture *
get_picture (Loaded *loaded, AllavaImage *image, GCancellable *cancellable, GError **error)
{
  const char *sha256 = allava_image_get_sha256 (image);
  AllavaPicture *picture = g_hash_table_lookup (loaded->pictures, sha256);
  if (picture != NULL)
    return picture;
  picture = allava_engine_backend_make_picture (loaded->model, image, cancellable, error);
  if (picture != NULL)
    g_hash_table_insert (loaded->pictures, g_strdup (sha256), picture);
  return picture;
}

/* The pictures of TURN, in an array that borrows them. */
static GPtrArray *
get_pictures (Loaded *loaded,
              const AllavaPromptTurn *turn,
              GCancellable *cancellable,
              GError **error)
{
  g_autoptr (GPtrArray) pictures = g_ptr_array_new ();
  for (guint i = 0; i < turn->images->len; i++) {
    AllavaPicture *picture =
        get_picture (loaded, g_ptr_array_index (turn->images, i), cancellable, error);
    if (picture == NULL)
      return NULL;
    g_ptr_array_add (pictures, picture);
  }
  return g_steal_pointer (&pictures);
}

/* Loads the model anew, for the processor. */
static gboolean
recover (Loaded *loaded, GCancellable *cancellable, GError **error)
{
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.device = "cpu";
  options.threads = loaded->threads;
  options.background = loaded->background;
  options.cancellable = cancellable;
  g_hash_table_remove_all (loaded->pictures);
  g_clear_pointer (&loaded->model, allava_model_unref);
  loaded->model = allava_model_load (loaded->path, &options, error);
  loaded->session = loaded->model != NULL ? allava_session_new (loaded->model, error) : NULL;
  return loaded->session != NULL;
}

static gboolean
engine_generate (gpointer data,
                 GPtrArray *prompt,
                 const AllavaGenerateOptions *options,
                 AllavaTextFunc text_func,
                 gpointer user_data,
                 AllavaGenerateResult *result,
                 GError **error)
{
  Loaded *loaded = data;
  if (loaded->session == NULL && !recover (loaded, options->cancellable, error))
    return FALSE;
  if (g_hash_table_size (loaded->pictures) > MAX_PICTURES)
    g_hash_table_remove_all (loaded->pictures);
  g_autoptr (GPtrArray) arrays = g_ptr_array_new_with_free_func ((GDestroyNotify)g_ptr_array_unref);
  g_autofree AllavaTurn *turns = g_new0 (AllavaTurn, prompt->len);
  for (guint i = 0; i < prompt->len; i++) {
    const AllavaPromptTurn *turn = g_ptr_array_index (prompt, i);
    GPtrArray *pictures = get_pictures (loaded, turn, options->cancellable, error);
    if (pictures == NULL)
      return FALSE;
    g_ptr_array_add (arrays, pictures);
    turns[i] = (AllavaTurn){
        .role = turn->role,
        .text = turn->text,
        .pictures = (AllavaPicture *const *)pictures->pdata,
        .n_pictures = pictures->len,
    };
  }
  GError *local = NULL;
  if (allava_session_generate (loaded->session, turns, prompt->len, options, text_func, user_data,
                               result, &local))
    return TRUE;
  if (g_error_matches (local, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE))
    g_clear_pointer (&loaded->session, allava_session_free); /* the next question is the CPU's */
  g_propagate_error (error, local);
  return FALSE;
}

const AllavaGeneratorBackend allava_engine_backend = {
    .load = engine_load,
    .generate = engine_generate,
    .unload = engine_unload,
};
