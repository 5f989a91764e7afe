# SPDX-License-Identifier: Apache-2.0
"""
Cluster metadata on three proxies and three targets: what was acknowledged is there after any kill -9, what was not is whole or absent,
and what a node missed does not come back.

Prints "ok NAME" or "not ok NAME: why". Arguments: names of the cases to run, all without.
"""
import json
import os
import random
import secrets
import signal
import socket
import sys
import threading
import time
import traceback

import wire

PROXIES, TARGETS = 3, 3
HOST = "127.0.0.1"


# --- small client ---
def call(port, method, target, value=None, headers=(), timeout=20):
    body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
    hdrs = [("Host", HOST), *headers]
    if body is not None:
        hdrs.append(("Content-Length", str(len(body))))
        if not isinstance(value, bytes):
            hdrs.append(("Content-Type", "application/json"))
    return wire.send(HOST, port, method, target, hdrs, body, timeout)


def follow(port, method, target, value=None, timeout=20):
    a = call(port, method, target, None if method == "PUT" else value, timeout=timeout)
    if a.status in (301, 307):
        where = a.get("Location").split("://", 1)[1]
        hostport, path = where.split("/", 1)
        a = call(int(hostport.rsplit(":", 1)[1]), method, "/" + path, value, timeout=timeout)
    return a


class Fleet(wire.Cluster):
    """The cluster and what the cases ask of it."""

    def __init__(self):
        super().__init__(targets=TARGETS, proxies=PROXIES)

    def proxy(self, i=0):
        return self.port + i

    def targets_nodes(self):
        return range(PROXIES, PROXIES + TARGETS)

    def create(self, b, via=0, props=None, timeout=20):
        value = {"action": "create-bck"}
        if props is not None:
            value["value"] = props
        return call(self.proxy(via), "POST", "/v1/buckets/" + b, value, timeout=timeout)

    def destroy(self, b, via=0, timeout=20):
        return call(self.proxy(via), "DELETE", "/v1/buckets/" + b, {"action": "destroy-bck"}, timeout=timeout)

    def set_props(self, b, props, via=0, timeout=20):
        return call(self.proxy(via), "PATCH", "/v1/buckets/" + b, {"action": "set-bprops", "value": props}, timeout=timeout)

    def put(self, b, o, data, via=0, timeout=20):
        return follow(self.proxy(via), "PUT", "/v1/objects/%s/%s" % (b, o), data, timeout)

    def get(self, b, o, via=0, timeout=20):
        return follow(self.proxy(via), "GET", "/v1/objects/%s/%s" % (b, o), timeout=timeout)

    def names(self, b, via=0):
        a = call(self.proxy(via), "GET", "/v1/buckets/" + b, {"action": "list", "value": {}}, [("Accept", "application/json")])
        expect(a.status == 200, "list %s: %d %s" % (b, a.status, a.body))
        return sorted(e.get("n", e.get("name")) for e in (a.json().get("entries") or []))

    def bmd(self, port):
        """name -> props, as one node knows it."""
        a = call(port, "GET", "/v1/daemon?what=bmd")
        expect(a.status == 200, "what=bmd: %d" % a.status)
        return a.json()["providers"].get("ais", {}).get("@#", {})

    def ready(self, i, within=20):
        """Until node i is ready and so is the primary."""
        until = time.time() + within
        while time.time() < until:
            try:
                if call(self.port + i, "GET", "/v1/health?readiness=true", timeout=2).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("node %d is not ready after %d s" % (i, within))

    def pid(self, i):
        with open(os.path.join(self.dir, str(i), "pid")) as f:
            return int(f.read())

    def log_of(self, i):
        d = os.path.join(self.dir, str(i), "log")
        return "".join(open(os.path.join(d, n), errors="replace").read() for n in sorted(os.listdir(d)))

    def forgive_words(self, i):
        """What it said on standard error was expected."""
        path = os.path.join(self.dir, str(i), "stderr")
        with open(path) as f:
            text = f.read()
        open(path, "w").close()
        return text


