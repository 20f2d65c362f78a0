#include "allava-image-viewer.h"

#include "allava-announcer.h"
#include "allava-pages.h"

#include <glib/gi18n.h>

/* Larger images are scaled down for display: handing them to the screen would be felt. */
#define MAX_SIDE 4096
#define MIN_ZOOM 0.05
#define MAX_ZOOM 16.0

struct _AllavaImageViewer {
  AdwWindow parent_instance;

  AdwWindowTitle *window_title;
  GtkToggleButton *model_view_button;
  GtkStack *stack;
  GtkScrolledWindow *scroller;
  GtkPicture *picture;
  AdwStatusPage *error_page;
  GtkLabel *caption;

  AllavaLibrary *library;
  AllavaImage *image;
  GCancellable *cancellable;
  double zoom; /* 0: fit to the window */
  double gesture_zoom;
};

G_DEFINE_FINAL_TYPE (AllavaImageViewer, allava_image_viewer, ADW_TYPE_WINDOW)

/* ---- Zoom ------------------------------------------------------------------------------------ */

static double
get_fit_zoom (AllavaImageViewer *self)
{
  GdkPaintable *paintable = gtk_picture_get_paintable (self->picture);
  int width = paintable ? gdk_paintable_get_intrinsic_width (paintable) : 0;
  int height = paintable ? gdk_paintable_get_intrinsic_height (paintable) : 0;
  if (width <= 0 || height <= 0)
    return 1;
  return MIN ((double)gtk_widget_get_width (GTK_WIDGET (self->scroller)) / width,
              (double)gtk_widget_get_height (GTK_WIDGET (self->scroller)) / height);
}

static void
set_zoom (AllavaImageViewer *self, double zoom)
{
  GdkPaintable *paintable = gtk_picture_get_paintable (self->picture);
  self->zoom = zoom > 0 ? CLAMP (zoom, MIN_ZOOM, MAX_ZOOM) : 0;
  if (!paintable)
    return;
  gboolean fit = self->zoom == 0;
  gtk_widget_set_size_request (
      GTK_WIDGET (self->picture),
      fit ? -1 : (int)(gdk_paintable_get_intrinsic_width (paintable) * self->zoom),
      fit ? -1 : (int)(gdk_paintable_get_intrinsic_height (paintable) * self->zoom));
  gtk_widget_set_halign (GTK_WIDGET (self->picture), fit ? GTK_ALIGN_FILL : GTK_ALIGN_CENTER);
  gtk_widget_set_valign (GTK_WIDGET (self->picture), fit ? GTK_ALIGN_FILL : GTK_ALIGN_CENTER);
}

static void
zoom_by (AllavaImageViewer *self, double factor)
{
  set_zoom (self, (self->zoom > 0 ? self->zoom : get_fit_zoom (self)) * factor);
}

static void
zoom_in_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  zoom_by (ALLAVA_IMAGE_VIEWER (widget), 1.25);
}

static void
zoom_out_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  zoom_by (ALLAVA_IMAGE_VIEWER (widget), 1 / 1.25);
}

static void
zoom_fit_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  set_zoom (ALLAVA_IMAGE_VIEWER (widget), 0);
}

static void
zoom_one_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  set_zoom (ALLAVA_IMAGE_VIEWER (widget), 1);
}

static gboolean
scroll_cb (GtkEventControllerScroll *controller, double dx, double dy, AllavaImageViewer *self)
{
  GdkModifierType state =
      gtk_event_controller_get_current_event_state (GTK_EVENT_CONTROLLER (controller));
  if (!(state & GDK_CONTROL_MASK))
    return GDK_EVENT_PROPAGATE;
  zoom_by (self, dy < 0 ? 1.1 : 1 / 1.1);
  return GDK_EVENT_STOP;
}

static void
pinch_begin_cb (AllavaImageViewer *self)
{
  self->gesture_zoom = self->zoom > 0 ? self->zoom : get_fit_zoom (self);
}

static void
pinch_cb (GtkGestureZoom *gesture, double scale, AllavaImageViewer *self)
{
  set_zoom (self, self->gesture_zoom * scale);
}

/* ---- What is shown --------------------------------------------------------------------------- */

static void
show_pixbuf (AllavaImageViewer *self, GdkPixbuf *pixbuf, const char *caption)
{
  g_autoptr (GdkTexture) texture = gdk_texture_new_for_pixbuf (pixbuf);
  gtk_picture_set_paintable (self->picture, GDK_PAINTABLE (texture));
  gtk_label_set_text (self->caption, caption);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->picture), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  caption, -1);
  set_zoom (self, 0);
  allava_pages_show (self->stack, "image");
}

