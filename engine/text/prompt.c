#include "prompt.h"

#include <string.h>

/* ---- One turn -------------------------------------------------------------------------------- */

/* Python's str.isspace(), by which the reference strips. */
static gboolean
is_space (gunichar c)
{
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

/* TEXT, which is UTF-8, without the white space around it. */
static char *
strip (const char *text)
{
  const char *end = text + strlen (text);
  while (*text != '\0' && is_space (g_utf8_get_char (text)))
    text = g_utf8_next_char (text);
  while (end > text && is_space (g_utf8_get_char (g_utf8_prev_char (end))))
    end = g_utf8_prev_char (end);
  return g_strndup (text, end - text);
}

static gboolean
append_text (GArray *items, AllavaTokenizer *tokenizer, const char *text, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (!allava_tokenizer_encode (tokenizer, text, -1, ALLAVA_TOKENIZE_TEXT, ids, error))
    return FALSE;
  for (guint i = 0; i < ids->len; i++) {
    AllavaPromptItem item = {NULL, g_array_index (ids, int32_t, i)};
    g_array_append_val (items, item);
  }
  return TRUE;
}

static gboolean
append_user (GArray *items,
             AllavaTokenizer *tokenizer,
             const char *text,
             AllavaPicture *const *pictures,
             size_t n_pictures,
             GError **error)
{
  g_autofree char *stripped = strip (text);
  g_autofree char *whole =
      g_strconcat (n_pictures == 0 ? "[INST] " : "\n", stripped, " [/INST] ", NULL);
  for (size_t i = 0; i < n_pictures; i++) {
    AllavaPromptItem item = {pictures[i]};
    if (!append_text (items, tokenizer, i == 0 ? "[INST] " : "\n", error))
      return FALSE;
    g_array_append_val (items, item);
  }
  return append_text (items, tokenizer, whole, error);
}

static gboolean
append_turn (GArray *items,
             const AllavaPromptRules *rules,
             const AllavaTurn *turn,
             const AllavaTurn *pictures, /* whose pictures it shows */
             gboolean last,
             GError **error)
{
  if (turn->role == ALLAVA_ROLE_USER)
    return append_user (items, rules->tokenizer, turn->text, pictures->pictures,
                        pictures->n_pictures, error);
  if (!append_text (items, rules->tokenizer, turn->text, error))
    return FALSE;
  AllavaPromptItem eos = {NULL, rules->eos};
  if (!last) /* a last answer goes on */
    g_array_append_val (items, eos);
  return TRUE;
}

static size_t
count_positions (const GArray *items, size_t begin, size_t image_positions)
{
  size_t positions = 0;
  for (guint i = begin; i < items->len; i++)
    positions += g_array_index (items, AllavaPromptItem, i).picture != NULL ? image_positions : 1;
  return positions;
}

/* ---- The conversation ------------------------------------------------------------------------ */

static gboolean
check_turns (const AllavaTurn *turns, size_t n_turns, GError **error)
{
  for (size_t i = 0; i < n_turns; i++) {
    const char *fault = NULL;
    if (turns[i].role != (i % 2 == 0 ? ALLAVA_ROLE_USER : ALLAVA_ROLE_ASSISTANT))
      fault = "questions and answers should alternate, starting with a question";
    else if (turns[i].role == ALLAVA_ROLE_ASSISTANT && turns[i].n_pictures > 0)
      fault = "only questions can have pictures";
    else if (turns[i].text == NULL || !g_utf8_validate (turns[i].text, -1, NULL))
      fault = "the text is not valid UTF-8";
    if (fault != NULL) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT, "turn %zu: %s", i + 1, fault);
      return FALSE;
    }
  }
  if (n_turns == 0)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT, "the conversation is empty");
  return n_turns > 0;
}

/* The turn whose pictures are under discussion: the latest that has any, else the first. */
static const AllavaTurn *
find_discussed (const AllavaTurn *turns, size_t n_turns)
{
  for (size_t i = n_turns; i-- > 0;)
    if (turns[i].n_pictures > 0)
      return &turns[i];
  return turns;
}

