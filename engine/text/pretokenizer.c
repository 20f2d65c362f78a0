/* pretokenizer.c - GPT-2's pattern as a scanner. */
#include "pretokenizer.h"

#include <string.h>

typedef enum {
  CLASS_OTHER,
  CLASS_LETTER, /* \p{L} */
  CLASS_NUMBER, /* \p{N} */
  CLASS_SPACE,  /* \s */
} Class;

typedef struct {
  gunichar first;
  gunichar last;
  Class class;
} Range;

/* Letters and numbers that Unicode 15.1 and 16.0 added. The reference knows them (Oniguruma with
 * 16.0); GLib 2.74 (15.0) calls them unassigned. */
static const Range newer_ranges[] = {
    {0x01c89, 0x01c8a, CLASS_LETTER}, {0x0a7cb, 0x0a7cd, CLASS_LETTER},
    {0x0a7da, 0x0a7dc, CLASS_LETTER}, {0x105c0, 0x105f3, CLASS_LETTER},
    {0x10d40, 0x10d49, CLASS_NUMBER}, {0x10d4a, 0x10d65, CLASS_LETTER},
    {0x10d6f, 0x10d85, CLASS_LETTER}, {0x10ec2, 0x10ec4, CLASS_LETTER},
    {0x11380, 0x11389, CLASS_LETTER}, {0x1138b, 0x1138b, CLASS_LETTER},
    {0x1138e, 0x1138e, CLASS_LETTER}, {0x11390, 0x113b5, CLASS_LETTER},
    {0x113b7, 0x113b7, CLASS_LETTER}, {0x113d1, 0x113d1, CLASS_LETTER},
    {0x113d3, 0x113d3, CLASS_LETTER}, {0x116d0, 0x116e3, CLASS_NUMBER},
    {0x11bc0, 0x11be0, CLASS_LETTER}, {0x11bf0, 0x11bf9, CLASS_NUMBER},
    {0x13460, 0x143fa, CLASS_LETTER}, {0x16100, 0x1611d, CLASS_LETTER},
    {0x16130, 0x16139, CLASS_NUMBER}, {0x16d40, 0x16d6c, CLASS_LETTER},
    {0x16d70, 0x16d79, CLASS_NUMBER}, {0x18cff, 0x18cff, CLASS_LETTER},
    {0x1ccf0, 0x1ccf9, CLASS_NUMBER}, {0x1e5d0, 0x1e5ed, CLASS_LETTER},
    {0x1e5f0, 0x1e5f0, CLASS_LETTER}, {0x1e5f1, 0x1e5fa, CLASS_NUMBER},
    {0x2ebf0, 0x2ee5d, CLASS_LETTER},
};

gboolean
allava_is_space (gunichar c)
{
  if (c < 0x80)
    return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || g_unichar_type (c) == G_UNICODE_SPACE_SEPARATOR || c == 0x2028 || c == 0x2029;
}

static Class
classify_unassigned (gunichar c)
{
  for (size_t i = 0; i < G_N_ELEMENTS (newer_ranges) && c >= newer_ranges[i].first; i++) {
    if (c <= newer_ranges[i].last)
      return newer_ranges[i].class;
  }
  return CLASS_OTHER;
}

gboolean
allava_is_word_char (gunichar c)
{
  switch (g_unichar_type (c)) {
  case G_UNICODE_LOWERCASE_LETTER:
  case G_UNICODE_MODIFIER_LETTER:
  case G_UNICODE_OTHER_LETTER:
  case G_UNICODE_TITLECASE_LETTER:
  case G_UNICODE_UPPERCASE_LETTER:
  case G_UNICODE_SPACING_MARK:
  case G_UNICODE_ENCLOSING_MARK:
  case G_UNICODE_NON_SPACING_MARK:
  case G_UNICODE_DECIMAL_NUMBER:
  case G_UNICODE_LETTER_NUMBER:
  case G_UNICODE_CONNECT_PUNCTUATION:
    return TRUE;
  case G_UNICODE_UNASSIGNED:
    return classify_unassigned (c) != CLASS_OTHER;
  default:
    break;
  }
  /* Joiners, then the symbols that are Alphabetic: circled and squared Latin letters. */
  return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
         (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
         (c >= 0x1f170 && c <= 0x1f189);
}

static Class
classify (gunichar c)
{
  if (c < 0x80) {
    if (g_ascii_isalpha ((char)c))
      return CLASS_LETTER;
    if (g_ascii_isdigit ((char)c))
      return CLASS_NUMBER;
    return allava_is_space (c) ? CLASS_SPACE : CLASS_OTHER;
  }
  switch (g_unichar_type (c)) {
  case G_UNICODE_LOWERCASE_LETTER:
  case G_UNICODE_MODIFIER_LETTER:
  case G_UNICODE_OTHER_LETTER:
  case G_UNICODE_TITLECASE_LETTER:
  case G_UNICODE_UPPERCASE_LETTER:
    return CLASS_LETTER;
  case G_UNICODE_DECIMAL_NUMBER:
  case G_UNICODE_LETTER_NUMBER:
  case G_UNICODE_OTHER_NUMBER:
    return CLASS_NUMBER;
  case G_UNICODE_UNASSIGNED:
    return classify_unassigned (c);
  default:
    return allava_is_space (c) ? CLASS_SPACE : CLASS_OTHER;
  }
}

/* Past the characters of CLASS that begin at AT. */
static const char *
skip_class (const char *at, const char *end, Class class)
{
  while (at < end && classify (g_utf8_get_char (at)) == class)
    at = g_utf8_next_char (at);
  return at;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
static size_t
contraction_length (const char *text, size_t length)
{
  static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};

  if (text[0] != '\'')
    return 0;
  for (size_t i = 0; i < G_N_ELEMENTS (endings); i++) {
    size_t n = strlen (endings[i]);
    if (length > n && memcmp (text + 1, endings[i], n) == 0)
      return 1 + n;
  }
  return 0;
}

size_t
allava_gpt2_word_length (const char *text, size_t length)
{
  size_t contraction = contraction_length (text, length);
  if (contraction > 0)
    return contraction;

  /* " ?" and a run of one class other than space. */
  const char *end = text + length;
  const char *at = text[0] == ' ' && length > 1 ? text + 1 : text;
  Class class = classify (g_utf8_get_char (at));
  if (class != CLASS_SPACE)
    return (size_t)(skip_class (at, end, class) - text);

  /* \s+(?!\S) leaves the last space of a run to the word that follows. */
  const char *run_end = skip_class (text, end, CLASS_SPACE);
  if (run_end < end) {
    const char *last = g_utf8_prev_char (run_end);
    if (last > text)
      return (size_t)(last - text);
  }
  return (size_t)(run_end - text);
}
