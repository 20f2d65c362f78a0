/* allava-image-store.h - where pictures are kept: FOLDER/images and FOLDER/thumbnails, each file
 * named by the SHA-256 of the picture's bytes.
 *
 * Adding decodes once, off the main thread and one picture at a time, which proves that it is a
 * picture, tells its upright size and makes the thumbnail. The bytes are stored as they came.
 * Errors are one sentence: ALLAVA_ERROR_* as allava-image-file.h says, or ALLAVA_ERROR_FILE where
 * it cannot be stored. What is cancelled before allava_image_store_clear leaves nothing behind.
 *
 * FOLDER/former-images names, one a line, the pictures of a history that was moved away: they stay
 * where they are, so that it has them when it is put back. */
#pragma once

#include "allava-image.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_IMAGE_STORE (allava_image_store_get_type ())
G_DECLARE_FINAL_TYPE (AllavaImageStore, allava_image_store, ALLAVA, IMAGE_STORE, GObject)

AllavaImageStore *allava_image_store_new (const char *folder);
const char *allava_image_store_get_folder (AllavaImageStore *self);

/* FILE may be remote as far as GIO reaches. */
void allava_image_store_add_file_async (AllavaImageStore *self,
                                        GFile *file,
                                        GCancellable *cancellable,
                                        GAsyncReadyCallback callback,
                                        gpointer user_data);

/* BYTES are a picture file's content; NAME stands for it in errors and is its name. */
void allava_image_store_add_bytes_async (AllavaImageStore *self,
                                         GBytes *bytes,
                                         const char *name,
                                         GCancellable *cancellable,
                                         GAsyncReadyCallback callback,
                                         gpointer user_data);

/* Pixels from a clipboard; stored as PNG. PIXBUF must not be changed meanwhile. */
void allava_image_store_add_pixbuf_async (AllavaImageStore *self,
                                          GdkPixbuf *pixbuf,
                                          const char *name,
                                          GCancellable *cancellable,
                                          GAsyncReadyCallback callback,
                                          gpointer user_data);

/* For all three. The caller owns the image. */
AllavaImage *
allava_image_store_add_finish (AllavaImageStore *self, GAsyncResult *result, GError **error);

/* From now on no sweep takes the pictures that are there: for a new history beside the pictures of
 * a former one. Any thread. */
gboolean allava_image_store_keep_all (AllavaImageStore *self, GError **error);

/* Deletes what no key of USED (SHA-256) names, except what has come in since this store was made.
 * What DROPPED does not name either, no history has known: it goes when it is a day old, since
 * another instance of the program may have attached it. Any thread. Returns how many pictures
 * went. */
int allava_image_store_sweep (AllavaImageStore *self, GHashTable *used, GHashTable *dropped);

/* Deletes everything, kept or not. Any thread. */
gboolean allava_image_store_clear (AllavaImageStore *self, GError **error);

G_END_DECLS
