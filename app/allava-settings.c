#include "allava-settings.h"

struct _AllavaSettings {
  GObject parent_instance;
  char *model;
  char *models_folder;
  char **added_models;
  char *device;
  char *dtype;
  int threads;
  int max_tokens;
  double temperature;
  double top_p;
  gint64 seed;
  int idle_unload;
  double text_scale;
  AllavaAnnounce announce;
};

enum {
  PROP_0,
  PROP_MODEL,
  PROP_MODELS_FOLDER,
  PROP_ADDED_MODELS,
  PROP_DEVICE,
  PROP_DTYPE,
  PROP_THREADS,
  PROP_MAX_TOKENS,
  PROP_TEMPERATURE,
  PROP_TOP_P,
  PROP_SEED,
  PROP_IDLE_UNLOAD,
  PROP_TEXT_SCALE,
  PROP_ANNOUNCE,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_ENUM_TYPE (AllavaAnnounce,
                    allava_announce,
                    G_DEFINE_ENUM_VALUE (ALLAVA_ANNOUNCE_NEVER, "never"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_ANNOUNCE_DONE, "done"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_ANNOUNCE_SENTENCES, "sentences"))

G_DEFINE_FINAL_TYPE (AllavaSettings, allava_settings, G_TYPE_OBJECT)

/* The field that a string property is kept in, or NULL. */
static char **
string_field (AllavaSettings *self, guint id)
{
  switch (id) {
  case PROP_MODEL:
    return &self->model;
  case PROP_MODELS_FOLDER:
    return &self->models_folder;
  case PROP_DEVICE:
    return &self->device;
  case PROP_DTYPE:
    return &self->dtype;
  default:
    return NULL;
  }
}

static int *
int_field (AllavaSettings *self, guint id)
{
  switch (id) {
  case PROP_THREADS:
    return &self->threads;
  case PROP_MAX_TOKENS:
    return &self->max_tokens;
  case PROP_IDLE_UNLOAD:
    return &self->idle_unload;
  default:
    return NULL;
  }
}

static double *
double_field (AllavaSettings *self, guint id)
{
  switch (id) {
  case PROP_TEMPERATURE:
    return &self->temperature;
  case PROP_TOP_P:
    return &self->top_p;
  case PROP_TEXT_SCALE:
    return &self->text_scale;
  default:
    return NULL;
  }
}

static void
allava_settings_finalize (GObject *object)
{
  AllavaSettings *self = ALLAVA_SETTINGS (object);
  g_free (self->model);
  g_free (self->models_folder);
  g_strfreev (self->added_models);
  g_free (self->device);
  g_free (self->dtype);
  G_OBJECT_CLASS (allava_settings_parent_class)->finalize (object);
}

static void
allava_settings_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaSettings *self = ALLAVA_SETTINGS (object);
  if (string_field (self, id) != NULL)
    g_value_set_string (value, *string_field (self, id));
  else if (int_field (self, id) != NULL)
    g_value_set_int (value, *int_field (self, id));
  else if (double_field (self, id) != NULL)
    g_value_set_double (value, *double_field (self, id));
  else if (id == PROP_ADDED_MODELS)
    g_value_set_boxed (value, self->added_models);
  else if (id == PROP_SEED)
    g_value_set_int64 (value, self->seed);
  else if (id == PROP_ANNOUNCE)
    g_value_set_enum (value, self->announce);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
allava_settings_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  AllavaSettings *self = ALLAVA_SETTINGS (object);
  g_auto (GValue) old = G_VALUE_INIT;
  g_value_init (&old, pspec->value_type);
  allava_settings_get_property (object, id, &old, pspec);
  if (id != PROP_ADDED_MODELS && g_param_values_cmp (pspec, &old, value) == 0)
    return;

