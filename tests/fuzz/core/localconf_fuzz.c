/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "core/conf.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/sbuf.h"
#include "base/util.h"
#include "codec/jw.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* -local_config=FILE */
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct local_conf c;
    char                     path[64];
    int                      fd = memfd_create("local", MFD_CLOEXEC);
    struct sbuf              b;
    struct jw                w;
    struct err               e;

    log_set_level(LOG_ERROR);
    err_clear(&e);
    ASSERT(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (local_conf_load(path, &c, &e) == 0) {
        sbuf_init(&b, 1 << 20);
        jw_init(&w, &b, 0);
        jw_obj(&w);
        local_conf_json_members(&c, &w);
        jw_obj_end(&w);
        ASSERT(sbuf_ok(&b));
        sbuf_fini(&b);
    }
    close(fd);
    return 0;
}
