/* SPDX-License-Identifier: Apache-2.0 */
/* What this build is; AIS_GIT and AIS_BUILD_TIME come from cmake/programs.cmake. */
#include "core/version.h"

#ifndef AIS_GIT
#define AIS_GIT "unknown"
#endif
#ifndef AIS_BUILD_TIME
#define AIS_BUILD_TIME ""
#endif
#define AIS_API_VERSION "5.0"

const char *
ais_version(void)
{
    return AIS_API_VERSION "." AIS_GIT;
}

const char *
ais_build_time(void)
{
    return AIS_BUILD_TIME;
}
