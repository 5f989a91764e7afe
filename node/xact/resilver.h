/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XACT_RESILVER_H
#define XACT_RESILVER_H

#include "base/err.h"

struct node;

/*
 * Mountpaths have changed: start the resilver, or start it anew, if it is due and resilver.enabled. 0 also when there is nothing to do.
 * On a fiber. May park.
 */
int resilver_begin(struct node *n, struct err *e);

#endif
