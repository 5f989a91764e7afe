#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Jobs: start, stop, status, snapshots, and what the information centre knows when proxies and targets come and go.

Three proxies, three targets. Each function is one test, its name a sentence. Prints "ok NAME", "not ok NAME: what" or "skip NAME: why".
With arguments, only tests whose names contain one of them.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import wire

CLUSTER = None
TESTS = []
PROXIES, TARGETS = 3, 3
BUILD = os.path.join(wire.TOP, os.environ.get("AIS_BUILD", "build"))
os.environ["AIS_BUILD"] = BUILD
PROMOTE_ROOT = "/var/lib/ais/promote"
XID = r"[A-Za-z][A-Za-z0-9_-]{7,30}[A-Za-z0-9]"


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def test(fn):
    TESTS.append(fn)
    return fn


def same(got, want, what=""):
    if got != want:
        raise Failed("%s%r, expected %r" % (what and what + ": ", got, want))


def expect(a, status, text="", tcode=None):
    if a.status != status or text not in a.body.decode("utf-8", "replace"):
        raise Failed("%d %r, expected %d %r" % (a.status, a.body[:300], status, text))
    if tcode is not None:
        same(a.json().get("tcode"), tcode, "tcode")
    return a


def within(seconds, fn, what):
    deadline = time.monotonic() + seconds
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Failed("not within %d s: %s" % (seconds, what))
        time.sleep(0.05)


def ask(method, target, body=None, node=0, headers=()):
    port = CLUSTER.port + node
    hdrs = [("Host", "127.0.0.1:%d" % port), ("Connection", "close")]
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        hdrs.append(("Content-Type", "application/json"))
    if body is not None:
        hdrs.append(("Content-Length", str(len(body))))
    return wire.send("127.0.0.1", port, method, target, hdrs + list(headers), body)


def start(kind, node=0, name="", **args):
    return ask("PUT", "/v1/cluster", {"action": "start", "name": name, "value": dict(args, Kind=kind)}, node)


def started(kind, node=0, **args):
    a = expect(start(kind, node, **args), 200)
    same(bool(re.fullmatch(XID, a.body.decode())), True, "an id: %r" % a.body)
    return a.body.decode()


def stop(node=0, **args):
    return ask("PUT", "/v1/cluster", {"action": "stop", "value": args}, node)


def status(node=0, **msg):
    return ask("GET", "/v1/cluster?what=status", msg, node)


def over(jid, node=0, **msg):
    """Its status, once it is over."""
    def look():
        s = expect(status(node, id=jid, **msg), 200).json()
        return s if s["end_time"] > 0 else None
    return within(30, look, "%s is over" % jid)


def snaps(node=0, **msg):
    return expect(ask("GET", "/v1/cluster?what=qryxstats", msg, node), 200).json()


def bucket(name, props=None):
    expect(ask("POST", "/v1/buckets/" + name, {"action": "create-bck", "value": props}), 200)
    return name


def put(b, name, data, headers=()):
    a = ask("PUT", "/v1/objects/%s/%s" % (b, name), data)
    port, target = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*)", a.get("Location")).groups()
    expect(ask("PUT", target, data, int(port) - CLUSTER.port, headers), 200)


def names(b):
    return {e["name"] for e in expect(ask("GET", "/v1/buckets/" + b, {"action": "list", "value": {"props": "name"}}), 200).json()["entries"] or []}


def config(**kv):
    expect(ask("PUT", "/v1/cluster", {"action": "set-config", "value": kv}), 200)


def targets():
    return set(expect(ask("GET", "/v1/daemon?what=smap"), 200).json()["tmap"])


