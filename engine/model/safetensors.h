/* safetensors.h - one or several mapped .safetensors files as one set of named tensors.
 *
 * Format: https://github.com/huggingface/safetensors ("Format"): u64 little-endian header length,
 * JSON header {"name": {"dtype", "shape", "data_offsets": [begin, end]}}, then the data. Nothing in
 * the header is believed: dtype, shape and offsets of every tensor are checked against each other
 * and the file's size, and tensors may not overlap. */
#pragma once

#include "allava-engine.h"

#define ALLAVA_TENSOR_MAX_DIMS 8

typedef enum {
  ALLAVA_TENSOR_F32,
  ALLAVA_TENSOR_BF16,
  ALLAVA_TENSOR_F16,
  ALLAVA_TENSOR_OTHER, /* integers, f64, f8, ...: there, but not for weights */
} AllavaTensorType;

typedef struct {
  const char *name;
  const char *file; /* the path it lies in */
  AllavaTensorType type;
  const char *type_name; /* as the file spells it, "BF16" */
  int n_dims;
  size_t shape[ALLAVA_TENSOR_MAX_DIMS];
  size_t n_elements;
  const void *data; /* mapped; unaligned where the file's writer left it so */
  size_t n_bytes;
} AllavaTensor;

typedef struct _AllavaSafetensors AllavaSafetensors;

/* Maps DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json names.
 * Errors: FILE, FORMAT, UNSUPPORTED (only a pickle checkpoint is there). */
AllavaSafetensors *allava_safetensors_open_dir (const char *dir, GError **error);

/* Maps a single file. */
AllavaSafetensors *allava_safetensors_open_file (const char *path, GError **error);

/* The same for bytes in memory, which must outlive the set. FILE names them in errors. */
AllavaSafetensors *
allava_safetensors_open_memory (const void *data, size_t length, const char *file, GError **error);

void allava_safetensors_free (AllavaSafetensors *set);

/* Borrowed, or NULL. */
const AllavaTensor *allava_safetensors_find (AllavaSafetensors *set, const char *name);

/* Reads all mapped pages ahead, so that the first answer does not wait for the disk; reports
 * progress and stops when cancelled (FALSE, G_IO_ERROR_CANCELLED). */
gboolean allava_safetensors_warm (AllavaSafetensors *set,
                                  AllavaProgressFunc progress,
                                  gpointer progress_data,
                                  GCancellable *cancellable,
                                  GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaSafetensors, allava_safetensors_free)
