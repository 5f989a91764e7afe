/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: rare things made testable (style.md 9).
 *
 *     FAIL_POINT("put.rename", return -AIS_E_IO);
 *
 * Compiled out of release builds (AIS_FAIL_POINTS). A test arms one by name, through failpoint_arm() or the environment
 * AIS_FAIL="put.rename=1:3,disk.write=nospace" (name=skip:times; times 0 = always; a word names an error or "kill").
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>

#include "base/str.h"

#ifdef AIS_FAIL_POINTS
#define FAIL_POINT(name, action)                                                                                       \
    do {                                                                                                               \
        if (failpoint_hit(name))                                                                                       \
            action;                                                                                                    \
    } while (0)
#else
#define FAIL_POINT(name, action)                                                                                       \
    do {                                                                                                               \
    } while (0)
#endif

bool failpoint_hit(const char *name); /* true when armed and due; kills the process when armed with "kill" */
int  failpoint_arm(struct str spec);  /* "name=skip:times" list; 0 or -AIS_E_INVAL. "" disarms all */
bool failpoint_compiled_in(void);

#endif
