/* allava-generator-jobs.h - what the generator's thread does. */
#pragma once

#include "allava-generator-backend.h"
#include "allava-stream-buffer.h"

/* The thread's own. */
typedef struct {
  const AllavaGeneratorBackend *backend;
  gpointer loaded; /* the backend's, or NULL */
} AllavaGeneratorContext;

typedef void (*AllavaLoadProgressFunc) (double fraction, gpointer user_data);

/* Loads PATH in place of what is loaded; with PATH NULL only unloads. */
typedef struct {
  AllavaGeneratorContext *context;
  gpointer owner; /* for the completion, on the main thread */
  char *path;
  char *device;
  AllavaDtype dtype;
  int threads;
  GCancellable *cancellable;
  int permille; /* of the progress; atomic */

  AllavaBackendInfo info; /* results */
  GError *error;
} AllavaLoadJob;

/* From WANTED, the setting, 0: as many as CORES, but of more than two one is spared. */
int allava_load_job_choose_threads (int wanted, int cores);

/* Computes from then on with a lower priority than the rest of the program. */
void allava_load_job_run (gpointer data);
void allava_load_job_free (AllavaLoadJob *job);

typedef struct {
  AllavaGeneratorContext *context;
  gpointer owner;
  GPtrArray *prompt; /* AllavaPromptTurn */
  AllavaGenerateOptions options;
  GCancellable *cancellable;
  AllavaStreamBuffer *buffer;

  double first_token_ms; /* results */
  AllavaGenerateResult result;
  GError *error;

  gint64 start; /* private */
} AllavaAnswerJob;

void allava_answer_job_run (gpointer data);
void allava_answer_job_free (AllavaAnswerJob *job);