def expect(cond, text):
    if not cond:
        raise AssertionError(text)


def within(seconds, what, cond):
    until = time.time() + seconds
    while True:
        try:
            if cond():
                return
        except OSError:
            pass
        expect(time.time() < until, "not within %g s: %s" % (seconds, what))
        time.sleep(0.02)


def meanwhile(seconds):
    """Let the writers work for so long: the moment of a fault is chosen, not waited for."""
    threading.Event().wait(seconds)


def parallel(fns):
    """Run all at once; the first exception is raised here."""
    out, bad = [None] * len(fns), []

    def run(i):
        try:
            out[i] = fns[i]()
        except Exception as e:  # noqa: BLE001: raised again below
            bad.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(fns))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if bad:
        raise bad[0]
    return out


# --- kill -9 of the primary ---
class Writer:
    """
    One client with buckets of its own. For each it knows what was acknowledged; after a call without an answer both outcomes are
    possible until the cluster is asked.
    """

    def __init__(self, fleet, i):
        self.fleet, self.i, self.rnd = fleet, i, random.Random(i)
        self.state = {"w%d-%d" % (i, k): {None} for k in range(4)}  # possible states: None = no bucket, else mirror.burst_buffer
        self.conf, self.acked, self.unclear, self.failure = {300}, 0, 0, None

    def settle(self, b):
        a = call(self.fleet.proxy(), "HEAD", "/v1/buckets/%s?provider=ais" % b, timeout=5)
        if a.status == 404:
            got = None
        elif a.status == 200:
            got = json.loads(a.get("Ais-Bucket-Props"))["mirror"]["burst_buffer"]
        else:
            raise OSError("HEAD %s: %d" % (b, a.status))
        expect(got in self.state[b], "bucket %s is %s, acknowledged or possible: %s" % (b, got, self.state[b]))
        self.state[b] = {got}

    def step(self):
        b = self.rnd.choice(list(self.state))
        if len(self.state[b]) > 1:
            self.settle(b)
        was, via = next(iter(self.state[b])), self.rnd.randrange(PROXIES)
        n = self.rnd.randrange(1, 500)
        if was is None:
            new, fn = n, lambda: self.fleet.create(b, via, {"mirror": {"burst_buffer": n}}, 5)
        elif self.rnd.random() < 0.5:
            new, fn = None, lambda: self.fleet.destroy(b, via, 5)
        else:
            new, fn = n, lambda: self.fleet.set_props(b, {"mirror": {"burst_buffer": n}}, via, 5)
        self.state[b] = {was, new}
        self.outcome(fn(), lambda: self.state.__setitem__(b, {new}), lambda: None)

    def outcome(self, a, done, refused):
        if a.status == 200:
            done()
            self.acked += 1
        elif a.status in (502, 503, 500, 404, 409):
            self.unclear += 1  # a relay that was cut off, a node that starts, a proxy that lags: asked about later
            refused()
        else:
            raise AssertionError("%d %s" % (a.status, a.body))

    def config_step(self):
        n = 300 + self.acked + self.unclear + 1
        self.conf.add(n)
        a = call(self.fleet.proxy(), "PUT", "/v1/cluster/set-config?timeout.send_file_time=%ds" % n, timeout=5)
        self.outcome(a, lambda: self.conf.intersection_update({n}), lambda: None)

    def run(self, stop):
        while not stop.is_set():
            try:
                if self.i == 0 and self.rnd.random() < 0.3:
                    self.config_step()
                else:
                    self.step()
            except (OSError, ConnectionError):
                self.unclear += 1
                time.sleep(0.02)
            except Exception as e:  # noqa: BLE001: reported by the case
                self.failure = e
                return


def seconds_of(text):
    total, number = 0, ""
    for c in text:
        if c.isdigit():
            number += c
        else:
            total += int(number) * {"h": 3600, "m": 60, "s": 1}[c]
            number = ""
    return total


