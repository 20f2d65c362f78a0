/* allava-window.h - the window: side bar and conversation. */
#pragma once

#include "allava-application.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_WINDOW (allava_window_get_type ())
G_DECLARE_FINAL_TYPE (AllavaWindow, allava_window, ALLAVA, WINDOW, AdwApplicationWindow)

AllavaWindow *allava_window_new (AllavaApplication *application, AllavaLibrary *library);

AllavaLibrary *allava_window_get_library (AllavaWindow *self);
AllavaConversation *allava_window_get_conversation (AllavaWindow *self);

/* Puts FILES into the composer. */
void allava_window_add_files (AllavaWindow *self, GFile **files, int n_files);

/* Takes all images out of the composer. */
void allava_window_remove_images (AllavaWindow *self);

void allava_window_show_conversation (AllavaWindow *self, AllavaConversation *conversation);
void allava_window_show_new_conversation (AllavaWindow *self);
void allava_window_view_image (AllavaWindow *self, AllavaImage *image);

/* Until each export that was begun has ended, the window closes only when it is told so a second
 * time: the first time it waits for all to be WHOLE. The cancellable, which is the window's, is
 * cancelled when the window goes all the same; the program stays until the end is told. */
GCancellable *allava_window_begin_export (AllavaWindow *self);
void allava_window_end_export (AllavaWindow *self, gboolean whole);

/* What failed, in whole: at the composer. */
void allava_window_show_error (AllavaWindow *self, const GError *error);

/* In the place of the conversations, and at the composer; NULL: there is none. */
void allava_window_show_history_error (AllavaWindow *self, const GError *error);

/* A passing word at the window's foot; TITLE is plain text. */
void allava_window_toast (AllavaWindow *self, const char *title);

/* The same with a button that calls CALLBACK (OBJECT), once. */
void allava_window_offer_undo (AllavaWindow *self,
                               const char *title,
                               GCallback callback,
                               GObject *object);

/* Takes back the offer that was made for OBJECT, if it is the last one and still there. */
void allava_window_withdraw_undo (AllavaWindow *self, GObject *object);

G_END_DECLS
