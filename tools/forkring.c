/* SPDX-License-Identifier: MIT */
/*
 * forkring: look at the arenas of this machine, check and recover them, and remove
 * those that nobody uses any more. forkring(1) says what each command prints.
 *
 * A process that looks at an arena is attached to it for that moment, like any
 * other; and removing one is the library's (fr_arena_remove_dead), which proves by
 * the file's locks that nobody is attached. Here a slot whose holder lives without
 * its lock (see lib/liveness.c) keeps its arena, too.
 */
#include "forkring.h"
#include "process.h" /* of lib/: slots, and who is dead */

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm"
#define PREFIX "forkring."

/* Exit statuses; the worst of all that was done. */
enum status {
	GOOD,
	NO,      /* check: faults; rm: in use */
	TROUBLE, /* not done: no such arena, no permission, wrong usage */
};

static const char help[] =
	"Usage: forkring COMMAND [OPTION]... [NAME]...\n"
	"Look after the arenas of this machine: the files " DIRECTORY
	"/" PREFIX "NAME.\n"
	"\n"
	"  ls            list all arenas\n"
	"  ls NAME...    list the processes of these (ls -v: of all)\n"
	"  check NAME... check every invariant; print the faults\n"
	"  recover NAME...\n"
	"                give back what dead processes hold\n"
	"  rm NAME...    remove arenas that nobody uses (-f: in use, too)\n"
	"  gc            remove all arenas that nobody uses (-n: only say)\n"
	"\n"
	"  --help        this text\n"
	"  --version     the version\n"
	"\n"
	"Status: 0 good; 1 check found faults, or rm an arena in use; 2 trouble.\n";

/* ---- saying ---- */

__attribute__((format(printf, 1, 2))) static enum status trouble(
	const char *format, ...)
{
	va_list args;

	fputs("forkring: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TROUBLE;
}

/* A name in one word: blanks, control characters and \ as \ooo; "-" for none. */
static const char *word_of(const char *name, char *text)
{
	char *to = text;

	if (name[0] == '\0')
		return "-";
	if (strcmp(name, "-") == 0)
		return "\\055";
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == 0x7f || *name == '\\')
			to += sprintf(to, "\\%03o", (unsigned char)*name);
		else
			*to++ = *name;
	*to = '\0';
	return text;
}

#define WORD(name) word_of(name, (char[4 * FR__NAME_BYTES]){0})

static const char *reason(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "no such arena (forkring ls shows those there are)";
	case -EINVAL:
	case -ENAMETOOLONG:
		return "no name of an arena: 1 to 47 bytes, no /, not . or ..";
	case -EACCES:
		return "no permission to read and write it";
	case -EPERM:
		return "it belongs to another user";
	case -EPROTO:
		return "not an arena, or of another version of forkring: "
		       "rm -f removes it";
	case -EBADMSG:
		return "damaged: end its processes, then rm removes it";
	case -ELOOP:
		return "a symbolic link stands in its place: rm -f removes it";
	case -EISDIR:
		return "a directory stands in its place: remove that by hand";
	case -EBUSY:
		return "in use";
	default:
		return strerror(-rc);
	}
}

static enum status failed(const char *name, int rc)
{
	/* A name that is none may be of any length. */
	if (rc == -EINVAL || rc == -ENAMETOOLONG)
		return trouble("%s: %s", name, reason(rc));
	return trouble("%s: %s", WORD(name), reason(rc));
}

static enum status worst(enum status a, enum status b)
{
	return a > b ? a : b;
}

/* ---- looking ---- */

/* An arena as it was a moment ago. */
struct view {
	int rc; /* of attaching to it */
	off_t bytes;
	unsigned slots, alive, dead;
	bool locked; /* by any other process that is attached */
};

static uint64_t state_of(struct fr_arena *a, unsigned slot, bool *dead)
{
	/* as [PROCESS-1] of lib/ */
	uint64_t word = fr__load_acquire(&a->slots[slot].state);

	pthread_mutex_lock(&a->join_mutex);
	*dead = fr__dead(a, slot, word);
	pthread_mutex_unlock(&a->join_mutex);
	return word;
}

/* Has another process a lock on it? */
static bool is_locked(int fd)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_len = FR__ATTACHED_BYTE + 1,
	};

	return fcntl(fd, F_GETLK, &lock) == -1 || lock.l_type != F_UNLCK;
}

