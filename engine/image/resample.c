#include "resample.h"

#include <math.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define PRECISION_BITS 22
#define HALF (1 << (PRECISION_BITS - 1))

/* Sums run in eight lanes: eight rows in the horizontal pass, eight neighbours in the vertical. */
#define N_LANES 8

typedef int32_t Lanes __attribute__ ((vector_size (4 * N_LANES)));

#ifdef __x86_64__
#define SIMD __attribute__ ((target ("avx2"))) /* the engine's floor */
#else
#define SIMD
#endif

/* ---- Coefficients ---------------------------------------------------------------------------- */

/* Where one output sample takes from. Coefficients that fall on the canvas beside the source meet
 * the fill colour only, so their sum stands for them; integer sums do not care about order. */
typedef struct {
  int first; /* source sample */
  int n;
  int32_t outside;
} Span;

typedef struct {
  int n;            /* outputs */
  size_t stride;    /* coefficients kept for each */
  Span *spans;      /* [n] */
  int32_t *weights; /* [n, stride] */
} Filter;

static void
filter_clear (Filter *filter)
{
  g_free (filter->spans);
  g_free (filter->weights);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Filter, filter_clear)

/* Keys 1981, a = -0.5, in Pillow's order of operations. */
static double
bicubic (double x)
{
  const double a = -0.5;
  x = fabs (x);
  if (x < 1.0)
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0)
    return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static int32_t
to_fixed (double weight)
{
  return (int32_t)(weight * (1 << PRECISION_BITS) + (weight < 0 ? -0.5 : 0.5));
}

/* One output's span and weights. SCRATCH holds the normalised doubles. */
static void
filter_set (
    Filter *filter, int i, int output, double scale, int canvas, int at, int size, double *scratch)
{
  double filterscale = MAX (scale, 1.0);
  double inverse = 1.0 / filterscale;
  double support = 2.0 * filterscale;
  double center = (output + 0.5) * scale;
  int min = MAX ((int)(center - support + 0.5), 0);
  int max = MIN ((int)(center + support + 0.5), canvas);
  double sum = 0.0;
  for (int x = min; x < max; x++) {
    scratch[x - min] = bicubic ((x - center + 0.5) * inverse);
    sum += scratch[x - min];
  }

  Span *span = &filter->spans[i];
  int32_t *weights = filter->weights + (size_t)i * filter->stride;
  *span = (Span){0};
  for (int x = min; x < max; x++) {
    int32_t weight = to_fixed (sum != 0.0 ? scratch[x - min] / sum : scratch[x - min]);
    if (x < at || x >= at + size) {
      span->outside += weight;
      continue;
    }
    if (span->n == 0)
      span->first = x - at;
    weights[span->n++] = weight;
  }
}

/* The outputs FIRST to FIRST + N of a canvas of CANVAS samples resized to FULL, in which the source
 * takes SIZE samples from AT on. */
static gboolean
filter_init (Filter *filter, int canvas, int at, int size, int full, int first, int n)
{
  double scale = (double)(float)canvas / full; /* Pillow's box is float */
  size_t n_weights = (size_t)ceil (2.0 * MAX (scale, 1.0)) * 2 + 1;
  *filter = (Filter){.n = n, .stride = MIN (n_weights, (size_t)size)};
  filter->spans = g_try_new (Span, n);
  filter->weights = g_try_malloc_n (n, filter->stride * sizeof (int32_t));
  g_autofree double *scratch = g_try_new (double, n_weights);
  if (filter->spans == NULL || filter->weights == NULL || scratch == NULL)
    return FALSE;
  for (int i = 0; i < n; i++)
    filter_set (filter, i, first + i, scale, canvas, at, size, scratch);
  return TRUE;
}

/* The source samples that any output takes from: *FIRST up to *END. */
static void
filter_get_range (const Filter *filter, int *first, int *end)
{
  *first = G_MAXINT;
  *end = 0;
  for (int i = 0; i < filter->n; i++) {
    const Span *span = &filter->spans[i];
    if (span->n > 0) {
      *first = MIN (*first, span->first);
      *end = MAX (*end, span->first + span->n);
    }
  }
  *first = MIN (*first, *end);
}

/* ---- Passes ---------------------------------------------------------------------------------- */

