/* SPDX-License-Identifier: MIT */
/*
 * The arena: what it is made of, who may have it, and what attach answers to
 * everything that is not one.
 */
#include "harness.h"

#include "arena.h" /* the layout, for damage that is aimed at it */

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MISSING 77 /* a child's exit status: this cannot be tried here */
#define SOMEBODY 12345
#define SOMEBODY_ELSE 12346

/* ---- helpers ---- */

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/dev/shm/forkring.%s", name);
	return path;
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

static struct fr_arena *create(const char *name)
{
	struct fr_arena *a;

	assert_rc(fr_arena_create(name, &small_arena, &a), 0);
	return a;
}

/* An arena with a name that nobody has mapped; bytes of it. */
static size_t leave_behind(const char *name)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_arena_info info;
	struct fr_arena *a;

	opts.keep = true;
	assert_rc(fr_arena_create(name, &opts, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	return info.bytes;
}

static int attach_rc(const char *name)
{
	struct fr_arena *a;
	int rc = fr_arena_attach(name, NULL, &a);

	if (rc == 0)
		fr_arena_detach(a);
	return rc;
}

static int create_rc(const char *name, const struct fr_arena_opts *opts)
{
	struct fr_arena *a;
	int rc = fr_arena_create(name, opts, &a);

	if (rc == 0)
		fr_arena_detach(a);
	return rc;
}

/* Of a child that may find that it cannot try. */
#define wait_or_skip(pid, what)                                                \
	do {                                                                   \
		int status_ = wait_status(pid);                                \
                                                                               \
		if (WIFEXITED(status_) && WEXITSTATUS(status_) == MISSING)     \
			SKIP(what);                                            \
		assert_int_equal(status_, 0);                                  \
	} while (0)

/* Child: go on as another user, without privileges. */
static void become(uid_t uid)
{
	if (setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		_exit(MISSING);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Child: as the same user, bound by permissions even as root. */
static void drop_privileges(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = {0};

	CHECK(syscall(SYS_capset, &head, none) == 0);
}

static void put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (int)strlen(text));
	close(fd);
}

/* Child: a file system that only it sees, at that place. */
static void mount_own(const char *type, const char *where, const char *options)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWNS) == -1) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
			_exit(MISSING);
		put_text("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		put_text("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		put_text("/proc/self/gid_map", map);
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount(type, where, type, 0, options) == -1)
		_exit(MISSING);
}

#define NO_MOUNT "mounting is not permitted here"
#define NOT_ROOT "only root can be somebody else"

/* ---- geometry ---- */

static void the_defaults_fit_64_mb(void **state)
{
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(new_name(), NULL, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	assert_in_range(info.bytes, 1, 64 << 20);
}

static void the_defaults_are_those_of_the_header(void **state)
{
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(new_name(), NULL, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	assert_int_equal(info.slots, 64);
	assert_int_equal(info.joined, 0);
	assert_int_equal(info.mailbox_bytes, 256 << 10);
	assert_int_equal(info.message_max, (128 << 10) - 24);
	assert_int_equal(info.cells, 64);
	assert_int_equal(info.main_cells, 64);
	assert_int_equal(info.arg_max, 1024);
	assert_int_equal(info.result_max, 1024);
	assert_int_equal(info.events, 256);
	assert_int_equal(info.types, 256);
}

static const struct fr_arena_opts odd_arena = {
	.slots = 3,
	.mailbox_bytes = 8192,
	.cells = 5,
	.main_cells = 7,
	.arg_max = 65,
	.result_max = 1,
	.events = 9,
	.types = 32,
};

static void assert_odd(const struct fr_arena_info *info)
{
	assert_int_equal(info->slots, 3);
	assert_int_equal(info->mailbox_bytes, 8192);
	assert_int_equal(info->message_max, 4096 - 24);
	assert_int_equal(info->cells, 5);
	assert_int_equal(info->main_cells, 7);
	assert_int_equal(info->arg_max, 72);
	assert_int_equal(info->result_max, 8);
	assert_int_equal(info->events, 9);
	assert_int_equal(info->types, 32);
}

static void what_was_asked_for_is_reported(void **state)
{
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(new_name(), &odd_arena, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	assert_odd(&info);
}

static void who_attaches_learns_the_geometry(void **state)
{
	const char *name = new_name();
	struct fr_arena_opts opts = odd_arena;
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	opts.keep = true;
	assert_rc(fr_arena_create(name, &opts, &a), 0);
	fr_arena_detach(a);
	assert_rc(fr_arena_attach(name, NULL, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	assert_rc(fr_arena_unlink(name), 0);
	assert_odd(&info);
}

static void main_has_as_many_cells_as_the_others_by_default(void **state)
{
	struct fr_arena_opts opts = small_arena;
	struct fr_arena_info info;
	struct fr_arena *a;

	(void)state;
	opts.cells = 13;
	assert_rc(fr_arena_create(NULL, &opts, &a), 0);
	fr_arena_info(a, &info);
	fr_arena_detach(a);
	assert_int_equal(info.main_cells, 13);
}

static void all_of_the_space_is_allocated_at_once(void **state)
{
	const char *name = new_name();
	struct fr_arena_info info;
	struct stat st;
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(name, NULL, &a), 0);
	fr_arena_info(a, &info);
	assert_int_equal(stat(path_of(name), &st), 0);
	fr_arena_detach(a);
	assert_int_equal(st.st_size, info.bytes);
	assert_true((size_t)st.st_blocks * 512 >= info.bytes);
}

static void all_of_a_nameless_arena_is_allocated_too(void **state)
{
	struct fr_arena_info info;
	struct stat st;
	struct fr_arena *a;

	(void)state;
	assert_rc(fr_arena_create(NULL, NULL, &a), 0);
	fr_arena_info(a, &info);
	assert_int_equal(fstat(fr_arena_fd(a), &st), 0);
	fr_arena_detach(a);
	assert_true((size_t)st.st_blocks * 512 >= info.bytes);
}

static void a_number_out_of_its_bounds_is_refused(void **state)
{
	static const unsigned too_much[] = {4097,     1u << 16, 1u << 28,
					    1u << 30, 1u << 31, UINT32_MAX};
	const char *name = new_name();
	struct fr_arena_opts opts;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(too_much) / sizeof(*too_much); i++) {
		opts = small_arena;
		opts.slots = too_much[i];
		assert_rc(create_rc(name, &opts), -EINVAL);
		opts = small_arena;
		opts.cells = too_much[i];
		assert_rc(create_rc(name, &opts), -EINVAL);
		opts = small_arena;
		opts.main_cells = too_much[i];
		assert_rc(create_rc(name, &opts), -EINVAL);
	}
	assert_false(exists(name));
}

static void a_mailbox_size_out_of_its_bounds_is_refused(void **state)
{
	static const size_t bad[] = {
		1,
		64,
		2048,
		4095,
		4097,
		12288,
		65600,
		9 << 20,
		16 << 20,
		(8 << 20) + 64,
		1u << 31,
		1ul << 32,
		(1ul << 38) + 4096,
		SIZE_MAX - 63,
		SIZE_MAX,
	};
	struct fr_arena_opts opts = small_arena;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		opts.mailbox_bytes = bad[i];
		assert_rc(create_rc(NULL, &opts), -EINVAL);
	}
}

static void an_argument_size_out_of_its_bounds_is_refused(void **state)
{
	static const size_t bad[] = {(1 << 20) + 1, 1ul << 32, (1ul << 32) + 64,
				     SIZE_MAX - 62, SIZE_MAX};
	struct fr_arena_opts opts;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		opts = small_arena;
		opts.arg_max = bad[i];
		assert_rc(create_rc(NULL, &opts), -EINVAL);
		opts = small_arena;
		opts.result_max = bad[i];
		assert_rc(create_rc(NULL, &opts), -EINVAL);
	}
}

static void a_number_of_events_out_of_its_bounds_is_refused(void **state)
{
	struct fr_arena_opts opts = small_arena;

	(void)state;
	opts.events = 65537;
	assert_rc(create_rc(NULL, &opts), -EINVAL);
	opts.events = UINT32_MAX;
	assert_rc(create_rc(NULL, &opts), -EINVAL);
}

static void a_number_of_types_out_of_its_bounds_is_refused(void **state)
{
	static const unsigned bad[] = {1,     8,      15,	17,	   100,
				       65535, 131072, 1u << 31, UINT32_MAX};
	struct fr_arena_opts opts = small_arena;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		opts.types = bad[i];
		assert_rc(create_rc(NULL, &opts), -EINVAL);
	}
}

