#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The native API beyond what was recorded: methods and paths, booleans, access, listing flags, properties, what=, configuration, logs,
health, locks, promotion, append handles, multipart errors, and features that are not there yet.

Each function is one test, its name a sentence; they share one cluster of 1+3 and use buckets of their own.
Prints "ok NAME" or "not ok NAME: what".
"""
import gzip
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile

import wire
from cases import Failed, run, same, test, within

CLUSTER = None


# --- asking ---
def ask(method, target, body=None, node=0, headers=(), net=0):
    """One request to a node; a dict as body is sent as JSON."""
    port = CLUSTER.port + net + node
    hdrs = [("Host", "127.0.0.1:%d" % port), ("Connection", "close")]
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        hdrs.append(("Content-Type", "application/json"))
    elif isinstance(body, str):
        body = body.encode()
    if body is not None:
        hdrs.append(("Content-Length", str(len(body))))
    return wire.send("127.0.0.1", port, method, target, hdrs + list(headers), body)


def follow(method, target, body=None, headers=()):
    """Through the proxy to where it sends us."""
    a = ask(method, target, body, headers=headers)
    if a.status not in (301, 307):
        return a
    port, target = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*)", a.get("Location")).groups()
    return ask(method, target, body, int(port) - CLUSTER.port, headers)


def act(action, value=None, name=""):
    return {"action": action, "name": name, "value": value}


def bucket(name, props=None):
    expect(ask("POST", "/v1/buckets/" + name, act("create-bck", props)), 200)
    return name


def put(bck, obj, data=b"x", headers=()):
    return expect(follow("PUT", "/v1/objects/%s/%s" % (bck, obj), data, headers), 200)


def reverse(method, target, node, body=None, headers=()):
    return ask(method, "/v1/reverse" + target, body, headers=[("Ais-Node-Id", node), *headers])


def error(a):
    if a.get("Hdr-Error"):
        return json.loads(a.get("Hdr-Error"))
    return a.json()


def smap():
    return ask("GET", "/v1/daemon?what=smap").json()


def a_target():
    """(id, node number) of a target."""
    tid, t = sorted(smap()["tmap"].items())[0]
    return tid, int(t["public_net"]["daemon_port"]) - CLUSTER.port


# --- expecting ---
def expect(a, status, text=None, tcode=None):
    """The status, and for errors a full error document with this message (a part of it) and type."""
    what = "%d %r" % (a.status, (a.get("Hdr-Error") or a.body)[:300])
    if a.status != status:
        raise Failed("expected %d, got %s" % (status, what))
    if text is None and tcode is None:
        return a
    doc = error(a)
    if doc["status"] != status or not doc["node"] or a.get("Content-Type") != "application/json":
        raise Failed("not an error document: %s" % what)
    if text is not None and text not in doc["message"]:
        raise Failed("expected %r in %s" % (text, what))
    if tcode is not None and doc.get("tcode", "") != tcode:
        raise Failed("expected tcode %r in %s" % (tcode, what))
    return a


# --- 1. URLs, methods, networks ---
@test
def an_unknown_method_is_405_with_allow_and_plain_text():
    for path, allow in (("/v1/buckets", {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}), ("/v1/health", {"GET", "HEAD", "OPTIONS"})):
        a = expect(ask("BREW", path), 405)
        same(set(a.get("Allow").split(", ")), allow, path)
        same(a.get("Content-Type"), "text/plain; charset=utf-8")
    expect(ask("PATCH", "/v1/cluster"), 405)
    expect(ask("PUT", "/v1/health"), 405)
    expect(ask("PATCH", "/v1/buckets/b", node=1), 405)


@test
def options_is_200_with_allow():
    a = expect(ask("OPTIONS", "/v1/objects/b/o"), 200)
    same(set(a.get("Allow").split(", ")), {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
    same(a.body, b"")


@test
def missing_and_surplus_items_are_400():
    for method, path in (("GET", "/v1/objects"), ("GET", "/v1/objects/b"), ("PUT", "/v1/objects/b"), ("DELETE", "/v1/buckets"),
                         ("GET", "/v1/buckets/b/more"), ("PATCH", "/v1/buckets"), ("GET", "/v1/daemon/more"), ("GET", "/v1/health/more"),
                         ("GET", "/v1"), ("GET", "/v1/reverse/cluster")):
        expect(ask(method, path), 400, "invalid request URI")


@test
def empty_items_and_leading_slashes_do_not_count():
    for path in ("/v1//buckets/", "//v1/buckets", "/v1/buckets//"):
        same(expect(ask("GET", path), 200).json(), ask("GET", "/v1/buckets").json(), path)


@test
def object_names_keep_their_slashes():
    b = bucket("api-slashes")
    put(b, "a//b")
    put(b, "/lead")
    same([e["name"] for e in ls(b)["entries"]], ["/lead", "a//b"])
    same(follow("GET", "/v1/objects/%s/a//b" % b).body, b"x")
    expect(follow("GET", "/v1/objects/%s/a/b" % b), 404, "ais://api-slashes/a/b does not exist")


@test
def more_than_100_query_parameters_are_400_at_proxy_and_target():
    b = bucket("api-params")
    put(b, "o")
    many = "&".join("k%d=v" % i for i in range(100))
    tid, node = a_target()
    expect(ask("GET", "/v1/objects/%s/o?%s" % (b, many)), 301)
    expect(ask("GET", "/v1/objects/%s/o?%s&z=1" % (b, many)), 400, "number of query parameters exceeds 100")
    expect(ask("GET", "/v1/objects/%s/o?%s&z=1" % (b, many), node=node), 400, "number of query parameters exceeds 100")


@test
def booleans_in_queries_are_read_leniently():
    for yes in ("y", "yes", "on", "true", "1", "t", "T", "TRUE", "True"):
        expect(ask("GET", "/v1/health?cii=" + yes), 200).json()
    for no in ("", "n", "no", "off", "false", "0", "f", "nonsense"):
        same(expect(ask("GET", "/v1/health?cii=" + no), 200).body, b"", no)


@test
def bucket_names_follow_the_rules():
    for name in ("a" * 65, "a..b", "a%20b", ".hidden", "%C3%BC"):
        expect(ask("POST", "/v1/buckets/" + name, act("create-bck")), 400, "bucket name")
    expect(ask("POST", "/v1/buckets/a%00b", act("create-bck")), 400)
    for name in ("A.b-c_d", "x" * 64):
        bucket(name)
        expect(ask("DELETE", "/v1/buckets/" + name, act("destroy-bck")), 200)


@test
def object_names_follow_the_rules():
    b = bucket("api-names")
    for name in ("dir/", "~/x", "a/../b", "..", "./a", "a/.", "%00", "%FF"):
        expect(ask("PUT", "/v1/objects/%s/%s" % (b, name), b"x"), 400)
    expect(follow("HEAD", "/v1/objects/%s/dir/" % b), 404)
    put(b, "a...b/.c/~d")


@test
def easy_urls_stand_for_their_requests():
    b = bucket("api-easy")
    expect(follow("PUT", "/ais/%s/d/%%C3%%BC%%0A%%20x" % b, b"easy"), 200)
    same(follow("GET", "/ais/%s/d/%%C3%%BC%%0A%%20x" % b).body, b"easy")
    same([e["name"] for e in ask("GET", "/ais/" + b).json()["entries"]], ["d/\u00fc\n x"])
    same(ask("GET", "/ais/" + b, act("list", {"prefix": "none"})).json()["entries"], None)
    if not any(x["name"] == b for x in ask("GET", "/ais").json()):
        raise Failed("/ais does not list the bucket")
    expect(ask("HEAD", "/ais/" + b), 200)
    expect(ask("PUT", "/ais/" + b, b"x"), 400, "missing destination object name")
    expect(ask("PATCH", "/ais/" + b, act("set-bprops", {"versioning": {"enabled": False}})), 200)
    expect(ask("GET", "/gs/" + b), 404, "gs://api-easy", "ErrRemoteBckNotFound")
    expect(ask("GET", "/ais/%s?provider=aws" % b), 404, "s3://api-easy")
    expect(ask("DELETE", "/ais/" + b, act("destroy-bck")), 200)


@test
def a_list_without_body_is_meant_where_none_is_promised():
    expect(ask("GET", "/v1/buckets"), 200).json()
    expect(ask("GET", "/v1/buckets", headers=[("Content-Type", "application/json")]), 400, "failed to unmarshal")


@test
def browsers_get_favicon_and_indented_json():
    b = bucket("api-browser")
    put(b, "o")
    same(expect(ask("GET", "/favicon.ico"), 200).body, b"")
    hdr = [("User-Agent", "Mozilla/5.0 (X11)")]
    for path in ("/v1/daemon?what=smap", "/v1/cluster?what=cluster_config", "/v1/buckets", "/ais/" + b):
        a = expect(ask("GET", path, headers=hdr), 200)
        same(a.body.decode(), json.dumps(json.loads(a.body), indent=4, ensure_ascii=False) + "\n", path)
        if "uuid" not in a.json():  # a listing has a new one each time
            same(a.json(), ask("GET", path).json(), path)
        same(a.get("Strict-Transport-Security"), "max-age=31536000; includeSubDomains")


@test
def public_networks_refuse_forged_callers():
    for node in (0, 1):
        expect(ask("GET", "/v1/health", node=node, headers=[("Ais-Caller-Id", "abcdefgh")]), 403, "over the public network")


@test
def the_control_network_is_for_nodes():
    for method, path in (("PUT", "/v1/metasync"), ("PUT", "/v1/daemon")):
        for node in (0, 1):
            expect(ask(method, path, {}, node=node, net=1000), 403)


@test
def targets_serve_reads_directly_and_refuse_the_rest():
    b = bucket("api-direct")
    put(b, "o", b"data")
    tid, node = a_target()
    owner = int(re.search(r":(\d+)/", ask("GET", "/v1/objects/%s/o" % b).get("Location")).group(1)) - CLUSTER.port
    same(expect(ask("GET", "/v1/objects/%s/o" % b, node=owner), 200).body, b"data")
    expect(ask("HEAD", "/v1/objects/%s/o" % b, node=owner), 200)
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        expect(ask(method, "/v1/objects/%s/o" % b, act("check-lock"), node=owner), 400, "is expected to be redirected")
    expect(ask("HEAD", "/v1/buckets/" + b, node=node), 200)
    expect(ask("GET", "/v1/buckets", node=node), 200)
    expect(ask("HEAD", "/v1/buckets/%s?pid=x&utm=y" % b, node=node), 403)
    expect(ask("POST", "/v1/buckets/" + b, act("create-bck"), node=node), 400)
    expect(ask("DELETE", "/v1/buckets/" + b, act("destroy-bck"), node=node), 400)
    expect(ask("PUT", "/v1/daemon", act("reset-stats", False), node=node), 403)
    expect(ask("PUT", "/v1/daemon/set-config?log.level=4", node=node), 403)
    expect(ask("GET", "/v1/buckets", node=node), 200)


@test
def direct_reads_end_where_requests_must_be_signed():
    b = bucket("api-signed")
    tid, node = a_target()
    put(b, "o")
    expect(ask("PUT", "/v1/cluster/set-config?auth.intra_cluster.request_auth=true"), 200)
    try:
        within(10, lambda: ask("GET", "/v1/objects/%s/o" % b, node=node).status == 403, "403 at the target")
        expect(ask("GET", "/v1/buckets", node=node), 403)
        same(follow("GET", "/v1/objects/%s/o" % b).body, b"x")
    finally:
        expect(ask("PUT", "/v1/cluster/set-config?auth.intra_cluster.request_auth=false"), 200)


@test
def a_redirect_keeps_the_query_and_is_rebuilt_where_it_must():
    b = bucket("api-redirect")
    loc = ask("PUT", "/v1/objects/%s/a?z=1&provider=ais&b=%%2F" % b, b"").get("Location")
    if not re.search(r"/v1/objects/api-redirect/a\?z=1&provider=ais&b=%2F&pid=\w+&utm=\w+$", loc):
        raise Failed(loc)
    loc = ask("PUT", "/v1/objects/%s/a%%25b?z=1&provider=ais&b=%%2F" % b, b"").get("Location")
    if not re.search(r"/v1/objects/api-redirect/a%25b\?b=%2F&pid=\w+&provider=ais&utm=\w+&z=1$", loc):
        raise Failed(loc)


# --- 1.7 reverse ---
@test
def reverse_wants_a_known_node():
    expect(ask("GET", "/v1/reverse/daemon?what=smap"), 400, "Ais-Node-Id")
    expect(reverse("GET", "/daemon?what=smap", "nobody000"), 404, "does not exist")
    pid = smap()["proxy_si"]["daemon_id"]
    same(expect(reverse("GET", "/daemon?what=snode", pid), 200).json()["daemon_id"], pid)
    expect(reverse("GET", "/daemon?what=nonsense", a_target()[0]), 400, "unrecognized 'what=nonsense'")


# --- 2. messages ---
@test
def unknown_and_misplaced_actions_are_400():
    b = bucket("api-actions")
    put(b, "o")
    for method, path in (("POST", "/v1/buckets/" + b), ("PUT", "/v1/buckets/" + b), ("DELETE", "/v1/buckets/" + b), ("PATCH", "/v1/buckets/" + b),
                         ("GET", "/v1/buckets/" + b), ("GET", "/v1/buckets"), ("PUT", "/v1/cluster"), ("POST", "/v1/objects/" + b),
                         ("POST", "/v1/objects/%s/o" % b)):
        expect(ask(method, path, act("nonsense")), 400, 'invalid action "nonsense"')
    expect(follow("DELETE", "/v1/objects/%s/o" % b, act("nonsense")), 400, 'invalid action "nonsense"')
    expect(ask("POST", "/v1/buckets/" + b, act("set-bprops", {})), 400, 'invalid action "set-bprops"')
    expect(reverse("PUT", "/daemon", a_target()[0], act("nonsense")), 400, 'invalid action "nonsense"')
    same(follow("GET", "/v1/objects/%s/o" % b).body, b"x")


@test
def keys_of_messages_are_matched_whatever_their_case():
    b = "api-case"
    expect(ask("POST", "/v1/buckets/" + b, {"Action": "create-bck", "Value": {"Versioning": {"Enabled": False}}}), 200)
    same(json.loads(ask("HEAD", "/v1/buckets/" + b).get("Ais-Bucket-Props"))["versioning"]["enabled"], False)
    put(b, "x/1")
    put(b, "y/1")
    same([e["name"] for e in ask("GET", "/v1/buckets/" + b, {"ACTION": "list", "VALUE": {"Prefix": "y/*"}}).json()["entries"]], ["y/1"])


@test
def features_of_later_issues_are_501_and_named():
    b = bucket("api-later")
    put(b, "o")
    for method, path, body, text in (
            ("POST", "/v1/buckets/%s?bck_to=ais%%2F%%40%%23%%2Fd%%2F" % b, act("move-bck"), "rename"),
            ("POST", "/v1/buckets/%s?bck_to=ais%%2F%%40%%23%%2Fd%%2F" % b, act("copy-bck", {}), "copy"),
            ("POST", "/v1/buckets/" + b, act("etl-bck", {}), "ETL"), ("POST", "/v1/buckets/" + b, act("prefetch-listrange", {}), "prefetch"),
            ("POST", "/v1/buckets/" + b, act("make-n-copies", 2), "mirroring"), ("POST", "/v1/buckets/" + b, act("ec-encode"), "erasure"),
            ("POST", "/v1/buckets/" + b, act("rechunk", {}), "rechunk"), ("POST", "/v1/buckets/" + b, act("index-shard", {}), "shard"),
            ("POST", "/v1/buckets/" + b, act("create-inventory", {}), "inventory"), ("PUT", "/v1/buckets/" + b, act("archive", {}), "archive"),
            ("DELETE", "/v1/buckets/" + b, act("delete-listrange", {}), "multi-object"), ("GET", "/v1/buckets/" + b, act("summary-shard", {}), "shard"),
            ("PUT", "/v1/cluster", act("start", {"Kind": "warm-up-metadata", "Bck": {"name": b}}), "load-lom-cache"),
            ("PUT", "/v1/cluster/attach?what=remote", None, "remote"),
            ("PUT", "/v1/cluster/enable-bend/aws", None, "backend"), ("PUT", "/v1/cluster/load-x509", None, "certificates"),
            ("GET", "/v1/etl", None, "ETL"), ("POST", "/v1/download", {}, "download"),
            ("POST", "/v1/sort", {}, "dsort"), ("GET", "/v1/ml/moss/" + b, {}, "get-batch"), ("GET", "/s3/" + b, None, "S3"),
            ("POST", "/v1/tokens", None, "tokens"), ("GET", "/v1/buckets/" + b, act("list", {"flags": "8"}), "archive")):
        expect(ask(method, path, body), 501, text, "ErrNotImpl")
    expect(follow("GET", "/v1/objects/%s/o?archpath=x" % b), 501, "archive", "ErrNotImpl")
    expect(follow("GET", "/v1/objects/%s/o?etl_name=x" % b), 501, "etl_name", "ErrNotImpl")
    expect(follow("PUT", "/v1/objects/%s/o?archpath=x" % b, b"x"), 501, "archive", "ErrNotImpl")
    same(follow("GET", "/v1/objects/%s/o" % b).body, b"x")


@test
def later_actions_on_a_missing_bucket_are_404():
    for action in ("move-bck", "copy-bck", "prefetch-listrange", "rechunk"):
        expect(ask("POST", "/v1/buckets/api-nope?bck_to=ais%2F%40%23%2Fd%2F", act(action)), 404, 'bucket "ais://api-nope" does not exist',
               "ErrBckNotFound")


@test
def what_no_verb_of_the_cluster_is_400():
    expect(ask("PUT", "/v1/cluster/nonsense"), 400, 'invalid action "nonsense"')
    expect(ask("PUT", "/v1/cluster/nonsense/x"), 400, 'invalid action "nonsense"')
    expect(ask("PUT", "/v1/cluster/proxy"), 400, 'invalid action "proxy"')


@test
def the_primary_can_be_named_again_and_nobody_else():
    m = smap()
    expect(ask("PUT", "/v1/cluster/proxy/" + m["proxy_si"]["daemon_id"]), 200)
    expect(ask("PUT", "/v1/cluster/proxy/nobody000"), 404, "nobody000")
    expect(ask("PUT", "/v1/cluster/proxy/" + a_target()[0]), 400, "not a proxy")


@test
def errors_of_head_travel_in_a_header():
    a = expect(ask("HEAD", "/v1/buckets/api-nope"), 404, 'bucket "ais://api-nope" does not exist', "ErrBckNotFound")
    same(a.body, b"")
    doc = error(a)
    same((doc["method"], doc["url_path"], doc["caller"]), ("HEAD", "/v1/buckets/api-nope", ""))


# --- 3. buckets ---
@test
def an_unknown_provider_is_400():
    for method, path, body in (("GET", "/v1/buckets?provider=xx", act("list")), ("POST", "/v1/buckets/b?provider=xx", act("create-bck")),
                               ("HEAD", "/v1/buckets/b?provider=xx", None), ("GET", "/v1/objects/b/o?provider=xx", None)):
        expect(ask(method, path, body), 400, "provider", "ErrInvalidBackendProvider")


@test
def provider_aliases_are_the_same_provider():
    for alias, scheme in (("s3", "s3"), ("aws", "s3"), ("gs", "gs"), ("gcp", "gs"), ("az", "az"), ("oc", "oc")):
        expect(ask("HEAD", "/v1/buckets/b?provider=" + alias), 404, "%s://b" % scheme, "ErrRemoteBckNotFound")


@test
def cloud_buckets_cannot_be_created_yet():
    expect(ask("POST", "/v1/buckets/b?provider=aws", act("create-bck")), 501, "cannot create s3://b")
    expect(ask("POST", "/v1/buckets/b?namespace=%40other%23ns", act("create-bck")), 501, "cannot create ais://@other#ns/b")
    expect(ask("HEAD", "/v1/buckets/b?namespace=%40other%23ns"), 404, "ais://@other#ns/b", "ErrRemoteBckNotFound")


@test
def listing_the_buckets_of_a_missing_backend_is_an_error():
    expect(ask("GET", "/v1/buckets?provider=aws", act("list")), 400, "AWS backend is missing in the cluster configuration", "ErrMissingBackend")
    same(expect(ask("GET", "/v1/buckets?provider=aws&presence=2", act("list")), 200).json(), [])


@test
def buckets_are_listed_by_name_and_namespace():
    bucket("api-ns")
    expect(ask("POST", "/v1/buckets/api-ns?namespace=%23ml", act("create-bck")), 200)
    def got(query, name="api-ns"):
        return [(b["name"], b["namespace"]["name"]) for b in expect(ask("GET", "/v1/buckets" + query, act("list", None, name)), 200).json()]
    same(got("?provider=ais"), [("api-ns", ""), ("api-ns", "ml")])
    same(got("?provider=ais&namespace=%23ml"), [("api-ns", "ml")])
    same(got("?provider=ais&namespace=%40%23ml", ""), [("api-ns", "ml")])
    same(got("?provider=ais&namespace=%40"), [])
    same(got("", "api-none"), [])
    expect(ask("GET", "/v1/buckets/api-ns", act("list", None, "other")), 400, "bad list-buckets request")
    expect(ask("GET", "/v1/buckets", act("list", {})), 400, "bad list-objects request")
    put_ns = follow("PUT", "/v1/objects/api-ns/o?namespace=%23ml", b"in ml")
    expect(put_ns, 200)
    same(follow("GET", "/v1/objects/api-ns/o?namespace=%40%23ml").body, b"in ml")
    expect(follow("GET", "/v1/objects/api-ns/o"), 404)
    same(follow("HEAD", "/v1/objects/api-ns/o?namespace=%23ml").get("Ais-Bucket-Namespace-Name"), "ml")


@test
def destroying_and_evicting_buckets_that_are_not_there():
    expect(ask("DELETE", "/v1/buckets/api-nope", act("destroy-bck")), 404, 'bucket "ais://api-nope" does not exist', "ErrBckNotFound")
    expect(ask("DELETE", "/v1/buckets/api-nope?keep_bck_md=True", act("evict-remote-bck")), 200)
    expect(ask("DELETE", "/v1/buckets/api-nope?provider=aws", act("evict-remote-bck")), 200)
    b = bucket("api-evict")
    expect(ask("DELETE", "/v1/buckets/" + b, act("evict-remote-bck")), 400, "expecting remote bucket", "ErrNotRemoteBck")
    put(b, "o")
    expect(follow("DELETE", "/v1/objects/%s/o" % b, act("evict-listrange", None, b + "/o")), 400, "expecting remote bucket", "ErrNotRemoteBck")
    same(follow("GET", "/v1/objects/%s/o" % b).body, b"x")


@test
def head_bucket_takes_presence_and_a_prefix_only_with_a_summary():
    b = bucket("api-head")
    for presence in range(6):
        expect(ask("HEAD", "/v1/buckets/%s?presence=%d" % (b, presence)), 200)
        expect(ask("HEAD", "/v1/buckets/api-nope?presence=%d" % presence), 404)
    expect(ask("HEAD", "/v1/buckets/%s?presence=x" % b), 400, "presence")
    expect(ask("HEAD", "/v1/buckets/%s/pre" % b), 400, "prefix")
    put(b, "p/1", b"12345")
    put(b, "q/1", b"1")
    a = expect(ask("HEAD", "/v1/buckets/%s/p?bsumm_remote=false" % b), 202)
    job = a.get("Ais-Xaction-Id")
    def done():
        nonlocal a
        a = ask("HEAD", "/v1/buckets/%s/p?bsumm_remote=false&uuid=%s" % (b, job))
        return a.status == 200
    within(10, done, "the summary")
    s = json.loads(a.get("Ais-Bucket-Summ"))
    same((s["name"], s["ObjCount"]["obj_count_present"], s["TotalSize"]["size_all_present_objs"]), (b, "1", "5"))
    same(s["is_present"], True)
    same(json.loads(a.get("Ais-Bucket-Props"))["provider"], "ais")
    expect(ask("HEAD", "/v1/buckets/%s?bsumm_remote=true&uuid=nosuchjob" % b), 404)


@test
def a_summary_is_202_then_200_and_410_when_the_bucket_went():
    b = bucket("api-summ")
    for i in range(5):
        put(b, "k/%d" % i, b"v" * i)
    def start(**value):
        return expect(ask("GET", "/v1/buckets/" + b, act("summary-bck", dict(value, uuid=""))), 202).body.decode()
    def result(job):
        a = None
        def done():
            nonlocal a
            a = ask("GET", "/v1/buckets/" + b, act("summary-bck", {"uuid": job}))
            return a.status not in (202, 206)
        within(10, done, "the summary")
        return expect(a, 200).json()[0]
    s = result(start())
    same(s["ObjCount"]["obj_count_present"], "5")
    same(s["ObjSize"], {"obj_min_size": 0, "obj_avg_size": 2, "obj_max_size": 4})
    same(result(start(prefix="k/3*"))["TotalSize"]["size_all_present_objs"], "3")
    expect(ask("GET", "/v1/buckets/" + b, act("summary-bck", {"uuid": "nosuchjob"})), 404)
    expect(ask("GET", "/v1/buckets/api-nope", act("summary-bck", {"uuid": ""})), 404, tcode="ErrBckNotFound")
    job = start()
    expect(ask("DELETE", "/v1/buckets/" + b, act("destroy-bck")), 200)
    expect(ask("GET", "/v1/buckets/" + b, act("summary-bck", {"uuid": job})), 410)


def props(b):
    return json.loads(expect(ask("HEAD", "/v1/buckets/" + b), 200).get("Ais-Bucket-Props"))


@test
def bucket_properties_are_set_one_by_one_and_reset():
    b = bucket("api-props")
    before = props(b)
    for value, path, want in (({"checksum": {"type": "sha256"}}, ("checksum", "type"), "sha256"), ({"features": "16"}, ("features",), "16"),
                              ({"lru": {"dont_evict_time": "3h"}}, ("lru", "dont_evict_time"), "3h0m"),
                              ({"chunks": {"chunk_size": "2MiB"}}, ("chunks", "chunk_size"), "2MiB"),
                              ({"rate_limit": {"frontend": {"burst_size": 100}}}, ("rate_limit", "frontend", "burst_size"), 100),
                              ({"write_policy": {"md": "never"}}, ("write_policy", "md"), "never"),
                              ({"extra": {"custom": "x"}}, ("extra", "custom"), "x"), ({"access": "771"}, ("access",), "771")):
        expect(ask("PATCH", "/v1/buckets/" + b, act("set-bprops", value)), 200)
        got = props(b)
        for k in path:
            got = got[k]
        same(got, want, str(value))
    # access is 771 = ro now: everything that writes is refused; without authentication properties may always be changed, as in AIStore
    expect(ask("PUT", "/v1/objects/%s/o" % b, b"x"), 403, "PUT access denied")
    expect(ask("PUT", "/v1/objects/%s/o?append_type=append" % b, b"x"), 403, "APPEND access denied")
    expect(ask("POST", "/v1/objects/%s/o" % b, act("rename-obj", None, "p")), 403, "MOVE-OBJECT access denied")
    expect(ask("DELETE", "/v1/objects/%s/o" % b), 403, "DELETE-OBJECT access denied")
    expect(ask("DELETE", "/v1/buckets/" + b, act("destroy-bck")), 403)
    expect(follow("GET", "/v1/objects/%s/o" % b), 404)
    expect(ask("PATCH", "/v1/buckets/" + b, act("set-bprops", {"access": "su"})), 200)
    expect(follow("PUT", "/v1/objects/%s/o" % b, b"x"), 200)
    b = bucket("api-props2", {"mirror": {"enabled": True, "copies": 2}, "versioning": {"enabled": False}})
    expect(ask("PATCH", "/v1/buckets/" + b, act("reset-bprops")), 200)
    got = props(b)
    for k in ("bid", "created"):
        got.pop(k), before.pop(k, None)
    same(got, before)


@test
def bad_bucket_properties_are_400():
    b = bucket("api-badprops")
    for value, text in (({"checksum": {"type": "nonsense"}}, "invalid checksum type"), ({"mirror": {"enabled": True, "copies": 33}}, "copies"),
                        ({"ec": {"enabled": True, "data_slices": 5, "parity_slices": 5}}, ""), ({"nonsense": 1}, ""),
                        ({"write_policy": {"data": "delayed"}}, ""), ({"provider": "aws"}, ""), ({"bid": "7"}, ""),
                        ({"backend_bck": {"name": "x", "provider": "ais"}}, ""), ({"extra": {"custom": "x" * 129}}, ""),
                        ({"mirror": {"enabled": True}, "chunks": {"objsize_limit": "1MiB"}}, ""), ("text", "")):
        before = props(b)
        expect(ask("PATCH", "/v1/buckets/" + b, act("set-bprops", value)), 400, text)
        same(props(b), before, str(value))
    expect(ask("POST", "/v1/buckets/api-bad2", act("create-bck", {"checksum": {"type": "nonsense"}})), 400, "invalid checksum type")
    expect(ask("HEAD", "/v1/buckets/api-bad2"), 404)


# --- 3.9 listing ---
def ls(b, msg=None, accept=None, want=200):
    a = expect(ask("GET", "/v1/buckets/" + b, act("list", msg or {}), headers=[("Accept", accept)] if accept else ()), want)
    return wire.msgpack_decode(a.body) if a.get("Content-Type") == "application/msgpack" else a.json()


@test
def listing_pages_prefixes_and_starts():
    b = bucket("api-list")
    names = ["a", "a/b", "a/b/c", "b", "c-1", "c-2", "d/e/f"]
    for n in names:
        put(b, n)
    got, token, pages = [], "", 0
    while True:
        r = ls(b, {"pagesize": 2, "continuation_token": token})
        got += [e["name"] for e in r["entries"]]
        token, pages = r["continuation_token"], pages + 1
        if not token:
            break
    same((got, pages), (names, 4))
    r = ls(b, {"pagesize": 7})
    same((len(r["entries"]), r["continuation_token"]), (7, "d/e/f"))
    r = ls(b, {"pagesize": 7, "continuation_token": "d/e/f"})
    same((r["entries"], r["continuation_token"]), (None, ""))
    same([e["name"] for e in ls(b, {"start_after": "a/b"})["entries"]], names[2:])
    same([e["name"] for e in ls(b, {"prefix": "c-*"})["entries"]], ["c-1", "c-2"])
    same([e["name"] for e in ls(b, {"prefix": "a/b"})["entries"]], ["a/b", "a/b/c"])
    def dirs(msg):
        return [(e["name"], e["flags"]) for e in ls(b, msg)["entries"]]
    same(dirs({"flags": "2048"}), [("a", 64), ("a/", 256), ("b", 64), ("c-1", 64), ("c-2", 64), ("d/", 256)])
    same(dirs({"flags": "2048", "prefix": "a/"}), [("a/b", 64), ("a/b/", 256)])
    same(dirs({"flags": str(2048 | 8192)}), dirs({"flags": "2048"}))  # LsNoDirs is for clouds: the public SDK suite expects directories
    r = ls(b)
    same(ls(b, {"uuid": r["uuid"]})["uuid"], r["uuid"])


@test
def listing_selects_properties():
    b = bucket("api-lsprops")
    put(b, "o", b"12345", [("Ais-Custom-Md", "k=v")])
    def keys(msg):
        return sorted(ls(b, msg)["entries"][0])
    same(keys({}), ["flags", "name", "size"])
    same(keys({"flags": "1"}), ["atime", "checksum", "flags", "name", "size"])
    same(keys({"props": "name"}), ["flags", "name"])
    same(keys({"props": "name,size"}), ["flags", "name", "size"])
    same(keys({"props": "name,version,custom,copies"}), ["copies", "custom-md", "flags", "name", "version"])
    same(ls(b, {"props": "atime", "time_format": "2006"})["entries"][0]["atime"].isdigit(), True)
    m = ls(b, {"props": "name,size,version,checksum,custom,copies"}, "application/msgpack;q=0.9, text/plain")
    e = m["Entries"][0]
    same((list(m), e["n"], e["s"], e["v"], e["m"], e["c"], e["f"]), (["UUID", "ContinuationToken", "Entries", "Flags"], "o", 5, "1", "[k:v]", 1, 64))
    same(ls(b, {"props": "name,nonsense"})["entries"][0]["name"], "o")


@test
def listing_flags_that_make_no_sense_are_400():
    b = bucket("api-lsflags")
    for flags, text in ((1 << 9, "is not a remote bucket"), (1 << 9 | 1, "is not a remote bucket"), (1 << 12, "remote versions check")):
        expect(ask("GET", "/v1/buckets/" + b, act("list", {"flags": str(flags)})), 400, text)
    expect(ask("GET", "/v1/buckets/" + b, act("list", {"flags": "x"})), 400, "apc.LsoMsg.Flags")
    expect(ask("GET", "/v1/buckets/" + b, act("list", {"prefix": "../x"})), 400, "bad list-objects request")
    expect(ask("GET", "/v1/buckets/" + b, act("list", {"target": "nobody000"})), 400, "nobody000")
    expect(ask("GET", "/v1/buckets/" + b, act("list", {"target": a_target()[0]})), 200)
    expect(ask("GET", "/v1/buckets/" + b, act("list", "text")), 400, "failed to unmarshal list")


# --- 4. objects ---
@test
def every_checksum_type_is_computed_and_verified():
    import hashlib
    import zlib
    def crc32c(data):
        crc = 0xffffffff
        for x in data:
            crc ^= x
            for _ in range(8):
                crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
        return "%08x" % (crc ^ 0xffffffff)
    data = b"0123456789" * 10000
    known = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest(),
             "crc32c": crc32c(data)}
    for kind in ("none", "xxhash", "xxhash2", "md5", "crc32c", "sha256", "sha512"):
        b = bucket("api-ck-" + kind, {"checksum": {"type": kind}})
        a = put(b, "o", data)
        same(a.get("Ais-Checksum-Type"), None if kind == "none" else kind)
        if kind in known:
            same(a.get("Ais-Checksum-Value"), known[kind], kind)
        same(follow("GET", "/v1/objects/%s/o" % b).get("Ais-Checksum-Value"), a.get("Ais-Checksum-Value"))
    for kind, value in known.items():
        put("api-ck-xxhash2", "k", data, [("Ais-Checksum-Type", kind), ("Ais-Checksum-Value", value)])
        bad = follow("PUT", "/v1/objects/api-ck-xxhash2/bad", data, [("Ais-Checksum-Type", kind), ("Ais-Checksum-Value", "0" * len(value))])
        expect(bad, 500, "BAD DATA CHECKSUM: " + kind, "ErrBadCksum")
        expect(follow("GET", "/v1/objects/api-ck-xxhash2/bad"), 404)
    expect(follow("PUT", "/v1/objects/api-ck-md5/x", b"x", [("Ais-Checksum-Type", "nonsense"), ("Ais-Checksum-Value", "00")]), 400)
    del zlib


@test
def custom_metadata_goes_in_and_out():
    b = bucket("api-custom")
    a = put(b, "o", b"x", [("Ais-Custom-Md", "k=v"), ("Ais-Custom-Md", "ETag=abc"), ("Ais-Atime", "1700000000000000000")])
    same((sorted(a.all("Ais-Custom-Md")), a.get("ETag"), a.get("Ais-Atime")), (["ETag=abc", "k=v"], "abc", "1700000000000000000"))
    a = expect(follow("HEAD", "/v1/objects/%s/o?props=etag,custom" % b), 200)
    same(a.get("ETag"), '"abc"')
    expect(follow("PATCH", "/v1/objects/%s/o" % b, act("", {"n": "1"})), 200)
    same(sorted(follow("HEAD", "/v1/objects/%s/o" % b).all("Ais-Custom-Md")), ["ETag=abc", "k=v", "n=1"])
    expect(follow("PATCH", "/v1/objects/%s/o?set-new-custom=true" % b, act("", {"only": "1"})), 200)
    same(follow("HEAD", "/v1/objects/%s/o" % b).all("Ais-Custom-Md"), ["only=1"])
    expect(follow("PATCH", "/v1/objects/%s/none" % b, act("", {"n": "1"})), 404, "ais://api-custom/none does not exist")
    expect(follow("PUT", "/v1/objects/%s/p" % b, b"x", [("Ais-Custom-Md", "no-equals")]), 400, "expecting key=value")
    expect(follow("PUT", "/v1/objects/%s/p" % b, b"x", [("Ais-Custom-Md", "k=" + "v" * 2048)]), 400, "exceeds")
    expect(follow("GET", "/v1/objects/%s/p" % b), 404)


@test
def head_presence_and_property_selectors():
    b = bucket("api-objhead")
    put(b, "o", b"12345")
    put(b, "zero", b"")
    for presence in (0, 2, 4):
        same(expect(follow("HEAD", "/v1/objects/%s/o?presence=%d" % (b, presence)), 200).get("Ais-Name"), "o")
    for presence in (1, 3):
        same(expect(follow("HEAD", "/v1/objects/%s/o?presence=%d" % (b, presence)), 200).get("Ais-Name"), None)
    expect(follow("HEAD", "/v1/objects/%s/o?presence=5" % b), 400, "flt-outside")
    expect(follow("HEAD", "/v1/objects/%s/o?presence=x" % b), 400, "presence")
    for presence in range(6):
        expect(follow("HEAD", "/v1/objects/%s/none?presence=%d" % (b, presence)), 404)
    ours = {"connection", "date", "content-length", "ais-present"}
    for sel, want in (("size", set()), ("name", set()), ("checksum", {"ais-checksum-type", "ais-checksum-value"}), ("atime", {"ais-atime"}),
                      ("version", {"ais-version"}), ("custom", set()), ("last-modified", {"last-modified"}), ("etag", {"etag"}),
                      ("location", {"ais-location"}), ("copies", {"ais-mirror-copies", "ais-mirror-paths"}), ("ec", set()), ("chunked", set())):
        a = expect(follow("HEAD", "/v1/objects/%s/o?props=%s" % (b, sel)), 200)
        same({k.lower() for k, _ in a.headers} - ours, want, sel)
        same((a.get("Content-Length"), a.get("Ais-Present")), ("5", "true"), sel)
    same(follow("HEAD", "/v1/objects/%s/zero?props=size" % b).get("Content-Length"), "0")
    for bad in ("nonsense", "size,cached", "status"):
        expect(follow("HEAD", "/v1/objects/%s/o?props=%s" % (b, bad)), 400, "invalid property")
    md5 = bucket("api-objhead5", {"checksum": {"type": "md5"}})
    put(md5, "o", b"hello")
    same(follow("HEAD", "/v1/objects/%s/o?props=etag" % md5).get("ETag"), '"5d41402abc4b2a76b9719d911017c592"')


@test
def a_rate_limit_is_429_with_the_time_to_wait():
    frontend = {"enabled": True, "interval": "1h", "max_tokens": 20, "burst_size": 4, "per_op_max_tokens": "delete:8"}
    b = bucket("api-rate", {"rate_limit": {"frontend": frontend}})
    for method in ("PUT", "GET", "DELETE"):
        got = [ask(method, "/v1/objects/%s/o%d" % (b, i), b"x") for i in range(6)]
        same([a.status for a in got], [301 if method == "GET" else 307] * 4 + [429] * 2, method)
        expect(got[5], 429, "Too Many Requests", "ErrRateLimitFrontend")
        wait = 450 if method == "DELETE" else 180
        if not wait - 5 <= int(got[5].get("Retry-After")) <= wait:
            raise Failed("%s: Retry-After %s" % (method, got[5].get("Retry-After")))
    expect(ask("HEAD", "/v1/objects/%s/o" % b), 307)
    expect(ask("PATCH", "/v1/buckets/" + b, act("set-bprops", {"rate_limit": {"frontend": {"enabled": False}}})), 200)
    same({ask("GET", "/v1/objects/%s/o" % b).status for _ in range(10)}, {301})


@test
def a_put_is_redirected_without_its_body():
    import socket
    b = bucket("api-nobody")
    with socket.create_connection(("127.0.0.1", CLUSTER.port), 10) as s:
        s.sendall(("PUT /v1/objects/%s/o HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n" % b).encode())
        same(s.makefile("rb").readline(), b"HTTP/1.1 307 Temporary Redirect\r\n")


@test
def chunked_bodies_and_any_content_type_are_stored_as_they_are():
    b = bucket("api-chunked")
    loc = ask("PUT", "/v1/objects/%s/o" % b, b"").get("Location")
    port, target = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*)", loc).groups()
    a = wire.send("127.0.0.1", int(port), "PUT", target, [("Host", "x"), ("Connection", "close"), ("Transfer-Encoding", "chunked"),
                                                         ("Content-Type", "application/json")], b"5\r\n{not \r\n5\r\njson}\r\n0\r\n\r\n")
    expect(a, 200)
    a = follow("GET", "/v1/objects/%s/o" % b)
    same((a.body, a.get("Content-Type"), a.get("Content-Length")), (b"{not json}", "application/octet-stream", "10"))


@test
def json_does_not_escape_for_html():
    b = bucket("api-html")
    put(b, "%3Ca%26b%3E")
    a = ask("GET", "/v1/buckets/" + b, act("list", {}))
    if b'"name":"<a&b>"' not in a.body:
        raise Failed(a.body)


@test
def an_object_is_copied_to_a_bucket_that_exists():
    src, dst = bucket("api-src"), bucket("api-dst")
    put(src, "o", b"copied", [("Ais-Custom-Md", "k=v")])
    for i in range(6):  # whoever owns the new name
        expect(follow("PUT", "/v1/objects/%s/o?object_to=ais%%2F%%40%%23%%2F%s%%2Fc%d&latest-ver=false&synchronize=false" % (src, dst, i), b""), 200)
        a = follow("GET", "/v1/objects/%s/c%d" % (dst, i))
        same((a.body, a.get("Ais-Custom-Md")), (b"copied", "k=v"))
    expect(follow("PUT", "/v1/objects/%s/none?object_to=ais%%2F%%40%%23%%2F%s%%2Fd" % (src, dst), b""), 404, "ais://api-src/none does not exist")
    expect(follow("PUT", "/v1/objects/%s/o?object_to=ais%%2F%%40%%23%%2Fapi-nope%%2Fd" % src, b""), 404, 'bucket "ais://api-nope" does not exist')
    expect(follow("PUT", "/v1/objects/%s/o?object_to=nonsense" % src, b""), 400, "invalid bucket uname")


@test
def ranges_are_clipped_and_suffixes_work():
    b = bucket("api-range")
    put(b, "o", b"0123456789")
    for spec, want, where in (("bytes=2-4", b"234", "2-4"), ("bytes=7-", b"789", "7-9"), ("bytes=-3", b"789", "7-9"), ("bytes=8-99", b"89", "8-9"),
                              ("bytes=-99", b"0123456789", "0-9")):
        a = expect(follow("GET", "/v1/objects/%s/o" % b, headers=[("Range", spec)]), 206)
        same((a.body, a.get("Content-Range"), a.get("Accept-Ranges")), (want, "bytes %s/10" % where, "bytes"), spec)
    a = expect(follow("GET", "/v1/objects/%s/o" % b, headers=[("Range", "bytes=10-")]), 416, "size=10", "ErrRangeNotSatisfiable")
    same(a.get("Content-Range"), "bytes */10")
    whole = follow("GET", "/v1/objects/%s/o" % b).get("Ais-Checksum-Value")
    same(follow("GET", "/v1/objects/%s/o" % b, headers=[("Range", "bytes=0-4")]).get("Ais-Checksum-Value"), whole)
    expect(ask("PATCH", "/v1/buckets/" + b, act("set-bprops", {"checksum": {"enable_read_range": True}})), 200)
    put(b, "part", b"01234")
    want = follow("GET", "/v1/objects/%s/part" % b).get("Ais-Checksum-Value")
    within(5, lambda: follow("GET", "/v1/objects/%s/o" % b, headers=[("Range", "bytes=0-4")]).get("Ais-Checksum-Value") == want,
           "the checksum of the range")


@test
def append_handles_are_checked():
    b = bucket("api-append")
    put(b, "o", b"start ")
    url = "/v1/objects/%s/o?append_type=%%s&append_handle=%%s" % b
    a = expect(follow("PUT", url % ("append", ""), b"more"), 200)
    h = a.get("Ais-Append-Handle").replace("%", "%25").replace("|", "%7C").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    expect(follow("PUT", url % ("flush", ""), b""), 400, "empty source in the handle")
    expect(follow("PUT", url % ("nonsense", ""), b""), 400, 'expecting either "append" or "flush"')
    expect(ask("PUT", url % ("append", "a%7Cb"), b"x"), 400, "invalid APPEND handle")
    expect(ask("PUT", url % ("append", "nobody000%7Ca%7Cb%7Cc"), b"x"), 404, "unknown target")
    tid = a.get("Ais-Append-Handle").split("|")[0]
    for path in ("/etc/passwd", "/nonsense", "../x"):
        bad = follow("PUT", url % ("append", "%s%%7C%s%%7Cxxhash2%%7CAAAA" % (tid, path.replace("/", "%2F"))), b"x")
        if bad.status < 400 or bad.status >= 500:
            raise Failed("a forged handle: %d" % bad.status)
    bad = [("Ais-Checksum-Type", "md5"), ("Ais-Checksum-Value", "0" * 32)]
    expect(follow("PUT", url % ("flush", h), b"", bad), 500, "BAD DATA CHECKSUM", "ErrBadCksum")
    same(follow("GET", "/v1/objects/%s/o" % b).body, b"start ")
    a = expect(follow("PUT", url % ("append", ""), b"more"), 200)
    h = a.get("Ais-Append-Handle").replace("%", "%25").replace("|", "%7C").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    expect(follow("PUT", url % ("flush", h), b""), 200)
    same(follow("GET", "/v1/objects/%s/o" % b).body, b"start more")


@test
def versions_count_where_they_are_kept():
    b, off = bucket("api-ver"), bucket("api-nover", {"versioning": {"enabled": False}})
    same([put(b, "o", b"%d" % i).get("Ais-Version") for i in range(3)], ["1", "2", "3"])
    same([put(off, "o", b"%d" % i).get("Ais-Version") for i in range(2)], [None, None])
    same(put(b, "p", b"x", [("Ais-Version", "7")]).get("Ais-Version"), "7")


@test
def rename_has_its_refusals():
    b = bucket("api-rename")
    put(b, "o", b"data")
    expect(follow("POST", "/v1/objects/%s/o" % b, act("rename-obj", None, "o")), 400)
    expect(follow("POST", "/v1/objects/%s/o" % b, act("rename-obj", None, "a/../b")), 400)
    expect(follow("POST", "/v1/objects/%s/none" % b, act("rename-obj", None, "p")), 404, "does not exist")
    for i in range(8):  # whoever owns the new name
        expect(follow("POST", "/v1/objects/%s/%s" % (b, "n%d" % (i - 1) if i else "o"), act("rename-obj", None, "n%d" % i)), 200)
    same([e["name"] for e in ls(b)["entries"]], ["n7"])
    same(follow("GET", "/v1/objects/%s/n7" % b).body, b"data")


@test
def a_lock_can_be_looked_at():
    b = bucket("api-lock")
    put(b, "o")
    a = expect(follow("POST", "/v1/objects/%s/o" % b, act("check-lock")), 200)
    same(a.body, b"")


@test
def multipart_uploads_refuse_what_does_not_add_up():
    b = bucket("api-mpt")
    url = "/v1/objects/%s/o" % b
    def start():
        return expect(follow("POST", url, act("mpt-upload")), 200).body.decode()
    def part(u, n, data=b"x" * 10, headers=()):
        return follow("PUT", "%s?uploadId=%s&partNumber=%s" % (url, u, n), data, headers)
    def complete(u, parts):
        return follow("POST", "%s?uploadId=%s" % (url, u), act("mpt-complete", parts and [{"part-number": p, "etag": ""} for p in parts]))
    u = start()
    expect(part(u, 1), 200)
    expect(part(u, 3), 200)
    expect(complete(u, None), 400, "nil parts list")
    expect(complete(u, [1]), 400)
    expect(complete(u, [1, 3]), 400, "part 2 is missing")
    expect(complete("nonsense", [1]), 404)
    expect(part("nonsense", 1), 404)
    expect(part(u, "x"), 400, "invalid part number")
    expect(part(u, 2, b"hello", [("Ais-Checksum-Type", "md5"), ("Ais-Checksum-Value", "0" * 32)]), 500, tcode="ErrBadCksum")
    expect(follow("GET", url), 404)
    expect(part(u, 2, b"y" * 5), 200)
    expect(complete(u, [1, 3]), 400, "partial completion is not allowed")
    expect(complete(u, [3, 1, 2]), 200)
    same(follow("GET", url).body, b"x" * 10 + b"y" * 5 + b"x" * 10)
    same(expect(follow("GET", url, headers=[("Range", "bytes=8-16")]), 206).body, b"xxyyyyyxx")
    expect(complete(u, [1, 2, 3]), 404)
    u = start()
    expect(part(u, 1), 200)
    expect(follow("DELETE", "%s?uploadId=%s" % (url, u), act("mpt-abort")), 200)
    expect(part(u, 2), 404)


@test
def blob_downloads_are_for_remote_buckets():
    b = bucket("api-blob")
    put(b, "o")
    expect(follow("GET", "/v1/objects/%s/o" % b, headers=[("Ais-Blob-Download", "true")]), 400, "expecting remote bucket", "ErrNotRemoteBck")
    expect(ask("POST", "/v1/objects/" + b, act("blob-download", {}, "o")), 400, "expecting remote bucket", "ErrNotRemoteBck")


@test
def promotion_checks_its_source():
    b = bucket("api-promote")
    def promote(name, value=None):
        return ask("POST", "/v1/objects/" + b, act("promote", value or {}, name))
    expect(promote(""), 400, "empty")
    expect(promote("rel/path"), 400, "absolute")
    expect(promote("/var/lib/ais/promote/../x"), 400, "'.' or '..'")
    a = expect(promote("/etc"), 400, "must be under /var/lib/ais/promote")
    same(a.json()["tcode"], "errInvalidPromoteSource")
    expect(promote("/var/lib/ais/promote-not"), 400, "must be under")
    expect(promote("/var/lib/ais/promote/a", {"src": "/var/lib/ais/promote/b"}), 400, "conflicting")
    expect(promote("/var/lib/ais/promote/a", {"tid": "nobody000"}), 404, "nobody000")
    expect(promote("/var/lib/ais/promote/does-not-exist"), 404, "does not exist")
    root = "/var/lib/ais/promote"
    try:
        os.makedirs(root, exist_ok=True)
        d = tempfile.mkdtemp(dir=root)
    except OSError:
        return
    try:
        os.mkdir(d + "/sub")
        for name, data in (("a", b"1"), ("sub/b", b"22")):
            with open(d + "/" + name, "wb") as f:
                f.write(data)
        expect(promote(d, {"obj": "flat/"}), 200)
        same([e["name"] for e in ls(b)["entries"]], ["flat/a"])
        expect(promote(d, {"obj": "deep/", "rcr": True}), 200)
        same([e["name"] for e in ls(b, {"prefix": "deep/"})["entries"]], ["deep/a", "deep/sub/b"])
        same(follow("GET", "/v1/objects/%s/deep/sub/b" % b).body, b"22")
        expect(promote(d + "/a", {"obj": "one", "dls": True}), 200)
        same((follow("GET", "/v1/objects/%s/one" % b).body, os.path.exists(d + "/a")), (b"1", False))
    finally:
        shutil.rmtree(d)


# --- 5. cluster, node, health ---
@test
def what_a_cluster_tells():
    kinds = {"cluster_config": dict, "smap": dict, "bmd": dict, "snode": dict, "node_stats": dict, "sysinfo": dict, "mountpaths": dict,
             "backends": list, "remote": dict, "running_all": list}
    for what, kind in kinds.items():
        same(type(expect(ask("GET", "/v1/cluster?what=" + what), 200).json()), kind, what)
    same([s for s in ask("GET", "/v1/cluster?what=status_all").json() or [] if s["kind"] != "cleanup-store"], [])  # by itself on a full disk
    a = expect(ask("GET", "/v1/cluster?what=target_ips"), 200)
    same((a.body, a.get("Content-Type")), (b",".join([b"127.0.0.1"] * 9), "text/plain; charset=utf-8"))
    expect(ask("GET", "/v1/cluster?what=nonsense"), 400, "unexpected query [what=nonsense]")
    expect(ask("GET", "/v1/cluster"), 400, "unexpected query [what=]")
    expect(ask("GET", "/v1/cluster?what=status", {}), 400)
    expect(ask("GET", "/v1/cluster?what=status", {"ID": "nosuchjob", "Kind": "", "DaemonID": "", "Bck": None}), 404)
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"id": "nosuchjob"}), 404)
    same([ask("GET", p).body for p in ("/v1/download", "/v1/sort")], [b"[]", b"[]"])  # there are none
    expect(ask("GET", "/v1/download", {"id": "dnl-nosuch"}), 404, "dnl-nosuch")
    expect(ask("GET", "/v1/download", {"id": "dnl-nosuch", "regex": "x"}), 400)
    expect(ask("GET", "/v1/sort?uuid=srt-nosuch1"), 501, "dsort")


@test
def what_a_node_tells():
    tid, node = a_target()
    both = ["smap", "bmd", "config", "snode", "node_stats", "node_status", "sysinfo", "metrics"]
    for what in both:
        for n in (0, node):
            expect(ask("GET", "/v1/daemon?what=" + what, node=n), 200).json()
        expect(reverse("GET", "/daemon?what=" + what, tid), 200).json()
    for what in ("mountpaths", "disk", "remote"):
        expect(ask("GET", "/v1/daemon?what=" + what), 400, "unrecognized")
        expect(ask("GET", "/v1/daemon?what=" + what, node=node), 200).json()
    for n in (0, node):
        a = expect(ask("GET", "/v1/daemon?what=software_version", node=n), 200)
        if not re.match(rb"5\.0\.", a.body):
            raise Failed(a.body)
        expect(ask("GET", "/v1/daemon?what=tls_certificate", node=n), 404, "no TLS certificate")
        expect(ask("GET", "/v1/daemon", node=n), 400, "unrecognized 'what=' query")


@test
def what_a_node_tells_comes_in_msgpack_too():
    tid, node = a_target()
    def both(what, n):
        a = expect(ask("GET", "/v1/daemon?what=" + what, node=n, headers=[("Accept", "application/msgpack")]), 200)
        same(a.get("Content-Type"), "application/msgpack")
        return wire.msgpack_decode(a.body), ask("GET", "/v1/daemon?what=" + what, node=n).json()
    for n in (0, node):
        for what in ("node_stats", "node_status"):
            m, j = both(what, n)
            same(list(m), list("ntx") if what == "node_stats" else list("sdvbkntxcyw"))
            same(list(m["n"]), ["p", "d", "c", "t", "i", "name", "f", "g"])
            same((m["n"]["i"], m["n"]["g"], m["n"]["name"]), (j["snode"]["daemon_id"], j["snode"]["id_digest"],
                                                              "%s[%s]" % (j["snode"]["daemon_type"][0], j["snode"]["daemon_id"])))
            same(m["n"]["c"], dict(zip(("h", "p", "u"), j["snode"]["intra_control_net"].values()), tcpEndpoint="127.0.0.1:%d" % (CLUSTER.port + 1000 + n)))
            same(sorted(m["t"]), sorted(j["tracker"]))
            same(list(m["x"]), ["m", "e", "u", "a", "x", "v", "n"])
            same(sorted(m["x"]["m"]), sorted(j["capacity"]["mountpaths"] or []))
        same((m["v"], str(m["w"]), str(m["c"]["s"]["Version"]), m["c"]["s"]["Primary"]["ID"]),
             (j["ais_version"], j["smap_version"], j["cluster"]["smap"]["version"], smap()["proxy_si"]["daemon_id"]))
        same((list(m["y"]), list(m["y"]["r"]), m["y"]["m"]["t"]), (list("uapcltmr"), ["c", "m"], j["sys_info"]["mem"]["Total"]))
    m, j = both("disk", node)
    same(list(m), ["AllDiskStats", "m", "e", "u", "a", "x", "v", "n"])
    for path, mp in j["mountpaths"].items():
        got = m["m"][path]
        same((list(got), got["f"]["f"], got["f"]["i"], got["d"], list(got["Capacity"])),
             (["l", "f", "d", "Capacity"], mp["fs"]["Fs"], [int(x) for x in mp["fs"]["FsID"].split(",")], mp["disks"], ["u", "a", "p"]))
    a = expect(reverse("GET", "/daemon?what=node_status", tid, headers=[("Accept", "application/msgpack")]), 200)
    same((a.get("Content-Type"), wire.msgpack_decode(a.body)["n"]["i"]), ("application/msgpack", tid))
    expect(ask("GET", "/v1/daemon?what=smap", headers=[("Accept", "application/msgpack")]), 200).json()


@test
def capacity_adds_up():
    tid, node = a_target()
    cap = ask("GET", "/v1/daemon?what=node_stats", node=node).json()["capacity"]
    mp = list(cap["mountpaths"].values())
    same(len(mp), 2)
    one = len({m["fs"]["FsID"] for m in mp}) == 1
    info = ask("GET", "/v1/daemon?what=sysinfo", node=node).json()
    same(int(cap["total_used"]) + int(cap["total_avail"]), int(info["fs_capacity"]))
    if one:
        same(abs(int(mp[0]["used"]) - int(cap["total_used"])) < 1 << 30, True)


@test
def counters_count_and_can_be_reset():
    b = bucket("api-stats")
    tid, node = a_target()
    def tracker(n):
        return ask("GET", "/v1/daemon?what=node_stats", node=n).json()["tracker"]
    def total(key):
        return sum(tracker(n).get(key, 0) for n in (1, 2, 3))
    expect(ask("PUT", "/v1/cluster", act("reset-stats", False)), 200)
    same((total("put.n"), total("put.size"), total("get.n")), (0, 0, 0))
    for i in range(10):
        put(b, "o%d" % i, b"12345")
        follow("GET", "/v1/objects/%s/o%d" % (b, i))
    follow("DELETE", "/v1/objects/%s/o0" % b)
    follow("PUT", "/v1/objects/%s/bad" % b, b"x", [("Ais-Checksum-Type", "md5"), ("Ais-Checksum-Value", "0" * 32)])
    same((total("put.n"), total("put.size"), total("get.n"), total("get.size"), total("del.n"), total("err.put.n")), (10, 50, 10, 50, 1, 1))
    expect(ask("PUT", "/v1/cluster", act("reset-stats", True)), 200)
    same((total("err.put.n"), total("put.n")), (0, 10))
    expect(ask("PUT", "/v1/cluster", act("reset-stats", "all")), 400, "reset-stats")
    expect(reverse("PUT", "/daemon", tid, act("reset-stats", False)), 200)
    same(tracker(node).get("put.n", 0), 0)
    kinds = ask("GET", "/v1/daemon?what=metrics", node=node).json()
    for key, kind in (("get.n", "counter"), ("get.size", "size"), ("get.ns", "latency"), ("get.bps", "bw"), ("state.flags", "gauge"),
                      ("up.ns.time", "special"), ("get.ns.total", "total")):
        same(kinds[key], kind, key)
    for key in tracker(node):
        if key not in kinds:
            raise Failed("%s has no kind" % key)


def config(key, node=0):
    got = ask("GET", "/v1/daemon?what=config", node=node).json()
    for k in key.split("."):
        got = got[k]
    return got


@test
def configuration_is_set_by_query_and_body_everywhere():
    expect(ask("PUT", "/v1/cluster/set-config?LRU.Dont_Evict_Time=3h&mirror.copies=3"), 200)
    within(10, lambda: all((config("lru.dont_evict_time", n), config("mirror.copies", n)) == ("3h0m", 3) for n in range(4)), "all nodes have it")
    version = int(config("config_version"))
    expect(ask("PUT", "/v1/cluster", act("set-config", {"lru": {"dont_evict_time": "2h"}, "mirror": {"copies": 2}})), 200)
    within(10, lambda: all((config("lru.dont_evict_time", n), config("mirror.copies", n)) == ("2h0m", 2) for n in range(4)), "all nodes have it")
    if int(config("config_version")) <= version:
        raise Failed("the version did not rise")
    if not config("lastupdate_time"):
        raise Failed("no time of update")


@test
def bad_configuration_is_refused_and_changes_nothing():
    before = ask("GET", "/v1/cluster?what=cluster_config").json()
    for query, text in (("", "no configuration keys"), ("transient=true", "no configuration keys"), ("nonsense.x=1", 'unknown property "nonsense.x"'),
                        ("log.level=x", "log.level"), ("lru.dont_evict_time=never", ""), ("mirror.copies=999", ""), ("rebalance.enabled=maybe", ""),
                        ("space.lowwm=99", "invalid space config"), ("keepalivetracker.proxy.interval=1s", "should be >= timeout.max_keepalive"),
                        ("uuid=x", ""), ("config_version=7", ""), ("lastupdate_time=now", ""), ("proxy.non_electable=true", ""),
                        ("write_policy.data=delayed", ""), ("net.l4.proto=udp", ""), ("mirror.copies=3&nonsense.x=1", "unknown property")):
        expect(ask("PUT", "/v1/cluster/set-config?" + query), 400, text)
    expect(ask("PUT", "/v1/cluster", act("set-config")), 400)
    expect(ask("PUT", "/v1/cluster", act("set-config", {"nonsense": {"x": 1}})), 400)
    same(ask("GET", "/v1/cluster?what=cluster_config").json(), before)


@test
def transient_configuration_has_its_limits():
    for key in ("auth.client_auth_required=false", "net.use_ipv6=false", "memsys.min_free=1GiB", "keepalivetracker.num_retries=4",
                "timeout.max_keepalive=6s", "timeout.cplane_operation=1s"):
        expect(ask("PUT", "/v1/cluster/set-config?transient=true&" + key), 501)
    expect(ask("PUT", "/v1/cluster/set-config?transient=true&log.level=5"), 200)
    within(10, lambda: all(config("log.level", n) == "5" for n in range(4)), "all nodes have it")
    expect(ask("PUT", "/v1/cluster?transient=true", act("set-config", {"log": {"level": "3"}})), 200)
    within(10, lambda: all(config("log.level", n) == "3" for n in range(4)), "all nodes have it")


@test
def shared_secrets_are_not_shown():
    expect(ask("PUT", "/v1/cluster/set-config?auth.signature.key=topsecret&auth.signature.method=HS256"), 200)
    try:
        for n, what in ((0, "/v1/cluster?what=cluster_config"), (0, "/v1/daemon?what=config"), (1, "/v1/daemon?what=config")):
            same(ask("GET", what, node=n).json()["auth"]["signature"]["key"], "**********", what)
    finally:
        expect(ask("PUT", "/v1/cluster/set-config?auth.signature.key=&auth.signature.method="), 200)


@test
def backends_are_those_of_the_configuration():
    expect(ask("PUT", "/v1/cluster", act("set-config", {"backend": {"aws": {}}})), 200)
    try:
        same(ask("GET", "/v1/cluster?what=backends").json(), ["aws"])
        expect(ask("GET", "/v1/buckets?provider=aws"), 501, "present in the cluster configuration", "ErrInitBackend")
    finally:
        expect(ask("PUT", "/v1/cluster", act("set-config", {"backend": {}})), 200)
    same(ask("GET", "/v1/cluster?what=backends").json(), [])


@test
def old_names_of_settings_are_understood():
    expect(ask("PUT", "/v1/cluster/set-config?auth.enabled=false"), 200)
    expect(ask("PUT", "/v1/cluster/set-config?auth.cluster_key.nonce_window=2m"), 200)
    try:
        same(config("auth.intra_cluster.nonce_window"), "2m")
    finally:
        ask("PUT", "/v1/cluster", act("reset-config"))


@test
def a_node_has_settings_of_its_own_but_not_the_clusters():
    tid, node = a_target()
    other = next(n for n in (1, 2, 3) if n != node)
    expect(reverse("PUT", "/daemon/set-config?log.level=4", tid), 200)
    same((config("log.level", node), config("log.level", other), config("log.level")), ("4", "3", "3"))
    expect(reverse("PUT", "/daemon", tid, act("set-config", {"disk": {"disk_util_low_wm": 25}})), 200)
    same((config("disk.disk_util_low_wm", node), config("disk.disk_util_low_wm", other)), (25, 20))
    for query in ("mirror.copies=3", "checksum.type=md5", "rebalance.enabled=false", "features=1", "versioning.enabled=false"):
        expect(reverse("PUT", "/daemon/set-config?" + query, tid), 400)
    expect(reverse("PUT", "/daemon/set-config?nonsense.x=1", tid), 400, "unknown property")
    expect(reverse("PUT", "/daemon", tid, act("reset-config")), 200)
    same((config("log.level", node), config("disk.disk_util_low_wm", node)), ("3", 20))


@test
def a_reset_forgets_what_nodes_have_set_for_themselves():
    tid, node = a_target()
    expect(reverse("PUT", "/daemon/set-config?log.level=4", tid), 200)
    expect(ask("PUT", "/v1/cluster", act("reset-config")), 200)
    within(10, lambda: all(config("log.level", n) == "3" for n in range(4)), "all nodes are back")


@test
def logs_are_read_by_severity_and_offset_and_packed():
    tid, node = a_target()
    log = lambda query: reverse("GET", "/daemon?what=log" + query, tid)
    whole = expect(log(""), 200)
    same(whole.get("Content-Type"), "text/plain; charset=utf-8")
    if b"listening" not in whole.body:
        raise Failed("no start in the log: %r" % whole.body[:200])
    size = len(whole.body)
    same(expect(log("&severity=info&offset=100"), 200).body[:size - 100], whole.body[100:])
    expect(log("&offset=1000000000"), 400, "offset")
    expect(log("&offset=x"), 400, "offset")
    expect(log("&severity=nonsense"), 400, "severity")
    for severity in ("i", "warning", "error", "w", "e"):
        if log("&severity=" + severity).status not in (200, 404):  # no errors yet, no file
            raise Failed("severity %s: %d" % (severity, log("&severity=" + severity).status))
    expect(ask("PUT", "/v1/cluster", act("rotate-logs")), 200)
    within(5, lambda: len(log("").body) < size, "a new log file")
    a = expect(log("&all=true"), 200)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(a.body))) as t:
        texts = [t.extractfile(m).read() for m in t.getmembers() if m.isfile()]
    if not any(whole.body[:200] in x for x in texts):
        raise Failed("the rotated log is not in the archive")
    expect(reverse("PUT", "/daemon", tid, act("rotate-logs")), 200)


@test
def health_has_its_variants():
    for n in (0, 1):
        same(expect(ask("GET", "/v1/health?readiness=true", node=n), 200).body, b"")
        info = expect(ask("GET", "/v1/health?cii=true", node=n), 200)
        same(sorted(info.json()), ["bmd", "config", "etlmd", "flags", "rmd", "smap"])
        same((info.get("Ais-Node-Uptime", "").isdigit(), info.get("Ais-Cluster-Uptime", "").isdigit()), (True, True))
        expect(ask("HEAD", "/v1/health", node=n), 200)
        for bad in ("cii-apr=true&cii=true", "cii-apr=true&apr=true", "prr=true&cii=true", "prr=true&cii-apr=true"):
            expect(ask("GET", "/v1/health?" + bad, node=n), 400, "health")
    same(ask("GET", "/v1/health", node=1).get("Ais-Node-Uptime"), None)
    same(expect(ask("GET", "/v1/health?apr=true"), 200).body, b"")
    expect(ask("GET", "/v1/health?cii-apr=true"), 200).json()
    expect(ask("GET", "/v1/health?prr=true"), 200)


@test
def an_unreachable_node_behind_reverse_is_502():
    tid, node = a_target()
    CLUSTER.node("kill", node)
    try:
        a = reverse("GET", "/daemon?what=smap", tid)
        same((a.status, a.body), (502, b""))
    finally:
        CLUSTER.node("start", node)
    within(20, lambda: reverse("GET", "/daemon?what=smap", tid).status == 200, "the node is back")


# --- clusters of another shape ---
def another(**shape):
    port = int(os.environ.get("AIS_TEST_PORT") or 0)
    return wire.Cluster(port=port + 8 if port else None, **shape)


class Using:
    """Ask another cluster for a while."""

    def __init__(self, c):
        self.c = c

    def __enter__(self):
        global CLUSTER
        self.was, CLUSTER = CLUSTER, self.c

    def __exit__(self, *_):
        global CLUSTER
        CLUSTER = self.was


@test
def any_proxy_does_what_the_primary_does():
    with another(proxies=2, targets=2) as c, Using(c):
        m = smap()
        other = next(p for p in m["pmap"] if p != m["proxy_si"]["daemon_id"])
        n = int(m["pmap"][other]["public_net"]["daemon_port"]) - c.port
        expect(ask("POST", "/v1/buckets/b", act("create-bck"), node=n), 200)
        same([b["name"] for b in ask("GET", "/v1/buckets", node=n).json()], ["b"])
        put("b", "o", b"12345")
        same([e["name"] for e in ask("GET", "/v1/buckets/b", act("list", {}), node=n).json()["entries"]], ["o"])
        expect(ask("PATCH", "/v1/buckets/b", act("set-bprops", {"versioning": {"enabled": False}}), node=n), 200)
        expect(ask("PUT", "/v1/cluster/set-config?lru.dont_evict_time=4h", node=n), 200)
        within(10, lambda: all(config("lru.dont_evict_time", i) == "4h0m" for i in range(4)), "all nodes have it")
        same(sorted(ask("GET", "/v1/cluster?what=sysinfo", node=n).json()["proxy"]), sorted(m["pmap"]))
        expect(ask("GET", "/v1/health?prr=true", node=n), 200)
        expect(ask("GET", "/v1/health?cii-apr=true", node=n), 400, "is not primary")
        job = expect(ask("GET", "/v1/buckets/b", act("summary-bck", {"uuid": ""}), node=n), 202).body.decode()
        done = lambda: ask("GET", "/v1/buckets/b", act("summary-bck", {"uuid": job}), node=0)
        within(10, lambda: done().status == 200, "the summary, at the other proxy")
        a = expect(ask("HEAD", "/v1/buckets/b?bsumm_remote=true", node=n), 202)
        within(10, lambda: ask("HEAD", "/v1/buckets/b?bsumm_remote=true&uuid=" + a.get("Ais-Xaction-Id"), node=0).status == 200, "the same by HEAD")
        expect(ask("PUT", "/v1/cluster/proxy/" + other, node=n), 200)
        same(smap()["proxy_si"]["daemon_id"], other)
        expect(ask("DELETE", "/v1/buckets/b", act("destroy-bck"), node=n), 200)


@test
def until_the_cluster_has_started_only_its_state_is_told():
    with another(targets=2) as c, Using(c):
        bucket("b")
        for n in range(3):
            c.node("stop", n)
        c.start_alone(0)
        within(10, lambda: answers("/v1/health"), "the proxy alone")
        expect(ask("GET", "/v1/health?readiness=true"), 200)  # a primary is, so that nodes can join
        same(expect(ask("GET", "/v1/health?prr=true"), 503).body, b"")
        expect(ask("GET", "/v1/daemon?what=smap"), 200)
        for method, path, body in (("GET", "/v1/buckets", None), ("POST", "/v1/buckets/x", act("create-bck")), ("HEAD", "/v1/buckets/b", None),
                                   ("DELETE", "/v1/buckets/b", act("destroy-bck")), ("GET", "/v1/buckets/b", act("list", {})),
                                   ("PUT", "/v1/cluster", act("reset-config")), ("PUT", "/v1/cluster/set-config?log.level=4", None)):
            same(expect(ask(method, path, body), 503).body, b"", path)
        c.start()
        same([b["name"] for b in expect(ask("GET", "/v1/buckets"), 200).json()], ["b"])


def answers(path):
    try:
        return ask("GET", path).status == 200
    except OSError:
        return False


def main():
    global CLUSTER
    with wire.Cluster() as c:
        CLUSTER = c
        return run()


if __name__ == "__main__":
    sys.exit(main())
