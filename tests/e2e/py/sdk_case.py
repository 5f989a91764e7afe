# SPDX-License-Identifier: Apache-2.0
"""What the sdk_*_cases.py share: a client of each kind, buckets that go away again, data and checksums."""
import hashlib
import json
import os
import random
import string
import unittest

import requests
import xxhash
from aistore.sdk import Client

ENDPOINT = os.environ["AIS_TEST_ENDPOINT"]


def _crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        table.append(i)
    return table


_CRC32C = _crc32c_table()


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c = _CRC32C[(c ^ b) & 255] ^ c >> 8
    return "%08x" % (c ^ 0xffffffff)


# What AIStore calls them, and what they are.
CHECKSUMS = {
    "xxhash": lambda d: xxhash.xxh64(d).hexdigest(),
    "xxhash2": lambda d: xxhash.xxh64(d).hexdigest(),
    "md5": lambda d: hashlib.md5(d).hexdigest(),
    "crc32c": crc32c,
    "sha256": lambda d: hashlib.sha256(d).hexdigest(),
    "sha512": lambda d: hashlib.sha512(d).hexdigest(),
}


def rand_name(prefix="b"):
    return prefix + "-" + "".join(random.choices(string.ascii_lowercase + string.digits, k=8))


def rand_bytes(n):
    return random.randbytes(n)


class Case(unittest.TestCase):
    """Buckets made with self.bucket() are destroyed when the test ends."""

    @classmethod
    def setUpClass(cls):
        cls.client = Client(ENDPOINT, timeout=(5, 30))
        cls.http = requests.Session()

    @classmethod
    def tearDownClass(cls):
        cls.http.close()

    def bucket(self, **kw):
        b = self.client.bucket(rand_name(), **kw)
        b.create()
        self.addCleanup(b.delete, missing_ok=True)
        return b

    def put(self, bucket, name, data):
        obj = bucket.object(name)
        obj.get_writer().put_content(data)
        return obj

    # --- plain HTTP ---
    def ask(self, method, path, params=None, **kw):
        return self.http.request(method, ENDPOINT + path, params=params, timeout=30, **kw)

    def act(self, method, path, action, value=None, name="", params=None, **kw):
        return self.ask(method, path, params, json={"action": action, "name": name, "value": value}, **kw)

    def set_props(self, bucket, value):
        r = self.act("PATCH", "/v1/buckets/" + bucket.name, "set-bprops", value)
        self.assertEqual(200, r.status_code, r.text)

    def bprops(self, bucket, **params):
        r = self.ask("HEAD", "/v1/buckets/" + bucket.name, params)
        self.assertEqual(200, r.status_code, r.headers)
        return json.loads(r.headers["Ais-Bucket-Props"])

    def list_json(self, bucket, **msg):
        r = self.act("GET", "/v1/buckets/" + bucket.name, "list", msg)
        self.assertEqual(200, r.status_code, r.text)
        self.assertIn("application/json", r.headers["Content-Type"])
        return r.json()

    def assertError(self, r, status, *texts, tcode=None):
        """An error document: its status is the answer's, and its message holds all texts."""
        self.assertEqual(status, r.status_code, r.text)
        doc = json.loads(r.headers["Hdr-Error"] if r.request.method == "HEAD" else r.text)
        self.assertEqual(status, doc["status"])
        for t in texts:
            self.assertIn(t, doc["message"])
        if tcode is not None:
            self.assertEqual(tcode, doc.get("tcode", ""))
        return doc
