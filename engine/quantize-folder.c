/* quantize-folder.c - writes a model's folder anew with quantised weights; see model/quant.h.
 *
 * All is written into a hidden folder beside the new one, which gets its name when it is whole. */
#include "config.h"
#include "json.h"
#include "kernels.h"
#include "quant.h"
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* What becomes of one tensor. */
typedef struct {
  const AllavaTensor *tensor;
  AllavaDtype dtype; /* Q8 or Q4, BF16 for a matrix that is narrowed, AUTO: as it is */
  size_t n_out, n_in;
  size_t offset, n_bytes;                /* in the new file's data */
  size_t records_offset, n_record_bytes; /* of Q8 and Q4 */
} Piece;

typedef struct {
  AllavaDtype dtype;
  const AllavaModelOptions *options;
  AllavaSafetensors *set;
  AllavaSafetensors *tower;
  AllavaConfig config;
  AllavaWeights weights;
  GHashTable *matrices; /* AllavaTensor -> AllavaDtype that it is kept in */
  GArray *pieces;       /* Piece, in the order of the new file's header */
  AllavaPool *pool;
  char *path; /* of the new file */
  int fd;
  size_t data_start;
  size_t n_done, n_all; /* bytes of the source */
} Job;

/* ---- What to do ------------------------------------------------------------------------------ */

static void
plan_matrix (Job *job, const AllavaParam *param, AllavaPart part)
{
  const AllavaTensor *tensor = param->weight;
  AllavaDtype dtype = allava_quant_choose (job->dtype, part, tensor->n_elements / tensor->shape[0]);
  if (dtype == ALLAVA_DTYPE_BF16 && tensor->type != ALLAVA_TENSOR_F32)
    return;
  g_hash_table_insert (job->matrices, (gpointer)tensor, GINT_TO_POINTER (dtype));
}

static void
plan_matrices (Job *job)
{
  const AllavaWeights *weights = &job->weights;
  plan_matrix (job, &weights->embed_tokens, ALLAVA_PART_OTHER);
  plan_matrix (job, &weights->patch_embedding, ALLAVA_PART_OTHER);
  for (int i = 0; i < job->config.n_projector_layers; i++)
    plan_matrix (job, &weights->projector[i], ALLAVA_PART_OTHER);
  for (int i = 0; i < job->config.vision.n_run_layers; i++) {
    const AllavaVisionLayer *layer = &weights->vision_layers[i];
    const AllavaParam *const params[] = {&layer->q_proj,   &layer->k_proj, &layer->v_proj,
                                         &layer->out_proj, &layer->fc1,    &layer->fc2};
    for (size_t p = 0; p < G_N_ELEMENTS (params); p++)
      plan_matrix (job, params[p], ALLAVA_PART_OTHER);
  }
  for (int i = 0; i < job->config.n_layers; i++) {
    const AllavaDecoderLayer *layer = &weights->layers[i];
    const AllavaParam *const params[] = {&layer->q_proj, &layer->k_proj, &layer->v_proj,
                                         &layer->dense,  &layer->fc1,    &layer->fc2};
    for (size_t p = 0; p < G_N_ELEMENTS (params); p++)
      plan_matrix (job, params[p], ALLAVA_PART_DECODER);
  }
  if (weights->lm_head.weight != weights->embed_tokens.weight) /* a tied head is the embedding */
    plan_matrix (job, &weights->lm_head, ALLAVA_PART_HEAD);
}

static size_t
place (size_t *end, size_t n_bytes)
{
  size_t offset = *end;
  *end += n_bytes;
  return offset;
}

/* Quantised values come first, since they are best read from whole cache lines; then their
 * records; then the rest. */
static void
place_pieces (Job *job)
{
  size_t end = 0;
  Piece *pieces = (Piece *)job->pieces->data;
  for (guint i = 0; i < job->pieces->len; i++)
    if (allava_dtype_is_quantized (pieces[i].dtype))
      pieces[i].offset = place (&end, pieces[i].n_bytes);
  for (guint i = 0; i < job->pieces->len; i++)
    if (allava_dtype_is_quantized (pieces[i].dtype))
      pieces[i].records_offset = place (&end, pieces[i].n_record_bytes);
  for (guint i = 0; i < job->pieces->len; i++)
    if (!allava_dtype_is_quantized (pieces[i].dtype))
      pieces[i].offset = place (&end, pieces[i].n_bytes);
}