static void count_processes(struct fr_arena *a, struct view *v)
{
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		bool dead;
		uint64_t word = state_of(a, i, &dead);

		if (fr__slot_state(word) < FR__SLOT_JOINING)
			continue;
		v->dead += dead;
		v->alive += !dead;
	}
}

static void path_of(const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s%s", DIRECTORY, PREFIX, name);
}

static void look_at(const char *name, struct view *v)
{
	char path[sizeof(DIRECTORY PREFIX) + FR__NAME_BYTES];
	struct fr_arena *a;
	struct stat st;

	*v = (struct view){.rc = fr_arena_attach(name, NULL, &a)};
	path_of(name, path, sizeof(path));
	if (lstat(path, &st) == 0)
		v->bytes = st.st_size;
	if (v->rc < 0)
		return;
	v->slots = a->geo.slots;
	v->locked = is_locked(fr_arena_fd(a));
	count_processes(a, v);
	fr_arena_detach(a);
}

static bool in_use(const struct view *v)
{
	return v->rc == -EBUSY || v->locked || v->alive > 0;
}

/* Of a file that nobody can attach to: does it begin like an arena? */
static bool has_magic(const char *name)
{
	char path[sizeof(DIRECTORY PREFIX) + FR__NAME_BYTES];
	uint64_t magic = 0;
	ssize_t n;
	int fd;

	path_of(name, path, sizeof(path));
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, &magic, sizeof(magic));
	close(fd);
	return n == sizeof(magic) && magic == FR__MAGIC;
}

static const char *state_word(const char *name, const struct view *v)
{
	switch (v->rc) {
	case 0:
	case -EBUSY:
		return in_use(v) ? "in use" : "dead";
	case -EBADMSG:
		return has_magic(name) ? "damaged" : "no arena";
	case -EPROTO:
	case -ELOOP:
		return has_magic(name) ? "other version" : "no arena";
	default:
		return "not readable";
	}
}

/* ---- all arenas ---- */

struct names {
	struct dirent **entries;
	int count;
};

static int is_arena(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), prefix = strlen(PREFIX);

	return strncmp(entry->d_name, PREFIX, prefix) == 0 && len > prefix &&
	       fr__name_check(entry->d_name + prefix) == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum status find_all(struct names *n)
{
	n->count = scandir(DIRECTORY, &n->entries, is_arena, by_bytes);
	return n->count < 0 ? trouble("%s: %s", DIRECTORY, strerror(errno))
			    : GOOD;
}

static const char *name_at(const struct names *n, int i)
{
	return n->entries[i]->d_name + strlen(PREFIX);
}

static void forget(struct names *n)
{
	while (n->count > 0)
		free(n->entries[--n->count]);
	free(n->entries);
}

/* ---- ls ---- */

static void print_view(const char *name, const struct view *v, int width)
{
	const char *state = state_word(name, v);

	if (v->rc < 0)
		printf("%-*s  %12lld  %5s  %5s  %5s  %s\n", width, WORD(name),
		       (long long)v->bytes, "-", "-", "-", state);
	else
		printf("%-*s  %12lld  %5u  %5u  %5u  %s\n", width, WORD(name),
		       (long long)v->bytes, v->slots, v->alive, v->dead, state);
}

static int widest(const struct names *n)
{
	int width = (int)strlen("NAME"), i, len;

	for (i = 0; i < n->count; i++) {
		len = (int)strlen(WORD(name_at(n, i)));
		width = len > width ? len : width;
	}
	return width;
}

static enum status list_arenas(const struct names *n)
{
	int width = widest(n), i;
	struct view v;

	printf("%-*s  %12s  %5s  %5s  %5s  %s\n", width, "NAME", "BYTES",
	       "SLOTS", "ALIVE", "DEAD", "STATE");
	for (i = 0; i < n->count; i++) {
		look_at(name_at(n, i), &v);
		if (v.rc != -ENOENT) /* removed just now */
			print_view(name_at(n, i), &v, width);
	}
	return GOOD;
}