def ais(*args, node=0, code=0):
    env = dict(os.environ, AIS_ENDPOINT="http://127.0.0.1:%d" % (CLUSTER.port + node))
    p = subprocess.run([os.path.join(BUILD, "bin", "ais"), *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    if p.returncode != code:
        raise Failed("ais %s: exit %d, out %r, err %r" % (" ".join(args), p.returncode, p.stdout[-400:], p.stderr[-800:]))
    return p.stdout


class Source:
    """Files to promote: the one job that takes as long as there is work."""

    def __init__(self, files, size=10):
        try:
            os.makedirs(PROMOTE_ROOT, exist_ok=True)
            self.dir = tempfile.mkdtemp(dir=PROMOTE_ROOT)
        except OSError as e:
            raise Skipped("no place to promote from: %s" % e) from None
        for i in range(files):
            with open("%s/f%05d" % (self.dir, i), "wb") as f:
                f.write(b"x" * size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    def promote(self, b, node=0, **args):
        return ask("POST", "/v1/objects/" + b, {"action": "promote", "name": self.dir, "value": args}, node)

    def promoting(self, b, node=0, **args):
        a = expect(self.promote(b, node, **args), 200)
        same(bool(re.fullmatch(XID, a.body.decode())), True, "an id: %r" % a.body)
        return a.body.decode()


# --- start ---
@test
def each_kind_answers_a_start():
    b = bucket("job-kinds")
    for kind in ("lru", "lru-eviction", "cleanup-store", "cleanup"):
        same(over(started(kind))["err"], "", kind)
    for kind in ("rechunk", "prefetch-listrange", "load-lom-cache", "warm-up-metadata", "copy-bck", "archive", "make-n-copies", "put-copies"):
        expect(start(kind), 400, "requires a bucket to start")
    for kind in ("rechunk", "prefetch-objects", "warm-up-metadata"):
        expect(start(kind, Bck={"name": b, "provider": "ais"}), 501, "not implemented yet", "ErrNotImpl")
    for kind in ("download", "make-n-copies", "ec-encode", "evict-listrange", "delete-listrange"):
        expect(start(kind, Bck={"name": b}), 400, "must be done via a separate documented API")
    expect(start("put-copies", Bck={"name": b}), 400, "is driven by PUTs")
    for kind in ("election", "list", "copy-bck", "get-batch", "summary"):
        expect(start(kind, Bck={"name": b}), 501, "operation not supported", "ErrUnsupp")
    expect(start("resilver"), 501, "cannot run resilver on all targets", "ErrUnsupp")
    expect(start("resilver", DaemonID="nobody00"), 404, "nobody00", "ErrNodeNotFound")
    expect(start("blob-download", Bck={"name": b}, name="o"), 400)
    expect(start("lru", Bck={"name": "job-nope"}), 404, "ais://job-nope", "ErrBckNotFound")
    expect(start("lru", Buckets=[{"name": b}, {"name": "job-nope"}]), 404, "job-nope")
    expect(start("rebalance", name="pre/"), 400, "invalid limited-scope")
    expect(start("rebalance", Bck={"name": "job-nope"}), 404, "job-nope", "ErrBckNotFound")
    expect(start("no-such-kind"), 400, "invalid xaction (job) kind")
    expect(start(""), 400, "empty")


@test
def a_start_that_fails_leaves_nothing_behind():
    before = expect(ask("GET", "/v1/cluster?what=status_all", {"kind": "rechunk"}), 200).json()
    expect(start("rechunk", Bck={"name": bucket("job-fails")}), 501)
    for node in range(PROXIES):
        same(expect(ask("GET", "/v1/cluster?what=status_all", {"kind": "rechunk"}, node), 200).json(), before)
    same(expect(ask("GET", "/v1/cluster?what=running_all", {}), 200).json(), [])


@test
def malformed_messages_are_400():
    for body in (b"", b"{", b"[]", b'"start"', b'{"action":"start","value":7}', b'{"action":"start","value":[1]}',
                 b'{"action":"start","value":{"Kind":"lru","Bck":{"name":"a/b"}}}', b'{"action":"start","value":{"Kind":"lru","Bck":{"name":"a","provider":"zz"}}}',
                 b'{"action":"stop","value":"x"}', b'{"action":"stop"}', b'{"action":"stop","value":{}}',
                 b'{"action":"stop","value":{"ID":"has space in it"}}'):
        expect(ask("PUT", "/v1/cluster", body), 400)
    for what in ("status", "status_all", "qryxstats", "running_all"):
        for body in (b"{", b"[1]", b"7", b'{"kind":"no-such-kind"}'):
            expect(ask("GET", "/v1/cluster?what=" + what, body), 400)
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"id": "no id"}), 400, "invalid xaction (job) UUID")
    expect(ask("GET", "/v1/cluster?what=status", {"id": "AAAAAAAAA", "kind": 7}), 404)
    expect(start("lru", Buckets=[{"name": "b%d" % i} for i in range(1001)]), 400, "too many buckets")


