/* choose.c - the next token, against AllavaSampler. */
#include "fixture.h"
#include "sampler.h"

#define EOS 7

typedef struct {
  size_t vocab;
  double temperature, top_p;
  int top_k, min_new, draws;
  double scale; /* logits are whole multiples of it, so that some are equal */
} ChooseCase;

static CudaChoose
make_choose (Fixture *f, const ChooseCase *c, const float *logits, const uint8_t *allowed)
{
  g_autoptr (GError) error = NULL;
  CudaChoose choose = {
      .logits = put (f, logits, c->vocab * sizeof (float)),
      .allowed = put (f, allowed, c->vocab),
      .vocab = c->vocab,
      .sampled = c->temperature > 0,
      .state = put (f, NULL, sizeof (CudaState)),
      .ring = cuda_alloc_host (f->device, CUDA_RING * sizeof (int32_t), &error),
      .best = put (f, NULL, (CUDA_CHOOSE_PARTS + 1) * sizeof (uint64_t)),
      .arrivals = put (f, NULL, sizeof (unsigned)),
      .weights = put (f, NULL, c->vocab * sizeof (uint64_t)),
      .digits = put (f, NULL, sizeof (CudaDigits)),
  };
  g_assert_no_error (error);
  return choose;
}

static int32_t
choose_plainly (const ChooseCase *c,
                const float *logits,
                const uint8_t *allowed,
                int step,
                AllavaSampler *sampler)
{
  g_autofree AllavaCandidate *candidates = g_new (AllavaCandidate, c->vocab);
  size_t n = 0;
  for (size_t i = 0; i < c->vocab; i++) {
    if (allowed[i] && !isfinite (logits[i]))
      return -1;
    if (allowed[i] && (i != EOS || step >= c->min_new))
      candidates[n++] = (AllavaCandidate){logits[i], (int32_t)i};
  }
  return n > 0 ? allava_sampler_next (sampler, candidates, n) : EOS;
}

static void
check_choose (Fixture *f, const ChooseCase *c, const float *logits, const uint8_t *allowed)
{
  CudaChoose choose = make_choose (f, c, logits, allowed);
  AllavaSampler sampler = {c->temperature, c->top_k, c->top_p, 42};
  const CudaState state = {
      .position = 10,
      .min_new = c->min_new,
      .eos = EOS,
      .top_k = c->top_k,
      .top_p = c->top_p,
      .temperature = c->temperature,
      .random = 42,
  };
  cuda_set_state (&f->queue, choose.state, &state);
  for (int step = 0; step < c->draws; step++) {
    CudaState after;
    cuda_choose (&f->queue, &choose);
    get (f, &after, choose.state, sizeof after);
    int32_t expected = choose_plainly (c, logits, allowed, step, &sampler);
    g_assert_cmpint (choose.ring[step % CUDA_RING], ==, expected);
    g_assert_cmpint (after.token, ==, MAX (expected, 0));
    g_assert_cmpint (after.position, ==, 11 + step);
    g_assert_cmpint (after.step, ==, step + 1);
  }
  cuda_free_host (f->device, choose.ring);
  free_memory (f);
}

static void
test_choose (Fixture *f, gconstpointer data)
{
  static const ChooseCase cases[] = {
      {371, 0, 1, 0, 2, 3, 0.5},        {5000, 0, 1, 0, 0, 1, 1e-3},
      {371, 1, 1, 0, 2, 12, 0.5},       {371, 0.7, 0.9, 0, 0, 12, 0.25},
      {3000, 2, 0.95, 50, 0, 6, 0.125}, {200, 1.5, 1, 3, 0, 12, 1},
      {64, 100, 0.3, 1000, 1, 8, 1e-4}, {371, 1e-3, 0.5, 2, 0, 4, 0.5},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    const ChooseCase *c = &cases[i];
    g_autofree float *logits = draw (f, c->vocab, 10);
    g_autofree uint8_t *allowed = g_malloc (c->vocab);
    for (size_t j = 0; j < c->vocab; j++) {
      logits[j] = (float)(c->scale * round (logits[j] / c->scale));
      allowed[j] = j == EOS || g_rand_int_range (f->random, 0, 8) != 0;
    }
    check_choose (f, c, logits, allowed);
  }
}

static void
test_choose_at_the_edge (Fixture *f, gconstpointer data)
{
  for (int sampled = 0; sampled < 2; sampled++) {
    const ChooseCase c = {100, sampled, 0.9, 5, 2, 3, 1};
    float logits[100] = {0};
    uint8_t allowed[100] = {[EOS] = 1};
    check_choose (f, &c, logits, allowed); /* nothing else can be chosen */
    logits[20] = NAN;
    check_choose (f, &c, logits, allowed); /* cannot be chosen: does not matter */
    allowed[20] = 1;
    check_choose (f, &c, logits, allowed);
    logits[20] = -INFINITY;
    check_choose (f, &c, logits, allowed);
    logits[20] = 1;
    logits[EOS] = INFINITY; /* may not be chosen yet, but is wrong */
    check_choose (f, &c, logits, allowed);
    memset (allowed, 1, sizeof allowed);
    for (int i = 0; i < 100; i++)
      logits[i] = i % 2 ? -0.0f : 0.0f; /* equal */
    check_choose (f, &c, logits, allowed);
  }
}

/* Weights of less than 32 bits, which only together outweigh the greatest. */
static void
test_choose_of_many (Fixture *f, gconstpointer data)
{
  const ChooseCase c = {51200, 1, 1, 0, 0, 6, 1};
  g_autofree float *logits = g_new0 (float, c.vocab);
  g_autofree uint8_t *allowed = g_malloc (c.vocab);
  memset (allowed, 1, c.vocab);
  logits[100] = 9.8f;
  check_choose (f, &c, logits, allowed);
}

void
add_choose_tests (void)
{
  ADD ("/cuda-kernels/choose", test_choose);
  ADD ("/cuda-kernels/choose-at-the-edge", test_choose_at_the_edge);
  ADD ("/cuda-kernels/choose-of-many", test_choose_of_many);
}
