#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Mountpaths come and go: what a target has stays readable and listed, once, while the resilver brings it to where it belongs, also when the
target is killed in the middle.

One proxy, one target with four mountpaths; each test leaves them all enabled. A function is a test, its name a sentence. Prints "ok NAME",
"not ok NAME: what" or "skip NAME: why". With arguments, only tests whose names contain one of them.
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading

import wire
from cases import Failed, run, same, test, within

BUILD = os.path.join(wire.TOP, os.environ.get("AIS_BUILD", "build"))
NAMES = 1500
SANITIZED = "asan" in BUILD or "tsan" in BUILD


class Disks(wire.Cluster):
    def __init__(self):
        super().__init__(targets=1, mountpaths=4)
        self.objects = {}
        same(self.ask(0, "POST", "/v1/buckets/b", {"action": "create-bck"}).status, 200, "create the bucket")
        self.tid = next(iter(self.ask(0, "GET", "/v1/daemon?what=smap").json()["tmap"]))

    def ask(self, node, method, path, body=None, headers=(), timeout=60):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        hdrs = [("Host", "x"), ("Connection", "close")] + ([("Content-Length", str(len(body)))] if body is not None else [])
        return wire.send("127.0.0.1", self.port + node, method, path, hdrs + list(headers), body, timeout)

    def put(self, name, data):
        same(self.ask(1, "PUT", "/v1/objects/b/%s?pid=p&utm=1" % name, data).status, 200, "PUT " + name)
        self.objects[name] = data

    def get(self, name):
        return self.ask(1, "GET", "/v1/objects/b/" + name)

    def fill(self, n=NAMES):
        for i in range(n):
            self.put("o%05d" % i, (hashlib.sha256(b"%d" % i).digest() * (1 + i % 40))[:17 + i * 7 % 1200])

    def names(self):
        out, token = [], ""
        while True:
            a = self.ask(0, "GET", "/v1/buckets/b", {"action": "list", "value": {"pagesize": 200, "continuation_token": token}})
            same(a.status, 200, "list")
            out += [e["name"] for e in a.json()["entries"] or []]
            token = a.json()["continuation_token"]
            if not token:
                return out

    def all_there(self):
        same(self.names(), sorted(self.objects), "names")
        for name, data in self.objects.items():
            a = self.get(name)
            if a.status != 200 or a.body != data:
                raise Failed("GET %s: %d, %d bytes, expected %d" % (name, a.status, len(a.body), len(data)))

    # --- mountpaths ---
    def paths(self):
        return self.ask(1, "GET", "/v1/daemon?what=mountpaths").json()

    def available(self):
        return sorted(self.paths()["available"])

    def act(self, method, action, path, query="", status=200, text=""):
        a = self.ask(0, method, "/v1/reverse/daemon/mountpaths" + query, {"action": action, "value": path}, [("Ais-Node-Id", self.tid)])
        if a.status != status or text not in a.body.decode():
            raise Failed("%s %s: %d %r, expected %d %r" % (action, path, a.status, a.body[:300], status, text))

    def attach(self, path, **kw):
        self.act("PUT", "attach-mp", path, **kw)

    def detach(self, path, **kw):
        self.act("DELETE", "detach-mp", path, **kw)

    def enable(self, path, **kw):
        self.act("POST", "enable-mp", path, **kw)

    def disable(self, path, **kw):
        self.act("POST", "disable-mp", path, **kw)

    def snaps(self, **msg):
        return self.ask(0, "GET", "/v1/cluster?what=qryxstats", dict(msg, kind="resilver", show_active=None)).json().get(self.tid) or []

    def settled(self):
        """The last resilver is over and was not in vain."""
        def look():
            s = self.snaps()
            if not s or any(x["end-time"].startswith("0001") for x in s):
                return False
            last = max(s, key=lambda x: x["start-time"])
            if last["err"]:
                raise Failed("resilver: " + last["err"])
            return True
        within(60, look, "the resilver ends")

    def files(self, path):
        n = 0
        for d, _, names in os.walk(os.path.join(path, "@ais", "b", "%ob")):
            n += len(names)
        return n

    def pid(self, node):
        with open(os.path.join(self.dir, str(node), "pid")) as f:
            return int(f.read())

    def kill(self):
        """kill -9 of the target."""
        os.kill(self.pid(1), signal.SIGKILL)
        self.node("kill", 1)


