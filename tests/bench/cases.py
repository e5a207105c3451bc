# SPDX-License-Identifier: MIT
"""What is measured: a function for each case, which prepares what it needs in the folder and says who
contends. Every recording is checked when its time has been taken."""
import contextlib
import functools
import os
import random
import subprocess
import time

import truth
from measure import Case, Failure, Run

FAULTLINE = os.environ["FAULTLINE"]
BENCH, PROGRAMS = os.environ["BENCH"], os.environ["PROGRAMS"]
HERE = os.path.dirname(os.path.abspath(__file__))


class Bench:
    """Where things are, and how large: the whole, or a small version."""

    def __init__(self, folder, quick):
        self.folder, self.quick = folder, quick

    def path(self, name):
        return os.path.join(self.folder, name)

    def size(self, whole, small):
        return small if self.quick else whole

    # --- the ways to run a program; each returns a Run ---

    def record(self, *words, options=(), name="trace.jsonl", **meanwhile):
        self.remove(name)
        return Run(FAULTLINE, "record", "--quiet", "--output=" + self.path(name), *options, *words,
                   **meanwhile)

    def perf(self, stacks, *words, **meanwhile):
        self.remove("perf.data")
        return Run("perf", "record", "-q", "-o", self.path("perf.data"), "-e", "page-faults", "-c", "1",
                   "-d", "--call-graph", stacks, "--", *words, **meanwhile)

    def heaptrack(self, *words, **meanwhile):
        self.remove("heap.gz", "heap.zst")
        return Run("heaptrack", "-o", self.path("heap"), *words, **meanwhile)

    def remove(self, *names):
        for name in names:
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def bytes(self, name):
        return os.path.getsize(self.path(name))

    def perf_facts(self):
        """Samples, how many were lost, bytes of each."""
        counts = {}
        for line in Run("perf", "report", "--stats", "-i", self.path("perf.data")).out.splitlines():
            words = line.split()
            if len(words) >= 3 and words[1] == "events:":
                counts.setdefault(words[0], int(words[2]))
        samples = counts.get("SAMPLE", 0)
        lost = counts.get("LOST_SAMPLES", 0)
        if not samples:
            raise Failure("perf took no samples")
        return {"samples": samples, "bytes_per_fault": self.bytes("perf.data") / samples,
                "lost_percent": 100 * lost / (samples + lost)}


AWAKE = "/dev/cpu_dma_latency"


@contextlib.contextmanager
def awake():
    """Idle processors wake at once, as they do while faultline serves."""
    fd = os.open(AWAKE, os.O_WRONLY)
    try:
        os.write(fd, bytes(4))
        yield
    finally:
        os.close(fd)


# --- first touches ---------------------------------------------------------------------------------

def touches(bench, key, title, pages, threads=1, paths=1, kernel=False, few=False):
    loop = [pages, threads, 1, "read" if kernel else paths]
    touch, floor = [f"{BENCH}/touch", *loop], [f"{BENCH}/floor", *loop]

    def record(*options):
        value = bench.record(*touch, options=options).number()
        return value, truth.check_loop(bench.path("trace.jsonl"), pages, threads, paths)

    def floor_awake():
        with awake():
            return Run(*floor).number()

    def coarse():
        # a block that a fault brought in is told once: there is nothing to count
        return bench.record(*touch, options=["--granularity=64K"]).number()

    def perf(stacks):
        value = bench.perf(stacks, *touch).number()
        return value, bench.perf_facts()

    contenders = [("native", lambda: Run(*touch).number()), ("floor", lambda: Run(*floor).number())]
    bases = ["native", "floor"]
    if os.access(AWAKE, os.W_OK):
        contenders.append(("floor, awake", floor_awake))
        bases.append("floor, awake")
    contenders += [("record", record), ("record --mode=sigbus", lambda: record("--mode=sigbus"))]
    if not few:
        contenders.append(("record --granularity=64K", coarse))
    contenders.append(("perf record, dwarf", lambda: perf("dwarf")))
    if not few:
        contenders.append(("perf record, frame pointers", lambda: perf("fp")))
    return Case(key, title, "ns a page", contenders, bases)


