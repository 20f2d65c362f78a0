/* error.c - the engine's error domain, and the names of its public enums. */
#include "allava-engine.h"

G_DEFINE_QUARK (allava - error - quark, allava_error)

static const char *const dtype_names[] = {
    [ALLAVA_DTYPE_AUTO] = "auto", [ALLAVA_DTYPE_F32] = "f32", [ALLAVA_DTYPE_BF16] = "bf16",
    [ALLAVA_DTYPE_F16] = "f16",   [ALLAVA_DTYPE_Q8] = "q8",   [ALLAVA_DTYPE_Q4] = "q4",
};

static const char *const finish_names[] = {
    [ALLAVA_FINISH_EOS] = "eos",
    [ALLAVA_FINISH_LENGTH] = "length",
    [ALLAVA_FINISH_CONTEXT] = "context",
    [ALLAVA_FINISH_CANCELLED] = "cancelled",
};

const char *
allava_dtype_to_string (AllavaDtype dtype)
{
  g_return_val_if_fail ((size_t)dtype < G_N_ELEMENTS (dtype_names), NULL);
  return dtype_names[dtype];
}

gboolean
allava_dtype_from_string (const char *name, AllavaDtype *dtype)
{
  g_return_val_if_fail (name != NULL && dtype != NULL, FALSE);

  for (size_t i = 0; i < G_N_ELEMENTS (dtype_names); i++) {
    if (g_str_equal (name, dtype_names[i])) {
      *dtype = (AllavaDtype)i;
      return TRUE;
    }
  }
  return FALSE;
}

const char *
allava_finish_to_string (AllavaFinish finish)
{
  g_return_val_if_fail ((size_t)finish < G_N_ELEMENTS (finish_names), NULL);
  return finish_names[finish];
}
