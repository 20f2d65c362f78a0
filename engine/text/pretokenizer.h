/* pretokenizer.h - cuts text into the words that byte-pair encoding works on. */
#pragma once

#include "allava-engine.h"

/* GPT-2's pattern (Radford et al. 2019, encoder.py). */
#define ALLAVA_GPT2_PATTERN                                                                        \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* The length in bytes of the word at the start of TEXT, by that pattern. TEXT is valid UTF-8 and
 * LENGTH is not 0. */
size_t allava_gpt2_word_length (const char *text, size_t length);

/* \s: Unicode's White_Space. */
gboolean allava_is_space (gunichar c);

/* \w as UTS #18 has it: Alphabetic, marks, decimal numbers, connectors and joiners. */
gboolean allava_is_word_char (gunichar c);
