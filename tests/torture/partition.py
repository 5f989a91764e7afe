#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Three proxies and three targets, each in a network namespace of its own, and networks that are cut in every shape, while clients create and
destroy buckets and write, read and delete objects. What they saw is recorded: the history of each bucket and of each object has to be
linearizable. After the last cut everybody agrees and serves again, and nobody had to do anything about it.

A link is cut in one direction by a neighbour's address that nobody has: what is sent is lost without a word. Clients reach everybody always: so
also the one who is cut off from all the others.

Runs on: root with network namespaces; started by partition_test.sh in the clients' namespace.
"""
import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from linear import Never, decide, selftest  # noqa: E402

PROXIES, TARGETS = 3, 3
NODES = PROXIES + TARGETS
PORT = 51080
BUCKETS, OBJECTS = 3, 12
TIMEOUT = 8
CONVERGE = 60  # seconds after the last cut until all must be well


def ip(i):
    return f"10.77.0.{10 + i}"


class Net:
    """The nodes' processes and what lies between them."""

    def __init__(self, args):
        self.dir, self.prefix, self.node, self.procs = args.dir, args.prefix, args.node, {}
        self.cut_links = set()

    def ns(self, i):
        return f"{self.prefix}{i}"

    def config(self, i):
        d = f"{self.dir}/{i}"
        os.makedirs(f"{d}/log", exist_ok=True)
        for m in (1, 2):
            os.makedirs(f"{d}/mp{m}", exist_ok=True)
        url = f"http://{ip(0)}:{PORT + 1000}"
        with open(f"{d}/ais.json", "w") as f:
            json.dump({"backend": {}, "proxy": {"primary_url": url, "original_url": url, "discovery_url": f"http://{ip(1)}:{PORT + 1000}"},
                       "auth": {"client_auth_required": False}, "versioning": {"enabled": True}}, f)
        with open(f"{d}/ais_local.json", "w") as f:
            json.dump({"confdir": d, "log_dir": f"{d}/log",
                       "host_net": {"hostname": ip(i), "hostname_intra_control": "", "hostname_intra_data": "", "port": str(PORT),
                                    "port_intra_control": str(PORT + 1000), "port_intra_data": str(PORT + 2000)},
                       "fspaths": {f"{d}/mp1": "disk", f"{d}/mp2": "disk"} if i >= PROXIES else {}, "test_fspaths": {"count": 0}}, f)
        with open(os.open(f"{d}/.ais.cluster_key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write("1:" + "5a" * 32 + "\n")

    def start(self, i):
        d, role = f"{self.dir}/{i}", "proxy" if i < PROXIES else "target"
        cmd = ["ip", "netns", "exec", self.ns(i), self.node, f"-role={role}", f"-config={d}/ais.json", f"-local_config={d}/ais_local.json",
               f"-daemon_id={role}-{i}00"]
        if role == "proxy":
            cmd.append(f"-ntargets={TARGETS}")
        self.procs[i] = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=open(f"{d}/stderr", "a"), start_new_session=True)

    def stop(self):
        for p in self.procs.values():
            p.send_signal(signal.SIGKILL)
            p.wait()

    def cut(self, a, b):
        """What a sends to b is lost."""
        if (a, b) not in self.cut_links:
            subprocess.run(["ip", "-n", self.ns(a), "neigh", "replace", ip(b), "lladdr", "02:00:00:00:ff:ff", "dev", "eth0", "nud", "permanent"],
                           check=True)
            self.cut_links.add((a, b))

    def heal(self):
        for a, b in self.cut_links:
            subprocess.run(["ip", "-n", self.ns(a), "neigh", "del", ip(b), "dev", "eth0"], check=True)
        self.cut_links.clear()

    def cut_both(self, xs, ys):
        for x in xs:
            for y in ys:
                if x != y:
                    self.cut(x, y)
                    self.cut(y, x)


def ask(host, method, path, body=None, headers=None, timeout=TIMEOUT):
    """Status, headers, body. Raises OSError or HTTPException: nobody knows."""
    c = http.client.HTTPConnection(host, PORT, timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, r, r.read()
    finally:
        c.close()


def state_of(i, what):
    return json.loads(ask(ip(i), "GET", f"/v1/daemon?what={what}", timeout=2)[2])


def leaders(who=range(PROXIES)):
    """Proxies that say they lead, with their terms."""
    out = []
    for i in who:
        try:
            raft = state_of(i, "raft")
        except (OSError, http.client.HTTPException, ValueError):
            continue
        if raft.get("leads"):
            out.append((i, raft["term"]))
    return out


def primary():
    """Which proxy most nodes take for the primary."""
    votes = {}
    for i in range(NODES):
        try:
            p = state_of(i, "smap")["proxy_si"]["public_net"]["node_ip_addr"]
            votes[p] = votes.get(p, 0) + 1
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            continue
    best = max(votes, key=votes.get) if votes else ip(0)
    return next(i for i in range(NODES) if ip(i) == best)


# --- what clients do; each gives (outcome, step) ---

def unknown_create():
    """It may have been made, and also been taken back: two steps, each of which may be."""
    return [lambda s: True, lambda s: False]


def is_there(state):
    if not state:
        raise Never
    return state


def is_not_there(state):
    if state:
        raise Never
    return state


def made(state):
    if state:
        raise Never
    return True


def unmade(state):
    if not state:
        raise Never
    return False


def bucket_op(rng, proxy, name):
    path = f"/v1/buckets/{name}?provider=ais"
    hdr = {"Content-Type": "application/json"}
    if rng.random() < 0.5:
        known, unsure = {200: made, 409: is_there}, unknown_create()
        do = ("POST", json.dumps({"action": "create-bck"}))
    else:
        known, unsure = {200: unmade, 404: is_not_there}, [lambda s: False]
        do = ("DELETE", json.dumps({"action": "destroy-bck"}))
    try:
        status, _, text = ask(ip(proxy), do[0], path, do[1], hdr)
    except (OSError, http.client.HTTPException):
        return None, unsure
    if status == 409 and b"already exists" not in text:
        return None, unsure
    step = known.get(status)
    return (step, None) if step is not None else (None, unsure)


def reads(value):
    def step(state):
        if state != value:
            raise Never
        return state
    step.value = value
    return step


def writes(value):
    def step(_):
        return value
    step.value = value
    return step


def deleted(state):
    if state is None:
        raise Never
    return None


def object_op(rng, proxy, name, value):
    kind = rng.choice(["put", "put", "get", "get", "get", "delete"])
    method = {"put": "PUT", "get": "GET", "delete": "DELETE"}[kind]
    unsure = {"put": [writes(value)], "get": [], "delete": [lambda s: None]}[kind]
    return one_object(method, proxy, name, value, unsure)


def one_object(method, proxy, name, value=None, unsure=()):
    try:
        status, r, text = ask(ip(proxy), method, f"/v1/objects/data/{name}")
        if status not in (301, 307):
            return None, []  # it went no further
        to = r.getheader("Location")
        host, path = to[len("http://"):].split(":")[0], "/" + to.split("/", 3)[3]
        status, _, text = ask(host, method, path, value if method == "PUT" else None)
    except (OSError, http.client.HTTPException):
        return None, list(unsure)
    if status == 200:
        return {"PUT": writes(value), "GET": reads(text.decode()), "DELETE": deleted}[method], None
    if status == 404 and method in ("GET", "DELETE"):
        return reads(None), None
    return None, list(unsure)


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.ops, self.known, self.unknown = {}, 0, 0

    def add(self, register, call, ret, step, unsure):
        with self.lock:
            ops = self.ops.setdefault(register, [])
            if step is not None:
                ops.append((call, ret, step, getattr(step, "value", None)))
                self.known += 1
                return
            ops.extend((call, None, s, getattr(s, "value", None)) for s in unsure)
            self.unknown += bool(unsure)


def client(nr, seed, history, stop):
    rng = random.Random(seed * 1000 + nr)
    n = 0
    while not stop.is_set():
        n += 1
        proxy = rng.randrange(PROXIES)
        call = time.monotonic()
        if nr < 3:
            reg = f"reg{rng.randrange(BUCKETS)}"
            step, unsure = bucket_op(rng, proxy, reg)
        else:
            reg = f"object-{rng.randrange(OBJECTS)}"
            step, unsure = object_op(rng, proxy, reg, f"{nr}.{n}")
        history.add(reg, call, time.monotonic(), step, unsure)
        stop.wait(rng.uniform(0.01, 0.05))


# --- shapes of cuts ---

def split(net, rng):
    xs = rng.sample(range(NODES), NODES // 2)
    net.cut_both(xs, [i for i in range(NODES) if i not in xs])
    return f"split {sorted(xs)}"


def one_way(net, rng):
    a = rng.randrange(NODES)
    bs = rng.sample([i for i in range(NODES) if i != a], rng.randrange(1, NODES))
    for b in bs:
        net.cut(a, b)
    return f"one-way {a} to {sorted(bs)}"


def deaf(net, rng):
    a = rng.randrange(NODES)
    for b in range(NODES):
        if b != a:
            net.cut(b, a)
    return f"deaf {a}"


def lone_primary(net, rng):
    p = primary()
    net.cut_both([p], range(NODES))
    return f"isolated primary {p}"


def lone_target(net, rng):
    t = rng.randrange(PROXIES, NODES)
    net.cut_both([t], range(NODES))
    return f"isolated target {t}"


def minority(net, rng):
    xs = [rng.randrange(PROXIES), rng.randrange(PROXIES, NODES)]
    net.cut_both(xs, [i for i in range(NODES) if i not in xs])
    return f"isolated minority {xs}"


def bridge(net, rng):
    order = rng.sample(range(NODES), NODES)
    mid, xs, ys = order[0], order[1:1 + NODES // 2], order[1 + NODES // 2:]
    net.cut_both(xs, ys)
    return f"bridge {mid} between {sorted(xs)} and {sorted(ys)}"


SHAPES = [lone_primary, lone_target, split, one_way, minority, bridge, deaf]


def within(what, cond, limit):
    end, last = time.monotonic() + limit, None
    while time.monotonic() < end:
        try:
            last = cond()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as e:
            last = e
        time.sleep(0.05)
    raise AssertionError(f"not within {limit} s: {what} (last: {last!r})")


def agree():
    maps = [state_of(i, "smap") for i in range(NODES)]
    seen = {(m["version"], m["proxy_si"]["daemon_id"], len(m["pmap"]), len(m["tmap"])) for m in maps}
    bmds = {state_of(i, "bmd")["version"] for i in range(NODES)}
    return len(seen) == 1 and len(bmds) == 1 and next(iter(seen))[2:] == (PROXIES, TARGETS)


def last_look(history):
    """Everything is read once more, and must be readable."""
    for i in range(OBJECTS):
        reg = f"object-{i}"

        def look(reg=reg):
            call = time.monotonic()
            step, _ = one_object("GET", 0, reg)
            if step is None:
                return None
            history.add(reg, call, time.monotonic(), step, None)
            return True
        within(f"{reg} can be read", look, 30)
    names = {k for ns in state_of(primary(), "bmd")["providers"]["ais"].values() for k in ns}
    for i in range(BUCKETS):
        now = time.monotonic()
        history.add(f"reg{i}", now, now + 0.001, is_there if f"reg{i}" in names else is_not_there, None)


def tell(ok, name, why=""):
    print(f"ok {name}" if ok else f"not ok {name}: {why}", flush=True)
    return ok


def torture(net, args):
    rng, history, stop = random.Random(args.seed), History(), threading.Event()
    for i in range(NODES):
        net.config(i)
        net.start(i)
    within("the cluster starts", agree, 30)
    within("a bucket for objects", lambda: ask(ip(0), "POST", "/v1/buckets/data?provider=ais", json.dumps({"action": "create-bck"}),
                                               {"Content-Type": "application/json"})[0] == 200, 20)
    threads = [threading.Thread(target=client, args=(i, args.seed, history, stop), daemon=True) for i in range(9)]
    for t in threads:
        t.start()
    end, turn, first = time.monotonic() + args.seconds, 0, rng.sample(SHAPES, len(SHAPES))
    while time.monotonic() < end:
        shape = first[turn] if turn < len(first) else rng.choice(SHAPES)
        turn += 1
        print(f"# {time.strftime('%H:%M:%S')} {shape(net, rng)}", flush=True)
        stop.wait(rng.choice([1.5, 4, 7]))
        print(f"#   leads (node, term): {leaders()}", flush=True)
        net.heal()
        stop.wait(rng.choice([0.5, 2, 4]))
        died = [i for i, p in net.procs.items() if p.poll() is not None]
        assert not died, f"nodes ended: {died}"
    stop.wait(1)
    stop.set()
    for t in threads:
        t.join(3 * TIMEOUT)
    since = time.monotonic()
    within("everybody agrees after the last cut", agree, CONVERGE)
    print(f"# agreed {time.monotonic() - since:.1f} s after the last cut", flush=True)
    last_look(history)
    tell(True, "healed")
    return history


def judge(history):
    bad = 0
    print(f"# {history.known} operations, {history.unknown} of unknown outcome", flush=True)
    if history.known < 200:
        bad += not tell(False, "enough", f"only {history.known} operations had an outcome")
    for what, start in (("reg", False), ("object", None)):
        wrong, open_ = [], []
        for reg, ops in sorted(history.ops.items()):
            if reg.startswith(what):
                r = decide(ops, start)
                wrong += [reg] * (r is False)
                open_ += [reg] * (r is None)
        if open_:
            print(f"# not decided: {open_}", flush=True)
        bad += not tell(not wrong, f"linearizable-{what}s", f"{wrong}")
    return bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--dir", required=True)
    p.add_argument("--prefix", required=True)
    p.add_argument("--node", required=True)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--seconds", type=float, required=True)
    args = p.parse_args()
    selftest()
    net = Net(args)
    try:
        bad = judge(torture(net, args))
    except AssertionError as e:
        tell(False, "healed", str(e))
        bad = 1
    finally:
        net.stop()
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
