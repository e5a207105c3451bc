#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks a trace: its own rules, and against the truth that a traced test program wrote.

Every line must keep the rules of the trace format: the session first, the end last, identifiers
defined before they are used, each fault inside its region and its allocation, the end line's
totals true. With --truth, each note of the program must be found as a fault of its page, in order,
and each fault of a noted page must have its note. Prints what is wrong and exits with 1, or says in
one line what was right. Runs beside the tests, never in a traced process.
"""

import argparse
import collections
import json
import os
import subprocess
import sys

# Libraries whose frames a program cannot know of. Its notes name its own functions only.
FOREIGN = (
    "libc.so", "ld-linux", "libpthread", "libstdc++", "libgcc_s", "libm.so", "libfaultline.so",
    "libjemalloc", "libtcmalloc", "libmimalloc", "[vdso]",
)
LATER_SOURCES = ("mmap", "mremap", "shm", "memfd", "bss")
MAX_COMPLAINTS = 20


class Problems:
    """What is wrong, the first few of it in words."""

    def __init__(self):
        self.count = 0

    def add(self, *words):
        self.count += 1
        if self.count <= MAX_COMPLAINTS:
            print(*words)
        elif self.count == MAX_COMPLAINTS + 1:
            print("…")


class Trace:
    """The lines of a trace, read in order; `faults` holds each fault with what it referred to."""

    def __init__(self, problems):
        self.problems = problems
        self.session = self.end = None
        self.line_number = 0
        self.modules, self.stacks, self.regions, self.allocs = {}, {}, {}, {}
        self.threads = {}  # by pid and tid
        self.processes = {}  # of those that reach into another's memory, by pid and tid
        self.own_pids = {}  # what a process calls itself, by pid
        self.faults = []
        self.lost = self.lost_stacks = 0
        self.gone = []  # (ts, pid, start, end): pages that will be missing again
        self.counts = collections.Counter()

    def complain(self, *words):
        self.problems.add(f"line {self.line_number}:", *words)

    def read(self, file):
        for text in file:
            self.line_number += 1
            try:
                line = json.loads(text)
            except ValueError as error:
                self.complain(f"not JSON: {error}: {text[:200]}")
                continue
            if next(iter(line), None) != "type":
                self.complain(f'"type" is not the first key: {text[:200]}')
                continue
            if (self.line_number == 1) != (line["type"] == "session"):
                self.complain(f"a {line['type']} line here")
            if self.end:
                self.complain("a line after the end line")
            self.counts[line["type"]] += 1
            method = getattr(self, "read_" + line["type"], None)
            if method:
                method(line)

    def define(self, table, line):
        if line["id"] in table:
            self.complain(f"{line['type']} {line['id']} is defined twice")
        table[line["id"]] = line

    def used(self, table, line, key):
        if key not in line:
            return None
        if line[key] not in table:
            self.complain(f"{line['type']} names {key} {line[key]}, which is not defined")
            return None
        return table[line[key]]

    def read_session(self, line):
        self.session = line
        if line.get("format") != "faultline-trace" or line.get("version") != 1:
            self.complain("format or version")

    def read_thread(self, line):
        if "name" not in line:
            self.complain(f"thread {line['tid']} has no name")
        if line.get("process") == line["pid"]:
            self.complain(f"thread {line['tid']} is no stranger")
        self.threads[line["pid"], line["tid"]] = line.get("name")
        self.processes[line["pid"], line["tid"]] = line.get("process")

    def read_process(self, line):
        self.own_pids[line["pid"]] = line.get("ns_pid", line["pid"])
        if ("ns_pid" in line) != ("pid_ns" in line) and "merged" not in self.session:
            self.complain("one of ns_pid and pid_ns is missing")
        if line["event"] in ("exec", "exit"):
            self.gone.append((line["ts"], line["pid"], 0, 1 << 64))

    def read_module(self, line):
        self.define(self.modules, line)

    def read_stack(self, line):
        self.define(self.stacks, line)
        for frame in line["frames"]:
            self.used(self.modules, {"type": "frame", **frame}, "module")

    def read_region(self, line):
        self.define(self.regions, line)
        self.used(self.stacks, line, "stack")
        line["at"] = int(line["start"], 16)
        if self.session["mode"] == "sigbus":
            # What a thread is moving has left its place, though it tells only where it arrived.
            self.gone.append((line["ts"], line["pid"], line["at"], line["at"] + line["size"]))

    def read_region_end(self, line):
        region = self.used(self.regions, line, "id")
        if region:
            start = int(line["start"], 16) if "start" in line else region["at"]
            size = line.get("size", region["size"])
            self.gone.append((line["ts"], line["pid"], start, start + size))

    def read_remap(self, line):
        region = self.used(self.regions, line, "region")
        source, target = int(line["from"], 16), int(line["to"], 16)
        self.gone.append((line["ts"], line["pid"], source, source + line["size"]))
        if region and source == region["at"]:
            region["at"] = target
            region["size"] = max(region["size"], line["size"])

    def read_remove(self, line):
        start = int(line["start"], 16)
        self.gone.append((line["ts"], line["pid"], start, start + line["size"]))

    def read_alloc(self, line):
        self.define(self.allocs, line)
        self.used(self.stacks, line, "stack")

    def read_free(self, line):
        self.used(self.allocs, line, "alloc")

    def read_lost(self, line):
        self.lost += line["count"]
        self.lost_stacks += line["count"] if line["what"] == "stacks" else 0

    def read_end(self, line):
        self.end = line

    def may_not_know(self, fault, region):
        """Whether an access may be unknown: memory that only perf saw, shared memory that was there
        before it was registered, and any ioctl's buffer."""
        before_the_kernel = self.session["mode"] == "sigbus" or self.session.get("unprivileged")
        return region and (region["source"] == "shm" or (
            region["memory"] == "shmem" and fault.get("served") == "native")) or (
            before_the_kernel and fault.get("origin") == "kernel")

    def read_fault(self, line):
        addr = int(line["addr"], 16)
        region = self.used(self.regions, line, "region")
        alloc = self.used(self.allocs, line, "alloc")
        stack = self.used(self.stacks, line, "stack")
        accesses = ("read", "write") + ((None,) if self.may_not_know(line, region) else ())
        if line.get("kind") not in self.kinds(region) or line.get("access") not in accesses:
            self.complain(f"kind or access of the fault at {line['addr']}")
        self.check_place(line, addr, region)
        if alloc and not self.within(alloc, addr):
            self.complain(f"the fault at {line['addr']} lies outside its allocation {alloc}")
        line.update(at=addr, thread=self.threads.get((line["pid"], line["tid"])))
        line["in"] = (region, dict(region) if region else None, alloc, stack)
        self.faults.append(line)

    def check_place(self, line, addr, region):
        if not region:
            self.complain(f"the fault at {line['addr']} has no region")
        elif not 0 <= addr - region["at"] < region["size"]:
            self.complain(f"the fault at {line['addr']} lies outside its region {region}")
        elif line["offset"] != addr - region["at"]:
            self.complain(f"the fault at {line['addr']} has a wrong offset in region {region}")

    def kinds(self, region):
        """Which kinds of faults a region may have."""
        yield "missing"
        if self.session.get("mode") == "write":
            yield "write-protect"
        if region and region["memory"] != "anon":
            yield "minor"

    def within(self, alloc, addr):
        # The rest of the last page is nobody else's.
        start = int(alloc["addr"], 16)
        return start <= addr < (start + alloc["size"] + 4095) // 4096 * 4096

    def check_totals(self):
        end = self.end
        if not self.session:
            self.problems.add("the trace is empty")
        if not end:
            self.problems.add("there is no end line")
            return
        expected = {
            "faults": self.counts["fault"], "regions": self.counts["region"],
            "stacks": self.counts["stack"], "lost": self.lost,
        }
        for key, value in expected.items():
            if end.get(key) != value:
                self.problems.add(f"the end line says {key} {end.get(key)}; there are {value}")

    def check_once(self):
        """No page is missing twice, unless it went in between."""
        page = (self.session or {}).get("page_size", 4096)
        events = [(ts, 0, (pid, start, end)) for ts, pid, start, end in self.gone]
        for fault in self.faults:
            size = fault["in"][0]["page_size"] if fault["in"][0] else page
            events.append((fault["ts"], 1, (fault["pid"], fault["at"] // size * size)))
        events.sort()
        present = collections.defaultdict(set)
        for _, is_fault, what in events:
            pages = present[what[0]]
            if is_fault:
                if what[1] in pages:
                    self.problems.add(f"process {what[0]} faulted twice at {what[1]:#x}")
                pages.add(what[1])
            elif (what[2] - what[1]) // page < len(pages):
                pages.difference_update(range(what[1], what[2], page))
            else:
                pages.difference_update([p for p in pages if what[1] <= p < what[2]])


class Symbols:
    """Where a module's file has its functions, by nm."""

    def __init__(self, seen):
        self.files = {}
        self.seen = seen  # where files are whose path is another mount namespace's

    def addresses(self, path, name):
        if path not in self.files:
            table = collections.defaultdict(set)
            listing = subprocess.run(["nm", self.seen.get(path, path)], stdout=subprocess.PIPE, check=True, text=True)
            for line in listing.stdout.splitlines():
                words = line.split()
                if len(words) == 3:
                    table[words[2]].add(int(words[0], 16))
            self.files[path] = table
        return self.files[path][name]


class Comparison:
    """The notes of the program against the faults of the trace."""

    def __init__(self, trace, problems, options):
        self.trace, self.problems, self.options = trace, problems, options
        self.symbols = Symbols(dict(pair.split("=") for pair in options.file))
        self.functions_of = {}  # stack id: names of the program's own frames
        self.truncated = 0

    def functions(self, stack):
        """Names of the frames in the program and its plug-ins, each checked against its file."""
        if stack["id"] in self.functions_of:
            return self.functions_of[stack["id"]]
        names = []
        for frame in stack["frames"]:
            module = self.trace.modules.get(frame.get("module"), {"path": ""})
            if os.path.basename(module["path"]).startswith(FOREIGN):
                continue
            name = frame.get("symbol")
            if name is None:
                names.append("at " + frame["ip"])
                continue
            names.append(name.removesuffix(".cold"))
            if not module["path"]:
                continue
            place = int(frame["offset"], 16) - frame["symbol_offset"]
            if place not in self.symbols.addresses(module["path"], name):
                self.problems.add(f"{name} is not at {place:#x} in {module['path']}: {frame}")
        self.functions_of[stack["id"]] = names
        return names

    @staticmethod
    def expected_functions(functions):
        return functions + ["_start"] if functions[-1] == "main" else functions

    def stack_problem(self, stack, functions):
        if not stack:
            return "no stack"
        expected, found = self.expected_functions(functions), self.functions(stack)
        if not stack.get("truncated"):
            return None if found == expected else f"stack is {found}"
        self.truncated += 1
        if len(stack["frames"]) != self.options.max_frames:
            return f"stack is truncated at {len(stack['frames'])} frames: {found}"
        if len(found) >= len(expected) or found != expected[: len(found)]:
            return f"stack is truncated and is {found}"
        return None

    def fault_problem(self, fault, note):
        keys = ("pid", "tid", "access", "kind") + (("origin",) if self.options.stacks != "none" else ())
        for key in keys:
            if key == "access" and "access" not in fault:
                continue  # Trace.read_fault knows when that may be
            if key in note and fault.get(key) != note[key]:
                return f"{key} is {fault.get(key)}"
        if self.trace.own_pids.get(fault["pid"]) != note["own_pid"]:
            return f"it calls itself {self.trace.own_pids.get(fault['pid'])}"
        if note["exact"] and fault["at"] != note["at"]:
            return f"addr is {fault['addr']}"
        if "thread" in note and not self.options.any_name and fault["thread"] != note["thread"]:
            return f"thread is {fault['thread']}"
        process = self.trace.processes.get((fault["pid"], fault["tid"]))
        if process != note.get("process"):
            return f"the thread's process is {process}"
        _, region, alloc, stack = fault["in"]
        if "stranger" in note:
            if not (fault["thread"] or "").startswith(note["stranger"]):
                return f"thread is {fault['thread']}"
            if stack:
                return f"stack is {self.functions(stack)}"
        return (
            self.region_problem(region, note)
            or self.alloc_problem(alloc, note)
            or (self.stack_problem(stack, note["functions"]) if self.wants_stack(fault, note) else None)
        )

    def wants_stack(self, fault, note):
        wanted = self.options.stacks
        return "functions" in note and (wanted == "all" or wanted == fault.get("origin"))

    def region_problem(self, region, note):
        if not region:
            return "no region"
        if "source" in note and region["source"] not in note["source"].split("|"):
            return f"region is {region}"
        if "region_start" in note and region["at"] != int(note["region_start"], 16):
            return f"region is {region}"
        if "region_size" in note and region["size"] != note["region_size"]:
            return f"region is {region}"
        if region["page_size"] != note["page_size"]:
            return f"region is {region}"
        if "region_size" in note and self.options.stacks != "none":
            stack = self.trace.stacks.get(region.get("stack"))
            last = self.expected_functions(note["functions"])[-1]
            if not stack:
                return "region has no stack"
            if not stack.get("truncated") and self.functions(stack)[-1:] != [last]:
                return f"region's stack is {self.functions(stack)}"
        return None

    def alloc_problem(self, alloc, note):
        if "alloc_addr" not in note:
            if alloc and note.get("source") in LATER_SOURCES:
                return f"allocation is {alloc}"
            return None
        if not alloc or alloc["addr"] != note["alloc_addr"]:
            return f"allocation is {alloc}"
        if "alloc_size" in note and alloc["size"] != note["alloc_size"]:
            return f"allocation is {alloc}"
        if self.options.stacks == "none":
            return None
        problem = self.stack_problem(
            self.trace.stacks.get(alloc.get("stack")), note["alloc_functions"])
        return problem and "allocation's " + problem

    def is_header(self, fault):
        """A touch by malloc itself, which writes a header before it returns the memory, and a new
        one, to a page that is there, when a chunk has moved."""
        stack = fault["in"][3]
        if fault["served"] != "native" and fault["kind"] != "write-protect":
            return False
        if self.trace.session["capture"] != "perf":  # the stack is that of malloc's caller
            return fault["at"] % 4096 == 0
        if not stack:
            return False
        module = self.trace.modules.get(stack["frames"][0].get("module"), {"path": ""})
        return os.path.basename(module["path"]).startswith("libc.so")

    @staticmethod
    def is_of_stack(fault, notes):
        """A stack of libc's lay where the program has mapped at another time."""
        region = fault["in"][0]
        return region and region["source"] == "stack" and all(
            "stack" not in note.get("source", "stack") for note in notes)

    def run(self, notes):
        """A page's notes and its faults, both in order, must be the same."""
        noted, faulted = collections.defaultdict(list), collections.defaultdict(list)
        sizes = collections.defaultdict(set)
        for note in notes:
            note["at"] = int(note["addr"], 16)
            size = note["page_size"]
            sizes[size].add(note["at"] // size)
            noted[note["pid"], size, note["at"] // size].append(note)
        for fault in sorted(self.trace.faults, key=lambda fault: fault["ts"]):
            for size, pages in sizes.items():
                if fault["at"] // size in pages:
                    faulted[fault["pid"], size, fault["at"] // size].append(fault)
        for page, page_notes in noted.items():
            faults = faulted[page]
            if page_notes[0].get("source") in self.options.untraced:
                page_notes = []
            faults = [fault for fault in faults if not self.is_of_stack(fault, noted[page])]
            if self.trace.session["mode"] == "write":
                # A page that is read is not told, but its first write, which nobody noted, is.
                page_notes = [note for note in page_notes if note["access"] != "read"]
                if not page_notes and [fault["kind"] for fault in faults] == ["write-protect"]:
                    continue
            if len(faults) > len(page_notes):
                faults = [fault for fault in faults if not self.is_header(fault)]
            if len(faults) != len(page_notes):
                self.problems.add(
                    f"{len(faults)} faults instead of {len(page_notes)} in the page of",
                    self.short(noted[page][0]), [self.short(fault) for fault in faults])
                continue
            for note, fault in zip(page_notes, faults):
                problem = self.fault_problem(fault, note)
                if problem:
                    self.problems.add(problem, "- but the program says", self.short(note))

    @staticmethod
    def short(line):
        return json.dumps({k: v for k, v in line.items() if k not in ("at", "in", "type")})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace")
    parser.add_argument("--truth", help="the file that the traced program wrote")
    parser.add_argument("--once", action="store_true", help="no page faults twice")
    parser.add_argument("--max-frames", type=int, default=64)
    parser.add_argument("--stacks", choices=("all", "user", "none"), default="all")
    parser.add_argument("--any-name", action="store_true", help="thread names do not matter")
    parser.add_argument("--untraced", action="append", default=[], metavar="SOURCE",
                        help="memory of this source has no faults in the trace")
    parser.add_argument("--file", action="append", default=[], metavar="PATH=HERE",
                        help="a file that the program knew by another path")
    options = parser.parse_args()

    problems = Problems()
    trace = Trace(problems)
    with open(options.trace, encoding="utf-8", errors="strict") as file:
        trace.read(file)
    trace.check_totals()
    lost = trace.lost - (trace.lost_stacks if options.stacks == "none" else 0)
    if lost:
        problems.add(f"{lost} things were lost")
    if options.once:
        trace.check_once()
    result = f"{len(trace.faults)} faults"
    if options.truth:
        with open(options.truth, encoding="utf-8") as file:
            notes = [json.loads(line) for line in file]
        comparison = Comparison(trace, problems, options)
        comparison.run(notes)
        result += f", {len(notes)} notes, {comparison.truncated} truncated stacks"
        if not notes:
            problems.add("the program noted nothing")
    print(f"{result}, {problems.count} problems")
    sys.exit(problems.count != 0)


if __name__ == "__main__":
    main()
