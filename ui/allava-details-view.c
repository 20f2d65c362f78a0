#include "allava-details-view.h"

#include <glib/gi18n.h>

static void
add_row (GtkGrid *grid, int row, const char *name, const char *value)
{
  GtkWidget *name_label = gtk_label_new (name);
  gtk_label_set_xalign (GTK_LABEL (name_label), 0);
  gtk_label_set_yalign (GTK_LABEL (name_label), 0);
  gtk_widget_add_css_class (name_label, "dim-label");
  GtkWidget *value_label = gtk_label_new (value);
  gtk_label_set_xalign (GTK_LABEL (value_label), 0);
  gtk_label_set_wrap (GTK_LABEL (value_label), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (value_label), 28);
  gtk_label_set_selectable (GTK_LABEL (value_label), TRUE);
  g_autofree char *spoken = g_strdup_printf ("%s: %s", name, value);
  gtk_accessible_update_property (GTK_ACCESSIBLE (value_label), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  spoken, -1);
  gtk_grid_attach (grid, name_label, 0, row, 1, 1);
  gtk_grid_attach (grid, value_label, 1, row, 1, 1);
}

static const char *
describe_end (AllavaMessage *message, const char *finish)
{
  if (allava_message_get_state (message) == ALLAVA_MESSAGE_FAILED)
    return _ ("It failed");
  if (g_strcmp0 (finish, "eos") == 0)
    return _ ("The model had ended its answer");
  if (g_strcmp0 (finish, "length") == 0)
    return _ ("The maximum length was reached");
  if (g_strcmp0 (finish, "context") == 0)
    return _ ("The model’s context was full");
  if (allava_message_get_state (message) == ALLAVA_MESSAGE_STOPPED)
    return _ ("You or the end of the program stopped it");
  return NULL;
}

static char *
format_seconds (double ms)
{
  /* Translators: seconds */
  return g_strdup_printf (_ ("%.2f s"), ms / 1000);
}

void
allava_details_view_fill (GtkGrid *grid, AllavaMessage *message)
{
  g_return_if_fail (GTK_IS_GRID (grid));
  g_return_if_fail (ALLAVA_IS_MESSAGE (message));

  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (grid))))
    gtk_grid_remove (grid, child);

  const AllavaMessageDetails *details = allava_message_get_details (message);
  const char *end = describe_end (message, details->finish);
  int row = 0;
  if (details->model)
    add_row (grid, row++, _ ("Model"), details->model);
  if (details->device) {
    g_autofree char *device = details->dtype
                                  ? g_strdup_printf ("%s, %s", details->device, details->dtype)
                                  : g_strdup (details->device);
    add_row (grid, row++, _ ("Device"), device);
  }
  if (details->n_tokens > 0) {
    g_autofree char *tokens = g_strdup_printf ("%d", details->n_tokens);
    add_row (grid, row++, _ ("Tokens"), tokens);
  }
  if (details->first_token_ms > 0) {
    g_autofree char *first = format_seconds (details->first_token_ms);
    add_row (grid, row++, _ ("Time to the first"), first);
  }
  double speed = allava_message_details_get_tokens_per_second (details);
  if (speed > 0) {
    g_autofree char *per_second = g_strdup_printf ("%.1f", speed);
    add_row (grid, row++, _ ("Tokens a second"), per_second);
  }
  if (end)
    add_row (grid, row++, _ ("Why it ended"), end);
  if (row == 0)
    add_row (grid, row, _ ("Details"), _ ("Not known yet"));
}
