#include "cpu-testing.h"
#include "topology.h"
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>

typedef struct {
  int *counts; /* [tasks] how often each was run */
  int threads;
  int bad_threads;
  int *running;  /* [threads] whether a task of that thread is running */
  char *payload; /* written before the job, read in it */
} Job;

static void
count_task (size_t index, int thread, gpointer data)
{
  Job *job = data;
  if (thread < 0 || thread >= job->threads || job->payload[index % 7] != 'x' ||
      !g_atomic_int_compare_and_exchange (&job->running[thread], 0, 1)) {
    g_atomic_int_inc (&job->bad_threads);
    return;
  }
  job->counts[index]++;
  g_atomic_int_set (&job->running[thread], 0);
}

static void
check_job (AllavaPool *pool, size_t n_tasks)
{
  int threads = allava_pool_get_threads (pool);
  g_autofree int *counts = g_new0 (int, n_tasks + 1);
  g_autofree int *running = g_new0 (int, threads);
  char payload[7];
  memset (payload, 'x', sizeof payload);
  Job job = {counts, threads, 0, running, payload};
  allava_pool_run (pool, n_tasks, count_task, &job);
  g_assert_cmpint (job.bad_threads, ==, 0);
  for (size_t i = 0; i < n_tasks; i++)
    g_assert_cmpint (counts[i], ==, 1);
}

/* Every task once, each thread one at a time; what tasks wrote is there when run returns. */
static void
test_runs (void)
{
  for (int threads = 1; threads <= 9; threads += 2) {
    AllavaPool *pool = allava_pool_new (threads, NULL);
    g_assert_cmpint (allava_pool_get_threads (pool), ==, threads);
    for (size_t n = 0; n < 40; n++)
      check_job (pool, n);
    for (int i = 0; i < 300; i++)
      check_job (pool, 5);
    check_job (pool, 20000);
    allava_pool_free (pool);
  }
}

/* Threads that went to sleep between jobs wake up again. */
static void
test_sleeps (void)
{
  AllavaPool *pool = allava_pool_new (3, NULL);
  for (int i = 0; i < 20; i++) {
    check_job (pool, 1000);
    g_usleep (1000);
  }
  allava_pool_free (pool);
}

typedef struct {
  int arrived;
  int n;
  gint64 end;
} Meeting;

static void
meet_task (size_t index, int thread, gpointer data)
{
  Meeting *meeting = data;
  g_atomic_int_inc (&meeting->arrived);
  while (g_atomic_int_get (&meeting->arrived) < meeting->n &&
         g_get_monotonic_time () < meeting->end)
    g_usleep (100);
}

/* As many tasks as threads can wait for each other: they do run side by side. */
static void
test_parallel (void)
{
  AllavaPool *pool = allava_pool_new (4, NULL);
  Meeting meeting = {0, 4, g_get_monotonic_time () + 60 * G_USEC_PER_SEC};
  allava_pool_run (pool, 4, meet_task, &meeting);
  g_assert_cmpint (meeting.arrived, ==, 4);
  g_assert_cmpint (g_get_monotonic_time (), <, meeting.end);
  allava_pool_free (pool);
}

static void
test_free_idle (void)
{
  for (int i = 0; i < 50; i++)
    allava_pool_free (allava_pool_new (4, NULL));
  allava_pool_free (NULL);
}

