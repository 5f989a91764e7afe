/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The msgpack form of what a node says of itself: node_stats, node_status, disk.
 *
 * Both forms carry the same data; only the keys differ, and in places the nesting. So the JSON form is built first, by those who know
 * the data, and tables say what becomes of its members here.
 *
 * Runs on: the request's fiber. Does not park. Wire: native-api.md 2.9, 7.7.
 */
#include <jansson.h>

#include "core/core_impl.h"

#include "codec/jw.h"
#include "codec/mp.h"
#include "base/util.h"

enum mp_kind {
    V_STR,
    V_INT,      /* a number, or one in quotes */
    V_REAL,
    V_STRS,     /* array of strings */
    V_INTS,     /* object: any name -> integer */
    V_SHAPE,    /* object with known members */
    V_SHAPES,   /* array of those */
    V_MAP,      /* object: any name -> object with known members; null is an empty one */
    V_INLINE,   /* members of the same JSON object, in an object of their own here */
    V_FSID,     /* "1,2" -> two integers */
    V_NAME,     /* made of daemon_type and daemon_id: "t[ID]" */
    V_ENDPOINT, /* made of host and port: "host:port" */
};

struct shape;

struct view_member {
    const char         *json, *mp;
    enum mp_kind        kind;
    const struct shape *shape;
};

struct shape {
    const struct view_member *members;
    unsigned             n;
};

#define SHAPE(m) { m, ARRAY_SIZE(m) }

/* clang-format off */
static const struct view_member net_members[] = {
    { "node_ip_addr", "h", V_STR, NULL }, { "daemon_port", "p", V_STR, NULL }, { "direct_url", "u", V_STR, NULL },
    { NULL, "tcpEndpoint", V_ENDPOINT, NULL },
};
static const struct shape net = SHAPE(net_members);

static const struct view_member snode_members[] = {
    { "public_net", "p", V_SHAPE, &net }, { "intra_data_net", "d", V_SHAPE, &net }, { "intra_control_net", "c", V_SHAPE, &net },
    { "daemon_type", "t", V_STR, NULL },  { "daemon_id", "i", V_STR, NULL },        { NULL, "name", V_NAME, NULL },
    { "pub_extra", "e", V_SHAPES, &net }, { "flags", "f", V_INT, NULL },            { "id_digest", "g", V_INT, NULL },
};
static const struct shape snode = SHAPE(snode_members);

static const struct view_member fs_members[] = {
    { "Fs", "f", V_STR, NULL }, { "FsType", "t", V_STR, NULL }, { "FsID", "i", V_FSID, NULL },
};
static const struct shape fs = SHAPE(fs_members);

static const struct view_member capacity_members[] = {
    { "used", "u", V_INT, NULL }, { "avail", "a", V_INT, NULL }, { "pct_used", "p", V_INT, NULL },
};
static const struct shape capacity = SHAPE(capacity_members);

static const struct view_member mpath_members[] = {
    { "mountpath_label", "l", V_STR, NULL }, { "fs", "f", V_SHAPE, &fs }, { "disks", "d", V_STRS, NULL },
    { NULL, "Capacity", V_INLINE, &capacity },
};
static const struct shape mpath = SHAPE(mpath_members);

#define TCDF_MEMBERS                                                                                                     \
    { "mountpaths", "m", V_MAP, &mpath }, { "cs_err", "e", V_STR, NULL }, { "total_used", "u", V_INT, NULL },             \
    { "total_avail", "a", V_INT, NULL }, { "pct_max", "x", V_INT, NULL }, { "pct_avg", "v", V_INT, NULL },                \
    { "pct_min", "n", V_INT, NULL }
static const struct view_member tcdf_members[] = { TCDF_MEMBERS };
static const struct shape tcdf = SHAPE(tcdf_members);

static const struct view_member disk_members[] = {
    { "RBps", "r", V_INT, NULL }, { "Ravg", "s", V_INT, NULL }, { "WBps", "w", V_INT, NULL }, { "Wavg", "x", V_INT, NULL },
    { "Util", "u", V_INT, NULL },
};
static const struct shape disk = SHAPE(disk_members);

static const struct view_member disks_members[] = { { "AllDiskStats", "AllDiskStats", V_MAP, &disk }, TCDF_MEMBERS };
static const struct shape disks = SHAPE(disks_members);

static const struct view_member load_members[] = {
    { "One", "o", V_REAL, NULL }, { "Five", "f", V_REAL, NULL }, { "Fifteen", "t", V_REAL, NULL },
};
static const struct shape load = SHAPE(load_members);

