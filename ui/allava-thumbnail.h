/* allava-thumbnail.h - a small view of an image that opens the large one, and may be removed. */
#pragma once

#include "allava-image.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_THUMBNAIL (allava_thumbnail_get_type ())
G_DECLARE_FINAL_TYPE (AllavaThumbnail, allava_thumbnail, ALLAVA, THUMBNAIL, GtkWidget)

/* Signal: removed (), when the person asks for it. SIDE: the height, pixels. */
GtkWidget *allava_thumbnail_new (AllavaImage *image, int side, gboolean removable);

/* Shows that the image called NAME is on its way; removable. */
GtkWidget *allava_thumbnail_new_placeholder (const char *name, int side);

/* NULL of a placeholder. */
AllavaImage *allava_thumbnail_get_image (AllavaThumbnail *self);

G_END_DECLS
