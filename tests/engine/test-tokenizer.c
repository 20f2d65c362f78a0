/* What a caller may rely on in the tokenizer: the reference's ids and texts (tokenization.json and
 * the short lists below were made with Hugging Face's tokenizers), and a clear refusal of any file
 * that it would not read in the same way. */
#include "json.h"
#include "pretokenizer.h"
#include "tokenizer.h"

#include <glib/gstdio.h>
#include <string.h>

/* ---- GPT-2's tokenizer with ALLaVA's added tokens ------------------------------------- */

static AllavaTokenizer *gpt2;

static JsonNode *
load_reference (const char *name)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "reference", name, NULL);
  g_autoptr (GError) error = NULL;
  JsonNode *root = allava_json_load (path, 64 << 20, &error);
  g_assert_no_error (error);
  return root;
}

/* GPT-2's order of bytes: those written as themselves, then the others as U+0100 on. */
static void
add_bytes (JsonObject *vocab)
{
  for (int pass = 0, id = 0, other = 0x100; pass < 2; pass++) {
    for (int byte = 0; byte < 256; byte++) {
      gboolean is_plain = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
      char text[7] = {0};
      if (is_plain == (pass == 1))
        continue;
      g_unichar_to_utf8 (is_plain ? (gunichar)byte : (gunichar)other++, text);
      json_object_set_int_member (vocab, text, id++);
    }
  }
}

static void
add_token (JsonArray *added, int id, const char *content, gboolean special)
{
  JsonObject *token = json_object_new ();
  json_object_set_int_member (token, "id", id);
  json_object_set_string_member (token, "content", content);
  json_object_set_boolean_member (token, "special", special);
  json_array_add_object_element (added, token);
}

static JsonObject *
make_model (void)
{
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "reference", "gpt2", "merges.txt", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  g_auto (GStrv) lines = g_strsplit (g_strchomp (text), "\n", -1);

  JsonObject *model = json_object_new ();
  JsonObject *vocab = json_object_new ();
  JsonArray *merges = json_array_new ();
  add_bytes (vocab);
  for (int i = 1; lines[i]; i++) { /* the first line is "#version: 0.2" */
    g_autofree char *joined = g_strdup (lines[i]);
    char *space = strchr (joined, ' ');
    memmove (space, space + 1, strlen (space));
    json_object_set_int_member (vocab, joined, 255 + i);
    json_array_add_string_element (merges, lines[i]);
  }
  json_object_set_int_member (vocab, "<|endoftext|>", 50256);
  json_object_set_string_member (model, "type", "BPE");
  json_object_set_object_member (model, "vocab", vocab);
  json_object_set_array_member (model, "merges", merges);
  return model;
}

