/* allava-prompt.h - what a model is asked: a conversation's turns as plain values. */
#pragma once

#include "allava-message.h"

G_BEGIN_DECLS

typedef struct {
  AllavaRole role;
  char *text;
  GPtrArray *images; /* AllavaImage, owned; never NULL */
} AllavaPromptTurn;

/* The prompt is a GPtrArray of AllavaPromptTurn that frees them. Roles alternate as the engine
 * wants it: an empty answer that is not the last is left out with its question. */
GPtrArray *allava_prompt_new (GListModel *messages);

void allava_prompt_turn_free (AllavaPromptTurn *turn);

G_END_DECLS
