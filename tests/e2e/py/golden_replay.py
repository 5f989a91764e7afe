#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Ask our cluster what a real AIStore 5.0 was once asked, and compare the answers.

tests/golden/wire/NAME.txt holds one question with every hop: request as sent, answer as received. We start a cluster of the same shape
with the same node ids, so that even the placement of objects has to agree, put the same state there, and follow redirects as the recorded
client did. What differs from run to run (times, ids, counters) is listed in VOLATILE with the form that it must have. What we do otherwise
on purpose is listed in DEVIATIONS; each has a row in docs/compatibility.md, and one that is no longer needed is a failure.

Prints "ok NAME", "not ok NAME: first difference" or "skip NAME: why" for each recording.
"""
import fnmatch
import glob
import json
import os
import re
import sys

import wire

WIRE = os.path.join(wire.TOP, "tests", "golden", "wire")
DOC = os.path.join(wire.TOP, "docs", "compatibility.md")
IDS = ["qxIp38080", "EMAt38081", "vWRt38082", "FYet38083"]  # node i
PORTS = {"38": 0, "39": 1000, "40": 2000}                   # recorded ports: 38080+i public, 39080+i control, 40080+i data

# The state each recording needs is what those before it leave behind. A name that starts with "=" is a step of our own (see Replay).
ORDER = """
state-health state-health-readiness state-health-prr state-health-cii
state-daemon-smap state-daemon-bmd state-daemon-config state-daemon-snode state-daemon-status state-daemon-disk state-daemon-metrics
state-daemon-sysinfo state-daemon-node_stats state-daemon-node_status
state-target-health state-target-smap state-target-config state-target-mountpaths state-target-sysinfo state-target-node_stats
state-target-disk
state-reverse-health state-reverse-smap state-reverse-config state-reverse-mountpaths state-reverse-sysinfo state-reverse-node_stats
state-reverse-node_status state-reverse-disk
state-cluster-smap state-cluster-config state-cluster-mountpaths state-cluster-remote state-cluster-stats state-cluster-sysinfo
state-prometheus-proxy state-prometheus-target state-root state-unknown-path state-bad-version
bucket-create bucket-create-again bucket-create-bad-name bucket-create-bad-json bucket-create-props bucket-list bucket-list-all
bucket-head bucket-props-set bucket-props-bad-value bucket-props-reset bucket-props-missing
object-put object-put-again object-put-zero object-put-cksum-good object-put-cksum-bad object-put-direct-to-target
object-put-missing-bucket object-put-a object-put-a-slash-b object-put-long-name object-put-unicode
object-get object-get-zero object-get-missing object-get-missing-bucket
object-range-first object-range-middle object-range-open object-range-past object-range-multi object-range-nonsense
object-head object-head-missing object-head-v2 object-easy-url object-custom-props object-head-custom object-rename
object-delete object-delete-missing append-1 =append-2 append-flush append-get
=objects-l list-all list-all-msgpack list-page-1 list-page-too-big list-prefix list-no-recursion list-bad-flags list-missing-bucket
summary-0 =wait summary-1 bucket-head-info
mpt-start mpt-part-1 mpt-part-2 mpt-part-3 mpt-complete mpt-head mpt-start-2 mpt-part-bad-number mpt-abort mpt-abort-unknown
config-set config-set-json config-set-bad-key
job-running job-start-cleanup job-stop-unknown download-list dsort-list
bucket-rename bucket-destroy mountpath-attach-bad x509
""".split()

# --- what may differ: (recording, place, form). Place: hop:header:NAME or hop:body/KEY/KEY, hop counted from the end (-1 = last) ---
NUM = r"\d+"
REAL = r"\d+(\.\d+)?(e-\d+)?"
UUID = r"[A-Za-z0-9_-]{8,16}"
LOCATION = r"t\[\w+\]:mp\[/mp\d/\d, ([\w-]+, (hdd|ssd|nvme)|fs=[^,]*, unknown)\]"
VOLATILE = [
    ("*", "*:header:ais-atime", r"1\d{18}"),
    ("*", "*:header:ais-*-uptime", NUM),
    ("*", "*:header:ais-xaction-id", UUID),
    ("*", "*:header:content-length", NUM),  # checked against the body itself
    ("*", "*:header:last-modified", r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    ("*", "*:header:date", r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    ("*", "*:header:etag", r'"v1-832ac537e6e48057-[0-9a-z]{10,13}"'),
    ("*", "*:header:ais-location", LOCATION),
    ("*", "*:header:ais-mirror-paths", r"\[?/mp\d/\d\]?"),
    ("append-1", "*:header:ais-append-handle", r"vWRt38082\|/mp\d/2/@ais/gold/%wk/[^|]+\|xxhash2\|[0-9a-f]+\.[A-Za-z0-9+/]+=*"),
    ("*", "*:header:hdr-error/remote_addr", r"127\.0\.0\.1:\d+"),
    ("*", "*:body/remote_addr", r"127\.0\.0\.1:\d+"),
    ("*", "*/bid", r"9223372036854775\d{3}"),
    ("*", "*/created", r"1\d{18}"),
    ("*", "*:body/uuid", UUID), ("*", "*/bmd/uuid", UUID), ("*", "*/smap/uuid", UUID), ("list-all-msgpack", "-1:body/UUID", UUID),
    ("*", "*/smap/version", NUM), ("*", "*/smap_version", NUM), ("*-smap", "*:body/version", NUM), ("*-health", "*:body/version", NUM),
    ("*", "*/config/version", NUM), ("*-config", "*:body/config_version", NUM),
    ("*-config", "*:body/host_net/hostname", r"127\.0\.0\.1"),  # how cluster.sh starts a node
    ("*", "*:body/creation_time", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    ("*", "*lastupdate_time", r".*"),
    ("*", "*/tracker/up.ns.time", NUM),
    ("*", "*/tracker/disk.*", NUM),
    ("*", "*/ais_version", r"5\.0\.[0-9a-f]{6,12}(-dirty)?"),
    ("*", "*/build_time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000"),
    ("*", "*/used", NUM), ("*", "*/avail", NUM), ("*", "*/pct_used", NUM), ("*", "*/total_*", NUM),
    ("*", "*/pct_max", NUM), ("*", "*/pct_avg", NUM), ("*", "*/pct_min", NUM),
    ("*", "*/fs/Fs*", r".+"),
    ("*", "*/AllDiskStats/*", NUM),
    ("*sysinfo", "*:body*", REAL),
    ("*node_status", "*/sys_info/*", REAL),
    ("list-*", "*/entries/*/atime", r"\d\d \w{3} \d\d \d\d:\d\d \w+"),
    ("list-*", "*/entries/*/location", LOCATION),
    ("summary-0", "*:body", UUID),
    ("summary-1", "*/TotalSize/*", NUM),
    ("summary-1", "*/used_pct", NUM),
    ("mpt-start*", "-1:body", UUID), ("job-start-*", "-1:body", UUID),
]


# What we do otherwise: (recording, place) -> our answer there (a value, or a form if it starts with "re:"). Why: docs/compatibility.md
ABSENT = "(absent)"
DEVIATIONS = {
    ("bucket-create-bad-json", "-1:body/message"):
        "p[qxIp38080]: failed to unmarshal [*apc.ActMsg] (POST), err: JSON: unexpected token near end of file (line 1, column 10)",
    ("list-bad-flags", "-1:body/message"):
        "p[qxIp38080]: failed to unmarshal list (map[string]interface {}), err: apc.LsoMsg.Flags: readUint64: unexpected character: x",
    ("mpt-abort-unknown", "-1:body/message"):
        "failed to load partial chunk-manifest[ais://gold/mp, id=nonsense]: no such file or directory",
    ("object-put-long-name", "-1:header:ais-custom-md"): ABSENT,
    ("object-easy-url", "-2:header:location"): "http://127.0.0.1:38081/v1/objects/gold/dir/o1?provider=ais&pid=qxIp38080&utm=UTM",
    ("object-easy-url", "-2:body"): '<a href="http://127.0.0.1:38081/v1/objects/gold/dir/o1?provider=ais&amp;pid=qxIp38080&amp;utm=UTM">'
                                    "Moved Permanently</a>.",
    ("object-easy-url", "-1:status"): "200 OK",
    ("object-easy-url", "-1:header:content-type"): "application/octet-stream",
    ("object-easy-url", "-1:header:x-content-type-options"): ABSENT,
    ("object-easy-url", "-1:header:ais-atime"): "re:1\\d{18}",
    ("object-easy-url", "-1:header:ais-checksum-type"): "xxhash2",
    ("object-easy-url", "-1:header:ais-checksum-value"): "832ac537e6e48057",
    ("object-easy-url", "-1:header:ais-version"): "2",
    ("object-easy-url", "-1:body"): "0123456789" * 100 + "x",
    ("state-cluster-sysinfo", "-1:body/proxy"): "keys:qxIp38080",
}
# Not built in: dsort; and what Go's libraries and caches count of themselves.
for _rec in ("state-target-node_stats", "state-reverse-node_stats", "state-reverse-node_status"):
    DEVIATIONS[_rec, "-1:body/tracker/dsort.creation.resp.ns"] = ABSENT
for _t in IDS[1:]:
    DEVIATIONS["state-cluster-stats", "-1:body/target/%s/tracker/dsort.creation.resp.ns" % _t] = ABSENT
GO_METRICS = {
    "state-prometheus-proxy": ["promhttp_metric_handler_requests_in_flight", "promhttp_metric_handler_requests_total"],
    "state-prometheus-target": ["promhttp_metric_handler_requests_in_flight", "promhttp_metric_handler_requests_total",
                                "ais_target_dsort_creation_req_count", "ais_target_dsort_creation_resp_count",
                                "ais_target_dsort_extract_shard_bytes", "ais_target_dsort_extract_shard_dsk_count",
                                "ais_target_dsort_extract_shard_mem_count", "ais_target_err_lcache_count",
                                "ais_target_lcache_collision_count", "ais_target_lcache_flush_cold_count"],
}
for _rec, _families in GO_METRICS.items():
    for _family in _families:
        DEVIATIONS[_rec, "-1:body/" + _family] = ABSENT
# The form of the answer to a scrape: length known beforehand rather than chunks; counters of what exists in C.
for _name in ("state-prometheus-proxy", "state-prometheus-target"):
    DEVIATIONS[_name, "-1:header:content-length"] = "re:\\d+"
    DEVIATIONS[_name, "-1:header:transfer-encoding"] = ABSENT
# We sign nothing yet, so we publish no key.
for _name, _places in {"state-daemon-snode": ["body"], "state-cluster-stats": ["body/proxy/snode"] + ["body/target/%s/snode" % t for t in IDS[1:]],
                       "*smap": ["body/pmap/qxIp38080", "body/proxy_si"], "*node_stat*": ["body/snode"]}.items():
    for _rec in fnmatch.filter(ORDER, _name) + (["state-reverse-health"] if "smap" in _name else []):
        for _place in _places:
            DEVIATIONS[_rec, "-1:%s/verifying_key" % _place] = ABSENT
        if "smap" in _name: # by which disks a target is known; feature levels
            DEVIATIONS[_rec, "-1:body/ext"] = "keys:level,levels,storage"


# --- recordings ---
class Hop:
    def __init__(self, node, method, target, req_headers, body, status, reason, headers, answer, tail):
        self.node, self.method, self.target, self.req_headers, self.body = node, method, target, req_headers, body
        self.status, self.reason, self.headers, self.answer, self.tail = status, reason, headers, answer, tail


def split_head(text):
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    return lines[0], [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]], body


def sent_body(text, length):
    """The bytes of a request: what is not JSON is as sent; JSON was indented for reading, and came from Python's json.dumps."""
    if text in ("(no body)", "(empty)", ""):
        return None
    for raw in (text, json.dumps(json.loads(text)) if text.startswith("{") and length != len(text) else text):
        if len(raw.encode()) == length:
            return raw.encode()
    raise ValueError("request body of %d bytes is not as announced (%d)" % (len(text), length))


