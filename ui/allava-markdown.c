#include "allava-markdown.h"

#include <string.h>

static gboolean
is_safe_link (const char *url)
{
  if (!url)
    return FALSE;
  g_autofree char *scheme = g_uri_parse_scheme (url);
  return g_strcmp0 (scheme, "http") == 0 || g_strcmp0 (scheme, "https") == 0 ||
         g_strcmp0 (scheme, "mailto") == 0;
}

static void
append_escaped (GString *markup, const char *text)
{
  if (!text)
    return;
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  g_string_append (markup, escaped);
}

static void
append_link (GString *markup, cmark_node *link, gboolean entering)
{
  const char *url = cmark_node_get_url (link);
  if (!is_safe_link (url))
    return;
  if (!entering) {
    g_string_append (markup, "</a>");
    return;
  }
  g_autofree char *escaped = g_markup_escape_text (url, -1);
  g_string_append_printf (markup, "<a href=\"%s\" title=\"%s\">", escaped, escaped);
}

static void
append_node (GString *markup, cmark_node *node, gboolean entering)
{
  switch (cmark_node_get_type (node)) {
  case CMARK_NODE_TEXT:
  case CMARK_NODE_HTML_INLINE:
    append_escaped (markup, cmark_node_get_literal (node));
    break;
  case CMARK_NODE_CODE:
    g_string_append (markup, "<tt>");
    append_escaped (markup, cmark_node_get_literal (node));
    g_string_append (markup, "</tt>");
    break;
  case CMARK_NODE_SOFTBREAK:
    g_string_append_c (markup, ' ');
    break;
  case CMARK_NODE_LINEBREAK:
    g_string_append_c (markup, '\n');
    break;
  case CMARK_NODE_EMPH:
    g_string_append (markup, entering ? "<i>" : "</i>");
    break;
  case CMARK_NODE_STRONG:
    g_string_append (markup, entering ? "<b>" : "</b>");
    break;
  case CMARK_NODE_LINK:
    append_link (markup, node, entering);
    break;
  default:
    break;
  }
}

char *
allava_markdown_to_markup (cmark_node *block)
{
  GString *markup = g_string_new (NULL);
  cmark_iter *iter = cmark_iter_new (block);
  cmark_event_type event;
  /* Links do not nest in CommonMark, but an image's description may hold one; Pango refuses it. */
  int images = 0;
  while ((event = cmark_iter_next (iter)) != CMARK_EVENT_DONE) {
    cmark_node *node = cmark_iter_get_node (iter);
    gboolean entering = event == CMARK_EVENT_ENTER;
    if (cmark_node_get_type (node) == CMARK_NODE_IMAGE)
      images += entering ? 1 : -1;
    else if (images == 0 || cmark_node_get_type (node) != CMARK_NODE_LINK)
      append_node (markup, node, entering);
  }
  cmark_iter_free (iter);
  return g_string_free (markup, FALSE);
}

/* A space or a line's end, wherever words would otherwise run together. */
static void
append_gap (GString *plain, char gap)
{
  if (plain->len > 0 && !g_ascii_isspace (plain->str[plain->len - 1]))
    g_string_append_c (plain, gap);
}

char *
allava_markdown_to_plain (const char *text)
{
  GString *plain = g_string_new (NULL);
  cmark_node *document = cmark_parse_document (text, strlen (text), CMARK_OPT_DEFAULT);
  cmark_iter *iter = cmark_iter_new (document);
  cmark_event_type event;
  while ((event = cmark_iter_next (iter)) != CMARK_EVENT_DONE) {
    cmark_node *node = cmark_iter_get_node (iter);
    cmark_node_type type = cmark_node_get_type (node);
    if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK)
      append_gap (plain, ' ');
    else if (type >= CMARK_NODE_FIRST_BLOCK && type <= CMARK_NODE_LAST_BLOCK)
      append_gap (plain, '\n');
    const char *literal = event == CMARK_EVENT_ENTER ? cmark_node_get_literal (node) : NULL;
    if (literal)
      g_string_append (plain, literal);
  }
  cmark_iter_free (iter);
  cmark_node_free (document);
  return g_strchomp (g_string_free (plain, FALSE));
}

gsize
allava_markdown_line_offset (const char *text, int line)
{
  const char *at = text;
  for (; line > 1; line--) {
    at += strcspn (at, "\r\n");
    if (at[0] == '\r' && at[1] == '\n')
      at++;
    if (*at)
      at++;
  }
  return at - text;
}

/* "| a | b\|c |" to { "a", "b|c" }. */
static GStrv
split_row (const char *line)
{
  g_autoptr (GStrvBuilder) cells = g_strv_builder_new ();
  g_autofree char *row = g_strstrip (g_strdup (line));
  g_autoptr (GString) cell = g_string_new (NULL);
  const char *at = *row == '|' ? row + 1 : row;
  for (; *at; at++) {
    if (at[0] == '\\' && at[1] == '|') {
      g_string_append_c (cell, *++at);
    } else if (*at == '|') {
      g_strv_builder_add (cells, g_strstrip (cell->str));
      g_string_truncate (cell, 0);
      if (!at[1])
        return g_strv_builder_end (cells);
    } else {
      g_string_append_c (cell, *at);
    }
  }
  g_strv_builder_add (cells, g_strstrip (cell->str));
  return g_strv_builder_end (cells);
}

static gboolean
is_delimiter_row (char **cells)
{
  for (char **cell = cells; *cell; cell++) {
    gsize length = strlen (*cell);
    const char *dashes = *cell + (**cell == ':');
    gsize n = strspn (dashes, "-");
    if (n == 0 || (dashes[n] != '\0' && strcmp (dashes + n, ":") != 0) || length == 0)
      return FALSE;
  }
  return cells[0] != NULL;
}

/* A row with as many cells as the head has: short ones are filled up, long ones cut. */
static GStrv
fit_row (GStrv row, guint width)
{
  g_autoptr (GStrvBuilder) fitted = g_strv_builder_new ();
  guint length = g_strv_length (row);
  for (guint i = 0; i < width; i++)
    g_strv_builder_add (fitted, i < length ? row[i] : "");
  return g_strv_builder_end (fitted);
}

GPtrArray *
allava_markdown_parse_table (cmark_node *paragraph, const char *source)
{
  int first = cmark_node_get_start_line (paragraph), last = cmark_node_get_end_line (paragraph);
  if (last <= first)
    return NULL;
  gsize begin = allava_markdown_line_offset (source, first);
  gsize end = allava_markdown_line_offset (source, last + 1);
  g_autofree char *text = g_strchomp (g_strndup (source + begin, end - begin));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  if (!lines[0] || !lines[1] || !strchr (lines[0], '|'))
    return NULL;

  g_auto (GStrv) head = split_row (lines[0]);
  g_auto (GStrv) delimiters = split_row (lines[1]);
  guint width = g_strv_length (head);
  if (!is_delimiter_row (delimiters) || g_strv_length (delimiters) != width)
    return NULL;

  GPtrArray *rows = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  g_ptr_array_add (rows, g_steal_pointer (&head));
  for (char **line = lines + 2; *line; line++) {
    g_auto (GStrv) row = split_row (*line);
    g_ptr_array_add (rows, fit_row (row, width));
  }
  return rows;
}
