#include "cli.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WIDTH 640
#define HEIGHT 480

static const CliUsage usage = {
    .command = "bench",
    .summary = "Measures a model's speed and memory with a drawn picture and a prompt.",
    .examples =
        "Prints a table on a terminal, a JSON object otherwise: load_ms; image_ms, whose parts "
        "are\n"
        "image_decode_ms (the file), preprocess_ms (resizing), tower_ms and projector_ms;\n"
        "vision_ms (the latter two); prefill_ms and prefill_tokens; first_token_ms (all of "
        "these);\n"
        "decode_tokens_per_s; bytes_per_token (weights and KV); bandwidth_gb_s (of the\n"
        "device, measured now); bandwidth_fraction (bytes_per_token * decode_tokens_per_s of\n"
        "that); peak_rss_mb; peak_device_mb; device; dtype; threads. Times are medians of\n"
        "--repeat runs.\n"
        "\n"
        "Examples:\n"
        "  allava-cli bench --model ~/models/ALLaVA-3B-Longer --dtype bf16 --threads 8\n"
        "  allava-cli bench --no-image --prompt-tokens 1000\n",
};

enum {
  IMAGE_DECODE_MS,
  PREPROCESS_MS,
  TOWER_MS,
  PROJECTOR_MS,
  PREFILL_MS,
  N_PARTS, /* of the time to the first token */
  TOKENS_PER_S = N_PARTS,
  BANDWIDTH, /* bytes per second, around the decoding */
  FRACTION,
  N_FIGURES,
};

typedef struct {
  int prompt_tokens;
  int new_tokens;
  int repeat;
  GBytes *jpeg;               /* the picture's file; NULL: none is asked about */
  double *figures[N_FIGURES]; /* [repeat] */
  int prefill_tokens;
  int decoded_tokens;
  double peak_rss; /* bytes */
} Bench;

/* A picture of fine detail, as a JPEG file. */
static GBytes *
draw_picture (GError **error)
{
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, WIDTH, HEIGHT);
  uint8_t *pixels = gdk_pixbuf_get_pixels (pixbuf);
  for (uint32_t y = 0; y < HEIGHT; y++)
    for (uint32_t x = 0; x < WIDTH; x++)
      for (uint32_t c = 0; c < 3; c++)
        pixels[y * gdk_pixbuf_get_rowstride (pixbuf) + x * 3 + c] =
            (x * 7 + y * 13 + c * 101) ^ ((x * y) >> 3) ^ (x * x * 3 + y * 5 * c);
  char *data;
  gsize length;
  if (!gdk_pixbuf_save_to_buffer (pixbuf, &data, &length, "jpeg", error, "quality", "90", NULL))
    return NULL;
  return g_bytes_new_take (data, length);
}

/* Words until they are as many tokens or, where a word has several, a few more. */
static char *
dup_prompt (Cli *cli, size_t n_tokens, GError **error)
{
  AllavaTokenizer *tokenizer = allava_model_get_tokenizer (cli->model);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  g_autoptr (GString) text = g_string_new ("What");
  for (;;) {
    g_array_set_size (ids, 0);
    if (!allava_tokenizer_encode (tokenizer, text->str, text->len, ALLAVA_TOKENIZE_TEXT, ids,
                                  error))
      return NULL;
    if (ids->len >= n_tokens)
      return g_string_free (g_steal_pointer (&text), FALSE);
    for (size_t i = 0; i <= (n_tokens - ids->len) / 8; i++)
      g_string_append (text, " is");
  }
}

static void
note_peak_rss (Bench *bench)
{
  struct rusage use;
  getrusage (RUSAGE_SELF, &use);
  bench->peak_rss = MAX (bench->peak_rss, use.ru_maxrss * 1024.0);
}

/* Its buffer of hundreds of megabytes is not the model's, so the peak is forgotten (proc(5)). */
static double
measure_bandwidth (Cli *cli, Bench *bench)
{
  note_peak_rss (bench);
  double bandwidth = allava_model_measure_bandwidth (cli->model);
  FILE *file = fopen ("/proc/self/clear_refs", "w");
  if (file != NULL) {
    fputs ("5", file);
    fclose (file);
  }
  return bandwidth;
}

