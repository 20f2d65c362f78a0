#include "allava-markdown-view.h"

#include "allava-announcer.h"
#include "allava-markdown.h"

#include <glib/gi18n.h>

#define SPACING 9
/* Deeper nesting than this is nobody's meaning; its content is left out of the picture. */
#define MAX_DEPTH 12
#define CELL_CHARS 36 /* in a table, before it is wrapped */

struct _AllavaMarkdownView {
  GtkWidget parent_instance;

  char *text;
  gsize settled;   /* bytes of text whose blocks are finished */
  guint n_settled; /* their widgets, the first of the children */
};

G_DEFINE_FINAL_TYPE (AllavaMarkdownView, allava_markdown_view, GTK_TYPE_WIDGET)

typedef enum {
  KIND_TEXT = 1,
  KIND_CODE,
  KIND_LIST,
  KIND_QUOTE,
  KIND_RULE,
  KIND_TABLE,
} BlockKind;

static G_DEFINE_QUARK (allava - block - kind, block_kind);
static G_DEFINE_QUARK (allava - block - source, block_source);

static void
update_blocks (GtkWidget *box, GtkWidget *first, cmark_node *parent, const char *source, int depth);

static BlockKind
get_kind (GtkWidget *widget)
{
  return GPOINTER_TO_INT (g_object_get_qdata (G_OBJECT (widget), block_kind_quark ()));
}

static GtkWidget *
new_label (const char *markup)
{
  GtkWidget *label = gtk_label_new (NULL);
  gtk_label_set_markup (GTK_LABEL (label), markup);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  return label;
}

/* Whether WIDGET was made from other than MARKUP; remembers MARKUP. */
static gboolean
source_changed (GtkWidget *widget, const char *markup)
{
  const char *known = g_object_get_qdata (G_OBJECT (widget), block_source_quark ());
  if (g_strcmp0 (known, markup) == 0)
    return FALSE;
  g_object_set_qdata_full (G_OBJECT (widget), block_source_quark (), g_strdup (markup), g_free);
  return TRUE;
}

/* ---- Blocks: make_ makes the widget, update_ fills it -----------------------------------------
 */

static void
update_text (GtkWidget *label, cmark_node *node)
{
  g_autofree char *markup = NULL;
  if (cmark_node_get_type (node) == CMARK_NODE_HTML_BLOCK) {
    g_autofree char *literal = g_strchomp (g_strdup (cmark_node_get_literal (node)));
    markup = g_markup_escape_text (literal, -1);
  } else {
    markup = allava_markdown_to_markup (node);
  }
  if (source_changed (label, markup))
    gtk_label_set_markup (GTK_LABEL (label), markup);

  static const char *const classes[] = {NULL, "title-2", "title-3", "title-4", "heading"};
  int level = cmark_node_get_type (node) == CMARK_NODE_HEADING
                  ? MIN (cmark_node_get_heading_level (node), 4)
                  : 0;
  const char *wanted[] = {classes[level], NULL};
  gtk_widget_set_css_classes (label, wanted);
}

static void
copy_code_cb (GtkButton *button, GtkLabel *label)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (button)),
                          gtk_label_get_text (label));
  allava_announcer_say (GTK_WIDGET (button), _ ("Copied"), NULL);
}

/* Shows what is wider than the view by scrolling sideways; NAME is for screen readers. */
static GtkWidget *
make_scroller (GtkWidget *child, const char *name)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_AUTOMATIC,
                                  GTK_POLICY_NEVER);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), child);
  gtk_accessible_update_property (GTK_ACCESSIBLE (scroller), GTK_ACCESSIBLE_PROPERTY_LABEL, name,
                                  -1);
  return scroller;
}

