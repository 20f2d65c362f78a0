/* resample.h - Pillow's antialiased resize for 8-bit RGB (libImaging/Resample.c), bit for bit:
 * coefficients in double, normalised, 22-bit fixed point; horizontal pass first, rounded to uint8,
 * then vertical. */
#pragma once

#include "allava-engine.h"

/* Bicubic (a = -0.5, support 2 * max(scale, 1)) from SRC to OUT [OUT_HEIGHT, OUT_WIDTH, 3]. The
 * source behaves as if it stood at (X, Y) in a canvas of CANVAS_WIDTH x CANVAS_HEIGHT filled with
 * FILL. Returns FALSE where memory runs out. */
typedef struct {
  int     width;  /* of the canvas, pixels */
  int     height;
  int     x; /* where the source stands in it; may be negative (a crop) */
  int     y;
  uint8_t fill[3];
} AllavaCanvas;

gboolean allava_resample_bicubic (const AllavaPixels *src,
                                  const AllavaCanvas *canvas,
                                  int                 out_width,
                                  int                 out_height,
                                  uint8_t            *out);