static void
plan_pieces (Job *job)
{
  g_autoptr (GPtrArray) tensors = allava_safetensors_list (job->set);
  for (guint i = 0; i < tensors->len; i++) {
    const AllavaTensor *tensor = tensors->pdata[i];
    Piece piece = {.tensor = tensor, .n_bytes = tensor->n_bytes};
    piece.dtype = GPOINTER_TO_INT (g_hash_table_lookup (job->matrices, tensor));
    job->n_all += tensor->n_bytes;
    if (allava_dtype_is_quantized (piece.dtype)) {
      piece.n_out = tensor->shape[0];
      piece.n_in = tensor->shape[1];
      piece.n_bytes = piece.n_out * allava_quant_row_bytes (piece.dtype, piece.n_in);
      piece.n_record_bytes = piece.n_out * allava_quant_row_groups (piece.n_in) * sizeof (uint16_t);
    } else if (piece.dtype == ALLAVA_DTYPE_BF16) {
      piece.n_bytes = tensor->n_elements * sizeof (uint16_t);
    }
    g_array_append_val (job->pieces, piece);
  }
  place_pieces (job);
}

static gboolean
plan (Job *job, const char *dir, GError **error)
{
  const char *tower = job->options->vision_tower;
  if (!allava_config_load (&job->config, dir, tower, error) ||
      (job->set = allava_safetensors_open_dir (dir, error)) == NULL ||
      (tower != NULL && (job->tower = allava_safetensors_open_dir (tower, error)) == NULL) ||
      !allava_weights_bind (&job->weights, &job->config, job->set, job->tower, error))
    return FALSE;
  if (job->weights.quantized != ALLAVA_DTYPE_AUTO) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "%s: its weights are quantised already, to %s; quantise the model that they were "
                 "made from",
                 dir, allava_dtype_to_string (job->weights.quantized));
    return FALSE;
  }
  plan_matrices (job);
  plan_pieces (job);
  job->pool = allava_pool_new (job->options->threads, error);
  return job->pool != NULL;
}

/* ---- The header ------------------------------------------------------------------------------ */

static void
add_size (JsonBuilder *builder, size_t size)
{
  json_builder_add_int_value (builder, (gint64)size);
}

static void
add_tensor (JsonBuilder *builder,
            const char *name,
            const char *type,
            const size_t *shape,
            int n_dims,
            size_t offset,
            size_t n_bytes)
{
  json_builder_set_member_name (builder, name);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "dtype");
  json_builder_add_string_value (builder, type);
  json_builder_set_member_name (builder, "shape");
  json_builder_begin_array (builder);
  for (int i = 0; i < n_dims; i++)
    add_size (builder, shape[i]);
  json_builder_end_array (builder);
  json_builder_set_member_name (builder, "data_offsets");
  json_builder_begin_array (builder);
  add_size (builder, offset);
  add_size (builder, offset + n_bytes);
  json_builder_end_array (builder);
  json_builder_end_object (builder);
}

static void
add_piece (JsonBuilder *builder, const Piece *piece)
{
  const AllavaTensor *tensor = piece->tensor;
  gboolean q8 = piece->dtype == ALLAVA_DTYPE_Q8;
  if (!allava_dtype_is_quantized (piece->dtype)) {
    add_tensor (builder, tensor->name,
                piece->dtype == ALLAVA_DTYPE_BF16 ? "BF16" : tensor->type_name, tensor->shape,
                tensor->n_dims, piece->offset, piece->n_bytes);
    return;
  }
  const size_t values[] = {piece->n_out, allava_quant_row_bytes (piece->dtype, piece->n_in)};
  const size_t records[] = {piece->n_out, allava_quant_row_groups (piece->n_in)};
  g_autofree char *records_name = g_strconcat (tensor->name, "_scales", NULL);
  add_tensor (builder, tensor->name, q8 ? "I8" : "U8", values, 2, piece->offset, piece->n_bytes);
  add_tensor (builder, records_name, q8 ? "F16" : "U16", records, 2, piece->records_offset,
              piece->n_record_bytes);
}

static void
add_metadata (JsonBuilder *builder, AllavaDtype dtype)
{
  json_builder_set_member_name (builder, "__metadata__");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "format");
  json_builder_add_string_value (builder, "pt"); /* transformers asks for one */
  json_builder_set_member_name (builder, ALLAVA_QUANT_METADATA);
  json_builder_add_string_value (builder, allava_dtype_to_string (dtype));
  json_builder_set_member_name (builder, ALLAVA_QUANT_METADATA "_version");
  json_builder_add_string_value (builder, ALLAVA_QUANT_VERSION);
  json_builder_end_object (builder);
}

