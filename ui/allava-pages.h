/* allava-pages.h - a GtkStack whose other pages are not there for a screen reader either. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Shows the page NAME. GTK 4.8 tells the accessibility bus of all of a stack's pages as visible,
 * so the others are hidden as widgets. */
void allava_pages_show (GtkStack *stack, const char *name);

G_END_DECLS
