/* allava-record.h - rows of the history as plain values, which may cross threads. */
#pragma once

#include "allava-message.h"

G_BEGIN_DECLS

typedef struct {
  char *sha256;
  int width;
  int height;
  char *name;
} AllavaImageRecord;

typedef struct {
  gint64 id;
  gint64 conversation_id;
  gint64 parent_id; /* 0: none */
  AllavaRole role;
  AllavaMessageState state;
  char *text;
  char *error; /* or NULL */
  AllavaMessageDetails details;
  GPtrArray *images; /* AllavaImageRecord, in order; never NULL */
} AllavaMessageRecord;

typedef struct {
  gint64 id;
  char *title;
  gint64 updated;     /* microseconds since 1970, UTC */
  gint64 active_leaf; /* the last message of the branch shown; 0: none */
} AllavaConversationRecord;

/* A line of the list, or of search results. */
typedef struct {
  gint64 id;
  gint64 updated;
  gint64 hit; /* the newest message that a search has found, or 0 */
} AllavaConversationKey;

typedef struct {
  gint64 id;
  char *title;
  char *snippet_markup; /* or NULL */
} AllavaConversationLine;

typedef struct {
  AllavaConversationRecord *conversation;
  GPtrArray *messages; /* AllavaMessageRecord of all branches, by id */
} AllavaConversationContent;

AllavaImageRecord *
allava_image_record_new (const char *sha256, int width, int height, const char *name);
AllavaMessageRecord *allava_message_record_new (AllavaMessage *message, gint64 conversation_id);
AllavaMessageRecord *allava_message_record_new_empty (void);

/* FOLDER is the image store's. */
AllavaMessage *allava_message_record_to_message (const AllavaMessageRecord *record,
                                                 const char *folder);

void allava_image_record_free (AllavaImageRecord *record);
void allava_message_record_free (AllavaMessageRecord *record);
void allava_conversation_record_free (AllavaConversationRecord *record);
void allava_conversation_line_free (AllavaConversationLine *line);
void allava_conversation_content_free (AllavaConversationContent *content);

/* An id that no row has: the time in microseconds, times 1024, and greater than all that this
 * process has given or noted, so that ids sort as things happened, whatever the clock does. */
gint64 allava_record_next_id (void);

/* Notes the id of a row that was loaded. Any thread. */
void allava_record_note_id (gint64 id);
gint64 allava_record_id_to_time (gint64 id); /* microseconds since 1970, UTC */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaMessageRecord, allava_message_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaConversationRecord, allava_conversation_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaConversationLine, allava_conversation_line_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaConversationContent, allava_conversation_content_free)

G_END_DECLS
