/* Equality with Pillow and CLIPImageProcessor (tests/reference/resize.json), and what
 * preprocessor_config.json may say. */
#include "preprocess.h"

#include <glib/gstdio.h>
#include <string.h>

#include "json.h"

/* ---- resize.json ----------------------------------------------------------------------------- */

/* The picture that resize.json's formula draws. */
static uint8_t *
picture_new (uint32_t width, uint32_t height, uint32_t seed)
{
  uint8_t *data = g_malloc ((size_t)width * height * 3), *at = data;
  for (uint32_t y = 0; y < height; y++)
    for (uint32_t x = 0; x < width; x++)
      for (uint32_t c = 0; c < 3; c++)
        *at++ = (x * 7 + y * 13 + c * 101 + seed * 31) ^ ((x * y) >> 3) ^ (x * x * 3 + y * 5 * c);
  return data;
}

static void
assert_sha256 (gconstpointer data, size_t length, const char *expected)
{
  g_autofree char *actual = g_compute_checksum_for_data (G_CHECKSUM_SHA256, data, length);
  g_assert_cmpstr (actual, ==, expected);
}

static void
check_case (JsonObject *item)
{
  int width = json_object_get_int_member (item, "width");
  int height = json_object_get_int_member (item, "height");
  int size = json_object_get_int_member (item, "size");
  const char *aspect = json_object_get_string_member (item, "aspect");
  g_test_message ("%d x %d to %d, %s", width, height, size, aspect);

  AllavaPreprocess preprocess;
  allava_preprocess_init (&preprocess,
                          json_object_get_int_member_with_default (item, "crop_size", size));
  preprocess.size = size;
  preprocess.aspect = g_str_equal (aspect, "pad") ? ALLAVA_ASPECT_PAD : ALLAVA_ASPECT_CENTER;

  g_autofree uint8_t *data = picture_new (width, height, json_object_get_int_member (item, "seed"));
  AllavaPixels pixels = {data, width, height, (size_t)width * 3};
  g_autoptr (GError) error = NULL;
  g_autofree uint8_t *square = allava_preprocess_square (&preprocess, &pixels, &error);
  g_assert_no_error (error);

  size_t n = (size_t)preprocess.crop_size * preprocess.crop_size * 3;
  assert_sha256 (square, n, json_object_get_string_member (item, "square_sha256"));
  g_autofree float *values = g_new (float, n);
  allava_preprocess_normalize (&preprocess, square, values);
  assert_sha256 (values, n * sizeof (float),
                 json_object_get_string_member (item, "pixel_values_sha256"));
}

static void
test_reference (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "reference", "resize.json", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = allava_json_load (path, 16 << 20, &error);
  g_assert_no_error (error);
  JsonArray *cases = json_object_get_array_member (json_node_get_object (node), "cases");
  g_assert_cmpuint (json_array_get_length (cases), >=, 60);
  for (guint i = 0; i < json_array_get_length (cases); i++)
    check_case (json_array_get_object_element (cases, i));
}

/* ---- Bad pictures ---------------------------------------------------------------------------- */

static void
test_no_pixels (void)
{
  static const uint8_t dot[3] = {1, 2, 3};
  static const AllavaPixels bad[] = {
      {NULL, 1, 1, 3}, {dot, 0, 1, 3}, {dot, 1, 0, 3}, {dot, -1, 1, 3}, {dot, 1, 1, 2},
  };
  AllavaPreprocess preprocess;
  allava_preprocess_init (&preprocess, 28);
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (allava_preprocess_square (&preprocess, &bad[i], &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  }
}

/* A side of 2^18 pixels is the longest. */
static void
test_too_long (void)
{
  const int side = 1 << 18;
  g_autofree uint8_t *data = g_malloc0 (((size_t)side + 1) * 3);
  const struct {
    AllavaPixels pixels;
    gboolean good;
  } cases[] = {
      {{data, 1, side, 3}, TRUE},
      {{data, side, 1, (size_t)side * 3}, TRUE},
      {{data, 1, side + 1, 3}, FALSE},
      {{data, side + 1, 1, ((size_t)side + 1) * 3}, FALSE},
  };
  AllavaPreprocess preprocess;
  allava_preprocess_init (&preprocess, 28);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree uint8_t *square = allava_preprocess_square (&preprocess, &cases[i].pixels, &error);
    if (cases[i].good)
      g_assert_no_error (error);
    else
      g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  }
}

