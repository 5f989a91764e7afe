/* SPDX-License-Identifier: Apache-2.0 */
#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define FOLDER (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* What of path lies below root, without slashes before it; NULL when it does not. */
static const char *
rest_of(const char *root, const char *path)
{
    size_t n = strlen(root);

    if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

static int
step_into(int dir, const char *name, size_t n)
{
    char one[NAME_MAX + 1];
    int  fd;

    if (n >= sizeof(one))
        fd = -ENAMETOOLONG;
    else if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
        fd = -EXDEV;
    else {
        memcpy(one, name, n);
        one[n] = '\0';
        fd = openat(dir, one, FOLDER);
        if (fd < 0)
            fd = -errno;
    }
    close(dir);
    return fd;
}

int
beneath_dir(const char *root, const char *path, const char **last)
{
    const char *name = rest_of(root, path), *end;
    int         fd;

    if (name == NULL || *name == '\0')
        return -EXDEV;
    fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (fd >= 0 && (end = strchr(name, '/')) != NULL) {
        fd = step_into(fd, name, (size_t)(end - name));
        name = end + strspn(end, "/");
    }
    if (fd >= 0 && (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)) {
        close(fd);
        return -EXDEV;
    }
    *last = name;
    return fd;
}

int
beneath_open(const char *root, const char *path, int flags)
{
    const char *last, *rest = rest_of(root, path);
    int         dir, fd;

    if (rest != NULL && *rest == '\0') {
        fd = open(root, flags | O_CLOEXEC);
        return fd >= 0 ? fd : -errno;
    }
    dir = beneath_dir(root, path, &last);
    if (dir < 0)
        return dir;
    fd = openat(dir, last, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    close(dir);
    return fd;
}

int
beneath_unlink(const char *root, const char *path)
{
    const char *last;
    int         dir = beneath_dir(root, path, &last), rc = 0;

    if (dir < 0)
        return dir;
    if (unlinkat(dir, last, 0) != 0)
        rc = -errno;
    close(dir);
    return rc;
}
