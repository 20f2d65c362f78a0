/* What becomes of a model when the GPU's memory is short or the GPU fails, and quantised weights on
 * it; on the emulated GPU, which can be told to be short and to fail. */
#include "device-testing.h"
#include "emulator.h"

#include <string.h>

static const EmulatorLimits no_limits = {SIZE_MAX, SIZE_MAX, 9};

static char *
model_dir (const char *name)
{
  return g_test_build_filename (G_TEST_DIST, name, NULL);
}

#define NANO "../data/model" /* its sizes suit q4 */
#define TINY "reference/checkpoints/base"

static AllavaModel *
load (const char *name, AllavaDtype dtype, GError **error)
{
  g_autofree char *dir = model_dir (name);
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.dtype = dtype;
  return test_load_model (dir, &options, error);
}

static void
limit_memory (size_t bytes)
{
  const EmulatorLimits limits = {bytes, SIZE_MAX, 9};
  emulator_set_limits (&limits);
}

/* AUTO takes the widest format that fits, a format asked for is refused, and nothing crashes. */
static void
test_memory (void)
{
  static const AllavaDtype expected[] = {ALLAVA_DTYPE_F16, ALLAVA_DTYPE_Q8, ALLAVA_DTYPE_Q4};
  size_t available = SIZE_MAX;
  for (size_t i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_autoptr (GError) error = NULL;
    limit_memory (available);
    g_autoptr (AllavaModel) model = load (NANO, ALLAVA_DTYPE_AUTO, &error);
    g_assert_no_error (error);
    const AllavaModelInfo *info = allava_model_get_info (model);
    g_assert_cmpint (info->dtype, ==, expected[i]);
    g_assert_cmpstr (info->device, ==, "cuda");
    available = info->needed_bytes - 1;
  }
  g_autoptr (GError) error = NULL;
  limit_memory (available);
  g_assert_null (load (NANO, ALLAVA_DTYPE_AUTO, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY);
  g_clear_error (&error);
  g_assert_null (load (NANO, ALLAVA_DTYPE_F32, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY);
  emulator_set_limits (&no_limits);
}

/* The estimate covers what a model and its session really take. */
static void
test_estimate (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaModel) model = load (TINY, ALLAVA_DTYPE_F16, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaSession) session = allava_session_new (model, &error);
  g_assert_no_error (error);
  size_t taken = allava_model_get_device_memory (model);
  g_assert_cmpuint (taken, >, 0);
  g_assert_cmpuint (taken, <=, allava_model_get_info (model)->needed_bytes);

  limit_memory (3 * taken); /* what is measured with, half of what is free, is not the model's */
  g_assert_cmpfloat (allava_model_measure_bandwidth (model), >, 0);
  g_assert_cmpuint (allava_model_get_device_memory (model), ==, taken);
  emulator_set_limits (&no_limits);
}

static gboolean
ask (AllavaModel *model, AllavaGenerateResult *result, GError **error)
{
  g_autoptr (AllavaSession) session = allava_session_new (model, error);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What can you do?"};
  AllavaGenerateOptions options = ALLAVA_GENERATE_OPTIONS_INIT;
  options.max_new_tokens = options.min_new_tokens = 4;
  return session != NULL &&
         allava_session_generate (session, &turn, 1, &options, NULL, NULL, result, error);
}

static gboolean
ask_about_picture (AllavaModel *model,
                   AllavaSession *session,
                   int shade,
                   AllavaGenerateResult *result,
                   GError **error)
{
  uint8_t data[8 * 8 * 3];
  memset (data, shade * 20, sizeof data);
  const AllavaPixels pixels = {data, 8, 8, 8 * 3};
  g_autoptr (AllavaPicture) picture = allava_picture_new (model, &pixels, error);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What is this?", &picture, 1};
  AllavaGenerateOptions options = ALLAVA_GENERATE_OPTIONS_INIT;
  options.max_new_tokens = options.min_new_tokens = 4;
  return allava_session_generate (session, &turn, 1, &options, NULL, NULL, result, error);
}

/* A GPU that is lost after any number of steps: an error that says so, and nothing leaks. */
static void
test_lost (void)
{
  g_autoptr (GError) error = NULL;
  for (size_t kernels = 0; kernels < 42; kernels += 3) {
    const EmulatorLimits limits = {SIZE_MAX, kernels, 9};
    AllavaGenerateResult result;
    g_autoptr (AllavaModel) model = load (TINY, ALLAVA_DTYPE_F16, &error);
    g_assert_no_error (error);
    emulator_set_limits (&limits);
    g_assert_false (ask (model, &result, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE);
    g_clear_error (&error);
    emulator_set_limits (&no_limits);
  }
  const EmulatorLimits at_once = {SIZE_MAX, 20, 9};
  emulator_set_limits (&at_once);
  g_assert_null (load (TINY, ALLAVA_DTYPE_F16, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE);
  emulator_set_limits (&no_limits);
}

/* Memory that is short for a while: the session goes on, as if nothing had been, when there is some
 * again. */
static void
test_short_of_memory (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaModel) model = load (TINY, ALLAVA_DTYPE_F16, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaSession) session = allava_session_new (model, &error);
  g_assert_no_error (error);
  AllavaGenerateResult expected, result;
  g_assert_true (ask_about_picture (model, session, 0, &expected, &error));
  for (int i = 1; i < 12; i++) { /* each time a picture that the session has not seen */
    const EmulatorLimits limits = {SIZE_MAX, i % 6 * 12, 9, TRUE};
    emulator_set_limits (&limits);
    g_assert_false (ask_about_picture (model, session, i, &result, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY);
    g_clear_error (&error);
    emulator_set_limits (&no_limits);
    ask_about_picture (model, session, 0, &result, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (result.tokens->data, result.tokens->len * sizeof (int32_t),
                     expected.tokens->data, expected.tokens->len * sizeof (int32_t));
    allava_generate_result_clear (&result);
  }
  allava_generate_result_clear (&expected);
}

static void
ignore (const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data)
{
}

/* A trace that there is no memory for: after it the session takes as many positions at a time as
 * before. */
static void
test_trace (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaModel) model = load (TINY, ALLAVA_DTYPE_F16, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaSession) session = allava_session_new (model, &error);
  g_assert_no_error (error);
  g_autofree char *text = g_strnfill (150, 'z');
  const AllavaTurn turn = {ALLAVA_ROLE_USER, text};
  limit_memory (0);
  g_assert_false (allava_session_trace (session, &turn, 1, ignore, NULL, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY);
  g_clear_error (&error);

  const EmulatorLimits limits = {SIZE_MAX, 1000, 9}; /* of one at a time there would be more */
  emulator_set_limits (&limits);
  AllavaGenerateOptions options = ALLAVA_GENERATE_OPTIONS_INIT;
  options.max_new_tokens = 4;
  AllavaGenerateResult result;
  allava_session_generate (session, &turn, 1, &options, NULL, NULL, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (result.prompt_positions, >, 100);
  allava_generate_result_clear (&result);
  emulator_set_limits (&no_limits);
}

static void
test_no_bf16 (void)
{
  const EmulatorLimits turing = {SIZE_MAX, SIZE_MAX, 7};
  g_autoptr (GError) error = NULL;
  emulator_set_limits (&turing);
  g_assert_null (load (TINY, ALLAVA_DTYPE_BF16, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED);
  emulator_set_limits (&no_limits);
}

/* The same tokens as the CPU gives with the same weights. */
static void
test_quantized (gconstpointer data)
{
  AllavaDtype dtype = GPOINTER_TO_INT (data);
  g_autofree char *dir = model_dir (NANO);
  g_autoptr (GError) error = NULL;
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.device = "cpu";
  options.dtype = dtype;
  AllavaGenerateResult expected, actual;
  g_autoptr (AllavaModel) on_cpu = allava_model_load (dir, &options, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaModel) model = load (NANO, dtype, &error);
  g_assert_no_error (error);
  ask (on_cpu, &expected, &error);
  g_assert_no_error (error);
  ask (model, &actual, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (actual.tokens->data, actual.tokens->len * sizeof (int32_t),
                   expected.tokens->data, expected.tokens->len * sizeof (int32_t));
  allava_generate_result_clear (&expected);
  allava_generate_result_clear (&actual);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cuda-limits/memory", test_memory);
  g_test_add_func ("/cuda-limits/estimate", test_estimate);
  g_test_add_func ("/cuda-limits/lost", test_lost);
  g_test_add_func ("/cuda-limits/short-of-memory", test_short_of_memory);
  g_test_add_func ("/cuda-limits/trace", test_trace);
  g_test_add_func ("/cuda-limits/no-bf16", test_no_bf16);
  g_test_add_data_func ("/cuda-limits/q8", GINT_TO_POINTER (ALLAVA_DTYPE_Q8), test_quantized);
  g_test_add_data_func ("/cuda-limits/q4", GINT_TO_POINTER (ALLAVA_DTYPE_Q4), test_quantized);
  return g_test_run ();
}
