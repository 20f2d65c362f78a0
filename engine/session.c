/* session.c - one conversation's computations: what of a prompt is new, images' features, decoding.
 */
#include "layout.h"
#include "model.h"
#include "prompt.h"
#include "sampler.h"
#include "utf8-stream.h"

#include <math.h>
#include <string.h>

/* Features kept for images seen before: more than the context holds at once. */
#define MAX_FEATURES 16

typedef struct {
  char *sha256;
  gpointer data;  /* the backend's */
  int32_t number; /* unique in the session */
  uint64_t used;  /* when last, for eviction */
} Features;

struct _AllavaSession {
  AllavaModel *model;
  gpointer backend;    /* the backend's session */
  GArray *keys;        /* int64_t for each position in the KV cache */
  GPtrArray *features; /* Features */
  int32_t n_features;  /* ever made */
  uint64_t clock;
  AllavaCandidate *candidates; /* scratch, one for each id */
};

static void
features_free (AllavaSession *session, Features *features)
{
  session->model->backend->features_free (features->data);
  g_free (features->sha256);
  g_free (features);
}

AllavaSession *
allava_session_new (AllavaModel *model, GError **error)
{
  g_return_val_if_fail (model != NULL, NULL);
  gpointer backend = model->backend->session_new (model->backend_model, error);
  if (backend == NULL)
    return NULL;
  AllavaSession *session = g_new0 (AllavaSession, 1);
  session->model = allava_model_ref (model);
  session->backend = backend;
  session->keys = g_array_new (FALSE, FALSE, sizeof (int64_t));
  session->features = g_ptr_array_new ();
  session->candidates = g_new (AllavaCandidate, model->ids->len);
  return session;
}

void
allava_session_free (AllavaSession *session)
{
  if (session == NULL)
    return;
  for (guint i = 0; i < session->features->len; i++)
    features_free (session, session->features->pdata[i]);
  g_ptr_array_unref (session->features);
  g_array_unref (session->keys);
  g_free (session->candidates);
  session->model->backend->session_free (session->backend);
  allava_model_unref (session->model);
  g_free (session);
}

void
allava_generate_result_clear (AllavaGenerateResult *result)
{
  g_clear_pointer (&result->tokens, g_array_unref);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static Features *
find_features (AllavaSession *session, const char *sha256)
{
  for (guint i = 0; i < session->features->len; i++) {
    Features *features = session->features->pdata[i];
    if (g_str_equal (features->sha256, sha256)) {
      features->used = ++session->clock;
      return features;
    }
  }
  return NULL;
}

/* Forgets the features used longest ago, but none that was used after KEEP. */
static void
evict_features (AllavaSession *session, uint64_t keep)
{
  while (session->features->len > MAX_FEATURES) {
    guint oldest = 0;
    for (guint i = 1; i < session->features->len; i++)
      if (((Features *)session->features->pdata[i])->used <
          ((Features *)session->features->pdata[oldest])->used)
        oldest = i;
    Features *features = session->features->pdata[oldest];
    if (features->used > keep)
      return;
    g_ptr_array_remove_index_fast (session->features, oldest);
    features_free (session, features);
  }
}

static gpointer
encode (AllavaSession *session,
        AllavaPicture *picture,
        int index,
        const AllavaTrace *trace,
        GCancellable *cancellable,
        double *projector_ms,
        GError **error)
{
  const AllavaPreprocess *preprocess = &session->model->preprocess;
  size_t size = preprocess->crop_size;
  if (allava_picture_get_size (picture) != preprocess->crop_size) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "an image was prepared for a model that sees %d pixels, but this one sees %d",
                 allava_picture_get_size (picture), preprocess->crop_size);
    return NULL;
  }
  g_autofree float *values = g_try_new (float, 3 * size * size);
  if (values == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "there is not enough memory for an image");
    return NULL;
  }
  allava_preprocess_normalize (preprocess, allava_picture_get_pixels (picture), values);
  if (trace != NULL) {
    g_autofree char *name = g_strdup_printf ("pixel_values.%d", index);
    trace->func (name, values, 3, (size_t[]){3, size, size}, trace->data);
  }
  return session->model->backend->encode (session->backend, values, index, trace, cancellable,
                                          projector_ms, error);
}

