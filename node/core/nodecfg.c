/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is and where it listens: id, addresses, mountpaths of a development cluster.
 *
 * Runs on: the starting thread; blocks. internals.md 1.5 (ids), native-api.md 1.2 (networks).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/core_impl.h"

#include "codec/cksum.h"
#include "run/disk.h"
#include "run/offload.h"
#include "base/log.h"
#include "base/util.h"

#define XATTR_DAEMON_ID "user.ais.daemon_id"
#define XATTR_STORAGE   "user.ais.storage_id"
#define PROXY_ID_FILE   ".ais.proxy_id"
#define K8S_ID_LEN      13

int
mkdir_all(const char *path)
{
    auto_free char *p = xstrdup(path);
    char           *s;

    for (s = p + 1; *s != '\0'; s++) {
        if (*s != '/')
            continue;
        *s = '\0';
        if (mkdir(p, 0755) < 0 && errno != EEXIST)
            return err_from_errno(errno);
        *s = '/';
    }
    return mkdir(p, 0755) < 0 && errno != EEXIST ? err_from_errno(errno) : 0;
}

const char *
nodecfg_confdir(const struct node *n)
{
    return n->local.confdir;
}

/* --- mountpaths --- */
int
nodecfg_fspaths(struct node *n, struct err *e)
{
    struct local_conf *lc = &n->local;
    int64_t            i;
    int                rc;

    if (n->role != ROLE_TARGET || lc->test_fspaths.count <= 0)
        return 0;
    if (lc->test_fspaths.count > (int64_t)ARRAY_SIZE(lc->fspaths) || lc->test_fspaths.root[0] != '/')
        return err_set(e, AIS_E_INVAL, "test_fspaths: root must be absolute, count at most %zu", ARRAY_SIZE(lc->fspaths));
    for (i = 0; i < lc->test_fspaths.count; i++) {
        char *path = lc->fspaths[i].path;
        int   len = snprintf(path, sizeof(lc->fspaths[i].path), "%s/mp%lld/%lld", lc->test_fspaths.root, (long long)i + 1,
                             (long long)lc->test_fspaths.instance);

        if (len < 0 || (size_t)len >= sizeof(lc->fspaths[i].path))
            return err_set(e, AIS_E_INVAL, "test_fspaths: path too long");
        lc->fspaths[i].label[0] = '\0';
        rc = mkdir_all(path);
        if (rc < 0)
            return err_set(e, -rc, "%s: %s", path, err_text(rc));
    }
    lc->nfspaths = (unsigned)lc->test_fspaths.count;
    return 0;
}

/* --- id --- */
static int
id_take(struct node *n, struct str id, const char *from, struct err *e)
{
    if (!node_id_valid(id) || !str_copyz(id, n->id, sizeof(n->id)))
        return err_set(e, AIS_E_INVAL, "invalid node id \"%.*s\" (%s)", STR_FMT(id), from);
    return 1;
}

/* What the disks say; they must agree. 1 = found, 0 = they say nothing. */
static int
target_disk_id(struct node *n, struct err *e)
{
    char     id[NODE_ID_MAX + 1];
    unsigned i;

    for (i = 0; i < n->local.nfspaths; i++) {
        const char *path = n->local.fspaths[i].path;
        ssize_t     len = getxattr(path, XATTR_DAEMON_ID, id, sizeof(id) - 1);

        if (len <= 0)
            continue;
        id[len] = '\0';
        if (n->id[0] != '\0' && strcmp(n->id, id) != 0)
            return err_set(e, AIS_E_INVAL, "storage integrity error: mountpath %s belongs to target \"%s\", others to \"%s\"", path, id,
                           n->id);
        if (n->id[0] == '\0' && id_take(n, str_z(id), path, e) < 0)
            return -AIS_E_INVAL;
    }
    return n->id[0] != '\0';
}

/*
 * Which set of disks this target has: a random text on each mountpath, made when the target is. The cluster map remembers it: a node that comes
 * back under its id with disks that were wiped is not what it was. One disk that was replaced is stamped; one of another life is refused.
 */
