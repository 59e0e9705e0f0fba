"""Tries core/gdb/stackgate.py. Run by `cargo xtask debug`, in gdb, with the program `debugged`.

DEBUG_MODE: `remote`, attached to a program that is stopped at its first instruction; `run`, which starts the program
and leaves a core file at its second stop; `core`, with that core file.
DEBUG_CORE: where the core file is.

Prints the output of the commands between lines `== what` and `==`.
"""
import os

import gdb

mode, core = os.environ["DEBUG_MODE"], os.environ["DEBUG_CORE"]
for setting in ("pagination off", "confirm off", "width 0", "language c", "breakpoint pending off"):
    gdb.execute("set " + setting)
gdb.execute("source core/gdb/stackgate.py")


def show(what, command):
    print("== " + what)
    try:
        gdb.execute(command)
    except gdb.error as error:
        print("error: %s" % error)
    print("==")


def at_a_stop(where):
    parked = "*(unsigned long *)&DEBUG_PARKED"
    show(where + " info", "info stackgate " + parked)
    show(where + " running", "stackgate bt")
    show(where + " parked", "stackgate bt " + parked)
    # The commands leave the session as it was: gdb's own backtrace begins where the program stands.
    show(where + " gdb", "backtrace 1")


if mode == "core":
    gdb.execute("core-file " + core)
    at_a_stop("in_c")
else:
    for function in ("debug_managed", "debug_in_c"):
        gdb.execute("break " + function)
    gdb.execute("run" if mode == "run" else "continue")
    at_a_stop("managed")
    gdb.execute("continue")
    at_a_stop("in_c")
    if mode == "run":
        gdb.execute("generate-core-file " + core)
        gdb.execute("kill")
    else:
        gdb.execute("delete")
        gdb.execute("continue")