static const struct view_member mem_members[] = {
    { "Total", "t", V_INT, NULL },       { "Used", "u", V_INT, NULL },        { "Free", "f", V_INT, NULL },
    { "BuffCache", "b", V_INT, NULL },   { "ActualFree", "af", V_INT, NULL }, { "ActualUsed", "au", V_INT, NULL },
    { "SwapTotal", "st", V_INT, NULL },  { "SwapFree", "sf", V_INT, NULL },   { "SwapUsed", "su", V_INT, NULL },
};
static const struct shape mem = SHAPE(mem_members);

static const struct view_member cpu_members[] = {
    { "User", "u", V_INT, NULL }, { "System", "s", V_INT, NULL }, { "Total", "t", V_INT, NULL }, { "LastTime", "l", V_INT, NULL },
    { "Percent", "p", V_REAL, NULL },
};
static const struct shape cpu = SHAPE(cpu_members);

static const struct view_member rss_members[] = {
    { "Size", "s", V_INT, NULL }, { "Resident", "r", V_INT, NULL }, { "Share", "h", V_INT, NULL },
};
static const struct shape rss = SHAPE(rss_members);

static const struct view_member proc_members[] = { { "CPU", "c", V_SHAPE, &cpu }, { "Mem", "m", V_SHAPE, &rss } };
static const struct shape proc = SHAPE(proc_members);

static const struct view_member sysinfo_members[] = {
    { "mem_used", "u", V_INT, NULL },      { "mem_avail", "a", V_INT, NULL },     { "pct_mem_used", "p", V_REAL, NULL },
    { "pct_cpu_used", "c", V_REAL, NULL }, { "load_avg", "l", V_SHAPE, &load },   { "cpu_util", "t", V_INT, NULL },
    { "cpu_throttled", "h", V_INT, NULL }, { "mem", "m", V_SHAPE, &mem },         { "proc", "r", V_SHAPE, &proc },
};
static const struct shape sysinfo = SHAPE(sysinfo_members);

static const struct view_member primary_members[] = {
    { "pub_url", "PubURL", V_STR, NULL }, { "control_url", "CtrlURL", V_STR, NULL }, { "id", "ID", V_STR, NULL },
};
static const struct shape primary = SHAPE(primary_members);

static const struct view_member smap_members[] = {
    { "Primary", "Primary", V_SHAPE, &primary }, { "uuid", "UUID", V_STR, NULL }, { "version", "Version", V_INT, NULL },
};
static const struct shape smap = SHAPE(smap_members);

static const struct view_member meta_members[] = { { "uuid", "UUID", V_STR, NULL }, { "version", "Version", V_INT, NULL } };
static const struct shape meta = SHAPE(meta_members);

static const struct view_member state_members[] = {
    { "smap", "s", V_SHAPE, &smap },   { "bmd", "b", V_SHAPE, &meta },   { "rmd", "r", V_SHAPE, &meta },
    { "config", "c", V_SHAPE, &meta }, { "etlmd", "e", V_SHAPE, &meta }, { "flags", "f", V_INT, NULL },
};
static const struct shape state = SHAPE(state_members);

#define STATS_MEMBERS { "snode", "n", V_SHAPE, &snode }, { "tracker", "t", V_INTS, NULL }, { "capacity", "x", V_SHAPE, &tcdf }
static const struct view_member stats_members[] = { STATS_MEMBERS };
static const struct shape stats = SHAPE(stats_members);

static const struct view_member status_members[] = {
    { "status", "s", V_STR, NULL },     { "deployment", "d", V_STR, NULL },   { "ais_version", "v", V_STR, NULL },
    { "build_time", "b", V_STR, NULL }, { "k8s_pod_name", "k", V_STR, NULL }, STATS_MEMBERS,
    { "cluster", "c", V_SHAPE, &state }, { "sys_info", "y", V_SHAPE, &sysinfo }, { "smap_version", "w", V_INT, NULL },
};
static const struct shape status = SHAPE(status_members);

static const struct {
    const char         *what;
    const struct shape *shape;
} views[] = { { "node_stats", &stats }, { "node_status", &status }, { "disk", &disks } };
/* clang-format on */

static void put_shape(struct sbuf *out, const json_t *obj, const struct shape *s);

static void
put_int(struct sbuf *out, const json_t *v)
{
    uint64_t u;
    int64_t  i = 0;

    if (json_u64(v, &u))
        mp_u64(out, u);
    else
        mp_i64(out, json_i64(v, &i) ? i : 0);
}

static void
put_ints(struct sbuf *out, json_t *obj)
{
    const char *key;
    json_t     *v;

    mp_map(out, (uint32_t)json_object_size(obj));
    json_object_foreach(obj, key, v) {
        mp_strz(out, key);
        put_int(out, v);
    }
}

