#include "mapping.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_PAGES 4

/* A file of so many pages, each full of its own letter. */
typedef struct {
  char *dir;
  char *path;
  size_t page;
  struct stat status; /* when it was made */
} File;

static void
write_file (const File *file, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *content = g_malloc (N_PAGES * file->page);
  for (int i = 0; i < N_PAGES; i++)
    memset (content + i * file->page, 'a' + i, file->page);
  g_file_set_contents (path, content, N_PAGES * file->page, &error);
  g_assert_no_error (error);
}

/* As if it had been written long ago: a change within the clock's tick would not show. */
static void
set_old (File *file)
{
  const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  g_assert_cmpint (utimensat (AT_FDCWD, file->path, times, 0), ==, 0);
  g_assert_cmpint (stat (file->path, &file->status), ==, 0);
}

static void
set_up (File *file, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  file->dir = g_dir_make_tmp ("allava-XXXXXX", &error);
  g_assert_no_error (error);
  file->path = g_build_filename (file->dir, "weights", NULL);
  file->page = (size_t)sysconf (_SC_PAGESIZE);
  write_file (file, file->path);
  set_old (file);
}

static void
tear_down (File *file, gconstpointer data)
{
  g_unlink (file->path);
  g_rmdir (file->dir);
  g_free (file->path);
  g_free (file->dir);
}

