# SPDX-License-Identifier: Apache-2.0
"""Listing: pages, prefixes, start-after, virtual directories, properties, both encodings."""
import json

from aistore.sdk.errors import AISError
from aistore.sdk.list_object_flag import ListObjectFlag as F

import wire
from sdk_case import CHECKSUMS, Case, rand_bytes, rand_name

NAMES = sorted(["a", "a-b", "a.b", "ab", "dir/a", "dir/b", "dir/sub/1", "dir/sub/2", "dir2/x", "dir-3/y", "z", "Ünï/cödé", "sp ace/q?#%&+",
                "deep/" + "/".join("d%d" % i for i in range(20)) + "/leaf"] + ["n%04d" % i for i in range(120)], key=str.encode)


class Listing(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.b = cls.client.bucket(rand_name("list"))
        cls.b.create()
        cls.data = {n: rand_bytes(i * 7 % 50) for i, n in enumerate(NAMES)}
        for n, d in cls.data.items():
            cls.b.object(n).get_writer().put_content(d)

    @classmethod
    def tearDownClass(cls):
        cls.b.delete()
        super().tearDownClass()

    def names(self, **kw):
        return [e.name for e in self.b.list_all_objects(**kw)]

    def pages(self, size, **msg):
        """All pages as JSON; checks that each but the last is full, and that the last has no token."""
        out, token = [], ""
        while True:
            page = self.list_json(self.b, pagesize=size, continuation_token=token, **msg)
            got = [e["name"] for e in page["entries"] or []]
            out += got
            token = page["continuation_token"]
            if not token:
                self.assertLess(len(got), size)
                return out
            self.assertEqual(size, len(got))

    def test_all(self):
        self.assertEqual(NAMES, self.names())
        self.assertEqual({n: len(d) for n, d in self.data.items()}, {e.name: e.size for e in self.b.list_all_objects()})

    def test_every_page_size(self):
        for size in (1, 2, 7, 60, len(NAMES) - 1, len(NAMES), len(NAMES) + 1):
            with self.subTest(size):
                self.assertEqual(NAMES, self.pages(size))
                self.assertEqual(NAMES, self.names(page_size=size))

    def test_iterator(self):
        self.assertEqual(NAMES, [o.name for o in self.b.list_objects_iter(page_size=11)])
        self.assertEqual(NAMES, [o.name for o in self.b.list_all_objects_iter()])

    def test_prefixes(self):
        for p in ("a", "dir", "dir/", "dir/s", "dir/sub/1", "n00", "n0119", "nope", "Ün", "sp ace/q?", "deep/d0/d1/"):
            with self.subTest(p):
                want = [n for n in NAMES if n.startswith(p)]
                self.assertEqual(want, self.names(prefix=p))
                self.assertEqual(want, self.pages(3, prefix=p))
        self.assertEqual([n for n in NAMES if n.startswith("n")], self.names(prefix="n*"))

    def test_start_after(self):
        for s in ("a", "a-", "dir/sub/1", "n0050", "n00505", "zz", "\U0010ffff"):
            with self.subTest(s):
                want = [n for n in NAMES if n.encode() > s.encode()]
                self.assertEqual(want, [o.name for o in self.b.list_objects_iter(start_after=s, page_size=9)])
                self.assertEqual([n for n in want if n.startswith("n")], self.pages(5, start_after=s, prefix="n"))

    def test_virtual_directories(self):
        def level(prefix):
            out = set()
            for n in NAMES:
                if n.startswith(prefix):
                    rest = n[len(prefix):]
                    out.add(prefix + (rest.split("/")[0] + "/" if "/" in rest else rest))
            return sorted(out, key=str.encode)

        for prefix in ("", "dir/", "dir/sub/", "deep/", "deep/d0/", "n"):
            with self.subTest(prefix):
                want = level(prefix)
                got = self.b.list_all_objects(prefix=prefix, flags=[F.NO_RECURSION])
                self.assertEqual(want, [e.name for e in got])
                self.assertEqual({n: n.endswith("/") for n in want}, {e.name: bool(e.f & 1 << 8) for e in got})
                self.assertEqual(want, self.pages(2, prefix=prefix, flags=str(1 << F.NO_RECURSION.value)))
                # as in AIStore, this hides directories of cloud buckets only
                no_dirs = self.b.list_all_objects(prefix=prefix, flags=[F.NO_RECURSION, F.NO_DIRS])
                self.assertEqual(want, [e.name for e in no_dirs])

    def test_props(self):
        b = self.bucket()
        data = rand_bytes(300)
        o = self.put(b, "o", data)
        o.get_writer().set_custom_props({"k": "v"})
        e = b.list_objects(props="name,size,version,checksum,atime,cached,copies,location,custom,status").entries[0]
        self.assertEqual(("o", 300, CHECKSUMS["xxhash2"](data), 1), (e.name, e.size, e.checksum, e.copies))
        self.assertTrue(e.is_cached() and e.is_ok() and e.atime and e.version)
        self.assertRegex(e.location, r"^t\[\w+\]:mp\[.+\]$")
        j = self.list_json(b, props="name,size,version,checksum,atime,cached,copies,location,custom")["entries"][0]
        self.assertEqual((e.name, str(e.size), e.checksum, e.version, e.location), tuple(j[k] for k in (
            "name", "size", "checksum", "version", "location")))
        self.assertIn("k:v", j["custom-md"])
        e = b.list_objects(props="name").entries[0]
        self.assertEqual(("o", 0, "", "", ""), (e.name, e.size, e.checksum, e.version, e.atime))
        e = b.list_objects(flags=[F.NAME_SIZE]).entries[0]
        self.assertEqual(("o", 300, ""), (e.name, e.size, e.checksum))
        e = b.list_objects(flags=[F.NAME_ONLY]).entries[0]
        self.assertEqual(("o", 0), (e.name, e.size))

    def test_json_and_msgpack_say_the_same(self):
        keys = {"n": "name", "s": "size", "cs": "checksum", "v": "version", "a": "atime", "t": "location", "c": "copies", "f": "flags",
                "m": "custom-md"}
        msg = {"action": "list", "value": {"props": "name,size,version,checksum,atime,cached,copies,location", "pagesize": 100}}
        path = "/v1/buckets/" + self.b.name
        j = self.ask("GET", path, json=msg).json()
        r = self.ask("GET", path, json=msg, headers={"Accept": "application/msgpack"})
        self.assertEqual("application/msgpack", r.headers["Content-Type"])
        m = wire.msgpack_decode(r.content)
        self.assertEqual({"UUID", "ContinuationToken", "Entries", "Flags"}, set(m))
        self.assertEqual(j["continuation_token"], m["ContinuationToken"])
        for e in j["entries"]:
            if "size" in e:
                e["size"] = int(e["size"])
        self.assertEqual(j["entries"], [{keys[k]: v for k, v in e.items()} for e in m["Entries"]])

    def test_empty_bucket(self):
        b = self.bucket()
        page = b.list_objects()
        self.assertEqual(([], ""), (page.entries, page.continuation_token))
        self.assertFalse(self.list_json(b)["entries"])

    def test_deleted_names_are_gone_and_renamed_ones_there(self):
        b = self.bucket()
        for i in range(30):
            self.put(b, "o%02d" % i, b"x")
        for i in range(0, 30, 2):
            b.object("o%02d" % i).delete()
        r = self.act("POST", "/v1/objects/%s/o01" % b.name, "rename-obj", name="renamed/o01")
        self.assertEqual(200, r.status_code, r.text)
        want = ["o%02d" % i for i in range(3, 30, 2)] + ["renamed/o01"]
        self.assertEqual(want, [e.name for e in b.list_all_objects(page_size=4)])

    def test_listing_while_the_bucket_changes(self):
        b = self.bucket()
        stay = ["s%03d" % i for i in range(60)]
        for n in stay:
            self.put(b, n, b"x")
        seen, token, i = [], "", 0
        while True:
            page = b.list_objects(page_size=7, continuation_token=token)
            seen += [e.name for e in page.entries]
            token = page.continuation_token
            if not token:
                break
            self.put(b, "a-new-%d" % i, b"x")  # before the cursor
            self.put(b, "s%03d-new" % (59 - i), b"x")
            i += 1
        self.assertEqual(stay, [n for n in seen if n in stay])
        self.assertEqual(sorted(set(seen)), seen)

    def test_bad_requests(self):
        path = "/v1/buckets/" + self.b.name
        self.assertError(self.ask("GET", path, data=b'{"action":"list","value":{"flags":', headers={"Content-Type": "application/json"}),
                         400)
        self.assertError(self.act("GET", path, "list", {"flags": str(1 << 9)}), 400)  # not cached, of a bucket that is only here
        self.assertError(self.act("GET", path, "list", {"prefix": "../x"}), 400)
        self.assertError(self.act("GET", path, "list", {"flags": str(1 << 3)}), 501, "archives")
        with self.assertRaises(AISError):
            self.b.list_objects(target="nosuchtarget")
        r = self.ask("GET", path, json={"action": "list", "value": {"pagesize": 3, "continuation_token": "\U0010ffff"}})
        self.assertFalse(json.loads(r.text)["entries"])
