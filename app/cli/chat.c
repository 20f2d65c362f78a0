#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const CliUsage usage = {
    .command = "chat",
    .parameters = "[IMAGE...]",
    .summary = "Holds a conversation about pictures; it remembers what has been said.",
    .examples = "Type a question and Enter. Ctrl+C stops an answer. Besides:\n"
                "  /image FILE  adds a picture to your next question\n"
                "  clear        forgets the conversation, but not the pictures it started with\n"
                "  q            ends, as does the end of the input\n"
                "\n"
                "Examples:\n"
                "  allava-cli chat photo.jpg\n"
                "  printf 'What is this?\\nWhat colour is it?\\n' | allava-cli chat photo.jpg\n",
};

/* What was said, and the pictures that came with it. */
typedef struct {
  AllavaRole role;
  char *text;
  GPtrArray *pictures; /* of AllavaPicture; NULL for an answer */
} Message;

typedef struct {
  Cli *cli;
  GPtrArray *messages;
  GPtrArray *initial; /* the pictures that each conversation starts with */
  GPtrArray *pending; /* those of the next question */
  int dropped_turns;  /* that have been told */
  int status;
} Chat;

static void
message_free (gpointer data)
{
  Message *message = data;
  g_free (message->text);
  g_clear_pointer (&message->pictures, g_ptr_array_unref);
  g_free (message);
}

static void
chat_add (Chat *chat, AllavaRole role, const char *text, GPtrArray *pictures)
{
  Message *message = g_new (Message, 1);
  *message = (Message){role, g_strdup (text), pictures};
  g_ptr_array_add (chat->messages, message);
}

static GPtrArray *
copy_pictures (GPtrArray *pictures)
{
  GPtrArray *copy = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_picture_unref);
  for (guint i = 0; i < pictures->len; i++)
    g_ptr_array_add (copy, allava_picture_ref (pictures->pdata[i]));
  return copy;
}

static guint
count_pictures (const Chat *chat)
{
  guint n = chat->pending->len;
  for (guint i = 0; i < chat->messages->len; i++) {
    const Message *message = chat->messages->pdata[i];
    n += message->pictures != NULL ? message->pictures->len : 0;
  }
  return n;
}

static void
chat_start (Chat *chat)
{
  g_ptr_array_set_size (chat->messages, 0);
  g_clear_pointer (&chat->pending, g_ptr_array_unref);
  chat->pending = copy_pictures (chat->initial);
  chat->dropped_turns = 0;
}

/* ---- A question ------------------------------------------------------------------------------ */

static GArray *
turns_new (const Chat *chat)
{
  GArray *turns = g_array_sized_new (FALSE, FALSE, sizeof (AllavaTurn), chat->messages->len);
  for (guint i = 0; i < chat->messages->len; i++) {
    const Message *message = chat->messages->pdata[i];
    AllavaTurn turn = {.role = message->role, .text = message->text};
    if (message->pictures != NULL) {
      turn.pictures = (AllavaPicture *const *)message->pictures->pdata;
      turn.n_pictures = message->pictures->len;
    }
    g_array_append_val (turns, turn);
  }
  return turns;
}

static void
tell_dropped (Chat *chat, int dropped_turns)
{
  if (dropped_turns > chat->dropped_turns)
    fprintf (stderr,
             dropped_turns == 1
                 ? "(The conversation has grown long: its oldest turn is left out now.)\n"
                 : "(The conversation has grown long: its %d oldest turns are left out now.)\n",
             dropped_turns);
  chat->dropped_turns = dropped_turns;
}

/* Takes the question back; its pictures wait for the next. */
static void
chat_take_back (Chat *chat)
{
  Message *message = chat->messages->pdata[chat->messages->len - 1];
  g_ptr_array_unref (chat->pending);
  chat->pending = g_steal_pointer (&message->pictures);
  g_ptr_array_set_size (chat->messages, chat->messages->len - 1);
}

