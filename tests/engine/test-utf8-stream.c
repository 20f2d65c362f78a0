#include "utf8-stream.h"

#include <string.h>

/* What TEXT's bytes give when they come one by one; at every step OUT is whole characters. */
static char *
stream_bytes (const char *bytes, size_t n)
{
  AllavaUtf8Stream stream = {{0}};
  GString *out = g_string_new (NULL);
  for (size_t i = 0; i < n; i++) {
    allava_utf8_stream_push (&stream, bytes + i, 1, out);
    g_assert_true (g_utf8_validate (out->str, out->len, NULL));
  }
  allava_utf8_stream_finish (&stream, out);
  return g_string_free (out, FALSE);
}

static void
test_whole (void)
{
  const char *text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80 z";
  g_autofree char *out = stream_bytes (text, strlen (text));
  g_assert_cmpstr (out, ==, text);
}

static void
test_waits (void)
{
  AllavaUtf8Stream stream = {{0}};
  g_autoptr (GString) out = g_string_new (NULL);
  allava_utf8_stream_push (&stream, "\xf0\x9f\x98", 3, out);
  g_assert_cmpstr (out->str, ==, "");
  allava_utf8_stream_push (&stream, "\x80", 1, out);
  g_assert_cmpstr (out->str, ==, "\xf0\x9f\x98\x80");
}

/* The expected texts are Python's bytes.decode ("utf-8", "replace"), which agrees with Rust. */
static void
test_invalid (void)
{
  static const struct {
    const char *bytes;
    const char *text;
  } cases[] = {
      {"\xff", "\xef\xbf\xbd"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xf0\x9f\x98", "\xef\xbf\xbd"},
      {"\xf0\x9f\x98z", "\xef\xbf\xbdz"},
      {"\xc3\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"},
      {"\x80\xbf", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xe4\xb8\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *out = stream_bytes (cases[i].bytes, strlen (cases[i].bytes));
    g_assert_cmpstr (out, ==, cases[i].text);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/utf8-stream/whole", test_whole);
  g_test_add_func ("/utf8-stream/waits", test_waits);
  g_test_add_func ("/utf8-stream/invalid", test_invalid);
  return g_test_run ();
}
