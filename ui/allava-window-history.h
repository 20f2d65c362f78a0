/* allava-window-history.h - the window's actions on whole conversations: rename, delete with undo,
 * export, delete everything. */
#pragma once

#include "allava-window.h"

G_BEGIN_DECLS

void allava_window_install_history_actions (GtkWidgetClass *widget_class);

G_END_DECLS
