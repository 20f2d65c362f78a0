/* answer.c - tokens, one after the other.
 *
 * A token is one graph, the same for every position: where it stands, which token it is and how the
 * next one is chosen lie in the GPU's memory. The graph of token n + 1 is queued before the host
 * waits for token n, so the GPU never waits for the host; a graph too many, when an answer ends,
 * writes a position that nothing has read. */
#include "cuda-model.h"

#include <string.h>

static void
queue_choice (CudaSession *session, gboolean sampled)
{
  CudaOne *one = &session->one;
  const CudaChoose choose = {
      .logits = session->logits,
      .allowed = one->allowed,
      .vocab = session->model->config->vocab_size,
      .sampled = sampled,
      .state = one->state,
      .ring = session->ring,
      .best = one->best,
      .arrivals = one->arrivals + session->model->config->n_heads,
      .weights = one->weights,
      .digits = one->digits,
  };
  cuda_choose (&session->queue, &choose);
}

/* The state's token at the state's position. */
static void
queue_token (CudaSession *session)
{
  const CudaModel *model = session->model;
  const CudaEmbed embed = {
      .ids = &session->one.state->token,
      .table = model->embed_tokens.data,
      .type = model->format.type,
      .table_stride = model->embed_tokens.stride,
      .x = session->one.x,
      .rows = 1,
      .n = model->config->hidden_size,
  };
  cuda_embed (&session->queue, &embed);
  for (int i = 0; i < model->config->n_layers; i++)
    cuda_queue_layer (session, i);
  cuda_queue_head (session, session->one.x, session->logits);
}

static void
queue_step (CudaSession *session, CudaGraphKind kind)
{
  queue_token (session);
  if (kind != CUDA_GRAPH_FORWARD)
    queue_choice (session, kind == CUDA_GRAPH_SAMPLED);
}

static void
capture (CudaSession *session, CudaGraphKind kind)
{
  cuda_capture_begin (&session->queue);
  queue_step (session, kind);
  session->graphs[kind] = cuda_capture_end (&session->queue);
}

/* Rather than short of memory, which may pass. */
static gboolean
is_refused (const CudaQueue *queue)
{
  return queue->status != 0 && !cuda_queue_is_short (queue);
}

/* A kind's first step is queued kernel by kernel: the driver loads a kernel when it is first
 * launched, which has no place in a capture, and the graph is made while the GPU is busy with that
 * step. Should a driver refuse kernels that start early in a graph, they are made to wait for each
 * other; should it refuse graphs, there are none. */
static void
launch_step (CudaSession *session, CudaGraphKind kind)
{
  CudaQueue *queue = &session->queue;
  if (queue->status != 0)
    return;
  if (!session->stepped[kind]) {
    queue_step (session, kind);
    session->stepped[kind] = queue->status == 0;
    return;
  }
  if (session->graphs[kind] == NULL && !session->no_graphs)
    capture (session, kind);
  if (is_refused (queue) && queue->overlap) {
    cuda_queue_forget (queue);
    queue->overlap = FALSE;
    capture (session, kind);
  }
  if (is_refused (queue)) {
    cuda_queue_forget (queue);
    session->no_graphs = TRUE;
  }
  if (session->no_graphs)
    queue_step (session, kind);
  else
    cuda_graph_launch (queue, session->graphs[kind]);
}

void
cuda_queue_decode (CudaSession *session, int32_t id, size_t position)
{
  const CudaState state = {.token = id, .position = (int32_t)position};
  cuda_set_state (&session->queue, session->one.state, &state);
  launch_step (session, CUDA_GRAPH_FORWARD);
}

gboolean
cuda_decode (gpointer data, int32_t id, size_t position, GError **error)
{
  CudaSession *session = data;
  cuda_device_enter (session->model->device);
  cuda_queue_decode (session, id, position);
  return cuda_queue_wait (&session->queue, error);
}

const float *
cuda_get_logits (gpointer data)
{
  CudaSession *session = data;
  size_t n = session->model->config->vocab_size;
  cuda_device_enter (session->model->device);
  cuda_copy (&session->queue, session->host_logits, session->logits, n * sizeof (float));
  /* What failed is told by the next step, if it lasts; until then no number is given for one. */
  if (!cuda_queue_wait (&session->queue, NULL))
    memset (session->host_logits, 0xff, n * sizeof (float));
  return session->host_logits;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* The same ids for every answer. */
static gboolean
upload_allowed (CudaSession *session, const AllavaAnswer *answer, GError **error)
{
  size_t vocab = session->model->config->vocab_size;
  if (session->allowed_known)
    return TRUE;
  g_autofree uint8_t *allowed = g_malloc0 (vocab);
  for (size_t i = 0; i < answer->n_ids; i++)
    allowed[answer->ids[i]] = 1;
  cuda_copy (&session->queue, session->one.allowed, allowed, vocab);
  session->allowed_known = cuda_queue_wait (&session->queue, error);
  return session->allowed_known;
}

static void
note_chosen (CudaSession *session)
{
  cuda_event_record (&session->queue, session->chosen[session->n_chosen % CUDA_RING]);
  session->n_chosen++;
}

gboolean
cuda_answer_begin (gpointer data, const AllavaAnswer *answer, GError **error)
{
  CudaSession *session = data;
  const AllavaSampler *sampler = &answer->sampler;
  gboolean sampled = sampler->temperature > 0;
  const CudaState state = {
      .position = (int32_t)answer->position - 1, /* until the first token is chosen */
      .min_new = answer->min_new_tokens,
      .eos = answer->eos,
      .top_k = sampler->top_k,
      .top_p = sampler->top_p,
      .temperature = sampler->temperature,
      .random = sampler->state,
  };
  cuda_device_enter (session->model->device);
  if (!upload_allowed (session, answer, error))
    return FALSE;
  size_t room = session->model->config->context_length - answer->position;
  session->n_most = (int)MIN ((size_t)MAX (answer->max_new_tokens, 1), room + 1);
  session->answer = sampled ? CUDA_GRAPH_SAMPLED : CUDA_GRAPH_GREEDY;
  session->n_chosen = session->n_taken = 0;
  cuda_set_state (&session->queue, session->one.state, &state);
  queue_choice (session, sampled);
  note_chosen (session);
  return cuda_queue_check (&session->queue, error);
}

gboolean
cuda_answer_next (gpointer data, int32_t *id, GError **error)
{
  CudaSession *session = data;
  g_assert (session->n_taken < session->n_most);
  cuda_device_enter (session->model->device);
  if (session->n_chosen < session->n_most) {
    launch_step (session, session->answer);
    note_chosen (session);
  }
  int slot = session->n_taken++ % CUDA_RING;
  cuda_event_wait (&session->queue, session->chosen[slot]);
  *id = *(volatile int32_t *)&session->ring[slot];
  return cuda_queue_check (&session->queue, error);
}
