#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Rebalance against real processes: targets join, die, come back and leave service while clients read, write, delete and list.

What was acknowledged is there at every moment: an answer may be 503 (try again), never a 404 or other content; a listing is complete or a
503. In the end each object lies once on the disks, with its owner, and nothing that was deleted has come back.

With arguments, only tests whose names contain one of them. Each function is one test with a cluster of its own, its name a sentence. Prints "ok NAME", "not ok NAME: what" or "skip NAME: why".
AIS_REB_OBJECTS: how many objects (3000).
"""
import hashlib
import http.client
import json
import os
import random
import threading
import time
import urllib.parse

import wire
from cases import Failed, run, same, test

OBJECTS = int(os.environ.get("AIS_REB_OBJECTS") or 3000)
PAUSE = threading.Event()  # never set: moments for clients to work in, at random
SETTLE = 90  # seconds until a rebalance of these few objects must be over


def within(seconds, fn, what):
    """Until fn() is True; else what it said last."""
    deadline = time.monotonic() + seconds
    while True:
        last = fn()
        if last is True:
            return
        if time.monotonic() > deadline:
            raise Failed("not within %d s: %s (%s)" % (seconds, what, last))
        time.sleep(0.1)  # lint: condition loop


def content(name, version):
    """Different for each version of each object; some are large."""
    seed = hashlib.sha256(("%s %d" % (name, version)).encode()).hexdigest().encode()
    return seed * (40000 if name.startswith("large") else 16)


class Client:
    """Follows redirects on connections of its own, as SDKs do. Not for several threads."""

    def __init__(self, port):
        self.port, self.conns = port, {}

    def once(self, port, method, target, body, headers):
        fresh = port not in self.conns
        c = self.conns.pop(port, None) or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            c.request(method, target, body, headers)
            r = c.getresponse()
            data = r.read()
        except (OSError, http.client.HTTPException):
            c.close()
            if fresh:
                raise
            return self.once(port, method, target, body, headers)
        self.conns[port] = c
        return r.status, data, r

    def ask(self, method, target, body=None, headers=None):
        port = self.port
        for _ in range(3):
            status, data, r = self.once(port, method, target, body, headers or {})
            if status not in (301, 307):
                return status, data, r
            u = urllib.parse.urlparse(r.getheader("Location"))
            port, target = u.port, u.path + "?" + u.query
        raise Failed("redirected in a circle: " + target)

    def act(self, method, target, action, value=None):
        return self.ask(method, target, json.dumps({"action": action, "value": value}), {"Content-Type": "application/json"})

    def patient(self, method, target, body=None, seconds=40, also=()):
        """Until the answer is neither 503 nor a broken connection: its status and body."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, data, r = self.ask(method, target, body)
            except (OSError, http.client.HTTPException) as e:
                status, data = 503, str(e).encode()
            if status != 503 and status not in also:
                return status, data
            if time.monotonic() > deadline:
                raise Failed("%s %s: %d %s for %d s" % (method, target, status, data[:300], seconds))
            time.sleep(0.05)

    def obj(self, name):
        return "/v1/objects/b/" + urllib.parse.quote(name)

    def names(self, page=500):
        """All names, or None: the cluster says 503, or 502 when a target died in the middle."""
        out, token = [], ""
        while True:
            try:
                status, data, _ = self.act("GET", "/v1/buckets/b?provider=ais", "list", {"pagesize": page, "continuation_token": token})
            except (OSError, http.client.HTTPException):
                return None
            if status in (502, 503):
                return None
            same(status, 200, "list: %r" % data[:200])
            j = json.loads(data)
            out += [e["name"] for e in j["entries"] or []]
            token = j["continuation_token"]
            if not token:
                return out


