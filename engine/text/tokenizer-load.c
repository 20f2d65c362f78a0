/* tokenizer-load.c - reads tokenizer.json as Hugging Face's tokenizers library writes it.
 *
 * What changes the ids is either done or refused by name; truncation, padding and post-processor
 * are not looked at, since special tokens are never added. */
#include "tokenizer.h"

#include "json.h"
#include "pretokenizer.h"

#include <string.h>

/* The largest known is 34 MB with 262,144 ids. Ids index tables; the lengths of tokens bound what a
 * search for added tokens and a decoded text can cost. */
#define MAX_FILE_BYTES (64u << 20)
#define MAX_IDS (1 << 20)
#define MAX_TOKEN_BYTES 4096

typedef struct {
  AllavaTokenizer *tokenizer;
  const char *file;
  int16_t bytes[0x144]; /* character of the byte alphabet -> byte, or -1 */
} Loader;

G_GNUC_PRINTF (4, 5)
static gboolean
fail (const Loader *loader, GError **error, AllavaError code, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *fact = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, ALLAVA_ERROR, (int)code, "%s %s", loader->file, fact);
  return FALSE;
}

/* A token or a name from the file, fit for a message of one line. */
static char *
quote (const char *text)
{
  GString *quoted = g_string_new ("\"");
  for (int n = 0; *text && n < 40; n++, text = g_utf8_next_char (text)) {
    gunichar c = g_utf8_get_char (text);
    if (g_unichar_isprint (c))
      g_string_append_unichar (quoted, c);
    else
      g_string_append_printf (quoted, "\\u%04x", c);
  }
  g_string_append (quoted, *text ? "...\"" : "\"");
  return g_string_free (quoted, FALSE);
}

G_GNUC_PRINTF (4, 5)
static gboolean
fail_token (const Loader *loader, GError **error, const char *text, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  g_autofree char *fact = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_autofree char *quoted = quote (text);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: the token %s %s", loader->file,
               quoted, fact);
  return FALSE;
}

static gboolean
refuse_type (const Loader *loader, const char *what, JsonObject *object, GError **error)
{
  const char *type = "";
  if (!allava_json_get_string (object, loader->file, "type", &type, error))
    return FALSE;
  g_autofree char *quoted = quote (type);
  return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
               "asks for the %s %s, which Allava does not support", what, quoted);
}

