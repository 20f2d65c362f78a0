/* The engine equals the reference (tests/reference): every stage of the forward pass, the prompt's
 * ids, greedy tokens wherever the reference did not nearly draw; and reuse of the KV cache changes
 * nothing. */
#include <math.h>

#include "device-testing.h"
#include "json.h"
#include "safetensors.h"

/* Of a tensor's largest value. We promise 1e-4 on any checkpoint; on these the wrong one of two
 * GELUs amounts to that alone, and two right implementations are 3e-6 apart. */
#define MAX_ERROR 1e-5

/* Where the reference's best two logits are nearer than this, either may be chosen. */
#define MIN_MARGIN 1e-3

#define MAX_NEW_TOKENS (TEST_ON_EMULATOR ? 8 : 64) /* the emulator is slow */
#define MAX_TURNS 8
#define MAX_PICTURES 8

/* What varies is said in tests/reference/recipes.py. */
static const char *const checkpoints[] = {
    "base", "odd", "grouped", "qk-norm", "tied", "bias", "center", "hot", "added", "apart",
};

/* ---- A checkpoint and its golden results ----------------------------------------------------- */

typedef struct {
  AllavaModel *model;
  AllavaSafetensors *tensors;
  JsonNode *root;
  JsonArray *cases;    /* borrowed from ROOT */
  JsonArray *pictures; /* borrowed from ROOT */
  GPtrArray *seen;     /* AllavaPicture, one for each of PICTURES */
} Golden;

/* The picture that README.md's formula draws. */
static AllavaPicture *
draw (AllavaModel *model, JsonObject *item)
{
  uint32_t width = json_object_get_int_member (item, "width");
  uint32_t height = json_object_get_int_member (item, "height");
  uint32_t seed = json_object_get_int_member (item, "seed");
  g_autofree uint8_t *data = g_malloc ((size_t)width * height * 3);
  uint8_t *at = data;
  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++)
      for (uint32_t c = 0; c < 3; c++)
        *at++ = (x * 7 + y * 13 + c * 101 + seed * 31) ^ ((x * y) >> 3) ^ (x * x * 3 + y * 5 * c);

  g_autoptr (GError) error = NULL;
  AllavaPixels pixels = {data, width, height, (size_t)width * 3};
  AllavaPicture *picture = allava_picture_new (model, &pixels, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (allava_picture_get_sha256 (picture), ==,
                   json_object_get_string_member (item, "square_sha256"));
  return picture;
}

/* NULL: the device does not multiply bf16, and the test is skipped. */
static AllavaModel *
load_model (const char *dir, AllavaDtype dtype)
{
  g_autofree char *tower = g_build_filename (dir, "tower", NULL);
  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.dtype = dtype;
  options.vision_tower = g_file_test (tower, G_FILE_TEST_IS_DIR) ? tower : NULL;
  g_autoptr (GError) error = NULL;
  AllavaModel *model = test_load_model (dir, &options, &error);
  if (dtype == ALLAVA_DTYPE_BF16 &&
      g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED)) {
    g_test_skip (error->message);
    return NULL;
  }
  g_assert_no_error (error);
  return model;
}

/* FALSE: the test is skipped. */
static gboolean
golden_init (Golden *golden, const char *name, AllavaDtype dtype)
{
  g_autofree char *dir =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", name, NULL);
  g_autofree char *results = g_build_filename (dir, "golden.json", NULL);
  g_autofree char *tensors = g_build_filename (dir, "golden.safetensors", NULL);
  g_autoptr (GError) error = NULL;
  golden->model = load_model (dir, dtype);
  if (golden->model == NULL)
    return FALSE;
  golden->tensors = allava_safetensors_open_file (tensors, &error);
  g_assert_no_error (error);
  golden->root = allava_json_load (results, 16 << 20, &error);
  g_assert_no_error (error);
  golden->cases = json_object_get_array_member (json_node_get_object (golden->root), "cases");
  golden->pictures = json_object_get_array_member (json_node_get_object (golden->root), "pictures");
  golden->seen = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_picture_unref);
  for (guint i = 0; i < json_array_get_length (golden->pictures); i++)
    g_ptr_array_add (golden->seen,
                     draw (golden->model, json_array_get_object_element (golden->pictures, i)));
  g_assert_cmpuint (json_array_get_length (golden->cases), >, 0);
  return TRUE;
}