static void mode_bits_beyond_permissions_are_refused(void **state)
{
	struct fr_arena_opts opts = small_arena;

	(void)state;
	opts.mode = 01600;
	assert_rc(create_rc(NULL, &opts), -EINVAL);
	opts.mode = 04755;
	assert_rc(create_rc(new_name(), &opts), -EINVAL);
}

static void each_number_may_be_at_its_bounds(void **state)
{
	const struct fr_arena_opts at[] = {
		{.slots = 1, .mailbox_bytes = 4096, .cells = 1},
		{.slots = 4096,
		 .mailbox_bytes = 4096,
		 .cells = 1,
		 .arg_max = 1,
		 .result_max = 1},
		{.slots = 2, .mailbox_bytes = 8 << 20},
		{.slots = 2, .cells = 4096, .mailbox_bytes = 4096},
		{.slots = 2, .main_cells = 4096, .mailbox_bytes = 4096},
		{.slots = 2, .main_cells = 1, .mailbox_bytes = 4096},
		{.slots = 1,
		 .cells = 2,
		 .arg_max = 1 << 20,
		 .result_max = 1 << 20},
		{.slots = 1, .events = 1, .types = 16},
		{.slots = 1, .events = 65536, .types = 65536},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(*at); i++)
		assert_rc(create_rc(NULL, &at[i]), 0);
}

static int create_the_largest(void *ctx)
{
	const struct fr_arena_opts largest = {
		.slots = 4096,
		.mailbox_bytes = 8 << 20,
		.cells = 4096,
		.arg_max = 1 << 20,
		.result_max = 1 << 20,
		.events = 65536,
		.types = 65536,
	};

	mount_own("tmpfs", "/dev/shm", "size=1m");
	CHECK_RC(create_rc(ctx, &largest), -ENOSPC);
	return 0;
}

static void every_number_at_its_upper_bound_only_lacks_space(void **state)
{
	(void)state;
	wait_or_skip(spawn(create_the_largest, (void *)new_name()), NO_MOUNT);
}

/* ---- names ---- */

#define OF_12 "abcdefghijkl"

static void a_bad_name_is_refused(void **state)
{
	static const char *const bad[] = {
		"",   ".",    "..",
		"/",  "a/b",  "/a",
		"a/", "../a", OF_12 OF_12 OF_12 OF_12 "/"};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_rc(create_rc(bad[i], &small_arena), -EINVAL);
		assert_rc(attach_rc(bad[i]), -EINVAL);
		assert_rc(fr_arena_unlink(bad[i]), -EINVAL);
	}
}

static void a_name_of_48_bytes_is_too_long(void **state)
{
	static const char name[] = OF_12 OF_12 OF_12 OF_12;

	(void)state;
	assert_int_equal(strlen(name), FR_NAME_MAX + 1);
	assert_rc(create_rc(name, &small_arena), -ENAMETOOLONG);
	assert_rc(attach_rc(name), -ENAMETOOLONG);
	assert_rc(fr_arena_unlink(name), -ENAMETOOLONG);
}

static void a_name_of_47_bytes_is_accepted(void **state)
{
	char name[FR_NAME_MAX + 1];
	struct fr_arena *a;

	(void)state;
	snprintf(name, sizeof(name), "%s.%s", new_name(), OF_12 OF_12 OF_12);
	assert_int_equal(strlen(name), FR_NAME_MAX);
	a = create(name);
	assert_true(exists(name));
	assert_rc(attach_rc(name), 0);
	fr_arena_detach(a);
}

static void a_name_may_have_any_other_bytes(void **state)
{
	char name[FR_NAME_MAX + 1];
	struct fr_arena *a;

	(void)state;
	snprintf(name, sizeof(name), "%s. \n\\\xff%%s", new_name());
	a = create(name);
	assert_rc(attach_rc(name), 0);
	assert_true(exists(name));
	fr_arena_detach(a);
	assert_false(exists(name));
}

static void there_is_no_attaching_without_a_name(void **state)
{
	(void)state;
	assert_rc(attach_rc(NULL), -EINVAL);
	assert_rc(fr_arena_unlink(NULL), -EINVAL);
}

static void a_name_that_is_taken_is_refused(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);

	(void)state;
	assert_rc(create_rc(name, &small_arena), -EEXIST);
	assert_rc(attach_rc(name), 0);
	fr_arena_detach(a);
}

static void a_name_that_anything_else_has_is_taken_too(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_int_equal(symlink("/nowhere", path_of(name)), 0);
	assert_rc(create_rc(name, &small_arena), -EEXIST);
	assert_int_equal(unlink(path_of(name)), 0);
	assert_int_equal(mkdir(path_of(name), 0700), 0);
	assert_rc(create_rc(name, &small_arena), -EEXIST);
	assert_int_equal(rmdir(path_of(name)), 0);
}

static void a_call_that_fails_leaves_its_ret_alone(void **state)
{
	const char *name = new_name();
	struct fr_arena *const before = (struct fr_arena *)64;
	struct fr_arena *ret = before;
	struct fr_arena_opts bad = {.slots = UINT32_MAX};

	(void)state;
	assert_rc(fr_arena_create(name, &bad, &ret), -EINVAL);
	assert_ptr_equal(ret, before);
	assert_rc(fr_arena_attach(name, NULL, &ret), -ENOENT);
	assert_ptr_equal(ret, before);
	leave_behind(name);
	assert_rc(fr_arena_create(name, &small_arena, &ret), -EEXIST);
	assert_ptr_equal(ret, before);
	assert_int_equal(truncate(path_of(name), 100), 0);
	assert_rc(fr_arena_attach(name, NULL, &ret), -EBADMSG);
	assert_rc(fr_arena_unlink(name), 0);
	assert_ptr_equal(ret, before);
}

static void a_name_that_nobody_has_leads_nowhere(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_rc(attach_rc(name), -ENOENT);
	assert_rc(fr_arena_unlink(name), -ENOENT);
}

static void an_unlinked_name_is_free(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name), *b;

	(void)state;
	assert_rc(fr_arena_unlink(name), 0);
	assert_rc(attach_rc(name), -ENOENT);
	b = create(name);
	assert_ptr_not_equal(a, b);
	fr_arena_detach(a);
	fr_arena_detach(b);
}

static void an_unlinked_arena_goes_on(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);
	struct fr_process *p;
	struct fr_addr found;

	(void)state;
	assert_rc(fr_arena_unlink(name), 0);
	assert_rc(fr_join(a, &(struct fr_join_opts){.name = "me"}, &p), 0);
	assert_rc(fr_lookup(p, "me", &found, 1), 1);
	fr_leave(p);
	fr_arena_detach(a);
}

static void its_creator_takes_the_name_along(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);

	(void)state;
	assert_true(exists(name));
	fr_arena_detach(a);
	assert_false(exists(name));
}