static void
chat_ask (Chat *chat, const char *question)
{
  chat_add (chat, ALLAVA_ROLE_USER, question, g_steal_pointer (&chat->pending));
  chat->pending = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_picture_unref);

  g_autoptr (GArray) turns = turns_new (chat);
  g_autoptr (GString) text = g_string_new (NULL);
  AllavaGenerateResult result;
  GError *error = NULL;
  gboolean answered = cli_answer (chat->cli, (const AllavaTurn *)turns->data, turns->len, TRUE,
                                  text, &result, &error);
  if (answered || text->len > 0)
    cli_print ("\n");
  if (!answered) {
    chat->status = cli_fail (error);
    chat_take_back (chat);
    return;
  }
  tell_dropped (chat, result.dropped_turns);
  if (text->len > 0)
    chat_add (chat, ALLAVA_ROLE_ASSISTANT, text->str, NULL);
  else
    chat_take_back (chat); /* stopped before a word was said */
  allava_generate_result_clear (&result);
}

/* ---- The loop -------------------------------------------------------------------------------- */

static gboolean
chat_add_picture (Chat *chat, GPtrArray *pictures, const char *path)
{
  GError *error = NULL;
  CliPictureTimes times = {0};
  AllavaPicture *picture = cli_load_picture (chat->cli, path, &times, &error);
  if (picture == NULL) {
    chat->status = cli_fail (error);
    return FALSE;
  }
  g_ptr_array_add (pictures, picture);
  return TRUE;
}

/* One line of input; returns FALSE to end. */
static gboolean
chat_take (Chat *chat, char *line)
{
  if (!g_utf8_validate (line, -1, NULL)) {
    cli_report ("The question is not valid UTF-8");
    chat->status = CLI_FAILED;
    return TRUE;
  }
  g_strstrip (line);
  if (g_ascii_strcasecmp (line, "q") == 0 || g_ascii_strcasecmp (line, "quit") == 0)
    return FALSE;
  guint n_pictures = count_pictures (chat);
  if (g_ascii_strcasecmp (line, "clear") == 0)
    chat_start (chat);
  else if (g_str_has_prefix (line, "/image "))
    chat_add_picture (chat, chat->pending, g_strstrip (line + strlen ("/image ")));
  else if (*line != '\0')
    chat_ask (chat, line);
  if (count_pictures (chat) > MAX (n_pictures, 1))
    cli_note_several_pictures (FALSE);
  return TRUE;
}

static void
chat_loop (Chat *chat)
{
  gboolean interactive = isatty (STDIN_FILENO);
  char *line = NULL;
  size_t size = 0;
  gboolean goes_on = TRUE;
  while (goes_on) {
    if (interactive)
      cli_print ("> ");
    ssize_t length = getline (&line, &size, stdin);
    if (length < 0)
      break;
    g_cancellable_reset (chat->cli->cancellable);
    g_atomic_int_set (&chat->cli->busy, TRUE);
    goes_on = chat_take (chat, line);
    g_atomic_int_set (&chat->cli->busy, FALSE);
  }
  if (interactive && goes_on)
    cli_print ("\n");
  free (line);
}

static int
chat_run (Chat *chat, char **paths)
{
  GError *error = NULL;
  chat->cli->busy = TRUE;
  if (cli_get_session (chat->cli, &error) == NULL)
    return cli_fail (error);
  for (; *paths != NULL; paths++)
    if (!chat_add_picture (chat, chat->initial, *paths))
      return chat->status;
  if (chat->initial->len > 1)
    cli_note_several_pictures (FALSE);
  g_atomic_int_set (&chat->cli->busy, FALSE);
  chat_start (chat);
  chat_loop (chat);
  return chat->status;
}

int
cli_chat (Cli *cli, char **args)
{
  int status;
  if (!cli_parse (cli, &usage, NULL, &args, &status))
    return status;

  Chat chat = {
      .cli = cli,
      .messages = g_ptr_array_new_with_free_func (message_free),
      .initial = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_picture_unref),
  };
  status = chat_run (&chat, args + 1);
  g_ptr_array_unref (chat.messages);
  g_ptr_array_unref (chat.initial);
  g_clear_pointer (&chat.pending, g_ptr_array_unref);
  return status;
}
