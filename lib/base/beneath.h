/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Paths of somebody else's choice below a directory of ours: opened one folder after the other, no symbolic link followed, so that a
 * folder that is exchanged for a link in the meantime leads nowhere. The calls block; the root itself is trusted.
 */

/*
 * The folder that holds the last name of a path below root, and that name (in *last, part of path). A descriptor to close, or -errno:
 * -ELOOP or -ENOTDIR for a link on the way, -EXDEV for a path that is not below root or has "." or ".." in it.
 */
int beneath_dir(const char *root, const char *path, const char **last);

/* The file or folder itself, as openat does, with O_NOFOLLOW and O_CLOEXEC. path may be root. A descriptor, or -errno. */
int beneath_open(const char *root, const char *path, int flags);
int beneath_unlink(const char *root, const char *path);
