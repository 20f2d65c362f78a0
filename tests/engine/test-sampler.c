#include "sampler.h"

#include <math.h>

#define N 6
static const float logits[N] = {1.0f, 3.0f, 2.0f, 3.0f, -4.0f, 0.0f};

static int32_t
draw (AllavaSampler *sampler)
{
  AllavaCandidate candidates[N];
  for (int i = 0; i < N; i++)
    candidates[i] = (AllavaCandidate){logits[i], 10 + i};
  return allava_sampler_next (sampler, candidates, N);
}

static void
test_greedy (void)
{
  AllavaSampler sampler = {.top_p = 1};
  for (int i = 0; i < 3; i++)
    g_assert_cmpint (draw (&sampler), ==, 11); /* the first of the two greatest */
}

/* Frequencies of a long run against softmax (logits / temperature). */
static void
test_distribution (void)
{
  AllavaSampler sampler = {.temperature = 0.7, .top_p = 1, .state = 5};
  const int runs = 200000;
  int counts[N] = {0};
  double total = 0;
  for (int i = 0; i < runs; i++)
    counts[draw (&sampler) - 10]++;
  for (int i = 0; i < N; i++)
    total += exp (logits[i] / 0.7);
  for (int i = 0; i < N; i++)
    g_assert_cmpfloat_with_epsilon (counts[i] / (double)runs, exp (logits[i] / 0.7) / total, 0.005);
}

/* Which ids a sampler ever draws, as bits. */
static unsigned
drawn (int top_k, double top_p)
{
  AllavaSampler sampler = {1.0, top_k, top_p, 99};
  unsigned seen = 0;
  for (int i = 0; i < 20000; i++)
    seen |= 1u << (draw (&sampler) - 10);
  return seen;
}

static void
test_cuts (void)
{
  g_assert_cmphex (drawn (3, 1), ==, 0x0e);    /* 11, 13, 12 */
  g_assert_cmphex (drawn (1, 1), ==, 0x02);    /* equal logits: the lower id comes first */
  g_assert_cmphex (drawn (0, 1e-9), ==, 0x02); /* at least one stays */
  g_assert_cmphex (drawn (0, 0.5), ==, 0x0a);  /* 0.40 does not reach one half, 0.80 does */
  g_assert_cmphex (drawn (100, 1), ==, 0x3f);
}

static void
test_seed (void)
{
  AllavaSampler a = {2, 0, 1, 7}, b = a, c = {2, 0, 1, 8};
  int differs = 0;
  for (int i = 0; i < 100; i++) {
    int32_t id = draw (&a);
    g_assert_cmpint (draw (&b), ==, id);
    differs += draw (&c) != id;
  }
  g_assert_cmpint (differs, >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/greedy", test_greedy);
  g_test_add_func ("/sampler/distribution", test_distribution);
  g_test_add_func ("/sampler/cuts", test_cuts);
  g_test_add_func ("/sampler/seed", test_seed);
  return g_test_run ();
}
