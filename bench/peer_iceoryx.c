/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast is iceoryx at its best?
 * Topology: a topic for each box, to which the process that reads the box
 * subscribes; all that write to it publish there.
 * Waiting mode: sleep: a wait set where there is nothing to take; else takes in
 * a spin (ring.h), which is faster. A publisher whose subscriber's queue is full
 * yields until it is not.
 * Statistic: drive.h and run.c.
 *
 * Chunks are loaned, written and read in place. Publishers wait for consumers,
 * so that nothing is lost. There are no batches: messages go one by one. The
 * daemon, iox-roudi, is started for each trial, with a memory pool for messages
 * of its size, and ended with it.
 */
#include "peers.h"
#include "ring.h"

#include <iceoryx_binding_c/api.h>

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME	 "forkring-bench"
#define QUEUE	 256		      /* messages: the most that it can */
#define READY_MS 10000		      /* for the daemon to start */
#define STOP_NS	 UINT64_C(5000000000) /* for it to end */

struct daemon {
	pid_t pid;
	int out; /* what it prints; it would end if that were closed */
};

/* What a process writes to and reads from. */
struct end {
	struct spin spin;
	iox_sub_t sub;
	iox_ws_t ws; /* NULL: it does not sleep */
	iox_pub_t pub[MEMBERS_MAX];
	iox_pub_t to; /* where the claimed chunk will go */
	void *claimed;
	unsigned taken;
	const void *body[BATCH_MAX]; /* what is taken */
};

static const struct timespec moment = {.tv_nsec = 1000000};

/* ---- the daemon ---- */

/* Chunks for all that queues, readers and writers can hold. */
static int config(const struct bench_case *c)
{
	int fd = memfd_create(NAME, 0);

	if (fd >= 0)
		dprintf(fd,
			"[general]\nversion = 1\n[[segment]]\n"
			"[[segment.mempool]]\nsize = %zu\ncount = %u\n",
			(c->size + 31) & ~(size_t)31,
			2 * QUEUE * boxes_of(c) + 8 * MEMBERS_MAX);
	return fd;
}

static _Noreturn void exec_daemon(int conf, int out, pid_t parent)
{
	char path[32];

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", conf);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execlp("iox-roudi", "iox-roudi", "-c", path, "-m", "off", "-l", "error",
	       (char *)NULL);
	dprintf(STDERR_FILENO, "iox-roudi: %s\n", strerror(errno));
	_exit(1);
}

/* Has it said that it is ready? */
static bool await_ready(const struct daemon *d)
{
	struct pollfd pfd = {.fd = d->out, .events = POLLIN};
	char said[4096];
	size_t n = 0;
	ssize_t more;

	do {
		said[n] = '\0';
		if (strstr(said, "RouDi is ready"))
			return true;
		more = poll(&pfd, 1, READY_MS) == 1
			       ? read(d->out, said + n, sizeof(said) - 1 - n)
			       : 0;
		n += more > 0 ? (size_t)more : 0;
	} while (more > 0);
	fprintf(stderr, NAME ": iceoryx's daemon did not start; it said:\n%s",
		said);
	return false;
}

/* Did it end well? Otherwise it leaves names behind. */
static bool stop_daemon(struct daemon *d)
{
	uint64_t deadline = now_ns() + STOP_NS;
	int status = 1;

	kill(d->pid, SIGTERM);
	while (waitpid(d->pid, &status, WNOHANG) == 0) {
		if (now_ns() > deadline)
			kill(d->pid, SIGKILL);
		nanosleep(&moment, NULL);
	}
	close(d->out);
	free(d);
	return status == 0;
}

static int open_daemon(struct trial *t)
{
	struct daemon *d = malloc(sizeof(*d));
	pid_t parent = getpid();
	int conf, out[2];

	if (!d || pipe2(out, O_CLOEXEC) < 0) {
		free(d);
		return -errno;
	}
	conf = config(t->c);
	*d = (struct daemon){.pid = fork(), .out = out[0]};
	if (d->pid == 0)
		exec_daemon(conf, out[1], parent);
	close(out[1]);
	close(conf);
	t->priv = d;
	if (d->pid > 0 && await_ready(d))
		return 0;
	if (d->pid > 0)
		stop_daemon(d);
	return -ENOTCONN;
}

static void remove_daemons_names(void)
{
	static const char *const names[] = {"/dev/shm/iceoryx_mgmt",
					    "/tmp/roudi", "/tmp/roudi.lock",
					    "/tmp/iox-unique-roudi.lock"};
	struct group *group = getgrgid(getegid());
	char path[128];

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(names[i]);
	if (!group)
		return;
	snprintf(path, sizeof(path), "/dev/shm/%s", group->gr_name);
	unlink(path);
}