# --- status and snapshots ---
@test
def every_proxy_knows_every_job():
    for first in range(PROXIES):
        jid = started("lru", first)
        for node in range(PROXIES):
            s = over(jid, node)
            same({k: s[k] for k in ("kind", "uuid", "err", "aborted")}, {"kind": "lru", "uuid": jid, "err": "", "aborted": False})
            same(expect(status(node, id=jid, kind="lru-eviction"), 200).json()["uuid"], jid)
            expect(status(node, id=jid, kind="rebalance"), 400, "kind mismatch")
            every = expect(ask("GET", "/v1/cluster?what=status_all", {"kind": "lru"}, node), 200).json()
            same(jid in [x["uuid"] for x in every], True)
            same({x["kind"] for x in every}, {"lru"})
            same(set(snaps(node, id=jid)), targets())


@test
def status_by_kind_is_that_of_the_last_one():
    first, last = started("cleanup"), None
    over(first)
    last = started("cleanup")
    over(last)
    same(expect(status(1, kind="cleanup-store"), 200).json()["uuid"], last)
    expect(status(kind="dsort"), 404, "does not exist", "ErrNotFound")
    expect(status(), 400, "invalid")
    expect(status(id="AAAAAAAAA"), 404, "does not exist", "ErrNotFound")


@test
def snapshots_are_selected_by_id_kind_and_state():
    jid = started("lru")
    over(jid)
    for t, s in snaps(kind="lru").items():
        mine = [x for x in s if x["id"] == jid]
        same((len(mine), mine[0]["kind"], mine[0]["aborted"], mine[0]["is_idle"]), (1, "lru", False, True), t)
        same(set(mine[0]), {"ext", "start-time", "end-time", "bck", "src-bck", "dst-bck", "id", "kind", "abort-err", "err", "glob.id", "stats",
                            "aborted", "is_idle"})
        same(mine[0]["start-time"] <= mine[0]["end-time"], True)
    same(snaps(kind="lru", show_active=True), {t: [] for t in targets()})
    same(snaps(kind="dsort"), {t: [] for t in targets()})
    same(set(snaps(id="AAAAAAAAA," + jid)), targets())
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"id": "AAAAAAAAA"}), 404, "not found")
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"id": jid, "show_active": True}), 404)
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"id": jid, "kind": "cleanup"}), 404)
    expect(ask("GET", "/v1/cluster?what=qryxstats", {"kind": "promote", "bck": {"name": "job-nope", "provider": "ais"}}), 404)


# --- a job that works ---
@test
def promoting_many_files_is_a_job():
    b = bucket("job-promote")
    with Source(40, 100) as src:
        jid = src.promoting(b, 1, obj="dir/")
        same(over(jid, 2)["err"], "")
        same(names(b), {"dir/f%05d" % i for i in range(40)})
        got = snaps(id=jid)
        same(sum(int(s["stats"]["loc-objs"]) for t in got.values() for s in t), 40)
        same(sum(int(s["stats"]["loc-bytes"]) for t in got.values() for s in t), 4000)
        one = list(got.values())[0][0]
        same((one["kind"], one["bck"]["name"], one["ctlmsg"], one["ext"]["done"], one["ext"]["total"]), ("promote", b, src.dir, 40, 40))
        a = expect(src.promote(b, obj="again/", ovw=True), 200)
        same(over(a.body.decode())["err"], "")


@test
def promoting_few_files_is_done_when_it_is_answered():
    b = bucket("job-promote-few")
    with Source(16) as src:
        same(expect(src.promote(b), 200).body, b"")
        same(len(names(b)), 16)


@test
def a_stopped_job_ends_everywhere():
    b = bucket("job-stop")
    with Source(4000) as src:
        jid = src.promoting(b)
        within(10, lambda: "promote[%s]" % jid in expect(ask("GET", "/v1/cluster?what=running_all", {}, 1), 200).json(), "it runs")
        same([set(s["id"] for s in x) for x in snaps(kind="promote-files", show_active=True).values()], [{jid}] * TARGETS)
        same(expect(ask("GET", "/v1/cluster?what=running_all", {"kind": "lru"}), 200).json(), [])
        same(expect(status(2, id=jid), 200).json()["end_time"], 0)
        expect(stop(2, ID=jid), 200)
        for node in range(PROXIES):
            s = over(jid, node)
            same((s["aborted"], s["err"].startswith("user abort")), (True, True), s["err"])
        for s in within(10, lambda: (lambda g: g if all(x[0]["end-time"][0] == "2" for x in g.values()) else None)(snaps(id=jid)), "all ended").values():
            same((s[0]["aborted"], s[0]["is_idle"]), (True, True))
            # the stop of the centre, which heard of it from the first target, may come before the client's own
            same(s[0]["abort-err"] in ("user abort", "IC(notifications) abort"), True, s[0]["abort-err"])
        same(len(names(b)) < 4000, True)
        expect(stop(ID=jid), 200)
        expect(stop(ID="AAAAAAAAA"), 200)
        expect(stop(Kind="promote", Bck={"name": b}), 200)


