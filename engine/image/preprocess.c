#include "preprocess.h"

#include <math.h>
#include <string.h>

#include "json.h"
#include "resample.h"

#define MAX_SIDE 16384
#define MAX_FILE_BYTES (1 << 20)
#define PIL_BICUBIC 3

/* Of a picture. Longer ones would take 3 S bytes for each of their rows, to be seen as a line. */
#define MAX_PICTURE_SIDE (1 << 18)

void
allava_preprocess_init (AllavaPreprocess *preprocess, int image_size)
{
  g_return_if_fail (image_size > 0);

  *preprocess = (AllavaPreprocess){
      .size = image_size,
      .crop_size = image_size,
      .aspect = ALLAVA_ASPECT_PAD,
      .rescale = 1 / 255.0,
      .mean = {0.48145466, 0.4578275, 0.40821073}, /* OPENAI_CLIP_MEAN */
      .std = {0.26862954, 0.26130258, 0.27577711}, /* OPENAI_CLIP_STD */
  };
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

/* A side is written as 336, {"shortest_edge": 336} or {"height": 336, "width": 336}; *BOTH tells
 * the last from the others. */
static gboolean
read_side (
    JsonObject *root, const char *file, const char *key, int *side, gboolean *both, GError **error)
{
  int64_t value = *side;
  *both = FALSE;
  JsonNode *node = json_object_get_member (root, key);
  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node)) {
    if (!allava_json_get_int (root, file, key, 1, MAX_SIDE, &value, error))
      return FALSE;
    *side = value;
    return TRUE;
  }

  JsonObject *object = json_node_get_object (node);
  int64_t height = 0, width = 0, shortest = 0;
  if (!allava_json_get_int (object, file, "height", 1, MAX_SIDE, &height, error) ||
      !allava_json_get_int (object, file, "width", 1, MAX_SIDE, &width, error) ||
      !allava_json_get_int (object, file, "shortest_edge", 1, MAX_SIDE, &shortest, error))
    return FALSE;
  if (shortest == 0 && (height == 0 || height != width)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s: \"%s\" should be a square or a \"shortest_edge\"", file, key);
    return FALSE;
  }
  *both = shortest == 0;
  *side = *both ? height : shortest;
  return TRUE;
}

static gboolean
read_sizes (AllavaPreprocess *preprocess, JsonObject *root, const char *file, GError **error)
{
  int side = preprocess->crop_size;
  gboolean both, center_crop = TRUE;
  if (!read_side (root, file, "size", &preprocess->size, &preprocess->stretch, error) ||
      !read_side (root, file, "crop_size", &preprocess->crop_size, &both, error) ||
      !allava_json_get_bool (root, file, "do_center_crop", &center_crop, error))
    return FALSE;

  if (!center_crop)
    preprocess->crop_size = preprocess->size;
  if (preprocess->crop_size != side) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: pictures of %d pixels do not suit the vision tower, which takes %d", file,
                 preprocess->crop_size, side);
    return FALSE;
  }
  if (preprocess->size < preprocess->crop_size) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s: \"crop_size\" %d is larger than \"size\" %d", file, preprocess->crop_size,
                 preprocess->size);
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_triple (JsonObject *root, const char *file, const char *key, double triple[3], GError **error)
{
  JsonArray *array = NULL;
  if (!allava_json_get_array (root, file, key, &array, error))
    return FALSE;
  if (array == NULL)
    return TRUE;

  gboolean valid = json_array_get_length (array) == 3;
  for (int c = 0; valid && c < 3; c++) {
    JsonNode *node = json_array_get_element (array, c);
    GType type = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_value_type (node) : G_TYPE_NONE;
    valid = type == G_TYPE_DOUBLE || type == G_TYPE_INT64;
    if (valid)
      triple[c] = json_node_get_double (node);
  }
  if (!valid)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: \"%s\" should be an array of three numbers", file, key);
  return valid;
}

static gboolean
read_numbers (AllavaPreprocess *preprocess, JsonObject *root, const char *file, GError **error)
{
  if (!allava_json_get_double (root, file, "rescale_factor", &preprocess->rescale, error) ||
      !read_triple (root, file, "image_mean", preprocess->mean, error) ||
      !read_triple (root, file, "image_std", preprocess->std, error))
    return FALSE;

  /* Sound values are near 1; the bounds keep every f32 on the way finite. */
  gboolean valid = fabs (preprocess->rescale) <= 1e6;
  for (int c = 0; c < 3; c++)
    valid = valid && fabs (preprocess->mean[c]) <= 1e6 && fabs (preprocess->std[c]) >= 1e-6 &&
            fabs (preprocess->std[c]) <= 1e6;
  if (!valid)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: \"rescale_factor\", \"image_mean\" or \"image_std\" is out of range", file);
  return valid;
}

