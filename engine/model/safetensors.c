#include "safetensors.h"

#include "json.h"
#include "mapping.h"
#include "memory.h"

#include <errno.h>
#include <sys/mman.h>

/* The format's own limit on the header. */
#define MAX_HEADER ((size_t)100 * 1000 * 1000)
#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 4096

typedef struct {
  char *path;
  const char *data;
  size_t length;
  AllavaMapping *mapping; /* NULL: in the caller's memory */
} Shard;

struct _AllavaSafetensors {
  GPtrArray *shards;    /* Shard */
  GHashTable *tensors;  /* name -> AllavaTensor, which owns its name */
  GHashTable *metadata; /* string -> string */
};

static void
shard_free (gpointer data)
{
  Shard *shard = data;
  allava_mapping_free (shard->mapping);
  g_free (shard->path);
  g_free (shard);
}

static void
tensor_free (gpointer data)
{
  AllavaTensor *tensor = data;
  g_free ((char *)tensor->name);
  g_free ((char *)tensor->type_name);
  g_free (tensor);
}

static AllavaSafetensors *
set_new (void)
{
  AllavaSafetensors *set = g_new0 (AllavaSafetensors, 1);
  set->shards = g_ptr_array_new_with_free_func (shard_free);
  set->tensors = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, tensor_free);
  set->metadata = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return set;
}

/* ---- One tensor ------------------------------------------------------------------------------ */

static AllavaTensorType
parse_type (const char *name, size_t *bits)
{
  static const struct {
    const char *name;
    AllavaTensorType type;
    size_t bits;
  } types[] = {
      {"F32", ALLAVA_TENSOR_F32, 32},      {"BF16", ALLAVA_TENSOR_BF16, 16},
      {"F16", ALLAVA_TENSOR_F16, 16},      {"F64", ALLAVA_TENSOR_OTHER, 64},
      {"I64", ALLAVA_TENSOR_OTHER, 64},    {"U64", ALLAVA_TENSOR_OTHER, 64},
      {"I32", ALLAVA_TENSOR_OTHER, 32},    {"U32", ALLAVA_TENSOR_OTHER, 32},
      {"I16", ALLAVA_TENSOR_OTHER, 16},    {"U16", ALLAVA_TENSOR_U16, 16},
      {"I8", ALLAVA_TENSOR_I8, 8},         {"U8", ALLAVA_TENSOR_U8, 8},
      {"BOOL", ALLAVA_TENSOR_OTHER, 8},    {"F8_E4M3", ALLAVA_TENSOR_OTHER, 8},
      {"F8_E5M2", ALLAVA_TENSOR_OTHER, 8},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (types); i++)
    if (g_str_equal (name, types[i].name)) {
      *bits = types[i].bits;
      return types[i].type;
    }
  *bits = 0;
  return ALLAVA_TENSOR_OTHER;
}

/* A JSON array member as a size, without json-glib's silent conversions. */
static gboolean
array_get_size (JsonArray *array, guint i, size_t *value)
{
  JsonNode *node = json_array_get_element (array, i);
  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64 ||
      json_node_get_int (node) < 0)
    return FALSE;
  *value = json_node_get_int (node);
  return TRUE;
}

static gboolean
parse_shape (AllavaTensor *tensor, JsonArray *shape, GError **error)
{
  tensor->n_dims = json_array_get_length (shape);
  tensor->n_elements = 1;
  if (tensor->n_dims > ALLAVA_TENSOR_MAX_DIMS) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s has %d dimensions, more than %d", tensor->file, tensor->name,
                 tensor->n_dims, ALLAVA_TENSOR_MAX_DIMS);
    return FALSE;
  }
  for (int i = 0; i < tensor->n_dims; i++)
    if (!array_get_size (shape, i, &tensor->shape[i]) ||
        !g_size_checked_mul (&tensor->n_elements, tensor->n_elements, tensor->shape[i])) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                   "%s: tensor %s has an impossible shape", tensor->file, tensor->name);
      return FALSE;
    }
  return TRUE;
}

