/* allava-pages.h - a GtkStack whose other pages are not there for a screen reader either. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/* Shows the page NAME. GTK 4.8 tells the accessibility bus of all of a stack's pages as visible,
 * so the others are hidden as widgets. */
void allava_pages_show (GtkStack *stack, const char *name);

/* Names the scrolled window inside PAGE, which can have the focus, by the page's title. */
void allava_pages_name_status (AdwStatusPage *page);

G_END_DECLS