def kill_the_primary_while_metadata_changes(f):
    writers, stop = [Writer(f, i) for i in range(4)], threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in writers]
    rnd = random.Random(7)
    for t in threads:
        t.start()
    for _ in range(8):
        meanwhile(0.2 + rnd.random() * 0.4)
        os.kill(f.pid(0), signal.SIGKILL)
        within(10, "the primary is gone", lambda: _zombie(f.pid(0)) and _refused(f.proxy()))
        f.start_alone(0)
        f.ready(0)
    meanwhile(0.5)
    stop.set()
    for t in threads:
        t.join()
    f.start()
    for w in writers:
        expect(w.failure is None, "writer %d: %s" % (w.i, w.failure))
        for b in w.state:
            w.settle(b)
    expect(min(w.acked for w in writers) > 5, "too few changes were acknowledged: %s" % [w.acked for w in writers])
    conf = call(f.proxy(), "GET", "/v1/cluster?what=cluster_config").json()
    got = seconds_of(conf["timeout"]["send_file_time"])
    expect(got in writers[0].conf, "send_file_time is %d, acknowledged or possible: %s" % (got, writers[0].conf))
    want = f.bmd(f.proxy())
    for i in range(1, PROXIES + TARGETS):
        within(5, "node %d has the primary's buckets" % i, lambda i=i: f.bmd(f.port + i) == want)


def _refused(port):
    try:
        socket.create_connection((HOST, port), 2).close()
        return False
    except ConnectionRefusedError:
        return True


def _zombie(pid):
    try:
        with open("/proc/%d/stat" % pid) as s:
            return s.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


# --- kill -9 of everything ---
def kill_all_right_after_the_answer(f):
    """Whatever was not written down yet behind the answers: the bucket, its object, the listing."""
    for k in range(3):
        b = "all%d" % k
        expect(f.create(b).status == 200, "create")
        for o in range(9):
            a = f.put(b, "o%d" % o, b"x" * 1000)
            expect(a.status == 200, "put: %d %s" % (a.status, a.body))
        f._run("kill")
        f.start()
        want = ["o%d" % o for o in range(9)]
        expect(f.names(b) == want, "round %d: listed %s" % (k, f.names(b)))
        for o in want:
            expect(f.get(b, o).body == b"x" * 1000, "round %d: %s is not there" % (k, o))


# --- away ---
def a_target_that_was_away_shows_no_old_data(f):
    """Its bucket was destroyed and made again under the same name. Once with its metadata written, once killed right after the create."""
    for quick in (False, True):
        b, t = "again%d" % quick, PROXIES + 1
        expect(f.create(b).status == 200, "create")
        if quick:
            f.node("kill", t)
            f.start()
        for o in range(30):
            expect(f.put(b, "old%d" % o, b"old").status == 200, "put")
        f.node("kill", t)
        a = f.destroy(b)
        expect(a.status == 200, "destroy: %d %s" % (a.status, a.body))
        a = f.create(b)
        expect(a.status == 200, "create again: %d %s" % (a.status, a.body))
        f.start()
        expect(f.names(b) == [], "old names are listed: %s" % f.names(b))
        for o in range(30):
            a = f.get(b, "old%d" % o)
            expect(a.status == 404, "old%d: %d %s" % (o, a.status, a.body))
        for o in range(30):
            expect(f.put(b, "old%d" % o, b"new").status == 200, "put")
        expect(len(f.names(b)) == 30, "listed: %s" % f.names(b))
        expect(all(f.get(b, "old%d" % o).body == b"new" for o in range(30)), "new bytes")


