#include "allava-conversation-row.h"

#include "allava-row-menu.h"

#include <glib/gi18n.h>

struct _AllavaConversationRow {
  GtkWidget parent_instance;

  GtkLabel *heading;
  GtkLabel *title;
  GtkLabel *snippet;

  AllavaConversationItem *item;
  GSignalGroup *item_signals;
};

G_DEFINE_FINAL_TYPE (AllavaConversationRow, allava_conversation_row, GTK_TYPE_WIDGET)

static const char *
get_section_name (AllavaSection section)
{
  switch (section) {
  case ALLAVA_SECTION_TODAY:
    return _ ("Today");
  case ALLAVA_SECTION_YESTERDAY:
    return _ ("Yesterday");
  case ALLAVA_SECTION_WEEK:
    return _ ("Last 7 Days");
  case ALLAVA_SECTION_MONTH:
    return _ ("Last 30 Days");
  case ALLAVA_SECTION_OLDER:
    break;
  }
  return _ ("Older");
}

static void
update_spoken (AllavaConversationRow *self)
{
  GtkWidget *list_item = gtk_widget_get_parent (GTK_WIDGET (self));
  const char *section = get_section_name (allava_conversation_item_get_section (self->item));
  const char *title = gtk_label_get_text (self->title);
  /* Translators: what a screen reader says of a conversation: its title, "Yesterday" */
  g_autofree char *spoken = g_strdup_printf (_ ("%s, %s"), title, section);
  if (gtk_widget_get_visible (GTK_WIDGET (self->snippet))) {
    g_autofree char *plain = g_steal_pointer (&spoken);
    spoken = g_strdup_printf ("%s: %s", plain, gtk_label_get_text (self->snippet));
  }
  if (list_item)
    gtk_accessible_update_property (GTK_ACCESSIBLE (list_item), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    spoken, -1);
}

static void
update (AllavaConversationRow *self)
{
  if (!self->item)
    return;
  const char *title = allava_conversation_item_get_title (self->item);
  const char *snippet = allava_conversation_item_get_snippet_markup (self->item);
  gtk_label_set_text (self->title, title ? title : "…");
  gtk_widget_set_tooltip_text (GTK_WIDGET (self->title), title);
  if (snippet)
    gtk_label_set_markup (self->snippet, snippet);
  gtk_widget_set_visible (GTK_WIDGET (self->snippet), snippet != NULL);
  gtk_label_set_text (self->heading,
                      get_section_name (allava_conversation_item_get_section (self->item)));
  gtk_widget_set_visible (GTK_WIDGET (self->heading),
                          allava_conversation_item_get_starts_section (self->item));
  update_spoken (self);
}

void
allava_conversation_row_set_item (AllavaConversationRow *self, AllavaConversationItem *item)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION_ROW (self));

  g_set_object (&self->item, item);
  g_signal_group_set_target (self->item_signals, item);
  update (self);
}

AllavaConversationItem *
allava_conversation_row_get_item (AllavaConversationRow *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_ROW (self), NULL);
  return self->item;
}

static void
allava_conversation_row_dispose (GObject *object)
{
  AllavaConversationRow *self = ALLAVA_CONVERSATION_ROW (object);
  g_clear_object (&self->item_signals);
  g_clear_object (&self->item);
  allava_row_menu_clear (GTK_WIDGET (self));
  G_OBJECT_CLASS (allava_conversation_row_parent_class)->dispose (object);
}

static void
allava_conversation_row_class_init (AllavaConversationRowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_conversation_row_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-conversation-row.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaConversationRow, heading);
  gtk_widget_class_bind_template_child (widget_class, AllavaConversationRow, title);
  gtk_widget_class_bind_template_child (widget_class, AllavaConversationRow, snippet);
}

static void
allava_conversation_row_init (AllavaConversationRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->item_signals = g_signal_group_new (ALLAVA_TYPE_CONVERSATION_ITEM);
  g_signal_group_connect_swapped (self->item_signals, "notify", G_CALLBACK (update), self);
}

GtkWidget *
allava_conversation_row_new (void)
{
  return g_object_new (ALLAVA_TYPE_CONVERSATION_ROW, NULL);
}
