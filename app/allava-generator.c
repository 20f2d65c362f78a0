#include "allava-generator.h"

#include "allava-generator-jobs.h"
#include "allava-generator-private.h"
#include "allava-model-finder.h"
#include "allava-worker.h"

#define PROGRESS_MS 50

struct _AllavaGenerator {
  GObject parent_instance;
  AllavaSettings *settings;
  AllavaWorker *worker; /* NULL once shut */
  AllavaGeneratorContext *context;

  char *model_path;       /* chosen, or NULL */
  char *model_name;
  AllavaBackendInfo info; /* of what was loaded last */
  gboolean loaded;
  gboolean stale; /* what is chosen must be loaded, whatever is */
  char *error;

  /* At most one of the two is on the worker; what comes next is decided here when it is back. */
  AllavaLoadJob *load;
  struct _Answer *current;
  GQueue answers; /* Answer, that wait */

  guint progress_source;
  guint idle_source;
  AllavaGeneratorState state;
};

typedef struct _Answer {
  AllavaGenerator *self; /* borrowed while it waits; the task holds it */
  AllavaMessage *message;
  GPtrArray *prompt;
  GCancellable *cancellable;
  GSource *cancelled; /* while it waits */
  AllavaStreamBuffer *buffer;
  GTask *task;
} Answer;

enum {
  PROP_0,
  PROP_STATE,
  PROP_PROGRESS,
  PROP_ERROR,
  PROP_MODEL_PATH,
  PROP_MODEL_NAME,
  PROP_DEVICE,
  PROP_DTYPE,
  PROP_DEVICE_NOTE,
  PROP_LOADED,
  PROP_ANSWER,
  PROP_CONTEXT_LENGTH,
  PROP_IMAGE_POSITIONS,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_ENUM_TYPE (AllavaGeneratorState,
                    allava_generator_state,
                    G_DEFINE_ENUM_VALUE (ALLAVA_GENERATOR_NO_MODEL, "no-model"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_GENERATOR_LOADING, "loading"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_GENERATOR_READY, "ready"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_GENERATOR_ANSWERING, "answering"))

G_DEFINE_FINAL_TYPE (AllavaGenerator, allava_generator, G_TYPE_OBJECT)

static void advance (AllavaGenerator *self);

/* ---- What others see ------------------------------------------------------------------------- */

static void
notify (AllavaGenerator *self, guint id)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[id]);
}

static void
notify_model (AllavaGenerator *self)
{
  static const guint ids[] = {PROP_ERROR,  PROP_MODEL_PATH,     PROP_MODEL_NAME,
                              PROP_DEVICE, PROP_DTYPE,          PROP_DEVICE_NOTE,
                              PROP_LOADED, PROP_CONTEXT_LENGTH, PROP_IMAGE_POSITIONS};
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    notify (self, ids[i]);
}

static void
update_state (AllavaGenerator *self)
{
  AllavaGeneratorState state = ALLAVA_GENERATOR_READY;
  if (self->current != NULL)
    state = ALLAVA_GENERATOR_ANSWERING;
  else if (self->load != NULL && self->load->path != NULL)
    state = ALLAVA_GENERATOR_LOADING;
  else if (self->model_path == NULL || self->error != NULL)
    state = ALLAVA_GENERATOR_NO_MODEL;
  if (self->state == state)
    return;
  self->state = state;
  notify (self, PROP_STATE);
}

