#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Gives traces that mean harm to every command that reads traces, in each of its forms.

    check_hostile.py [--status=N] [--says=TEXT] TRACE...
    check_hostile.py --each-value TRACE

Whatever is in a trace, a command ends soon and takes little memory. It exits with 0, and what it
printed is whole and harmless; or with 1, after one harmless line on standard error that begins with
the names of the trace and of the line. --status is the one that must come, --says what standard
error must have in it, behind the trace's name. `top` goes on while a trace has no end, and is told
to quit once it has read it. With --each-value the traces are made of a good one:
each value in it in turn becomes one of another type, or a huge one, or is there twice or not at all.
FAULTLINE is the command.
"""
import argparse
import base64
import collections
import csv
import gzip
import io
import json
import os
import re
import resource
import select
import subprocess
import sys
import tempfile
import termios
import time
import zlib

MEMORY_BYTES = 768 << 20
SECONDS = 60 * int(os.environ.get("TIME_FACTOR", "1"))

# What could steer a terminal; newlines end lines. What is for people to read has nothing either that
# makes a line read as another.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
TURNS = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_plain(text):
    return CONTROLS.search(text.decode()) is None


def is_harmless(text):
    return is_plain(text) and TURNS.search(text.decode()) is None


def is_json(text):
    return isinstance(json.loads(text), dict)


def is_trace(text):
    lines = text.split(b"\n")
    return lines.pop() == b"" and json.loads(lines[0])["type"] == "session" and all(
        "type" in json.loads(line) for line in lines)


def is_table(text):
    """Rows as wide as the heading, no field that a spreadsheet computes."""
    heading, *rows = csv.reader(io.StringIO(text.decode(), newline=""), strict=True)
    return is_plain(text) and all(
        len(row) == len(heading) and not row[3].startswith(tuple("=+-@\t\r")) for row in rows)


def is_page(text):
    """Nothing of the data can begin markup."""
    data = re.search(rb'<script[^>]*id="data"[^>]*>(.*?)</script>', text, re.DOTALL)
    return is_json(zlib.decompress(base64.b64decode(data[1], validate=True))) and text.count(b"<script") == 3


# What ncurses writes to draw on an xterm.
DRAWING = re.compile(rb"\x1b(\[[0-9;?]*[A-Za-z]|\(B|[=>M78])|[\r\b]")


def is_screen(text):
    return is_harmless(DRAWING.sub(b"", text))


# A form is followed by the name of the trace; TRACE is that, too.
FORMS = {
    ("report", "--by=all", "--limit=all"): is_harmless,
    ("report", "--by=all", "--limit=all", "--json"): is_json,
    ("filter",): is_trace,
    ("filter", "--access=write", "--symbol=."): is_trace,
    ("merge", "TRACE"): is_trace,
    ("diff", "TRACE"): is_harmless,
    ("diff", "--markdown", "TRACE"): is_harmless,
    ("diff", "--json", "TRACE"): is_json,
    ("export", "--format=folded"): is_plain,
    ("export", "--format=speedscope"): is_json,
    ("export", "--format=chrome"): is_json,
    ("export", "--format=firefox"): is_json,
    ("export", "--format=pprof"): gzip.decompress,
    ("export", "--format=csv"): is_table,
    ("html",): is_page,
    ("top", "--exit", "--by=all", "--limit=all"): is_screen,
}


# Nothing is wrong with a trace that is not there to its end yet.
QUIET = argparse.Namespace(status=0, says=None)


def limit():
    # Sanitizers map terabytes that they do not use.
    if not os.environ.get("SAN"):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def may_grow(trace):
    """Does it lack its last line? What is compressed is not looked into."""
    with open(trace, "rb") as file:
        if file.read(4) == b"\x28\xb5\x2f\xfd":
            return False
        file.seek(max(0, os.path.getsize(trace) - 4096))
        return not re.search(rb'\n\{"type": ?"end"[^\n]*\n\Z', file.read())


def has_read(pid, trace):
    """Has the process read all of the file?"""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.path.samefile(f"/proc/{pid}/fd/{fd}", trace):
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                    return int(file.readline().split()[1]) == os.path.getsize(trace)
        except FileNotFoundError:
            pass
    return False


def run_on_terminal(command, trace):
    """subprocess.run for a command that draws on its terminal; also, was it told to quit?"""
    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (400, 200))
    environment = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")
    deadline, shown, quits = time.monotonic() + SECONDS, b"", False
    with open(screen, "r+b", buffering=0) as keys, subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, env=environment,
            preexec_fn=limit) as process:
        os.close(terminal)
        try:
            while time.monotonic() < deadline:
                if select.select([keys], [], [], 0.05)[0]:
                    shown += keys.read(65536)
                elif not quits and may_grow(trace) and has_read(process.pid, trace):
                    keys.write(b"q")
                    quits = True
            process.kill()
            raise subprocess.TimeoutExpired(command, SECONDS)
        except OSError:  # nobody has the terminal any more
            said = process.stderr.read()
    return subprocess.CompletedProcess(command, process.returncode, shown, said), quits


def is_refusal(said, trace):
    return re.fullmatch(re.escape(f"faultline: {trace}:") + "[0-9]+: .+\n", said.decode())


def check(words, trace, wanted):
    """What is wrong with what the command does; None: nothing."""
    command = [os.environ["FAULTLINE"], *words, trace]
    command = [trace if word == "TRACE" else word for word in command]
    try:
        if words[0] == "top":
            done, quits = run_on_terminal(command, trace)
            if quits and done.returncode == 0:
                wanted = QUIET
        else:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=SECONDS, preexec_fn=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"does not end within {SECONDS} seconds"
    said = done.stderr
    told = f"status {done.returncode}: {said[:1000]!r}"
    try:
        if done.returncode not in (0, 1) or not is_harmless(said):
            return told
        if wanted.status is not None and done.returncode != wanted.status:
            return f"{told}, and not {wanted.status}"
        if wanted.says and wanted.says not in said.decode():
            return f"{told}, and not {wanted.says!r}"
        if done.returncode == 1 and not is_refusal(said, trace):
            return f"{told}, which does not say where"
        if done.returncode == 0 and not FORMS[words](done.stdout):
            return f"prints {done.stdout[:1000]!r}"
    except (ValueError, OSError, csv.Error) as error:
        return f"{error!r} in what it prints: {done.stdout[:1000]!r}"
    return None


def check_all(forms, trace, wanted):
    failures = 0
    for words in forms:
        wrong = check(words, trace, wanted)
        if wrong:
            print(f"{' '.join(words)} {trace}: {wrong}")
            failures += 1
    return failures


# --- Each value ------------------------------------------------------------------------------

# JSON as it is: Python has no real number that jansson cannot read.
HUGE = "1" + "0" * 400
INSTEAD = ["-1", "9223372036854775807", HUGE, '"0xffffffffffffffff"',
           '"\\u001b[31m\\u202e<!--<script>=1"']


def places(value, path=()):
    """The paths of all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield path + (key,)
        if isinstance(inner, (dict, list)):
            yield from places(inner, path + (key,))


