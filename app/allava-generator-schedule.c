/* What the worker does next, and what becomes of it. */
#include "allava-generator-private.h"

#define PROGRESS_MS 50

/* ---- Answers --------------------------------------------------------------------------------- */

static void
append_cb (const char *text, gpointer user_data)
{
  AllavaAnswer *answer = user_data;
  allava_message_append (answer->message, text);
}

static void
stop_waiting (AllavaAnswer *answer)
{
  if (answer->cancelled != NULL)
    g_source_destroy (answer->cancelled);
  g_clear_pointer (&answer->cancelled, g_source_unref);
}

/* Gives ANSWER its last state, calls back and frees it. */
static void
finish (AllavaAnswer *answer, AllavaMessageState state, const char *error)
{
  stop_waiting (answer);
  allava_stream_buffer_close (answer->buffer);
  allava_message_set_error (answer->message, error);
  allava_message_set_state (answer->message, state);
  g_task_return_boolean (answer->task, TRUE);

  allava_stream_buffer_unref (answer->buffer);
  g_object_unref (answer->message);
  g_ptr_array_unref (answer->prompt);
  g_object_unref (answer->cancellable);
  g_object_unref (answer->task);
  g_free (answer);
}

void
allava_generator_finish_waiting (AllavaGenerator *self, AllavaMessageState state, const char *error)
{
  AllavaAnswer *answer;
  while ((answer = g_queue_pop_head (&self->answers)) != NULL)
    finish (answer, state, error);
}

static gboolean
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  AllavaAnswer *answer = user_data;
  g_queue_remove (&answer->self->answers, answer);
  finish (answer, ALLAVA_MESSAGE_STOPPED, NULL);
  return G_SOURCE_REMOVE;
}

/* Adds to what the message has, in case it was continued. */
static void
set_details (AllavaGenerator *self, AllavaMessage *message, const AllavaAnswerJob *job)
{
  const AllavaMessageDetails *before = allava_message_get_details (message);
  const AllavaGenerateResult *result = &job->result;
  AllavaMessageDetails details = {
      .model = self->info.name,
      .device = self->info.device,
      .dtype = self->info.dtype,
      .finish = (char *)allava_finish_to_string (result->finish),
      .n_tokens = before->n_tokens + (result->tokens != NULL ? (int)result->tokens->len : 0),
      .prompt_positions = result->prompt_positions,
      .positions_left = result->positions_left,
      .dropped_turns = result->dropped_turns,
      .image_ms = before->image_ms + result->vision_ms,
      .prefill_ms = before->prefill_ms + result->prefill_ms,
      .first_token_ms = before->first_token_ms > 0 ? before->first_token_ms : job->first_token_ms,
      .decode_ms = before->decode_ms + result->decode_ms,
  };
  allava_message_set_details (message, &details);
}

/* A GPU that fails, or has too little memory, is given up: the model is loaded anew, for the
 * processor. */
static void
leave_gpu (AllavaGenerator *self)
{
  if (g_strcmp0 (self->info.device, "cpu") == 0)
    return;
  self->gpu_failed = TRUE;
  self->stale = self->model_path != NULL;
}

