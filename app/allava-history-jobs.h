/* allava-history-jobs.h - what the history thread does, one function for each kind of request. */
#pragma once

#include "allava-database.h"

/* What the jobs work with. Only the history thread touches it. */
typedef struct {
  char *folder;
  AllavaImageStore *images;
  AllavaDatabase *database; /* NULL until open */
} AllavaHistoryContext;

/* What a job is about; each uses what it needs. */
typedef struct {
  AllavaConversationRecord *conversation;
  GPtrArray *messages;
  GArray *array; /* ids or keys */
  gint64 id;
  char *text;
  gboolean flag;
} AllavaHistoryRequest;

void allava_history_request_free (AllavaHistoryRequest *request);

/* Returns the result (for jobs without one, something that is not NULL), or NULL and an error. All
 * but opening, closing and deleting all need an open database. */
typedef gpointer (*AllavaHistoryJob) (AllavaHistoryContext *context,
                                      AllavaHistoryRequest *request,
                                      GError **error);

gpointer allava_history_open_job (AllavaHistoryContext *context,
                                  AllavaHistoryRequest *request,
                                  GError **error);
gpointer allava_history_close_job (AllavaHistoryContext *context,
                                   AllavaHistoryRequest *request,
                                   GError **error);
gpointer allava_history_save_job (AllavaHistoryContext *context,
                                  AllavaHistoryRequest *request,
                                  GError **error);
gpointer allava_history_load_job (AllavaHistoryContext *context,
                                  AllavaHistoryRequest *request,
                                  GError **error);
gpointer allava_history_rename_job (AllavaHistoryContext *context,
                                    AllavaHistoryRequest *request,
                                    GError **error);
gpointer allava_history_set_deleted_job (AllavaHistoryContext *context,
                                         AllavaHistoryRequest *request,
                                         GError **error);
gpointer allava_history_purge_job (AllavaHistoryContext *context,
                                   AllavaHistoryRequest *request,
                                   GError **error);
gpointer allava_history_delete_all_job (AllavaHistoryContext *context,
                                        AllavaHistoryRequest *request,
                                        GError **error);
gpointer allava_history_list_job (AllavaHistoryContext *context,
                                  AllavaHistoryRequest *request,
                                  GError **error);
gpointer allava_history_lines_job (AllavaHistoryContext *context,
                                   AllavaHistoryRequest *request,
                                   GError **error);
