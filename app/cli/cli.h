/* cli.h - what the commands of allava-cli share.
 *
 * A command parses its own arguments, says what is wrong on stderr in one line, and returns the
 * exit status. */
#pragma once

#include "allava-engine.h"
#include "allava-image-file.h"

enum {
  CLI_OK = 0,
  CLI_FAILED = 1,
  CLI_MISUSE = 2,
  CLI_INTERRUPTED = 130, /* 128 + SIGINT */
};

#define CLI_DEFAULT_PROMPT "Describe this image."

typedef struct {
  /* options that every command takes */
  char *model_dir; /* NULL: the bundled model */
  char *vision_tower;
  char *device;
  AllavaDtype dtype;
  int threads;
  AllavaAlpha alpha;
  AllavaGenerateOptions generate;

  AllavaModel *model; /* loaded when first needed */
  gboolean model_failed;
  AllavaSession *session; /* likewise */
  double load_ms;
  GCancellable *cancellable;
  int busy; /* atomic: whether Ctrl+C cancels work rather than ends the program */
} Cli;

/* ---- Commands -------------------------------------------------------------------------------- */

/* ARGS is the command's name and what follows it, NULL-terminated. */
typedef int (*CliCommandFunc) (Cli *cli, char **args);

int cli_describe (Cli *cli, char **args);
int cli_chat (Cli *cli, char **args);
int cli_generate (Cli *cli, char **args);
int cli_tokenize (Cli *cli, char **args);
int cli_detokenize (Cli *cli, char **args);
int cli_dump (Cli *cli, char **args);
int cli_bench (Cli *cli, char **args);
int cli_quantize (Cli *cli, char **args);

/* ---- options.c ------------------------------------------------------------------------------- */

typedef struct {
  const char *command;    /* NULL: the program itself */
  const char *parameters; /* "IMAGE..." */
  const char *summary;
  const char *examples;
} CliUsage;

/* Takes the options out of ARGS, which keeps its first string and the operands; the program itself
 * stops at its first operand. Returns FALSE where the program should end with *STATUS: --help, or a
 * mistake that has been reported. */
gboolean
cli_parse (Cli *cli, const CliUsage *usage, const GOptionEntry *entries, char ***args, int *status);

/* Reads a whole number for OPTION ("--repeat"); reports a mistake. VALUE stays where TEXT is NULL.
 */
gboolean cli_parse_int (const char *option, const char *text, int min, int max, int *value);

/* Whether TEXT can be a prompt; otherwise reports why and sets *STATUS. */
gboolean cli_check_prompt (const char *text, int *status);

/* Reports that the command has been used wrongly and returns CLI_MISUSE. */
int cli_misuse (const CliUsage *usage, const char *message);

/* ---- model.c --------------------------------------------------------------------------------- */

/* The folder in use: --model's, or the bundled model's. Errors: FILE (there is none). */
char *cli_dup_model_dir (Cli *cli, GError **error);

/* What takes long shows how far it is, on a terminal only. */
typedef struct {
  const char *verb; /* "Loading" */
  const char *name;
  int64_t start;
  int64_t shown; /* when last; 0: never */
} CliProgress;

void cli_progress_cb (double fraction, gpointer user_data);
void cli_progress_end (const CliProgress *progress);

/* Both borrowed; loaded at the first call. */
AllavaModel *cli_get_model (Cli *cli, GError **error);
AllavaSession *cli_get_session (Cli *cli, GError **error);

/* Milliseconds that pictures took before the model saw them. */
typedef struct {
  double decode;     /* the file, to pixels */
  double preprocess; /* these, to the square that the model sees */
} CliPictureTimes;

/* What the model sees of a file; loads the model if need be. Adds to TIMES. */
AllavaPicture *
cli_load_picture (Cli *cli, const char *path, CliPictureTimes *times, GError **error);

/* All of PATHS (may be NULL), as a GPtrArray of AllavaPicture. */
GPtrArray *cli_load_pictures (Cli *cli, char **paths, CliPictureTimes *times, GError **error);

/* Answers TURNS; adds the answer to TEXT and, where STREAM is set, prints it as it comes. */
gboolean cli_answer (Cli *cli,
                     const AllavaTurn *turns,
                     size_t n_turns,
                     gboolean stream,
                     GString *text,
                     AllavaGenerateResult *result,
                     GError **error);

/* Lets Ctrl+C cancel CLI->cancellable while CLI->busy, and end the program otherwise. Before any
 * thread starts. */
void cli_watch_interrupts (Cli *cli);

/* ---- output.c -------------------------------------------------------------------------------- */

/* One line on stderr. */
void cli_report (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* Reports ERROR, frees it, and returns the exit status that it means. */
int cli_fail (GError *error);

/* To stdout, at once. Ends the program where nobody reads on or the disk is full. What is printed
 * on a terminal has U+FFFD for control characters but line ends and tabs. */
void cli_write (const char *text, size_t length);
void cli_print (const char *text);

/* Says on stderr that the model was not trained for several pictures; with TERMINAL_ONLY, on a
 * terminal only. */
void cli_note_several_pictures (gboolean terminal_only);

/* All of standard input, which may hold NUL bytes. Errors: FILE (unreadable), INPUT (over 256
 * MiB). */
GString *cli_read_input (GError **error);

double cli_milliseconds_since (int64_t start); /* of g_get_monotonic_time() */

/* A JSON object on one line: begins with NULL, ends by printing. */
void cli_json_string (GString *json, const char *key, const char *value);
void cli_json_strings (GString *json, const char *key, char *const *values); /* NULL: none */
void cli_json_int (GString *json, const char *key, int64_t value);
void cli_json_number (GString *json, const char *key, double value, int decimals);
void
cli_json_ids (GString *json, const char *key, const GArray *ids); /* KEY NULL: the array alone */
void cli_json_result (GString *json,
                      const char *text,
                      const CliPictureTimes *times,
                      const AllavaGenerateResult *result);
void cli_json_print (GString *json);