static AllavaPicture *
load_picture (Cli *cli, Bench *bench, int run, GError **error)
{
  int64_t start = g_get_monotonic_time ();
  g_autoptr (GInputStream) stream = g_memory_input_stream_new_from_bytes (bench->jpeg);
  g_autoptr (AllavaImageFile) file =
      allava_image_file_load_stream (stream, "the drawn picture", cli->alpha,
                                     ALLAVA_IMAGE_FILE_MAX_PIXELS, cli->cancellable, error);
  if (file == NULL)
    return NULL;
  bench->figures[IMAGE_DECODE_MS][run] = cli_milliseconds_since (start);
  start = g_get_monotonic_time ();
  AllavaPicture *picture =
      allava_picture_new (cli->model, allava_image_file_get_pixels (file), error);
  bench->figures[PREPROCESS_MS][run] = cli_milliseconds_since (start);
  return picture;
}

/* What decoding reads for a token: the weights, and the keys and values of the positions before it,
 * on average over the tokens decoded. */
static size_t
bytes_per_token (Cli *cli, const Bench *bench)
{
  const AllavaModelInfo *info = allava_model_get_info (cli->model);
  size_t positions = bench->prefill_tokens + bench->decoded_tokens / 2;
  return info->bytes_per_token + positions * info->kv_bytes_per_position;
}

static void
note_result (Cli *cli, Bench *bench, int run, const AllavaGenerateResult *result, double bandwidth)
{
  bench->prefill_tokens = result->prompt_positions;
  bench->decoded_tokens = result->tokens->len;
  bench->figures[TOWER_MS][run] = result->vision_ms - result->projector_ms;
  bench->figures[PROJECTOR_MS][run] = result->projector_ms;
  bench->figures[PREFILL_MS][run] = result->prefill_ms;
  /* The first token comes from the prefill. */
  double tokens_per_s = (bench->decoded_tokens - 1) / (result->decode_ms / 1e3);
  bench->figures[TOKENS_PER_S][run] = tokens_per_s;
  bench->figures[BANDWIDTH][run] = bandwidth;
  bench->figures[FRACTION][run] = tokens_per_s * bytes_per_token (cli, bench) / bandwidth;
}

static gboolean
measure_once (Cli *cli, Bench *bench, const char *prompt, int run, GError **error)
{
  g_autoptr (AllavaSession) session = allava_session_new (cli->model, error);
  if (session == NULL)
    return FALSE;
  g_autoptr (AllavaPicture) picture = NULL;
  if (bench->jpeg != NULL && (picture = load_picture (cli, bench, run, error)) == NULL)
    return FALSE;

  AllavaTurn turn = {ALLAVA_ROLE_USER, prompt, &picture, picture != NULL ? 1 : 0};
  AllavaGenerateOptions options = cli->generate;
  options.max_new_tokens = options.min_new_tokens = bench->new_tokens;
  options.cancellable = cli->cancellable;
  AllavaGenerateResult result;
  /* A shared machine's speed drifts, so the limit is measured on both sides of what it limits. */
  double before = measure_bandwidth (cli, bench);
  if (!allava_session_generate (session, &turn, 1, &options, NULL, NULL, &result, error))
    return FALSE;
  note_result (cli, bench, run, &result, (before + measure_bandwidth (cli, bench)) / 2);
  gboolean cancelled = result.finish == ALLAVA_FINISH_CANCELLED;
  if (cancelled)
    g_cancellable_set_error_if_cancelled (cli->cancellable, error);
  allava_generate_result_clear (&result);
  return !cancelled;
}

