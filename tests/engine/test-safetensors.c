#include "safetensors.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file in memory: HEADER's length, HEADER, then N_DATA zero bytes. */
static GByteArray *
make_file (const char *header, size_t n_data)
{
  uint64_t length = GUINT64_TO_LE (strlen (header));
  GByteArray *file = g_byte_array_new ();
  g_byte_array_append (file, (uint8_t *)&length, 8);
  g_byte_array_append (file, (const uint8_t *)header, strlen (header));
  g_byte_array_set_size (file, file->len + n_data);
  memset (file->data + file->len - n_data, 0, n_data);
  return file;
}

static AllavaSafetensors *
open_file (const char *header, size_t n_data, GByteArray **file, GError **error)
{
  *file = make_file (header, n_data);
  return allava_safetensors_open_memory ((*file)->data, (*file)->len, "f.safetensors", error);
}

static void
test_reads (void)
{
  g_autoptr (GByteArray) file = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaSafetensors) set =
      open_file ("{\"__metadata__\": {\"format\": \"pt\"},"
                 " \"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
                 " \"b\": {\"dtype\": \"BF16\", \"shape\": [], \"data_offsets\": [24, 26]},"
                 " \"c\": {\"dtype\": \"I64\", \"shape\": [1], \"data_offsets\": [26, 34]}}",
                 34, &file, &error);
  g_assert_no_error (error);
  const AllavaTensor *a = allava_safetensors_find (set, "a");
  g_assert_cmpint (a->type, ==, ALLAVA_TENSOR_F32);
  g_assert_cmpint (a->n_dims, ==, 2);
  g_assert_cmpuint (a->shape[0], ==, 2);
  g_assert_cmpuint (a->shape[1], ==, 3);
  g_assert_cmpuint (a->n_elements, ==, 6);
  g_assert_true (a->data == file->data + file->len - 34);
  const AllavaTensor *b = allava_safetensors_find (set, "b");
  g_assert_cmpint (b->type, ==, ALLAVA_TENSOR_BF16);
  g_assert_cmpint (b->n_dims, ==, 0);
  g_assert_cmpuint (b->n_elements, ==, 1);
  g_assert_cmpint (allava_safetensors_find (set, "c")->type, ==, ALLAVA_TENSOR_OTHER);
  g_assert_null (allava_safetensors_find (set, "__metadata__"));
}

/* Every lie is told by name of file and tensor. */
static void
test_refuses (void)
{
  static const struct {
    const char *header;
    const char *says;
  } cases[] = {
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 99]}}", "outside"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 0]}}", "outside"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [-8, 0]}}", "outside"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8, 8]}}", "outside"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 8]}}", "contradict"},
      {"{\"a\": {\"dtype\": \"F16\", \"shape\": [2], \"data_offsets\": [0, 8]}}", "contradict"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-2], \"data_offsets\": [0, 8]}}", "shape"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1.5], \"data_offsets\": [0, 8]}}", "shape"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296],"
       " \"data_offsets\": [0, 8]}}",
       "shape"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,2], \"data_offsets\": [0, 8]}}",
       "dimensions"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2]}}", "lacks"},
      {"{\"a\": 5}", "lacks"},
      {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]},"
       " \"b\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [4, 12]}}",
       "overlap"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GByteArray) file = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (AllavaSafetensors) set = open_file (cases[i].header, 12, &file, &error);
    g_assert_null (set);
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, "f.safetensors"));
    g_assert_nonnull (strstr (error->message, "tensor"));
    g_assert_nonnull (strstr (error->message, cases[i].says));
  }
}

static void
test_refuses_headers (void)
{
  static const struct {
    uint64_t length;
    size_t size; /* of the file */
  } cases[] = {{0, 0}, {0, 7}, {100, 50}, {UINT64_MAX, 50}, {200000000, 50}, {0, 8}};
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    uint8_t file[64] = {0};
    memcpy (file, &cases[i].length, 8);
    g_autoptr (GError) error = NULL;
    g_assert_null (allava_safetensors_open_memory (file, cases[i].size, "short", &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "short"));
  }
}

/* ---- Folders --------------------------------------------------------------------------------- */

typedef struct {
  char *dir;
} Folder;

static void
folder_set_up (Folder *folder, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  folder->dir = g_dir_make_tmp ("allava-XXXXXX", &error);
  g_assert_no_error (error);
}

static void
folder_tear_down (Folder *folder, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (folder->dir, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder->dir, name, NULL);
    g_unlink (path);
  }
  g_rmdir (folder->dir);
  g_free (folder->dir);
}

