/* A session's promises, on the tiny checkpoint "base" of tests/reference. */
#include "device-testing.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_PICTURES 3

typedef struct {
  AllavaModel *model;
  AllavaSession *session;
  AllavaPicture *pictures[N_PICTURES];
} Fixture;

/* A random conversation of so many questions, of whose answers so many may be others than a fresh
 * session's: in f16 a position that was decoded and one that was read again are rounded
 * differently, and a near tie may then fall the other way. */
typedef struct {
  AllavaDtype dtype;
  int steps;
  int others;
} Walk;

static char *
checkpoint (const char *name)
{
  return g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", name, NULL);
}

static AllavaPicture *
make_picture (AllavaModel *model, int seed)
{
  uint8_t data[40 * 30 * 3];
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = i * i * (seed + 3) >> 4;
  const AllavaPixels pixels = {data, 40, 30, 40 * 3};
  g_autoptr (GError) error = NULL;
  AllavaPicture *picture = allava_picture_new (model, &pixels, &error);
  g_assert_no_error (error);
  return picture;
}

static AllavaSession *
open_session (const char *dir, const AllavaModelOptions *options, AllavaModel **model)
{
  g_autoptr (GError) error = NULL;
  *model = test_load_model (dir, options, &error);
  g_assert_no_error (error);
  AllavaSession *session = allava_session_new (*model, &error);
  g_assert_no_error (error);
  return session;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *dir = checkpoint ("base");
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.dtype = data != NULL ? ((const Walk *)data)->dtype : ALLAVA_DTYPE_AUTO;
  fixture->session = open_session (dir, &options, &fixture->model);
  for (int i = 0; i < N_PICTURES; i++)
    fixture->pictures[i] = make_picture (fixture->model, i);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  for (int i = 0; i < N_PICTURES; i++)
    allava_picture_unref (fixture->pictures[i]);
  allava_session_free (fixture->session);
  allava_model_unref (fixture->model);
}

typedef struct {
  GString *text;
  int stop_after; /* pieces; 0: never */
  int pieces;
} Listener;

static gboolean
listen_cb (const char *text, gpointer data)
{
  Listener *listener = data;
  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_cmpstr (text, !=, "");
  g_assert_true (listener->stop_after == 0 || listener->pieces < listener->stop_after);
  g_string_append (listener->text, text);
  return ++listener->pieces != listener->stop_after;
}

/* Answers, and returns the result with the answer's text. */
static char *
ask (AllavaSession *session,
     const AllavaTurn *turns,
     size_t n_turns,
     const AllavaGenerateOptions *options,
     int stop_after,
     AllavaGenerateResult *result)
{
  Listener listener = {g_string_new (NULL), stop_after};
  g_autoptr (GError) error = NULL;
  allava_session_generate (session, turns, n_turns, options, listen_cb, &listener, result, &error);
  g_assert_no_error (error);
  return g_string_free (listener.text, FALSE);
}

static void
assert_same_tokens (const GArray *a, const GArray *b)
{
  g_assert_cmpmem (a->data, a->len * sizeof (int32_t), b->data, b->len * sizeof (int32_t));
}

static gboolean
have_same_tokens (const AllavaGenerateResult *a, const AllavaGenerateResult *b)
{
  return a->tokens->len == b->tokens->len &&
         memcmp (a->tokens->data, b->tokens->data, a->tokens->len * sizeof (int32_t)) == 0;
}

static const AllavaGenerateOptions sixteen = {
    .max_new_tokens = 16, .min_new_tokens = 16, .top_p = 1};

static void
test_streams_what_it_decodes (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What is this?", fixture->pictures, 1};
  AllavaGenerateResult result;
  g_autofree char *text = ask (fixture->session, &turn, 1, &sixteen, 0, &result);
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) decoded =
      allava_tokenizer_decode (allava_model_get_tokenizer (fixture->model),
                               (const int32_t *)result.tokens->data, result.tokens->len, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, decoded->str);
  g_assert_cmpint (result.finish, ==, ALLAVA_FINISH_LENGTH);
  g_assert_cmpuint (result.tokens->len, ==, 16);
  const AllavaModelInfo *info = allava_model_get_info (fixture->model);
  g_assert_cmpint (result.prompt_positions, >, info->image_positions);
  g_assert_cmpint (result.positions_left, ==, info->context_length - result.prompt_positions - 15);
  g_assert_cmpfloat (result.vision_ms, >, 0);
  allava_generate_result_clear (&result);
}