def touch(bench):
    pages = bench.size(200000, 10000)
    return touches(bench, "touch", f"First touch of {pages:,} pages from one place", pages)


def touch_2(bench):
    pages = bench.size(200000, 10000)
    return touches(bench, "touch-2", f"The same by 2 threads, {pages:,} pages", pages, threads=2, few=True)


def touch_8(bench):
    pages = bench.size(200000, 10000)
    return touches(bench, "touch-8", f"The same by 8 threads, {pages:,} pages", pages, threads=8, few=True)


def paths(bench):
    pages = bench.size(200000, 20000)
    return touches(bench, "paths", f"First touch of {pages:,} pages, 10,000 ways of calls, 30 deep",
                   pages, paths=10000)


def kernel(bench):
    pages = bench.size(200000, 10000)
    return touches(bench, "kernel", f"{pages:,} pages touched by read(2)", pages, kernel=True)


def after(bench):
    pages = bench.size(200000, 10000)
    touch = [f"{BENCH}/touch", pages, 1, 1, 1]
    return Case("after", f"First touch of {pages:,} pages when tracing has ended", "ns a page", [
        ("native", lambda: Run(*touch).number()),
        ("record --duration=0.1", lambda: bench.record(
            *touch, "after", options=["--duration=0.1"]).number()),
    ])


# --- allocations -----------------------------------------------------------------------------------

def allocating(bench, key, title, unit, words, tools, faults=0):
    """A program that prints a number, as it is, recorded, and below other tools. Where it touches
    pages, the trace must have at least so many faults below main."""
    def record():
        value = bench.record(*words).number()
        return value, truth.check_faults(bench.path("trace.jsonl"), faults, "main") if faults else {}

    def perf():
        value = bench.perf("dwarf", *words).number()
        return value, bench.perf_facts()

    others = {"heaptrack": lambda: bench.heaptrack(*words).number(), "perf record, dwarf": perf}
    return Case(key, title, unit, [("native", lambda: Run(*words).number()), ("record", record),
                                   *((tool, others[tool]) for tool in tools)])


def malloc(bench):
    count = bench.size(3000000, 300000)
    return allocating(bench, "malloc", f"malloc and free, {count:,} times, no new pages", "ns a pair",
                      [f"{BENCH}/allocate", count, 16, 3000], ["heaptrack"])


def logged(bench):
    count = bench.size(100000, 10000)
    return allocating(bench, "logged", f"malloc and free of 4 to 64 KiB, {count:,} times, each logged",
                      "ns a pair", [f"{BENCH}/allocate", count, 4096, 65536], ["heaptrack"])


def blocks(bench):
    count = bench.size(300000, 10000)
    return allocating(bench, "blocks", f"{count:,} allocations of 8 KiB, each touched", "ns each",
                      [f"{BENCH}/blocks", count, 8192], ["heaptrack", "perf record, dwarf"], count)


def mappings(bench):
    count = bench.size(20000, 500)
    return allocating(bench, "mappings", f"256 KiB mapped, touched and unmapped, {count:,} times", "ns each",
                      [f"{BENCH}/mappings", count, 256 << 10], ["perf record, dwarf"], count * 64)


# --- whole programs ----------------------------------------------------------------------------------

def whole(bench, key, title, words, perf=True, during=lambda child: None):
    """A program from its start to its end; `during` is what others do to it meanwhile."""
    def timed(run):
        return run.wall_ms, {"cpu_ms": run.cpu_ms}

    def record():
        run = bench.record(*words, during=during)
        return run.wall_ms, {"cpu_ms": run.cpu_ms,
                             "faults": truth.Trace(bench.path("trace.jsonl")).faults}

    contenders = [("native", lambda: timed(Run(*words, during=during))), ("record", record)]
    if perf:
        contenders.append(("perf record, dwarf", lambda: timed(bench.perf("dwarf", *words, during=during))))
    contenders.append(("heaptrack", lambda: timed(bench.heaptrack(*words, during=during))))
    return Case(key, title, "ms", contenders)


def start(bench):
    return whole(bench, "start", "A program that does nothing: true", ["/bin/true"], perf=False)


