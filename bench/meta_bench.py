#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Changes of metadata on a real cluster of processes, one proxy and three, and how long there is no primary when it is killed or asked to go.

bench/meta_bench.py [--port N] [--rounds R] [--kills K] [--dir D]: a table, and a line of JSON for each row. Starts and removes its own clusters.
"""
import argparse
import http.client
import json
import os
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cluster(args, cmd, *more):
    subprocess.run([os.path.join(TOP, "scripts/cluster.sh"), cmd, "--dir", args.dir, *more], check=True, stdout=subprocess.DEVNULL)


def ask(port, method, path, body=None, timeout=10):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def state(port, what):
    return json.loads(ask(port, "GET", "/v1/daemon?what=" + what, timeout=2)[1])


def row(name, ms):
    ms = sorted(ms)
    out = {"what": name, "n": len(ms), "median_ms": ms[len(ms) // 2], "p90_ms": ms[len(ms) * 9 // 10], "max_ms": ms[-1]}
    print("%-46s n %-4d median %7.2f  p90 %7.2f  max %7.2f ms" % (name, out["n"], out["median_ms"], out["p90_ms"], out["max_ms"]))
    print(json.dumps(out), flush=True)


def changes(args, shape):
    """One after the other on one connection: with a single bucket, so that what grows with their number does not count."""
    c = http.client.HTTPConnection("127.0.0.1", args.port)
    steps = [("bucket create", "POST", {"action": "create-bck"}), ("bucket set-props", "PATCH", {"action": "set-bprops", "value": {"lru": {"enabled": True}}}),
             ("bucket destroy", "DELETE", {"action": "destroy-bck"})]
    ms = {s[0]: [] for s in steps}
    for i in range(args.rounds):
        for name, method, act in steps:
            t0 = time.monotonic()
            c.request(method, "/v1/buckets/bench%d" % i, json.dumps(act), {"Content-Type": "application/json"})
            r = c.getresponse()
            r.read()
            if r.status != 200:
                raise SystemExit("%s: %d" % (name, r.status))
            ms[name].append(1000 * (time.monotonic() - t0))
    for name in ms:
        row("%s, %s" % (name, shape), ms[name])


def primary(args, but=None):
    for i in range(3):
        try:
            if i != but and state(args.port + i, "raft").get("leads"):
                return i
        except (OSError, http.client.HTTPException, ValueError):
            pass
    return None


def sound(args):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            p = primary(args)
            raft = state(args.port + p, "raft")
            if len([s for s in raft["servers"] if s["role"] == "voter" and s["heard_ms"] < 500]) == 3 and \
                    all(len(state(args.port + i, "smap")["pmap"]) == 3 for i in range(6)):
                return p
        except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
            pass
        time.sleep(0.1)
    raise SystemExit("the cluster is not whole")


def kills(args):
    if args.kills == 0:
        return
    ms = []
    for k in range(args.kills):
        p = sound(args)
        time.sleep(2)  # a voter that has just started votes after a second
        cluster(args, "kill", "--node", str(p))
        t0 = time.monotonic()
        i, n = p, 0
        while True:
            i, n = (i + 1) % 3, n + 1
            try:
                if i != p and ask(args.port + i, "POST", "/v1/buckets/k%d-%d" % (k, n), '{"action":"create-bck"}')[0] == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
        ms.append(1000 * (time.monotonic() - t0))
        cluster(args, "start", "--node", str(p))
    row("kill -9 of the primary to the next bucket, 3+3", ms)
    ms = []
    for k in range(args.kills):
        p = sound(args)
        q = (p + 1) % 3
        node = state(args.port + q, "snode")["daemon_id"]
        t0 = time.monotonic()
        if ask(args.port + p, "PUT", "/v1/cluster/proxy/" + node)[0] != 200:
            raise SystemExit("set-primary")
        ms.append(1000 * (time.monotonic() - t0))
    row("set-primary, 3+3", ms)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=21700)
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--kills", type=int, default=10)
    p.add_argument("--dir")
    args = p.parse_args()
    keep = tempfile.TemporaryDirectory(prefix="ais-meta-bench.") if args.dir is None else None
    args.dir = args.dir or os.path.join(keep.name, "c")
    print("load average %s" % open("/proc/loadavg").read().split(" ", 1)[0])
    for proxies in (1, 3):
        cluster(args, "start", "--port", str(args.port), "--proxies", str(proxies), "--targets", "3")
        try:
            if proxies == 3:
                sound(args)
            changes(args, "%d+3" % proxies)
            if proxies == 3:
                kills(args)
        finally:
            cluster(args, "clean")


if __name__ == "__main__":
    main()
