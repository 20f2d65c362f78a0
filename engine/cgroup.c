#include "cgroup.h"

#include <string.h>

/* The group that TEXT, a /proc/self/cgroup of lines "ID:CONTROLLERS:PATH", gives for CONTROLLER. */
static char *
find_group (const char *text, const char *controller)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++) {
    g_auto (GStrv) fields = g_strsplit (*line, ":", 3);
    if (g_strv_length (fields) != 3)
      continue;
    g_auto (GStrv) controllers = g_strsplit (fields[1], ",", -1);
    if (*controller == '\0' ? *fields[1] == '\0'
                            : g_strv_contains ((const char *const *)controllers, controller))
      return g_strdup (fields[2]);
  }
  return NULL;
}

GPtrArray *
allava_cgroup_list (const char *root, const char *controller)
{
  g_autoptr (GPtrArray) dirs = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *path = g_build_filename (root, "proc/self/cgroup", NULL);
  g_autofree char *text = NULL;
  g_autofree char *group =
      g_file_get_contents (path, &text, NULL, NULL) ? find_group (text, controller) : NULL;
  while (group != NULL) {
    g_ptr_array_add (dirs, g_build_filename (root, "sys/fs/cgroup", controller, group, NULL));
    char *slash = strrchr (group, '/');
    if (slash == NULL)
      break;
    *slash = '\0';
  }
  return g_steal_pointer (&dirs);
}
