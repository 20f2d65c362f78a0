/* allava-sidebar.h - all conversations, by date, and the search in them. */
#pragma once

#include "allava-library.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_SIDEBAR (allava_sidebar_get_type ())
G_DECLARE_FINAL_TYPE (AllavaSidebar, allava_sidebar, ALLAVA, SIDEBAR, GtkWidget)

/* Signal: opened (gint64 id, gint64 hit), when the person wants to see that conversation, in which
 * the message HIT (0: none) holds what was searched for.
 *
 * In a row's menu and by the keys, the actions win.rename-conversation-id and the like are
 * activated with its id. */

void allava_sidebar_set_library (AllavaSidebar *self, AllavaLibrary *library);

/* Marks the conversation that is shown; 0: none. */
void allava_sidebar_select (AllavaSidebar *self, gint64 id);

void allava_sidebar_set_title_buttons (AllavaSidebar *self, gboolean folded);

/* Puts the focus on the conversations, or where there are none on the first button. */
void allava_sidebar_focus_list (AllavaSidebar *self);

void allava_sidebar_start_search (AllavaSidebar *self);
void allava_sidebar_show_error (AllavaSidebar *self, const char *message);

G_END_DECLS
