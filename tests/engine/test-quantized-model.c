/* Whole models with quantised weights: made while loading, written to a folder, and damaged. */
#include "kernels.h"
#include "quant.h"
#include "safetensors.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* The default model, whose sizes suit q4; a checkpoint of F32 whose sizes suit q8 in part; and one
 * that has its embedding for a head. */
static const char *const models[] = {"../data/model", "reference/checkpoints/base",
                                     "reference/checkpoints/tied"};
static const AllavaDtype dtypes[] = {ALLAVA_DTYPE_Q8, ALLAVA_DTYPE_Q4};

typedef struct {
  char *parent;
  char *out; /* a folder in it */
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->parent = g_dir_make_tmp ("allava-quantized-XXXXXX", NULL);
  fixture->out = g_build_filename (fixture->parent, "out", NULL);
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    remove_all (file);
  }
  g_remove (path);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  remove_all (fixture->parent);
  g_free (fixture->parent);
  g_free (fixture->out);
}

static char *
model_dir (const char *name)
{
  return g_test_build_filename (G_TEST_DIST, name, NULL);
}

static void
quantize_dir (const Fixture *fixture, const char *dir, AllavaDtype dtype)
{
  g_autoptr (GError) error = NULL;
  allava_quantize (dir, fixture->out, dtype, NULL, &error);
  g_assert_no_error (error);
}

static void
quantize (const Fixture *fixture, const char *model, AllavaDtype dtype)
{
  g_autofree char *dir = model_dir (model);
  quantize_dir (fixture, dir, dtype);
}

/* The default model's files to the folder TO, to be changed there. */
static void
copy_default_model (const char *to)
{
  static const char *const files[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                      "preprocessor_config.json", "model.safetensors"};
  g_autofree char *from = model_dir ("../data/model");
  g_assert_cmpint (g_mkdir (to, 0777), ==, 0);
  for (size_t i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *source = g_build_filename (from, files[i], NULL);
    g_autofree char *target = g_build_filename (to, files[i], NULL);
    g_autofree char *content = NULL;
    size_t length;
    g_assert_true (g_file_get_contents (source, &content, &length, NULL));
    g_assert_true (g_file_set_contents (target, content, (gssize)length, NULL));
  }
}

static AllavaModel *
load (const char *dir, AllavaDtype dtype, int threads, GError **error)
{
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.dtype = dtype;
  options.threads = threads;
  return allava_model_load (dir, &options, error);
}

static void
logits_cb (const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data)
{
  if (g_str_equal (name, "logits"))
    g_array_append_vals (user_data, data, (guint)(shape[0] * shape[1]));
}

/* Of a picture and a question. */
static GArray *
compute_logits (AllavaModel *model)
{
  uint8_t pixels[20 * 20 * 3];
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (uint8_t)(i * 7 % 256);
  const AllavaPixels image = {pixels, 20, 20, 60};
  g_autoptr (GError) error = NULL;
  AllavaPicture *picture = allava_picture_new (model, &image, &error);
  g_assert_no_error (error);
  AllavaTurn turn = {ALLAVA_ROLE_USER, "What is it? Describe the picture.", &picture, 1};
  AllavaSession *session = allava_session_new (model, &error);
  g_assert_no_error (error);
  GArray *logits = g_array_new (FALSE, FALSE, sizeof (float));
  allava_session_trace (session, &turn, 1, logits_cb, logits, &error);
  g_assert_no_error (error);
  allava_session_free (session);
  allava_picture_unref (picture);
  return logits;
}

static void
assert_same (const GArray *a, const GArray *b)
{
  g_assert_cmpmem (a->data, a->len * sizeof (float), b->data, b->len * sizeof (float));
}

