#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The lifecycle of nodes: maintenance, decommission, shutdown, removal, and joining, by an administrator; with clients that read all the while.

Two proxies, four targets. Each function is one test, its name a sentence. With arguments, only tests whose names contain one of them.
AIS_LIFE_OBJECTS (default 1000): objects that are there all the time.
"""
import glob
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time

import cases
import wire
from cases import Failed, same, stays, test, within

PROXIES, TARGETS = 2, 4
OBJECTS = int(os.environ.get("AIS_LIFE_OBJECTS") or 1000)
BUILD = os.path.join(wire.TOP, os.environ.get("AIS_BUILD", "build"))
os.environ["AIS_BUILD"] = BUILD
IC, MAINT, POSTREB = 2, 4, 16


def content(name):
    """What an object of that name has: 32 bytes to 6 KiB."""
    seed = hashlib.sha256(name.encode()).digest()
    return seed * (1 + seed[0] % 200)


class Fleet(wire.Cluster):
    def __init__(self):
        super().__init__(targets=TARGETS, proxies=PROXIES)

    def ask(self, method, target, value=None, node=0, headers=()):
        body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        hdrs = [("Host", "127.0.0.1"), *headers]
        if body is not None:
            hdrs.append(("Content-Length", str(len(body))))
        return wire.send("127.0.0.1", self.port + node, method, target, hdrs, body)

    def ok(self, *args, **kw):
        a = self.ask(*args, **kw)
        if a.status != 200:
            raise Failed("%s %s: %d %r" % (args[0], args[1], a.status, a.body[:400]))
        return a

    def refused(self, status, text, action, **value):
        a = self.ask("PUT", "/v1/cluster", {"action": action, "value": value})
        if a.status != status or text not in a.body.decode():
            raise Failed("%s %r: %d %r, expected %d %r" % (action, value, a.status, a.body[:400], status, text))

    def act(self, action, node=0, **value):
        """The answer's text: the id of the rebalance, or nothing."""
        return self.ok("PUT", "/v1/cluster", {"action": action, "value": value}, node=node).body.decode()

    def smap(self, node=0):
        return self.ok("GET", "/v1/daemon?what=smap", node=node).json()

    def id_of(self, i):
        """The id that node i has now."""
        return self.ok("GET", "/v1/daemon?what=snode", node=i).json()["daemon_id"]

    def flags(self, tid, node=0):
        """Without that of the information centre, which is the cluster's to give. None: it is not in the map."""
        m = self.smap(node)
        n = m["tmap"].get(tid) or m["pmap"].get(tid)
        return None if n is None else int(n["flags"]) & 0xffff & ~IC

    def rmd(self):
        return self.ok("GET", "/v1/daemon?what=rmd", node=0).json()

    def settled(self):
        """No rebalance runs, and objects are where the map says."""
        ext = self.rmd().get("ext") or {}
        return ext.get("state", "idle") == "idle" and not ext.get("chain")

    def runs(self, i):
        out = subprocess.run([wire.CLUSTER, "status", "--dir", self.dir, "--node", str(i)], stdout=subprocess.PIPE, text=True).stdout
        return "down" not in out


# --- what is there all the time, and who looks at it ---
B = "life-all"
NAMES = ["dir%d/o%05d" % (i % 7, i) for i in range(OBJECTS)]