  if (string_field (self, id) != NULL) {
    g_free (*string_field (self, id));
    *string_field (self, id) = g_value_dup_string (value);
  } else if (int_field (self, id) != NULL) {
    *int_field (self, id) = g_value_get_int (value);
  } else if (double_field (self, id) != NULL) {
    *double_field (self, id) = g_value_get_double (value);
  } else if (id == PROP_ADDED_MODELS) {
    g_strfreev (self->added_models);
    self->added_models = g_value_dup_boxed (value);
  } else if (id == PROP_SEED) {
    self->seed = g_value_get_int64 (value);
  } else if (id == PROP_ANNOUNCE) {
    self->announce = g_value_get_enum (value);
  }
  g_object_notify_by_pspec (object, pspec);
}

static void
allava_settings_class_init (AllavaSettingsClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->finalize = allava_settings_finalize;
  object_class->get_property = allava_settings_get_property;
  object_class->set_property = allava_settings_set_property;

  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_MODEL] = g_param_spec_string ("model", NULL, NULL, "", flags);
  properties[PROP_MODELS_FOLDER] = g_param_spec_string ("models-folder", NULL, NULL, "", flags);
  properties[PROP_ADDED_MODELS] =
      g_param_spec_boxed ("added-models", NULL, NULL, G_TYPE_STRV, flags);
  properties[PROP_DEVICE] = g_param_spec_string ("device", NULL, NULL, "auto", flags);
  properties[PROP_DTYPE] = g_param_spec_string ("dtype", NULL, NULL, "auto", flags);
  properties[PROP_THREADS] = g_param_spec_int ("threads", NULL, NULL, 0, 256, 0, flags);
  properties[PROP_MAX_TOKENS] = g_param_spec_int ("max-tokens", NULL, NULL, 1, 4096, 768, flags);
  properties[PROP_TEMPERATURE] = g_param_spec_double ("temperature", NULL, NULL, 0, 2, 0, flags);
  properties[PROP_TOP_P] = g_param_spec_double ("top-p", NULL, NULL, 0.01, 1, 1, flags);
  properties[PROP_SEED] = g_param_spec_int64 ("seed", NULL, NULL, 0, G_MAXINT64, 0, flags);
  properties[PROP_IDLE_UNLOAD] = g_param_spec_int ("idle-unload", NULL, NULL, 0, 1440, 10, flags);
  properties[PROP_TEXT_SCALE] = g_param_spec_double ("text-scale", NULL, NULL, 0.5, 3, 1, flags);
  properties[PROP_ANNOUNCE] =
      g_param_spec_enum ("announce", NULL, NULL, ALLAVA_TYPE_ANNOUNCE, ALLAVA_ANNOUNCE_DONE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
allava_settings_init (AllavaSettings *self)
{
}

AllavaSettings *
allava_settings_new (void)
{
  return g_object_new (ALLAVA_TYPE_SETTINGS, NULL);
}

const char *
allava_settings_get_model (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), NULL);
  return self->model;
}

const char *
allava_settings_get_models_folder (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), NULL);
  return self->models_folder;
}

const char *const *
allava_settings_get_added_models (AllavaSettings *self)
{
  static const char *const none[] = {NULL};
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), none);
  return self->added_models != NULL ? (const char *const *)self->added_models : none;
}

const char *
allava_settings_get_device (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), NULL);
  return self->device;
}

const char *
allava_settings_get_dtype (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), NULL);
  return self->dtype;
}

int
allava_settings_get_threads (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 0);
  return self->threads;
}

int
allava_settings_get_max_tokens (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 1);
  return self->max_tokens;
}

double
allava_settings_get_temperature (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 0);
  return self->temperature;
}

double
allava_settings_get_top_p (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 1);
  return self->top_p;
}

gint64
allava_settings_get_seed (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 0);
  return self->seed;
}

int
allava_settings_get_idle_unload (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 0);
  return self->idle_unload;
}

double
allava_settings_get_text_scale (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), 1);
  return self->text_scale;
}

AllavaAnnounce
allava_settings_get_announce (AllavaSettings *self)
{
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (self), ALLAVA_ANNOUNCE_NEVER);
  return self->announce;
}