def commands(bench):
    script = bench.write("commands.sh", "/bin/true\n" * 200)
    return whole(bench, "commands", "A shell script with 200 short commands", ["/bin/sh", script], perf=False)


def redis(bench):
    socket = bench.path("redis.sock")

    def fill(child):
        while child.poll() is None and not os.path.exists(socket):
            time.sleep(0.01)
        for words in ("debug", "populate", "1000000"), ("shutdown", "nosave"):
            Run("redis-cli", "-s", socket, *words)

    words = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--daemonize", "no",
             "--enable-debug-command", "yes", "--dir", bench.folder]
    return whole(bench, "redis", "redis-server, filled with a million keys", words, during=fill)


def sqlite(bench):
    script = bench.write("rows.sql", """
        create table t(id integer primary key, name text, number integer);
        with recursive c(i) as (select 1 union all select i + 1 from c where i < 1000000)
            insert into t select i, 'name ' || (i * 7919 % 1000003), i * 31 % 65537 from c;
        create index by_name on t(name);
        select count(*), sum(number) from t where name like 'name 1%';
        """)
    return whole(bench, "sqlite", "sqlite3 in memory, a million rows and an index",
                 ["sqlite3", ":memory:", f".read {script}"])


def python(bench):
    script = bench.write("objects.py", """
import random
random.seed(1)
values = [random.random() for _ in range(5000000)]
values.sort()
print(values[0] < values[-1])
""")
    return whole(bench, "python", "python3: five million objects, sorted", ["/usr/bin/python3", script])


def gcc(bench):
    source = bench.write("large.c", "#include <stdio.h>\n" + "".join(f"""
int f{i}(const int *a, int n)
{{
	int sum = {i};
	for (int i = 0; i < n; i++)
		sum += a[i] * {i % 7} + (a[i] > {i} ? a[n - i - 1] : i);
	return sum;
}}
""" for i in range(2500)))
    return whole(bench, "gcc", "gcc -O2 of 20,000 lines", ["gcc", "-O2", "-c", source, "-o", bench.path("large.o")])


def node(bench):
    return whole(bench, "node", "node, from its start to its end", ["node", "-e", "0"])


def java(bench):
    return whole(bench, "java", "java, from its start to its end", ["java", "-version"])


def sort(bench):
    random.seed(1)
    lines = "".join(f"{random.getrandbits(64):x}\n" for _ in range(1000000))
    with open(bench.path("lines"), "w", encoding="ascii") as file:
        while file.tell() < 1 << 30:
            file.write(lines)
    return whole(bench, "sort", "sort of 1 GB", [
        "sort", "--buffer-size=2G", "--parallel=2", f"--output={bench.path('sorted')}", bench.path("lines")])


# --- analysis ----------------------------------------------------------------------------------------