class Readers:
    """Reads and lists all the time; what is missing, doubled or wrong is told at the end."""

    def __init__(self, t):
        self.t, self.stop, self.bad, self.reads, self.lists = t, threading.Event(), [], 0, 0
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.read, self.read, self.list)]

    def read(self):
        names = sorted(self.t.objects)
        while not self.stop.is_set() and not self.bad:
            for name in names[self.reads % 7::7]:
                a = self.t.get(name)
                self.reads += 1
                if a.status != 200 or a.body != self.t.objects[name]:
                    self.bad.append("GET %s: %d" % (name, a.status))
                if self.stop.is_set() or self.bad:
                    break

    def list(self):
        want = sorted(self.t.objects)
        while not self.stop.is_set() and not self.bad:
            got = self.t.names()
            self.lists += 1
            if got != want:
                lost, more = set(want) - set(got), len(got) - len(set(got))
                self.bad.append("list: %d lost (%s), %d doubled" % (len(lost), sorted(lost)[:3], more))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for t in self.threads:
            t.join()
        if kind is None and self.bad:
            raise Failed("; ".join(self.bad[:3]))
        if kind is None and (self.reads == 0 or self.lists == 0):
            raise Failed("%d reads, %d lists" % (self.reads, self.lists))


def away(t, path):
    """Disable and wait until all of it has been brought away."""
    t.disable(path)
    within(60, lambda: path in t.paths()["disabled"], path + " is disabled")