static AllavaMapping *
map (const File *file)
{
  g_autoptr (GError) error = NULL;
  AllavaMapping *mapping = allava_mapping_new (file->path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (mapping->length, ==, N_PAGES * file->page);
  return mapping;
}

static void
expect_changed (AllavaMapping *mapping, const File *file, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_mapping_check (mapping, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED);
  g_assert_true (g_str_has_prefix (error->message, file->path));
  g_assert_nonnull (strstr (error->message, says));
}

static void
test_refuses (File *file, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_mapping_new (file->dir, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  g_clear_error (&error);
  g_assert_cmpint (truncate (file->path, 0), ==, 0);
  g_assert_null (allava_mapping_new (file->path, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
  g_clear_error (&error);
  g_unlink (file->path);
  g_assert_null (allava_mapping_new (file->path, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
}

/* The mapping stays what it was, whatever becomes of the name. */
static void
test_replaced (File *file, gconstpointer data)
{
  AllavaMapping *mapping = map (file);
  g_autofree char *other = g_build_filename (file->dir, "other", NULL);
  write_file (file, other);
  g_assert_cmpint (truncate (other, 10), ==, 0);
  g_assert_cmpint (g_rename (other, file->path), ==, 0);
  for (int i = 0; i < N_PAGES; i++)
    g_assert_cmpint (mapping->data[i * file->page], ==, 'a' + i);
  g_autoptr (GError) error = NULL;
  g_assert_true (allava_mapping_check (mapping, &error));
  g_assert_no_error (error);
  allava_mapping_free (mapping);
}

static void
test_cut_short (File *file, gconstpointer data)
{
  AllavaMapping *mapping = map (file), *second = map (file);
  g_assert_cmpint (mapping->data[3 * file->page], ==, 'd');
  g_assert_cmpint (truncate (file->path, (off_t)file->page), ==, 0);
  expect_changed (mapping, file, "changed");
  g_assert_cmpint (mapping->data[0], ==, 'a');
  for (int i = 1; i < N_PAGES; i++)
    for (size_t j = 0; j < file->page; j++)
      g_assert_cmpint (mapping->data[i * file->page + j], ==, 0);
  g_assert_cmpint (second->data[3 * file->page], ==, 0);
  expect_changed (mapping, file, "changed");
  allava_mapping_free (mapping);
  allava_mapping_free (second);
}

static void
test_written_in_place (File *file, gconstpointer data)
{
  AllavaMapping *mapping = map (file);
  int fd = open (file->path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint (pwrite (fd, "x", 1, (off_t)file->page), ==, 1);
  close (fd);
  expect_changed (mapping, file, "changed");
  allava_mapping_free (mapping);
}

/* What a failing disk looks like: a page that cannot be had, and a file as it was. */
static void
test_unreadable (File *file, gconstpointer data)
{
  AllavaMapping *mapping = map (file);
  const struct timespec times[2] = {file->status.st_atim, file->status.st_mtim};
  g_assert_cmpint (truncate (file->path, (off_t)file->page), ==, 0);
  g_assert_cmpint (mapping->data[2 * file->page], ==, 0);
  g_assert_cmpint (truncate (file->path, (off_t)(N_PAGES * file->page)), ==, 0);
  g_assert_cmpint (utimensat (AT_FDCWD, file->path, times, 0), ==, 0);
  expect_changed (mapping, file, "disk");
  allava_mapping_free (mapping);
  AllavaMapping *anew = map (file); /* the guard may be the same one again */
  g_assert_true (allava_mapping_check (anew, NULL));
  allava_mapping_free (anew);
}

/* ---- Errors that are not a mapping's --------------------------------------------------------- */

static void
say (const char *word)
{
  g_assert_cmpint (write (STDOUT_FILENO, word, strlen (word)), ==, strlen (word));
}

static void
handler (int number)
{
  say ("handled ");
}

static void
handler_with_info (int number, siginfo_t *info, void *context)
{
  say (info->si_code > 0 ? "fault " : "sent ");
  if (info->si_code > 0)
    _exit (7);
}

static void
install (const char *how)
{
  struct sigaction action = {.sa_handler = SIG_DFL};
  if (g_str_has_prefix (how, "handler")) {
    action.sa_handler = handler;
  } else if (g_str_has_prefix (how, "ignored")) {
    action.sa_handler = SIG_IGN;
  } else if (g_str_has_prefix (how, "info")) {
    action.sa_sigaction = handler_with_info;
    action.sa_flags = SA_SIGINFO;
  }
  sigaction (SIGBUS, &action, NULL);
}

/* Touches what is not there of a mapping that nobody guards. */
static void
fail_elsewhere (int fd)
{
  const volatile char *data = mmap (NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
  g_assert_cmpint (data[0], ==, 0);
}

/* Raises the signal as DATA says, and tells whether the guard is there still. */
static void
raise_as (const char *how, File *file)
{
  install (how);
  AllavaMapping *mapping = map (file);
  int fd = open (file->path, O_RDWR | O_CLOEXEC);
  g_unlink (file->path); /* nothing tears down after a signal */
  g_rmdir (file->dir);
  if (g_str_has_suffix (how, "sent"))
    raise (SIGBUS);
  g_assert_cmpint (ftruncate (fd, 0), ==, 0);
  if (!g_str_has_suffix (how, "sent"))
    fail_elsewhere (fd);
  g_assert_cmpint (mapping->data[0], ==, 0);
  say ("guarded ");
  _exit (0);
}

typedef struct {
  const char *how;
  const char *says; /* a pattern; NULL: it ends without a word */
  gboolean survives;
} PassOn;

/* They go to the handler there was, as the signals do that somebody sent; and the guard stays. */
static void
test_passes_on (File *file, gconstpointer data)
{
  const PassOn *pass_on = data;
  if (g_test_subprocess ())
    raise_as (pass_on->how, file);
  g_test_trap_subprocess (NULL, 10 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
  g_assert_false (g_test_trap_reached_timeout ());
  if (pass_on->survives)
    g_test_trap_assert_passed ();
  else
    g_test_trap_assert_failed ();
  if (pass_on->says == NULL)
    g_test_trap_assert_stdout_unmatched ("*guarded*");
  else
    g_test_trap_assert_stdout (pass_on->says);
}

#define ADD(path, func) g_test_add (path, File, NULL, set_up, func, tear_down)
static const PassOn passed_on[] = {
    {"default", NULL, FALSE},
    {"default-sent", NULL, FALSE},
    {"ignored", NULL, FALSE}, /* the kernel ends who ignores a fault, too */
    {"ignored-sent", "*guarded*", TRUE},
    {"handler-sent", "*handled guarded*", TRUE},
    {"info", "*fault*", FALSE},
    {"info-sent", "*sent guarded*", TRUE},
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/mapping/refuses", test_refuses);
  ADD ("/mapping/replaced", test_replaced);
  ADD ("/mapping/cut-short", test_cut_short);
  ADD ("/mapping/written-in-place", test_written_in_place);
  ADD ("/mapping/unreadable", test_unreadable);
  for (size_t i = 0; i < G_N_ELEMENTS (passed_on); i++) {
    g_autofree char *path = g_strconcat ("/mapping/passes-on/", passed_on[i].how, NULL);
    g_test_add (path, File, &passed_on[i], set_up, test_passes_on, tear_down);
  }
  return g_test_run ();
}
