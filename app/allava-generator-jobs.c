#include "allava-generator-jobs.h"

#include <sys/resource.h>

/* The desktop goes first: a third of the time is ours where another program wants all. */
#define NICE_LEVEL 5

static void
progress_cb (double fraction, gpointer user_data)
{
  AllavaLoadJob *job = user_data;
  g_atomic_int_set (&job->permille, (int)(CLAMP (fraction, 0.0, 1.0) * 1000));
}

int
allava_load_job_choose_threads (int wanted, int cores)
{
  return wanted > 0 ? wanted : cores > 2 ? cores - 1 : cores;
}

void
allava_load_job_run (gpointer data)
{
  AllavaLoadJob *job = data;
  /* In Linux this is the thread's own, and the threads that it starts inherit it. */
  setpriority (PRIO_PROCESS, 0, MAX (getpriority (PRIO_PROCESS, 0), NICE_LEVEL));
  AllavaGeneratorContext *context = job->context;
  /* First, so that two models are never in memory. */
  if (context->loaded != NULL)
    context->backend->unload (context->loaded);
  context->loaded = NULL;
  if (job->path == NULL || g_cancellable_set_error_if_cancelled (job->cancellable, &job->error))
    return;

  AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  options.device = job->device;
  options.dtype = job->dtype;
  options.threads = job->threads;
  options.background = TRUE;
  options.progress = progress_cb;
  options.progress_data = job;
  options.cancellable = job->cancellable;
  context->loaded = context->backend->load (job->path, &options, &job->info, &job->error);
  g_assert ((context->loaded != NULL) == (job->error == NULL));
}

void
allava_load_job_free (AllavaLoadJob *job)
{
  g_free (job->path);
  g_free (job->device);
  g_object_unref (job->cancellable);
  allava_backend_info_clear (&job->info);
  g_clear_error (&job->error);
  g_free (job);
}

static gboolean
text_cb (const char *text, gpointer user_data)
{
  AllavaAnswerJob *job = user_data;
  if (job->first_token_ms == 0)
    job->first_token_ms = (double)(g_get_monotonic_time () - job->start) / 1000;
  allava_stream_buffer_push (job->buffer, text);
  return !g_cancellable_is_cancelled (job->cancellable);
}

void
allava_answer_job_run (gpointer data)
{
  AllavaAnswerJob *job = data;
  g_assert (job->context->loaded != NULL);
  job->start = g_get_monotonic_time ();
  job->context->backend->generate (job->context->loaded, job->prompt, &job->options, text_cb, job,
                                   &job->result, &job->error);
}

void
allava_answer_job_free (AllavaAnswerJob *job)
{
  g_ptr_array_unref (job->prompt);
  g_object_unref (job->cancellable);
  allava_stream_buffer_unref (job->buffer);
  allava_generate_result_clear (&job->result);
  g_clear_error (&job->error);
  g_free (job);
}