static void
load_gpt2 (void)
{
  static const char pipeline[] =
      "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
      "\"decoder\": {\"type\": \"ByteLevel\"}}";
  g_autoptr (JsonNode) root = allava_json_parse (pipeline, strlen (pipeline), "", NULL);
  JsonArray *added = json_array_new ();
  add_token (added, 50256, "<|endoftext|>", TRUE);
  for (int i = 0; i < 38; i++) {
    g_autofree char *run = i < 30 ? g_strnfill (31 - i, ' ') : g_strnfill (39 - i, '\t');
    add_token (added, 50257 + i, run, FALSE);
  }
  json_object_set_array_member (json_node_get_object (root), "added_tokens", added);
  json_object_set_object_member (json_node_get_object (root), "model", make_model ());

  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("allava-tokenizer-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (dir, "tokenizer.json", NULL);
  g_autofree char *text = json_to_string (root, FALSE);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  gpt2 = allava_tokenizer_load (dir, &error);
  g_assert_no_error (error);
  g_unlink (path);
  g_rmdir (dir);
}

static void
assert_ids (const GArray *ids, JsonArray *expected, const char *text)
{
  if (ids->len != json_array_get_length (expected))
    g_error ("%u ids, not %u, for \"%s\"", ids->len, json_array_get_length (expected), text);
  for (guint i = 0; i < ids->len; i++) {
    if (g_array_index (ids, int32_t, i) != json_array_get_int_element (expected, i))
      g_error ("id %u of \"%s\" is %d, not %d", i, text, g_array_index (ids, int32_t, i),
               (int)json_array_get_int_element (expected, i));
  }
}

/* "hex" stands in place of "text" where that holds a NUL. */
static GString *
get_text (JsonObject *item)
{
  const char *hex = json_object_get_string_member_with_default (item, "hex", NULL);
  if (!hex)
    return g_string_new (json_object_get_string_member (item, "text"));
  GString *text = g_string_new (NULL);
  for (; *hex; hex += 2)
    g_string_append_c (text,
                       (char)(g_ascii_xdigit_value (hex[0]) << 4 | g_ascii_xdigit_value (hex[1])));
  return text;
}

static void
test_reference_encode (void)
{
  g_autoptr (JsonNode) root = load_reference ("tokenization.json");
  JsonArray *strings = json_object_get_array_member (json_node_get_object (root), "strings");
  g_assert_cmpuint (json_array_get_length (strings), >=, 1000);

  for (guint i = 0; i < json_array_get_length (strings); i++) {
    JsonObject *item = json_array_get_object_element (strings, i);
    gboolean special = json_object_get_boolean_member (item, "special");
    g_autoptr (GString) text = get_text (item);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
    g_autoptr (GError) error = NULL;
    allava_tokenizer_encode (gpt2, text->str, (gssize)text->len,
                             special ? ALLAVA_TOKENIZE_SPECIAL : ALLAVA_TOKENIZE_TEXT, ids, &error);
    g_assert_no_error (error);
    assert_ids (ids, json_object_get_array_member (item, "ids"), text->str);
  }
}

static void
test_reference_decode (void)
{
  g_autoptr (JsonNode) root = load_reference ("tokenization.json");
  JsonArray *cases = json_object_get_array_member (json_node_get_object (root), "decode");
  g_assert_cmpuint (json_array_get_length (cases), >=, 100);

  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *item = json_array_get_object_element (cases, i);
    JsonArray *array = json_object_get_array_member (item, "ids");
    g_autoptr (GString) text = get_text (item);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
    for (guint j = 0; j < json_array_get_length (array); j++) {
      int32_t id = (int32_t)json_array_get_int_element (array, j);
      g_array_append_val (ids, id);
    }
    g_autoptr (GString) decoded =
        allava_tokenizer_decode (gpt2, (int32_t *)(void *)ids->data, ids->len, NULL);
    g_assert_cmpmem (decoded->str, decoded->len, text->str, text->len);
  }
}

