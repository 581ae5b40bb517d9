/* SPDX-License-Identifier: MIT */
/*
 * Taking the place of an arena whose processes are all dead: opts.replace and
 * fr_arena_remove_dead(); who stands in the way, who races for it, and who is
 * killed over it. The test's own process is attached to nothing while others are
 * looked at: children are creators, joiners and replacers.
 */
#include "harness.h"

#include "arena.h" /* where the locks are; the word of removal */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm/forkring."

/* ---- helpers ---- */

static const char *path_of(const char *name)
{
	static char path[sizeof(DIRECTORY) + FR_NAME_MAX];

	snprintf(path, sizeof(path), DIRECTORY "%s", name);
	return path;
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

/* Does the name lead to this arena? */
static bool leads_to(const char *name, const struct fr_arena *a)
{
	struct stat by_name, by_arena;

	return lstat(path_of(name), &by_name) == 0 &&
	       fstat(fr_arena_fd(a), &by_arena) == 0 &&
	       by_name.st_dev == by_arena.st_dev &&
	       by_name.st_ino == by_arena.st_ino;
}

static int create_rc(const char *name, bool replace, struct fr_arena **ret)
{
	struct fr_arena_opts opts = small_arena;

	opts.replace = replace;
	return fr_arena_create(name, &opts, ret);
}

static unsigned joined(const struct fr_arena *a)
{
	struct fr_arena_info info;

	fr_arena_info(a, &info);
	return info.joined;
}

/* One that does something about an arena, says so, and stays. */
struct member {
	const char *name;
	int (*act)(struct member *m);
	struct fr_arena *a;
	struct fr_process *p;
	struct fr_addr reserved;
	int rc;
	pid_t pid, child;
	uint32_t ready, go, done, end;
};

static struct member *new_member(const char *name, int (*act)(struct member *m))
{
	struct member *m = shared(sizeof(*m));

	m->name = name;
	m->act = act;
	return m;
}

static int be_member(void *ctx)
{
	struct member *m = ctx;

	CHECK_RC(m->act(m), 0);
	advance(&m->ready);
	await(&m->end, 1);
	return 0;
}

static struct member *raise_member(const char *name,
				   int (*act)(struct member *m))
{
	struct member *m = new_member(name, act);

	m->pid = spawn(be_member, m);
	await(&m->ready, 1);
	return m;
}

static int create(struct member *m)
{
	return create_rc(m->name, false, &m->a);
}

static int create_and_join(struct member *m)
{
	int rc = create(m);

	return rc < 0 ? rc : fr_join(m->a, NULL, &m->p);
}

static int attach(struct member *m)
{
	return fr_arena_attach(m->name, NULL, &m->a);
}

static int attach_and_join(struct member *m)
{
	int rc = attach(m);

	return rc < 0 ? rc : fr_join(m->a, NULL, &m->p);
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

/* An arena that is all dead. */
static const char *dead_arena(void)
{
	const char *name = new_name();
	struct member *creator = raise_member(name, create_and_join);
	struct member *other = raise_member(name, attach_and_join);

	kill_hard(creator->pid);
	kill_hard(other->pid);
	return name;
}

/* It is in the way, and stays where it is. */
static void assert_in_the_way(const char *name, int replace_rc, int remove_rc)
{
	struct stat before, after;
	struct fr_arena *a;

	assert_int_equal(lstat(path_of(name), &before), 0);
	assert_rc(create_rc(name, true, &a), replace_rc);
	assert_rc(fr_arena_remove_dead(name), remove_rc);
	assert_int_equal(lstat(path_of(name), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mode, after.st_mode);
}

static void assert_live(const char *name)
{
	assert_in_the_way(name, -EEXIST, -EBUSY);
}

/* It is replaced by one that works. */
static void assert_replaced(const char *name)
{
	struct fr_process *p;
	struct fr_arena *a;

	assert_rc(create_rc(name, true, &a), 0);
	assert_true(leads_to(name, a));
	assert_int_equal(joined(a), 0);
	assert_rc(fr_join(a, NULL, &p), 0);
	fr_leave(p);
	assert_rc(fr_check(a, NULL, NULL), 0);
	fr_arena_detach(a);
	assert_false(exists(name));
}

/* ---- dead ones ---- */

static void a_dead_arena_is_replaced(void **state)
{
	(void)state;
	assert_replaced(dead_arena());
}

static void a_dead_arena_is_not_replaced_unless_asked_for(void **state)
{
	const char *name = dead_arena();
	struct fr_arena *a;

	(void)state;
	assert_rc(create_rc(name, false, &a), -EEXIST);
	assert_true(exists(name));
	assert_rc(fr_arena_remove_dead(name), 0);
}

static void a_dead_arena_is_removed(void **state)
{
	const char *name = dead_arena();

	(void)state;
	assert_rc(fr_arena_remove_dead(name), 0);
	assert_false(exists(name));
	assert_rc(fr_arena_remove_dead(name), -ENOENT);
}

static void an_arena_of_zombies_is_dead(void **state)
{
	const char *name = new_name();
	struct member *m = raise_member(name, create_and_join);
	siginfo_t info;

	(void)state;
	kill(m->pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)m->pid, &info, WEXITED | WNOWAIT),
			 0);
	assert_replaced(name);
	wait_status(m->pid);
}

static void with_nothing_to_replace_an_arena_is_just_created(void **state)
{
	(void)state;
	assert_replaced(new_name());
}

static void an_arena_that_all_have_left_is_replaced(void **state)
{
	struct fr_arena_opts opts = small_arena;
	const char *name = new_name();
	struct fr_arena *a;

	(void)state;
	opts.keep = true;
	assert_rc(fr_arena_create(name, &opts, &a), 0);
	fr_arena_detach(a);
	assert_true(exists(name));
	assert_replaced(name);
}

static void the_new_arena_may_be_of_another_size(void **state)
{
	const char *name = dead_arena();
	struct fr_arena_opts opts = small_arena;
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	opts.replace = true;
	opts.slots = 33;
	opts.mailbox_bytes = 65536;
	assert_rc(fr_arena_create(name, &opts, &a), 0);
	fr_arena_info(a, &info);
	assert_int_equal(info.slots, 33);
	fr_arena_detach(a);
}

static void a_damaged_arena_is_replaced_if_nobody_is_there(void **state)
{
	const char *name = dead_arena();

	(void)state;
	assert_int_equal(truncate(path_of(name), 100), 0);
	assert_replaced(name);
}

static int attach_what_was_replaced(struct member *m)
{
	struct fr_process *p;
	int rc = attach(m);

	CHECK_RC(rc, 0);
	CHECK(joined(m->a) == 1); /* the replacer, none of the dead */
	CHECK_RC(fr_join(m->a, NULL, &p), 0);
	fr_leave(p);
	return 0;
}

static void who_attaches_afterwards_finds_the_new_one(void **state)
{
	const char *name = dead_arena();
	struct fr_process *p;
	struct fr_arena *a;
	struct member *m;

	(void)state;
	assert_rc(create_rc(name, true, &a), 0);
	assert_rc(fr_join(a, NULL, &p), 0);
	m = raise_member(name, attach_what_was_replaced);
	advance(&m->end);
	wait_ok(m->pid);
	fr_leave(p);
	fr_arena_detach(a);
}

/* This program as another: replace NAME. */
static int replace(const char *name)
{
	struct fr_arena *a;

	return create_rc(name, true, &a) < 0 || joined(a) != 0;
}

static int create_join_exec(void *name)
{
	struct member m = {.name = name};

	CHECK_RC(create_and_join(&m), 0);
	execl("/proc/self/exe", "test_replace", "replace", name, NULL);
	return 1;
}

/* As one that starts itself anew. */
static void a_program_that_calls_exec_may_replace_its_own_arena(void **state)
{
	const char *name = new_name();

	(void)state;
	wait_ok(spawn(create_join_exec, (void *)name));
	assert_replaced(name);
}

/* ---- live ones ---- */

static void assert_live_while(int (*act)(struct member *m), bool stopped)
{
	const char *name = new_name();
	struct member *creator = raise_member(name, create_and_join);
	struct member *m = raise_member(name, act);

	kill_hard(creator->pid);
	if (stopped)
		stop(m->pid);
	assert_live(name);
	assert_live(name);
	kill_hard(m->pid);
	assert_replaced(name);
}

static void while_one_is_joined_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(attach_and_join, false);
}

