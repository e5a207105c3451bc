# SPDX-License-Identifier: MIT
"""Measuring. What is compared runs in turns (A B C A B C ...), so that whatever else the machine does
hits all alike; every number of a case comes from one such run."""
import os
import re
import resource
import statistics
import subprocess
import sys
import time

SECONDS = 900   # no command may take longer
NAP = 0.1       # one look at whether the machine is idle
PATIENCE = 100  # looks in vain, before a sample is taken all the same
BUSY = 0.1      # what others may use of the CPUs' time


class Failure(Exception):
    """What was measured would not be worth anything; the text says why."""


class Run:
    """A command that has run: what it printed; wall_ms; cpu_ms of it and of all its descendants."""

    def __init__(self, *command, during=lambda child: None, **environment):
        """`during` is called with the process when it has started: what others do meanwhile."""
        command = [str(word) for word in command]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with subprocess.Popen(command, env=os.environ | environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                              errors="replace") as child:
            try:
                during(child)
                self.out, self.err = child.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                raise Failure(f"not done after {SECONDS} s: {' '.join(command)}") from None
            except BaseException:
                child.kill()
                raise
        self.wall_ms = (time.monotonic() - start) * 1e3
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_ms = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3
        if child.returncode != 0:
            raise Failure(f"status {child.returncode}: {' '.join(command)}\n{self.out}{self.err}")

    def number(self):
        """The first number of the last line that is numbers only, as the measured programs print."""
        for line in reversed(self.out.splitlines()):
            if re.fullmatch(r"[0-9]+([.][0-9]+)?( [0-9]+)*", line):
                return float(line.split()[0])
        raise Failure(f"no number was printed:\n{self.out}{self.err}")


class Machine:
    """Others may use it, too."""

    def __init__(self):
        self.samples = self.busy = 0

    @staticmethod
    def _ticks():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, idle = (int(word) for word in file.readline().split()[1:5])
        return user + nice + system, idle

    def settle(self):
        """Waits for a moment when it does nothing, though not for ever."""
        self.samples += 1
        for _ in range(PATIENCE):
            used, idle = self._ticks()
            time.sleep(NAP)
            now_used, now_idle = self._ticks()
            used, idle = now_used - used, now_idle - idle
            if used <= BUSY * (used + idle):
                return
        self.busy += 1


class Contender:
    """What is measured: a name, and a function that takes a sample: a number, or a number and a
    dictionary of facts, whose medians are kept."""

    def __init__(self, name, take):
        self.name, self.take = name, take
        self.samples, self.facts = [], {}

    def sample(self):
        taken = self.take()
        value, facts = taken if isinstance(taken, tuple) else (taken, {})
        self.samples.append(value)
        for name, fact in facts.items():
            self.facts.setdefault(name, []).append(fact)

    def result(self, bases):
        """For JSON. Spread is that of the middle half. Ratios are medians' to the bases' medians."""
        median = statistics.median(self.samples)
        ordered = sorted(self.samples)
        quarter = len(ordered) // 4
        return {
            "name": self.name, "samples": self.samples, "median": median,
            "low": ordered[quarter], "high": ordered[-1 - quarter],
            "ratios": {base: median / of for base, of in bases.items() if of},
            "facts": {name: statistics.median(values) for name, values in self.facts.items()},
        }


class Case:
    """Contenders that do the same. Ratios are to each of `bases`, names of contenders. `once`: one
    sample of each is enough, for it is no time."""

    def __init__(self, key, title, unit, contenders, bases=("native",), once=False):
        self.key, self.title, self.unit, self.once = key, title, unit, once
        self.contenders = [Contender(name, take) for name, take in contenders]
        self.bases = bases

    def measure(self, machine, rounds):
        if self.once:
            rounds = 1
        for turn in range(rounds):
            for contender in self.contenders:
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r\033[K{self.title}: {turn + 1} of {rounds}, {contender.name}")
                machine.settle()
                try:
                    contender.sample()
                except Failure as failure:
                    raise Failure(f"{self.title}: {contender.name}: {failure}") from None
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")

    def result(self):
        medians = {contender.name: statistics.median(contender.samples) for contender in self.contenders}
        bases = {base: medians[base] for base in self.bases if base in medians}
        return {"key": self.key, "title": self.title, "unit": self.unit, "bases": list(bases),
                "contenders": [contender.result(bases) for contender in self.contenders]}
