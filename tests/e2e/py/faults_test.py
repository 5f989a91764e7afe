#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Faults that need more than one connection or a dying process: ten thousand idle connections, clients that stop reading or vanish,
a target killed in the middle of PUTs.

Each function is one test with a cluster of its own, its name a sentence. Prints "ok NAME", "not ok NAME: what" or "skip NAME: why".
"""
import hashlib
import json
import os
import random
import resource
import select
import socket
import sys
import threading
import time

import wire
from cases import Failed, run, same, test, within

VIA = "pid=p&utm=1"  # marks a request as redirected by a proxy
IDLE = 10000
SANITIZED = "asan" in os.environ.get("AIS_BUILD", "") or "tsan" in os.environ.get("AIS_BUILD", "")


# --- asking ---
class Faulty(wire.Cluster):
    """One proxy, one target, and a bucket on them."""

    def __init__(self, **env):
        os.environ.update(env)
        try:
            super().__init__(targets=1)
        finally:
            for name in env:
                del os.environ[name]
        same(self.ask(0, "POST", "/v1/buckets/b", {"action": "create-bck"}).status, 200, "create the bucket")

    def ask(self, node, method, path, body=None, timeout=60):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        hdrs = [("Host", "x"), ("Connection", "close")] + ([("Content-Length", str(len(body)))] if body is not None else [])
        return wire.send("127.0.0.1", self.port + node, method, path, hdrs, body, timeout)

    def put(self, name, data):
        same(self.ask(1, "PUT", "/v1/objects/b/%s?%s" % (name, VIA), data).status, 200, "PUT " + name)

    def get(self, name):
        return self.ask(1, "GET", "/v1/objects/b/" + name)

    def names(self):
        a = self.ask(0, "GET", "/v1/buckets/b", {"action": "list", "value": {}})
        same(a.status, 200, "list")
        return [e["name"] for e in a.json()["entries"] or []]

    def connect(self, node, send=b""):
        s = socket.create_connection(("127.0.0.1", self.port + node), 30)
        s.sendall(send)
        return s

    def pid(self, node):
        with open(os.path.join(self.dir, str(node), "pid")) as f:
            return int(f.read())

    def fds(self, node):
        return len(os.listdir("/proc/%d/fd" % self.pid(node)))

    def anon_kib(self, node):
        with open("/proc/%d/status" % self.pid(node)) as f:
            return int(next(line for line in f if line.startswith("RssAnon:")).split()[1])

    def serving(self):
        """Requests that are being served now, as the target's own list of fibers knows them; without this one."""
        text = self.ask(1, "GET", "/debug/fibers").body.decode()
        return sum(1 for line in text.split("\n") if "name=http" in line.split()) - 1


# --- idle connections ---
def answered(socks, request, seconds):
    """Send the request on all and read all answers; how many came."""
    poll, missing = select.epoll(), {s.fileno(): s for s in socks}
    for s in socks:
        poll.register(s, select.EPOLLIN)
        s.sendall(request)
    deadline = time.monotonic() + seconds
    while missing and time.monotonic() < deadline:
        for fd, _ in poll.poll(1):
            if fd in missing and missing[fd].recv(4096).startswith(b"HTTP/1.1 200 "):
                del missing[fd]
            poll.unregister(fd)
    poll.close()
    return len(socks) - len(missing)


