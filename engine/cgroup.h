/* cgroup.h - the control groups that this process is in (cgroups(7)). */
#pragma once

#include <glib.h>

/* The folders of this process's group and of all above it, the innermost first. CONTROLLER is that
 * of a v1 hierarchy ("memory"), or "" for the unified hierarchy of v2. ROOT is "/", but in tests.
 * Folders that are not there may be among them: a container often sees its own group as the root.
 */
GPtrArray *allava_cgroup_list (const char *root, const char *controller); /* of char * */
