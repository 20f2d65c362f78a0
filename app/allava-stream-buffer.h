/* allava-stream-buffer.h - carries text from a worker thread to the main context.
 *
 * However many pieces arrive, at most one idle is pending: it delivers all that has come. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _AllavaStreamBuffer AllavaStreamBuffer;

/* Called in the default main context. */
typedef void (*AllavaStreamFunc) (const char *text, gpointer user_data);

AllavaStreamBuffer *allava_stream_buffer_new (AllavaStreamFunc func, gpointer user_data);
AllavaStreamBuffer *allava_stream_buffer_ref (AllavaStreamBuffer *self);
void allava_stream_buffer_unref (AllavaStreamBuffer *self);

/* Any thread. */
void allava_stream_buffer_push (AllavaStreamBuffer *self, const char *text);

/* Delivers what there is, now. Main thread. */
void allava_stream_buffer_flush (AllavaStreamBuffer *self);

/* FUNC is not called any more. Main thread. */
void allava_stream_buffer_close (AllavaStreamBuffer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaStreamBuffer, allava_stream_buffer_unref)

G_END_DECLS