static void
write_file (const Folder *folder, const char *name, const void *data, size_t length)
{
  g_autofree char *path = g_build_filename (folder->dir, name, NULL);
  g_autoptr (GError) error = NULL;
  g_file_set_contents (path, data, length, &error);
  g_assert_no_error (error);
}

static void
write_shard (const Folder *folder, const char *name, const char *tensor)
{
  g_autofree char *header = g_strdup_printf (
      "{\"%s\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", tensor);
  g_autoptr (GByteArray) file = make_file (header, 4);
  write_file (folder, name, file->data, file->len);
}

static void
expect_refusal (const Folder *folder, int code, const char *says)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_safetensors_open_dir (folder->dir, &error));
  g_assert_error (error, ALLAVA_ERROR, code);
  g_assert_nonnull (strstr (error->message, folder->dir));
  g_assert_nonnull (strstr (error->message, says));
}

static void
test_sharded (Folder *folder, gconstpointer data)
{
  const char *index = "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}";
  write_file (folder, "model.safetensors.index.json", index, strlen (index));
  write_shard (folder, "x.safetensors", "a");
  expect_refusal (folder, ALLAVA_ERROR_FILE, "y.safetensors");
  write_shard (folder, "y.safetensors", "a");
  expect_refusal (folder, ALLAVA_ERROR_FORMAT, "another file");
  write_shard (folder, "y.safetensors", "b");
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaSafetensors) set = allava_safetensors_open_dir (folder->dir, &error);
  g_assert_no_error (error);
  g_assert_nonnull (allava_safetensors_find (set, "a"));
  g_assert_nonnull (allava_safetensors_find (set, "b"));
}

static void
test_index_stays_inside (Folder *folder, gconstpointer data)
{
  const char *index = "{\"weight_map\": {\"a\": \"../x.safetensors\"}}";
  write_file (folder, "model.safetensors.index.json", index, strlen (index));
  expect_refusal (folder, ALLAVA_ERROR_FORMAT, "same folder");
}

static void
test_no_model (Folder *folder, gconstpointer data)
{
  expect_refusal (folder, ALLAVA_ERROR_FILE, "model.safetensors");
  write_file (folder, "pytorch_model.bin", "x", 1);
  expect_refusal (folder, ALLAVA_ERROR_UNSUPPORTED, "convert it to safetensors");
  write_file (folder, "model.safetensors", "", 0);
  expect_refusal (folder, ALLAVA_ERROR_FORMAT, "empty");
}

/* A file that is cut short after it was mapped is found when it is read ahead. */
static void
test_cut_short_meanwhile (Folder *folder, gconstpointer data)
{
  const size_t n = 1 << 16;
  g_autofree char *path = g_build_filename (folder->dir, "model.safetensors", NULL);
  g_autoptr (GByteArray) file = make_file (
      "{\"a\": {\"dtype\": \"U8\", \"shape\": [65536], \"data_offsets\": [0, 65536]}}", n);
  write_file (folder, "model.safetensors", file->data, file->len);
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaSafetensors) set = allava_safetensors_open_dir (folder->dir, &error);
  g_assert_no_error (error);
  void *page = g_aligned_alloc0 (1, sysconf (_SC_PAGESIZE), sysconf (_SC_PAGESIZE));
  gboolean known = madvise (page, sysconf (_SC_PAGESIZE), MADV_POPULATE_READ) == 0;
  g_aligned_free (page);
  if (!known) {
    g_test_skip ("this kernel does not read ahead");
    return;
  }
  g_assert_true (allava_safetensors_warm (set, NULL, NULL, NULL, &error));
  g_assert_cmpint (truncate (path, (off_t)n / 2), ==, 0);
  g_assert_false (allava_safetensors_warm (set, NULL, NULL, NULL, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  g_assert_nonnull (strstr (error->message, path));
}

#define ADD(path, func) g_test_add (path, Folder, NULL, folder_set_up, func, folder_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/safetensors/reads", test_reads);
  g_test_add_func ("/safetensors/refuses", test_refuses);
  g_test_add_func ("/safetensors/refuses-headers", test_refuses_headers);
  ADD ("/safetensors/sharded", test_sharded);
  ADD ("/safetensors/index-stays-inside", test_index_stays_inside);
  ADD ("/safetensors/no-model", test_no_model);
  ADD ("/safetensors/cut-short-meanwhile", test_cut_short_meanwhile);
  return g_test_run ();
}
