/* What memory is said to be free, on made-up machines, and what is chosen for it. */
#include "memory.h"

#include <glib/gstdio.h>
#include <string.h>

#define GB ((size_t)1000000000)
#define GIB ((size_t)1 << 30)

/* ---- A made-up machine ----------------------------------------------------------------------- */

static void
put (const char *root, const char *path, const char *text)
{
  g_autofree char *file = g_build_filename (root, path, NULL);
  g_autofree char *dir = g_path_get_dirname (file);
  g_assert_cmpint (g_mkdir_with_parents (dir, 0700), ==, 0);
  g_assert_true (g_file_set_contents (file, text, -1, NULL));
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;) {
    g_autofree char *child = g_build_filename (path, name, NULL);
    remove_tree (child);
  }
  g_assert_cmpint (g_remove (path), ==, 0);
}

/* A machine of 16 GiB of which 12 are available. */
static char *
machine_new (void)
{
  char *root = g_dir_make_tmp ("allava-memory-XXXXXX", NULL);
  g_assert_nonnull (root);
  put (root, "proc/meminfo",
       "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n"
       "Buffers:          102400 kB\n");
  return root;
}

static void
machine_free (char *root)
{
  remove_tree (root);
  g_free (root);
}

/* ---- What is free ---------------------------------------------------------------------------- */