static void
answered (gpointer data)
{
  AllavaAnswerJob *job = data;
  g_autoptr (AllavaGenerator) self = job->owner;
  AllavaAnswer *answer = g_steal_pointer (&self->current);
  allava_stream_buffer_flush (answer->buffer);
  g_object_freeze_notify (G_OBJECT (self));
  allava_generator_notify_answer (self);
  allava_generator_update_state (self);
  if (job->error == NULL) {
    set_details (self, answer->message, job);
    finish (answer,
            job->result.finish == ALLAVA_FINISH_CANCELLED ? ALLAVA_MESSAGE_STOPPED
                                                          : ALLAVA_MESSAGE_COMPLETE,
            NULL);
  } else if (g_error_matches (job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    finish (answer, ALLAVA_MESSAGE_STOPPED, NULL);
  } else {
    if (g_error_matches (job->error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE) ||
        g_error_matches (job->error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY))
      leave_gpu (self);
    if (g_error_matches (job->error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED))
      self->stale = self->model_path != NULL;
    finish (answer, ALLAVA_MESSAGE_FAILED, job->error->message);
  }
  allava_answer_job_free (job);
  allava_generator_advance (self);
  g_object_thaw_notify (G_OBJECT (self));
}

static void
start_answer (AllavaGenerator *self)
{
  AllavaAnswer *answer = g_queue_pop_head (&self->answers);
  stop_waiting (answer);
  self->current = answer;

  AllavaAnswerJob *job = g_new0 (AllavaAnswerJob, 1);
  job->context = self->context;
  job->owner = g_object_ref (self);
  job->prompt = g_ptr_array_ref (answer->prompt);
  job->cancellable = g_object_ref (answer->cancellable);
  job->buffer = allava_stream_buffer_ref (answer->buffer);
  job->options = (AllavaGenerateOptions)ALLAVA_GENERATE_OPTIONS_INIT;
  job->options.max_new_tokens = allava_settings_get_max_tokens (self->settings);
  job->options.temperature = allava_settings_get_temperature (self->settings);
  job->options.top_p = allava_settings_get_top_p (self->settings);
  /* Seeds that follow each other draw words that have nothing to do with each other. */
  job->options.seed = (uint64_t)allava_settings_get_seed (self->settings) +
                      allava_message_get_sibling (answer->message);
  job->options.cancellable = answer->cancellable;
  allava_worker_push (self->worker, allava_answer_job_run, answered, job);
  allava_generator_notify_answer (self);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static gboolean
progress_cb (gpointer user_data)
{
  allava_generator_notify_progress (user_data);
  return G_SOURCE_CONTINUE;
}

static void
loaded (gpointer data)
{
  AllavaLoadJob *job = data;
  g_autoptr (AllavaGenerator) self = job->owner;
  g_object_freeze_notify (G_OBJECT (self));
  self->load = NULL;
  g_clear_handle_id (&self->progress_source, g_source_remove);
  if (job->path != NULL && job->error == NULL) {
    allava_backend_info_clear (&self->info);
    self->info = job->info;
    job->info = (AllavaBackendInfo){0};
    self->loaded = TRUE;
  } else if (job->error != NULL && !g_cancellable_is_cancelled (job->cancellable)) {
    allava_generator_set_error (self, job->error->message);
    allava_generator_finish_waiting (self, ALLAVA_MESSAGE_FAILED, self->error);
  }
  allava_load_job_free (job);
  allava_generator_notify_model (self);
  allava_generator_update_state (self);
  allava_generator_advance (self);
  g_object_thaw_notify (G_OBJECT (self));
}

/* PATH NULL: only unloads. */
static void
start_load (AllavaGenerator *self, const char *path)
{
  AllavaLoadJob *job = g_new0 (AllavaLoadJob, 1);
  job->context = self->context;
  job->owner = g_object_ref (self);
  job->path = g_strdup (path);
  job->device = g_strdup (self->gpu_failed ? "cpu" : allava_settings_get_device (self->settings));
  allava_dtype_from_string (allava_settings_get_dtype (self->settings), &job->dtype);
  job->threads = allava_load_job_choose_threads (allava_settings_get_threads (self->settings),
                                                 allava_count_cores ());
  job->cancellable = g_cancellable_new ();

  self->load = job;
  self->stale = FALSE;
  self->loaded = FALSE;
  g_clear_pointer (&self->info.model, allava_model_unref);
  if (path != NULL) {
    allava_generator_set_error (self, NULL);
    self->progress_source = g_timeout_add (PROGRESS_MS, progress_cb, self);
  }
  allava_worker_push (self->worker, allava_load_job_run, loaded, job);
  allava_generator_notify_model (self);
}

/* ---- What comes next ------------------------------------------------------------------------- */

static gboolean
idle_cb (gpointer user_data)
{
  AllavaGenerator *self = user_data;
  self->idle_source = 0;
  if (self->worker != NULL && self->loaded && self->load == NULL && self->current == NULL)
    start_load (self, NULL);
  return G_SOURCE_REMOVE;
}

static void
wait_for_idleness (AllavaGenerator *self)
{
  g_clear_handle_id (&self->idle_source, g_source_remove);
  int minutes = allava_settings_get_idle_unload (self->settings);
  if (self->loaded && minutes > 0)
    self->idle_source = g_timeout_add_seconds ((guint)minutes * 60, idle_cb, self);
}

void
allava_generator_advance (AllavaGenerator *self)
{
  if (self->worker == NULL || self->load != NULL || self->current != NULL)
    return;
  gboolean asked = !g_queue_is_empty (&self->answers);
  g_clear_handle_id (&self->idle_source, g_source_remove);
  if (self->model_path != NULL && (self->stale || (asked && !self->loaded)))
    start_load (self, self->model_path);
  else if (self->model_path == NULL && self->loaded)
    start_load (self, NULL);
  else if (self->loaded && asked)
    start_answer (self);
  else
    wait_for_idleness (self);
  allava_generator_update_state (self);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

void
allava_generator_answer_async (AllavaGenerator *self,
                               GPtrArray *prompt,
                               AllavaMessage *message,
                               GCancellable *cancellable,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_GENERATOR (self));
  g_return_if_fail (prompt != NULL && prompt->len > 0);
  g_return_if_fail (ALLAVA_IS_MESSAGE (message));
  AllavaAnswer *answer = g_new0 (AllavaAnswer, 1);
  answer->self = self;
  answer->message = g_object_ref (message);
  answer->prompt = g_ptr_array_ref (prompt);
  answer->cancellable = cancellable != NULL ? g_object_ref (cancellable) : g_cancellable_new ();
  answer->buffer = allava_stream_buffer_new (append_cb, answer);
  /* Without the cancellable: however it ends, the callback is to see an end and no error. */
  answer->task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (answer->task, allava_generator_answer_async);
  allava_message_set_error (message, NULL);
  allava_message_set_state (message, ALLAVA_MESSAGE_PARTIAL);
  if (self->worker == NULL) {
    finish (answer, ALLAVA_MESSAGE_STOPPED, NULL);
    return;
  }
  answer->cancelled = g_cancellable_source_new (answer->cancellable);
  g_source_set_callback (answer->cancelled, G_SOURCE_FUNC (cancelled_cb), answer, NULL);
  g_source_attach (answer->cancelled, NULL);
  g_queue_push_tail (&self->answers, answer);
  allava_generator_advance (self);
}

void
allava_generator_answer_finish (AllavaGenerator *self, GAsyncResult *result)
{
  g_return_if_fail (g_task_is_valid (result, self));
  g_task_propagate_boolean (G_TASK (result), NULL);
}
