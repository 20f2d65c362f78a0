#include "allava-pages.h"

void
allava_pages_show (GtkStack *stack, const char *name)
{
  g_return_if_fail (GTK_IS_STACK (stack));

  GtkWidget *page = gtk_stack_get_child_by_name (stack, name);
  g_return_if_fail (page != NULL);
  gtk_widget_set_visible (page, TRUE);
  gtk_stack_set_visible_child (stack, page);
  for (GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (stack)); child;
       child = gtk_widget_get_next_sibling (child))
    gtk_widget_set_visible (child, child == page);
}

void
allava_pages_name_status (AdwStatusPage *page)
{
  g_return_if_fail (ADW_IS_STATUS_PAGE (page));

  GtkWidget *scroller = gtk_widget_get_first_child (GTK_WIDGET (page));
  if (GTK_IS_SCROLLED_WINDOW (scroller))
    gtk_accessible_update_property (GTK_ACCESSIBLE (scroller), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    adw_status_page_get_title (page), -1);
}
