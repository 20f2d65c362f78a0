#include "allava-thumbnail.h"

#include "allava-window.h"

#include <glib/gi18n.h>

struct _AllavaThumbnail {
  GtkWidget parent_instance;

  GtkWidget *overlay;
  GtkWidget *button;
  GtkWidget *remove_button;
  GtkStack *stack;
  GtkSpinner *spinner;
  GtkPicture *picture;
  GtkWidget *missing;

  AllavaImage *image; /* or NULL while it is on its way */
  char *name;
  int side;
};

enum { REMOVED, N_SIGNALS };

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (AllavaThumbnail, allava_thumbnail, GTK_TYPE_WIDGET)

static void
clicked_cb (AllavaThumbnail *self)
{
  GtkRoot *window = gtk_widget_get_root (GTK_WIDGET (self));
  if (self->image && ALLAVA_IS_WINDOW (window))
    allava_window_view_image (ALLAVA_WINDOW (window), self->image);
}

static void
remove_clicked_cb (AllavaThumbnail *self)
{
  g_signal_emit (self, signals[REMOVED], 0);
}

static gboolean
removed_cb (GtkWidget *widget, GVariant *parameters, gpointer user_data)
{
  AllavaThumbnail *self = ALLAVA_THUMBNAIL (widget);
  if (!gtk_widget_get_visible (self->remove_button))
    return FALSE;
  remove_clicked_cb (self);
  return TRUE;
}

/* The width that keeps the image's shape, within reason. */
static int
get_width (AllavaThumbnail *self)
{
  if (!self->image)
    return self->side;
  double ratio =
      (double)allava_image_get_width (self->image) / MAX (1, allava_image_get_height (self->image));
  return self->side * CLAMP (ratio, 0.6, 1.8);
}

static void
name_buttons (AllavaThumbnail *self)
{
  g_autofree char *name = NULL;
  if (!self->image)
    name = g_strdup (_ ("Image being read…"));
  else if (allava_image_get_thumbnail_failed (self->image))
    name = g_strdup_printf (_ ("Image %s, which cannot be read"), self->name);
  else
    /* Translators: a file's name, its width and height in pixels */
    name = g_strdup_printf (_ ("Image %s, %d by %d pixels"), self->name,
                            allava_image_get_width (self->image),
                            allava_image_get_height (self->image));
  g_autofree char *remove = g_strdup_printf (_ ("Remove %s"), self->name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  name, -1);
  gtk_widget_set_tooltip_text (self->button, name);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->remove_button),
                                  GTK_ACCESSIBLE_PROPERTY_LABEL, remove, -1);
}

static void
update (AllavaThumbnail *self)
{
  GdkPixbuf *pixbuf = self->image ? allava_image_get_thumbnail (self->image) : NULL;
  gboolean failed = self->image && allava_image_get_thumbnail_failed (self->image);
  GtkWidget *shown = GTK_WIDGET (self->spinner);
  if (pixbuf) {
    g_autoptr (GdkTexture) texture = gdk_texture_new_for_pixbuf (pixbuf);
    gtk_picture_set_paintable (self->picture, GDK_PAINTABLE (texture));
    shown = GTK_WIDGET (self->picture);
  } else if (failed) {
    shown = self->missing;
  }
  gtk_stack_set_visible_child (self->stack, shown);
  gtk_spinner_set_spinning (self->spinner, !pixbuf && !failed);
  name_buttons (self);
}

/* Its size is its own and not the picture's, which may come later. */
static void
allava_thumbnail_measure (GtkWidget *widget,
                          GtkOrientation orientation,
                          int for_size,
                          int *minimum,
                          int *natural,
                          int *minimum_baseline,
                          int *natural_baseline)
{
  AllavaThumbnail *self = ALLAVA_THUMBNAIL (widget);
  *minimum = *natural = orientation == GTK_ORIENTATION_HORIZONTAL ? get_width (self) : self->side;
  gtk_widget_measure (self->overlay, orientation, -1, NULL, NULL, NULL, NULL);
}

static void
allava_thumbnail_size_allocate (GtkWidget *widget, int width, int height, int baseline)
{
  gtk_widget_allocate (ALLAVA_THUMBNAIL (widget)->overlay, width, height, baseline, NULL);
}

static void
allava_thumbnail_dispose (GObject *object)
{
  AllavaThumbnail *self = ALLAVA_THUMBNAIL (object);
  g_clear_pointer (&self->overlay, gtk_widget_unparent);
  g_clear_object (&self->image);
  G_OBJECT_CLASS (allava_thumbnail_parent_class)->dispose (object);
}

static void
allava_thumbnail_finalize (GObject *object)
{
  g_free (ALLAVA_THUMBNAIL (object)->name);
  G_OBJECT_CLASS (allava_thumbnail_parent_class)->finalize (object);
}

static void
allava_thumbnail_class_init (AllavaThumbnailClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_thumbnail_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_thumbnail_finalize;
  signals[REMOVED] = g_signal_new ("removed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);

  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  widget_class->measure = allava_thumbnail_measure;
  widget_class->size_allocate = allava_thumbnail_size_allocate;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-thumbnail.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, overlay);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, button);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, remove_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, stack);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, spinner);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, picture);
  gtk_widget_class_bind_template_child (widget_class, AllavaThumbnail, missing);
  gtk_widget_class_bind_template_callback (widget_class, clicked_cb);
  gtk_widget_class_bind_template_callback (widget_class, remove_clicked_cb);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Delete, 0, removed_cb, NULL);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_BackSpace, 0, removed_cb, NULL);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_thumbnail_init (AllavaThumbnail *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

static AllavaThumbnail *
thumbnail_new (const char *name, int side, gboolean removable)
{
  AllavaThumbnail *self = g_object_new (ALLAVA_TYPE_THUMBNAIL, NULL);
  self->name = g_strdup (name);
  self->side = side;
  gtk_widget_set_visible (self->remove_button, removable);
  return self;
}

GtkWidget *
allava_thumbnail_new (AllavaImage *image, int side, gboolean removable)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (image), NULL);
  AllavaThumbnail *self = thumbnail_new (allava_image_get_name (image), side, removable);
  self->image = g_object_ref (image);
  g_signal_connect_object (image, "notify::thumbnail", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (image, "notify::thumbnail-failed", G_CALLBACK (update), self,
                           G_CONNECT_SWAPPED);
  allava_image_load_thumbnail (image);
  update (self);
  return GTK_WIDGET (self);
}

GtkWidget *
allava_thumbnail_new_placeholder (const char *name, int side)
{
  g_return_val_if_fail (name != NULL, NULL);
  AllavaThumbnail *self = thumbnail_new (name, side, TRUE);
  update (self);
  return GTK_WIDGET (self);
}

AllavaImage *
allava_thumbnail_get_image (AllavaThumbnail *self)
{
  g_return_val_if_fail (ALLAVA_IS_THUMBNAIL (self), NULL);
  return self->image;
}
