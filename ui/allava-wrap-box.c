#include "allava-wrap-box.h"

#define SPACING 6

struct _AllavaWrapBox {
  GtkWidget parent_instance;
};

G_DEFINE_FINAL_TYPE (AllavaWrapBox, allava_wrap_box, GTK_TYPE_WIDGET)

/* Goes through the children line by line; where ALLOCATE, places them. Returns the height. */
static int
lay_out (GtkWidget *widget, int width, gboolean allocate)
{
  gboolean rtl = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;
  int x = 0, y = 0, line = 0;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child)) {
    if (!gtk_widget_should_layout (child))
      continue;
    int minimum, natural, child_height;
    gtk_widget_measure (child, GTK_ORIENTATION_HORIZONTAL, -1, &minimum, &natural, NULL, NULL);
    int child_width = MAX (minimum, MIN (natural, width));
    gtk_widget_measure (child, GTK_ORIENTATION_VERTICAL, child_width, NULL, &child_height, NULL,
                        NULL);
    if (x > 0 && x + child_width > width) {
      y += line + SPACING;
      x = line = 0;
    }
    if (allocate) {
      int left = rtl ? width - x - child_width : x;
      gtk_widget_size_allocate (child, &(GtkAllocation){left, y, child_width, child_height}, -1);
    }
    x += child_width + SPACING;
    line = MAX (line, child_height);
  }
  return y + line;
}

static void
measure_width (GtkWidget *widget, int *minimum, int *natural)
{
  *minimum = *natural = 0;
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child)) {
    if (!gtk_widget_should_layout (child))
      continue;
    int child_minimum, child_natural;
    gtk_widget_measure (child, GTK_ORIENTATION_HORIZONTAL, -1, &child_minimum, &child_natural, NULL,
                        NULL);
    *minimum = MAX (*minimum, child_minimum);
    *natural += child_natural + (*natural > 0 ? SPACING : 0);
  }
}

static void
allava_wrap_box_measure (GtkWidget *widget,
                         GtkOrientation orientation,
                         int for_size,
                         int *minimum,
                         int *natural,
                         int *minimum_baseline,
                         int *natural_baseline)
{
  int min_width, nat_width;
  measure_width (widget, &min_width, &nat_width);
  if (orientation == GTK_ORIENTATION_HORIZONTAL) {
    *minimum = min_width;
    *natural = nat_width;
  } else {
    *minimum = *natural = lay_out (widget, for_size < 0 ? nat_width : for_size, FALSE);
  }
}

static void
allava_wrap_box_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  lay_out (widget, width, TRUE);
}

static GtkSizeRequestMode
allava_wrap_box_get_request_mode (GtkWidget *widget)
{
  return GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH;
}

void
allava_wrap_box_append (AllavaWrapBox *self, GtkWidget *child)
{
  g_return_if_fail (ALLAVA_IS_WRAP_BOX (self));
  gtk_widget_set_parent (child, GTK_WIDGET (self));
}

void
allava_wrap_box_remove_all (AllavaWrapBox *self)
{
  g_return_if_fail (ALLAVA_IS_WRAP_BOX (self));

  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))))
    gtk_widget_unparent (child);
}

static void
allava_wrap_box_dispose (GObject *object)
{
  allava_wrap_box_remove_all (ALLAVA_WRAP_BOX (object));
  G_OBJECT_CLASS (allava_wrap_box_parent_class)->dispose (object);
}

static void
allava_wrap_box_class_init (AllavaWrapBoxClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_wrap_box_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  widget_class->measure = allava_wrap_box_measure;
  widget_class->size_allocate = allava_wrap_box_size_allocate;
  widget_class->get_request_mode = allava_wrap_box_get_request_mode;
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_wrap_box_init (AllavaWrapBox *self)
{
}
