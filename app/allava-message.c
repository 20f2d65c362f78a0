#include "allava-message.h"

#include "allava-record.h"

struct _AllavaMessage {
  GObject parent_instance;
  gint64 id;
  gint64 parent_id;
  AllavaRole role;
  AllavaMessageState state;
  GString *text;
  char *error;
  GListStore *images;
  AllavaMessageDetails details;
  guint sibling;
  guint n_siblings;
};

enum {
  PROP_0,
  PROP_ID,
  PROP_ROLE,
  PROP_STATE,
  PROP_TEXT,
  PROP_ERROR,
  PROP_IMAGES,
  PROP_SIBLING,
  PROP_N_SIBLINGS,
  N_PROPS,
};

enum {
  SIGNAL_APPENDED,
  SIGNAL_DETAILS_CHANGED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_ENUM_TYPE (AllavaRole,
                    allava_role,
                    G_DEFINE_ENUM_VALUE (ALLAVA_ROLE_USER, "user"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_ROLE_ASSISTANT, "assistant"))

G_DEFINE_ENUM_TYPE (AllavaMessageState,
                    allava_message_state,
                    G_DEFINE_ENUM_VALUE (ALLAVA_MESSAGE_PARTIAL, "partial"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_MESSAGE_COMPLETE, "complete"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_MESSAGE_STOPPED, "stopped"),
                    G_DEFINE_ENUM_VALUE (ALLAVA_MESSAGE_FAILED, "failed"))

G_DEFINE_FINAL_TYPE (AllavaMessage, allava_message, G_TYPE_OBJECT)

/* ---- Details --------------------------------------------------------------------------------- */

void
allava_message_details_copy (const AllavaMessageDetails *from, AllavaMessageDetails *to)
{
  g_return_if_fail (from != NULL && to != NULL && from != to);
  allava_message_details_clear (to);
  *to = *from;
  to->model = g_strdup (from->model);
  to->device = g_strdup (from->device);
  to->dtype = g_strdup (from->dtype);
  to->finish = g_strdup (from->finish);
}

void
allava_message_details_clear (AllavaMessageDetails *details)
{
  g_return_if_fail (details != NULL);
  g_free (details->model);
  g_free (details->device);
  g_free (details->dtype);
  g_free (details->finish);
  *details = (AllavaMessageDetails){0};
}

double
allava_message_details_get_tokens_per_second (const AllavaMessageDetails *details)
{
  g_return_val_if_fail (details != NULL, 0);
  /* The first token's time is in prefill_ms. */
  return details->n_tokens > 1 && details->decode_ms > 0
             ? (details->n_tokens - 1) * 1000.0 / details->decode_ms
             : 0;
}

/* ---- Object ---------------------------------------------------------------------------------- */

static void
allava_message_finalize (GObject *object)
{
  AllavaMessage *self = ALLAVA_MESSAGE (object);
  g_string_free (self->text, TRUE);
  g_free (self->error);
  g_object_unref (self->images);
  allava_message_details_clear (&self->details);
  G_OBJECT_CLASS (allava_message_parent_class)->finalize (object);
}

static void
allava_message_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaMessage *self = ALLAVA_MESSAGE (object);
  switch (id) {
  case PROP_ID:
    g_value_set_int64 (value, self->id);
    break;
  case PROP_ROLE:
    g_value_set_enum (value, self->role);
    break;
  case PROP_STATE:
    g_value_set_enum (value, self->state);
    break;
  case PROP_TEXT:
    g_value_set_string (value, self->text->str);
    break;
  case PROP_ERROR:
    g_value_set_string (value, self->error);
    break;
  case PROP_IMAGES:
    g_value_set_object (value, self->images);
    break;
  case PROP_SIBLING:
    g_value_set_uint (value, self->sibling);
    break;
  case PROP_N_SIBLINGS:
    g_value_set_uint (value, self->n_siblings);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_message_class_init (AllavaMessageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->finalize = allava_message_finalize;
  object_class->get_property = allava_message_get_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_ID] = g_param_spec_int64 ("id", NULL, NULL, 0, G_MAXINT64, 0, flags);
  properties[PROP_ROLE] =
      g_param_spec_enum ("role", NULL, NULL, ALLAVA_TYPE_ROLE, ALLAVA_ROLE_USER, flags);
  properties[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, ALLAVA_TYPE_MESSAGE_STATE,
                                              ALLAVA_MESSAGE_PARTIAL, flags);
  properties[PROP_TEXT] = g_param_spec_string ("text", NULL, NULL, "", flags);
  properties[PROP_ERROR] = g_param_spec_string ("error", NULL, NULL, NULL, flags);
  properties[PROP_IMAGES] = g_param_spec_object ("images", NULL, NULL, G_TYPE_LIST_MODEL, flags);
  properties[PROP_SIBLING] = g_param_spec_uint ("sibling", NULL, NULL, 0, G_MAXUINT, 0, flags);
  properties[PROP_N_SIBLINGS] =
      g_param_spec_uint ("n-siblings", NULL, NULL, 1, G_MAXUINT, 1, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);

  signals[SIGNAL_APPENDED] =
      g_signal_new ("appended", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 1, G_TYPE_STRING | G_SIGNAL_TYPE_STATIC_SCOPE);
  signals[SIGNAL_DETAILS_CHANGED] =
      g_signal_new ("details-changed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                    NULL, G_TYPE_NONE, 0);
}

static void
allava_message_init (AllavaMessage *self)
{
  self->text = g_string_new (NULL);
  self->images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  self->n_siblings = 1;
}

AllavaMessage *
allava_message_new (gint64 id, AllavaRole role, const char *text, GListModel *images)
{
  AllavaMessage *self = g_object_new (ALLAVA_TYPE_MESSAGE, NULL);
  self->id = id;
  self->role = role;
  self->state = role == ALLAVA_ROLE_USER ? ALLAVA_MESSAGE_COMPLETE : ALLAVA_MESSAGE_PARTIAL;
  g_string_assign (self->text, text != NULL ? text : "");
  for (guint i = 0; images != NULL && i < g_list_model_get_n_items (images); i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (images, i);
    g_list_store_append (self->images, image);
  }
  return self;
}

gint64
allava_message_get_id (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), 0);
  return self->id;
}