def a_target_that_cannot_make_a_bucket_undoes_it(f):
    """A file lies where the directory should be."""
    t = PROXIES + 2
    root = os.path.join(f.dir, "data", "mp1", str(t), "@ais")
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "blocked"), "w"):
        pass
    a = f.create("blocked")
    expect(a.status >= 400 and b"blocked" in a.body, "%d %s" % (a.status, a.body))
    for i in range(PROXIES + TARGETS):
        within(3, "node %d has forgotten it" % i, lambda i=i: "blocked" not in f.bmd(f.port + i))
    os.unlink(os.path.join(root, "blocked"))
    a = f.create("blocked")
    expect(a.status == 200, "after the obstacle is gone: %d %s" % (a.status, a.body))
    expect(f.put("blocked", "o", b"1").status == 200 and f.destroy("blocked").status == 200, "and it works")


# --- many clients at once ---
def one_of_many_creates_wins(f):
    for k in range(5):
        b = "race%d" % k
        got = parallel([lambda v=v: f.create(b, v % PROXIES) for v in range(9)])
        expect(sorted(a.status for a in got) == [200] + [409] * 8, "create: %s" % [a.status for a in got])
        text = 'bucket "ais://%s" already exists' % b
        expect(all(text in a.json()["message"] for a in got if a.status == 409), "texts")
        got = parallel([lambda v=v: f.destroy(b, v % PROXIES) for v in range(9)])
        expect(sorted(a.status for a in got) == [200] + [404] * 8, "destroy: %s" % [a.status for a in got])


def a_bucket_is_destroyed_while_objects_are_put(f):
    for k in range(3):
        stop, seen = threading.Event(), set()
        expect(f.create("busy").status == 200, "create")

        def writer(w, stop=stop, seen=seen):
            n = 0
            while not stop.is_set():
                a = f.put("busy", "w%d-%d" % (w, n), b"z" * 20000)
                seen.add(a.status)
                n += 1

        threads = [threading.Thread(target=writer, args=(w,)) for w in range(4)]
        for t in threads:
            t.start()
        meanwhile(0.3)
        expect(f.destroy("busy").status == 200, "destroy")
        expect(f.create("busy").status == 200, "create again")
        meanwhile(0.2)
        expect(f.destroy("busy").status == 200, "destroy again")
        stop.set()
        for t in threads:
            t.join()
        expect(seen <= {200, 404}, "round %d: answers %s" % (k, seen))
        expect(f.create("busy").status == 200, "create a third time")
        expect(f.names("busy") == [], "left over: %s" % f.names("busy"))
        expect(f.destroy("busy").status == 200, "the end")


def every_proxy_speaks_for_the_primary(f):
    for i in range(PROXIES):
        b = "relay%d" % i
        expect(f.create(b, i).status == 200, "create through proxy %d" % i)
        for j in range(PROXIES + TARGETS):
            expect(b in f.bmd(f.port + j), "node %d does not know %s when the create was answered" % (j, b))
        a = f.set_props(b, {"nosuch": 1}, i)
        expect(a.status == 400, "a wrong property through proxy %d: %d %s" % (i, a.status, a.body))
        expect(f.destroy(b, i).status == 200, "destroy through proxy %d" % i)
    a = call(f.proxy(1), "POST", "/v1/buckets/forged", {"action": "create-bck"}, [("Ais-Caller-Id", "p[x]")])
    expect(a.status == 403, "a forged caller: %d" % a.status)
    for path, method in (("/v1/metasync", "PUT"), ("/v1/cluster/autoreg", "POST"), ("/v1/cluster/keepalive", "POST")):
        a = call(f.port + 1000, method, path, {"fence": {"epoch": 9, "term": 9}}, [("Ais-Caller-Id", "x"), ("Ais-Fence", "9.9")])
        expect(a.status == 403, "%s without authentication: %d" % (path, a.status))


def hundreds_of_buckets_restart_quickly(f):
    names = ["many%03d" % k for k in range(150)]
    t0 = time.time()
    parallel([lambda part=names[w::6]: [expect(f.create(b).status == 200, "create " + b) for b in part] for w in range(6)])
    made = time.time() - t0
    f._run("kill")
    t0 = time.time()
    f.start()
    took = time.time() - t0
    for i in range(PROXIES + TARGETS):
        within(5, "node %d has them all" % i, lambda i=i: set(names) <= set(f.bmd(f.port + i)))
    print("# 150 buckets: made in %.1f s, restart in %.1f s" % (made, took))
    expect(took < 10, "the restart took %.1f s" % took)
    parallel([lambda part=names[w::6]: [expect(f.destroy(b).status == 200, "destroy " + b) for b in part] for w in range(6)])