static void
golden_clear (Golden *golden)
{
  g_ptr_array_unref (golden->seen);
  json_node_unref (golden->root);
  allava_safetensors_free (golden->tensors);
  allava_model_unref (golden->model);
}

static AllavaSession *
new_session (const Golden *golden)
{
  g_autoptr (GError) error = NULL;
  AllavaSession *session = allava_session_new (golden->model, &error);
  g_assert_no_error (error);
  return session;
}

/* ---- A case ---------------------------------------------------------------------------------- */

typedef struct {
  JsonObject *object; /* borrowed */
  AllavaTurn turns[MAX_TURNS];
  size_t n_turns;
  AllavaPicture *pictures[MAX_PICTURES]; /* of all turns in their order, borrowed */
  size_t numbers[MAX_PICTURES];          /* which of the golden pictures each is */
  size_t n_pictures;
} Case;

static void
read_pictures (Case *c, AllavaTurn *turn, JsonArray *numbers, const Golden *golden)
{
  turn->pictures = &c->pictures[c->n_pictures];
  turn->n_pictures = json_array_get_length (numbers);
  g_assert_cmpuint (c->n_pictures + turn->n_pictures, <=, MAX_PICTURES);
  for (size_t i = 0; i < turn->n_pictures; i++) {
    size_t number = json_array_get_int_element (numbers, i);
    c->numbers[c->n_pictures] = number;
    c->pictures[c->n_pictures++] = golden->seen->pdata[number];
  }
}

static void
case_init (Case *c, const Golden *golden, guint index)
{
  *c = (Case){.object = json_array_get_object_element (golden->cases, index)};
  JsonArray *turns = json_object_get_array_member (c->object, "turns");
  g_assert_cmpuint (json_array_get_length (turns), <=, MAX_TURNS);
  for (guint i = 0; i < json_array_get_length (turns); i++) {
    JsonObject *item = json_array_get_object_element (turns, i);
    AllavaTurn *turn = &c->turns[c->n_turns++];
    turn->text = json_object_get_string_member (item, "text");
    turn->role = ALLAVA_ROLE_ASSISTANT;
    if (g_str_equal (json_object_get_string_member (item, "role"), "user")) {
      turn->role = ALLAVA_ROLE_USER;
      read_pictures (c, turn, json_object_get_array_member (item, "pictures"), golden);
    }
  }
}

static const char *
case_name (const Case *c)
{
  return json_object_get_string_member (c->object, "name");
}

/* ---- Prompt ---------------------------------------------------------------------------------- */

static void
assert_ids (const GArray *ids, JsonArray *expected)
{
  g_assert_cmpuint (ids->len, ==, json_array_get_length (expected));
  for (guint i = 0; i < ids->len; i++)
    g_assert_cmpint (g_array_index (ids, int32_t, i), ==, json_array_get_int_element (expected, i));
}

static void
test_input_ids (gconstpointer name)
{
  Golden golden;
  golden_init (&golden, name, ALLAVA_DTYPE_F32);
  for (guint i = 0; i < json_array_get_length (golden.cases); i++) {
    Case c;
    case_init (&c, &golden, i);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
    g_autoptr (GError) error = NULL;
    allava_model_tokenize_turns (golden.model, c.turns, c.n_turns, ids, &error);
    g_assert_no_error (error);
    assert_ids (ids, json_object_get_array_member (c.object, "input_ids"));
  }
  golden_clear (&golden);
}

/* ---- Stages ---------------------------------------------------------------------------------- */

