/* allava-worker.h - a thread that runs jobs one after the other and hands each back to the main
 * thread. */
#pragma once

#include <glib.h>

typedef struct _AllavaWorker AllavaWorker;
typedef void (*AllavaWorkerFunc) (gpointer data);

AllavaWorker *allava_worker_new (const char *name);

/* RUN is called with DATA on the thread, then COMPLETE on the main thread. Main thread. */
void allava_worker_push (AllavaWorker *self,
                         AllavaWorkerFunc run,
                         AllavaWorkerFunc complete,
                         gpointer data);

/* Waits until all jobs have run, calls what is left of COMPLETE, ends the thread and frees SELF.
 * Main thread. */
void allava_worker_join (AllavaWorker *self);
