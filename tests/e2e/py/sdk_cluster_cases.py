# SPDX-License-Identifier: Apache-2.0
"""The cluster: map, health, configuration, logs, statistics, metrics, what is not there."""
import gzip
import io
import re
import tarfile

from aistore.sdk.enums import LogSeverity

from sdk_case import Case, rand_bytes


class ClusterState(Case):
    def nodes(self):
        smap = self.client.cluster().get_info()
        return {**smap.pmap, **smap.tmap}

    def reverse(self, node, what, **kw):
        return self.ask("GET", "/v1/reverse/daemon", {"what": what, **kw}, headers={"Ais-Node-Id": node})

    def test_map(self):
        smap = self.client.cluster().get_info()
        self.assertGreaterEqual(len(smap.tmap), 1)
        self.assertIn(smap.proxy_si.daemon_id, smap.pmap)
        self.assertTrue(smap.uuid and int(smap.version) > 0)
        self.assertEqual(smap.uuid, self.client.cluster().get_uuid())
        for what in ("smap", "bmd", "snode", "cluster_config", "sysinfo", "node_stats", "mountpaths", "remote", "backends"):
            with self.subTest(what):
                r = self.ask("GET", "/v1/cluster", {"what": what})
                self.assertEqual(200, r.status_code, r.text)
                r.json()
        self.assertError(self.ask("GET", "/v1/cluster", {"what": "nonsense"}), 400, "nonsense")

    def test_health(self):
        self.assertTrue(self.client.cluster().is_ready())
        for n in self.nodes().values():
            for q in ({}, {"readiness": "true"}, {"cii": "true"}):
                r = self.http.get(n.public_net.direct_url + "/v1/health", params=q, timeout=10)
                self.assertEqual(200, r.status_code)
                if q.get("cii"):
                    self.assertEqual(6, r.json()["flags"] & 6)  # node and cluster have started

    def test_config_of_the_cluster(self):
        def get(section, key):
            return self.ask("GET", "/v1/cluster", {"what": "cluster_config"}).json()[section][key]

        before = get("lso", "idle_time")
        self.addCleanup(lambda: self.ask("PUT", "/v1/cluster/set-config", {"lso.idle_time": before}))
        r = self.ask("PUT", "/v1/cluster/set-config", {"lso.idle_time": "33s"})
        self.assertEqual(200, r.status_code, r.text)
        self.assertEqual("33s", get("lso", "idle_time"))
        for n in self.nodes():  # it reached everybody
            self.assertEqual("33s", self.reverse(n, "config").json()["lso"]["idle_time"])
        r = self.act("PUT", "/v1/cluster", "set-config", {"lso": {"idle_time": "44s"}})
        self.assertEqual(200, r.status_code, r.text)
        self.assertEqual("44s", get("lso", "idle_time"))
        for bad in ({"lso.idle_time": "soon"}, {"no.such.key": "1"}, {"checksum.type": "crc16"}, {}):
            with self.subTest(str(bad)):
                self.assertError(self.ask("PUT", "/v1/cluster/set-config", bad), 400)
        self.assertEqual("44s", get("lso", "idle_time"))

    def test_config_of_one_node(self):
        nodes = self.nodes()
        one = next(iter(self.client.cluster().get_info().tmap))

        def level(n):
            return self.reverse(n, "config").json()["log"]["level"]

        before = {n: level(n) for n in nodes}
        self.addCleanup(lambda: self.ask("PUT", "/v1/reverse/daemon/set-config", {"log.level": before[one]}, headers={"Ais-Node-Id": one}))
        r = self.ask("PUT", "/v1/reverse/daemon/set-config", {"log.level": "4"}, headers={"Ais-Node-Id": one})
        self.assertEqual(200, r.status_code, r.text)
        self.assertEqual({**before, one: "4"}, {n: level(n) for n in nodes})
        r = self.ask("PUT", "/v1/reverse/daemon/set-config", {"log.nonsense": "4"}, headers={"Ais-Node-Id": one})
        self.assertError(r, 400)

    def test_new_buckets_inherit_the_configuration(self):
        self.addCleanup(lambda: self.ask("PUT", "/v1/cluster/set-config", {"checksum.type": "xxhash2"}))
        self.assertEqual(200, self.ask("PUT", "/v1/cluster/set-config", {"checksum.type": "sha512"}).status_code)
        self.assertEqual("sha512", self.bprops(self.bucket())["checksum"]["type"])

    def test_logs(self):
        c = self.client.cluster()
        for n in self.nodes():
            text = c.get_node_log(n)
            self.assertIn("aisnode" if "aisnode" in text else "start", text)
            c.get_node_log(n, severity=LogSeverity.ERROR)
            packed = c.get_node_log_archive(n)
            with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
                self.assertTrue(tar.getnames())
            self.assertTrue(gzip.decompress(packed))
            tail = self.reverse(n, "log", offset=len(text.encode()) - 10)
            self.assertEqual(200, tail.status_code)
            self.assertGreaterEqual(len(tail.content), 10)
        self.assertError(self.reverse(n, "log", severity="loud"), 400)
        self.assertError(self.reverse(n, "log", offset=1 << 40), 400)
        self.assertEqual(set(c.get_info().tmap), set(c.get_cluster_logs()))

    def test_statistics_count(self):
        def total(key):
            doc = self.ask("GET", "/v1/cluster", {"what": "node_stats"}).json()
            return sum(int(t["tracker"].get(key, 0)) for t in doc["target"].values())

        b = self.bucket()
        keys = ("put.n", "put.size", "get.n", "get.size", "del.n")
        before = {k: total(k) for k in keys}
        for i in range(7):
            o = self.put(b, "o%d" % i, rand_bytes(1000))
            self.assertEqual(1000, len(o.get_reader().read_all()))
            o.get_reader(byte_range="bytes=0-9").read_all()
        for i in range(3):
            b.object("o%d" % i).delete()
        after = {k: total(k) - before[k] for k in keys}
        self.assertEqual({"put.n": 7, "put.size": 7000, "get.n": 14, "get.size": 7070, "del.n": 3}, after)
        perf = self.client.cluster().get_performance()
        self.assertEqual(set(self.client.cluster().get_info().tmap), set(perf))

    def test_metrics(self):
        for n in self.nodes().values():
            r = self.http.get(n.public_net.direct_url + "/metrics", timeout=10)
            self.assertEqual(200, r.status_code)
            kind = n.daemon_type
            self.assertRegex(r.text, r"(?m)^ais_%s_\w+\{.*node_id=\"%s\".*\} [0-9.e+]+$" % (kind, n.daemon_id))
            for line in r.text.splitlines():
                self.assertRegex(line, r"^(# (HELP|TYPE) \w+ .*|\w+(\{.*\})? [-+0-9.eEInfNa]+)$")

    def test_reverse_errors(self):
        self.assertError(self.ask("GET", "/v1/reverse/daemon", {"what": "snode"}), 400, "Ais-Node-Id")
        self.assertError(self.reverse("nosuchnode", "snode"), 404, "nosuchnode")

    def test_unknown_things(self):
        self.assertError(self.ask("GET", "/v1/nonsense"), 400)
        self.assertError(self.ask("GET", "/"), 400)
        r = self.ask("DELETE", "/v1/health")
        self.assertEqual(405, r.status_code)
        self.assertIn("GET", r.headers["Allow"])
        self.assertError(self.ask("GET", "/v1/cluster", {"what": "status"}, json={"id": "NoSuchJob1"}), 404)

    def test_outsiders_cannot_speak_for_nodes(self):
        n = next(iter(self.client.cluster().get_info().tmap.values()))
        for url in (n.public_net.direct_url, n.intra_control_net.direct_url):
            for path in ("/v1/metasync", "/v1/cluster", "/v1/xactions"):
                r = self.http.put(url + path, json={}, headers={"Ais-Caller-Id": n.daemon_id}, timeout=10)
                self.assertGreaterEqual(r.status_code, 400, url + path)
        r = self.http.get(n.public_net.direct_url + "/v1/health", headers={"Ais-Caller-Id": n.daemon_id}, timeout=10)
        self.assertEqual(403, r.status_code)
        self.assertTrue(re.match(r"http://", n.public_net.direct_url))
