/* allava-image-size.h - the size that a WebP, HEIF or AVIF file's header states: their gdk-pixbuf
 * loaders take the memory before they say how much. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* The largest picture that the file at DATA speaks of; FALSE where it is of another format or does
 * not say. */
gboolean
allava_image_size_read (const uint8_t *data, size_t length, uint32_t *width, uint32_t *height);
