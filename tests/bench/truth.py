# SPDX-License-Identifier: MIT
"""Whether a trace is what the measured program did: a fast recording that loses something would be no
recording."""
import json

from measure import Failure

STARTS = ("_start", "clone", "clone3", "__clone3", "__clone_internal")
LEVELS = [f"level_{n}" for n in range(28, 0, -1)]


class Trace:
    """What a plain trace has: faults, by whom, with which stacks."""

    def __init__(self, path):
        self.faults, self.bytes, self.lost = 0, 0, None
        self.stacks, self.used, self.threads = {}, {}, {}
        with open(path, encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                if line["type"] == "fault":
                    self.faults += 1
                    stack, tid = line.get("stack"), line["tid"]
                    self.used[stack] = self.used.get(stack, 0) + 1
                    self.threads[tid] = self.threads.get(tid, 0) + 1
                elif line["type"] == "stack":
                    self.stacks[line["id"]] = line
                elif line["type"] == "end":
                    self.lost = line["lost"]
            self.bytes = file.tell()
        if self.lost is None:
            raise Failure("the trace has no end")
        if self.lost:
            raise Failure(f"{self.lost} faults were lost")

    def through(self, function):
        """How many faults have stacks in which the function is; all of these must be whole."""
        count = 0
        for stack, faults in self.used.items():
            frames = self.stacks[stack]["frames"] if stack in self.stacks else []
            symbols = [frame.get("symbol", "") for frame in frames]
            if function not in symbols:
                continue
            count += faults
            if self.stacks[stack].get("truncated") or symbols[-1] not in STARTS:
                raise Failure(f"a stack is not whole: {symbols}")
        return count


def check_loop(path, pages, threads=1, paths=1):
    """The trace of touch.c: each page once, by as many threads, with whole stacks. Returns facts."""
    trace = Trace(path)
    found = trace.through("touch_pages")
    if found != pages // threads * threads:
        raise Failure(f"{found} faults of the loop, of {pages // threads * threads}")
    of_loop = set()
    for stack in trace.used:
        symbols = [frame.get("symbol", "") for frame in trace.stacks[stack]["frames"]] \
            if stack in trace.stacks else []
        if "touch_page" in symbols:
            at = symbols.index("touch_page")
            if symbols[at + 1:at + 1 + len(LEVELS)] != LEVELS:
                raise Failure(f"a stack lacks a level: {symbols}")
            of_loop.add(tuple((frame.get("module"), frame["offset"])
                              for frame in trace.stacks[stack]["frames"][at + 1:at + 2 + len(LEVELS)]))
    if len(of_loop) != min(paths, pages):
        raise Failure(f"{len(of_loop)} ways of calls, of {min(paths, pages)}")
    busy = sum(count >= pages // threads for count in trace.threads.values())
    if busy < threads:
        raise Failure(f"{busy} threads, of {threads}")
    return {"bytes_per_fault": trace.bytes / trace.faults}


def check_faults(path, least, function):
    """Some trace: at least as many faults below the function. Returns facts."""
    trace = Trace(path)
    found = trace.through(function)
    if found < least:
        raise Failure(f"{found} faults below {function}, of {least}")
    return {"bytes_per_fault": trace.bytes / trace.faults}
