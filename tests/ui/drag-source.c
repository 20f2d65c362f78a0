/* drag-source WHAT FILE...: a window to drag from. WHAT is "files", or "image" for the first FILE's
 * pixels, as a browser offers them; or "link", and FILE is an address, which goes onto the
 * clipboard instead, as a browser puts it there. */
#include <gtk/gtk.h>

static char **arguments;

static GdkContentProvider *
prepare_cb (GtkDragSource *source, double x, double y, gpointer user_data)
{
  if (g_strcmp0 (arguments[0], "image") == 0) {
    g_autoptr (GdkTexture) texture = gdk_texture_new_from_filename (arguments[1], NULL);
    return gdk_content_provider_new_typed (GDK_TYPE_TEXTURE, texture);
  }
  GSList *files = NULL;
  for (char **name = arguments + 1; *name; name++)
    files = g_slist_append (files, g_file_new_for_path (*name));
  GdkFileList *list = gdk_file_list_new_from_list (files);
  g_slist_free_full (files, g_object_unref);
  GdkContentProvider *provider = gdk_content_provider_new_typed (GDK_TYPE_FILE_LIST, list);
  g_boxed_free (GDK_TYPE_FILE_LIST, list);
  return provider;
}

static void
copy_link (GdkClipboard *clipboard, const char *address)
{
  g_autofree char *list = g_strconcat (address, "\r\n", NULL);
  g_autoptr (GBytes) bytes = g_bytes_new (list, strlen (list));
  GdkContentProvider *providers[] = {
      gdk_content_provider_new_for_bytes ("text/uri-list", bytes),
      gdk_content_provider_new_typed (G_TYPE_STRING, address),
  };
  g_autoptr (GdkContentProvider) both = gdk_content_provider_new_union (providers, 2);
  gdk_clipboard_set_content (clipboard, both);
}

static void
activate_cb (GtkApplication *application)
{
  GtkWidget *window = gtk_application_window_new (application);
  GtkWidget *label = gtk_label_new ("Drag me");
  GtkDragSource *source = gtk_drag_source_new ();
  g_signal_connect (source, "prepare", G_CALLBACK (prepare_cb), NULL);
  gtk_widget_add_controller (label, GTK_EVENT_CONTROLLER (source));
  gtk_window_set_child (GTK_WINDOW (window), label);
  gtk_window_set_title (GTK_WINDOW (window), "drag-source");
  gtk_window_set_decorated (GTK_WINDOW (window), FALSE);
  gtk_window_set_default_size (GTK_WINDOW (window), 120, 120);
  gtk_window_present (GTK_WINDOW (window));
  if (g_strcmp0 (arguments[0], "link") == 0)
    copy_link (gtk_widget_get_clipboard (window), arguments[1]);
}

int
main (int argc, char **argv)
{
  arguments = argv + 1;
  if (argc < 3)
    return 2;
  g_autoptr (GtkApplication) application = gtk_application_new (NULL, G_APPLICATION_NON_UNIQUE);
  g_signal_connect (application, "activate", G_CALLBACK (activate_cb), NULL);
  return g_application_run (G_APPLICATION (application), 1, argv);
}
