/* SPDX-License-Identifier: MIT */
/*
 * One page per process, private, MADV_WIPEONFORK. 0 means "not drawn yet"; the
 * word is drawn from the kernel's random numbers, so that a child's differs
 * from its parent's and from those of its siblings.
 */
#include "cookie.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static struct fr__a64 page_address;

static int page(struct fr__a64 **ret)
{
	/* [COOKIE-2] acquire: address -> the page is set up. Pairs with
	 * [COOKIE-3]. Without it: nothing in practice, mmap orders all. */
	uint64_t known = fr__load_acquire(&page_address);
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	if (known == 0) {
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return -ENOMEM;
		if (madvise(p, bytes, MADV_WIPEONFORK) == -1) {
			munmap(p, bytes);
			return -ENOSYS;
		}
		/* [COOKIE-3] acq_rel: page set up -> its address. Pairs with
		 * [COOKIE-2]. Without it: see there. */
		if (fr__cas_acq_rel(&page_address, &known, (uintptr_t)p))
			known = (uintptr_t)p;
		else
			munmap(p, bytes);
	}
	*ret = (struct fr__a64 *)(uintptr_t)known;
	return 0;
}

int fr__cookie_take(struct fr__cookie *ret)
{
	struct fr__a64 *word;
	uint64_t drawn = 0, now;
	int rc = page(&word);

	if (rc < 0)
		return rc;
	while (drawn == 0)
		if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
			drawn = 0;
	now = 0;
	/* [COOKIE-4] relaxed: the value is all there is to it. */
	if (!fr__cas_relaxed(word, &now, drawn))
		drawn = now;
	ret->word = word;
	ret->value = drawn;
	return 0;
}
