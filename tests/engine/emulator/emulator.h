/* emulator.h - what tests can ask of the emulated GPU. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  size_t memory;  /* bytes */
  size_t kernels; /* after so many it is lost */
  int major;      /* compute capability */
  int for_memory; /* instead of being lost it has no memory for another kernel */
} EmulatorLimits;

/* Of devices opened from now on, and of kernels from now on. */
void emulator_set_limits (const EmulatorLimits *limits);

#ifdef __cplusplus
}
#endif