/* The features of PICTURE, computed unless the session has them. */
static Features *
get_features (AllavaSession *session,
              AllavaPicture *picture,
              GCancellable *cancellable,
              double *projector_ms,
              GError **error)
{
  Features *features = find_features (session, allava_picture_get_sha256 (picture));
  if (features != NULL)
    return features;
  gpointer data = encode (session, picture, 0, NULL, cancellable, projector_ms, error);
  if (data == NULL)
    return NULL;
  features = g_new0 (Features, 1);
  features->sha256 = g_strdup (allava_picture_get_sha256 (picture));
  features->data = data;
  features->number = ++session->n_features;
  features->used = ++session->clock;
  g_ptr_array_add (session->features, features);
  return features;
}

/* ---- What of a prompt is new ----------------------------------------------------------------- */

static gboolean
lay_out (AllavaLayout *layout,
         AllavaSession *session,
         const AllavaPrompt *prompt,
         GCancellable *cancellable,
         double *projector_ms,
         GError **error)
{
  uint64_t before = session->clock;
  allava_layout_init (layout);
  for (guint i = 0; i < prompt->items->len; i++) {
    const AllavaPromptItem *item = &g_array_index (prompt->items, AllavaPromptItem, i);
    if (item->picture == NULL) {
      allava_layout_add_id (layout, item->id);
      continue;
    }
    Features *features = get_features (session, item->picture, cancellable, projector_ms, error);
    if (features == NULL)
      return FALSE;
    allava_layout_add_image (layout, features->data, features->number,
                             session->model->config.image_positions);
  }
  allava_layout_settle (layout);
  evict_features (session, before);
  return TRUE;
}

/* Computes what is new of LAYOUT. The keys are right at every moment, also after a failure. */
static gboolean
prefill (AllavaSession *session,
         AllavaLayout *layout,
         size_t reused,
         GCancellable *cancellable,
         GError **error)
{
  allava_layout_skip (layout, reused);
  g_array_set_size (session->keys, reused);
  if (!session->model->backend->prefill (session->backend,
                                         (const AllavaSegment *)layout->segments->data,
                                         layout->segments->len, reused, NULL, cancellable, error))
    return FALSE;
  g_array_append_vals (session->keys, &g_array_index (layout->keys, int64_t, reused),
                       layout->keys->len - reused);
  return TRUE;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static void
set_not_finite (const AllavaModel *model, GError **error)
{
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_NOT_FINITE,
               "%s computed a number that is not finite; its weights are damaged",
               model->info.name);
}

/* The next id by the last logits; -1 with an error where they are not finite. */
static int32_t
choose (AllavaSession *session, AllavaSampler *sampler, gboolean may_end, GError **error)
{
  const AllavaModel *model = session->model;
  const float *logits = model->backend->get_logits (session->backend);
  size_t n = 0;
  for (guint i = 0; i < model->ids->len; i++) {
    int32_t id = g_array_index (model->ids, int32_t, i);
    if (!isfinite (logits[id])) {
      set_not_finite (model, error);
      return -1;
    }
    if (id != model->eos || may_end)
      session->candidates[n++] = (AllavaCandidate){logits[id], id};
  }
  return n > 0 ? allava_sampler_next (sampler, session->candidates, n) : model->eos;
}

typedef struct {
  AllavaSession *session;
  const AllavaGenerateOptions *options;
  AllavaTextFunc func;
  gpointer data;
  AllavaUtf8Stream stream;
  GString *text; /* whole characters not passed on yet */
  AllavaGenerateResult *result;
  AllavaSampler sampler;
} Generation;

static gboolean
emit (Generation *generation)
{
  gboolean go_on = generation->text->len == 0 || generation->func == NULL ||
                   generation->func (generation->text->str, generation->data);
  g_string_truncate (generation->text, 0);
  return go_on;
}

/* Passes on what ID adds to the text. FALSE: the caller has had enough. */
static gboolean
emit_token (Generation *generation, int32_t id)
{
  AllavaTokenizer *tokenizer = generation->session->model->tokenizer;
  size_t length;
  const char *bytes = allava_tokenizer_get_bytes (tokenizer, id, &length);
  g_array_append_val (generation->result->tokens, id);
  if (!allava_tokenizer_is_special (tokenizer, id))
    allava_utf8_stream_push (&generation->stream, bytes, length, generation->text);
  return emit (generation);
}