static gboolean
has_type (JsonObject *object, const char *type)
{
  return g_strcmp0 (json_object_get_string_member_with_default (object, "type", NULL), type) == 0;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* GPT-2 writes bytes as characters: printable Latin-1 as itself, the other 68 as U+0100 on. */
static void
init_byte_alphabet (Loader *loader)
{
  memset (loader->bytes, -1, sizeof loader->bytes);
  int next = 0x100;
  for (int byte = 0; byte < 256; byte++) {
    gboolean is_printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    loader->bytes[is_printable ? byte : next++] = (int16_t)byte;
  }
}

/* As the reference's ByteLevel decoder: a text with any other character stands for itself. */
static void
set_bytes (const Loader *loader, AllavaToken *token)
{
  char bytes[MAX_TOKEN_BYTES];
  size_t n = 0;

  for (const char *at = token->text; *at; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    if (c >= G_N_ELEMENTS (loader->bytes) || loader->bytes[c] < 0) {
      token->bytes = token->text;
      token->length = (uint32_t)strlen (token->text);
      return;
    }
    bytes[n++] = (char)loader->bytes[c];
  }
  token->bytes = g_string_chunk_insert_len (loader->tokenizer->strings, bytes, (gssize)n);
  token->length = (uint32_t)n;
}

/* Adds the token. One text may come twice, in the vocabulary and among the added tokens, but with
 * one id. */
static gboolean
add_token (const Loader *loader, const char *text, int64_t id, GError **error)
{
  AllavaTokenizer *tokenizer = loader->tokenizer;
  int32_t known = allava_tokenizer_find (tokenizer, text);

  if (known >= 0)
    return known == id || fail_token (loader, error, text, "has two ids, %d and %" G_GINT64_FORMAT,
                                      known, (gint64)id);
  if (id < 0 || id >= MAX_IDS)
    return fail_token (loader, error, text,
                       "has the id %" G_GINT64_FORMAT ", and ids run from 0 to %d", (gint64)id,
                       MAX_IDS - 1);
  if (strlen (text) > MAX_TOKEN_BYTES)
    return fail_token (loader, error, text, "is longer than %d bytes", MAX_TOKEN_BYTES);

  if ((size_t)id >= tokenizer->tokens->len)
    g_array_set_size (tokenizer->tokens, (guint)id + 1);
  AllavaToken *token = &g_array_index (tokenizer->tokens, AllavaToken, id);
  if (token->text)
    return fail_token (loader, error, text, "has the id %d, which another token has", (int)id);
  token->text = g_string_chunk_insert (tokenizer->strings, text);
  set_bytes (loader, token);
  g_hash_table_insert (tokenizer->ids, (gpointer)token->text, GINT_TO_POINTER ((int)id));
  return TRUE;
}

static gboolean
read_vocabulary (const Loader *loader, JsonObject *vocabulary, GError **error)
{
  JsonObjectIter iter;
  const char *text;
  JsonNode *id;

  json_object_iter_init (&iter, vocabulary);
  while (json_object_iter_next (&iter, &text, &id)) {
    if (!JSON_NODE_HOLDS_VALUE (id) || json_node_get_value_type (id) != G_TYPE_INT64)
      return fail_token (loader, error, text, "has an id that is not a whole number");
    if (!add_token (loader, text, json_node_get_int (id), error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_added_token (const Loader *loader, const char *where, JsonObject *object, GError **error)
{
  AllavaAdded added = {0};
  const char *text = "";
  int64_t id = -1;
  gboolean normalized;

  if (!allava_json_get_int (object, where, "id", 0, MAX_IDS - 1, &id, error) ||
      !allava_json_get_string (object, where, "content", &text, error) ||
      !allava_json_get_bool (object, where, "special", &added.special, error) ||
      !allava_json_get_bool (object, where, "single_word", &added.single_word, error) ||
      !allava_json_get_bool (object, where, "lstrip", &added.lstrip, error) ||
      !allava_json_get_bool (object, where, "rstrip", &added.rstrip, error))
    return FALSE;
  normalized = !added.special;
  if (!allava_json_get_bool (object, where, "normalized", &normalized, error))
    return FALSE;

  if (id < 0 || *text == '\0') {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s has no %s", where,
                 id < 0 ? "\"id\"" : "\"content\"");
    return FALSE;
  }
  if (!add_token (loader, text, id, error))
    return FALSE;

  AllavaToken *token = &g_array_index (loader->tokenizer->tokens, AllavaToken, id);
  if (token->added)
    return fail_token (loader, error, text, "is added twice");
  token->added = TRUE;
  token->special = added.special;
  added.text = token->text;
  added.length = (uint32_t)strlen (text);
  added.id = (int32_t)id;
  g_array_append_val (loader->tokenizer->added[normalized ? 1 : 0].tokens, added);
  return TRUE;
}

static gboolean
read_added_tokens (const Loader *loader, JsonObject *root, GError **error)
{
  JsonArray *array = NULL;
  if (!allava_json_get_array (root, loader->file, "added_tokens", &array, error))
    return FALSE;

  guint n = array ? json_array_get_length (array) : 0;
  for (guint i = 0; i < n; i++) {
    g_autofree char *where = g_strdup_printf ("%s: added_tokens[%u]", loader->file, i);
    JsonNode *node = json_array_get_element (array, i);
    if (!JSON_NODE_HOLDS_OBJECT (node)) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s is not an object", where);
      return FALSE;
    }
    if (!read_added_token (loader, where, json_node_get_object (node), error))
      return FALSE;
  }
  allava_added_set_sort (&loader->tokenizer->added[0]);
  allava_added_set_sort (&loader->tokenizer->added[1]);
  return TRUE;
}

/* ---- Merges ---------------------------------------------------------------------------------- */

static const char *
get_string (JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE (node) ? json_node_get_string (node) : NULL;
}

/* A merge is ["a", "b"], or "a b" in older files. */
static gboolean
split_merge (JsonNode *node, GString *left, GString *right)
{
  const char *a = NULL, *b = NULL;
  size_t a_length = 0;

  if (JSON_NODE_HOLDS_ARRAY (node) && json_array_get_length (json_node_get_array (node)) == 2) {
    a = get_string (json_array_get_element (json_node_get_array (node), 0));
    b = get_string (json_array_get_element (json_node_get_array (node), 1));
    a_length = a ? strlen (a) : 0;
  } else if ((a = get_string (node))) {
    const char *space = strchr (a, ' ');
    b = space && !strchr (space + 1, ' ') ? space + 1 : NULL;
    a_length = space ? (size_t)(space - a) : 0;
  }
  if (!a || !b)
    return FALSE;
  g_string_truncate (left, 0);
  g_string_append_len (left, a, (gssize)a_length);
  g_string_assign (right, b);
  return TRUE;
}

static gboolean
find_merge_part (const Loader *loader, const char *text, guint rank, int32_t *id, GError **error)
{
  *id = allava_tokenizer_find (loader->tokenizer, text);
  return *id >= 0 ||
         fail_token (loader, error, text, "is missing, though merge number %u needs it", rank);
}

/* Fills MERGE, whose rank is set. LEFT and RIGHT are scratch. */
static gboolean
read_merge (const Loader *loader,
            JsonNode *node,
            GString *left,
            GString *right,
            AllavaMerge *merge,
            GError **error)
{
  uint32_t rank = merge->rank;
  if (!split_merge (node, left, right))
    return fail (loader, error, ALLAVA_ERROR_FORMAT,
                 "has a merge (number %u) that is neither [\"a\", \"b\"] nor \"a b\"", rank);
  if (!find_merge_part (loader, left->str, rank, &merge->left, error) ||
      !find_merge_part (loader, right->str, rank, &merge->right, error))
    return FALSE;
  g_string_append_len (left, right->str, (gssize)right->len);
  return find_merge_part (loader, left->str, rank, &merge->result, error);
}

static gboolean
read_merges (const Loader *loader, JsonArray *array, GError **error)
{
  AllavaTokenizer *tokenizer = loader->tokenizer;
  guint n = json_array_get_length (array);
  g_autoptr (GArray) merges = g_array_sized_new (FALSE, FALSE, sizeof (AllavaMerge), n);
  g_autoptr (GString) left = g_string_new (NULL);
  g_autoptr (GString) right = g_string_new (NULL);

  for (guint rank = 0; rank < n; rank++) {
    AllavaMerge merge = {.rank = rank};
    if (!read_merge (loader, json_array_get_element (array, rank), left, right, &merge, error))
      return FALSE;
    g_array_append_val (merges, merge);
  }
  allava_bpe_init (&tokenizer->bpe, allava_tokenizer_get_n_ids (tokenizer),
                   g_steal_pointer (&merges));

  memset (tokenizer->bpe.byte_ids, -1, sizeof tokenizer->bpe.byte_ids);
  for (gunichar c = 0; c < G_N_ELEMENTS (loader->bytes); c++) {
    char text[7] = {0};
    g_unichar_to_utf8 (c, text);
    if (loader->bytes[c] >= 0)
      tokenizer->bpe.byte_ids[loader->bytes[c]] = allava_tokenizer_find (tokenizer, text);
  }
  return TRUE;
}

/* ---- Model and pipeline ---------------------------------------------------------------------- */

static gboolean
check_model_options (const Loader *loader, JsonObject *model, GError **error)
{
  const char *prefix = "", *suffix = "", *wanted = NULL;
  double dropout = 0;
  gboolean byte_fallback = FALSE, ignore_merges = FALSE;

  if (json_object_has_member (model, "type") && !has_type (model, "BPE"))
    return refuse_type (loader, "model", model, error);
  if (!allava_json_get_double (model, loader->file, "dropout", &dropout, error) ||
      !allava_json_get_bool (model, loader->file, "byte_fallback", &byte_fallback, error) ||
      !allava_json_get_bool (model, loader->file, "ignore_merges", &ignore_merges, error) ||
      !allava_json_get_string (model, loader->file, "continuing_subword_prefix", &prefix, error) ||
      !allava_json_get_string (model, loader->file, "end_of_word_suffix", &suffix, error))
    return FALSE;

  if (dropout != 0)
    wanted = "dropout";
  else if (byte_fallback)
    wanted = "byte_fallback";
  else if (ignore_merges)
    wanted = "ignore_merges";
  else if (*prefix)
    wanted = "continuing_subword_prefix";
  else if (*suffix)
    wanted = "end_of_word_suffix";
  if (wanted)
    return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
                 "asks for \"%s\", which Allava does not support", wanted);
  return TRUE;
}

/* The reference leaves out a byte without a token, unless there is an unknown token to stand for
 * it. */
static gboolean
check_unknown_token (const Loader *loader, JsonObject *model, GError **error)
{
  const char *unknown = NULL;
  if (!allava_json_get_string (model, loader->file, "unk_token", &unknown, error))
    return FALSE;
  for (int byte = 0; unknown && byte < 256; byte++) {
    if (loader->tokenizer->bpe.byte_ids[byte] < 0)
      return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
                   "has no token for the byte 0x%02x and asks for \"unk_token\" in its place, "
                   "which Allava does not support",
                   byte);
  }
  return TRUE;
}

static gboolean
read_model (const Loader *loader, JsonObject *root, GError **error)
{
  JsonObject *model = NULL, *vocabulary = NULL;
  JsonArray *merges = NULL;

  if (!allava_json_get_object (root, loader->file, "model", &model, error))
    return FALSE;
  if (!model)
    return fail (loader, error, ALLAVA_ERROR_FORMAT, "has no \"model\"");
  if (!check_model_options (loader, model, error) ||
      !allava_json_get_object (model, loader->file, "vocab", &vocabulary, error) ||
      !allava_json_get_array (model, loader->file, "merges", &merges, error))
    return FALSE;
  if (!vocabulary || !merges)
    return fail (loader, error, ALLAVA_ERROR_FORMAT, "has a model without %s",
                 vocabulary ? "\"merges\"" : "\"vocab\"");

  /* In this order: byte-pair encoding does not know the added tokens. */
  if (!read_vocabulary (loader, vocabulary, error) || !read_merges (loader, merges, error) ||
      !check_unknown_token (loader, model, error) || !read_added_tokens (loader, root, error))
    return FALSE;
  return loader->tokenizer->tokens->len > 0 ||
         fail (loader, error, ALLAVA_ERROR_FORMAT, "has no tokens");
}

static gboolean
read_byte_level (const Loader *loader, JsonObject *object, GError **error)
{
  AllavaTokenizer *tokenizer = loader->tokenizer;
  gboolean use_regex = TRUE;

  tokenizer->add_prefix_space = TRUE;
  if (!allava_json_get_bool (object, loader->file, "add_prefix_space", &tokenizer->add_prefix_space,
                             error) ||
      !allava_json_get_bool (object, loader->file, "use_regex", &use_regex, error))
    return FALSE;
  if (tokenizer->use_pattern && tokenizer->add_prefix_space)
    return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
                 "asks for \"add_prefix_space\" after a \"Split\", which Allava does not support");
  tokenizer->use_pattern |= use_regex;
  return TRUE;
}

