/* SPDX-License-Identifier: MIT */
/* A program outside the tree: what an installed forkring is used for first. */
#include <forkring.h>

#include <stdio.h>
#include <string.h>

static int send_to_self(struct fr_process *self)
{
	struct fr_type greeting;
	struct fr_message m;
	int rc = fr_type_intern(self, "greeting", (struct fr_type){0}, &greeting);

	if (rc < 0)
		return rc;
	rc = fr_send(self, fr_self(self), greeting, "hello", 5, 0);
	if (rc < 0)
		return rc;
	rc = fr_receive(self, 0, &m);
	if (rc < 0)
		return rc;
	printf("%s %.*s\n", fr_version(), (int)m.len, (const char *)m.body);
	fr_release(self, &m);
	return 0;
}

int main(void)
{
	struct fr_arena *arena;
	struct fr_process *self;
	int rc = fr_arena_create(NULL, NULL, &arena);

	if (rc == 0) {
		rc = fr_join(arena, NULL, &self);
		if (rc == 0) {
			rc = send_to_self(self);
			fr_leave(self);
		}
		fr_arena_detach(arena);
	}
	if (rc < 0)
		fprintf(stderr, "use: %s\n", strerror(-rc));
	return rc < 0;
}
