/* topology.h - how much of the machine this process may use. */
#pragma once

typedef struct {
  int cpus;  /* hardware threads: the affinity mask, and no more than the cgroup's quota */
  int cores; /* physical cores among them: siblings count once */
} AllavaTopology;

AllavaTopology allava_topology_read (void); /* at least 1 of each */

/* How many CPUs' worth of time the cgroup in DIR grants by its cpu.max ("QUOTA PERIOD", or "max
 * PERIOD"), rounded up; at most LIMIT. */
int allava_topology_read_quota (const char *dir, int limit);
