/* What resample.h promises beyond equality with Pillow on resize.json (test-preprocess.c): windows
 * and canvases are parts of the whole, and hostile sizes do no harm. */
#include "resample.h"

#include <string.h>

static uint8_t *
noise_new (int width, int height, uint32_t seed)
{
  size_t n = (size_t)width * height * 3;
  uint8_t *noise = g_malloc (n);
  for (size_t i = 0; i < n; i++) {
    seed = seed * 1664525 + 1013904223;
    noise[i] = seed >> 24;
  }
  return noise;
}

static AllavaPixels
pixels_of (const uint8_t *data, int width, int height)
{
  return (AllavaPixels){data, width, height, (size_t)width * 3};
}

static uint8_t *
resample (const AllavaPixels *pixels, const AllavaCanvas *canvas, const AllavaWindow *window)
{
  uint8_t *out = g_malloc ((size_t)window->width * window->height * 3);
  g_assert_true (allava_resample_bicubic (pixels, canvas, window, out));
  return out;
}

/* Pillow 13.0.0: Image.frombytes ('RGB', (5, 3), bytes (i * 37 % 256 for i in range (45)))
 * .resize ((3, 2), Image.BICUBIC).tobytes () */
static void
test_known (void)
{
  uint8_t data[45];
  for (int i = 0; i < 45; i++)
    data[i] = i * 37 % 256;
  static const uint8_t expected[18] = {60,  97,  139, 129, 73,  119, 160, 139, 78,
                                       120, 157, 120, 93,  139, 135, 116, 95,  143};
  AllavaPixels pixels = pixels_of (data, 5, 3);
  AllavaCanvas canvas = {.width = 5, .height = 3};
  AllavaWindow window = {.full_width = 3, .full_height = 2, .width = 3, .height = 2};
  g_autofree uint8_t *out = resample (&pixels, &canvas, &window);
  g_assert_cmpmem (out, sizeof expected, expected, sizeof expected);
}

static void
test_same_size_is_a_copy (void)
{
  g_autofree uint8_t *data = noise_new (37, 21, 1);
  AllavaPixels pixels = pixels_of (data, 37, 21);
  AllavaCanvas canvas = {.width = 37, .height = 21};
  AllavaWindow window = {.full_width = 37, .full_height = 21, .width = 37, .height = 21};
  g_autofree uint8_t *out = resample (&pixels, &canvas, &window);
  g_assert_cmpmem (out, 37 * 21 * 3, data, 37 * 21 * 3);
}

static void
test_stride (void)
{
  g_autofree uint8_t *wide = noise_new (60, 40, 2);
  g_autofree uint8_t *tight = g_malloc (50 * 40 * 3);
  for (int y = 0; y < 40; y++)
    memcpy (tight + y * 150, wide + y * 180, 150);

  AllavaPixels strided = {wide, 50, 40, 180}, packed = pixels_of (tight, 50, 40);
  AllavaCanvas canvas = {.width = 50, .height = 40};
  AllavaWindow window = {.full_width = 17, .full_height = 19, .width = 17, .height = 19};
  g_autofree uint8_t *a = resample (&strided, &canvas, &window);
  g_autofree uint8_t *b = resample (&packed, &canvas, &window);
  g_assert_cmpmem (a, 17 * 19 * 3, b, 17 * 19 * 3);
}

