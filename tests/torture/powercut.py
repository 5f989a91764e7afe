#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The power fails, again and again, under a target with random changes from parallel clients (the workers of store_torture.py); each time the
disks become what they may be (powercut_disk.py), the target starts with another boot id, and what was acknowledged is looked for: in a
durable bucket all of it, in a fast one what was acknowledged more than a second before.

    powercut.py --dir D --port N --seed S --seconds T --preload SO [--drop FLUSH] [--window SECONDS]

--drop takes a kind of flush away (syncfs, fsync, fdatasync, osync): a loss must be seen then.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid

import store_torture as st
from powercut_disk import Disk

BUCKETS = {"durable": True, "fast": False}


class Client(st.Client):
    def __init__(self, port, bucket):
        super().__init__(port)
        self.bucket = bucket

    def obj(self, method, name, query="", body=b"", headers=None):
        path = "/v1/objects/%s/%s?provider=ais%s" % (self.bucket, st.quote(name), query)
        return self.call(method, path, body, headers)


class Worker(st.Worker):
    """Keeps what happened to each name since the last look: (when, content, acknowledged), and renames as pairs."""

    def __init__(self, n, port, seed, bucket):
        super().__init__(n, port, seed, 0)
        self.c = Client(port, bucket)
        self.durable = BUCKETS[bucket]
        self.stop = threading.Event()
        self.past = {}
        self.forget()

    def forget(self):
        self.base = {n: set(s) for n, s in self.model.items()}
        self.past = {n: [] for n in self.names}
        self.renames = []

    def note(self, name, what, acked):
        self.past[name].append((time.time(), what, acked))

    def changed(self, name, want, op):
        lost = self.lost
        super().changed(name, want, op)
        self.note(name, want, self.lost == lost)

    def rename(self, name):
        to = self.rng.choice(self.names)
        if to == name or len(self.model[name]) != 1 or self.model[name] == {None}:
            return
        (what,) = self.model[name]
        acked = True
        try:
            self.c.act("rename-obj", name=to)(name)
            self.model[to], self.model[name] = {what}, {None}
            self.acked += 1
        except st.Lost:
            self.model[to] = self.model[to] | {what}
            self.model[name] = self.model[name] | {None}
            self.lost += 1
            acked = False
        self.note(name, None, acked)
        self.note(to, what, acked)
        self.renames.append((name, to, what, len(self.past[name]), len(self.past[to])))

    def run(self):
        ops = [(self.put, 45), (self.get, 10), (self.delete, 12), (self.append, 8), (self.multipart, 12), (self.rename, 13)]
        kinds, weights = zip(*ops)
        while not self.stop.is_set() and not self.errors:
            try:
                self.rng.choices(kinds, weights)[0](self.rng.choice(self.names))
            except st.Refused as e:
                self.errors.append("refused: %s" % e)
            except Exception as e:
                self.errors.append("%s: %s" % (type(e).__name__, e))

    def may_be(self, name, promised_before):
        may = set(self.base[name])
        for when, what, acked in self.past[name]:
            if acked and when <= promised_before:
                may = {what}
            else:
                may.add(what)
        return may

    def look(self, cut_at, window):
        """After a cut: what is there, and is it what was promised?"""
        promised = cut_at if self.durable else cut_at - window
        got, errors = {}, []
        for name in self.names:
            try:
                _, data = self.c.obj("GET", name)
                got[name] = st.digest(data)
            except st.Refused as e:
                if e.status != 404:
                    errors.append("GET %r: %s" % (name, e))
                got[name] = None
            except st.Lost as e:
                errors.append("GET %r: %s" % (name, e))
                got[name] = None
            may = self.may_be(name, promised)
            if got[name] not in may:
                late = [cut_at - t for t, what, acked in self.past[name] if acked and t <= promised]
                ever = got[name] is None or got[name] in self.base[name] or any(got[name] == w for _, w, _ in self.past[name])
                errors.append("%r has %s, may have %s (%s; last promised change %.3f s before the cut); renames %s" % (
                    name, got[name], sorted(map(str, may)), "older" if ever else "TORN: never written", late[-1] if late else -1,
                    [(r[0], r[1]) for r in self.renames if name in r[:2]]))
                errors[-1] += "; before %s, then %s" % (sorted(map(str, self.base[name])), [
                    "%.3f s before: %s%s" % (cut_at - t, what and what[0], "" if acked else " (no answer)") for t, what, acked in self.past[name]])
        for name, to, what, n, m in self.renames:
            if len(self.past[name]) == n and len(self.past[to]) == m and what not in (got[name], got[to]) and name != to:
                if what in self.may_be(to, promised) and self.may_be(name, promised) == {None} | set():
                    continue  # told above already
                if self.source_was_promised(name, n - 1, promised, what):
                    errors.append("rename of %r to %r lost the object under both names" % (name, to))
        for name in self.names:
            self.model[name] = {got[name]}
        self.forget()
        return got, errors

    def source_was_promised(self, name, n, promised, what):
        may = set(self.base[name])
        for when, w, acked in self.past[name][:n]:
            may = {w} if acked and when <= promised else may | {w}
        return may == {what}


def rerun(w):
    """The same worker for another while: a thread starts only once."""
    w.stop.clear()
    t = threading.Thread(target=w.run)
    t.start()
    return t


