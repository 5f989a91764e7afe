#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The ais command: every group of commands, JSON, exit codes, errors, standard input and output, trees, names, transfers that break.

Prints "ok NAME" or "not ok NAME: why" for each test. With arguments, only tests whose names contain one of them. The programs come from
$AIS_BUILD (default: build), so that the same tests run with sanitizers.
"""
import contextlib
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import wire
from cases import run, test

BUILD = os.path.join(wire.TOP, os.environ.get("AIS_BUILD", "build"))
AIS = os.path.join(BUILD, "bin", "ais")
os.environ["AIS_BUILD"] = BUILD  # cluster.sh takes the nodes from there too
OK, FAILED, USAGE, NOTFOUND, UNREACHABLE, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Run:
    """One run of the program, finished."""

    def __init__(self, args, p):
        self.args, self.code, self.raw, self.err = args, p.returncode, p.stdout, p.stderr.decode("utf-8", "replace")

    @property
    def out(self):
        return self.raw.decode("utf-8", "surrogateescape")

    def json(self):
        return json.loads(self.raw)

    def lines(self):
        return self.out.splitlines()

    def __str__(self):
        return "ais %s: exit %d, out %r, err %r" % (" ".join(self.args), self.code, self.raw[-300:], self.err[-600:])


class Cli:
    def __init__(self, endpoint, cwd):
        self.cwd = cwd
        self.env = dict(os.environ, AIS_ENDPOINT=endpoint, LC_ALL="C.UTF-8")
        for name in ("AIS_AUTHN_TOKEN", "AIS_AUTHN_TOKEN_FILE"):
            self.env.pop(name, None)

    def start(self, *args, env=None, **kw):
        return subprocess.Popen([AIS, *args], cwd=self.cwd, env=dict(self.env, **(env or {})), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)

    def __call__(self, *args, want=OK, stdin=b"", env=None, cwd=None):
        p = subprocess.run([AIS, *args], cwd=cwd or self.cwd, env=dict(self.env, **(env or {})), input=stdin, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=120)
        r = Run(args, p)
        assert want is None or r.code == want, "expected exit %s: %s" % (want, r)
        assert "Sanitizer" not in r.err and "runtime error" not in r.err, r.err
        return r

    def refuses(self, code, text, *args, **kw):
        """Exit code, nothing on standard output, one line "Error: ..." with the text in it."""
        r = self(*args, want=code, **kw)
        errors = [line for line in r.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, "expected one error: %s" % r
        assert text in errors[0], "expected %r in %r" % (text, errors[0])
        return r


def write(path, data=b"hello\n"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def noise(n, seed=b"x"):
    out = b""
    while len(out) < n:
        seed = hashlib.sha512(seed).digest()
        out += seed * 64
    return out[:n]


def tree_of(top):
    return {os.path.relpath(os.path.join(d, f), top): hashlib.sha256(read(os.path.join(d, f))).hexdigest()
            for d, _, files in os.walk(top) for f in files}


@contextlib.contextmanager
def bucket(t, name):
    t.ais("create", "ais://" + name)
    try:
        yield "ais://" + name
    except BaseException:
        t.ais("bucket", "props", "reset", "ais://" + name, want=None)
        t.ais("rmb", "ais://" + name, "--yes", want=None)  # what went wrong before is the news
        raise
    t.ais("rmb", "ais://" + name, "--yes", "--ignore-error")


def eventually(what, fn, seconds=20):
    until = time.monotonic() + seconds
    while not fn():
        assert time.monotonic() < until, "%s: not within %d s" % (what, seconds)
        time.sleep(0.05)  # lint: condition loop


class T:
    """What tests get: the cluster, the program, a folder of their own."""

    def __init__(self, cluster, top):
        self.cluster, self.top, self.n = cluster, top, 0
        self.url = "http://127.0.0.1:%d" % cluster.port

    def fresh(self, name):
        self.dir = os.path.join(self.top, name)
        os.makedirs(self.dir)
        self.ais = Cli(self.url, self.dir)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def smap(self):
        a = wire.send("127.0.0.1", self.cluster.port, "GET", "/v1/daemon?what=smap", [("Host", "x")])
        return a.json()

    def target(self):
        return sorted(self.smap()["tmap"])[0]

    def proxy(self):
        return sorted(self.smap()["pmap"])[0]


# --- help, usage, exit codes ---
@test
def help_of_everything_is_there_without_a_cluster(t):
    env = {"AIS_ENDPOINT": "http://127.0.0.1:1"}
    top = t.ais("help", env=env).out
    for word in ("bucket", "object", "show", "config", "log", "storage", "cluster", "version", "AIS_ENDPOINT", "EXIT CODES"):
        assert word in top, word
    assert t.ais("--help", env=env).out == top and t.ais(env=env).out == top
    group = t.ais("bucket", "--help", env=env).out
    assert "bucket create" in group and "EXAMPLES:" in group and "ais bucket create ais://data" in group
    commands = re.findall(r"^   ([a-z][a-z -]*?[a-z])  ", "".join(t.ais(g, "--help", env=env).out for g in (
        "bucket", "object", "show", "config", "log", "storage", "cluster")), re.M)
    assert len(commands) >= 45, commands
    for c in commands:
        text = t.ais(*c.split(), "--help", env=env).out
        assert ("ais %s - " % c) in text and "OPTIONS:" in text and "--help, -h" in text, c
        assert t.ais("help", *c.split(), env=env).out == text


@test
def a_group_alone_shows_its_commands_and_is_wrong_usage(t):
    assert "bucket props set" in t.ais("bucket", want=USAGE).out
    assert "bucket props reset" in t.ais("bucket", "props", "--help").out


@test
def near_misses_are_suggested(t):
    t.ais.refuses(USAGE, 'unknown command "bukcet": did you mean "bucket"?', "bukcet", "ls")
    t.ais.refuses(USAGE, 'unknown command "crate": did you mean "create"?', "bucket", "crate")
    t.ais.refuses(USAGE, 'unknown command "xyzzy"', "xyzzy")
    t.ais.refuses(USAGE, 'unknown command "frobnicate"', "show", "frobnicate")


@test
def wrong_usage_sends_nothing_and_points_to_help(t):
    env = {"AIS_ENDPOINT": "http://127.0.0.1:1"}
    for text, args in (("unknown flag --bogus", ("ls", "--bogus")), ("missing argument", ("bucket", "create")),
                       ("unexpected argument", ("ls", "a", "b")), ('"many" is not a number', ("ls", "b", "--limit", "many")),
                       ("needs a value", ("ls", "b", "--prefix")), ('unknown provider "ftp"', ("ls", "ftp://b")),
                       ("names no object", ("cat", "ais://b")), ("names an object", ("bucket", "create", "ais://b/o")),
                       ("names no object", ("get", "ais://b")), ("needs an object name", ("put", "-", "ais://b")),
                       ("without a terminal", ("rmb", "ais://b")), ("another bucket", ("object", "mv", "ais://a/o", "ais://b/o")),
                       ("there is no", ("ls", "ais://b", "--props", "size,colour")), ("whole objects", ("get", "a/o", "--offset", "1", "--checksum")),
                       ("KEY=VALUE", ("bucket", "props", "set", "ais://b", "lonely")), ("expecting TARGET_ID=", ("storage", "mountpath", "attach", "x"))):
        r = t.ais.refuses(USAGE, text, *args, env=env)
        assert "--help'" in r.err, r
    t.ais.refuses(USAGE, "is not a URL", "ls", env={"AIS_ENDPOINT": "http://:not a url"})
    assert t.ais("--version", want=UNREACHABLE, env=env).out.startswith("ais ")


@test
def nobody_there_is_exit_4(t):
    for args in (("ls",), ("show", "cluster"), ("put", "/etc/hostname", "ais://b"), ("get", "ais://b/o", "-"), ("cluster", "health")):
        t.ais.refuses(UNREACHABLE, "cannot reach the cluster at http://127.0.0.1:1", *args, env={"AIS_ENDPOINT": "http://127.0.0.1:1"})


@test
def what_is_missing_is_exit_3_and_is_named(t):
    with bucket(t, "cli-missing") as b:
        t.ais.refuses(NOTFOUND, "ais://nothere", "ls", "ais://nothere")
        t.ais.refuses(NOTFOUND, "ais://nothere", "rmb", "ais://nothere", "--yes")
        t.ais("rmb", "ais://nothere", "--yes", "--ignore-error")
        t.ais.refuses(NOTFOUND, "nothere", "bucket", "props", "show", "ais://nothere")
        t.ais.refuses(NOTFOUND, b + "/o", "get", b + "/o", "x")
        t.ais.refuses(NOTFOUND, b + "/o", "cat", b + "/o")
        t.ais.refuses(NOTFOUND, "o", "object", "show", b + "/o")
        t.ais.refuses(NOTFOUND, "o", "object", "rm", b + "/o")
        t.ais.refuses(NOTFOUND, 'start with "zz"', "get", b, "--prefix", "zz", "d")
        t.ais.refuses(NOTFOUND, 'node "nobody"', "show", "cluster", "nobody")
        t.ais.refuses(NOTFOUND, 'node "t[nobody]"', "log", "show", "t[nobody]")
        t.ais.refuses(NOTFOUND, '"nosuchkey"', "show", "config", "cluster", "nosuchkey")
        t.ais.refuses(NOTFOUND, '"nosuchkey"', "show", "bucket", b, "nosuchkey")
        assert not os.path.exists(t.path("x"))
        t.ais.refuses(FAILED, "no-such-file: No such file", "put", "no-such-file", b)


@test
def some_done_and_some_not_is_exit_5(t):
    with bucket(t, "cli-partial") as b:
        t.ais("put", "-", b + "/a", stdin=b"a")
        r = t.ais("object", "rm", b + "/a", b + "/b", want=PARTIAL)
        assert 'deleted "%s/a"' % b in r.out and "Error: " in r.err
        r = t.ais("create", b, "ais://cli-partial-2", want=PARTIAL)
        assert "already exists" in r.err and '"ais://cli-partial-2" created' in r.out
        t.ais("create", b, "--ignore-error")
        t.ais.refuses(FAILED, "already exists", "create", b)
        t.ais("rmb", "ais://cli-partial-2", "--yes")


# --- buckets ---
@test
def what_go_cannot_read_is_exported(t):
    contents = {"plain": b"1", "dir/plain": b"2", "a": b"first", "a/b": b"second", "d/" + "n" * 260: b"long", "m" * 260: b"found by Go", "x//y": b"x"}
    with bucket(t, "cli-export") as b:
        for name, body in contents.items():
            t.ais("put", "-", b + "/" + name, stdin=body)
        t.ais("object", "set-custom", b + "/a", "color=red", "empty=")
        want = {"a", "a/b", "d/" + "n" * 260, "x//y"}
        told = t.ais("advanced", "export-to-go", b)
        assert len(told.lines()) == len(want) and "4 objects" in told.err, told
        out = os.path.join(t.dir, "export")
        assert t.ais("advanced", "export-to-go", b, "--to", out).out == ""
        rows = [json.loads(line) for line in open(os.path.join(out, "index.jsonl"))]
        assert {r["name"] for r in rows} == want and len(rows) == len(want), rows
        for r in rows:
            assert open(os.path.join(out, r["file"]), "rb").read() == contents[r["name"]], r
            assert r["bucket"] == b and r["version"] == "1" and r["checksum_type"] == "xxhash2" and r["reason"], r
        assert [r["custom"] for r in rows if r["name"] == "a"] == [{"color": "red", "empty": ""}]
        assert len(os.listdir(os.path.join(out, "objects"))) == len(want)


@test
def buckets_come_are_listed_and_go(t):
    with bucket(t, "cli-b1") as b1, bucket(t, "cli-b2") as b2:
        names = t.ais("ls").lines()
        assert names[0] == "NAME" and b1 in names and b2 in names
        assert t.ais("ls", "ais:").lines() == names and t.ais("bucket", "ls", "ais://", "--no-headers").lines() == names[1:]
        assert {x["name"] for x in t.ais("ls", "--json").json()} >= {"cli-b1", "cli-b2"}
        assert '"%s" destroyed' % b1 in t.ais("bucket", "rm", b1, "-y").out
        assert b1 not in t.ais("ls").lines()
        t.ais.refuses(FAILED, "name", "create", "ais://bad*name")


@test
def a_namespace_is_part_of_the_name(t):
    t.ais("create", "ais://#cli-ns/b")
    try:
        assert "ais://#cli-ns/b" in t.ais("ls").lines()
        t.ais("put", "-", "ais://#cli-ns/b/o", stdin=b"in a namespace")
        assert t.ais("cat", "ais://#cli-ns/b/o").raw == b"in a namespace"
        t.ais.refuses(NOTFOUND, "ais://b", "ls", "ais://b")
    finally:
        t.ais("rmb", "ais://#cli-ns/b", "--yes")


@test
def properties_are_set_shown_and_reset(t):
    with bucket(t, "cli-props") as b:
        t.ais("bucket", "props", "set", b, "checksum.type=md5", "lru.enabled=false")
        t.ais("bucket", "props", "set", b, "versioning.enabled", "false")
        t.ais("bucket", "props", "set", b, '{"mirror": {"burst_buffer": 100}}')
        t.ais("bucket", "props", "set", b, "access=ro")
        p = t.ais("show", "bucket", b, "--json").json()
        assert (p["checksum"]["type"], p["lru"]["enabled"], p["versioning"]["enabled"], p["mirror"]["burst_buffer"]) == ("md5", False, False, 100)
        assert p["access"] == "771"
        t.ais.refuses(FAILED, "", "put", "/etc/hostname", b)
        t.ais.refuses(FAILED, "DESTROY-BUCKET access denied", "rmb", b, "--yes")
        t.ais("ls", b)  # read-only: but it can be read
        t.ais("bucket", "props", "set", b, "access=su")  # and opened again
        rows = dict(line.split(None, 1) for line in t.ais("bucket", "props", "show", b, "checksum", "-H").lines())
        assert rows["checksum.type"] == "md5" and set(k.split(".")[0] for k in rows) == {"checksum"}
        assert t.ais("bucket", "show", b, "checksum.type", "--json").json() == "md5"
        t.ais("bucket", "props", "reset", b)
        assert t.ais("show", "bucket", b, "checksum.type", "--json").json() == "xxhash2"
        t.ais.refuses(FAILED, "", "bucket", "props", "set", b, "nosuch.prop=1")
        t.ais.refuses(FAILED, "", "bucket", "props", "set", b, "checksum.type=rot13")


@test
def a_bucket_is_created_with_properties(t):
    for i, props in enumerate(("checksum.type=sha256 versioning.enabled=false", '{"checksum": {"type": "sha256"}, "versioning": {"enabled": false}}')):
        b = "ais://cli-with-props-%d" % i
        t.ais("bucket", "create", b, "--props", props)
        p = t.ais("show", "bucket", b, "--json").json()
        t.ais("rmb", b, "--yes")
        assert p["checksum"]["type"] == "sha256" and p["versioning"]["enabled"] is False, p


@test
def summaries_count_objects_and_bytes(t):
    with bucket(t, "cli-summary") as b:
        for i in range(7):
            write(t.path("d", "%s-%d" % ("ab"[i % 2], i)), noise(1000))
        t.ais("put", "d", b)
        s = t.ais("bucket", "summary", b, "--json").json()[0]
        assert (s["name"], s["ObjCount"]["obj_count_present"], s["TotalSize"]["size_all_present_objs"]) == ("cli-summary", "7", "7000"), s
        s = t.ais("storage", "summary", b, "--prefix", "a-", "--json").json()[0]
        assert s["ObjCount"]["obj_count_present"] == "4"
        line = [x for x in t.ais("bucket", "summary", "--units", "raw").lines() if x.startswith(b + " ")][0]
        assert line.split()[1:3] == ["7", "7000"], line
        assert t.ais("ls", b, "--summary", "--units", "raw", "-H").lines()[0].split()[1] == "7"


# --- put and get ---
@test
def a_file_goes_there_and_comes_back(t):
    with bucket(t, "cli-file") as b:
        data = write(t.path("dir", "one.bin"), noise(300000)) and noise(300000)
        assert 'PUT "dir/one.bin" => %s/one.bin' % b in t.ais("put", "dir/one.bin", b).out
        t.ais("put", "dir/one.bin", b + "/named")
        t.ais("object", "put", "dir/one.bin", b + "/sub/dir/")
        assert [e["name"] for e in t.ais("ls", b, "--json").json()] == ["named", "one.bin", "sub/dir/one.bin"]
        t.ais("get", b + "/named")
        t.ais("get", b + "/sub/dir/one.bin", "elsewhere/x")
        os.mkdir(t.path("out"))
        t.ais("object", "get", b + "/sub/dir/one.bin", "out")
        for p in ("named", "elsewhere/x", "out/one.bin"):
            assert read(t.path(p)) == data, p
        assert t.ais("cat", b + "/named").raw == data and t.ais("get", b + "/named", "-").raw == data
        t.ais("get", b + "/named", "/dev/null")
        assert os.stat(t.path("named")).st_mode & 0o777 == os.stat(t.path("dir", "one.bin")).st_mode & 0o777  # a plain file's mode
        assert "300" in t.ais("get", b + "/named", "n2", "--units", "si").out


@test
def standard_input_and_output_are_streams(t):
    with bucket(t, "cli-stdin") as b:
        for n in (0, 1, 5_000_001):
            data = noise(n)
            t.ais("put", "-", b + "/o", stdin=data)
            assert t.ais("get", b + "/o", "-").raw == data, n
            assert t.ais("object", "show", b + "/o", "--props", "size", "--json").json()["size"] == n
        with open(write(t.path("in"), noise(70000)), "rb") as f:  # a file as standard input: its size is not announced, its bytes are the same
            subprocess.run([AIS, "put", "-", b + "/f"], stdin=f, env=t.ais.env, check=True, stdout=subprocess.DEVNULL)
        assert t.ais("cat", b + "/f").raw == noise(70000)
        p = subprocess.Popen([AIS, "cat", b + "/f"], env=t.ais.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stdout.read(1) == noise(1)
        p.stdout.close()
        p.stderr.close()
        p.wait()


@test
def a_real_tree_goes_there_and_comes_back(t):
    src = "/usr/include/linux"
    if not os.path.isdir(src):
        src = os.path.join(wire.TOP, "lib")
    with bucket(t, "cli-tree") as b:
        r = t.ais("put", src, b + "/inc/", "--recursive", "--num-workers", "8")
        want = {f: h for f, h in tree_of(src).items() if not os.path.islink(os.path.join(src, f))}
        assert "PUT %d of %d objects" % (len(want), len(want)) in r.out, r
        assert len(t.ais("ls", b, "--name-only", "-H").lines()) == len(want)
        t.ais("get", b, "all", "--recursive", "--checksum")
        assert {k: v for k, v in tree_of(t.path("all", "inc")).items()} == want
        t.ais("get", b + "/inc", "below", "-r")
        assert tree_of(t.path("below")) == want
        t.ais("get", b, "--prefix", "inc/", "/dev/null")
        assert not [f for d, _, fs in os.walk(t.dir) for f in fs if f.endswith(".part")]
        t.ais("put", src, b + "/again/", "-r", "--include-src-dir", "--checksum")
        t.ais("get", b + "/again/", "again", "-r")
        assert tree_of(t.path("again", os.path.basename(src))) == want


@test
def directories_patterns_and_prefixes_name_objects(t):
    for f in ("d/a.txt", "d/b.md", "d/sub/c.txt"):
        write(t.path(f), f.encode())
    os.symlink("a.txt", t.path("d/link"))
    names = lambda: t.ais("ls", b, "--name-only", "-H").lines()  # noqa: E731
    with bucket(t, "cli-naming") as b:
        t.ais("put", "d", b)
        assert names() == ["a.txt", "b.md"]
        t.ais("rmo", b, "--all", "--yes")
        t.ais("put", "d/*.txt", b + "/x-", "-r")
        assert names() == ["x-a.txt", "x-sub/c.txt"]
        t.ais("rmo", b, "--prefix", "x-", "--yes")
        r = t.ais("put", "d/", b, "-r", "--dry-run")
        assert r.out.count("[dry-run] PUT") == 3 and names() == []
        os.mkdir(t.path("empty"))
        t.ais.refuses(NOTFOUND, "no files there", "put", "empty", b)
        t.ais("put", "-", b + "/p/q/one", stdin=b"1")
        t.ais("put", "-", b + "/p/two", stdin=b"2")
        t.ais("get", b, "--prefix", "p/", "--limit", "1", "lim")
        assert tree_of(t.path("lim")).keys() == {"q/one"}
        assert t.ais("get", b, "--prefix", "p/", "-").raw == b"12"


@test
def odd_names_are_just_names(t):
    odd = ["with space", "plus+and&amp", "100%", "%41", "what?", "a#b", "q=1&r=2", "semi;colon", "ünï/cödé", "日本語.txt", "quote\"'`", "back\\slash",
           "tab\there", "a//b", "/leading", "dot./x", "..hidden", "new\nline", "{json}", "*star*", "x" * 300, "-dash", "a:b@c", "[x]", "~t"]
    with bucket(t, "cli-odd") as b:
        for i, name in enumerate(odd):
            t.ais("put", "-", "%s/%s" % (b, name), stdin=b"%d" % i)
        assert sorted(e["name"] for e in t.ais("ls", b, "--json").json()) == sorted(odd)
        for i, name in enumerate(odd):
            uri = "%s/%s" % (b, name)
            assert t.ais("cat", uri).raw == b"%d" % i, name
            assert t.ais("object", "show", uri, "--json").json()["name"] == name
        r = t.ais("ls", b, "--name-only", "-H")
        assert len(r.lines()) == len(odd) and "new\\x0aline" in r.lines(), "one name, one line"
        r = t.ais("get", b, "tree", "-r", want=PARTIAL)  # "a//b", "/leading" and 300 bytes in one piece cannot be files
        assert r.err.count("cannot be the name of a file") == 2 and r.err.count("Error: ") == 3, r
        assert read(t.path("tree", "ünï/cödé")) == b"8" and read(t.path("tree", "new\nline")) == b"%d" % odd.index("new\nline")
        for name in odd:
            t.ais("object", "rm", "%s/%s" % (b, name))
        assert t.ais("ls", b, "--json").json() == []


@test
def names_cannot_leave_the_destination(t):
    """Objects are named by whoever put them: "../x" must not be written beside the directory."""
    def answer(h):
        entries = [{"name": n, "size": "1"} for n in ("../evil", "ok", "/tmp/evil", "a/../../evil2")]
        if "/objects/" in h.path:
            return 200, {}, b"x"
        return 200, {}, json.dumps({"uuid": "", "continuation_token": "", "entries": entries, "flags": 0}).encode()
    with fake(answer) as url:
        r = t.ais("get", "ais://b", "in/here", "-r", want=PARTIAL, env={"AIS_ENDPOINT": url})
    assert r.err.count("cannot be the name of a file") == 3, r
    assert tree_of(t.dir).keys() == {"in/here/ok"}


@test
def ranges_are_ranges(t):
    data = noise(100000)
    with bucket(t, "cli-range") as b:
        t.ais("put", write(t.path("f"), data), b + "/o")
        for off, length in ((0, 1), (10, 1000), (99999, 1), (99999, 100), (50000, 50000)):
            args = ("--offset", str(off), "--length", str(length))
            assert t.ais("get", b + "/o", "-", *args).raw == data[off:off + length]
            assert t.ais("cat", b + "/o", *args).raw == data[off:off + length]
        assert t.ais("get", b + "/o", "-", "--offset", "1KiB").raw == data[1024:]
        assert t.ais("get", b + "/o", "-", "--length", "2KiB").raw == data[:2048]
        t.ais("get", b + "/o", "part", "--offset", "5", "--length", "7")
        assert read(t.path("part")) == data[5:12]
        t.ais.refuses(FAILED, "", "get", b + "/o", "past", "--offset", "100000", "--length", "1")
        assert not os.path.exists(t.path("past"))


@test
def large_files_go_in_parts_both_ways(t):
    data = noise(5_500_001)
    write(t.path("big"), data)
    with bucket(t, "cli-big") as b:
        t.ais("put", "big", b, "--chunk-size", "1MiB", "--num-workers", "3")
        assert t.ais("cat", b + "/big").raw == data
        assert t.ais("object", "show", b + "/big", "--json").json()["chunked"] == 6
        assert t.ais("ls", b, "--props", "size,chunked", "-H").lines()[0].split()[2] == "yes"
        t.ais("get", b + "/big", "back", "--mpd", "--chunk-size", "700KiB")
        assert read(t.path("back")) == data
        t.ais("put", "big", b + "/plain")
        t.ais("get", b + "/plain", "back2", "--mpd", "--chunk-size", "300KiB", "--checksum")
        assert read(t.path("back2")) == data
        t.ais("put", "-", b + "/zero", stdin=b"")
        t.ais("get", b + "/zero", "zero", "--mpd")
        assert read(t.path("zero")) == b""
        write(t.path("mix", "small"), b"s")
        write(t.path("mix", "large"), data)
        assert "PUT 2 of 2 objects" in t.ais("put", "mix", b + "/mix/", "--chunk-size", "2MiB").out
        assert t.ais("cat", b + "/mix/large").raw == data


@test
def a_multipart_upload_can_be_made_by_hand(t):
    with bucket(t, "cli-mpu") as b:
        uid = t.ais("mpu", "create", b + "/o").out.strip()
        assert uid
        t.ais.refuses(USAGE, "not a part's number", "mpu", "complete", b + "/o", uid, "1,x")
        t.ais("mpu", "abort", b + "/o", uid)
        t.ais.refuses(NOTFOUND, "", "object", "multipart-upload", "complete", b + "/o", uid, "1")


@test
def checksums_are_compared_on_both_sides(t):
    data = noise(123456)
    write(t.path("f"), data)
    with bucket(t, "cli-cksum") as b:
        t.ais("put", "f", b, "--checksum")
        t.ais("put", "f", b + "/md5", "--md5", hashlib.md5(data).hexdigest())
        t.ais("put", "f", b + "/sha", "--sha256", hashlib.sha256(data).hexdigest())
        t.ais.refuses(FAILED, "CHECKSUM", "put", "f", b + "/bad", "--md5", "0" * 32)
        t.ais.refuses(NOTFOUND, "", "object", "show", b + "/bad")
        t.ais("get", b + "/f", "g", "--checksum")
        assert read(t.path("g")) == data
        for kind in ("md5", "crc32c", "sha256", "sha512", "xxhash"):
            t.ais("bucket", "props", "set", b, "checksum.type=" + kind)
            t.ais("put", "f", b + "/of-" + kind, "--compute-checksum")
            assert t.ais("cat", b + "/of-" + kind, "--checksum").raw == data
            assert t.ais("show", "object", b + "/of-" + kind, "--json").json()["checksum"].startswith(kind + "[")
        t.ais("bucket", "props", "set", b, "checksum.type=none")
        t.ais("put", "f", b + "/none")
        t.ais.refuses(FAILED, "no checksum", "get", b + "/none", "n", "--checksum")
        t.ais.refuses(FAILED, "nothing to compare", "put", "f", b, "--checksum")
        assert not os.path.exists(t.path("n"))


# --- transfers that break: a server that misbehaves on purpose ---
@contextlib.contextmanager
def fake(answer):
    """answer(handler) -> (status, headers, body); or None when it has answered by itself."""
    class H(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self):
            got = answer(self)
            if got is None:
                self.close_connection = True
                return
            status, headers, body = got
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for k, v in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(k, v)
            self.end_headers()
            self.wfile.write(body)
        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do_PATCH = do

        def log_message(self, *_):
            pass

    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, daemon=True).start()
    try:
        yield "http://127.0.0.1:%d" % s.server_port
    finally:
        s.shutdown()
        s.server_close()


def half(h):
    h.send_response(200)
    h.send_header("Content-Length", "1000000")
    h.end_headers()
    h.wfile.write(noise(500000))
    h.wfile.flush()


@test
def a_broken_transfer_leaves_no_half_file(t):
    write(t.path("old"), b"the old one")
    with fake(half) as url:
        t.ais.refuses(FAILED, "before its announced length", "get", "ais://b/o", "new", env={"AIS_ENDPOINT": url})
        t.ais.refuses(FAILED, "before its announced length", "get", "ais://b/o", "old", env={"AIS_ENDPOINT": url})
        assert t.ais("cat", "ais://b/o", want=FAILED, env={"AIS_ENDPOINT": url}).raw == noise(500000)
    assert tree_of(t.dir).keys() == {"old"} and read(t.path("old")) == b"the old one"


@test
def ctrl_c_leaves_no_half_file(t):
    go, begun = threading.Event(), threading.Event()

    def hang(h):
        half(h)
        begun.set()
        go.wait(30)
    write(t.path("old"), b"the old one")
    with fake(hang) as url:
        for sig in (signal.SIGINT, signal.SIGTERM):
            begun.clear()
            p = t.ais.start("get", "ais://b/o", "old", env={"AIS_ENDPOINT": url})
            assert begun.wait(20)
            eventually("a temporary file", lambda: any(f.endswith(".part") for f in os.listdir(t.dir)))
            p.send_signal(sig)
            p.communicate(timeout=20)
            assert p.returncode == INTERRUPTED, p.returncode
            assert tree_of(t.dir).keys() == {"old"} and read(t.path("old")) == b"the old one"
        go.set()


@test
def ctrl_c_ends_an_upload_from_a_keyboard(t):
    with bucket(t, "cli-ctrl-c") as b:
        p = subprocess.Popen([AIS, "put", "-", b + "/o"], env=t.ais.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(noise(300000))
        p.stdin.flush()  # more than a pipe holds: some of it is on its way now
        p.send_signal(signal.SIGINT)
        assert p.wait(timeout=20) == INTERRUPTED
        p.stdin.close()
        p.stdout.close()
        p.stderr.close()
        t.ais.refuses(NOTFOUND, "", "cat", b + "/o")


@test
def kill_9_leaves_the_old_file(t):
    go, begun = threading.Event(), threading.Event()

    def hang(h):
        half(h)
        begun.set()
        go.wait(30)
    write(t.path("old"), b"the old one")
    with fake(hang) as url:
        p = t.ais.start("get", "ais://b/o", "old", env={"AIS_ENDPOINT": url})
        assert begun.wait(20)
        p.kill()
        p.communicate(timeout=20)
        go.set()
    assert read(t.path("old")) == b"the old one"


@test
def a_wrong_checksum_is_never_delivered(t):
    body = b"what came"
    wrong = {"Ais-Checksum-Type": "md5", "Ais-Checksum-Value": hashlib.md5(b"what was stored").hexdigest()}
    with fake(lambda h: (200, wrong, body)) as url:
        env = {"AIS_ENDPOINT": url}
        t.ais.refuses(FAILED, "checksum mismatch", "get", "ais://b/o", "x", "--checksum", env=env)
        assert tree_of(t.dir) == {}
        t.ais("get", "ais://b/o", "x", env=env)  # not asked to compare


@test
def parts_of_an_overwritten_object_are_not_mixed(t):
    n = [0]

    def answer(h):
        if h.command == "HEAD":
            return 200, {"Content-Length": "20000", "Ais-Version": "1"}, b""
        n[0] += 1
        first, last = map(int, re.match(r"bytes=(\d+)-(\d+)", h.headers["Range"]).groups())
        return 206, {"Ais-Version": "1" if n[0] < 3 else "2"}, b"x" * (last - first + 1)
    with fake(answer) as url:
        t.ais.refuses(FAILED, "overwritten while it was read", "get", "ais://b/o", "x", "--mpd", "--chunk-size", "4096", env={"AIS_ENDPOINT": url})
    assert tree_of(t.dir) == {}


@test
def what_is_no_aistore_is_said_plainly(t):
    with fake(lambda h: (200, {}, b"<html>hello</html>")) as url:
        t.ais.refuses(FAILED, "not JSON", "ls", env={"AIS_ENDPOINT": url})
        t.ais.refuses(FAILED, "not JSON", "show", "cluster", env={"AIS_ENDPOINT": url})
    with fake(lambda h: (503, {}, b"")) as url:
        t.ais.refuses(UNREACHABLE, "not ready", "ls", env={"AIS_ENDPOINT": url})
    with fake(lambda h: (500, {}, b'{"message": "line one\\nline two", "status": 500}')) as url:
        t.ais.refuses(FAILED, "line one", "ls", env={"AIS_ENDPOINT": url})


@test
def a_token_is_presented(t):
    seen = []

    def answer(h):
        seen.append(h.headers.get("Authorization"))
        return 200, {}, b"[]"
    write(t.path("token"), b"from-a-file\n")
    with fake(answer) as url:
        t.ais("ls", env={"AIS_ENDPOINT": url, "AIS_AUTHN_TOKEN": "secret"})
        t.ais("ls", env={"AIS_ENDPOINT": url, "AIS_AUTHN_TOKEN_FILE": t.path("token")})
        t.ais("ls", env={"AIS_ENDPOINT": url})
    assert seen == ["Bearer secret", "Bearer from-a-file", None], seen


# --- listing ---
@test
def listings_have_prefix_pages_limits_and_levels(t):
    for i in range(25):
        write(t.path("d", "%s/f%02d" % ("xyz"[i % 3], i)), b"%d" % i)
    write(t.path("d", "top"), b"t")
    with bucket(t, "cli-list") as b:
        t.ais("put", "d", b, "-r")
        everything = sorted(tree_of(t.path("d")))
        names = lambda *a: t.ais("ls", *a, "--name-only", "-H").lines()  # noqa: E731
        assert names(b) == everything
        assert names(b, "--page-size", "4") == everything and names(b, "--paged", "--page-size", "7") == everything
        assert names(b + "/x/") == [n for n in everything if n.startswith("x/")] == names(b, "--prefix", "x/")
        assert names(b, "--limit", "5") == everything[:5] and names(b, "--limit", "11", "--page-size", "4") == everything[:11]
        assert names(b, "--page-size", "4", "--max-pages", "2") == everything[:8]
        assert names(b, "--start-after", everything[9]) == everything[10:]
        assert sorted(names(b, "--nr")) == ["top", "x/", "y/", "z/"] and names(b, "--non-recursive", "--no-dirs") == ["top"]
        assert t.ais("ls", b, "--count-only").out.startswith("26 objects, ")
        j = t.ais("ls", b, "--page-size", "4", "--json").json()
        assert [e["name"] for e in j] == everything and all(int(e["size"]) == os.path.getsize(t.path("d", e["name"])) for e in j)
        head = t.ais("ls", b, "--all").lines()[0].split()
        assert head == "NAME SIZE VERSION CHECKSUM ATIME CACHED COPIES CUSTOM LOCATION STATUS CHUNKED".split(), head
        row = t.ais("ls", b + "/top", "--props", "version,checksum,copies,status", "-H").lines()[0].split()
        assert row[0] == "top" and row[1] == "1" and len(row[2]) == 16 and row[3:] == ["1", "ok"], row
        assert t.ais("ls", b, "--prefix", "none", "--json").json() == [] and t.ais("ls", b, "--prefix", "none").out == ""


# --- objects ---
@test
def objects_are_renamed_described_and_deleted(t):
    with bucket(t, "cli-obj") as b:
        t.ais("put", "-", b + "/a", stdin=b"12345")
        t.ais("object", "set-custom", b + "/a", "k=v", "other.key=true")
        t.ais("object", "mv", b + "/a", "dir/b")
        t.ais.refuses(NOTFOUND, "", "cat", b + "/a")
        o = t.ais("object", "show", b + "/dir/b", "--json").json()
        assert o["size"] == 5 and o["bucket"] == b and "t[" in o["location"] and o["custom"].replace(" ", "") in ("k=v,other.key=true", "other.key=true,k=v"), o
        t.ais("object", "set-custom", b + "/dir/b", '{"x": "1"}', "--set-new-custom")
        rows = dict(line.split(None, 1) for line in t.ais("show", "object", b + "/dir/b", "--props", "size,custom", "-H").lines())
        assert rows == {"name": b + "/dir/b", "size": "5B", "custom": "x=1"}, rows
        t.ais("object", "mv", b + "/dir/b", b + "/c")
        for i in range(12):
            t.ais("put", "-", b + "/many/%d" % i, stdin=b"x")
        t.ais.refuses(USAGE, "without a terminal", "rmo", b + "/many/")
        assert "deleted 12 of 12" in t.ais("object", "rm", b + "/many/", "--yes").out
        assert "deleted 1 of 1" in t.ais("rmo", b, "--all", "-y").out
        t.ais.refuses(USAGE, "names no object", "rmo", b, "--yes")


@test
def promote_asks_the_targets(t):
    with bucket(t, "cli-promote") as b:
        t.ais.refuses(FAILED, "/etc", "object", "promote", "/etc/hostname", b)
        root = "/var/lib/ais/promote"
        if os.geteuid() != 0:
            return
        made = not os.path.exists(root)
        d = os.path.join(root, "cli-test-%d" % os.getpid())
        try:
            write(os.path.join(d, "f"), b"promoted")
            write(os.path.join(d, "sub", "g"), b"deeper")
            t.ais("promote", d, b + "/p/", "--recursive")
            eventually("promoted objects", lambda: t.ais("ls", b, "--name-only", "-H").lines() == ["p/f", "p/sub/g"])
            assert t.ais("cat", b + "/p/f").raw == b"promoted"
        finally:
            shutil.rmtree(root if made else d, ignore_errors=True)


# --- the cluster ---
@test
def show_cluster_shows_every_node(t):
    m = t.smap()
    out = t.ais("show", "cluster").out
    for node in list(m["pmap"]) + list(m["tmap"]):
        assert "[%s]" % node in out, node
    assert out.count("online") == len(m["pmap"]) + len(m["tmap"]) and m["uuid"] in out
    j = t.ais("show", "cluster", "--json").json()
    assert j.keys() == m["pmap"].keys() | m["tmap"].keys() and all(v["ais_version"] for v in j.values())
    assert list(t.ais("show", "cluster", "t[%s]" % t.target(), "--json").json()) == [t.target()]
    assert t.ais("show", "cluster", "proxy", "--json").json().keys() == m["pmap"].keys()
    assert t.ais("cluster", "show", "target", "--json").json().keys() == m["tmap"].keys()
    t.ais.refuses(USAGE, "is not a target", "show", "cluster", "target", t.proxy())


@test
def digests_above_2_63_are_shown_as_they_are(t):
    """id_digest is a 64-bit number: jansson alone refuses half of them."""
    m = t.ais("show", "cluster", "smap", "--json").json()
    assert m == t.smap()
    big = 2**64 - 1
    for n in m["tmap"].values():
        n["id_digest"] = big
    with fake(lambda h: (200, {}, json.dumps(m).encode())) as url:
        got = t.ais("show", "cluster", "smap", "--json", env={"AIS_ENDPOINT": url}).json()
        assert [n["id_digest"] for n in got["tmap"].values()] == [big] * len(m["tmap"])
        assert t.ais("show", "smap", env={"AIS_ENDPOINT": url}).out.count("target") == len(m["tmap"])


@test
def every_table_has_its_json(t):
    tid, pid = t.target(), t.proxy()
    with bucket(t, "cli-json") as b:
        t.ais("put", "-", b + "/o", stdin=b"x")
        for args in (("ls",), ("ls", b), ("bucket", "summary"), ("bucket", "props", "show", b), ("show", "bucket", b, "mirror"), ("show", "object", b + "/o"),
                     ("show", "cluster"), ("show", "cluster", "smap"), ("show", "cluster", "smap", tid), ("show", "cluster", "bmd"),
                     ("show", "cluster", "bmd", pid), ("show", "cluster", "stats"), ("show", "cluster", "config"), ("show", "config"),
                     ("show", "config", "cluster", "log"), ("show", "config", tid), ("show", "config", tid, "local", "host_net"), ("config", "cluster"),
                     ("config", "cluster", "checksum.type"), ("config", "node", pid, "inherited", "log"), ("show", "storage"), ("show", "storage", tid),
                     ("show", "storage", "mountpath"), ("show", "storage", "disk"), ("storage", "summary", b), ("version",), ("cluster", "health")):
            assert t.ais(*args, "--json").json() is not None, args
            assert t.ais(*args).out.strip() != "", args
            assert t.ais(*args, "-j").json() is not None


@test
def storage_is_shown_and_mountpaths_are_switched(t):
    tid = t.target()
    have = t.ais("show", "storage", "mountpath", tid, "--json").json()[tid]["available"]
    assert len(have) == 2
    table = t.ais("storage", "show", "-H", "--units", "raw").lines()
    assert len(table) == 6 and all(int(x.split()[4]) > 0 for x in table), table
    pair = "%s=%s" % (tid, have[0])
    assert "disabled" in t.ais("storage", "mountpath", "disable", pair, "--wait").out
    assert "is disabled already" in t.ais("storage", "mountpath", "disable", pair).out
    state = t.ais("storage", "mountpath", "show", tid, "--json").json()[tid]
    assert state["available"] == have[1:] and state["disabled"] == have[:1], state
    assert "enabled" in t.ais("storage", "mountpath", "enable", "t[%s]=%s" % (tid, have[0])).out
    assert t.ais("storage", "mountpath", tid, "--json").json()[tid]["available"] == have
    t.ais("storage", "mountpath", "rescan-disks", pair)
    t.ais("storage", "mountpath", "fshc", tid, have[0])
    t.ais.refuses(NOTFOUND, "/no/such", "storage", "mountpath", "disable", tid + "=/no/such")
    t.ais.refuses(USAGE, "is not a target", "storage", "mountpath", "disable", t.proxy() + "=/x")
    t.ais.refuses(USAGE, "is not a path", "storage", "mountpath", "attach", tid + "=relative")
    t.ais.refuses(NOTFOUND, "/no/such", "storage", "rebuild-index", tid + "=/no/such")
    r = t.ais("storage", "rebuild-index", pair, want=None)
    assert (r.code == OK and "rebuilt" in r.out) or (r.code == FAILED and "index" in r.err), r


@test
def configuration_is_set_shown_and_reset(t):
    get = lambda who, key: t.ais("show", "config", who, key, "--json").json()  # noqa: E731
    tid = t.target()
    try:
        t.ais("config", "cluster", "checksum.validate_warm_get=true")
        assert get("cluster", "checksum.validate_warm_get") is True
        t.ais("config", "cluster", "log.level", "4", "--transient")
        rows = dict(x.split(None, 1) for x in t.ais("config", "cluster", "checksum", "-H").lines())
        assert rows["checksum.validate_warm_get"] == "true"
        t.ais("config", "node", tid, "disk.iostat_time_long=7s")
        assert get(tid, "disk.iostat_time_long") == "7s" and get(t.proxy(), "disk.iostat_time_long") != "7s"
        t.ais("config", "reset", tid)
        assert get(tid, "disk.iostat_time_long") != "7s"
        t.ais.refuses(FAILED, "globally", "config", "node", tid, "periodic.stats_time=17s")
        t.ais.refuses(FAILED, "nosuch", "config", "cluster", "nosuch.key=1")
        t.ais.refuses(FAILED, "", "config", "cluster", "checksum.type=rot13")
        t.ais.refuses(USAGE, "KEY=VALUE", "config", "cluster", "a=1", "lonely")
    finally:
        t.ais("config", "cluster", '{"checksum": {"validate_warm_get": false}}')
        t.ais("config", "reset")
    assert get("cluster", "checksum.validate_warm_get") is False and get(tid, "checksum.validate_warm_get") is False


@test
def logs_are_shown_followed_and_saved(t):
    tid = t.target()
    assert "listening" in t.ais("log", "show", tid).out and t.ais("show", "log", "t[%s]" % tid, "--severity", "info").out
    t.ais("log", "get", tid)
    assert "listening" in read(t.path("ais-%s.log" % tid)).decode()
    assert "listening" in t.ais("log", "get", tid, "-").out
    t.ais("log", "get", tid, "one.tgz", "--all")
    t.ais("log", "get", "cluster", "logs")
    assert len(os.listdir(t.path("logs"))) == 4
    for f in [t.path("one.tgz")] + [t.path("logs", f) for f in os.listdir(t.path("logs"))]:
        listed = subprocess.run(["tar", "tzf", f], stdout=subprocess.PIPE, check=True).stdout
        assert listed.strip(), f
    t.ais("cluster", "download-logs", "logs2")
    assert len(os.listdir(t.path("logs2"))) == 4
    p = t.ais.start("log", "show", tid, "--refresh", "50ms")
    assert b"listening" in p.stdout.readline() + p.stdout.readline() + p.stdout.readline()
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=20)
    assert p.returncode == INTERRUPTED, p.returncode


@test
def cluster_commands_answer_or_say_what_is_missing(t):
    assert "ready" in t.ais("cluster", "health").out and t.ais("health", "--json").json()["ready"] is True
    t.ais("cluster", "health", "--wait", "5s")
    t.ais("cluster", "set-primary", t.proxy())  # it is already
    t.ais.refuses(USAGE, "is a target", "cluster", "set-primary", t.target())
    t.ais.refuses(USAGE, "without a terminal", "cluster", "shutdown")
    t.ais("cluster", "reset-stats")
    t.ais("cluster", "reset-stats", t.target(), "--errors-only")
    t.ais("cluster", "rotate-logs")
    with bucket(t, "cli-stats") as b:
        t.ais("put", "-", b + "/o", stdin=b"x")
        t.ais("cat", b + "/o")
        assert "get" in t.ais("show", "cluster", "stats", "--filter", "get.n").out


@test
def versions_are_told(t):
    v = t.ais("version")
    assert re.match(r"ais \d+\.\d+\.\d+\S*\ncluster 5\.0\.\S+ at http://127", v.out), v
    j = t.ais("version", "--json").json()
    assert j["cluster"].startswith("5.0.") and j["endpoint"] == t.url
    assert t.ais("--version").out == v.out


@test
def commands_can_be_searched_and_aliases_listed(t):
    assert "ais bucket create" in t.ais("search", "create").out
    t.ais.refuses(NOTFOUND, "xyzzy", "search", "xyzzy")
    aliases = t.ais("alias").out
    for a in ("create", "ls", "put", "get", "rmb", "rmo", "cat", "promote"):
        assert re.search(r"^%s +\w" % a, aliases, re.M), a


# --- completion ---
def complete(t, line):
    """What bash would offer at the end of this line."""
    script = 'source <("$1" completion bash); COMP_LINE=$2; COMP_POINT=${#2}; COMP_WORDBREAKS=$\' \\t\\n"\\\'><=;|&(:\'; _ais; printf "%s\\n" "${COMPREPLY[@]}"'
    env = dict(t.ais.env, PATH=os.path.dirname(AIS) + ":" + os.environ["PATH"])
    p = subprocess.run(["bash", "-c", script, "x", AIS, line], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert p.stderr == "", p.stderr
    return p.stdout.split()


@test
def bash_completes_commands_flags_buckets_and_nodes(t):
    with bucket(t, "cli-complete") as b:
        assert complete(t, "ais buck") == ["bucket"]
        assert "bucket" in complete(t, "ais ") and "ls" in complete(t, "ais ")
        assert set(complete(t, "ais bucket ")) >= {"create", "rm", "ls", "props", "summary"}
        assert set(complete(t, "ais bucket props ")) >= {"set", "show", "reset"}
        assert complete(t, "ais ls --pre") == ["--prefix"]
        assert complete(t, "ais ls cli-comp") == [b]
        assert complete(t, "ais ls ais://cli-comp") == ["//cli-complete"]  # bash has broken the word at ':'
        assert complete(t, "ais get --offset 5 cli-comp") == [b]
        assert t.target() in complete(t, "ais log show ") and t.proxy() in complete(t, "ais log show ")
        assert set(complete(t, "ais show storage disk ")) == set(t.smap()["tmap"])
        assert complete(t, "ais put /etc/host") == []  # files are bash's own
        assert "_ais" in t.ais("completion", "zsh").out
        t.ais.refuses(USAGE, '"fish"', "completion", "fish")
    assert t.ais("__complete", "ls", "x", env={"AIS_ENDPOINT": "http://127.0.0.1:1"}).out == ""


@test
def a_progress_line_goes_to_standard_error(t):
    for i in range(20):
        write(t.path("d", str(i)), noise(1000))
    with bucket(t, "cli-progress") as b:
        r = t.ais("put", "d", b, "--progress")
        assert "20/20" in r.err and "100%" in r.err and "\r" not in r.out
        assert t.ais("put", "d", b).err == ""  # no terminal: no line


@test
def full_output_is_an_error(t):
    with open("/dev/full", "wb") as full:
        p = subprocess.run([AIS, "show", "cluster"], env=t.ais.env, stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == FAILED and b"cannot write" in p.stderr, p
    with bucket(t, "cli-full") as b:
        t.ais("put", "-", b + "/o", stdin=noise(100000))
        with open("/dev/full", "wb") as full:
            p = subprocess.run([AIS, "cat", b + "/o"], env=t.ais.env, stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == FAILED and b"cannot write: No space left" in p.stderr, p.stderr


@test
def the_tour_in_the_documentation_works_as_written(t):
    """docs/cli.md: every line that begins with "$ " in a console block, in order, in one shell."""
    with open(os.path.join(wire.TOP, "docs", "cli.md"), encoding="utf-8") as f:
        blocks = re.findall(r"```console\n(.*?)```", f.read(), re.S)
    lines = [x[2:] for b in blocks for x in b.splitlines() if x.startswith("$ ")]
    assert len(lines) > 40, len(lines)
    script = "set -o pipefail\n"
    for line in lines:  # "# exits N" says so
        m = re.search(r"\s+# exits (\d+)$", line)
        script += "%s\nrc=$?; [ $rc = %s ] || { echo \"exit $rc of: \"%s >&2; exit 1; }\n" % (
            line, m.group(1) if m else "0", "'" + line.replace("'", "'\\''") + "'")
    env = dict(t.ais.env, PATH=os.path.dirname(AIS) + ":" + os.environ["PATH"], AIS_TOUR_ENDPOINT=t.url)
    shutil.copytree(os.path.join(wire.TOP, "lib", "base"), t.path("docs"))
    write(t.path("README.md"), b"# A file\n" * 100)
    write(t.path("big.bin"), noise(5_000_000))
    p = subprocess.run(["bash", "-c", script], cwd=t.dir, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=300)
    assert p.returncode == 0, p.stdout[-400:]


@test
def an_https_cluster_is_verified_and_used(t):
    d, port = t.path("c"), t.cluster.port + 8
    args = lambda what, *a: [wire.CLUSTER, what, "--dir", d, *a]  # noqa: E731
    subprocess.run(args("start", "--tls", "--targets", "1", "--port", str(port)), check=True, stdout=subprocess.DEVNULL)
    try:
        env = {"AIS_ENDPOINT": "https://127.0.0.1:%d" % port, "AIS_CLIENT_CA": os.path.join(d, "tls.crt")}
        t.ais("create", "ais://tls", env=env)
        data = write(t.path("f"), noise(3_000_000)) and noise(3_000_000)
        t.ais("put", "f", "ais://tls", "--checksum", env=env)
        t.ais("put", "f", "ais://tls/parts", "--chunk-size", "1MiB", env=env)
        assert t.ais("cat", "ais://tls/f", "--checksum", env=env).raw == data == t.ais("cat", "ais://tls/parts", env=env).raw
        assert "online" in t.ais("show", "cluster", env=env).out
        r = t.ais("ls", want=None, env={"AIS_ENDPOINT": env["AIS_ENDPOINT"]})
        assert r.code == FAILED and "ertificate" in r.err, r
        t.ais("ls", env={"AIS_ENDPOINT": env["AIS_ENDPOINT"], "AIS_SKIP_VERIFY_CRT": "true"})
    finally:
        subprocess.run(args("clean"), check=True, stdout=subprocess.DEVNULL)


@test
def a_dead_node_is_shown_and_makes_exit_5(t):
    """The last test: it kills a target."""
    t.cluster.node("kill", t.cluster.targets)
    r = t.ais("show", "cluster", want=None)
    assert r.code in (PARTIAL, OK), r  # OK: the map has it no longer
    if r.code == PARTIAL:
        assert "unreachable" in r.out and "Error: t[" in r.err, r
        assert None in t.ais("show", "cluster", "--json", want=None).json().values()
    t.cluster.node("start", t.cluster.targets)
    eventually("three targets", lambda: t.ais("show", "cluster", want=None).out.count("online") == 4)


def main():
    if not os.access(AIS, os.X_OK):
        print("not ok ais: %s is missing" % AIS)
        return 1
    with wire.Cluster() as cluster, tempfile.TemporaryDirectory(prefix="ais-cli.") as top:
        t = T(cluster, top)
        return run(t, before=lambda fn: t.fresh(fn.__name__))


if __name__ == "__main__":
    sys.exit(main())