/* A source in a canvas gives what the painted canvas gives. */
static void
test_canvas (gconstpointer user_data)
{
  const int *sizes = user_data; /* width, height, canvas side, x, y, out */
  int width = sizes[0], height = sizes[1], side = sizes[2], out = sizes[5];
  AllavaCanvas canvas = {side, side, sizes[3], sizes[4], {122, 3, 255}};
  AllavaCanvas whole = {.width = side, .height = side};
  AllavaWindow window = {.full_width = out, .full_height = out, .width = out, .height = out};

  g_autofree uint8_t *data = noise_new (width, height, 3);
  g_autofree uint8_t *painted = g_malloc ((size_t)side * side * 3);
  for (size_t i = 0; i < (size_t)side * side * 3; i++)
    painted[i] = canvas.fill[i % 3];
  for (int y = 0; y < height; y++)
    memcpy (painted + ((size_t)(canvas.y + y) * side + canvas.x) * 3, data + y * width * 3,
            width * 3);

  AllavaPixels pixels = pixels_of (data, width, height), square = pixels_of (painted, side, side);
  g_autofree uint8_t *a = resample (&pixels, &canvas, &window);
  g_autofree uint8_t *b = resample (&square, &whole, &window);
  g_assert_cmpmem (a, (size_t)out * out * 3, b, (size_t)out * out * 3);
}

/* A window shows what it would cut out of the whole, whichever pass comes first. */
static void
test_window (gconstpointer user_data)
{
  const int *sizes = user_data; /* width, height, full width, full height */
  AllavaCanvas canvas = {.width = sizes[0], .height = sizes[1]};
  AllavaWindow all = {sizes[2], sizes[3], 0, 0, sizes[2], sizes[3]};
  AllavaWindow part = {sizes[2], sizes[3], sizes[2] / 3, sizes[3] / 4, 5, 7};

  g_autofree uint8_t *data = noise_new (sizes[0], sizes[1], 4);
  AllavaPixels pixels = pixels_of (data, sizes[0], sizes[1]);
  g_autofree uint8_t *whole = resample (&pixels, &canvas, &all);
  g_autofree uint8_t *cut = resample (&pixels, &canvas, &part);
  for (int y = 0; y < part.height; y++)
    g_assert_cmpmem (cut + y * 15, 15, whole + ((part.y + y) * sizes[2] + part.x) * 3, 15);
}

/* 20,000 x 1,000 in a square of 20,000 takes milliseconds and no square. */
static void
test_large (void)
{
  AllavaCanvas canvas = {20000, 20000, 0, 9500, {1, 2, 3}};
  AllavaWindow window = {.full_width = 336, .full_height = 336, .width = 336, .height = 336};
  g_autofree uint8_t *data = g_malloc ((size_t)20000 * 1000 * 3);
  memset (data, 200, (size_t)20000 * 1000 * 3);
  AllavaPixels pixels = pixels_of (data, 20000, 1000);
  g_autofree uint8_t *out = resample (&pixels, &canvas, &window);
  static const uint8_t margin[3] = {1, 2, 3}, middle[3] = {200, 200, 200};
  g_assert_cmpmem (out, 3, margin, 3);
  g_assert_cmpmem (out + (168 * 336 + 168) * 3, 3, middle, 3);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/resample/known", test_known);
  g_test_add_func ("/resample/same-size", test_same_size_is_a_copy);
  g_test_add_func ("/resample/stride", test_stride);

  static const int wide[] = {61, 20, 61, 0, 20, 16}, high[] = {20, 61, 61, 20, 0, 16};
  static const int thin[] = {1, 90, 90, 44, 0, 7}, up[] = {9, 4, 9, 0, 2, 50};
  static const int line[] = {400, 1, 400, 0, 199, 3};
  g_test_add_data_func ("/resample/canvas/wide", wide, test_canvas);
  g_test_add_data_func ("/resample/canvas/high", high, test_canvas);
  g_test_add_data_func ("/resample/canvas/thin", thin, test_canvas);
  g_test_add_data_func ("/resample/canvas/up", up, test_canvas);
  g_test_add_data_func ("/resample/canvas/line", line, test_canvas);

  static const int shrink[] = {100, 70, 40, 28}, grow[] = {10, 7, 40, 28};
  static const int portrait[] = {30, 300, 20, 200};
  g_test_add_data_func ("/resample/window/shrink", shrink, test_window);
  g_test_add_data_func ("/resample/window/grow", grow, test_window);
  g_test_add_data_func ("/resample/window/portrait", portrait, test_window);
  g_test_add_func ("/resample/large", test_large);
  return g_test_run ();
}
