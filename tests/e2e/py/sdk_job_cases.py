# SPDX-License-Identifier: Apache-2.0
"""Jobs: started, waited for, listed and looked at with the published client."""
import os
import shutil
import tempfile

from aistore.sdk.errors import AISError, JobInfoNotFound

from sdk_case import Case

PROMOTE_ROOT = "/var/lib/ais/promote"


class Jobs(Case):
    def test_started_and_waited_for(self):
        for kind in ("lru", "cleanup", "cleanup-store"):
            with self.subTest(kind):
                job = self.client.job(job_id=self.client.job(job_kind=kind).start())
                self.assertTrue(job.wait(timeout=30, verbose=False).success)
                s = job.status()
                self.assertEqual((job.job_id, "", False), (s.uuid, s.err, s.aborted))
                self.assertGreater(s.end_time, 0)

    def test_listed(self):
        lru, cleanup = (self.client.job(job_kind=k).start() for k in ("lru", "cleanup"))
        ids = {j.uuid for j in self.client.cluster().list_jobs_status()}
        self.assertLessEqual({lru, cleanup}, ids)
        ids = {j.uuid for j in self.client.cluster().list_jobs_status(job_kind="lru")}
        self.assertIn(lru, ids)
        self.assertNotIn(cleanup, ids)
        self.client.job(job_id=cleanup).wait(timeout=30, verbose=False)
        self.assertEqual([], [j for j in self.client.cluster().list_running_jobs() if cleanup in j])
        self.assertEqual([], self.client.cluster().list_running_jobs(job_kind="dsort"))

    def test_details(self):
        bck = self.bucket()
        job = self.client.job(job_id=self.client.job(job_kind="lru").start(buckets=[bck]), job_kind="lru")
        job.wait(timeout=30, verbose=False)
        snaps = job.get_details().list_snapshots()
        self.assertEqual(len(self.client.cluster().get_info().tmap), len(snaps))
        for s in snaps:
            self.assertEqual((job.job_id, "lru", False, True), (s.id, s.kind, s.aborted, s.is_idle))
            self.assertGreater(s.unpack_glob_id()[0], 0)  # a jogger for each mountpath
        self.assertIsNotNone(job.get_total_time())

    def test_promotion_of_many_files(self):
        try:
            os.makedirs(PROMOTE_ROOT, exist_ok=True)
            folder = tempfile.mkdtemp(dir=PROMOTE_ROOT)
        except OSError as e:
            self.skipTest("no place to promote from: %s" % e)
        self.addCleanup(shutil.rmtree, folder)
        for i in range(50):
            with open(os.path.join(folder, "f%02d" % i), "w", encoding="utf-8") as f:
                f.write("content %d" % i)
        bck = self.bucket()
        job_id = bck.object("dir/").promote(folder)
        self.assertTrue(job_id)
        self.assertTrue(self.client.job(job_id=job_id).wait(timeout=60, verbose=False).success)
        self.assertEqual({"dir/f%02d" % i for i in range(50)}, {e.name for e in bck.list_all_objects()})

    def test_unknown_and_refused(self):
        with self.assertRaises(AISError) as c:
            self.client.job(job_id="NoSuchJob1").status()
        self.assertEqual(404, c.exception.status_code)
        with self.assertRaises((AISError, JobInfoNotFound)):
            self.client.job(job_id="NoSuchJob1").get_details()
        for kind, status in (("no-such-kind", 400), ("rechunk", 400), ("resilver", 501), ("download", 400)):
            with self.assertRaises(AISError) as c:
                self.client.job(job_kind=kind).start()
            self.assertEqual(status, c.exception.status_code, kind)