class Conn:
    """Connections that stay, one a node; redirects are followed. A patient one asks again when it is told 503, or nothing: a client as it should be."""

    def __init__(self, fleet, patient=True):
        self.f, self.conns, self.patient = fleet, {}, patient

    def once(self, method, port, path, body=None):
        c = self.conns.get(port)
        if c is None:
            c = self.conns[port] = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            return r.status, r.getheader("Location"), r.read()
        except (OSError, http.client.HTTPException):
            c.close()
            del self.conns[port]
            raise

    def do(self, method, path, body=None, patience=20):
        deadline = time.monotonic() + patience
        while True:
            try:
                status, where, data = self.once(method, self.f.port + random.randrange(PROXIES), path, None if method == "PUT" else body)
                for _ in range(8):
                    if status not in (301, 307):
                        break
                    hostport, rest = where.split("://", 1)[1].split("/", 1)
                    status, where, data = self.once(method, int(hostport.rsplit(":", 1)[1]), "/" + rest, body)
                if status != 503:
                    return status, data
            except (OSError, http.client.HTTPException) as e:
                status, data = 0, str(e).encode()
            if not self.patient or time.monotonic() > deadline:
                raise Failed("%s %s: not in %g s: %d %r" % (method, path, patience, status, data[:300]))
            time.sleep(0.02)

    def read(self, b, name, want):
        status, data = self.do("GET", "/v1/objects/%s/%s" % (b, name))
        if status != 200:
            raise Failed("GET %s/%s: %d %r" % (b, name, status, data[:300]))
        if data != want:
            raise Failed("GET %s/%s: %d bytes, not those that were put" % (b, name, len(data)))

    def put(self, b, name, data):
        status, text = self.do("PUT", "/v1/objects/%s/%s" % (b, name), data)
        same(status, 200, "PUT %s: %r" % (name, text[:300]))

    def list(self, b):
        out, token = [], ""
        while True:
            status, data = self.do("GET", "/v1/buckets/" + b, json.dumps({"action": "list", "value": {"pagesize": 300, "continuation_token": token}}))
            same(status, 200, "list %s: %r" % (b, data[:300]))
            page = json.loads(data) if data[:1] == b"{" else wire.msgpack_decode(data)
            out += [e.get("n", e.get("name")) for e in page.get("entries") or []]
            token = page.get("continuation_token") or ""
            if not token:
                return out


class Watch:
    """
    While it is entered, clients read all objects, list them, and write others, over and over: nothing may be missing or wrong at any moment.
    patient=False: nor may a request fail. writes_only: for when a target is away, and what it has cannot be read.
    """

    def __init__(self, fleet, patient=True, writes_only=False):
        self.patient, self.writes_only = patient, writes_only
        self.f, self.stop, self.errors, self.rounds, self.written = fleet, threading.Event(), [], 0, {}

    def _each(self, fn):
        try:
            c = Conn(self.f, self.patient)
            while not self.stop.is_set() and not self.errors:
                fn(c)
        except Exception as e:  # noqa: BLE001: whatever a client sees is what the test is about
            self.errors.append("%s: %s" % (type(e).__name__, e))

    def _reader(self, c):
        name = random.choice(NAMES)
        c.read(B, name, content(name))
        self.rounds += 1

    def _lister(self, c):
        got = c.list(B)
        if got != sorted(NAMES):
            missing, extra = set(NAMES) - set(got), set(got) - set(NAMES)
            raise Failed("list: %d names of %d, missing %r, extra %r" % (len(got), len(NAMES), sorted(missing)[:3], sorted(extra)[:3]))

    def _writer(self, c):
        name = "w/%03d" % random.randrange(200)
        data = os.urandom(random.randrange(1, 3000))
        c.put(B + "-w", name, data)
        self.written[name] = data
        self.rounds += 1
        if not self.writes_only:
            c.read(B + "-w", name, data)

    def __enter__(self):
        self.f.ask("POST", "/v1/buckets/" + B + "-w", {"action": "create-bck"})
        self.threads = [threading.Thread(target=self._each, args=(fn,))
                        for fn in ((self._writer,) if self.writes_only else (self._reader, self._reader, self._lister, self._writer))]
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for t in self.threads:
            t.join()
        if kind is None:
            same(self.errors, [], "clients")
            same(self.rounds > 0, True, "clients did something")
            if self.writes_only:
                return
            c = Conn(self.f)
            for name, data in self.written.items():
                c.read(B + "-w", name, data)


def owner_port(f, b, name):
    return int(f.ask("GET", "/v1/objects/%s/%s" % (b, name)).get("Location").split("://", 1)[1].split("/", 1)[0].rsplit(":", 1)[1])


def files_of(f, i, b):
    """Objects that lie on the disks of node i: name -> path."""
    out = {}
    for d in glob.glob("%s/data/mp*/%d/@ais/%s/%%ob" % (f.dir, i, b)):
        for base, _, files in os.walk(d):
            out.update((os.path.relpath(os.path.join(base, x), d), os.path.join(base, x)) for x in files)
    return out