typedef struct {
  const Golden *golden;
  const Case *c;
  double bound;
  GHashTable *seen;  /* names of golden stages met */
  GHashTable *worst; /* kind of stage -> greatest error, double */
} Comparison;

/* Greatest difference, relative to the greatest expected value. Not finite where either is not. */
static double
relative_error (const float *actual, const float *expected, size_t n)
{
  double difference = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    if (!isfinite (actual[i]))
      return INFINITY;
    difference = fmax (difference, fabs ((double)actual[i] - expected[i]));
    largest = fmax (largest, fabsf (expected[i]));
  }
  return difference / largest;
}

/* Keeps the worst of all layers and pictures under the stage's own name. */
static void
note_error (Comparison *comparison, const char *name, double error)
{
  char *kind = g_strndup (name, strcspn (name, "."));
  double *worst = g_hash_table_lookup (comparison->worst, kind);
  if (worst != NULL) {
    *worst = fmax (*worst, error);
    g_free (kind);
    return;
  }
  g_hash_table_insert (comparison->worst, kind, g_memdup2 (&error, sizeof error));
}

/* These are the reference's to the bit. */
static void
compare_pixels (const Comparison *comparison, const char *name, const float *data, size_t n)
{
  size_t index = g_ascii_strtoull (strchr (name, '.') + 1, NULL, 10);
  g_assert_cmpuint (index, <, comparison->c->n_pictures);
  JsonObject *picture =
      json_array_get_object_element (comparison->golden->pictures, comparison->c->numbers[index]);
  g_autofree char *sha256 =
      g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *)data, n * sizeof (float));
  g_assert_cmpstr (sha256, ==, json_object_get_string_member (picture, "pixel_values_sha256"));
}

/* A golden tensor with fewer rows than the engine's holds its last rows. */
static void
compare_tensor (
    const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data)
{
  Comparison *comparison = user_data;
  if (g_str_has_prefix (name, "pixel_values.")) {
    compare_pixels (comparison, name, data, shape[0] * shape[1] * shape[2]);
    return;
  }
  JsonObject *stages = json_object_get_object_member (comparison->c->object, "stages");
  if (!json_object_has_member (stages, name))
    return;
  const AllavaTensor *golden = allava_safetensors_find (
      comparison->golden->tensors, json_object_get_string_member (stages, name));
  g_assert_nonnull (golden);
  g_assert_cmpint (golden->type, ==, ALLAVA_TENSOR_F32);
  g_assert_cmpint (n_dims, ==, 2);
  g_assert_cmpint (golden->n_dims, ==, 2);
  g_assert_cmpuint (shape[1], ==, golden->shape[1]);
  g_assert_cmpuint (shape[0], >=, golden->shape[0]);

  size_t skipped = (shape[0] - golden->shape[0]) * shape[1];
  double error = relative_error (data + skipped, golden->data, golden->n_elements);
  note_error (comparison, name, error);
  if (!(error <= comparison->bound))
    g_test_message ("%s, %s: off by %.2e of its largest value", case_name (comparison->c), name,
                    error);
  g_assert_true (error <= comparison->bound);
  g_hash_table_add (comparison->seen, g_strdup (name));
}

static void
compare_stages (Comparison *comparison, AllavaSession *session, const Case *c)
{
  comparison->c = c;
  g_hash_table_remove_all (comparison->seen);
  g_autoptr (GError) error = NULL;
  allava_session_trace (session, c->turns, c->n_turns, compare_tensor, comparison, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_hash_table_size (comparison->seen), ==,
                    json_object_get_size (json_object_get_object_member (c->object, "stages")));
}

static void
report (const Comparison *comparison)
{
  GHashTableIter iter;
  gpointer kind, worst;
  g_hash_table_iter_init (&iter, comparison->worst);
  while (g_hash_table_iter_next (&iter, &kind, &worst))
    g_test_message ("%s: at most %.1e", (char *)kind, *(double *)worst);
}