static void
test_reuses_prefix_and_features (Fixture *fixture, gconstpointer data)
{
  AllavaTurn turns[3] = {{ALLAVA_ROLE_USER, "What is this?", fixture->pictures, 2}};
  AllavaGenerateResult first, second;
  g_autofree char *answer = ask (fixture->session, turns, 1, &sixteen, 0, &first);
  turns[1] = (AllavaTurn){ALLAVA_ROLE_ASSISTANT, answer};
  turns[2] = (AllavaTurn){ALLAVA_ROLE_USER, "And?"};
  g_autofree char *more = ask (fixture->session, turns, 3, &sixteen, 0, &second);
  g_assert_cmpint (first.reused_positions, ==, 0);
  g_assert_cmpint (second.reused_positions, >=, first.prompt_positions);
  g_assert_cmpfloat (second.vision_ms, ==, 0);
  allava_generate_result_clear (&first);
  allava_generate_result_clear (&second);
}

static void
test_sampling_follows_the_seed (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "Tell me"};
  AllavaGenerateOptions options = sixteen;
  AllavaGenerateResult a, b, c;
  options.temperature = 3;
  options.seed = 1;
  g_free (ask (fixture->session, &turn, 1, &options, 0, &a));
  g_free (ask (fixture->session, &turn, 1, &options, 0, &b));
  options.seed = 2;
  g_free (ask (fixture->session, &turn, 1, &options, 0, &c));
  assert_same_tokens (a.tokens, b.tokens);
  g_assert_cmpint (memcmp (a.tokens->data, c.tokens->data, 16 * sizeof (int32_t)), !=, 0);
  allava_generate_result_clear (&a);
  allava_generate_result_clear (&b);
  allava_generate_result_clear (&c);
}

static void
test_stops_at_once (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "Tell me", fixture->pictures, 1};
  AllavaGenerateOptions options = sixteen;
  AllavaGenerateResult whole, part, again;
  g_free (ask (fixture->session, &turn, 1, &options, 0, &whole));

  g_free (ask (fixture->session, &turn, 1, &options, 2, &part));
  g_assert_cmpint (part.finish, ==, ALLAVA_FINISH_CANCELLED);
  g_assert_cmpuint (part.tokens->len, <, 16);
  int context = allava_model_get_info (fixture->model)->context_length;
  int kept = part.tokens->len - 1; /* the last token takes no position */
  g_assert_cmpint (part.positions_left, ==, context - part.prompt_positions - kept);
  g_assert_cmpint (
      memcmp (part.tokens->data, whole.tokens->data, part.tokens->len * sizeof (int32_t)), ==, 0);
  allava_generate_result_clear (&part);

  /* Cancelled before it starts: nothing is said, the room is what the prompt leaves, and the
   * session is as good as new. */
  const AllavaTurn other = {ALLAVA_ROLE_USER, "Else", fixture->pictures + 1, 1};
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_cancellable_cancel (cancellable);
  options.cancellable = cancellable;
  g_free (ask (fixture->session, &other, 1, &options, 0, &part));
  g_assert_cmpint (part.finish, ==, ALLAVA_FINISH_CANCELLED);
  g_assert_cmpuint (part.tokens->len, ==, 0);
  g_assert_cmpint (part.positions_left, ==, context - part.prompt_positions);

  options.cancellable = NULL;
  g_free (ask (fixture->session, &turn, 1, &options, 0, &again));
  assert_same_tokens (whole.tokens, again.tokens);
  allava_generate_result_clear (&whole);
  allava_generate_result_clear (&part);
  allava_generate_result_clear (&again);
}

/* What is stopped within a character ends with the one before it. */
static void
test_stops_within_a_character (Fixture *fixture, gconstpointer data)
{
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "Tell me"};
  AllavaGenerateOptions options = sixteen;
  AllavaGenerateResult result;
  options.temperature = 3;
  for (options.seed = 1; options.seed < 9; options.seed++) {
    g_autofree char *whole = ask (fixture->session, &turn, 1, &options, 0, &result);
    allava_generate_result_clear (&result);
    for (int pieces = 1; pieces < 4; pieces++) {
      g_autofree char *part = ask (fixture->session, &turn, 1, &options, pieces, &result);
      g_assert_cmpint (result.finish, ==, ALLAVA_FINISH_CANCELLED);
      g_assert_true (g_str_has_prefix (whole, part));
      allava_generate_result_clear (&result);
    }
  }
}