int
nodecfg_storage(struct node *n, struct err *e)
{
    char    *own = n->self.storage, id[sizeof(n->self.storage)];
    unsigned i, pass;

    for (pass = 0; n->role == ROLE_TARGET && pass < 2; pass++) {
        for (i = 0; i < n->local.nfspaths; i++) {
            const char *path = n->local.fspaths[i].path;
            ssize_t     len = getxattr(path, XATTR_STORAGE, id, sizeof(id) - 1);

            if (len <= 0) {
                if (pass > 0 && access(path, W_OK) == 0 && setxattr(path, XATTR_STORAGE, own, strlen(own), 0) < 0)
                    return err_set(e, -err_from_errno(errno), "mountpath %s: cannot be stamped: %s", path, strerror(errno));
                continue;
            }
            id[len] = '\0';
            if (own[0] == '\0')
                memcpy(own, id, sizeof(id));
            else if (strcmp(own, id) != 0)
                return err_set(e, AIS_E_INVAL, "storage integrity error: mountpath %s is from another life of this target (storage id "
                               "\"%s\", others have \"%s\")", path, id, own);
        }
        if (own[0] == '\0')
            node_id_gen(own);
    }
    return 0;
}

static int
proxy_disk_id(struct node *n, struct err *e)
{
    auto_free char *path = xasprintf("%s/%s", nodecfg_confdir(n), PROXY_ID_FILE), *text = NULL;
    size_t          len = 0;
    int             rc = disk_read_file(path, 256, &text, &len);

    if (rc == -AIS_E_NOENT)
        return 0;
    if (rc < 0)
        return err_set(e, -rc, "%s: %s", path, err_text(rc));
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
        len--;
    return id_take(n, str_from(text, len), path, e);
}

/* A proxy in Kubernetes is named after the machine it runs on. */
static int
k8s_proxy_id(struct node *n, struct err *e)
{
    const char *node = getenv("MY_NODE");
    char        hash[80], id[NODE_ID_MAX + 1];
    const char *h = hash;

    if (node == NULL || node[0] == '\0')
        return 0;
    str_from_u64(xxh64(node, strlen(node), AIS_HASH_SEED), 36, hash);
    if (h[0] >= '0' && h[0] <= '9')
        h++;
    snprintf(id, sizeof(id), "%*.*s", K8S_ID_LEN, K8S_ID_LEN, h);
    for (char *p = id; *p == ' '; p++)
        *p = '0';
    return id_take(n, str_z(id), "MY_NODE", e);
}

/* On a developer's machine an id shows its role and port, as AIStore's playground does. */
static void
id_generate(struct node *n)
{
    char id[9], port[16];

    node_id_gen(id);
    if (!n->testing) {
        str_copyz(str_z(id), n->id, sizeof(n->id));
        return;
    }
    for (int i = 0; i < 3; i++) { /* letters only, so that the port can be read off */
        if (id[i] >= '0' && id[i] <= '9')
            id[i] = (char)('a' + (id[i] - '0'));
    }
    id[3] = '\0';
    str_copyz(str_z(n->local.host_net.port), port, sizeof(port));
    snprintf(n->id, sizeof(n->id), "%s%c%s", id, n->role == ROLE_PROXY ? 'p' : 't', port);
    if (!node_id_valid(str_z(n->id)))
        node_id_gen(n->id);
}

static int
proxy_id_store(struct node *n, struct err *e)
{
    auto_free char *path = xasprintf("%s/%s", nodecfg_confdir(n), PROXY_ID_FILE);
    int             rc = disk_write_file_atomic(path, n->id, strlen(n->id), 0640);

    return rc < 0 ? err_set(e, -rc, "%s: %s", path, err_text(rc)) : 0;
}

int
nodecfg_id(struct node *n, const struct node_opts *o, struct err *e)
{
    const char *given = o->daemon_id != NULL ? o->daemon_id : getenv("AIS_DAEMON_ID");
    char        disk[NODE_ID_MAX + 1];
    int         rc;

    n->id[0] = '\0';
    rc = n->role == ROLE_TARGET ? target_disk_id(n, e) : proxy_disk_id(n, e);
    if (rc < 0)
        return rc;
    memcpy(disk, n->id, sizeof(disk));
    if (given != NULL && given[0] != '\0') {
        rc = id_take(n, str_z(given), o->daemon_id != NULL ? "-daemon_id" : "AIS_DAEMON_ID", e);
        if (rc < 0)
            return rc;
        if (n->role == ROLE_TARGET && disk[0] != '\0' && strcmp(disk, n->id) != 0)
            return err_set(e, AIS_E_INVAL, "storage integrity error: the mountpaths belong to target \"%s\", not to \"%s\"", disk,
                           n->id);
    }
    if (n->id[0] == '\0' && n->role == ROLE_PROXY && k8s_proxy_id(n, e) < 0)
        return -AIS_E_INVAL;
    if (n->id[0] == '\0')
        id_generate(n);
    if (n->role == ROLE_PROXY && strcmp(disk, n->id) != 0)
        return proxy_id_store(n, e);
    return 0;
}

