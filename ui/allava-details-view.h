/* allava-details-view.h - how an answer came about, as a table of words and figures. */
#pragma once

#include "allava-message.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Replaces GRID's content by what is known of MESSAGE, an answer. */
void allava_details_view_fill (GtkGrid *grid, AllavaMessage *message);

G_END_DECLS
