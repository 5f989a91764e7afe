#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who is a node. Connections between nodes begin with a mutual proof of the cluster key; here the other side speaks it, well and badly,
and then says malformed things as a node. Then real nodes with another key, and without one.

Each function is one test, its name a sentence. Prints "ok NAME", "not ok NAME: what" or "skip NAME: why".
"""
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys

import wire
from cases import Failed, Skipped, run, same, test, within

CLUSTER = None
ME = "peer8080x"  # a node id like any other


# --- the other side of the proof ---
def cluster_key(path=None):
    with open(path or os.path.join(CLUSTER.dir, "cluster_key")) as f:
        version, key = f.read().strip().split(":")
    return int(version), bytes.fromhex(key)


def fence():
    """The term that the primary is in, as nodes say it in every request."""
    with open(os.path.join(CLUSTER.dir, "0", ".ais.fence")) as f:
        return f.read().strip()


def proof(key, direction, version, client, server, cnonce, snonce):
    text = "ais-node-auth-v1 %s key=%d client=%s server=%s " % (direction, version, client, server)
    return hmac.new(key, text.encode() + cnonce + snonce, hashlib.sha256).hexdigest()


class Peer:
    """A connection to a node's control network (or another), and what is said on it."""

    def __init__(self, node, net=1000, me=ME):
        self.me = me
        self.conn = http.client.HTTPConnection("127.0.0.1", CLUSTER.port + net + node, timeout=10)
        self.conn.connect()
        self.conn.auto_open = 0  # a lost connection is a failure, not a new one
        self.cnonce = os.urandom(32)

    def ask(self, method, path, body=None, headers=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.conn.request(method, path, body, {"Ais-Fence": fence(), **dict(headers)})
        r = self.conn.getresponse()
        return r.status, r.read()

    def hello(self, keys=None, cnonce=None):
        self.cnonce = cnonce or self.cnonce
        status, body = self.ask("POST", "/v1/auth/hello", {"id": self.me, "nonce": self.cnonce.hex(), "keys": keys or [cluster_key()[0]]})
        if status == 200:
            a = json.loads(body)
            self.server, self.snonce, self.server_mac = a["id"], bytes.fromhex(a["nonce"]), a["mac"]
        return status

    def mac(self, **other):
        version, key = cluster_key()
        a = dict(key=key, direction="client", version=version, client=self.me, server=self.server, cnonce=self.cnonce, snonce=self.snonce)
        a.update(other)
        return proof(**a)

    def prove(self, mac):
        return self.ask("POST", "/v1/auth/prove", {"mac": mac})[0]

    def heard(self):
        """Is this a node's connection now? (A route that is for nodes only, a body that says nothing.)"""
        status = self.ask("PUT", "/v1/metasync", b"?")[0]
        if status not in (400, 403, 409):
            raise Failed("metasync of nonsense: %d" % status)
        return status != 403


def peer(node, net=1000):
    """One that has proved itself."""
    p = Peer(node, net)
    same(p.hello(), 200, "hello")
    version, key = cluster_key()
    same(p.server_mac, p.mac(direction="server"), "the node's own proof")
    same(p.prove(p.mac()), 200, "prove")
    return p


# --- proofs ---
@test
def who_has_the_key_is_heard():
    for node in (0, 1):
        p = Peer(node)
        same(p.heard(), False, "before")
        same(peer(node).heard(), True, "after")
    same(peer(1, 2000).ask("GET", "/v1/buckets")[0], 200)


@test
def a_wrong_proof_is_401_and_spoils_its_challenge():
    for node in (0, 1):
        for wrong in (dict(key=os.urandom(32)), dict(key=bytes(32)), dict(version=2), dict(client="another1"), dict(server="another1"),
                      dict(cnonce=os.urandom(32)), dict(snonce=os.urandom(32)), dict(direction="server")):
            p = Peer(node)
            same(p.hello(), 200)
            same(p.prove(p.mac(**wrong)), 401, str(wrong.keys()))
            same(p.prove(p.mac()), 401, "a second try")
            same(p.heard(), False)


@test
def a_proof_that_was_overheard_is_worth_nothing():
    first = peer(1)
    for again in (first.mac(), first.server_mac):
        p = Peer(1)
        same(p.hello(cnonce=first.cnonce), 200)
        same(p.prove(again), 401)
        same(p.heard(), False)
    same(first.prove(first.mac()), 401, "twice on its own connection")


@test
def a_new_challenge_ends_what_was_proved_before():
    p = peer(1)
    same(p.hello(), 200)
    same(p.heard(), False)
    same(p.prove(p.mac()), 200)
    same(p.heard(), True)


@test
def nodes_share_a_key_version_or_do_not_talk():
    version = cluster_key()[0]
    for keys, status in (([0], 401), ([version + 1], 401), ([-1], 401), ([0, version, 7], 200), ([7] * 100 + [version], 401)):
        same(Peer(1).hello(keys), status, str(keys[:3]))


@test
def malformed_challenges_are_refused():
    good = {"id": ME, "nonce": "00" * 32, "keys": [cluster_key()[0]]}
    for change in ({"id": ""}, {"id": "a b"}, {"id": "x" * 300}, {"id": 5}, {"nonce": ""}, {"nonce": "0" * 63}, {"nonce": "zz" * 32},
                   {"nonce": ["00"]}):
        same(Peer(1).ask("POST", "/v1/auth/hello", {**good, **change})[0], 400, str(change))
    same(Peer(1).ask("POST", "/v1/auth/hello", {"id": ME, "nonce": "00" * 32})[0], 401, "no keys")
    for body in (b"", b"{", b"[]", b"\xff", b'"x"'):
        same(Peer(1).ask("POST", "/v1/auth/hello", body)[0], 400, repr(body))
    same(Peer(1).ask("POST", "/v1/auth/hello", b" " * 5000)[0], 413, "more than a challenge needs")
    p = Peer(1)
    same(p.hello(), 200)
    for body in ({}, {"mac": ""}, {"mac": 1}, {"mac": "zz" * 32}, {"mac": "00" * 33}):
        same(p.ask("POST", "/v1/auth/prove", body)[0], 401, str(body))


@test
def a_caller_is_who_has_proved():
    p = peer(1)
    same(p.ask("GET", "/v1/health", headers=[("Ais-Caller-Id", ME)])[0], 200)
    same(p.ask("GET", "/v1/health", headers=[("Ais-Caller-Id", "another1")])[0], 403)
    same(p.ask("GET", "/v1/health", headers=[("Ais-Caller-Id", ME[:-1])])[0], 403)


@test
def an_older_term_is_refused():
    p = peer(1)
    same(p.ask("GET", "/v1/buckets", headers=[("Ais-Fence", "0.0")])[0], 409)
    for nonsense in ("1", "x.y", "-1.1", "1.", ".1", "1.99999999999999999999999"):
        same(p.ask("GET", "/v1/buckets", headers=[("Ais-Fence", nonsense)])[0], 400, nonsense)


@test
def the_public_network_knows_no_proof():
    for node in (0, 1):
        same(Peer(node, 0).hello(), 400)


# --- what one node says to another ---
def state():
    def get(node, path):
        return wire.send("127.0.0.1", CLUSTER.port + node, "GET", path, [("Host", "x"), ("Connection", "close")]).body
    return [get(node, "/v1/daemon?what=" + what) for node in (0, 1) for what in ("smap", "bmd", "config")]


NONSENSE = [b"", b"{", b"[]", b"null", b"\x00" * 100, b"\xff\xfe", b"[" * 50000, b'{"a":' * 20000, b'{"smap":5}', b'{"smap":{"pmap":[],"tmap":7}}',
            b'{"bmd":{"providers":[{}]}}', b'{"si":{"daemon_id":"../x"}}', b'{"uuid":"another-cluster","si":{}}', os.urandom(5000)]


@test
def malformed_metadata_is_refused_and_changes_nothing():
    before = state()
    for node, method, path in ((1, "PUT", "/v1/metasync"), (0, "PUT", "/v1/metasync"), (0, "POST", "/v1/cluster/autoreg"),
                               (0, "POST", "/v1/cluster/keepalive"), (1, "POST", "/v1/cluster/keepalive")):
        for body in NONSENSE:
            status = peer(node).ask(method, path, body)[0]
            if not 400 <= status < 500 and status != 503:
                raise Failed("%s %s %r: %d" % (method, path, body[:40], status))
    same(state(), before)


@test
def nobody_registers_another_or_speaks_for_one_who_is_not_in_the_map():
    before = state()
    a, b = json.loads(before[0]), {}
    target = next(iter(a["tmap"].values()))
    same(peer(0).ask("POST", "/v1/cluster/autoreg", {"si": target})[0], 403)
    same(peer(0).ask("POST", "/v1/cluster/keepalive", b)[0], 404)
    same(state(), before)


@test
def malformed_questions_between_targets_are_refused():
    send = lambda port, m, p, b=None: wire.send("127.0.0.1", port, m, p, [("Host", "x"), ("Connection", "close"), ("Content-Length", str(len(b or b"")))], b)
    same(send(CLUSTER.port, "POST", "/v1/buckets/peers", b'{"action":"create-bck"}').status, 200)
    for body in NONSENSE + [b"\x81" * 60000, b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xffabc", b"\xc1", b"\x85\xa1a"]:
        for path in ("/v1/buckets/peers/_list", "/v1/buckets/peers/_promote"):
            status = peer(1, 2000).ask("POST", path, body)[0]
            if not 400 <= status < 500:
                raise Failed("%s %r: %d" % (path, body[:40], status))
    same(peer(1, 2000).ask("POST", "/v1/buckets/none/_list", b"")[0], 404)
    same(send(CLUSTER.port + 1, "GET", "/v1/health").status, 200)


# --- real nodes ---
def members():
    return sorted(json.loads(state()[0])["tmap"])


def log_of(node):
    d, text = os.path.join(CLUSTER.dir, str(node), "log"), ""
    for name in sorted(os.listdir(d)) if os.path.isdir(d) else []:
        with open(os.path.join(d, name), errors="replace") as f:
            text += f.read()
    return text


def ready(node, query="?readiness=true"):
    try:
        return wire.send("127.0.0.1", CLUSTER.port + node, "GET", "/v1/health" + query, [("Host", "x"), ("Connection", "close")]).status == 200
    except OSError:
        return False


@test
def a_node_with_another_key_does_not_join_until_it_has_ours():
    confdir = os.path.join(CLUSTER.dir, "2")
    keyfile = os.path.join(confdir, ".ais.cluster_key")
    os.makedirs(confdir)
    before = members()
    with open(os.open(keyfile, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write("%d:%s\n" % (cluster_key()[0], os.urandom(32).hex()))
    CLUSTER._run("start", "--targets", "2", "--node", "2", "--no-wait")
    CLUSTER.targets = 2
    within(10, lambda: "does not have the cluster key" in log_of(2), "node 2 says why")
    same((members(), ready(2)), (before, False))
    shutil.copy(os.path.join(CLUSTER.dir, "cluster_key"), keyfile + ".new")
    os.rename(keyfile + ".new", keyfile)
    within(20, lambda: ready(2), "it joins with the right key")
    same(len(members()), len(before) + 1)


@test
def a_node_without_a_key_stays_on_its_own_machine():
    """In a network of its own with an address that is no loopback's: what binds where."""
    try:
        subprocess.run(["unshare", "-n", "true"], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        raise Skipped("no network namespace can be made here") from None
    p = subprocess.run(["unshare", "-n", sys.executable, __file__, "--keyless"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode != 0:
        raise Failed(p.stdout.strip()[-500:])


def reached(host, port):
    try:
        with socket.create_connection((host, port), 2):
            return True
    except OSError:
        return False


def keyless():
    """Runs in the namespace."""
    global CLUSTER
    host = "10.99.0.1"
    for args in (["link", "set", "lo", "up"], ["addr", "add", host + "/24", "dev", "lo"]):
        subprocess.run(["ip", *args], check=True)

    class Here(wire.Cluster):
        def _run(self, what, *args):
            super()._run(what, *args, *(["--no-key", "--no-wait"] if what == "start" else []))

    with Here(targets=1, port=8080) as CLUSTER:
        within(20, lambda: ready(0, "") and ready(1), "they find each other on loopback")
        CLUSTER.node("stop", 1)
        path = os.path.join(CLUSTER.dir, "1", "ais_local.json")
        with open(path) as f:
            conf = json.load(f)
        conf["host_net"]["hostname"] = host
        with open(path, "w") as f:
            json.dump(conf, f)
        node = subprocess.Popen([os.path.join(os.environ.get("AIS_BUILD") or os.path.join(wire.TOP, "build"), "bin", "aisnode"), "-role=target",
                                 "-config=" + os.path.join(CLUSTER.dir, "ais.json"), "-local_config=" + path])
        try:
            within(10, lambda: reached(host, 8081), "the public listener takes the address")
            within(10, lambda: reached("127.0.0.1", 9081), "the control listener is there")
            for port in (9081, 10081):
                if reached(host, port):
                    raise Failed("port %d can be reached from elsewhere" % port)
        finally:
            node.terminate()
            if node.wait(20) != 0:
                raise Failed("exit code %d" % node.returncode)


def main():
    global CLUSTER
    if sys.argv[1:] == ["--keyless"]:
        keyless()
        return 0
    with wire.Cluster(targets=1) as c:
        CLUSTER = c
        return run()


if __name__ == "__main__":
    sys.exit(main())
