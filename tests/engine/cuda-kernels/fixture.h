/* fixture.h - a GPU, or the emulated one, with a queue, and data that goes there and back. */
#pragma once

#include <math.h>
#include <string.h>

#include "device.h"
#include "kernels.h"

/* Of random shapes in each test: -m slow for many. */
#define RANDOM_CASES (g_test_slow () ? 100 : 6)

typedef struct {
  CudaDevice *device;
  CudaQueue queue;
  GPtrArray *memory; /* on the device */
  GRand *random;
} Fixture;

void set_up (Fixture *f, gconstpointer data);
void tear_down (Fixture *f, gconstpointer data);

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

/* BYTES of the device's, which are FROM's or, where that is NULL, zero; until free_memory(). */
void *put (Fixture *f, const void *from, size_t bytes);
void *put_floats (Fixture *f, const float *x, size_t n);
void get (Fixture *f, void *to, const void *data, size_t bytes);
void free_memory (Fixture *f);

/* From LEAST to MOST. */
size_t draw_size (Fixture *f, size_t least, size_t most);

/* Floats around 0, of at most SCALE. */
float *draw (Fixture *f, size_t n, double scale);

/* X [rows, n] as rows of STRIDE values of TYPE, and back; X becomes what was stored. */
void *put_rows (Fixture *f, float *x, size_t rows, size_t n, size_t stride, CudaType type);
float *get_rows (Fixture *f, const void *data, size_t rows, size_t n, size_t stride, CudaType type);

/* How far a result that is rounded to TYPE may be off, of the largest. */
double bound_of (CudaType type);

/* Every difference is at most BOUND of the largest expected value. */
void assert_near (const float *actual, const double *expected, size_t n, double bound);

/* ---- The references that several tests share ------------------------------------------------- */

double gelu (CudaGelu kind, double x);

/* (x - mean) / sqrt (variance + 1e-5) * weight + bias, which may be NULL. */
double *norm (const float *x, const float *weight, const float *bias, size_t n);

/* HEAD in place: dimension i of the first half pairs with i + half; ANGLES [half, 2]: cos, sin. */
void rotate (double *head, const float *angles, size_t half);

/* ---- The tests of each file ------------------------------------------------------------------ */

void add_attention_tests (void);
void add_choose_tests (void);
void add_decode_tests (void);
void add_steps_tests (void);
