/* prompt.h - from a conversation to the items that the model reads: ids and pictures.
 *
 * The format is ALLaVA's (allava/serve/cli.py): a user turn is "[INST] <image>\n...TEXT [/INST] ",
 * an assistant turn its text and the end token; every turn, and every piece of a turn around an
 * image, is tokenised on its own; no system prompt, no start token. */
#pragma once

#include "allava-engine.h"

typedef struct {
  AllavaPicture *picture; /* borrowed from the turn, or NULL */
  int32_t id;             /* where PICTURE is NULL */
} AllavaPromptItem;

typedef struct {
  GArray *items;    /* AllavaPromptItem */
  size_t positions; /* that the items take */
  size_t dropped;   /* oldest turns left out */
} AllavaPrompt;

typedef struct {
  AllavaTokenizer *tokenizer;
  int32_t eos;
  size_t image_positions; /* of one picture */
  size_t limit;           /* positions that the whole prompt may take */
  size_t last_limit;      /* the same once only the last pair is left */
} AllavaPromptRules;

/* Builds the prompt; leaves out oldest pairs of turns until it fits LIMIT. The pictures of the
 * latest turn that has any are never left out: they move to the first turn kept.
 * Clear PROMPT with allava_prompt_clear(). Errors: INPUT, CONTEXT. */
gboolean allava_prompt_build (AllavaPrompt *prompt,
                              const AllavaPromptRules *rules,
                              const AllavaTurn *turns,
                              size_t n_turns,
                              GError **error);
void allava_prompt_clear (AllavaPrompt *prompt);
