/* The composer's entry: what assistive technologies are not told of, and so not seen by the tests
 * that drive the window. */
#include "allava-composer.h"

static GtkWidget *
find_label (GtkWidget *widget, const char *text)
{
  if (GTK_IS_LABEL (widget) && g_strcmp0 (gtk_label_get_text (GTK_LABEL (widget)), text) == 0)
    return widget;
  GtkWidget *found = NULL;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child && !found;
       child = gtk_widget_get_next_sibling (child))
    found = find_label (child, text);
  return found;
}

/* The placeholder gives way to what an input method shows before it is text. */
static void
test_placeholder (void)
{
  GtkWidget *composer = g_object_ref_sink (g_object_new (ALLAVA_TYPE_COMPOSER, NULL));
  GtkWidget *entry = allava_composer_get_entry (ALLAVA_COMPOSER (composer));
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (entry));
  GtkWidget *placeholder = find_label (composer, "Ask about a picture…");
  g_assert_nonnull (placeholder);
  g_assert_true (gtk_widget_get_visible (placeholder));

  g_signal_emit_by_name (entry, "preedit-changed", "u4e");
  g_assert_false (gtk_widget_get_visible (placeholder));
  g_signal_emit_by_name (entry, "preedit-changed", "");
  g_assert_true (gtk_widget_get_visible (placeholder));

  g_signal_emit_by_name (entry, "preedit-changed", "u4e00");
  gtk_text_buffer_set_text (buffer, "\u4e00", -1);
  g_signal_emit_by_name (entry, "preedit-changed", "");
  g_assert_false (gtk_widget_get_visible (placeholder));
  gtk_text_buffer_set_text (buffer, "", -1);
  g_assert_true (gtk_widget_get_visible (placeholder));
  g_assert_finalize_object (composer);
}

int
main (int argc, char **argv)
{
  gtk_test_init (&argc, &argv, NULL);
  g_test_add_func ("/composer/placeholder", test_placeholder);
  return g_test_run ();
}
