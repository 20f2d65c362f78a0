/* allava-generator-private.h - between the generator's files. */
#pragma once

#include "allava-generator.h"

/* The model in memory, or NULL; the caller's reference. */
AllavaModel *allava_generator_dup_model (AllavaGenerator *self);
