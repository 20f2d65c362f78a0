#include "allava-record.h"

AllavaImageRecord *
allava_image_record_new (const char *sha256, int width, int height, const char *name)
{
  AllavaImageRecord *record = g_new (AllavaImageRecord, 1);
  *record = (AllavaImageRecord){g_strdup (sha256), width, height, g_strdup (name)};
  return record;
}

AllavaMessageRecord *
allava_message_record_new_empty (void)
{
  AllavaMessageRecord *record = g_new0 (AllavaMessageRecord, 1);
  record->images = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_image_record_free);
  return record;
}

AllavaMessageRecord *
allava_message_record_new (AllavaMessage *message, gint64 conversation_id)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (message), NULL);
  AllavaMessageRecord *record = allava_message_record_new_empty ();
  record->id = allava_message_get_id (message);
  record->conversation_id = conversation_id;
  record->parent_id = allava_message_get_parent_id (message);
  record->role = allava_message_get_role (message);
  record->state = allava_message_get_state (message);
  record->text = g_strdup (allava_message_get_text (message));
  record->error = g_strdup (allava_message_get_error (message));
  allava_message_details_copy (allava_message_get_details (message), &record->details);

  GListModel *images = allava_message_get_images (message);
  for (guint i = 0; i < g_list_model_get_n_items (images); i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (images, i);
    g_ptr_array_add (record->images, allava_image_record_new (allava_image_get_sha256 (image),
                                                              allava_image_get_width (image),
                                                              allava_image_get_height (image),
                                                              allava_image_get_name (image)));
  }
  return record;
}

AllavaMessage *
allava_message_record_to_message (const AllavaMessageRecord *record, const char *folder)
{
  g_return_val_if_fail (record != NULL, NULL);
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  for (guint i = 0; i < record->images->len; i++) {
    const AllavaImageRecord *row = g_ptr_array_index (record->images, i);
    g_autoptr (AllavaImage) image =
        allava_image_new (folder, row->sha256, row->width, row->height, row->name);
    g_list_store_append (images, image);
  }
  AllavaMessage *message =
      allava_message_new (record->id, record->role, record->text, G_LIST_MODEL (images));
  allava_message_set_parent_id (message, record->parent_id);
  allava_message_set_state (message, record->state);
  allava_message_set_error (message, record->error);
  allava_message_set_details (message, &record->details);
  return message;
}

void
allava_image_record_free (AllavaImageRecord *record)
{
  g_free (record->sha256);
  g_free (record->name);
  g_free (record);
}

void
allava_message_record_free (AllavaMessageRecord *record)
{
  g_free (record->text);
  g_free (record->error);
  allava_message_details_clear (&record->details);
  g_ptr_array_unref (record->images);
  g_free (record);
}

void
allava_conversation_record_free (AllavaConversationRecord *record)
{
  g_free (record->title);
  g_free (record);
}

void
allava_conversation_line_free (AllavaConversationLine *line)
{
  g_free (line->title);
  g_free (line->snippet_markup);
  g_free (line);
}

void
allava_conversation_content_free (AllavaConversationContent *content)
{
  g_clear_pointer (&content->conversation, allava_conversation_record_free);
  g_clear_pointer (&content->messages, g_ptr_array_unref);
  g_free (content);
}

/* A file may hold any id; above this one there are enough for all that is still to come. */
#define MAX_NOTED_ID (G_MAXINT64 - ((gint64)1 << 40))

static GMutex last_mutex;
static gint64 last_id;

gint64
allava_record_next_id (void)
{
  gint64 now = g_get_real_time () * 1024 + g_random_int_range (0, 1024);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&last_mutex);
  return last_id = MAX (last_id + 1, now);
}

void
allava_record_note_id (gint64 id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&last_mutex);
  if (id <= MAX_NOTED_ID)
    last_id = MAX (last_id, id);
}

gint64
allava_record_id_to_time (gint64 id)
{
  return id / 1024;
}
