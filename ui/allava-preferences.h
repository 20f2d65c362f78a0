/* allava-preferences.h - the preferences window. */
#pragma once

#include "allava-application.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_PREFERENCES (allava_preferences_get_type ())
G_DECLARE_FINAL_TYPE (
    AllavaPreferences, allava_preferences, ALLAVA, PREFERENCES, AdwPreferencesWindow)

GtkWindow *allava_preferences_new (AllavaApplication *application, AllavaLibrary *library);

G_END_DECLS