/* --- addresses --- */
static bool
host_is_loopback(const char *host)
{
    struct in_addr a;

    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127);
}

static bool
host_is_numeric(const char *host)
{
    unsigned char buf[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

/* "10.0.0.0/8": does the IPv4 address lie in it? */
static bool
in_cidr(struct in_addr a, const char *cidr)
{
    char           net[64];
    ptrdiff_t      slash = str_chr(str_z(cidr), '/');
    struct in_addr base;
    uint64_t       bits;
    uint32_t       mask;

    if (slash < 0 || !str_copyz(str_from(cidr, (size_t)slash), net, sizeof(net)) || inet_pton(AF_INET, net, &base) != 1 ||
        !str_u64(str_z(cidr + slash + 1), &bits) || bits > 32)
        return false;
    mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    return (ntohl(a.s_addr) & mask) == (ntohl(base.s_addr) & mask);
}

/* The first address of this machine that others can reach, one in cidr (may be NULL) preferred. */
static void
discover_host(const char *cidr, char out[256])
{
    struct ifaddrs *list = NULL, *i;

    str_copyz(STR_LIT("127.0.0.1"), out, 256);
    if (getifaddrs(&list) < 0)
        return;
    for (i = list; i != NULL; i = i->ifa_next) {
        struct sockaddr_in sin;
        bool               match, first;

        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
            (i->ifa_flags & IFF_LOOPBACK))
            continue;
        memcpy(&sin, i->ifa_addr, sizeof(sin));
        match = cidr != NULL && in_cidr(sin.sin_addr, cidr);
        first = strcmp(out, "127.0.0.1") == 0;
        if (match || first)
            inet_ntop(AF_INET, &sin.sin_addr, out, 256);
        if (match)
            break;
    }
    freeifaddrs(list);
}

static int
port_parse(const char *text, const char *what, uint16_t *out, struct err *e)
{
    uint64_t v;

    *out = 0;
    if (text[0] == '\0')
        return 0;
    if (!str_u64(str_z(text), &v) || v == 0 || v > 65535)
        return err_set(e, AIS_E_INVAL, "host_net.%s: \"%s\" is not a port", what, text);
    *out = (uint16_t)v;
    return 0;
}

/* hostname: "" or a comma list, the first is the node's, the others are extra addresses with the same port. */
static void
pub_hosts(struct node *n, const char *fallback)
{
    struct str list = str_z(n->local.host_net.hostname), host;
    bool       first = true;

    str_copyz(str_z(fallback), n->self.pub.host, sizeof(n->self.pub.host));
    if (list.n == 0)
        return;
    while (str_split(&list, ',', &host)) {
        host = str_trim(host);
        if (host.n == 0)
            continue;
        if (first) {
            str_copyz(host, n->self.pub.host, sizeof(n->self.pub.host));
            first = false;
        } else if (n->self.nextra < SNODE_MAX_EXTRA) {
            struct net_ep *x = &n->self.extra[n->self.nextra++];

            str_copyz(host, x->host, sizeof(x->host));
            x->port = n->self.pub.port;
        }
    }
}

int
nodecfg_net(struct node *n, const struct node_opts *o, struct err *e)
{
    struct snode *s = &n->self;
    struct views  v;
    const char   *cidr = getenv("AIS_PUBLIC_IP_CIDR");
    char          host[256];
    bool          local = n->testing || o->loopback, https;
    int           rc;

    memset(s, 0, sizeof(*s));
    rc = nodecfg_storage(n, e);
    if (rc < 0)
        return rc;
    s->role = n->role;
    s->level = node_level(o);
    str_copyz(str_z(n->id), s->id, sizeof(s->id));
    if (port_parse(n->local.host_net.port, "port", &s->pub.port, e) < 0 ||
        port_parse(n->local.host_net.port_control, "port_intra_control", &s->control.port, e) < 0 ||
        port_parse(n->local.host_net.port_data, "port_intra_data", &s->data.port, e) < 0)
        return -AIS_E_INVAL;
    if (s->pub.port == 0)
        return err_set(e, AIS_E_INVAL, "host_net.port is missing");
    if (s->control.port == 0 && s->data.port == 0)
        return err_set(e, AIS_E_INVAL, "host_net: one of port_intra_control and port_intra_data is required");
    if (s->control.port == 0)
        s->control.port = s->data.port;
    if (s->data.port == 0)
        s->data.port = s->control.port;
    if (s->control.port == s->pub.port || s->data.port == s->pub.port)
        return err_set(e, AIS_E_INVAL, "host_net: the public port %u cannot be an intra-cluster one too", s->pub.port);

    if (local)
        str_copyz(STR_LIT("127.0.0.1"), host, sizeof(host));
    else
        discover_host(cidr, host);
    pub_hosts(n, host);
    str_copyz(str_z(n->local.host_net.hostname_control), s->control.host, sizeof(s->control.host));
    str_copyz(str_z(n->local.host_net.hostname_data), s->data.host, sizeof(s->data.host));
    if (s->control.host[0] == '\0')
        str_copyz(str_z(s->data.host[0] != '\0' ? s->data.host : s->pub.host), s->control.host, sizeof(s->control.host));
    if (s->data.host[0] == '\0')
        memcpy(s->data.host, s->control.host, sizeof(s->data.host));
    if (auth_keyless(n->auth)) {
        str_copyz(STR_LIT("127.0.0.1"), s->control.host, sizeof(s->control.host));
        str_copyz(STR_LIT("127.0.0.1"), s->data.host, sizeof(s->data.host));
    }
    views_get(n, &v);
    https = v.conf->net.use_https;
    if (v.conf->proxy.non_electable && n->role == ROLE_PROXY)
        s->flags |= SNODE_NON_ELECTABLE;
    views_put(&v);
    snode_finish(s, https);
    return 0;
}

static void
bind_of(const char *host, bool v6, bool keyless, char out[64])
{
    struct str any = v6 ? STR_LIT("::") : STR_LIT("0.0.0.0");

    if (keyless || host_is_loopback(host))
        str_copyz(strcmp(host, "::1") == 0 ? STR_LIT("::1") : STR_LIT("127.0.0.1"), out, 64);
    else
        str_copyz(host_is_numeric(host) ? str_z(host) : any, out, 64);
}

void
nodecfg_bind(const struct node *n, char pub[64], char control[64], char data[64])
{
    const char  *env = getenv("AIS_USE_IPv6");
    struct views v;
    bool         v6, keyless = auth_keyless(n->auth);

    views_get((struct node *)(uintptr_t)n, &v);
    v6 = v.conf->net.use_ipv6 || (env != NULL && str_query_bool(str_z(env)));
    views_put(&v);
    /* The public listener takes all interfaces, whatever name is advertised, unless that is the loopback's. */
    if (host_is_loopback(n->self.pub.host))
        bind_of(n->self.pub.host, v6, false, pub);
    else
        str_copyz(v6 ? STR_LIT("::") : STR_LIT("0.0.0.0"), pub, 64);
    bind_of(n->self.control.host, v6, keyless, control);
    bind_of(n->self.data.host, v6, keyless, data);
}

static bool
host_same(const char *a, const char *b)
{
    struct addrinfo  hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *x = NULL, *y = NULL, *i, *j;
    bool             same = false;

    if (strcmp(a, b) == 0 || (host_is_loopback(a) && host_is_loopback(b)))
        return true;
    if (getaddrinfo(a, NULL, &hints, &x) == 0 && getaddrinfo(b, NULL, &hints, &y) == 0) {
        for (i = x; i != NULL && !same; i = i->ai_next) {
            for (j = y; j != NULL && !same; j = j->ai_next)
                same = i->ai_addrlen == j->ai_addrlen && memcmp(i->ai_addr, j->ai_addr, i->ai_addrlen) == 0;
        }
    }
    if (x != NULL)
        freeaddrinfo(x);
    if (y != NULL)
        freeaddrinfo(y);
    return same;
}

struct self_job {
    const struct node *n;
    char               host[256];
    uint16_t           port;
    bool               same;
};

static void
self_run(void *arg)
{
    struct self_job     *j = arg;
    const struct snode  *s = &j->n->self;
    const struct net_ep *eps[] = { &s->pub, &s->control, &s->data };
    size_t               i;

    for (i = 0; i < ARRAY_SIZE(eps) && !j->same; i++)
        j->same = eps[i]->port == j->port && host_same(eps[i]->host, j->host);
}

bool
nodecfg_is_self(const struct node *n, struct str host, uint16_t port)
{
    struct self_job j = { .n = n, .port = port };

    if (!str_copyz(host, j.host, sizeof(j.host)))
        return false;
    if (port != n->self.pub.port && port != n->self.control.port && port != n->self.data.port)
        return false;
    offload(self_run, &j);
    return j.same;
}
