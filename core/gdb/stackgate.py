"""gdb commands for programs that use stackgate.

    (gdb) source .../core/gdb/stackgate.py
    (gdb) info stackgate [G, ...]   each thread's m and what it runs; the g's named by expressions or addresses
    (gdb) stackgate bt [G]          the logical traceback of a g: managed frames, with C's between them

Works on running programs, over remote stubs and on core files, on all six CPUs, without debug information: where
things lie is read from layouts.json beside this file, which `cargo xtask frames --write` makes from the
declarations that the assembly uses. There is no list of all g's: a parked g is the embedder's, who names it.
"""


def stackgate_load():
    import importlib.util
    import os

    # `source` runs this among the names of all scripts, and says where the file is in its code alone.
    here = os.path.dirname(os.path.abspath(stackgate_load.__code__.co_filename))
    spec = importlib.util.spec_from_file_location("stackgate_commands", os.path.join(here, "commands.py"))
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


stackgate_load()
del stackgate_load
