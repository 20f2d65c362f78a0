/* allava-image-input.h - images that are dropped, pasted or chosen, on their way to a composer. */
#pragma once

#include "allava-composer.h"

G_BEGIN_DECLS

/* Makes WIDGET, with all that is in it, a place to drop files and image data; PLACE is shown
 * while something hovers. */
void
allava_image_input_add_drop_target (GtkWidget *widget, GtkWidget *place, AllavaComposer *composer);

/* Adds what is on the clipboard, if those are files or an image without text beside it; of a web
 * link that comes as a file, its image or its text. FALSE where there is nothing for us; then it
 * may be text. */
gboolean allava_image_input_paste (GdkClipboard *clipboard, AllavaComposer *composer);

/* Asks for files. */
void allava_image_input_open (GtkWindow *parent, AllavaComposer *composer);

G_END_DECLS
