#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures what tracing costs; `make bench` and `make bench-quick` call it.

    run.py [--quick] [--rounds=N] [--case=REGEX] --output=FILE

Everything is measured in one run and written as JSON after each case; tests/bench/table.py prints it.
Environment, from the Makefile: FAULTLINE is the command, BENCH the folder of the programs beside this
file, PROGRAMS that of the test programs."""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

# What a shell that runs this may have set is not part of it.
for name in list(os.environ):
    if name == "LD_PRELOAD" or name.startswith("FAULTLINE_"):
        del os.environ[name]
os.environ["LC_ALL"] = "C"

import cases  # pylint: disable=wrong-import-position
from measure import Failure, Machine  # pylint: disable=wrong-import-position


def first(path, pattern):
    """The group of the first match in a file, or None."""
    with open(path, encoding="utf-8") as file:
        match = re.search(pattern, file.read(), re.MULTILINE)
    return match and match[1]


def about():
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": " ".join((platform.system(), platform.release(), platform.machine())),
        "processor": first("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "cpus": os.cpu_count(),
        "thp": first("/sys/kernel/mm/transparent_hugepage/enabled", r"\[(.*)\]"),
        "tool": subprocess.run([cases.FAULTLINE, "--version"], check=True, capture_output=True,
                               encoding="utf-8").stdout.splitlines()[0],
    }


def main():
    parser = argparse.ArgumentParser(usage="run.py [--quick] [--rounds=N] [--case=REGEX] --output=FILE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--case", default="")
    parser.add_argument("--output", required=True)
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 7)
    machine, results, started = Machine(), [], time.monotonic()

    def write():
        with open(options.output, "w", encoding="utf-8") as file:
            json.dump(about() | {"rounds": rounds, "quick": options.quick, "samples": machine.samples,
                                 "busy_samples": machine.busy, "seconds": round(time.monotonic() - started),
                                 "cases": results}, file, indent=1)
            file.write("\n")

    with tempfile.TemporaryDirectory() as folder:
        bench = cases.Bench(folder, options.quick)
        for case in cases.QUICK if options.quick else cases.CASES:
            name = case.__name__.replace("_", "-")
            if not re.search(options.case, name):
                continue
            case = case(bench)
            case.measure(machine, rounds)
            results.append(case.result())
            write()  # who interrupts it has what is measured
    if not results:
        parser.error(f"no case matches {options.case}")


try:
    main()
except Failure as failure:
    sys.exit(f"bench: {failure}")
except KeyboardInterrupt:
    sys.exit(130)