@test
def one_that_is_aborted_at_a_target_is_stopped_at_all():
    b = bucket("job-ic")
    with Source(4000) as src:
        jid = src.promoting(b)
        within(10, lambda: len(snaps(id=jid)) == TARGETS, "it runs")
        expect(ask("PUT", "/v1/cluster", {"action": "stop", "value": {"Kind": "promote", "Bck": {"name": b, "provider": "ais"}}}, 1), 200)
        same(over(jid)["aborted"], True)


@test
def a_bucket_that_goes_takes_its_jobs_with_it():
    b = bucket("job-bucket-gone")
    with Source(4000) as src:
        jid = src.promoting(b)
        within(10, lambda: names(b), "it works")
        expect(ask("DELETE", "/v1/buckets/" + b, {"action": "destroy-bck"}), 200)
        same(over(jid)["aborted"], True)
        same({s["abort-err"] for t in snaps(id=jid).values() for s in t} <= {"bucket is gone", "IC(notifications) abort"}, True)


# --- cleanup and eviction ---
@test
def cleanup_spares_what_is_young():
    b = bucket("job-clean")
    put(b, "o", b"content")
    put(b, "empty", b"")
    work = [os.path.join(d, "put.left-behind") for d in glob.glob(os.path.join(CLUSTER.dir, "**", "@ais", b, "%wk"), recursive=True)]
    same(len(work) > 0, True, "work directories")
    for path in work:
        with open(path, "wb") as f:
            f.write(b"x" * 5000)
    jid = started("cleanup", Buckets=[{"name": b, "provider": "ais"}], flags=1)
    same(over(jid)["err"], "")
    same([os.path.exists(path) for path in work], [True] * len(work))
    same(names(b), {"o", "empty"})
    got = [s for t in snaps(id=jid).values() for s in t]
    same([(s["stats"]["loc-objs"], s["ctlmsg"], s["glob.id"]) for s in got], [("0", "buckets: ais://job-clean", "2")] * TARGETS)


@test
def eviction_takes_the_oldest_of_buckets_that_allow_it():
    yes, no = bucket("job-lru", {"lru": {"enabled": True}}), bucket("job-no-lru")
    old = [("Ais-Atime", str(time.time_ns() - 10 * 3600 * 10**9))]
    for b in (yes, no):
        for i in range(12):
            put(b, "o%02d" % i, b"x" * (1 << 20), old)
            put(b, "young%02d" % i, b"x" * (1 << 20))
    kept = {"young%02d" % i for i in range(12)}
    same(over(started("lru"))["err"], "")
    same((len(names(yes)), len(names(no))), (24, 24))  # no disk is full
    config(space={"cleanupwm": 1, "lowwm": 2, "highwm": 3})
    try:
        same(over(started("lru"))["err"], "")
        if len(names(yes)) == 24:
            raise Skipped("the disk here is emptier than the lowest watermark")
        same((names(yes), len(names(no))), (kept, 24))
        same(sum(int(s["stats"]["loc-objs"]) for t in snaps(kind="lru").values() for s in t), 12)
        jid = started("lru", Buckets=[{"name": no}], Force=True)
        same(over(jid)["err"], "")
        same(names(no), kept)
        same([s["ctlmsg"] for t in snaps(id=jid).values() for s in t], ["buckets: ais://job-no-lru, force"] * TARGETS)
        auto = within(30, lambda: {s["uuid"] for s in expect(ask("GET", "/v1/cluster?what=status_all", {"kind": "cleanup"}), 200).json()} -
                      {s["id"] for s in list(snaps(kind="cleanup").values())[0]}, "targets clean up by themselves, and say so")
        same(all(over(jid)["err"] == "" for jid in auto), True)
    finally:
        config(space={"cleanupwm": 65, "lowwm": 90, "highwm": 95})


# --- proxies and targets that come and go ---
def own_table(node):
    """What that proxy says by itself, as a member of the information centre."""
    return {s["uuid"] for s in expect(ask("GET", "/v1/cluster?what=status_all", {}, node), 200).json() or []}