static void while_one_is_attached_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(attach, false);
}

static void while_one_that_joined_is_stopped_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(attach_and_join, true);
}

static void while_one_that_is_attached_is_stopped_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(attach, true);
}

static void while_its_creator_lives_it_is_not_replaced(void **state)
{
	const char *name = new_name();
	struct member *m = raise_member(name, create);

	(void)state;
	assert_live(name);
	stop(m->pid);
	assert_live(name);
	kill_hard(m->pid);
	assert_replaced(name);
}

static int attach_by_descriptor(struct member *m)
{
	int fd = open(path_of(m->name), O_RDWR | O_CLOEXEC);

	return fr_arena_attach_fd(fd, &m->a);
}

static void while_one_is_attached_by_descriptor_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(attach_by_descriptor, false);
}

static int attach_twice_and_detach(struct member *m)
{
	struct fr_arena *b;
	int rc = attach(m);

	CHECK_RC(fr_arena_attach(m->name, NULL, &b), 0);
	fr_arena_detach(b);
	return rc;
}

static void who_attached_twice_and_detached_once_is_attached(void **state)
{
	(void)state;
	assert_live_while(attach_twice_and_detach, false);
}

/* Its lock is lost, but its slot says that it is there. */
static int join_and_close_a_copy(struct member *m)
{
	int rc = attach_and_join(m), fd = dup(fr_arena_fd(m->a));

	CHECK(fd != -1 && close(fd) == 0);
	return rc;
}

