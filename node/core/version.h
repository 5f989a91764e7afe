/* SPDX-License-Identifier: Apache-2.0 */
/* What this build is. AIStore's API version that we speak comes first, so that clients' compatibility checks hold. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

const char *ais_version(void);    /* "5.0.<commit>" */
const char *ais_build_time(void); /* "2026-11-22T22:17:33+0000" */

#endif
