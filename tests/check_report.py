#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks what `faultline report --by=all --limit=all --min-percent=0 --no-lines --json` says of a
trace against sums that are made here, from the trace's lines, with plain sets and dictionaries.

    check_report.py TRACE REPORT.json

Prints what differs and exits with 1. Runs beside the tests, never in a traced process.
"""

import collections
import json
import sys

PAGE = 4096


class Sums:
    """All that a report has, of one trace."""

    def __init__(self, path):
        self.modules, self.stacks, self.regions, self.allocs = {}, {}, {}, {}
        self.names = {}
        self.totals = collections.Counter()
        self.sources = collections.defaultdict(collections.Counter)
        self.by_thread = collections.defaultdict(collections.Counter)
        self.by_process = collections.defaultdict(collections.Counter)
        self.shares = collections.defaultdict(collections.Counter)
        self.functions = collections.defaultdict(collections.Counter)  # by what was called
        self.paths = collections.defaultdict(collections.Counter)
        self.region_rows = {}
        self.resident = collections.defaultdict(set)
        self.peak = 0
        self.faults = []  # time and bytes
        self.lost = collections.Counter()
        with open(path, encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                method = getattr(self, "read_" + line["type"], None)
                if method:
                    method(line)

    def read_session(self, line):
        self.start = line["ts"]
        self.granularity = max(line.get("granularity", PAGE), PAGE)

    def read_process(self, line):
        self.by_process[line["pid"]]["lines"] += 1
        if line["event"] in ("exit", "detach"):
            self.resident[line["pid"]].clear()

    def read_thread(self, line):
        self.names[line["pid"], line["tid"]] = line["name"]

    def read_module(self, line):
        self.modules[line["id"]] = line["path"]

    def read_stack(self, line):
        names = []
        for i, frame in enumerate(line["frames"]):
            module = self.modules.get(frame.get("module"))
            offset = int(frame.get("offset", "0x0"), 16) - (1 if i > 0 else 0)
            names.append((frame.get("symbol"), module,
                          None if "symbol" in frame or module is None else offset))
        if line.get("truncated"):
            names.append(("[truncated]", None, None))
        self.stacks[line["id"]] = names

    def read_region(self, line):
        line.update(at=int(line["start"], 16), touched=set(), written=set(), rows=collections.Counter())
        self.regions[line["id"]] = line
        source = self.sources[line["source"]]
        source["regions"] += 1
        source["reserved_bytes"] += line["size"]
        self.by_process[line["pid"]]["regions"] += 1

    def read_alloc(self, line):
        line.update(at=int(line["addr"], 16), touched=set(), written=set())
        self.allocs[line["id"]] = line
        self.by_process[line["pid"]]["allocs"] += 1
        sums = self.functions[line["func"]]
        sums["count"] += 1
        sums["reserved_bytes"] += line["size"]
        first, last = line["at"] // PAGE, (line["at"] + line["size"] - 1) // PAGE
        there = [page for page in range(first, last + 1) if page in self.resident[line["pid"]]]
        sums["reused_bytes"] += self.overlap(there, line)

    @staticmethod
    def overlap(pages, span):
        """Bytes of the pages that lie in a region or allocation."""
        end = span["at"] + span["size"]
        return sum(max(0, min((page + 1) * PAGE, end) - max(page * PAGE, span["at"]))
                   for page in pages)

    def read_free(self, line):
        if line["alloc"] in self.allocs:
            self.functions[self.allocs[line["alloc"]]["func"]]["freed"] += 1

    def read_region_end(self, line):
        region = self.regions[line["id"]]
        start = int(line["start"], 16) if "start" in line else region.get("now", region["at"])
        self.drop(line["pid"], start, line.get("size", region["size"]))

    def read_remove(self, line):
        self.drop(line["pid"], int(line["start"], 16), line["size"])

    def drop(self, pid, start, size):
        pages = self.resident[pid]
        pages -= set(range(start // PAGE, (start + size + PAGE - 1) // PAGE))

    def read_remap(self, line):
        source, to, size = int(line["from"], 16), int(line["to"], 16), line["size"]
        pages = self.resident[line["pid"]]
        moved = {page for page in pages if source // PAGE <= page < (source + size) // PAGE}
        pages -= moved
        pages |= {page + to // PAGE - source // PAGE for page in moved}
        region = self.regions.get(line.get("region"))
        if region and source == region.get("now", region["at"]) and size == region["size"]:
            region["now"] = to

    def read_lost(self, line):
        self.lost[line["what"], line["why"]] += line["count"]

    def read_end(self, line):
        self.duration = line["duration_ns"]

    def read_fault(self, line):
        region = self.regions.get(line.get("region"))
        alloc = self.allocs.get(line.get("alloc"))
        addr = int(line["addr"], 16)
        unit = max(self.granularity, region["page_size"] if region else 0)
        place = region["at"] + line["offset"] if region else addr
        low, high = place // unit * unit, place // unit * unit + unit
        if region:
            low, high = max(low, region["at"]), min(high, region["at"] + region["size"])
        missing = line["kind"] == "missing"
        size = high - low if missing else 0
        start = addr - (place - low)
        written = line.get("access") == "write" or line["kind"] == "write-protect"
        who = line["pid"], line["tid"]
        for sums in (self.totals, self.by_thread[who], self.by_process[line["pid"]]):
            self.add(sums, line, size)
        if region:
            self.add(self.sources[region["source"]], line, size)
            self.add(region["rows"], line, size)
            self.touch(region, low, high, written)
        if alloc:
            self.touch(alloc, start, start + high - low, written)
            self.functions[alloc["func"]]["faults"] += 1
        owner = alloc or region
        if owner and "tid" in owner:
            share = self.shares[who, (owner["pid"], owner["tid"])]
            share["faults"] += 1
            share["bytes"] += size
        path = tuple(reversed(self.stacks[line["stack"]])) if "stack" in line else (None,)
        # Of generated code without a name a report can say as little as of no stack.
        path = tuple(None if frame == (None, None, None) else frame for frame in path)
        self.paths[path]["bytes"] += size
        self.paths[path]["faults"] += 1
        self.resident[line["pid"]] |= set(range(start // PAGE, (start + size + PAGE - 1) // PAGE))
        self.peak = max(self.peak, sum(map(len, self.resident.values())) * PAGE)
        self.faults.append((line["ts"] - self.start, size))

    @staticmethod
    def add(sums, line, size):
        sums["faults"] += 1
        sums["bytes"] += size
        sums["reads"] += line.get("access") == "read"
        sums["writes"] += line.get("access") == "write"

    @staticmethod
    def touch(span, low, high, written):
        pages = range(low // PAGE, (high + PAGE - 1) // PAGE)
        span["touched"].update(pages)
        if written:
            span["written"].update(pages)


def pick(row, *keys):
    return tuple(row.get(key, 0) for key in keys)


def expected(sums):
    """Of each part of the report: keys, to values."""
    known = ("faults", "bytes", "reads", "writes")
    threads = set(sums.by_thread) | set(sums.names)
    own = {who: sums.shares[who, who]["bytes"] for who in threads}
    functions = {}
    for alloc in sums.allocs.values():
        row = sums.functions[alloc["func"]]
        touched = sums.overlap(alloc["touched"], alloc)
        written = sums.overlap(alloc["written"], alloc)
        row["touched_bytes"] += touched
        row["written_bytes"] += written
        row["read_only_bytes"] += touched - written
    for name, row in sums.functions.items():
        functions[name] = pick(row, "count", "freed", "reserved_bytes", "touched_bytes",
                               "written_bytes", "read_only_bytes", "reused_bytes", "faults")
    yield "totals", {"": pick(sums.totals, *known) + (
        sums.peak, len(threads), len(sums.by_process), sum(sums.lost.values()), sums.duration)}
    yield "sources", {name: pick(row, *known, "reserved_bytes", "regions")
                      for name, row in sums.sources.items()}
    yield "thread", {who: pick(sums.by_thread[who], "faults", "bytes") + (
        own[who],
        sum(row["bytes"] for (a, b), row in sums.shares.items() if a == who != b),
        sum(row["bytes"] for (a, b), row in sums.shares.items() if b == who != a),
        sums.names.get(who, "")) for who in threads}
    yield "thread_share", {a + b: pick(row, "faults", "bytes")
                           for (a, b), row in sums.shares.items() if a != b and row["faults"]}
    yield "process", {pid: pick(row, "faults", "bytes", "regions", "allocs")
                      for pid, row in sums.by_process.items()}
    yield "region", {key: (region["pid"], region["source"], region["start"], region["size"],
                           sums.overlap(region["touched"], region),
                           sums.overlap(region["written"], region)) + pick(
                               region["rows"], "faults", "bytes")
                     for key, region in sums.regions.items()}
    yield "alloc", functions
    yield "lost", dict(sums.lost)
    tree = collections.defaultdict(collections.Counter)
    for path, row in sums.paths.items():
        for depth in range(1, len(path) + 1):
            tree[path[:depth]].update(row)
        tree[path].update(self_bytes=row["bytes"], self_faults=row["faults"])
    yield "stack", {path: pick(row, "bytes", "faults", "self_bytes", "self_faults")
                    for path, row in tree.items()}


def path_of(row, rows):
    """The frames from the root to a row of the tree."""
    if "function" not in row and "module" not in row:
        own = None
    else:
        named = "function" in row or "module" not in row
        own = (row.get("function"), row.get("module"), None if named else int(row["offset"], 16))
    return (path_of(rows[row["parent"]], rows) if "parent" in row else ()) + (own,)


def found(report):
    known = ("faults", "bytes", "reads", "writes")
    yield "totals", {"": pick(report["totals"], *known, "peak_bytes", "threads", "processes",
                              "lost", "duration_ns")}
    yield "sources", {row["source"]: pick(row, *known, "reserved_bytes", "regions")
                      for row in report["sources"]}
    yield "thread", {(row["pid"], row["tid"]): pick(
        row, "faults", "bytes", "own_bytes", "others_bytes", "given_bytes") + (row["name"],)
        for row in report["thread"]}
    yield "thread_share", {pick(row, "pid", "tid", "owner_pid", "owner_tid"): pick(
        row, "faults", "bytes") for row in report["thread_share"]}
    yield "process", {row["pid"]: pick(row, "faults", "bytes", "regions", "allocs")
                      for row in report["process"]}
    yield "region", {row["id"]: pick(row, "pid", "source", "start", "reserved_bytes",
                                     "touched_bytes", "written_bytes", "faults", "bytes")
                     for row in report["region"]}
    functions = collections.defaultdict(collections.Counter)
    sources = {row["source"] for row in report["sources"]}
    for row in report["alloc"]:
        if row["source"] not in sources:
            functions[row["source"]].update({k: v for k, v in row.items() if isinstance(v, int)})
    yield "alloc", {name: pick(row, "count", "freed", "reserved_bytes", "touched_bytes",
                               "written_bytes", "read_only_bytes", "reused_bytes", "faults")
                    for name, row in functions.items()}
    yield "lost", {(row["what"], row["why"]): row["count"] for row in report["lost"]}
    rows = {row["id"]: row for row in report["stack"]}
    yield "stack", {path_of(row, rows): pick(row, "bytes", "faults", "self_bytes", "self_faults")
                    for row in report["stack"]}


def main():
    sys.setrecursionlimit(20000)
    sums = Sums(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        report = json.load(file)
    problems = compared = 0
    there = dict(found(report))
    for part, wanted in expected(sums):
        compared += len(wanted)
        for key in wanted.keys() | there[part].keys():
            if wanted.get(key) != there[part].get(key):
                problems += 1
                print(f"{part} {key}: expected {wanted.get(key)}, found {there[part].get(key)}"[:600])
    for row in report["time"]:
        within = [size for time, size in sums.faults if row["from_ns"] <= time < row["to_ns"]]
        if (len(within), sum(within)) != (row["faults"], row["bytes"]):
            problems += 1
            print(f"time {row}: expected {len(within)} faults, {sum(within)} bytes")
    if sum(row["faults"] for row in report["time"]) != len(sums.faults):
        problems += 1
        print("the time rows do not have all faults")
    print(f"{compared} rows compared, {problems} problems")
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