def received_body(text):
    """(kind, value): json, text, msgpack or none."""
    if text in ("(no body)", "(empty)", ""):
        return "none", None
    if text.startswith("hex, "):
        return "msgpack", wire.msgpack_decode(bytes.fromhex(text.partition(": ")[2]))
    if text.startswith("text with raw bytes: "):
        text = re.sub(r"\\x[0-9a-f]{2}", "\ufffd", text.partition(": ")[2].replace("\\\\", "\\")).removesuffix("\\n")
    if text[:1] in "{[":
        return "json", json.loads(text)
    return "text", text


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parse(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        text = f.read()
    hops = []
    for part in re.split(r"^>>> to ", text, flags=re.M)[1:]:
        port, _, part = part.partition("\n")
        request, _, answer = part.partition("\n<<<\n")
        line, req_headers, body = split_head(request)
        method, target, _ = line.split(" ")
        line, headers, content = split_head(answer)
        _, status, reason = line.split(" ", 2)
        length = next((int(v) for k, v in req_headers if k == "Content-Length"), 0)
        announced = next((int(v) for k, v in headers if k == "Content-Length"), None)
        kind, value = received_body(content.strip("\n") if "text/html" not in answer else content.rstrip("\n"))
        tail = kind == "json" and announced is not None and announced - len(compact(value).encode()) == 1
        hops.append(Hop(int(port[-1]), method, target, req_headers, sent_body(body.strip("\n"), length), int(status), reason, headers,
                        (kind, value), tail))
    return hops


# --- comparing ---
class Difference(Exception):
    pass


class Replay:
    def __init__(self, cluster):
        self.c = cluster
        self.disks = None
        self.bound = {}     # ids that the recorded cluster gave -> ids that ours gave
        self.handle = None  # of the append in progress
        self.used = set()   # deviations that were seen

    # Texts of both sides in one form: ports counted from 38080, mountpaths as /mpK/I, folders as /run/I.
    def ours(self, s):
        for first in PORTS.values():
            for i in range(4):
                s = re.sub(r"(?<![\w])%d(?!\d)" % (self.c.port + first + i), "%d" % (38080 + first + i), s)
        s = re.sub(r"(from 127\.0\.0\.1:)\d+$", r"\1CLIENT", s)
        s = s.replace(self.c.dir + "/data", "").replace(self.c.dir, "/run")
        return s

    def theirs(self, s):
        for old, new in self.bound.items():
            s = s.replace(old, new)
        s = re.sub(r"(from 127\.0\.0\.1:)\d+$", r"\1CLIENT", s)
        return s.replace("/ais/data", "").replace("/tmp/ais2/data", "").replace("/ais/run", "/run")

    def norm(self, v, fix):
        if isinstance(v, str):
            return fix(v)
        if isinstance(v, list):
            return [self.norm(x, fix) for x in v]
        if isinstance(v, dict):
            return {self.disk_name(fix(k)): self.norm(x, fix) for k, x in v.items()}
        return v

    # Where /sys does not tell (a bare chroot), nodes know of no disks: the recorded ones are left out then.
    def without_disks(self, v):
        if self.disks:
            return v
        if isinstance(v, list):
            return [self.without_disks(x) for x in v if x != "vda"]
        if isinstance(v, dict):
            return {k: self.without_disks(x) for k, x in v.items() if k != "vda" and not k.startswith("disk.vda.")}
        return v

    def expected(self, v):
        return self.without_disks(self.norm(v, self.theirs))

    # Disks have other names here: the first one counts, under the recorded name.
    def disk_name(self, k):
        return re.sub(r"^disk\.%s\." % re.escape(self.disks), "disk.vda.", "vda" if k == self.disks else k) if self.disks else k

    def allowed(self, name, place, got):
        for rec, where, form in VOLATILE:
            if fnmatch.fnmatchcase(name, rec) and fnmatch.fnmatchcase(place, where):
                if not re.fullmatch(form, str(got)):
                    raise Difference("%s: %r does not look like %s" % (place, got, form))
                return True
        return False

    def deviates(self, name, place, got):
        want = DEVIATIONS.get((name, place))
        if want is None:
            return False
        got = got[0] if isinstance(got, list) and len(got) == 1 else got
        if isinstance(want, str) and want.startswith("re:"):
            ok = isinstance(got, str) and re.fullmatch(want[3:], got)
        elif isinstance(want, str) and want.startswith("keys:"):
            ok = isinstance(got, dict) and sorted(got) == want[5:].split(",")
        else:
            ok = got == want
        if not ok:
            raise Difference("%s: not even the deviation that is documented: %r" % (place, got))
        self.used.add((name, place))
        return True

    def value(self, name, place, want, got):
        if self.deviates(name, place, got):
            return
        if want is ABSENT or got is ABSENT:
            raise Difference("%s: %s, expected %s" % (place, got if got is ABSENT else "unexpected " + repr(got), want))
        if type(want) is not type(got) and not {type(want), type(got)} <= {int, float}:
            raise Difference("%s: %s, expected %s (%r vs %r)" % (place, type(got).__name__, type(want).__name__, got, want))
        if isinstance(want, dict):
            for k in list(want) + [k for k in got if k not in want]:
                self.value(name, place + "/" + k, want.get(k, ABSENT), got.get(k, ABSENT))
            order = [k for k in got if k in want]
            if order != [k for k in want if k in got]:
                raise Difference("%s: keys in another order: %s" % (place, order))
        elif isinstance(want, list):
            if len(want) != len(got):
                raise Difference("%s: %d elements, expected %d" % (place, len(got), len(want)))
            for i, (a, b) in enumerate(zip(want, got)):
                self.value(name, "%s/%d" % (place, i), a, b)
        elif not self.allowed(name, place, got) and want != got:
            raise Difference("%s: %r, expected %r" % (place, got, want))

    def header_set(self, headers):
        out = {}
        for k, v in headers:
            out.setdefault(k.lower(), []).append(v)
        return out

    def headers(self, name, hop, want, got):
        want, got = self.header_set(want), self.header_set(got)
        for k in sorted(set(want) | set(got)):
            place = "%d:header:%s" % (hop, k)
            if k not in want or k not in got:
                self.value(name, place, want.get(k, ABSENT), got.get(k, ABSENT))
                continue
            if k == "location":
                self.location(name, place, want[k][0], got[k][0])
            elif want[k][0].startswith("{"):
                self.value(name, place, self.expected(json.loads(want[k][0])), self.norm(json.loads(got[k][0]), self.ours))
            else:
                self.value(name, place, sorted(self.theirs(v) for v in want[k])[0] if len(want[k]) == 1 else
                           sorted(self.theirs(v) for v in want[k]),
                           self.ours(got[k][0]) if len(got[k]) == 1 else sorted(self.ours(v) for v in got[k]))

    # The address of the right target, path and query kept, pid and utm added.
    def location(self, name, place, want, got):
        form = re.sub(r"utm=\w+", r"utm=UTM", self.theirs(want))
        have = re.sub(r"utm=[0-9a-z]{12}(?=$|&)", "utm=UTM", self.ours(got))
        self.value(name, place, form, have)

    def prometheus(self, name, hop, want, got):
        def families(text):
            out = {}
            for line in text.split("\n"):
                if line.startswith("# TYPE "):
                    _, _, family, kind = line.split(" ")
                    out[family] = {"type": kind, "labels": ""}
                elif line and not line.startswith("#"):
                    full, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? .*", line).groups()
                    family = full if full in out else re.sub(r"_(bucket|sum|count)$", "", full)
                    if not out[family]["labels"]:
                        out[family]["labels"] = ",".join(sorted(re.findall(r'(\w+)="', labels or "")))
            return out
        want, got = families(want), families(got)
        for k in sorted(want):
            if self.disks or not k.startswith("ais_target_disk_"):
                self.value(name, "%d:body/%s" % (hop, k), want[k], got.get(k, ABSENT))

    # A text, or the little HTML page of a redirect.
    def page(self, raw):
        return re.sub(r"utm=\w+", "utm=UTM", self.ours(raw).rstrip("\n")) if isinstance(raw, str) else raw

    def body(self, name, hop, h, a):
        kind, want = h.answer
        raw = a.body.decode("utf-8") if kind != "msgpack" else a.body
        place = "%d:body" % hop
        if self.deviates(name, place, self.page(raw)):
            return
        if kind == "none":
            if raw:
                raise Difference("%s: %r, expected none" % (place, raw[:100]))
        elif name.startswith("state-prometheus"):
            self.prometheus(name, hop, want, raw)
        elif kind == "msgpack":
            self.value(name, place, self.expected(want), self.norm(wire.msgpack_decode(raw), self.ours))
        elif kind == "json":
            try:
                got = json.loads(raw)
            except ValueError:
                raise Difference("%s: not JSON: %r" % (place, raw[:100]))
            if h.tail and not raw.endswith("\n"):
                raise Difference("%s: no newline at the end" % place)
            self.value(name, place, self.expected(want), self.norm(got, self.ours))
        else:
            self.value(name, place, self.page(self.theirs(want)), self.page(raw))

    # --- sending ---
    def request(self, hop, node=None, target=None):
        host = "127.0.0.1:%d" % (self.c.port + (hop.node if node is None else node))
        t = target
        if t is None:
            t = hop.target
            for old, new in self.bound.items():
                t = t.replace(old, new)
        body = hop.body
        for old, new in self.bound.items():
            body = body.replace(old.encode(), new.encode()) if body else body
        headers = [(k, host if k == "Host" else str(len(body or b"")) if k == "Content-Length" else v) for k, v in hop.req_headers]
        return wire.send("127.0.0.1", int(host.rsplit(":", 1)[1]), hop.method, t, headers, body)

    def bind(self, name, hop, a):
        if name in ("mpt-start", "mpt-start-2", "summary-0") and hop.status in (200, 202):
            self.bound[hop.answer[1]] = a.body.decode()
        if name == "append-1" and hop.status == 200:
            self.handle = a.get("Ais-Append-Handle")

    def run(self, name):
        hops = parse(os.path.join(WIRE, name + ".txt"))
        node, target = hops[0].node, None
        if name == "append-flush":
            target = self.append_target("flush")
            self.bound[re.search(r"append_handle=([^&]+)", hops[0].target).group(1)] = quote(self.handle)
        for i, h in enumerate(hops):
            at = i - len(hops)
            a = self.request(h, node, target)
            if (a.status, a.reason) != (h.status, h.reason):
                self.value(name, "%d:status" % at, "%d %s" % (h.status, h.reason), "%d %s" % (a.status, a.reason))
            self.headers(name, at, h.headers, a.headers)
            self.body(name, at, h, a)
            self.bind(name, h, a)
            if a.get("Location"):
                _, where, target = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", a.get("Location")).groups()
                node = int(where) - self.c.port

    # --- steps of our own ---
    def append_target(self, kind):
        return "/v1/objects/gold/app?provider=ais&append_type=%s&append_handle=%s" % (kind, quote(self.handle))

    def follow(self, method, target, body, want=200):
        host, port = "127.0.0.1", self.c.port
        while True:
            a = wire.send(host, port, method, target, [("Host", "%s:%d" % (host, port)), ("Content-Length", str(len(body)))], body)
            if a.status not in (301, 307):
                break
            host, port, target = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", a.get("Location")).groups()
            port = int(port)
        if a.status != want:
            raise RuntimeError("%s %s: %d %r" % (method, target, a.status, a.body[:200]))
        return a

    def step(self, name):
        if name == "=append-2":
            self.handle = self.follow("PUT", self.append_target("append"), b"part two").get("Ais-Append-Handle")
        elif name == "=objects-l":
            for i in range(25):
                self.follow("PUT", "/v1/objects/gold/l/%03d?provider=ais" % i, b"v" * i)
            for n in ("l/a-b", "l/a/b/c", "l/a/z"):
                self.follow("PUT", "/v1/objects/gold/%s?provider=ais" % n, b"v")
        elif name == "=wait":
            self.wait_summary()

    # The recorded client asked once it could expect an answer; we ask until there is one.
    def wait_summary(self):
        import time
        hop = parse(os.path.join(WIRE, "summary-1.txt"))[0]
        deadline = time.monotonic() + 20
        while self.request(hop).status != 200:
            if time.monotonic() > deadline:
                raise RuntimeError("the summary does not end")


def quote(s):
    import urllib.parse
    return urllib.parse.quote(s, safe="")


# --- the cluster: same ids, same configuration file, two mountpaths a target ---
CONFIG = {
    "backend": {},
    "auth": {"client_auth_required": False},
    "space": {"cleanupwm": 65, "lowwm": 90, "highwm": 95, "out_of_space": 98, "batch_size": 32768, "dont_cleanup_time": "120m"},
    "timeout": {"cplane_operation": "2s", "max_keepalive": "5s", "max_host_busy": "20s", "startup_time": "1m", "join_startup_time": "3m",
                "send_file_time": "5m", "ec_streams_time": "10m", "object_md": "2h", "cold_get_conflict": "5s"},
    "resilver": {"enabled": True},
    "memsys": {"min_free": "2gb", "default_buf": "32kb", "to_gc": "4gb", "hk_time": "3m"},
    "versioning": {"enabled": True, "validate_warm_get": False},
    "net": {"l4": {"proto": "tcp", "sndrcv_buf_size": 131072},
            "http": {"use_https": False, "server_crt": "server.crt", "server_key": "server.key", "write_buffer_size": 65536,
                     "read_buffer_size": 65536, "chunked_transfer": True, "skip_verify": False, "idle_conn_time": "6s",
                     "idle_conns_per_host": 32, "idle_conns": 256}},
}


def prepare(c):
    ctl = c.port + 1000
    conf = dict(CONFIG, proxy={"primary_url": "http://127.0.0.1:%d" % ctl, "original_url": "http://localhost:%d" % c.port,
                               "discovery_url": "", "non_electable": False})
    with open(os.path.join(c.dir, "ais.json"), "w") as f:
        json.dump(conf, f)
    os.makedirs(os.path.join(c.dir, "0"))
    with open(os.path.join(c.dir, "0", ".ais.proxy_id"), "w") as f:
        f.write(IDS[0])
    for i in range(1, 4):
        for m in (1, 2):
            p = os.path.join(c.dir, "data", "mp%d" % m, str(i))
            os.makedirs(p)
            os.setxattr(p, "user.ais.daemon_id", IDS[i].encode())


def first_disk(c):
    a = wire.send("127.0.0.1", c.port + 1, "GET", "/v1/daemon?what=disk", [("Host", "x"), ("Connection", "close")])
    return next(iter(a.json()["AllDiskStats"]), None)


def documented():
    """Recordings with a row in the table of deviations."""
    with open(DOC, encoding="utf-8") as f:
        return {name for line in f if line.startswith("| `") for name in re.findall(r"`([\w-]+)`", line.split("|")[1])}


def check_deviations(replay, failed):
    docs = documented()
    for name, place in sorted(DEVIATIONS):
        if name not in docs:
            yield "deviation %s: not in docs/compatibility.md" % name
        elif (name, place) not in replay.used and name not in failed:
            yield "deviation %s at %s: no longer true" % (name, place)


def main():
    have = {os.path.basename(p)[:-4] for p in glob.glob(os.path.join(WIRE, "*.txt"))}
    only = sys.argv[1:]
    failed = set()
    with wire.Cluster(prepare=prepare) as c:
        r = Replay(c)
        r.disks = first_disk(c)
        for name in ORDER:
            if name.startswith("="):
                r.step(name)
                continue
            try:
                r.run(name)
                if not only or name in only:
                    print("ok", name)
            except (Difference, ConnectionError) as e:
                failed.add(name)
                print("not ok %s: %s" % (name, e))
            sys.stdout.flush()
        for why in check_deviations(r, failed):
            failed.add(why)
            print("not ok", why)
    for name in sorted(have - set(ORDER)):
        failed.add(name)
        print("not ok %s: no place in the order of replay" % name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
