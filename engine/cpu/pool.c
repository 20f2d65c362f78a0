#include "kernels.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "topology.h"

#define THREADS_MAX 1024
#define SPIN_NS 50000
#define LOW_PRIORITY 10 /* nice(1)'s own default */

/* A job is open while its caller still hands out tasks. A thread enters an open job, takes tasks
 * until none is left, and leaves; the caller closes the job when it finds no more tasks and waits
 * for those inside. So nobody waits for a thread that never came, e.g. on a busy machine. */
struct _AllavaPool {
  int n_threads;
  pthread_t *threads; /* [n_threads - 1] */
  int n_started;
  gboolean spin;
  atomic_bool lower_priority;

  /* The job: written by the caller while it is closed and nobody is inside. */
  AllavaTaskFunc func;
  gpointer data;
  size_t n_tasks;

  _Alignas(64) atomic_size_t next;     /* task */
  _Alignas(64) atomic_uint generation; /* counts jobs */
  atomic_uint inside;                  /* OPEN, plus 2 for each thread in the job */
  atomic_int sleepers;
  atomic_bool caller_sleeps;
  atomic_bool stop;

  pthread_mutex_t mutex; /* guards nothing but the two conditions' sleep */
  pthread_cond_t work;
  pthread_cond_t done;
};

#define OPEN 1u

typedef struct {
  AllavaPool *pool;
  int index;
} Worker;

static void
run_tasks (AllavaPool *pool, int thread)
{
  size_t task;
  while ((task = atomic_fetch_add_explicit (&pool->next, 1, memory_order_relaxed)) < pool->n_tasks)
    pool->func (task, thread, pool->data);
}

static gboolean
enter (AllavaPool *pool)
{
  unsigned int inside = atomic_load (&pool->inside);
  while (inside & OPEN)
    if (atomic_compare_exchange_weak (&pool->inside, &inside, inside + 2))
      return TRUE;
  return FALSE;
}

static void
leave (AllavaPool *pool)
{
  if (atomic_fetch_sub (&pool->inside, 2) != 2 || !atomic_load (&pool->caller_sleeps))
    return;
  pthread_mutex_lock (&pool->mutex);
  pthread_cond_signal (&pool->done);
  pthread_mutex_unlock (&pool->mutex);
}

static gboolean
has_news (AllavaPool *pool, unsigned int seen)
{
  return atomic_load (&pool->generation) != seen || atomic_load (&pool->stop);
}

static gboolean
is_done (AllavaPool *pool, unsigned int unused)
{
  return atomic_load (&pool->inside) == 0;
}

/* Waits a little for CONDITION without sleeping: jobs follow each other within microseconds. */
static gboolean
spin_for (AllavaPool *pool, gboolean (*condition) (AllavaPool *, unsigned int), unsigned int seen)
{
  if (!pool->spin)
    return condition (pool, seen);
  gint64 end = g_get_monotonic_time () + SPIN_NS / 1000;
  do {
    for (int i = 0; i < 64; i++) {
      if (condition (pool, seen))
        return TRUE;
      __builtin_ia32_pause ();
    }
    sched_yield ();
  } while (g_get_monotonic_time () < end);
  return FALSE;
}

static void
wait_for_work (AllavaPool *pool, unsigned int seen)
{
  if (spin_for (pool, has_news, seen))
    return;
  pthread_mutex_lock (&pool->mutex);
  atomic_fetch_add (&pool->sleepers, 1);
  while (!has_news (pool, seen))
    pthread_cond_wait (&pool->work, &pool->mutex);
  atomic_fetch_sub (&pool->sleepers, 1);
  pthread_mutex_unlock (&pool->mutex);
}

static void
wait_for_others (AllavaPool *pool)
{
  if (spin_for (pool, is_done, 0))
    return;
  pthread_mutex_lock (&pool->mutex);
  atomic_store (&pool->caller_sleeps, TRUE);
  while (!is_done (pool, 0))
    pthread_cond_wait (&pool->done, &pool->mutex);
  atomic_store (&pool->caller_sleeps, FALSE);
  pthread_mutex_unlock (&pool->mutex);
}