@test
def what_a_disabled_mountpath_had_is_on_the_others(t):
    t.fill()
    path = t.available()[0]
    same(t.files(path) > NAMES // 8, True, "files on %s" % path)
    with Readers(t):
        away(t, path)
        t.settled()
    same(t.files(path), 0, "files that stayed")
    t.all_there()


@test
def what_belongs_on_an_enabled_mountpath_comes_back(t):
    path = t.paths()["disabled"][0]
    with Readers(t):
        t.enable(path)
        t.settled()
    same(path in t.available(), True)
    same(t.files(path) > NAMES // 8, True, "files on %s" % path)
    t.all_there()


@test
def a_new_mountpath_gets_its_share(t):
    path = os.path.join(t.dir, "new-disk")
    os.mkdir(path)
    with Readers(t):
        t.attach(path)
        t.settled()
    same(t.files(path) > NAMES // 10, True, "files on the new one")
    t.all_there()
    with Readers(t):
        t.detach(path)
        within(60, lambda: path not in t.paths()["available"] + t.paths()["waiting_dd"], "it is detached")
        t.settled()
    same(t.files(path), 0, "files that stayed")
    same(path in t.paths()["disabled"], False, "listed as disabled")
    t.all_there()
    shutil.rmtree(path)


@test
def changes_while_objects_are_brought_are_not_lost(t):
    path = t.available()[1]
    t.disable(path)
    for i in range(0, NAMES, 3):
        t.put("o%05d" % i, b"changed %d" % i)
    for i in range(1, NAMES, 9):
        name = "o%05d" % i
        same(t.ask(1, "DELETE", "/v1/objects/b/%s?pid=p&utm=1" % name).status, 200, "DELETE")
        del t.objects[name]
    t.all_there()
    within(60, lambda: path in t.paths()["disabled"], path + " is disabled")
    t.settled()
    t.all_there()
    t.enable(path)
    t.settled()
    t.all_there()


@test
def mountpaths_change_again_while_a_resilver_runs(t):
    first, second = t.available()[:2]
    with Readers(t):
        t.disable(first)
        t.disable(second)
        t.enable(first)
        within(60, lambda: second in t.paths()["disabled"], second + " is disabled")
        t.settled()
        t.enable(second)
        t.settled()
    same(len(t.available()), 4)
    t.all_there()


@test
def a_resilver_goes_on_after_a_kill(t):
    path = t.available()[2]
    for turn in range(3):
        t.disable(path)
        within(30, lambda: t.files(path) < NAMES // 5 or path in t.paths()["disabled"], "some are away")
        t.kill()
        t.start()
        t.all_there()
        within(60, lambda: path in t.paths()["disabled"], path + " is disabled")
        same(t.files(path), 0, "files that stayed")
        t.all_there()
        t.enable(path)
        t.kill()
        t.start()
        t.all_there()
        t.settled()
        same(t.files(path) > NAMES // 10, True, "files that came back")


@test
def an_attached_mountpath_is_remembered_over_a_restart(t):
    path = os.path.join(t.dir, "another-disk")
    os.mkdir(path)
    t.attach(path)
    t.settled()
    t.node("stop", 1)
    t.start()
    same(path in t.available(), True, "attached")
    t.all_there()
    t.detach(path)
    within(60, lambda: path not in t.paths()["available"] + t.paths()["waiting_dd"], "it is detached")
    t.settled()
    t.node("stop", 1)
    t.start()
    same(path in t.available(), False, "detached")
    t.all_there()
    shutil.rmtree(path)


@test
def without_a_resilver_nothing_moves_and_all_is_there_again_afterwards(t):
    path = t.available()[3]
    had = t.files(path)
    t.disable(path, query="?dntres=true")
    same(path in t.paths()["disabled"], True, "at once")
    same(t.files(path), had, "files")
    gone = [n for n in sorted(t.objects) if t.get(n).status != 200]
    same(len(gone), had, "objects that are away")
    t.enable(path)
    t.settled()
    t.all_there()


@test
def the_last_mountpath_may_go_and_come_back(t):
    all_of_them = t.available()
    for path in all_of_them:
        t.disable(path, query="?dntres=true")
    same(t.available(), [], "available")
    a = t.get(sorted(t.objects)[0])
    same((a.status != 200, b"mountpath" in a.body), (True, True), "GET without mountpaths: %d %r" % (a.status, a.body[:200]))
    same(t.ask(1, "PUT", "/v1/objects/b/x?pid=p&utm=1", b"x").status >= 400, True, "PUT without mountpaths")
    for path in all_of_them:
        t.enable(path)
    t.settled()
    t.all_there()


@test
def what_is_not_a_mountpath_is_refused(t):
    path = t.available()[0]
    t.attach(path, status=409, text="already attached")
    t.attach(os.path.join(path, "inside"), status=400, text="nested")
    t.attach(os.path.join(t.dir, "nothing"), status=404, text="does not exist")
    t.attach("relative", status=400, text="absolute")
    t.disable("/no/such", status=404, text="does not exist")
    same(len(t.available()), 4)


@test
def another_disk_in_the_place_of_a_known_one_is_refused(t):
    path = t.available()[0]
    away(t, path)
    t.settled()
    os.rename(path, path + ".was")
    os.makedirs(os.path.join(path, ".ais.c"))
    with open(os.path.join(path, ".ais.c", "id"), "w") as f:
        f.write("0123456789abcdef0123456789abcdef\n")
    t.enable(path, status=409, text="is not the one that this target knows by that path")
    same(os.listdir(path), [".ais.c"], "what lies on it")
    shutil.rmtree(path)
    os.rename(path + ".was", path)
    t.enable(path)
    t.settled()
    t.all_there()


@test
def a_disk_of_another_target_is_refused(t):
    path = os.path.join(t.dir, "foreign")
    os.mkdir(path)
    try:
        os.setxattr(path, "user.ais.daemon_id", b"t-somebody")
    except OSError as e:
        raise Failed("no xattrs here: %s" % e)
    t.attach(path, status=409, text="t-somebody")
    shutil.rmtree(path)


@test
def the_command_line_switches_and_waits(t):
    ais = [os.path.join(BUILD, "bin", "ais")]
    env = dict(os.environ, AIS_ENDPOINT="http://127.0.0.1:%d" % t.port)
    path = t.available()[1]

    def cli(*args):
        p = subprocess.run(ais + list(args), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        same(p.returncode, 0, "%s: %s" % (args, p.stdout))
        return p.stdout
    cli("storage", "mountpath", "disable", "%s=%s" % (t.tid, path), "--wait")
    same(path in t.paths()["disabled"], True, "disabled when the command ends")
    cli("storage", "mountpath", "enable", "%s=%s" % (t.tid, path), "--wait")
    out = cli("job", "start", "resilver", t.tid, "--wait")
    same("resilver" in out, True, out)
    shown = json.loads(cli("show", "job", "resilver", "--all", "--json"))
    same(t.tid in json.dumps(shown), True, "show job resilver")
    t.all_there()


def main():
    with Disks() as t:
        return run(t)


if __name__ == "__main__":
    raise SystemExit(main())