/* The length, the JSON, and spaces up to a whole cache line. */
static GString *
make_header (const Job *job)
{
  g_autoptr (JsonBuilder) builder = json_builder_new_immutable ();
  json_builder_begin_object (builder);
  add_metadata (builder, job->dtype);
  for (guint i = 0; i < job->pieces->len; i++)
    add_piece (builder, &g_array_index (job->pieces, Piece, i));
  json_builder_end_object (builder);
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *json = json_to_string (root, FALSE);

  GString *header = g_string_new (json);
  while ((sizeof (uint64_t) + header->len) % 64 != 0)
    g_string_append_c (header, ' ');
  uint64_t length = GUINT64_TO_LE ((uint64_t)header->len);
  g_string_prepend_len (header, (const char *)&length, sizeof length);
  return header;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static gboolean
set_write_error (const char *path, GError **error)
{
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s cannot be written: %s", path,
               g_strerror (errno));
  return FALSE;
}

static gboolean
write_at (const Job *job, const void *data, size_t length, size_t offset, GError **error)
{
  const char *p = data;
  while (length > 0) {
    ssize_t n = pwrite (job->fd, p, MIN (length, (size_t)16 << 20), (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EFAULT) { /* DATA is the file's: writing meets what reading would */
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                   "the weights for %s cannot be read: their disk may be damaged or gone",
                   job->path);
      return FALSE;
    }
    if (n < 0)
      return set_write_error (job->path, error);
    p += n;
    offset += (size_t)n;
    length -= (size_t)n;
    if (g_cancellable_set_error_if_cancelled (job->options->cancellable, error))
      return FALSE;
  }
  return TRUE;
}

static AllavaDtype
dtype_of (const AllavaTensor *tensor)
{
  return tensor->type == ALLAVA_TENSOR_BF16  ? ALLAVA_DTYPE_BF16
         : tensor->type == ALLAVA_TENSOR_F16 ? ALLAVA_DTYPE_F16
                                             : ALLAVA_DTYPE_F32;
}

static gboolean
write_quantized (const Job *job, const Piece *piece, GError **error)
{
  const AllavaTensor *tensor = piece->tensor;
  g_autofree void *values = g_try_malloc (MAX (piece->n_bytes, 1));
  g_autofree uint16_t *records = g_try_malloc (MAX (piece->n_record_bytes, 1));
  if (values == NULL || records == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "there is not enough memory to quantise tensor %s (%.1f MB)", tensor->name,
                 (piece->n_bytes + piece->n_record_bytes) / 1e6);
    return FALSE;
  }
  if (!allava_quantize_matrix (job->pool, tensor->data, dtype_of (tensor), piece->n_out,
                               piece->n_in, piece->dtype, values, records)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s holds values that are not finite numbers", tensor->file,
                 tensor->name);
    return FALSE;
  }
  return write_at (job, values, piece->n_bytes, job->data_start + piece->offset, error) &&
         write_at (job, records, piece->n_record_bytes, job->data_start + piece->records_offset,
                   error);
}

