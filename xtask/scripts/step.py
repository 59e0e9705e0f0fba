"""Steps gdb through every crossing and prints what it sees at each instruction.

Run by `cargo xtask step`, in gdb, attached to a program that is stopped at its first instruction.
STEP_RANGES: the functions to step through, `low-high` in hexadecimal, with commas between.
STEP_DATA: where constants lie, in the same form.
STEP_LABELS: addresses inside them where control arrives by a jump from elsewhere.
STEP_KEPT: registers that a function gives back as it found them, by gdb's names, with commas between.
STEP_LOSING: functions whose tables say that some of these are lost, with commas between.
STEP_BEGIN, STEP_END: functions that are called before and after each scenario.

Output, one line each:
    insn ADDRESS LENGTH TEXT    an instruction of a function
    scenario                    the next one begins
    @ PC FRAME... REASON        at PC; each frame's address to look up, and why gdb stopped there
    ! PC TEXT                   at PC; what is wrong with the registers of the frame that called
    end                         the program has ended
"""
import os
import re
import gdb

# What lies so far below SP is no place on the stack that SP is on.
BELOW = 1024


def ranges_of(variable):
    texts = os.environ[variable].split(",")
    return [tuple(int(end, 16) for end in text.split("-")) for text in texts if text]


ranges, data = ranges_of("STEP_RANGES"), ranges_of("STEP_DATA")
labels = [int(text, 16) for text in os.environ["STEP_LABELS"].split(",") if text]
kept = [name for name in os.environ["STEP_KEPT"].split(",") if name]
losing = os.environ["STEP_LOSING"].split(",")
# What gdb calls the value of a register that is lost, and each part of a vector's.
NOT_SAVED = "<not saved>"
# What a caller's registers held when it called, by its SP and name.
callers = {}
# Where they have been looked at since: once is enough, a rule does not change.
checked = set()
begin, end = int(os.environ["STEP_BEGIN"], 16), int(os.environ["STEP_END"], 16)
under_way = False
after = {}
stops = set()
ended = False


def run(command):
    gdb.execute(command, to_string=True)


def on_exit(_):
    global ended
    ended = True


def is_crossing(pc):
    return any(low <= pc < high for low, high in ranges)


def stop_at(address):
    if address not in stops:
        stops.add(address)
        run("break *0x%x" % address)


def check_caller(pc):
    """The caller's registers are those it called with, and lie where nothing can overwrite them."""
    if pc in checked and pc not in starts:
        return
    checked.add(pc)
    here = gdb.newest_frame()
    try:
        caller = here.older()
        if caller is None:
            return
        who = int(caller.read_register("sp")), caller.name()
        now = {name: str(caller.read_register(name)) for name in kept}
    except gdb.error as error:
        print("! %x %s" % (pc, error))
        return
    if pc in starts:
        callers[who] = now
    for name, value in callers.get(who, now).items():
        # gdb's own reader of epilogues sees past a rule that says so.
        lost = NOT_SAVED in now[name] + value and here.name() in losing
        if now[name] != value and not lost:
            print("! %x the caller's %s is %s and was %s" % (pc, name, now[name], value))
    bottom = int(here.read_register("sp"))
    saved = gdb.execute("info frame", to_string=True).partition("Saved registers:")[2]
    for name, slot in re.findall(r"(\w+) at (0x[0-9a-f]+)", saved):
        if bottom - BELOW <= int(slot, 16) < bottom:
            print("! %x %s is looked for %d bytes below SP" % (pc, name, bottom - int(slot, 16)))


for setting in ("pagination off", "confirm off", "backtrace past-main off", "language c", "width 0",
                "breakpoint always-inserted on"):
    run("set " + setting)
gdb.events.exited.connect(on_exit)
run("source xtask/scripts/backtrace.py")
architecture = gdb.selected_frame().architecture()
known = {register.name for register in architecture.registers()}
kept = [name for name in kept if name in known]
starts = {low for low, _ in ranges} | set(labels)
for low, high in ranges:
    for instruction in architecture.disassemble(low, high - 1):
        address, length = instruction["addr"], instruction["length"]
        # Constants between functions' instructions are no instructions.
        if any(low <= address < high for low, high in data) or instruction["asm"].startswith("."):
            continue
        after[address] = address + length
        print("insn %x %d %s" % (address, length, instruction["asm"].replace("\t", " ")))
    stop_at(low)
for label in labels:
    stop_at(label)
stop_at(begin)
stop_at(end)

while not ended:
    run("continue")
    if ended:
        break
    pc = gdb.newest_frame().pc()
    if pc in (begin, end):
        under_way = pc == begin
        if under_way:
            print("scenario")
    while under_way and is_crossing(pc):
        print("@ %x %s" % (pc, backtrace()))
        check_caller(pc)
        back = after.get(pc, 0)
        run("stepi")
        if ended:
            break
        pc = gdb.newest_frame().pc()
        # A call: its return is the next that is of interest. Not where no instruction is: s390x's gdb takes a
        # stop right behind a breakpoint for one at it.
        if not is_crossing(pc) and back in after:
            stop_at(back)
print("end")
