#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Runs the test cases of sdk_*_cases.py; a line "ok NAME", "not ok NAME: why" or "skip NAME: why" for each.

  sdk_run.py [--endpoint URL] [--seconds S] [PART-OF-A-NAME...]

Without --endpoint a cluster of one proxy and three targets is started in a temporary folder, and removed in the end.
"""
import argparse
import glob
import importlib
import os
import signal
import subprocess
import sys
import time
import unittest

import wire

HERE = os.path.dirname(os.path.abspath(__file__))


class Lines(unittest.TestResult):
    """One line a test; a failure's full text goes before it, as comments."""

    def startTest(self, test):
        super().startTest(test)
        self.why, self.skipped_why, self.began = None, None, time.monotonic()

    def _bad(self, test, err):
        text = self._exc_info_to_string(err, test)
        for line in text.splitlines():
            print("#", line)
        if self.why is None:
            self.why = " ".join(str(err[1]).split())[:300] or err[0].__name__

    def addError(self, test, err):
        super().addError(test, err)
        self._bad(test, err)
        if not isinstance(test, unittest.TestCase):  # a class or a module could not be set up
            print("not ok %s: %s" % (test, self.why), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._bad(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skipped_why = reason

    def stopTest(self, test):
        super().stopTest(test)
        name = "%s.%s" % (type(test).__name__, test._testMethodName.removeprefix("test_"))
        if self.why is not None:
            print("not ok %s: %s" % (name, self.why), flush=True)
        elif self.skipped_why is not None:
            print("skip %s: %s" % (name, self.skipped_why), flush=True)
        else:
            print("ok %s" % name, flush=True)
        took = time.monotonic() - self.began
        if took > 5:
            print("# took %.1f s" % took)


def load(parts):
    suite = unittest.TestSuite()
    loader = unittest.TestLoader()
    for path in sorted(glob.glob(os.path.join(HERE, "sdk_*_cases.py"))):
        for group in loader.loadTestsFromModule(importlib.import_module(os.path.basename(path)[:-3])):
            for test in group:
                if not parts or any(p in test.id() for p in parts):
                    suite.addTest(test)
    return suite


def complaint(cluster):
    """What is wrong with the nodes after all tests: one is gone, or wrote to its standard error (a failed assertion, a sanitizer)."""
    status = subprocess.run([wire.CLUSTER, "status", "--dir", cluster.dir], stdout=subprocess.PIPE, text=True)
    if status.returncode != 0:
        return "not all nodes are ready: " + " | ".join(status.stdout.splitlines())
    subprocess.run([wire.CLUSTER, "stop", "--dir", cluster.dir], stdout=subprocess.DEVNULL, check=True)
    for node, text in cluster.last_words():
        for line in text.splitlines()[:60]:
            print("#", line)
        return "node %d says: %s" % (node, " ".join(text.split())[:200])
    return None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--endpoint")
    ap.add_argument("--seconds", type=float, help="how long the parallel tests run")
    ap.add_argument("parts", nargs="*")
    args = ap.parse_args()
    if args.seconds:
        os.environ["AIS_TEST_PARALLEL_SECONDS"] = str(args.seconds)
    cluster = None
    if not args.endpoint:
        cluster = wire.Cluster()
        args.endpoint = "http://127.0.0.1:%d" % cluster.port
    os.environ["AIS_TEST_ENDPOINT"] = args.endpoint
    why = None
    try:
        result = Lines()
        load(args.parts).run(result)
        if cluster:
            why = complaint(cluster)
            print("not ok nodes: " + why if why else "ok nodes", flush=True)
    finally:
        if cluster:
            cluster.clean()
    if result.testsRun == 0:
        print("not ok all: no test has such a name")
        return 1
    return 0 if result.wasSuccessful() and not why else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is removed when time is up
    sys.exit(main())
