/* preprocess.h - from a decoded image to what the vision tower takes.
 *
 * Bit-exact with Pillow's Image.resize (BICUBIC) and transformers' CLIPImageProcessor. */
#pragma once

#include "allava-engine.h"

typedef enum {
  ALLAVA_ASPECT_PAD,    /* LLaVA's expand2square: pad to a square with the mean colour, centred */
  ALLAVA_ASPECT_CENTER, /* CLIP's own: resize the shortest side, crop the centre */
} AllavaAspect;

typedef struct {
  int size;      /* the shortest side after resizing, pixels */
  int crop_size; /* S, the square's side; <= size */
  AllavaAspect aspect;
  gboolean stretch; /* CENTER only: resize to size x size instead of keeping the ratio */
  double rescale;   /* 1/255 */
  double mean[3];
  double std[3];
} AllavaPreprocess;

/* CLIP's values for a square of IMAGE_SIZE pixels, padded. */
void allava_preprocess_init (AllavaPreprocess *preprocess, int image_size);

/* Overwrites them from DIR/preprocessor_config.json where that exists; its square must have the
 * side that PREPROCESS holds. ASPECT is config.json's affair and stays. Errors: FILE, FORMAT,
 * UNSUPPORTED (a resample filter other than bicubic, ...). */
gboolean allava_preprocess_load (AllavaPreprocess *preprocess, const char *dir, GError **error);

/* Pads (or crops) and resizes PIXELS to the square; returns [S, S, 3] bytes that the caller frees
 * with g_free. Padding colour is int(mean * 255). The padded image is never materialised where it
 * would be large. Errors: INPUT (empty, or too long and thin), MEMORY. */
uint8_t *allava_preprocess_square (const AllavaPreprocess *preprocess,
                                   const AllavaPixels *pixels,
                                   GError **error);

/* The f32 tensor that the vision tower takes: OUT [3, S, S] = (SQUARE * rescale - mean) / std, in
 * the arithmetic (types and order) of CLIPImageProcessor, so that it is bit-exact. */
void
allava_preprocess_normalize (const AllavaPreprocess *preprocess, const uint8_t *square, float *out);
