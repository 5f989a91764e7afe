/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated clients: fibers of a loop on host 0, speaking HTTP to proxies and following them to targets. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "cluster.h"
#include "run/fiber.h"

static struct run     *run;
static struct hclient *hc;

void
clients_init(void)
{
    struct run_conf     rc = { .nloops = 1, .tag = "client", .watchdog_ns = -1, .disk = DISK_THREADS };
    struct hclient_conf c = { .user_agent = "sim", .connect_ns = SEC_NS(2) };

    MUST(run_new(&rc, &run));
    run_start(run);
    MUST(hclient_new(run, &c, &hc));
}

void
clients_spawn(fiber_f *fn, void *arg)
{
    MUST(fiber_spawn(run_loop(run, 0), "client", fn, arg));
}

struct call {
    void (*fn)(void *arg);
    void *arg;
    bool  done;
};

static void
call_main(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    c->done = true;
}

void
clients_call(void (*fn)(void *arg), void *arg)
{
    struct call c = { .fn = fn, .arg = arg };

    clients_spawn(call_main, &c);
    while (!c.done)
        sim_sleep(MSEC_NS(5));
}

static struct str
location(const struct http1_head *h)
{
    for (unsigned i = 0; i < h->nhdrs; i++)
        if (str_ieq(h->hdrs[i].name, STR_LIT("Location")))
            return h->hdrs[i].value;
    return (struct str){ NULL, 0 };
}

/* "http://host:port/path" into its two halves. */
static bool
url_split(struct str url, struct str *base, struct str *target)
{
    size_t i, slashes = 0;

    for (i = 0; i < url.n && slashes < 3; i++)
        slashes += url.p[i] == '/';
    if (slashes < 3)
        return false;
    *base = str_from(url.p, i - 1);
    *target = str_from(url.p + i - 1, url.n - i + 1);
    return true;
}

int
ask(unsigned host, enum method m, struct str target, struct str body, struct arena *a, struct hc_resp *out)
{
    static const struct hdr json[] = { { { "Content-Type", 12 }, { "application/json", 16 } },
                                       { { "Accept", 6 }, { "application/json", 16 } } };
    struct hc_req q = { .method = m, .base = str_z(cl_url(host)), .target = target, .body = body, .hdrs = json,
                        .nhdrs = ARRAY_SIZE(json), .timeout_ns = SEC_NS(8) };
    struct err    e;
    int           rc, hops;

    for (hops = 0; hops < 3; hops++) {
        struct str to;

        err_clear(&e);
        rc = hc_call(hc, &q, a, 8 << 20, out, &e);
        if (rc < 0)
            return rc;
        to = location(out->head);
        if ((out->status != 301 && out->status != 307) || !url_split(to, &q.base, &q.target))
            return out->status;
    }
    return out->status;
}
