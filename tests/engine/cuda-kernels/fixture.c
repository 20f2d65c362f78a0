#include "fixture.h"

void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  f->device = cuda_device_open (0, &error);
  g_assert_no_error (error);
  cuda_queue_init (&f->queue, f->device, &error);
  g_assert_no_error (error);
  f->memory = g_ptr_array_new ();
  f->random = g_rand_new_with_seed (4);
}

void
free_memory (Fixture *f)
{
  for (guint i = 0; i < f->memory->len; i++)
    cuda_free (f->device, f->memory->pdata[i]);
  g_ptr_array_set_size (f->memory, 0);
}

void
tear_down (Fixture *f, gconstpointer data)
{
  free_memory (f);
  g_ptr_array_unref (f->memory);
  g_rand_free (f->random);
  cuda_queue_clear (&f->queue);
  cuda_device_close (f->device);
}

void *
put (Fixture *f, const void *from, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  void *data = cuda_alloc (f->device, bytes, "a test", &error);
  g_assert_no_error (error);
  g_ptr_array_add (f->memory, data);
  if (from != NULL)
    cuda_copy (&f->queue, data, from, bytes);
  cuda_queue_wait (&f->queue, &error);
  g_assert_no_error (error);
  return data;
}

void
get (Fixture *f, void *to, const void *data, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  cuda_copy (&f->queue, to, data, bytes);
  cuda_queue_wait (&f->queue, &error);
  g_assert_no_error (error);
}

void *
put_floats (Fixture *f, const float *x, size_t n)
{
  return put (f, x, n * sizeof *x);
}

size_t
draw_size (Fixture *f, size_t least, size_t most)
{
  return (size_t)g_rand_int_range (f->random, (gint32)least, (gint32)most + 1);
}

float *
draw (Fixture *f, size_t n, double scale)
{
  float *x = g_new (float, MAX (n, 1));
  for (size_t i = 0; i < n; i++)
    x[i] = (float)(scale * (g_rand_double (f->random) + g_rand_double (f->random) - 1));
  return x;
}

static AllavaDtype
dtype_of (CudaType type)
{
  return type == CUDA_TYPE_F32   ? ALLAVA_DTYPE_F32
         : type == CUDA_TYPE_F16 ? ALLAVA_DTYPE_F16
                                 : ALLAVA_DTYPE_BF16;
}

void *
put_rows (Fixture *f, float *x, size_t rows, size_t n, size_t stride, CudaType type)
{
  size_t value = cuda_type_size (type);
  g_autofree char *data = g_malloc0 (MAX (rows * stride * value, 1));
  for (size_t i = 0; i < rows; i++) {
    allava_narrow (x + i * n, dtype_of (type), n, data + i * stride * value);
    allava_widen (data + i * stride * value, dtype_of (type), n, x + i * n);
  }
  return put (f, data, rows * stride * value);
}

float *
get_rows (Fixture *f, const void *data, size_t rows, size_t n, size_t stride, CudaType type)
{
  size_t value = cuda_type_size (type);
  g_autofree char *copy = g_malloc (rows * stride * value);
  float *x = g_new (float, rows *n);
  get (f, copy, data, rows * stride * value);
  for (size_t i = 0; i < rows; i++)
    allava_widen (copy + i * stride * value, dtype_of (type), n, x + i * n);
  return x;
}

double
bound_of (CudaType type)
{
  return type == CUDA_TYPE_F32 ? 1e-5 : type == CUDA_TYPE_F16 ? 2e-3 : 8e-3;
}

void
assert_near (const float *actual, const double *expected, size_t n, double bound)
{
  double difference = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    g_assert_true (isfinite (actual[i]));
    difference = fmax (difference, fabs (actual[i] - expected[i]));
    largest = fmax (largest, fabs (expected[i]));
  }
  if (!(difference <= bound * largest))
    g_test_message ("off by %.2e of the largest value", difference / largest);
  g_assert_true (difference <= bound * largest);
}

double
gelu (CudaGelu kind, double x)
{
  switch (kind) {
  case CUDA_GELU_TANH:
    return 0.5 * x * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x)));
  case CUDA_GELU_ERF:
    return 0.5 * x * (1 + erf (x / sqrt (2)));
  case CUDA_GELU_QUICK:
    return x / (1 + exp (-1.702 * x));
  case CUDA_GELU_NONE:
    break;
  }
  return x;
}

double *
norm (const float *x, const float *weight, const float *bias, size_t n)
{
  double mean = 0, variance = 0, *y = g_new (double, n);
  for (size_t i = 0; i < n; i++)
    mean += x[i] / (double)n;
  for (size_t i = 0; i < n; i++)
    variance += (x[i] - mean) * (x[i] - mean) / n;
  for (size_t i = 0; i < n; i++)
    y[i] = (x[i] - mean) / sqrt (variance + 1e-5) * weight[i] + (bias != NULL ? bias[i] : 0);
  return y;
}

void
rotate (double *head, const float *angles, size_t half)
{
  for (size_t i = 0; i < half; i++) {
    double a = head[i], b = head[i + half], c = angles[2 * i], s = angles[2 * i + 1];
    head[i] = a * c - b * s;
    head[i + half] = b * c + a * s;
  }
}