/* Fills the context: the answer ends with it, later turns push out the oldest. */
static void
test_context_runs_out (Fixture *fixture, gconstpointer data)
{
  int context = allava_model_get_info (fixture->model)->context_length;
  AllavaGenerateOptions options = sixteen;
  AllavaGenerateResult result;
  AllavaTurn turns[3] = {{ALLAVA_ROLE_USER, "What is this?", fixture->pictures, 1}};
  options.max_new_tokens = options.min_new_tokens = 2 * context;
  g_autofree char *answer = ask (fixture->session, turns, 1, &options, 0, &result);
  g_assert_cmpint (result.finish, ==, ALLAVA_FINISH_CONTEXT);
  g_assert_cmpint (result.positions_left, ==, 0);
  g_assert_cmpint (result.tokens->len, ==, context - result.prompt_positions + 1);
  allava_generate_result_clear (&result);

  turns[1] = (AllavaTurn){ALLAVA_ROLE_ASSISTANT, answer};
  turns[2] = (AllavaTurn){ALLAVA_ROLE_USER, "And?"};
  g_free (ask (fixture->session, turns, 3, &sixteen, 0, &result));
  g_assert_cmpint (result.dropped_turns, ==, 2);
  const AllavaTurn kept = {ALLAVA_ROLE_USER, "And?", fixture->pictures, 1};
  AllavaGenerateResult fresh;
  g_free (ask (fixture->session, &kept, 1, &sixteen, 0, &fresh));
  assert_same_tokens (result.tokens, fresh.tokens);
  allava_generate_result_clear (&result);
  allava_generate_result_clear (&fresh);

  g_autofree char *long_text = g_strnfill (20 * context, 'x');
  const AllavaTurn too_long = {ALLAVA_ROLE_USER, long_text};
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_session_generate (fixture->session, &too_long, 1, &sixteen, NULL, NULL,
                                           &result, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CONTEXT);
}

/* Random conversations, edits, cancels and changes of image in one session give what a fresh
 * session gives for each. */
static void
test_random_walk (Fixture *fixture, gconstpointer data)
{
  enum { MAX_TURNS = 7 };
  const Walk *walk = data;
  int others = 0;
  static const char *const texts[] = {"What?", "Where is it", "  the  red one? ",
                                      "\xf0\x9f\x98\x80"};
  g_autoptr (GRand) random = g_rand_new_with_seed (20);
  char *answers[MAX_TURNS] = {NULL};
  AllavaTurn turns[MAX_TURNS];
  size_t n = 0;
  for (int step = 0; step < walk->steps; step++) {
    n = n + 2 > MAX_TURNS || g_rand_int_range (random, 0, 4) == 0
            ? (size_t)g_rand_int_range (random, 0, n / 2 + 1) * 2 /* edit an earlier question */
            : n;
    int first = g_rand_int_range (random, 0, N_PICTURES);
    turns[n] = (AllavaTurn){
        ALLAVA_ROLE_USER, texts[g_rand_int_range (random, 0, G_N_ELEMENTS (texts))],
        fixture->pictures + first, g_rand_int_range (random, 0, MIN (2, N_PICTURES - first) + 1)};
    AllavaGenerateOptions options = sixteen;
    options.max_new_tokens = options.min_new_tokens = g_rand_int_range (random, 1, 12);
    if (g_rand_int_range (random, 0, 3) == 0) {
      AllavaGenerateResult cancelled;
      g_free (ask (fixture->session, turns, n + 1, &options, 1, &cancelled));
      allava_generate_result_clear (&cancelled);
    }
    AllavaGenerateResult result, expected;
    char *answer = ask (fixture->session, turns, n + 1, &options, 0, &result);
    g_autoptr (GError) error = NULL;
    g_autoptr (AllavaSession) fresh = allava_session_new (fixture->model, &error);
    g_assert_no_error (error);
    g_free (ask (fresh, turns, n + 1, &options, 0, &expected));
    others += !have_same_tokens (&result, &expected);
    allava_generate_result_clear (&result);
    allava_generate_result_clear (&expected);
    if (n + 1 < MAX_TURNS) {
      g_free (answers[n + 1]);
      answers[n + 1] = g_steal_pointer (&answer);
      turns[n + 1] = (AllavaTurn){ALLAVA_ROLE_ASSISTANT, answers[n + 1]};
    }
    g_free (answer);
    n = MIN (n + 2, MAX_TURNS - 1);
  }
  for (int i = 0; i < MAX_TURNS; i++)
    g_free (answers[i]);
  g_test_message ("%d of %d answers are others", others, walk->steps);
  g_assert_cmpint (others, <=, walk->others);
}

