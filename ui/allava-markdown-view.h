/* allava-markdown-view.h - a widget that shows Markdown as selectable text.
 *
 * Made for text that grows: what a longer text has in common with the one shown is neither parsed
 * nor laid out again, and the widgets of the block that grows are kept. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_MARKDOWN_VIEW (allava_markdown_view_get_type ())
G_DECLARE_FINAL_TYPE (AllavaMarkdownView, allava_markdown_view, ALLAVA, MARKDOWN_VIEW, GtkWidget)

GtkWidget *allava_markdown_view_new (void);

void allava_markdown_view_set_text (AllavaMarkdownView *self, const char *text);

G_END_DECLS