static void
wake_all (AllavaPool *pool)
{
  if (atomic_load (&pool->sleepers) == 0)
    return;
  pthread_mutex_lock (&pool->mutex);
  pthread_cond_broadcast (&pool->work);
  pthread_mutex_unlock (&pool->mutex);
}

/* Linux takes 0 for the calling thread, not for the process. */
static void
lower_own_priority (void)
{
  setpriority (PRIO_PROCESS, 0, MAX (getpriority (PRIO_PROCESS, 0), LOW_PRIORITY));
}

static void *
work (void *data)
{
  g_autofree Worker *worker = data;
  AllavaPool *pool = worker->pool;
  unsigned int seen = 0;
  gboolean lowered = FALSE;

  while (TRUE) {
    wait_for_work (pool, seen);
    if (atomic_load (&pool->stop))
      return NULL;
    seen = atomic_load (&pool->generation);
    if (!lowered && atomic_load (&pool->lower_priority)) {
      lower_own_priority ();
      lowered = TRUE;
    }
    if (enter (pool)) {
      run_tasks (pool, worker->index);
      leave (pool);
    }
  }
}

static gboolean
start_threads (AllavaPool *pool, GError **error)
{
  while (pool->n_started < pool->n_threads - 1) {
    Worker *worker = g_new (Worker, 1);
    worker->pool = pool;
    worker->index = pool->n_started + 1;
    int status = pthread_create (&pool->threads[pool->n_started], NULL, work, worker);
    if (status != 0) {
      g_free (worker);
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY, "Cannot start thread %d of %d: %s",
                   pool->n_started + 2, pool->n_threads, g_strerror (status));
      return FALSE;
    }
    pool->n_started++;
  }
  return TRUE;
}

AllavaPool *
allava_pool_new (int threads, GError **error)
{
  if (threads < 0 || threads > THREADS_MAX) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "%d threads were asked for; 1 to %d are possible, 0 stands for one for each core",
                 threads, THREADS_MAX);
    return NULL;
  }
  AllavaTopology topology = allava_topology_read ();
  AllavaPool *pool = g_aligned_alloc0 (1, sizeof (AllavaPool), 64);
  pool->n_threads = threads > 0 ? threads : MIN (topology.cores, THREADS_MAX);
  pool->threads = g_new0 (pthread_t, pool->n_threads);
  pool->spin = pool->n_threads <= topology.cpus;
  pthread_mutex_init (&pool->mutex, NULL);
  pthread_cond_init (&pool->work, NULL);
  pthread_cond_init (&pool->done, NULL);
  if (!start_threads (pool, error)) {
    allava_pool_free (pool);
    return NULL;
  }
  return pool;
}

void
allava_pool_free (AllavaPool *pool)
{
  if (pool == NULL)
    return;
  atomic_store (&pool->stop, TRUE);
  wake_all (pool);
  for (int i = 0; i < pool->n_started; i++)
    pthread_join (pool->threads[i], NULL);
  pthread_cond_destroy (&pool->done);
  pthread_cond_destroy (&pool->work);
  pthread_mutex_destroy (&pool->mutex);
  g_free (pool->threads);
  g_aligned_free (pool);
}

int
allava_pool_get_threads (AllavaPool *pool)
{
  return pool->n_threads;
}

void
allava_pool_lower_priority (AllavaPool *pool)
{
  atomic_store (&pool->lower_priority, TRUE);
  lower_own_priority ();
}

void
allava_pool_run (AllavaPool *pool, size_t n_tasks, AllavaTaskFunc func, gpointer data)
{
  if (n_tasks <= 1 || pool->n_threads == 1) {
    for (size_t i = 0; i < n_tasks; i++)
      func (i, 0, data);
    return;
  }
  pool->func = func;
  pool->data = data;
  pool->n_tasks = n_tasks;
  atomic_store (&pool->next, 0);
  atomic_store (&pool->inside, OPEN);
  atomic_fetch_add (&pool->generation, 1);
  wake_all (pool);
  run_tasks (pool, 0);
  atomic_fetch_and (&pool->inside, ~OPEN);
  wait_for_others (pool);
}
