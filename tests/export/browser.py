#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Opens an export in a viewer that runs in Chromium, and prints as JSON what the viewer has read.

    browser.py trace-viewer FILE   the Trace Viewer that Go's packages bring, that of chrome://tracing
    browser.py speedscope FILE     the speedscope of the npm package in $NPM_PACKAGES

Uses Debian's own python3, to which python3-selenium belongs.
"""
import base64
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import chromium

READ_TRACE = """
const done = arguments[arguments.length - 1];
try {
  const model = new tr.Model();
  new tr.importer.Import(model, new tr.importer.ImportOptions()).importTraces([arguments[0]]);
  const processes = model.getAllProcesses().map(process => ({
    pid: process.pid,
    name: process.name,
    threads: Object.values(process.threads).map(thread => ({
      tid: thread.tid,
      name: thread.name,
      faults: thread.sliceGroup.slices.map(slice => ({
        title: slice.title,
        args: slice.args,
        stack: slice.startStackFrame ? slice.startStackFrame.getUserFriendlyStackTrace() : [],
      })),
    })),
    counters: Object.values(process.counters).map(counter => ({
      name: counter.name,
      values: counter.series[0].samples.map(sample => sample.value),
    })),
  }));
  done({warnings: model.importWarnings.map(warning => warning.message), processes});
} catch (error) {
  done({error: String(error), stack: error.stack});
}
"""

# Sorts the functions by the memory that they and what they called touched: a click, and nothing the
# next time, when that was shown. Rows are only there as far as they can be seen.
READ_TABLES = """
const tables = [...document.querySelectorAll('table')].map(table =>
  [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim())));
const heading = [...document.querySelectorAll('td, th')].find(cell => cell.innerText.trim() == 'Total');
const rows = tables[tables.length - 1] || [];
const percents = rows.map(row => parseFloat((row[0].match(/\\(<?([0-9.]+)%/) || [])[1]));
if (!heading || rows.length == 0)
  return null;
if (percents.every((percent, i) => i == 0 || percent <= percents[i - 1]))
  return tables;
heading.click();
return null;
"""


def trace_viewer(browser, path, folder):
    parts = pathlib.Path(next(pathlib.Path("/usr/share").glob(
        "go-*/src/cmd/trace/static/trace_viewer_full.html")))
    components = (parts.parent / "webcomponents.min.js").as_uri()
    page = folder / "viewer.html"
    page.write_text(f"<script src='{components}'></script>{parts.read_text()}")
    browser.get(page.as_uri())
    return browser.execute_async_script(READ_TRACE, path.read_text())


def speedscope(browser, path, folder):
    """The rows of all its tables: the profiles in the file, and the functions of the one shown,
    the largest first, as far as they are on the screen."""
    program = pathlib.Path(os.environ["NPM_PACKAGES"], "node_modules/speedscope/dist/release")
    loader = folder / "load.js"
    content = base64.b64encode(path.read_bytes()).decode()
    loader.write_text("speedscope.loadFileFromBase64"
                      f"({json.dumps(path.name)}, {json.dumps(content)})")
    page = (program / "index.html").resolve().as_uri()
    browser.get(f"{page}#localProfilePath={loader}&view=sandwich")
    deadline = time.monotonic() + chromium.SECONDS
    while time.monotonic() < deadline:
        tables = browser.execute_script(READ_TABLES)
        if tables:
            return {"tables": tables}
        time.sleep(0.2)
    return {"error": browser.execute_script("return document.body.innerText")}


def main():
    viewers = {"trace-viewer": trace_viewer, "speedscope": speedscope}
    browser = chromium.start(
        ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            read = viewers[sys.argv[1]](
                browser, pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(folder))
    finally:
        browser.quit()
    json.dump(read, sys.stdout)
    if "error" in read:
        sys.exit(1)


main()
