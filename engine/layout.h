/* layout.h - a prompt by positions: what the backend is to compute, and what each position is.
 *
 * The key of a position says what stands there: a token's id, or a negative number for a position
 * of an image. Two prompts with the same leading keys are computed alike up to there, which is all
 * that reusing a KV cache needs to know. */
#pragma once

#include "backend.h"

typedef struct {
  GArray *keys;     /* int64_t, one for each position */
  GArray *segments; /* AllavaSegment; valid once settled */
  GArray *ids;      /* int32_t, of all text segments in a row */
} AllavaLayout;

void allava_layout_init (AllavaLayout *layout);
void allava_layout_clear (AllavaLayout *layout);

void allava_layout_add_id (AllavaLayout *layout, int32_t id);

/* N positions of an image's FEATURES (the backend's, borrowed). NUMBER, from 1, tells images
 * apart. */
void allava_layout_add_image (AllavaLayout *layout, gconstpointer features, int number, size_t n);

/* After the last addition: makes the segments usable. */
void allava_layout_settle (AllavaLayout *layout);

/* How many leading positions of LAYOUT have the same KEYS (int64_t), its last position never
 * counted, since its logits are wanted. */
size_t allava_layout_count_known (const AllavaLayout *layout, const GArray *keys);

/* Leaves the first N positions out of the segments; the keys stay. */
void allava_layout_skip (AllavaLayout *layout, size_t n);
