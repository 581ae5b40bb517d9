// SPDX-License-Identifier: MIT
// The same as use.c, from C++.
#include <forkring.h>

#include <cstdio>
#include <stdexcept>
#include <string>

static void check(int rc)
{
	if (rc < 0)
		throw std::runtime_error("error " + std::to_string(rc));
}

struct arena {
	fr_arena *handle = nullptr;

	arena() { check(fr_arena_create(nullptr, nullptr, &handle)); }
	~arena() { fr_arena_detach(handle); }
};

struct process {
	fr_process *handle = nullptr;

	explicit process(arena &a) { check(fr_join(a.handle, nullptr, &handle)); }
	~process() { fr_leave(handle); }
};

int main()
try {
	arena a;
	process self(a);
	struct fr_type greeting; // as with stat(2), a call has that name too
	fr_message m;

	check(fr_type_intern(self.handle, "greeting", {}, &greeting));
	check(fr_send(self.handle, fr_self(self.handle), greeting, "hello", 5, 0));
	check(fr_receive(self.handle, 0, &m));
	std::string body(static_cast<const char *>(m.body), m.len);
	fr_release(self.handle, &m);
	std::printf("%s %s\n", fr_version(), body.c_str());
	return 0;
} catch (const std::exception &e) {
	std::fprintf(stderr, "use: %s\n", e.what());
	return 1;
}