static void
set_error (AllavaGenerator *self, const char *error)
{
  g_free (self->error);
  self->error = g_strdup (error);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void
append_cb (const char *text, gpointer user_data)
{
  Answer *answer = user_data;
  allava_message_append (answer->message, text);
}

static void
stop_waiting (Answer *answer)
{
  if (answer->cancelled != NULL)
    g_source_destroy (answer->cancelled);
  g_clear_pointer (&answer->cancelled, g_source_unref);
}

/* Gives ANSWER its last state, calls back and frees it. */
static void
finish (Answer *answer, AllavaMessageState state, const char *error)
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

static void
finish_all (AllavaGenerator *self, AllavaMessageState state, const char *error)
{
  Answer *answer;
  while ((answer = g_queue_pop_head (&self->answers)) != NULL)
    finish (answer, state, error);
}

static gboolean
cancelled_cb (GCancellable *cancellable, gpointer user_data)
{
  Answer *answer = user_data;
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

static void
answered (gpointer data)
{
  AllavaAnswerJob *job = data;
  g_autoptr (AllavaGenerator) self = job->owner;
  Answer *answer = g_steal_pointer (&self->current);
  allava_stream_buffer_flush (answer->buffer);
  g_object_freeze_notify (G_OBJECT (self));
  notify (self, PROP_ANSWER);
  update_state (self);
  if (job->error == NULL) {
    set_details (self, answer->message, job);
    finish (answer,
            job->result.finish == ALLAVA_FINISH_CANCELLED ? ALLAVA_MESSAGE_STOPPED
                                                          : ALLAVA_MESSAGE_COMPLETE,
            NULL);
  } else if (g_error_matches (job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    finish (answer, ALLAVA_MESSAGE_STOPPED, NULL);
  } else {
    finish (answer, ALLAVA_MESSAGE_FAILED, job->error->message);
  }
  allava_answer_job_free (job);
  advance (self);
  g_object_thaw_notify (G_OBJECT (self));
}

static void
start_answer (AllavaGenerator *self)
{
  Answer *answer = g_queue_pop_head (&self->answers);
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
  job->options.seed = (uint64_t)allava_settings_get_seed (self->settings);
  job->options.cancellable = answer->cancellable;
  allava_worker_push (self->worker, allava_answer_job_run, answered, job);
  notify (self, PROP_ANSWER);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static gboolean
progress_cb (gpointer user_data)
{
  notify (user_data, PROP_PROGRESS);
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
  } else if (job->error != NULL &&
             !g_error_matches (job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    set_error (self, job->error->message);
    finish_all (self, ALLAVA_MESSAGE_FAILED, self->error);
  }
  allava_load_job_free (job);
  notify_model (self);
  update_state (self);
  advance (self);
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
  job->device = g_strdup (allava_settings_get_device (self->settings));
  allava_dtype_from_string (allava_settings_get_dtype (self->settings), &job->dtype);
  job->threads = allava_settings_get_threads (self->settings);
  job->cancellable = g_cancellable_new ();

  self->load = job;
  self->stale = FALSE;
  self->loaded = FALSE;
  g_clear_pointer (&self->info.model, allava_model_unref);
  if (path != NULL) {
    set_error (self, NULL);
    self->progress_source = g_timeout_add (PROGRESS_MS, progress_cb, self);
  }
  allava_worker_push (self->worker, allava_load_job_run, loaded, job);
  notify_model (self);
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

static void
advance (AllavaGenerator *self)
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
  update_state (self);
}

static void
device_changed_cb (AllavaSettings *settings, GParamSpec *pspec, AllavaGenerator *self)
{
  if (!self->loaded && self->load == NULL && self->error == NULL)
    return; /* the next load looks at it */
  self->stale = TRUE;
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  advance (self);
}

/* The last job. */
static void
unload (gpointer data)
{
  AllavaGeneratorContext *context = data;
  if (context->loaded != NULL)
    context->backend->unload (context->loaded);
  context->loaded = NULL;
}

static void
unloaded (gpointer data)
{
}

/* ---- Object ---------------------------------------------------------------------------------- */

static void
allava_generator_dispose (GObject *object)
{
  AllavaGenerator *self = ALLAVA_GENERATOR (object);
  allava_generator_shut (self);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (allava_generator_parent_class)->dispose (object);
}

static void
allava_generator_finalize (GObject *object)
{
  AllavaGenerator *self = ALLAVA_GENERATOR (object);
  g_free (self->context);
  g_free (self->model_path);
  g_free (self->model_name);
  g_free (self->error);
  allava_backend_info_clear (&self->info);
  G_OBJECT_CLASS (allava_generator_parent_class)->finalize (object);
}

static void
allava_generator_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaGenerator *self = ALLAVA_GENERATOR (object);
  switch (id) {
  case PROP_STATE:
    g_value_set_enum (value, self->state);
    break;
  case PROP_PROGRESS:
    g_value_set_double (value, allava_generator_get_progress (self));
    break;
  case PROP_ERROR:
    g_value_set_string (value, self->error);
    break;
  case PROP_MODEL_PATH:
    g_value_set_string (value, self->model_path);
    break;
  case PROP_MODEL_NAME:
    g_value_set_string (value, self->model_name);
    break;
  case PROP_DEVICE:
    g_value_set_string (value, self->info.device);
    break;
  case PROP_DTYPE:
    g_value_set_string (value, self->info.dtype);
    break;
  case PROP_DEVICE_NOTE:
    g_value_set_string (value, self->info.device_note);
    break;
  case PROP_LOADED:
    g_value_set_boolean (value, self->loaded);
    break;
  case PROP_ANSWER:
    g_value_set_object (value, allava_generator_get_answer (self));
    break;
  case PROP_CONTEXT_LENGTH:
    g_value_set_int (value, self->info.context_length);
    break;
  case PROP_IMAGE_POSITIONS:
    g_value_set_int (value, self->info.image_positions);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_generator_class_init (AllavaGeneratorClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->dispose = allava_generator_dispose;
  object_class->finalize = allava_generator_finalize;
  object_class->get_property = allava_generator_get_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, ALLAVA_TYPE_GENERATOR_STATE,
                                              ALLAVA_GENERATOR_NO_MODEL, flags);
  properties[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, 0, 1, 0, flags);
  properties[PROP_ERROR] = g_param_spec_string ("error", NULL, NULL, NULL, flags);
  properties[PROP_MODEL_PATH] = g_param_spec_string ("model-path", NULL, NULL, NULL, flags);
  properties[PROP_MODEL_NAME] = g_param_spec_string ("model-name", NULL, NULL, NULL, flags);
  properties[PROP_DEVICE] = g_param_spec_string ("device", NULL, NULL, NULL, flags);
  properties[PROP_DTYPE] = g_param_spec_string ("dtype", NULL, NULL, NULL, flags);
  properties[PROP_DEVICE_NOTE] = g_param_spec_string ("device-note", NULL, NULL, NULL, flags);
  properties[PROP_LOADED] = g_param_spec_boolean ("loaded", NULL, NULL, FALSE, flags);
  properties[PROP_ANSWER] = g_param_spec_object ("answer", NULL, NULL, ALLAVA_TYPE_MESSAGE, flags);
  properties[PROP_CONTEXT_LENGTH] =
      g_param_spec_int ("context-length", NULL, NULL, 0, G_MAXINT, 0, flags);
  properties[PROP_IMAGE_POSITIONS] =
      g_param_spec_int ("image-positions", NULL, NULL, 0, G_MAXINT, 0, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
allava_generator_init (AllavaGenerator *self)
{
  g_queue_init (&self->answers);
}

AllavaGenerator *
allava_generator_new (AllavaSettings *settings, const AllavaGeneratorBackend *backend)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (settings), NULL);
  AllavaGenerator *self = g_object_new (ALLAVA_TYPE_GENERATOR, NULL);
  self->settings = g_object_ref (settings);
  self->context = g_new0 (AllavaGeneratorContext, 1);
  self->context->backend = backend != NULL ? backend : &allava_engine_backend;
  self->worker = allava_worker_new ("generator");
  static const char *const signals[] = {"notify::device", "notify::dtype", "notify::threads"};
  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    g_signal_connect_object (settings, signals[i], G_CALLBACK (device_changed_cb), self, 0);
  g_signal_connect_object (settings, "notify::idle-unload", G_CALLBACK (advance), self,
                           G_CONNECT_SWAPPED);
  return self;
}

AllavaGeneratorState
allava_generator_get_state (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), ALLAVA_GENERATOR_NO_MODEL);
  return self->state;
}

double
allava_generator_get_progress (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), 0);
  if (self->load != NULL)
    return g_atomic_int_get (&self->load->permille) / 1000.0;
  return self->loaded ? 1 : 0;
}

