#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks the core file of tests/programs/crash.c: every page that the program wrote is there, with
what it wrote, and what it did not write is zero, or left out. Says of each piece of memory whether
its written pages are in the file; that must be the same with and without tracing.

With --trace, memory that threads were touching when the program crashed is compared with the trace
as well: each page that a thread has counted has one fault.
"""

import argparse
import collections
import json
import struct
import sys

PAGE = 4096
PT_LOAD, PT_NOTE = 1, 4
NT_PRSTATUS = 1


class Core:
    """An ELF core file of a 64-bit little-endian machine: elf(5), core(5)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        if self.data[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"{path} is no ELF file")
        offset, = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        self.segments, self.threads = [], 0
        for i in range(count):
            kind, _, at, address, _, in_file, in_memory, _ = struct.unpack_from(
                "<IIQQQQQQ", self.data, offset + i * size)
            if at + in_file > len(self.data):
                sys.exit(f"{path} is cut: a segment ends at {at + in_file}, the file at {len(self.data)}")
            if kind == PT_LOAD:
                self.segments.append((address, address + in_memory, at, in_file))
            elif kind == PT_NOTE:
                self.read_notes(at, at + in_file)

    def read_notes(self, at, end):
        while at < end:
            name, size, kind = struct.unpack_from("<III", self.data, at)
            self.threads += kind == NT_PRSTATUS
            at += 12 + (name + 3) // 4 * 4 + (size + 3) // 4 * 4

    def read(self, address, size):
        """What lies there; None where the file leaves it out."""
        for start, end, at, in_file in self.segments:
            if start <= address < end:
                first = address - start
                return self.data[at + first : at + first + size] if first + size <= in_file else None
        return None


def expected_page(i):
    page = bytearray(PAGE)
    page[i * 72 % PAGE] = i % 251 + 1
    return bytes(page)


def check_area(core, area, problems):
    """Whether the written pages are in the file: True, False, or None when only some are."""
    there = collections.Counter()
    last = area["pages"]
    if "counter" in area:
        counter = core.read(area["counter"], 8)
        if counter is None:
            problems.append(f"{area['name']}: its counter is not in the file")
            return None
        last = area["count"] = struct.unpack("<Q", counter)[0]
    for i in range(area["pages"]):
        page = core.read(area["start"] + i * PAGE, PAGE)
        written = i % area["every"] == 0 and i < last
        if written:
            there[page is not None] += 1
        if page is None or (written and page == expected_page(i)) or (not written and not any(page)):
            continue
        if i == last and page == expected_page(i):
            continue  # written, and not counted yet
        problems.append(f"{area['name']}: page {i} is wrong")
    return None if len(there) > 1 else there[True] > 0


def check_trace(path, areas, problems):
    faults = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for text in file:
            if text.startswith('{"type":"fault"'):
                faults[int(json.loads(text)["addr"], 16) // PAGE] += 1
    for area in areas:
        if "count" not in area:
            continue
        first = area["start"] // PAGE
        counts = [faults[first + i] for i in range(area["pages"])]
        if counts[: area["count"]] != [1] * area["count"] or sum(counts) > area["count"] + 1:
            problems.append(f"{area['name']}: {area['count']} pages and {sum(counts)} faults")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("core")
    parser.add_argument("areas", help="what the program said of its memory")
    parser.add_argument("--trace")
    options = parser.parse_args()

    core, problems = Core(options.core), []
    with open(options.areas, encoding="utf-8") as file:
        areas = [json.loads(line) for line in file]
    words = {True: "there", False: "left out", None: "in pieces"}
    for area in areas:
        found = check_area(core, area, problems)
        if area["every"] <= area["pages"]:
            print(f"{area['name']}: {words[found]}")
    print(f"{core.threads} threads, {len(areas)} areas")
    if options.trace:
        check_trace(options.trace, areas, problems)
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
