/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local configuration of one node: a plain JSON file named by -local_config. Read at start, never written.
 *
 * Format: native-api.md 7.6, kubernetes.md 4.4.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/util.h"
#include "codec/jw.h"
#include "core/conf.h"
#include "run/disk.h"

#define LOCAL_MAX (1 * MIB)

/* Strings of the file and where they go. A number is accepted where AIStore writes a port as a string. */
static const struct member {
    const char *section, *key;
    size_t      off, size;
    bool        required;
} members[] = {
#define M(sec, key, m, req) { sec, key, offsetof(struct local_conf, m), sizeof(((struct local_conf *)0)->m), req }
    M("", "confdir", confdir, true),
    M("", "log_dir", log_dir, false),
    M("test_fspaths", "root", test_fspaths.root, false),
    M("host_net", "hostname", host_net.hostname, false),
    M("host_net", "hostname_intra_control", host_net.hostname_control, false),
    M("host_net", "hostname_intra_data", host_net.hostname_data, false),
    M("host_net", "port", host_net.port, true),
    M("host_net", "port_intra_control", host_net.port_control, false),
    M("host_net", "port_intra_data", host_net.port_data, false),
#undef M
};

static int
member_read(const struct member *m, const json_t *root, struct local_conf *out, struct err *e)
{
    const json_t *sec = m->section[0] != '\0' ? json_get_fold(root, m->section) : root;
    const json_t *v = sec != NULL ? json_get_fold(sec, m->key) : NULL;
    char         *dst = (char *)out + m->off;
    int64_t       num;
    const char   *dot = m->section[0] != '\0' ? "." : "";

    if (v == NULL || json_is_null(v))
        return m->required ? err_set(e, AIS_E_INVAL, "%s%s%s is missing", m->section, dot, m->key) : 0;
    if (json_is_integer(v) && json_i64(v, &num)) {
        snprintf(dst, m->size, "%lld", (long long)num);
        return 0;
    }
    if (!json_is_string(v))
        return err_set(e, AIS_E_INVAL, "%s%s%s: expecting a string", m->section, dot, m->key);
    if (!str_copyz(str_z(json_string_value(v)), dst, m->size))
        return err_set(e, AIS_E_INVAL, "%s%s%s is too long (at most %zu bytes)", m->section, dot, m->key, m->size - 1);
    if (m->required && dst[0] == '\0')
        return err_set(e, AIS_E_INVAL, "%s%s%s is empty", m->section, dot, m->key);
    return 0;
}

/* {"/mp1":"label"}, {"paths":{...}}, or a list of paths. */
static int
fspaths_read(const json_t *root, struct local_conf *out, struct err *e)
{
    const json_t *fs = json_get_fold(root, "fspaths"), *v;
    const char   *path;

    if (fs != NULL && json_is_object(json_object_get(fs, "paths")))
        fs = json_object_get(fs, "paths");
    if (fs == NULL || json_is_null(fs))
        return 0;
    if (!json_is_object(fs))
        return err_set(e, AIS_E_INVAL, "fspaths: expecting an object of paths and labels");
    json_object_foreach ((json_t *)(uintptr_t)fs, path, v) {
        const char *label = json_is_string(v) ? json_string_value(v) : "";

        if (out->nfspaths == ARRAY_SIZE(out->fspaths))
            return err_set(e, AIS_E_INVAL, "fspaths: more than %zu mountpaths", ARRAY_SIZE(out->fspaths));
        if (path[0] != '/' || !str_copyz(str_z(path), out->fspaths[out->nfspaths].path, sizeof(out->fspaths[0].path)) ||
            !str_copyz(str_z(label), out->fspaths[out->nfspaths].label, sizeof(out->fspaths[0].label)))
            return err_set(e, AIS_E_INVAL, "fspaths: \"%s\" (label \"%s\") is not an absolute path, or too long", path, label);
        out->nfspaths++;
    }
    return 0;
}

static int
ports_check(const struct local_conf *c, struct err *e)
{
    const struct {
        const char *key, *v;
    } ports[] = { { "port", c->host_net.port }, { "port_intra_control", c->host_net.port_control },
                  { "port_intra_data", c->host_net.port_data } };
    uint64_t n;

    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        if (ports[i].v[0] != '\0' && (!str_u64(str_z(ports[i].v), &n) || n > UINT16_MAX))
            return err_set(e, AIS_E_INVAL, "host_net.%s: \"%s\" is not a port number", ports[i].key, ports[i].v);
    return 0;
}

static int
local_parse(const json_t *root, struct local_conf *out, struct err *e)
{
    const json_t *t = json_get_fold(root, "test_fspaths");
    int           rc = 0;

    if (!json_is_object(root))
        return err_set(e, AIS_E_INVAL, "expecting a JSON object");
    for (size_t i = 0; i < ARRAY_SIZE(members) && rc == 0; i++)
        rc = member_read(&members[i], root, out, e);
    if (rc == 0)
        rc = fspaths_read(root, out, e);
    if (rc == 0)
        rc = ports_check(out, e);
    if (rc < 0)
        return rc;
    if (t != NULL) {
        json_i64(json_get_fold(t, "count"), &out->test_fspaths.count);
        json_i64(json_get_fold(t, "instance"), &out->test_fspaths.instance);
    }
    return 0;
}

int
local_conf_load(const char *path, struct local_conf *out, struct err *e)
{
    auto_free char    *text = NULL;
    struct local_conf *c;
    json_t            *root = NULL;
    size_t             n = 0;
    int                rc = disk_read_file(path, LOCAL_MAX, &text, &n);

    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    c = xcalloc(1, sizeof(*c));
    rc = json_read(str_from(text, n), &root, e);
    if (rc == 0)
        rc = local_parse(root, c, e);
    if (rc == 0)
        *out = *c;
    json_decref(root);
    free(c);
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

void
local_conf_json_members(const struct local_conf *c, struct jw *w)
{
    jw_key(w, "fspaths");
    jw_obj(w);
    for (unsigned i = 0; i < c->nfspaths; i++)
        jw_kstrz(w, c->fspaths[i].path, c->fspaths[i].label);
    jw_obj_end(w);
    jw_kstrz(w, "confdir", c->confdir);
    jw_kstrz(w, "log_dir", c->log_dir);
    jw_key(w, "test_fspaths");
    jw_obj(w);
    jw_kstrz(w, "root", c->test_fspaths.root);
    jw_ki64(w, "count", c->test_fspaths.count);
    jw_ki64(w, "instance", c->test_fspaths.instance);
    jw_obj_end(w);
    jw_key(w, "host_net");
    jw_obj(w);
    jw_kstrz(w, "hostname", c->host_net.hostname);
    jw_kstrz(w, "hostname_intra_control", c->host_net.hostname_control);
    jw_kstrz(w, "hostname_intra_data", c->host_net.hostname_data);
    jw_kstrz(w, "port", c->host_net.port);
    jw_kstrz(w, "port_intra_control", c->host_net.port_control);
    jw_kstrz(w, "port_intra_data", c->host_net.port_data);
    jw_obj_end(w);
}
