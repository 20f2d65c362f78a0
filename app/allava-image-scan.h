/* allava-image-scan.h - follows a picture file's bytes to tell whether its end is there.
 *
 * gdk-pixbuf decodes a JPEG or PNG that is cut short without an error and leaves the rest grey or
 * black; its HEIF and WebP loaders write to stderr. The containers of these four formats say where
 * they end. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int container; /* private */
  int state;
  gboolean whole;
  uint64_t skip;
  size_t n_header;
  uint8_t header[16];
} AllavaImageScan;

/* A zeroed scan is ready. The chunks may be cut anywhere. */
void allava_image_scan_feed (AllavaImageScan *scan, const uint8_t *data, size_t length);

/* After the last chunk: TRUE where the file should go on. FALSE for formats not known here. */
gboolean allava_image_scan_is_cut_short (const AllavaImageScan *scan);

/* Whether the format's loader should see the file only once it is known to be whole: it decodes at
 * the end and keeps all the bytes until then anyway. Known from the first 12 bytes on. */
gboolean allava_image_scan_is_held_back (const AllavaImageScan *scan);
