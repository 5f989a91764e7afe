#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
How fast objects move when a target joins, and what clients notice of it.

    bench/rebalance_bench.py [--small N] [--large N] [--port P]

Three targets get N objects of 4 KiB (50,000); a fourth target joins while a client reads, and a fifth one without any. Then they get N of 16 MiB (48) and a sixth one
joins. Rates are those of the rebalance's own snapshots. In the same run: the same bytes of the large ones sent over a loopback connection and written to
files by a bare loop (sendfile, recv, write), one connection after the other; and the latency of a client's GETs of 4 KiB before and
during the rebalance. Everything shares the machine: look at the ratios.
"""
import argparse
import datetime
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KIB, MIB = 1 << 10, 1 << 20


class Bench:
    def __init__(self, port):
        self.port, self.dir, self.seen = port, tempfile.mkdtemp(prefix="ais-reb."), set()
        self.cluster("start", "--port", str(port), "--targets", "3")

    def cluster(self, what, *args):
        subprocess.run([os.path.join(TOP, "scripts/cluster.sh"), what, "--dir", self.dir, *args], check=True, stdout=subprocess.DEVNULL)

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port)
        c.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        r = c.getresponse()
        data = r.read()
        if r.status != 200:
            raise SystemExit("%s %s: %d %s" % (method, path, r.status, data[:300]))
        return data

    def fill(self, bck, count, size, threads=4):
        self.ask("POST", "/v1/buckets/" + bck, {"action": "create-bck"})
        data = os.urandom(size)

        def part(k):
            user = User(self.port)
            for i in range(k, count, threads):
                user.do("PUT", "/v1/objects/%s/o%06d" % (bck, i), data)
        run = [threading.Thread(target=part, args=(k,)) for k in range(threads)]
        for t in run:
            t.start()
        for t in run:
            t.join()
        os.sync()

    def rebalance(self, targets):
        """Another target joins: objects and bytes that moved, and the seconds it took."""
        self.cluster("add-target")
        while True:
            all_of_them = json.loads(self.ask("GET", "/v1/cluster?what=qryxstats", {"kind": "rebalance", "show_active": None}))
            snaps = [s for v in all_of_them.values() for s in v or [] if s["id"] not in self.seen]
            if len(snaps) >= targets and all(not s["end-time"].startswith("0001") for s in snaps):
                break
            time.sleep(0.05)
        self.seen |= {s["id"] for s in snaps}
        for s in snaps:
            if s["err"]:
                raise SystemExit("rebalance: " + s["err"])
        took = (max(when(s["end-time"]) for s in snaps) - min(when(s["start-time"]) for s in snaps)).total_seconds()
        return sum(int(s["stats"].get("out-objs") or 0) for s in snaps), sum(int(s["stats"].get("out-bytes") or 0) for s in snaps), took

    def cpu(self):
        """Seconds of CPU time that the nodes have used."""
        ticks = 0
        for name in os.listdir(self.dir):
            try:
                with open(os.path.join(self.dir, name, "pid")) as f:
                    pid = int(f.read())
                with open("/proc/%d/stat" % pid) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
            except (OSError, ValueError):
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.cluster("clean")
        shutil.rmtree(self.dir, ignore_errors=True)


def when(text):
    text = text.rstrip("Z").split("+")[0]
    head, _, frac = text.partition(".")
    return datetime.datetime.fromisoformat(head + "." + (frac + "000000")[:6])


class User:
    """One client: follows the redirects of the proxy, keeps its connections."""

    def __init__(self, port):
        self.port, self.conns = port, {}

    def once(self, port, method, path, body):
        c = self.conns.setdefault(port, http.client.HTTPConnection("127.0.0.1", port))
        c.request(method, path, body)
        r = c.getresponse()
        return r.status, r.read(), r.getheader("Location")

    def do(self, method, path, body=None):
        status, data, where = self.once(self.port, method, path, body if method != "PUT" else None)
        u = urllib.parse.urlparse(where)
        status, data, _ = self.once(u.port, method, u.path + "?" + u.query, body)
        if status != 200:
            raise SystemExit("%s %s: %d %s" % (method, path, status, data[:200]))
        return data


class Reader:
    """GETs one after the other, and how long each takes."""

    def __init__(self, port, count):
        self.port, self.count, self.stop, self.took = port, count, threading.Event(), []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        user, i = User(self.port), 0
        while not self.stop.is_set():
            t = time.perf_counter()
            user.do("GET", "/v1/objects/small/o%06d" % (i * 7919 % self.count))
            self.took.append(time.perf_counter() - t)
            i += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def at(self, share):
        return sorted(self.took)[int(len(self.took) * share)] * 1e3


def bare(count, size):
    """Seconds to bring the bytes over a connection into files, by nothing but the system calls that this takes."""
    d = tempfile.mkdtemp(prefix="ais-bare.")
    srv = socket.create_server(("127.0.0.1", 0))
    for i in range(count):
        with open(os.path.join(d, "in%d" % i), "wb") as f:
            f.write(os.urandom(MIB) * (size // MIB))
    os.sync()

    def receive():
        s, _ = srv.accept()
        buf = memoryview(bytearray(256 * KIB))
        for i in range(count):
            with open(os.path.join(d, "out%d" % i), "wb", buffering=0) as f:
                left = size
                while left > 0:
                    n = s.recv_into(buf[:min(left, len(buf))])
                    f.write(buf[:n])
                    left -= n
        s.send(b"x")
    t = threading.Thread(target=receive)
    t.start()
    since = time.perf_counter()
    with socket.create_connection(srv.getsockname()) as s:
        for i in range(count):
            with open(os.path.join(d, "in%d" % i), "rb") as f:
                s.sendfile(f)
        s.recv(1)
    took = time.perf_counter() - since
    t.join()
    shutil.rmtree(d)
    return took


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--small", type=int, default=50000)
    p.add_argument("--large", type=int, default=48)
    p.add_argument("--port", type=int, default=23040)
    a = p.parse_args()
    b = Bench(a.port)
    try:
        b.fill("small", a.small, 4 * KIB)
        with Reader(a.port, a.small) as before:
            time.sleep(5)
        with Reader(a.port, a.small) as during:
            b.rebalance(4)
        print("GET of 4 KiB, ms: before p50 %.2f p99 %.2f, during p50 %.2f p99 %.2f: %.1f x" % (
            before.at(0.5), before.at(0.99), during.at(0.5), during.at(0.99), during.at(0.99) / before.at(0.99)))
        used = b.cpu()
        objs, size, took = b.rebalance(5)
        used = b.cpu() - used
        print("%d objects of 4 KiB moved in %.2f s: %.0f objects/s, %.1f x the 500/s of AIStore; CPU of all nodes %.0f us an object" % (
            objs, took, objs / took, objs / took / 500, used * 1e6 / objs))
        b.ask("DELETE", "/v1/buckets/small", {"action": "destroy-bck"})
        b.fill("large", a.large, 16 * MIB)
        objs, size, took = b.rebalance(6)
        floor = bare(objs, 16 * MIB)
        print("%d objects of 16 MiB moved in %.2f s: %.0f MiB/s; a bare loop %.2f s: %.0f MiB/s; %.2f x its rate" % (
            objs, took, size / MIB / took, floor, size / MIB / floor, floor / took))
    finally:
        b.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
