# SPDX-License-Identifier: Apache-2.0
"""
What a disk may hold after the power failed: the log of powercut_preload.c, played on a model of the disk, and a tree made of it.

What was flushed is there. Of the rest: pages of data are old or new, each for itself; lengths come without data; names and xattrs
- "ordered", as journals of metadata do: those up to a random moment, and a flushed file brings along all that was before;
- "free": any of them, but what a change is built on comes with it; only a flush of the folder or of all makes a name durable.
"""
import mmap
import os
import shutil
import struct

PAGE = 4096
HEAD = struct.Struct("<IBBHQQQQHHI")
CREATE, LINK, UNLINK, RENAME, WRITE, TRUNC, FALLOC, SETX, RMX, FLUSH, FLUSHED, SYNCFS = range(1, 13)
KEEP_SIZE, PUNCH, EXCHANGE = 1, 2, 2


class Inode:
    def __init__(self, mode, folder):
        self.mode = mode
        self.entries = {} if folder else None
        self.data = bytearray()
        self.xattrs = {}
        self.pending = []  # (seq, op, at, length, bytes, must)


def apply_data(buf, rec):
    _, op, at, n, data, _ = rec
    if op == WRITE:
        if len(buf) < at:
            buf.extend(bytes(at - len(buf)))
        buf[at:at + n] = data
    elif op == TRUNC:
        if n < len(buf):
            del buf[n:]
        else:
            buf.extend(bytes(n - len(buf)))
    elif op == PUNCH:
        end = min(at + n, len(buf))
        if at < end:
            buf[at:end] = bytes(end - at)


class Meta:
    """A change of names or xattrs: keys are what it touches."""

    def __init__(self, seq, keys, fn):
        self.seq, self.keys, self.fn = seq, keys, fn


class Root:
    def __init__(self, path):
        self.path = path
        self.top = None
        self.inodes = {}  # number -> Inode, as of the end of the log
        self.meta = []
        self.scan()

    def scan(self):
        """The disk as it is now, all of it flushed."""
        self.inodes = {}
        self.meta = []

        def visit(path):
            st = os.lstat(path)
            if st.st_ino in self.inodes:
                return self.inodes[st.st_ino]
            node = self.inodes[st.st_ino] = Inode(st.st_mode, os.path.isdir(path))
            node.xattrs = {k: os.getxattr(path, k) for k in os.listxattr(path) if k.startswith("user.")}
            if node.entries is not None:
                for name in os.listdir(os.fsencode(path)):
                    node.entries[name] = visit(os.path.join(os.fsencode(path), name))
            else:
                with open(path, "rb") as f:
                    node.data = bytearray(f.read())
            return node
        self.top = visit(self.path)

    def settle(self, metas):
        """These changes are durable."""
        chosen = set(map(id, metas))
        for m in self.meta:
            if id(m) in chosen:
                m.fn()
        self.meta = [m for m in self.meta if id(m) not in chosen]

    def closure(self, want):
        """The changes that are wanted, and those they are built on."""
        needed, out = set(), []
        for m in reversed(self.meta):
            if want(m) or needed & m.keys:
                needed |= m.keys
                out.append(m)
        out.reverse()
        return out

    def settle_data(self, node, seq):
        for rec in [r for r in node.pending if r[0] < seq]:
            apply_data(node.data, rec)
        node.pending = [r for r in node.pending if r[0] >= seq]


