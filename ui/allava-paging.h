/* allava-paging.h - a list whose items may be taller than the view, read by keyboard. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* LIST is a GtkListView in a scrolled window. While some of the item that has the focus is out of
 * sight, Page Up, Page Down, Space, Home and End go through it; otherwise they do what they do in
 * any list. */
void allava_paging_add_keys (GtkWidget *list);

/* Scrolls to what has the focus within one of LIST's items; GTK scrolls to items only. */
void allava_paging_show_focus (GtkWidget *list);

G_END_DECLS
