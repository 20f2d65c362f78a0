#include "allava-paging.h"

#include <math.h>

static GtkAdjustment *
get_adjustment (GtkWidget *list)
{
  return gtk_scrollable_get_vadjustment (GTK_SCROLLABLE (list));
}

/* What has the focus in LIST, or NULL; a popover of an item is not in it. */
static GtkWidget *
get_focus (GtkWidget *list)
{
  GtkRoot *root = gtk_widget_get_root (list);
  GtkWidget *focus = root ? gtk_root_get_focus (root) : NULL;
  if (!focus || !gtk_widget_is_ancestor (focus, list) ||
      gtk_widget_get_native (focus) != gtk_widget_get_native (list))
    return NULL;
  return focus;
}

/* How far KEY goes, down or (negative) up; 0: nowhere. A text and a button have their own use for
 * some of the keys. */
static double
get_distance (GtkWidget *focus, GtkWidget *item, guint key, GdkModifierType state, double page)
{
  switch (key) {
  case GDK_KEY_Page_Up:
  case GDK_KEY_KP_Page_Up:
    return state ? 0 : -page;
  case GDK_KEY_Page_Down:
  case GDK_KEY_KP_Page_Down:
    return state ? 0 : page;
  case GDK_KEY_space:
  case GDK_KEY_KP_Space:
    if (focus != item && !GTK_IS_LABEL (focus))
      return 0;
    return state == 0 ? page : state == GDK_SHIFT_MASK ? -page : 0;
  case GDK_KEY_Home:
  case GDK_KEY_KP_Home:
    return state == 0 && focus == item ? -G_MAXDOUBLE : 0;
  case GDK_KEY_End:
  case GDK_KEY_KP_End:
    return state == 0 && focus == item ? G_MAXDOUBLE : 0;
  default:
    return 0;
  }
}

static gboolean
key_pressed_cb (GtkEventControllerKey *keys,
                guint key,
                guint code G_GNUC_UNUSED,
                GdkModifierType state,
                gpointer user_data G_GNUC_UNUSED)
{
  GtkWidget *list = gtk_event_controller_get_widget (GTK_EVENT_CONTROLLER (keys));
  GtkWidget *focus = get_focus (list);
  GtkWidget *item = gtk_widget_get_focus_child (list);
  graphene_rect_t bounds;
  if (!focus || !item || !gtk_widget_compute_bounds (item, list, &bounds))
    return GDK_EVENT_PROPAGATE;
  GtkAdjustment *adjustment = get_adjustment (list);
  double above = fmax (0, -bounds.origin.y);
  double below =
      fmax (0, bounds.origin.y + bounds.size.height - gtk_adjustment_get_page_size (adjustment));
  double wanted = get_distance (focus, item, key, state & gtk_accelerator_get_default_mod_mask (),
                                gtk_adjustment_get_page_increment (adjustment));
  double distance = CLAMP (wanted, -above, below);
  if (fabs (distance) < 1)
    return GDK_EVENT_PROPAGATE;
  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_value (adjustment) + distance);
  return GDK_EVENT_STOP;
}

void
allava_paging_add_keys (GtkWidget *list)
{
  g_return_if_fail (GTK_IS_SCROLLABLE (list));

  GtkEventController *keys = gtk_event_controller_key_new ();
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_pressed_cb), NULL);
  gtk_widget_add_controller (list, keys);
}

void
allava_paging_show_focus (GtkWidget *list)
{
  g_return_if_fail (GTK_IS_SCROLLABLE (list));

  GtkWidget *focus = get_focus (list);
  graphene_rect_t bounds;
  if (!focus || gtk_widget_get_parent (focus) == list ||
      !gtk_widget_compute_bounds (focus, list, &bounds))
    return;
  GtkAdjustment *adjustment = get_adjustment (list);
  double top = gtk_adjustment_get_value (adjustment) + bounds.origin.y;
  gtk_adjustment_clamp_page (adjustment, top, top + bounds.size.height);
}
