#include "allava-generator.h"

#include "allava-generator-private.h"
#include "allava-model-finder.h"

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

/* ---- What others see ------------------------------------------------------------------------- */

static void
notify (AllavaGenerator *self, guint id)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[id]);
}

void
allava_generator_notify_model (AllavaGenerator *self)
{
  static const guint ids[] = {PROP_ERROR,  PROP_MODEL_PATH,     PROP_MODEL_NAME,
                              PROP_DEVICE, PROP_DTYPE,          PROP_DEVICE_NOTE,
                              PROP_LOADED, PROP_CONTEXT_LENGTH, PROP_IMAGE_POSITIONS};
  for (gsize i = 0; i < G_N_ELEMENTS (ids); i++)
    notify (self, ids[i]);
}

void
allava_generator_notify_answer (AllavaGenerator *self)
{
  notify (self, PROP_ANSWER);
}

void
allava_generator_notify_progress (AllavaGenerator *self)
{
  notify (self, PROP_PROGRESS);
}

void
allava_generator_update_state (AllavaGenerator *self)
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

void
allava_generator_set_error (AllavaGenerator *self, const char *error)
{
  g_free (self->error);
  self->error = g_strdup (error);
}

static void
device_changed_cb (AllavaSettings *settings, GParamSpec *pspec, AllavaGenerator *self)
{
  self->gpu_failed = FALSE;
  if (!self->loaded && self->load == NULL && self->error == NULL)
    return; /* the next load looks at it */
  self->stale = TRUE;
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  allava_generator_advance (self);
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
  g_signal_connect_object (settings, "notify::idle-unload", G_CALLBACK (allava_generator_advance),
                           self, G_CONNECT_SWAPPED);
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
  self->gpu_failed = FALSE;
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  allava_generator_set_error (self, NULL);
  allava_generator_notify_model (self);
  allava_generator_advance (self);
}

void
allava_generator_shut (AllavaGenerator *self)
{
  g_return_if_fail (ALLAVA_IS_GENERATOR (self));
  AllavaWorker *worker = g_steal_pointer (&self->worker);
  if (worker == NULL)
    return;
  g_clear_handle_id (&self->idle_source, g_source_remove);
  allava_generator_finish_waiting (self, ALLAVA_MESSAGE_STOPPED, NULL);
  if (self->current != NULL)
    g_cancellable_cancel (self->current->cancellable);
  if (self->load != NULL)
    g_cancellable_cancel (self->load->cancellable);
  allava_worker_push (worker, unload, unloaded, self->context);
  allava_worker_join (worker);
  self->loaded = FALSE;
}