static const char *process_state(uint64_t word, bool dead)
{
	static const char *const names[] = {
		[FR__SLOT_RESERVED] = "reserved",
		[FR__SLOT_JOINING] = "joining",
		[FR__SLOT_JOINED] = "joined",
		[FR__SLOT_LEAVING] = "leaving",
		[FR__SLOT_RECOVERING] = "recovering",
		[FR__SLOT_DEAD] = "dead",
	};

	if (fr__slot_state(word) > FR__SLOT_DEAD)
		return "damaged";
	return dead ? "dead" : names[fr__slot_state(word)];
}

static void print_process(struct fr_arena *a, const char *arena, unsigned slot,
			  int width)
{
	char name[FR__NAME_BYTES] = "", pid[16] = "-";
	bool dead;
	uint64_t word = state_of(a, slot, &dead);

	if (fr__slot_state(word) == FR__SLOT_FREE)
		return;
	if (fr__slot_state(word) != FR__SLOT_RESERVED)
		snprintf(pid, sizeof(pid), "%u", fr__slot_who(word));
	if (fr__slot_state(word) > FR__SLOT_JOINING)
		fr__name_load(a->slots[slot].name, name);
	printf("%-*s  %4u  %10s  %-10s  %s\n", width, WORD(arena), slot, pid,
	       process_state(word, dead), WORD(name));
}

static enum status list_processes(const char *name, int width)
{
	struct fr_arena *a;
	unsigned i;
	int rc = fr_arena_attach(name, NULL, &a);

	if (rc < 0)
		return failed(name, rc);
	for (i = 0; i < a->geo.slots; i++)
		print_process(a, name, i, width);
	fr_arena_detach(a);
	return GOOD;
}

static void print_process_head(int width)
{
	printf("%-*s  %4s  %10s  %-10s  %s\n", width, "ARENA", "SLOT", "PID",
	       "STATE", "NAME");
}

static enum status list_all(bool verbose)
{
	enum status status;
	struct names n;
	int i, width;

	status = find_all(&n);
	if (status != GOOD)
		return status;
	width = widest(&n);
	width = verbose && width < 5 ? 5 : width;
	if (!verbose)
		status = list_arenas(&n);
	else
		print_process_head(width);
	for (i = 0; verbose && i < n.count; i++)
		status = worst(status, list_processes(name_at(&n, i), width));
	forget(&n);
	return status;
}

static enum status ls(bool verbose, char **names)
{
	enum status status = GOOD;
	int width = (int)strlen("ARENA"), len, i;

	if (!names[0])
		return list_all(verbose);
	for (i = 0; names[i]; i++) {
		len = fr__name_check(names[i]) < 0
			      ? 0 : (int)strlen(WORD(names[i]));
		width = len > width ? len : width;
	}
	print_process_head(width);
	for (i = 0; names[i]; i++)
		status = worst(status, list_processes(names[i], width));
	return status;
}

/* ---- check, recover ---- */

static void print_fault(void *name, const char *fault)
{
	printf("%s: %s\n", WORD((const char *)name), fault);
}

static enum status check(char *name)
{
	struct fr_arena *a;
	int rc = fr_arena_attach(name, NULL, &a);

	if (rc < 0)
		return failed(name, rc);
	rc = fr_check(a, print_fault, name);
	fr_arena_detach(a);
	if (rc < 0)
		return failed(name, rc);
	if (rc == 0)
		printf("%s: no faults\n", WORD(name));
	return rc == 0 ? GOOD : NO;
}

static enum status recover(char *name)
{
	struct fr_arena *a;
	int rc = fr_arena_attach(name, NULL, &a);

	if (rc < 0)
		return failed(name, rc);
	rc = fr_recover(a);
	fr_arena_detach(a);
	if (rc < 0)
		return failed(name, rc);
	printf("%s: recovered %d process%s\n", WORD(name), rc,
	       rc == 1 ? "" : "es");
	return GOOD;
}

/* ---- rm, gc ---- */

/* Remove it, if nobody uses it: 0, -EBUSY, -errno. */
static int remove_unused(const char *name)
{
	struct view v;

	look_at(name, &v);
	return in_use(&v) ? -EBUSY : fr_arena_remove_dead(name);
}

static enum status remove_one(const char *name, bool force)
{
	int rc = fr__name_check(name), why;