class Disk:
    def __init__(self, roots, ordered):
        self.roots = [Root(r) for r in roots]
        self.ordered = ordered
        self.changes = self.flushes = 0

    # --- playing the log ---

    def play(self, path):
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            return  # it ended before it began
        with open(path, "rb") as f:
            log = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        at, seq, under_way = 0, 0, {}
        while at + HEAD.size <= len(log):
            n, op, root, flags, a, b, c, d, n1, n2, nd = HEAD.unpack_from(log, at)
            if n < HEAD.size or at + n > len(log):
                break  # the process ended in the middle of it
            p = at + HEAD.size
            name, name2, data = log[p:p + n1], log[p + n1:p + n1 + n2], log[p + n1 + n2:at + n]
            at += n
            seq += 1
            r = self.roots[root]
            if op in (FLUSH, SYNCFS):
                under_way[d] = (r, seq, op, flags, r.inodes.get(a))
            elif op == FLUSHED:
                self.flushes += 1
                self.flushed(*under_way.pop(d))
            else:
                self.changes += 1
                self.change(r, seq, op, flags, a, b, c, d, name, name2, data)

    def change(self, r, seq, op, flags, a, b, c, d, name, name2, data):
        def names(keys, fn):
            r.meta.append(Meta(seq, frozenset(keys), fn))

        if op == CREATE:
            node = r.inodes[b] = Inode(c, flags & 1)
            if not flags & 2:
                folder = r.inodes[a]
                names([(id(folder), name), ("i", id(folder)), ("i", id(node))] if flags & 1 else [(id(folder), name), ("i", id(folder))],
                      lambda: folder.entries.__setitem__(name, node))
        elif op == LINK:
            folder, node = r.inodes[a], r.inodes[b]
            names([(id(folder), name), ("i", id(folder))], lambda: folder.entries.__setitem__(name, node))
        elif op == UNLINK:
            folder = r.inodes[a]
            names([(id(folder), name), ("i", id(folder))], lambda: folder.entries.pop(name, None))
        elif op == RENAME:
            f1, f2 = r.inodes[a], r.inodes[b]

            def rename():
                x = f1.entries.pop(name, None)
                y = f2.entries.pop(name2, None)
                if x is not None:
                    f2.entries[name2] = x
                if flags & EXCHANGE and y is not None:
                    f1.entries[name] = y
            names([(id(f1), name), (id(f2), name2), ("i", id(f1)), ("i", id(f2))], rename)
        elif op in (SETX, RMX):
            node, key = r.inodes[a], name.decode()
            names([("x", id(node))], (lambda: node.xattrs.__setitem__(key, data)) if op == SETX else (lambda: node.xattrs.pop(key, None)))
        else:
            node = r.inodes[a]
            if op == WRITE:
                node.pending.append((seq, WRITE, c, len(data), data, flags & 1))
                if flags & 1:
                    apply_data(node.data, node.pending[-1])
            elif op == TRUNC:
                node.pending.append((seq, TRUNC, 0, c, b"", 0))
            elif flags & PUNCH:
                node.pending.append((seq, PUNCH, c, d, b"", 0))
            elif not flags & KEEP_SIZE:
                node.pending.append((seq, WRITE, c + d, 0, b"", 0))

    def flushed(self, r, seq, op, flags, node):
        if op == SYNCFS:
            for n in r.inodes.values():
                r.settle_data(n, seq)
            r.settle([m for m in r.meta if m.seq < seq])
            return
        r.settle_data(node, seq)
        if flags & 1:
            return
        if self.ordered:
            r.settle([m for m in r.meta if m.seq < seq])
        elif node.entries is not None:
            mine = ("i", id(node))
            r.settle([m for m in r.closure(lambda m: m.seq < seq and mine in m.keys) if m.seq < seq])
        else:
            r.settle([m for m in r.meta if m.seq < seq and ("x", id(node)) in m.keys])

    # --- the cut ---

    def cut(self, rng):
        """The power fails: the trees are what may be left. Returns what was lost, as text."""
        keep = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        lost = total = 0
        for r in self.roots:
            total += len(r.meta)
            if self.ordered:
                chosen = r.meta[:rng.randint(0, len(r.meta)) if 0 < keep < 1 else round(keep * len(r.meta))]
            else:
                chosen = r.closure(lambda m: rng.random() < keep)
            lost += len(r.meta) - len(chosen)
            r.settle(chosen)
            for node in r.inodes.values():
                if node.pending:
                    node.data = self.remains(node, rng, keep)
            self.write(r)
        return "%s, keeps %.1f of what was not flushed, loses %d of %d changes of names and xattrs" % (
            "ordered" if self.ordered else "free", keep, lost, total)

    def remains(self, node, rng, keep):
        out, cur = bytearray(node.data), bytearray(node.data)
        grows, size = 0, len(cur)  # how many of the changes of length are there, in order
        lengths = []
        for rec in node.pending:
            before = len(cur)
            apply_data(cur, rec)
            if len(cur) != before or rec[1] == TRUNC:
                lengths.append(len(cur))
        stay = rng.randint(0, len(lengths)) if 0 < keep < 1 else round(keep * len(lengths))
        cur = bytearray(node.data)
        for rec in node.pending:
            before = len(cur)
            apply_data(cur, rec)
            if len(cur) != before or rec[1] == TRUNC:
                grows += 1
                if grows <= stay or rec[5]:
                    size = len(cur)
                    if rec[1] == TRUNC and size < len(out):
                        out[size:] = bytes(len(out) - size)
            if rec[1] in (WRITE, PUNCH):
                first, last = rec[2] // PAGE, (rec[2] + max(rec[3], 1) - 1) // PAGE
                for page in range(first, last + 1):
                    if rec[5] or rng.random() < keep:
                        at, end = page * PAGE, min((page + 1) * PAGE, len(cur))
                        if at >= end:
                            continue
                        if len(out) < at:
                            out.extend(bytes(at - len(out)))
                        out[at:end] = cur[at:end]
        if len(out) < size:
            out.extend(bytes(size - len(out)))
        del out[size:]
        return out

    def write(self, r):
        """The model becomes the tree; the model of the next life is read from it."""
        for name in os.listdir(r.path):
            p = os.path.join(r.path, name)
            shutil.rmtree(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)
        made = {}

        def build(path, node):
            if id(node) in made:
                if node.entries is None:
                    os.link(made[id(node)], path)
                return  # a folder has one name; of two that a lost rename left the first counts
            made[id(node)] = path
            if node.entries is None:
                with open(path, "wb") as f:
                    f.write(node.data)
            elif path != os.fsencode(r.path):
                os.mkdir(path)
            os.chmod(path, node.mode & 0o7777)
            for k, v in node.xattrs.items():
                os.setxattr(path, k, v)
            for name, child in (node.entries or {}).items():
                build(os.path.join(path, name), child)
        for k in os.listxattr(r.path):
            if k.startswith("user."):
                os.removexattr(r.path, k)
        build(os.fsencode(r.path), r.top)
        r.scan()
