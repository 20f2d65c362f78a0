/* model.h - what the engine's files know of a loaded model. */
#pragma once

#include "backend.h"

struct _AllavaModel {
  gatomicrefcount ref_count;
  char *dir;
  AllavaConfig config;
  AllavaPreprocess preprocess;
  AllavaTokenizer *tokenizer;
  AllavaSafetensors *set;
  AllavaSafetensors *tower; /* of a separate vision tower, or NULL */
  AllavaWeights weights;
  const AllavaBackend *backend;
  gpointer backend_model;
  char *device_note; /* INFO's */
  AllavaModelInfo info;
  int32_t eos;
  GArray *ids; /* int32_t: those that may be sampled, eos among them */
};

/* allava_model_load() on a given backend. */
AllavaModel *allava_model_load_on (const AllavaBackend *backend,
                                   const char *dir,
                                   const AllavaModelOptions *options,
                                   GError **error);

/* Whether what was computed so far came from the files as they were when they were loaded. To be
 * asked after each step, before its outcome is shown. Error: CHANGED. */
gboolean allava_model_check (const AllavaModel *model, GError **error);
