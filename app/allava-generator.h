/* allava-generator.h - one worker thread that owns the model and its session, and a queue of jobs.
 *
 * Belongs to the main thread: call it and listen to it there. Nothing blocks: loading, answering
 * and unloading happen on the worker, in order. */
#pragma once

#include "allava-generator-backend.h"
#include "allava-message.h"
#include "allava-settings.h"

G_BEGIN_DECLS

typedef enum {
  ALLAVA_GENERATOR_NO_MODEL,  /* none chosen, or "error" says why it did not load */
  ALLAVA_GENERATOR_LOADING,   /* "progress" runs; answers wait */
  ALLAVA_GENERATOR_READY,     /* also when unloaded for idleness: the next question reloads */
  ALLAVA_GENERATOR_ANSWERING, /* see "answer" */
} AllavaGeneratorState;

#define ALLAVA_TYPE_GENERATOR_STATE (allava_generator_state_get_type ())
GType allava_generator_state_get_type (void);

#define ALLAVA_TYPE_GENERATOR (allava_generator_get_type ())
G_DECLARE_FINAL_TYPE (AllavaGenerator, allava_generator, ALLAVA, GENERATOR, GObject)

/* Properties (read-only, all notify):
 *   state       AllavaGeneratorState
 *   progress    double   of loading, 0 to 1
 *   error       string or NULL: why the model did not load
 *   model-path  string or NULL: the model chosen, loaded or not
 *   model-name  string or NULL: for people
 *   device      string or NULL: "cpu", ...; NULL until loaded
 *   dtype       string or NULL: "bf16", ...
 *   device-note string or NULL: why not the GPU, in a sentence
 *   loaded      boolean  the model is in memory
 *   answer      AllavaMessage or NULL: what is being written now
 *   context-length, image-positions   int; 0 until loaded once */

/* SETTINGS gives device, dtype, threads, sampling and idle unloading, looked at for each job; a
 * change of device, dtype or threads reloads the model. BACKEND may be NULL: the engine. */
AllavaGenerator *allava_generator_new (AllavaSettings *settings,
                                       const AllavaGeneratorBackend *backend);

AllavaGeneratorState allava_generator_get_state (AllavaGenerator *self);
double allava_generator_get_progress (AllavaGenerator *self);
const char *allava_generator_get_error (AllavaGenerator *self);
const char *allava_generator_get_model_path (AllavaGenerator *self);
const char *allava_generator_get_model_name (AllavaGenerator *self);
const char *allava_generator_get_device (AllavaGenerator *self);
const char *allava_generator_get_dtype (AllavaGenerator *self);
const char *allava_generator_get_device_note (AllavaGenerator *self);
gboolean allava_generator_get_loaded (AllavaGenerator *self);
AllavaMessage *allava_generator_get_answer (AllavaGenerator *self);
int allava_generator_get_context_length (AllavaGenerator *self);
int allava_generator_get_image_positions (AllavaGenerator *self);

/* Chooses and loads the model in the folder PATH. An answer that streams is finished first, loading
 * of another model is cancelled, and questions that wait are answered by the new one. NULL unloads
 * and chooses none. The same path again tries again. */
void allava_generator_load (AllavaGenerator *self, const char *path);

/* Answers into ANSWER: appends to its text, sets its details, state and error; see
 * allava-prompt.h for what the model is asked. If ANSWER has text, the model goes on from there.
 * The seed is the setting's for the first of ANSWER's siblings, and the next one for the next:
 * where words are drawn by chance, versions differ, and come out the same again. CALLBACK is called
 * when ANSWER is in its last state, whatever that is; it may be NULL. Cancelling stops within a
 * token, and in the queue at once: "stopped", no error. Without a model the question waits for one;
 * if loading fails it fails with that sentence. */
void allava_generator_answer_async (AllavaGenerator *self,
                                    GPtrArray *prompt,
                                    AllavaMessage *answer,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);
void allava_generator_answer_finish (AllavaGenerator *self, GAsyncResult *result);

/* The square that the model sees of IMAGE, made off the main thread. Error too where no model is
 * in memory. */
void allava_generator_show_async (AllavaGenerator *self,
                                  AllavaImage *image,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
GdkPixbuf *
allava_generator_show_finish (AllavaGenerator *self, GAsyncResult *result, GError **error);

/* Cancels everything, joins the thread. Callbacks of answers are called before this returns.
 * Disposing does the same. */
void allava_generator_shut (AllavaGenerator *self);

G_END_DECLS
