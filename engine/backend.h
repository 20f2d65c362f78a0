/* backend.h - what a device must do: whole steps, not single operators, so that each backend can
 * fuse as it likes. A backend is reached through its table alone. */
#pragma once

#include "config.h"
#include "sampler.h"
#include "weights.h"

/* Shows intermediate tensors to allava_session_trace's caller. */
typedef struct {
  AllavaTensorFunc func;
  gpointer data;
} AllavaTrace;

/* Consecutive positions of a prompt: either ids, or a part of an image's features. */
typedef struct {
  const int32_t *ids;     /* [n], or NULL */
  gconstpointer features; /* of encode(), where ids is NULL */
  size_t offset;          /* first of the features' positions */
  size_t n;               /* positions */
} AllavaSegment;

/* How an answer's tokens are chosen, as allava_sampler_next() does. */
typedef struct {
  const int32_t *ids; /* that may be chosen, EOS among them; the same in every answer of a model */
  size_t n_ids;
  int32_t eos;
  int min_new_tokens; /* before so many tokens, EOS is not chosen unless nothing else can be */
  int max_new_tokens; /* no more than so many will be asked for */
  size_t position;    /* of the first token */
  AllavaSampler sampler;
} AllavaAnswer;

/* MODEL, SESSION and FEATURES are the backend's own. A model may serve several sessions, from
 * several threads. Steps return FALSE or NULL with an error, G_IO_ERROR_CANCELLED among them;
 * cancelling is looked at in each layer. TRACE may be NULL. */
typedef struct {
  const char *name;

  /* What AUTO tries, widest first, AUTO last. BF16 stands for the file's 16-bit type. */
  const AllavaDtype *automatic;

  /* Whether load() copies every weight: the files are then read ahead beside it, not before, and
   * may change afterwards. */
  gboolean copies;

  /* What the device's memory still holds, bytes, and what a model kept in DTYPE (never AUTO) takes
   * of it: weights, those used where they lie in the file included, one session's KV cache and
   * intermediate results. SIZE_MAX: load() will refuse that dtype. */
  size_t (*read_free) (const AllavaModelOptions *options);
  size_t (*measure) (const AllavaConfig *config, const AllavaWeights *weights, AllavaDtype dtype);

  /* CONFIG and the mapped WEIGHTS outlive the model; OPTIONS' dtype is not AUTO. Fills the device's
   * part of INFO. */
  gpointer (*load) (const AllavaConfig *config,
                    const AllavaWeights *weights,
                    const AllavaModelOptions *options,
                    AllavaModelInfo *info,
                    GError **error);
  void (*unload) (gpointer model);
  double (*measure_bandwidth) (gpointer model); /* bytes per second */
  size_t (*get_memory) (gpointer model); /* most bytes had of the device's own memory, or NULL */

  /* A KV cache for context_length positions, and scratch. */
  gpointer (*session_new) (gpointer model, GError **error);
  void (*session_free) (gpointer session);

  /* Vision tower and projector: PIXEL_VALUES [3, S, S] to features [P, H]. INDEX is the picture's
   * number in tensor names. Adds the projector's milliseconds to *PROJECTOR_MS. */
  gpointer (*encode) (gpointer session,
                      const float *pixel_values,
                      int index,
                      const AllavaTrace *trace,
                      GCancellable *cancellable,
                      double *projector_ms,
                      GError **error);
  void (*features_free) (gpointer features);

  /* Computes the positions from POSITION on and the last one's logits (traced: all logits).
   * What was computed before POSITION is read from the KV cache; what is after it is replaced. */
  gboolean (*prefill) (gpointer session,
                       const AllavaSegment *segments,
                       size_t n_segments,
                       size_t position,
                       const AllavaTrace *trace,
                       GCancellable *cancellable,
                       GError **error);

  /* One more position. */
  gboolean (*decode) (gpointer session, int32_t id, size_t position, GError **error);

  /* The last computed position's logits, f32 [vocab], until the next step. */
  const float *(*get_logits) (gpointer session);

  /* Both or neither: the device chooses tokens itself, the first by the last logits, and computes
   * ahead of the caller, who may stop asking at any time. _NEXT gives the next token, which then
   * stands at the answer's next position if the context has one; -1: a logit is not finite. */
  gboolean (*answer_begin) (gpointer session, const AllavaAnswer *answer, GError **error);
  gboolean (*answer_next) (gpointer session, int32_t *id, GError **error);
} AllavaBackend;

extern const AllavaBackend allava_cpu_backend;
