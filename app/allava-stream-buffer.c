#include "allava-stream-buffer.h"

struct _AllavaStreamBuffer {
  gatomicrefcount ref_count;
  AllavaStreamFunc func; /* NULL once closed; main thread */
  gpointer user_data;

  GMutex mutex; /* guards what follows */
  GString *text;
  gboolean pending; /* an idle is on its way */
};

AllavaStreamBuffer *
allava_stream_buffer_new (AllavaStreamFunc func, gpointer user_data)
{
  g_return_val_if_fail (func != NULL, NULL);
  AllavaStreamBuffer *self = g_new0 (AllavaStreamBuffer, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->func = func;
  self->user_data = user_data;
  g_mutex_init (&self->mutex);
  self->text = g_string_new (NULL);
  return self;
}

AllavaStreamBuffer *
allava_stream_buffer_ref (AllavaStreamBuffer *self)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
allava_stream_buffer_unref (AllavaStreamBuffer *self)
{
  g_return_if_fail (self != NULL);
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  g_mutex_clear (&self->mutex);
  g_string_free (self->text, TRUE);
  g_free (self);
}

static gboolean
deliver_cb (gpointer user_data)
{
  AllavaStreamBuffer *self = user_data;
  g_mutex_lock (&self->mutex);
  self->pending = FALSE;
  g_mutex_unlock (&self->mutex);
  allava_stream_buffer_flush (self);
  return G_SOURCE_REMOVE;
}

void
allava_stream_buffer_push (AllavaStreamBuffer *self, const char *text)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (text != NULL);
  g_mutex_lock (&self->mutex);
  g_string_append (self->text, text);
  gboolean wake = !self->pending;
  self->pending = TRUE;
  g_mutex_unlock (&self->mutex);
  /* Below GTK's drawing, so that a frame is never late for text. */
  if (wake)
    g_idle_add_full (G_PRIORITY_DEFAULT_IDLE, deliver_cb, allava_stream_buffer_ref (self),
                     (GDestroyNotify)allava_stream_buffer_unref);
}

void
allava_stream_buffer_flush (AllavaStreamBuffer *self)
{
  g_return_if_fail (self != NULL);
  g_mutex_lock (&self->mutex);
  g_autoptr (GString) text = g_steal_pointer (&self->text);
  self->text = g_string_new (NULL);
  g_mutex_unlock (&self->mutex);
  if (text->len > 0 && self->func != NULL)
    self->func (text->str, self->user_data);
}

void
allava_stream_buffer_close (AllavaStreamBuffer *self)
{
  g_return_if_fail (self != NULL);
  self->func = NULL;
}
