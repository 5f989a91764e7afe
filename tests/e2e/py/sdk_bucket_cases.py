# SPDX-License-Identifier: Apache-2.0
"""Buckets: life, names, properties, namespaces, summaries, easy URLs, and the error texts that clients look for."""
import json
import time

from aistore.sdk.enums import FLTPresence
from aistore.sdk.errors import ErrBckAlreadyExists, ErrBckNotFound, InvalidBckProvider
from aistore.sdk.namespace import Namespace

from sdk_case import CHECKSUMS, Case, rand_bytes, rand_name


class Buckets(Case):
    def test_life_of_a_bucket(self):
        b = self.client.bucket(rand_name())
        with self.assertRaises(ErrBckNotFound):
            b.list_objects()
        b.create()
        self.assertIn(b.name, [m.name for m in self.client.cluster().list_buckets()])
        with self.assertRaises(ErrBckAlreadyExists):
            b.create()
        b.create(exist_ok=True)
        b.delete()
        with self.assertRaises(ErrBckNotFound):
            b.delete()
        b.delete(missing_ok=True)
        self.assertNotIn(b.name, [m.name for m in self.client.cluster().list_buckets()])

    def test_a_destroyed_bucket_comes_back_empty(self):
        b = self.bucket()
        for i in range(10):
            self.put(b, "o%d" % i, b"old")
        bid = self.bprops(b)["bid"]
        b.delete()
        b.create()
        self.assertEqual([], b.list_all_objects())
        self.assertNotEqual(bid, self.bprops(b)["bid"])
        self.assertError(self.ask("GET", "/v1/objects/%s/o1" % b.name), 404, "ais://%s/o1" % b.name)
        self.put(b, "o1", b"new")
        self.assertEqual(b"new", b.object("o1").get_reader().read_all())
        self.assertEqual("1", b.object("o1").head()["Ais-Version"])

    def test_names(self):
        for bad in ("a b", "a..b", "x" * 65, "a,b", "a!b", ".hidden", "ä"):
            with self.subTest(bad):
                r = self.act("POST", "/v1/buckets/" + bad, "create-bck")
                self.assertError(r, 400, "bucket name")
        for good in ("x" * 64, "A-b_c.9"):
            b = self.client.bucket(good)
            b.create(exist_ok=True)
            self.put(b, "o", b"1")
            b.delete()

    def test_error_texts(self):
        name = rand_name()
        text = 'bucket "ais://%s" does not exist' % name
        self.assertError(self.act("DELETE", "/v1/buckets/" + name, "destroy-bck"), 404, text, tcode="ErrBckNotFound")
        self.assertError(self.act("GET", "/v1/buckets/" + name, "list", {}), 404, text, tcode="ErrBckNotFound")
        self.assertError(self.ask("HEAD", "/v1/buckets/" + name), 404, text, tcode="ErrBckNotFound")
        self.assertError(self.ask("PUT", "/v1/objects/%s/o" % name, data=b"x"), 404, text, tcode="ErrBckNotFound")
        self.assertError(self.ask("GET", "/v1/objects/%s/o" % name), 404, text, tcode="ErrBckNotFound")
        b = self.bucket()
        self.assertError(self.act("POST", "/v1/buckets/" + b.name, "create-bck"), 409, 'bucket "ais://%s" already exists' % b.name,
                         tcode="ErrBucketAlreadyExists")
        self.assertError(self.act("POST", "/v1/buckets/" + b.name, "no-such-action"), 400, 'invalid action "no-such-action"')
        self.assertError(self.ask("GET", "/v1/buckets", {"provider": "nonsense"}, json={"action": "list"}), 400, "nonsense",
                         tcode="ErrInvalidBackendProvider")

    def test_later_features_say_so(self):
        b = self.bucket()
        to = {"bck_to": "ais/@#/%s-2/" % b.name}
        for method, action, params in (("POST", "copy-bck", to), ("POST", "move-bck", to), ("POST", "copy-listrange", None),
                                       ("DELETE", "delete-listrange", None), ("PUT", "archive", None),
                                       ("POST", "make-n-copies", None), ("POST", "ec-encode", None)):
            with self.subTest(action):
                r = self.act(method, "/v1/buckets/" + b.name, action, {}, params=params)
                self.assertError(r, 501, "not implemented", tcode="ErrNotImpl")
        with self.assertRaises(InvalidBckProvider):  # the SDK itself refuses
            b.evict()
        self.assertError(self.act("DELETE", "/v1/buckets/" + b.name, "evict-remote-bck"), 400, tcode="ErrNotRemoteBck")

    def test_props_are_set_and_reset(self):
        b = self.bucket()
        before = self.bprops(b)
        self.assertEqual("xxhash2", before["checksum"]["type"])
        self.set_props(b, {"checksum": {"type": "sha256", "enable_read_range": True}, "versioning": {"enabled": False},
                           "chunks": {"objsize_limit": "0B", "chunk_size": "2MiB"}})
        after = self.bprops(b)
        self.assertEqual("sha256", after["checksum"]["type"])
        self.assertTrue(after["checksum"]["enable_read_range"])
        self.assertFalse(after["versioning"]["enabled"])
        self.assertEqual("2MiB", after["chunks"]["chunk_size"])
        self.assertEqual(before["bid"], after["bid"])
        r = self.act("PATCH", "/v1/buckets/" + b.name, "reset-bprops")
        self.assertEqual(200, r.status_code, r.text)
        self.assertEqual(before, self.bprops(b))

    def test_bad_props_change_nothing(self):
        b = self.bucket()
        before = self.bprops(b)
        for bad in ({"checksum": {"type": "crc16"}}, {"mirror": {"enabled": True, "copies": 99}},
                    {"ec": {"enabled": True, "data_slices": 5, "parity_slices": 5}}, {"chunks": {"chunk_size": "1B"}}, {"versioning": {"enabled": "perhaps"}}, {"no_such_prop": 1}):
            with self.subTest(str(bad)):
                self.assertError(self.act("PATCH", "/v1/buckets/" + b.name, "set-bprops", bad), 400)
        self.assertEqual(before, self.bprops(b))

    def test_create_with_props(self):
        name = rand_name()
        r = self.act("POST", "/v1/buckets/" + name, "create-bck", {"checksum": {"type": "md5"}, "versioning": {"enabled": False}})
        self.assertEqual(200, r.status_code, r.text)
        b = self.client.bucket(name)
        self.addCleanup(b.delete, missing_ok=True)
        self.assertEqual("md5", self.bprops(b)["checksum"]["type"])
        data = rand_bytes(1000)
        self.put(b, "o", data)
        self.assertEqual(CHECKSUMS["md5"](data), b.object("o").head()["Ais-Checksum-Value"])

    def test_read_only_bucket(self):
        b = self.bucket()
        self.put(b, "o", b"here")
        ro = str(1 << 0 | 1 << 1 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11)  # the last two: to change it back
        self.set_props(b, {"access": ro})
        self.assertEqual(ro, self.bprops(b)["access"])
        self.assertEqual(b"here", b.object("o").get_reader().read_all())
        self.assertError(self.ask("PUT", "/v1/objects/%s/o" % b.name, data=b"x"), 403)
        self.assertError(self.ask("DELETE", "/v1/objects/%s/o" % b.name), 403)
        self.assertEqual(b"here", b.object("o").get_reader().read_all())
        self.set_props(b, {"access": str(2 ** 64 - 1)})

    def test_namespaces(self):
        name = rand_name()
        plain = self.client.bucket(name)
        ns = self.client.bucket(name, namespace=Namespace(name="team-1"))
        other = self.client.bucket(name, namespace=Namespace(name="team-2"))
        for b in (plain, other, ns):
            b.create()
            if b is not ns:
                self.addCleanup(b.delete)
        for b, data in ((plain, b"plain"), (ns, b"one"), (other, b"two")):
            self.put(b, "dir/o", data)
        for b, data in ((plain, b"plain"), (ns, b"one"), (other, b"two")):
            self.assertEqual(data, b.object("dir/o").get_reader().read_all())
            self.assertEqual(["dir/o"], [e.name for e in b.list_all_objects()])
        ns.delete()
        self.assertEqual(b"two", other.object("dir/o").get_reader().read_all())
        r = self.ask("GET", "/v1/objects/%s/dir/o" % name, {"namespace": "@#team-1"})
        self.assertError(r, 404, "ais://#team-1/" + name)
        seen = self.act("GET", "/v1/buckets", "list", params={"provider": "ais"}).json()
        self.assertIn({"name": name, "provider": "ais", "namespace": {"uuid": "", "name": "team-2"}}, seen)
        self.assertNotIn({"name": name, "provider": "ais", "namespace": {"uuid": "", "name": "team-1"}}, seen)

    def test_easy_urls(self):
        b = self.bucket()
        data = rand_bytes(5000)
        r = self.ask("PUT", "/ais/%s/sub/o" % b.name, data=data)
        self.assertEqual(200, r.status_code, r.text)
        r = self.ask("GET", "/ais/%s/sub/o" % b.name)
        self.assertEqual((200, data), (r.status_code, r.content))
        r = self.ask("GET", "/ais/%s/sub/o" % b.name, headers={"Range": "bytes=10-19"})
        self.assertEqual((206, data[10:20]), (r.status_code, r.content))
        self.assertEqual(["sub/o"], [e["name"] for e in self.ask("GET", "/ais/" + b.name).json()["entries"]])
        self.assertIn(b.name, [e["name"] for e in self.ask("GET", "/ais").json()])
        self.assertEqual(200, self.ask("HEAD", "/ais/%s/sub/o" % b.name).status_code)
        self.assertEqual(200, self.ask("DELETE", "/ais/%s/sub/o" % b.name).status_code)
        self.assertError(self.ask("GET", "/ais/%s/sub/o" % b.name), 404, "ais://%s/sub/o" % b.name)
        self.assertError(self.ask("PUT", "/ais/" + b.name, data=b"x"), 400)

    def test_list_urls(self):
        b = self.bucket()
        want = {"dir/%d" % i: rand_bytes(20 + i) for i in range(5)}
        for n, d in want.items():
            self.put(b, n, d)
        got = [self.http.get(u, timeout=30).content for u in b.list_urls(prefix="dir/")]
        self.assertEqual(sorted(want.values()), sorted(got))


