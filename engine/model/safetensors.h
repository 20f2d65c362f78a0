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
  ALLAVA_TENSOR_I8, /* of quantised weights, as the next two */
  ALLAVA_TENSOR_U8,
  ALLAVA_TENSOR_U16,
  ALLAVA_TENSOR_OTHER, /* larger integers, f64, f8, ...: there, but not for weights */
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
  gboolean mapped; /* rather than in the caller's memory */
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

/* All of them, by file and place; borrowed. Free the array. */
GPtrArray *allava_safetensors_list (AllavaSafetensors *set);

/* A string of a file's __metadata__, or NULL; the first file that has it decides. */
const char *allava_safetensors_get_metadata (AllavaSafetensors *set, const char *key);

/* Whether what was read from all files so far was theirs (see mapping.h). NULL is fine.
 * Error: CHANGED. */
gboolean allava_safetensors_check (AllavaSafetensors *set, GError **error);

/* Reads one tensor's mapped pages ahead; and gives back those that are its alone. */
void allava_safetensors_fetch (const AllavaTensor *tensor);
void allava_safetensors_release (const AllavaTensor *tensor);

/* Reads all mapped pages ahead, so that the first answer does not wait for the disk; reports
 * progress and stops when cancelled (FALSE, G_IO_ERROR_CANCELLED). Errors: FILE (a file was cut
 * short since it was mapped). */
gboolean allava_safetensors_warm (AllavaSafetensors *set,
                                  AllavaProgressFunc progress,
                                  gpointer progress_data,
                                  GCancellable *cancellable,
                                  GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaSafetensors, allava_safetensors_free)
