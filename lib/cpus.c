/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may use: the affinity mask, and the quota of the
 * control group (version 2: cpu.max of it and of every group above it; version
 * 1: cpu.cfs_quota_us and cpu.cfs_period_us).
 */
#include "forkring/supervisor.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "/sys/fs/cgroup"

/* Numbers of a quota file; false: none, or no limit. */
static bool read_quota(const char *path, long long *quota, long long *period)
{
	FILE *f = fopen(path, "re");
	int n;

	if (!f)
		return false;
	n = fscanf(f, "%lld %lld", quota, period);
	fclose(f);
	return n >= 1 && *quota > 0;
}

static unsigned whole(long long quota, long long period)
{
	return (unsigned)((quota + period - 1) / period);
}

/* The smallest quota from a version 2 group up to the root. */
static unsigned quota_v2(char *group, unsigned limit)
{
	char path[PATH_MAX + 64], *slash;
	long long quota, period = 100000;

	for (;;) {
		snprintf(path, sizeof(path), ROOT "%s/cpu.max", group);
		if (read_quota(path, &quota, &period) && period > 0 &&
		    whole(quota, period) < limit)
			limit = whole(quota, period);
		slash = strrchr(group, '/');
		if (!slash)
			return limit;
		*slash = '\0';
	}
}

static unsigned quota_v1(unsigned limit)
{
	long long quota, period, unused = 0;

	if (read_quota(ROOT "/cpu/cpu.cfs_quota_us", &quota, &unused) &&
	    read_quota(ROOT "/cpu/cpu.cfs_period_us", &period, &unused) &&
	    whole(quota, period) < limit)
		limit = whole(quota, period);
	return limit;
}

static unsigned affinity(void)
{
	int cpus = 1024;
	unsigned count = 0;

	/* The mask may be longer than cpu_set_t's. */
	for (; cpus <= 1 << 20 && count == 0; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);

		if (!set)
			break;
		if (sched_getaffinity(0, bytes, set) == 0)
			count = (unsigned)CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
	}
	return count ? count : 1;
}

unsigned fr_cpus(void)
{
	unsigned limit = affinity();
	char line[PATH_MAX + 8];
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		limit = quota_v2(line + 3, limit);
	}
	if (f)
		fclose(f);
	limit = quota_v1(limit);
	return limit ? limit : 1;
}
