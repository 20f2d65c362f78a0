/* allava-image-viewer.h - an image large, and what the model sees of it. */
#pragma once

#include "allava-library.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_IMAGE_VIEWER (allava_image_viewer_get_type ())
G_DECLARE_FINAL_TYPE (AllavaImageViewer, allava_image_viewer, ALLAVA, IMAGE_VIEWER, AdwWindow)

GtkWindow *allava_image_viewer_new (AllavaLibrary *library, AllavaImage *image, GtkWindow *parent);

G_END_DECLS