/* Where tokens come from: the backend, if it chooses them, or its logits. */
static gboolean
begin_tokens (Generation *generation, GError **error)
{
  AllavaSession *session = generation->session;
  const AllavaModel *model = session->model;
  const AllavaGenerateOptions *options = generation->options;
  const AllavaAnswer answer = {
      .ids = (const int32_t *)model->ids->data,
      .n_ids = model->ids->len,
      .eos = model->eos,
      .min_new_tokens = options->min_new_tokens,
      .max_new_tokens = options->max_new_tokens,
      .position = session->keys->len,
      .sampler = {options->temperature, options->top_k, options->top_p, options->seed},
  };
  generation->sampler = answer.sampler;
  return model->backend->answer_begin == NULL ||
         model->backend->answer_begin (session->backend, &answer, error);
}

/* -1 with an error. */
static int32_t
next_token (Generation *generation, gboolean may_end, GError **error)
{
  AllavaSession *session = generation->session;
  const AllavaModel *model = session->model;
  int32_t id;
  if (!allava_model_check (model, error))
    return -1;
  if (model->backend->answer_next == NULL)
    return choose (session, &generation->sampler, may_end, error);
  if (!model->backend->answer_next (session->backend, &id, error))
    return -1;
  if (id < 0)
    set_not_finite (model, error);
  return id;
}

/* Puts ID, which was chosen last, into the KV cache. */
static gboolean
keep_token (Generation *generation, int32_t id, GError **error)
{
  AllavaSession *session = generation->session;
  const AllavaBackend *backend = session->model->backend;
  int64_t key = id;
  if (backend->answer_next == NULL &&
      !backend->decode (session->backend, id, session->keys->len, error))
    return FALSE;
  g_array_append_val (session->keys, key);
  generation->result->positions_left--;
  return TRUE;
}

/* Decodes until something ends it; RESULT's finish says what. */
static gboolean
decode_all (Generation *generation, GError **error)
{
  AllavaSession *session = generation->session;
  const AllavaModel *model = session->model;
  const AllavaGenerateOptions *options = generation->options;
  AllavaGenerateResult *result = generation->result;
  if (options->max_new_tokens > 0 && !begin_tokens (generation, error))
    return FALSE;
  for (;;) {
    int n = result->tokens->len;
    if (n >= options->max_new_tokens)
      return result->finish = ALLAVA_FINISH_LENGTH, TRUE;
    if (g_cancellable_is_cancelled (options->cancellable))
      return result->finish = ALLAVA_FINISH_CANCELLED, TRUE;
    int32_t id = next_token (generation, n >= options->min_new_tokens, error);
    if (id < 0)
      return FALSE;
    if (id == model->eos && n >= options->min_new_tokens)
      return result->finish = ALLAVA_FINISH_EOS, TRUE;
    if (!emit_token (generation, id))
      return result->finish = ALLAVA_FINISH_CANCELLED, TRUE;
    if (n + 1 >= options->max_new_tokens)
      return result->finish = ALLAVA_FINISH_LENGTH, TRUE;
    if (session->keys->len >= (guint)model->config.context_length)
      return result->finish = ALLAVA_FINISH_CONTEXT, TRUE;
    if (!keep_token (generation, id, error))
      return FALSE;
  }
}

static double
ms_since (int64_t start)
{
  return (g_get_monotonic_time () - start) / 1000.0;
}

/* From a laid-out prompt to the answer's end. */
static gboolean
answer (Generation *generation, AllavaLayout *layout, GError **error)
{
  AllavaSession *session = generation->session;
  AllavaGenerateResult *result = generation->result;
  int64_t start = g_get_monotonic_time ();
  result->reused_positions = allava_layout_count_known (layout, session->keys);
  gboolean ok =
      prefill (session, layout, result->reused_positions, generation->options->cancellable, error);
  result->prefill_ms = ms_since (start);
  start = g_get_monotonic_time ();
  ok = ok && decode_all (generation, error);
  if (result->finish != ALLAVA_FINISH_CANCELLED) { /* whoever stopped it hears no more */
    allava_utf8_stream_finish (&generation->stream, generation->text);
    emit (generation);
  }
  result->decode_ms = ms_since (start);
  return ok;
}

static AllavaPromptRules
make_rules (const AllavaModel *model, size_t max_new_tokens)
{
  /* Old turns leave when less than an eighth of the context is left for the answer. */
  size_t context = model->config.context_length;
  size_t reserve = MIN (max_new_tokens, context / 8);
  return (AllavaPromptRules){model->tokenizer, model->eos, model->config.image_positions,
                             context - reserve, context};
}

