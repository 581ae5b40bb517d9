/* SPDX-License-Identifier: MIT */
#include "forkring/version.h"

#define TEXT(n) #n
#define VERSION(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *fr_version(void)
{
	return VERSION(FR_VERSION_MAJOR, FR_VERSION_MINOR, FR_VERSION_PATCH);
}