/* What would change the pixels in a way that is not done here. */
static gboolean
check_steps (JsonObject *root, const char *file, GError **error)
{
  const char *type = "CLIPImageProcessor";
  if (!allava_json_get_string (root, file, "feature_extractor_type", &type, error) ||
      !allava_json_get_string (root, file, "image_processor_type", &type, error))
    return FALSE;
  if (!g_str_has_prefix (type, "CLIP")) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s: the image processor \"%s\" is not supported, only CLIPImageProcessor", file,
                 type);
    return FALSE;
  }

  static const char *const steps[] = {"do_resize", "do_rescale", "do_normalize"};
  for (size_t i = 0; i < G_N_ELEMENTS (steps); i++) {
    gboolean done = TRUE;
    if (!allava_json_get_bool (root, file, steps[i], &done, error))
      return FALSE;
    if (!done) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                   "%s: \"%s\": false is not supported", file, steps[i]);
      return FALSE;
    }
  }

  int64_t filter = PIL_BICUBIC;
  if (!allava_json_get_int (root, file, "resample", 0, 100, &filter, error))
    return FALSE;
  if (filter != PIL_BICUBIC) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s: \"resample\" %d is not supported, only %d (bicubic)", file, (int)filter,
                 PIL_BICUBIC);
    return FALSE;
  }
  return TRUE;
}

gboolean
allava_preprocess_load (AllavaPreprocess *preprocess, const char *dir, GError **error)
{
  g_return_val_if_fail (dir != NULL, FALSE);

  g_autofree char *path = g_build_filename (dir, "preprocessor_config.json", NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return TRUE;
  g_autoptr (JsonNode) node = allava_json_load (path, MAX_FILE_BYTES, error);
  if (node == NULL)
    return FALSE;

  JsonObject *root = json_node_get_object (node);
  return check_steps (root, path, error) && read_sizes (preprocess, root, path, error) &&
         read_numbers (preprocess, root, path, error);
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* LLaVA's expand2square: Image.paste at (side - size) // 2. */
static void
pad_to_square (const AllavaPreprocess *preprocess,
               const AllavaPixels *pixels,
               AllavaCanvas *canvas,
               AllavaWindow *window)
{
  int side = MAX (pixels->width, pixels->height);
  *canvas = (AllavaCanvas){
      .width = side,
      .height = side,
      .x = (side - pixels->width) / 2,
      .y = (side - pixels->height) / 2,
  };
  for (int c = 0; c < 3; c++)
    canvas->fill[c] = (uint8_t)CLAMP (preprocess->mean[c] * 255, 0, 255);
  window->full_width = window->full_height = preprocess->size;
}

static gboolean
fail_too_long (const AllavaPixels *pixels, GError **error)
{
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
               "A picture of %d x %d pixels is too long and thin", pixels->width, pixels->height);
  return FALSE;
}

/* transformers' get_resize_output_image_size. */
static gboolean
keep_ratio (const AllavaPreprocess *preprocess,
            const AllavaPixels *pixels,
            AllavaWindow *window,
            GError **error)
{
  int64_t shorter = MIN (pixels->width, pixels->height);
  int64_t longer = MAX (pixels->width, pixels->height);
  double full = (double)(preprocess->size * longer) / shorter;
  if (full >= G_MAXINT)
    return fail_too_long (pixels, error);
  window->full_width = pixels->width <= pixels->height ? preprocess->size : (int)full;
  window->full_height = pixels->width <= pixels->height ? (int)full : preprocess->size;
  return TRUE;
}

uint8_t *
allava_preprocess_square (const AllavaPreprocess *preprocess,
                          const AllavaPixels *pixels,
                          GError **error)
{
  if (pixels->data == NULL || pixels->width <= 0 || pixels->height <= 0 ||
      pixels->stride < (size_t)pixels->width * 3) {
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT, "The picture has no pixels");
    return NULL;
  }
  if (MAX (pixels->width, pixels->height) > MAX_PICTURE_SIDE) {
    fail_too_long (pixels, error);
    return NULL;
  }

  int side = preprocess->crop_size;
  AllavaCanvas canvas = {.width = pixels->width, .height = pixels->height};
  AllavaWindow window = {.width = side, .height = side};
  if (preprocess->aspect == ALLAVA_ASPECT_PAD)
    pad_to_square (preprocess, pixels, &canvas, &window);
  else if (preprocess->stretch)
    window.full_width = window.full_height = preprocess->size;
  else if (!keep_ratio (preprocess, pixels, &window, error))
    return NULL;
  window.x = (window.full_width - side) / 2; /* transformers' center_crop */
  window.y = (window.full_height - side) / 2;

  g_autofree uint8_t *square = g_try_malloc ((size_t)side * side * 3);
  if (square == NULL || !allava_resample_bicubic (pixels, &canvas, &window, square)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "Not enough memory to resize a picture of %d x %d pixels", pixels->width,
                 pixels->height);
    return NULL;
  }
  return g_steal_pointer (&square);
}

/* numpy's types: the product in f64 and rounded to f32, then mean and std as f32. A byte has 256
 * values, so the arithmetic is done once for each. */
void
allava_preprocess_normalize (const AllavaPreprocess *preprocess, const uint8_t *square, float *out)
{
  size_t n = (size_t)preprocess->crop_size * preprocess->crop_size;
  for (int c = 0; c < 3; c++, out += n) {
    float mean = preprocess->mean[c], std = preprocess->std[c];
    float values[256];
    for (int v = 0; v < 256; v++)
      values[v] = ((float)(v * preprocess->rescale) - mean) / std;
    for (size_t i = 0; i < n; i++)
      out[i] = values[square[i * 3 + c]];
  }
}