/* Places TENSOR's data at OFFSETS within the file's data part, which is LENGTH bytes. */
static gboolean
parse_offsets (AllavaTensor *tensor,
               JsonArray *offsets,
               size_t bits,
               const char *data,
               size_t length,
               GError **error)
{
  size_t begin, end, n_bits;
  if (json_array_get_length (offsets) != 2 || !array_get_size (offsets, 0, &begin) ||
      !array_get_size (offsets, 1, &end) || begin > end || end > length) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s lies outside the file; the file is cut short or damaged",
                 tensor->file, tensor->name);
    return FALSE;
  }
  /* An unknown dtype is never read, so its size need not be known. */
  if (bits != 0 &&
      (!g_size_checked_mul (&n_bits, tensor->n_elements, bits) || n_bits / 8 != end - begin)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s has %zu bytes, which its shape and dtype %s contradict",
                 tensor->file, tensor->name, end - begin, tensor->type_name);
    return FALSE;
  }
  tensor->data = data + begin;
  tensor->n_bytes = end - begin;
  return TRUE;
}

static AllavaTensor *
parse_tensor (
    const char *name, JsonNode *node, const Shard *shard, size_t data_offset, GError **error)
{
  g_autofree char *where = g_strdup_printf ("%s: tensor %s", shard->path, name);
  const char *type_name = NULL;
  JsonArray *shape = NULL, *offsets = NULL;
  if (JSON_NODE_HOLDS_OBJECT (node)) {
    JsonObject *object = json_node_get_object (node);
    if (!allava_json_get_string (object, where, "dtype", &type_name, error) ||
        !allava_json_get_array (object, where, "shape", &shape, error) ||
        !allava_json_get_array (object, where, "data_offsets", &offsets, error))
      return NULL;
  }
  if (type_name == NULL || shape == NULL || offsets == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s lacks its dtype, shape or data_offsets", where);
    return NULL;
  }

  AllavaTensor *tensor = g_new0 (AllavaTensor, 1);
  size_t bits;
  tensor->name = g_strdup (name);
  tensor->file = shard->path;
  tensor->type_name = g_strdup (type_name);
  tensor->type = parse_type (type_name, &bits);
  tensor->mapped = shard->mapping != NULL;
  if (!parse_shape (tensor, shape, error) ||
      !parse_offsets (tensor, offsets, bits, shard->data + data_offset, shard->length - data_offset,
                      error))
    g_clear_pointer (&tensor, tensor_free);
  return tensor;
}

/* ---- One file -------------------------------------------------------------------------------- */

static int
compare_place (gconstpointer a, gconstpointer b)
{
  const AllavaTensor *x = *(AllavaTensor *const *)a, *y = *(AllavaTensor *const *)b;
  if (x->data != y->data)
    return (const char *)x->data < (const char *)y->data ? -1 : 1;
  return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static gboolean
check_overlap (GPtrArray *tensors, GError **error)
{
  g_ptr_array_sort (tensors, compare_place);
  for (guint i = 1; i < tensors->len; i++) {
    const AllavaTensor *a = tensors->pdata[i - 1], *b = tensors->pdata[i];
    if ((const char *)a->data + a->n_bytes > (const char *)b->data) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: tensors %s and %s overlap",
                   a->file, a->name, b->name);
      return FALSE;
    }
  }
  return TRUE;
}

/* Strings to strings; what else there is does not matter to anybody. */
static void
add_metadata (AllavaSafetensors *set, JsonNode *node)
{
  JsonObjectIter iter;
  const char *key;
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return;
  json_object_iter_init (&iter, json_node_get_object (node));
  while (json_object_iter_next (&iter, &key, &node))
    if (json_node_get_value_type (node) == G_TYPE_STRING &&
        !g_hash_table_contains (set->metadata, key))
      g_hash_table_insert (set->metadata, g_strdup (key), json_node_dup_string (node));
}

static gboolean
add_tensors (AllavaSafetensors *set,
             JsonObject *header,
             const Shard *shard,
             size_t data_offset,
             GError **error)
{
  g_autoptr (GPtrArray) added = g_ptr_array_new ();
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;
  json_object_iter_init (&iter, header);
  while (json_object_iter_next (&iter, &name, &node)) {
    if (g_str_equal (name, "__metadata__")) {
      add_metadata (set, node);
      continue;
    }
    if (g_hash_table_contains (set->tensors, name)) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: tensor %s is in another file too",
                   shard->path, name);
      return FALSE;
    }
    AllavaTensor *tensor = parse_tensor (name, node, shard, data_offset, error);
    if (tensor == NULL)
      return FALSE;
    g_hash_table_insert (set->tensors, (char *)tensor->name, tensor);
    g_ptr_array_add (added, tensor);
  }
  return check_overlap (added, error);
}

