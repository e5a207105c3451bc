# SPDX-License-Identifier: MIT
"""
The function that a stack is counted for, by the rule that `faultline report --help` tells and from
the frames of another tool.
"""
import os
import re

KERNEL = re.compile(r"\[(kernel|guest).*\]")
RUNTIME = re.compile(r"(ld-linux|lib(c|m|gcc_s|jemalloc|stdc\+\+))[.-].*")


def site(frames):
    """Frames are a function, or None, its file, and what stands for it when it has no name; innermost
    first."""
    frames = [frame for frame in frames if not KERNEL.match(frame[1])]
    outside = [frame for frame in frames if not RUNTIME.match(os.path.basename(frame[1]))]
    frames = outside or frames
    if not frames:
        return None
    _, file, place = frames[0]
    return next((function for function, of, _ in frames if function and of == file), place)


def same_shares(ours, theirs, least, bound):
    """
    Prints the counts of both by function where one has the share `least` of its own, and returns
    whether these are the same functions in the same order, with shares that differ by less than the
    bound.
    """
    def largest(counts):
        total = sum(counts.values())
        names = [name for name in counts if counts[name] >= least * total]
        return sorted(names, key=lambda name: -counts[name]), total

    (names, total), (their_names, their_total) = largest(ours), largest(theirs)
    right = names == their_names
    for name in names + [name for name in their_names if name not in names]:
        share, their_share = ours[name] / total, theirs[name] / their_total
        print(f"{ours[name]:>9} {share:>6.2%} {theirs[name]:>9} {their_share:>6.2%} {name}")
        right &= abs(share - their_share) < bound
    return right
