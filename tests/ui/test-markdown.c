/* Markdown: what becomes markup, what is a table, and that text which grows piece by piece ends as
 * the same widgets as text that comes at once. */
#include "allava-markdown-view.h"
#include "allava-markdown.h"

static void
assert_markup (const char *markdown, const char *expected)
{
  cmark_node *document = cmark_parse_document (markdown, strlen (markdown), CMARK_OPT_DEFAULT);
  g_autofree char *markup = allava_markdown_to_markup (cmark_node_first_child (document));
  g_assert_cmpstr (markup, ==, expected);
  g_assert_true (pango_parse_markup (expected, -1, 0, NULL, NULL, NULL, NULL) ||
                 strstr (expected, "<a "));
  cmark_node_free (document);
}

static void
test_markup (void)
{
  assert_markup ("a *b* **c** `d<`", "a <i>b</i> <b>c</b> <tt>d&lt;</tt>");
  assert_markup ("x < y & z", "x &lt; y &amp; z");
  assert_markup ("one\ntwo  \nthree", "one two\nthree");
  assert_markup ("a <b>bold</b>", "a &lt;b&gt;bold&lt;/b&gt;");
  assert_markup ("![a *cat*](x.png)", "a <i>cat</i>");
  assert_markup ("[t](https://a.b/?x=1&y)",
                 "<a href=\"https://a.b/?x=1&amp;y\" title=\"https://a.b/?x=1&amp;y\">t</a>");
  assert_markup ("[t](javascript:alert)", "t");
  assert_markup ("[t](file:///etc/passwd)", "t");
}

static GPtrArray *
parse_table (const char *markdown)
{
  cmark_node *document = cmark_parse_document (markdown, strlen (markdown), CMARK_OPT_DEFAULT);
  GPtrArray *rows = allava_markdown_parse_table (cmark_node_first_child (document), markdown);
  cmark_node_free (document);
  return rows;
}

static void
test_table (void)
{
  g_autoptr (GPtrArray) rows = parse_table ("| a | b\\|c |\n|---|:-:|\n| 1 |\n| 2 | 3 | 4 |");
  g_assert_nonnull (rows);
  g_assert_cmpuint (rows->len, ==, 3);
  const char *const expected[3][3] = {{"a", "b|c"}, {"1", ""}, {"2", "3"}};
  for (guint i = 0; i < rows->len; i++)
    g_assert_cmpstrv (g_ptr_array_index (rows, i), expected[i]);

  static const char *const none[] = {"| a | b |", "a\n---\nb", "| a | b |\n|---|", "a | b\nc | d"};
  for (guint i = 0; i < G_N_ELEMENTS (none); i++)
    g_assert_null (parse_table (none[i]));
}

static void
test_plain (void)
{
  g_autofree char *plain =
      allava_markdown_to_plain ("# Head\n\nSome *soft*\nwords.\n\n- one\n- two\n\n`x`");
  g_assert_cmpstr (plain, ==, "Head\nSome soft words.\none\ntwo\nx");
}

static void
test_lines (void)
{
  g_assert_cmpuint (allava_markdown_line_offset ("a\nbc\r\nd", 1), ==, 0);
  g_assert_cmpuint (allava_markdown_line_offset ("a\nbc\r\nd", 2), ==, 2);
  g_assert_cmpuint (allava_markdown_line_offset ("a\nbc\r\nd", 3), ==, 6);
  g_assert_cmpuint (allava_markdown_line_offset ("a\nbc\r\nd", 9), ==, 7);
}

/* All texts and types of the widgets below WIDGET. */
static void
dump (GtkWidget *widget, GString *out, int depth)
{
  g_string_append_printf (out, "%*s%s", depth, "", G_OBJECT_TYPE_NAME (widget));
  if (GTK_IS_LABEL (widget))
    g_string_append_printf (out, " %s", gtk_label_get_label (GTK_LABEL (widget)));
  g_string_append_c (out, '\n');
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child))
    dump (child, out, depth + 1);
}

static char *
dump_view (AllavaMarkdownView *view)
{
  GString *out = g_string_new (NULL);
  dump (GTK_WIDGET (view), out, 0);
  return g_string_free (out, FALSE);
}

static gboolean have_display;

