/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the cluster configuration, in the order of its JSON document (native-api.md 7.5; defaults and bounds: internals.md 10.2).
 * Included by conf.c only.
 */
/* clang-format off */
#define C  struct cluster_conf
#define KA(side)                                                                                                       \
    ROW_FULL(C, "keepalivetracker." #side ".name", F_STR, keepalive.side.name, FF_ZERO | FF_RO, "heartbeat",           \
             "heartbeat", 0, 0, "invalid keepalivetracker." #side ".name {q} (expecting \"heartbeat\")"),              \
    ROW_IN(C, "keepalivetracker." #side ".interval", F_DUR, keepalive.side.interval, FF_ZERO, "10s", D_SEC, D_MIN,     \
           "invalid keepalivetracker." #side ".interval={} (expected range [1s, 1m0s] or zero for default)"),          \
    ROW_IN(C, "keepalivetracker." #side ".factor", F_INT, keepalive.side.factor, FF_ZERO, "3", 1, 10,                  \
           "invalid keepalivetracker." #side ".factor={} (expected range [1, 10] or zero for default)")
#define DSORT(m, dflt) ROW_FULL(C, "distributed_sort." #m, F_STR, dsort.m, FF_ZERO, dflt, NULL, 0, 0, NULL)

static const struct field cluster_rows[] = {
    ROW(C, "ext", F_JSON, ext, FF_OMIT | FF_NOSET, NULL),

    ROW(C, "tracing",                           F_HOLDER, tracing, 0,       NULL),
    ROW(C, "tracing.exporter_endpoint",         F_STR,    tracing, FF_VIRT, NULL),
    ROW(C, "tracing.exporter_auth.token_header", F_STR,   tracing, FF_VIRT, NULL),
    ROW(C, "tracing.exporter_auth.token_file",  F_STR,    tracing, FF_VIRT, NULL),
    ROW(C, "tracing.service_name_prefix",       F_STR,    tracing, FF_VIRT, NULL),
    ROW(C, "tracing.attributes",                F_JSON,   tracing, FF_VIRT | FF_NODOT, NULL),
    ROW(C, "tracing.sampler_probability",       F_STR,    tracing, FF_VIRT, NULL),
    ROW(C, "tracing.enabled",                   F_BOOL,   tracing, FF_VIRT, NULL),
    ROW(C, "tracing.skip_verify",               F_BOOL,   tracing, FF_VIRT, NULL),

    DSORT(duplicated_records, "ignore"),
    DSORT(missing_shards, "ignore"),
    DSORT(ekm_malformed_line, "abort"),
    DSORT(ekm_missing_key, "abort"),
    DSORT(default_max_mem_usage, "80%"),
    DSORT(dsorter_mem_threshold, "100GB"),
    ROWS_STREAM(C, "distributed_sort.", dsort.s, "4", "512"),
    ROW(C, "distributed_sort.call_timeout", F_DUR, dsort.call_timeout, FF_ZERO, "10m"),

    ROWS_WP(C, "write_policy.", write_policy),
    ROWS_CKSUM(C, "checksum.", checksum, FF_ZERO),
    ROWS_STREAM(C, "tcb.", tcb, "2", "512"),
    ROWS_STREAM(C, "tco.", tco, "2", "512"),
    ROWS_STREAM(C, "arch.", arch, "2", "512"),

    ROWS_STREAM(C, "lso.", lso.s, "1", "32"),
    ROW_IN(C, "lso.walk_buffer", F_INT, lso.walk_buffer, FF_ZERO, "128", 16, 4096,
           "invalid lso.walk_buffer={} (expecting 0 for default, or range [16, 4096])"),
    ROW_IN(C, "lso.idle_time", F_DUR, lso.idle_time, FF_ZERO, "20s", 5 * D_SEC, 10 * D_MIN,
           "invalid lso.idle_time={} (expecting 0 for default, or range [5s, 10m0s])"),
    ROW_IN(C, "lso.quiescent", F_DUR, lso.quiescent, FF_ZERO, "5s", 2 * D_SEC, D_MIN,
           "invalid lso.quiescent={} (expecting 0 for default, or range [2s, 1m0s])"),

    ROWS_RATES(C, "rate_limit.", rate_limit),

    KA(proxy),
    KA(target),
    ROW_IN(C, "keepalivetracker.num_retries", F_INT, keepalive.num_retries, FF_ZERO, "3", 1, 10,
           "invalid keepalivetracker.num_retries {} (expecting range [1, 10] or zero for default)"),
    ROW_IN(C, "keepalivetracker.retry_factor", F_INT, keepalive.retry_factor, FF_ZERO, "4", 1, 10,
           "invalid keepalivetracker.retry_factor {} (expecting range [1, 10] or zero for default)"),

    ROWS_STREAM(C, "rebalance.", rebalance.s, "2", "1024"),
    ROW_IN(C, "rebalance.dest_retry_time", F_DUR, rebalance.dest_retry_time, FF_ZERO, "2m", D_SEC, 10 * D_MIN,
           "invalid rebalance.dest_retry_time={d} (expected range [1s, 10m0s])"),
    ROW(C, "rebalance.enabled", F_BOOL, rebalance.enabled, 0, "true"),

    ROW(C, "log.level", F_STR, log.level, FF_ZERO, "3"),
    ROW_IN(C, "log.max_size", F_SIZE, log.max_size, FF_ZERO, "64MiB", (int64_t)KIB, (int64_t)GIB,
           "invalid log.max_size={} (expected range [1KB, 1GB])"),
    ROW_IN(C, "log.max_total", F_SIZE, log.max_total, FF_ZERO, "512MiB", (int64_t)MIB, (int64_t)(10 * GIB),
           "invalid log.max_total={} (expected range [1MB, 10GB])"),
    ROW_IN(C, "log.flush_time", F_DUR, log.flush_time, FF_ZERO, "1m", 0, D_HR,
           "invalid log.flush_time={} (expected range (0, 1h] or zero for default)"),
    ROW_IN(C, "log.stats_time", F_DUR, log.stats_time, FF_ZERO, "3m", 0, 10 * D_MIN,
           "invalid log.stats_time={} (expected range (0, 10m0s] or zero for default)"),
    ROW(C, "log.to_stderr", F_BOOL, log.to_stderr, 0, NULL),

    ROWS_EC(C, "ec.", ec),

    ROWS_STREAM(C, "get_batch.", get_batch.s, "2", "512"),
    ROW_IN(C, "get_batch.max_wait", F_DUR, get_batch.max_wait, FF_ZERO | FF_OMIT, "20s", D_SEC, D_MIN,
           "invalid get_batch.max_wait={} (must be in range [1s, 1m0s])"),
    ROW_IN(C, "get_batch.warmup_workers", F_INT, get_batch.warmup_workers, FF_ZERO | FF_OMIT, "-1", -1, 10,
           "invalid get_batch.warmup_workers={} (expecting -1 to disable, 0 for default, or range [1, 10])"),
    ROW_IN(C, "get_batch.max_soft_errs", F_INT, get_batch.max_soft_errs, FF_ZERO | FF_OMIT, "8", 0, INT32_MAX,
           "invalid get_batch.max_soft_errs={} (expecting non-negative integer)"),
    ROW(C, "get_batch.max_gfn", F_INT, get_batch.max_gfn, FF_OMIT, "5"),

    ROW(C, "space.cleanupwm",    F_INT, space.cleanupwm,    0, "65"),
    ROW(C, "space.lowwm",        F_INT, space.lowwm,        0, "75"),
    ROW(C, "space.highwm",       F_INT, space.highwm,       0, "90"),
    ROW(C, "space.out_of_space", F_INT, space.out_of_space, 0, "95"),
    ROW_IN(C, "space.batch_size", F_INT, space.batch_size, FF_ZERO | FF_OMIT, "32768", 1024, 524288,
           "invalid space.batch_size={} (expecting range [1024 - 524288])"),
    ROW(C, "space.dont_cleanup_time", F_DUR, space.dont_cleanup_time, FF_ZERO | FF_OMIT, "30m"),

    ROW_IN(C, "transport.max_header", F_INT, transport.max_header, FF_ZERO, "4096", 512, 131072,
           "invalid transport.max_header {}, expecting (0, 128KiB] range or 0 (default)"),
    ROW_IN(C, "transport.burst_buffer", F_INT, transport.burst_buffer, FF_ZERO, "1024", 256, 4096,
           "invalid transport.burst_buffer {}, expecting [256, 4096] range or 0 (default)"),
    ROW_IN(C, "transport.idle_teardown", F_DUR, transport.idle_teardown, FF_ZERO, "4s", D_SEC, INT64_MAX,
           "invalid transport.idle_teardown {} (expecting >= 1s)"),
    ROW_IN(C, "transport.quiescent", F_DUR, transport.quiescent, 0, "10s", 8 * D_SEC, INT64_MAX,
           "invalid transport.quiescent {} (expecting >= 8s)"),
    ROW(C, "transport.lz4_block", F_SIZE, transport.lz4_block, FF_ZERO, "256KiB"),
    ROW(C, "transport.lz4_frame_checksum", F_BOOL, transport.lz4_frame_checksum, 0, NULL),

    ROW(C, "disk.disk_util_low_wm",  F_INT, disk.util_low_wm,  0, "20"),
    ROW(C, "disk.disk_util_high_wm", F_INT, disk.util_high_wm, 0, "80"),
    ROW(C, "disk.disk_util_max_wm",  F_INT, disk.util_max_wm,  0, "95"),
    ROW_IN(C, "disk.iostat_time_long", F_DUR, disk.iostat_time_long, FF_ZERO, "2s", 2 * D_SEC, D_MIN,
           "invalid disk.ios_time_long {} (expecting range [2s, 1m0s])"),
    ROW_IN(C, "disk.iostat_time_short", F_DUR, disk.iostat_time_short, FF_ZERO, "100ms", D_MS, D_MIN,
           "invalid disk.ios_time_short {} (expecting range [1ms, 1m0s])"),
    ROW(C, "disk.iostat_time_smooth", F_DUR, disk.iostat_time_smooth, FF_OMIT, "8s"),

    ROW_IN(C, "fshc.test_files", F_INT, fshc.test_files, FF_ZERO, "4", 4, INT32_MAX,
           "invalid fshc.test_files {} (expecting >= 4)"),
    ROW_IN(C, "fshc.error_limit", F_INT, fshc.error_limit, FF_ZERO, "2", 2, INT32_MAX,
           "invalid fshc.error_limit {} (expecting >= 2)"),
    ROW_IN(C, "fshc.io_err_limit", F_INT, fshc.io_err_limit, FF_ZERO | FF_OMIT, "10", 10, INT32_MAX,
           "invalid fshc.io_err_limit {} (expecting >= 10)"),
    ROW_IN(C, "fshc.io_err_time", F_DUR, fshc.io_err_time, FF_ZERO | FF_OMIT, "10s", 10 * D_SEC, D_MIN,
           "invalid fshc.io_err_time {d} (expecting range [10s, 1m0s])"),
    ROW(C, "fshc.enabled", F_BOOL, fshc.enabled, 0, "true"),

    ROWS_CHUNKS(C, "chunks.", chunks),
    ROWS_LRU(C, "lru.", lru),
    ROWS_MIRROR(C, "mirror.", mirror),

    ROW_IN(C, "periodic.stats_time", F_DUR, periodic.stats_time, FF_ZERO, "10s", D_SEC, D_MIN,
           "invalid periodic.stats_time={} (expected range [1s, 1m])"),
    ROW_IN(C, "periodic.retry_sync_time", F_DUR, periodic.retry_sync_time, FF_ZERO, "2s", 10 * D_MS, 10 * D_SEC,
           "invalid periodic.retry_sync_time={} (expected range [10ms, 10s])"),
    ROW_IN(C, "periodic.notif_time", F_DUR, periodic.notif_time, FF_ZERO, "30s", D_SEC, D_MIN,
           "invalid periodic.notif_time={} (expected range [1s, 1m])"),

    ROW_IN(C, "client.client_timeout", F_DUR, client.timeout, FF_ZERO, "10s", D_SEC, 30 * D_MIN,
           "invalid client_timeout={d} (expected range [1s, 30m])"),
    ROW_IN(C, "client.client_long_timeout", F_DUR, client.long_timeout, FF_ZERO, "5m", D_SEC, 30 * D_MIN,
           "invalid client_long_timeout={d} (expected range [1s, 30m])"),
    ROW_IN(C, "client.list_timeout", F_DUR, client.list_timeout, FF_ZERO, "5m", D_SEC, 30 * D_MIN,
           "invalid list_timeout={d} (expected range [1s, 30m])"),

    ROW_IN(C, "downloader.timeout", F_DUR, downloader_timeout, FF_ZERO, "1h", D_SEC, D_HR,
           "invalid downloader.timeout={d} (expected range [1s, 1h])"),

    ROW(C, "auth.*",                                        F_HOLDER, auth.raw, FF_NODOT, NULL),
    ROW(C, "auth.signature.key",                            F_STR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.signature.method",                         F_STR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.required_claims.aud",                      F_LIST, auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.oidc.allowed_iss",                         F_LIST, auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.oidc.issuer_ca_bundle",                    F_STR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.oidc.jwks_cache.min_rotation_refresh",     F_DUR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.oidc.jwks_cache.min_background_refresh",   F_DUR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.intra_cluster.node_join_secret_path",      F_STR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.intra_cluster.ttl",                        F_DUR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.intra_cluster.nonce_window",               F_DUR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.intra_cluster.rotation_grace",             F_DUR,  auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.intra_cluster.request_auth",               F_BOOL, auth.raw, FF_VIRT, NULL),
    ROW(C, "auth.client_auth_required",                     F_BOOL, auth.client_auth_required, 0, NULL),

    ROW(C, "backend",              F_JSON, backend,              FF_NODOT,            "{}"),
    ROW(C, "uuid",                 F_STR,  uuid,                 FF_NOSET,            NULL),
    ROW(C, "lastupdate_time",      F_STR,  lastupdate_time,      FF_NOSET,            NULL),
    ROW(C, "proxy.primary_url",    F_STR,  proxy.primary_url,    0,                   NULL),
    ROW(C, "proxy.original_url",   F_STR,  proxy.original_url,   0,                   NULL),
    ROW(C, "proxy.discovery_url",  F_STR,  proxy.discovery_url,  0,                   NULL),
    ROW(C, "proxy.non_electable",  F_BOOL, proxy.non_electable,  FF_NOSET,            NULL),

    ROW(C, "net.l4.proto",           F_STR, net.l4_proto,        FF_NOSET | FF_ZERO,  "tcp"),
    ROW(C, "net.l4.sndrcv_buf_size", F_INT, net.sndrcv_buf_size, FF_NOSET,            "131072"),
    ROW(C, "net.http.server_crt",    F_STR, net.server_crt,      0,                   NULL),
    ROW(C, "net.http.server_key",    F_STR, net.server_key,      0,                   NULL),
    ROW(C, "net.http.client_ca_tls", F_STR, net.client_ca_tls,   0,                   NULL),
    ROW_IN(C, "net.http.client_auth_tls", F_INT, net.client_auth_tls, 0, NULL, 0, 4,
           "net.http: invalid client_auth_tls {} (expecting range [0 - 4])"),
    ROW(C, "net.http.domain_tls",    F_STR, net.domain_tls,      0,                   NULL),
    ROW_IN(C, "net.http.idle_conn_time", F_DUR, net.idle_conn_time, FF_ZERO, "6s", 0, 30 * D_SEC,
           "invalid idle_conn_time {d} (expecting a positive value below max = 30s, or 0 for system default 6s)"),
    ROW_IN(C, "net.http.backend_idle_conn_time", F_DUR, net.backend_idle_conn_time, FF_ZERO, "6s", 0, INT64_MAX,
           "invalid backend_idle_conn_time {d} (expecting a positive value or 0 for system default 6s)"),
    ROW(C, "net.http.idle_conns_per_host", F_INT, net.idle_conns_per_host, 0, "32"),
    ROW_IN(C, "net.http.idle_conns", F_INT, net.idle_conns, 0, "256", 0, 4096,
           "invalid idle_conns {} (expecting range [0 - 4096])"),
    ROW(C, "net.http.write_buffer_size", F_INT,  net.write_buffer_size, FF_RO, "65536"),
    ROW(C, "net.http.read_buffer_size",  F_INT,  net.read_buffer_size,  FF_RO, "65536"),
    ROW(C, "net.http.use_https",         F_BOOL, net.use_https,         0,     NULL),
    ROW(C, "net.http.skip_verify",       F_BOOL, net.skip_verify,       0,     NULL),
    ROW(C, "net.http.chunked_transfer",  F_BOOL, net.chunked_transfer,  0,     "true"),
    ROW(C, "net.http.pub",                 F_HOLDER, net.pub, FF_OMIT, NULL),
    ROW(C, "net.http.pub.server_crt",      F_STR,    net.pub, FF_VIRT, NULL),
    ROW(C, "net.http.pub.server_key",      F_STR,    net.pub, FF_VIRT, NULL),
    ROW(C, "net.http.pub.client_ca_tls",   F_STR,    net.pub, FF_VIRT, NULL),
    ROW(C, "net.http.pub.client_auth_tls", F_INT,    net.pub, FF_VIRT, NULL),
    ROW(C, "net.use_ipv6", F_BOOL, net.use_ipv6, 0, NULL),

    ROW_IN(C, "timeout.cplane_operation", F_DUR, timeout.cplane_operation, 0, "2s", 10 * D_MS, INT64_MAX,
           "invalid timeout.cplane_operation={}"),
    ROW(C, "timeout.max_keepalive", F_DUR, timeout.max_keepalive, 0, "5s"),
    ROW_IN(C, "timeout.max_host_busy", F_DUR, timeout.max_host_busy, 0, "20s", 10 * D_SEC, INT64_MAX,
           "invalid timeout.max_host_busy={} (cannot be less than 10s)"),
    ROW_IN(C, "timeout.startup_time", F_DUR, timeout.startup_time, 0, "1m", 30 * D_SEC, INT64_MAX,
           "invalid timeout.startup_time={} (cannot be less than 30s)"),
    ROW(C, "timeout.join_startup_time", F_DUR, timeout.join_startup_time, 0, "3m"),
    ROW_IN(C, "timeout.send_file_time", F_DUR, timeout.send_file_time, 0, "5m", D_MIN, INT64_MAX,
           "invalid timeout.send_file_time={} (cannot be less than 1m)"),
    ROW(C, "timeout.ec_streams_time",   F_DUR, timeout.ec_streams_time,   FF_OMIT, "10m"),
    ROW(C, "timeout.object_md",         F_DUR, timeout.object_md,         FF_OMIT, "2h"),
    ROW(C, "timeout.cold_get_conflict", F_DUR, timeout.cold_get_conflict, FF_OMIT, "5s"),

    ROW(C, "memsys.min_free",    F_SIZE, memsys.min_free,    0, "2GiB"),
    ROW(C, "memsys.default_buf", F_SIZE, memsys.default_buf, 0, "32KiB"),
    ROW_IN(C, "memsys.to_gc", F_SIZE, memsys.to_gc, 0, "4GiB", 0, (int64_t)TIB,
           "invalid memsys.to_gc {} (expected range [0, 1TB))"),
    ROW_IN(C, "memsys.hk_time", F_DUR, memsys.hk_time, 0, "3m", INT64_MIN, D_HR,
           "invalid memsys.hk_time {} (expected range [0, 1h))"),
    ROW_IN(C, "memsys.min_pct_total", F_INT, memsys.min_pct_total, 0, NULL, 0, 95, "invalid memsys.min_pct_total {}%"),
    ROW_IN(C, "memsys.min_pct_free",  F_INT, memsys.min_pct_free,  0, NULL, 0, 95, "invalid memsys.min_pct_free {}%"),

    ROW(C, "features",       F_FEAT, features, 0,        "0"),
    ROW(C, "config_version", F_I64S, version,  FF_NOSET, "0"),
    ROWS_VERS(C, "versioning.", versioning, "true"),
    ROW(C, "resilver.enabled", F_BOOL, resilver_enabled, 0, "true"),
};
#undef C
#undef KA
#undef DSORT

static const char *const cluster_aliases[][2] = {
    { "auth.cluster_key.enabled",    "auth.intra_cluster.request_auth" },
    { "auth.cluster_key",            "auth.intra_cluster" },
    { "auth.intra_cluster.enabled",  "auth.intra_cluster.request_auth" },
    { "auth.enabled",                "auth.client_auth_required" },
};
/* clang-format on */
