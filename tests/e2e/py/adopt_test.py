# SPDX-License-Identifier: Apache-2.0
"""
A cold adoption: our 1+3 nodes, started on the disks and configuration directories that a real AIStore 5.0 left behind.

Every object of go-aistore-disks.json has to be listed and served: bytes (MD5), size, checksum, version, custom metadata. Once as the disks
are; once more after the main replicas of the erasure-coded objects were deleted, when slices and copies on other targets have to do; then
changes, a restart, and changes again.

Runs in namespaces of its own, with an empty /ais: adopt_test.sh sees to that.
"""
import contextlib
import glob
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import TOP  # noqa: E402

GOLDEN = os.path.join(TOP, "tests", "golden")
AISNODE = os.path.join(os.environ.get("AIS_BUILD") or os.path.join(TOP, "build"), "bin", "aisnode")
PROXY = 38080
NODES = 4
BIDS = {"plain": 1, "md5": 2, "nock": 3, "mirror": 4, "ec": 5}
AIS_BCK = 1 << 63
failed = 0


def check(name, problems):
    """One line of result; problems is a list of texts."""
    global failed
    problems = list(problems)
    if problems:
        failed += 1
        print("not ok %s: %s" % (name, "; ".join(problems[:5])))
    else:
        print("ok %s" % name)
    sys.stdout.flush()


# --- HTTP that follows redirects ---
def call(method, path, headers=None, body=None, port=PROXY):
    for _ in range(4):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        if r.status not in (301, 307):
            return r, data
        u = urllib.parse.urlsplit(r.getheader("Location"))
        port, path = u.port, u.path + "?" + u.query
    raise RuntimeError("redirected in circles: " + path)


def obj_path(o, query=""):
    return "/v1/objects/%s/%s?provider=ais%s" % (o["bucket"], urllib.parse.quote(o["name"]), query)


def action(name, value=None):
    return json.dumps({"action": name, "value": value or {}})


# --- the cluster ---
def unpack():
    for name in os.listdir("/ais"):
        subprocess.run(["rm", "-rf", os.path.join("/ais", name)], check=True)
    subprocess.run(["tar", "-C", "/", "--xattrs", "--xattrs-include=user.*", "-xzf", os.path.join(GOLDEN, "go-aistore-disks.tar.gz")], check=True)


