#include "allava-database-lists.h"

#include "allava-search-tokenizer.h"

/* Of a word that is everywhere, the newest so many messages are looked at: ids grow with time, so
 * the index gives them in this order without sorting. */
#define MAX_HITS 20000

/* Stand for <b> and </b> until the text between is escaped; a person cannot type them. */
#define HIT_START '\002'
#define HIT_END '\003'

static GArray *
read_keys (AllavaDatabase *database, AllavaStatement *statement, GError **error)
{
  g_autoptr (GArray) keys = g_array_new (FALSE, TRUE, sizeof (AllavaConversationKey));
  gboolean row;
  while (allava_database_step (database, statement, &row, error)) {
    if (!row)
      return g_steal_pointer (&keys);
    AllavaConversationKey key = {
        .id = sqlite3_column_int64 (statement, 0),
        .updated = sqlite3_column_int64 (statement, 1),
        .hit = sqlite3_column_int64 (statement, 2),
    };
    g_array_append_val (keys, key);
  }
  return NULL;
}

static GArray *
list_all (AllavaDatabase *database, GError **error)
{
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database,
                               "SELECT id, updated, 0 FROM conversation WHERE deleted IS NULL"
                               "  ORDER BY updated DESC, id DESC",
                               error);
  return statement != NULL ? read_keys (database, statement, error) : NULL;
}

static GArray *
list_hits (AllavaDatabase *database, const char *expression, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "WITH newest (id) AS MATERIALIZED"
      "  (SELECT rowid FROM message_search WHERE message_search MATCH ?1"
      "   ORDER BY rowid DESC LIMIT ?2),"
      "hit (id, message) AS"
      "  (SELECT conversation_id, id FROM message WHERE id IN newest"
      "   UNION ALL SELECT rowid, 0 FROM title_search WHERE title_search MATCH ?1)"
      "SELECT conversation.id, updated, max (message) FROM hit JOIN conversation USING (id)"
      "  WHERE deleted IS NULL GROUP BY conversation.id ORDER BY updated DESC, id DESC",
      error);
  if (statement == NULL)
    return NULL;
  allava_statement_bind_text (statement, 1, expression);
  sqlite3_bind_int (statement, 2, MAX_HITS);
  return read_keys (database, statement, error);
}

GArray *
allava_database_list (AllavaDatabase *database, const char *query, GError **error)
{
  if (query == NULL || *query == '\0')
    return list_all (database, error);
  g_autofree char *expression = allava_search_tokenizer_build_query (query);
  if (expression == NULL)
    return g_array_new (FALSE, TRUE, sizeof (AllavaConversationKey));
  return list_hits (database, expression, error);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Pango markup of a snippet in which HIT_START and HIT_END mark hits. */
static char *
mark_up (const char *snippet)
{
  GString *markup = g_string_new (NULL);
  gboolean bold = FALSE;
  for (const char *at = snippet; *at != '\0'; at++) {
    if (*at == HIT_START || *at == HIT_END) {
      if (bold != (*at == HIT_START))
        g_string_append (markup, bold ? "</b>" : "<b>");
      bold = *at == HIT_START;
    } else if (*at == '&') {
      g_string_append (markup, "&amp;");
    } else if (*at == '<') {
      g_string_append (markup, "&lt;");
    } else if (*at == '>') {
      g_string_append (markup, "&gt;");
    } else {
      /* A snippet is one line; other control characters are not allowed in markup. */
      g_string_append_c (markup, (guchar)*at < ' ' ? ' ' : *at);
    }
  }
  if (bold)
    g_string_append (markup, "</b>");
  return g_string_free (markup, FALSE);
}

/* HIT is a message, or 0 where the title of the conversation ID matches. */
static gboolean
read_snippet (AllavaDatabase *database,
              const char *expression,
              gint64 hit,
              gint64 id,
              char **markup,
              GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      hit != 0 ? "SELECT snippet (message_search, 0, char (2), char (3), '…', 16)"
                 "  FROM message_search WHERE message_search MATCH ?1 AND rowid = ?2"
               : "SELECT snippet (title_search, 0, char (2), char (3), '…', 16)"
                 "  FROM title_search WHERE title_search MATCH ?1 AND rowid = ?2",
      error);
  if (statement == NULL)
    return FALSE;
  allava_statement_bind_text (statement, 1, expression);
  sqlite3_bind_int64 (statement, 2, hit != 0 ? hit : id);
  gboolean row;
  if (!allava_database_step (database, statement, &row, error))
    return FALSE;
  g_autofree char *snippet = row ? allava_statement_dup_text (statement, 0) : NULL;
  *markup = snippet != NULL ? mark_up (snippet) : NULL;
  return TRUE;
}

/* *LINE becomes NULL where the conversation is gone. */
static gboolean
read_line (AllavaDatabase *database, gint64 id, AllavaConversationLine **line, GError **error)
{
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database, "SELECT title FROM conversation WHERE id = ?1", error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, id);
  gboolean row;
  if (!allava_database_step (database, statement, &row, error))
    return FALSE;
  *line = NULL;
  if (row) {
    *line = g_new0 (AllavaConversationLine, 1);
    (*line)->id = id;
    (*line)->title = allava_statement_dup_string (statement, 0);
  }
  return TRUE;
}

GPtrArray *
allava_database_get_lines (AllavaDatabase *database,
                           GArray *keys,
                           const char *query,
                           GError **error)
{
  g_autoptr (GPtrArray) lines =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_conversation_line_free);
  g_autofree char *expression = allava_search_tokenizer_build_query (query);
  for (guint i = 0; i < keys->len; i++) {
    const AllavaConversationKey *key = &g_array_index (keys, AllavaConversationKey, i);
    AllavaConversationLine *line;
    if (!read_line (database, key->id, &line, error))
      return NULL;
    if (line == NULL)
      continue;
    g_ptr_array_add (lines, line);
    if (expression != NULL &&
        !read_snippet (database, expression, key->hit, key->id, &line->snippet_markup, error))
      return NULL;
  }
  return g_steal_pointer (&lines);
}
