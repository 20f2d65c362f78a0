/* resample.h - Pillow's antialiased resize for 8-bit RGB (libImaging/Resample.c), bit for bit:
 * coefficients in double, normalised, 22-bit fixed point; horizontal pass first, rounded to uint8,
 * then vertical. Where the height shrinks by more than twice as many pixels as the width, the
 * vertical pass comes first, as it does since Pillow 13.0; a padded square never does. */
#pragma once

#include "allava-engine.h"

/* The source behaves as if it stood at (X, Y) >= 0, whole, in a canvas filled with FILL. */
typedef struct {
  int width; /* of the canvas, pixels */
  int height;
  int x; /* where the source stands in it */
  int y;
  uint8_t fill[3];
} AllavaCanvas;

/* The part that is wanted of the canvas resized to FULL_WIDTH x FULL_HEIGHT. */
typedef struct {
  int full_width;
  int full_height;
  int x;
  int y;
  int width;
  int height;
} AllavaWindow;

/* Bicubic (a = -0.5, support 2 * max(scale, 1)) from SRC in CANVAS to OUT [WINDOW->height,
 * WINDOW->width, 3]. Neither the canvas nor what lies outside the window is ever made. The canvas
 * has no margin left and right where the vertical pass comes first. Returns FALSE where memory runs
 * out. */
gboolean allava_resample_bicubic (const AllavaPixels *src,
                                  const AllavaCanvas *canvas,
                                  const AllavaWindow *window,
                                  uint8_t *out);
