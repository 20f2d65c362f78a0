/* A tokenizer.json and, behind a NUL, a text: the file is refused, or every text that is UTF-8
 * becomes ids that exist, and these the same text again where nothing in the file forbids it. */
#include "tokenizer.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Only then is decoding the inverse of encoding: no byte is left out, no space added or swallowed,
 * and no added token is written in the byte alphabet. */
static gboolean
is_lossless (AllavaTokenizer *tokenizer)
{
  for (int byte = 0; byte < 256; byte++) {
    if (tokenizer->bpe.byte_ids[byte] < 0)
      return FALSE;
  }
  return !tokenizer->add_prefix_space && tokenizer->added[0].tokens->len == 0 &&
         tokenizer->added[1].tokens->len == 0;
}

static void
check_text (AllavaTokenizer *tokenizer, const char *text, size_t size, AllavaTokenizeFlags flags)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  g_autoptr (GError) error = NULL;
  if (!allava_tokenizer_encode (tokenizer, text, (gssize)size, flags, ids, &error)) {
    g_assert (g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT));
    g_assert (ids->len == 0);
    return;
  }

  size_t n_bytes = 0, length;
  for (guint i = 0; i < ids->len; i++) {
    int32_t id = g_array_index (ids, int32_t, i);
    g_assert (allava_tokenizer_get_bytes (tokenizer, id, &length) != NULL);
    n_bytes += length;
  }
  GString *decoded =
      allava_tokenizer_decode (tokenizer, (int32_t *)(void *)ids->data, ids->len, &error);
  g_assert (decoded != NULL);
  if (is_lossless (tokenizer))
    g_assert (n_bytes == size && decoded->len == size &&
              (size == 0 || memcmp (decoded->str, text, size) == 0));
  g_string_free (decoded, TRUE);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const uint8_t *separator = size > 0 ? memchr (data, 0, size) : NULL;
  size_t json_size = separator ? (size_t)(separator - data) : size;
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaTokenizer) tokenizer =
      allava_tokenizer_new_from_json ((const char *)data, json_size, "tokenizer.json", &error);
  g_assert ((tokenizer == NULL) == (error != NULL));
  if (!tokenizer || !separator)
    return 0;

  const char *text = (const char *)separator + 1;
  check_text (tokenizer, text, size - json_size - 1, ALLAVA_TOKENIZE_TEXT);
  check_text (tokenizer, text, size - json_size - 1, ALLAVA_TOKENIZE_SPECIAL);
  return 0;
}
