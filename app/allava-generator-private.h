/* allava-generator-private.h - between the generator's files. */
#pragma once

#include "allava-generator-jobs.h"
#include "allava-generator.h"
#include "allava-worker.h"

/* A question that waits or is answered. */
typedef struct {
  AllavaGenerator *self; /* borrowed while it waits; the task holds it */
  AllavaMessage *message;
  GPtrArray *prompt;
  GCancellable *cancellable;
  GSource *cancelled; /* while it waits */
  AllavaStreamBuffer *buffer;
  GTask *task;
} AllavaAnswer;

struct _AllavaGenerator {
  GObject parent_instance;
  AllavaSettings *settings;
  AllavaWorker *worker; /* NULL once shut */
  AllavaGeneratorContext *context;

  char *model_path; /* chosen, or NULL */
  char *model_name;
  AllavaBackendInfo info; /* of what was loaded last */
  gboolean loaded;
  gboolean stale;      /* what is chosen must be loaded, whatever is */
  gboolean gpu_failed; /* loads go to the processor, until a model or device is chosen again */
  char *error;

  /* At most one of the two is on the worker; what comes next is decided here when it is back. */
  AllavaLoadJob *load;
  AllavaAnswer *current;
  GQueue answers; /* AllavaAnswer, that wait */

  guint progress_source;
  guint idle_source;
  AllavaGeneratorState state;
};

/* Decides what the worker does next; called whenever something has changed. */
void allava_generator_advance (AllavaGenerator *self);

/* Gives each that waits its last state. */
void allava_generator_finish_waiting (AllavaGenerator *self,
                                      AllavaMessageState state,
                                      const char *error);

/* Tell of changes of the state; of anything that concerns the model; of the answer; of progress. */
void allava_generator_update_state (AllavaGenerator *self);
void allava_generator_notify_model (AllavaGenerator *self);
void allava_generator_notify_answer (AllavaGenerator *self);
void allava_generator_notify_progress (AllavaGenerator *self);

void allava_generator_set_error (AllavaGenerator *self, const char *error);

/* The model in memory, or NULL; the caller's reference. */
AllavaModel *allava_generator_dup_model (AllavaGenerator *self);