/* Items of the turns from FIRST on; the first shows DISCUSSED's pictures if those would be lost. */
static GArray *
build_from (const AllavaPromptRules *rules,
            const AllavaTurn *turns,
            size_t n_turns,
            size_t first,
            const AllavaTurn *discussed,
            GError **error)
{
  g_autoptr (GArray) items = g_array_new (FALSE, FALSE, sizeof (AllavaPromptItem));
  for (size_t i = first; i < n_turns; i++) {
    const AllavaTurn *shown = i == first && discussed < &turns[first] ? discussed : &turns[i];
    if (!append_turn (items, rules, &turns[i], shown, i == n_turns - 1, error))
      return NULL;
  }
  return g_steal_pointer (&items);
}

/* How many positions each turn takes as it stands. */
static size_t *
measure_turns (const AllavaPromptRules *rules,
               const AllavaTurn *turns,
               size_t n_turns,
               GError **error)
{
  g_autofree size_t *sizes = g_new (size_t, n_turns);
  g_autoptr (GArray) items = g_array_new (FALSE, FALSE, sizeof (AllavaPromptItem));
  for (size_t i = 0; i < n_turns; i++) {
    size_t begin = items->len;
    if (!append_turn (items, rules, &turns[i], &turns[i], i == n_turns - 1, error))
      return NULL;
    sizes[i] = count_positions (items, begin, rules->image_positions);
  }
  return g_steal_pointer (&sizes);
}

/* The first turn that can stay, as it seems: what moved pictures take (each and its line break)
 * comes on top, and the text after them may become other tokens. */
static size_t
choose_first (const AllavaPromptRules *rules,
              const AllavaTurn *turns,
              size_t n_turns,
              const AllavaTurn *discussed,
              const size_t *sizes)
{
  size_t total = 0, first = 0, last_pair = (n_turns - 1) / 2 * 2;
  for (size_t i = 0; i < n_turns; i++)
    total += sizes[i];
  while (first < last_pair) {
    size_t moved =
        discussed < &turns[first] ? discussed->n_pictures * (rules->image_positions + 1) : 0;
    if (total + moved <= rules->limit)
      break;
    total -= sizes[first] + sizes[first + 1];
    first += 2;
  }
  return first;
}

/* Drops pairs from *FIRST on until the rest keeps to the limit, or is the last turn alone. */
static GArray *
build_within (const AllavaPromptRules *rules,
              const AllavaTurn *turns,
              size_t n_turns,
              size_t *first,
              const AllavaTurn *discussed,
              GError **error)
{
  size_t last_pair = (n_turns - 1) / 2 * 2;
  for (;; *first += 2) {
    g_autoptr (GArray) items = build_from (rules, turns, n_turns, *first, discussed, error);
    if (items == NULL || *first >= last_pair ||
        count_positions (items, 0, rules->image_positions) <= rules->limit)
      return g_steal_pointer (&items);
  }
}

gboolean
allava_prompt_build (AllavaPrompt *prompt,
                     const AllavaPromptRules *rules,
                     const AllavaTurn *turns,
                     size_t n_turns,
                     GError **error)
{
  *prompt = (AllavaPrompt){NULL};
  if (!check_turns (turns, n_turns, error))
    return FALSE;
  g_autofree size_t *sizes = measure_turns (rules, turns, n_turns, error);
  if (sizes == NULL)
    return FALSE;
  const AllavaTurn *discussed = find_discussed (turns, n_turns);
  size_t first = choose_first (rules, turns, n_turns, discussed, sizes);
  g_autoptr (GArray) items = build_within (rules, turns, n_turns, &first, discussed, error);
  if (items == NULL)
    return FALSE;
  if (items->len == 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "the model's tokenizer makes no tokens of the conversation");
    return FALSE;
  }
  size_t positions = count_positions (items, 0, rules->image_positions);
  if (positions > rules->last_limit) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CONTEXT,
                 "the question takes %zu positions, but the model has room for %zu; "
                 "shorten it or show fewer images (each takes %zu)",
                 positions, rules->last_limit, rules->image_positions);
    return FALSE;
  }
  *prompt = (AllavaPrompt){g_steal_pointer (&items), positions, first};
  return TRUE;
}

void
allava_prompt_clear (AllavaPrompt *prompt)
{
  g_clear_pointer (&prompt->items, g_array_unref);
}