static void remove_members_names(void)
{
	char path[64];
	glob_t found;

	snprintf(path, sizeof(path), "/tmp/" NAME ".%d.*", (int)getpid());
	if (glob(path, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
	globfree(&found);
}

static void close_daemon(struct trial *t)
{
	if (!stop_daemon(t->priv))
		remove_daemons_names();
	remove_members_names();
}

/* ---- set up ---- */

static void subscribe(struct end *end, const char *box, bool sleeps)
{
	static iox_sub_storage_t sub;
	static iox_ws_storage_t ws;
	iox_sub_options_t options;

	iox_sub_options_init(&options);
	options.queueCapacity = QUEUE;
	options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
	end->sub = iox_sub_init(&sub, NAME, "box", box, &options);
	if (!sleeps)
		return;
	end->ws = iox_ws_init(&ws);
	iox_ws_attach_subscriber_state(end->ws, end->sub,
				       SubscriberState_HAS_DATA, 0, NULL);
}

static iox_pub_t publish(unsigned to, const char *box)
{
	static iox_pub_storage_t pub[MEMBERS_MAX];
	iox_pub_options_t options;

	iox_pub_options_init(&options);
	options.subscriberTooSlowPolicy =
		ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
	return iox_pub_init(&pub[to], NAME, "box", box, &options);
}

/* Until all boxes that this process may send to have their reader. */
static int attach(struct trial *t, int mine, void **ret)
{
	static struct end end;
	char name[64];

	snprintf(name, sizeof(name), NAME ".%d.%d", (int)getppid(),
		 (int)getpid());
	iox_set_loglevel(Iceoryx_LogLevel_Off);
	iox_runtime_init(name);
	spin_open(&end.spin, t->c);
	for (unsigned i = 0; i < boxes_of(t->c); i++) {
		snprintf(name, sizeof(name), "%u", i);
		if ((int)i == mine)
			subscribe(&end, name, t->c->mode == SLEEP);
		else
			end.pub[i] = publish(i, name);
	}
	for (unsigned i = 0; i < boxes_of(t->c); i++)
		while (end.pub[i] && !iox_pub_has_subscribers(end.pub[i]))
			nanosleep(&moment, NULL);
	*ret = &end;
	return 0;
}

/* ---- queues ---- */

static inline int claim(void *ctx, unsigned to, size_t size, void **body)
{
	struct end *end = ctx;

	end->to = end->pub[to];
	if (unlikely(iox_pub_loan_chunk(end->to, &end->claimed,
					(uint32_t)size) !=
		     AllocationResult_SUCCESS))
		return -ENOBUFS;
	*body = end->claimed;
	return 0;
}

static inline int commit(void *ctx)
{
	const struct end *end = ctx;

	iox_pub_publish_chunk(end->to, end->claimed);
	return 0;
}

static inline int send_one(void *end, unsigned to, const void *buf, size_t size)
{
	void *body;
	int rc = claim(end, to, size, &body);

	if (unlikely(rc < 0))
		return rc;
	memcpy(body, buf, size);
	return commit(end);
}

static inline int send_batch(void *end, unsigned to, const void *buf,
			     size_t size, unsigned count)
{
	const unsigned char *body = buf;
	int rc = 0;

	for (unsigned i = 0; i < count && rc == 0; i++)
		rc = send_one(end, to, body + i * size, size);
	return rc < 0 ? rc : (int)count;
}

static inline int try_receive(void *ctx, const void **body)
{
	struct end *end = ctx;

	switch (iox_sub_take_chunk(end->sub, body)) {
	case ChunkReceiveResult_SUCCESS:
		end->body[end->taken++] = *body;
		return 0;
	case ChunkReceiveResult_NO_CHUNK_AVAILABLE:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static inline int receive(void *ctx, const void **body)
{
	struct end *end = ctx;
	iox_notification_info_t info;
	uint64_t missed;
	int rc;

	while ((rc = try_receive(end, body)) == -EAGAIN)
		if (end->ws)
			iox_ws_wait(end->ws, &info, 1, &missed);
		else
			spin(&end->spin);
	return rc;
}

static inline int receive_batch(void *ctx, const void **bodies, unsigned max)
{
	struct end *end = ctx;
	int rc = receive(end, &bodies[0]);

	while (rc == 0 && end->taken < max)
		rc = try_receive(end, &bodies[end->taken]);
	return rc < 0 && rc != -EAGAIN ? rc : (int)end->taken;
}

static inline void done(void *ctx)
{
	struct end *end = ctx;

	while (end->taken)
		iox_sub_release_chunk(end->sub, end->body[--end->taken]);
}

static const struct queue_ops ops = {
	.attach = attach,
	.send = send_one,
	.receive = receive,
	.try_receive = try_receive,
	.done = done,
	.send_batch = send_batch,
	.receive_batch = receive_batch,
	.claim = claim,
	.commit = commit,
};

static int run(struct trial *t, enum role role, unsigned index)
{
	return queue_run(t, role, index, &ops);
}

/* A message goes to each of a topic's subscribers; and whoever publishes waits:
 * there is no try_send(), which a mesh needs. */
static bool can(const struct bench_case *c)
{
	for (unsigned i = 0; i < boxes_of(c); i++)
		if (box_shape(c, i).readers > 1)
			return false;
	return boxes_of(c) <= 2 && queue_can(c, &ops);
}

const struct peer peer_iceoryx = {
	.name = "iceoryx",
	.note = "loaned chunks; 256 a queue; its daemon runs beside",
	.can = can,
	.open = open_daemon,
	.run = run,
	.close = close_daemon,
};
