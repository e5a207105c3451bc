#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stacks.py TRACE: are the stacks of the first-touch loop whole?

Prints five numbers of a plain trace: faults; those of the loop (innermost function touch_page);
of these, those whose stack is whole, from touch_page over all levels of loop.h to where the thread
starts; how many different stacks those are; and what the trace says was lost ("cut" if it has no
end). Runs beside the benchmark, after what it looks at.
"""

import json
import sys

STARTS = ("_start", "clone", "clone3", "__clone3", "__clone_internal")
LEVELS = [f"level_{n}" for n in range(14, 0, -1)]
FAULT = '{"type":"fault"'


def is_whole(stack):
    symbols = [frame.get("symbol", "") for frame in stack["frames"]]
    return (
        not stack.get("truncated")
        and symbols[1 : 1 + len(LEVELS)] == LEVELS
        and symbols[1 + len(LEVELS)] == "touch_pages"
        and symbols[-1] in STARTS
    )


def main():
    stacks, faults, of_loop, whole, lost = {}, 0, 0, 0, "cut"
    used = set()
    with open(sys.argv[1], encoding="utf-8") as trace:
        for text in trace:
            line = json.loads(text)
            if text.startswith(FAULT):
                faults += 1
                in_loop, good = stacks.get(line.get("stack"), (False, False))
                of_loop += in_loop
                whole += good
                if good:
                    used.add(line["stack"])
            elif line["type"] == "stack":
                in_loop = line["frames"][0].get("symbol") == "touch_page"
                stacks[line["id"]] = in_loop, in_loop and is_whole(line)
            elif line["type"] == "end":
                lost = line["lost"]
    print(faults, of_loop, whole, len(used), lost)


main()
