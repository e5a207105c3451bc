#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Compares the report of a process that still runs, and is idle, with /proc/PID/smaps, mapping by
mapping and to the page. The report's resident memory is what its faults brought in and what did not
go since. The kernel's is Anonymous, and the pages that were only read: those share one page of
zeros, which smaps does not count and /proc/kpageflags knows. What accounts for the difference
between the two sums is told and checked, too:

    touched before tracing   bss and the loader's own memory, by the loader
    not traced               the main stack, what was written of files that are mapped privately, and
                             libfaultline's own

    check_smaps.py PID TRACE

Uses FAULTLINE, the command. Needs root, and a process that has not given memory back.
"""
import json
import os
import re
import struct
import subprocess
import sys

PAGE = 4096
PRESENT, SWAPPED, NUMBER = 1 << 63, 1 << 62, (1 << 55) - 1  # Documentation/admin-guide/mm/pagemap.rst
ZERO_PAGE = 1 << 24
AREA = "/memfd:faultline-area"


class Mapping:
    """An entry of /proc/PID/smaps, sizes in pages."""

    def __init__(self, start, end, name):
        self.start, self.end, self.name = start, end, name
        self.pages, self.flags = {}, []

    def anonymous(self):
        return self.pages["Anonymous"] + self.pages["Swap"]

    def is_of_the_program(self):
        return not self.name or self.name == "[heap]" or self.name.startswith("[anon")

    def is_traced(self):
        return "um" in self.flags  # userfaultfd tracks missing pages there


def mappings_of(pid):
    mappings = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line)
            key, _, value = line.partition(":")
            if head:
                mappings.append(Mapping(int(head[1], 16), int(head[2], 16), head[3]))
            elif key == "VmFlags":
                mappings[-1].flags = value.split()
            elif value.endswith("kB\n"):
                mappings[-1].pages[key] = int(value.split()[0]) * 1024 // PAGE
    return mappings


def zero_pages(pid, mapping):
    """How many pages of a mapping are the kernel's page of zeros."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        file.seek(mapping.start // PAGE * 8)
        entries = file.read((mapping.end - mapping.start) // PAGE * 8)
    count, known = 0, {}
    with open("/proc/kpageflags", "rb", buffering=0) as file:
        for (entry,) in struct.iter_unpack("=Q", entries):
            if entry & SWAPPED or not entry & PRESENT:
                continue
            number = entry & NUMBER
            if number not in known:
                file.seek(number * 8)
                known[number] = bool(struct.unpack("=Q", file.read(8))[0] & ZERO_PAGE)
            count += known[number]
    return count


def report(trace):
    words = [os.environ["FAULTLINE"], "report", "--json", "--no-lines", "--limit=all", "--by=all", trace]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)


class Books:
    """Both accounts of one process."""

    def __init__(self, pid, trace):
        self.pid, self.wrong = pid, []
        self.report = report(trace)
        self.regions = [region for region in self.report["region"] if "end_ns" not in region]
        self.first_ns = min(region["time_ns"] for region in self.regions)
        self.sums = {"told": 0, "zero": 0, "before": 0, "stack": 0, "files": 0, "own": 0}

    def must(self, truth, start, end, *words):
        if not truth:
            self.wrong.append(f"{start:#x}-{end:#x}: " + " ".join(map(str, words)))

    def traced(self, mappings):
        """Neighbours, which one region may cover."""
        start, end = mappings[0].start, mappings[-1].end
        inside = [region for region in self.regions if start <= int(region["start"], 16) < end]
        size = sum(region["reserved_bytes"] for region in inside)
        told = sum(region["touched_bytes"] for region in inside) // PAGE
        zero = sum(zero_pages(self.pid, mapping) for mapping in mappings)
        there = zero + sum(map(Mapping.anonymous, mappings))
        self.must(size == end - start, start, end, f"{size} bytes by the report, {end - start} by the kernel")
        older = any(region["time_ns"] == self.first_ns for region in inside)
        self.must(told == there or older and told < there, start, end,
                  f"{told} pages by the report, {there} by the kernel")
        self.sums["told"] += told
        self.sums["zero"] += zero
        self.sums["before"] += there - told
        sources = " ".join(sorted({region["source"] for region in inside}))
        print(f"{start:#14x} {end - start:>10} {told:>7} {there:>7} {sources}")

    def untraced(self, mapping, below):
        kind = "stack" if mapping.name == "[stack]" else "files"
        if mapping.is_of_the_program():
            kind = "own"
            own = "wf" in mapping.flags or below.name.endswith("/libfaultline.so")
            self.must(own, mapping.start, mapping.end, "is anonymous, and not traced")
        self.sums[kind] += mapping.anonymous()

    def compare(self):
        print("       mapping       size  report  kernel")
        below, group = None, []
        for mapping in mappings_of(self.pid):
            if group and (mapping.start != below.end or not mapping.is_traced()):
                self.traced(group)
                group = []
            if below and below.name.startswith(AREA):
                self.must(not mapping.pages["Rss"], mapping.start, mapping.end, "is no doorbell")
            elif mapping.is_traced():
                group.append(mapping)
            else:
                self.untraced(mapping, below)
            below = mapping
        return self.balance()

    def balance(self):
        sums = self.sums
        anonymous = sum(sums.values()) - 2 * sums["zero"]
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            status = dict(line.split(":", 1) for line in file)
        kernel = sum(int(status[key].split()[0]) for key in ("RssAnon", "VmSwap")) * 1024 // PAGE
        print(f"{sums['told']} pages by the report, {sums['zero']} of them only read"
              f" + {sums['before']} touched before tracing + {sums['stack']} of the stack"
              f" + {sums['files']} of files + {sums['own']} of libfaultline; anonymous by the kernel:"
              f" {kernel}")
        if anonymous != kernel:
            self.wrong.append(f"these make {anonymous} anonymous pages")
        resident = self.report["time"][-1]["resident_bytes"] // PAGE
        if resident != sums["told"]:
            self.wrong.append(f"{resident} pages are resident in the end, by the report")
        return sums["told"] > 0 and not self.wrong


def main():
    books = Books(int(sys.argv[1]), sys.argv[2])
    right = books.compare()
    for text in books.wrong:
        print(text)
    sys.exit(not right)


if __name__ == "__main__":
    main()
