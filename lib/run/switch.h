/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lib/run: the machine-dependent context switch. */
#ifndef RUN_SWITCH_H
#define RUN_SWITCH_H

void  ais_switch(void **old_sp, void *new_sp);
/* Prepare a fresh stack ending at `top` so that the first switch to the returned pointer calls fn(arg), which must not return. */
void *ais_stack_prepare(void *top, void (*fn)(void *), void *arg);

#endif
