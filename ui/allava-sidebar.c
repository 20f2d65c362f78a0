#include "allava-sidebar.h"

#include "allava-announcer.h"
#include "allava-conversation-row.h"
#include "allava-pages.h"
#include "allava-row-menu.h"

#include <adwaita.h>
#include <glib/gi18n.h>

struct _AllavaSidebar {
  GtkWidget parent_instance;

  GtkWidget *box;
  AdwHeaderBar *header;
  GtkWidget *new_button;
  GtkSearchBar *search_bar;
  GtkSearchEntry *search_entry;
  GtkStack *stack;
  GtkListView *list;
  AdwStatusPage *nothing_page;
  AdwStatusPage *error_page;

  AllavaConversationList *conversations;
  GtkSingleSelection *selection;
  gint64 selected_id;
  gboolean failed;
  gboolean other_query; /* than what the list was last read for */
  gboolean open_is_due; /* the first result, as soon as the list is read */
};

enum { OPENED, N_SIGNALS };

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (AllavaSidebar, allava_sidebar, GTK_TYPE_WIDGET)

static gboolean
is_searching (AllavaSidebar *self)
{
  const char *query = allava_conversation_list_get_query (self->conversations);
  return query && *query;
}

static void
update_page (AllavaSidebar *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->conversations));
  gboolean loading = allava_conversation_list_get_loading (self->conversations);
  const char *page = "list";
  if (self->failed)
    page = "error";
  else if (n == 0 && !loading)
    page = is_searching (self) ? "nothing" : "empty";
  allava_pages_show (self->stack, page);
}

static void
update_selection (AllavaSidebar *self)
{
  guint position = self->selected_id
                       ? allava_conversation_list_find (self->conversations, self->selected_id)
                       : GTK_INVALID_LIST_POSITION;
  gtk_single_selection_set_selected (self->selection, position);
}

static void
items_changed_cb (AllavaSidebar *self)
{
  update_page (self);
  update_selection (self);
}

void
allava_sidebar_select (AllavaSidebar *self, gint64 id)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));
  self->selected_id = id;
  update_selection (self);
}

void
allava_sidebar_show_error (AllavaSidebar *self, const char *message)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));
  self->failed = message != NULL;
  g_autofree char *escaped = message ? g_markup_escape_text (message, -1) : NULL;
  adw_status_page_set_description (self->error_page, escaped);
  update_page (self);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void
open_item (AllavaSidebar *self, AllavaConversationItem *item)
{
  self->open_is_due = FALSE;
  if (!item)
    return;
  gint64 id = allava_conversation_item_get_id (item);
  g_signal_emit (self, signals[OPENED], 0, id,
                 allava_conversation_list_get_hit (self->conversations, id));
}

static void
activated_cb (GtkListView *list, guint position, AllavaSidebar *self)
{
  g_autoptr (AllavaConversationItem) item =
      g_list_model_get_item (G_LIST_MODEL (self->conversations), position);
  open_item (self, item);
}

/* One click opens; GtkListView's own single-click mode would select whatever the pointer is on. */
static void
clicked_cb (GtkGestureClick *gesture, int n, double x, double y, AllavaSidebar *self)
{
  GtkWidget *row = gtk_event_controller_get_widget (GTK_EVENT_CONTROLLER (gesture));
  if (gtk_widget_contains (row, x, y))
    open_item (self, allava_conversation_row_get_item (ALLAVA_CONVERSATION_ROW (row)));
}

/* ---- The row's menu and keys ----------------------------------------------------------------- */

static void
append_item_action (GMenu *menu, const char *label, const char *action, gint64 id)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
  g_menu_item_set_action_and_target (item, action, "x", id);
  g_menu_append_item (menu, item);
}

static void
popup_menu (AllavaConversationRow *row, const GdkRectangle *at)
{
  gint64 id = allava_conversation_item_get_id (allava_conversation_row_get_item (row));
  g_autoptr (GMenu) menu = g_menu_new ();
  append_item_action (menu, _ ("_Rename…"), "win.rename-conversation-id", id);
  append_item_action (menu, _ ("_Export…"), "win.export-conversation-id", id);
  append_item_action (menu, _ ("_Delete"), "win.delete-conversation-id", id);
  allava_row_menu_popup (GTK_WIDGET (row), G_MENU_MODEL (menu), at);
}

static void
right_clicked_cb (GtkGestureClick *gesture, int n, double x, double y, gpointer user_data)
{
  GtkWidget *row = gtk_event_controller_get_widget (GTK_EVENT_CONTROLLER (gesture));
  popup_menu (ALLAVA_CONVERSATION_ROW (row), &(GdkRectangle){x, y, 1, 1});
}