/* The cosine of the angle between two sets of logits. */
static double
compare (const GArray *a, const GArray *b)
{
  double ab = 0, aa = 0, bb = 0;
  g_assert_cmpuint (a->len, ==, b->len);
  for (guint i = 0; i < a->len; i++) {
    double x = g_array_index (a, float, i), y = g_array_index (b, float, i);
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / sqrt (aa * bb);
}

/* Quantised while loading or before, with any number of threads: the same model, near the whole. */
static void
check_same_model (const Fixture *fixture, const char *dir, AllavaDtype dtype)
{
  g_autoptr (GError) error = NULL;
  quantize_dir (fixture, dir, dtype);
  g_autoptr (AllavaModel) whole = load (dir, ALLAVA_DTYPE_F32, 1, &error);
  g_autoptr (AllavaModel) loaded = load (dir, dtype, 2, &error);
  g_autoptr (AllavaModel) from_folder = load (fixture->out, ALLAVA_DTYPE_AUTO, 3, &error);
  g_assert_no_error (error);
  const AllavaModelInfo *a = allava_model_get_info (loaded);
  const AllavaModelInfo *b = allava_model_get_info (from_folder);
  g_assert_cmpint (a->dtype, ==, dtype);
  g_assert_cmpint (b->dtype, ==, dtype);
  g_assert_cmpint (b->stored_dtype, ==, dtype);
  g_assert_cmpuint (a->weight_bytes, ==, b->weight_bytes);
  g_assert_cmpuint (a->bytes_per_token, ==, b->bytes_per_token);
  g_assert_cmpuint (a->n_parameters, ==, b->n_parameters);

  g_autoptr (GArray) exact = compute_logits (whole);
  g_autoptr (GArray) logits = compute_logits (loaded);
  g_autoptr (GArray) again = compute_logits (from_folder);
  assert_same (logits, again);
  double cosine = compare (exact, logits);
  g_test_message ("%s %s: cosine %.6f", dir, allava_dtype_to_string (dtype), cosine);
  g_assert_cmpfloat (cosine, >, dtype == ALLAVA_DTYPE_Q8 ? 0.999 : 0.98);
  remove_all (fixture->out);
}

static void
test_same_model (Fixture *fixture, gconstpointer data)
{
  for (size_t m = 0; m < G_N_ELEMENTS (models); m++) {
    g_autofree char *dir = model_dir (models[m]);
    for (size_t d = 0; d < G_N_ELEMENTS (dtypes); d++)
      check_same_model (fixture, dir, dtypes[d]);
  }
}

/* An embedding of 16 bits and of whole groups, which is the head too, stays as it is. */
static void
test_tied (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = g_build_filename (fixture->parent, "tied", NULL);
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  g_autofree char *config = NULL;
  copy_default_model (dir);
  g_assert_true (g_file_get_contents (path, &config, NULL, NULL));
  char *at = strstr (config, "\"tie_word_embeddings\": false");
  g_assert_nonnull (at);
  memcpy (at, "\"tie_word_embeddings\": true ", strlen ("\"tie_word_embeddings\": false"));
  g_assert_true (g_file_set_contents (path, config, -1, NULL));
  for (size_t d = 0; d < G_N_ELEMENTS (dtypes); d++)
    check_same_model (fixture, dir, dtypes[d]);
}

/* Greedy decoding gives the same tokens whatever the number of threads. */
static void
test_threads (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = model_dir ("../data/model");
  const AllavaGenerateOptions options = {.max_new_tokens = 24, .min_new_tokens = 24, .top_p = 1};
  for (size_t d = 0; d < G_N_ELEMENTS (dtypes); d++) {
    g_autoptr (GArray) first = NULL;
    for (int threads = 1; threads <= 4; threads++) {
      g_autoptr (GError) error = NULL;
      g_autoptr (AllavaModel) model = load (dir, dtypes[d], threads, &error);
      g_assert_no_error (error);
      AllavaSession *session = allava_session_new (model, &error);
      AllavaTurn turn = {ALLAVA_ROLE_USER, "Describe this image.", NULL, 0};
      AllavaGenerateResult result;
      g_assert_true (
          allava_session_generate (session, &turn, 1, &options, NULL, NULL, &result, &error));
      if (first == NULL)
        first = g_array_ref (result.tokens);
      g_assert_cmpmem (first->data, first->len * 4, result.tokens->data, result.tokens->len * 4);
      allava_generate_result_clear (&result);
      allava_session_free (session);
    }
  }
}

/* ---- The folder's content -------------------------------------------------------------------- */

static float *
read_plain (const AllavaTensor *tensor)
{
  float *x = g_new (float, tensor->n_elements);
  allava_widen (tensor->data,
                tensor->type == ALLAVA_TENSOR_BF16  ? ALLAVA_DTYPE_BF16
                : tensor->type == ALLAVA_TENSOR_F16 ? ALLAVA_DTYPE_F16
                                                    : ALLAVA_DTYPE_F32,
                tensor->n_elements, x);
  return x;
}

/* Dequantises TENSOR by its records, and returns the error relative to the SOURCE's size. */
static double
error_of (AllavaSafetensors *set, const AllavaTensor *tensor, const AllavaTensor *source)
{
  g_autofree char *name = g_strconcat (tensor->name, "_scales", NULL);
  const AllavaTensor *records = allava_safetensors_find (set, name);
  AllavaDtype dtype = tensor->type == ALLAVA_TENSOR_I8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
  size_t n_in = source->shape[1];
  g_assert_nonnull (records);
  g_assert_cmpuint ((uintptr_t)tensor->data % 64, ==, 0); /* here, where the sizes allow it */
  g_autofree float *x = read_plain (source);
  g_autofree float *y = g_new (float, n_in);
  double error = 0, size = 0;
  for (size_t row = 0; row < source->shape[0]; row++) {
    allava_dequantize_row (dtype,
                           (const char *)tensor->data + row * allava_quant_row_bytes (dtype, n_in),
                           (const uint16_t *)records->data + row * records->shape[1], n_in, y);
    for (size_t k = 0; k < n_in; k++) {
      error += pow (y[k] - x[row * n_in + k], 2);
      size += pow (x[row * n_in + k], 2);
    }
  }
  return sqrt (error / size);
}

static void
test_content (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = model_dir ("../data/model");
  g_autoptr (GError) error = NULL;
  quantize (fixture, "../data/model", ALLAVA_DTYPE_Q4);
  g_autoptr (AllavaSafetensors) set = allava_safetensors_open_dir (fixture->out, &error);
  g_autoptr (AllavaSafetensors) source = allava_safetensors_open_dir (dir, &error);
  g_autoptr (GPtrArray) tensors = allava_safetensors_list (source);
  g_assert_no_error (error);
  g_assert_cmpstr (allava_safetensors_get_metadata (set, "allava_quantization"), ==, "q4");
  g_assert_cmpstr (allava_safetensors_get_metadata (set, "allava_quantization_version"), ==, "1");
  int n_q8 = 0, n_q4 = 0;
  for (guint i = 0; i < tensors->len; i++) {
    const AllavaTensor *from = tensors->pdata[i];
    const AllavaTensor *to = allava_safetensors_find (set, from->name);
    g_assert_nonnull (to);
    if (to->type == ALLAVA_TENSOR_I8) {
      g_assert_cmpstr (to->name, ==, "lm_head.weight");
      g_assert_cmpfloat (error_of (set, to, from), <, 0.008);
      n_q8++;
    } else if (to->type == ALLAVA_TENSOR_U8) {
      g_assert_true (g_str_has_prefix (to->name, "model.layers."));
      g_assert_cmpfloat (error_of (set, to, from), <, 0.09);
      n_q4++;
    } else {
      g_assert_cmpint (to->type, ==, from->type);
      g_assert_cmpmem (to->data, to->n_bytes, from->data, from->n_bytes);
    }
  }
  g_assert_cmpint (n_q8, ==, 1);
  g_assert_cmpint (n_q4, >, 0);
  g_assert_cmpint (n_q4 % 6, ==, 0);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void
assert_refused (GError *error, int code, const char *part)
{
  g_assert_error (error, ALLAVA_ERROR, code);
  if (strstr (error->message, part) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, part);
}

/* Nothing has been left in the parent folder. */
static void
assert_empty (const Fixture *fixture)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->parent, 0, NULL);
  g_assert_cmpstr (g_dir_read_name (dir), ==, NULL);
}

