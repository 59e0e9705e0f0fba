"""Prints gdb's own backtrace at the top of each tower. Run by `cargo xtask debug`, in gdb, attached to the program
`chain`, which is stopped at its first instruction.

Output, one line each:
    chain PC... REASON      each frame's address inside the call that is under way, and why gdb stopped there
    end                     the program has ended
"""
import re

import gdb

ended = False


def on_exit(_):
    global ended
    ended = True


for setting in ("pagination off", "confirm off", "backtrace past-main off", "language c", "width 0"):
    gdb.execute("set " + setting, to_string=True)
gdb.events.exited.connect(on_exit)
gdb.execute("source xtask/scripts/backtrace.py")
# Where the program was loaded the emulator tells of three sections alone, and gdb moves no others: the crossings'
# section has a name of its own.
offset = re.search("Text=([0-9a-f]+)", gdb.execute("maintenance packet qOffsets", to_string=True))
if offset:
    gdb.execute("symbol-file -o 0x%s %s" % (offset[1], gdb.current_progspace().filename), to_string=True)
gdb.execute("break chain_stop", to_string=True)
library = None
while not ended:
    gdb.execute("continue", to_string=True)
    # gdb does not find the libraries of such a program either; C's is among the callers.
    if not ended and library is None:
        library = gdb.parse_and_eval("*(char **)&CHAIN_LIBRARY")
        if int(library) != 0:
            at = int(gdb.parse_and_eval("*(unsigned long *)&CHAIN_LIBRARY_AT"))
            gdb.execute("add-symbol-file %s -o 0x%x" % (library.string(), at), to_string=True)
    if not ended:
        print("chain " + backtrace())
print("end")