static GtkWidget *
make_code (void)
{
  GtkWidget *label = gtk_label_new (NULL);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_widget_set_direction (label, GTK_TEXT_DIR_LTR); /* whatever the language around it */
  gtk_widget_add_css_class (label, "monospace");

  GtkWidget *scroller = make_scroller (label, _ ("Code"));
  gtk_widget_set_hexpand (scroller, TRUE);

  GtkWidget *copy = gtk_button_new_from_icon_name ("edit-copy-symbolic");
  gtk_widget_set_tooltip_text (copy, _ ("Copy Code"));
  gtk_accessible_update_property (GTK_ACCESSIBLE (copy), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Copy Code"), -1);
  gtk_widget_add_css_class (copy, "flat");
  gtk_widget_set_valign (copy, GTK_ALIGN_START);
  g_signal_connect_object (copy, "clicked", G_CALLBACK (copy_code_cb), label, 0);

  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  gtk_widget_add_css_class (box, "code-block");
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), copy);
  g_object_set_data (G_OBJECT (box), "label", label);
  return box;
}

static void
update_code (GtkWidget *box, cmark_node *node)
{
  g_autofree char *code = g_strchomp (g_strdup (cmark_node_get_literal (node)));
  if (source_changed (box, code))
    gtk_label_set_text (g_object_get_data (G_OBJECT (box), "label"), code);
}

static GtkWidget *
make_box (const char *css_class)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  gtk_widget_add_css_class (box, css_class);
  return box;
}

static GtkWidget *
make_item (void)
{
  GtkWidget *item = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 8);
  GtkWidget *marker = gtk_label_new (NULL);
  gtk_label_set_xalign (GTK_LABEL (marker), 1);
  gtk_label_set_yalign (GTK_LABEL (marker), 0);
  gtk_widget_set_size_request (marker, 18, -1);
  gtk_widget_add_css_class (marker, "numeric");
  GtkWidget *content = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  gtk_widget_set_hexpand (content, TRUE);
  gtk_box_append (GTK_BOX (item), marker);
  gtk_box_append (GTK_BOX (item), content);
  return item;
}

static void
update_list (GtkWidget *list, cmark_node *node, const char *source, int depth)
{
  gboolean ordered = cmark_node_get_list_type (node) == CMARK_ORDERED_LIST;
  int number = cmark_node_get_list_start (node);
  GtkWidget *item = gtk_widget_get_first_child (list);
  for (cmark_node *child = cmark_node_first_child (node); child; child = cmark_node_next (child)) {
    if (!item) {
      item = make_item ();
      gtk_box_append (GTK_BOX (list), item);
    }
    GtkWidget *marker = gtk_widget_get_first_child (item);
    g_autofree char *text = ordered ? g_strdup_printf ("%d.", number++) : g_strdup ("•");
    if (g_strcmp0 (gtk_label_get_text (GTK_LABEL (marker)), text) != 0)
      gtk_label_set_text (GTK_LABEL (marker), text);
    GtkWidget *content = gtk_widget_get_last_child (item);
    update_blocks (content, gtk_widget_get_first_child (content), child, source, depth + 1);
    item = gtk_widget_get_next_sibling (item);
  }
  while (item) {
    GtkWidget *next = gtk_widget_get_next_sibling (item);
    gtk_box_remove (GTK_BOX (list), item);
    item = next;
  }
}

static GtkWidget *
make_table (void)
{
  GtkWidget *grid = gtk_grid_new ();
  gtk_grid_set_column_spacing (GTK_GRID (grid), 18);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  gtk_widget_set_halign (grid, GTK_ALIGN_START);
  GtkWidget *scroller = make_scroller (grid, _ ("Table"));
  gtk_widget_add_css_class (scroller, "table-block");
  g_object_set_data (G_OBJECT (scroller), "grid", grid);
  return scroller;
}

static void
update_cell (GtkGrid *grid, int column, int row, const char *markdown)
{
  GtkWidget *label = gtk_grid_get_child_at (grid, column, row);
  if (!label) {
    label = new_label ("");
    gtk_label_set_yalign (GTK_LABEL (label), 0);
    if (row == 0)
      gtk_widget_add_css_class (label, "heading");
    gtk_grid_attach (grid, label, column, row, 1, 1);
  }
  if (!source_changed (label, markdown))
    return;
  cmark_node *document = cmark_parse_document (markdown, strlen (markdown), CMARK_OPT_DEFAULT);
  g_autofree char *markup = allava_markdown_to_markup (document);
  gtk_label_set_markup (GTK_LABEL (label), markup);
  /* A cell is as wide as its text, up to a measure; a row's height is reckoned from that. */
  int length = g_utf8_strlen (gtk_label_get_text (GTK_LABEL (label)), -1);
  gtk_label_set_wrap (GTK_LABEL (label), length > CELL_CHARS);
  gtk_label_set_width_chars (GTK_LABEL (label), length > CELL_CHARS ? CELL_CHARS : -1);
  gtk_label_set_max_width_chars (GTK_LABEL (label), CELL_CHARS);
  cmark_node_free (document);
}