/* Takes SHARD. */
static gboolean
add_shard (AllavaSafetensors *set, Shard *shard, GError **error)
{
  g_ptr_array_add (set->shards, shard);
  uint64_t header_length = 0;
  if (shard->length >= 8) {
    memcpy (&header_length, shard->data, 8);
    header_length = GUINT64_FROM_LE (header_length);
  }
  if (shard->length < 8 || header_length > shard->length - 8 || header_length > MAX_HEADER) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s is not a safetensors file, or it is cut short", shard->path);
    return FALSE;
  }
  g_autofree char *where = g_strdup_printf ("%s (header)", shard->path);
  g_autoptr (JsonNode) header = allava_json_parse (shard->data + 8, header_length, where, error);
  return header != NULL &&
         add_tensors (set, json_node_get_object (header), shard, 8 + header_length, error);
}

static Shard *
map_file (const char *path, GError **error)
{
  AllavaMapping *mapping = allava_mapping_new (path, error);
  if (mapping == NULL)
    return NULL;
  Shard *shard = g_new (Shard, 1);
  *shard = (Shard){g_strdup (path), mapping->data, mapping->length, mapping};
  return shard;
}

/* ---- A folder -------------------------------------------------------------------------------- */

/* The shard names in an index's weight_map, each once. A name is a file in the same folder. */
static GPtrArray *
list_shards (JsonObject *index, const char *path, GError **error)
{
  JsonObject *map = NULL;
  if (!allava_json_get_object (index, path, "weight_map", &map, error))
    return NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  JsonObjectIter iter;
  JsonNode *node;
  if (map != NULL)
    json_object_iter_init (&iter, map);
  while (map != NULL && json_object_iter_next (&iter, NULL, &node)) {
    const char *name =
        json_node_get_value_type (node) == G_TYPE_STRING ? json_node_get_string (node) : NULL;
    if (name == NULL || *name == '\0' || strchr (name, '/') != NULL || names->len == MAX_SHARDS) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                   "%s: \"weight_map\" should map tensors to files in the same folder", path);
      return NULL;
    }
    if (g_hash_table_add (seen, (char *)name))
      g_ptr_array_add (names, g_strdup (name));
  }
  if (names->len == 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s names no files", path);
    return NULL;
  }
  return g_steal_pointer (&names);
}

static gboolean
add_indexed (AllavaSafetensors *set, const char *dir, const char *index_path, GError **error)
{
  g_autoptr (JsonNode) index = allava_json_load (index_path, MAX_INDEX, error);
  if (index == NULL)
    return FALSE;
  g_autoptr (GPtrArray) names = list_shards (json_node_get_object (index), index_path, error);
  for (guint i = 0; names != NULL && i < names->len; i++) {
    g_autofree char *path = g_build_filename (dir, names->pdata[i], NULL);
    Shard *shard = map_file (path, error);
    if (shard == NULL || !add_shard (set, shard, error))
      return FALSE;
  }
  return names != NULL;
}

static void
set_missing_error (const char *dir, GError **error)
{
  g_autofree char *bin = g_build_filename (dir, "pytorch_model.bin", NULL);
  g_autofree char *bin_index = g_build_filename (dir, "pytorch_model.bin.index.json", NULL);
  if (g_file_test (bin, G_FILE_TEST_EXISTS) || g_file_test (bin_index, G_FILE_TEST_EXISTS))
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s holds a pickle checkpoint (pytorch_model.bin), which can run code when it is "
                 "opened; convert it to safetensors",
                 dir);
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 "%s holds no model.safetensors and no model.safetensors.index.json", dir);
}

AllavaSafetensors *
allava_safetensors_open_dir (const char *dir, GError **error)
{
  g_return_val_if_fail (dir != NULL, NULL);
  g_autofree char *single = g_build_filename (dir, "model.safetensors", NULL);
  g_autofree char *index = g_build_filename (dir, "model.safetensors.index.json", NULL);
  if (g_file_test (single, G_FILE_TEST_EXISTS))
    return allava_safetensors_open_file (single, error);
  if (!g_file_test (index, G_FILE_TEST_EXISTS)) {
    set_missing_error (dir, error);
    return NULL;
  }
  g_autoptr (AllavaSafetensors) set = set_new ();
  if (!add_indexed (set, dir, index, error))
    return NULL;
  return g_steal_pointer (&set);
}

