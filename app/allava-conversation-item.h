/* allava-conversation-item.h - what the side bar knows of a conversation: a line of the list.
 *
 * It may stand in the list before it is read from the disk; its properties notify then. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
  ALLAVA_SECTION_TODAY,
  ALLAVA_SECTION_YESTERDAY,
  ALLAVA_SECTION_WEEK,  /* the seven days before today */
  ALLAVA_SECTION_MONTH, /* the thirty days before today */
  ALLAVA_SECTION_OLDER,
} AllavaSection;

#define ALLAVA_TYPE_SECTION (allava_section_get_type ())
GType allava_section_get_type (void);

#define ALLAVA_TYPE_CONVERSATION_ITEM (allava_conversation_item_get_type ())
G_DECLARE_FINAL_TYPE (
    AllavaConversationItem, allava_conversation_item, ALLAVA, CONVERSATION_ITEM, GObject)

/* Properties (read-only, all notify):
 *   id              int64
 *   loaded          boolean  title and snippet are there
 *   title           string
 *   updated         int64    last change, microseconds since 1970, UTC
 *   section         AllavaSection
 *   starts-section  boolean  the item before it is of another section; FALSE in search results
 *   snippet-markup  string or NULL: in search results the words around the hit, Pango markup with
 *                            the hits in <b> */

AllavaConversationItem *allava_conversation_item_new (gint64 id);

gint64 allava_conversation_item_get_id (AllavaConversationItem *self);
gboolean allava_conversation_item_get_loaded (AllavaConversationItem *self);
const char *allava_conversation_item_get_title (AllavaConversationItem *self);
gint64 allava_conversation_item_get_updated (AllavaConversationItem *self);
AllavaSection allava_conversation_item_get_section (AllavaConversationItem *self);
gboolean allava_conversation_item_get_starts_section (AllavaConversationItem *self);
const char *allava_conversation_item_get_snippet_markup (AllavaConversationItem *self);

/* For the list. */
void allava_conversation_item_fill (AllavaConversationItem *self,
                                    const char *title,
                                    const char *snippet_markup);
void allava_conversation_item_place (AllavaConversationItem *self,
                                     gint64 updated,
                                     AllavaSection section,
                                     gboolean starts_section);

G_END_DECLS
