#include "allava-announcer.h"

#include <dlfcn.h>

/* gtk_accessible_announce of GTK 4.14. It is looked up when it is needed, so that a program built
 * with an older GTK uses it where it runs on a newer one. */
typedef void (*AnnounceFunc) (GtkAccessible *self, const char *message, int priority);

#define PRIORITY_MEDIUM 1 /* GTK_ACCESSIBLE_ANNOUNCEMENT_PRIORITY_MEDIUM */

typedef struct {
  GtkWidget *entry;
  char *status;
} Announcement;

static void
describe (GtkWidget *entry, const char *status)
{
  if (status)
    gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                    status, -1);
}

static void
presented_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Announcement *self = user_data;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, NULL);
  if (!reply)
    describe (self->entry, self->status);
  g_object_unref (self->entry);
  g_free (self->status);
  g_free (self);
}

/* Orca's remote controller; it is not started for this. */
static void
tell_orca (GtkWidget *entry, const char *message, const char *status)
{
  GApplication *application = g_application_get_default ();
  GDBusConnection *bus = application ? g_application_get_dbus_connection (application) : NULL;
  if (!bus) {
    describe (entry, status);
    return;
  }
  Announcement *self = g_new (Announcement, 1);
  *self = (Announcement){.entry = g_object_ref (entry), .status = g_strdup (status)};
  g_dbus_connection_call (bus, "org.gnome.Orca.Service", "/org/gnome/Orca/Service",
                          "org.gnome.Orca.Service", "PresentMessage",
                          g_variant_new ("(s)", message), NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START,
                          2000, NULL, presented_cb, self);
}

void
allava_announcer_say (GtkWidget *entry, const char *message, const char *status)
{
  g_return_if_fail (GTK_IS_WIDGET (entry));
  g_return_if_fail (message != NULL);

  AnnounceFunc announce = (AnnounceFunc)dlsym (RTLD_DEFAULT, "gtk_accessible_announce");
  if (announce)
    announce (GTK_ACCESSIBLE (entry), message, PRIORITY_MEDIUM);
  else
    tell_orca (entry, message, status);
}

void
allava_announcer_forget (GtkWidget *entry)
{
  g_return_if_fail (GTK_IS_WIDGET (entry));
  gtk_accessible_reset_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION);
}