class Target:
    def __init__(self, a):
        self.a = a
        self.log, self.boot = a.dir + ".log", a.dir + ".boot"
        self.cluster = st.Cluster(a.dir, a.port)

    def create(self):
        self.cluster.start("--proxies", "1", "--targets", "1", "--mountpaths", "2")
        c = st.Client(self.a.port)
        js = {"Content-Type": "application/json"}
        for b, durable in BUCKETS.items():
            c.call("POST", "/v1/buckets/%s?provider=ais" % b, b'{"action":"create-bck"}', js)
            if durable:
                c.call("PATCH", "/v1/buckets/%s?provider=ais" % b, b'{"action":"set-bprops","value":{"features":"16"}}', js)
        self.stop()
        self.roots = sorted(st.mountpaths(self.a.dir, None))
        if len(self.roots) != 2:
            raise RuntimeError("mountpaths: %s" % self.roots)

    def stop(self):
        self.cluster.run("stop", "--node", "1")

    def kill(self):
        at = time.time()
        self.cluster.run("kill", "--node", "1")
        return at

    def start(self, wait=True):
        if os.path.exists(self.log):
            os.unlink(self.log)
        with open(self.boot, "w") as f:
            f.write("%s\n" % uuid.UUID(int=random.SystemRandom().getrandbits(128)))
        env = {"LD_PRELOAD": self.a.preload, "POWERCUT_LOG": self.log, "POWERCUT_ROOTS": ":".join(self.roots), "POWERCUT_BOOT": self.boot,
               "AIS_DISK": "threads"}
        if self.a.drop:
            env["POWERCUT_DROP"] = self.a.drop
        os.environ.update(env)
        try:
            self.cluster.start("--node", "1", *([] if wait else ["--no-wait"]))
        finally:
            for k in env:
                del os.environ[k]


def listing_errors(port, bucket, there):
    st.BUCKET = bucket
    names = st.listing(st.Client(port))
    return ["%r: listed in %s with size %s, has %s" % (n, bucket, names.get(n), there.get(n))
            for n in sorted(set(names) | set(there)) if names.get(n) != there.get(n)]


def verify(workers, port, cut_at, window):
    errors = []
    there = {b: {} for b in BUCKETS}
    for w in workers:
        got, e = w.look(cut_at, window)
        errors += ["%s: %s" % (w.c.bucket, x) for x in e]
        there[w.c.bucket].update({n: d[0] for n, d in got.items() if d is not None})
    for b in BUCKETS:
        errors += listing_errors(port, b, there[b])
    return errors


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--dir", required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--seconds", type=float, default=50)
    p.add_argument("--preload", required=True)
    p.add_argument("--drop", default="")
    p.add_argument("--order", choices=("ordered", "free", "both"), default="both")
    p.add_argument("--window", type=float, default=1.0)
    a = p.parse_args()
    rng = random.Random("%d/cuts" % a.seed)
    target = Target(a)
    target.create()
    end = time.time() + a.seconds
    workers = [Worker(i, a.port, a.seed, b) for i, b in enumerate(["durable", "fast"] * 3)]
    cuts, errors, changes, flushes = 0, [], 0, 0
    pause = threading.Event()
    disk = Disk(target.roots, True)
    target.start()
    while time.time() < end and not errors:
        threads = [rerun(w) for w in workers]
        pause.wait(rng.choice([rng.uniform(0.05, 0.9), rng.uniform(0.9, 4)]))  # the random moment
        if rng.random() < 0.15:  # an orderly end first, then a short life
            for w in workers:
                w.stop.set()
            for t in threads:
                t.join()
            target.stop()
            disk.play(target.log)
            for r in disk.roots:
                r.scan()
            target.start()
            threads = [rerun(w) for w in workers]
            pause.wait(rng.uniform(0.02, 0.6))
        cut_at = target.kill()
        for w in workers:
            w.stop.set()
        for t in threads:
            t.join()
        errors += [e for w in workers for e in w.errors]
        what = []
        for again in range(1 + (rng.random() < 0.2)):  # the power may fail in the recovery too
            if again:
                target.start(wait=False)
                pause.wait(rng.uniform(0.02, 0.5))
                target.kill()
            disk.ordered = a.order == "ordered" or (a.order == "both" and rng.random() < 0.5)
            disk.changes = disk.flushes = 0
            disk.play(target.log)
            changes, flushes = changes + disk.changes, flushes + disk.flushes
            what.append(disk.cut(rng))
            cuts += 1
        target.start()
        found = verify(workers, a.port, cut_at, a.window)
        print("cut %d: %s%s" % (cuts, "; in the recovery: ".join(what), "; %d ERRORS" % len(found) if found else ""), flush=True)
        errors += found
    acked = sum(w.acked for w in workers)
    print("cuts %d, acknowledged %d, without answer %d, changes of files %d, flushes %d" % (
        cuts, acked, sum(w.lost for w in workers), changes, flushes))
    for e in errors[:20]:
        print("ERROR %s" % e)
    if not errors and (cuts < 3 or acked < 50 or changes < 100 or (flushes < 10 and not a.drop)):
        print("TOO LITTLE happened to mean anything")
        return 2
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
