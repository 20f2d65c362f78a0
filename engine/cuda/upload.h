/* upload.h - weights' way to the GPU: from the mapped files through two pinned buffers, converted
 * there, or quantised on the way in by all processors. */
#pragma once

#include "cuda-model.h"

typedef struct {
  CudaDevice *device;
  const AllavaModelOptions *options;
  CudaQueue queue;
  char *host[2];
  char *staged[2]; /* the GPU's */
  CudaEvent *done[2];
  int turn;
  size_t size;     /* of a buffer */
  size_t uploaded; /* bytes of the files */
  size_t total;
  int threads;
  GError *error; /* the first */
} CudaUpload;

/* No row is longer than ROW_BYTES. Errors: DEVICE_MEMORY, DEVICE. Clear it after a failure too. */
gboolean cuda_upload_init (CudaUpload *upload,
                           CudaDevice *device,
                           const AllavaModelOptions *options,
                           size_t row_bytes,
                           GError **error);
void cuda_upload_clear (CudaUpload *upload);

/* What follows does nothing after a failure, which _FINISH tells: DEVICE, FORMAT (not finite
 * numbers cannot be quantised), G_IO_ERROR_CANCELLED. */
gboolean cuda_upload_finish (CudaUpload *upload, GError **error);

/* PARAM's weight as ROWS rows to TO, whose rows are STRIDE values of TYPE. */
void cuda_upload_rows (CudaUpload *upload,
                       const AllavaParam *param,
                       size_t rows,
                       void *to,
                       CudaType type,
                       size_t stride);

/* PARAM's weight into the quantised MATRIX, from its ROW and COLUMN on, which are whole groups. */
void cuda_upload_quantized (CudaUpload *upload,
                            const AllavaParam *param,
                            const CudaMatrix *matrix,
                            size_t row,
                            size_t column);

/* The matrix's columns, however it is stored. */
size_t cuda_param_columns (const AllavaParam *param);
