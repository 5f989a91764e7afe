# SPDX-License-Identifier: Apache-2.0
"""
What our own client tests share: a mark for tests, comparisons, and the run of them.

A test is a function marked with @test, its name a sentence. It ends, or raises: Failed, Skipped, or whatever broke.
"""
import sys
import time
import traceback

TESTS = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def test(fn):
    TESTS.append(fn)
    return fn


def same(got, want, what=""):
    if got != want:
        raise Failed("%s%r, expected %r" % (what and what + ": ", got, want))


def within(seconds, fn, what):
    """Wait until fn() is true; a peer that cannot be reached yet is not an error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if fn():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Failed("not within %g s: %s" % (seconds, what))
        time.sleep(0.05)  # lint: condition loop


def stays(seconds, fn, what):
    """What must not happen by itself has that long to happen: fn() is true all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not fn():
            raise Failed("for %g s: %s" % (seconds, what))
        time.sleep(0.05)  # lint: condition loop


def run(*args, wanted=None, before=None):
    """
    Run the tests with these arguments, or those of them whose names contain one of `wanted` (the command line). before(fn) is called before each.
    Prints "ok NAME", "not ok NAME: line N: what" or "skip NAME: why". The exit code.
    """
    wanted = sys.argv[1:] if wanted is None else wanted
    failed = 0
    for fn in TESTS:
        if wanted and not any(w in fn.__name__ for w in wanted):
            continue
        if before:
            before(fn)
        try:
            fn(*args)
            print("ok", fn.__name__)
        except Skipped as e:
            print("skip %s: %s" % (fn.__name__, e))
        except Exception as e:  # noqa: BLE001: a test that breaks in any way has failed
            failed += 1
            where = [f for f in traceback.extract_tb(e.__traceback__) if f.name == fn.__name__]
            text = str(e).replace("\n", " | ")[:1200]
            print("not ok %s: line %d: %s: %s" % (fn.__name__, where[-1].lineno if where else 0, type(e).__name__, text))
        sys.stdout.flush()
    return 1 if failed else 0