static void an_arena_to_be_kept_outlives_its_creator(void **state)
{
	const char *name = new_name();

	(void)state;
	leave_behind(name);
	assert_rc(attach_rc(name), 0);
	assert_rc(attach_rc(name), 0);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_name_that_leads_elsewhere_by_now_is_left_alone(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name), *b;

	(void)state;
	assert_rc(fr_arena_unlink(name), 0);
	b = create(name);
	fr_arena_detach(a);
	assert_true(exists(name));
	fr_arena_detach(b);
	assert_false(exists(name));
}

static int attach_and_detach(void *ctx)
{
	CHECK_RC(attach_rc(ctx), 0);
	return 0;
}

static void who_attached_leaves_the_name(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);

	(void)state;
	wait_ok(spawn(attach_and_detach, (void *)name));
	assert_true(exists(name));
	fr_arena_detach(a);
}

static int detach(void *ctx)
{
	fr_arena_detach(ctx);
	return 0;
}

static void a_forked_child_that_detaches_leaves_the_name(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);

	(void)state;
	wait_ok(spawn(detach, a));
	assert_true(exists(name));
	fr_arena_detach(a);
	assert_false(exists(name));
}

static void detaching_nothing_does_nothing(void **state)
{
	(void)state;
	fr_arena_detach(NULL);
}

static void attaching_again_gives_the_same_handle(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name), *b, *c;

	(void)state;
	assert_rc(fr_arena_attach(name, NULL, &b), 0);
	assert_rc(fr_arena_attach_fd(fr_arena_fd(a), &c), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	fr_arena_detach(a);
	fr_arena_detach(b);
	fr_arena_detach(c);
}

static void a_handle_is_good_until_detached_as_often_as_attached(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name), *b;
	struct fr_process *p;

	(void)state;
	assert_rc(fr_arena_attach(name, NULL, &b), 0);
	fr_arena_detach(a);
	assert_true(exists(name));
	assert_rc(fr_join(b, NULL, &p), 0);
	fr_leave(p);
	fr_arena_detach(b);
	assert_false(exists(name));
}

static void arenas_of_several_names_are_several(void **state)
{
	struct fr_arena *a = create(new_name()), *b = create(new_name());
	struct fr_arena_info info;
	struct fr_process *p;

	(void)state;
	assert_rc(fr_join(a, NULL, &p), 0);
	fr_arena_info(a, &info);
	assert_int_equal(info.joined, 1);
	fr_arena_info(b, &info);
	assert_int_equal(info.joined, 0);
	fr_leave(p);
	fr_arena_detach(b);
	fr_arena_detach(a);
}

/* ---- who may have it ---- */

static void a_file_is_for_its_owner_only_by_default(void **state)
{
	const char *name = new_name();
	struct fr_arena *a = create(name);
	struct stat st;

	(void)state;
	assert_int_equal(stat(path_of(name), &st), 0);
	fr_arena_detach(a);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void the_mode_is_that_of_the_file_whatever_the_umask(void **state)
{
	const char *name = new_name();
	struct fr_arena_opts opts = small_arena;
	mode_t old = umask(0777);
	struct fr_arena *a;
	struct stat st;
	int rc;

	(void)state;
	opts.mode = 0664;
	rc = fr_arena_create(name, &opts, &a);
	umask(old);
	assert_rc(rc, 0);
	assert_int_equal(stat(path_of(name), &st), 0);
	fr_arena_detach(a);
	assert_int_equal(st.st_mode, S_IFREG | 0664);
}

static int attach_without_privileges(void *ctx)
{
	drop_privileges();
	CHECK_RC(attach_rc(ctx), -EACCES);
	return 0;
}

static void without_permission_for_the_file_there_is_no_attaching(void **state)
{
	static const mode_t modes[] = {0, 0200, 0400, 0066};
	const char *name = new_name();
	unsigned i;

	(void)state;
	leave_behind(name);
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod(path_of(name), modes[i]), 0);
		wait_ok(spawn(attach_without_privileges, (void *)name));
	}
	assert_rc(fr_arena_unlink(name), 0);
}

static int create_in_a_closed_directory(void *ctx)
{
	mount_own("tmpfs", "/dev/shm", "size=8m,mode=0555");
	drop_privileges();
	CHECK_RC(create_rc(ctx, &small_arena), -EACCES);
	return 0;
}

static void without_permission_for_the_directory_nothing_is_made(void **state)
{
	(void)state;
	wait_or_skip(spawn(create_in_a_closed_directory, (void *)new_name()),
		     NO_MOUNT);
}

static int attach_as_somebody(void *ctx)
{
	become(SOMEBODY);
	CHECK_RC(attach_rc(ctx), -EACCES);
	return 0;
}

static void roots_arena_is_closed_to_others_by_default(void **state)
{
	const char *name = new_name();

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	leave_behind(name);
	wait_ok(spawn(attach_as_somebody, (void *)name));
	assert_rc(fr_arena_unlink(name), 0);
}

static int join_as_somebody(void *ctx)
{
	struct fr_arena *a;
	struct fr_process *p;

	become(SOMEBODY);
	CHECK_RC(fr_arena_attach(ctx, NULL, &a), 0);
	CHECK_RC(fr_join(a, NULL, &p), 0);
	fr_leave(p);
	fr_arena_detach(a);
	return 0;
}

static void roots_arena_is_taken_by_whom_its_mode_allows(void **state)
{
	const char *name = new_name();
	struct fr_arena_opts opts = small_arena;
	struct fr_arena *a;

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	opts.mode = 0666;
	opts.keep = true;
	assert_rc(fr_arena_create(name, &opts, &a), 0);
	fr_arena_detach(a); /* or a child would have it already */
	wait_ok(spawn(join_as_somebody, (void *)name));
	assert_rc(fr_arena_unlink(name), 0);
}

/* An arena that is open to all and belongs to SOMEBODY. */
static void leave_somebodys(const char *name)
{
	leave_behind(name);
	assert_int_equal(chmod(path_of(name), 0666), 0);
	assert_int_equal(chown(path_of(name), SOMEBODY, SOMEBODY), 0);
}

static int refuse_somebodys(void *ctx)
{
	become(SOMEBODY_ELSE);
	CHECK_RC(attach_rc(ctx), -EPERM);
	return 0;
}

static void another_users_arena_is_refused(void **state)
{
	const char *name = new_name();

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	leave_somebodys(name);
	wait_ok(spawn(refuse_somebodys, (void *)name));
	assert_rc(fr_arena_unlink(name), 0);
}

static void another_users_arena_is_refused_by_root_too(void **state)
{
	const char *name = new_name();
	int rc;

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	leave_somebodys(name);
	rc = attach_rc(name);
	assert_rc(fr_arena_unlink(name), 0);
	assert_rc(rc, -EPERM);
}

static int take_somebodys(void *ctx)
{
	const struct fr_attach_opts opts = {.any_owner = true};
	struct fr_arena *a;

	become(SOMEBODY_ELSE);
	CHECK_RC(fr_arena_attach(ctx, &opts, &a), 0);
	fr_arena_detach(a);
	return 0;
}

static void another_users_arena_is_taken_if_any_owner_will_do(void **state)
{
	const char *name = new_name();

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	leave_somebodys(name);
	wait_ok(spawn(take_somebodys, (void *)name));
	assert_rc(fr_arena_unlink(name), 0);
}

static int unlink_as_somebody(void *ctx)
{
	become(SOMEBODY);
	CHECK_RC(fr_arena_unlink(ctx), -EPERM);
	return 0;
}

