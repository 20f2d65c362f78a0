/* allava-library.h - the application without its windows: history, images, generator, settings, and
 * the conversations that are open. Belongs to the main thread. */
#pragma once

#include "allava-conversation-list.h"
#include "allava-conversation.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_LIBRARY (allava_library_get_type ())
G_DECLARE_FINAL_TYPE (AllavaLibrary, allava_library, ALLAVA, LIBRARY, GObject)

/* FOLDER is where everything is kept; allava_library_dup_default_folder() in the application.
 * BACKEND may be NULL: the engine. */
AllavaLibrary *allava_library_new (const char *folder,
                                   AllavaSettings *settings,
                                   const AllavaGeneratorBackend *backend);
char *allava_library_dup_default_folder (void); /* $XDG_DATA_HOME/allava */

const char *allava_library_get_folder (AllavaLibrary *self);

/* Where models are looked for: the settings' folder, or "models" in the library's. */
char *allava_library_dup_models_folder (AllavaLibrary *self);

AllavaSettings *allava_library_get_settings (AllavaLibrary *self);
AllavaHistory *allava_library_get_history (AllavaLibrary *self);
AllavaImageStore *allava_library_get_images (AllavaLibrary *self);
AllavaGenerator *allava_library_get_generator (AllavaLibrary *self);
AllavaConversationList *allava_library_get_list (AllavaLibrary *self);

/* Opens the history. After an error the library works on, and saves nothing. */
void
allava_library_open_async (AllavaLibrary *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean allava_library_open_finish (AllavaLibrary *self, GAsyncResult *result, GError **error);

/* The caller owns what these return. A conversation is the same object as long as someone holds it,
 * its answer streams or the history lacks something of it. What could not be saved is sent again
 * when the history opens, when something else could be saved, and at the end. */
AllavaConversation *allava_library_new_conversation (AllavaLibrary *self);
AllavaConversation *allava_library_dup_conversation (AllavaLibrary *self, gint64 id);

/* Whether some of a conversation could not be saved so far. */
gboolean allava_library_has_failed (AllavaLibrary *self);

/* Stops the answer of one conversation, shown or not; ID 0: of all. */
void allava_library_stop (AllavaLibrary *self, gint64 id);

/* Stops answers, saves them as stopped, ends both threads. Idle work until then goes on. */
void
allava_library_close_async (AllavaLibrary *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean allava_library_close_finish (AllavaLibrary *self, GAsyncResult *result, GError **error);

G_END_DECLS
