# SPDX-License-Identifier: Apache-2.0
"""
Is a recorded history of one register linearizable? The search of Wing and Gong with Lowe's memory of what has been tried.

An operation is (call, ret, step, ...): times, ret None when nobody knows whether and when it took effect; step(state) gives the next state, or raises
Never when the operation cannot have had the outcome that was seen in this state.
"""


class Never(Exception):
    """Not in this state."""


class _Entry:
    __slots__ = ("op", "is_call", "match", "prev", "next")

    def __init__(self, op, is_call):
        self.op, self.is_call, self.match, self.prev, self.next = op, is_call, None, None, None


def _entries(ops):
    """A doubly linked list of calls and returns in the order of time; at the same time calls come first. Returns its head, and how many return."""
    events = []
    for i, (call, ret, *_) in enumerate(ops):
        c = _Entry(i, True)
        events.append((call, 0, i, c))
        if ret is not None:
            c.match = _Entry(i, False)
            events.append((ret, 1, i, c.match))
    events.sort(key=lambda e: e[:3])
    head = last = _Entry(-1, True)
    for *_, e in events:
        last.next, e.prev = e, last
        last = e
    return head, sum(op[1] is not None for op in ops)


def _unlink(e):
    e.prev.next = e.next
    if e.next is not None:
        e.next.prev = e.prev


def _relink(e):
    e.prev.next = e
    if e.next is not None:
        e.next.prev = e


def linearizable(ops, state, limit=5_000_000):
    """True, False; None when more than `limit` states were looked at."""
    head, left = _entries(ops)
    done, seen, stack, tried = 0, set(), [], 0
    at = head.next
    while left > 0:
        tried += 1
        if tried > limit:
            return None
        if at is not None and at.is_call:
            try:
                after = ops[at.op][2](state)
            except Never:
                at = at.next
                continue
            key = (done | 1 << at.op, after)
            if key in seen:
                at = at.next
                continue
            seen.add(key)
            stack.append((at, done, state))
            done, state = key
            _unlink(at)
            if at.match is not None:
                _unlink(at.match)
                left -= 1
            at = head.next
            continue
        if not stack:
            return False
        was, done, state = stack.pop()  # a return without its call, or the end: the last choice was wrong
        if was.match is not None:
            _relink(was.match)
            left += 1
        _relink(was)
        at = was.next
    return True


def decide(ops, state):
    """
    As linearizable(), but first with few of the operations of unknown outcome: what can be explained without the others can be explained. An
    operation's fourth member is what it wrote or read, if it is a plain write or read; anything else is for the last attempts.
    """
    read = {op[3] for op in ops if op[1] is not None}
    known = [op for op in ops if op[1] is not None]
    seen = [op for op in ops if op[1] is not None or (op[3] is not None and op[3] in read)]
    for some in (known, seen):
        if linearizable(some, state, 300_000):
            return True
    return linearizable(ops, state)


def _must(value):
    def step(state):
        if state != value:
            raise Never
        return state
    return step


def _set(value):
    return lambda state: value


def selftest():
    """Histories whose answer is known."""
    w, r = _set, _must
    good = [
        [(0, 1, w(1)), (2, 3, r(1))],
        [(0, 9, w(1)), (1, 2, r(0)), (3, 4, r(1))],
        [(0, 5, w(1)), (0, 5, w(2)), (6, 7, r(1))],
        [(0, None, w(1)), (2, 3, r(0)), (50, 51, r(1))],  # unknown: it may come late
        [(0, None, w(1)), (2, 3, r(0))],  # or never
    ]
    bad = [
        [(0, 1, w(1)), (2, 3, r(0))],
        [(0, 9, w(1)), (1, 2, r(1)), (3, 4, r(0))],
        [(0, 1, w(1)), (2, 3, w(2)), (4, 5, r(1))],
        [(0, None, w(1)), (2, 3, r(1)), (4, 5, r(0))],
    ]
    assert all(linearizable(h, 0) is True for h in good)
    assert all(linearizable(h, 0) is False for h in bad)
    return True
