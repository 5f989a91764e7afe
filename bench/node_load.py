#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Load for bench/node_bench.sh that wrk cannot make.

    node_load.py fill PORT BUCKET COUNT [SIZE]      PUT COUNT objects "o/0000000"..., pipelined, each where the proxy says
    node_load.py list PORT BUCKET PAGE json|msgpack PIDS
                                                    list it page by page; CPU time of PIDS per page: "ENTRIES CPU_NS" a line
    node_load.py keepalive PORT PATH COUNT          COUNT idle connections, until standard input ends
"""
import glob
import re
import socket
import sys

BATCH = 1024  # objects asked about at once
FANOUT = 32   # connections to each target


class Conn:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""

    def more(self):
        piece = self.s.recv(1 << 20)
        if not piece:
            raise EOFError("connection closed; left: %r" % self.buf[:300])
        self.buf += piece

    def response(self):
        """-> status, head, body"""
        while True:
            end = self.buf.find(b"\r\n\r\n")
            if end >= 0:
                break
            self.more()
        head = self.buf[: end + 2]
        m = re.search(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)\r\n", head)
        total = end + 4 + (int(m.group(1)) if m else 0)
        parts, have = [self.buf], len(self.buf)
        while have < total:
            piece = self.s.recv(1 << 20)
            if not piece:
                raise EOFError("connection closed in a body")
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        self.buf = whole[total:]
        return int(head[9:12]), head, whole[end + 4 : total]


def fill(port, bucket, count, size):
    proxy, targets, body = Conn(port), {}, b"x" * size
    for first in range(0, count, BATCH):
        names = [b"o/%07d" % i for i in range(first, min(first + BATCH, count))]
        proxy.s.sendall(b"".join(b"PUT /v1/objects/%s/%s HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n" % (bucket, n) for n in names))
        asks = {}
        for i in range(len(names)):
            status, head, text = proxy.response()
            if status != 307:
                raise SystemExit("redirect: %d %r" % (status, text))
            m = re.search(rb"\r\nLocation: http://[^:/]+:(\d+)([^\r]*)\r\n", head)
            asks.setdefault((int(m.group(1)), i % FANOUT), []).append(m.group(2))
        for p, paths in asks.items():
            if p not in targets:
                targets[p] = Conn(p[0])
            targets[p].s.sendall(b"".join(b"PUT %s HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n%s" % (u, size, body) for u in paths))
        for p, paths in asks.items():
            for _ in paths:
                status, _, text = targets[p].response()
                if status != 200:
                    raise SystemExit("PUT: %d %r" % (status, text))


def cpu_ns(pids):
    total = 0
    for pid in pids:
        for f in glob.glob("/proc/%s/task/*/schedstat" % pid):
            total += int(open(f).read().split()[0])
    return total


def token_of(body, form):
    if form == "json":
        m = re.search(rb'"continuation_token":"([^"]*)"', body[:4096])
        return m.group(1).decode() if m else ""
    key = b"ContinuationToken"
    at = body.find(key)
    if at < 0:
        return ""
    at += len(key)
    kind = body[at]
    if kind & 0xE0 == 0xA0:
        n, at = kind & 0x1F, at + 1
    elif kind == 0xD9:
        n, at = body[at + 1], at + 2
    elif kind == 0xDA:
        n, at = int.from_bytes(body[at + 1 : at + 3], "big"), at + 3
    else:
        raise SystemExit("continuation_token is no string: %#x" % kind)
    return body[at : at + n].decode()


def count_names(body, form):
    return body.count(b'{"name":"o/') if form == "json" else len(re.findall(rb"o/\d{7}", body))


def list_pages(port, bucket, page, form, pids):
    c, token = Conn(port), ""
    accept = "application/json" if form == "json" else "application/msgpack"
    while True:
        ask = ('{"action":"list","value":{"props":"name,size","pagesize":%d,"continuation_token":"%s"}}' % (page, token)).encode()
        before = cpu_ns(pids)
        c.s.sendall(
            b"GET /v1/buckets/%s HTTP/1.1\r\nHost: b\r\nAccept: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (bucket, accept.encode(), len(ask), ask)
        )
        status, _, body = c.response()
        spent = cpu_ns(pids) - before
        if status != 200:
            raise SystemExit("list: %d %r" % (status, body[:500]))
        token = token_of(body, form)
        n = count_names(body, form) - (1 if token and form != "json" else 0)
        print(n, spent, flush=True)
        if not token:
            return


def keepalive(port, path, count):
    conns = []
    for _ in range(count):
        c = Conn(port)
        c.s.sendall(b"GET %s HTTP/1.1\r\nHost: b\r\n\r\n" % path)
        conns.append(c)
    for c in conns:
        c.response()
    print("open", flush=True)
    sys.stdin.read()


def main(a):
    if len(a) >= 4 and a[0] == "fill":
        fill(int(a[1]), a[2].encode(), int(a[3]), int(a[4]) if len(a) > 4 else 64)
    elif len(a) == 6 and a[0] == "list":
        list_pages(int(a[1]), a[2].encode(), int(a[3]), a[4], a[5].split(","))
    elif len(a) == 4 and a[0] == "keepalive":
        keepalive(int(a[1]), a[2].encode(), int(a[3]))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
