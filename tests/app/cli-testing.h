/* cli-testing.h - what the tests of allava-cli share: running the program that ALLAVA_CLI names. */
#pragma once

#include <gio/gio.h>

typedef struct {
  char *out; /* NUL-terminated; may hold NUL bytes */
  size_t n_out;
  char *err;
  int status; /* of the exit; -SIGNAL where it was killed */
} TestingRun;

void testing_run_clear (TestingRun *run);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestingRun, testing_run_clear)

/* Runs it to its end. ARGS are separated by blanks; %m is the model, %i the folder of pictures. */
TestingRun testing_run (const char *args);
TestingRun testing_run_input (const char *args, const char *input);

/* With words as they are; the second function makes them of ARGS. */
TestingRun testing_run_words (const char *input, size_t n_input, GStrv args);
GStrv testing_split (const char *args);

/* Begins it, and waits for its end. */
GSubprocess *testing_spawn (GStrv args);
TestingRun testing_finish (GSubprocess *process, const char *input, size_t n_input);

/* ERR is one line of the program's. */
void testing_assert_one_line (const char *err);
