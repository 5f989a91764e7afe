# SPDX-License-Identifier: Apache-2.0
"""Fibers in gdb, of a live process or a core file.

    gdb -p PID -x scripts/gdb-fibers.py
    (gdb) fibers            every fiber: number, loop, name, label, state
    (gdb) fiber 3           the stack of one that is parked

A parked fiber's registers lie on its own stack (lib/run/switch.c); everything is compiled with frame pointers, so the stack is a
linked list. x86-64 and aarch64.
"""
import gdb

STATES = ["free", "ready", "running", "parked"]


def ptr(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


def word(addr):
    return int(gdb.Value(addr).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def find_run():
    """struct run of the process, seen from any of its threads."""
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        try:
            run = gdb.parse_and_eval("tls_run")
        except gdb.error:
            continue
        if ptr(run) != 0:
            return run.dereference()
    raise gdb.GdbError("no thread of this process runs a loop")


def fibers():
    run = find_run()
    for i in range(int(run["nloops"])):
        loop = run["loops"][i]
        f = loop["all"]["tqh_first"]
        while ptr(f) != 0:
            yield i, f.dereference()
            f = f["all"]["tqe_next"]


def frames(fiber):
    """Return addresses, innermost first."""
    sp = ptr(fiber["sp"])
    if "aarch64" in gdb.selected_inferior().architecture().name():
        fp, pc = word(sp + 80), word(sp + 88)
    else:
        fp, pc = word(sp + 40), word(sp + 48)
    yield pc
    while fp != 0:
        try:
            pc, fp = word(fp + 8), word(fp)
        except gdb.error:
            return
        if pc == 0:
            return
        yield pc


def place(pc):
    block = gdb.block_for_pc(pc - 1)
    while block is not None and block.function is None:
        block = block.superblock
    sal = gdb.find_pc_line(pc - 1)
    where = "%s:%d" % (sal.symtab.filename, sal.line) if sal.symtab else ""
    return "%s  %s" % (block.function if block else "0x%x" % pc, where)


class Fibers(gdb.Command):
    """List all fibers."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        for n, (loop, f) in enumerate(fibers()):
            print("%4d  loop %d  %-8s %-24s %s" % (n, loop, STATES[int(f["state"])], f["name"].string(), f["label"].string()))


class Fiber(gdb.Command):
    """fiber N: the stack of fiber N as `fibers` numbers them."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        words = arg.split()
        if not words or not words[0].isdigit():
            raise gdb.GdbError("usage: fiber N (see fibers)")
        for n, (_, f) in enumerate(fibers()):
            if n == int(words[0]):
                if STATES[int(f["state"])] == "running":
                    raise gdb.GdbError("it is running: use thread and backtrace")
                for k, pc in enumerate(frames(f)):
                    print("#%-2d %s" % (k, place(pc)))
                return
        raise gdb.GdbError("there is no fiber %s" % words[0])


Fibers()
Fiber()