static int
compare (const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double
median (double *values, int n)
{
  qsort (values, n, sizeof *values, compare);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static gboolean
measure (Cli *cli, Bench *bench, GError **error)
{
  if (cli_get_model (cli, error) == NULL)
    return FALSE;
  g_autofree char *prompt = dup_prompt (cli, bench->prompt_tokens, error);
  if (prompt == NULL)
    return FALSE;
  for (int run = 0; run < bench->repeat; run++)
    if (!measure_once (cli, bench, prompt, run, error))
      return FALSE;
  return TRUE;
}

/* ---- Report ---------------------------------------------------------------------------------- */

typedef struct {
  double figures[N_FIGURES];
  double vision_ms, image_ms, first_token_ms;
  double peak_rss_mb;
} Summary;

static Summary
summarize (const Bench *bench)
{
  Summary summary = {.peak_rss_mb = bench->peak_rss / 1e6};
  const double *figures = summary.figures;
  for (int i = 0; i < N_FIGURES; i++)
    summary.figures[i] = median (bench->figures[i], bench->repeat);
  summary.vision_ms = figures[TOWER_MS] + figures[PROJECTOR_MS];
  summary.image_ms = figures[IMAGE_DECODE_MS] + figures[PREPROCESS_MS] + summary.vision_ms;
  summary.first_token_ms = summary.image_ms + figures[PREFILL_MS];
  return summary;
}

static void
print_json (Cli *cli, const Bench *bench, const Summary *summary)
{
  const AllavaModelInfo *info = allava_model_get_info (cli->model);
  const double *figures = summary->figures;
  g_autoptr (GString) json = g_string_new (NULL);
  cli_json_number (json, "load_ms", cli->load_ms, 3);
  cli_json_number (json, "image_ms", summary->image_ms, 3);
  cli_json_number (json, "image_decode_ms", figures[IMAGE_DECODE_MS], 3);
  cli_json_number (json, "preprocess_ms", figures[PREPROCESS_MS], 3);
  cli_json_number (json, "vision_ms", summary->vision_ms, 3);
  cli_json_number (json, "tower_ms", figures[TOWER_MS], 3);
  cli_json_number (json, "projector_ms", figures[PROJECTOR_MS], 3);
  cli_json_number (json, "prefill_ms", figures[PREFILL_MS], 3);
  cli_json_int (json, "prefill_tokens", bench->prefill_tokens);
  cli_json_number (json, "first_token_ms", summary->first_token_ms, 3);
  cli_json_number (json, "decode_tokens_per_s", figures[TOKENS_PER_S], 3);
  cli_json_int (json, "bytes_per_token", bytes_per_token (cli, bench));
  cli_json_number (json, "bandwidth_gb_s", figures[BANDWIDTH] / 1e9, 3);
  cli_json_number (json, "bandwidth_fraction", figures[FRACTION], 4);
  cli_json_number (json, "peak_rss_mb", summary->peak_rss_mb, 1);
  cli_json_number (json, "peak_device_mb", allava_model_get_device_memory (cli->model) / 1e6, 1);
  cli_json_string (json, "device", info->device);
  cli_json_string (json, "dtype", allava_dtype_to_string (info->dtype));
  cli_json_int (json, "threads", info->threads);
  cli_json_print (json);
}

static void
print_table (Cli *cli, const Bench *bench, const Summary *summary)
{
  const AllavaModelInfo *info = allava_model_get_info (cli->model);
  const double *figures = summary->figures;
  g_autoptr (GString) table = g_string_new (NULL);
  g_string_append_printf (table, "%s, %.1f million parameters, %s weights\n", info->name,
                          info->n_parameters / 1e6, allava_dtype_to_string (info->stored_dtype));
  if (info->threads > 0)
    g_string_append_printf (table, "%s (%s), %s, %d thread%s\n\n", info->device,
                            info->instruction_set, allava_dtype_to_string (info->dtype),
                            info->threads, info->threads == 1 ? "" : "s");
  else
    g_string_append_printf (table, "%s (%s), %s\n\n", info->device, info->device_name,
                            allava_dtype_to_string (info->dtype));
  g_string_append_printf (table, "load          %10.1f ms\n", cli->load_ms);
  if (bench->jpeg != NULL)
    g_string_append_printf (table,
                            "image         %10.1f ms   decoding %.1f, resizing %.1f, vision tower "
                            "%.1f, projector %.1f\n",
                            summary->image_ms, figures[IMAGE_DECODE_MS], figures[PREPROCESS_MS],
                            figures[TOWER_MS], figures[PROJECTOR_MS]);
  g_string_append_printf (table, "prefill       %10.1f ms   %d positions, %.1f a second\n",
                          figures[PREFILL_MS], bench->prefill_tokens,
                          bench->prefill_tokens / figures[PREFILL_MS] * 1e3);
  g_string_append_printf (table, "first token   %10.1f ms\n", summary->first_token_ms);
  g_string_append_printf (table, "decode        %10.2f tokens/s over %d tokens\n",
                          figures[TOKENS_PER_S], bench->decoded_tokens);
  g_string_append_printf (table, "bandwidth     %10.1f GB/s   %.1f MB a token, %.0f %% in use\n",
                          figures[BANDWIDTH] / 1e9, bytes_per_token (cli, bench) / 1e6,
                          figures[FRACTION] * 100);
  g_string_append_printf (table, "peak memory   %10.1f MB", summary->peak_rss_mb);
  size_t device_memory = allava_model_get_device_memory (cli->model);
  if (device_memory > 0)
    g_string_append_printf (table, "   and %.1f MB of the GPU's", device_memory / 1e6);
  g_string_append_c (table, '\n');
  cli_write (table->str, table->len);
}

static int
run (Cli *cli, Bench *bench, gboolean json)
{
  GError *error = NULL;
  for (int i = 0; i < N_FIGURES; i++)
    bench->figures[i] = g_new0 (double, bench->repeat);
  int status = measure (cli, bench, &error) ? CLI_OK : cli_fail (error);
  if (status == CLI_OK) {
    Summary summary = summarize (bench);
    (json ? print_json : print_table) (cli, bench, &summary);
  }
  for (int i = 0; i < N_FIGURES; i++)
    g_free (bench->figures[i]);
  return status;
}

int
cli_bench (Cli *cli, char **args)
{
  Bench bench = {.prompt_tokens = 32, .new_tokens = 64, .repeat = 1};
  gboolean json = FALSE, no_image = FALSE;
  char *prompt_tokens = NULL, *new_tokens = NULL, *repeat = NULL;
  const GOptionEntry entries[] = {
      {"prompt-tokens", 'p', 0, G_OPTION_ARG_STRING, &prompt_tokens,
       "Tokens of the prompt's text (default 32)", "N"},
      {"no-image", 0, 0, G_OPTION_ARG_NONE, &no_image, "Ask about no picture", NULL},
      {"new-tokens", 'n', 0, G_OPTION_ARG_STRING, &new_tokens, "Tokens to decode (default 64)",
       "N"},
      {"repeat", 'r', 0, G_OPTION_ARG_STRING, &repeat, "Runs to take the median of (default 1)",
       "N"},
      {"json", 0, 0, G_OPTION_ARG_NONE, &json, "Print JSON on a terminal too", NULL},
      {NULL},
  };
  int status;
  gboolean parsed = cli_parse (cli, &usage, entries, &args, &status);
  g_autofree char *prompt_tokens_text = prompt_tokens;
  g_autofree char *new_tokens_text = new_tokens;
  g_autofree char *repeat_text = repeat;
  if (!parsed)
    return status;
  if (!cli_parse_int ("--prompt-tokens", prompt_tokens, 1, 100000, &bench.prompt_tokens) ||
      !cli_parse_int ("--new-tokens", new_tokens, 2, 1000000, &bench.new_tokens) ||
      !cli_parse_int ("--repeat", repeat, 1, 1000, &bench.repeat))
    return CLI_MISUSE;
  if (args[1] != NULL)
    return cli_misuse (&usage, "bench takes no operands");
  GError *error = NULL;
  if (!no_image && (bench.jpeg = draw_picture (&error)) == NULL)
    return cli_fail (error);
  cli->busy = TRUE;
  status = run (cli, &bench, json || !isatty (STDOUT_FILENO));
  g_clear_pointer (&bench.jpeg, g_bytes_unref);
  return status;
}
