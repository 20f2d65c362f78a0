#include "allava-search-tokenizer.h"

#include <string.h>

#include <glib/gi18n-lib.h>

typedef struct {
  fts5_tokenizer words; /* unicode61 */
  Fts5Tokenizer *instance;
} Tokenizer;

typedef int (*TokenFunc) (void *, int flags, const char *token, int n, int start, int end);

/* What unicode61 is run with: it sees a piece of the text, so its offsets need a base. */
typedef struct {
  void *context;
  TokenFunc func;
  int base;
} Piece;

static fts5_api *
find_api (sqlite3 *handle)
{
  fts5_api *api = NULL;
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2 (handle, "SELECT fts5 (?1)", -1, &statement, NULL) == SQLITE_OK) {
    sqlite3_bind_pointer (statement, 1, &api, "fts5_api_ptr", NULL);
    sqlite3_step (statement);
  }
  sqlite3_finalize (statement);
  return api;
}

static int
create (void *user_data, const char **arguments, int n_arguments, Fts5Tokenizer **out)
{
  fts5_api *api = user_data;
  Tokenizer *self = g_new0 (Tokenizer, 1);
  void *words_data;
  int code = api->xFindTokenizer (api, "unicode61", &words_data, &self->words);
  if (code == SQLITE_OK) {
    const char *options[] = {"remove_diacritics", "2"};
    code = self->words.xCreate (words_data, options, G_N_ELEMENTS (options), &self->instance);
  }
  if (code != SQLITE_OK)
    g_clear_pointer (&self, g_free);
  *out = (Fts5Tokenizer *)self;
  return code;
}

static void delete (Fts5Tokenizer *tokenizer)
{
  Tokenizer *self = (Tokenizer *)tokenizer;
  self->words.xDelete (self->instance);
  g_free (self);
}

static gboolean
stands_alone (gunichar c)
{
  if (c < 0x0e00 || !g_unichar_isalnum (c))
    return FALSE;
  switch (g_unichar_get_script (c)) {
  case G_UNICODE_SCRIPT_HAN:
  case G_UNICODE_SCRIPT_HIRAGANA:
  case G_UNICODE_SCRIPT_KATAKANA:
  case G_UNICODE_SCRIPT_THAI:
  case G_UNICODE_SCRIPT_LAO:
  case G_UNICODE_SCRIPT_KHMER:
  case G_UNICODE_SCRIPT_MYANMAR:
    return TRUE;
  default:
    return FALSE;
  }
}

static int
piece_token_cb (void *user_data, int flags, const char *token, int n, int start, int end)
{
  Piece *piece = user_data;
  return piece->func (piece->context, flags, token, n, piece->base + start, piece->base + end);
}

static int
tokenize_piece (Tokenizer *self, Piece *piece, int flags, const char *text, int start, int end)
{
  if (start == end)
    return SQLITE_OK;
  piece->base = start;
  return self->words.xTokenize (self->instance, piece, flags, text + start, end - start,
                                piece_token_cb);
}

static int
tokenize (Fts5Tokenizer *tokenizer,
          void *context,
          int flags,
          const char *text,
          int length,
          TokenFunc func)
{
  Tokenizer *self = (Tokenizer *)tokenizer;
  Piece piece = {context, func, 0};
  int start = 0; /* of the piece for unicode61 */
  int code = SQLITE_OK;
  for (int at = 0; at < length && code == SQLITE_OK;) {
    gunichar c = g_utf8_get_char_validated (text + at, length - at);
    /* Not UTF-8 (a database may hold anything): leave it to unicode61, byte by byte. */
    int n = c < 0x80000000 ? g_unichar_to_utf8 (c, NULL) : 1;
    if (c < 0x80000000 && stands_alone (c)) {
      code = tokenize_piece (self, &piece, flags, text, start, at);
      if (code == SQLITE_OK)
        code = func (context, 0, text + at, n, at, at + n);
      start = at + n;
    }
    at += n;
  }
  return code == SQLITE_OK ? tokenize_piece (self, &piece, flags, text, start, length) : code;
}

gboolean
allava_search_tokenizer_register (AllavaDatabase *database, GError **error)
{
  fts5_api *api = find_api (allava_database_get_handle (database));
  fts5_tokenizer tokenizer = {create, delete, tokenize};
  if (api != NULL && api->xCreateTokenizer (api, "allava", api, &tokenizer, NULL) == SQLITE_OK)
    return TRUE;
  g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FAILED,
               _ ("This system's SQLite has no full-text search (FTS5)"));
  return FALSE;
}

static gboolean
has_word (const char *text)
{
  for (; *text != '\0'; text = g_utf8_next_char (text))
    if (g_unichar_isalnum (g_utf8_get_char (text)))
      return TRUE;
  return FALSE;
}

char *
allava_search_tokenizer_build_query (const char *typed)
{
  if (typed == NULL || !g_utf8_validate (typed, -1, NULL))
    return NULL;
  g_auto (GStrv) words = g_strsplit_set (typed, " \t\r\n", -1);
  g_autoptr (GString) query = g_string_new (NULL);
  for (guint i = 0; words[i] != NULL; i++) {
    if (!has_word (words[i]))
      continue;
    /* Quoted, nothing in it is FTS5's syntax. */
    g_autoptr (GString) quoted = g_string_new (words[i]);
    g_string_replace (quoted, "\"", "\"\"", 0);
    g_string_append_printf (query, "%s\"%s\"", query->len > 0 ? " " : "", quoted->str);
  }
  if (query->len == 0)
    return NULL;
  /* The last word is being typed, unless a space follows it. */
  if (strchr (" \t\r\n", typed[strlen (typed) - 1]) == NULL)
    g_string_append (query, " *");
  return g_string_free (g_steal_pointer (&query), FALSE);
}