static gboolean
generate (Generation *generation, const AllavaPrompt *prompt, GError **error)
{
  AllavaSession *session = generation->session;
  AllavaLayout layout;
  int64_t start = g_get_monotonic_time ();
  int32_t n_features = session->n_features;
  AllavaGenerateResult *result = generation->result;
  gboolean ok = lay_out (&layout, session, prompt, generation->options->cancellable,
                         &result->projector_ms, error);
  result->vision_ms = session->n_features != n_features ? ms_since (start) : 0;
  ok = ok && answer (generation, &layout, error);
  allava_layout_clear (&layout);
  return ok;
}

gboolean
allava_session_generate (AllavaSession *session,
                         const AllavaTurn *turns,
                         size_t n_turns,
                         const AllavaGenerateOptions *options,
                         AllavaTextFunc text_func,
                         gpointer user_data,
                         AllavaGenerateResult *result,
                         GError **error)
{
  g_return_val_if_fail (session != NULL && options != NULL && result != NULL, FALSE);
  const AllavaModel *model = session->model;
  AllavaPromptRules rules = make_rules (model, MAX (options->max_new_tokens, 0));
  AllavaPrompt prompt;
  *result = (AllavaGenerateResult){.finish = ALLAVA_FINISH_CANCELLED};
  if (!allava_prompt_build (&prompt, &rules, turns, n_turns, error))
    return FALSE;
  result->tokens = g_array_new (FALSE, FALSE, sizeof (int32_t));
  result->prompt_positions = prompt.positions;
  result->dropped_turns = prompt.dropped;
  result->positions_left = model->config.context_length - result->prompt_positions;

  g_autoptr (GString) text = g_string_new (NULL);
  Generation generation = {session, options, text_func, user_data, {{0}}, text, result};
  GError *local = NULL;
  gboolean ok = generate (&generation, &prompt, &local);
  allava_prompt_clear (&prompt);
  if (!ok && g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_clear_error (&local); /* what was said stands; finish is CANCELLED */
    ok = TRUE;
  }
  if (!ok) {
    g_array_set_size (session->keys, 0); /* a device that failed may not have computed them */
    allava_generate_result_clear (result);
    g_propagate_error (error, local);
  }
  return ok;
}

/* ---- Tracing --------------------------------------------------------------------------------- */

/* Encodes every picture of PROMPT anew, shown, and lays the prompt out with the results, which are
 * the caller's. */
static gboolean
trace_images (AllavaSession *session,
              const AllavaPrompt *prompt,
              const AllavaTrace *trace,
              AllavaLayout *layout,
              GPtrArray *owned,
              GError **error)
{
  int index = 0;
  double projector_ms = 0;
  for (guint i = 0; i < prompt->items->len; i++) {
    const AllavaPromptItem *item = &g_array_index (prompt->items, AllavaPromptItem, i);
    if (item->picture == NULL) {
      allava_layout_add_id (layout, item->id);
      continue;
    }
    gpointer data = encode (session, item->picture, index++, trace, NULL, &projector_ms, error);
    if (data == NULL)
      return FALSE;
    g_ptr_array_add (owned, data);
    allava_layout_add_image (layout, data, index, session->model->config.image_positions);
  }
  allava_layout_settle (layout);
  return TRUE;
}

gboolean
allava_session_trace (AllavaSession *session,
                      const AllavaTurn *turns,
                      size_t n_turns,
                      AllavaTensorFunc tensor_func,
                      gpointer user_data,
                      GError **error)
{
  g_return_val_if_fail (session != NULL && tensor_func != NULL, FALSE);
  const AllavaModel *model = session->model;
  size_t context = model->config.context_length;
  AllavaPromptRules rules = {model->tokenizer, model->eos, model->config.image_positions, SIZE_MAX,
                             context};
  AllavaPrompt prompt;
  if (!allava_prompt_build (&prompt, &rules, turns, n_turns, error))
    return FALSE;
  AllavaTrace trace = {tensor_func, user_data};
  AllavaLayout layout;
  g_autoptr (GPtrArray) owned =
      g_ptr_array_new_with_free_func ((GDestroyNotify)model->backend->features_free);
  allava_layout_init (&layout);
  g_array_set_size (session->keys, 0); /* the cache is overwritten */
  gboolean ok =
      trace_images (session, &prompt, &trace, &layout, owned, error) &&
      model->backend->prefill (session->backend, (const AllavaSegment *)layout.segments->data,
                               layout.segments->len, 0, &trace, NULL, error) &&
      allava_model_check (model, error);
  allava_layout_clear (&layout);
  allava_prompt_clear (&prompt);
  return ok;
}
