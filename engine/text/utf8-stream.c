#include "utf8-stream.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* Unicode 15, table 3-7: how many bytes a sequence that starts with LEAD has (0: none may start
 * so), and the range of its second byte. */
static size_t
sequence (unsigned char lead, unsigned char *low, unsigned char *high)
{
  *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return lead < 0x80   ? 1
         : lead < 0xc2 ? 0
         : lead < 0xe0 ? 2
         : lead < 0xf0 ? 3
         : lead < 0xf5 ? 4
                       : 0;
}

/* Whether BYTE can be the INDEX-th (from 1) of the sequence that LEAD starts. */
static gboolean
continues (unsigned char lead, size_t index, unsigned char byte)
{
  unsigned char low, high;
  sequence (lead, &low, &high);
  return index == 1 ? byte >= low && byte <= high : byte >= 0x80 && byte <= 0xbf;
}

static void
push_byte (AllavaUtf8Stream *stream, char byte, GString *out)
{
  unsigned char low, high;
  if (stream->n_pending > 0 && !continues (stream->pending[0], stream->n_pending, byte)) {
    g_string_append (out, REPLACEMENT);
    stream->n_pending = 0;
  }
  if (stream->n_pending == 0 && sequence (byte, &low, &high) == 0) {
    g_string_append (out, REPLACEMENT);
    return;
  }
  stream->pending[stream->n_pending++] = byte;
  if (stream->n_pending == sequence (stream->pending[0], &low, &high)) {
    g_string_append_len (out, stream->pending, stream->n_pending);
    stream->n_pending = 0;
  }
}

void
allava_utf8_stream_push (AllavaUtf8Stream *stream, const char *bytes, size_t n, GString *out)
{
  for (size_t i = 0; i < n; i++)
    push_byte (stream, bytes[i], out);
}

void
allava_utf8_stream_finish (AllavaUtf8Stream *stream, GString *out)
{
  if (stream->n_pending > 0)
    g_string_append (out, REPLACEMENT);
  stream->n_pending = 0;
}
