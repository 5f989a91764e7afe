# SPDX-License-Identifier: Apache-2.0
"""
What the tests on the wire share: a client that sends exactly what it is told, a cluster of our own, a msgpack decoder.

Plain standard library, so that these tests run wherever Python does.
"""
import json
import os
import socket
import struct
import subprocess
import tempfile

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
CLUSTER = os.path.join(TOP, "scripts", "cluster.sh")


# --- HTTP: raw, so that nothing is added, merged or hidden ---
class Answer:
    """A response as received. Header names keep their spelling and order; `get` ignores case."""

    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def get(self, name, default=None):
        for k, v in self.headers:
            if k.lower() == name.lower():
                return v
        return default

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)


def _read_chunked(f):
    body = b""
    while True:
        size = int(f.readline().split(b";")[0], 16)
        if size == 0:
            while f.readline().strip():
                pass
            return body
        body += f.read(size)
        f.readline()


def send(host, port, method, target, headers=(), body=None, timeout=30):
    """One request on a connection of its own. headers: (name, value) pairs, sent as they are."""
    head = "%s %s HTTP/1.1\r\n" % (method, target)
    head += "".join("%s: %s\r\n" % h for h in headers) + "\r\n"
    with socket.create_connection((host, port), timeout) as s:
        s.sendall(head.encode("utf-8") + (body or b""))
        f = s.makefile("rb")
        line = f.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            raise ConnectionError("%s %s: closed without an answer" % (method, target))
        _, status, reason = (line.split(" ", 2) + [""])[:3]
        got = []
        while True:
            line = f.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
            if not line:
                break
            name, value = line.split(":", 1)
            got.append((name, value.strip()))
        a = Answer(int(status), reason, got, b"")
        if method == "HEAD" or a.status in (204, 304):
            return a
        if (a.get("Transfer-Encoding") or "").lower() == "chunked":
            a.body = _read_chunked(f)
        elif a.get("Content-Length") is not None:
            a.body = f.read(int(a.get("Content-Length")))
            if len(a.body) != int(a.get("Content-Length")):
                raise ConnectionError("%s %s: body of %d bytes, %s announced" % (method, target, len(a.body), a.get("Content-Length")))
        else:
            a.body = f.read()
        return a


# --- a cluster of our own ---
class Cluster:
    """One proxy and some targets in a temporary folder, on free ports. Node 0 is the proxy."""

    def __init__(self, targets=3, proxies=1, port=None, prepare=None, mountpaths=2):
        self.targets, self.proxies = targets, proxies
        self.dir = tempfile.mkdtemp(prefix="ais-wire.")
        self.port = port or int(os.environ.get("AIS_TEST_PORT") or 0) or free_ports(targets + proxies)
        if prepare:
            prepare(self)
        try:
            self._run("start", "--port", str(self.port), "--targets", str(targets), "--proxies", str(proxies),
                      "--mountpaths", str(mountpaths))
        except BaseException:  # a node that does not start, or a signal: nothing stays behind
            self.clean()
            raise

    def _run(self, *args):
        p = subprocess.run([CLUSTER, args[0], "--dir", self.dir, *args[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode != 0:
            raise RuntimeError("cluster.sh %s: %s" % (args[0], p.stdout))

    def node(self, what, i):
        """start, stop or kill node i."""
        self._run(what, "--node", str(i))

    def start(self):
        """What does not run."""
        self._run("start")

    def start_alone(self, i):
        """Node i, without waiting for it: it may have reasons to wait."""
        self._run("start", "--node", str(i), "--no-wait")

    def last_words(self):
        """What nodes wrote to standard error: nothing, unless a sanitizer or an assertion spoke."""
        for i in range(self.targets + self.proxies):
            path = os.path.join(self.dir, str(i), "stderr")
            if os.path.exists(path) and os.path.getsize(path) > 0:
                with open(path, errors="replace") as f:
                    yield i, f.read()

    def clean(self):
        self._run("clean")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run("stop")  # the leak checker speaks last
        for i, text in self.last_words():
            print("not ok node_%d_keeps_quiet: %s" % (i, text.strip().split("\n")[0]))
            print("\n".join("    | " + line for line in text.split("\n")[:40]))
        self.clean()


def free_ports(nodes):
    """A first port with room for all three networks of all nodes. (Somebody else may still be faster; then the start fails, loudly.)"""
    for first in range(21000 + os.getpid() % 4000, 29000, 16):
        if all(_free(first + net + i) for net in (0, 1000, 2000) for i in range(nodes)):
            return first
    raise RuntimeError("no free ports")


def _free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# --- msgpack ---
def msgpack_decode(data):
    value, end = _mp(data, 0)
    if end != len(data):
        raise ValueError("msgpack: %d bytes left over" % (len(data) - end))
    return value


_MP_NUMBER = {0xca: ">f", 0xcb: ">d", 0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
_MP_SIZED = {0xc4: (">B", "bin"), 0xc5: (">H", "bin"), 0xc6: (">I", "bin"), 0xd9: (">B", "str"), 0xda: (">H", "str"), 0xdb: (">I", "str"),
             0xdc: (">H", "arr"), 0xdd: (">I", "arr"), 0xde: (">H", "map"), 0xdf: (">I", "map")}
_MP_CONST = {0xc0: None, 0xc2: False, 0xc3: True}


def _mp(d, i):
    b = d[i]
    i += 1
    if b < 0x80:
        return b, i
    if b < 0x90:
        return _mp_of(d, i, "map", b & 15)
    if b < 0xa0:
        return _mp_of(d, i, "arr", b & 15)
    if b < 0xc0:
        return _mp_of(d, i, "str", b & 31)
    if b >= 0xe0:
        return b - 256, i
    if b in _MP_CONST:
        return _MP_CONST[b], i
    if b in _MP_NUMBER:
        f = _MP_NUMBER[b]
        return struct.unpack_from(f, d, i)[0], i + struct.calcsize(f)
    if b in _MP_SIZED:
        f, kind = _MP_SIZED[b]
        return _mp_of(d, i + struct.calcsize(f), kind, struct.unpack_from(f, d, i)[0])
    raise ValueError("msgpack: byte 0x%02x" % b)


def _mp_of(d, i, kind, n):
    if kind in ("str", "bin"):
        if i + n > len(d):
            raise ValueError("msgpack: cut off")
        raw = d[i:i + n]
        return (raw.decode() if kind == "str" else raw), i + n
    if kind == "arr":
        out = []
        for _ in range(n):
            v, i = _mp(d, i)
            out.append(v)
        return out, i
    out = {}
    for _ in range(n):
        k, i = _mp(d, i)
        out[k], i = _mp(d, i)
    return out, i