/* A row may be taken back: "*" is one until it turns out to begin a list. The columns stay. */
static void
update_table (GtkWidget *scroller, GPtrArray *rows)
{
  GtkGrid *grid = g_object_get_data (G_OBJECT (scroller), "grid");
  for (guint row = 0; row < rows->len; row++) {
    GStrv cells = g_ptr_array_index (rows, row);
    for (int column = 0; cells[column]; column++)
      update_cell (grid, column, row, cells[column]);
  }
  while (gtk_grid_get_child_at (grid, 0, rows->len))
    gtk_grid_remove_row (grid, rows->len);
}

static BlockKind
kind_of_node (cmark_node *node)
{
  switch (cmark_node_get_type (node)) {
  case CMARK_NODE_CODE_BLOCK:
    return KIND_CODE;
  case CMARK_NODE_LIST:
    return KIND_LIST;
  case CMARK_NODE_BLOCK_QUOTE:
    return KIND_QUOTE;
  case CMARK_NODE_THEMATIC_BREAK:
    return KIND_RULE;
  default:
    return KIND_TEXT;
  }
}

static GtkWidget *
make_block (BlockKind kind)
{
  GtkWidget *widget = NULL;
  switch (kind) {
  case KIND_TEXT:
    widget = new_label ("");
    break;
  case KIND_CODE:
    widget = make_code ();
    break;
  case KIND_LIST:
    widget = make_box ("list-block");
    break;
  case KIND_QUOTE:
    widget = make_box ("quote-block");
    break;
  case KIND_RULE:
    widget = gtk_separator_new (GTK_ORIENTATION_HORIZONTAL);
    break;
  case KIND_TABLE:
    widget = make_table ();
    break;
  }
  g_object_set_qdata (G_OBJECT (widget), block_kind_quark (), GINT_TO_POINTER (kind));
  return widget;
}

/* Shows NODE in WIDGET where it is of the right kind, otherwise in a new widget in its place;
 * WIDGET NULL means at BOX's end. */
static GtkWidget *
update_block (GtkWidget *box, GtkWidget *widget, cmark_node *node, const char *source, int depth)
{
  BlockKind kind = kind_of_node (node);
  g_autoptr (GPtrArray) rows = NULL;
  if (cmark_node_get_type (node) == CMARK_NODE_PARAGRAPH && depth == 0 &&
      (rows = allava_markdown_parse_table (node, source)))
    kind = KIND_TABLE;

  if (!widget || get_kind (widget) != kind) {
    GtkWidget *block = make_block (kind);
    gtk_widget_insert_before (block, box, widget);
    if (widget)
      gtk_widget_unparent (widget);
    widget = block;
  }
  if (kind == KIND_TEXT)
    update_text (widget, node);
  else if (kind == KIND_CODE)
    update_code (widget, node);
  else if (kind == KIND_LIST)
    update_list (widget, node, source, depth);
  else if (kind == KIND_QUOTE)
    update_blocks (widget, gtk_widget_get_first_child (widget), node, source, depth + 1);
  else if (kind == KIND_TABLE)
    update_table (widget, rows);
  return widget;
}

/* Makes BOX's children from FIRST on show PARENT's blocks. */
static void
update_blocks (GtkWidget *box, GtkWidget *first, cmark_node *parent, const char *source, int depth)
{
  GtkWidget *widget = first;
  if (depth < MAX_DEPTH)
    for (cmark_node *node = cmark_node_first_child (parent); node; node = cmark_node_next (node)) {
      widget = update_block (box, widget, node, source, depth);
      widget = gtk_widget_get_next_sibling (widget);
    }
  while (widget) {
    GtkWidget *next = gtk_widget_get_next_sibling (widget);
    gtk_widget_unparent (widget);
    widget = next;
  }
}

