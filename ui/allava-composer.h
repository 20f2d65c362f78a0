/* allava-composer.h - where a question is written: text, images, and what hinders sending. */
#pragma once

#include "allava-library.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_COMPOSER (allava_composer_get_type ())
G_DECLARE_FINAL_TYPE (AllavaComposer, allava_composer, ALLAVA, COMPOSER, GtkWidget)

/* Signal: sent (AllavaMessage *answer), when a question has been asked. */

void allava_composer_set_library (AllavaComposer *self, AllavaLibrary *library);
void allava_composer_set_conversation (AllavaComposer *self, AllavaConversation *conversation);

/* Read, checked and stored off this thread; failures are told below the entry, and so is a file
 * that is not on this computer. FILES is a list model of GFile. */
void allava_composer_add_files (AllavaComposer *self, GListModel *files);
void allava_composer_add_bytes (AllavaComposer *self, GBytes *bytes, const char *name);

/* Gives up what has not been read yet, and says so. */
void allava_composer_cancel_reading (AllavaComposer *self);

/* Those on their way, too. */
void allava_composer_remove_images (AllavaComposer *self);

/* Puts QUESTION into the entry: what is sent then replaces it as a new branch. The draft that was
 * there comes back afterwards. WITH_IMAGES FALSE leaves its images out, for others. */
void allava_composer_edit (AllavaComposer *self, AllavaMessage *question, gboolean with_images);

/* Ends editing, if it was on, and says so. */
void allava_composer_cancel_edit (AllavaComposer *self);

void allava_composer_show_error (AllavaComposer *self, const char *message);
GtkWidget *allava_composer_get_entry (AllavaComposer *self);

G_END_DECLS
