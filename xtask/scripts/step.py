"""Steps gdb through every crossing and prints what it sees at each instruction.

Run by `cargo xtask step`, in gdb, attached to a program that is stopped at its first instruction.
STEP_RANGES: the functions to step through, `low-high` in hexadecimal, with commas between.
STEP_DATA: where constants lie, in the same form.
STEP_LABELS: addresses inside them where control arrives by a jump from elsewhere.
STEP_BEGIN, STEP_END: functions that are called before and after each scenario.

Output, one line each:
    insn ADDRESS LENGTH TEXT    an instruction of a function
    scenario                    the next one begins
    @ PC FRAME... REASON        at PC; each frame's address to look up, and why gdb stopped there
    end                         the program has ended
"""
import os
import gdb

MOST_FRAMES = 64



def ranges_of(variable):
    texts = os.environ[variable].split(",")
    return [tuple(int(end, 16) for end in text.split("-")) for text in texts if text]


ranges, data = ranges_of("STEP_RANGES"), ranges_of("STEP_DATA")
labels = [int(text, 16) for text in os.environ["STEP_LABELS"].split(",") if text]
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


def backtrace():
    """The frames, innermost first, as addresses inside the instruction that is under way."""
    frames, frame, reason = [], gdb.newest_frame(), "none"
    while frame is not None and len(frames) < MOST_FRAMES:
        if frame.type() != gdb.INLINE_FRAME:
            frames.append(max(frame.pc() - (1 if frames else 0), 0))
        try:
            older = frame.older()
            if older is None:
                reason = gdb.frame_stop_reason_string(frame.unwind_stop_reason()).replace(" ", "_")
        except gdb.error as error:
            older, reason = None, str(error).replace(" ", "_")
        frame = older
    return " ".join("%x" % pc for pc in frames) + " " + reason


for setting in ("pagination off", "confirm off", "backtrace past-main off", "language c", "width 0",
                "breakpoint always-inserted on"):
    run("set " + setting)
gdb.events.exited.connect(on_exit)
architecture = gdb.selected_frame().architecture()
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