def everything_is_in_place(f, nodes):
    """Every object can be read, and lies with its owner and there only."""
    c = Conn(f)
    for name in NAMES:
        c.read(B, name, content(name))
    have = {i: files_of(f, i, B) for i in nodes}
    for name in NAMES:
        own = owner_port(f, B, name) - f.port
        same([i for i in nodes if name in have[i]], [own], name)
        with open(have[own][name], "rb") as x:
            same(x.read() == content(name), True, "bytes of %s on disk" % name)
    same(c.list(B), sorted(NAMES), "list")


def fill(f):
    f.ok("POST", "/v1/buckets/" + B, {"action": "create-bck"})
    c = Conn(f)
    for name in NAMES:
        c.put(B, name, content(name))


LIVE = [PROXIES, PROXIES + 1, PROXIES + 2, PROXIES + 3]  # targets


# --- refusals ---
@test
def what_makes_no_sense_is_refused(f):
    t, p = f.id_of(2), f.id_of(0)
    f.refused(400, "missing node IDs", "start-maintenance")
    f.refused(400, "cannot specify both sid and sids", "start-maintenance", sid=t, sids=[t])
    f.refused(400, "duplicated node ID", "start-maintenance", sids=[t, t])
    f.refused(400, "too short", "start-maintenance", sid="abc")
    f.refused(400, "invalid", "start-maintenance", sid="a/b c..d??")
    f.refused(404, "not present in Smap", "start-maintenance", sid="nobody0000")
    f.refused(400, "is the current primary", "start-maintenance", sid=p)
    f.refused(400, "is the current primary", "decommission-node", sid=p)
    f.refused(400, "no target would be left", "decommission-node", sids=[f.id_of(i) for i in LIVE])
    f.refused(400, "skip_rebalance", "rm-unsafe", sid=t)
    same([f.flags(f.id_of(i)) for i in LIVE], [0] * TARGETS, "flags")
    a = f.ask("PUT", "/v1/daemon", {"action": "decommission-node", "value": {}}, node=2)
    same(a.status, 403, "a client tells a node to leave: %r" % a.body)
    a = f.ask("PUT", "/v1/daemon", {"action": "shutdown-node"}, node=2, headers=[("Ais-Caller-Is-Primary", "true"), ("Ais-Caller-Id", p)])
    same(a.status, 403, "a client tells a node to leave: %r" % a.body)


# --- maintenance ---
@test
def maintenance_without_a_rebalance_leaves_the_objects_where_they_are(f):
    t = f.id_of(2)
    with Watch(f, patient=False):
        same(f.act("start-maintenance", sid=t, skip_rebalance=True), "", "rebalance")
        same(f.flags(t, 1), MAINT, "flags")
        same(len(f.rmd()["ext"]["chain"]), 1, "unsettled maps")
        same(f.act("start-maintenance", sid=t, skip_rebalance=True), "", "again")
        within(5, lambda: owner_port(f, B, NAMES[0]) != f.port + 2, "it owns nothing")
        c = Conn(f)
        for name in NAMES:
            c.read(B, name, content(name))
        reb = f.act("stop-maintenance", sid=t)
        same(reb[:1], "g", "rebalance")
        same(f.flags(t, 1), 0, "flags")
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def maintenance_moves_the_objects_first_and_back_afterwards(f):
    t = f.id_of(3)
    with Watch(f, patient=False):
        same(f.act("start-maintenance", node=1, sid=t)[:1], "g", "rebalance")
        within(30, lambda: f.flags(t, 1) == MAINT | POSTREB, "rebalanced")
        same(f.settled(), True, "settled")
        same(files_of(f, 3, B), {}, "what it has")
        same(f.runs(3), True, "it runs")
        same(f.act("start-maintenance", sid=t), "", "again")
        same(f.flags(t), MAINT | POSTREB, "flags")
        same(f.act("stop-maintenance", sid=t)[:1], "g", "rebalance")
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def several_nodes_at_once_are_one_map_and_one_rebalance(f):
    ids = [f.id_of(2), f.id_of(4), f.id_of(1)]
    v = f.smap()["version"]
    with Watch(f, patient=False):
        same(f.act("start-maintenance", sids=ids)[:1], "g", "rebalance")
        within(30, lambda: [f.flags(i, 0) for i in ids] == [MAINT | POSTREB, MAINT | POSTREB, MAINT], "rebalanced")
        same(int(f.smap()["version"]), int(v) + 2, "versions: one for the entry, one for its end")
        same(f.act("stop-maintenance", sids=ids)[:1], "g", "rebalance")
        within(30, f.settled, "settled")
        same([f.flags(i) for i in ids], [0, 0, 0], "flags")
    everything_is_in_place(f, LIVE)


