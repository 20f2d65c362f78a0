/* allava-database-migrations.h - brings a database to the current schema. */
#pragma once

#include "allava-database.h"

/* The N-th migration makes version N + 1 of version N. Released ones are never changed. */
extern const char *const allava_database_migrations[];
int allava_database_count_migrations (void);

/* Runs the migrations that are missing, each in a transaction of its own; before the first, the
 * old file is copied to "PATH.backup-vN", unless it is new. MIGRATIONS is the list above, except in
 * tests. Errors: NEWER where the file's version is greater than N_MIGRATIONS; CORRUPT where it is
 * another program's. */
gboolean allava_database_migrate (AllavaDatabase *database,
                                  const char *const *migrations,
                                  int n_migrations,
                                  GError **error);