static gboolean
read_split (const Loader *loader, JsonObject *object, GError **error)
{
  const char *regex = NULL, *behavior = "";
  gboolean invert = FALSE;
  JsonObject *pattern = NULL;

  if (!allava_json_get_object (object, loader->file, "pattern", &pattern, error) ||
      (pattern && !allava_json_get_string (pattern, loader->file, "Regex", &regex, error)) ||
      !allava_json_get_string (object, loader->file, "behavior", &behavior, error) ||
      !allava_json_get_bool (object, loader->file, "invert", &invert, error))
    return FALSE;
  if (g_strcmp0 (regex, ALLAVA_GPT2_PATTERN) != 0 || strcmp (behavior, "Isolated") != 0 || invert)
    return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
                 "splits text by a pattern other than GPT-2's, which Allava does not support");
  loader->tokenizer->use_pattern = TRUE;
  return TRUE;
}

/* ByteLevel, or a Sequence that ends with it and may begin with GPT-2's Split. */
static gboolean
read_pre_tokenizer (const Loader *loader, JsonObject *object, GError **error)
{
  JsonArray *stages = NULL;

  if (has_type (object, "ByteLevel"))
    return read_byte_level (loader, object, error);
  if (!has_type (object, "Sequence"))
    return refuse_type (loader, "pre-tokenizer", object, error);
  if (!allava_json_get_array (object, loader->file, "pretokenizers", &stages, error))
    return FALSE;

  guint n = stages ? json_array_get_length (stages) : 0;
  for (guint i = 0; i < n; i++) {
    JsonNode *node = json_array_get_element (stages, i);
    JsonObject *stage = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    gboolean is_last = i + 1 == n;
    if (!stage)
      return fail (loader, error, ALLAVA_ERROR_FORMAT, "has a pre-tokenizer that is not an object");
    if (!has_type (stage, is_last ? "ByteLevel" : "Split"))
      return refuse_type (loader, is_last ? "last pre-tokenizer" : "pre-tokenizer", stage, error);
    if (!(is_last ? read_byte_level : read_split) (loader, stage, error))
      return FALSE;
  }
  return n > 0 || fail (loader, error, ALLAVA_ERROR_UNSUPPORTED, "has an empty pre-tokenizer");
}