class Cluster:
    def __init__(self):
        self.procs = []
        for i in range(NODES):
            os.makedirs("/ais/run/%d/log" % i, exist_ok=True)
            with open("/ais/run/%d/stderr" % i, "a") as err:
                self.procs.append(subprocess.Popen(
                    [AISNODE, "-role=" + ("target" if i else "proxy"), "-config=/ais/run/%d/ais.json" % i,
                     "-local_config=/ais/run/%d/ais_local.json" % i], stdout=err, stderr=err))
        deadline = time.time() + 20
        while True:
            try:
                if all(call("GET", "/v1/health?" + ("prr" if i == 0 else "readiness") + "=true", port=PROXY + i)[0].status == 200
                       for i in range(NODES)):
                    return
            except OSError:
                pass
            if time.time() > deadline or any(p.poll() is not None for p in self.procs):
                self.stop()
                raise RuntimeError("the cluster does not start: " + self.last_words())
            time.sleep(0.05)

    def stop(self):
        for p in self.procs:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.procs:
            p.wait(20)

    @staticmethod
    def last_words():
        return "".join(open(f, errors="replace").read() for f in sorted(glob.glob("/ais/run/*/stderr")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# --- what has to hold ---
def get_wrong(o):
    r, data = call("GET", obj_path(o))
    if r.status != 200:
        return "GET %d %s" % (r.status, data[:120].decode("utf-8", "replace"))
    if len(data) != o["size"] or hashlib.md5(data).hexdigest() != o["md5"]:
        return "GET: %d bytes, MD5 %s" % (len(data), hashlib.md5(data).hexdigest())
    return None


def range_wrong(o):
    if o["size"] < 3:
        return None
    first, last = o["size"] // 3, o["size"] - 2
    whole = call("GET", obj_path(o))[1]
    r, data = call("GET", obj_path(o), {"Range": "bytes=%d-%d" % (first, last)})
    return None if r.status == 206 and data == whole[first:last + 1] else "range: %d, %d bytes" % (r.status, len(data))


def custom_of(r):
    """name=value of every Ais-Custom-Md."""
    got = {}
    for v in r.headers.get_all("Ais-Custom-Md") or []:
        for kv in v.split(", ") if ", " in v else [v]:
            k, _, val = kv.encode("latin-1").decode("utf-8").partition("=")
            got[k] = val
    return got


def head_wrong(o):
    # v2 sends only what is asked for
    for what, q in (("HEAD", ""), ("HEAD v2", "&props=name,size,checksum,version,custom")):
        r, _ = call("HEAD", obj_path(o, q))
        if r.status != 200:
            return "%s: %d" % (what, r.status)
        want = {"Content-Length": str(o["size"]), "Ais-Version": o["version"], "Ais-Checksum-Type": o["checksum_type"],
                "Ais-Checksum-Value": o["checksum_value"]}
        for k, v in want.items():
            if r.getheader(k) != v and not (v is None and r.getheader(k) in ("none", "")):
                return "%s: %s is %r, not %r" % (what, k, r.getheader(k), v)
        custom = custom_of(r)
        if any(custom.get(k) != v for k, v in o["custom"].items()) or "orig_fntl" in custom:
            return "%s: custom metadata is %r" % (what, custom)
    return None


def list_all(bucket):
    """Every page of three entries: paging has to hold across targets, too."""
    rows, token = [], ""
    while True:
        r, data = call("GET", "/v1/buckets/%s?provider=ais" % bucket, {"Content-Type": "application/json", "Accept": "application/json"}, action(
            "list", {"props": "name,size,checksum,version,copies,custom", "pagesize": 3, "continuation_token": token}))
        if r.status != 200:
            raise RuntimeError("list %s: %d %s" % (bucket, r.status, data[:200]))
        page = json.loads(data)
        rows += page.get("entries") or []
        token = page.get("continuation_token") or ""
        if not token:
            return rows


def lists_wrong(objects):
    for bucket in BIDS:
        want = {o["name"]: o for o in objects if o["bucket"] == bucket}
        rows = list_all(bucket)
        names = [r["name"] for r in rows]
        if names != sorted(want, key=lambda s: s.encode()):
            yield "%s: listed %r" % (bucket, [n[:20] for n in names])
            continue
        for r in rows:
            o = want[r["name"]]
            if int(r.get("size") or 0) != o["size"] or (r.get("checksum") or None) != o["checksum_value"] or r.get("version") != o["version"]:
                yield "%s/%s: listed as %r" % (bucket, r["name"][:20], r)
        if bucket == "mirror" and any(r.get("copies") != 2 for r in rows):
            yield "mirror: copies are not listed: %r" % rows


def objects_wrong(objects):
    for o in objects:
        why = get_wrong(o) or range_wrong(o) or head_wrong(o)
        if why:
            yield "%s/%s: %s" % (o["bucket"], o["name"][:20], why)


def summary_wrong(objects):
    for bucket in BIDS:
        want = [o["size"] for o in objects if o["bucket"] == bucket]
        uuid, deadline = "", time.time() + 10
        while True:
            r, data = call("GET", "/v1/buckets/%s?provider=ais" % bucket, {"Content-Type": "application/json"},
                           action("summary-bck", {"uuid": uuid, "cached": True, "present": True}))
            if r.status == 200:
                break
            if r.status == 202:
                uuid = data.decode().strip('"\n')
            if r.status not in (202, 206) or time.time() > deadline:
                yield "%s: summary %d %s" % (bucket, r.status, data[:120])
                return
            time.sleep(0.05)
        s = json.loads(data)[0]
        count = int(s["ObjCount"]["obj_count_present"])
        total = int(s["TotalSize"]["size_all_present_objs"])
        if count != len(want) or total != sum(want):
            yield "%s: %d objects of %d bytes, not %d of %d" % (bucket, count, total, len(want), sum(want))


def state_wrong(before):
    smap = json.loads(call("GET", "/v1/daemon?what=smap")[1])
    bmd = json.loads(call("GET", "/v1/daemon?what=bmd")[1])
    conf = json.loads(call("GET", "/v1/daemon?what=config")[1])
    if smap["uuid"] != before["uuid"] or set(smap["tmap"]) != before["targets"] or set(smap["pmap"]) != before["proxies"]:
        yield "Smap: %s, %r, %r" % (smap["uuid"], sorted(smap["tmap"]), sorted(smap["pmap"]))
    if int(smap["version"]) < before["smap"]:
        yield "Smap went back to version %s" % smap["version"]
    got = {b: int(p["bid"]) for b, p in list(bmd["providers"]["ais"].values())[0].items()}
    if got != {b: AIS_BCK | n for b, n in BIDS.items()}:
        yield "bucket ids: %r" % got
    if bmd["uuid"] != before["uuid"] or int(bmd["version"]) < 6:
        yield "BMD: %s v%s" % (bmd["uuid"], bmd["version"])
    props = list(bmd["providers"]["ais"].values())[0]
    if props["mirror"]["mirror"] != {**props["mirror"]["mirror"], "enabled": True, "copies": 2}:
        yield "mirror: %r" % props["mirror"]["mirror"]
    if {k: props["ec"]["ec"][k] for k in ("enabled", "data_slices", "parity_slices", "objsize_limit")} != {
            "enabled": True, "data_slices": 1, "parity_slices": 1, "objsize_limit": 4096}:
        yield "ec: %r" % props["ec"]["ec"]
    if props["nock"]["checksum"]["type"] != "none" or props["md5"]["checksum"]["type"] != "md5":
        yield "checksum types"
    # a value that is not the default, kept in .ais.conf only
    if conf["uuid"] != before["conf_uuid"] if before.get("conf_uuid") else not conf["uuid"]:
        yield "configuration: uuid %r" % conf["uuid"]


# --- the story ---
def state_before():
    """What the disks say, read by nothing of ours: the uuid and version are looked up in the files' JSON."""
    raw = open("/ais/data/mp1/1/.ais.bmd", "rb").read()
    raw2 = open("/ais/run/0/.ais.proxy_id").read().strip()
    assert raw[:7] == b"aistore"
    ids = {os.getxattr("/ais/data/mp1/%d" % i, "user.ais.daemon_id").decode() for i in range(1, NODES)}
    return {"uuid": "N3ZsSVtzNa", "proxies": {raw2}, "targets": ids, "smap": 4}


def files_of(ct, bucket="ec"):
    return sorted(f for f in glob.glob("/ais/data/*/*/@ais/%s/%s/**" % (bucket, ct), recursive=True) if os.path.isfile(f))


def until(what, seconds=10):
    """The first empty answer of what(), or the last one."""
    deadline = time.time() + seconds
    while True:
        wrong = list(what())
        if not wrong or time.time() > deadline:
            return wrong
        time.sleep(0.05)


def everything(tag, objects):
    check("%s_served" % tag, objects_wrong(objects))
    check("%s_listed" % tag, until(lambda: lists_wrong(objects)))
    check("%s_summary" % tag, summary_wrong(objects))


def quiet(tag):
    check("%s_nodes_keep_quiet" % tag, [Cluster.last_words()[:300]] if Cluster.last_words() else [])


def as_they_are(objects):
    unpack()
    before = state_before()
    with Cluster():
        check("adopted_state", state_wrong(before))
        everything("adopted", objects)
    quiet("adopted")
    with Cluster():
        check("restarted_state", state_wrong(before))
        everything("restarted", objects)
        changes(objects)
    quiet("restarted")


def bmd_copies_wrong():
    """Buckets as the target knows them, on each of its mountpaths: without, AIStore would not take the disks over again."""
    for i in range(1, NODES):
        want = open("/ais/run/%d/.ais.bmd" % i, "rb").read()
        for mp in ("mp1", "mp2"):
            if open("/ais/data/%s/%d/.ais.bmd" % (mp, i), "rb").read() != want:
                yield "/ais/data/%s/%d/.ais.bmd is not current" % (mp, i)


def changes(objects):
    """What was adopted is ours now: it can be written, changed, renamed, deleted, and stays so."""
    wrong = []
    some = [o for o in objects if o["name"] in ("chunked", "d/b", "large", "small", "twice") or len(o["name"]) > 255]
    for o in some:
        body = ("new content of " + o["name"][:30]).encode()
        r, data = call("PUT", obj_path(o), body=body)
        if r.status != 200:
            wrong.append("PUT %s: %d %s" % (o["name"][:20], r.status, data[:100]))
        r, data = call("GET", obj_path(o))
        if data != body or r.getheader("Ais-Version") != str(int(o["version"]) + 1):
            wrong.append("GET after PUT %s: %d, version %s" % (o["name"][:20], r.status, r.getheader("Ais-Version")))
    check("overwritten", wrong)
    r, data = call("POST", "/v1/buckets/fresh?provider=ais", {"Content-Type": "application/json"}, action("create-bck"))
    check("bucket_created", [] if r.status == 200 else ["%d %s" % (r.status, data[:100])])
    check("buckets_are_on_the_mountpaths", until(bmd_copies_wrong))
    # Of what is no more, nothing is left behind, and nothing comes back.
    check("overwritten_leaves_nothing", until(lambda: files_of("%ch", "plain") + files_of("%ut", "plain") + files_of("%ec") + files_of("%mt")))
    check("overwritten_leaves_no_copy", until(lambda: [f for f in files_of("%ob", "mirror") if f.endswith("/b")][1:]))
    wrong = []
    for o in some:
        r, data = call("DELETE", obj_path(o))
        if r.status not in (200, 204):
            wrong.append("DELETE %s: %d %s" % (o["name"][:20], r.status, data[:100]))
        if call("GET", obj_path(o))[0].status != 404:
            wrong.append("GET after DELETE %s" % o["name"][:20])
    check("deleted", wrong)
    check("deleted_listed", lists_wrong([o for o in objects if o not in some]))


def replicas_lost(objects):
    """The main replica of each erasure-coded object gone: of "large" slices are left, of "small" a copy on another target."""
    unpack()
    large = [f for f in files_of("%ob") if f.endswith("/large")]
    small = [f for f in files_of("%ob") if "/mp1/2/" in f and f.endswith("/small")]  # the owner, by the replica_node of its %mt
    assert len(large) == 1 and len(small) == 1
    for f in large + small:
        os.unlink(f)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f.replace("%ob", "%mt"))
    ec = [o for o in objects if o["bucket"] == "ec"]
    with Cluster():
        check("lost_replica_served_at_once", objects_wrong(ec))
        everything("lost_replica", objects)
        check("lost_replica_is_whole_again", [f for f in large + small if not os.path.exists(f)])
    quiet("lost_replica")
    # One slice less: the other is enough. Then none: an honest 404.
    unpack()
    slices = files_of("%ec")
    for f in large + small + slices[:1]:
        os.unlink(f)
    with Cluster():
        everything("one_slice_left", objects)
    unpack()
    for f in large + small + slices:
        os.unlink(f)
    with Cluster():
        gone = [o for o in objects if o["name"] == "large"]
        check("no_slice_left", ["GET: %d" % call("GET", obj_path(o))[0].status for o in gone if call("GET", obj_path(o))[0].status != 404])
        everything("no_slice_left", [o for o in objects if o not in gone])
    # A damaged slice is not served.
    unpack()
    for f in large + slices[:1]:
        os.unlink(f)
    with open(slices[1], "r+b") as f:
        f.seek(100)
        f.write(b"damage")
    with Cluster():
        r, data = call("GET", obj_path(gone[0]))
        check("damaged_slice_refused", [] if r.status >= 400 else ["GET: %d, %d bytes" % (r.status, len(data))])


# --- slices of our own making, for the arithmetic: data slice 1 and the parity slice of 2+1 ---
def xxh64(data, seed):
    """XXH64 in plain Python: small inputs only."""
    p1, p2, p3, p4, p5 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
    mask = (1 << 64) - 1

    def rotl(x, r):
        return (x << r | x >> (64 - r)) & mask

    def rnd(acc, v):
        return rotl((acc + v * p2) & mask, 31) * p1 & mask

    n, i = len(data), 0
    if n >= 32:
        v = [(seed + p1 + p2) & mask, (seed + p2) & mask, seed, (seed - p1) & mask]
        while i + 32 <= n:
            for k in range(4):
                v[k] = rnd(v[k], int.from_bytes(data[i + 8 * k:i + 8 * k + 8], "little"))
            i += 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & mask
        for k in range(4):
            h = ((h ^ rnd(0, v[k])) * p1 + p4) & mask
    else:
        h = (seed + p5) & mask
    h = (h + n) & mask
    while i + 8 <= n:
        h = (rotl(h ^ rnd(0, int.from_bytes(data[i:i + 8], "little")), 27) * p1 + p4) & mask
        i += 8
    if i + 4 <= n:
        h = (rotl(h ^ int.from_bytes(data[i:i + 4], "little") * p1 & mask, 23) * p2 + p3) & mask
        i += 4
    for b in data[i:]:
        h = rotl(h ^ b * p5 & mask, 11) * p1 & mask
    h = (h ^ h >> 33) * p2 & mask
    h = (h ^ h >> 29) * p3 & mask
    return h ^ h >> 32


def record(size, md5, slice_id, slice_md5):
    """A %mt of 2 data slices and 1 parity slice."""
    def s(text):
        return len(text).to_bytes(4, "big") + text.encode()

    b = (1).to_bytes(4, "big") + (77).to_bytes(8, "big") + size.to_bytes(8, "big")
    b += (2).to_bytes(2, "big") + (1).to_bytes(2, "big") + slice_id.to_bytes(2, "big") + b"\0"
    b += s("somebody") + s(md5) + s("5") + s("md5") + s(slice_md5) + (0).to_bytes(4, "big")
    return b + xxh64(b, 1103515245).to_bytes(8, "big")


def slices_combined():
    """An object of odd size of which there are data slice 1 and the parity slice: 3a + 2b over GF(2^8)."""
    assert xxh64(open(files_of("%mt")[0], "rb").read()[:-8], 1103515245) == int.from_bytes(open(files_of("%mt")[0], "rb").read()[-8:], "big")
    content = bytes((i * 7 + i // 251) & 0xff for i in range(700001))
    half = (len(content) + 1) // 2
    a, b = content[:half], content[half:] + b"\0"
    twice = bytes((x << 1 ^ (0x1d if x & 0x80 else 0)) & 0xff for x in range(256))
    parity = bytes(twice[x] ^ x ^ twice[y] for x, y in zip(a, b))
    md5 = hashlib.md5(content).hexdigest()
    for target, nr, data in ((1, 1, a), (2, 3, parity)):
        for ct, body in (("%ec", data), ("%mt", record(len(content), md5, nr, hashlib.md5(data).hexdigest()))):
            path = "/ais/data/mp1/%d/@ais/ec/%s/deep/odd" % (target, ct)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(body)
    return {"bucket": "ec", "name": "deep/odd", "size": len(content), "md5": md5, "version": "5", "custom": {}}


def decoding(objects):
    unpack()
    o = slices_combined()
    with Cluster():
        r, data = call("GET", obj_path(o))
        check("slices_are_combined", [] if r.status == 200 and data and hashlib.md5(data).hexdigest() == o["md5"] and
              r.getheader("Ais-Version") == "5" else ["GET: %d, %d bytes" % (r.status, len(data))])
    unpack()
    o = slices_combined()
    with Cluster():
        check("slices_are_combined_unasked", until(lambda: [] if "deep/odd" in [e["name"] for e in list_all("ec")] else ["not listed"]))
        # Deleted is deleted: slices are gone, and nothing makes the object again.
        r, _ = call("DELETE", obj_path(o))
        wrong = ["DELETE: %d" % r.status] if r.status != 200 else []
        wrong += [f for f in files_of("%ec") + files_of("%mt") if f.endswith("/odd")]
        wrong += ["GET: %d" % call("GET", obj_path(o))[0].status] if call("GET", obj_path(o))[0].status != 404 else []
        check("deleted_slices_are_gone", wrong)
    with Cluster():
        check("deleted_stays_deleted", ["GET: %d" % call("GET", obj_path(o))[0].status] if call("GET", obj_path(o))[0].status != 404 else [])
    # A target that was away while an object was replaced brings no part of the old version back.
    unpack()
    o = slices_combined()
    kept = {f: open(f, "rb").read() for f in files_of("%ec") + files_of("%mt") if f.endswith("/odd")}
    with Cluster():
        check("replaced", ["PUT: %d" % call("PUT", obj_path(o), body=b"new")[0].status] if call("PUT", obj_path(o), body=b"new")[0].status != 200 else [])
    for f, body in kept.items():
        os.makedirs(os.path.dirname(f), exist_ok=True)
        with open(f, "wb") as out:
            out.write(body)
    with Cluster():
        check("stale_slices_are_removed", until(lambda: [f for f in kept if os.path.exists(f)]))
        check("replaced_is_served", [] if call("GET", obj_path(o))[1] == b"new" else ["not the new content"])
    quiet("decoding")


def mirror_lost(objects):
    """A mirrored object's main copy gone: the other one serves."""
    unpack()
    copies = [f for f in files_of("%ob", "mirror")]
    for name in ("/a", "/b"):
        os.unlink([f for f in copies if f.endswith(name)][0])
    mirror = [o for o in objects if o["bucket"] == "mirror"]
    with Cluster():
        check("lost_copy_served", objects_wrong(mirror))
    unpack()
    for name in ("/a", "/b"):
        os.unlink([f for f in copies if f.endswith(name)][1])
    with Cluster():
        check("lost_other_copy_served", objects_wrong(mirror))


def main():
    with open(os.path.join(GOLDEN, "go-aistore-disks.json")) as f:
        objects = json.load(f)
    as_they_are(objects)
    replicas_lost(objects)
    mirror_lost(objects)
    decoding(objects)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