static void another_users_name_cannot_be_unlinked(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;

	(void)state;
	if (geteuid() != 0)
		SKIP(NOT_ROOT);
	a = create(name);
	wait_ok(spawn(unlink_as_somebody, (void *)name));
	assert_true(exists(name));
	fr_arena_detach(a);
}

/* ---- what is not an arena ---- */

static void a_symbolic_link_in_its_place_is_not_followed(void **state)
{
	const char *name = new_name(), *link = new_name();
	char target[128];

	(void)state;
	leave_behind(name);
	snprintf(target, sizeof(target), "%s", path_of(name));
	assert_int_equal(symlink(target, path_of(link)), 0);
	assert_rc(attach_rc(link), -ELOOP);
	assert_rc(fr_arena_unlink(link), 0);
	assert_rc(attach_rc(name), 0);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_symbolic_link_to_nowhere_is_one_too(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_int_equal(symlink("/nowhere", path_of(name)), 0);
	assert_rc(attach_rc(name), -ELOOP);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_directory_in_its_place_is_no_arena(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_int_equal(mkdir(path_of(name), 0700), 0);
	assert_rc(attach_rc(name), -EPROTO);
	assert_int_equal(rmdir(path_of(name)), 0);
}

static void a_fifo_in_its_place_is_no_arena_and_does_not_block(void **state)
{
	const char *name = new_name();

	(void)state;
	assert_int_equal(mkfifo(path_of(name), 0600), 0);
	assert_rc(attach_rc(name), -EPROTO);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_socket_in_its_place_is_no_arena(void **state)
{
	const char *name = new_name();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.107s",
		 path_of(name));
	assert_int_equal(bind(fd, (void *)&address, sizeof(address)), 0);
	close(fd);
	assert_rc(attach_rc(name), -EPROTO);
	assert_rc(fr_arena_unlink(name), 0);
}

/* A file of that name with those bytes at its start, in all `bytes` long. */
static void leave_file(const char *name, const void *start, size_t len,
		       size_t bytes)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		      0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, start, len), len);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void a_file_of_zeros_is_no_arena(void **state)
{
	const char *name = new_name();

	(void)state;
	leave_file(name, "", 0, 1 << 20);
	assert_rc(attach_rc(name), -EPROTO);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_file_of_text_is_no_arena(void **state)
{
	static const char text[] =
		"This is a text that forkring did not write.\n";
	const char *name = new_name();

	(void)state;
	leave_file(name, text, sizeof(text), sizeof(text));
	assert_rc(attach_rc(name), -EPROTO);
	assert_rc(fr_arena_unlink(name), 0);
}

static void an_arena_that_was_cut_short_is_damaged(void **state)
{
	const char *name = new_name();
	size_t bytes = leave_behind(name);
	const size_t lengths[] = {
		bytes - 1, bytes - 4096, bytes / 2, 8192, 4096, 4095, 128,
		87,	   16,		 9,	    8,	  7,	1,    0,
	};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		assert_int_equal(truncate(path_of(name), (off_t)lengths[i]), 0);
		assert_rc(attach_rc(name), -EBADMSG);
	}
	assert_rc(fr_arena_unlink(name), 0);
}

