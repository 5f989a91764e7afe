/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of APPEND come back from clients: whatever they say, only a work file of the bucket is touched, and no hash state is trusted. */
#include "store/append.c"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct store *
some_store(void)
{
    static struct store *s;

    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        s->n = 2;
        for (unsigned i = 0; i < s->n; i++) {
            s->mpaths[i] = xcalloc(1, sizeof(*s->mpaths[i]));
            snprintf(s->mpaths[i]->path, sizeof(s->mpaths[i]->path), "/mp%u", i);
        }
    }
    return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    const struct bck b = { .provider = PROV_AIS, .name = STR_LIT("b") };
    struct handle    h;
    struct mpath    *m;
    struct cksum_run run = { .type = CKSUM_NONE };
    struct cksum     out;

    if (n > 4096 || handle_parse(str_from((const char *)p, n), &h, NULL) < 0)
        return 0;
    m = handle_mpath(some_store(), &b, h.path);
    if (m != NULL) {
        struct str base = str_from_off(h.path, strlen(m->path) + sizeof("/@ais/b/%wk/") - 1);

        ASSERT(str_starts(h.path, str_z(m->path)) && base.n > 0 && str_chr(base, '/') < 0);
    }
    if (state_load(&h, -1, h.size, &run) == 0) {
        cksum_update(&run, p, n);
        cksum_final(&run, &out);
    }
    cksum_fini(&run);
    return 0;
}