@test
def a_member_that_comes_back_asks_the_others():
    jid = started("cleanup")
    over(jid)
    CLUSTER.node("kill", 2)
    later = started("lru", 1)  # while it is away
    over(later)
    for node in (0, 1):
        same(expect(status(node, id=jid), 200).json()["uuid"], jid)
    CLUSTER.node("start", 2)
    within(15, lambda: {jid, later} <= own_table(2), "it knows what it missed")


@test
def a_target_that_was_restarted_ends_its_jobs_with_an_error():
    config(periodic={"notif_time": "1s"})
    b = bucket("job-target-dies")
    try:
        with Source(8000) as src:
            jid = src.promoting(b)
            within(10, lambda: names(b), "it works")
            CLUSTER.node("kill", PROXIES + 1)
            CLUSTER.node("start", PROXIES + 1)
            s = over(jid, 1)
            same(s["aborted"], True, s["err"])
            same(bool(s["err"]), True)
            within(20, lambda: expect(ask("GET", "/v1/cluster?what=running_all", {}), 200).json() == [], "it ended at the others, too")
    finally:
        config(periodic={"notif_time": "30s"})


@test
def the_primary_may_go():
    with Source(3000) as src:
        b = bucket("job-primary-dies")
        jid = src.promoting(b, 1)
        CLUSTER.node("kill", 0)
        try:
            s = over(jid, 1)
            same((s["uuid"], s["aborted"]), (jid, False))
            same(over(jid, 2)["end_time"] > 0, True)
        finally:
            CLUSTER.node("start", 0)
        within(15, lambda: jid in own_table(0), "it knows what it missed")
        same(len(names(b)), 3000)


# --- the command line ---
@test
def the_command_line_starts_shows_waits_and_stops():
    out = ais("job", "start", "cleanup", "--wait")
    jid = re.search(r"cleanup\[(%s)\] is done" % XID, out).group(1)
    out = ais("show", "job", jid)
    same(out.splitlines()[1].split(), "NODE ID KIND OBJECTS BYTES START END STATE".split())
    same(out.count("Finished"), TARGETS)
    doc = json.loads(ais("show", "job", "cleanup", "--all", "--json", node=1))
    same(set(doc), targets())
    same(jid in {s["id"] for t in doc.values() for s in t}, True)
    same(len({s["id"] for t in json.loads(ais("show", "job", "--all", "--top", "1", "--json")).values() for s in t}), 1)
    ais("show", "job", "AAAAAAAAA", code=3)
    ais("job", "wait", "AAAAAAAAA", code=3)
    ais("job", "start", "no-such-job", code=2)
    ais("job", "start", "rechunk", code=2)
    ais("job", "start", "resilver", code=2)
    ais("job", "stop", code=2)
    ais("job", "wait", "lru")
    same(json.loads(ais("start", "lru", "--json"))["kind"], "lru")


@test
def the_command_line_follows_a_job():
    b = bucket("job-cli")
    with Source(20000) as src:
        jid = src.promoting(b)
        within(10, lambda: names(b), "it works")
        out = ais("show", "job", "promote")
        same(("promote-files[%s] (ctl: %s)" % (jid, src.dir) in out, "Running" in out, "ais://" + b in out), (True, True, True), out)
        same(bool(re.search(r"\[=* *\] \d+%  \d+/\d+ objects", out)), True, out)
        ais("job", "wait", jid, "--timeout", "100ms", code=1)
        ais("job", "stop", "promote", code=2)  # not without --yes, without a terminal
        ais("job", "stop", "promote", "--yes")
        ais("job", "wait", jid, code=1)
        same("Aborted: user abort" in ais("show", "job", jid), True)


def main():
    global CLUSTER
    bad = 0
    with wire.Cluster(targets=TARGETS, proxies=PROXIES) as CLUSTER:
        for fn in TESTS:
            if sys.argv[1:] and not any(a in fn.__name__ for a in sys.argv[1:]):
                continue
            try:
                fn()
                print("ok " + fn.__name__)
            except Skipped as e:
                print("skip %s: %s" % (fn.__name__, e))
            except Exception as e:
                bad += 1
                print("not ok %s: %s" % (fn.__name__, str(e).replace("\n", " ")[:600]))
                if not isinstance(e, Failed):
                    print("".join("    | " + line for line in traceback.format_exc().splitlines(True)))
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