static void
test_meminfo (void)
{
  char *root = machine_new ();
  g_assert_cmpuint (allava_memory_read_free (root), ==, 12 * GIB);
  put (root, "proc/self/cgroup", "0::/\n"); /* not limited: no memory.max there */
  g_assert_cmpuint (allava_memory_read_free (root), ==, 12 * GIB);
  put (root, "proc/meminfo", "MemTotal: 16777216 kB\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, SIZE_MAX);
  machine_free (root);
}

static void
test_cgroup_v2 (void)
{
  char *root = machine_new ();
  put (root, "proc/self/cgroup", "0::/user.slice/app.scope\n");
  put (root, "sys/fs/cgroup/user.slice/app.scope/memory.max", "max\n");
  put (root, "sys/fs/cgroup/user.slice/app.scope/memory.current", "1073741824\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 12 * GIB);

  /* The group above limits too: 8 - 3 GiB. */
  put (root, "sys/fs/cgroup/user.slice/memory.max", "8589934592\n");
  put (root, "sys/fs/cgroup/user.slice/memory.current", "3221225472\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 5 * GIB);

  /* Of these 3, 1.5 are page cache. */
  put (root, "sys/fs/cgroup/user.slice/memory.stat",
       "anon 1610612736\nfile 1610612736\ninactive_file 1073741824\nactive_file 536870912\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 13 * GIB / 2);

  put (root, "sys/fs/cgroup/user.slice/app.scope/memory.high", "2147483648\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, GIB);

  /* Using more than a lowered limit leaves nothing. */
  put (root, "sys/fs/cgroup/user.slice/app.scope/memory.max", "1000000\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 0);
  machine_free (root);
}

static void
test_cgroup_v1 (void)
{
  char *root = machine_new ();
  put (root, "proc/self/cgroup",
       "12:cpu,cpuacct:/docker/1\n11:memory:/docker/1\n1:name=systemd:/x\n0::/y\n");
  put (root, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
  put (root, "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "1073741824\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 12 * GIB);
  put (root, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "4294967296\n");
  put (root, "sys/fs/cgroup/memory/docker/1/memory.stat",
       "inactive_file 1\ntotal_inactive_file 268435456\ntotal_active_file 268435456\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, 7 * GIB / 2);
  machine_free (root);
}

/* In a container, its own group is the mount's root, whatever /proc/self/cgroup calls it. */
static void
test_cgroup_container (void)
{
  char *root = machine_new ();
  put (root, "proc/self/cgroup", "11:memory:/docker/1\n");
  put (root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
  put (root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
  g_assert_cmpuint (allava_memory_read_free (root), ==, GIB);
  machine_free (root);
}

static void
test_this_machine (void)
{
  size_t bytes = allava_memory_read_free ("/");
  g_assert_cmpuint (bytes, >, 16 << 20);
  g_assert_cmpuint (bytes, <, SIZE_MAX);
}

/* ---- What is chosen -------------------------------------------------------------------------- */

static const AllavaFootprint footprints[] = {
    {ALLAVA_DTYPE_F32, 8 * GB},
    {ALLAVA_DTYPE_BF16, 7 * GB},
    {ALLAVA_DTYPE_F16, 4 * GB},
};

static int
choose (size_t free_bytes, gboolean fixed, GError **error)
{
  return allava_memory_choose (footprints, G_N_ELEMENTS (footprints), fixed, free_bytes, "Model",
                               error);
}

static void
test_widest (void)
{
  g_assert_cmpint (choose (SIZE_MAX, FALSE, NULL), ==, 0);
  g_assert_cmpint (choose (8 * GB, FALSE, NULL), ==, 0);
  g_assert_cmpint (choose (8 * GB - 1, FALSE, NULL), ==, 1);
  g_assert_cmpint (choose (5 * GB, FALSE, NULL), ==, 2);
  g_assert_cmpint (choose (8 * GB, TRUE, NULL), ==, 0);
}

static void
assert_refused (size_t free_bytes, gboolean fixed, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (choose (free_bytes, fixed, &error), ==, -1);
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_refused (void)
{
  assert_refused (999 * (GB / 1000), FALSE,
                  "Model takes 4.0 GB of memory even as f16, and only 999 MB is free");
  assert_refused (75 * (GB / 10), TRUE,
                  "Model takes 8.0 GB of memory as f32, and only 7.5 GB is free; bf16 (7.0 GB) or "
                  "f16 (4.0 GB) would fit");
  assert_refused (5 * GB, TRUE,
                  "Model takes 8.0 GB of memory as f32, and only 5.0 GB is free; f16 (4.0 GB) "
                  "would fit");
  assert_refused (GB, TRUE, "Model takes 8.0 GB of memory as f32, and only 1.0 GB is free");
}

/* What is counted beforehand is what loading then takes. */
static void
test_measured (void)
{
  static const AllavaDtype dtypes[] = {ALLAVA_DTYPE_F32, ALLAVA_DTYPE_BF16, ALLAVA_DTYPE_Q8,
                                       ALLAVA_DTYPE_Q4};
  g_autofree char *dir =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", "base", NULL);
  size_t rest[G_N_ELEMENTS (dtypes)];
  for (size_t i = 0; i < G_N_ELEMENTS (dtypes); i++) {
    AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
    g_autoptr (GError) error = NULL;
    options.dtype = dtypes[i];
    g_autoptr (AllavaModel) model = allava_model_load (dir, &options, &error);
    g_assert_no_error (error);
    const AllavaModelInfo *info = allava_model_get_info (model);
    size_t kv = info->kv_bytes_per_position * info->context_length;
    g_assert_cmpuint (info->needed_bytes, >, info->weight_bytes + kv);
    g_assert_cmpuint (info->free_bytes, >=, info->needed_bytes);
    g_assert_cmpint (info->dtype, ==, dtypes[i]);
    rest[i] = info->needed_bytes - info->weight_bytes - kv;
    g_assert_cmpuint (rest[i], ==, rest[0]); /* does not depend on the dtype */
  }
}

/* Where all is free, auto is lossless. */
static void
test_auto (void)
{
  g_autofree char *dir =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", "base", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaModel) model = allava_model_load (dir, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (allava_model_get_info (model)->dtype, ==, ALLAVA_DTYPE_F32);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/memory/meminfo", test_meminfo);
  g_test_add_func ("/memory/cgroup-v2", test_cgroup_v2);
  g_test_add_func ("/memory/cgroup-v1", test_cgroup_v1);
  g_test_add_func ("/memory/cgroup-container", test_cgroup_container);
  g_test_add_func ("/memory/this-machine", test_this_machine);
  g_test_add_func ("/memory/widest", test_widest);
  g_test_add_func ("/memory/refused", test_refused);
  g_test_add_func ("/memory/measured", test_measured);
  g_test_add_func ("/memory/auto", test_auto);
  return g_test_run ();
}