AllavaRole
allava_message_get_role (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), ALLAVA_ROLE_USER);
  return self->role;
}

AllavaMessageState
allava_message_get_state (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), ALLAVA_MESSAGE_FAILED);
  return self->state;
}

const char *
allava_message_get_text (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), NULL);
  return self->text->str;
}

const char *
allava_message_get_error (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), NULL);
  return self->error;
}

GListModel *
allava_message_get_images (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), NULL);
  return G_LIST_MODEL (self->images);
}

guint
allava_message_get_sibling (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), 0);
  return self->sibling;
}

guint
allava_message_get_n_siblings (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), 1);
  return self->n_siblings;
}

const AllavaMessageDetails *
allava_message_get_details (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), NULL);
  return &self->details;
}

gint64
allava_message_get_created (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), 0);
  return allava_record_id_to_time (self->id);
}

void
allava_message_append (AllavaMessage *self, const char *piece)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  g_return_if_fail (piece != NULL);
  g_string_append (self->text, piece);
  g_signal_emit (self, signals[SIGNAL_APPENDED], 0, piece);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TEXT]);
}

void
allava_message_set_state (AllavaMessage *self, AllavaMessageState state)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  if (self->state == state)
    return;
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
}

void
allava_message_set_error (AllavaMessage *self, const char *error)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  if (g_strcmp0 (self->error, error) == 0)
    return;
  g_free (self->error);
  self->error = g_strdup (error);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ERROR]);
}

void
allava_message_set_details (AllavaMessage *self, const AllavaMessageDetails *details)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  allava_message_details_copy (details, &self->details);
  g_signal_emit (self, signals[SIGNAL_DETAILS_CHANGED], 0);
}

void
allava_message_set_siblings (AllavaMessage *self, guint sibling, guint n_siblings)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  g_return_if_fail (sibling < n_siblings);
  if (self->sibling != sibling) {
    self->sibling = sibling;
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_SIBLING]);
  }
  if (self->n_siblings != n_siblings) {
    self->n_siblings = n_siblings;
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_N_SIBLINGS]);
  }
}

gint64
allava_message_get_parent_id (AllavaMessage *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (self), 0);
  return self->parent_id;
}

void
allava_message_set_parent_id (AllavaMessage *self, gint64 parent_id)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE (self));
  self->parent_id = parent_id;
}
