#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MAPPINGS 8192 /* of all models of the process */

/* What the handler knows of a mapping. */
typedef struct {
  _Atomic uintptr_t begin; /* 0: free */
  _Atomic uintptr_t end;
  atomic_bool lost; /* zeros stand in for a part of the file */
} Guard;

typedef struct {
  AllavaMapping public;
  char *path;
  int fd; /* tells what became of the file, whatever its name is now */
  struct timespec written;
  atomic_bool changed;
  Guard *guard;
} Mapping;

static Guard guards[MAX_MAPPINGS];
static GMutex guards_mutex; /* of who takes one; the handler takes none */
static uintptr_t page_size;
static struct sigaction handled_before;

/* ---- The signal ------------------------------------------------------------------------------ */

/* Zeros from ADDRESS's page on to the end of the mapping it is in. FALSE: it is in none. */
static gboolean
put_zeros (uintptr_t address)
{
  for (size_t i = 0; i < MAX_MAPPINGS; i++) {
    Guard *guard = &guards[i];
    uintptr_t begin = atomic_load (&guard->begin), end = atomic_load (&guard->end);
    /* Loaded twice, so that BEGIN and END are of the same mapping. */
    if (begin == 0 || address < begin || address >= end || begin != atomic_load (&guard->begin))
      continue;
    void *page = (void *)(address / page_size * page_size);
    atomic_store (&guard->lost, TRUE);
    return mmap (page, end - (uintptr_t)page, PROT_READ,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
  }
  return FALSE;
}

/* To the handler before ours, which stays installed, unless this is to end the process. SENT: by
 * kill(), not by a fault. */
static void
pass_on (int number, siginfo_t *info, void *context, gboolean sent)
{
  gboolean ignored = handled_before.sa_handler == SIG_IGN;
  if (handled_before.sa_handler == SIG_DFL || (ignored && !sent)) {
    signal (number, SIG_DFL);
    raise (number);
  } else if (!ignored && handled_before.sa_flags & SA_SIGINFO) {
    handled_before.sa_sigaction (number, info, context);
  } else if (!ignored) {
    handled_before.sa_handler (number);
  }
}

/* Only what may be called in a handler: mmap is no more than its system call. */
static void
bus_error_cb (int number, siginfo_t *info, void *context)
{
  int reason = errno;
  gboolean sent = info->si_code <= 0;
  if (sent || !put_zeros ((uintptr_t)info->si_addr))
    pass_on (number, info, context, sent);
  errno = reason;
}

static void
handle_bus_errors (void)
{
  static gsize handled;
  if (!g_once_init_enter (&handled))
    return;
  struct sigaction action = {.sa_sigaction = bus_error_cb, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset (&action.sa_mask);
  page_size = (uintptr_t)sysconf (_SC_PAGESIZE);
  sigaction (SIGBUS, &action, &handled_before);
  g_once_init_leave (&handled, 1);
}

/* NULL: all are taken. */
static Guard *
take_guard (const void *data, size_t length)
{
  Guard *guard = NULL;
  g_mutex_lock (&guards_mutex);
  for (size_t i = 0; i < MAX_MAPPINGS && guard == NULL; i++)
    if (atomic_load (&guards[i].begin) == 0)
      guard = &guards[i];
  if (guard != NULL) {
    uintptr_t end = (uintptr_t)data + length;
    atomic_store (&guard->lost, FALSE);
    atomic_store (&guard->end, (end + page_size - 1) / page_size * page_size);
    atomic_store (&guard->begin, (uintptr_t)data);
  }
  g_mutex_unlock (&guards_mutex);
  return guard;
}

/* ---- A mapping ------------------------------------------------------------------------------- */

static gboolean
set_unreadable (const char *path, int reason, GError **error)
{
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s cannot be read: %s", path,
               g_strerror (reason));
  return FALSE;
}

/* FALSE: MAPPING has what was opened so far. */
static gboolean
map (Mapping *mapping, GError **error)
{
  struct stat status;
  mapping->fd = open (mapping->path, O_RDONLY | O_CLOEXEC);
  if (mapping->fd < 0 || fstat (mapping->fd, &status) != 0)
    return set_unreadable (mapping->path, errno, error);
  if (!S_ISREG (status.st_mode))
    return set_unreadable (mapping->path, EINVAL, error);
  if (status.st_size == 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s is empty", mapping->path);
    return FALSE;
  }
  void *data = mmap (NULL, status.st_size, PROT_READ, MAP_PRIVATE, mapping->fd, 0);
  if (data == MAP_FAILED)
    return set_unreadable (mapping->path, errno, error);
  mapping->public = (AllavaMapping){data, status.st_size};
  mapping->written = status.st_mtim;
  mapping->guard = take_guard (data, status.st_size);
  return mapping->guard != NULL || set_unreadable (mapping->path, EMFILE, error);
}

AllavaMapping *
allava_mapping_new (const char *path, GError **error)
{
  g_return_val_if_fail (path != NULL, NULL);
  handle_bus_errors ();
  Mapping *mapping = g_new0 (Mapping, 1);
  mapping->path = g_strdup (path);
  if (map (mapping, error))
    return &mapping->public;
  allava_mapping_free (&mapping->public);
  return NULL;
}

void
allava_mapping_free (AllavaMapping *public)
{
  Mapping *mapping = (Mapping *)public;
  if (mapping == NULL)
    return;
  if (mapping->guard != NULL)
    atomic_store (&mapping->guard->begin, 0);
  if (public->data != NULL)
    munmap ((void *)public->data, public->length);
  if (mapping->fd >= 0)
    close (mapping->fd);
  g_free (mapping->path);
  g_free (mapping);
}

static gboolean
is_as_it_was (const Mapping *mapping)
{
  struct stat status;
  return fstat (mapping->fd, &status) == 0 && (size_t)status.st_size == mapping->public.length &&
         status.st_mtim.tv_sec == mapping->written.tv_sec &&
         status.st_mtim.tv_nsec == mapping->written.tv_nsec;
}

gboolean
allava_mapping_check (AllavaMapping *public, GError **error)
{
  Mapping *mapping = (Mapping *)public;
  if (atomic_load (&mapping->changed) || !is_as_it_was (mapping)) {
    atomic_store (&mapping->changed, TRUE);
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED,
                 "%s was changed while it was in use; the model has to be loaded again",
                 mapping->path);
    return FALSE;
  }
  if (atomic_load (&mapping->guard->lost)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED,
                 "%s could not be read on: its disk may be damaged or gone", mapping->path);
    return FALSE;
  }
  return TRUE;
}
