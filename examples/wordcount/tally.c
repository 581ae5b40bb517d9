/* SPDX-License-Identifier: MIT */
/*
 * Main's side of the farm.
 *
 * Main opens no regular file and asks for no size: on a tree of small files
 * that would be a fifth of the work, done by one process. It packs the paths
 * into batches as they are found. A worker that meets a file too large for its
 * batch says how large, and main submits that file in pieces; these go before
 * further batches.
 *
 *	walk -> batch of paths -> [worker] -> counts
 *	                                   -> "later", size -> pieces -> [worker]
 *	                                                    -> counts, joined
 *
 * Invariants:
 *	jobs in all <= the farm's cells, so that a submit never waits, and
 *	waiting is done here, where the bar is drawn;
 *	a file is in at most one of: the batch, a job of batch, the queue;
 *	file.pieces_left = pieces in the queue + jobs of piece.
 */
#include "tally.h"

#include <forkring/process.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* A batch is worth as much as a large piece: about half a millisecond. */
#define PIECE_MIN	  (UINT64_C(1) << 20)
#define PIECE_MAX	  (UINT64_C(4) << 20)
#define PIECES_PER_WORKER 16
#define PIECES_MAX	  65536

/* Longest wait while there is a bar to draw. */
#define WAIT_NS		  INT64_C(100000000)

/* How often tally_pause() looks at the workers. */
#define PAUSE_NS	  INT64_C(1000000)

/* Tasks that may be out at a time. Enough that no worker runs dry while main is
 * not on the CPU; not more, so that sizes are known early. */
#define JOBS_PER_WORKER	  16
#define JOBS_MAX	  2048

/* Files whose size is known. */

/* Bytes of each piece of a file, but for the last one's. */
static uint64_t piece_bytes(const struct tally *t, uint64_t size)
{
	uint64_t piece = size / (t->opts.workers * PIECES_PER_WORKER);

	if (t->opts.piece)
		piece = t->opts.piece;
	else if (piece < PIECE_MIN)
		piece = PIECE_MIN;
	else if (piece > PIECE_MAX)
		piece = PIECE_MAX;
	if (piece < size / PIECES_MAX + 1)
		piece = size / PIECES_MAX + 1;
	return piece;
}

static int enqueue(struct tally *t, size_t file)
{
	struct tally_queue *q = &t->queue;

	if (q->first && q->first == q->end)
		q->first = q->end = 0;
	if (q->end == q->max) {
		size_t more = q->max ? q->max * 2 : 64;
		size_t *files = realloc(q->files, more * sizeof(*files));

		if (!files)
			return -ENOMEM;
		q->files = files;
		q->max = more;
	}
	q->files[q->end++] = file;
	return 0;
}

/* Have a file counted in pieces, or in one if it is small. */
static int cut(struct tally *t, size_t file)
{
	struct file *f = &t->list.files[file];
	int rc = file_cut(f, piece_bytes(t, f->size));

	t->looked_at++;
	t->known += f->size;
	return rc < 0 ? rc : enqueue(t, file);
}

/* Results. */

static void take_failure(struct file *f, const struct work_look *look)
{
	if (look->err && !f->err)
		f->err = look->err;
	if (look->outcome == WORK_SKIPPED) {
		f->dropped = f->kind == FILE_WALKED;
		f->err = f->dropped ? 0 : ESTALE;
	}
}

/* A file of a batch has been looked at. */
static int take_look(struct tally *t, size_t file, const struct work_look *look)
{
	struct file *f = &t->list.files[file];

	f->size = look->size;
	if (look->outcome == WORK_LATER)
		return cut(t, file);
	take_failure(f, look);
	f->opened = look->outcome == WORK_COUNTED;
	f->count = look->count;
	t->looked_at++;
	t->known += look->count.bytes;
	t->counted += look->count.bytes;
	return 0;
}

static void take_piece(struct tally *t, const struct job *job,
		       const struct work_look *look)
{
	struct file *f = &t->list.files[job->file[0]];

	take_failure(f, look);
	f->opened |= look->outcome == WORK_COUNTED;
	t->counted += look->count.bytes;
	file_piece(f, job->piece, &look->count);
}