/* As if the weights were written to. */
static void
touch_cb (double fraction, gpointer path)
{
  const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
}

static void
test_changed_meanwhile (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = g_build_filename (fixture->parent, "model", NULL);
  g_autofree char *weights = g_build_filename (dir, "model.safetensors", NULL);
  g_autoptr (GError) error = NULL;
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.progress = touch_cb;
  options.progress_data = weights;
  copy_default_model (dir);
  g_assert_false (allava_quantize (dir, fixture->out, ALLAVA_DTYPE_Q8, &options, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
  g_assert_false (g_file_test (fixture->out, G_FILE_TEST_EXISTS));
}

static void
cancel_cb (double fraction, gpointer user_data)
{
  if (fraction > 0.5)
    g_cancellable_cancel (user_data);
}

static void
test_cancelled (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = model_dir ("../data/model");
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.cancellable = cancellable;
  options.progress = cancel_cb;
  options.progress_data = cancellable;
  g_assert_false (allava_quantize (dir, fixture->out, ALLAVA_DTYPE_Q4, &options, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  assert_empty (fixture);

  g_clear_error (&error);
  g_cancellable_reset (cancellable);
  options.dtype = ALLAVA_DTYPE_Q8;
  g_assert_null (allava_model_load (dir, &options, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Weights that are converted while they are loaded, which begins when all has been read ahead. */
static void
test_cancelled_conversion (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = model_dir ("reference/checkpoints/odd"); /* F32, read in one step */
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.cancellable = cancellable;
  options.progress = cancel_cb;
  options.progress_data = cancellable;
  options.dtype = ALLAVA_DTYPE_BF16;
  g_assert_null (allava_model_load (dir, &options, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  GError *error = NULL;
  g_autofree char *dir = model_dir ("../data/model");
  quantize (fixture, "../data/model", ALLAVA_DTYPE_Q4);

  g_assert_false (allava_quantize (dir, fixture->out, ALLAVA_DTYPE_Q8, NULL, &error));
  assert_refused (error, ALLAVA_ERROR_FILE, "exists already");
  g_clear_error (&error);

  g_autofree char *other = g_build_filename (fixture->parent, "other", NULL);
  g_assert_false (allava_quantize (fixture->out, other, ALLAVA_DTYPE_Q8, NULL, &error));
  assert_refused (error, ALLAVA_ERROR_INPUT, "quantised already");
  g_clear_error (&error);

  const AllavaDtype wrong[] = {ALLAVA_DTYPE_F32, ALLAVA_DTYPE_BF16, ALLAVA_DTYPE_Q8};
  for (size_t i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_assert_null (load (fixture->out, wrong[i], 1, &error));
    assert_refused (error, ALLAVA_ERROR_INPUT, "cannot be used as");
    g_clear_error (&error);
  }
}

/* A quantised file with one thing changed. */
typedef struct {
  const char *from; /* in the header; TO is as long */
  const char *to;
  int code;
  const char *message;
} Damage;

static const Damage damages[] = {
    {"\"allava_quantization\":\"q4\"", "\"allava_quantization\":\"q5\"", ALLAVA_ERROR_UNSUPPORTED,
     "\"q5\""},
    {"_version\":\"1\"", "_version\":\"2\"", ALLAVA_ERROR_UNSUPPORTED, "version 2"},
    {"\"allava_quantization\"", "\"allava_quantisation\"", ALLAVA_ERROR_FORMAT, "has shape"},
    {"lm_head.weight_scales", "lm_head.weight_scalez", ALLAVA_ERROR_FORMAT, "lacks its scales"},
    {"\"dtype\":\"U16\"", "\"dtype\":\"I16\"", ALLAVA_ERROR_FORMAT, "should be U16"},
    {"\"dtype\":\"F16\"", "\"dtype\":\"U16\"", ALLAVA_ERROR_FORMAT, "should be F16"},
    {"\"dtype\":\"U8\"", "\"dtype\":\"I8\"", ALLAVA_ERROR_FORMAT, "is not q8 of the matrix"},
    {"\"dtype\":\"I8\"", "\"dtype\":\"U8\"", ALLAVA_ERROR_FORMAT, "is not q4 of the matrix"},
    /* The scales of an fc1. */
    {"\"shape\":[1024,8]", "\"shape\":[512,08]", ALLAVA_ERROR_FORMAT, ""},
    {"\"shape\":[1024,8]", "\"shape\":[2048,4]", ALLAVA_ERROR_FORMAT, "should be U16 [1024, 8]"},
};

/* Replaces the first, within the header alone; TRUE where it was there. */
static gboolean
replace_in_header (char *file, const char *from, const char *to)
{
  uint64_t length;
  memcpy (&length, file, sizeof length);
  char *at = g_strstr_len (file + sizeof length, (gssize)length, from);
  if (at != NULL)
    memcpy (at, to, strlen (to));
  return at != NULL;
}

static void
assert_load_refused (const char *dir, int code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (load (dir, ALLAVA_DTYPE_AUTO, 1, &error));
  assert_refused (error, code, message);
}

static void
test_damaged (Fixture *fixture, gconstpointer data)
{
  quantize (fixture, "../data/model", ALLAVA_DTYPE_Q4);
  g_autofree char *path = g_build_filename (fixture->out, "model.safetensors", NULL);
  g_autofree char *file = NULL;
  size_t length;
  g_assert_true (g_file_get_contents (path, &file, &length, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS (damages); i++) {
    g_autofree char *copy = g_memdup2 (file, length);
    g_assert_true (replace_in_header (copy, damages[i].from, damages[i].to));
    g_assert_true (g_file_set_contents (path, copy, (gssize)length, NULL));
    assert_load_refused (fixture->out, damages[i].code, damages[i].message);
  }
  const size_t cuts[] = {length - 1, length / 2, 100};
  for (size_t i = 0; i < G_N_ELEMENTS (cuts); i++) {
    g_assert_true (g_file_set_contents (path, file, (gssize)cuts[i], NULL));
    assert_load_refused (fixture->out, ALLAVA_ERROR_FORMAT, "cut short");
  }
}

/* Scales that are not finite, in either format. */
static void
test_damaged_scales (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = {"lm_head.weight_scales",
                                      "model.layers.1.mlp.fc1.weight_scales"};
  quantize (fixture, "../data/model", ALLAVA_DTYPE_Q4);
  g_autofree char *path = g_build_filename (fixture->out, "model.safetensors", NULL);
  g_autofree char *file = NULL;
  size_t length;
  g_assert_true (g_file_get_contents (path, &file, &length, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *copy = g_memdup2 (file, length);
    g_autoptr (AllavaSafetensors) set =
        allava_safetensors_open_memory (copy, length, "copy", &error);
    const AllavaTensor *tensor = allava_safetensors_find (set, names[i]);
    const uint16_t not_a_number = i == 0 ? 0x7e01 : 0xfc00;
    memcpy ((char *)tensor->data + tensor->n_bytes - sizeof not_a_number, &not_a_number,
            sizeof not_a_number);
    g_assert_true (g_file_set_contents (path, copy, (gssize)length, NULL));
    assert_load_refused (fixture->out, ALLAVA_ERROR_FORMAT, "not finite");
  }
}

/* Records at an odd address, as another program may write them, are read all the same. */
static void
test_unaligned (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  quantize (fixture, "../data/model", ALLAVA_DTYPE_Q4);
  g_autoptr (AllavaModel) aligned = load (fixture->out, ALLAVA_DTYPE_AUTO, 1, &error);
  g_autoptr (GArray) expected = compute_logits (aligned);
  g_autofree char *path = g_build_filename (fixture->out, "model.safetensors", NULL);
  g_autofree char *file = NULL;
  size_t length;
  g_assert_true (g_file_get_contents (path, &file, &length, NULL));
  uint64_t header;
  memcpy (&header, file, sizeof header);
  g_autoptr (GString) shifted = g_string_new_len (file, (gssize)(header + sizeof header));
  g_string_append_c (shifted, ' ');
  g_string_append_len (shifted, file + header + sizeof header,
                       (gssize)(length - header - sizeof header));
  header++;
  memcpy (shifted->str, &header, sizeof header);
  g_assert_true (g_file_set_contents (path, shifted->str, (gssize)shifted->len, NULL));
  g_autoptr (AllavaModel) model = load (fixture->out, ALLAVA_DTYPE_AUTO, 1, &error);
  g_assert_no_error (error);
  g_autoptr (GArray) logits = compute_logits (model);
  assert_same (logits, expected);
}

/* Weights that are not numbers are found while quantising. */
static void
test_not_finite (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  copy_default_model (fixture->out);
  g_autofree char *path = g_build_filename (fixture->out, "model.safetensors", NULL);
  g_autofree char *file = NULL;
  size_t length;
  g_assert_true (g_file_get_contents (path, &file, &length, NULL));
  g_autoptr (AllavaSafetensors) set = allava_safetensors_open_memory (file, length, "copy", &error);
  const AllavaTensor *tensor =
      allava_safetensors_find (set, "model.layers.0.self_attn.dense.weight");
  memcpy ((char *)tensor->data + 100, "\x80\x7f", 2); /* infinity */
  g_assert_true (g_file_set_contents (path, file, (gssize)length, NULL));
  g_assert_null (load (fixture->out, ALLAVA_DTYPE_Q8, 2, &error));
  assert_refused (error, ALLAVA_ERROR_FORMAT, "dense.weight holds values that are not finite");
  g_clear_error (&error);
  g_autofree char *other = g_build_filename (fixture->parent, "other", NULL);
  g_assert_false (allava_quantize (fixture->out, other, ALLAVA_DTYPE_Q4, NULL, &error));
  assert_refused (error, ALLAVA_ERROR_FORMAT, "dense.weight holds values that are not finite");
  g_assert_false (g_file_test (other, G_FILE_TEST_EXISTS));
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/quantized-model/same-model", test_same_model);
  ADD ("/quantized-model/tied", test_tied);
  ADD ("/quantized-model/threads", test_threads);
  ADD ("/quantized-model/content", test_content);
  ADD ("/quantized-model/cancelled", test_cancelled);
  ADD ("/quantized-model/changed-meanwhile", test_changed_meanwhile);
  ADD ("/quantized-model/cancelled-conversion", test_cancelled_conversion);
  ADD ("/quantized-model/refused", test_refused);
  ADD ("/quantized-model/damaged", test_damaged);
  ADD ("/quantized-model/damaged-scales", test_damaged_scales);
  ADD ("/quantized-model/unaligned", test_unaligned);
  ADD ("/quantized-model/not-finite", test_not_finite);
  return g_test_run ();
}