class Summaries(Case):
    def fill(self):
        b = self.bucket()
        sizes = [0, 1, 100, 5000, 70000]
        for i, n in enumerate(sizes):
            self.put(b, "%s/o%d" % ("in" if i % 2 == 0 else "out", i), rand_bytes(n))
        return b, sizes

    def poll(self, once):
        """202 first, then 202 or 206 until 200."""
        seen, deadline = [], time.monotonic() + 20
        while True:
            r = once()
            seen.append(r.status_code)
            self.assertIn(r.status_code, (200, 202, 206), r.text)
            if r.status_code == 200 or time.monotonic() > deadline:
                self.assertEqual(200, r.status_code, seen)
                return r
            time.sleep(0.02)

    def test_by_action(self):
        b, sizes = self.fill()
        msg = {"uuid": "", "prefix": "", "cached": True, "present": True}
        r = self.act("GET", "/v1/buckets/" + b.name, "summary-bck", msg)
        self.assertEqual(202, r.status_code, r.text)
        self.assertRegex(r.text, r"^[A-Za-z0-9_-]{9,32}$")
        msg["uuid"] = r.text
        s = self.poll(lambda: self.act("GET", "/v1/buckets/" + b.name, "summary-bck", msg)).json()
        self.assertEqual(1, len(s))
        s = s[0]
        self.assertEqual((b.name, "ais"), (s["name"], s["provider"]))
        self.assertEqual(str(len(sizes)), s["ObjCount"]["obj_count_present"])
        self.assertEqual(str(sum(sizes)), s["TotalSize"]["size_all_present_objs"])
        self.assertEqual((0, sum(sizes) // len(sizes), max(sizes)), tuple(s["ObjSize"][k] for k in (
            "obj_min_size", "obj_avg_size", "obj_max_size")))
        self.assertGreater(int(s["TotalSize"]["size_on_disk"]), 0)

    def test_unknown_job_is_404(self):
        b = self.bucket()
        self.assertError(self.act("GET", "/v1/buckets/" + b.name, "summary-bck", {"uuid": "NoSuchJob1"}), 404, "NoSuchJob1")

    def test_by_sdk_with_prefix(self):
        b, sizes = self.fill()
        s = b.summary(prefix="in/")
        self.assertEqual(str(len(sizes[::2])), s["ObjCount"]["obj_count_present"])
        self.assertEqual(str(sum(sizes[::2])), s["TotalSize"]["size_all_present_objs"])

    def test_info_flow(self):
        b, sizes = self.fill()
        params = {"provider": "ais", "presence": 0, "bsumm_remote": "true"}
        path = "/v1/buckets/" + b.name
        r = self.ask("HEAD", path, params)
        self.assertEqual(202, r.status_code)
        params["uuid"] = r.headers["Ais-Xaction-Id"]
        json.loads(r.headers["Ais-Bucket-Props"])
        r = self.poll(lambda: self.ask("HEAD", path, params))
        s = json.loads(r.headers["Ais-Bucket-Summ"])
        self.assertEqual(str(sum(sizes)), s["TotalSize"]["size_all_present_objs"])
        props, s = b.info(flt_presence=FLTPresence.FLT_PRESENT, prefix="out/")
        self.assertEqual("ais", json.loads(props)["provider"])
        self.assertEqual(str(len(sizes[1::2])), s["ObjCount"]["obj_count_present"])

    def test_of_all_buckets(self):
        b, sizes = self.fill()
        r = self.act("GET", "/v1/buckets", "summary-bck", {"uuid": ""})
        self.assertEqual(202, r.status_code, r.text)
        uuid = r.text
        all_ = self.poll(lambda: self.act("GET", "/v1/buckets", "summary-bck", {"uuid": uuid})).json()
        mine = [s for s in all_ if s["name"] == b.name]
        self.assertEqual([str(len(sizes))], [s["ObjCount"]["obj_count_present"] for s in mine])
