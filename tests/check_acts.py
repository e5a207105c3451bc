#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks a trace against the acts of a traced test program (tests/programs/acts.h).

From what the program did to its memory this works out what must have happened to each page: of
which region it became, its faults, when it moved, was given back or ended. The lines of the trace
are brought into the same form. Both must be the same for each page of the program's arenas, event by
event; elsewhere, for the regions that came from there. Prints what is wrong and exits with 1, or says
in one line what was right. Runs beside the tests, never in a traced process.
"""

import argparse
import bisect
import collections
import json
import sys

from check_trace import Problems, Trace

PAGE = 4096
MREMAP_DONTUNMAP = 4
MAP_POPULATE = 0x8000
MAP_LOCKED = 0x2000


MANY = 1 << 18
watched = []  # pages that are touched, sorted: of huge ranges only these are looked at


def pages_of(start, size):
    first, end = start // PAGE, (start + size + PAGE - 1) // PAGE
    if end - first <= MANY:
        return range(first, end)
    return watched[bisect.bisect_left(watched, first):bisect.bisect_left(watched, end)]


def held(pages, start, size):
    """Which of the pages, kept by their numbers, are in this range."""
    first, end = start // PAGE, (start + size + PAGE - 1) // PAGE
    if end - first <= len(pages):
        return [page for page in range(first, end) if page in pages]
    return [page for page in pages if first <= page < end]


def whole_pages(size):
    return (size + PAGE - 1) // PAGE * PAGE


class Page:
    """A page of a region, as the program's acts left it."""

    def __init__(self, region, shared, late=False):
        self.region, self.shared = region, shared
        self.late = late  # nobody told the monitor yet
        self.mapped = False  # by this process's page table
        self.written = False  # with --mode=write: since it was protected
        self.free = False  # to be taken by the kernel when it wants
        self.forks = "DOFORK"  # what children get: the last such advice

    def copy(self):
        page = Page(self.region, self.shared, self.late)
        page.mapped, page.written, page.free = self.mapped, self.written, self.free
        page.forks = self.forks
        return page


