/* allava-markdown.h - from CommonMark to what GTK's labels show: inline text as Pango markup, and
 * the tables that CommonMark itself lacks. No widgets here; any thread. */
#pragma once

#include <cmark.h>
#include <glib.h>

G_BEGIN_DECLS

/* The inline content of a paragraph or heading as Pango markup. Links are kept when they lead to
 * http, https or mailto; images become their description; HTML is shown as the text that it is.
 * The caller frees. */
char *allava_markdown_to_markup (cmark_node *block);

/* The rows of a table in GitHub's notation (a row, a row of dashes, rows), each a GStrv of the
 * cells' Markdown, all rows of the head's width; NULL where PARAGRAPH is not a table. SOURCE is
 * the text PARAGRAPH was parsed from. */
GPtrArray *allava_markdown_parse_table (cmark_node *paragraph, const char *source);

/* What a person would read out of Markdown TEXT, without its signs. The caller frees. */
char *allava_markdown_to_plain (const char *text);

/* Where the 1-based LINE of TEXT begins, in bytes. */
gsize allava_markdown_line_offset (const char *text, int line);

G_END_DECLS
