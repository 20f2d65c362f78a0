/* allava-model-button.h - which model answers, on which device, and the choice of others. */
#pragma once

#include "allava-application.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_MODEL_BUTTON (allava_model_button_get_type ())
G_DECLARE_FINAL_TYPE (AllavaModelButton, allava_model_button, ALLAVA, MODEL_BUTTON, GtkWidget)

void allava_model_button_set_library (AllavaModelButton *self,
                                      AllavaApplication *application,
                                      AllavaLibrary *library);
void allava_model_button_popup (AllavaModelButton *self);

G_END_DECLS
