/* allava-search-tokenizer.h - how full-text search cuts text into words: SQLite's unicode61 without
 * diacritics, and every character of a script that does not put spaces between words is a word of
 * its own, so that a phrase of them finds any part of a Chinese or Thai sentence. */
#pragma once

#include "allava-database.h"

/* Makes the FTS5 tokenizer "allava" known to the connection. */
gboolean allava_search_tokenizer_register (AllavaDatabase *database, GError **error);

/* An FTS5 expression for what a person typed: all words, the last one may be a beginning. NULL
 * where there is no word in it. */
char *allava_search_tokenizer_build_query (const char *typed);