static int open_kept(const char *name)
{
	int fd = open(path_of(name), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What attach answers with a byte of the header changed, and put back. */
static int with_byte(const char *name, int fd, off_t at, uint8_t change)
{
	uint8_t byte;
	int rc;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= change;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	rc = attach_rc(name);
	byte ^= change;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	return rc;
}

static void each_with_byte(size_t from, size_t to, int rc)
{
	static const uint8_t changes[] = {0xff, 0x01, 0x80};
	const char *name = new_name();
	int fd;
	size_t at, i;

	leave_behind(name);
	fd = open_kept(name);
	for (at = from; at < to; at++)
		for (i = 0; i < sizeof(changes); i++)
			assert_rc(with_byte(name, fd, (off_t)at, changes[i]),
				  rc);
	assert_rc(attach_rc(name), 0);
	close(fd);
	assert_rc(fr_arena_unlink(name), 0);
}

static void another_magic_is_another_layout(void **state)
{
	(void)state;
	each_with_byte(offsetof(struct fr__header, magic),
		       offsetof(struct fr__header, fingerprint), -EPROTO);
}

static void another_fingerprint_is_another_layout(void **state)
{
	(void)state;
	each_with_byte(offsetof(struct fr__header, fingerprint),
		       offsetof(struct fr__header, bytes), -EPROTO);
}

static void any_changed_byte_of_the_geometry_is_damage(void **state)
{
	(void)state;
	each_with_byte(offsetof(struct fr__header, bytes),
		       offsetof(struct fr__header, pad0), -EBADMSG);
}

static void bytes_that_mean_nothing_are_not_looked_at(void **state)
{
	(void)state;
	each_with_byte(offsetof(struct fr__header, pad0),
		       offsetof(struct fr__header, names_version), 0);
}

/* Write a header, with a sum that is right for its geometry. */
static void put_header(int fd, const struct fr__header *sound,
		       struct fr__header *h)
{
	h->checksum = sound->checksum ^
		      fr__hash(&sound->geo, sizeof(sound->geo)) ^
		      fr__hash(&h->geo, sizeof(h->geo));
	assert_int_equal(pwrite(fd, h, sizeof(*h), 0), sizeof(*h));
}

static void
a_geometry_out_of_its_bounds_is_damage_whatever_its_sum(void **state)
{
	static const uint32_t values[] = {0, 1u << 28, 1u << 31, UINT32_MAX};
	const char *name = new_name();
	struct fr__header sound, h;
	size_t i, v;
	int fd;

	(void)state;
	leave_behind(name);
	fd = open_kept(name);
	assert_int_equal(pread(fd, &sound, sizeof(sound), 0), sizeof(sound));
	for (i = 0; i < sizeof(sound.geo) / 4; i++) {
		for (v = 0; v < sizeof(values) / sizeof(*values); v++) {
			h = sound;
			memcpy((char *)&h.geo + i * 4, &values[v], 4);
			put_header(fd, &sound, &h);
			assert_rc(attach_rc(name), -EBADMSG);
		}
	}
	h = sound;
	put_header(fd, &sound, &h);
	assert_rc(attach_rc(name), 0); /* so the sum is what we think it is */
	close(fd);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_sound_header_of_a_larger_arena_is_damage(void **state)
{
	const char *name = new_name(), *larger = new_name();
	struct fr_arena *a;
	struct fr__header h;
	int fd;

	(void)state;
	leave_behind(name);
	assert_rc(fr_arena_create(larger, NULL, &a), 0);
	assert_int_equal(pread(fr_arena_fd(a), &h, sizeof(h), 0), sizeof(h));
	fd = open_kept(name);
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	assert_rc(attach_rc(name), -EBADMSG);
	close(fd);
	fr_arena_detach(a);
	assert_rc(fr_arena_unlink(name), 0);
}

static void what_was_refused_once_is_taken_when_it_is_right(void **state)
{
	const char *name = new_name();
	uint64_t magic, none = 0;
	int fd;

	(void)state;
	leave_behind(name);
	fd = open_kept(name);
	assert_int_equal(pread(fd, &magic, 8, 0), 8);
	assert_int_equal(pwrite(fd, &none, 8, 0), 8);
	assert_rc(attach_rc(name), -EPROTO);
	assert_int_equal(pwrite(fd, &magic, 8, 0), 8);
	assert_rc(attach_rc(name), 0);
	close(fd);
	assert_rc(fr_arena_unlink(name), 0);
}

/* ---- no room ---- */

static int create_where_it_is_full(void *ctx)
{
	struct statvfs before, after;
	struct fr_arena *a;

	mount_own("tmpfs", "/dev/shm", "size=1m");
	CHECK(statvfs("/dev/shm", &before) == 0);
	CHECK_RC(create_rc(ctx, NULL), -ENOSPC);
	CHECK(!exists(ctx));
	CHECK(statvfs("/dev/shm", &after) == 0);
	CHECK(after.f_bfree == before.f_bfree);
	CHECK(after.f_ffree == before.f_ffree);
	/* A little one fits. */
	CHECK_RC(fr_arena_create(ctx, &small_arena, &a), 0);
	fr_arena_detach(a);
	return 0;
}

static void in_a_full_dev_shm_nothing_is_made_and_nothing_left(void **state)
{
	(void)state;
	wait_or_skip(spawn(create_where_it_is_full, (void *)new_name()),
		     NO_MOUNT);
}

static int create_without_dev_shm(void *ctx)
{
	mount_own("tmpfs", "/dev", "size=1m");
	CHECK_RC(create_rc(ctx, &small_arena), -EOPNOTSUPP);
	CHECK_RC(create_rc(NULL, &small_arena), 0);
	return 0;
}

static void without_dev_shm_only_nameless_arenas_are_made(void **state)
{
	(void)state;
	wait_or_skip(spawn(create_without_dev_shm, (void *)new_name()),
		     NO_MOUNT);
}

static int run_out_of_descriptors(void *ctx)
{
	struct rlimit limit = {0};
	struct fr_arena *a;
	int last = dup(0);

	limit.rlim_cur = limit.rlim_max = (rlim_t)last;
	close(last);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_RC(create_rc(new_name(), &small_arena), -EMFILE);
	CHECK_RC(create_rc(NULL, &small_arena), -EMFILE);
	CHECK_RC(fr_arena_attach(ctx, NULL, &a), -EMFILE);
	return 0;
}

static void without_descriptors_it_says_so(void **state)
{
	const char *name = new_name();

	(void)state;
	leave_behind(name);
	wait_ok(spawn(run_out_of_descriptors, (void *)name));
	assert_rc(fr_arena_unlink(name), 0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* 100 MB take far longer than from one signal to the next. */
static int create_among_signals(void *ctx)
{
	const struct fr_arena_opts opts = {
		.slots = 12,
		.mailbox_bytes = 8 << 20,
	};
	struct sigaction action = {.sa_handler = on_alarm};
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGUSR1,
	};
	struct itimerspec often = {{0, 1000000}, {0, 1000000}};
	timer_t timer;

	(void)ctx;
	sigaction(SIGUSR1, &action, NULL);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &often, NULL) == 0);
	CHECK_RC(create_rc(NULL, &opts), 0);
	CHECK_RC(create_rc(new_name(), &opts), 0);
	return 0;
}

static void
signals_that_keep_coming_do_not_keep_it_from_being_made(void **state)
{
	(void)state;
	wait_ok(spawn(create_among_signals, NULL));
}

/* ---- descriptors, and nameless arenas ---- */

static void its_descriptor_is_not_inherited_by_programs(void **state)
{
	const char *name = new_name();
	struct fr_arena *named, *nameless, *attached;

	(void)state;
	leave_behind(name);
	named = create(new_name());
	nameless = create(NULL);
	assert_rc(fr_arena_attach(name, NULL, &attached), 0);
	assert_int_equal(fcntl(fr_arena_fd(named), F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fr_arena_fd(nameless), F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fr_arena_fd(attached), F_GETFD), FD_CLOEXEC);
	fr_arena_detach(attached);
	fr_arena_detach(nameless);
	fr_arena_detach(named);
	assert_rc(fr_arena_unlink(name), 0);
}

static void a_nameless_arena_can_neither_shrink_nor_grow(void **state)
{
	struct fr_arena *a = create(NULL);
	struct fr_arena_info info;
	int fd = fr_arena_fd(a);

	(void)state;
	fr_arena_info(a, &info);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, (off_t)info.bytes - 4096), -1);
	assert_int_equal(ftruncate(fd, (off_t)info.bytes + 4096), -1);
	assert_int_equal(fcntl(fd, F_GET_SEALS) &
				 (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	fr_arena_detach(a);
}

struct pair {
	struct fr_arena *arena;
	struct fr_process *process;
	int fd;
};

/* Find the parent, and tell it so. */
static int greet(struct fr_arena *a)
{
	struct fr_process *p;
	struct fr_addr to;

	CHECK_RC(fr_join(a, &(struct fr_join_opts){.name = "child"}, &p), 0);
	CHECK_RC(fr_lookup(p, "parent", &to, 1), 1);
	CHECK_RC(fr_send(p, to, (struct fr_type){0}, "hello", 5, FR_FOREVER),
		 0);
	fr_leave(p);
	return 0;
}

static void assert_greeted(struct fr_process *p)
{
	struct fr_message m;

	assert_rc(fr_receive(p, FR_FOREVER, &m), 0);
	assert_int_equal(m.len, 5);
	assert_memory_equal(m.body, "hello", 5);
	fr_release(p, &m);
}

static int greet_in_the_inherited(void *ctx)
{
	return greet(ctx);
}

static void a_forked_child_is_in_its_parents_arena(void **state)
{
	struct fr_arena *a = create(NULL);
	struct fr_process *p;
	pid_t pid;

	(void)state;
	assert_rc(fr_join(a, &(struct fr_join_opts){.name = "parent"}, &p), 0);
	pid = spawn(greet_in_the_inherited, a);
	assert_greeted(p);
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(a);
}

static int attach_the_inherited(void *ctx)
{
	struct fr_arena *a = ctx, *again;

	CHECK_RC(fr_arena_attach_fd(fr_arena_fd(a), &again), 0);
	CHECK(again == a);
	fr_arena_detach(again);
	return greet(a);
}

static void a_child_that_attaches_the_inherited_has_its_handle(void **state)
{
	struct fr_arena *a = create(NULL);
	struct fr_process *p;
	pid_t pid;

	(void)state;
	assert_rc(fr_join(a, &(struct fr_join_opts){.name = "parent"}, &p), 0);
	pid = spawn(attach_the_inherited, a);
	assert_greeted(p);
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(a);
}

static int receive_descriptor(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	CHECK(recvmsg(from, &message, MSG_CMSG_CLOEXEC) == 1);
	CHECK(CMSG_FIRSTHDR(&message) != NULL);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void send_descriptor(int to, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &message, 0), 1);
}

/* Forked before there was an arena. */
static int attach_the_received(void *ctx)
{
	int fd = receive_descriptor(*(int *)ctx);
	struct fr_arena *a;

	CHECK_RC(fr_arena_attach_fd(fd, &a), 0);
	CHECK(fr_arena_fd(a) != fd);
	close(fd); /* it is ours; before we join */
	greet(a);
	fr_arena_detach(a);
	return 0;
}

static void a_descriptor_may_be_passed_to_an_unrelated_process(void **state)
{
	struct fr_arena *a;
	struct fr_process *p;
	int pair[2];
	pid_t pid;

	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = spawn(attach_the_received, &pair[1]);
	a = create(NULL);
	assert_rc(fr_join(a, &(struct fr_join_opts){.name = "parent"}, &p), 0);
	send_descriptor(pair[0], fr_arena_fd(a));
	assert_greeted(p);
	wait_ok(pid);
	fr_leave(p);
	fr_arena_detach(a);
	close(pair[0]);
	close(pair[1]);
}

static void a_descriptor_that_is_none_is_refused(void **state)
{
	struct fr_arena *a;
	int fd = dup(0);

	(void)state;
	close(fd);
	assert_rc(fr_arena_attach_fd(-1, &a), -EBADF);
	assert_rc(fr_arena_attach_fd(fd, &a), -EBADF);
}

static void a_descriptor_of_something_else_is_refused(void **state)
{
	struct fr_arena *a;
	int ends[2], fd = open("/", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_rc(fr_arena_attach_fd(ends[0], &a), -EPROTO);
	assert_rc(fr_arena_attach_fd(fd, &a), -EPROTO);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

static void the_caller_keeps_the_descriptor_that_it_attached(void **state)
{
	const char *name = new_name();
	struct fr_arena *a;
	int fd;

	(void)state;
	leave_behind(name);
	fd = open_kept(name);
	assert_rc(fr_arena_attach_fd(fd, &a), 0);
	fr_arena_detach(a);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	assert_rc(fr_arena_unlink(name), 0);
}

/* ---- the fork cookie ---- */

static void a_process_has_one_cookie(void **state)
{
	struct fr__cookie first, second;

	(void)state;
	assert_rc(fr__cookie_take(&first), 0);
	assert_rc(fr__cookie_take(&second), 0);
	assert_ptr_equal(first.word, second.word);
	assert_true(first.value == second.value);
	assert_true(fr__cookie_good(&first));
}

static int handled(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx, (void)p, (void)m;
	return FR_STOP;
}

struct everything {
	struct fr_process *p;
	struct fr_event_group *group;
	struct fr_event event;
	struct fr_type type;
	struct fr_addr reserved;
	struct fr_message message;
	struct fr_claim claim;
	struct fr_task_id task;
	struct fr_result result;
};

/* Every public call that can answer -ECHILD. Each would do something else if it
 * did not look: wait_ns is for ever wherever it may be. */
static int call_everything(void *ctx)
{
	struct everything *e = ctx;
	struct fr_process *p = e->p;
	struct fr_part part = {e->type, "x", 1};
	struct fr_supervisor *supervisor;
	struct fr_message m = e->message;
	struct fr_claim claim;
	struct fr_result result;
	struct fr_reply reply;
	struct fr_task task = {.arg = "x", .len = 1};
	struct fr_task_id id;
	struct fr_event event;
	struct fr_type type;
	struct fr_addr addr;
	char name[FR_NAME_MAX + 1];
	int rc = 1;

	CHECK_RC(fr_reserve(p, &addr), -ECHILD);
	CHECK_RC(fr_unreserve(p, e->reserved), -ECHILD);
	CHECK_RC(fr_lookup(p, "parent", &addr, 1), -ECHILD);
	CHECK_RC(fr_wait_name(p, "parent", FR_FOREVER, &addr), -ECHILD);
	CHECK_RC(fr_alive(p, fr_self(p)), -ECHILD);
	CHECK_RC(fr_process_name(p, fr_self(p), name), -ECHILD);
	CHECK_RC(fr_process_pid(p, fr_self(p)), -ECHILD);

	CHECK_RC(fr_type_intern(p, "type", (struct fr_type){0}, &type), -ECHILD);
	CHECK_RC(fr_type_name(p, e->type, name), -ECHILD);
	CHECK_RC(fr_send(p, fr_self(p), e->type, "x", 1, 0), -ECHILD);
	CHECK_RC(fr_send_name(p, "parent", e->type, "x", 1, 0), -ECHILD);
	CHECK_RC(fr_send_batch(p, fr_self(p), &part, 1, 0), -ECHILD);
	CHECK_RC(fr_claim(p, fr_self(p), e->type, 1, 0, &claim), -ECHILD);
	CHECK_RC(fr_receive(p, FR_FOREVER, &m), -ECHILD);
	CHECK_RC(fr_receive_batch(p, FR_FOREVER, &m, 1), -ECHILD);
	CHECK_RC(fr_handle(p, e->type, handled, NULL), -ECHILD);
	CHECK_RC(fr_unhandle(p, e->type), -ECHILD);
	CHECK_RC(fr_dispatch(p, &m), -ECHILD);
	CHECK_RC(fr_run(p, NULL), -ECHILD);
	CHECK_RC(fr_send_exit(p, fr_self(p), 0), -ECHILD);

	CHECK_RC(fr_submit(p, &task, &id), -ECHILD);
	CHECK_RC(fr_take(p, FR_FOREVER, &task, &reply), -ECHILD);
	CHECK_RC(fr_complete(p, 0, &(struct fr_reply){0}), -ECHILD);
	CHECK_RC(fr_collect(p, FR_FOREVER, &result), -ECHILD);
	CHECK_RC(fr_task_cancel(p, e->task), -ECHILD);

	CHECK_RC(fr_event_reserve(p, e->group, &event), -ECHILD);
	CHECK_RC(fr_event_set(p, e->event), -ECHILD);
	CHECK_RC(fr_event_clear(p, e->event), -ECHILD);
	CHECK_RC(fr_event_wait(p, e->event, FR_FOREVER), -ECHILD);
	CHECK_RC(fr_event_post(p, e->event), -ECHILD);
	CHECK_RC(fr_event_take(p, e->event, FR_FOREVER), -ECHILD);
	CHECK_RC(fr_event_release(p, e->event), -ECHILD);
	FR_WITH_EVENT(p, e->group, scope, FR_FOREVER, &rc)
	CHECK(!"the body runs");
	CHECK_RC(rc, -ECHILD);

	CHECK_RC(fr_supervisor_open(p, NULL, &supervisor), -ECHILD);
	return 0;
}

/* What cannot answer anything, and must not do anything either. */
static int call_what_answers_nothing(void *ctx)
{
	struct everything *e = ctx;

	fr_interrupt(e->p);
	fr_commit(e->p, &e->claim);
	fr_cancel(e->p, &e->claim);
	fr_release(e->p, &e->message);
	fr_release_batch(e->p, &e->message, 1);
	fr_result_release(e->p, &e->result);
	fr_leave(e->p);
	return 0;
}

/* A process with one of each in hand: a reservation, a type, a message that it
 * holds, a claim in its own mailbox, a finished task, a queued one, an event. */
static void begin_everything(struct everything *e, struct fr_arena *a)
{
	struct fr_reply reply;
	struct fr_task task = {.arg = "x", .len = 1};
	struct fr_task_id id;

	assert_rc(fr_join(a, &(struct fr_join_opts){.name = "parent"}, &e->p),
		  0);
	assert_rc(fr_reserve(e->p, &e->reserved), 0);
	assert_rc(fr_type_intern(e->p, "type", (struct fr_type){0}, &e->type), 0);
	assert_rc(fr_handle(e->p, e->type, handled, NULL), 0);
	assert_rc(fr_send(e->p, fr_self(e->p), e->type, "held", 4, 0), 0);
	assert_rc(fr_receive(e->p, 0, &e->message), 0);
	assert_rc(fr_claim(e->p, fr_self(e->p), e->type, 4, 0, &e->claim), 0);
	memcpy(e->claim.body, "mine", 4);
	assert_rc(fr_submit(e->p, &task, &id), 0);
	assert_rc(fr_take(e->p, 0, &task, &reply), 0);
	memcpy(reply.data, "done", reply.len = 4);
	assert_rc(fr_complete(e->p, 0, &reply), 0);
	assert_rc(fr_collect(e->p, 0, &e->result), 0);
	task = (struct fr_task){.arg = "y", .len = 1};
	assert_rc(fr_submit(e->p, &task, &e->task), 0);
	assert_rc(fr_event_group_create(a, 1, &e->group), 0);
	assert_rc(fr_event_reserve(e->p, e->group, &e->event), 0);
}

/* Everything is still as it was, and goes on. */
static void end_everything(struct everything *e)
{
	struct fr_addr found;
	struct fr_message m;
	struct fr_result result;

	assert_memory_equal(e->message.body, "held", 4);
	assert_rc(fr_receive(e->p, 0, &m), -EAGAIN); /* the claim is open */
	fr_commit(e->p, &e->claim);
	assert_rc(fr_receive(e->p, 5 * MS, &m), 0);
	assert_memory_equal(m.body, "mine", 4);
	assert_rc(fr_dispatch(e->p, &m), FR_STOP);
	fr_release(e->p, &m);
	fr_release(e->p, &e->message);
	assert_rc(fr_receive(e->p, 0, &m), -EAGAIN);
	assert_rc(fr_lookup(e->p, "parent", &found, 1), 1);
	assert_int_equal(found.id, fr_self(e->p).id);
	assert_int_equal(fr_outstanding(e->p), 2);
	assert_memory_equal(e->result.data, "done", 4);
	fr_result_release(e->p, &e->result);
	assert_rc(fr_task_cancel(e->p, e->task), 0);
	assert_rc(fr_collect(e->p, 0, &result), 0);
	assert_int_equal(result.status, FR_TASK_CANCELLED);
	fr_result_release(e->p, &result);
	assert_rc(fr_event_wait(e->p, e->event, 0), -EAGAIN);
	assert_rc(fr_event_take(e->p, e->event, 0), -EAGAIN);
	assert_rc(fr_event_release(e->p, e->event), 0);
	assert_rc(fr_unreserve(e->p, e->reserved), 0);
	fr_event_group_free(e->group);
	fr_leave(e->p);
}

static void every_call_on_the_parents_handle_answers_echild(void **state)
{
	struct fr_arena *a = create(NULL);
	struct everything e;

	(void)state;
	begin_everything(&e, a);
	wait_ok(spawn(call_everything, &e));
	end_everything(&e);
	fr_arena_detach(a);
}

static void what_answers_nothing_leaves_the_parent_alone(void **state)
{
	struct fr_arena *a = create(NULL);
	struct everything e;

	(void)state;
	begin_everything(&e, a);
	wait_ok(spawn(call_what_answers_nothing, &e));
	end_everything(&e);
	fr_arena_detach(a);
}

static int call_as_grandchild(void *ctx)
{
	struct pair *mine = ctx;

	CHECK_RC(fr_alive(mine->process, fr_self(mine->process)), -ECHILD);
	return 0;
}

static int join_and_fork(void *ctx)
{
	struct pair mine = {.arena = ctx};
	struct fr_addr self;

	CHECK_RC(fr_join(mine.arena, NULL, &mine.process), 0);
	self = fr_self(mine.process);
	CHECK_RC(fr_alive(mine.process, self), 1);
	wait_ok(spawn(call_as_grandchild, &mine));
	CHECK_RC(fr_alive(mine.process, self), 1);
	fr_leave(mine.process);
	return 0;
}

static void a_grandchild_is_not_the_child(void **state)
{
	struct fr_arena *a = create(NULL);

	(void)state;
	wait_ok(spawn(join_and_fork, a));
	fr_arena_detach(a);
}

static int join_beside_the_parent(void *ctx)
{
	struct pair *parent = ctx;
	struct fr_process *p;
	struct fr_addr found;

	CHECK_RC(fr_join(parent->arena, NULL, &p), 0);
	CHECK(fr_self(p).id != fr_self(parent->process).id);
	CHECK_RC(fr_alive(p, fr_self(parent->process)), 1);
	CHECK_RC(fr_lookup(p, "parent", &found, 1), 1);
	CHECK(found.id == fr_self(parent->process).id);
	CHECK_RC(fr_process_pid(p, found), getppid());
	fr_leave(p);
	fr_leave(parent->process);
	fr_arena_detach(parent->arena);
	return 0;
}

static void the_child_joins_on_its_own(void **state)
{
	struct pair mine = {.arena = create(NULL)};
	struct fr_arena_info info;

	(void)state;
	assert_rc(fr_join(mine.arena, &(struct fr_join_opts){.name = "parent"},
			  &mine.process),
		  0);
	wait_ok(spawn(join_beside_the_parent, &mine));
	fr_arena_info(mine.arena, &info);
	assert_int_equal(info.joined, 1);
	fr_leave(mine.process);
	fr_arena_detach(mine.arena);
}

/* ---- races ---- */

struct race {
	uint32_t ready, done, won, lost, go, stop;
	char name[FR_NAME_MAX + 1];
};

#define RACERS 4
#define RACES 60

static int race_to_create(void *ctx)
{
	struct race *races = ctx;
	struct fr_arena *a;
	unsigned i;
	int rc;

	for (i = 0; i < RACES; i++) {
		struct race *r = &races[i];

		advance(&r->ready);
		AWAIT(reached(&r->ready) == RACERS);
		rc = fr_arena_create(r->name, &small_arena, &a);
		CHECK(rc == 0 || rc == -EEXIST);
		advance(rc == 0 ? &r->won : &r->lost);
		advance(&r->done);
		await(&r->done, RACERS);
		if (rc == 0)
			fr_arena_detach(a);
	}
	return 0;
}

static void of_those_that_race_to_create_a_name_one_wins(void **state)
{
	struct race *races = shared(RACES * sizeof(*races));
	pid_t pids[RACERS];
	unsigned i;

	(void)state;
	for (i = 0; i < RACES; i++)
		strcpy(races[i].name, new_name());
	for (i = 0; i < RACERS; i++)
		pids[i] = spawn(race_to_create, races);
	for (i = 0; i < RACERS; i++)
		wait_ok(pids[i]);
	for (i = 0; i < RACES; i++) {
		assert_int_equal(races[i].won, 1);
		assert_int_equal(races[i].lost, RACERS - 1);
	}
}

static int create_again_and_again(void *ctx)
{
	struct race *r = ctx;
	struct fr_arena *a;

	while (!reached(&r->stop)) {
		CHECK_RC(fr_arena_create(r->name, &odd_arena, &a), 0);
		fr_arena_detach(a);
	}
	return 0;
}

static void a_name_that_exists_is_ready(void **state)
{
	struct race *r = shared(sizeof(*r));
	struct fr_arena_info info;
	struct fr_process *p;
	struct fr_arena *a;
	struct fr_message m;
	unsigned attached = 0;
	pid_t pid;
	int rc;

	(void)state;
	strcpy(r->name, new_name());
	pid = spawn(create_again_and_again, r);
	while (attached < 300) {
		rc = fr_arena_attach(r->name, NULL, &a);
		if (rc == -ENOENT)
			continue;
		assert_rc(rc, 0);
		fr_arena_info(a, &info);
		assert_odd(&info);
		assert_rc(fr_join(a, NULL, &p), 0);
		assert_rc(
			fr_send(p, fr_self(p), (struct fr_type){0}, "x", 1, 0),
			0);
		assert_rc(fr_receive(p, 0, &m), 0);
		fr_release(p, &m);
		fr_leave(p);
		fr_arena_detach(a);
		attached++;
	}
	advance(&r->stop);
	wait_ok(pid);
}

static int attach_again_and_again(void *ctx)
{
	struct race *r = ctx;
	unsigned i;

	for (i = 0; i < 300; i++)
		CHECK_RC(attach_rc(r->name), 0);
	return 0;
}

static void many_may_attach_at_once(void **state)
{
	struct race *r = shared(sizeof(*r));
	struct fr_arena *a;
	pid_t pids[RACERS];
	unsigned i;

	(void)state;
	strcpy(r->name, new_name());
	a = create(r->name);
	for (i = 0; i < RACERS; i++)
		pids[i] = spawn(attach_again_and_again, r);
	for (i = 0; i < RACERS; i++)
		wait_ok(pids[i]);
	fr_arena_detach(a);
}

struct threads {
	struct race *race;
	struct fr_arena *arena;
};

static void *attach_and_join_until_told(void *ctx)
{
	struct threads *t = ctx;
	struct fr_process *p;

	while (!reached(&t->race->stop)) {
		CHECK_RC(attach_rc(t->race->name), 0);
		CHECK_RC(fr_join(t->arena, NULL, &p), 0);
		fr_leave(p);
	}
	return NULL;
}

static int join_in_a_child(void *ctx)
{
	struct threads *t = ctx;
	struct fr_process *p;

	CHECK_RC(attach_rc(t->race->name), 0);
	CHECK_RC(fr_join(t->arena, NULL, &p), 0);
	fr_leave(p);
	return 0;
}

static int fork_beside_threads(void *ctx)
{
	struct threads t = {.race = ctx};
	pthread_t threads[2];
	unsigned i;

	CHECK_RC(fr_arena_attach(t.race->name, NULL, &t.arena), 0);
	for (i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL,
				     attach_and_join_until_told, &t) == 0);
	for (i = 0; i < 60; i++)
		wait_ok(spawn(join_in_a_child, &t));
	advance(&t.race->stop);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fr_arena_detach(t.arena);
	return 0;
}

static void a_child_forked_beside_busy_threads_can_join(void **state)
{
	struct race *r = shared(sizeof(*r));
	struct fr_arena *a;

	(void)state;
	strcpy(r->name, new_name());
	a = create(r->name);
	wait_ok(spawn(fork_beside_threads, r));
	fr_arena_detach(a);
}

static int killed_while_it_creates(void *ctx)
{
	struct race *r = ctx;
	int rc;

	advance(&r->ready);
	do
		rc = create_rc(r->name, &small_arena);
	while (rc == 0);
	return 1;
}

static void a_creator_that_is_killed_leaves_nothing_or_an_arena(void **state)
{
	struct race *r = shared(sizeof(*r));
	unsigned i;
	pid_t pid;
	int rc;

	(void)state;
	for (i = 0; i < 50; i++) {
		strcpy(r->name, new_name());
		pid = spawn(killed_while_it_creates, r);
		await(&r->ready, i + 1);
		AWAIT(i % 2 == 0 || exists(r->name));
		kill_hard(pid);
		rc = attach_rc(r->name);
		assert_true(rc == 0 || rc == -ENOENT);
		assert_rc(fr_arena_unlink(r->name), rc);
	}
}

/* ---- the version ---- */

static void the_library_is_of_its_headers_version(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", FR_VERSION_MAJOR,
		 FR_VERSION_MINOR, FR_VERSION_PATCH);
	assert_string_equal(fr_version(), text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_defaults_fit_64_mb),
		TEST(the_defaults_are_those_of_the_header),
		TEST(what_was_asked_for_is_reported),
		TEST(who_attaches_learns_the_geometry),
		TEST(main_has_as_many_cells_as_the_others_by_default),
		TEST(all_of_the_space_is_allocated_at_once),
		TEST(all_of_a_nameless_arena_is_allocated_too),
		TEST(a_number_out_of_its_bounds_is_refused),
		TEST(a_mailbox_size_out_of_its_bounds_is_refused),
		TEST(an_argument_size_out_of_its_bounds_is_refused),
		TEST(a_number_of_events_out_of_its_bounds_is_refused),
		TEST(a_number_of_types_out_of_its_bounds_is_refused),
		TEST(mode_bits_beyond_permissions_are_refused),
		TEST(each_number_may_be_at_its_bounds),
		TEST(every_number_at_its_upper_bound_only_lacks_space),

		TEST(a_bad_name_is_refused),
		TEST(a_name_of_48_bytes_is_too_long),
		TEST(a_name_of_47_bytes_is_accepted),
		TEST(a_name_may_have_any_other_bytes),
		TEST(there_is_no_attaching_without_a_name),
		TEST(a_name_that_is_taken_is_refused),
		TEST(a_name_that_anything_else_has_is_taken_too),
		TEST(a_call_that_fails_leaves_its_ret_alone),
		TEST(a_name_that_nobody_has_leads_nowhere),
		TEST(an_unlinked_name_is_free),
		TEST(an_unlinked_arena_goes_on),
		TEST(its_creator_takes_the_name_along),
		TEST(an_arena_to_be_kept_outlives_its_creator),
		TEST(a_name_that_leads_elsewhere_by_now_is_left_alone),
		TEST(who_attached_leaves_the_name),
		TEST(a_forked_child_that_detaches_leaves_the_name),
		TEST(detaching_nothing_does_nothing),
		TEST(attaching_again_gives_the_same_handle),
		TEST(a_handle_is_good_until_detached_as_often_as_attached),
		TEST(arenas_of_several_names_are_several),

		TEST(a_file_is_for_its_owner_only_by_default),
		TEST(the_mode_is_that_of_the_file_whatever_the_umask),
		TEST(without_permission_for_the_file_there_is_no_attaching),
		TEST(without_permission_for_the_directory_nothing_is_made),
		TEST(roots_arena_is_closed_to_others_by_default),
		TEST(roots_arena_is_taken_by_whom_its_mode_allows),
		TEST(another_users_arena_is_refused),
		TEST(another_users_arena_is_refused_by_root_too),
		TEST(another_users_arena_is_taken_if_any_owner_will_do),
		TEST(another_users_name_cannot_be_unlinked),

		TEST(a_symbolic_link_in_its_place_is_not_followed),
		TEST(a_symbolic_link_to_nowhere_is_one_too),
		TEST(a_directory_in_its_place_is_no_arena),
		TEST(a_fifo_in_its_place_is_no_arena_and_does_not_block),
		TEST(a_socket_in_its_place_is_no_arena),
		TEST(a_file_of_zeros_is_no_arena),
		TEST(a_file_of_text_is_no_arena),
		TEST(an_arena_that_was_cut_short_is_damaged),
		TEST(another_magic_is_another_layout),
		TEST(another_fingerprint_is_another_layout),
		TEST(any_changed_byte_of_the_geometry_is_damage),
		TEST(bytes_that_mean_nothing_are_not_looked_at),
		TEST(a_geometry_out_of_its_bounds_is_damage_whatever_its_sum),
		TEST(a_sound_header_of_a_larger_arena_is_damage),
		TEST(what_was_refused_once_is_taken_when_it_is_right),

		TEST(in_a_full_dev_shm_nothing_is_made_and_nothing_left),
		TEST(without_dev_shm_only_nameless_arenas_are_made),
		TEST(without_descriptors_it_says_so),
		TEST(signals_that_keep_coming_do_not_keep_it_from_being_made),

		TEST(its_descriptor_is_not_inherited_by_programs),
		TEST(a_nameless_arena_can_neither_shrink_nor_grow),
		TEST(a_process_has_one_cookie),
		TEST(a_forked_child_is_in_its_parents_arena),
		TEST(a_child_that_attaches_the_inherited_has_its_handle),
		TEST(a_descriptor_may_be_passed_to_an_unrelated_process),
		TEST(a_descriptor_that_is_none_is_refused),
		TEST(a_descriptor_of_something_else_is_refused),
		TEST(the_caller_keeps_the_descriptor_that_it_attached),

		TEST(every_call_on_the_parents_handle_answers_echild),
		TEST(what_answers_nothing_leaves_the_parent_alone),
		TEST(a_grandchild_is_not_the_child),
		TEST(the_child_joins_on_its_own),

		TEST(of_those_that_race_to_create_a_name_one_wins),
		TEST(a_name_that_exists_is_ready),
		TEST(many_may_attach_at_once),
		TEST(a_child_forked_beside_busy_threads_can_join),
		TEST(a_creator_that_is_killed_leaves_nothing_or_an_arena),

		TEST(the_library_is_of_its_headers_version),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