static void
check_stages (const char *name, AllavaDtype dtype, double bound)
{
  Golden golden;
  if (!golden_init (&golden, name, dtype))
    return;
  g_autoptr (AllavaSession) session = new_session (&golden);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) worst = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  Comparison comparison = {.golden = &golden, .bound = bound, .seen = seen, .worst = worst};
  for (guint i = 0; i < json_array_get_length (golden.cases); i++) {
    Case c;
    case_init (&c, &golden, i);
    compare_stages (&comparison, session, &c);
  }
  report (&comparison);
  golden_clear (&golden);
}

static void
test_stages (gconstpointer name)
{
  check_stages (name, ALLAVA_DTYPE_F32, MAX_ERROR);
}

/* Half precision: noise of about this size, ten times as much where scores run to hundreds. */
static double
half_bound (const char *name, double noise)
{
  return g_str_equal (name, "hot") ? 10 * noise : noise;
}

static void
test_stages_f16 (gconstpointer name)
{
  check_stages (name, ALLAVA_DTYPE_F16, half_bound (name, 3e-3));
}

static void
test_stages_bf16 (gconstpointer name)
{
  check_stages (name, ALLAVA_DTYPE_BF16, half_bound (name, 3e-2));
}

/* ---- Greedy tokens --------------------------------------------------------------------------- */

typedef struct {
  AllavaGenerateResult result;
  GString *text;
} Answer;

static gboolean
append_text (const char *text, gpointer user_data)
{
  g_string_append (user_data, text);
  return TRUE;
}

static void
answer_init (Answer *answer, AllavaSession *session, const AllavaTurn *turns, size_t n_turns)
{
  AllavaGenerateOptions options = ALLAVA_GENERATE_OPTIONS_INIT;
  options.max_new_tokens = MAX_NEW_TOKENS;
  answer->text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  allava_session_generate (session, turns, n_turns, &options, append_text, answer->text,
                           &answer->result, &error);
  g_assert_no_error (error);
}

static void
answer_clear (Answer *answer)
{
  allava_generate_result_clear (&answer->result);
  g_string_free (answer->text, TRUE);
}

/* The tokens, with -1 for the end token that the result leaves out. */
static int64_t
token_at (const Answer *answer, guint i)
{
  return i < answer->result.tokens->len ? g_array_index (answer->result.tokens, int32_t, i) : -1;
}

/* Returns how many steps agree; after a step that the reference itself nearly drew, the answers
 * may differ. */
static guint
compare_tokens (const Case *c, const Answer *answer)
{
  JsonArray *tokens = json_object_get_array_member (c->object, "tokens");
  JsonArray *margins = json_object_get_array_member (c->object, "margins");
  guint n = json_array_get_length (tokens), steps = json_array_get_length (margins);
  for (guint i = 0; i < MIN (steps, MAX_NEW_TOKENS); i++) {
    int64_t expected = i < n ? json_array_get_int_element (tokens, i) : -1;
    double margin = json_array_get_double_element (margins, i);
    if (token_at (answer, i) != expected && margin <= MIN_MARGIN)
      return i;
    g_assert_cmpint (token_at (answer, i), ==, expected);
  }
  if (steps > MAX_NEW_TOKENS)
    return MAX_NEW_TOKENS;
  g_assert_cmpuint (answer->result.tokens->len, ==, n);
  g_assert_cmpstr (allava_finish_to_string (answer->result.finish), ==,
                   json_object_get_string_member (c->object, "finish"));
  return steps;
}

/* All cases in one session, so that the later ones reuse what they share with those before. */
static void
test_greedy (gconstpointer name)
{
  Golden golden;
  golden_init (&golden, name, ALLAVA_DTYPE_F32);
  g_autoptr (AllavaSession) session = new_session (&golden);
  guint agreed = 0, steps = 0;
  for (guint i = 0; i < json_array_get_length (golden.cases); i++) {
    Case c;
    case_init (&c, &golden, i);
    Answer answer;
    answer_init (&answer, session, c.turns, c.n_turns);
    agreed += compare_tokens (&c, &answer);
    steps += json_array_get_length (json_object_get_array_member (c.object, "margins"));
    answer_clear (&answer);
  }
  g_test_message ("%u of %u steps compared", agreed, steps);
  golden_clear (&golden);
}