static gboolean
read_pipeline (const Loader *loader, JsonObject *root, GError **error)
{
  JsonObject *normalizer = NULL, *pre_tokenizer = NULL, *decoder = NULL;

  if (!allava_json_get_object (root, loader->file, "normalizer", &normalizer, error) ||
      !allava_json_get_object (root, loader->file, "pre_tokenizer", &pre_tokenizer, error) ||
      !allava_json_get_object (root, loader->file, "decoder", &decoder, error))
    return FALSE;
  if (normalizer)
    return refuse_type (loader, "normalizer", normalizer, error);
  if (!pre_tokenizer || !decoder)
    return fail (loader, error, ALLAVA_ERROR_UNSUPPORTED,
                 "has no %s, and Allava supports byte-level tokenizers only",
                 pre_tokenizer ? "decoder" : "pre_tokenizer");
  if (!has_type (decoder, "ByteLevel"))
    return refuse_type (loader, "decoder", decoder, error);
  return read_pre_tokenizer (loader, pre_tokenizer, error);
}

/* ---- Entry points ---------------------------------------------------------------------------- */

static AllavaTokenizer *
new_empty (void)
{
  AllavaTokenizer *tokenizer = g_new0 (AllavaTokenizer, 1);
  g_atomic_ref_count_init (&tokenizer->ref_count);
  tokenizer->strings = g_string_chunk_new (64 << 10);
  tokenizer->tokens = g_array_new (FALSE, TRUE, sizeof (AllavaToken));
  tokenizer->ids = g_hash_table_new (g_str_hash, g_str_equal);
  allava_added_set_init (&tokenizer->added[0]);
  allava_added_set_init (&tokenizer->added[1]);
  return tokenizer;
}