	why = rc = rc < 0 ? rc : remove_unused(name);
	if (rc < 0 && force)
		rc = fr_arena_unlink(name);
	if (rc == -EBUSY) {
		trouble("%s: in use: end its processes (forkring ls NAME shows "
			"them), or rm -f takes the name from them", WORD(name));
		return NO;
	}
	if (rc < 0)
		return failed(name, rc);
	printf("removed %s%s\n", WORD(name),
	       why == -EBUSY ? ", which is in use" : "");
	return GOOD;
}

/* Would fr_arena_remove_dead() remove it? */
static int is_unused(const char *name)
{
	char path[sizeof(DIRECTORY PREFIX) + FR__NAME_BYTES];
	struct view v;
	bool locked;
	int fd;

	look_at(name, &v);
	if (v.rc == 0 || (v.rc != -EBADMSG && v.rc != -EPROTO))
		return v.rc < 0 ? v.rc : !in_use(&v);
	/* It cannot be attached to: look at its locks all the same. */
	if (!has_magic(name))
		return -EPROTO;
	path_of(name, path, sizeof(path));
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	locked = is_locked(fd);
	close(fd);
	return !locked;
}

static enum status collect_one(const char *name, bool only_say)
{
	int rc = is_unused(name);

	if (rc == 1 && !only_say) {
		rc = fr_arena_remove_dead(name);
		rc = rc < 0 ? rc : 1;
	}
	if (rc == 1)
		printf("%s %s\n", only_say ? "would remove" : "removed",
		       WORD(name));
	/* Not ours to remove, or somebody was quicker. */
	if (rc >= 0 || rc == -EBUSY || rc == -ENOENT || rc == -EACCES ||
	    rc == -EPERM || rc == -EPROTO || rc == -ELOOP)
		return GOOD;
	return failed(name, rc);
}

static enum status gc(bool only_say)
{
	enum status status;
	struct names n;
	int i;

	status = find_all(&n);
	if (status != GOOD)
		return status;
	for (i = 0; i < n.count; i++)
		status = worst(status, collect_one(name_at(&n, i), only_say));
	forget(&n);
	return status;
}

/* ---- the command line ---- */

static const struct command {
	const char *name;
	const char *letters; /* the option that it takes */
	struct option options[2];
	bool names; /* takes some */
} commands[] = {
	{"ls", "v", {{"verbose", no_argument, NULL, 'v'}}, true},
	{"check", "", {{0}}, true},
	{"recover", "", {{0}}, true},
	{"rm", "f", {{"force", no_argument, NULL, 'f'}}, true},
	{"gc", "n", {{"dry-run", no_argument, NULL, 'n'}}, false},
};

static enum status run(const struct command *c, bool option, char **names)
{
	enum status status = GOOD;

	if (strcmp(c->name, "ls") == 0)
		return ls(option, names);
	if (strcmp(c->name, "gc") == 0)
		return names[0] ? trouble("gc takes no name: rm removes one "
					  "(see --help)")
				: gc(option);
	if (!names[0])
		return trouble("%s: which arena? Give a NAME (see --help)",
			       c->name);
	for (; *names; names++)
		status = worst(status,
			       strcmp(c->name, "check") == 0 ? check(*names)
			       : strcmp(c->name, "recover") == 0
				       ? recover(*names)
				       : remove_one(*names, option));
	return status;
}

static enum status run_command(int argc, char **argv)
{
	const struct command *c = NULL;
	bool option = false;
	size_t i;
	int got;

	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			c = &commands[i];
	if (!c)
		return trouble("%s: no such command (see --help)", argv[0]);
	optind = 0; /* anew */
	while ((got = getopt_long(argc, argv, c->letters, c->options, NULL)) !=
	       -1) {
		if (got == '?')
			return trouble("%s: no such option: %s (see --help)",
				       c->name, argv[optind - 1]);
		option = true;
	}
	return run(c, option, argv + optind);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	enum status status = GOOD;
	int got;

	opterr = 0;
	got = getopt_long(argc, argv, "+hV", options, NULL);
	if (got == 'h')
		fputs(help, stdout);
	else if (got == 'V')
		printf("forkring %s\n", fr_version());
	else if (got == '?')
		status = trouble("no such option: %s (see --help)",
				 argv[optind - 1]);
	else if (optind == argc)
		status = trouble("give a command: ls, check, recover, rm or gc "
				 "(see --help)");
	else
		status = run_command(argc - optind, argv + optind);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = trouble("cannot write: %s", strerror(errno));
	return status;
}