# --- the cluster key ---
def _keys_write(f, i, lines):
    path = os.path.join(f.dir, str(i), ".ais.cluster_key")
    with open(path + ".tmp", "w") as k:
        k.write("".join(line + "\n" for line in lines))
    os.chmod(path + ".tmp", 0o600)
    os.rename(path + ".tmp", path)


def _keys_read(f, i):
    with open(os.path.join(f.dir, str(i), ".ais.cluster_key")) as k:
        return k.read().split()


def keys_rotate_while_the_cluster_runs(f):
    new, old = "2:" + secrets.token_hex(32), _keys_read(f, 0)
    t = PROXIES
    for i in range(PROXIES + TARGETS):
        _keys_write(f, i, old + [new])
    f.node("kill", t)
    f.start()
    for i in range(PROXIES + TARGETS):
        _keys_write(f, i, [new])
    f.node("kill", t)
    f.start()
    expect(f.create("rotated").status == 200, "create with the new key")
    expect(f.put("rotated", "o", b"1").status == 200, "put with the new key")
    expect("rotated" in f.bmd(f.port + t), "the target takes part")
    expect(f.destroy("rotated").status == 200, "destroy")


def a_target_with_a_wrong_key_stays_outside(f):
    t = PROXIES + 2
    good = _keys_read(f, t)
    f.node("kill", t)
    _keys_write(f, t, ["2:" + secrets.token_hex(32)])
    f.start_alone(t)
    try:
        within(10, "the target runs, but not as a member", lambda: call(f.port + t, "GET", "/v1/health?readiness=true").status == 503)
        within(10, "the target says why", lambda: "does not have the cluster key" in f.log_of(t) or "authentication refused" in f.log_of(t))
        a = f.create("keyed")
        expect(a.status == 200, "the others go on: %d %s" % (a.status, a.body))
    finally:
        _keys_write(f, t, good)  # read again, no restart
    f.ready(t)
    within(5, "it learns what it missed", lambda: "keyed" in f.bmd(f.port + t))
    expect(f.destroy("keyed").status == 200, "destroy")


# --- graceful stop ---
def a_stop_under_load_is_bounded_and_loses_nothing(f):
    """Clients that stall in the middle of a body hold it up for the drain limit only."""
    t, acked, stop = PROXIES + 1, {}, threading.Event()
    expect(f.create("load").status == 200, "create")
    big = os.urandom(8 << 20)
    for o in range(6):
        expect(f.put("load", "big%d" % o, big).status == 200, "put")

    def writer(w):
        n = 0
        while not stop.is_set():
            name, data = "w%d-%d" % (w, n), os.urandom(3000)
            try:
                if f.put("load", name, data, timeout=15).status == 200:
                    acked[name] = data
            except OSError:
                time.sleep(0.01)
            n += 1

    stalled = _stall(f, t)
    threads = [threading.Thread(target=writer, args=(w,)) for w in range(3)]
    for th in threads:
        th.start()
    meanwhile(0.5)
    t0 = time.time()
    f.node("stop", t)
    took = time.time() - t0
    stop.set()
    for th in threads:
        th.join()
    for s in stalled:
        s.close()
    print("# stop with stalled clients: %.1f s, %d objects acknowledged" % (took, len(acked)))
    expect(took < 18, "the stop took %.1f s" % took)
    expect("stopping" in f.log_of(t), "it was graceful")
    f.start()
    for name, data in acked.items():
        a = f.get("load", name)
        expect(a.status == 200 and a.body == data, "%s: %d" % (name, a.status))
    expect(f.destroy("load").status == 200, "destroy")


