#include "allava-image-size.h"

#include <string.h>

static uint32_t
read_be32 (const uint8_t *bytes)
{
  return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static uint32_t
read_le24 (const uint8_t *bytes)
{
  return bytes[2] << 16 | bytes[1] << 8 | bytes[0];
}

/* The canvas of the extended format. The simple ones end at 16,383 x 16,383 (WebP container
 * specification). */
static gboolean
read_webp (const uint8_t *data, size_t length, uint32_t *width, uint32_t *height)
{
  if (length < 30 || memcmp (data + 12, "VP8X", 4) != 0)
    return FALSE;
  *width = read_le24 (data + 24) + 1;
  *height = read_le24 (data + 27) + 1;
  return TRUE;
}

/* The first box of TYPE among those at DATA (ISO/IEC 14496-12, 4.2); *LENGTH becomes the box's. */
static const uint8_t *
find_box (const uint8_t *data, size_t *length, const char type[4])
{
  for (size_t left = *length; left >= 8;) {
    size_t box = read_be32 (data);
    if (box == 0 || box > left) /* 0: to the end */
      box = left;
    if (memcmp (data + 4, type, 4) == 0) {
      *length = box;
      return data;
    }
    if (box < 8)
      return NULL;
    data += box;
    left -= box;
  }
  return NULL;
}

/* The meta box's "ispe" properties: type, version and flags, width, height (ISO/IEC 23008-12,
 * 6.5.3). They belong to the picture, its tiles and its thumbnails. */
static gboolean
read_heif (const uint8_t *data, size_t length, uint32_t *width, uint32_t *height)
{
  const uint8_t *meta = find_box (data, &length, "meta");
  uint64_t largest = 0;
  while (meta != NULL) {
    const uint8_t *ispe = memmem (meta, length, "ispe", 4);
    size_t left = ispe != NULL ? length - (size_t)(ispe - meta) : 0;
    if (left < 16)
      break;
    uint32_t w = read_be32 (ispe + 8), h = read_be32 (ispe + 12);
    if ((uint64_t)w * h > largest) {
      largest = (uint64_t)w * h;
      *width = w;
      *height = h;
    }
    meta = ispe + 4;
    length = left - 4;
  }
  return largest > 0;
}

gboolean
allava_image_size_read (const uint8_t *data, size_t length, uint32_t *width, uint32_t *height)
{
  if (length < 12)
    return FALSE;
  if (memcmp (data, "RIFF", 4) == 0)
    return read_webp (data, length, width, height);
  return memcmp (data + 4, "ftyp", 4) == 0 && read_heif (data, length, width, height);
}
