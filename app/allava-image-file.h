/* allava-image-file.h - decodes a picture file to 8-bit RGB with the system's gdk-pixbuf loaders.
 *
 * Bit-exact with Pillow's decoding of PNG, and of JPEG where both use libjpeg-turbo's defaults. Two
 * deliberate departures from the reference, because a person sees the picture so: EXIF orientation
 * is applied, and transparency shows white. Functions may be called from any thread. */
#pragma once

#include "allava-engine.h"

G_BEGIN_DECLS

/* A picture of more pixels is refused when its header is read, before memory is taken; an XPM,
 * whose loader does not announce the size, once it is decoded. */
#define ALLAVA_IMAGE_FILE_MAX_PIXELS (INT64_C (1) << 28)

typedef enum {
  ALLAVA_ALPHA_WHITE, /* (c * a + 255 * (255 - a)) / 255, rounded to nearest */
  ALLAVA_ALPHA_DROP,  /* colours as stored, as Pillow's convert ('RGB') */
} AllavaAlpha;

/* Decoded pixels and their memory. */
typedef struct _AllavaImageFile AllavaImageFile;

/* Of an animation the first frame. Vector pictures (SVG) take their natural size, but at least 336
 * and at most 4096 pixels on the longer side. Errors, one sentence that names the file:
 * FILE (cannot be read), UNSUPPORTED (not a picture that a loader of this system reads), FORMAT
 * (empty, damaged or cut short; never half a picture), INPUT (too large), MEMORY,
 * G_IO_ERROR_CANCELLED. */
AllavaImageFile *allava_image_file_load (const char *path,
                                         AllavaAlpha alpha,
                                         GCancellable *cancellable,
                                         GError **error);

/* The same for a stream that NAME stands for in errors, and with another limit. */
AllavaImageFile *allava_image_file_load_stream (GInputStream *stream,
                                                const char *name,
                                                AllavaAlpha alpha,
                                                int64_t max_pixels,
                                                GCancellable *cancellable,
                                                GError **error);

/* Borrowed; valid as long as FILE. */
const AllavaPixels *allava_image_file_get_pixels (AllavaImageFile *file);

void allava_image_file_free (AllavaImageFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaImageFile, allava_image_file_free)

G_END_DECLS