static void
test_refuses (void)
{
  const int threads[] = {-1, 1000000};
  for (size_t i = 0; i < G_N_ELEMENTS (threads); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (allava_pool_new (threads[i], &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  }
}

/* By default no more threads than the CPUs that this process may use. */
static void
test_default (void)
{
  cpu_set_t mask, one;
  g_assert_cmpint (sched_getaffinity (0, sizeof mask, &mask), ==, 0);
  AllavaPool *pool = allava_pool_new (0, NULL);
  g_assert_cmpint (allava_pool_get_threads (pool), >=, 1);
  g_assert_cmpint (allava_pool_get_threads (pool), <=, CPU_COUNT (&mask));
  allava_pool_free (pool);

  CPU_ZERO (&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT (&one) == 0; cpu++)
    if (CPU_ISSET (cpu, &mask))
      CPU_SET (cpu, &one);
  g_assert_cmpint (sched_setaffinity (0, sizeof one, &one), ==, 0);
  pool = allava_pool_new (0, NULL);
  g_assert_cmpint (allava_pool_get_threads (pool), ==, 1);
  allava_pool_free (pool);
  pool = allava_pool_new (3, NULL); /* three threads on one CPU still get there */
  for (int i = 0; i < 50; i++)
    check_job (pool, 100);
  allava_pool_free (pool);
  g_assert_cmpint (sched_setaffinity (0, sizeof mask, &mask), ==, 0);
}

static void
check_quota (const char *dir, const char *text, int expected)
{
  g_autofree char *path = g_build_filename (dir, "cpu.max", NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (allava_topology_read_quota (dir, 8), ==, expected);
  g_unlink (path);
}

/* A container's quota, rounded up; what cannot be read is no limit. */
static void
test_quota (void)
{
  g_autofree char *dir = g_dir_make_tmp ("allava-XXXXXX", NULL);
  check_quota (dir, "max 100000\n", 8);
  check_quota (dir, "200000 100000\n", 2);
  check_quota (dir, "150000 100000\n", 2);
  check_quota (dir, "1000 100000\n", 1);
  check_quota (dir, "9223372036854775807 1\n", 8);
  check_quota (dir, "-1 100000\n", 8);
  check_quota (dir, "100000 0\n", 8);
  check_quota (dir, "", 8);
  g_assert_cmpint (allava_topology_read_quota (dir, 3), ==, 3);
  g_rmdir (dir);
}

static void
note_priority (size_t index, int thread, gpointer data)
{
  int *priorities = data; /* of each thread */
  g_atomic_int_set (&priorities[thread], getpriority (PRIO_PROCESS, 0));
  g_usleep (1000); /* so that both threads come */
}

static gpointer
run_lowered (gpointer data)
{
  AllavaPool *pool = allava_pool_new (2, NULL);
  int priorities[2] = {0, 0};
  allava_pool_run (pool, 20, note_priority, priorities);
  int before = priorities[0];
  allava_pool_lower_priority (pool);
  for (int try = 0; try < 1000 && priorities[1] != 10; try++)
    allava_pool_run (pool, 4, note_priority, priorities);
  g_assert_cmpint (priorities[0], >=, MAX (before, 10));
  g_assert_cmpint (priorities[1], >=, MAX (before, 10));
  allava_pool_free (pool);
  return NULL;
}

/* The pool's threads and the one that asks for it, and no other. */
static void
test_priority (void)
{
  int own = getpriority (PRIO_PROCESS, 0);
  g_thread_join (g_thread_new ("lowered", run_lowered, NULL));
  g_assert_cmpint (getpriority (PRIO_PROCESS, 0), ==, own);
}

static void
start_too_many (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_pool_new (1000, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY);
  AllavaPool *pool = allava_pool_new (2, NULL); /* what was started before has ended */
  check_job (pool, 10);
  allava_pool_free (pool);
}

/* Threads that cannot be started are an error, not a hang. */
static void
test_no_memory (void)
{
  run_short_of_memory ((size_t)256 << 20, start_too_many);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pool/runs", test_runs);
  g_test_add_func ("/pool/sleeps", test_sleeps);
  g_test_add_func ("/pool/parallel", test_parallel);
  g_test_add_func ("/pool/free-idle", test_free_idle);
  g_test_add_func ("/pool/refuses", test_refuses);
  g_test_add_func ("/pool/default", test_default);
  g_test_add_func ("/pool/quota", test_quota);
  g_test_add_func ("/pool/priority", test_priority);
  g_test_add_func ("/pool/no-memory", test_no_memory);
  return g_test_run ();
}
