#include "prompt.h"

#include <glib/gstdio.h>
#include <string.h>

/* A tokenizer whose ids are bytes, so that a prompt can be read back as text; but " z" is one
 * token, 257. */
typedef struct {
  AllavaTokenizer *tokenizer;
} Fixture;

/* GPT-2's printable stand-in for a byte (Radford et al. 2019, bytes_to_unicode). */
static gunichar
byte_symbol (int byte)
{
  int shift = 0;
  for (int b = 0; b <= byte; b++) {
    gboolean printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    if (b == byte)
      return printable ? (gunichar)byte : (gunichar)(256 + shift);
    shift += !printable;
  }
  g_assert_not_reached ();
}

/* From a tokenizer.json of JSON. */
static AllavaTokenizer *
load_tokenizer (const char *json)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("allava-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (dir, "tokenizer.json", NULL);
  g_file_set_contents (path, json, -1, &error);
  g_assert_no_error (error);
  AllavaTokenizer *tokenizer = allava_tokenizer_load (dir, &error);
  g_assert_no_error (error);
  g_unlink (path);
  g_rmdir (dir);
  return tokenizer;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GString) json =
      g_string_new ("{\"added_tokens\": [{\"id\": 256, \"content\": \"<|endoftext|>\", "
                    "\"special\": true}], \"pre_tokenizer\": {\"type\": "
                    "\"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": "
                    "\"ByteLevel\"}, \"model\": "
                    "{\"type\": \"BPE\", \"merges\": [\"\u0120 z\"], \"vocab\": {");
  for (int byte = 0; byte < 256; byte++) {
    char symbol[7] = {0};
    g_unichar_to_utf8 (byte_symbol (byte), symbol);
    g_string_append_printf (json, "%s\"%s%s\": %d", byte ? ", " : "",
                            *symbol == '"' || *symbol == '\\' ? "\\" : "", symbol, byte);
  }
  g_string_append (json, ", \"<|endoftext|>\": 256, \"\u0120z\": 257}}}");
  fixture->tokenizer = load_tokenizer (json->str);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  allava_tokenizer_unref (fixture->tokenizer);
}

/* Pictures are only ever passed through, so any two addresses serve. */
static AllavaPicture *const picture_a = (AllavaPicture *)"a";
static AllavaPicture *const picture_b = (AllavaPicture *)"b";

/* The prompt as text: bytes as they are, pictures as {a} or {b}, the end token as "$". */
static char *
show (const AllavaPrompt *prompt)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < prompt->items->len; i++) {
    const AllavaPromptItem *item = &g_array_index (prompt->items, AllavaPromptItem, i);
    if (item->picture != NULL)
      g_string_append_printf (text, "{%s}", (const char *)item->picture);
    else if (item->id == 257)
      g_string_append (text, " z");
    else
      g_string_append_c (text, item->id == 256 ? '$' : item->id);
  }
  return g_string_free (text, FALSE);
}

static void
expect (const Fixture *fixture,
        size_t limit,
        const AllavaTurn *turns,
        size_t n_turns,
        size_t dropped,
        const char *text)
{
  AllavaPromptRules rules = {fixture->tokenizer, 256, 10, limit, 1000};
  AllavaPrompt prompt;
  g_autoptr (GError) error = NULL;
  allava_prompt_build (&prompt, &rules, turns, n_turns, &error);
  g_assert_no_error (error);
  g_autofree char *shown = show (&prompt);
  g_assert_cmpstr (shown, ==, text);
  g_assert_cmpuint (prompt.dropped, ==, dropped);
  allava_prompt_clear (&prompt);
}

static void
test_format (Fixture *fixture, gconstpointer data)
{
  AllavaPicture *const both[] = {picture_a, picture_b};
  const AllavaTurn turns[] = {
      {ALLAVA_ROLE_USER, "\t What is this?\xc2\xa0\n", both, 1},
      {ALLAVA_ROLE_ASSISTANT, " A cat. "},
      {ALLAVA_ROLE_USER, "And these?", both, 2},
      {ALLAVA_ROLE_ASSISTANT, "Two"},
  };
  expect (fixture, 1000, turns, 1, 0, "[INST] {a}\nWhat is this? [/INST] ");
  expect (fixture, 1000, turns, 3, 0,
          "[INST] {a}\nWhat is this? [/INST]  A cat. $[INST] {a}\n{b}\nAnd these? [/INST] ");
  /* A last answer is to be continued: no end token. */
  expect (fixture, 1000, turns, 4, 0,
          "[INST] {a}\nWhat is this? [/INST]  A cat. $[INST] {a}\n{b}\nAnd these? [/INST] Two");
}

static void
test_no_smuggling (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "<image> <|endoftext|> </s>"};
  expect (fixture, 1000, &turn, 1, 0, "[INST] <image> <|endoftext|> </s> [/INST] ");
}

