/* SPDX-License-Identifier: MIT */
/*
 * The machine: its names for the output, its clock's governor, how fast it burns
 * time, and which two CPUs a pinned case uses: the first that this process may
 * use, and the next of another core in the same package where there is one (two
 * threads of one core share too much to be a fair place for two processes).
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>

static void cpu_name(char *name, size_t size)
{
	char line[256], *value;
	FILE *f = fopen("/proc/cpuinfo", "re");

	snprintf(name, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "model name", 10) != 0 &&
		    strncmp(line, "CPU part", 8) != 0)
			continue;
		value = strchr(line, ':');
		if (!value)
			continue;
		value += strspn(value, ": \t");
		value[strcspn(value, "\n")] = '\0';
		snprintf(name, size, "%s", value);
		break;
	}
	if (f)
		fclose(f);
}

/* "unknown" on virtual machines, which are not told. */
static void governor(int cpu, char *name, size_t size)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu);
	f = fopen(path, "re");
	if (!f || !fgets(name, (int)size, f))
		snprintf(name, size, "unknown");
	name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* A number of the CPU's place in the machine, -1: not told. */
static int topology(int cpu, const char *what)
{
	char path[128];
	int value = -1;
	FILE *f;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

/* How good cpu b is beside a: another core near by, else any core, else any. */
static int beside(int a, int b)
{
	bool near = topology(a, "physical_package_id") ==
		    topology(b, "physical_package_id");
	bool same = near && topology(a, "core_id") == topology(b, "core_id") &&
		    topology(a, "core_id") >= 0;

	return same ? 1 : near ? 3 : 2;
}

void machine_look(struct machine *ret)
{
	struct utsname uts;
	int best = 0, rank;
	cpu_set_t set;

	*ret = (struct machine){.cpu_a = -1, .cpu_b = -1};
	cpu_name(ret->cpu, sizeof(ret->cpu));
	if (uname(&uts) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s %s %s",
			 uts.sysname, uts.release, uts.machine);
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		CPU_SET(0, &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &set))
			continue;
		if (ret->cpus++ == 0) {
			ret->cpu_a = cpu;
			continue;
		}
		rank = beside(ret->cpu_a, cpu);
		if (rank > best) {
			best = rank;
			ret->cpu_b = cpu;
		}
	}
	governor(ret->cpu_a, ret->governor, sizeof(ret->governor));
}

/* Time that the CPUs have spent idle, and in all, since the start. */
static bool cpu_times(double *idle, double *all)
{
	unsigned long long t[8];
	FILE *f = fopen("/proc/stat", "re");
	int n = 0;

	if (f) {
		n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
			   &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6],
			   &t[7]);
		fclose(f);
	}
	*all = 0;
	for (int i = 0; i < n; i++)
		*all += (double)t[i];
	*idle = n == 8 ? (double)(t[3] + t[4]) : 0;
	return n == 8;
}

double machine_busy(void)
{
	struct timespec moment = {.tv_nsec = 200000000};
	double idle[2], all[2];

	if (!cpu_times(&idle[0], &all[0]))
		return 0;
	nanosleep(&moment, NULL);
	if (!cpu_times(&idle[1], &all[1]) || all[1] <= all[0])
		return 0;
	return 1 - (idle[1] - idle[0]) / (all[1] - all[0]);
}

/*
 * Each step waits for the one before: a few cycles, whatever else the CPU could
 * do meanwhile. No memory, no clock, and one piece of code for all peers.
 */
__attribute__((noinline)) void burn(uint64_t steps)
{
	uint64_t x = steps;

	for (; steps; steps--) {
		x = x * 5 + 1;
		__asm__ __volatile__("" : "+r"(x));
	}
}

double burn_speed(void)
{
	const uint64_t steps = 100000;
	uint64_t start, ns, least = UINT64_MAX;

	/* The fastest is the one that nobody interrupted. */
	for (unsigned i = 0; i < 200; i++) {
		start = now_ns();
		burn(steps);
		ns = now_ns() - start;
		least = ns < least ? ns : least;
	}
	return (double)steps / (double)least;
}

int machine_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}
