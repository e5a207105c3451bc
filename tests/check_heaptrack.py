#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Compares the report of a program, all of whose allocations were logged, with what heaptrack saw of
the same program with the same load.

    check_heaptrack.py DATA REPORT [CALLER REPORT_BELOW]...

DATA is heaptrack's file, decompressed; REPORT is what `faultline report --json --by=alloc
--limit=all` printed, and REPORT_BELOW the same with --symbol=CALLER. What such a function and those
that it calls allocate is the same each time, call by call and byte by byte; the rest of the program
has a clock, and may differ a little. (A filtered report has the allocations of others, too, in
which a caller is the first to touch a page: such callers cannot be compared.)
"""
import collections
import json
import os
import sys

from sites import same_shares, site

CLOCK_BOUND = 0.01
LEAST_SHARE, SHARE_BOUND = 0.01, 0.002


class Heap:
    """heaptrack's file: a line for each string, instruction pointer, stack, kind of allocation, and
    allocation, by numbers in the order of their lines. Numbers are hexadecimal; 0 is none."""

    def __init__(self, lines):
        self.strings, self.points, self.stacks = [None], [(None, "", "")], [()]
        kinds, calls = [], collections.Counter()
        for line in lines:
            key, _, rest = line.rstrip("\n").partition(" ")
            if key == "s":
                self.strings.append(rest.partition(" ")[2])
                continue
            if key not in ("i", "t", "a", "+"):
                continue
            words = [int(word, 16) for word in rest.split()]
            if key == "i":
                function = self.strings[words[2]] if len(words) > 2 else None
                file = os.path.realpath(self.strings[words[1]]) if words[1] else ""
                self.points.append((function, file, file))
            elif key == "t":
                self.stacks.append(((self.points[words[0]],) + self.stacks[words[1]]))
            elif key == "a":
                kinds.append((words[0], words[1]))
            else:
                calls[words[0]] += 1
        self.allocations = [(self.stacks[kinds[i][1]], count, count * kinds[i][0])
                            for i, count in calls.items()]

    def sums(self, caller=None):
        """Calls and bytes by site, of all or below a function."""
        calls, sizes = collections.Counter(), collections.Counter()
        for frames, count, size in self.allocations:
            if caller is None or any(function == caller for function, _, _ in frames):
                calls[site(frames)] += count
                sizes[site(frames)] += size
        return calls, sizes


def sums(path):
    """The same by a report."""
    calls, sizes = collections.Counter(), collections.Counter()
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)["alloc"]
    for row in rows:
        if row["source"].endswith(("alloc", "memalign")):
            name = row.get("function") or row.get("module")
            calls[name] += row["count"]
            sizes[name] += row["reserved_bytes"]
    return calls, sizes


def same_below(caller, ours, theirs):
    """Whether there are allocations below it, and all the same."""
    wrong = not ours[0]
    for name in sorted(set(ours[0]) | set(theirs[0]), key=lambda name: -ours[0][name]):
        our, their = ((calls[name], sizes[name]) for calls, sizes in (ours, theirs))
        print(f"{caller} ... {name}: {our} calls and bytes by the report, {their} by heaptrack")
        wrong |= our != their
    return not wrong


def same_in_all(ours, theirs):
    right = True
    for what, our, their in zip(("calls", "bytes"), ours, theirs):
        print(f"{sum(our.values())} {what} by the report, {sum(their.values())} by heaptrack")
        right &= abs(sum(our.values()) / sum(their.values()) - 1) < CLOCK_BOUND
        right &= same_shares(our, their, LEAST_SHARE, SHARE_BOUND)
    return right


def main():
    data, whole, *below = sys.argv[1:]
    with open(data, encoding="utf-8", errors="replace") as file:
        heap = Heap(file)
    right = same_in_all(sums(whole), heap.sums())
    for caller, report in zip(below[::2], below[1::2]):
        right &= same_below(caller, sums(report), heap.sums(caller))
    sys.exit(not right)


if __name__ == "__main__":
    main()
