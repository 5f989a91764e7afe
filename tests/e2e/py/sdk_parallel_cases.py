# SPDX-License-Identifier: Apache-2.0
"""Eight threads put, get, overwrite, delete and list the same bucket through the SDK; every byte that comes back is checked."""
import hashlib
import os
import random
import threading
import time

import requests
from aistore.sdk import Client
from aistore.sdk.errors import ErrObjNotFound

from sdk_case import CHECKSUMS, ENDPOINT, Case

SECONDS = float(os.environ.get("AIS_TEST_PARALLEL_SECONDS", "4"))
THREADS = 8


def content(name, version, size):
    """Says whose it is, and repeats so that a mix of two versions cannot go unnoticed."""
    seed = hashlib.sha256(("%s %d" % (name, version)).encode()).digest()
    head = b"%s %d %d\n" % (name.encode(), version, size)
    return (head + seed * (size // 32 + 1))[:max(size, len(head))]


def check(name, data):
    head = data[:data.index(b"\n")].split()
    assert head[0] == name.encode(), "%s holds %s" % (name, head[0])
    version, size = int(head[1]), int(head[2])
    assert data == content(name, version, size), "%s: %d bytes are not version %d" % (name, len(data), version)
    return version


class Worker(threading.Thread):
    """Owns some names, about which it knows all; reads the others', of which it knows that they are whole."""

    def __init__(self, no, bucket, until):
        super().__init__()
        self.rng = random.Random(no)
        self.no, self.until, self.error, self.ops = no, until, None, 0
        self.client = Client(ENDPOINT, timeout=(5, 30))
        self.b = self.client.bucket(bucket)
        self.http = requests.Session()
        self.mine = {"w%d/o%02d" % (no, i): None for i in range(20)}  # name: version, None when it is deleted
        self.version = 0

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.rng.choices((self.put, self.get_mine, self.get_other, self.delete, self.list_mine, self.part_of_mine),
                                 (4, 4, 3, 1, 1, 2))[0]()
                self.ops += 1
        except BaseException as e:  # of a thread: told by the test
            self.error = e

    def put(self):
        name = self.rng.choice(list(self.mine))
        self.version += 1
        data = content(name, self.version, self.rng.choice((100, 5000, 70000, 300000)))
        self.b.object(name).get_writer().put_content(data)
        self.mine[name] = self.version

    def read(self, name, **kw):
        try:
            return self.b.object(name).get_reader(**kw).read_all()
        except ErrObjNotFound:
            return None

    def there(self):
        return [n for n, v in self.mine.items() if v is not None]

    def get_mine(self):
        name = self.rng.choice(list(self.mine))
        if self.mine[name] is None:
            r = self.http.get("%s/v1/objects/%s/%s" % (ENDPOINT, self.b.name, name), timeout=30)
            assert r.status_code == 404, "%s was deleted, and answers %d" % (name, r.status_code)
        else:
            data = self.read(name)
            assert data is not None, "%s was acknowledged and is not there" % name
            assert check(name, data) == self.mine[name], "%s: an old version" % name

    def part_of_mine(self):
        name = self.rng.choice(self.there() or [None])
        if name is not None:
            data = content(name, self.mine[name], 0)
            got = self.read(name, byte_range="bytes=0-%d" % (len(data.split(b"\n")[0]) - 1))
            assert got.split()[:2] == [name.encode(), b"%d" % self.mine[name]], got

    def get_other(self):
        name = "w%d/o%02d" % (self.rng.randrange(THREADS), self.rng.randrange(20))
        r = self.http.get("%s/v1/objects/%s/%s" % (ENDPOINT, self.b.name, name), timeout=30)
        assert r.status_code in (200, 404), (name, r.status_code, r.text)
        if r.status_code == 200:
            check(name, r.content)

    def delete(self):
        name = self.rng.choice(self.there() or [None])
        if name is not None:
            self.b.object(name).delete()
            self.mine[name] = None

    def list_mine(self):
        got = [e.name for e in self.b.list_all_objects(prefix="w%d/" % self.no, page_size=self.rng.choice((0, 1, 7)))]
        assert got == sorted(self.there()), "listed %s, there are %s" % (got, sorted(self.there()))


class Parallel(Case):
    def test_eight_threads_see_what_they_wrote(self):
        b = self.bucket()
        until = time.monotonic() + SECONDS
        workers = [Worker(i, b.name, until) for i in range(THREADS)]
        for w in workers:
            w.start()
        for w in workers:
            w.join(SECONDS + 60)
        for w in workers:
            self.assertFalse(w.is_alive(), "worker %d hangs" % w.no)
            if w.error is not None:
                raise w.error
        ops = sum(w.ops for w in workers)
        print("# %d operations in %.0f s" % (ops, SECONDS))
        self.assertGreater(ops, 0)
        want = {}
        for w in workers:
            want.update({n: v for n, v in w.mine.items() if v is not None})
        self.assertEqual(sorted(want), [e.name for e in b.list_all_objects()])
        for n, v in want.items():
            self.assertEqual(v, check(n, b.object(n).get_reader().read_all()))

    def test_two_writers_of_one_name(self):
        """Whoever was last: one of them, whole, with the checksum that belongs to it."""
        b = self.bucket()
        stop = time.monotonic() + SECONDS / 2
        errors = []

        def writer(no):
            o = Client(ENDPOINT, timeout=(5, 30)).bucket(b.name).object("same")
            v = no
            try:
                while time.monotonic() < stop:
                    o.get_writer().put_content(content("same", v, 50000 + v % 7 * 10000))
                    check("same", o.get_reader().read_all())
                    v += 10
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=writer, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        if errors:
            raise errors[0]
        r = self.ask("GET", "/v1/objects/%s/same" % b.name)
        check("same", r.content)
        self.assertEqual(CHECKSUMS["xxhash2"](r.content), r.headers["Ais-Checksum-Value"])