/* Put a result where it belongs; its job is free again. */
static int take_result(struct tally *t, const struct fr_result *r)
{
	const struct job *job = &t->jobs.job[r->kind];
	const struct work_look *looks = r->data;
	struct work_look lost = {.err = FILE_LOST};
	bool good = r->status == FR_TASK_DONE &&
		    r->len == job->files * sizeof(*looks);
	int rc = 0;

	for (uint32_t i = 0; i < job->files && rc == 0; i++) {
		const struct work_look *look = good ? &looks[i] : &lost;

		if (t->list.files[job->file[i]].pieces_left)
			take_piece(t, job, look);
		else
			rc = take_look(t, job->file[i], look);
	}
	jobs_give(&t->jobs, r->kind);
	return rc;
}

/* Draw the bar. Sizes not known yet are taken to be like those that are. */
static void draw(struct tally *t)
{
	struct progress_state s = {
		.bytes = t->counted,
		.files = t->regular,
	};

	if (!progress_on(t->opts.progress))
		return;
	if (t->all_found && t->looked_at)
		s.total = (uint64_t)((double)t->known / t->looked_at *
				     t->regular);
	progress_draw(t->opts.progress, &s);
}

/*
 * Take in what is finished; if nothing is, wait for the first. Returns 0 also
 * when there is nothing to wait for.
 */
static int take_in(struct tally *t, bool wait)
{
	int64_t limit = progress_on(t->opts.progress) ? WAIT_NS : FR_FOREVER;
	bool any = false;
	int rc;

	do {
		struct fr_result r;

		rc = fr_farm_next(t->farm, wait && !any ? limit : 0, &r);
		if (rc == 0) {
			any = true;
			rc = take_result(t, &r);
		}
	} while (rc == 0);
	draw(t);
	return rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ENODATA ? 0 : rc;
}

/* Tasks. */

/* Submit a task as a copy of this job; one is free. */
static int submit(struct tally *t, const struct work_task *task,
		  const struct job *job)
{
	struct fr_task out = {
		.arg = task->bytes,
		.len = task->len,
		.kind = jobs_take(&t->jobs, job),
	};
	struct fr_task_id id;

	return fr_farm_submit(t->farm, &out, &id);
}

static uint32_t path_flags(const struct file *f)
{
	return f->kind == FILE_WALKED ? WORK_WALKED : 0;
}

/* Submit the next piece of the first file in the queue. */
static int submit_piece(struct tally *t)
{
	struct tally_queue *q = &t->queue;
	size_t file = q->files[q->first];
	const struct file *f = &t->list.files[file];
	uint64_t bytes = piece_bytes(t, f->size);
	struct job job = {.files = 1, .piece = q->piece, .file = {file}};
	struct work_task task;

	work_begin(&task, WORK_PIECE);
	task.head.offset = q->piece * bytes;
	task.head.length = bytes;
	if (q->piece + 1 == f->pieces_count)
		task.head.length = WORK_TO_END;
	work_add_path(&task, f->path, f->path_len, path_flags(f));
	if (++q->piece == f->pieces_count) {
		q->piece = 0;
		q->first++;
	}
	return submit(t, &task, &job);
}

/* Submit pieces while there are any and a job is free. */
static int submit_pieces(struct tally *t)
{
	int rc = 0;

	while (rc == 0 && jobs_any_free(&t->jobs) &&
	       t->queue.first < t->queue.end)
		rc = submit_piece(t);
	return rc;
}

/* Submit the batch, with patience; pieces go first. */
static int submit_batch(struct tally *t)
{
	int rc = tally_poll(t);

	if (!t->filling.files)
		return rc;
	while (rc == 0 && !jobs_any_free(&t->jobs)) {
		rc = take_in(t, true);
		if (rc == 0)
			rc = submit_pieces(t);
	}
	if (rc == 0)
		rc = submit(t, &t->batch, &t->filling);
	t->filling.files = 0;
	return rc;
}

static uint64_t batch_bytes(const struct tally *t)
{
	return t->opts.piece ? t->opts.piece : PIECE_MAX;
}