def _stall(f, t):
    """Two connections to target t: a PUT that sends half its body, a GET that reads nothing."""
    out = []
    for o in range(50):
        a = call(f.proxy(), "PUT", "/v1/objects/load/stall%d" % o)
        port, path = a.get("Location").split("://", 1)[1].split(":", 1)[1].split("/", 1)
        if int(port) == f.port + t:
            s = socket.create_connection((HOST, int(port)))
            s.sendall(b"PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" % path.encode() + b"y" * 400000)
            out.append(s)
            break
    for o in range(6):
        a = call(f.proxy(), "GET", "/v1/objects/load/big%d" % o)
        port, path = a.get("Location").split("://", 1)[1].split(":", 1)[1].split("/", 1)
        if int(port) == f.port + t:
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((HOST, int(port)))
            s.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            out.append(s)
            break
    return out


def a_stopped_primary_has_answered_what_it_did(f):
    writers, stop = [Writer(f, i) for i in range(10, 13)], threading.Event()
    threads = [threading.Thread(target=w.run, args=(stop,)) for w in writers]
    for th in threads:
        th.start()
    meanwhile(0.4)
    t0 = time.time()
    f.node("stop", 0)
    took = time.time() - t0
    f.start_alone(0)
    f.ready(0)
    stop.set()
    for th in threads:
        th.join()
    f.start()
    for w in writers:
        expect(w.failure is None, "writer %d: %s" % (w.i, w.failure))
        for b in w.state:
            w.settle(b)
    expect(took < 8, "the stop took %.1f s" % took)


# --- damage ---
def a_damaged_log_is_refused_with_its_name(f):
    for k in range(3):
        expect(f.create("dmg%d" % k).status == 200, "create")
    f.node("stop", 0)
    raft = os.path.join(f.dir, "0", ".ais.raft")
    path = os.path.join(raft, sorted(n for n in os.listdir(raft) if n.startswith("log-"))[-1])
    with open(path, "rb") as h:
        good = h.read()
    for at in (len(good) - 5, len(good) // 2):
        bad = bytearray(good)
        bad[at] ^= 0x20
        with open(path, "wb") as h:
            h.write(bad)
        f.start_alone(0)
        within(10, "it gives up", lambda: _zombie(f.pid(0)))
        text = f.forgive_words(0)
        expect(path in text and "damaged at byte" in text, "it says: %s" % text.strip())
    with open(path, "wb") as h:
        h.write(good)
    f.start()
    for k in range(3):
        expect(f.destroy("dmg%d" % k).status == 200, "destroy")


CASES = [
    every_proxy_speaks_for_the_primary,
    one_of_many_creates_wins,
    a_bucket_is_destroyed_while_objects_are_put,
    a_target_that_cannot_make_a_bucket_undoes_it,
    kill_the_primary_while_metadata_changes,
    kill_all_right_after_the_answer,
    a_target_that_was_away_shows_no_old_data,
    keys_rotate_while_the_cluster_runs,
    a_target_with_a_wrong_key_stays_outside,
    a_stopped_primary_has_answered_what_it_did,
    a_stop_under_load_is_bounded_and_loses_nothing,
    a_damaged_log_is_refused_with_its_name,
    hundreds_of_buckets_restart_quickly,
]


def main():
    only = sys.argv[1:]
    with Fleet() as f:
        for case in CASES:
            if only and case.__name__ not in only:
                continue
            t0 = time.time()
            try:
                case(f)
                print("ok %s" % case.__name__)
            except Exception as e:  # noqa: BLE001: a case that breaks is a case that fails
                print("not ok %s: %s" % (case.__name__, e))
                traceback.print_exc(file=sys.stdout)
                try:
                    f.start()
                except RuntimeError as e2:
                    print("# the cluster cannot be mended: %s" % e2)
                    break
            if "AIS_TEST_TIMES" in os.environ:
                print("# %.1f s" % (time.time() - t0))
            sys.stdout.flush()


main()