static const char *const texts[] = {
    "One paragraph that grows, *word* by **word**.",
    "# A\n\nb\nc\n\n- d\n- e\n\n  f\n  1. g\n  2. h\n- i\n\nj",
    "```c\nint main;\n\nreturn;\n```\n\nafter\n\n    indented\n\n> quote\n> more\n>\n> - in it\n",
    "| a | b |\n|---|---|\n| 1 | *2* |\n| 3 | 4 |\n\nend\n\n***\n\nSetext\n===\n\nx",
    "> > > > > > > > > > > > > > > > deep\n\n- - - - - - - - - - - - - - - - - deep",
    "<div>\nraw\n</div>\n\nline\r\nend\r\n\r\nnew\r\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n* no row, but a list",
};

static void
test_growth (void)
{
  if (!have_display) {
    g_test_skip ("no display");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (AllavaMarkdownView) grown =
        ALLAVA_MARKDOWN_VIEW (g_object_ref_sink (allava_markdown_view_new ()));
    g_autoptr (AllavaMarkdownView) whole =
        ALLAVA_MARKDOWN_VIEW (g_object_ref_sink (allava_markdown_view_new ()));
    for (gsize length = 1; length <= strlen (texts[i]); length++) {
      g_autofree char *prefix = g_strndup (texts[i], length);
      allava_markdown_view_set_text (grown, prefix);
    }
    allava_markdown_view_set_text (whole, "something *else*\n\n- first\n\n| a |\n|---|\n| b |");
    allava_markdown_view_set_text (whole, texts[i]);
    g_autofree char *grown_dump = dump_view (grown);
    g_autofree char *whole_dump = dump_view (whole);
    g_assert_cmpstr (grown_dump, ==, whole_dump);
  }
}

/* Nothing stays of a text that this one does not go on from. */
static void
test_replaced (void)
{
  if (!have_display) {
    g_test_skip ("no display");
    return;
  }
  static const char *const tables[] = {"| a |\n|---|\n| 1 |",
                                       "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |",
                                       "| c | d |\n|---|---|\n| 5 | 6 |", "| e |\n|---|"};
  g_autoptr (AllavaMarkdownView) used =
      ALLAVA_MARKDOWN_VIEW (g_object_ref_sink (allava_markdown_view_new ()));
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++) {
    g_autoptr (AllavaMarkdownView) fresh =
        ALLAVA_MARKDOWN_VIEW (g_object_ref_sink (allava_markdown_view_new ()));
    allava_markdown_view_set_text (used, tables[i]);
    allava_markdown_view_set_text (fresh, tables[i]);
    g_autofree char *used_dump = dump_view (used);
    g_autofree char *fresh_dump = dump_view (fresh);
    g_assert_cmpstr (used_dump, ==, fresh_dump);
  }
}

/* A finished block's widget stays the same while text goes on. */
static void
test_finished_once (void)
{
  if (!have_display) {
    g_test_skip ("no display");
    return;
  }
  g_autoptr (AllavaMarkdownView) view =
      ALLAVA_MARKDOWN_VIEW (g_object_ref_sink (allava_markdown_view_new ()));
  allava_markdown_view_set_text (view, "first\n\nsec");
  GtkWidget *first = gtk_widget_get_first_child (GTK_WIDGET (view));
  GtkWidget *second = gtk_widget_get_next_sibling (first);
  allava_markdown_view_set_text (view, "first\n\nsecond\n\n- a\n- b");
  g_assert_true (gtk_widget_get_first_child (GTK_WIDGET (view)) == first);
  g_assert_true (gtk_widget_get_next_sibling (first) == second);
  g_assert_cmpstr (gtk_label_get_text (GTK_LABEL (second)), ==, "second");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  have_display = gtk_init_check ();
  g_test_add_func ("/markdown/markup", test_markup);
  g_test_add_func ("/markdown/table", test_table);
  g_test_add_func ("/markdown/plain", test_plain);
  g_test_add_func ("/markdown/lines", test_lines);
  g_test_add_func ("/markdown/growth", test_growth);
  g_test_add_func ("/markdown/replaced", test_replaced);
  g_test_add_func ("/markdown/finished-once", test_finished_once);
  return g_test_run ();
}
