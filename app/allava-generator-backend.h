/* allava-generator-backend.h - what the generator does its work with: the engine, or in tests and
 * benchmarks something that pretends. All functions are called on the generator's thread. */
#pragma once

#include "allava-engine.h"
#include "allava-prompt.h"

G_BEGIN_DECLS

typedef struct {
  char *name;
  char *device;
  char *dtype;
  char *device_note; /* or NULL */
  int context_length;
  int image_positions;
  AllavaModel *model; /* for pictures; or NULL; a reference */
} AllavaBackendInfo;

void allava_backend_info_clear (AllavaBackendInfo *info);

typedef struct {
  /* Loads the model in the folder PATH; INFO is zeroed and owns what is put there. */
  gpointer (*load) (const char *path,
                    const AllavaModelOptions *options,
                    AllavaBackendInfo *info,
                    GError **error);
  /* PROMPT is a GPtrArray of AllavaPromptTurn. As allava_session_generate(). */
  gboolean (*generate) (gpointer loaded,
                        GPtrArray *prompt,
                        const AllavaGenerateOptions *options,
                        AllavaTextFunc text_func,
                        gpointer user_data,
                        AllavaGenerateResult *result,
                        GError **error);
  void (*unload) (gpointer loaded);
} AllavaGeneratorBackend;

/* The engine. */
extern const AllavaGeneratorBackend allava_engine_backend;

/* What MODEL sees of IMAGE, decoded from its stored file. Any thread. */
AllavaPicture *allava_engine_backend_make_picture (AllavaModel *model,
                                                   AllavaImage *image,
                                                   GCancellable *cancellable,
                                                   GError **error);

G_END_DECLS