class World(wire.Cluster):
    """A cluster with a bucket of objects that the tests know: name -> version, 0 = deleted."""

    def __init__(self, objects=OBJECTS, large=6, **kw):
        super().__init__(targets=3, **kw)
        self.c = Client(self.port)
        status, data, _ = self.c.act("POST", "/v1/buckets/b", "create-bck", {"chunks": {"objsize_limit": "1mb", "chunk_size": "1mb"}})
        if status != 200:
            self.clean()
            raise Failed("create the bucket: %r" % data)
        self.have = {}
        names = ["d%d/o%06d" % (i % 7, i) for i in range(objects)] + ["large/%d" % i for i in range(large)]
        for n in names:
            self.put(self.c, n, 1)

    def put(self, c, name, version):
        status, data = c.patient("PUT", c.obj(name), content(name, version))
        same(status, 200, "PUT %s: %r" % (name, data[:200]))
        self.have[name] = version

    def delete(self, c, name):
        status, data = c.patient("DELETE", c.obj(name), also=(404,) if self.have[name] == 0 else ())
        if status == 404 and self.lost_answers:  # the first try did it
            status = 200
        same(status, 200, "DELETE %s: %r" % (name, data[:200]))
        self.have[name] = 0

    lost_answers = False

    def check(self, c, name, seconds=40):
        version = self.have[name]
        status, data = c.patient("GET", c.obj(name), seconds=seconds)
        if version == 0:
            return same(status, 404, "GET %s, which was deleted" % name)
        same(status, 200, "GET %s: %r" % (name, data[:200]))
        if data != content(name, version):
            raise Failed("GET %s: other content than that of version %d (%d bytes)" % (name, version, len(data)))

    def alive(self):
        return sorted(n for n, v in self.have.items() if v > 0)

    def add(self):
        self._run("add-target")
        self.targets += 1
        return self.targets + self.proxies - 1

    def files(self):
        """Object name -> nodes that have a file of it."""
        out = {}
        for root, _, files in os.walk(os.path.join(self.dir, "data")):
            if "/%ob" not in root:
                continue
            node = int(os.path.relpath(root, os.path.join(self.dir, "data")).split("/")[1])
            for f in files:
                out.setdefault(os.path.join(root, f).split("/%ob/")[1], []).append(node)
        return out

    def owner(self, name):
        status, _, r = self.c.once(self.port, "GET", self.c.obj(name), None, {})
        if status != 301:
            return None
        return urllib.parse.urlparse(r.getheader("Location")).port - self.port

    def settled(self):
        """True, or what is not: each object once, with its owner, and nothing else on the disks."""
        files = self.files()
        wrong = [n for n in self.alive() if len(files.get(n, [])) != 1 or files[n][0] != self.owner(n)]
        extra = [n for n in files if self.have.get(n, 0) == 0]
        if not wrong and not extra:
            return True
        return "%d objects not just with their owner (%s: %s), %d files of deleted ones (%s)" % (
            len(wrong), wrong[:1], files.get(wrong[0]) if wrong else "", len(extra), extra[:1])

    def check_all(self):
        for n in self.have:
            self.check(self.c, n)
        names = self.c.names()
        for _ in range(200):
            if names is not None:
                break
            time.sleep(0.05)
            names = self.c.names()
        same(names, self.alive(), "the listing")


class Users:
    """Clients at work: each writer has names of its own; one lists; one reads what nobody writes."""

    def __init__(self, w, writers=2):
        self.w, self.stop, self.errors, self.lists, self.refused, self.ops = w, threading.Event(), [], 0, 0, 0
        names = sorted(w.have)
        random.shuffle(names)
        cut = len(names) // 3
        self.fixed = names[:cut]
        share = [names[cut + i::writers] for i in range(writers)]
        self.threads = [threading.Thread(target=self.run, args=(self.write, s)) for s in share]
        self.threads += [threading.Thread(target=self.run, args=(self.read, None)), threading.Thread(target=self.run, args=(self.list, None))]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60)
        if kind is None and self.errors:
            raise Failed(self.errors[0])
        if kind is None and (self.ops < 20 or self.lists == 0):
            raise Failed("clients hardly worked: %d operations, %d listings" % (self.ops, self.lists))

    def run(self, fn, arg):
        try:
            c = Client(self.w.port)
            while not self.stop.is_set() and not self.errors:
                fn(c, arg)
        except (Failed, ValueError, KeyError, TypeError, OSError, http.client.HTTPException) as e:
            self.errors.append("%s: %s" % (fn.__name__, e))

    def write(self, c, names):
        n = random.choice(names)
        what = random.random()
        if self.w.have[n] == 0 or what < 0.5:
            self.w.put(c, n, abs(self.w.have[n]) + 1 + random.randrange(1000))
        elif what < 0.65:
            self.w.delete(c, n)
        self.w.check(c, n)
        self.ops += 1

    def read(self, c, _):
        self.w.check(c, random.choice(self.fixed))
        self.ops += 1

    def list(self, c, _):
        got = c.names(page=random.choice((100, 1000, 10000)))
        if got is None:
            self.refused += 1
            time.sleep(0.05)
            return
        self.lists += 1
        names = set(got)
        missing = [n for n in self.fixed if n not in names]
        if missing:
            raise Failed("a listing without %d of %d objects that nobody touches, %s among them" % (len(missing), len(self.fixed), missing[0]))
        if len(names) != len(got):
            raise Failed("a listing has names twice")