class Expected:
    """What must have happened to each page: lists of events, by process and page."""

    def __init__(self, acts, session, problems):
        self.session, self.problems = session, problems
        self.histories = collections.defaultdict(list)
        self.arenas = []  # (pid, first page, end)
        self.regions = 0
        self.placed = []  # (region, pid, start, size, attributes) in order
        self.acts = collections.defaultdict(list)
        order = []
        for act in acts:
            if act["pid"] not in self.acts:
                order.append(act["pid"])
            self.acts[act["pid"]].append(act)
        children = {act["to"] for act in acts if act["what"] == "fork"}
        for pid in order:
            if pid not in children:
                self.run(pid, {})

    def run(self, pid, pages):
        for act in self.acts[pid]:
            getattr(self, "do_" + act["what"])(pid, pages, act)

    def add(self, pid, page, *event):
        self.histories[pid, page].append(event)

    def place(self, pid, pages, act, start, size, shared, **attributes):
        """A new region."""
        self.regions += 1
        late = attributes.get("source") == "late"
        if act["by"] != "raw":
            attributes["tid"] = act["tid"]
        self.placed.append((self.regions, pid, start, size, attributes))
        for page in pages_of(start, size):
            pages[page] = Page(self.regions, shared, late)
            self.add(pid, page, "region", self.regions)

    def end(self, pid, pages, start, size, reason):
        for page in held(pages, start, size):
            self.add(pid, page, "end", pages.pop(page).region, reason)

    def do_arena(self, pid, pages, act):
        self.arenas.append((pid, act["start"] // PAGE, (act["start"] + act["size"]) // PAGE))

    def do_map(self, pid, pages, act):
        raw = act["by"] == "raw"
        self.end(pid, pages, act["start"], act["size"], "unmap" if raw else "replace")
        if act["detail"] == "other":
            return
        attributes = {"source": "late" if raw else "memfd" if act["detail"] == "memfd" else "mmap",
                      "memory": "anon" if act["detail"] == "anon" else "shmem",
                      "prot": act["prot"]}
        if not raw:
            attributes["flags"] = act["flags"]
        self.place(pid, pages, act, act["start"], whole_pages(act["size"]),
                   act["detail"] != "anon", **attributes)

    def do_unmap(self, pid, pages, act):
        self.end(pid, pages, act["start"], act["size"], "unmap")

    def do_remap(self, pid, pages, act):
        start, to = act["start"], act["to"]
        size, new_size = whole_pages(act["size"]), whole_pages(act["new_size"])
        raw = act["by"] == "raw"
        source = {"source": "late" if raw else "mremap"}
        first = pages.get(start // PAGE)
        kept = min(size, new_size)
        if to != start:
            # The place is cleared before anything moves there.
            self.end(pid, pages, to, new_size, "unmap" if raw else "replace")
        if size > kept:
            self.end(pid, pages, start + kept, size - kept, "unmap")
        if to != start and size == 0:
            if first:  # shared memory, mapped once more
                self.place(pid, pages, act, to, new_size, first.shared, **source)
            return
        if to != start:
            moving = {page: pages.pop(page) for page in held(pages, start, kept)}
            for page, old in moving.items():
                target = page + (to - start) // PAGE
                self.add(pid, page, "leaves", old.region)
                self.add(pid, target, "arrives", old.region)
                pages[target] = old
            if act["flags"] & MREMAP_DONTUNMAP:
                for part in parts(sorted(moving)):
                    self.place(pid, pages, act, part[0] * PAGE, len(part) * PAGE, first.shared,
                               **source)
        if new_size > size and first:
            self.place(pid, pages, act, to + size, new_size - size, first.shared, **source)

    def do_advise(self, pid, pages, act):
        kind = act["detail"]
        here = held(pages, act["start"], act["size"]) if act["flags"] else []
        if kind in ("DONTFORK", "DOFORK", "WIPEONFORK", "KEEPONFORK"):
            for page in here:
                pages[page].forks = kind
        if kind in ("DONTNEED", "FREE", "REMOVE", "GUARD_INSTALL"):
            for page in here:
                self.add(pid, page, "remove", act["detail"] == "FREE")
                if act["detail"] == "FREE":
                    pages[page].free = True
                else:
                    pages[page].mapped = pages[page].written = False

    def do_fork(self, pid, pages, act):
        child = {}
        for number, page in pages.items():
            if page.forks == "DONTFORK":
                continue
            child[number] = page.copy()
            child[number].written = False
            # Of shared memory a child gets no pages mapped, unless they are protected.
            child[number].mapped = page.mapped and page.forks != "WIPEONFORK" and (
                not page.shared or self.session["mode"] == "write")
        self.run(act["to"], child)

    def do_touch(self, pid, pages, act):
        number = act["start"] // PAGE
        page = pages.get(number)
        if not page:
            return
        write = act["detail"] == "write"
        if not page.shared and page.mapped == act["missing"]:
            if not page.free:
                self.problems.add(f"mincore says that {number * PAGE:#x} is "
                                  f"{'' if page.mapped else 'not '}missing: {act}")
            page.mapped = page.written = False
        if page.shared and act["missing"]:  # by whomever else has it
            page.mapped = page.written = False
        kind = "missing" if act["missing"] else "minor"
        if self.session["mode"] == "write":
            faults = write and not page.written
            if page.mapped and not act["missing"]:
                kind = "write-protect"
        else:
            faults = not page.mapped
        if kind == "minor" and "minor-shmem" not in self.session["features"]:
            faults = False
        if faults:
            origin = "kernel" if act["flags"] else "user"
            self.add(pid, number, "fault", page.region, act["detail"], kind, origin, act["tid"],
                     None if act["flags"] else act["start"])
        page.mapped, page.free = True, False
        page.written |= write


def parts(numbers):
    """The runs of consecutive numbers."""
    runs = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


class Told(Trace):
    """What the trace tells of each page, in the order of time."""

    def __init__(self, problems):
        super().__init__(problems)
        self.lines = []

    def keep(self, line, ts=None):
        self.lines.append((ts or line["ts"], len(self.lines), line))

    def read_process(self, line):
        super().read_process(line)
        self.keep(line)

    def read_region(self, line):
        super().read_region(line)
        self.keep(line)

    def read_region_end(self, line):
        super().read_region_end(line)
        self.keep(dict(line, start=line.get("start")))

    def read_remap(self, line):
        self.keep(line)
        super().read_remap(line)

    def read_remove(self, line):
        super().read_remove(line)
        self.keep(line)

    def check_place(self, line, addr, region):
        """Regions come in pieces here, which histories() follows."""

    def read_fault(self, line):
        super().read_fault(line)
        region = self.regions.get(line.get("region"))
        # What was touched before the region was registered is told with the time of its touch.
        late = region and (line["served"] == "native" or region["source"] == "late")
        self.keep(line, max(line["ts"], region["ts"]) if late else None)

    def histories(self, wanted):
        """By process and page: events as Expected has them. wanted(pid, page, region id or None)."""
        histories = collections.defaultdict(list)
        # By pid: page to region id, and to where that region would begin.
        present = collections.defaultdict(dict)
        moved = set()  # regions that are not, or not only, where they began
        for _, _, line in sorted(self.lines, key=lambda item: item[:2]):
            pid, pages = line["pid"], present[line["pid"]]

            def add(page, region, *event):
                if wanted(pid, page, region):
                    histories[pid, page].append(event)

            if line["type"] == "process":
                if line["event"] == "fork":
                    present[pid] = dict(present[line["ppid"]])
            elif line["type"] == "region":
                for page in pages_of(int(line["start"], 16), line["size"]):
                    pages[page] = (line["id"], int(line["start"], 16))
                    add(page, line["id"], "region", line["id"])
            elif line["type"] == "region_end":
                whole = self.regions[line["id"]]
                if line["start"]:
                    gone = pages_of(int(line["start"], 16), line["size"])
                else:
                    near = pages if line["id"] in moved else held(
                        pages, int(whole["start"], 16), whole["size"])
                    gone = [page for page in near if pages[page][0] == line["id"]]
                huge = whole["size"] > MANY * PAGE
                for page in gone:
                    was_there = pages.pop(page, None)
                    if line["reason"] != "exit" and (was_there or not huge):
                        add(page, line["id"], "end", line["id"], line["reason"])
            elif line["type"] == "remap":
                distance = (int(line["to"], 16) - int(line["from"], 16)) // PAGE
                moved.add(line["region"])
                for page in pages_of(int(line["from"], 16), line["size"]):
                    region, base = pages.pop(page, (None, 0))
                    add(page, line["region"], "leaves", region)
                    pages[page + distance] = (region, base + distance * PAGE)
                    add(page + distance, line["region"], "arrives", line["region"])
            elif line["type"] == "remove":
                for page in held(pages, int(line["start"], 16), line["size"]):
                    add(page, pages[page][0], "remove", line.get("lazy", False))
            else:
                page = line["at"] // PAGE
                if pages.get(page) != (line.get("region"), line["at"] - line.get("offset", 0)):
                    self.problems.add(f"the fault is not in its region, {pages.get(page)}: {line}")
                add(page, line.get("region"), "fault", line.get("region"), line.get("access"),
                    line["kind"], line.get("origin"), line["tid"], line["at"])
        return histories


class Comparison:
    """Region by region, and page by page."""

    def __init__(self, expected, told, problems, options):
        self.expected, self.told, self.problems, self.options = expected, told, problems, options
        self.ids = {}  # by the number that Expected gave

    def in_arena(self, pid, page):
        return any(pid == owner and first <= page < end
                   for owner, first, end in self.expected.arenas)

    def match_regions(self):
        """Finds the line of each region that was placed, and looks at what it says."""
        lines = collections.defaultdict(list)
        for line in self.told.regions.values():
            lines[line["pid"], int(line["start"], 16), line["size"]].append(line)
        for region, pid, start, size, attributes in self.expected.placed:
            candidates = lines[pid, start, size]
            if not self.in_arena(pid, start // PAGE):
                while candidates and candidates[0]["source"] != attributes["source"]:
                    candidates.pop(0)
            if not candidates:
                self.problems.add(f"no region line for {size} bytes at {start:#x}: {attributes}")
                continue
            line = candidates.pop(0)
            self.ids[region] = line["id"]
            for key, value in attributes.items():
                if line.get(key) != value:
                    self.problems.add(f"{key} is {line.get(key)} and not {value}: {line}")

    def same(self, wanted, found):
        if wanted[0] != found[0]:
            return False
        if wanted[0] == "remove":
            return wanted == found
        number, region = wanted[1], found[1]
        if self.ids.setdefault(number, region) != region:
            return False
        if wanted[0] != "fault":
            return wanted[2:] == found[2:]
        keys = ["region", "access", "kind", "origin", "tid", "at"]
        for key, a, b in list(zip(keys, wanted[1:], found[1:]))[1:]:
            if key == "access" and b is None and self.options.unknown_access:
                continue
            if key == "at" and a is None or key == "at" and self.options.pages:
                continue
            if key == "origin" and b is None and self.options.any_origin:
                continue
            if a != b:
                return False
        return True

    def run(self):
        self.match_regions()
        matched = set(self.ids.values())
        told = self.told.histories(
            lambda pid, page, region: region in matched or self.in_arena(pid, page))
        keys = {key for key in told if self.in_arena(*key)} | set(self.expected.histories)
        faults = events = 0
        for key in sorted(keys):
            wanted, found = self.expected.histories.get(key, []), told.get(key, [])
            events += len(wanted)
            faults += sum(event[0] == "fault" for event in wanted)
            if len(wanted) != len(found) or not all(map(self.same, wanted, found)):
                at = next((i for i, pair in enumerate(zip(wanted, found)) if not self.same(*pair)),
                          min(len(wanted), len(found)))
                self.problems.add(
                    f"process {key[0]}, page {key[1] * PAGE:#x}, event {at}:\n"
                    f"    expected {wanted[max(0, at - 2):at + 3]}\n    found    {found[max(0, at - 2):at + 3]}"
                    f" (region {wanted[at][1] if at < len(wanted) else None} is"
                    f" {self.ids.get(wanted[at][1]) if at < len(wanted) else None})")
        return events, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace")
    parser.add_argument("--truth", required=True, help="the file that the traced program wrote")
    parser.add_argument("--unknown-access", action="store_true", help="a fault need not tell its access")
    parser.add_argument("--any-origin", action="store_true", help="a fault need not tell its origin")
    parser.add_argument("--pages", action="store_true", help="addresses are those of pages")
    options = parser.parse_args()

    problems = Problems()
    told = Told(problems)
    with open(options.trace, encoding="utf-8") as file:
        told.read(file)
    told.check_totals()
    if told.lost:
        problems.add(f"{told.lost} things were lost")
    with open(options.truth, encoding="utf-8") as file:
        acts = [json.loads(line) for line in file]
    watched.extend(sorted({act["start"] // PAGE for act in acts if act["what"] == "touch"}))
    expected = Expected(acts, told.session, problems)
    events, faults = Comparison(expected, told, problems, options).run()
    if not faults:
        problems.add("nothing was touched")
    print(f"{len(acts)} acts, {events} events of pages, {faults} of them faults, "
          f"{problems.count} problems")
    sys.exit(problems.count != 0)


if __name__ == "__main__":
    main()
