/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test needs: cmocka with its includes, and a way to run code on a fiber and wait for it. */
#ifndef UNIT_H
#define UNIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#endif
