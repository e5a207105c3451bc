# SPDX-License-Identifier: MIT
"""Four ways to hold 64 MiB, for `make demo`: what does each of them really cost?

Nothing here is made for tracing: python3 is as the distribution built it.
"""
import threading

SIZE = 64 << 20

# Zeroed memory straight from the kernel: reserved, and never touched.
reserved = bytes(SIZE)

# The same size, but cleared by hand: every page is touched at once.
cleared = bytearray(SIZE)

# Grows by appending: moved as it grows, each page touched once.
grown = []
while len(grown) * 8 < SIZE:
    grown.append(None)


# The kernel itself writes these pages, inside read(2), for a thread of its own.
def read_zeros():
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as name:
        name.write("reader")
    with open("/dev/zero", "rb", buffering=0) as source:
        return len(source.read(SIZE))


reader = threading.Thread(target=read_zeros)
reader.start()
reader.join()

held = len(reserved) + len(cleared) + len(grown) * 8 + SIZE
print(f"python3 asked for {held >> 20} MiB in four pieces")