/* A picture that a model of another size made is refused, and the session goes on. */
static void
test_foreign_picture (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = checkpoint ("added");
  const AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  g_autoptr (AllavaModel) model = test_load_model (dir, &options, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaPicture) picture = make_picture (model, 0);
  g_assert_cmpint (allava_picture_get_size (picture), <,
                   allava_picture_get_size (fixture->pictures[0]));
  AllavaTurn turn = {ALLAVA_ROLE_USER, "What is this?", &picture, 1};
  AllavaGenerateResult result;
  g_assert_false (
      allava_session_generate (fixture->session, &turn, 1, &sixteen, NULL, NULL, &result, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  turn.pictures = fixture->pictures;
  g_free (ask (fixture->session, &turn, 1, &sixteen, 0, &result));
  allava_generate_result_clear (&result);
}

/* ---- Damaged weights ------------------------------------------------------------------------- */

/* Copies the checkpoint, unless PATTERN is 0 with it in place of its weight files' last eighths. */
static char *
copy_checkpoint (const char *name, uint8_t pattern)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *from = checkpoint (name);
  char *to = g_dir_make_tmp ("allava-XXXXXX", &error);
  g_assert_no_error (error);
  g_autoptr (GDir) dir = g_dir_open (from, 0, &error);
  g_assert_no_error (error);
  const char *file;
  while ((file = g_dir_read_name (dir)) != NULL) {
    g_autofree char *in = g_build_filename (from, file, NULL),
                    *out = g_build_filename (to, file, NULL);
    g_autofree char *bytes = NULL;
    size_t length;
    if (!g_file_get_contents (in, &bytes, &length, NULL))
      continue;
    if (pattern != 0 && g_str_has_suffix (file, ".safetensors"))
      memset (bytes + length - length / 8, pattern, length / 8);
    g_file_set_contents (out, bytes, length, &error);
    g_assert_no_error (error);
  }
  return to;
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *file;
  while ((file = g_dir_read_name (dir)) != NULL) {
    g_autofree char *inside = g_build_filename (path, file, NULL);
    g_unlink (inside);
  }
  g_rmdir (path);
}

static void
test_not_finite (void)
{
  g_autofree char *dir = copy_checkpoint ("base", 0xff); /* NaN in every float format */
  g_autoptr (GError) error = NULL;
  const AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  g_autoptr (AllavaModel) model = NULL;
  g_autoptr (AllavaSession) session = open_session (dir, &options, &model);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What?"};
  AllavaGenerateResult result;
  g_assert_false (
      allava_session_generate (session, &turn, 1, &sixteen, NULL, NULL, &result, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_NOT_FINITE);
  remove_folder (dir);
}

typedef struct {
  const char *dir; /* whose weights are cut short */
  int pieces;
} Cutter;

static gboolean
cut_cb (const char *text, gpointer user_data)
{
  Cutter *cutter = user_data;
  g_autoptr (GDir) dir = g_dir_open (cutter->dir, 0, NULL);
  const char *file;
  while ((file = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (cutter->dir, file, NULL);
    if (g_str_has_suffix (file, ".safetensors"))
      g_assert_cmpint (truncate (path, 0), ==, 0);
  }
  cutter->pieces++;
  return TRUE;
}

/* Weights that are used where they lie in the file end the answer when they are taken away, and
 * nothing made of what is left is shown; a device that has its own copy does not care. */
static void
test_files_cut_short (void)
{
  g_autofree char *dir = copy_checkpoint ("base", 0);
  g_autoptr (GError) error = NULL;
  const AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  g_autoptr (AllavaModel) model = NULL;
  g_autoptr (AllavaSession) session = open_session (dir, &options, &model);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What?"};
  AllavaGenerateResult result = {0};
  Cutter cutter = {dir};
  gboolean answered =
      allava_session_generate (session, &turn, 1, &sixteen, cut_cb, &cutter, &result, &error);
  if (model->backend->copies) {
    g_assert_no_error (error);
    g_assert_cmpuint (result.tokens->len, ==, 16);
  } else {
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
    g_assert_nonnull (strstr (error->message, dir));
    g_assert_cmpint (cutter.pieces, ==, 1);
    g_clear_error (&error);
    g_assert_false (
        allava_session_generate (session, &turn, 1, &sixteen, NULL, NULL, &result, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
  }
  g_assert_cmpint (answered, ==, model->backend->copies);
  allava_generate_result_clear (&result);
  remove_folder (dir);
}

/* As if it were written to. */
static void
touch_weights (const char *dir)
{
  g_autofree char *path = g_build_filename (dir, "model.safetensors", NULL);
  const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
}

static void
touch_cb (double fraction, gpointer user_data)
{
  touch_weights (user_data);
}

/* Neither the model's own files nor those of a vision tower beside it may change while they are
 * loaded, on any device. */
static void
test_files_changed_while_loading (void)
{
  for (int i = 0; i < 2; i++) {
    g_autofree char *dir = copy_checkpoint ("apart", 0);
    g_autofree char *tower = copy_checkpoint ("apart/tower", 0);
    g_autoptr (GError) error = NULL;
    AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
    options.vision_tower = tower;
    options.progress = touch_cb;
    options.progress_data = i == 0 ? dir : tower;
    g_assert_null (test_load_model (dir, &options, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
    g_assert_true (g_str_has_prefix (error->message, options.progress_data));
    remove_folder (dir);
    remove_folder (tower);
  }
}

static void
ignore_cb (const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data)
{
}

static void
test_files_changed_before_a_trace (void)
{
  g_autofree char *dir = copy_checkpoint ("apart", 0);
  g_autofree char *tower = copy_checkpoint ("apart/tower", 0);
  g_autoptr (GError) error = NULL;
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.vision_tower = tower;
  g_autoptr (AllavaModel) model = NULL;
  g_autoptr (AllavaSession) session = open_session (dir, &options, &model);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, "What?"};
  touch_weights (tower);
  gboolean traced = allava_session_trace (session, &turn, 1, ignore_cb, NULL, &error);
  g_assert_cmpint (traced, ==, model->backend->copies);
  if (!traced)
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
  remove_folder (dir);
  remove_folder (tower);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *dir = checkpoint ("base");
  const gboolean on_cpu = !TEST_ON_EMULATOR && g_str_equal (TEST_DEVICE, "cpu");
  const int steps = g_test_slow () ? 500 : TEST_ON_EMULATOR ? 8 : 150; /* -m slow for many */
  const Walk in_f32 = {ALLAVA_DTYPE_F32, steps, 0};
  const Walk in_f16 = {ALLAVA_DTYPE_F16, steps, steps / 50};
  if (test_skip_device (dir))
    return 0;
  ADD ("/session/streams-what-it-decodes", test_streams_what_it_decodes);
  ADD ("/session/reuses-prefix-and-features", test_reuses_prefix_and_features);
  ADD ("/session/sampling-follows-the-seed", test_sampling_follows_the_seed);
  ADD ("/session/stops-at-once", test_stops_at_once);
  ADD ("/session/stops-within-a-character", test_stops_within_a_character);
  ADD ("/session/context-runs-out", test_context_runs_out);
  ADD ("/session/foreign-picture", test_foreign_picture);
  g_test_add ("/session/random-walk", Fixture, &in_f32, set_up, test_random_walk, tear_down);
  if (!on_cpu)
    g_test_add ("/session/random-walk-f16", Fixture, &in_f16, set_up, test_random_walk, tear_down);
  g_test_add_func ("/session/not-finite", test_not_finite);
  g_test_add_func ("/session/files-cut-short", test_files_cut_short);
  g_test_add_func ("/session/files-changed-while-loading", test_files_changed_while_loading);
  g_test_add_func ("/session/files-changed-before-a-trace", test_files_changed_before_a_trace);
  return g_test_run ();
}