static void
show_error (AllavaImageViewer *self, const GError *error)
{
  g_autofree char *escaped = g_markup_escape_text (error->message, -1);
  adw_status_page_set_description (self->error_page, escaped);
  gtk_label_set_text (self->caption, "");
  allava_pages_show (self->stack, "error");
  g_autofree char *message =
      g_strdup_printf ("%s. %s", adw_status_page_get_title (self->error_page), error->message);
  allava_announcer_say (GTK_WIDGET (self->error_page), message, NULL);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaImageViewer) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) pixbuf =
      allava_image_load_pixbuf_finish (ALLAVA_IMAGE (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (!pixbuf) {
    show_error (self, error);
    return;
  }
  g_autofree char *caption =
      g_strdup_printf (_ ("%d × %d pixels"), allava_image_get_width (self->image),
                       allava_image_get_height (self->image));
  show_pixbuf (self, pixbuf, caption);
}

static void
shown_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaImageViewer) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) pixbuf =
      allava_generator_show_finish (ALLAVA_GENERATOR (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (!pixbuf) {
    show_error (self, error);
    return;
  }
  g_autofree char *caption = g_strdup_printf (
      _ ("What the model sees: %d × %d pixels, with a border where the image is not square"),
      gdk_pixbuf_get_width (pixbuf), gdk_pixbuf_get_height (pixbuf));
  show_pixbuf (self, pixbuf, caption);
}

static void
load (AllavaImageViewer *self)
{
  g_cancellable_cancel (self->cancellable);
  g_object_unref (self->cancellable);
  self->cancellable = g_cancellable_new ();
  allava_pages_show (self->stack, "loading");
  if (gtk_toggle_button_get_active (self->model_view_button))
    allava_generator_show_async (allava_library_get_generator (self->library), self->image,
                                 self->cancellable, shown_cb, g_object_ref (self));
  else
    allava_image_load_pixbuf_async (self->image, MAX_SIDE, self->cancellable, loaded_cb,
                                    g_object_ref (self));
}

static void
model_view_toggled_cb (AllavaImageViewer *self)
{
  load (self);
}

/* ---- The window ------------------------------------------------------------------------------ */

static void
allava_image_viewer_dispose (GObject *object)
{
  AllavaImageViewer *self = ALLAVA_IMAGE_VIEWER (object);
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->library);
  g_clear_object (&self->image);
  G_OBJECT_CLASS (allava_image_viewer_parent_class)->dispose (object);
}

static void
allava_image_viewer_finalize (GObject *object)
{
  g_object_unref (ALLAVA_IMAGE_VIEWER (object)->cancellable);
  G_OBJECT_CLASS (allava_image_viewer_parent_class)->finalize (object);
}

static void
add_shortcuts (GtkWidgetClass *widget_class)
{
  static const struct {
    guint key;
    const char *action;
  } shortcuts[] = {
      {GDK_KEY_plus, "viewer.zoom-in"},         {GDK_KEY_equal, "viewer.zoom-in"},
      {GDK_KEY_KP_Add, "viewer.zoom-in"},       {GDK_KEY_minus, "viewer.zoom-out"},
      {GDK_KEY_KP_Subtract, "viewer.zoom-out"}, {GDK_KEY_0, "viewer.zoom-fit"},
      {GDK_KEY_1, "viewer.zoom-one"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (shortcuts); i++) {
    gtk_widget_class_add_binding_action (widget_class, shortcuts[i].key, 0, shortcuts[i].action,
                                         NULL);
    gtk_widget_class_add_binding_action (widget_class, shortcuts[i].key, GDK_CONTROL_MASK,
                                         shortcuts[i].action, NULL);
  }
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void
allava_image_viewer_class_init (AllavaImageViewerClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_image_viewer_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_image_viewer_finalize;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-image-viewer.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, window_title);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, model_view_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, stack);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, scroller);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, picture);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, error_page);
  gtk_widget_class_bind_template_child (widget_class, AllavaImageViewer, caption);
  gtk_widget_class_bind_template_callback (widget_class, model_view_toggled_cb);
  gtk_widget_class_install_action (widget_class, "viewer.zoom-in", NULL, zoom_in_action);
  gtk_widget_class_install_action (widget_class, "viewer.zoom-out", NULL, zoom_out_action);
  gtk_widget_class_install_action (widget_class, "viewer.zoom-fit", NULL, zoom_fit_action);
  gtk_widget_class_install_action (widget_class, "viewer.zoom-one", NULL, zoom_one_action);
  add_shortcuts (widget_class);
}

static void
allava_image_viewer_init (AllavaImageViewer *self)
{
  self->cancellable = g_cancellable_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
  allava_pages_name_status (self->error_page);

  GtkEventController *scroll =
      gtk_event_controller_scroll_new (GTK_EVENT_CONTROLLER_SCROLL_VERTICAL);
  gtk_event_controller_set_propagation_phase (scroll, GTK_PHASE_CAPTURE);
  g_signal_connect (scroll, "scroll", G_CALLBACK (scroll_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->scroller), scroll);
  GtkGesture *pinch = gtk_gesture_zoom_new ();
  g_signal_connect_swapped (pinch, "begin", G_CALLBACK (pinch_begin_cb), self);
  g_signal_connect (pinch, "scale-changed", G_CALLBACK (pinch_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->scroller), GTK_EVENT_CONTROLLER (pinch));
}

GtkWindow *
allava_image_viewer_new (AllavaLibrary *library, AllavaImage *image, GtkWindow *parent)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (library), NULL);
  g_return_val_if_fail (ALLAVA_IS_IMAGE (image), NULL);

  AllavaImageViewer *self = g_object_new (ALLAVA_TYPE_IMAGE_VIEWER, "transient-for", parent, NULL);
  self->library = g_object_ref (library);
  self->image = g_object_ref (image);
  const char *name = allava_image_get_name (image);
  gtk_window_set_title (GTK_WINDOW (self), name);
  adw_window_title_set_title (self->window_title, name);
  load (self);
  return GTK_WINDOW (self);
}
