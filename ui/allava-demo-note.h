/* allava-demo-note.h - says that the bundled model is a demonstration, and how to install a real
 * one. It is visible while that model is in use. */
#pragma once

#include "allava-library.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_DEMO_NOTE (allava_demo_note_get_type ())
G_DECLARE_FINAL_TYPE (AllavaDemoNote, allava_demo_note, ALLAVA, DEMO_NOTE, GtkWidget)

void allava_demo_note_set_library (AllavaDemoNote *self, AllavaLibrary *library);

G_END_DECLS
