#include "allava-row-menu.h"

static void
unparent_cb (gpointer popover)
{
  gtk_widget_unparent (popover);
  g_object_unref (popover);
}

static void
closed_cb (GtkWidget *popover)
{
  /* Back to the list's item, which GTK forgets. The action that was chosen runs after this, and may
   * take the row away. */
  GtkWidget *item = gtk_widget_get_parent (gtk_widget_get_parent (popover));
  if (item)
    gtk_widget_grab_focus (item);
  g_idle_add_once (unparent_cb, g_object_ref (popover));
}

void
allava_row_menu_popup (GtkWidget *row, GMenuModel *menu, const GdkRectangle *at)
{
  g_return_if_fail (GTK_IS_WIDGET (row));
  g_return_if_fail (G_IS_MENU_MODEL (menu));

  GtkWidget *popover = gtk_popover_menu_new_from_model (menu);
  gtk_widget_set_parent (popover, row);
  gtk_widget_set_halign (popover, GTK_ALIGN_START);
  gtk_popover_set_has_arrow (GTK_POPOVER (popover), FALSE);
  if (at)
    gtk_popover_set_pointing_to (GTK_POPOVER (popover), at);
  g_signal_connect (popover, "closed", G_CALLBACK (closed_cb), NULL);
  gtk_popover_popup (GTK_POPOVER (popover));
}

void
allava_row_menu_clear (GtkWidget *row)
{
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (row)))
    gtk_widget_unparent (child);
}
