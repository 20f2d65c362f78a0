#include <glib/gi18n-lib.h>

#include "allava-generator-backend.h"
#include "allava-image-file.h"
#include "allava-model-finder.h"

/* What the model sees of an image is a third of a megabyte; beyond so many, start again. */
#define MAX_PICTURES 64

typedef struct {
  AllavaModel *model;
  AllavaSession *session;
  GHashTable *pictures; /* SHA-256 of the file -> AllavaPicture */
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
fill_info (AllavaModel *model, const char *path, const char *why_not_gpu, AllavaBackendInfo *info)
{
  const AllavaModelInfo *from = allava_model_get_info (model);
  const char *note = from->device_note != NULL ? from->device_note : why_not_gpu;
  info->name = allava_model_finder_dup_name (path);
  info->device = g_strdup (from->device);
  info->dtype = g_strdup (allava_dtype_to_string (from->dtype));
  if (note != NULL)
    info->device_note = g_strdup_printf (_ ("The graphics card is not in use: %s"), note);
  info->context_length = from->context_length;
  info->image_positions = from->image_positions;
  info->model = allava_model_ref (model);
}

static void
engine_unload (gpointer data)
{
  Loaded *loaded = data;
  g_hash_table_unref (loaded->pictures);
  allava_session_free (loaded->session);
  allava_model_unref (loaded->model);
  g_free (loaded);
}

static AllavaSession *
open_session (const char *path,
              const AllavaModelOptions *options,
              AllavaModel **model,
              GError **error)
{
  *model = allava_model_load (path, options, error);
  return *model != NULL ? allava_session_new (*model, error) : NULL;
}

/* Whether the processor is to take what AUTO loaded to a GPU that has no room for a session. */
static gboolean
can_fall_back (AllavaModel *model, const AllavaModelOptions *options, const GError *error)
{
  return model != NULL && g_str_equal (options->device, "auto") &&
         !g_str_equal (allava_model_get_info (model)->device, "cpu") &&
         (g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY) ||
          g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY) ||
          g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE));
}

static gpointer
engine_load (const char *path,
             const AllavaModelOptions *options,
             AllavaBackendInfo *info,
             GError **error)
{
  GError *local = NULL;
  g_autofree char *why_not_gpu = NULL;
  g_autoptr (AllavaModel) model = NULL;
  AllavaSession *session = open_session (path, options, &model, &local);
  if (session == NULL && can_fall_back (model, options, local)) {
    AllavaModelOptions on_cpu = *options;
    on_cpu.device = "cpu";
    why_not_gpu = g_strdup (local->message);
    g_clear_error (&local);
    g_clear_pointer (&model, allava_model_unref);
    session = open_session (path, &on_cpu, &model, &local);
  }
  if (session == NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  fill_info (model, path, why_not_gpu, info);
  Loaded *loaded = g_new (Loaded, 1);
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
  return allava_session_generate (loaded->session, turns, prompt->len, options, text_func,
                                  user_data, result, error);
}

const AllavaGeneratorBackend allava_engine_backend = {
    .load = engine_load,
    .generate = engine_generate,
    .unload = engine_unload,
};
