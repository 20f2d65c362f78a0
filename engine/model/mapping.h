/* mapping.h - a file mapped for reading, of which nothing that happens to it ends the program.
 *
 * A mapped page whose file was cut short meanwhile, or whose disk fails, raises SIGBUS when it is
 * touched. While a mapping lives, a process-wide handler of that signal puts zeros in the place of
 * what is gone, and allava_mapping_check() tells of it. A SIGBUS that has nothing to do with a
 * mapping goes to the handler that was there before. */
#pragma once

#include "allava-engine.h"

typedef struct {
  const char *data;
  size_t length; /* never 0 */
} AllavaMapping;

/* PATH's whole content, which must be a file. Errors: FILE, FORMAT (it is empty). */
AllavaMapping *allava_mapping_new (const char *path, GError **error);
void allava_mapping_free (AllavaMapping *mapping);

/* Whether everything read from it so far was what the file held when it was mapped: FALSE, and so
 * ever after, once its size or its time of modification is another, or it could not be read, with
 * CHANGED. A file that was replaced, renamed or deleted stays what it was. Cheap enough to ask for
 * each token; any thread may. */
gboolean allava_mapping_check (AllavaMapping *mapping, GError **error);
