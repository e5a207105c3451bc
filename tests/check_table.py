#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks the HTML that a renderer made of `faultline diff --markdown`: each NAME, which is hostile,
stands in the table of code letter by letter as function and as module, rows have the cells that
their table has titles, and nothing but tables, code, emphasis and lists was made of any of it.

    check_table.py PAGE.html NAME...
"""

import html.parser
import re
import sys

ALLOWED = {"h3", "p", "strong", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tables, self.tags, self.wrong = [], set(), []
        self.cell = None

    def handle_starttag(self, tag, attributes):
        if tag not in ALLOWED or any(name != "align" for name, _ in attributes):
            self.wrong.append((tag, attributes))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_comment(self, data):
        self.wrong.append(("comment", data))


def main():
    page = Page()
    with open(sys.argv[1], encoding="utf-8") as file:
        page.feed(file.read())
    wrong = [f"not allowed: {found}" for found in page.wrong]
    for table in page.tables:
        wrong += [f"{row}: {len(table[0])} cells?" for row in table if len(row) != len(table[0])]
    # all of it, sources, code
    code = [dict(zip(page.tables[2][0], row)) for row in page.tables[2][1:]]
    found = sorted((row["function"], row["module"]) for row in code)
    # control characters are shown as question marks
    names = [re.sub(r"[\x00-\x1f]", "?", name) for name in sys.argv[2:]]
    expected = sorted((name, name.replace("/", "")) for name in names)
    if found != expected:
        wrong += [f"found {found}", f"not {expected}"]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
