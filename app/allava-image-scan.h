/* allava-image-scan.h - follows a picture file's bytes to tell whether its end is there, and how it
 * is to be turned.
 *
 * gdk-pixbuf decodes a JPEG or PNG that is cut short without an error and leaves the rest grey or
 * black; its HEIF and WebP loaders write to stderr. The containers of these four formats say where
 * they end. It also does not look for EXIF data in PNG and WebP files. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { /* private */
  int container;
  int state;
  gboolean whole;
  uint64_t position; /* bytes seen */
  uint64_t end;      /* where a WebP file ends */
  uint64_t skip;     /* bytes before the next header */
  size_t capture;    /* bytes of those that go to EXIF */
  GByteArray *exif;
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

/* Of a PNG or WebP file that has been seen to its end: EXIF's orientation (CIPA DC-008, 4.6.5),
 * from 1 (upright) to 8; 1 where there is none. */
int allava_image_scan_get_orientation (const AllavaImageScan *scan);

void allava_image_scan_clear (AllavaImageScan *scan);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AllavaImageScan, allava_image_scan_clear)
