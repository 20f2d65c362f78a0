/* allava-application.h - the one instance of the desktop application. */
#pragma once

#include "allava-library.h"

#include <adwaita.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_APPLICATION (allava_application_get_type ())
G_DECLARE_FINAL_TYPE (AllavaApplication, allava_application, ALLAVA, APPLICATION, AdwApplication)

/* BACKEND answers the questions; NULL: the engine. */
AllavaApplication *allava_application_new (const AllavaGeneratorBackend *backend);

/* Remembers the folder PATH as the model in use and loads it; NULL: the bundled one. */
void allava_application_choose_model (AllavaApplication *self, const char *path);

/* Where the bundled model is; it may not exist. */
const char *allava_application_get_bundled_model (AllavaApplication *self);

GSettings *allava_application_get_gsettings (AllavaApplication *self);

/* Whether the program was told to end, so that nothing is to be waited or asked for. */
gboolean allava_application_get_terminated (AllavaApplication *self);

G_END_DECLS
