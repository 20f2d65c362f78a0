#include "memory.h"

#include "cgroup.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- What is free ---------------------------------------------------------------------------- */

/* The number after NAME at the beginning of one of TEXT's lines. */
static gboolean
find_number (const char *text, const char *name, size_t *number)
{
  size_t length = strlen (name);
  for (const char *line = text; line != NULL; line = strchr (line, '\n')) {
    line += *line == '\n';
    if (strncmp (line, name, length) == 0 && strchr (": \t", line[length]) != NULL) {
      *number = g_ascii_strtoull (line + length + strspn (line + length, ": \t"), NULL, 10);
      return TRUE;
    }
  }
  return FALSE;
}

/* FALSE where the file is not there or says "max". */
static gboolean
read_number (const char *dir, const char *file, size_t *number)
{
  g_autofree char *path = g_build_filename (dir, file, NULL);
  g_autofree char *text = NULL;
  if (!g_file_get_contents (path, &text, NULL, NULL) || !g_ascii_isdigit (*text))
    return FALSE;
  *number = g_ascii_strtoull (text, NULL, 10);
  return TRUE;
}

static size_t
read_available (const char *root)
{
  g_autofree char *path = g_build_filename (root, "proc/meminfo", NULL);
  g_autofree char *text = NULL;
  size_t kib;
  if (!g_file_get_contents (path, &text, NULL, NULL) || !find_number (text, "MemAvailable", &kib))
    return SIZE_MAX;
  return kib * 1024;
}

/* A kind of cgroup: its controller and what its files are called. */
typedef struct {
  const char *controller;
  const char *limits[2]; /* one may be NULL */
  const char *usage;
  const char *caches[2]; /* in memory.stat: page cache, of which most can be given back */
} Hierarchy;

static const Hierarchy hierarchies[] = {
    {"", {"memory.max", "memory.high"}, "memory.current", {"inactive_file", "active_file"}},
    {"memory",
     {"memory.limit_in_bytes"},
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}},
};

static size_t
read_left (const Hierarchy *hierarchy, const char *dir)
{
  size_t limit = SIZE_MAX, used, number;
  for (size_t i = 0; i < G_N_ELEMENTS (hierarchy->limits); i++)
    if (hierarchy->limits[i] != NULL && read_number (dir, hierarchy->limits[i], &number))
      limit = MIN (limit, number);
  if (limit == SIZE_MAX || !read_number (dir, hierarchy->usage, &used))
    return limit;

  g_autofree char *path = g_build_filename (dir, "memory.stat", NULL);
  g_autofree char *stat = NULL;
  g_file_get_contents (path, &stat, NULL, NULL);
  for (size_t i = 0; stat != NULL && i < G_N_ELEMENTS (hierarchy->caches); i++)
    if (find_number (stat, hierarchy->caches[i], &number))
      used -= MIN (used, number);
  return limit - MIN (limit, used);
}

size_t
allava_memory_read_free (const char *root)
{
  size_t bytes = read_available (root);
  for (size_t i = 0; i < G_N_ELEMENTS (hierarchies); i++) {
    g_autoptr (GPtrArray) dirs = allava_cgroup_list (root, hierarchies[i].controller);
    for (guint j = 0; j < dirs->len; j++)
      bytes = MIN (bytes, read_left (&hierarchies[i], dirs->pdata[j]));
  }
  return bytes;
}

/* ---- Pages ----------------------------------------------------------------------------------- */

void
allava_memory_advise (const void *data, size_t n_bytes, gboolean whole, int advice)
{
  uintptr_t page = (uintptr_t)sysconf (_SC_PAGESIZE);
  uintptr_t begin = (uintptr_t)data, end = begin + n_bytes;
  begin = (begin + (whole ? page - 1 : 0)) / page * page;
  end = (end + (whole ? 0 : page - 1)) / page * page;
  if (begin < end)
    madvise ((void *)begin, end - begin, advice);
}

/* ---- What fits ------------------------------------------------------------------------------- */

static char *
dup_size (size_t bytes)
{
  return bytes < 1e9 ? g_strdup_printf ("%.0f MB", bytes / 1e6)
                     : g_strdup_printf ("%.1f GB", bytes / 1e9);
}

/* "q8 (4.1 GB) or q4 (2.7 GB)" of those that fit; empty where none does. */
static char *
dup_alternatives (const AllavaFootprint *footprints, int n, size_t free_bytes)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < n; i++) {
    g_autofree char *size = dup_size (footprints[i].bytes);
    if (footprints[i].bytes <= free_bytes)
      g_string_append_printf (text, "%s%s (%s)", text->len > 0 ? " or " : "",
                              allava_dtype_to_string (footprints[i].dtype), size);
  }
  return g_string_free (text, FALSE);
}

int
allava_memory_choose (const AllavaFootprint *footprints,
                      int n,
                      gboolean fixed,
                      size_t free_bytes,
                      const char *name,
                      GError **error)
{
  g_assert (n > 0);
  for (int i = 0; i < (fixed ? 1 : n); i++)
    if (footprints[i].bytes <= free_bytes)
      return i;

  const AllavaFootprint *tried = &footprints[fixed ? 0 : n - 1];
  g_autofree char *taken = dup_size (tried->bytes);
  g_autofree char *free_size = dup_size (free_bytes);
  g_autofree char *others = dup_alternatives (footprints, n, free_bytes);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
               "%s takes %s of memory %sas %s, and only %s is free%s%s%s", name, taken,
               fixed ? "" : "even ", allava_dtype_to_string (tried->dtype), free_size,
               *others != '\0' ? "; " : "", others, *others != '\0' ? " would fit" : "");
  return -1;
}