/* Rows of 8-bit triples, STRIDE bytes apart, counted from the source's first row. */
typedef struct {
  const uint8_t *data;
  size_t stride;
} Rows;

static inline uint8_t
to_byte (int32_t sum)
{
  return CLAMP (sum >> PRECISION_BITS, 0, 255);
}

/* GCC 12 makes element by element work of __builtin_convertvector from bytes. */
SIMD static inline Lanes
widen (const uint8_t bytes[N_LANES])
{
#ifdef __x86_64__
  return (Lanes)_mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *)bytes));
#else
  Lanes lanes;
  for (int i = 0; i < N_LANES; i++)
    lanes[i] = bytes[i];
  return lanes;
#endif
}

/* Adds N weighted samples of all lanes to *SUM, STEP bytes from one sample to the next. */
SIMD static inline void
add_samples (Lanes *sum, const uint8_t *samples, size_t step, const int32_t *weights, int n)
{
  for (int i = 0; i < n; i++, samples += step)
    *sum += widen (samples) * weights[i];
}

/* BLOCK is [source pixels, 3, N_LANES]: lane L belongs to the L-th of N_ROWS rows at OUT. */
SIMD static void
shrink_block (const Filter *filter,
              const uint8_t *block,
              const uint8_t fill[3],
              uint8_t *out,
              size_t out_stride,
              int n_rows)
{
  for (int i = 0; i < filter->n; i++) {
    const Span *span = &filter->spans[i];
    const int32_t *weights = filter->weights + (size_t)i * filter->stride;
    const uint8_t *samples = block + (size_t)span->first * 3 * N_LANES;
    for (int c = 0; c < 3; c++) {
      Lanes sum = (Lanes){0} + (HALF + fill[c] * span->outside);
      add_samples (&sum, samples + c * N_LANES, 3 * N_LANES, weights, span->n);
      for (int row = 0; row < n_rows; row++)
        out[row * out_stride + (size_t)i * 3 + c] = to_byte (sum[row]);
    }
  }
}

/* IN's rows FIRST_ROW up to END_ROW, WIDTH pixels each, to OUT's first rows. BLOCK is scratch. */
SIMD static void
pass_horizontal (const Filter *filter,
                 Rows in,
                 int first_row,
                 int end_row,
                 int width,
                 const uint8_t fill[3],
                 uint8_t *block,
                 uint8_t *out,
                 size_t out_stride)
{
  for (int y = first_row; y < end_row; y += N_LANES) {
    int n_rows = MIN (N_LANES, end_row - y);
    for (int row = 0; row < n_rows; row++) {
      const uint8_t *line = in.data + (size_t)(y + row) * in.stride;
      for (size_t i = 0; i < (size_t)width * 3; i++)
        block[i * N_LANES + row] = line[i];
    }
    shrink_block (filter, block, fill, out, out_stride, n_rows);
    out += n_rows * out_stride;
  }
}

/* IN's first N_BYTES columns, starting at row FIRST_ROW of the source, to OUT. FILL is one row. */
SIMD static void
pass_vertical (
    const Filter *filter, Rows in, int first_row, size_t n_bytes, const uint8_t *fill, uint8_t *out)
{
  for (int i = 0; i < filter->n; i++, out += n_bytes) {
    const Span *span = &filter->spans[i];
    const int32_t *weights = filter->weights + (size_t)i * filter->stride;
    const uint8_t *samples = in.data + (size_t)MAX (span->first - first_row, 0) * in.stride;
    size_t x = 0;
    for (; x + N_LANES <= n_bytes; x += N_LANES) {
      Lanes sum = widen (fill + x) * span->outside + HALF;
      add_samples (&sum, samples + x, in.stride, weights, span->n);
      for (int lane = 0; lane < N_LANES; lane++)
        out[x + lane] = to_byte (sum[lane]);
    }
    for (; x < n_bytes; x++) {
      int32_t sum = HALF + fill[x] * span->outside;
      for (int j = 0; j < span->n; j++)
        sum += samples[x + j * in.stride] * weights[j];
      out[x] = to_byte (sum);
    }
  }
}

/* ---- Both passes ----------------------------------------------------------------------------- */