static AllavaConversationRow *
get_focused_row (AllavaSidebar *self)
{
  GtkWidget *focus = gtk_root_get_focus (gtk_widget_get_root (GTK_WIDGET (self)));
  if (!focus || !gtk_widget_is_ancestor (focus, GTK_WIDGET (self->list)))
    return NULL;
  GtkWidget *child = gtk_widget_get_first_child (focus);
  return ALLAVA_IS_CONVERSATION_ROW (child) ? ALLAVA_CONVERSATION_ROW (child) : NULL;
}

static gboolean
menu_shortcut_cb (GtkWidget *widget, GVariant *parameters, gpointer user_data)
{
  AllavaConversationRow *row = get_focused_row (ALLAVA_SIDEBAR (widget));
  if (row)
    popup_menu (row, NULL);
  return row != NULL;
}

static gboolean
row_shortcut_cb (GtkWidget *widget, GVariant *action, gpointer user_data)
{
  AllavaConversationRow *row = get_focused_row (ALLAVA_SIDEBAR (widget));
  if (!row)
    return FALSE;
  gint64 id = allava_conversation_item_get_id (allava_conversation_row_get_item (row));
  return gtk_widget_activate_action (widget, g_variant_get_string (action, NULL), "x", id);
}

/* ---- Search ---------------------------------------------------------------------------------- */

static void
search_changed_cb (AllavaSidebar *self)
{
  const char *query = gtk_editable_get_text (GTK_EDITABLE (self->search_entry));
  if (g_strcmp0 (query, allava_conversation_list_get_query (self->conversations)) == 0)
    return;
  self->other_query = TRUE;
  self->open_is_due = FALSE;
  allava_announcer_forget (GTK_WIDGET (self->search_entry));
  allava_conversation_list_set_query (self->conversations, query);
}

static void
open_first (AllavaSidebar *self)
{
  g_autoptr (AllavaConversationItem) first =
      g_list_model_get_item (G_LIST_MODEL (self->conversations), 0);
  open_item (self, self->failed ? NULL : first);
}

/* Enter opens the best result; until the list is read, it shows what was asked for before. */
static void
search_activated_cb (AllavaSidebar *self)
{
  search_changed_cb (self);
  if (!is_searching (self))
    return;
  if (allava_conversation_list_get_loading (self->conversations))
    self->open_is_due = TRUE;
  else
    open_first (self);
}

static void
announce_results (AllavaSidebar *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->conversations));
  g_autofree char *text =
      n > 0 ? g_strdup_printf (ngettext ("%u conversation found", "%u conversations found", n), n)
            : g_strdup (_ ("No Results"));
  allava_announcer_say (GTK_WIDGET (self->search_entry), text, text);
}

/* Other results are looked at from their beginning. */
static void
loading_changed_cb (AllavaSidebar *self)
{
  update_page (self);
  if (allava_conversation_list_get_loading (self->conversations))
    return;
  if (self->other_query)
    gtk_widget_activate_action (GTK_WIDGET (self->list), "list.scroll-to-item", "u", 0);
  if (self->other_query && is_searching (self) && !self->failed)
    announce_results (self);
  self->other_query = FALSE;
  if (self->open_is_due)
    open_first (self);
}

void
allava_sidebar_start_search (AllavaSidebar *self)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));
  gtk_search_bar_set_search_mode (self->search_bar, TRUE);
  /* It takes keys only then, and what is typed before the next frame must not be lost. */
  gtk_widget_realize (GTK_WIDGET (gtk_editable_get_delegate (GTK_EDITABLE (self->search_entry))));
  gtk_widget_grab_focus (GTK_WIDGET (self->search_entry));
}

void
allava_sidebar_set_title_buttons (AllavaSidebar *self, gboolean folded)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));
  adw_header_bar_set_show_end_title_buttons (self->header, folded);
}

/* ---- The widget ------------------------------------------------------------------------------ */

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *item, AllavaSidebar *self)
{
  GtkWidget *row = allava_conversation_row_new ();
  GtkGesture *click = gtk_gesture_click_new ();
  g_signal_connect (click, "released", G_CALLBACK (clicked_cb), self);
  gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (click));
  GtkGesture *menu = gtk_gesture_click_new ();
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (menu), GDK_BUTTON_SECONDARY);
  g_signal_connect (menu, "pressed", G_CALLBACK (right_clicked_cb), NULL);
  gtk_widget_add_controller (row, GTK_EVENT_CONTROLLER (menu));
  gtk_list_item_set_child (item, row);
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  allava_conversation_row_set_item (ALLAVA_CONVERSATION_ROW (gtk_list_item_get_child (item)),
                                    gtk_list_item_get_item (item));
}

