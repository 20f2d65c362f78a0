/* What a screen reader is told where GTK is 4.14 or newer: this program has its function. */
#include "allava-announcer.h"

#if !GTK_CHECK_VERSION(4, 14, 0)
typedef int GtkAccessibleAnnouncementPriority;
void gtk_accessible_announce (GtkAccessible *self,
                              const char *message,
                              GtkAccessibleAnnouncementPriority priority);
#endif

static GtkAccessible *told;
static char *said;
static int how;

void
gtk_accessible_announce (GtkAccessible *self,
                         const char *message,
                         GtkAccessibleAnnouncementPriority priority)
{
  told = self;
  said = g_strdup (message);
  how = priority;
}

static void
test_announce (void)
{
  GtkWidget *entry = g_object_ref_sink (gtk_text_view_new ());
  allava_announcer_say (entry, "Answer ready, 2 words. A cat.", "Answer ready, 2 words");
  g_assert_true (told == GTK_ACCESSIBLE (entry));
  g_assert_cmpstr (said, ==, "Answer ready, 2 words. A cat.");
  g_assert_cmpint (how, ==, 1);
  /* Told once: the description is for where there is no such function. */
  g_assert_false (gtk_test_accessible_has_property (GTK_ACCESSIBLE (entry),
                                                    GTK_ACCESSIBLE_PROPERTY_DESCRIPTION));
  g_clear_pointer (&said, g_free);
  g_assert_finalize_object (entry);
}

int
main (int argc, char **argv)
{
  gtk_test_init (&argc, &argv, NULL);
  g_test_add_func ("/announcer/announce", test_announce);
  return g_test_run ();
}