@test
def one_thing_at_a_time(f):
    a, b = f.id_of(2), f.id_of(3)
    reb = f.act("start-maintenance", sid=a)
    x = f.ask("PUT", "/v1/cluster", {"action": "start-maintenance", "value": {"sid": b}})
    if x.status != 200:  # unless the first was done already
        same((x.status, "is currently busy" in x.body.decode()), (409, True), x.body)
    same(reb[:1], "g", "rebalance")
    within(30, f.settled, "settled")
    within(30, lambda: f.ask("PUT", "/v1/cluster", {"action": "stop-maintenance", "value": {"sids": [a, b]}}).status == 200, "back")
    within(30, f.settled, "settled")


# --- shutdown of a node ---
@test
def a_node_that_was_shut_down_comes_back_as_itself(f):
    t = f.id_of(4)
    with Watch(f):
        f.act("shutdown-node", sid=t)
        within(30, lambda: not f.runs(4), "it ends")
        same(f.flags(t) & MAINT, MAINT, "in maintenance")
        f.node("start", 4)
        same(f.id_of(4), t, "id")
        within(10, lambda: f.flags(t) is not None, "in the map")
        same(f.flags(t) & MAINT, MAINT, "still in maintenance")
        f.act("stop-maintenance", sid=t)
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def a_proxy_is_shut_down_and_comes_back(f):
    p = f.id_of(1)
    same(f.act("shutdown-node", sid=p), "", "rebalance")
    within(15, lambda: not f.runs(1), "it ends")
    f.node("start", 1)
    f.act("stop-maintenance", sid=p)
    same(f.flags(p), 0, "flags")


# --- stopped as processes are stopped (SIGTERM) ---
@test
def who_is_stopped_says_so_and_is_out_of_the_way_at_once(f):
    t, v = f.id_of(3), int(f.smap()["version"])
    with Watch(f, writes_only=True, patient=False):
        f.node("stop", 3)
        same(f.flags(t), None, "flags")
    same(list(f.smap()["ext"]["dead"]), [t], "away, not forgotten")
    same(int(f.smap()["version"]), v + 1, "one change of the map")
    f.node("start", 3)
    within(5, lambda: f.flags(t) == 0, "back as itself")
    within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def restarting_again_and_again_on_purpose_is_not_flapping(f):
    t = f.id_of(3)
    for _ in range(3):
        f.node("stop", 3)
        f.node("start", 3)
        within(3, lambda: f.flags(t) == 0, "back")
    within(30, f.settled, "settled")


@test
def stopping_ends_maintenance(f):
    t, p = f.id_of(3), f.id_of(1)
    f.act("start-maintenance", sids=[t, p], skip_rebalance=True)
    same((f.flags(t), f.flags(p)), (MAINT, MAINT), "flags")
    for i in (3, 1):
        f.node("stop", i)
        f.node("start", i)
    within(5, lambda: (f.flags(t), f.flags(p)) == (0, 0), "both active")
    within(30, f.settled, "settled")


# --- decommission ---
@test
def a_decommissioned_target_leaves_nothing_and_nothing_is_lost(f):
    t = f.id_of(5)
    with Watch(f, patient=False):
        same(f.act("decommission-node", sid=t, rm_user_data=True)[:1], "g", "rebalance")
        within(60, lambda: f.flags(t) is None, "out of the map")
        within(15, lambda: not f.runs(5), "it ends")
        same(f.settled(), True, "settled")
    everything_is_in_place(f, LIVE[:3])
    left = [p for d in glob.glob("%s/data/mp*/5" % f.dir) for p in glob.glob(d + "/*") + glob.glob(d + "/.*") if os.path.basename(p) not in (".", "..")]
    same(left, [], "on its disks")
    same([p for p in glob.glob("%s/5/.ais.*" % f.dir)], [], "in its folder")