/* How many files like those seen so far would fill three quarters of a batch:
 * most batches are then counted at one go. */
static uint64_t batch_files(const struct tally *t)
{
	uint64_t files = WORK_BATCH_MAX;

	if (t->known)
		files = t->looked_at * (batch_bytes(t) / 4 * 3) / t->known;
	return files < WORK_BATCH_MAX ? files : WORK_BATCH_MAX;
}

static void begin_batch(struct tally *t)
{
	work_begin(&t->batch, WORK_BATCH);
	t->batch.head.length = batch_bytes(t);
}

static int add_to_batch(struct tally *t, size_t file)
{
	const struct file *f = &t->list.files[file];
	uint32_t flags = path_flags(f);
	int rc = 0;

	if (!t->filling.files)
		begin_batch(t);
	if (t->filling.files >= batch_files(t) ||
	    !work_add_path(&t->batch, f->path, f->path_len, flags)) {
		rc = submit_batch(t);
		begin_batch(t);
		work_add_path(&t->batch, f->path, f->path_len, flags);
	}
	t->filling.file[t->filling.files++] = file;
	return rc;
}

int tally_file(struct tally *t, enum file_kind kind, const char *path,
	       size_t len, uint64_t size)
{
	struct file *f = list_add(&t->list, kind, path, len);
	size_t number = t->list.count - 1;
	int rc;

	if (!f)
		return -ENOMEM;
	if (len >= PATH_MAX) {
		f->err = ENAMETOOLONG;
		return 0;
	}
	t->regular++;
	f->size = size;
	if (size <= PIECE_MIN)
		return add_to_batch(t, number);
	rc = cut(t, number);
	return rc < 0 ? rc : tally_poll(t);
}

int tally_poll(struct tally *t)
{
	int rc = take_in(t, false);

	return rc < 0 ? rc : submit_pieces(t);
}

int tally_pause(struct tally *t)
{
	int64_t now = progress_clock_ns();
	int rc;

	if (now - t->looked_ns < PAUSE_NS)
		return 0;
	t->looked_ns = now;
	rc = tally_poll(t);
	if (rc == 0 && !jobs_any_out(&t->jobs))
		rc = submit_batch(t);
	return rc;
}

int tally_all_found(struct tally *t)
{
	t->all_found = true;
	return submit_batch(t);
}

int tally_finish(struct tally *t)
{
	int rc = submit_pieces(t);

	while (rc == 0 && jobs_any_out(&t->jobs)) {
		rc = take_in(t, true);
		if (rc == 0)
			rc = submit_pieces(t);
	}
	return rc;
}

/* A worker has ended. Main says so in its own words, beside the bar. */
static void report(void *ctx, const struct fr_end *end)
{
	struct tally *t = ctx;
	int status = end->status;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	progress_clear(t->opts.progress);
	fprintf(stderr, "wordcount: worker %d ended by %s %d%s\n", end->pid,
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		end->restarting ? "; started another" : "");
}

int tally_open(struct tally *t, const struct tally_opts *opts)
{
	struct fr_farm_opts farm = {
		.workers = opts->workers,
		.run = work_run,
		.setup = work_setup,
		.teardown = work_teardown,
		.ctx = t,
		.arg_max = WORK_TASK_BYTES,
		.result_max = WORK_RESULT_BYTES,
		/* A task takes so long that spinning would only take a CPU
		 * from a worker. */
		.wait = FR_WAIT_SLEEP,
		.report = report,
	};

	unsigned jobs = opts->workers * JOBS_PER_WORKER;
	int rc;

	*t = (struct tally){.opts = *opts};
	rc = jobs_make(&t->jobs, jobs < JOBS_MAX ? jobs : JOBS_MAX);
	if (rc < 0)
		return rc;
	farm.cells = (t->jobs.count + 63) / 64 * 64;
	return fr_farm_open(&farm, &t->farm);
}

int tally_close(struct tally *t)
{
	int rc = fr_farm_close(t->farm);

	t->farm = NULL;
	return rc;
}

void tally_free(struct tally *t)
{
	list_free(&t->list);
	free(t->queue.files);
	jobs_free(&t->jobs);
}