/* The margins of a picture that is one pixel are the mean colour, cut off to whole numbers. */
static void
test_margin_colour (void)
{
  g_autofree uint8_t *data = g_malloc0 (300 * 3);
  AllavaPixels pixels = {data, 300, 1, 900};
  AllavaPreprocess preprocess;
  allava_preprocess_init (&preprocess, 30);
  g_autofree uint8_t *square = allava_preprocess_square (&preprocess, &pixels, NULL);
  static const uint8_t mean[3] = {122, 116, 104};
  g_assert_cmpmem (square, 3, mean, 3);
  g_assert_cmpmem (square + 30 * 30 * 3 - 3, 3, mean, 3);
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

/* Loads JSON (NULL: no file) for a vision tower of 28 pixels. */
static gboolean
load (const char *json, AllavaPreprocess *preprocess, GError **error)
{
  g_autofree char *dir = g_dir_make_tmp ("allava-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "preprocessor_config.json", NULL);
  g_assert_nonnull (dir);
  if (json != NULL)
    g_assert_true (g_file_set_contents (path, json, -1, NULL));
  allava_preprocess_init (preprocess, 28);
  gboolean loaded = allava_preprocess_load (preprocess, dir, error);
  if (!loaded && error != NULL)
    g_assert_nonnull (strstr ((*error)->message, "preprocessor_config.json"));
  g_remove (path);
  g_rmdir (dir);
  return loaded;
}

static void
test_config_absent (void)
{
  AllavaPreprocess preprocess, defaults;
  allava_preprocess_init (&defaults, 28);
  g_assert_true (load (NULL, &preprocess, NULL));
  g_assert_cmpmem (&preprocess, sizeof preprocess, &defaults, sizeof defaults);
}

static void
test_config_values (void)
{
  AllavaPreprocess preprocess;
  g_autoptr (GError) error = NULL;
  load ("{\"image_processor_type\": \"CLIPImageProcessor\", \"size\": {\"shortest_edge\": 32},"
        " \"crop_size\": {\"height\": 28, \"width\": 28}, \"resample\": 3, \"image_mean\": [0.5, "
        "0, 1],"
        " \"image_std\": [0.5, 1, 2], \"rescale_factor\": 0.00392156862745098, \"do_pad\": null}",
        &preprocess, &error);
  g_assert_no_error (error);
  g_assert_cmpint (preprocess.size, ==, 32);
  g_assert_cmpint (preprocess.crop_size, ==, 28);
  g_assert_false (preprocess.stretch);
  g_assert_cmpfloat (preprocess.mean[0], ==, 0.5);
  g_assert_cmpfloat (preprocess.mean[2], ==, 1);
  g_assert_cmpfloat (preprocess.std[2], ==, 2);
  g_assert_cmpfloat (preprocess.rescale, ==, 1 / 255.0);
}

/* The forms of "size" that older and newer transformers write. */
static void
test_config_sizes (void)
{
  AllavaPreprocess preprocess;
  g_assert_true (load ("{\"size\": 32, \"crop_size\": 28}", &preprocess, NULL));
  g_assert_cmpint (preprocess.size, ==, 32);
  g_assert_true (load ("{\"size\": 28, \"do_center_crop\": false}", &preprocess, NULL));
  g_assert_cmpint (preprocess.crop_size, ==, 28);
  g_assert_true (load ("{\"size\": {\"height\": 30, \"width\": 30}}", &preprocess, NULL));
  g_assert_cmpint (preprocess.size, ==, 30);
  g_assert_true (preprocess.stretch);
}

static void
test_config_refused (void)
{
  static const struct {
    const char *json;
    AllavaError code;
  } bad[] = {
      {"{", ALLAVA_ERROR_FORMAT},
      {"[]", ALLAVA_ERROR_FORMAT},
      {"{\"resample\": 2}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"resample\": \"bicubic\"}", ALLAVA_ERROR_FORMAT},
      {"{\"do_normalize\": false}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"do_resize\": 1}", ALLAVA_ERROR_FORMAT},
      {"{\"image_processor_type\": \"SiglipImageProcessor\"}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"size\": 0}", ALLAVA_ERROR_FORMAT},
      {"{\"size\": 1e9}", ALLAVA_ERROR_FORMAT},
      {"{\"size\": {}}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"size\": {\"height\": 28, \"width\": 30}}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"size\": 20}", ALLAVA_ERROR_UNSUPPORTED},
      {"{\"size\": 224, \"crop_size\": 224}", ALLAVA_ERROR_FORMAT},
      {"{\"image_mean\": [1, 2]}", ALLAVA_ERROR_FORMAT},
      {"{\"image_mean\": [1, 2, null]}", ALLAVA_ERROR_FORMAT},
      {"{\"image_mean\": [1, 2, [3]]}", ALLAVA_ERROR_FORMAT},
      {"{\"image_std\": [1, 0, 1]}", ALLAVA_ERROR_FORMAT},
      {"{\"image_std\": [1, 1e300, 1]}", ALLAVA_ERROR_FORMAT},
      {"{\"rescale_factor\": \"1/255\"}", ALLAVA_ERROR_FORMAT},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_test_message ("%s", bad[i].json);
    AllavaPreprocess preprocess;
    g_autoptr (GError) error = NULL;
    g_assert_false (load (bad[i].json, &preprocess, &error));
    g_assert_error (error, ALLAVA_ERROR, (int)bad[i].code);
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/preprocess/reference", test_reference);
  g_test_add_func ("/preprocess/no-pixels", test_no_pixels);
  g_test_add_func ("/preprocess/too-long", test_too_long);
  g_test_add_func ("/preprocess/margin-colour", test_margin_colour);
  g_test_add_func ("/preprocess/config/absent", test_config_absent);
  g_test_add_func ("/preprocess/config/values", test_config_values);
  g_test_add_func ("/preprocess/config/sizes", test_config_sizes);
  g_test_add_func ("/preprocess/config/refused", test_config_refused);
  return g_test_run ();
}