static void while_one_is_joined_that_closed_a_copy_it_is_not_replaced(void **state)
{
	(void)state;
	assert_live_while(join_and_close_a_copy, false);
}

/* Fork a child that outlives its parent, but not for long: true in the child. */
static bool fork_heir(pid_t *child)
{
	pid_t pid = fork();

	CHECK(pid != -1);
	if (pid == 0)
		alarm(60);
	else
		*child = pid;
	return pid == 0;
}

/* A child that was forked by one that is attached, and attaches. */
static int fork_one_that_attaches(struct member *m)
{
	CHECK_RC(attach(m), 0);
	if (!fork_heir(&m->child)) {
		await(&m->go, 1);
		return 0;
	}
	CHECK_RC(attach(m), 0);
	advance(&m->go);
	await(&m->done, 1);
	_exit(0);
}

static void while_a_forked_child_has_attached_it_is_not_replaced(void **state)
{
	const char *name = new_name();
	struct member *creator = raise_member(name, create_and_join);
	struct member *m = raise_member(name, fork_one_that_attaches);

	(void)state;
	kill_hard(creator->pid);
	kill_hard(m->pid);
	assert_live(name);
	kill(m->child, SIGKILL);
	AWAIT(fr_arena_remove_dead(name) == 0);
}

static void one_of_ones_own_is_not_replaced(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;
	struct member *m;

	(void)state;
	assert_rc(create_rc(name, false, &a), 0);
	assert_live(name);
	/* And our own trying has not shown us dead to others. */
	m = raise_member(name, attach);
	kill_hard(m->pid);
	assert_true(leads_to(name, a));
	fr_arena_detach(a);
}

static int replace_in_vain(struct member *m)
{
	CHECK_RC(create_rc(m->name, true, &m->a), -EEXIST);
	CHECK_RC(fr_arena_remove_dead(m->name), -EBUSY);
	return 0;
}

static void trying_to_replace_ones_own_drops_no_lock(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;
	struct member *m;

	(void)state;
	assert_rc(create_rc(name, false, &a), 0);
	assert_live(name);
	m = raise_member(name, replace_in_vain);
	advance(&m->end);
	wait_ok(m->pid);
	fr_arena_detach(a);
}

static int lock_all_of_it(struct member *m)
{
	int fd = open(path_of(m->name), O_RDWR | O_CLOEXEC);

	return fr__file_lock(fd, F_WRLCK, 0, FR__ATTACHED_BYTE + 1);
}

/* As one that is stopped while it looks. */
static void who_looks_keeps_others_out_until_it_ends(void **state)
{
	const char *name = dead_arena();
	struct member *m = raise_member(name, lock_all_of_it);
	struct fr_arena *a;

	(void)state;
	stop(m->pid);
	assert_live(name);
	assert_rc(fr_arena_attach(name, NULL, &a), -EBUSY);
	kill_hard(m->pid);
	assert_rc(fr_arena_attach(name, NULL, &a), 0);
	fr_arena_detach(a);
	assert_replaced(name);
}

/* ---- what is no arena ---- */