@test
def a_target_that_joins_gets_its_objects_while_clients_see_them_all():
    with World() as w:
        with Users(w):
            w.add()
            PAUSE.wait(3)
        within(SETTLE, w.settled, "each object with its owner")
        w.check_all()


@test
def a_killed_source_and_a_killed_destination_go_on_where_they_were():
    with World() as w:
        w.lost_answers = True
        with Users(w):
            new = w.add()
            for victim in (1, new):
                PAUSE.wait(random.uniform(0, 0.6))
                w.node("kill", victim)
                w.node("start", victim)
        within(SETTLE, w.settled, "each object with its owner")
        w.check_all()


@test
def a_killed_primary_learns_again_who_has_finished():
    with World() as w:
        w.lost_answers = True
        with Users(w):
            w.add()
            PAUSE.wait(random.uniform(0, 0.5))
            w.node("kill", 0)
            w.node("start", 0)
        within(SETTLE, w.settled, "each object with its owner")
        w.check_all()


@test
def two_targets_that_join_one_after_the_other_are_settled_together():
    with World() as w:
        with Users(w):
            w.add()
            w.add()
            PAUSE.wait(2)
        within(SETTLE, w.settled, "each object with its owner")
        w.check_all()


@test
def a_dead_target_that_missed_changes_brings_nothing_back():
    with World(objects=OBJECTS // 3) as w:
        w.lost_answers = True
        theirs = [n for n in w.have if w.owner(n) == 2]
        w.node("kill", 2)
        within(40, lambda: all(w.owner(n) not in (2, None) for n in theirs[:20]), "the dead target owns nothing")
        # What was there cannot be told: never a 404.
        status, data, _ = w.c.ask("GET", w.c.obj(theirs[0]))
        same(status, 503, "GET of what only the dead target has: %r" % data[:200])
        same(w.c.names(), None, "a listing without the dead target's objects")
        for i, n in enumerate(theirs):
            if i % 3 == 0:
                w.put(w.c, n, 2)
            if i % 6 == 0:
                w.delete(w.c, n)
        for n in theirs:
            if w.have[n] != 1:
                w.check(w.c, n)
        w.node("start", 2)
        within(SETTLE, w.settled, "each object with its owner")
        w.check_all()


def not_busy(answer):
    """True when it was done; what it said when a rebalance is in the way."""
    status, data, _ = answer
    if status == 409:
        return data
    same(status, 200, "%r" % data[:200])
    return True


@test
def a_target_in_maintenance_gives_its_objects_away():
    with World() as w:
        with Users(w):
            w.add()
            smap = json.loads(w.c.ask("GET", "/v1/daemon?what=smap")[1])
            leaving = next(t for t in smap["tmap"].values() if int(t["public_net"]["daemon_port"]) == w.port + 1)
            within(SETTLE, lambda: not_busy(w.c.act("PUT", "/v1/cluster", "start-maintenance", {"sid": leaving["daemon_id"]})),
                   "maintenance may start")
            PAUSE.wait(2)
        within(SETTLE, w.settled, "each object with its owner")
        if any(1 in nodes for nodes in w.files().values()):
            raise Failed("the target in maintenance still has objects")
        w.check_all()


if __name__ == "__main__":
    raise SystemExit(run())