static gboolean
write_narrowed (const Job *job, const Piece *piece, GError **error)
{
  enum { N = 1 << 16 };
  const AllavaTensor *tensor = piece->tensor;
  g_autofree float *wide = g_new (float, N);
  g_autofree uint16_t *narrow = g_new (uint16_t, N);
  for (size_t i = 0; i < tensor->n_elements; i += N) {
    size_t n = MIN (N, tensor->n_elements - i);
    memcpy (wide, (const char *)tensor->data + i * sizeof *wide, n * sizeof *wide);
    allava_narrow (wide, ALLAVA_DTYPE_BF16, n, narrow);
    if (!write_at (job, narrow, n * sizeof *narrow,
                   job->data_start + piece->offset + i * sizeof *narrow, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_piece (Job *job, const Piece *piece, GError **error)
{
  const AllavaTensor *tensor = piece->tensor;
  const AllavaModelOptions *options = job->options;
  allava_safetensors_fetch (tensor);
  gboolean ok =
      allava_dtype_is_quantized (piece->dtype) ? write_quantized (job, piece, error)
      : piece->dtype == ALLAVA_DTYPE_BF16
          ? write_narrowed (job, piece, error)
          : write_at (job, tensor->data, piece->n_bytes, job->data_start + piece->offset, error);
  allava_safetensors_release (tensor);
  job->n_done += tensor->n_bytes;
  if (options->progress != NULL)
    options->progress ((double)job->n_done / MAX (job->n_all, 1), options->progress_data);
  return ok && !g_cancellable_set_error_if_cancelled (options->cancellable, error);
}

static gboolean
write_weights (Job *job, GError **error)
{
  g_autoptr (GString) header = make_header (job);
  job->data_start = header->len;
  job->fd = g_open (job->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (job->fd < 0)
    return set_write_error (job->path, error);
  if (!write_at (job, header->str, header->len, 0, error))
    return FALSE;
  for (guint i = 0; i < job->pieces->len; i++)
    if (!write_piece (job, &g_array_index (job->pieces, Piece, i), error))
      return FALSE;
  if (fsync (job->fd) != 0)
    return set_write_error (job->path, error);
  return TRUE;
}

/* ---- The folder ------------------------------------------------------------------------------ */

/* Configs, tokenizer, licence and model card; no weights, and no index of those. */
static gboolean
is_copied (const char *name)
{
  if (g_str_has_suffix (name, ".index.json"))
    return FALSE;
  return g_str_has_suffix (name, ".json") || g_str_has_suffix (name, ".txt") ||
         g_str_has_suffix (name, ".md") || g_str_has_suffix (name, ".jinja") ||
         g_str_has_prefix (name, "LICENSE");
}

static gboolean
copy_file (const char *from_dir, const char *to_dir, const char *name, GError **error)
{
  g_autofree char *from = g_build_filename (from_dir, name, NULL);
  g_autofree char *to = g_build_filename (to_dir, name, NULL);
  g_autoptr (GFile) source = g_file_new_for_path (from);
  g_autoptr (GFile) target = g_file_new_for_path (to);
  return g_file_copy (source, target, G_FILE_COPY_TARGET_DEFAULT_PERMS, NULL, NULL, NULL, error);
}

static gboolean
copy_files (const char *from, const char *to, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (from, 0, error);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (from, name, NULL);
    if (is_copied (name) && g_file_test (path, G_FILE_TEST_IS_REGULAR) &&
        !copy_file (from, to, name, error))
      return FALSE;
  }
  return dir != NULL;
}

/* A folder that we have made ourselves, of files alone. */
static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_unlink (file);
  }
  g_rmdir (path);
}

/* The hidden folder that OUT is made in; NULL where OUT would not get its name. */
static char *
make_partial (const char *out, GError **error)
{
  if (g_file_test (out, G_FILE_TEST_EXISTS) && g_rmdir (out) != 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 "%s exists already and is not an empty folder", out);
    return NULL;
  }
  g_autofree char *parent = g_path_get_dirname (out);
  g_autofree char *name = g_path_get_basename (out);
  g_autofree char *hidden = g_strdup_printf (".%s.partial-XXXXXX", name);
  g_autofree char *path = g_build_filename (parent, hidden, NULL);
  if (g_mkdir_with_parents (parent, 0777) != 0 || g_mkdtemp_full (path, 0777) == NULL) {
    set_write_error (parent, error);
    return NULL;
  }
  return g_steal_pointer (&path);
}

/* What was written of files that changed meanwhile is worth nothing, whatever else went wrong. */
static gboolean
write_checked (Job *job, GError **error)
{
  g_autoptr (GError) local = NULL;
  gboolean written = write_weights (job, &local);
  if (!allava_safetensors_check (job->set, error) || !allava_safetensors_check (job->tower, error))
    return FALSE;
  if (!written)
    g_propagate_error (error, g_steal_pointer (&local));
  return written;
}

static gboolean
make_folder (Job *job, const char *dir, const char *out, GError **error)
{
  g_autofree char *partial = make_partial (out, error);
  if (partial == NULL)
    return FALSE;
  job->path = g_build_filename (partial, "model.safetensors", NULL);
  if (write_checked (job, error) && copy_files (dir, partial, error)) {
    if (g_rename (partial, out) == 0)
      return TRUE;
    set_write_error (out, error);
  }
  remove_folder (partial);
  return FALSE;
}

gboolean
allava_quantize (const char *dir,
                 const char *out,
                 AllavaDtype dtype,
                 const AllavaModelOptions *options,
                 GError **error)
{
  g_return_val_if_fail (dir != NULL && out != NULL, FALSE);
  g_return_val_if_fail (allava_dtype_is_quantized (dtype), FALSE);
  const AllavaModelOptions defaults = ALLAVA_MODEL_OPTIONS_INIT;
  Job job = {.dtype = dtype, .options = options != NULL ? options : &defaults, .fd = -1};
  job.matrices = g_hash_table_new (NULL, NULL);
  job.pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  g_autofree char *target = g_canonicalize_filename (out, NULL);
  gboolean ok = plan (&job, dir, error) && make_folder (&job, dir, target, error);

  if (job.fd >= 0)
    close (job.fd);
  allava_pool_free (job.pool);
  allava_weights_clear (&job.weights);
  g_clear_pointer (&job.set, allava_safetensors_free);
  g_clear_pointer (&job.tower, allava_safetensors_free);
  g_array_unref (job.pieces);
  g_hash_table_unref (job.matrices);
  g_free (job.path);
  return ok;
}