static void
test_reference_refused (void)
{
  g_autoptr (JsonNode) root = load_reference ("tokenization.json");
  JsonArray *cases = json_object_get_array_member (json_node_get_object (root), "refused");
  g_assert_cmpuint (json_array_get_length (cases), >=, 10);

  for (guint i = 0; i < json_array_get_length (cases); i++) {
    g_autoptr (JsonObject) item = json_object_new ();
    json_object_set_string_member (item, "hex", json_array_get_string_element (cases, i));
    g_autoptr (GString) text = get_text (item);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
    g_autoptr (GError) error = NULL;
    int32_t before = 7;
    g_array_append_val (ids, before);
    g_assert_false (allava_tokenizer_encode (gpt2, text->str, (gssize)text->len, 0, ids, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
    g_assert_true (g_str_has_prefix (error->message, "the text is not UTF-8: byte "));
    g_assert_cmpuint (ids->len, ==, 1);
  }
}

static void
test_queries (void)
{
  static const int32_t eos[] = {50256}, absent[] = {220, 50295};
  g_autoptr (GError) error = NULL;
  size_t length;

  g_assert_cmpint (allava_tokenizer_get_n_ids (gpt2), ==, 50295);
  g_assert_cmpint (allava_tokenizer_find (gpt2, "<|endoftext|>"), ==, 50256);
  g_assert_cmpint (allava_tokenizer_find (gpt2, "  "), ==, 50286); /* added */
  g_assert_cmpint (allava_tokenizer_find (gpt2, "Ġ"), ==, 220);    /* a text, not bytes */
  g_assert_cmpint (allava_tokenizer_find (gpt2, " "), ==, -1);
  g_assert_cmpint (allava_tokenizer_find (gpt2, "no such token"), ==, -1);
  g_assert_true (allava_tokenizer_is_special (gpt2, 50256));
  g_assert_false (allava_tokenizer_is_special (gpt2, 50257));
  g_assert_false (allava_tokenizer_is_special (gpt2, 50295));

  const char *bytes = allava_tokenizer_get_bytes (gpt2, 220, &length);
  g_assert_cmpmem (bytes, length, " ", 1);
  bytes = allava_tokenizer_get_bytes (gpt2, allava_tokenizer_find (gpt2, "é"), &length);
  g_assert_cmpmem (bytes, length, "\xe9", 1);
  g_assert_null (allava_tokenizer_get_bytes (gpt2, -1, &length));
  g_assert_cmpuint (length, ==, 0);
  g_assert_null (allava_tokenizer_get_bytes (gpt2, 50295, &length));

  g_autoptr (GString) text = allava_tokenizer_decode (gpt2, eos, 1, NULL);
  g_assert_cmpstr (text->str, ==, "<|endoftext|>");
  g_assert_null (allava_tokenizer_decode (gpt2, absent, 2, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  g_assert_cmpstr (error->message, ==,
                   "no token has the id 50295: the tokenizer's ids run from 0 to 50294");
}

/* Quadratic time in a word would take hours here. */
static void
test_long_words (void)
{
  static const char *const units[] = {"a", "ab", "x1", " ", "\t ", "é", "."};

  for (size_t i = 0; i < G_N_ELEMENTS (units); i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
    while (text->len < 1 << 20)
      g_string_append (text, units[i]);
    g_assert_true (allava_tokenizer_encode (gpt2, text->str, -1, 0, ids, NULL));
    g_autoptr (GString) decoded =
        allava_tokenizer_decode (gpt2, (int32_t *)(void *)ids->data, ids->len, NULL);
    g_assert_true (g_string_equal (decoded, text));
  }
}

static void
test_too_long (void)
{
  size_t length = (64u << 20) + 1;
  g_autofree char *text = g_strnfill (length, 'a');
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_tokenizer_encode (gpt2, text, -1, 0, ids, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
}

static void
test_words (void)
{
  /* A bar ends each word. */
  static const char *const cases[] = {
      "I|'ll| can|'t| '|d| '|S|",
      "don|'|T| it|'s|'s|",
      "a| b|  | c|\n|\n|d|",
      "a|  |",
      " |\t|a|",
      "x|12½|y| Ⅷ| 3|...| …|",
      "é|́| e| ́|",
      " | a| |",
      "日本語|、| 한국어|",
      "\U0002ebf0a|",            /* U+2EBF0, a letter since Unicode 15.1 */
      "1\U00010d40|",            /* U+10D40, a digit since Unicode 16.0 */
      "a|\U000e0001\U0010ffff|", /* a tag character, U+10FFFF */
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (GStrv) words = g_strsplit (cases[i], "|", -1);
    g_autofree char *text = g_strjoinv ("", words);
    size_t at = 0;
    for (int j = 0; *words[j]; j++) {
      size_t n = allava_gpt2_word_length (text + at, strlen (text) - at);
      g_assert_cmpmem (text + at, n, words[j], strlen (words[j]));
      at += n;
    }
    g_assert_cmpuint (at, ==, strlen (text));
  }
}

/* ---- Small tokenizers ----------------------------------------------------------------- */

#define VOCAB                                                                                      \
  "{\"a\":0,\"b\":1,\"c\":2,\"Ġ\":3,\"ab\":4,\"bc\":5,\"abc\":6,\"Ġa\":7,\"Ċ\":8,\"Ã\":9,"     \
  "\"©\":10,\"Ã©\":11,\"ĠĠ\":12}"
#define MERGES "[\"b c\",\"a bc\",[\"a\",\"b\"],\"ab c\",\"Ġ a\",[\"Ã\",\"©\"],\"Ġ Ġ\"]"
#define BYTE_LEVEL(more) "{\"type\":\"ByteLevel\"," more "}"
#define NO_PREFIX "\"add_prefix_space\":false"
#define SPLIT                                                                                      \
  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+|"  \
  " ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\","               \
  "\"invert\":false}"

/* NULL: as the small tokenizer has it. */
typedef struct {
  const char *added;
  const char *pre_tokenizer;
  const char *model;
  const char *normalizer;
  const char *decoder;
} Parts;

static AllavaTokenizer *
make (Parts parts, GError **error)
{
  g_autofree char *text = g_strdup_printf (
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":%s,"
      "\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":null,\"decoder\":%s,\"model\":%s}",
      parts.added ? parts.added : "[]", parts.normalizer ? parts.normalizer : "null",
      parts.pre_tokenizer ? parts.pre_tokenizer : BYTE_LEVEL (NO_PREFIX),
      parts.decoder ? parts.decoder : "{\"type\":\"ByteLevel\"}",
      parts.model ? parts.model : "{\"type\":\"BPE\",\"vocab\":" VOCAB ",\"merges\":" MERGES "}");
  return allava_tokenizer_new_from_json (text, strlen (text), "t.json", error);
}

static void
assert_encodes (Parts parts, AllavaTokenizeFlags flags, const char *text, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaTokenizer) tokenizer = make (parts, &error);
  g_assert_no_error (error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  allava_tokenizer_encode (tokenizer, text, -1, flags, ids, &error);
  g_assert_no_error (error);

  g_autoptr (GString) found = g_string_new (NULL);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (found, "%s%d", i ? " " : "", g_array_index (ids, int32_t, i));
  g_assert_cmpstr (found->str, ==, expected);
}

static void
test_merges (void)
{
  Parts plain = {0};
  assert_encodes (plain, 0, "", "");
  assert_encodes (plain, 0, "abc abcab", "6 3 6 4");
  assert_encodes (plain, 0, "ab  a", "4 3 7");
  assert_encodes (plain, 0, "é\n", "11 8");
  /* Bytes without a token are left out before pairs are merged. */
  assert_encodes (plain, 0, "x", "");
  assert_encodes (plain, 0, "axb", "4");
  /* Of two equal merges the later counts. */
  Parts twice = {.model = "{\"vocab\":" VOCAB ",\"merges\":[\"a b\",\"b c\",\"a b\"]}"};
  assert_encodes (twice, 0, "abc", "0 5");
}

static void
test_pre_tokenizers (void)
{
  Parts prefix = {.pre_tokenizer = BYTE_LEVEL ("\"add_prefix_space\":true")};
  assert_encodes (prefix, 0, "", "");
  assert_encodes (prefix, 0, "abc a", "3 6 7");
  assert_encodes (prefix, 0, " a", "7");
  assert_encodes (prefix, 0, "\na", "3 8 0");
  prefix.added = "[{\"id\":13,\"content\":\"<e>\"}]";
  assert_encodes (prefix, 0, "a<e>a<e> a", "7 13 7 13 7");

  Parts no_regex = {.pre_tokenizer = BYTE_LEVEL (NO_PREFIX ",\"use_regex\":false")};
  assert_encodes (no_regex, 0, "a   a", "0 12 7");
  Parts split = {.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT
                                  "," BYTE_LEVEL (NO_PREFIX ",\"use_regex\":false") "]}"};
  assert_encodes (split, 0, "a   a", "0 12 7");
  assert_encodes (split, 0, "\na", "8 0");
}

static void
test_added_tokens (void)
{
  Parts parts = {.added = "[{\"id\":13,\"content\":\"<e>\",\"special\":true,\"normalized\":false},"
                          "{\"id\":14,\"content\":\"<e>b\"},{\"id\":15,\"content\":\"  \"},"
                          "{\"id\":16,\"content\":\"   \"},"
                          "{\"id\":17,\"content\":\"aa\",\"normalized\":false}]"};
  assert_encodes (parts, 0, "a<e>b", "0 14");
  assert_encodes (parts, 0, "a<e>c", "0 2");
  assert_encodes (parts, 0, "<e><e>", "");
  assert_encodes (parts, 0, "a     a", "0 16 15 0");
  assert_encodes (parts, 0, "aaa", "17 0");
  /* Tokens that the normalizer does not concern come first, though a longer one begins here. */
  assert_encodes (parts, ALLAVA_TOKENIZE_SPECIAL, "a<e>b", "0 13 1");
  assert_encodes (parts, ALLAVA_TOKENIZE_SPECIAL, "a<e>c", "0 13 2");
  assert_encodes (parts, ALLAVA_TOKENIZE_SPECIAL, "<e><e>", "13 13");

  /* A special token is no token for its byte. */
  Parts byte = {.added = "[{\"id\":13,\"content\":\"x\",\"special\":true}]"};
  assert_encodes (byte, ALLAVA_TOKENIZE_SPECIAL, "axa", "0 13 0");
  assert_encodes (byte, 0, "axa", "0 0");
}

static void
test_stripping (void)
{
  Parts parts = {.added = "[{\"id\":13,\"content\":\"L\",\"lstrip\":true},"
                          "{\"id\":14,\"content\":\"R\",\"rstrip\":true},"
                          "{\"id\":15,\"content\":\"W\",\"single_word\":true}]"};
  assert_encodes (parts, 0, "a  L  a", "0 13 3 7");
  assert_encodes (parts, 0, "a\nL", "0 13");
  assert_encodes (parts, 0, "a  R  a", "0 12 14 0");
  assert_encodes (parts, 0,
                  "R \u2003\xc2\x85"
                  "aL",
                  "14 0 13");
  assert_encodes (parts, 0, "aW", "0");
  assert_encodes (parts, 0, "W a W", "15 7 3 15");
  assert_encodes (parts, 0, "W\u0301 éW W-", "3 11 3 15");
  assert_encodes (parts, 0, "WW", "");
  /* What rstrip has swallowed is found all the same, unless lstrip leaves nothing of it. */
  Parts overlap = {.added = "[{\"id\":13,\"content\":\"R\",\"rstrip\":true},"
                            "{\"id\":14,\"content\":\"  \"},"
                            "{\"id\":15,\"content\":\"\\n\",\"lstrip\":true}]"};
  assert_encodes (overlap, 0, "R    a", "13 14 14 0");
  assert_encodes (overlap, 0, "R  a", "13 14 0");
  assert_encodes (overlap, 0, "R\na", "13 0");
}

/* An added token is written in the byte alphabet if it can be, as in the reference. */
static void
test_decode_added (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaTokenizer) tokenizer =
      make ((Parts){.added = "[{\"id\":13,\"content\":\"日\"},{\"id\":14,\"content\":\"Ġa b\"},"
                             "{\"id\":15,\"content\":\"é\"}]"},
            &error);
  g_assert_no_error (error);
  int32_t ids[] = {9, 13, 14, 9, 10, 15, 9};
  g_autoptr (GString) text = allava_tokenizer_decode (tokenizer, ids, G_N_ELEMENTS (ids), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text->str, ==, "\ufffd日Ġa bé\ufffd\ufffd");
}

/* ---- Files that are refused ---------------------------------------------------------- */

static void
assert_refused (Parts parts, AllavaError code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *expected = g_strconcat ("t.json", message, NULL);
  g_assert_null (make (parts, &error));
  g_assert_error (error, ALLAVA_ERROR, (int)code);
  g_assert_cmpstr (error->message, ==, expected);
}

static void
test_broken_model (void)
{
  static const char *const cases[][2] = {
      {"null", " has no \"model\""},
      {"[]", ": \"model\" should be an object, but is an array"},
      {"{\"vocab\":{}}", " has a model without \"merges\""},
      {"{\"merges\":[]}", " has a model without \"vocab\""},
      {"{\"vocab\":{},\"merges\":[]}", " has no tokens"},
      {"{\"vocab\":[],\"merges\":[]}", ": \"vocab\" should be an object, but is an array"},
      {"{\"vocab\":{},\"merges\":{}}", ": \"merges\" should be an array, but is an object"},
      {"{\"vocab\":{\"a\":\"b\"},\"merges\":[]}",
       ": the token \"a\" has an id that is not a whole number"},
      {"{\"vocab\":{\"a\":1e30},\"merges\":[]}",
       ": the token \"a\" has an id that is not a whole number"},
      {"{\"vocab\":{\"a\":-1},\"merges\":[]}",
       ": the token \"a\" has the id -1, and ids run from 0 to 1048575"},
      {"{\"vocab\":{\"\\n\\u202e\":1048576},\"merges\":[]}",
       ": the token \"\\u000a\\u202e\" has the id 1048576, and ids run from 0 to 1048575"},
      {"{\"vocab\":" VOCAB ",\"merges\":[\"a b\",\"b d\"]}",
       ": the token \"d\" is missing, though merge number 1 needs it"},
      {"{\"vocab\":" VOCAB ",\"merges\":[[\"d\",\"b\"]]}",
       ": the token \"d\" is missing, though merge number 0 needs it"},
      {"{\"vocab\":" VOCAB ",\"merges\":[\"b a\"]}",
       ": the token \"ba\" is missing, though merge number 0 needs it"},
      {"{\"vocab\":" VOCAB ",\"merges\":[\"ab\"]}",
       " has a merge (number 0) that is neither [\"a\", \"b\"] nor \"a b\""},
      {"{\"vocab\":" VOCAB ",\"merges\":[\"a b c\"]}",
       " has a merge (number 0) that is neither [\"a\", \"b\"] nor \"a b\""},
      {"{\"vocab\":" VOCAB ",\"merges\":[[\"a\"]]}",
       " has a merge (number 0) that is neither [\"a\", \"b\"] nor \"a b\""},
      {"{\"vocab\":" VOCAB ",\"merges\":[[\"a\",1]]}",
       " has a merge (number 0) that is neither [\"a\", \"b\"] nor \"a b\""},
      {"{\"vocab\":" VOCAB ",\"merges\":[null]}",
       " has a merge (number 0) that is neither [\"a\", \"b\"] nor \"a b\""},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_refused ((Parts){.model = cases[i][0]}, ALLAVA_ERROR_FORMAT, cases[i][1]);

  /* Which of the two is named first is not said. */
  g_autoptr (GError) error = NULL;
  g_assert_null (make ((Parts){.model = "{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}"}, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
  g_assert_true (g_str_has_suffix (error->message, "has the id 0, which another token has"));
}

static void
test_broken_added_tokens (void)
{
  g_autofree char *long_text = g_strnfill (4097, 'x');
  g_autofree char *long_token = g_strdup_printf ("[{\"id\":13,\"content\":\"%s\"}]", long_text);
  const char *const cases[][2] = {
      {"{}", ": \"added_tokens\" should be an array, but is an object"},
      {"[1]", ": added_tokens[0] is not an object"},
      {"[{\"id\":13}]", ": added_tokens[0] has no \"content\""},
      {"[{\"content\":\"x\"}]", ": added_tokens[0] has no \"id\""},
      {"[{\"id\":13,\"content\":\"\"}]", ": added_tokens[0] has no \"content\""},
      {"[{\"id\":13,\"content\":[]}]",
       ": added_tokens[0]: \"content\" should be a string, but is an array"},
      {"[{\"id\":1048576,\"content\":\"x\"}]",
       ": added_tokens[0]: \"id\" should be a whole number between 0 and 1048575, but is 1048576"},
      {"[{\"id\":13,\"content\":\"x\",\"special\":1}]",
       ": added_tokens[0]: \"special\" should be true or false, but is 1"},
      {"[{\"id\":12,\"content\":\"x\"}]",
       ": the token \"x\" has the id 12, which another token has"},
      {"[{\"id\":13,\"content\":\"a\"}]", ": the token \"a\" has two ids, 0 and 13"},
      {"[{\"id\":13,\"content\":\"x\"},{\"id\":13,\"content\":\"x\"}]",
       ": the token \"x\" is added twice"},
      {long_token, ": the token \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is longer than "
                   "4096 bytes"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_refused ((Parts){.added = cases[i][0]}, ALLAVA_ERROR_FORMAT, cases[i][1]);
}

static void
assert_unsupported_option (const char *option, const char *message)
{
  g_autofree char *model =
      g_strdup_printf ("{%s,\"vocab\":" VOCAB ",\"merges\":" MERGES "}", option);
  assert_refused ((Parts){.model = model}, ALLAVA_ERROR_UNSUPPORTED, message);
}

static void
test_unsupported_model (void)
{
  assert_unsupported_option ("\"type\":\"WordPiece\"",
                             " asks for the model \"WordPiece\", which Allava does not support");
  assert_unsupported_option ("\"dropout\":0.1",
                             " asks for \"dropout\", which Allava does not support");
  assert_unsupported_option ("\"byte_fallback\":true",
                             " asks for \"byte_fallback\", which Allava does not support");
  assert_unsupported_option ("\"ignore_merges\":true",
                             " asks for \"ignore_merges\", which Allava does not support");
  assert_unsupported_option (
      "\"continuing_subword_prefix\":\"##\"",
      " asks for \"continuing_subword_prefix\", which Allava does not support");
  assert_unsupported_option ("\"end_of_word_suffix\":\"</w>\"",
                             " asks for \"end_of_word_suffix\", which Allava does not support");
  assert_unsupported_option ("\"unk_token\":\"a\"",
                             " has no token for the byte 0x00 and asks for \"unk_token\" in its "
                             "place, which Allava does not support");
}

static void
test_unsupported_pipeline (void)
{
  assert_refused ((Parts){.normalizer = "{\"type\":\"NFC\"}"}, ALLAVA_ERROR_UNSUPPORTED,
                  " asks for the normalizer \"NFC\", which Allava does not support");
  assert_refused ((Parts){.decoder = "null"}, ALLAVA_ERROR_UNSUPPORTED,
                  " has no decoder, and Allava supports byte-level tokenizers only");
  assert_refused ((Parts){.decoder = "{\"type\":\"Metaspace\"}"}, ALLAVA_ERROR_UNSUPPORTED,
                  " asks for the decoder \"Metaspace\", which Allava does not support");
  assert_refused ((Parts){.decoder = "{\"type\":1}"}, ALLAVA_ERROR_FORMAT,
                  ": \"type\" should be a string, but is 1");

  static const char *const cases[][2] = {
      {"null", " has no pre_tokenizer, and Allava supports byte-level tokenizers only"},
      {"{\"type\":\"Whitespace\"}",
       " asks for the pre-tokenizer \"Whitespace\", which Allava does not support"},
      {"{}", " asks for the pre-tokenizer \"\", which Allava does not support"},
      {"{\"type\":\"Sequence\"}", " has an empty pre-tokenizer"},
      {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"}," BYTE_LEVEL (
           NO_PREFIX) "]}",
       " asks for the pre-tokenizer \"Digits\", which Allava does not support"},
      {"{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT "]}",
       " asks for the last pre-tokenizer \"Split\", which Allava does not support"},
      {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
       "\"\\\\d\"},\"behavior\":\"Isolated\"}," BYTE_LEVEL (NO_PREFIX) "]}",
       " splits text by a pattern other than GPT-2's, which Allava does not support"},
      {"{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT
       "," BYTE_LEVEL ("\"add_prefix_space\":true") "]}",
       " asks for \"add_prefix_space\" after a \"Split\", which Allava does not support"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_refused ((Parts){.pre_tokenizer = cases[i][0]}, ALLAVA_ERROR_UNSUPPORTED, cases[i][1]);
  assert_refused ((Parts){.pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[1]}"},
                  ALLAVA_ERROR_FORMAT, " has a pre-tokenizer that is not an object");
}

static void
test_broken_files (void)
{
  g_autofree char *deep = g_strnfill (1 << 20, '[');
  g_autoptr (GString) huge = g_string_new ("{\"model\":");
  g_string_append_len (huge, deep, 1 << 20);
  const char *const texts[] = {"", "{", "[]", "{}", "{\"model\":{\"vocab\":{\"a\":", huge->str};

  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (
        allava_tokenizer_new_from_json (texts[i], strlen (texts[i]), "/m/t.json", &error));
    g_assert_nonnull (error);
    g_assert_true (g_str_has_prefix (error->message, "/m/t.json "));
  }

  g_autoptr (GError) error = NULL;
  g_assert_null (allava_tokenizer_load ("/no/such/model", &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  g_assert_true (
      g_str_has_prefix (error->message, "/no/such/model/tokenizer.json is missing: write it with"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  load_gpt2 ();
  g_test_add_func ("/tokenizer/reference/encode", test_reference_encode);
  g_test_add_func ("/tokenizer/reference/decode", test_reference_decode);
  g_test_add_func ("/tokenizer/reference/refused", test_reference_refused);
  g_test_add_func ("/tokenizer/queries", test_queries);
  g_test_add_func ("/tokenizer/long-words", test_long_words);
  g_test_add_func ("/tokenizer/too-long", test_too_long);
  g_test_add_func ("/tokenizer/words", test_words);
  g_test_add_func ("/tokenizer/merges", test_merges);
  g_test_add_func ("/tokenizer/pre-tokenizers", test_pre_tokenizers);
  g_test_add_func ("/tokenizer/added-tokens", test_added_tokens);
  g_test_add_func ("/tokenizer/stripping", test_stripping);
  g_test_add_func ("/tokenizer/decode-added", test_decode_added);
  g_test_add_func ("/tokenizer/broken/model", test_broken_model);
  g_test_add_func ("/tokenizer/broken/added-tokens", test_broken_added_tokens);
  g_test_add_func ("/tokenizer/broken/files", test_broken_files);
  g_test_add_func ("/tokenizer/unsupported/model", test_unsupported_model);
  g_test_add_func ("/tokenizer/unsupported/pipeline", test_unsupported_pipeline);
  int status = g_test_run ();
  allava_tokenizer_unref (gpt2);
  return status;
}
