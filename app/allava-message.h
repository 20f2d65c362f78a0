/* allava-message.h - one question or one answer of a conversation.
 *
 * Belongs to the main thread. An AllavaConversation makes it, changes it and has it saved; others
 * look at it and listen. */
#pragma once

#include "allava-engine.h"
#include "allava-image.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_ROLE (allava_role_get_type ())
GType allava_role_get_type (void);

/* Stored in the database: never renumber. */
typedef enum {
  ALLAVA_MESSAGE_PARTIAL = 0,  /* waits for the model, or is being written */
  ALLAVA_MESSAGE_COMPLETE = 1, /* ended by itself; a question always is */
  ALLAVA_MESSAGE_STOPPED = 2,  /* by a person, or by the end of the program */
  ALLAVA_MESSAGE_FAILED = 3,   /* "error" says why; the text is what came before */
} AllavaMessageState;

#define ALLAVA_TYPE_MESSAGE_STATE (allava_message_state_get_type ())
GType allava_message_state_get_type (void);

/* How an answer came about. Strings are owned by the struct. Zero means unknown. */
typedef struct {
  char *model;  /* its name */
  char *device; /* "cpu", ... */
  char *dtype;
  char *finish; /* allava_finish_to_string(): "eos", "length", "context", "cancelled" */
  int n_tokens;
  int prompt_positions;
  int positions_left; /* of the context, after the answer */
  int dropped_turns;  /* oldest turns that the model no longer saw */
  double image_ms;
  double prefill_ms;
  double first_token_ms; /* from the moment that its turn came */
  double decode_ms;
} AllavaMessageDetails;

void allava_message_details_copy (const AllavaMessageDetails *from, AllavaMessageDetails *to);
void allava_message_details_clear (AllavaMessageDetails *details);
double allava_message_details_get_tokens_per_second (const AllavaMessageDetails *details);

#define ALLAVA_TYPE_MESSAGE (allava_message_get_type ())
G_DECLARE_FINAL_TYPE (AllavaMessage, allava_message, ALLAVA, MESSAGE, GObject)

/* Properties (all notify; read-only except to the conversation):
 *   id         int64   unique; grows with time
 *   role       AllavaRole
 *   state      AllavaMessageState
 *   text       string  notifies too when text is appended
 *   error      string or NULL
 *   images     GListModel of AllavaImage, constant
 *   sibling    uint    which of its siblings this is, from 0: versions of the same question,
 *                      answers to the same question, and what followed one that was deleted
 *   n-siblings uint    at least 1
 *
 * Signals:
 *   appended (const char *piece)   text has grown at its end by PIECE; comes before notify::text
 *   details-changed ()             timings, model and the like are known now */

AllavaMessage *
allava_message_new (gint64 id, AllavaRole role, const char *text, GListModel *images);

gint64 allava_message_get_id (AllavaMessage *self);
AllavaRole allava_message_get_role (AllavaMessage *self);
AllavaMessageState allava_message_get_state (AllavaMessage *self);
const char *allava_message_get_text (AllavaMessage *self); /* borrowed until it changes */
const char *allava_message_get_error (AllavaMessage *self);
GListModel *allava_message_get_images (AllavaMessage *self); /* never NULL */
guint allava_message_get_sibling (AllavaMessage *self);
guint allava_message_get_n_siblings (AllavaMessage *self);
const AllavaMessageDetails *allava_message_get_details (AllavaMessage *self);
gint64 allava_message_get_created (AllavaMessage *self); /* microseconds since 1970, UTC */

/* For the conversation and the generator. */
void allava_message_append (AllavaMessage *self, const char *piece);
void allava_message_set_state (AllavaMessage *self, AllavaMessageState state);
void allava_message_set_error (AllavaMessage *self, const char *error);
void allava_message_set_details (AllavaMessage *self, const AllavaMessageDetails *details);
void allava_message_set_siblings (AllavaMessage *self, guint sibling, guint n_siblings);
gint64 allava_message_get_parent_id (AllavaMessage *self); /* 0: a first question */
void allava_message_set_parent_id (AllavaMessage *self, gint64 parent_id);

G_END_DECLS