def room_for(n):
    """Raise this process's limit, and so the nodes'; how many connections may be tried."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < n + 512:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (n + 512, n + 512))
        except (ValueError, OSError):
            n = hard - 512
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return n


@test
def ten_thousand_idle_connections_cost_less_than_a_kib_each():
    n = room_for(IDLE)
    if n < IDLE:
        print("skip all_%d_idle_connections: RLIMIT_NOFILE lets this process try %d of them only" % (IDLE, n))
    with Faulty(AIS_IDLE_TIMEOUT="10m") as c:
        for node in (0, 1):
            before, fds = c.anon_kib(node), c.fds(node)
            socks = [c.connect(node) for _ in range(n)]
            try:
                within(20, lambda: c.fds(node) > fds + n - 50, "all are accepted")
                same(answered(socks, b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n", 60), n, "all are served once")
                t0 = time.monotonic()
                same(c.ask(node, "GET", "/v1/health").status, 200, "a new one is served")
                if time.monotonic() - t0 > 2:
                    raise Failed("a new connection waited %.1f s" % (time.monotonic() - t0))
                # what the burst of requests took is given back when it is over
                limit = before + n + 4096
                if not SANITIZED:
                    within(30, lambda: c.anon_kib(node) < limit, "anonymous memory below %d KiB (it was %d, is %d)" % (limit, before, c.anon_kib(node)))
                print("# node %d: %d connections, RssAnon %d -> %d KiB" % (node, n, before, c.anon_kib(node)))
                same(answered(socks[::10], b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n", 30), len(socks[::10]), "they still live")
            finally:
                for s in socks:
                    s.close()
            within(20, lambda: c.fds(node) < fds + 100, "all are gone")


@test
def idle_connections_end_after_their_time():
    with Faulty(AIS_IDLE_TIMEOUT="1s") as c:
        fresh, used = c.connect(1), c.connect(1)
        same(answered([used], b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n", 5), 1)
        for s in (fresh, used):
            s.settimeout(5)
            same(s.recv(1), b"", "a clean end")


# --- clients that stop ---
def small_window(c, node):
    """A connection whose client's kernel takes little."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.connect(("127.0.0.1", c.port + node))
    return s


@test
def a_client_that_takes_nothing_is_cut_off():
    with Faulty(AIS_BODY_STALL_TIMEOUT="1s") as c:
        size = 64 << 20
        c.put("large", os.urandom(1 << 20) * 64)
        s = small_window(c, 1)
        s.sendall(b"GET /v1/objects/b/large HTTP/1.1\r\nHost: x\r\n\r\n")
        within(5, lambda: c.serving() >= 1, "it is being served")
        within(10, lambda: c.serving() == 0, "the target gives up")
        got = 0
        try:
            while piece := s.recv(1 << 20):
                got += len(piece)
        except ConnectionResetError:
            pass
        if got >= size:
            raise Failed("the whole object arrived")
        s.close()


