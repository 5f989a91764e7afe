#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Random changes from parallel clients against a real cluster whose nodes are killed at random moments; then every acknowledged byte is
looked for. The model of a name is the set of contents that it may have: one after an acknowledged change, two after one whose answer was
lost. Each client owns its names, so that nobody else changes them.

    store_torture.py --dir D --port N --seed S --seconds T [--durable] [--lose-index]
"""
import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from urllib.parse import quote, urlsplit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUCKET = "torture"
SIZES = [0, 1, 100, 4096, 65535, 65536, 65537, 300000, 2 << 20]


class Lost(Exception):
    """No answer, or none that says what happened."""


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__("%d %s" % (status, text[:200]))
        self.status = status


def once(method, host, target, body, headers):
    c = http.client.HTTPConnection(host, timeout=20)
    try:
        c.request(method, target, body=body, headers=headers)
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
    except (OSError, http.client.HTTPException) as e:
        raise Lost(str(e))
    finally:
        c.close()


class Client:
    def __init__(self, port):
        self.proxy = "127.0.0.1:%d" % port

    def call(self, method, path, body=b"", headers=None):
        """Through the proxy to the target. Only the last answer counts."""
        headers = dict(headers or {})
        small = path.startswith("/v1/buckets") or method == "POST"
        status, h, data = once(method, self.proxy, path, body if small else b"", headers)
        if status in (301, 307):
            u = urlsplit(h["location"])
            status, h, data = once(method, u.netloc, u.path + "?" + u.query, body, headers)
        if status >= 500:
            raise Lost("%d %s" % (status, data[:200].decode(errors="replace")))
        if status >= 400:
            raise Refused(status, data.decode(errors="replace"))
        return h, data

    def obj(self, method, name, query="", body=b"", headers=None):
        path = "/v1/objects/%s/%s?provider=ais%s" % (BUCKET, quote(name), query)
        return self.call(method, path, body, headers)

    def act(self, action, name="", value=None, query="", method="POST"):
        body = json.dumps({k: v for k, v in (("action", action), ("name", name), ("value", value)) if v not in ("", None)})
        return lambda obj: self.obj(method, obj, query, body.encode(), {"Content-Type": "application/json"})


def digest(data):
    return (len(data), hashlib.md5(data).hexdigest())


class Worker(threading.Thread):
    def __init__(self, n, port, seed, until):
        super().__init__()
        self.rng = random.Random("%d/%d" % (seed, n))
        self.c = Client(port)
        self.until = until
        self.model = {}  # name -> set of digests, None = absent
        self.content = {}  # digest -> bytes, for appends
        self.acked = self.lost = 0
        self.errors = []
        p = "w%d/" % n
        self.names = [p + s for s in ("a", "a/b", "a/b/c", "x//y", "L" * 300, "dir/M" + "m" * 254, "sp ace+%41", "\u043a\u043b\u044e\u0447")]
        self.names += [p + "f/%02d" % i for i in range(20)]
        for name in self.names:
            self.model[name] = {None}

    def body(self):
        n = self.rng.choice(SIZES) if self.rng.random() < 0.5 else self.rng.randrange(20000)
        return self.rng.randbytes(n)

    def changed(self, name, want, op):
        """Run op: acknowledged, it has the wanted content; without an answer perhaps."""
        try:
            op()
            self.model[name] = {want}
            self.acked += 1
        except Lost:
            self.model[name] = self.model[name] | {want}
            self.lost += 1
            time.sleep(0.05)  # a node is away: do not spin

    def put(self, name):
        data = self.body()
        headers = {"Content-Length": str(len(data))}
        if self.rng.random() < 0.2:
            headers["Ais-Custom-Md"] = "k=" + "v" * self.rng.choice([10, 1500])
        self.changed(name, digest(data), lambda: self.c.obj("PUT", name, "", data, headers))

    def delete(self, name):
        def op():
            try:
                self.c.obj("DELETE", name)
            except Refused as e:
                if e.status != 404 or None not in self.model[name]:
                    raise
        self.changed(name, None, op)

    def get(self, name):
        try:
            _, data = self.c.obj("GET", name)
            got = digest(data)
        except Lost:
            return None
        except Refused as e:
            if e.status != 404:
                raise
            got = None
        if got not in self.model[name]:
            self.errors.append("%r has %s, may have %s" % (name, got, sorted(map(str, self.model[name]))))
        else:
            self.model[name] = {got}
        return got

    def append(self, name):
        if self.model[name] != {None}:
            return self.put(name)
        handle = ""
        want = [self.rng.randbytes(self.rng.randrange(1, 80000)) for _ in range(2)]

        def op():
            nonlocal handle
            for piece in want:
                h, _ = self.c.obj("PUT", name, "&append_type=append&append_handle=" + quote(handle), piece)
                handle = h["ais-append-handle"]
            self.c.obj("PUT", name, "&append_type=flush&append_handle=" + quote(handle))

        def careful():
            try:
                op()
            except Refused as e:  # the work file died with its node: nothing was promised
                if e.status != 404:
                    raise
                raise Lost(str(e))
        data = b"".join(want)
        self.changed(name, digest(data), careful)

    def multipart(self, name):
        want = [self.rng.randbytes(self.rng.randrange(1, 200000)) for _ in range(self.rng.randrange(1, 5))]

        def op():
            _, uid = self.c.act("mpt-upload")(name)
            q = "&uploadId=" + quote(uid.decode())
            for i in self.rng.sample(range(len(want)), len(want)):
                for attempt in range(60):
                    try:
                        self.c.obj("PUT", name, q + "&partNumber=%d" % (i + 1), want[i])
                        break
                    except Lost:  # an acknowledged part outlives its node: go on with the rest
                        if attempt == 59 or time.time() > self.until + 10:
                            raise
                        time.sleep(0.05)
            self.c.act("mpt-complete", value=[{"part-number": i + 1, "etag": ""} for i in range(len(want))], query=q)(name)

        def careful():
            try:
                op()
            except Refused as e:  # its beginning had no answer, or its completion had none and was done
                if e.status != 404:
                    raise
                raise Lost(str(e))
        self.changed(name, digest(b"".join(want)), careful)

    def rename(self, name):
        to = self.rng.choice(self.names)
        if to == name or len(self.model[name]) != 1 or self.model[name] == {None}:
            return
        (what,) = self.model[name]
        try:
            self.c.act("rename-obj", name=to)(name)
            self.model[to], self.model[name] = {what}, {None}
            self.acked += 1
        except Lost:
            self.model[to] = self.model[to] | {what}
            self.model[name] = self.model[name] | {None}
            self.lost += 1

    def run(self):
        ops = [(self.put, 40), (self.get, 20), (self.delete, 12), (self.append, 8), (self.multipart, 10), (self.rename, 10)]
        kinds, weights = zip(*ops)
        while time.time() < self.until and not self.errors:
            try:
                self.rng.choices(kinds, weights)[0](self.rng.choice(self.names))
            except Refused as e:
                self.errors.append("refused: %s" % e)
            except Exception as e:  # a bug of this program must not look like success
                self.errors.append("%s: %s" % (type(e).__name__, e))


class Cluster:
    def __init__(self, d, port):
        self.d, self.port = d, port
        self.mtx = threading.Lock()

    def run(self, *args):
        p = subprocess.run([os.path.join(ROOT, "scripts/cluster.sh"), *args, "--dir", self.d], capture_output=True, text=True,
                           timeout=120)
        if p.returncode != 0:
            raise RuntimeError("cluster.sh %s: %s%s" % (" ".join(args), p.stdout[-500:], p.stderr[-500:]))

    def start(self, *extra):
        self.run("start", "--port", str(self.port), *extra)


class Killer(threading.Thread):
    def __init__(self, cluster, seed, until, lose_index):
        super().__init__()
        self.rng = random.Random("%d/killer" % seed)
        self.c, self.until, self.lose_index = cluster, until, lose_index
        self.kills = 0
        self.errors = []
        self.rest = threading.Event()

    def run(self):
        while time.time() < self.until and not self.errors:
            self.rest.wait(self.rng.uniform(0.2, 1.5))  # the random moment
            node = self.rng.choices([0, 1, 2, 3], [1, 3, 3, 3])[0]
            try:
                self.c.run("kill", "--node", str(node))
                self.kills += 1
                if self.lose_index and node > 0 and self.rng.random() < 0.3:
                    lose_index(self.c.d, node, self.rng)
                self.c.start("--node", str(node))
            except Exception as e:
                self.errors.append(str(e))


def mountpaths(d, node=None):
    out = []
    for top, dirs, _ in os.walk(d):
        if ".ais.c" in dirs:
            out.append(top)
            dirs[:] = []
    return [m for m in out if node is None or m.startswith(os.path.join(d, str(node)) + os.sep)]


def lose_index(d, node, rng):
    m = mountpaths(d, node)
    if m:
        shutil.rmtree(os.path.join(rng.choice(m), ".ais.c", "index"))


def listing(c):
    names, token = {}, ""
    while True:
        msg = {"action": "list", "value": {"props": "name,size", "pagesize": "500", "continuation_token": token}}
        _, data = c.call("GET", "/v1/buckets/%s?provider=ais" % BUCKET, json.dumps(msg).encode(),
                         {"Content-Type": "application/json", "Accept": "application/json"})
        page = json.loads(data)
        for e in page.get("entries") or []:
            if e["name"] in names:
                raise AssertionError("listed twice: %r" % e["name"])
            names[e["name"]] = int(e.get("size", 0))
        token = page.get("continuation_token", "")
        if not token:
            return names


def verify(workers, port):
    errors, there = [], {}
    for w in workers:
        for name in w.names:
            got = w.get(name)
            if got is not None:
                there[name] = got[0]
        errors += w.errors
        w.errors = []
    names = listing(Client(port))
    for name in sorted(set(names) | set(there)):
        if names.get(name) != there.get(name):
            errors.append("%r: listed with size %s, has %s" % (name, names.get(name), there.get(name)))
    return errors


def leftovers(d):
    """Work files when nothing is under way."""
    return [os.path.join(t, f) for m in mountpaths(d) for t, _, files in os.walk(m) if "/%wk" in t for f in files]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--dir", required=True)
    a.add_argument("--port", type=int, required=True)
    a.add_argument("--seed", type=int, required=True)
    a.add_argument("--seconds", type=float, default=15)
    a.add_argument("--durable", action="store_true")
    a.add_argument("--lose-index", action="store_true")
    a = a.parse_args()
    cluster = Cluster(a.dir, a.port)
    cluster.start("--proxies", "1", "--targets", "3", "--mountpaths", "2")
    c = Client(a.port)
    c.call("POST", "/v1/buckets/%s?provider=ais" % BUCKET, b'{"action":"create-bck"}', {"Content-Type": "application/json"})
    if a.durable:
        c.call("PATCH", "/v1/buckets/%s?provider=ais" % BUCKET, b'{"action":"set-bprops","value":{"features":"16"}}',
               {"Content-Type": "application/json"})
    until = time.time() + a.seconds
    workers = [Worker(i, a.port, a.seed, until) for i in range(6)]
    killer = Killer(cluster, a.seed, until, a.lose_index)
    for t in workers + [killer]:
        t.start()
    for t in workers + [killer]:
        t.join()
    errors = [e for t in workers + [killer] for e in t.errors]
    for e in errors[:20]:
        print("ERROR %s" % e)
    for w in workers:
        w.errors = []
    for how in ("kill", "stop"):  # once more from what is on disk, then from what a clean end leaves
        cluster.run(how)
        cluster.start()
        errors += ["after %s: %s" % (how, e) for e in verify(workers, a.port)]
        errors += ["after %s: left over: %s" % (how, p) for p in leftovers(a.dir)]
    print("acknowledged %d, without answer %d, kills %d" % (sum(w.acked for w in workers), sum(w.lost for w in workers), killer.kills))
    for e in [e for e in errors if e.startswith("after ")][:20]:
        print("ERROR %s" % e)
    if sum(w.acked for w in workers) < 50 or killer.kills == 0:
        print("ERROR too little happened to mean anything")
        errors.append("")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
