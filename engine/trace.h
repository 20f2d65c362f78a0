/* trace.h - names a tensor and shows it. */
#pragma once

#include "backend.h"

/* Shows DATA [ROWS, COLS] as NAME (printf-like), if there is a trace. */
static inline void G_GNUC_PRINTF (5, 6) allava_trace (
    const AllavaTrace *trace, const float *data, size_t rows, size_t cols, const char *name, ...)
{
  if (trace == NULL)
    return;
  va_list args;
  va_start (args, name);
  g_autofree char *text = g_strdup_vprintf (name, args);
  va_end (args);
  trace->func (text, data, 2, (size_t[]){rows, cols}, trace->data);
}
