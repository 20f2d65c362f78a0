/* allava-composer-private.h - what the composer's files share. */
#pragma once

#include "allava-composer.h"

#include "allava-wrap-box.h"

G_BEGIN_DECLS

struct _AllavaComposer {
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkTextView *entry;
  GtkWidget *placeholder;
  GtkWidget *edit_bar;
  GtkLabel *edit_label;
  GtkBox *image_box;
  GtkWidget *image_scroller;
  AllavaWrapBox *suggestions;
  GtkWidget *stop_button;
  GtkWidget *send_button;
  GtkWidget *progress_box;
  GtkLabel *progress_label;
  GtkProgressBar *progress_bar;
  GtkLabel *error_label;
  GtkWidget *context_box;
  GtkLevelBar *context_bar;
  GtkLabel *context_label;

  AllavaLibrary *library;
  AllavaConversation *conversation;
  GSignalGroup *conversation_signals;
  GListStore *images;
  GPtrArray *readings; /* Reading: images on their way */
  char *failure;       /* why the first of them that failed did, and */
  guint n_more_failures;
  gboolean send_is_due; /* as soon as they are there, if nothing else is written or shown by then */
  gboolean composing;   /* an input method shows something */

  AllavaMessage *editing;
  char *draft; /* what was written before editing */
  GListStore *draft_images;
};

/* Shows what can be done now. */
void allava_composer_update (AllavaComposer *self);

/* To a screen reader. */
void allava_composer_say (AllavaComposer *self, const char *message);

/* As allava_composer_show_error, but for what failed before: that is not forgotten. */
void allava_composer_set_error (AllavaComposer *self, const char *message);

/* Sends what is there, if it can be sent; says why not. */
void allava_composer_send (AllavaComposer *self);

/* In allava-composer-images.c: makes the lists; gives up what is on its way, without a word. */
void allava_composer_init_images (AllavaComposer *self);
void allava_composer_cancel_readings (AllavaComposer *self);

G_END_DECLS
