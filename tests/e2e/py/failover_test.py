# SPDX-License-Identifier: Apache-2.0
"""
Another primary: killed, stopped, asked for; two proxies and a witness; a proxy that may not lead; and what is left when a majority is lost.

Each function is one test, its name a sentence. Prints "ok NAME", "not ok NAME: what" or "skip NAME: why". The times of failover are printed, not
judged, beyond a bound that a loaded machine keeps.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import wire
from cases import Failed, run, same, test, within

HOST = "127.0.0.1"
KILLS = int(os.environ.get("AIS_FAILOVER_KILLS") or 4)
BOUND = 15  # seconds: a machine that is busy with other things
AIS = os.path.join(os.environ.get("AIS_BUILD") or os.path.join(wire.TOP, "build"), "bin", "ais")


class Fleet(wire.Cluster):
    """A cluster whose primary may be any proxy. Nodes are numbers; proxies come first."""

    def ask(self, node, method, path, value=None, timeout=10):
        body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        hdrs = [("Host", HOST)]
        if body is not None:
            hdrs.append(("Content-Length", str(len(body))))
            if not isinstance(value, bytes):
                hdrs.append(("Content-Type", "application/json"))
        return wire.send(HOST, self.port + node, method, path, hdrs, body, timeout)

    def json(self, node, path, value=None):
        a = self.ask(node, "GET", path, value)
        if a.status != 200:
            raise OSError("%s: %d %r" % (path, a.status, a.body))
        return a.json()

    def follow(self, node, method, path, data=None):
        a = self.ask(node, method, path, None if method == "PUT" else data)
        if a.status in (301, 307):
            hostport, rest = a.get("Location").split("://", 1)[1].split("/", 1)
            a = self.ask(int(hostport.rsplit(":", 1)[1]) - self.port, method, "/" + rest, data)
        return a

    def create(self, node, name, timeout=10):
        return self.ask(node, "POST", "/v1/buckets/" + name, {"action": "create-bck"}, timeout).status

    def buckets(self, node):
        return sorted(b["name"] for b in self.json(node, "/v1/buckets", {"action": "list"}))

    def smap(self, node):
        return self.json(node, "/v1/daemon?what=smap")

    def raft(self, node):
        return self.json(node, "/v1/daemon?what=raft")

    def number(self, snode):
        return int(snode["public_net"]["daemon_port"]) - self.port

    def id_of(self, node):
        return self.json(node, "/v1/daemon?what=snode")["daemon_id"]

    def alive(self, node):
        try:
            return self.ask(node, "GET", "/v1/health", timeout=2).status == 200
        except OSError:
            return False

    def primary(self, but=None):
        """The proxy that its own map names as primary."""
        for i in range(self.proxies):
            try:
                if i != but and self.number(self.smap(i)["proxy_si"]) == i and self.raft(i)["leads"]:
                    return i
            except OSError:
                continue
        return None

    def voters(self):
        """{node number: is it a witness}, by the primary's word."""
        p = self.primary()
        if p is None:
            return {}
        ids = {d: self.number(s) for m in ("pmap", "tmap") for d, s in self.smap(p)[m].items()}
        return {ids.get(s["node"], -1): s["witness"] for s in self.raft(p)["servers"] if s["role"] == "voter"}

    def whole(self):
        """Everybody runs, and everybody says the same."""
        maps = [self.smap(i) for i in range(self.proxies + self.targets)]
        return len({(m["version"], m["proxy_si"]["daemon_id"]) for m in maps}) == 1 and len(maps[0]["pmap"]) == self.proxies and \
            len(maps[0]["tmap"]) == self.targets

    def sound(self, voters):
        within(40, lambda: self.primary() is not None and len(self.voters()) == voters and self.whole(), "%d voters, one map" % voters)

    def kill(self, node):
        self.node("kill", node)

    def wipe(self, node):
        """All that a proxy has, but for what it was installed with."""
        d = os.path.join(self.dir, str(node))
        for name in os.listdir(d):
            if name.startswith(".ais.") and name != ".ais.cluster_key":
                path = os.path.join(d, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def ais(self, node, *args):
        env = dict(os.environ, AIS_ENDPOINT="http://%s:%d" % (HOST, self.port + node))
        p = subprocess.run([AIS, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return p.returncode, p.stdout


class Traffic(threading.Thread):
    """Objects written and read through proxies that live. `failed`: what a client would have seen."""

    def __init__(self, c):
        super().__init__()
        self.c, self.ended, self.dead, self.done, self.failed, self.worst = c, threading.Event(), None, 0, [], 0.0

    def one(self, i):
        proxy = next(p for k in range(self.c.proxies) for p in [(i + k) % self.c.proxies] if p != self.dead)
        data = b"data %d" % i
        for method, want in (("PUT", None), ("GET", data)):
            t0 = time.monotonic()
            try:
                a = self.c.follow(proxy, method, "/v1/objects/traffic/o%d" % (i % 50), data if method == "PUT" else None)
                if a.status != 200 or (want is not None and a.body != want):
                    self.failed.append((method, proxy, a.status, a.body[:200]))
            except OSError as e:
                if proxy != self.dead:
                    self.failed.append((method, proxy, str(e)))
            self.worst = max(self.worst, time.monotonic() - t0)
            self.done += 1

    def run(self):
        i = 0
        while not self.ended.is_set():
            self.one(i)
            i += 1
            self.ended.wait(0.01)


def until_written(c, dead, name):
    """Seconds from now until a bucket is made through a proxy that lives."""
    t0, i = time.monotonic(), dead
    while time.monotonic() < t0 + BOUND:
        i = (i + 1) % c.proxies
        try:
            if i != dead and c.create(i, "%s-%d" % (name, i)) in (200, 409):
                return time.monotonic() - t0
        except OSError:
            pass
    raise Failed("no bucket within %d s of the primary's death" % BOUND)


def is_follower(c, node, leader):
    r = c.raft(node)
    return r["role"] == "follower" and not r["leads"] and c.number(c.smap(node)["proxy_si"]) == leader


# --- three proxies, three targets ---
@test
def a_killed_primary_has_a_successor_and_data_goes_on_meanwhile(c):
    c.sound(3)
    same(c.create(0, "traffic"), 200)
    traffic, times, versions = Traffic(c), [], [int(c.smap(0)["version"])]
    traffic.start()
    try:
        for k in range(KILLS):
            p = c.primary()
            term = c.raft(p)["term"]
            traffic.dead = p
            c.kill(p)
            times.append(until_written(c, p, "k%d" % k))
            q = c.primary(but=p)
            same(q not in (None, p), True, "another primary")
            same(c.raft(q)["term"] > term, True, "a later term")
            versions.append(int(c.smap(q)["version"]))
            c.node("start", p)
            within(20, lambda: is_follower(c, p, q), "the old primary follows")
            traffic.dead = None
            c.sound(3)
            same(c.buckets(p), c.buckets(q), "buckets")
    finally:
        traffic.ended.set()
        traffic.join()
    times.sort()
    print("# kill -9 of the primary to the next bucket, s: %s; median %.2f, worst %.2f" % (" ".join("%.2f" % t for t in times),
                                                                                            times[len(times) // 2], times[-1]))
    print("# %d data requests meanwhile, slowest %.2f s" % (traffic.done, traffic.worst))
    same(traffic.failed[:3], [], "data requests that failed")
    same(versions, sorted(set(versions)), "map versions")


@test
def a_primary_that_is_stopped_hands_over(c):
    c.sound(3)
    p = c.primary()
    m = c.smap(p)
    heir = max((n["id_digest"], i) for i, n in m["pmap"].items() if i != m["proxy_si"]["daemon_id"])[1]
    stop = threading.Thread(target=c.node, args=("stop", p))
    stop.start()
    t = until_written(c, p, "stopped")
    stop.join()
    print("# SIGTERM of the primary to the next bucket: %.2f s" % t)
    q = c.primary(but=p)
    same(c.id_of(q), heir, "the successor that clients expect")
    same(list(c.smap(q)["ext"]["dead"]), [m["proxy_si"]["daemon_id"]], "it is out of the way at once")
    c.node("start", p)
    within(20, lambda: is_follower(c, p, q), "the old primary follows")


@test
def set_primary_makes_any_proxy_the_primary(c):
    c.sound(3)
    first = c.primary()
    for i in ((first + 1) % 3, (first + 2) % 3, first, (first + 1) % 3):
        was = int(c.smap(0)["version"])
        t0 = time.monotonic()
        same(c.ask((i + 1) % 3, "PUT", "/v1/cluster/proxy/" + c.id_of(i)).status, 200, "set-primary")
        took = time.monotonic() - t0
        same(c.primary(), i, "primary")
        same(c.create(i, "set-%d-%d" % (i, was)), 200, "a bucket, at once")
        within(5, lambda: c.whole() and int(c.smap(0)["version"]) > was, "everybody knows")
        print("# set-primary: %.0f ms" % (took * 1000))
    same(c.ask(0, "PUT", "/v1/cluster/proxy/" + c.id_of(i)).status, 200, "it is already")
    same(c.ask(0, "PUT", "/v1/cluster/proxy/nobody").status, 404)
    same(c.ask(0, "PUT", "/v1/cluster/proxy/" + c.id_of(3)).status, 400, "a target")
    code, text = c.ais(0, "cluster", "set-primary", c.id_of(first))
    same((code, "is the primary" in text, c.primary()), (0, True, first), text)
    code, text = c.ais(0, "show", "cluster")
    same(code == 0 and "Voters:" in text and "term" in text, True, text)


@test
def a_proxy_without_a_majority_refuses_and_says_so(c):
    c.sound(3)
    p = c.primary()
    others = [i for i in range(3) if i != p]
    for i in others:
        c.kill(i)
    try:
        def refused():
            a = c.ask(p, "POST", "/v1/buckets/alone", {"action": "create-bck"})
            return a.status == 503 and b"no primary, please try again" in a.body
        within(10, lambda: not c.raft(p)["leads"], "it gives up leading")
        within(10, refused, "503 without a majority")
    finally:
        for i in others:
            c.node("start", i)
    c.sound(3)
    same("alone" in c.buckets(0), False)


@test
def a_wiped_proxy_is_a_new_voter(c):
    c.sound(3)
    p = c.primary()
    w = (p + 1) % 3
    was = c.raft(w)["raft_id"]
    c.kill(w)
    c.wipe(w)
    within(20, lambda: len(c.smap(p)["pmap"]) == 2, "it is dead")
    c.node("start", w)
    c.sound(3)
    same(c.raft(w)["raft_id"] != was, True)
    same(c.primary(), p)
    same(c.buckets(w), c.buckets(p))


@test
def a_lost_majority_is_recovered_from_what_nodes_have(c):
    c.sound(3)
    p = c.primary()
    a = c.ask(p, "PUT", "/v1/daemon/recover")
    same((a.status, b"there is nothing to recover" in a.body), (409, True))
    a = c.ask((p + 1) % 3, "PUT", "/v1/daemon/recover")
    same((a.status, b"is primary" in a.body), (409, True))
    a = c.ask(3, "PUT", "/v1/daemon/recover")
    same((a.status, b"cannot be primary" in a.body), (400, True))
    c.create(p, "before")
    within(10, lambda: c.follow(p, "PUT", "/v1/objects/before/o", b"kept").status == 200, "an object")
    had, old, uuid = c.buckets(p), c.raft(p), c.smap(p)["uuid"]
    s = (p + 1) % 3
    # A node with an empty disk knows its configuration only, where node 0 is primary and node 1 to be asked. So it is never node 0 (which
    # would begin a new cluster when node 1 is away), and it comes back last.
    lost = [i for i in (2, 1, 0) if i != s]
    for i in lost:
        c.kill(i)
    c.wipe(lost[0])
    within(10, lambda: c.create(s, "never") == 503, "no majority")
    version = int(c.smap(s)["version"])
    code, text = c.ais(s, "cluster", "recover", "--yes")
    same((code, "recovery epoch %d" % (old["epoch"] + 1) in text), (0, True), text)
    same(c.raft(s)["epoch"], old["epoch"] + 1)
    same((c.buckets(s), c.smap(s)["uuid"]), (had, uuid))
    same(int(c.smap(s)["version"]) > version, True)
    same(c.create(s, "after"), 200)
    within(15, lambda: c.follow(s, "GET", "/v1/objects/before/o").body == b"kept", "targets follow")
    within(20, lambda: len(c.smap(s)["pmap"]) == 1, "the others are dead")
    for i in reversed(lost):  # one with the log of the epoch before, one with nothing
        c.node("start", i)
    c.sound(3)
    same({c.raft(i)["epoch"] for i in range(3)}, {old["epoch"] + 1})
    for i in range(3):
        same(c.buckets(i), sorted(had + ["after"]))


# --- other shapes ---
def another(**how):
    first = CLUSTER.port + 60
    return Fleet(port=first if wire._free(first) else None, **how)


@test
def with_two_proxies_a_target_is_the_witness(c):
    del c
    with another(proxies=2, targets=2) as c:
        within(20, lambda: sorted(c.voters().values()) == [False, False, True], "two proxies and a witness")
        same(c.create(0, "traffic"), 200)
        for k in range(2):
            p = c.primary()
            c.kill(p)
            print("# with a witness: kill -9 to the next bucket: %.2f s" % until_written(c, p, "w%d" % k))
            same(c.primary(but=p), 1 - p)
            within(10, lambda: c.follow(1 - p, "PUT", "/v1/objects/traffic/o", b"x").status == 200, "data")
            c.node("start", p)
            within(20, lambda: is_follower(c, p, 1 - p), "it follows")
            c.sound(3)
        witness = next(i for i, w in c.voters().items() if w)
        c.kill(witness)  # another one takes its place
        within(20, lambda: c.voters().get(5 - witness) is True and len(c.voters()) == 3, "another witness")
        c.node("start", witness)
        within(20, c.whole, "all are back")


@test
def a_proxy_that_may_not_lead_does_not(c):
    del c
    with another(proxies=2, targets=1) as c:
        # A third proxy whose own configuration says that it may not lead.
        d = os.path.join(c.dir, "third")
        os.makedirs(d)
        with open(os.path.join(c.dir, "ais.json")) as f:
            conf = json.load(f)
        conf["proxy"]["non_electable"] = True
        with open(os.path.join(d, "ais.json"), "w") as f:
            json.dump(conf, f)
        with open(os.path.join(c.dir, "0", "ais_local.json")) as f:
            local = json.load(f)
        port = c.port + 9
        local.update(confdir=d, log_dir=d + "/log")
        local["host_net"].update(port=str(port), port_intra_control=str(port + 1000), port_intra_data=str(port + 2000))
        with open(os.path.join(d, "ais_local.json"), "w") as f:
            json.dump(local, f)
        shutil.copy(os.path.join(c.dir, "0", ".ais.cluster_key"), d)
        node = os.path.join(os.environ.get("AIS_BUILD") or os.path.join(wire.TOP, "build"), "bin", "aisnode")
        with open(os.path.join(d, "stderr"), "w") as err:
            third = subprocess.Popen([node, "-role=proxy", "-config=%s/ais.json" % d, "-local_config=%s/ais_local.json" % d,
                                      "-daemon_id=notleading"], stdout=subprocess.DEVNULL, stderr=err)
        try:
            within(20, lambda: "notleading" in c.smap(0)["pmap"], "it joins")
            within(20, lambda: sorted(c.voters().values()) == [False, False, True], "the other two and a witness vote")
            same(c.json(9, "/v1/daemon?what=raft")["role"], "none")
            a = c.ask(0, "PUT", "/v1/cluster/proxy/notleading")
            same((a.status, b"not electable" in a.body), (400, True))
            same(c.create(9, "through-it"), 200)
        finally:
            third.terminate()
            third.wait(30)


@test
def a_single_proxy_that_lost_its_disk_is_recovered_from_a_target_or_a_backup(c):
    del c
    with another(proxies=1, targets=2) as c:
        same(c.create(0, "kept"), 200)
        within(10, lambda: c.follow(0, "PUT", "/v1/objects/kept/o", b"data").status == 200, "an object")
        saved = os.path.join(c.dir, "saved.json")
        same(c.ais(0, "cluster", "backup", saved)[0], 0)
        uuid = c.smap(0)["uuid"]
        for how in (["--from", "http://%s:%d" % (HOST, c.port + 1)], [saved]):
            c.kill(0)
            c.wipe(0)
            c.start_alone(0)
            within(10, lambda: c.alive(0), "an empty proxy")
            same(c.smap(0)["uuid"] != uuid, True, "it knows nothing")
            code, text = c.ais(0, "cluster", "recover", "--yes")
            same((code, "nobody who can be reached has" in text), (3, True), text)
            code, text = c.ais(0, "cluster", "recover", "--yes", *how)
            same((code, "1 buckets" in text), (0, True), text)
            same((c.smap(0)["uuid"], c.buckets(0)), (uuid, ["kept"]))
            within(20, lambda: c.follow(0, "GET", "/v1/objects/kept/o").body == b"data", "its targets serve")
        code, text = c.ais(0, "cluster", "recover", "--yes", os.path.join(c.dir, "ais.json"))
        same((code != 0, "not a backup" in text or "nothing to recover" in text), (True, True), text)


if __name__ == "__main__":
    socket.setdefaulttimeout(30)
    with Fleet(targets=3, proxies=3) as CLUSTER:
        code = run(CLUSTER)
    sys.exit(code)
