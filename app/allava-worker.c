#include "allava-worker.h"

struct _AllavaWorker {
  gatomicrefcount ref_count; /* the owner, and each idle on its way */
  GThread *thread;
  GAsyncQueue *jobs; /* Job */
  GAsyncQueue *done; /* Job */
};

typedef struct {
  AllavaWorkerFunc run; /* NULL: the end */
  AllavaWorkerFunc complete;
  gpointer data;
} Job;

static void
worker_unref (AllavaWorker *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  g_async_queue_unref (self->jobs);
  g_async_queue_unref (self->done);
  g_free (self);
}

static gboolean
complete_one (AllavaWorker *self)
{
  g_autofree Job *job = g_async_queue_try_pop (self->done);
  if (job == NULL)
    return FALSE;
  job->complete (job->data);
  return TRUE;
}

static gboolean
complete_cb (gpointer user_data)
{
  complete_one (user_data); /* finds nothing where joining was faster */
  return G_SOURCE_REMOVE;
}

static gpointer
thread_func (gpointer user_data)
{
  AllavaWorker *self = user_data;
  for (;;) {
    Job *job = g_async_queue_pop (self->jobs);
    if (job->run == NULL) {
      g_free (job);
      return NULL;
    }
    job->run (job->data);
    g_async_queue_push (self->done, job);
    g_atomic_ref_count_inc (&self->ref_count);
    g_idle_add_full (G_PRIORITY_DEFAULT, complete_cb, self, (GDestroyNotify)worker_unref);
  }
}

AllavaWorker *
allava_worker_new (const char *name)
{
  AllavaWorker *self = g_new0 (AllavaWorker, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->jobs = g_async_queue_new ();
  self->done = g_async_queue_new ();
  self->thread = g_thread_new (name, thread_func, self);
  return self;
}

void
allava_worker_push (AllavaWorker *self,
                    AllavaWorkerFunc run,
                    AllavaWorkerFunc complete,
                    gpointer data)
{
  Job *job = g_new (Job, 1);
  *job = (Job){run, complete, data};
  g_async_queue_push (self->jobs, job);
}

void
allava_worker_join (AllavaWorker *self)
{
  allava_worker_push (self, NULL, NULL, NULL);
  g_thread_join (self->thread);
  while (complete_one (self))
    ;
  worker_unref (self);
}
