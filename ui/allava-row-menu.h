/* allava-row-menu.h - the menu of a row of a list, by right click or key. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* MENU at a place in ROW, or (NULL) below it. ROW is the child of a list's item, which gets the
 * focus back. ROW's dispose ends in allava_row_menu_clear(). */
void allava_row_menu_popup (GtkWidget *row, GMenuModel *menu, const GdkRectangle *at);

/* Takes all children out of ROW: those of its template, and a menu that is open or has just been.
 */
void allava_row_menu_clear (GtkWidget *row);

G_END_DECLS
