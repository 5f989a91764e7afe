# SPDX-License-Identifier: Apache-2.0
"""Objects: content, ranges, checksums, versions, custom properties, append, multipart, rename, copy, promote, redirects."""
import io
import os
import shutil
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from aistore.sdk.errors import AISError, ErrObjNotFound

import wire
from sdk_case import CHECKSUMS, ENDPOINT, Case, rand_bytes, rand_name

SIZES = (0, 1, 100, 4095, 4096, 65536, 65537, 1 << 20, (5 << 20) + 3)
PROMOTE_ROOT = "/var/lib/ais/promote"


class Objects(Case):
    def path(self, b, name):
        return "/v1/objects/%s/%s" % (b.name, urllib.parse.quote(name))

    def read(self, b, name):
        return b.object(name).get_reader().read_all()

    def test_content_of_every_size(self):
        b = self.bucket()
        for n in SIZES:
            with self.subTest(n):
                data = rand_bytes(n)
                o = self.put(b, "size-%d" % n, data)
                self.assertEqual(data, o.get_reader().read_all())
                self.assertEqual(data, b"".join(o.get_reader(chunk_size=10000)))
                self.assertEqual(n, o.head_v2().size)
                out = io.BytesIO()
                o.get_reader(writer=out).read_all()
                self.assertEqual(data, out.getvalue())

    def test_body_without_a_length(self):
        b = self.bucket()
        parts = [rand_bytes(1 + i * 1000) for i in range(20)]
        to = self.ask("PUT", self.path(b, "chunked"), allow_redirects=False).headers["Location"]
        r = self.http.put(to, data=iter(parts), timeout=30)
        self.assertEqual((200, "chunked"), (r.status_code, r.request.headers["Transfer-Encoding"]), r.text)
        self.assertEqual(b"".join(parts), self.read(b, "chunked"))

    def test_put_file_and_read_in_parallel(self):
        b = self.bucket()
        data = rand_bytes(9 << 20)
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            b.object("big").get_writer().put_file(f.name)
        self.assertEqual(data, self.read(b, "big"))
        for workers in (2, 4, 16):
            with b.object("big").get_reader(num_workers=workers, chunk_size=1 << 20).read_all() as got:
                self.assertEqual(data, got.tobytes())

    def test_read_from_the_owner_without_a_proxy(self):
        b = self.bucket()
        for i in range(12):
            data = rand_bytes(50 + i)
            o = self.put(b, "direct/%d" % i, data)
            self.assertEqual(data, o.get_reader(direct=True).read_all())

    def test_overwrite_counts_versions(self):
        b = self.bucket()
        for i in range(1, 5):
            self.put(b, "o", b"version %d" % i)
            h = b.object("o").head()
            self.assertEqual((str(i), str(len("version 1"))), (h["Ais-Version"], h["Content-Length"]))
        self.assertEqual(b"version 4", self.read(b, "o"))

    def test_put_answers_with_attributes(self):
        b = self.bucket()
        r = self.ask("PUT", self.path(b, "o"), data=b"attr", headers={"Ais-Custom-Md": "k=v"})
        self.assertEqual(("xxhash2", CHECKSUMS["xxhash2"](b"attr"), "1", "k=v"), tuple(r.headers[k] for k in (
            "Ais-Checksum-Type", "Ais-Checksum-Value", "Ais-Version", "Ais-Custom-Md")))

    def test_missing(self):
        b = self.bucket()
        full = "ais://%s/a/b" % b.name
        for call in (b.object("a/b").get_reader().read_all, b.object("a/b").delete):
            with self.assertRaises(ErrObjNotFound) as c:
                call()
            self.assertIn(full, c.exception.message)
        self.assertError(self.ask("HEAD", self.path(b, "a/b")), 404, full)
        self.assertError(self.ask("DELETE", self.path(b, "a/b")), 404, full + " doesn't exist")
        self.assertError(self.ask("PATCH", self.path(b, "a/b"), json={"action": "", "value": {"k": "v"}}), 404, full)

    def test_names(self):
        b = self.bucket()
        names = ["plain", "a/b/c", "sp ace", "ünïcödé/日本", "q?m=1&n=2", "ha#sh", "per%cent%2F", "plus+plus", "quo\"te'", "back\\slash",
                 "semi;colon", "a", "a/b", "tab\tin", ".hidden", "-dash", "x" * 255, "y" * 300, "/".join(["z" * 200] * 10), "a//b",
                 "emoji-\U0001f9ca"]
        want = {}
        for n in names:
            with self.subTest(n):
                want[n] = n.encode() + b" content"
                r = self.ask("PUT", self.path(b, n), data=want[n])
                self.assertEqual(200, r.status_code, r.text)
                r = self.ask("GET", self.path(b, n))
                self.assertEqual((200, want[n]), (r.status_code, r.content))
        got = [e.name for e in b.list_all_objects()]
        self.assertEqual(sorted(want, key=str.encode), got)
        for n in got:
            with self.subTest(n):
                self.assertEqual(want[n], self.ask("GET", self.path(b, n)).content)
                self.assertEqual(200, self.ask("DELETE", self.path(b, n)).status_code)
        self.assertEqual([], b.list_all_objects())

    def test_bad_names(self):
        b = self.bucket()
        host, port = urllib.parse.urlparse(ENDPOINT).netloc.split(":")
        for n in ("x/../y", "x/./y", "../x", "..", "dir/", "~/x", "nul%00byte", "bad%ff%fe"):
            with self.subTest(n):
                a = wire.send(host, int(port), "PUT", "/v1/objects/%s/%s" % (b.name, n), [("Host", "x"), ("Content-Length", "1")], b"x")
                self.assertEqual(400, a.status, a.body)
        self.assertEqual([], b.list_all_objects())

    def test_ranges(self):
        b = self.bucket()
        data = rand_bytes(100000)
        o = self.put(b, "o", data)
        for text, lo, hi in (("0-0", 0, 1), ("0-99", 0, 100), ("500-", 500, None), ("99999-", 99999, None), ("-1", -1, None),
                             ("-500", -500, None), ("-200000", 0, None), ("99990-200000", 99990, None), ("65530-65545", 65530, 65546)):
            with self.subTest(text):
                r = self.ask("GET", self.path(b, "o"), headers={"Range": "bytes=" + text})
                want = data[lo:hi]
                first = len(data) + lo if lo < 0 else lo
                self.assertEqual((206, want), (r.status_code, r.content))
                self.assertEqual("bytes %d-%d/100000" % (first, first + len(want) - 1), r.headers["Content-Range"])
                self.assertEqual(want, o.get_reader(byte_range="bytes=" + text).read_all())
        for text in ("100000-", "200000-300000", "5-2", "x-y", "0-1,5-6", ""):
            with self.subTest(text):
                r = self.ask("GET", self.path(b, "o"), headers={"Range": "bytes=" + text})
                self.assertError(r, 416)
        self.assertEqual("bytes */100000", self.ask("GET", self.path(b, "o"), headers={"Range": "bytes=100000-"}).headers["Content-Range"])
        self.assertEqual(data, self.read(b, "o"))

    def test_checksum_of_a_range(self):
        b = self.bucket()
        data = rand_bytes(50000)
        self.put(b, "o", data)
        whole = self.ask("GET", self.path(b, "o"), headers={"Range": "bytes=5-99"})
        self.assertEqual(CHECKSUMS["xxhash2"](data), whole.headers["Ais-Checksum-Value"])
        self.set_props(b, {"checksum": {"enable_read_range": True}})
        part = self.ask("GET", self.path(b, "o"), headers={"Range": "bytes=5-99"})
        self.assertEqual((data[5:100], CHECKSUMS["xxhash2"](data[5:100])), (part.content, part.headers["Ais-Checksum-Value"]))

    def test_checksums_of_every_type(self):
        data = rand_bytes(20000)
        for kind, fn in CHECKSUMS.items():
            with self.subTest(kind):
                b = self.bucket()
                self.set_props(b, {"checksum": {"type": kind}})
                self.put(b, "o", data)
                for h in (b.object("o").head(), self.ask("GET", self.path(b, "o")).headers):
                    self.assertEqual((kind, fn(data)), (h["Ais-Checksum-Type"], h["Ais-Checksum-Value"]))
                # what the client says is compared, whatever the bucket's type
                for say, say_fn in CHECKSUMS.items():
                    good = {"Ais-Checksum-Type": say, "Ais-Checksum-Value": say_fn(data)}
                    self.assertEqual(200, self.ask("PUT", self.path(b, "o"), data=data, headers=good).status_code, say)
                    bad = {"Ais-Checksum-Type": say, "Ais-Checksum-Value": say_fn(data + b"!")}
                    r = self.ask("PUT", self.path(b, "bad-" + say), data=data, headers=bad)
                    self.assertError(r, 500, "BAD DATA CHECKSUM", say_fn(data))
                    self.assertEqual(404, self.ask("GET", self.path(b, "bad-" + say)).status_code)
                self.assertEqual(["o"], [e.name for e in b.list_all_objects()])

    def test_bucket_without_checksums(self):
        b = self.bucket()
        self.set_props(b, {"checksum": {"type": "none"}})
        self.put(b, "o", b"data")
        self.assertNotIn("Ais-Checksum-Value", b.object("o").head())
        self.assertEqual(b"data", self.read(b, "o"))

    def test_a_bad_overwrite_leaves_the_old_object(self):
        b = self.bucket()
        self.put(b, "o", b"old")
        r = self.ask("PUT", self.path(b, "o"), data=b"new", headers={"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "00" * 16})
        self.assertError(r, 500, tcode="ErrBadCksum")
        self.assertEqual((b"old", "1"), (self.read(b, "o"), b.object("o").head()["Ais-Version"]))

    def test_custom_props(self):
        b = self.bucket()
        o = self.put(b, "o", b"data")
        w = o.get_writer()
        w.set_custom_props({"a": "1", "b": "2"})
        self.assertEqual({"a": "1", "b": "2"}, o.props.custom_metadata)
        w.set_custom_props({"b": "3", "c": "4"})
        self.assertEqual({"a": "1", "b": "3", "c": "4"}, o.props.custom_metadata)
        w.set_custom_props({"only": "x y z"}, replace_existing=True)
        self.assertEqual({"only": "x y z"}, o.props.custom_metadata)
        self.assertEqual(b"data", self.read(b, "o"))
        self.assertEqual("only=x y z", self.ask("GET", self.path(b, "o")).headers["Ais-Custom-Md"])
        self.put(b, "o", b"overwritten")
        self.assertEqual({}, o.props.custom_metadata)
        self.assertError(self.ask("PUT", self.path(b, "o"), data=b"x", headers={"Ais-Custom-Md": "no equals sign"}), 400)
        self.assertError(self.ask("PATCH", self.path(b, "o"), json={"action": "", "value": {"k": "v" * 3000}}), 400)
        self.assertEqual(b"overwritten", self.read(b, "o"))

    def test_head_v2(self):
        b = self.bucket()
        data = rand_bytes(1234)
        o = self.put(b, "o", data)
        v = o.head_v2("checksum,version,last-modified,etag,location,atime")
        self.assertEqual((1234, "xxhash2", CHECKSUMS["xxhash2"](data), "1"), (v.size, v.checksum_type, v.checksum_value, v.obj_version))
        self.assertTrue(v.last_modified and v.etag and v.access_time)
        self.assertError(self.ask("HEAD", self.path(b, "o"), {"props": "nonsense"}), 400, "nonsense")
        self.put(b, "empty", b"")
        self.assertEqual("0", self.ask("HEAD", self.path(b, "empty"), {"props": "size"}).headers["Content-Length"])

    def test_append(self):
        b = self.bucket()
        w = b.object("log").get_writer()
        parts = [rand_bytes(n) for n in (1, 5000, 0, 100000, 7)]
        handle = ""
        for p in parts:
            handle = w.append_content(p, handle=handle)
            self.assertEqual(4, len(handle.split("|")))
            self.assertError(self.ask("GET", self.path(b, "log")), 404)
        w.append_content(b"", handle=handle, flush=True)
        whole = b"".join(parts)
        self.assertEqual(whole, self.read(b, "log"))
        self.assertEqual(CHECKSUMS["xxhash2"](whole), b.object("log").head()["Ais-Checksum-Value"])
        handle = w.append_content(b"more")  # what is there is kept
        w.append_content(b"", handle=handle, flush=True)
        self.assertEqual(whole + b"more", self.read(b, "log"))

    def test_append_errors(self):
        b = self.bucket()
        path = self.path(b, "log")
        self.assertError(self.ask("PUT", path, {"append_type": "flush", "append_handle": ""}), 400)
        for bad in ("nonsense", "a|b|c", "a|b|c|d", "nosuchtarget|/etc/passwd|xxhash2|"):
            with self.subTest(bad):
                r = self.ask("PUT", path, {"append_type": "append", "append_handle": bad}, data=b"x")
                self.assertGreaterEqual(r.status_code, 400)
        handle = b.object("log").get_writer().append_content(b"some")
        tid = handle.split("|")[0]
        for fqn in ("/etc/passwd", "/tmp/x", "relative", handle.split("|")[1] + "/../../x"):
            r = self.ask("PUT", path, {"append_type": "append", "append_handle": "%s|%s|xxhash2|" % (tid, fqn)}, data=b"x")
            self.assertError(r, 400)
        bad = {"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "00" * 16}
        r = self.ask("PUT", path, {"append_type": "flush", "append_handle": handle}, headers=bad)
        self.assertError(r, 500, "BAD DATA CHECKSUM")
        self.assertEqual([], b.list_all_objects())

    def test_multipart(self):
        b = self.bucket()
        o = b.object("mp/o")
        parts = [rand_bytes(n) for n in (70000, 5 << 20, 1, 123456)]
        up = o.multipart_upload().create()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: up.add_part(i + 1).put_content(parts[i]), reversed(range(len(parts)))))
        self.assertEqual([], b.list_all_objects())
        up.complete()
        whole = b"".join(parts)
        self.assertEqual(whole, o.get_reader().read_all())
        v = o.head_v2("chunked,checksum")
        self.assertEqual((len(whole), 4, 5 << 20), (v.size, v.chunks.chunk_count, v.chunks.max_chunk_size))
        for lo, hi in ((69990, 70010), (70000 + (5 << 20) - 3, 70000 + (5 << 20) + 3), (0, len(whole)), (len(whole) - 5, len(whole))):
            self.assertEqual(whole[lo:hi], o.get_reader(byte_range="bytes=%d-%d" % (lo, hi - 1)).read_all())
        self.assertEqual(["mp/o"], [e.name for e in b.list_all_objects()])
        self.put(b, "mp/o", b"whole again")
        self.assertEqual(b"whole again", o.get_reader().read_all())
        o.delete()
        self.assertEqual([], b.list_all_objects())

    def test_multipart_errors(self):
        b = self.bucket()
        path = self.path(b, "mp")

        def complete(uid, nums):
            return self.act("POST", path, "mpt-complete", [{"part-number": n, "etag": ""} for n in nums], params={"uploadId": uid})

        def part(uid, n, data, **headers):
            return self.ask("PUT", path, {"uploadId": uid, "partNumber": n}, data=data, headers=headers)

        uid = self.act("POST", path, "mpt-upload").text
        self.assertError(complete(uid, []), 400, "no chunks")
        self.assertError(part(uid, 0, b"x"), 500, "invalid chunk number")
        self.assertError(part(uid, 10000, b"x"), 500, "invalid chunk number")
        self.assertError(part(uid, "one", b"x"), 400)
        self.assertError(part(uid, 1, b""), 400, "invalid size (0)")
        r = part(uid, 1, b"x", **{"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": "00" * 16})
        self.assertError(r, 500, "BAD DATA CHECKSUM")
        self.assertError(part("nonsense", 1, b"x"), 404, "ais://%s/mp" % b.name)
        self.assertEqual(200, part(uid, 1, b"one").status_code)
        self.assertEqual(200, part(uid, 2, b"two").status_code)
        self.assertError(complete(uid, [1]), 400, "partial completion")
        self.assertError(complete(uid, [1, 1]), 400)
        self.assertError(complete(uid, [1, 3]), 400)
        self.assertError(complete("nonsense", [1, 2]), 404)
        self.assertEqual(200, part(uid, 2, b"TWO").status_code)  # the last one wins
        self.assertEqual(200, complete(uid, [2, 1]).status_code)
        self.assertEqual(b"oneTWO", self.read(b, "mp"))
        self.assertError(complete(uid, [1, 2]), 404)
        uid = self.act("POST", path, "mpt-upload").text
        self.assertEqual(200, part(uid, 1, b"gone").status_code)
        self.assertEqual(200, self.act("DELETE", path, "mpt-abort", params={"uploadId": uid}).status_code)
        self.assertError(part(uid, 2, b"late"), 404)
        self.assertEqual(b"oneTWO", self.read(b, "mp"))

    def test_rename(self):
        b = self.bucket()
        for i in range(8):  # to the same target and to others
            data = rand_bytes(1000 + i)
            o = self.put(b, "from%d" % i, data)
            o.get_writer().set_custom_props({"k": str(i)})
            r = self.act("POST", self.path(b, "from%d" % i), "rename-obj", name="to/%d" % i)
            self.assertEqual(200, r.status_code, r.text)
            to = b.object("to/%d" % i)
            self.assertEqual((data, {"k": str(i)}), (to.get_reader().read_all(), to.props.custom_metadata))
            self.assertEqual(404, self.ask("GET", self.path(b, "from%d" % i)).status_code)
        self.assertError(self.act("POST", self.path(b, "to/0"), "rename-obj", name="to/0"), 400)
        self.assertError(self.act("POST", self.path(b, "nope"), "rename-obj", name="x"), 404, "ais://%s/nope" % b.name)
        self.assertError(self.act("POST", self.path(b, "to/0"), "rename-obj", name="../x"), 400)

    def test_copy_one(self):
        b, c = self.bucket(), self.bucket()
        for i in range(6):
            data = rand_bytes(2000 + i)
            o = self.put(b, "o%d" % i, data)
            o.get_writer().set_custom_props({"k": str(i)})
            o.copy(c.object("copies/%d" % i))
            o.copy(b.object("same/%d" % i))
            for to in (c.object("copies/%d" % i), b.object("same/%d" % i), o):
                self.assertEqual((data, {"k": str(i)}), (to.get_reader().read_all(), to.props.custom_metadata))

    def test_promote(self):
        b = self.bucket()
        try:
            os.makedirs(PROMOTE_ROOT, exist_ok=True)
            top = tempfile.mkdtemp(prefix="ais-test-", dir=PROMOTE_ROOT)
        except OSError as e:
            self.skipTest("cannot write %s: %s" % (PROMOTE_ROOT, e.strerror))
        self.addCleanup(shutil.rmtree, top, ignore_errors=True)
        files = {"one": rand_bytes(10), "two": rand_bytes(100000), "sub/three": b"", "sub/deep/four": rand_bytes(4096)}
        for n, d in files.items():
            os.makedirs(os.path.dirname(os.path.join(top, n)), exist_ok=True)
            with open(os.path.join(top, n), "wb") as f:
                f.write(d)
        b.object("single").promote(os.path.join(top, "one"))
        self.wait_for(lambda: [e.name for e in b.list_all_objects()] == ["single"])
        self.assertEqual(files["one"], self.read(b, "single"))
        b.object("tree/").promote(top, recursive=True)
        self.wait_for(lambda: len(b.list_all_objects(prefix="tree/")) == len(files))
        for n, d in files.items():
            self.assertEqual(d, self.read(b, "tree/" + n), n)
        for bad in ("/etc/passwd", "relative", PROMOTE_ROOT + "/../x", PROMOTE_ROOT + "/no-such-thing"):
            with self.subTest(bad), self.assertRaises(AISError):
                b.object("bad").promote(bad)
        self.assertEqual([], b.list_all_objects(prefix="bad"))

    def wait_for(self, cond, seconds=15):
        deadline = time.monotonic() + seconds
        while not cond():
            self.assertLess(time.monotonic(), deadline, "waited for nothing")
            time.sleep(0.05)

    def test_file_like_reader_and_writer(self):
        b = self.bucket()
        data = rand_bytes(300000)
        o = b.object("file")
        with o.get_writer().as_file(mode="w") as f:
            for i in range(0, len(data), 70000):
                f.write(data[i:i + 70000])
        with o.get_reader().as_file() as f:
            got = b""
            while True:
                piece = f.read(50001)
                if not piece:
                    break
                got += piece
        self.assertEqual(data, got)
        with o.get_writer().as_file(mode="a") as f:
            f.write(b"the end")
        self.assertEqual(data + b"the end", self.read(b, "file"))

    def test_later_features_say_so(self):
        b = self.bucket()
        self.put(b, "o.tar", b"not really")
        for method, params, headers in (("GET", {"archpath": "x"}, {}), ("GET", {"archmode": "prefix", "archregx": ""}, {}),
                                        ("GET", {"etl_name": "x"}, {}), ("PUT", {"archpath": "x"}, {})):
            with self.subTest(str(params)):
                r = self.ask(method, self.path(b, "o.tar"), params, headers=headers, data=b"x" if method == "PUT" else None)
                self.assertError(r, 501, "not implemented")


class Redirects(Case):
    """What the proxy does with object requests, seen without a client that follows."""

    def send(self, method, path, headers=(), body=None):
        host, port = urllib.parse.urlparse(ENDPOINT).netloc.split(":")
        return wire.send(host, int(port), method, path, [("Host", "x"), *headers], body, timeout=5)

    def test_status(self):
        b = self.bucket()
        for method, status in (("GET", 301), ("PUT", 307), ("HEAD", 307), ("DELETE", 307), ("PATCH", 307)):
            with self.subTest(method):
                a = self.send(method, "/v1/objects/%s/o?provider=ais" % b.name, [("Content-Length", "0")])
                self.assertEqual(status, a.status)
                to = urllib.parse.urlparse(a.get("Location"))
                q = dict(urllib.parse.parse_qsl(to.query))
                self.assertEqual("/v1/objects/%s/o" % b.name, to.path)
                self.assertEqual("ais", q["provider"])
                self.assertAlmostEqual(time.time(), int(q["utm"], 36) / 1e9, delta=60)
                self.assertIn(q["pid"], self.client.cluster().get_info().pmap)

    def test_put_is_redirected_before_its_body(self):
        """Over HTTPS the SDK announces the real length, sends no body, and waits for the Location."""
        b = self.bucket()
        a = self.send("PUT", "/v1/objects/%s/o" % b.name, [("Content-Length", "1000000"), ("Connection", "close")])
        self.assertEqual(307, a.status)

    def test_escaped_names(self):
        b = self.bucket()
        a = self.send("GET", "/v1/objects/%s/a%%20b%%23c%%3Fd%%25e%%2Bf" % b.name)
        self.assertEqual(301, a.status)
        self.assertEqual("/v1/objects/%s/a b#c?d%%e+f" % b.name, urllib.parse.unquote(urllib.parse.urlparse(a.get("Location")).path))

    def test_targets_refuse_writes_of_their_own(self):
        b = self.bucket()
        smap = self.client.cluster().get_info()
        url = next(iter(smap.tmap.values())).public_net.direct_url
        for method in ("PUT", "DELETE"):
            r = self.http.request(method, "%s/v1/objects/%s/%s" % (url, b.name, rand_name("o")), timeout=10)
            self.assertError(r, 400, "redirected")
        self.assertEqual([], b.list_all_objects())