static void write_file(const char *name, const void *bytes, size_t len)
{
	int fd = open(path_of(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		      0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void what_is_no_arena_is_left_alone(void **state)
{
	static const char text[8192] = "somebody's";
	const char *name;

	(void)state;
	name = new_name();
	write_file(name, "", 0);
	assert_in_the_way(name, -EPROTO, -EPROTO);
	name = new_name();
	write_file(name, "forkrin", 7);
	assert_in_the_way(name, -EPROTO, -EPROTO);
	name = new_name();
	write_file(name, text, sizeof(text));
	assert_in_the_way(name, -EPROTO, -EPROTO);
	assert_int_equal(unlink(path_of(name)), 0);
	name = new_name();
	assert_int_equal(mkdir(path_of(name), 0700), 0);
	assert_in_the_way(name, -EPROTO, -EPROTO);
	assert_int_equal(rmdir(path_of(name)), 0);
	name = new_name();
	assert_int_equal(mkfifo(path_of(name), 0600), 0);
	assert_in_the_way(name, -EPROTO, -EPROTO);
	assert_int_equal(unlink(path_of(name)), 0);
}

/* The harness counts what is left. */
static void remove_files(void)
{
	DIR *dir = opendir("/dev/shm");
	char prefix[64];
	struct dirent *e;

	assert_non_null(dir);
	snprintf(prefix, sizeof(prefix), "forkring.test.%d.", (int)getpid());
	while ((e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
}

static void nobodys_files_are_removed(void **state)
{
	what_is_no_arena_is_left_alone(state);
	remove_files();
}

static void a_symbolic_link_is_not_followed(void **state)
{
	const char *dead = dead_arena(), *link = new_name();
	char target[sizeof(DIRECTORY) + FR_NAME_MAX];

	(void)state;
	strcpy(target, path_of(dead));
	assert_int_equal(symlink(target, path_of(link)), 0);
	assert_in_the_way(link, -ELOOP, -ELOOP);
	assert_true(exists(dead));
	assert_int_equal(unlink(path_of(link)), 0);
	assert_int_equal(symlink("nowhere", path_of(link)), 0);
	assert_in_the_way(link, -ELOOP, -ELOOP);
	assert_int_equal(unlink(path_of(link)), 0);
	assert_rc(fr_arena_remove_dead(dead), 0);
}

static void a_bad_name_is_not_removed(void **state)
{
	static const char long_name[] =
		"123456789 123456789 123456789 123456789 12345678";

	(void)state;
	assert_rc(fr_arena_remove_dead(NULL), -EINVAL);
	assert_rc(fr_arena_remove_dead(""), -EINVAL);
	assert_rc(fr_arena_remove_dead("a/b"), -EINVAL);
	assert_rc(fr_arena_remove_dead(".."), -EINVAL);
	assert_rc(fr_arena_remove_dead(long_name), -ENAMETOOLONG);
	assert_rc(fr_arena_remove_dead(new_name()), -ENOENT);
}

static void a_creator_does_not_remove_the_name_of_another(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;
	struct member *m;

	(void)state;
	assert_rc(create_rc(name, false, &a), 0);
	assert_rc(fr_arena_unlink(name), 0);
	m = raise_member(name, create);
	fr_arena_detach(a);
	assert_true(exists(name));
	kill_hard(m->pid);
	assert_replaced(name);
}

/* ---- children of the dead ---- */

static int try_to_join(struct member *m)
{
	m->rc = fr_join(m->a, &(struct fr_join_opts){.reserved = m->reserved},
			&m->p);
	advance(&m->ready);
	return m->rc;
}

/* A child that joins once its parent is dead and more has happened. */
static void join_late(struct member *m)
{
	struct fr_arena *a;

	await(&m->go, 1);
	if (try_to_join(m) == -ESTALE) {
		fr_arena_detach(m->a);
		CHECK_RC(fr_arena_attach(m->name, NULL, &a), 0);
		CHECK_RC(fr_join(a, NULL, &m->p), 0);
		advance(&m->ready);
	}
	await(&m->done, 1);
	_exit(0);
}

static int fork_one_that_joins_late(struct member *m)
{
	if (fork_heir(&m->child))
		join_late(m);
	return 0;
}

static int create_and_fork(struct member *m)
{
	CHECK_RC(create(m), 0);
	return fork_one_that_joins_late(m);
}

static int attach_and_fork(struct member *m)
{
	CHECK_RC(attach(m), 0);
	return fork_one_that_joins_late(m);
}

static int attach_by_descriptor_and_fork(struct member *m)
{
	CHECK_RC(attach_by_descriptor(m), 0);
	return fork_one_that_joins_late(m);
}

static int reserve_and_fork(struct member *m)
{
	CHECK_RC(create_and_join(m), 0);
	CHECK_RC(fr_reserve(m->p, &m->reserved), 0);
	return fork_one_that_joins_late(m);
}

/* Its parent is dead, and nobody has replaced the arena: it is the heir. */
static void a_child_of_the_dead_may_join_what_is_left(void **state)
{
	const char *name = new_name();
	struct member *m = raise_member(name, create_and_fork);

	(void)state;
	kill_hard(m->pid);
	advance(&m->go);
	await(&m->ready, 2);
	assert_rc(m->rc, 0);
	assert_live(name);
	advance(&m->done);
	AWAIT(fr_arena_remove_dead(name) == 0);
}

static void assert_stale(const char *name, struct member *m)
{
	struct fr_process *p;
	struct fr_arena *a;

	kill_hard(m->pid);
	assert_rc(create_rc(name, true, &a), 0);
	assert_rc(fr_join(a, NULL, &p), 0);
	advance(&m->go);
	await(&m->ready, 2);
	assert_rc(m->rc, -ESTALE);
	await(&m->ready, 3); /* it has joined the new one */
	assert_int_equal(joined(a), 2);
	advance(&m->done);
	AWAIT(fr_recover(a) == 1);
	fr_leave(p);
	fr_arena_detach(a);
}

static void a_child_of_a_dead_creator_does_not_join_what_was_replaced(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_stale(name, raise_member(name, create_and_fork));
}

static void a_child_of_one_that_was_attached_does_not_either(void **state)
{
	const char *name = new_name();
	struct member *creator = raise_member(name, create_and_join);
	struct member *m = raise_member(name, attach_and_fork);

	(void)state;
	kill_hard(creator->pid);
	assert_stale(name, m);
}

static void nor_does_a_child_of_one_attached_by_descriptor(void **state)
{
	const char *name = new_name();
	struct member *creator = raise_member(name, create_and_join);
	struct member *m = raise_member(name, attach_by_descriptor_and_fork);

	(void)state;
	kill_hard(creator->pid);
	assert_stale(name, m);
}

static void nor_does_a_child_with_a_reservation(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_stale(name, raise_member(name, reserve_and_fork));
}

static int create_unlink_and_fork(struct member *m)
{
	CHECK_RC(create(m), 0);
	CHECK_RC(fr_arena_unlink(m->name), 0);
	return fork_one_that_joins_late(m);
}

/* That its creator took the name away is another matter. */
static void a_child_may_join_an_arena_whose_name_was_unlinked(void **state)
{
	struct member *m = raise_member(new_name(), create_unlink_and_fork);

	(void)state;
	advance(&m->go);
	await(&m->ready, 2);
	assert_rc(m->rc, 0);
	advance(&m->done);
	kill_hard(m->pid);
}

/* ---- races ---- */

#define RACERS 4
#define ROUNDS 100

struct race {
	const char *name;
	uint32_t ready, tried, won, lost;
};

static int race_to_replace(void *ctx)
{
	struct race *race = ctx;
	struct fr_arena *a;
	int rc;

	advance(&race->ready);
	AWAIT(reached(&race->ready) == RACERS);
	rc = create_rc(race->name, true, &a);
	CHECK(rc == 0 || rc == -EEXIST);
	advance(rc == 0 ? &race->won : &race->lost);
	advance(&race->tried);
	await(&race->tried, RACERS);
	CHECK(rc < 0 || leads_to(race->name, a));
	_exit(0); /* and leave a dead arena */
}

static void of_those_that_race_to_replace_one_succeeds(void **state)
{
	struct race *race = shared(sizeof(*race));
	pid_t pids[RACERS];
	unsigned i, j;

	(void)state;
	race->name = dead_arena();
	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < RACERS; j++)
			pids[j] = spawn(race_to_replace, race);
		for (j = 0; j < RACERS; j++)
			wait_ok(pids[j]);
		assert_int_equal(race->won, 1);
		assert_int_equal(race->lost, RACERS - 1);
		race->ready = race->tried = race->won = race->lost = 0;
	}
	assert_rc(fr_arena_remove_dead(race->name), 0);
}

static int replace_and_die(void *ctx)
{
	struct race *race = ctx;
	struct fr_arena *a;

	if (create_rc(race->name, true, &a) == 0)
		advance(&race->won);
	_exit(0);
}

/* Who has attached has what the name leads to, for as long as it stays. */
static int attach_meanwhile(void *ctx)
{
	struct race *race = ctx;
	struct fr_arena *a;
	unsigned i;
	int rc;

	advance(&race->ready);
	while (!reached(&race->tried)) {
		rc = fr_arena_attach(race->name, NULL, &a);
		CHECK(rc == 0 || rc == -ENOENT);
		if (rc < 0)
			continue;
		advance(&race->lost);
		for (i = 0; i < 5; i++) {
			CHECK(leads_to(race->name, a));
			test_yield();
		}
		fr_arena_detach(a);
		for (i = (unsigned)rand() % 32; i > 0; i--)
			test_yield();
	}
	return 0;
}

static void who_attaches_while_it_is_replaced_has_one_with_a_name(void **state)
{
	struct race *race = shared(sizeof(*race));
	pid_t attachers[2];
	unsigned i;

	(void)state;
	race->name = dead_arena();
	for (i = 0; i < 2; i++)
		attachers[i] = spawn(attach_meanwhile, race);
	await(&race->ready, 2);
	while (reached(&race->won) < 100 || reached(&race->lost) < 100)
		wait_ok(spawn(replace_and_die, race));
	advance(&race->tried);
	for (i = 0; i < 2; i++)
		wait_ok(attachers[i]);
	assert_rc(fr_arena_remove_dead(race->name), 0);
}

struct late {
	const char *name;
	struct fr_arena *a;
	unsigned spin;
	uint32_t forked, go, done, joined;
};

static void spin(unsigned n)
{
	while (n-- > 0)
		__asm__ volatile("");
}

static int join_just_then(struct late *late)
{
	struct fr_process *p;
	int rc;

	advance(&late->forked);
	while (!reached(&late->go))
		;
	spin(late->spin);
	rc = fr_join(late->a, NULL, &p);
	CHECK(rc == 0 || rc == -ESTALE);
	if (rc == 0)
		advance(&late->joined);
	advance(&late->done);
	await(&late->done, 2);
	/* No other may have the name while we are in. */
	CHECK(rc < 0 || leads_to(late->name, late->a));
	advance(&late->done);
	return 0;
}

static int create_fork_and_die(void *ctx)
{
	struct late *late = ctx;
	pid_t pid;

	CHECK_RC(create_rc(late->name, false, &late->a), 0);
	if (fork_heir(&pid))
		_exit(join_just_then(late));
	await(&late->forked, 1);
	_exit(0);
}

/* One round: true if the arena was replaced, else the heir has joined it. */
static bool let_one_be_first(struct late *late)
{
	struct fr_arena *a;
	int rc;

	late->forked = late->go = late->done = late->joined = 0;
	late->spin = (unsigned)rand() % 20000;
	wait_ok(spawn(create_fork_and_die, late));
	advance(&late->go);
	spin((unsigned)rand() % 20000);
	rc = create_rc(late->name, true, &a);
	await(&late->done, 1);
	assert_true(rc == 0 || rc == -EEXIST);
	assert_int_equal(late->joined, rc == -EEXIST);
	advance(&late->done);
	await(&late->done, 3);
	if (rc == 0)
		fr_arena_detach(a);
	else
		AWAIT(fr_arena_remove_dead(late->name) == 0);
	assert_false(exists(late->name));
	return rc == 0;
}

/* The heir joins what is dead while another replaces it: one of them has it. */
static void who_joins_while_it_is_replaced_has_one_with_a_name(void **state)
{
	struct late *late = shared(sizeof(*late));
	unsigned i, replaced = 0;

	(void)state;
	late->name = new_name();
	for (i = 0; i < 1000; i++)
		replaced += let_one_be_first(late);
	assert_in_range(replaced, 1, 999);
}

/* ---- killed over it ---- */

static int replace_all_the_time(void *ctx)
{
	struct race *race = ctx;
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;

	opts.keep = opts.replace = true;
	advance(&race->ready);
	for (;;) {
		CHECK_RC(fr_arena_create(race->name, &opts, &a), 0);
		advance(&race->won);
		fr_arena_detach(a);
	}
	return 0;
}

static int remove_all_the_time(void *ctx)
{
	struct race *race = ctx;
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;
	int rc;

	opts.keep = true;
	advance(&race->ready);
	for (;;) {
		rc = fr_arena_create(race->name, &opts, &a);
		CHECK(rc == 0 || rc == -EEXIST);
		if (rc == 0)
			fr_arena_detach(a);
		CHECK_RC(fr_arena_remove_dead(race->name), 0);
		advance(&race->won);
	}
	return 0;
}

static void assert_deaths_do_not_block(int (*fn)(void *))
{
	struct race *race = shared(sizeof(*race));
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;
	unsigned i, j;

	race->name = new_name();
	opts.keep = opts.replace = true;
	for (i = 0; i < 100; i++) {
		pid_t pid = spawn(fn, race);

		await(&race->ready, i + 1);
		for (j = (unsigned)rand() % 16; j > 0; j--)
			test_yield();
		kill_hard(pid);
		assert_rc(fr_arena_create(race->name, &opts, &a), 0);
		assert_true(leads_to(race->name, a));
		fr_arena_detach(a);
	}
	assert_true(race->won > 0);
	assert_rc(fr_arena_remove_dead(race->name), 0);
}

static void a_replacer_that_is_killed_blocks_nobody(void **state)
{
	(void)state;
	assert_deaths_do_not_block(replace_all_the_time);
}

static void a_remover_that_is_killed_blocks_nobody(void **state)
{
	(void)state;
	assert_deaths_do_not_block(remove_all_the_time);
}

/* As if it had been killed between its two steps. */
static void begin_to_remove(const char *name)
{
	struct fr_arena *a;

	assert_rc(fr_arena_attach(name, NULL, &a), 0);
	fr__store_relaxed(&a->header->removed, 1);
	fr_arena_detach(a);
	assert_true(exists(name));
}

static void what_a_killed_remover_began_the_next_one_ends(void **state)
{
	const char *name = dead_arena();
	struct fr_arena *a;

	(void)state;
	begin_to_remove(name);
	assert_rc(fr_arena_attach(name, NULL, &a), -ENOENT);
	assert_false(exists(name));
	name = dead_arena();
	begin_to_remove(name);
	assert_rc(fr_arena_remove_dead(name), 0);
	assert_false(exists(name));
	name = dead_arena();
	begin_to_remove(name);
	assert_replaced(name);
}

/* A child of the dead that finds it so, and lives on. */
static void attach_late(struct member *m)
{
	struct fr_arena *a;

	await(&m->go, 1);
	m->rc = fr_arena_attach(m->name, NULL, &a);
	advance(&m->ready);
	await(&m->done, 1);
	_exit(0);
}

static int create_and_fork_one_that_attaches_late(struct member *m)
{
	CHECK_RC(create(m), 0);
	if (fork_heir(&m->child))
		attach_late(m);
	return 0;
}

static void who_finds_it_removed_is_not_in_the_way(void **state)
{
	const char *name = new_name();
	struct member *m = raise_member(name,
					create_and_fork_one_that_attaches_late);

	(void)state;
	kill_hard(m->pid);
	begin_to_remove(name);
	advance(&m->go);
	await(&m->ready, 2);
	assert_true(m->rc == -ENOENT || m->rc == -EBUSY);
	assert_replaced(name);
	advance(&m->done);
}

/* ---- everybody at once ---- */

struct program {
	const char *name;
	uint32_t working;
};

static int work(void *ctx, struct fr_process *self)
{
	struct program *program = ctx;
	struct fr_addr main;

	CHECK_RC(fr_wait_name(self, "main", FR_FOREVER, &main), 0);
	for (;;) {
		CHECK_RC(fr_send(self, main, (struct fr_type){0}, "x", 1,
				 FR_FOREVER),
			 0);
		advance(&program->working);
	}
	return 0;
}

static int ignore(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx, (void)p, (void)m;
	return FR_CONTINUE;
}

/* A supervisor and four children, in a process group of their own. */
static int be_program(void *ctx)
{
	struct program *program = ctx;
	const struct fr_child_opts child = {.run = work, .ctx = program};
	const struct fr_run_opts run = {.unhandled = ignore};
	struct fr_supervisor *s;
	struct fr_process *p;
	struct fr_addr addr;
	struct fr_arena *a;
	unsigned i;

	CHECK(setpgid(0, 0) == 0);
	CHECK_RC(create_rc(program->name, true, &a), 0);
	CHECK_RC(fr_join(a, &(struct fr_join_opts){.name = "main"}, &p), 0);
	CHECK_RC(fr_supervisor_open(p, NULL, &s), 0);
	for (i = 0; i < 4; i++)
		CHECK_RC(fr_supervisor_add(s, &child, &addr), 0);
	fr_supervisor_run(s, &run);
	return 1;
}

/* Of the program of that group: all its processes, its children's too, since they
 * become ours. */
static void kill_program(pid_t group)
{
	int status;

	assert_int_equal(kill(-group, SIGKILL), 0);
	while (waitpid(-group, &status, 0) > 0)
		assert_true(WIFSIGNALED(status));
	assert_int_equal(errno, ECHILD);
}

/* Start it under this name, have it killed at work. */
static void run_and_kill(struct program *program)
{
	uint32_t before = reached(&program->working);
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(be_program(program));
	}
	await(&program->working, before + 100);
	kill_program(pid);
}

static unsigned names_there(void)
{
	DIR *dir = opendir("/dev/shm");
	char prefix[64];
	struct dirent *e;
	unsigned count = 0;

	assert_non_null(dir);
	snprintf(prefix, sizeof(prefix), "forkring.test.%d.", (int)getpid());
	while ((e = readdir(dir)) != NULL)
		count += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return count;
}

static void a_program_that_was_killed_at_once_starts_again_at_once(void **state)
{
	struct program *program = shared(sizeof(*program));
	unsigned i;

	(void)state;
	program->name = new_name();
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (i = 0; i < 20; i++)
		run_and_kill(program);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	assert_int_equal(names_there(), 1);
	assert_rc(fr_arena_remove_dead(program->name), 0);
	assert_int_equal(names_there(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dead_arena_is_replaced),
		TEST(a_dead_arena_is_not_replaced_unless_asked_for),
		TEST(a_dead_arena_is_removed),
		TEST(an_arena_of_zombies_is_dead),
		TEST(with_nothing_to_replace_an_arena_is_just_created),
		TEST(an_arena_that_all_have_left_is_replaced),
		TEST(the_new_arena_may_be_of_another_size),
		TEST(a_damaged_arena_is_replaced_if_nobody_is_there),
		TEST(who_attaches_afterwards_finds_the_new_one),
		TEST(a_program_that_calls_exec_may_replace_its_own_arena),
		TEST(while_one_is_joined_it_is_not_replaced),
		TEST(while_one_is_attached_it_is_not_replaced),
		TEST(while_one_that_joined_is_stopped_it_is_not_replaced),
		TEST(while_one_that_is_attached_is_stopped_it_is_not_replaced),
		TEST(while_its_creator_lives_it_is_not_replaced),
		TEST(while_one_is_attached_by_descriptor_it_is_not_replaced),
		TEST(who_attached_twice_and_detached_once_is_attached),
		TEST(while_one_is_joined_that_closed_a_copy_it_is_not_replaced),
		TEST(while_a_forked_child_has_attached_it_is_not_replaced),
		TEST(one_of_ones_own_is_not_replaced),
		TEST(trying_to_replace_ones_own_drops_no_lock),
		TEST(who_looks_keeps_others_out_until_it_ends),
		TEST(nobodys_files_are_removed),
		TEST(a_symbolic_link_is_not_followed),
		TEST(a_bad_name_is_not_removed),
		TEST(a_creator_does_not_remove_the_name_of_another),
		TEST(a_child_of_the_dead_may_join_what_is_left),
		TEST(a_child_of_a_dead_creator_does_not_join_what_was_replaced),
		TEST(a_child_of_one_that_was_attached_does_not_either),
		TEST(nor_does_a_child_of_one_attached_by_descriptor),
		TEST(nor_does_a_child_with_a_reservation),
		TEST(a_child_may_join_an_arena_whose_name_was_unlinked),
		TEST(of_those_that_race_to_replace_one_succeeds),
		TEST(who_attaches_while_it_is_replaced_has_one_with_a_name),
		TEST(who_joins_while_it_is_replaced_has_one_with_a_name),
		TEST(a_replacer_that_is_killed_blocks_nobody),
		TEST(a_remover_that_is_killed_blocks_nobody),
		TEST(what_a_killed_remover_began_the_next_one_ends),
		TEST(who_finds_it_removed_is_not_in_the_way),
		TEST(a_program_that_was_killed_at_once_starts_again_at_once),
	};

	if (argc > 2)
		return replace(argv[2]);
	return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
