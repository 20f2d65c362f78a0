/* allava-image.h - a picture that the library keeps: a file under its SHA-256, and a thumbnail.
 *
 * Made by an AllavaImageStore. Everything but the thumbnail is constant, so that other threads may
 * read it; the thumbnail and the async functions belong to the main thread. */
#pragma once

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>

G_BEGIN_DECLS

#define ALLAVA_IMAGE_THUMBNAIL_SIDE 256 /* of the longer side, pixels; never enlarged */

#define ALLAVA_TYPE_IMAGE (allava_image_get_type ())
G_DECLARE_FINAL_TYPE (AllavaImage, allava_image, ALLAVA, IMAGE, GObject)

/* Properties (read-only):
 *   sha256     string  of the stored file's bytes, in hex
 *   width      int     upright, as a person sees it, pixels
 *   height     int
 *   name       string  what it was called when it came in ("cat.jpg"), for people
 *   path       string  the stored file: the very bytes that came in
 *   thumbnail  GdkPixbuf or NULL until it is there; notifies. Reading it starts nothing.
 *   thumbnail-failed  boolean  there is none: the file is lost or damaged; notifies */

/* FOLDER is the store's. SHA256 must be 64 hex digits. */
AllavaImage *
allava_image_new (const char *folder, const char *sha256, int width, int height, const char *name);

const char *allava_image_get_sha256 (AllavaImage *self);
int allava_image_get_width (AllavaImage *self);
int allava_image_get_height (AllavaImage *self);
const char *allava_image_get_name (AllavaImage *self);
const char *allava_image_get_path (AllavaImage *self);
const char *allava_image_get_thumbnail_path (AllavaImage *self);

GdkPixbuf *allava_image_get_thumbnail (AllavaImage *self);
gboolean allava_image_get_thumbnail_failed (AllavaImage *self);
void allava_image_set_thumbnail (AllavaImage *self, GdkPixbuf *thumbnail);

/* Reads the thumbnail, or makes it again from the stored file, unless it is there already, off the
 * main thread. Needs no callback: "thumbnail" or "thumbnail-failed" notifies. */
void allava_image_load_thumbnail (AllavaImage *self);

/* Decodes the whole picture, upright, off the main thread; a picture with a side longer than
 * MAX_SIDE is scaled down to it (0: never). Errors: one sentence. */
void allava_image_load_pixbuf_async (AllavaImage *self,
                                     int max_side,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data);
GdkPixbuf *
allava_image_load_pixbuf_finish (AllavaImage *self, GAsyncResult *result, GError **error);

G_END_DECLS
