/* allava-announcer.h - says something to whoever uses a screen reader. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* By GTK's own announcements where it has them (4.14), otherwise through Orca's D-Bus service,
 * and where that does not answer, STATUS
 * (short; NULL: nothing) becomes the accessible description of ENTRY. */
void allava_announcer_say (GtkWidget *entry, const char *message, const char *status);

/* STATUS is no longer the description of ENTRY. */
void allava_announcer_forget (GtkWidget *entry);

G_END_DECLS