static void
put_map(struct sbuf *out, json_t *obj, const struct shape *s)
{
    const char *key;
    json_t     *v;

    mp_map(out, (uint32_t)json_object_size(obj));
    json_object_foreach(obj, key, v) {
        mp_strz(out, key);
        put_shape(out, v, s);
    }
}

static const char *
text_of(const json_t *v)
{
    const char *s = json_string_value(v);

    return s != NULL ? s : "";
}

static void
put_array(struct sbuf *out, const json_t *arr, const struct shape *s)
{
    size_t i;

    mp_arr(out, (uint32_t)json_array_size(arr));
    for (i = 0; i < json_array_size(arr); i++) {
        if (s != NULL)
            put_shape(out, json_array_get(arr, i), s);
        else
            mp_strz(out, text_of(json_array_get(arr, i)));
    }
}

static void
put_fsid(struct sbuf *out, struct str text)
{
    struct str part;
    int64_t    v;
    unsigned   i;

    mp_arr(out, 2);
    for (i = 0; i < 2; i++) {
        v = 0;
        if (str_split(&text, ',', &part))
            (void)str_i64(part, &v);
        mp_i64(out, v);
    }
}

/* "%s%s%s%s" of two members of the object. */
static void
put_made(struct sbuf *out, const json_t *obj, const char *first, int most, const char *between, const char *second, const char *end)
{
    char text[400];

    snprintf(text, sizeof(text), "%.*s%s%.255s%s", most, text_of(json_object_get(obj, first)), between,
             text_of(json_object_get(obj, second)), end);
    mp_strz(out, text);
}

static void
put_member(struct sbuf *out, const json_t *obj, const struct view_member *m)
{
    json_t *v = m->json != NULL ? json_object_get(obj, m->json) : NULL;

    mp_strz(out, m->mp);
    switch (m->kind) {
    case V_STR:
        mp_strz(out, text_of(v));
        break;
    case V_INT:
        put_int(out, v);
        break;
    case V_REAL:
        mp_f64(out, json_number_value(v));
        break;
    case V_STRS:
        put_array(out, v, NULL);
        break;
    case V_INTS:
        put_ints(out, v);
        break;
    case V_SHAPE:
        put_shape(out, v, m->shape);
        break;
    case V_SHAPES:
        put_array(out, v, m->shape);
        break;
    case V_MAP:
        put_map(out, v, m->shape);
        break;
    case V_INLINE:
        put_shape(out, obj, m->shape);
        break;
    case V_FSID:
        put_fsid(out, str_z(text_of(v)));
        break;
    case V_NAME:
        put_made(out, obj, "daemon_type", 1, "[", "daemon_id", "]");
        break;
    case V_ENDPOINT:
        put_made(out, obj, "node_ip_addr", 64, ":", "daemon_port", "");
        break;
    }
}

/* Members that the JSON form leaves out are left out here. */
static void
put_shape(struct sbuf *out, const json_t *obj, const struct shape *s)
{
    uint32_t n = 0;
    unsigned i;

    for (i = 0; i < s->n; i++)
        n += s->members[i].json == NULL || json_object_get(obj, s->members[i].json) != NULL;
    mp_map(out, n);
    for (i = 0; i < s->n; i++)
        if (s->members[i].json == NULL || json_object_get(obj, s->members[i].json) != NULL)
            put_member(out, obj, &s->members[i]);
}

bool
mpview_has(struct str what)
{
    for (size_t i = 0; i < ARRAY_SIZE(views); i++)
        if (str_eqz(what, views[i].what))
            return true;
    return false;
}

int
mpview_encode(struct str what, struct str json, struct sbuf *out, struct err *e)
{
    json_t *root = NULL;
    int     rc = json_read(json, &root, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(views); i++)
        if (str_eqz(what, views[i].what))
            put_shape(out, root, views[i].shape);
    json_decref(root);
    return sbuf_ok(out) ? 0 : err_set(e, AIS_E_NOMEM, "no memory for %.*s", STR_FMT(what));
}

void
ais_send_view(struct req *r, struct str what, struct sbuf *json)
{
    struct sbuf out;
    struct err  e;
    int         rc;

    if (!mpview_has(what) || !http1_accepts(r->head->accept, STR_LIT("application/msgpack"))) {
        ais_send_json(r, json);
        return;
    }
    err_clear(&e);
    sbuf_init(&out, 64 * MIB);
    rc = mpview_encode(what, sbuf_str(json), &out, &e);
    if (rc < 0)
        resp_err(r, rc, &e);
    else
        resp_send(r, 200, "application/msgpack", sbuf_str(&out));
    sbuf_fini(&out);
}