/* ---- Reuse ----------------------------------------------------------------------------------- */

/* Asks for the last turn of TURNS in SESSION and in a fresh one: the answers are the same. */
static void
ask_twice (const Golden *golden,
           AllavaSession *session,
           const AllavaTurn *turns,
           size_t n_turns,
           Answer *answer)
{
  g_autoptr (AllavaSession) fresh = new_session (golden);
  Answer expected;
  answer_init (answer, session, turns, n_turns);
  answer_init (&expected, fresh, turns, n_turns);
  g_assert_cmpint (expected.result.reused_positions, ==, 0);
  g_assert_cmpint (answer->result.prompt_positions, ==, expected.result.prompt_positions);
  g_assert_cmpstr (answer->text->str, ==, expected.text->str);
  g_assert_cmpmem (answer->result.tokens->data, answer->result.tokens->len * sizeof (int32_t),
                   expected.result.tokens->data, expected.result.tokens->len * sizeof (int32_t));
  answer_clear (&expected);
}

/* Three turns with the model's own answers, a picture in the first two; then another second turn,
 * as after an edit. */
static void
test_reuse (gconstpointer name)
{
  Golden golden;
  golden_init (&golden, name, ALLAVA_DTYPE_F32);
  g_autoptr (AllavaSession) session = new_session (&golden);
  AllavaPicture *const *pictures = (AllavaPicture *const *)golden.seen->pdata;
  AllavaTurn turns[] = {
      {ALLAVA_ROLE_USER, "What is this?", &pictures[0], 1},
      {ALLAVA_ROLE_ASSISTANT},
      {ALLAVA_ROLE_USER, "And  this?", &pictures[2], 1},
      {ALLAVA_ROLE_ASSISTANT},
      {ALLAVA_ROLE_USER, "Which is larger?"},
  };
  Answer answers[4];
  ask_twice (&golden, session, turns, 1, &answers[0]);
  turns[1].text = answers[0].text->str;
  ask_twice (&golden, session, turns, 3, &answers[1]);
  turns[3].text = answers[1].text->str;
  ask_twice (&golden, session, turns, 5, &answers[2]);
  turns[2] = (AllavaTurn){ALLAVA_ROLE_USER, "And that?", &pictures[1], 1};
  ask_twice (&golden, session, turns, 3, &answers[3]);

  const AllavaModelInfo *info = allava_model_get_info (golden.model);
  g_assert_cmpint (answers[0].result.reused_positions, ==, 0);
  for (int i = 1; i < 4; i++) /* the first picture at least */
    g_assert_cmpint (answers[i].result.reused_positions, >, info->image_positions);
  g_assert_cmpint (answers[2].result.reused_positions, >=, answers[1].result.prompt_positions);
  for (int i = 0; i < 4; i++)
    answer_clear (&answers[i]);
  golden_clear (&golden);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *first =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", checkpoints[0], NULL);
  if (test_skip_device (first))
    return 0;
  for (size_t i = 0; i < G_N_ELEMENTS (checkpoints); i++) {
    static const struct {
      const char *name;
      GTestDataFunc func;
    } tests[] = {
        {"input-ids", test_input_ids},   {"stages", test_stages}, {"stages-bf16", test_stages_bf16},
        {"stages-f16", test_stages_f16}, {"greedy", test_greedy}, {"reuse", test_reuse},
    };
    for (size_t j = 0; j < G_N_ELEMENTS (tests); j++) {
      g_autofree char *path = g_strdup_printf ("/golden/%s/%s", checkpoints[i], tests[j].name);
      g_test_add_data_func (path, checkpoints[i], tests[j].func);
    }
  }
  return g_test_run ();
}
