/* utf8-stream.h - makes whole characters of a stream of bytes. */
#pragma once

#include <glib.h>
#include <stddef.h>

/* Up to three bytes of a character that is not complete yet. Start with {0}. */
typedef struct {
  char pending[4];
  size_t n_pending;
} AllavaUtf8Stream;

/* Adds N bytes and appends to OUT all characters that are now whole. Bytes that can never become a
 * character give U+FFFD, one for each maximal invalid part, as Rust's from_utf8_lossy does. */
void allava_utf8_stream_push (AllavaUtf8Stream *stream, const char *bytes, size_t n, GString *out);

/* At the end: an unfinished character becomes U+FFFD. */
void allava_utf8_stream_finish (AllavaUtf8Stream *stream, GString *out);