/* ---- The view -------------------------------------------------------------------------------- */

static GtkWidget *
nth_child (GtkWidget *widget, guint n)
{
  GtkWidget *child = gtk_widget_get_first_child (widget);
  while (child && n-- > 0)
    child = gtk_widget_get_next_sibling (child);
  return child;
}

static gboolean
continues (AllavaMarkdownView *self, const char *text)
{
  return self->text && g_str_has_prefix (text, self->text);
}

static void
clear (AllavaMarkdownView *self)
{
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))))
    gtk_widget_unparent (child);
  self->settled = self->n_settled = 0;
}

void
allava_markdown_view_set_text (AllavaMarkdownView *self, const char *text)
{
  g_return_if_fail (ALLAVA_IS_MARKDOWN_VIEW (self));
  g_return_if_fail (text != NULL);

  if (g_strcmp0 (self->text, text) == 0)
    return;
  if (!continues (self, text))
    clear (self);
  g_free (self->text);
  self->text = g_strdup (text);

  const char *open = self->text + self->settled;
  cmark_node *document = cmark_parse_document (open, strlen (open), CMARK_OPT_DEFAULT);
  update_blocks (GTK_WIDGET (self), nth_child (GTK_WIDGET (self), self->n_settled), document, open,
                 0);

  /* Only the last block can still change. */
  cmark_node *last = cmark_node_last_child (document);
  if (last) {
    for (cmark_node *node = cmark_node_previous (last); node; node = cmark_node_previous (node))
      self->n_settled++;
    self->settled += allava_markdown_line_offset (open, cmark_node_get_start_line (last));
  }
  cmark_node_free (document);
}

/* ---- Layout: a column, whose height always follows from its width. GtkBoxLayout takes that from
 * the children, and GTK 4.8 remembers the answer of the time when there were none. ---------------
 */

static void
allava_markdown_view_measure (GtkWidget *widget,
                              GtkOrientation orientation,
                              int for_size,
                              int *minimum,
                              int *natural,
                              int *minimum_baseline,
                              int *natural_baseline)
{
  gboolean across = orientation == GTK_ORIENTATION_HORIZONTAL;
  *minimum = *natural = 0;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child)) {
    int gap = !across && gtk_widget_get_next_sibling (child) ? SPACING : 0;
    int child_minimum, child_natural;
    gtk_widget_measure (child, orientation, across ? -1 : for_size, &child_minimum, &child_natural,
                        NULL, NULL);
    *minimum = across ? MAX (*minimum, child_minimum) : *minimum + child_minimum + gap;
    *natural = across ? MAX (*natural, child_natural) : *natural + child_natural + gap;
  }
}

static void
allava_markdown_view_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  int y = 0;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child)) {
    int child_height;
    gtk_widget_measure (child, GTK_ORIENTATION_VERTICAL, width, &child_height, NULL, NULL, NULL);
    gtk_widget_size_allocate (child, &(GtkAllocation){0, y, width, child_height}, -1);
    y += child_height + SPACING;
  }
}

static GtkSizeRequestMode
allava_markdown_view_get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

static void
allava_markdown_view_dispose (GObject *object)
{
  clear (ALLAVA_MARKDOWN_VIEW (object));
  G_OBJECT_CLASS (allava_markdown_view_parent_class)->dispose (object);
}

static void
allava_markdown_view_finalize (GObject *object)
{
  g_free (ALLAVA_MARKDOWN_VIEW (object)->text);
  G_OBJECT_CLASS (allava_markdown_view_parent_class)->finalize (object);
}

static void
allava_markdown_view_class_init (AllavaMarkdownViewClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_markdown_view_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_markdown_view_finalize;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  widget_class->measure = allava_markdown_view_measure;
  widget_class->size_allocate = allava_markdown_view_size_allocate;
  widget_class->get_request_mode = allava_markdown_view_get_request_mode;
  gtk_widget_class_set_css_name (widget_class, "markdown");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_markdown_view_init (AllavaMarkdownView *self)
{
}

GtkWidget *
allava_markdown_view_new (void)
{
  return g_object_new (ALLAVA_TYPE_MARKDOWN_VIEW, NULL);
}
