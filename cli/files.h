/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local files as sources and destinations of transfers. A destination has its name only when it is whole.
 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "cli/fault.h"
#include "codec/cksum.h"

/* --- walking --- */
typedef int walk_f(void *arg, const char *path, int64_t size); /* not 0 ends the walk */
/* Regular files in dir, in the order of their names, below it too when recursive. Links are not followed. */
int walk_dir(const char *dir, bool recursive, walk_f *fn, void *arg, struct fault *f);

/* --- reading --- */
int file_cksum(const char *path, enum cksum_type t, struct cksum *out, struct fault *f);

/* --- writing --- */
struct outfile {
    int         fd;
    const char *path;
    char       *tmp;    /* heap; NULL: written in place (standard output, a device) */
    bool        borrow; /* fd is not ours */
};
/* "-" is standard output. mkdirs: missing parents are made. */
int  outfile_open(struct outfile *o, const char *path, bool mkdirs, struct fault *f);
int  outfile_write(struct outfile *o, const void *p, size_t n);              /* 0, or -1 with errno */
int  outfile_pwrite(struct outfile *o, const void *p, size_t n, int64_t off);
int  outfile_commit(struct outfile *o, struct fault *f); /* gives it its name; ends it */
void outfile_abort(struct outfile *o);                   /* nothing stays; harmless after commit */

/*
 * Where an object goes below a directory: "dir/rel". NULL when its name cannot be a file's there ("..", "a//b", "x/").
 */
const char *path_below(struct arena *mem, const char *dir, struct str rel);
/* The part of a name behind its last slash; the whole when that is empty. */
struct str base_name(struct str name);

#endif
