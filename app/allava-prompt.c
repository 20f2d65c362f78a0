#include "allava-prompt.h"

void
allava_prompt_turn_free (AllavaPromptTurn *turn)
{
  g_free (turn->text);
  g_ptr_array_unref (turn->images);
  g_free (turn);
}

static AllavaPromptTurn *
turn_new (AllavaMessage *message)
{
  AllavaPromptTurn *turn = g_new (AllavaPromptTurn, 1);
  turn->role = allava_message_get_role (message);
  turn->text = g_strdup (allava_message_get_text (message));
  turn->images = g_ptr_array_new_with_free_func (g_object_unref);
  GListModel *images = allava_message_get_images (message);
  for (guint i = 0; i < g_list_model_get_n_items (images); i++)
    g_ptr_array_add (turn->images, g_list_model_get_item (images, i));
  return turn;
}

static AllavaPromptTurn *
last_turn (GPtrArray *prompt)
{
  return prompt->len > 0 ? g_ptr_array_index (prompt, prompt->len - 1) : NULL;
}

/* A question that got no answer is left out, but its images stay under discussion. */
static void
append_question (GPtrArray *prompt, AllavaPromptTurn *turn)
{
  AllavaPromptTurn *last = last_turn (prompt);
  if (last != NULL && last->role == ALLAVA_ROLE_USER) {
    for (guint i = 0; i < last->images->len; i++)
      g_ptr_array_insert (turn->images, (int)i, g_object_ref (last->images->pdata[i]));
    g_ptr_array_remove_index (prompt, prompt->len - 1);
  }
  g_ptr_array_add (prompt, turn);
}

static void
append_answer (GPtrArray *prompt, AllavaPromptTurn *turn)
{
  AllavaPromptTurn *last = last_turn (prompt);
  if (*turn->text == '\0' || last == NULL || last->role == ALLAVA_ROLE_ASSISTANT)
    allava_prompt_turn_free (turn);
  else
    g_ptr_array_add (prompt, turn);
}

GPtrArray *
allava_prompt_new (GListModel *messages)
{
  g_return_val_if_fail (G_IS_LIST_MODEL (messages), NULL);
  GPtrArray *prompt = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_prompt_turn_free);
  for (guint i = 0; i < g_list_model_get_n_items (messages); i++) {
    g_autoptr (AllavaMessage) message = g_list_model_get_item (messages, i);
    AllavaPromptTurn *turn = turn_new (message);
    if (turn->role == ALLAVA_ROLE_USER)
      append_question (prompt, turn);
    else
      append_answer (prompt, turn);
  }
  return prompt;
}
