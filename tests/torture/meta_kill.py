#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Changes of buckets, and a kill -9 between any two steps of them: of the primary, of a target. Afterwards everybody agrees, what was agreed is
done on all disks, what was not is gone, and the next change works. Needs a build with fail points.
"""
import argparse
import http.client
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 30  # seconds until everybody must agree

# Where the primary dies, and whether the change has been agreed by then.
PRIMARY_POINTS = [("cons.before_write", False), ("meta.after_propose", True), ("meta.after_adopt", True), ("peers.after_push", True),
                  ("meta.before_answer", True)]
TARGET_POINTS = {
    "create": ["bmd.before=0:1:kill", "bmd.destroyed=0:1:kill", "bck.dirs=0:1:kill", "bck.dirs=1:1:kill", "bck.before_stamp=0:1:kill",
               "bmd.made=0:1:kill"],
    "destroy": ["bmd.before=0:1:kill", "trash.rename=0:1:kill", "trash.rename=1:1:kill", "bmd.destroyed=0:1:kill", "bmd.made=0:1:kill"],
}


class Gone(Exception):
    """The node did not answer."""


class Cluster:
    def __init__(self, args):
        self.dir, self.port, self.proxies, self.targets = args.dir, args.port, args.proxies, 3
        self.nodes = self.proxies + self.targets
        self.run("start", "--proxies", str(self.proxies), "--targets", str(self.targets))

    def voters(self):
        """How many voters the metadata log has, by the primary's word."""
        p = self.primary()
        raft = {} if p is None else json.loads(self.ask(p, "GET", "/v1/daemon?what=raft", timeout=2)[1])
        return len([s for s in raft.get("servers", []) if s["role"] == "voter"]) if raft.get("leads") else 0

    def run(self, cmd, *more):
        subprocess.run([os.path.join(TOP, "scripts/cluster.sh"), cmd, "--dir", self.dir, "--port", str(self.port), *more], check=True,
                       stdout=subprocess.DEVNULL, timeout=90)

    def ask(self, node, method, path, body=None, timeout=20):
        c = http.client.HTTPConnection("127.0.0.1", self.port + node, timeout=timeout)
        try:
            data = body if body is None or isinstance(body, str) else json.dumps(body)
            c.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            r = c.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException) as e:
            raise Gone(str(e)) from e
        finally:
            c.close()

    def alive(self, node):
        try:
            return self.ask(node, "GET", "/v1/health", timeout=2)[0] == 200
        except Gone:
            return False

    def arm(self, node, spec):
        status, text = self.ask(node, "PUT", "/debug/failpoints", spec)
        if status != 200:
            sys.exit(f"node {node}: cannot arm {spec}: {status} {text!r}")

    def primary(self):
        """Index of the proxy that is primary by the word of a living proxy that agrees with itself."""
        for i in range(self.proxies):
            try:
                smap = json.loads(self.ask(i, "GET", "/v1/daemon?what=smap", timeout=2)[1])
                port = int(smap["proxy_si"]["public_net"]["daemon_port"])
                if self.alive(port - self.port):
                    return port - self.port
            except (Gone, ValueError, KeyError, TypeError):
                continue
        return None

    def bmds(self):
        """What every node that answers has: {node: (version, [names])}."""
        out = {}
        for i in range(self.nodes):
            bmd = json.loads(self.ask(i, "GET", "/v1/daemon?what=bmd", timeout=3)[1])
            out[i] = (bmd["version"], json.dumps(bmd["providers"], sort_keys=True))
        return out

    def folders(self, bucket):
        """How many mountpaths of each target have a folder of the bucket."""
        out = []
        for t in range(self.proxies, self.nodes):
            out.append(sum(os.path.isdir(f"{self.dir}/data/mp{m}/{t}/@ais/{bucket}") for m in (1, 2)))
        return out


def within(what, cond, limit=LIMIT):
    end = time.monotonic() + limit
    last = None
    while time.monotonic() < end:
        try:
            last = cond()
            if last:
                return last
        except (Gone, ValueError, KeyError, TypeError) as e:
            last = e
        time.sleep(0.05)
    raise AssertionError(f"not within {limit} s: {what} (last: {last!r})")


def exists(c, bucket):
    status, _ = c.ask(c.primary(), "HEAD", f"/v1/buckets/{bucket}?provider=ais")
    return status == 200


def props_of(c, bucket):
    """The bucket's lru.enabled (off by default), as the primary has it."""
    bmd = json.loads(c.ask(c.primary(), "GET", "/v1/daemon?what=bmd")[1])
    for key, p in ((k, v) for ns in bmd["providers"]["ais"].values() for k, v in ns.items()):
        if key == bucket:
            return p["lru"]["enabled"]
    return None


