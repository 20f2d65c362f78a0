/* tokenizer.c - text to ids and back, as Hugging Face's tokenizers library does it. */
#include "tokenizer.h"

#include "pretokenizer.h"
#include "utf8-stream.h"

#include <string.h>

/* A word of this length needs 1.5 GB of working memory. */
#define MAX_TEXT_BYTES (64u << 20)

typedef struct {
  AllavaTokenizer *tokenizer;
  AllavaTokenizeFlags flags;
  AllavaBpeScratch scratch;
  GArray *ids;
} Encoder;

AllavaTokenizer *
allava_tokenizer_ref (AllavaTokenizer *tokenizer)
{
  g_return_val_if_fail (tokenizer != NULL, NULL);
  g_atomic_ref_count_inc (&tokenizer->ref_count);
  return tokenizer;
}

void
allava_tokenizer_unref (AllavaTokenizer *tokenizer)
{
  g_return_if_fail (tokenizer != NULL);
  if (!g_atomic_ref_count_dec (&tokenizer->ref_count))
    return;
  allava_added_set_clear (&tokenizer->added[0]);
  allava_added_set_clear (&tokenizer->added[1]);
  allava_bpe_clear (&tokenizer->bpe);
  g_hash_table_unref (tokenizer->ids);
  g_array_unref (tokenizer->tokens);
  g_string_chunk_free (tokenizer->strings);
  g_free (tokenizer);
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static void
encode_words (Encoder *encoder, const char *text, size_t length)
{
  AllavaTokenizer *tokenizer = encoder->tokenizer;

  for (size_t at = 0, n; at < length; at += n) {
    n = tokenizer->use_pattern ? allava_gpt2_word_length (text + at, length - at) : length;
    allava_bpe_encode (&tokenizer->bpe, &encoder->scratch, text + at, n, encoder->ids);
  }
}

static void
encode_plain (Encoder *encoder, const char *text, size_t length)
{
  if (encoder->tokenizer->add_prefix_space && text[0] != ' ') {
    g_autoptr (GString) prefixed = g_string_sized_new (length + 1);
    g_string_append_c (prefixed, ' ');
    g_string_append_len (prefixed, text, (gssize)length);
    encode_words (encoder, prefixed->str, prefixed->len);
  } else {
    encode_words (encoder, text, length);
  }
}

static const char *
skip_spaces (const char *at, const char *end)
{
  while (at < end && allava_is_space (g_utf8_get_char (at)))
    at = g_utf8_next_char (at);
  return at;
}

static const char *
skip_spaces_back (const char *at, const char *start)
{
  while (at > start && allava_is_space (g_utf8_get_char (g_utf8_prev_char (at))))
    at = g_utf8_prev_char (at);
  return at;
}

static gboolean
touches_word (const char *start, const char *stop, const char *text, const char *end)
{
  return (start > text && allava_is_word_char (g_utf8_get_char (g_utf8_prev_char (start)))) ||
         (stop < end && allava_is_word_char (g_utf8_get_char (stop)));
}

static void
append_id (Encoder *encoder, int32_t id)
{
  g_array_append_val (encoder->ids, id);
}

/* Finds the added tokens of SET 0 in TEXT, in what is left those of SET 1, and encodes the rest.
 *
 * Two points are the reference's (added_vocabulary.rs, find_matches): a match that is refused still
 * hides shorter ones, and the search goes on behind the token itself, so that one in the spaces
 * that rstrip has swallowed is found all the same. */
static void
encode_text (Encoder *encoder, int set, const char *text, size_t length)
{
  if (length == 0)
    return;
  if (set == 2) {
    encode_plain (encoder, text, length);
    return;
  }

  const char *end = text + length;
  const char *done = text;       /* up to here TEXT is encoded */
  const char *spaces_end = text; /* of the run of spaces seen last: none is walked twice */
  for (const char *at = text; at < end;) {
    const AllavaAdded *added =
        allava_added_set_match (&encoder->tokenizer->added[set], at, (size_t)(end - at));
    const char *start = at;
    at += added ? added->length : 1;
    if (!added || (added->special && !(encoder->flags & ALLAVA_TOKENIZE_SPECIAL)) ||
        (added->single_word && touches_word (start, at, text, end)))
      continue;

    const char *stop = at;
    if (added->lstrip)
      start = start > done ? skip_spaces_back (start, done) : done;
    if (added->rstrip) {
      spaces_end = stop < spaces_end ? spaces_end : skip_spaces (stop, end);
      stop = spaces_end;
    }
    if (start >= stop)
      continue; /* nothing is left of it */
    if (done < start)
      encode_text (encoder, set + 1, done, (size_t)(start - done));
    append_id (encoder, added->id);
    done = stop;
  }
  encode_text (encoder, set + 1, done, (size_t)(end - done));
}

/* g_utf8_validate() takes NUL for the end. */
static gboolean
check_utf8 (const char *text, size_t length, GError **error)
{
  const char *at = text, *end = text + length;
  while (!g_utf8_validate_len (at, (size_t)(end - at), &at)) {
    if (*at != '\0') {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                   "the text is not UTF-8: byte %" G_GSIZE_FORMAT " is 0x%02x", (size_t)(at - text),
                   (uint8_t)*at);
      return FALSE;
    }
    at++;
  }
  return TRUE;
}

