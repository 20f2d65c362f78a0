#include "allava-model-entry.h"

struct _AllavaModelEntry {
  GObject parent_instance;
  char *path;
  char *name;
  guint64 size;
  gboolean hub;
};

enum {
  PROP_0,
  PROP_PATH,
  PROP_NAME,
  PROP_SIZE,
  PROP_HUB,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_FINAL_TYPE (AllavaModelEntry, allava_model_entry, G_TYPE_OBJECT)

static void
allava_model_entry_finalize (GObject *object)
{
  AllavaModelEntry *self = ALLAVA_MODEL_ENTRY (object);
  g_free (self->path);
  g_free (self->name);
  G_OBJECT_CLASS (allava_model_entry_parent_class)->finalize (object);
}

static void
allava_model_entry_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaModelEntry *self = ALLAVA_MODEL_ENTRY (object);
  switch (id) {
  case PROP_PATH:
    g_value_set_string (value, self->path);
    break;
  case PROP_NAME:
    g_value_set_string (value, self->name);
    break;
  case PROP_SIZE:
    g_value_set_uint64 (value, self->size);
    break;
  case PROP_HUB:
    g_value_set_boolean (value, self->hub);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_model_entry_class_init (AllavaModelEntryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->finalize = allava_model_entry_finalize;
  object_class->get_property = allava_model_entry_get_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_PATH] = g_param_spec_string ("path", NULL, NULL, NULL, flags);
  properties[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  properties[PROP_SIZE] = g_param_spec_uint64 ("size", NULL, NULL, 0, G_MAXUINT64, 0, flags);
  properties[PROP_HUB] = g_param_spec_boolean ("hub", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
allava_model_entry_init (AllavaModelEntry *self)
{
}

AllavaModelEntry *
allava_model_entry_new (const char *path, const char *name, guint64 size, gboolean hub)
{
  g_return_val_if_fail (path != NULL, NULL);
  g_return_val_if_fail (name != NULL, NULL);
  AllavaModelEntry *self = g_object_new (ALLAVA_TYPE_MODEL_ENTRY, NULL);
  self->path = g_strdup (path);
  self->name = g_strdup (name);
  self->size = size;
  self->hub = hub;
  return self;
}

const char *
allava_model_entry_get_path (AllavaModelEntry *self)
{
  g_return_val_if_fail (ALLAVA_IS_MODEL_ENTRY (self), NULL);
  return self->path;
}

const char *
allava_model_entry_get_name (AllavaModelEntry *self)
{
  g_return_val_if_fail (ALLAVA_IS_MODEL_ENTRY (self), NULL);
  return self->name;
}

guint64
allava_model_entry_get_size (AllavaModelEntry *self)
{
  g_return_val_if_fail (ALLAVA_IS_MODEL_ENTRY (self), 0);
  return self->size;
}

gboolean
allava_model_entry_get_hub (AllavaModelEntry *self)
{
  g_return_val_if_fail (ALLAVA_IS_MODEL_ENTRY (self), FALSE);
  return self->hub;
}
