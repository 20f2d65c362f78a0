#include "allava-image-scan.h"

#include <string.h>

enum { UNKNOWN, PNG, JPEG, WEBP, BMFF, OTHER };

#define SIGNATURE_LENGTH 12
#define MAX_EXIF_BYTES 65536

static uint32_t
read_be32 (const uint8_t *bytes)
{
  return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static uint32_t
read_le32 (const uint8_t *bytes)
{
  return (uint32_t)bytes[3] << 24 | bytes[2] << 16 | bytes[1] << 8 | bytes[0];
}

/* Takes bytes until the header holds N; returns whether it does. */
static gboolean
collect (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end, size_t n)
{
  size_t take = MIN (n - scan->n_header, (size_t)(end - *at));
  memcpy (scan->header + scan->n_header, *at, take);
  scan->n_header += take;
  *at += take;
  return scan->n_header == n;
}

/* What follows is EXIF data of LENGTH bytes. */
static void
capture_exif (AllavaImageScan *scan, uint32_t length)
{
  if (scan->exif != NULL || length > MAX_EXIF_BYTES)
    return;
  scan->exif = g_byte_array_sized_new (length);
  scan->capture = length;
}

/* ---- PNG: chunks of length, type, data, checksum; the last is IEND (PNG specification 5.3) --- */

static void
feed_png (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end)
{
  if (!collect (scan, at, end, 8))
    return;
  scan->n_header = 0;
  scan->whole = memcmp (scan->header + 4, "IEND", 4) == 0;
  scan->skip = (uint64_t)read_be32 (scan->header) + 4;
  if (memcmp (scan->header + 4, "eXIf", 4) == 0)
    capture_exif (scan, read_be32 (scan->header));
}

/* ---- WebP: chunks of type, length, data, padded to even lengths (WebP container specification) */

static void
feed_webp (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end)
{
  if (!collect (scan, at, end, 8))
    return;
  uint32_t length = read_le32 (scan->header + 4);
  scan->n_header = 0;
  scan->skip = (uint64_t)length + length % 2;
  if (memcmp (scan->header, "EXIF", 4) == 0)
    capture_exif (scan, length);
}

/* ---- JPEG: markers; entropy-coded data stuffs its FF bytes (ITU-T T.81, B.1) ----------------- */

enum { JPEG_DATA, JPEG_MARKER, JPEG_LENGTH };

static void
feed_jpeg_marker (AllavaImageScan *scan, uint8_t marker)
{
  gboolean restart = marker >= 0xd0 && marker <= 0xd7;
  if (marker == 0xff) /* fill byte */
    return;
  scan->whole = marker == 0xd9;
  if (marker == 0x00 || marker == 0x01 || marker == 0xd8 || restart)
    scan->state = JPEG_DATA;
  else
    scan->state = JPEG_LENGTH;
}

static void
feed_jpeg (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end)
{
  if (scan->state == JPEG_DATA) {
    const uint8_t *marker = memchr (*at, 0xff, end - *at);
    *at = marker != NULL ? marker + 1 : end;
    if (marker != NULL)
      scan->state = JPEG_MARKER;
  } else if (scan->state == JPEG_MARKER) {
    feed_jpeg_marker (scan, *(*at)++);
  } else if (collect (scan, at, end, 2)) {
    int length = scan->header[0] << 8 | scan->header[1];
    scan->n_header = 0;
    scan->skip = MAX (length - 2, 0);
    scan->state = JPEG_DATA;
  }
}

/* ---- HEIF and AVIF: boxes of length and type (ISO/IEC 14496-12, 4.2) --------------------------
 */

enum { BMFF_OTHER, BMFF_NEEDED };

/* Cameras append data of their own, so only the boxes that hold the picture have to be whole. */
static int
classify_box (const uint8_t type[4])
{
  gboolean needed = memcmp (type, "ftyp", 4) == 0 || memcmp (type, "meta", 4) == 0 ||
                    memcmp (type, "moov", 4) == 0 || memcmp (type, "mdat", 4) == 0;
  return needed ? BMFF_NEEDED : BMFF_OTHER;
}

static void
feed_bmff (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end)
{
  if (!collect (scan, at, end, MAX (scan->n_header, 8)))
    return;
  uint64_t length = read_be32 (scan->header);
  size_t n_header = length == 1 ? 16 : 8;
  if (!collect (scan, at, end, n_header))
    return;
  if (length == 1)
    length = (uint64_t)read_be32 (scan->header + 8) << 32 | read_be32 (scan->header + 12);
  scan->n_header = 0;
  scan->state = classify_box (scan->header + 4);
  if (length < n_header) /* 0: to the end of the file; less is the loader's affair */
    scan->whole = TRUE;
  else
    scan->skip = length - n_header;
}

/* ---- All ------------------------------------------------------------------------------------- */

static gboolean
is_still_brand (const uint8_t brand[4])
{
  static const char brands[][5] = {"heic", "heix", "heim", "heis", "mif1", "msf1", "avif", "avis"};
  for (size_t i = 0; i < G_N_ELEMENTS (brands); i++)
    if (memcmp (brand, brands[i], 4) == 0)
      return TRUE;
  return FALSE;
}

/* Names the container and returns how many of the signature's bytes come before its first part. */
static size_t
recognise (AllavaImageScan *scan, const uint8_t signature[SIGNATURE_LENGTH])
{
  scan->container = OTHER;
  if (memcmp (signature, "\x89PNG\r\n\x1a\n", 8) == 0) {
    scan->container = PNG;
    return 8;
  }
  if (memcmp (signature, "\xff\xd8\xff", 3) == 0) {
    scan->container = JPEG;
    return 2;
  }
  if (memcmp (signature, "RIFF", 4) == 0 && memcmp (signature + 8, "WEBP", 4) == 0) {
    scan->container = WEBP;
    scan->end = (uint64_t)read_le32 (signature + 4) + 8;
    return SIGNATURE_LENGTH;
  }
  if (memcmp (signature + 4, "ftyp", 4) == 0 && is_still_brand (signature + 8))
    scan->container = BMFF;
  return 0;
}

static void
feed_header (AllavaImageScan *scan, const uint8_t **at, const uint8_t *end)
{
  switch (scan->container) {
  case PNG:
    feed_png (scan, at, end);
    break;
  case JPEG:
    feed_jpeg (scan, at, end);
    break;
  case WEBP:
    feed_webp (scan, at, end);
    break;
  case BMFF:
    feed_bmff (scan, at, end);
    break;
  default:
    *at = end;
  }
}

static const uint8_t *
pass_over (AllavaImageScan *scan, const uint8_t *at, const uint8_t *end)
{
  size_t n = MIN (scan->skip, (uint64_t)(end - at));
  size_t n_captured = MIN (scan->capture, n);
  if (n_captured > 0)
    g_byte_array_append (scan->exif, at, n_captured);
  scan->capture -= n_captured;
  scan->skip -= n;
  return at + n;
}

static void
feed (AllavaImageScan *scan, const uint8_t *at, const uint8_t *end)
{
  while (at < end && !scan->whole) {
    at = pass_over (scan, at, end);
    if (at == end)
      return;
    if (scan->container != UNKNOWN) {
      feed_header (scan, &at, end);
    } else if (collect (scan, &at, end, SIGNATURE_LENGTH)) {
      uint8_t signature[SIGNATURE_LENGTH];
      memcpy (signature, scan->header, SIGNATURE_LENGTH);
      scan->n_header = 0;
      feed (scan, signature + recognise (scan, signature), signature + SIGNATURE_LENGTH);
    }
  }
}

void
allava_image_scan_feed (AllavaImageScan *scan, const uint8_t *data, size_t length)
{
  scan->position += length;
  feed (scan, data, data + length);
}

gboolean
allava_image_scan_is_cut_short (const AllavaImageScan *scan)
{
  switch (scan->container) {
  case PNG:
  case JPEG:
    return !scan->whole;
  case WEBP:
    return scan->position < scan->end;
  case BMFF:
    return scan->skip > 0 && scan->state == BMFF_NEEDED;
  default:
    return FALSE;
  }
}

gboolean
allava_image_scan_is_held_back (const AllavaImageScan *scan)
{
  return scan->container == WEBP || scan->container == BMFF;
}

/* ---- EXIF: a TIFF header and a directory of 12-byte entries (TIFF 6.0, section 2) ---------------
 */

#define TAG_ORIENTATION 0x0112

static uint32_t
read_number (const uint8_t *bytes, int n, gboolean little)
{
  uint32_t number = 0;
  for (int i = 0; i < n; i++)
    number = number << 8 | bytes[little ? n - 1 - i : i];
  return number;
}

static int
find_orientation (const uint8_t *tiff, size_t length)
{
  if (length < 8 || (memcmp (tiff, "II*", 4) != 0 && memcmp (tiff, "MM\0*", 4) != 0))
    return 1;
  gboolean little = tiff[0] == 'I';
  size_t at = read_number (tiff + 4, 4, little);
  if (at > length - 2)
    return 1;
  size_t n_entries = read_number (tiff + at, 2, little);
  at += 2;
  n_entries = MIN (n_entries, (length - at) / 12);
  for (; n_entries > 0; n_entries--, at += 12) {
    if (read_number (tiff + at, 2, little) == TAG_ORIENTATION) {
      uint32_t orientation = read_number (tiff + at + 8, 2, little);
      return orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
    }
  }
  return 1;
}

int
allava_image_scan_get_orientation (const AllavaImageScan *scan)
{
  if (scan->exif == NULL || scan->exif->len == 0)
    return 1;
  const uint8_t *data = scan->exif->data;
  size_t length = scan->exif->len;
  /* Some writers of WebP keep the prefix that belongs to JPEG. */
  size_t prefix = length >= 6 && memcmp (data, "Exif\0\0", 6) == 0 ? 6 : 0;
  return find_orientation (data + prefix, length - prefix);
}

void
allava_image_scan_clear (AllavaImageScan *scan)
{
  g_clear_pointer (&scan->exif, g_byte_array_unref);
}
