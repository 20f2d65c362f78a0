#include "cpu-private.h"

typedef struct {
  AllavaQuantizeRowFunc quantize_row;
  const char *data;
  AllavaDtype dtype;
  size_t n_in;
  AllavaDtype format;
  uint8_t *values;
  uint16_t *records;
  int failed; /* atomic */
} Job;

#define COLUMNS 2048 /* widened at a time */

static void
quantize_one_row (size_t row, int thread, gpointer data)
{
  Job *job = data;
  size_t size = allava_dtype_size (job->dtype);
  const char *from = job->data + row * job->n_in * size;
  uint8_t *values = job->values + row * allava_quant_row_bytes (job->format, job->n_in);
  uint16_t *records = job->records + row * allava_quant_row_groups (job->n_in);
  for (size_t k = 0; k < job->n_in; k += COLUMNS) {
    float x[COLUMNS];
    size_t n = MIN (COLUMNS, job->n_in - k);
    allava_widen (from + k * size, job->dtype, n, x);
    if (!job->quantize_row (job->format, x, n, values + allava_quant_row_bytes (job->format, k),
                            records + allava_quant_row_groups (k)))
      g_atomic_int_set (&job->failed, TRUE);
  }
}

gboolean
allava_quantize_matrix (AllavaPool *pool,
                        const void *data,
                        AllavaDtype dtype,
                        size_t n_out,
                        size_t n_in,
                        AllavaDtype format,
                        void *values,
                        uint16_t *records)
{
  Job job = {
      .quantize_row = allava_quantize_row_choose (),
      .data = data,
      .dtype = dtype,
      .n_in = n_in,
      .format = format,
      .values = values,
      .records = records,
  };
  allava_pool_run (pool, n_out, quantize_one_row, &job);
  return !job.failed;
}
