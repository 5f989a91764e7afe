/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: rare things made testable (style.md 9).
 *
 *     FAIL_POINT("put.rename", return -AIS_E_IO);
 *
 * Compiled out of release builds (AIS_FAIL_POINTS). A test arms one by name, through failpoint_arm() or the environment
 * AIS_FAIL="put.rename=1:3,disk.write=nospace,commit.fold=20:1:kill", read once at the first use.
 *
 * name=field[:field...]: the first number is how many hits are skipped, the second how many then fire (0 or absent: all); a word
 * names an error of err.def ("nospace") for failpoint_error(), or is "kill". Thread-safe; blocks for a mutex when armed.
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
/* For the action: the (negative) code that the point which fired last on this thread was armed with, else dflt. */
int  failpoint_error(int dflt);
/* A list as above adds to what is armed and replaces points of the same name; "" disarms all. 0, -AIS_E_INVAL (then nothing
 * changed, or the table of 64 is full), -AIS_E_UNSUPP when compiled out. */
int  failpoint_arm(struct str spec);
bool failpoint_compiled_in(void);

#endif