typedef struct {
  Rows source;
  Filter horizontal;
  Filter vertical;
  int first_row; /* what the vertical filter takes from */
  int end_row;
  int width;           /* source pixels */
  const uint8_t *fill; /* [3] */
  uint8_t *fill_row;   /* between the passes: [n_bytes of a row] */
  uint8_t *between;    /* the first pass's result */
  uint8_t *block;      /* [width, 3, N_LANES] */
  gboolean vertical_first;
  uint8_t *out;
} Job;

static void
job_clear (Job *job)
{
  filter_clear (&job->horizontal);
  filter_clear (&job->vertical);
  g_free (job->fill_row);
  g_free (job->between);
  g_free (job->block);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Job, job_clear)

SIMD static void
job_run (const Job *job)
{
  size_t source_bytes = (size_t)job->width * 3;
  size_t out_bytes = (size_t)job->horizontal.n * 3;
  if (job->vertical_first) {
    Rows rows = {job->between, source_bytes};
    pass_vertical (&job->vertical, job->source, 0, source_bytes, job->fill_row, job->between);
    pass_horizontal (&job->horizontal, rows, 0, job->vertical.n, job->width, job->fill, job->block,
                     job->out, out_bytes);
  } else {
    Rows rows = {job->between, out_bytes};
    pass_horizontal (&job->horizontal, job->source, job->first_row, job->end_row, job->width,
                     job->fill, job->block, job->between, out_bytes);
    pass_vertical (&job->vertical, rows, job->first_row, out_bytes, job->fill_row, job->out);
  }
}

/* What a row of nothing but the fill colour looks like to the second pass. */
static void
job_fill_row (Job *job)
{
  int n = job->vertical_first ? job->width : job->horizontal.n;
  for (int i = 0; i < n; i++) {
    int32_t total = 1 << PRECISION_BITS;
    if (!job->vertical_first) {
      const Span *span = &job->horizontal.spans[i];
      total = span->outside;
      for (int j = 0; j < span->n; j++)
        total += job->horizontal.weights[(size_t)i * job->horizontal.stride + j];
    }
    for (int c = 0; c < 3; c++)
      job->fill_row[(size_t)i * 3 + c] = to_byte (HALF + job->fill[c] * total);
  }
}

static gboolean
job_allocate (Job *job)
{
  size_t n_rows = job->vertical_first ? job->vertical.n : job->end_row - job->first_row;
  size_t row_bytes = (size_t)(job->vertical_first ? job->width : job->horizontal.n) * 3;
  job->fill_row = g_try_malloc (row_bytes);
  /* A row more, so that it is never NULL: the window may lie wholly in the margin. */
  job->between = g_try_malloc_n (n_rows + 1, row_bytes);
  job->block = g_try_malloc0_n (job->width, 3 * N_LANES);
  return job->fill_row != NULL && job->between != NULL && job->block != NULL;
}

gboolean
allava_resample_bicubic (const AllavaPixels *src,
                         const AllavaCanvas *canvas,
                         const AllavaWindow *window,
                         uint8_t *out)
{
  g_assert (canvas->x >= 0 && canvas->x <= canvas->width - src->width);
  g_assert (canvas->y >= 0 && canvas->y <= canvas->height - src->height);
  g_assert (window->x >= 0 && window->x <= window->full_width - window->width);
  g_assert (window->y >= 0 && window->y <= window->full_height - window->height);

  int64_t less_width = (int64_t)canvas->width - window->full_width;
  int64_t less_height = (int64_t)canvas->height - window->full_height;

  g_auto (Job) job = {
      .source = {src->data, src->stride},
      .width = src->width,
      .fill = canvas->fill,
      .vertical_first = less_height > 0 && less_height > 2 * less_width,
      .out = out,
  };
  g_assert (!job.vertical_first || canvas->width == src->width);
  if (!filter_init (&job.horizontal, canvas->width, canvas->x, src->width, window->full_width,
                    window->x, window->width) ||
      !filter_init (&job.vertical, canvas->height, canvas->y, src->height, window->full_height,
                    window->y, window->height))
    return FALSE;
  filter_get_range (&job.vertical, &job.first_row, &job.end_row);
  if (!job_allocate (&job))
    return FALSE;
  job_fill_row (&job);

  job_run (&job);
  return TRUE;
}