@test
def a_new_target_joins_and_gets_what_is_its_own(f):
    with Watch(f, patient=False):
        f.node("start", 5)
        within(10, lambda: len(f.smap()["tmap"]) == TARGETS, "in the map")
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)
    same(len(files_of(f, 5, B)) > OBJECTS / 10, True, "it has its share")


@test
def who_is_decommissioned_but_stays_up_can_be_brought_back(f):
    t = f.id_of(5)
    with Watch(f):
        f.act("decommission-node", sid=t, no_shutdown=True)
        within(60, lambda: f.flags(t) is None, "out of the map")
        within(20, lambda: f.ask("GET", "/v1/daemon?what=snode", node=5).status == 200, "it is up again")
        stays(1.5, lambda: len(f.smap()["tmap"]) == TARGETS - 1, "it does not come back by itself")
        a = f.ok("POST", "/v1/cluster/join-by-admin",
                 {"daemon_type": "target", "public_net": {"node_ip_addr": "127.0.0.1", "daemon_port": str(f.port + 5)}}).json()
        same(a["daemon_id"], f.id_of(5), "id")
        same(a["rebalance_id"][:1], "g", "rebalance")
        within(10, lambda: len(f.smap()["tmap"]) == TARGETS, "in the map")
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def removal_without_asking_takes_a_node_out_and_it_stands_by(f):
    t = f.id_of(3)
    f.act("start-maintenance", sid=t)
    within(30, f.settled, "settled")
    with Watch(f):
        same(f.act("rm-unsafe", sid=t, skip_rebalance=True), "", "rebalance")
        same(f.flags(t), None, "flags")
        stays(2, lambda: f.flags(t) is None, "it does not come back by itself")
        same(f.runs(3), True, "it stands by")
        f.ok("POST", "/v1/cluster/join-by-admin",
             {"daemon_type": "target", "public_net": {"node_ip_addr": "127.0.0.1", "daemon_port": str(f.port + 3)}})
        within(10, lambda: f.flags(t) == 0, "in the map")
        within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def joining_by_hand_refuses_what_is_not_there(f):
    def join(status, text, headers=(), **node):
        a = f.ask("POST", "/v1/cluster/join-by-admin", node, headers=headers)
        if a.status != status or text not in a.body.decode():
            raise Failed("%r: %d %r, expected %d %r" % (node, a.status, a.body[:300], status, text))

    def at(i):
        return {"node_ip_addr": "127.0.0.1", "daemon_port": str(f.port + i)}

    join(400, "address is missing", daemon_type="target")
    join(400, "failed to obtain node info", daemon_type="target", public_net={"node_ip_addr": "127.0.0.1", "daemon_port": "1"})
    join(400, "is not a proxy", daemon_type="proxy", public_net=at(2))
    join(400, "non-electable", headers=[("Ais-Node-Flags", "1")], daemon_type="target", public_net=at(2))
    same(f.ask("POST", "/v1/cluster/join-by-admin", b"{").status, 400, "half a document")


# --- the last ones ---
@test
def targets_that_stop_one_after_another_are_all_there_again(f):
    ids = sorted(f.smap()["tmap"])
    for i in LIVE:
        f.node("stop", i)
    same(sorted(f.smap()["ext"]["dead"]), ids, "away")
    f._run("stop")
    f.start()
    within(10, lambda: sorted(f.smap()["tmap"]) == ids, "all back")
    within(30, f.settled, "settled")
    everything_is_in_place(f, LIVE)


@test
def the_cluster_shuts_down_and_starts_again(f):
    ids = sorted(f.smap()["tmap"])
    f.ok("PUT", "/v1/cluster", {"action": "shutdown"})
    within(20, lambda: not any(f.runs(i) for i in range(PROXIES + TARGETS)), "all ended")
    f.start()
    same(sorted(f.smap()["tmap"]), ids, "targets")
    everything_is_in_place(f, LIVE)


def main():
    with Fleet() as f:
        fill(f)
        return cases.run(f)


if __name__ == "__main__":
    sys.exit(main())
