#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Compares the report of a program with what perf saw of the same program, run without faultline and
with the same load: perf's page faults are those of the report and those from before tracing.

    perf record -e page-faults -c 1 -d --call-graph dwarf PROGRAM
    perf script --show-mmap-events --show-lost-events -F pid,tid,comm,time,event,addr,ip,sym,dso
    check_perf.py SAMPLES REPORT BEFORE

SAMPLES is what perf script printed, REPORT what `faultline report --json --limit=all` did, and
BEFORE the number of pages that the loader had touched before the program could be traced.

Each page of anonymous memory counts once: where a page is first read and then written the kernel may
make two faults of it, and faultline none of the second. Memory of the main stack, and of files,
faultline does not trace.
"""
import collections
import json
import re
import sys

from sites import same_shares, site

PAGE = 4096
# Pages that time and the order of threads decide about: of stacks, of what is done each second, and
# of objects of one size that come from several functions.
CHANCE_PAGES = 16
LEAST_SHARE, SHARE_BOUND = 0.02, 0.01


class Samples:
    """perf's page faults in anonymous memory: the frames of the first one of each page."""

    def __init__(self, lines):
        self.mappings, self.first, self.all = [], {}, 0
        frames = []
        for line in lines:
            mapping = re.search(r"PERF_RECORD_MMAP2? \d+/\d+: \[0x(\w+)\(0x(\w+)\) @ .*\]: \S+ (.*)", line)
            sample = re.search(r" page-faults: +([0-9a-f]+) ", line)
            frame = re.fullmatch(r"\s+([0-9a-f]+) (.*) \((.*)\)\n", line)
            if "PERF_RECORD_LOST" in line:
                sys.exit(f"perf lost samples: {line}")
            if mapping:
                start = int(mapping[1], 16)
                self.mappings.insert(0, (start, start + int(mapping[2], 16), mapping[3]))
            elif sample:
                self.all += 1
                address, frames = int(sample[1], 16), []
                if self.is_anonymous(address):
                    self.first.setdefault(address // PAGE, frames)
            elif frame:
                offset, function, file = frame.groups()
                function = None if function == "[unknown]" else function
                frames.append((function, file, f"{file}+0x{offset}"))

    def is_anonymous(self, address):
        name = next((name for start, end, name in self.mappings if start <= address < end), "")
        return name in ("//anon", "[heap]")


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        samples = Samples(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        report = json.load(file)
    faults, before, pages = report["totals"]["faults"], int(sys.argv[3]), len(samples.first)
    print(f"{faults} faults by the report + {before} pages touched before = {faults + before};"
          f" {pages} pages by perf, of {samples.all} page faults")
    right = abs(faults + before - pages) <= CHANCE_PAGES

    ours, theirs = collections.Counter(), collections.Counter()
    for row in report["site"]:
        ours[row.get("function") or f"{row.get('module')}+{row.get('offset')}"] += row["faults"]
    theirs.update(map(site, samples.first.values()))
    print("   report             perf")
    right &= same_shares(ours, theirs, LEAST_SHARE, SHARE_BOUND)
    sys.exit(not right)


if __name__ == "__main__":
    main()