const char *
allava_generator_get_error (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->error;
}

const char *
allava_generator_get_model_path (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->model_path;
}

const char *
allava_generator_get_model_name (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->model_name;
}

const char *
allava_generator_get_device (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->info.device;
}

const char *
allava_generator_get_dtype (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->info.dtype;
}

const char *
allava_generator_get_device_note (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->info.device_note;
}

gboolean
allava_generator_get_loaded (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), FALSE);
  return self->loaded;
}

AllavaMessage *
allava_generator_get_answer (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->current != NULL ? self->current->message : NULL;
}

int
allava_generator_get_context_length (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), 0);
  return self->info.context_length;
}

int
allava_generator_get_image_positions (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), 0);
  return self->info.image_positions;
}

AllavaModel *
allava_generator_dup_model (AllavaGenerator *self)
{
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (self), NULL);
  return self->info.model != NULL ? allava_model_ref (self->info.model) : NULL;
}

void
allava_generator_load (AllavaGenerator *self, const char *path)
{
  g_return_if_fail (ALLAVA_IS_GENERATOR (self));
  g_autofree char *old = self->model_path; /* may be what PATH points to */
  self->model_path = g_strdup (path);
  g_free (self->model_name);
  self->model_name = path != NULL ? allava_model_finder_dup_name (path) : NULL;
  self->stale = path != NULL;
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  set_error (self, NULL);
  notify_model (self);
  advance (self);
}

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
  Answer *answer = g_new0 (Answer, 1);
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
  advance (self);
}

void
allava_generator_answer_finish (AllavaGenerator *self, GAsyncResult *result)
{
  g_return_if_fail (g_task_is_valid (result, self));
  g_task_propagate_boolean (G_TASK (result), NULL);
}

void
allava_generator_shut (AllavaGenerator *self)
{
  g_return_if_fail (ALLAVA_IS_GENERATOR (self));
  AllavaWorker *worker = g_steal_pointer (&self->worker);
  if (worker == NULL)
    return;
  g_clear_handle_id (&self->idle_source, g_source_remove);
  finish_all (self, ALLAVA_MESSAGE_STOPPED, NULL);
  if (self->current != NULL)
    g_cancellable_cancel (self->current->cancellable);
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  allava_worker_push (worker, unload, unloaded, self->context);
  allava_worker_join (worker);
  self->loaded = FALSE;
}
