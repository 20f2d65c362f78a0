#include "topology.h"
#include "cgroup.h"
#include <sched.h>
#include <stdio.h>

/* The lowest CPU of MASK that shares CPU's core. */
static int
first_sibling (int cpu, const cpu_set_t *mask)
{
  g_autofree char *path =
      g_strdup_printf ("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  g_autofree char *list = NULL;
  if (!g_file_get_contents (path, &list, NULL, NULL))
    return cpu;

  g_auto (GStrv) ranges = g_strsplit (list, ",", -1); /* "0,64" or "0-1" */
  for (char **range = ranges; *range != NULL; range++) {
    int first, last;
    int n = sscanf (*range, "%d-%d", &first, &last);
    if (n == 1)
      last = first;
    for (int i = first; n >= 1 && i >= 0 && i <= last && i <= cpu; i++)
      if (CPU_ISSET (i, mask))
        return i;
  }
  return cpu;
}

int
allava_topology_read_quota (const char *dir, int limit)
{
  g_autofree char *path = g_build_filename (dir, "cpu.max", NULL);
  g_autofree char *text = NULL;
  long long quota, period;
  if (!g_file_get_contents (path, &text, NULL, NULL) ||
      sscanf (text, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0)
    return limit;
  return (int)MIN ((quota - 1) / period + 1, limit);
}

/* The tightest quota of our cgroup (v2) and those above it. */
static int
read_quotas (int limit)
{
  g_autoptr (GPtrArray) dirs = allava_cgroup_list ("/", "");
  for (guint i = 0; i < dirs->len; i++)
    limit = allava_topology_read_quota (dirs->pdata[i], limit);
  return limit;
}

AllavaTopology
allava_topology_read (void)
{
  AllavaTopology topology = {0};
  cpu_set_t mask;
  if (sched_getaffinity (0, sizeof mask, &mask) != 0) { /* more CPUs than a cpu_set_t holds */
    topology.cpus = topology.cores = (int)g_get_num_processors ();
  } else {
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET (cpu, &mask)) {
        topology.cpus++;
        topology.cores += first_sibling (cpu, &mask) == cpu;
      }
  }
  topology.cpus = MAX (1, read_quotas (topology.cpus));
  topology.cores = CLAMP (topology.cores, 1, topology.cpus);
  return topology;
}
