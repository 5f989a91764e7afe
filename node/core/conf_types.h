/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster and node configuration, and bucket properties, as C structures. The tables in conf.c map every member to its JSON key,
 * type, default, bounds and scope; documents, validation and `set` are generated from them. native-api.md 3.5, 7.5, 7.6.
 *
 * Strings are inline and bounded so that a configuration is one flat, copyable block.
 */
#ifndef CORE_CONF_TYPES_H
#define CORE_CONF_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bck_types.h"

/* clang-format off */
struct conf_cksum  { enum cksum_type type; bool validate_cold_get, validate_warm_get, validate_obj_move, enable_read_range; };
struct conf_stream { char compression[8]; int64_t bundle_multiplier, burst_buffer; };
struct conf_rate_b { int64_t interval, max_tokens; bool enabled; int64_t num_retries; char per_op[64]; };
struct conf_rate_f { int64_t interval, max_tokens; bool enabled; int64_t burst_size;  char per_op[64]; };
struct conf_rate   { struct conf_rate_b backend; struct conf_rate_f frontend; };
struct conf_ec     { struct conf_stream s; int64_t objsize_limit, data_slices, parity_slices; bool enabled, disk_only; };
struct conf_chunks { uint64_t objsize_limit, max_monolithic_size, chunk_size; int64_t checkpoint_every; uint64_t flags; };
struct conf_mirror { int64_t copies, burst_buffer; bool enabled; };
struct conf_lru    { int64_t dont_evict_time, capacity_upd_time, batch_size; bool enabled; };
struct conf_vers   { bool enabled, validate_warm_get, synchronize; };
struct conf_wp     { char data[12], md[12]; };
struct conf_ka     { char name[16]; int64_t interval, factor; };
/* clang-format on */

struct cluster_conf {
    _Atomic unsigned   refs;
    struct conf_wp     write_policy;
    struct conf_cksum  checksum;
    struct conf_stream tcb, tco, arch;
    struct {
        struct conf_stream s;
        int64_t            walk_buffer, idle_time, quiescent;
    } lso;
    struct conf_rate rate_limit;
    struct {
        struct conf_ka proxy, target;
        int64_t        num_retries, retry_factor;
    } keepalive;
    struct {
        struct conf_stream s;
        int64_t            dest_retry_time;
        bool               enabled;
    } rebalance;
    struct {
        char     level[16];
        uint64_t max_size, max_total;
        int64_t  flush_time, stats_time;
        bool     to_stderr;
    } log;
    struct conf_ec ec;
    struct {
        struct conf_stream s;
        int64_t            max_wait, warmup_workers, max_soft_errs, max_gfn;
    } get_batch;
    struct {
        int64_t cleanupwm, lowwm, highwm, out_of_space, batch_size, dont_cleanup_time;
    } space;
    struct {
        int64_t  max_header, burst_buffer, idle_teardown, quiescent;
        uint64_t lz4_block;
        bool     lz4_frame_checksum;
    } transport;
    struct {
        int64_t util_low_wm, util_high_wm, util_max_wm, iostat_time_long, iostat_time_short, iostat_time_smooth;
    } disk;
    struct {
        int64_t test_files, error_limit, io_err_limit, io_err_time;
        bool    enabled;
    } fshc;
    struct conf_chunks chunks;
    struct conf_lru    lru;
    struct conf_mirror mirror;
    struct {
        int64_t stats_time, retry_sync_time, notif_time;
    } periodic;
    struct {
        int64_t timeout, long_timeout, list_timeout;
    } client;
    int64_t downloader_timeout;
    struct {
        bool client_auth_required;
        char raw[2048]; /* the optional members (signature, oidc, ...) as JSON, kept as given */
    } auth;
    char backend[4096];  /* JSON, kept as given: provider -> object */
    char uuid[40], lastupdate_time[80];
    struct {
        char primary_url[300], original_url[300], discovery_url[300];
        bool non_electable;
    } proxy;
    struct {
        char    l4_proto[8];
        int64_t sndrcv_buf_size;
        char    server_crt[256], server_key[256], client_ca_tls[256], domain_tls[128];
        int64_t client_auth_tls, idle_conn_time, backend_idle_conn_time, idle_conns_per_host, idle_conns;
        int64_t write_buffer_size, read_buffer_size;
        bool    use_https, skip_verify, chunked_transfer, use_ipv6;
        char    pub[1024]; /* JSON of net.http.pub, "" = absent */
    } net;
    struct {
        int64_t cplane_operation, max_keepalive, max_host_busy, startup_time, join_startup_time, send_file_time;
        int64_t ec_streams_time, object_md, cold_get_conflict;
    } timeout;
    struct {
        uint64_t min_free, default_buf, to_gc;
        int64_t  hk_time, min_pct_total, min_pct_free;
    } memsys;
    struct {
        char     duplicated_records[16], missing_shards[16], ekm_malformed_line[16], ekm_missing_key[16];
        char     default_max_mem_usage[16], dsorter_mem_threshold[16];
        struct conf_stream s;
        int64_t  call_timeout;
    } dsort;
    uint64_t         features, version;
    struct conf_vers versioning;
    bool             resilver_enabled;
    char             tracing[2048]; /* JSON, "" = absent */
    char             ext[2048];     /* JSON, "" = absent */
};

/* Properties of one bucket. */
struct bprops {
    struct {
        char          name[BCK_NAME_MAX + 1], ns_uuid[BCK_NAME_MAX + 1], ns_name[BCK_NAME_MAX + 1];
        enum provider provider;
        bool          set;
    } backend;
    struct conf_wp     write_policy;
    enum provider      provider;
    char               renamed[160];
    struct conf_cksum  checksum;
    struct {
        char     aws_cloud_region[64], aws_endpoint[256], aws_profile[64], gcp_creds[256], oci_region[64], custom[129];
        int64_t  aws_max_pagesize;
        uint64_t aws_multipart_size;
    } extra;
    struct conf_rate   rate_limit;
    struct conf_ec     ec;
    struct conf_chunks chunks;
    struct conf_mirror mirror;
    struct conf_lru    lru;
    uint64_t           access, features, bid;
    int64_t            created;
    struct conf_vers   versioning;
};

/* ais_local.json */
struct local_conf {
    char confdir[512], log_dir[512];
    struct {
        char hostname[256], hostname_control[256], hostname_data[256];
        char port[8], port_control[8], port_data[8];
    } host_net;
    unsigned nfspaths;
    struct {
        char path[256], label[64];
    } fspaths[64];
    struct {
        char    root[256];
        int64_t count, instance;
    } test_fspaths;
};

#endif