static AllavaTokenizer *
new_from_root (JsonNode *node, const char *file, GError **error)
{
  g_autoptr (AllavaTokenizer) tokenizer = new_empty ();
  JsonObject *root = json_node_get_object (node);
  Loader loader = {.tokenizer = tokenizer, .file = file};

  init_byte_alphabet (&loader);
  if (!read_pipeline (&loader, root, error) || !read_model (&loader, root, error))
    return NULL;
  return g_steal_pointer (&tokenizer);
}

AllavaTokenizer *
allava_tokenizer_new_from_json (const char *text, size_t length, const char *file, GError **error)
{
  g_autoptr (JsonNode) root = allava_json_parse (text, length, file, error);
  return root ? new_from_root (root, file, error) : NULL;
}

AllavaTokenizer *
allava_tokenizer_load (const char *dir, GError **error)
{
  g_return_val_if_fail (dir != NULL, NULL);

  g_autofree char *path = g_build_filename (dir, "tokenizer.json", NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 "%s is missing: write it with transformers' "
                 "AutoTokenizer.from_pretrained(...).save_pretrained(...)",
                 path);
    return NULL;
  }
  g_autoptr (JsonNode) root = allava_json_load (path, MAX_FILE_BYTES, error);
  return root ? new_from_root (root, path, error) : NULL;
}
