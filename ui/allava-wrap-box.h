/* allava-wrap-box.h - children side by side, in as many lines as they need. */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_WRAP_BOX (allava_wrap_box_get_type ())
G_DECLARE_FINAL_TYPE (AllavaWrapBox, allava_wrap_box, ALLAVA, WRAP_BOX, GtkWidget)

void allava_wrap_box_append (AllavaWrapBox *self, GtkWidget *child);
void allava_wrap_box_remove_all (AllavaWrapBox *self);

G_END_DECLS
