/* allava-image-pixbuf.h - decoded pictures as pixbufs, scaled, and thumbnails. Any thread. */
#pragma once

#include <gdk-pixbuf/gdk-pixbuf.h>

#include "allava-image-file.h"

/* The pixels of FILE, which it takes over, in a pixbuf whose sides are at most MAX_SIDE (0: as they
 * are). Never enlarges. Error: MEMORY. */
GdkPixbuf *allava_image_pixbuf_new (AllavaImageFile *file, int max_side, GError **error);

/* Errors as allava_image_file_load(). */
GdkPixbuf *allava_image_pixbuf_load (const char *path,
                                     int max_side,
                                     GCancellable *cancellable,
                                     GError **error);

/* Best effort: without the file the thumbnail is made again another time. */
void allava_image_pixbuf_save_thumbnail (GdkPixbuf *thumbnail, const char *path);
