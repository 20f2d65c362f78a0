#include "layout.h"

void
allava_layout_init (AllavaLayout *layout)
{
  layout->keys = g_array_new (FALSE, FALSE, sizeof (int64_t));
  layout->segments = g_array_new (FALSE, FALSE, sizeof (AllavaSegment));
  layout->ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
}

void
allava_layout_clear (AllavaLayout *layout)
{
  g_clear_pointer (&layout->keys, g_array_unref);
  g_clear_pointer (&layout->segments, g_array_unref);
  g_clear_pointer (&layout->ids, g_array_unref);
}

static AllavaSegment *
get_segment (const AllavaLayout *layout, guint i)
{
  return &g_array_index (layout->segments, AllavaSegment, i);
}

/* Until the layout settles, a text segment's offset says where its ids begin. */
void
allava_layout_add_id (AllavaLayout *layout, int32_t id)
{
  int64_t key = id;
  guint n = layout->segments->len;
  g_array_append_val (layout->keys, key);
  g_array_append_val (layout->ids, id);
  if (n > 0 && get_segment (layout, n - 1)->features == NULL) {
    get_segment (layout, n - 1)->n++;
    return;
  }
  AllavaSegment segment = {.offset = layout->ids->len - 1, .n = 1};
  g_array_append_val (layout->segments, segment);
}

void
allava_layout_add_image (AllavaLayout *layout, gconstpointer features, int number, size_t n)
{
  AllavaSegment segment = {.features = features, .n = n};
  g_array_append_val (layout->segments, segment);
  for (size_t i = 0; i < n; i++) {
    int64_t key = -(int64_t)(number * n + i);
    g_array_append_val (layout->keys, key);
  }
}

void
allava_layout_settle (AllavaLayout *layout)
{
  for (guint i = 0; i < layout->segments->len; i++) {
    AllavaSegment *segment = get_segment (layout, i);
    if (segment->features != NULL)
      continue;
    segment->ids = &g_array_index (layout->ids, int32_t, segment->offset);
    segment->offset = 0;
  }
}

size_t
allava_layout_count_known (const AllavaLayout *layout, const GArray *keys)
{
  size_t n = MIN (keys->len, layout->keys->len - 1), i = 0;
  while (i < n && g_array_index (keys, int64_t, i) == g_array_index (layout->keys, int64_t, i))
    i++;
  return i;
}

void
allava_layout_skip (AllavaLayout *layout, size_t n)
{
  while (n > 0) {
    AllavaSegment *segment = get_segment (layout, 0);
    size_t part = MIN (n, segment->n);
    if (segment->ids != NULL)
      segment->ids += part;
    else
      segment->offset += part;
    segment->n -= part;
    n -= part;
    if (segment->n == 0)
      g_array_remove_index (layout->segments, 0);
  }
}