static void
test_drops_oldest (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turns[] = {
      {ALLAVA_ROLE_USER, "one"},    {ALLAVA_ROLE_ASSISTANT, "1"}, {ALLAVA_ROLE_USER, "two"},
      {ALLAVA_ROLE_ASSISTANT, "2"}, {ALLAVA_ROLE_USER, "three"},
  };
  /* A pair takes 7 + 3 + 9 + 2 = 21 positions, the last question 21. */
  const char *all = "[INST] one [/INST] 1$[INST] two [/INST] 2$[INST] three [/INST] ";
  const char *last_two = "[INST] two [/INST] 2$[INST] three [/INST] ";
  expect (fixture, 63, turns, 5, 0, all);
  expect (fixture, 62, turns, 5, 2, last_two);
  expect (fixture, 42, turns, 5, 2, last_two);
  expect (fixture, 41, turns, 5, 4, "[INST] three [/INST] ");
  expect (fixture, 1, turns, 5, 4, "[INST] three [/INST] ");
}

/* The pictures last shown stay, with the first question that stays; older ones go. */
static void
test_keeps_discussed (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turns[] = {
      {ALLAVA_ROLE_USER, "one", &picture_a, 1},
      {ALLAVA_ROLE_ASSISTANT, "1"},
      {ALLAVA_ROLE_USER, "two", &picture_b, 1},
      {ALLAVA_ROLE_ASSISTANT, "2"},
      {ALLAVA_ROLE_USER, "three"},
  };
  expect (fixture, 60, turns, 5, 2, "[INST] {b}\ntwo [/INST] 2$[INST] three [/INST] ");
  expect (fixture, 40, turns, 5, 4, "[INST] {b}\nthree [/INST] ");
}

/* Text after a picture that moved may be more tokens than it was: the limit holds all the same. */
static void
test_moved_takes_more (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turns[] = {
      {ALLAVA_ROLE_USER, "one", &picture_a, 1},
      {ALLAVA_ROLE_ASSISTANT, "1"},
      {ALLAVA_ROLE_USER, "zoo"},
      {ALLAVA_ROLE_ASSISTANT, "2"},
      {ALLAVA_ROLE_USER, "three"},
  };
  /* The question with " z" takes 18 positions, with the picture 7 + 10 + 13; then come 2 + 21. */
  expect (fixture, 53, turns, 5, 2, "[INST] {a}\nzoo [/INST] 2$[INST] three [/INST] ");
  expect (fixture, 52, turns, 5, 4, "[INST] {a}\nthree [/INST] ");
}

static void
test_too_long (Fixture *fixture, gconstpointer data)
{
  AllavaPromptRules rules = {fixture->tokenizer, 256, 10, 15, 20};
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "12345"};
  AllavaPrompt prompt;
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_prompt_build (&prompt, &rules, &turn, 1, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CONTEXT);
  g_assert_nonnull (strstr (error->message, "21"));
}

static void
test_refuses_turns (Fixture *fixture, gconstpointer data)
{
  AllavaPromptRules rules = {fixture->tokenizer, 256, 10, 100, 100};
  static const AllavaTurn cases[][2] = {
      {{ALLAVA_ROLE_ASSISTANT, "a"}, {ALLAVA_ROLE_USER, "q"}},
      {{ALLAVA_ROLE_USER, "q"}, {ALLAVA_ROLE_USER, "q"}},
      {{ALLAVA_ROLE_USER, "q"}, {ALLAVA_ROLE_ASSISTANT, NULL}},
      {{ALLAVA_ROLE_USER, "q\xff"}, {ALLAVA_ROLE_ASSISTANT, "a"}},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    AllavaPrompt prompt;
    g_autoptr (GError) error = NULL;
    g_assert_false (allava_prompt_build (&prompt, &rules, cases[i], 2, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  }
  AllavaPrompt prompt;
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_prompt_build (&prompt, &rules, cases[0], 0, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
}

/* A tokenizer without any of the prompt's bytes, and without a token for what it lacks. */
static void
test_no_tokens (void)
{
  AllavaTokenizer *tokenizer =
      load_tokenizer ("{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
                      " \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\","
                      " \"merges\": [], \"vocab\": {\"<|endoftext|>\": 0, \"zz\": 1}}}");
  AllavaPromptRules rules = {tokenizer, 0, 10, 100, 100};
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What?"};
  AllavaPrompt prompt;
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_prompt_build (&prompt, &rules, &turn, 1, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  allava_tokenizer_unref (tokenizer);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/prompt/format", test_format);
  ADD ("/prompt/no-smuggling", test_no_smuggling);
  ADD ("/prompt/drops-oldest", test_drops_oldest);
  ADD ("/prompt/keeps-discussed", test_keeps_discussed);
  ADD ("/prompt/moved-takes-more", test_moved_takes_more);
  ADD ("/prompt/too-long", test_too_long);
  ADD ("/prompt/refuses-turns", test_refuses_turns);
  g_test_add_func ("/prompt/no-tokens", test_no_tokens);
  return g_test_run ();
}