AllavaSafetensors *
allava_safetensors_open_file (const char *path, GError **error)
{
  g_return_val_if_fail (path != NULL, NULL);
  Shard *shard = map_file (path, error);
  if (shard == NULL)
    return NULL;
  g_autoptr (AllavaSafetensors) set = set_new ();
  if (!add_shard (set, shard, error))
    return NULL;
  return g_steal_pointer (&set);
}

AllavaSafetensors *
allava_safetensors_open_memory (const void *data, size_t length, const char *file, GError **error)
{
  g_return_val_if_fail (file != NULL, NULL);
  g_autoptr (AllavaSafetensors) set = set_new ();
  Shard *shard = g_new0 (Shard, 1);
  shard->path = g_strdup (file);
  shard->data = data;
  shard->length = length;
  if (!add_shard (set, shard, error))
    return NULL;
  return g_steal_pointer (&set);
}

void
allava_safetensors_free (AllavaSafetensors *set)
{
  if (set == NULL)
    return;
  g_hash_table_unref (set->tensors);
  g_hash_table_unref (set->metadata);
  g_ptr_array_unref (set->shards);
  g_free (set);
}

const AllavaTensor *
allava_safetensors_find (AllavaSafetensors *set, const char *name)
{
  return g_hash_table_lookup (set->tensors, name);
}

static int
compare_file_and_place (gconstpointer a, gconstpointer b)
{
  const AllavaTensor *x = *(AllavaTensor *const *)a, *y = *(AllavaTensor *const *)b;
  int order = strcmp (x->file, y->file);
  return order != 0 ? order : compare_place (a, b);
}

GPtrArray *
allava_safetensors_list (AllavaSafetensors *set)
{
  GPtrArray *tensors = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer tensor;
  g_hash_table_iter_init (&iter, set->tensors);
  while (g_hash_table_iter_next (&iter, NULL, &tensor))
    g_ptr_array_add (tensors, tensor);
  g_ptr_array_sort (tensors, compare_file_and_place);
  return tensors;
}

const char *
allava_safetensors_get_metadata (AllavaSafetensors *set, const char *key)
{
  return g_hash_table_lookup (set->metadata, key);
}

gboolean
allava_safetensors_check (AllavaSafetensors *set, GError **error)
{
  for (guint i = 0; set != NULL && i < set->shards->len; i++) {
    const Shard *shard = set->shards->pdata[i];
    if (shard->mapping != NULL && !allava_mapping_check (shard->mapping, error))
      return FALSE;
  }
  return TRUE;
}

/* ---- Reading ahead --------------------------------------------------------------------------- */

/* Reads N bytes from AT on ahead. Best effort, without which pages come when they are touched: but
 * those that could not come then are an error. */
static gboolean
read_ahead (const Shard *shard, size_t at, size_t n, GError **error)
{
  if (madvise ((void *)(shard->data + at), n, MADV_POPULATE_READ) == 0 || errno != EFAULT)
    return TRUE;
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
               "%s cannot be read: it was cut short meanwhile, or its disk is damaged",
               shard->path);
  return FALSE;
}

gboolean
allava_safetensors_warm (AllavaSafetensors *set,
                         AllavaProgressFunc progress,
                         gpointer progress_data,
                         GCancellable *cancellable,
                         GError **error)
{
  const size_t step = (size_t)16 << 20;
  size_t total = 0, done = 0;
  for (guint i = 0; i < set->shards->len; i++)
    total += ((Shard *)set->shards->pdata[i])->length;
  /* Reading more ahead than the memory holds would only push it out again. */
  gboolean ahead = total <= allava_memory_read_free ("/");
  for (guint i = 0; i < set->shards->len; i++) {
    const Shard *shard = set->shards->pdata[i];
    for (size_t at = 0; at < shard->length; at += step) {
      if (g_cancellable_set_error_if_cancelled (cancellable, error))
        return FALSE;
      size_t n = MIN (step, shard->length - at);
      if (shard->mapping != NULL && ahead && !read_ahead (shard, at, n, error))
        return FALSE;
      done += n;
      if (progress != NULL)
        progress ((double)done / total, progress_data);
    }
  }
  return TRUE;
}

void
allava_safetensors_fetch (const AllavaTensor *tensor)
{
  if (tensor->mapped)
    allava_memory_advise (tensor->data, tensor->n_bytes, FALSE, MADV_POPULATE_READ);
}

void
allava_safetensors_release (const AllavaTensor *tensor)
{
  if (tensor->mapped)
    allava_memory_advise (tensor->data, tensor->n_bytes, TRUE, MADV_DONTNEED);
}