static void
unbind_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  GtkWidget *row = gtk_list_item_get_child (item);
  if (row)
    allava_conversation_row_set_item (ALLAVA_CONVERSATION_ROW (row), NULL);
}

static void
list_failed_cb (AllavaSidebar *self, const GError *error)
{
  allava_sidebar_show_error (self, error->message);
}

void
allava_sidebar_set_library (AllavaSidebar *self, AllavaLibrary *library)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));
  g_return_if_fail (ALLAVA_IS_LIBRARY (library));

  g_set_object (&self->conversations, allava_library_get_list (library));
  gtk_single_selection_set_model (self->selection, G_LIST_MODEL (self->conversations));
  g_signal_connect_object (self->conversations, "items-changed", G_CALLBACK (items_changed_cb),
                           self, G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  g_signal_connect_object (self->conversations, "notify::loading", G_CALLBACK (loading_changed_cb),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->conversations, "failed", G_CALLBACK (list_failed_cb), self,
                           G_CONNECT_SWAPPED);
  update_page (self);
}

/* The list alone would go back to where the focus was last, or to what was first once. */
static gboolean
focus_conversation (AllavaSidebar *self, guint position)
{
  gtk_widget_activate_action (GTK_WIDGET (self->list), "list.scroll-to-item", "u", position);
  g_autoptr (AllavaConversationItem) item =
      g_list_model_get_item (G_LIST_MODEL (self->conversations), position);
  for (GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (self->list)); item && child;
       child = gtk_widget_get_next_sibling (child)) {
    GtkWidget *row = gtk_widget_get_first_child (child);
    if (row && allava_conversation_row_get_item (ALLAVA_CONVERSATION_ROW (row)) == item)
      return gtk_widget_grab_focus (child);
  }
  return FALSE;
}

void
allava_sidebar_focus_list (AllavaSidebar *self)
{
  g_return_if_fail (ALLAVA_IS_SIDEBAR (self));

  guint selected = gtk_single_selection_get_selected (self->selection);
  if (!focus_conversation (self, selected == GTK_INVALID_LIST_POSITION ? 0 : selected))
    gtk_widget_grab_focus (self->new_button);
}

static void
allava_sidebar_dispose (GObject *object)
{
  AllavaSidebar *self = ALLAVA_SIDEBAR (object);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->selection);
  g_clear_object (&self->conversations);
  G_OBJECT_CLASS (allava_sidebar_parent_class)->dispose (object);
}

static void
add_shortcuts (GtkWidgetClass *widget_class)
{
  gtk_widget_class_add_binding (widget_class, GDK_KEY_F2, 0, row_shortcut_cb, "s",
                                "win.rename-conversation-id");
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Delete, 0, row_shortcut_cb, "s",
                                "win.delete-conversation-id");
  gtk_widget_class_add_binding (widget_class, GDK_KEY_F10, GDK_SHIFT_MASK, menu_shortcut_cb, NULL);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Menu, 0, menu_shortcut_cb, NULL);
}

static void
allava_sidebar_class_init (AllavaSidebarClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_sidebar_dispose;
  signals[OPENED] = g_signal_new ("opened", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 2, G_TYPE_INT64, G_TYPE_INT64);

  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-sidebar.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, box);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, header);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, new_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, search_bar);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, search_entry);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, stack);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, list);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, nothing_page);
  gtk_widget_class_bind_template_child (widget_class, AllavaSidebar, error_page);
  add_shortcuts (widget_class);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_sidebar_init (AllavaSidebar *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  allava_pages_name_status (self->nothing_page);
  allava_pages_name_status (self->error_page);
  self->selection = gtk_single_selection_new (NULL);
  gtk_single_selection_set_autoselect (self->selection, FALSE);
  gtk_single_selection_set_can_unselect (self->selection, TRUE);

  g_autoptr (GtkListItemFactory) factory = gtk_signal_list_item_factory_new ();
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), self);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), NULL);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_cb), NULL);
  gtk_list_view_set_factory (self->list, factory);
  gtk_list_view_set_model (self->list, GTK_SELECTION_MODEL (self->selection));
  g_signal_connect_object (self->list, "activate", G_CALLBACK (activated_cb), self, 0);

  gtk_search_bar_connect_entry (self->search_bar, GTK_EDITABLE (self->search_entry));
  g_signal_connect_object (self->search_entry, "search-changed", G_CALLBACK (search_changed_cb),
                           self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "stop-search",
                           G_CALLBACK (allava_sidebar_focus_list), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->search_entry, "activate", G_CALLBACK (search_activated_cb), self,
                           G_CONNECT_SWAPPED);
}