def text_of(value, path, instead):
    """The JSON of a value in which the one at the path is other text."""
    if not path:
        return instead
    if isinstance(value, dict):
        return "{" + ",".join(
            json.dumps(key) + ":" + (text_of(inner, path[1:], instead) if key == path[0]
                                     else json.dumps(inner))
            for key, inner in value.items()) + "}"
    return "[" + ",".join(text_of(inner, path[1:], instead) if i == path[0] else json.dumps(inner)
                          for i, inner in enumerate(value)) + "]"


def changed_lines(line):
    value = json.loads(line)
    for path in places(value):
        for instead in INSTEAD:
            yield text_of(value, path, instead)
    for key in value:
        yield json.dumps({other: value[other] for other in value if other != key})
        yield line[:-1] + "," + json.dumps(key) + ":" + json.dumps(value[key]) + "}"


def check_each_value(path, wanted):
    """Each trace by one form, the next by the next."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    forms = collections.deque(FORMS)
    failures = count = 0
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "changed.jsonl")
        for number, line in enumerate(lines):
            for changed in changed_lines(line):
                with open(trace, "w", encoding="utf-8") as file:
                    file.write("\n".join(lines[:number] + [changed] + lines[number + 1:]) + "\n")
                if check_all([forms[0]], trace, wanted):
                    print(f"    line {number + 1} was {changed}")
                    failures += 1
                forms.rotate(-1)
                count += 1
    print(f"{count} traces")
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--status", type=int)
    parser.add_argument("--says")
    parser.add_argument("--each-value", action="store_true")
    parser.add_argument("traces", nargs="+")
    wanted = parser.parse_args()
    failures = 0
    for trace in wanted.traces:
        failures += (check_each_value(trace, wanted) if wanted.each_value
                     else check_all(FORMS, trace, wanted))
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