def reading(bench):
    """Traces of several lengths are reported on; jq and perf read as many events as the shortest has."""
    millions = [0.1, 0.4] if bench.quick else [1, 4, 16]
    counts = [int(count * 1e6) for count in millions]
    for count in counts:
        with open(bench.path(f"{count}.jsonl"), "w", encoding="ascii") as file:
            subprocess.run([f"{PROGRAMS}/long_trace", str(count)], check=True, stdout=file)
    passes = max(1, counts[0] // 20000)
    bench.perf("fp", f"{BENCH}/touch", counts[0] // passes, 1, passes)
    samples = bench.perf_facts()["samples"]

    def report(count):
        trace = bench.path(f"{count}.jsonl")
        run = Run("/usr/bin/time", "--format=%M", FAULTLINE, "report", trace)
        return run.wall_ms * 1e6 / count, {"memory_mib": int(run.err.splitlines()[-1]) / 1024}

    shortest = bench.path(f"{counts[0]}.jsonl")
    first = f"report of {counts[0]:,} faults"
    contenders = [(f"report of {count:,} faults", functools.partial(report, count)) for count in counts]
    contenders += [
        ("jq empty", lambda: Run("jq", "empty", shortest).wall_ms * 1e6 / counts[0]),
        ("perf script", lambda: Run("perf", "script", "-i", bench.path("perf.data")).wall_ms * 1e6 / samples),
    ]
    return Case("reading", "Reading what was recorded", "ns a fault", contenders, (first,))


def page(bench):
    """The page of ten million faults: how long it takes to make, and until a browser shows it."""
    trace, html = bench.path("page.jsonl"), bench.path("page.html")
    with open(trace, "w", encoding="ascii") as file:
        subprocess.run([f"{PROGRAMS}/long_trace", "10000000"], check=True, stdout=file)

    def make():
        run = Run("/usr/bin/time", "--format=%M", FAULTLINE, "html", "-o", html, trace)
        return run.wall_ms, {"memory_mib": int(run.err.splitlines()[-1]) / 1024, "bytes": bench.bytes("page.html")}

    def show():
        run = Run(f"{HERE}/../page.py", html, "until", "document.documentElement.dataset.ready",
                  "eval", "performance.now()")
        return run.number()

    return Case("page", "The page of 10,000,000 faults", "ms", [("making it", make), ("opening it", show)], ())


def work(bench):
    """All that it takes to get an answer, in CPU time of all processes, and on the disk."""
    words = [f"{BENCH}/touch", bench.size(200000, 5000), 1, 1, 10000]

    def faultline(name):
        recorded = bench.record(*words, name=name)
        reported = Run(FAULTLINE, "report", bench.path(name))
        return recorded.cpu_ms + reported.cpu_ms, {"bytes": bench.bytes(name)}

    def perf():
        recorded = bench.perf("dwarf", *words)
        reported = Run("perf", "script", "-i", bench.path("perf.data"))
        return recorded.cpu_ms + reported.cpu_ms, {"bytes": bench.bytes("perf.data")}

    def heaptrack():
        recorded = bench.heaptrack(*words)
        [name] = [name for name in os.listdir(bench.folder) if name.startswith("heap.")]
        reported = Run("heaptrack_print", bench.path(name))
        return recorded.cpu_ms + reported.cpu_ms, {"bytes": bench.bytes(name)}

    return Case("work", f"Recording {words[1]:,} faults and reporting", "ms of CPU", [
        ("native", lambda: Run(*words).cpu_ms),
        ("record, report", lambda: faultline("trace.jsonl")),
        ("record, report, .zst", lambda: faultline("trace.jsonl.zst")),
        ("perf record, perf script", perf),
        ("heaptrack, heaptrack_print", heaptrack),
    ], ("native", "perf record, perf script"))


def monitor(bench):
    """The most memory of the monitor, while it records ever more."""
    def watch(most, child):
        status = None
        while child.poll() is None:
            status = status or monitor_status(child.pid)
            most[0] = max(most[0], memory_kib(status))
            time.sleep(0.05)

    def peak(passes):
        most = [0]
        bench.record(f"{BENCH}/touch", 20000, 1, passes, during=functools.partial(watch, most))
        trace = truth.Trace(bench.path("trace.jsonl"))
        if trace.through("touch_pages") != 20000 * passes or not most[0]:
            raise Failure("not all faults were recorded, or the monitor was not seen")
        return most[0] / 1024

    return Case("monitor", "The monitor's memory", "MiB", [
        (f"{20000 * passes:,} faults", functools.partial(peak, passes))
        for passes in ([1, 5] if bench.quick else [50, 800])], bases=(), once=True)


def monitor_status(starter):
    """The status file of the monitor that a recording has started, None before that."""
    try:
        with open(f"/proc/{starter}/task/{starter}/children", encoding="ascii") as file:
            children = file.read().split()
        for child in children:
            with open(f"/proc/{child}/comm", encoding="utf-8") as file:
                if file.read().startswith("faultline-monit"):
                    return f"/proc/{child}/status"
    except OSError:
        pass
    return None


def memory_kib(status):
    try:
        with open(status or "", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


CASES = [touch, touch_2, touch_8, paths, kernel, after, malloc, logged, blocks, mappings, start, commands,
         redis, sqlite, python, gcc, node, java, sort, reading, page, work, monitor]
QUICK = [touch, malloc, start, reading, work, monitor]