gboolean
allava_tokenizer_encode (AllavaTokenizer *tokenizer,
                         const char *text,
                         gssize length,
                         AllavaTokenizeFlags flags,
                         GArray *ids,
                         GError **error)
{
  g_return_val_if_fail (tokenizer != NULL && text != NULL && ids != NULL, FALSE);
  g_return_val_if_fail (g_array_get_element_size (ids) == sizeof (int32_t), FALSE);

  size_t n = length < 0 ? strlen (text) : (size_t)length;
  if (n > MAX_TEXT_BYTES) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "the text is %" G_GSIZE_FORMAT " bytes long, and at most %u can be tokenized", n,
                 MAX_TEXT_BYTES);
    return FALSE;
  }
  if (!check_utf8 (text, n, error))
    return FALSE;

  Encoder encoder = {.tokenizer = tokenizer, .flags = flags, .ids = ids};
  allava_bpe_scratch_init (&encoder.scratch);
  encode_text (&encoder, 0, text, n);
  allava_bpe_scratch_clear (&encoder.scratch);
  return TRUE;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static const AllavaToken *
get_token (AllavaTokenizer *tokenizer, int32_t id)
{
  if (id < 0 || (size_t)id >= tokenizer->tokens->len)
    return NULL;
  const AllavaToken *token = &g_array_index (tokenizer->tokens, AllavaToken, id);
  return token->text ? token : NULL;
}

GString *
allava_tokenizer_decode (AllavaTokenizer *tokenizer,
                         const int32_t *ids,
                         size_t n_ids,
                         GError **error)
{
  g_return_val_if_fail (tokenizer != NULL && (ids != NULL || n_ids == 0), NULL);
  AllavaUtf8Stream stream = {0};
  g_autoptr (GString) text = g_string_new (NULL);

  for (size_t i = 0; i < n_ids; i++) {
    const AllavaToken *token = get_token (tokenizer, ids[i]);
    if (!token) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                   "no token has the id %d: the tokenizer's ids run from 0 to %d", ids[i],
                   allava_tokenizer_get_n_ids (tokenizer) - 1);
      return NULL;
    }
    allava_utf8_stream_push (&stream, token->bytes, token->length, text);
  }
  allava_utf8_stream_finish (&stream, text);
  return g_steal_pointer (&text);
}

/* ---- Queries --------------------------------------------------------------------------------- */

const char *
allava_tokenizer_get_bytes (AllavaTokenizer *tokenizer, int32_t id, size_t *length)
{
  g_return_val_if_fail (tokenizer != NULL && length != NULL, NULL);
  const AllavaToken *token = get_token (tokenizer, id);
  *length = token ? token->length : 0;
  return token ? token->bytes : NULL;
}

gboolean
allava_tokenizer_is_special (AllavaTokenizer *tokenizer, int32_t id)
{
  g_return_val_if_fail (tokenizer != NULL, FALSE);
  const AllavaToken *token = get_token (tokenizer, id);
  return token && token->special;
}

int32_t
allava_tokenizer_find (AllavaTokenizer *tokenizer, const char *token)
{
  g_return_val_if_fail (tokenizer != NULL && token != NULL, -1);
  gpointer id;
  return g_hash_table_lookup_extended (tokenizer->ids, token, NULL, &id) ? GPOINTER_TO_INT (id)
                                                                         : -1;
}

int32_t
allava_tokenizer_get_n_ids (AllavaTokenizer *tokenizer)
{
  g_return_val_if_fail (tokenizer != NULL, 0);
  return (int32_t)tokenizer->tokens->len;
}