class Op:
    """One change: how it is asked for, and how one sees that it has happened."""

    def __init__(self, cluster, kind, bucket):
        self.c, self.kind, self.bucket = cluster, kind, bucket

    def prepare(self):
        if self.kind != "create":
            Op(self.c, "create", self.bucket).must()

    def send(self):
        b = f"/v1/buckets/{self.bucket}?provider=ais"
        node = within("a primary", lambda: (self.c.primary(),))[0]
        if self.kind == "create":
            return self.c.ask(node, "POST", b, {"action": "create-bck"})
        if self.kind == "destroy":
            return self.c.ask(node, "DELETE", b, {"action": "destroy-bck"})
        return self.c.ask(node, "PATCH", b, {"action": "set-bprops", "value": {"lru": {"enabled": True}}})

    def must(self):
        status, text = self.send()
        assert status == 200, f"{self.kind} {self.bucket}: {status} {text!r}"

    def done(self):
        if self.kind == "set-props":
            return props_of(self.c, self.bucket) is True
        return exists(self.c, self.bucket) == (self.kind == "create")

    def on_disks(self):
        want = 2 if exists(self.c, self.bucket) else 0
        return self.c.folders(self.bucket) == [want] * self.c.targets


def settled(c, op, agreed):
    within("all proxies vote", lambda: c.voters() == c.proxies)
    within("all nodes have the same buckets", lambda: len(set(c.bmds().values())) == 1)
    if agreed is not None:
        assert op.done() == agreed, f"{op.kind}: agreed {agreed}, but {op.bucket} " + ("exists" if exists(c, op.bucket) else "is not there")
    within("folders as the buckets are", op.on_disks)
    for kind in ("create", "set-props", "destroy"):  # and life goes on
        within(f"{kind} works", lambda k=kind: Op(c, k, "after").send()[0] == 200 or None)
    within("folders of the next bucket are gone", lambda: c.folders("after") == [0] * c.targets)
    if exists(c, op.bucket):
        Op(c, "destroy", op.bucket).must()


def kill_primary(c, kind, point, agreed, nr):
    op = Op(c, kind, f"p{nr}")
    op.prepare()
    node = c.primary()
    c.arm(node, f"{point}=0:1:kill")
    try:
        status, text = op.send()
        raise AssertionError(f"{point} did not fire: {status} {text!r}")
    except Gone:
        pass
    within("the primary is dead", lambda: not c.alive(node))
    if c.proxies > 1:  # the others go on without it
        within("a new primary", lambda: c.primary() not in (None, node))
        within("it changes buckets", lambda: Op(c, "create", "meanwhile").send()[0] in (200, 409))
        Op(c, "destroy", "meanwhile").must()
        agreed = None if not agreed else agreed
    c.run("start", "--node", str(node))
    settled(c, op, agreed)


def kill_target(c, kind, spec, nr):
    op = Op(c, kind, f"t{nr}")
    op.prepare()
    node = c.proxies + nr % c.targets
    c.arm(node, spec)
    status, text = op.send()
    within("the target is dead", lambda: not c.alive(node))
    c.run("start", "--node", str(node))
    assert status == 200, f"{spec}: a target that dies refuses nothing: {status} {text!r}"
    settled(c, op, True)


def refusals(c):
    """A target that cannot: the creation is undone; if the primary dies before that, it is finished as soon as the target can."""
    node = c.proxies
    c.arm(node, "bck.dirs=0:0:nospace")
    status, text = Op(c, "create", "full").send()
    assert status == 507 and b"fail point" in text, f"{status} {text!r}"
    c.arm(node, "")
    op = Op(c, "create", "full")
    settled(c, op, False)

    c.arm(node, "bck.dirs=0:0:nospace")
    primary = c.primary()
    c.arm(primary, "meta.before_undo=0:1:kill")
    try:
        Op(c, "create", "half").send()
        raise AssertionError("meta.before_undo did not fire")
    except Gone:
        pass
    within("the primary is dead", lambda: not c.alive(primary))
    c.run("start", "--node", str(primary))
    within("all nodes have the same buckets", lambda: len(set(c.bmds().values())) == 1)
    assert exists(c, "half")
    # Other changes are not held up by the bucket that cannot be made; but this target can make no other one either.
    Op(c, "set-props", "half").must()
    assert c.folders("half")[0] < 2
    c.arm(node, "")
    settled(c, Op(c, "create", "half"), True)

    Op(c, "create", "stuck").must()
    c.arm(node, "trash.rename=0:0:io")
    Op(c, "destroy", "stuck").must()
    assert c.folders("stuck")[0] == 2
    c.arm(node, "")
    settled(c, Op(c, "destroy", "stuck"), True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--dir", required=True)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--proxies", type=int, default=1)
    p.add_argument("--only", default="", help="tests whose names begin so")
    args = p.parse_args()
    c = Cluster(args)
    within("all proxies vote", lambda: c.voters() == c.proxies)
    nr = bad = 0
    tests = [(f"primary-{kind}-{point}", kill_primary, (kind, point, agreed)) for kind in ("create", "destroy", "set-props")
             for point, agreed in PRIMARY_POINTS]
    tests += [(f"target-{kind}-{spec.split(':')[0]}", kill_target, (kind, spec)) for kind, specs in TARGET_POINTS.items() for spec in specs]
    for name, fn, more in tests:
        nr += 1
        if not name.startswith(args.only):
            continue
        try:
            fn(c, *more, nr)
            print(f"ok {name}", flush=True)
        except (AssertionError, Gone) as e:
            print(f"not ok {name}: {e}", flush=True)
            bad += 1
            break  # what follows would only suffer from it
    if bad == 0 and "refusals".startswith(args.only):
        try:
            refusals(c)
            print("ok refusals", flush=True)
        except (AssertionError, Gone) as e:
            print(f"not ok refusals: {e}", flush=True)
            bad += 1
    c.run("kill")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
