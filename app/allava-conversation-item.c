#include "allava-conversation-item.h"

struct _AllavaConversationItem {
  GObject parent_instance;
  gint64 id;
  gboolean loaded;
  char *title;
  char *snippet_markup;
  gint64 updated;
  AllavaSection section;
  gboolean starts_section;
};

enum {
  PROP_0,
  PROP_ID,
  PROP_LOADED,
  PROP_TITLE,
  PROP_UPDATED,
  PROP_SECTION,
  PROP_STARTS_SECTION,
  PROP_SNIPPET_MARKUP,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_ENUM_TYPE (AllavaSection,
                    allava_section,
                    G_DEFINE_ENUM_VALUE (ALLAVA_SECTION_TODAY, "today"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_SECTION_YESTERDAY, "yesterday"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_SECTION_WEEK, "week"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_SECTION_MONTH, "month"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_SECTION_OLDER, "older"))

G_DEFINE_FINAL_TYPE (AllavaConversationItem, allava_conversation_item, G_TYPE_OBJECT)

static void
allava_conversation_item_finalize (GObject *object)
{
  AllavaConversationItem *self = ALLAVA_CONVERSATION_ITEM (object);
  g_free (self->title);
  g_free (self->snippet_markup);
  G_OBJECT_CLASS (allava_conversation_item_parent_class)->finalize (object);
}

static void
allava_conversation_item_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaConversationItem *self = ALLAVA_CONVERSATION_ITEM (object);
  switch (id) {
  case PROP_ID:
    g_value_set_int64 (value, self->id);
    break;
  case PROP_LOADED:
    g_value_set_boolean (value, self->loaded);
    break;
  case PROP_TITLE:
    g_value_set_string (value, self->title);
    break;
  case PROP_UPDATED:
    g_value_set_int64 (value, self->updated);
    break;
  case PROP_SECTION:
    g_value_set_enum (value, self->section);
    break;
  case PROP_STARTS_SECTION:
    g_value_set_boolean (value, self->starts_section);
    break;
  case PROP_SNIPPET_MARKUP:
    g_value_set_string (value, self->snippet_markup);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_conversation_item_class_init (AllavaConversationItemClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->finalize = allava_conversation_item_finalize;
  object_class->get_property = allava_conversation_item_get_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_ID] = g_param_spec_int64 ("id", NULL, NULL, 0, G_MAXINT64, 0, flags);
  properties[PROP_LOADED] = g_param_spec_boolean ("loaded", NULL, NULL, FALSE, flags);
  properties[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, "", flags);
  properties[PROP_UPDATED] = g_param_spec_int64 ("updated", NULL, NULL, 0, G_MAXINT64, 0, flags);
  properties[PROP_SECTION] =
      g_param_spec_enum ("section", NULL, NULL, ALLAVA_TYPE_SECTION, ALLAVA_SECTION_TODAY, flags);
  properties[PROP_STARTS_SECTION] =
      g_param_spec_boolean ("starts-section", NULL, NULL, FALSE, flags);
  properties[PROP_SNIPPET_MARKUP] = g_param_spec_string ("snippet-markup", NULL, NULL, NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
allava_conversation_item_init (AllavaConversationItem *self)
{
  self->title = g_strdup ("");
}

AllavaConversationItem *
allava_conversation_item_new (gint64 id)
{
  AllavaConversationItem *self = g_object_new (ALLAVA_TYPE_CONVERSATION_ITEM, NULL);
  self->id = id;
  return self;
}

gint64
allava_conversation_item_get_id (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), 0);
  return self->id;
}

gboolean
allava_conversation_item_get_loaded (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), FALSE);
  return self->loaded;
}

const char *
allava_conversation_item_get_title (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), NULL);
  return self->title;
}

gint64
allava_conversation_item_get_updated (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), 0);
  return self->updated;
}

AllavaSection
allava_conversation_item_get_section (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), ALLAVA_SECTION_OLDER);
  return self->section;
}

gboolean
allava_conversation_item_get_starts_section (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), FALSE);
  return self->starts_section;
}

const char *
allava_conversation_item_get_snippet_markup (AllavaConversationItem *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self), NULL);
  return self->snippet_markup;
}

static void
set_string (AllavaConversationItem *self, char **field, const char *value, guint property)
{
  if (g_strcmp0 (*field, value) == 0)
    return;
  g_free (*field);
  *field = g_strdup (value);
  g_object_notify_by_pspec (G_OBJECT (self), properties[property]);
}

void
allava_conversation_item_fill (AllavaConversationItem *self,
                               const char *title,
                               const char *snippet_markup)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self));
  g_return_if_fail (title != NULL);
  set_string (self, &self->title, title, PROP_TITLE);
  set_string (self, &self->snippet_markup, snippet_markup, PROP_SNIPPET_MARKUP);
  if (self->loaded)
    return;
  self->loaded = TRUE;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LOADED]);
}

void
allava_conversation_item_place (AllavaConversationItem *self,
                                gint64 updated,
                                AllavaSection section,
                                gboolean starts_section)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION_ITEM (self));
  if (self->updated != updated) {
    self->updated = updated;
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_UPDATED]);
  }
  if (self->section != section) {
    self->section = section;
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SECTION]);
  }
  if (self->starts_section != starts_section) {
    self->starts_section = starts_section;
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STARTS_SECTION]);
  }
}
