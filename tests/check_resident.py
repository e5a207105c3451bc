#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Compares the trace of a running process with the kernel's own books: the pages that the faults of
the trace brought into its regions, and that did not go since, must be those, and only those, that
/proc/PID/pagemap calls present. Memory that was there before the process could be traced may hold
more. Needs root, and a process that is idle.

    check_resident.py PID TRACE
"""
import json
import struct
import sys

PAGE = 4096
PRESENT_OR_SWAPPED = 3 << 62  # Documentation/admin-guide/mm/pagemap.rst


class Memory:
    """What the trace says of one process: where its regions are, which pages they have."""

    def __init__(self):
        self.regions, self.pages = [], set()
        self.older = []  # regions from before tracing: those of the first moment
        self.first = None

    def cut(self, start, end):
        """The range ends."""
        kept = []
        for at, to in self.regions:
            if to <= start or end <= at:
                kept.append((at, to))
                continue
            if at < start:
                kept.append((at, start))
            if end < to:
                kept.append((end, to))
        self.regions = kept
        return self.take(start, end)

    def take(self, start, end):
        """The pages of the range go; returns them."""
        gone = {page for page in self.pages if start <= page < end}
        self.pages -= gone
        return gone

    def read(self, line):
        kind = line["type"]
        if kind == "process" and line["event"] == "exec":
            self.__init__()
        elif kind == "region":
            start = int(line["start"], 16)
            self.cut(start, start + line["size"])
            self.first = self.first or line["ts"]
            if line["ts"] == self.first:
                self.older.append((start, start + line["size"]))
            if line["page_size"] == PAGE and line["source"] != "shm":
                self.regions.append((start, start + line["size"]))
        elif kind == "region_end":
            self.cut(int(line["start"], 16), int(line["start"], 16) + line["size"])
        elif kind == "remap":
            source, target = int(line["from"], 16), int(line["to"], 16)
            moved = self.cut(source, source + line["size"])
            self.cut(target, target + line["size"])
            self.regions.append((target, target + line["size"]))
            self.pages |= {page - source + target for page in moved}
        elif kind == "remove":
            self.take(int(line["start"], 16), int(line["start"], 16) + line["size"])
        elif kind == "fault":
            self.pages.add(int(line["addr"], 16) // PAGE * PAGE)


def lies_in(page, ranges):
    return any(start <= page < end for start, end in ranges)


def traced(pid, path):
    memory, lines, regions = Memory(), [], {}
    with open(path, encoding="utf-8") as file:
        for text in file:
            if not text.endswith("\n"):
                break  # it is being written
            line = json.loads(text)
            if line.get("pid") != pid or "ts" not in line:
                continue
            if line["type"] == "region":
                regions[line["id"]] = line
            elif line["type"] == "region_end" and "start" not in line:
                line["start"], line["size"] = regions[line["id"]]["start"], regions[line["id"]]["size"]
            lines.append(line)
    # What goes at the same moment goes first.
    for line in sorted(lines, key=lambda line: (line["ts"], line["type"] == "fault")):
        memory.read(line)
    memory.pages = {page for page in memory.pages if lies_in(page, memory.regions)}
    return memory


def resident(pid, regions):
    pages = set()
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        for start, end in regions:
            file.seek(start // PAGE * 8)
            entries = file.read((end - start) // PAGE * 8)
            for i, (entry,) in enumerate(struct.iter_unpack("=Q", entries)):
                if entry & PRESENT_OR_SWAPPED:
                    pages.add(start + i * PAGE)
    return pages


def main():
    pid, path = int(sys.argv[1]), sys.argv[2]
    memory = traced(pid, path)
    regions, told, there = memory.regions, memory.pages, resident(pid, memory.regions)
    print(f"{len(regions)} regions: {len(told)} pages by the trace, {len(there)} by the kernel")
    untold = {page for page in there - told if not lies_in(page, memory.older)}
    for what, pages in ("only in the trace", told - there), ("only there", untold):
        for page in sorted(pages)[:8]:
            region = next((f"{a:#x}-{b:#x}" for a, b in regions if a <= page < b), None)
            print(f"{what}: {page:#x} in {region}")
    sys.exit(not told or bool(told - there) or bool(untold))


if __name__ == "__main__":
    main()