@test
def a_client_that_only_asks_is_cut_off_and_takes_little_memory():
    with Faulty(AIS_BODY_STALL_TIMEOUT="1s") as c:
        before, socks = c.anon_kib(1), []
        for _ in range(8):
            s = small_window(c, 1)
            s.setblocking(False)
            socks.append(s)
            try:
                while True:
                    s.send(b"GET /v1/daemon?what=config HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
            except BlockingIOError:
                pass
        within(5, lambda: c.serving() >= len(socks), "the target waits for all of them")
        grown = c.anon_kib(1) - before
        if grown > 8192 and not SANITIZED:
            raise Failed("%d connections took %d KiB" % (len(socks), grown))
        within(30, lambda: c.serving() == 0, "the target gives up when it has filled the socket")


@test
def clients_that_vanish_in_the_middle_leave_nothing():
    with Faulty() as c:
        upload = c.ask(1, "POST", "/v1/objects/b/parts?" + VIA, {"action": "mpt-upload"}).body.decode()
        c.put("large", os.urandom(1 << 20) * 32)
        c.put("old", b"old")
        fds = c.fds(1)
        socks = [c.connect(1, b"GET /v1/objects/b/large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(50)]
        socks += [c.connect(1, b"PUT /v1/objects/b/%s?pid=p&utm=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\nnew" % name)
                  for name in [b"old", b"none"] * 25]
        for query in ("append_type=append", "uploadId=%s&partNumber=1" % upload):
            socks.append(c.connect(1, ("PUT /v1/objects/b/parts?%s&%s HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\npart" % (VIA, query)).encode()))
        within(10, lambda: c.serving() >= 102, "all are being served")
        for i, s in enumerate(socks):
            if i % 2:  # a reset, else an end
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        within(10, lambda: c.serving() == 0, "nobody is served any more")
        within(10, lambda: c.fds(1) <= fds, "all descriptors are closed")
        same((c.get("old").body, c.get("none").status, c.names()), (b"old", 404, ["large", "old"]))
        done = c.ask(1, "POST", "/v1/objects/b/parts?%s&uploadId=%s" % (VIA, upload), {"action": "mpt-complete", "value": [{"part-number": 1, "etag": ""}]})
        same((done.status, c.ask(1, "DELETE", "/v1/objects/b/parts?%s&uploadId=%s" % (VIA, upload), {"action": "mpt-abort"}).status), (400, 200), "the upload")
        same(leftovers(c), [], "files on the target's disks")


# --- kill -9 ---
def leftovers(c):
    """Files in the bucket on the target's mountpaths that hold no object."""
    out = []
    for d, _, files in os.walk(os.path.join(c.dir, "data")):
        out += [os.path.join(d, f) for f in files if "/@ais/b/" in d + "/" and "/%ob/" not in d + "/"]
    return out


@test
def a_target_killed_in_the_middle_of_large_puts_has_the_old_object_or_none():
    with Faulty() as c:
        old = os.urandom(1 << 20) * 4
        c.put("old", old)
        c.put("other", b"other")
        half = b"n" * (16 << 20)
        puts = []
        for name in (b"old", b"new", b"dir/new"):
            puts.append(c.connect(1, b"PUT /v1/objects/b/%s?pid=p&utm=1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (name, 2 * len(half)) + half))
        within(10, lambda: c.serving() >= 3, "all are being written")
        c.node("kill", 1)
        for s in puts:
            s.close()
        c.node("start", 1)
        same(hashlib.sha256(c.get("old").body).digest(), hashlib.sha256(old).digest(), "the old object")
        same([c.get(name).status for name in ("new", "dir/new", "other")], [404, 404, 200])
        same(c.names(), ["old", "other"])
        within(10, lambda: leftovers(c) == [], "nothing half-written stays on the disks")
        c.put("new", half)
        same(c.get("new").body, half)


def writer(c, mine, acked, tried, stop):
    """Objects and overwrites, one after the other, until the target is gone."""
    rnd = random.Random(mine)
    while not stop.is_set():
        name = "w%d/%d" % (mine, rnd.randrange(20))
        data = b"%d " % rnd.randrange(1 << 30) * rnd.choice((1, 500, 20000))
        tried[name] = data
        try:
            if c.ask(1, "PUT", "/v1/objects/b/%s?%s" % (name, VIA), data, 10).status != 200:
                return
        except (OSError, ValueError):
            return
        acked[name] = data
        del tried[name]


@test
def what_was_acknowledged_before_a_kill_is_there_and_whole():
    with Faulty() as c:
        acked, tried, stop = {}, {}, threading.Event()
        for cycle in range(3):
            threads = [threading.Thread(target=writer, args=(c, 10 * cycle + i, acked, tried, stop)) for i in range(4)]
            for t in threads:
                t.start()
            enough = len(acked) + 30
            within(20, lambda: len(acked) >= enough, "PUTs are acknowledged")
            c.node("kill", 1)
            for t in threads:
                t.join(30)
            c.node("start", 1)
            for name in {**acked, **tried}:
                a = c.get(name)
                if a.status == 404 and name not in acked:
                    continue
                same(a.status, 200, name)
                if a.body not in (acked.get(name), tried.get(name)):
                    raise Failed("%s: %d bytes that nobody wrote" % (name, len(a.body)))
                acked[name] = a.body
            tried.clear()
            same(c.names(), sorted(acked), "the listing, cycle %d" % cycle)


if __name__ == "__main__":
    sys.exit(run())
