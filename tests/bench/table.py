#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints what tests/bench/run.py has measured; `make bench` and `make bench-table` call it.

    table.py [--markdown] FILE

The numbers of one run are compared with one another and with no others."""
import argparse
import json
import sys


def number(value, unit):
    digits = 1 if value < 1000 and unit != "ns a page" else 0
    return f"{value:,.{digits}f}"


FACTS = {  # how they are said
    "bytes_per_fault": "{:,.1f} bytes a fault",
    "lost_percent": "{:.1f} % lost",
    "cpu_ms": "{:,.0f} ms of CPU",
    "faults": "{:,.0f} faults",
    "memory_mib": "{:,.1f} MiB",
    "bytes": "{:,.0f} bytes",
}


def facts(contender):
    return ", ".join(FACTS[name].format(value) for name, value in contender["facts"].items() if name in FACTS)


def rows(case):
    """The head and the lines of a case, as texts."""
    yield ["", "median", "middle half", *(f"to {base}" for base in case["bases"]), ""]
    for contender in case["contenders"]:
        yield [contender["name"], number(contender["median"], case["unit"]),
               f"{number(contender['low'], case['unit'])} to {number(contender['high'], case['unit'])}",
               *(f"{contender['ratios'][base]:.2f}" for base in case["bases"]), facts(contender)]


def print_text(case):
    table = list(rows(case))
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    print(f"\n{case['title']}, {case['unit']}")
    for name, *cells, said in table:
        cells = [cell.rjust(width) for cell, width in zip(cells, widths[1:])]
        print("  ".join(["  " + name.ljust(widths[0]), *cells, said]).rstrip())


def print_markdown(case):
    head, *lines = rows(case)
    head[0] = f"{case['title']}, {case['unit']}"
    print("\n| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 2) + " --- |")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def main():
    parser = argparse.ArgumentParser(usage="table.py [--markdown] FILE")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("file", nargs="+")
    options = parser.parse_args()
    if len(options.file) > 1:
        sys.exit("table.py: the numbers of several runs are not compared: what else the machine did differs")
    try:
        with open(options.file[0], encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"table.py: {options.file[0]}: {error}; make bench writes it")
    print(f"{results['system']}, {results['cpus']} CPUs, {results['processor']}, thp {results['thp']}")
    print(f"{results['tool']}, {results['time']}, {results['rounds']} rounds"
          f"{', small version' if results['quick'] else ''}, {results['samples']} samples, "
          f"{results['busy_samples']} on a busy machine, {results['seconds']} s")
    for case in results["cases"]:
        (print_markdown if options.markdown else print_text)(case)


main()
