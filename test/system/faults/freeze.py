# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Stop one thread of another process, as a call that never returns does: a debugger's way.

Run as ``python freeze.py TID``; says ``frozen`` once the thread stands still, and lets it go when
its standard input ends.
"""

import ctypes
import os
import select
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def ptrace(request: int, tid: int) -> None:
    """Call ptrace(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, None, None) != 0:
        number = ctypes.get_errno()
        sys.exit(f"ptrace: {os.strerror(number)}")


if __name__ == "__main__":
    thread = int(sys.argv[1])
    ptrace(SEIZE, thread)
    ptrace(INTERRUPT, thread)
    os.waitpid(thread, WALL)
    print("frozen", flush=True)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        # Nobody else can see its process end.
        if os.waitpid(thread, WALL | os.WNOHANG)[0]:
            sys.exit()
    ptrace(DETACH, thread)
