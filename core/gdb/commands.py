"""The commands of stackgate.py.

How the traceback is made. gdb follows call frame information, and refuses to follow it from one stack to another
where that lies lower. So each part of a chain that lies on one stack is followed on its own: an unwinder stands in
for the innermost frame and says that its caller is the part's first frame, with the registers that stackgate's
frames hold; gdb goes on from there. No memory or register of the program is changed.
"""
import json
import os
import re
import struct

import gdb
import gdb.unwinder

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "layouts.json")) as file:
    LAYOUTS = json.load(file)

MOST_FRAMES = 10000
# What gdb calls the CPUs.
ARCHITECTURES = (("i386:x86-64", "x86_64"), ("i386", "i386"), ("aarch64", "arm64"), ("arm", "arm"),
                 ("powerpc:common64", "ppc64le"), ("s390:64-bit", "s390x"))
# Stack pointer and program counter as gdb calls them. s390x's `pc` is made from `pswa`.
SP_PC = {"x86_64": ("rsp", ("rip",)), "i386": ("esp", ("eip",)), "arm64": ("sp", ("pc",)), "arm": ("sp", ("pc",)),
         "ppc64le": ("r1", ("pc",)), "s390x": ("r15", ("pswa", "pc"))}
# The call instruction pushes the return address.
CALL_PUSHES = ("x86_64", "i386")
# Crossings that C runs in, seen from the system stack; the one that managed code runs in; the end of a stack.
CALLS = ("stackgate_asmcgocall", "stackgate_ccall", "stackgate_systemstack")
CALLBACKS = ("stackgate_cgocallback",)
ENDS = ("stackgate_g_start", "stackgate_g_begin")


class Stop(Exception):
    """Why a traceback cannot go on."""


class Cpu:
    """What is known of the CPU of the program at hand."""

    def __init__(self):
        name = gdb.selected_inferior().architecture().name()
        self.name = next((cpu for start, cpu in ARCHITECTURES if name.startswith(start)), None)
        if self.name is None:
            raise gdb.GdbError("stackgate knows no CPU that gdb calls " + name)
        about = LAYOUTS["cpus"][self.name]
        self.word, self.frames, self.record = about["word"], about["frames"], about["record"]
        self.sp, self.pcs = SP_PC[self.name]
        self.order = "big" if self.name == "s390x" else "little"

    def read(self, address):
        try:
            bytes_ = gdb.selected_inferior().read_memory(address, self.word).tobytes()
        except gdb.error:
            raise Stop("no memory at 0x%x" % address) from None
        return int.from_bytes(bytes_, self.order)

    def size(self, frame):
        return self.frames[frame]["size"]

    def offset(self, frame, field):
        return self.frames[frame]["fields"][field][0]

    def has(self, frame, field):
        return field in self.frames[frame]["fields"]

    def get(self, address, frame, field):
        return self.read(address + self.offset(frame, field))

    def kept(self, address, frame):
        """The general registers that a frame holds."""
        kept = {}
        for offset, register in self.frames[frame]["fields"].values():
            if register is not None:
                kept[register] = self.read(address + offset)
        return kept


# The current g of a thread: a word of thread-local storage.

class Tls:
    """Where `stackgate_g` lies, from the program's own file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        wide, big = data[4] == 2, data[5] == 2
        e = ">" if big else "<"
        header = struct.unpack_from(e + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), data, 16)
        phoff, shoff, phentsize, phnum, shentsize, shnum = (header[4], header[5], header[8], header[9], header[10],
                                                           header[11])
        self.size = self.align = self.offset = None
        self.thumb = False
        for i in range(phnum):
            at = phoff + i * phentsize
            if struct.unpack_from(e + "I", data, at)[0] == 7:  # PT_TLS
                if wide:
                    self.size, self.align = struct.unpack_from(e + "QQ", data, at + 40)
                else:
                    self.size, _, self.align = struct.unpack_from(e + "III", data, at + 20)
        for i in range(shnum):
            at = shoff + i * shentsize
            section = struct.unpack_from(e + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"), data, at)
            if section[1] not in (2, 11):  # SHT_SYMTAB, SHT_DYNSYM
                continue
            strings = struct.unpack_from(e + ("IIQQQQ" if wide else "IIIIII"), data, shoff + section[6] * shentsize)[4]
            for symbol in range(section[4], section[4] + section[5], section[9]):
                name = strings + struct.unpack_from(e + "I", data, symbol)[0]
                value, info = (struct.unpack_from(e + "Q", data, symbol + 8)[0], data[symbol + 4]) if wide else (
                    struct.unpack_from(e + "I", data, symbol + 4)[0], data[symbol + 12])
                if data.startswith(b"stackgate_g\0", name) and info & 15 == 6:  # STT_TLS
                    self.offset = value
                if data.startswith(b"stackgate_getg\0", name):
                    self.thumb = bool(value & 1)


_tls = {}


def tls():
    path = gdb.current_progspace().filename
    if path is None:
        raise gdb.GdbError("no program: use `file`")
    key = (path, os.path.getmtime(path))
    if key not in _tls:
        _tls[key] = Tls(path)
    return _tls[key]


def register(*names):
    """The first of these registers that the target has."""
    frame = gdb.newest_frame()
    for name in names:
        try:
            return int(frame.read_register(name)) & (1 << 64) - 1
        except (ValueError, gdb.error):
            continue
    raise Stop("this target does not say where thread-local storage is (%s)" % ", ".join(names))


def current_g(cpu):
    """The current g of the selected thread; 0 where there is none."""
    where = tls()
    if where.offset is None or where.align is None:
        # A shared library: ask gdb, which knows of running programs what the dynamic linker did.
        try:
            return cpu.read(int(gdb.parse_and_eval("(unsigned long)&stackgate_g")))
        except gdb.error as error:
            raise Stop("stackgate_g: %s" % error) from None

    def up(value):
        return -(-value // where.align) * where.align

    if cpu.name == "x86_64":
        at = register("fs_base") - up(where.size) + where.offset
    elif cpu.name == "i386":
        at = register("gs_base") - up(where.size) + where.offset
    elif cpu.name == "s390x":
        at = (register("acr0") << 32 | register("acr1")) - up(where.size) + where.offset
    elif cpu.name == "arm":
        at = register("TPIDRURO", "tpidruro") + up(8) + where.offset
    elif cpu.name == "arm64":
        at = register("TPIDR_EL0", "tpidr", "tpidr_el0") + up(16) + where.offset
    else:
        at = register("r13") - 0x7000 + where.offset
    g = cpu.read(at)
    # The g of a thread that has none is a static one.
    return 0 if cpu.get(g, "G", "state") == 0 and cpu.get(g, "G", "stack.top") == 0 else g


def state_of(cpu, g):
    state = cpu.get(g, "G", "state") & 0xffffffff
    return LAYOUTS["states"][state] if state < len(LAYOUTS["states"]) else "damaged (%d)" % state


def m_of(cpu, g):
    """The m that a current g belongs to."""
    state = state_of(cpu, g)
    if state == "G0":
        return g
    if state == "Gsignal":
        return g - cpu.offset("M", "gsignal.state") + cpu.offset("G", "state")
    return cpu.get(g, "G", "m_out")


# Following one part of a chain.

class Identity:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class StandIn(gdb.unwinder.Unwinder):
    """Once, for the innermost frame: says that its caller has these registers."""

    def __init__(self):
        super().__init__("stackgate")
        self.registers = None

    def __call__(self, pending):
        if self.registers is None:
            return None
        registers, self.registers = self.registers, None
        sp, pc = registers["sp"], registers["pc"]
        kind = gdb.lookup_type("long" if CPU.word == 8 else "int")
        # Its frame lies below its caller's.
        info = pending.create_unwind_info(Identity(gdb.Value(sp - 64).cast(kind), gdb.Value(pc).cast(kind)))
        for name, value in registers["all"].items():
            try:
                kind_of = pending.read_register(name).type
                info.add_saved_register(name, gdb.Value(value).cast(kind).cast(kind_of))
            except (ValueError, gdb.error):
                continue
        return info


CPU = None
STAND_IN = StandIn()
gdb.unwinder.register_unwinder(None, STAND_IN, replace=True)


class Frame:
    """A frame as it is printed. `pc` is where it goes on."""

    def __init__(self, frame, exact):
        self.pc = frame.pc()
        lookup = self.pc if exact else self.pc - 1
        self.name = frame.name() or symbol_at(lookup)
        # Crossings have symbols, perhaps with other names beside.
        self.crossing = symbol_at(lookup) if in_crossing(lookup) else None
        # What a crossing leaves alone has its value from before in the part of the chain where it came from.
        self.registers = callee_saved(frame) if self.crossing else {}
        place = frame.find_sal()
        self.file = place.symtab.filename if place and place.symtab else None
        self.line = place.line if place else 0


def callee_saved(frame):
    """The general registers that functions preserve, as far as gdb knows them in this frame."""
    values = {}
    for _, name in CPU.frames["CalleeSaved"]["fields"].values():
        if name is not None and name not in CPU.pcs and name != CPU.sp:
            try:
                values[name] = int(frame.read_register(name)) & (1 << 8 * CPU.word) - 1
            except (ValueError, gdb.error):
                continue
    return values


def symbol_at(pc):
    found = re.match(r"(\S+)", gdb.execute("info symbol 0x%x" % pc, to_string=True))
    return None if not found or found.group(1) == "No" else found.group(1)


def in_crossing(pc):
    try:
        low, high = (int(gdb.parse_and_eval("(unsigned long)&__%s_stackgate_text" % end)) for end in ("start", "stop"))
    except gdb.error:
        name = symbol_at(pc)
        return bool(name) and name.startswith("stackgate_")
    return low <= pc < high


def chain(frame, exact):
    """gdb's frames from this one out, and at the end the reason why there are no more."""
    count = 0
    while frame is not None and count < MOST_FRAMES:
        if frame.pc() == 0:
            return
        yield Frame(frame, exact and count == 0)
        count += 1
        try:
            older = frame.older()
            reason = frame.unwind_stop_reason()
        except gdb.error as error:
            raise Stop(str(error)) from None
        if older is None and reason not in (gdb.FRAME_UNWIND_NO_REASON, gdb.FRAME_UNWIND_OUTERMOST):
            raise Stop(gdb.frame_stop_reason_string(reason))
        frame = older


def chain_from(cpu, pc, sp, registers, others=()):
    """The frames from a caller out, right after its call instruction. `others` are registers that no frame of ours
    holds."""
    values = dict(others)
    values.update({name: value for name, value in registers.items() if name not in cpu.pcs and name != cpu.sp})
    values.update({name: pc for name in cpu.pcs})
    values[cpu.sp] = sp
    if cpu.name == "arm" and tls().thumb and "r7" in values and "r11" in values:
        # Thumb code's frame pointer is r7: the frames have the two exchanged.
        values["r7"], values["r11"] = values["r11"], values["r7"]
    if cpu.name == "arm":
        # Where a return address leads, its lowest bit says, and gdb wants to know it from here.
        values["cpsr"] = register("cpsr") & ~0x20 | (pc & 1) << 5
        values["pc"] = pc = pc & ~1
    gdb.invalidate_cached_frames()
    STAND_IN.registers = {"sp": sp, "pc": pc, "all": values}
    try:
        older = gdb.newest_frame().older()
        STAND_IN.registers = None
        if older is None:
            raise Stop("gdb cannot begin at 0x%x" % pc)
        # All of them now: whoever reads memory between may make gdb forget them.
        return list_of(chain(older, False))
    except gdb.error as error:
        raise Stop(str(error)) from None
    finally:
        STAND_IN.registers = None
        gdb.invalidate_cached_frames()


def list_of(frames):
    """The frames, and why they end."""
    found = []
    try:
        for frame in frames:
            found.append(frame)
    except Stop as stop:
        return found, str(stop)
    return found, None


# Where the parts of a chain begin.

def caller_of_call(cpu, call):
    """The managed caller of the call into C whose frame is at `call`."""
    sp = cpu.get(call, "AsmcgocallFrame", "sp")
    if cpu.has("AsmcgocallFrame", "pc"):
        pc = cpu.get(call, "AsmcgocallFrame", "pc")
        return pc, sp + (cpu.word if cpu.name in CALL_PUSHES else 0), cpu.kept(call, "AsmcgocallFrame")
    if cpu.name == "s390x":
        return cpu.get(sp, "CalleeSaved", "pc"), sp, cpu.kept(sp, "CalleeSaved")
    return cpu.read(sp + cpu.record["pc"]), sp, cpu.kept(call, "AsmcgocallFrame")


def caller_of_callback(cpu, callback):
    """The C function that called `cgocallback`, whose frame is at `callback`."""
    registers = cpu.kept(callback, "CallbackFrame")
    if not cpu.has("CallbackFrame", "pc"):
        sp = cpu.get(callback, "CallbackFrame", "link")
        return cpu.read(sp + cpu.record["pc"]), sp, registers
    # s390x's lies in what the caller passed.
    sp = callback if cpu.record["pc_is_in_next"] else callback + cpu.size("CallbackFrame")
    return cpu.get(callback, "CallbackFrame", "pc"), sp, registers


def caller_of_switch(cpu, at):
    """Who called `park`, `mcall` or `resume`, whose frame is at `at`."""
    registers = cpu.kept(at, "SwitchFrame")
    if cpu.name == "s390x":
        return cpu.get(at, "SwitchFrame", "pc"), at, registers
    if cpu.has("SwitchFrame", "pc"):
        return cpu.get(at, "SwitchFrame", "pc"), at + cpu.size("SwitchFrame"), registers
    sp = cpu.get(at, "SwitchFrame", "link")
    return cpu.read(sp + cpu.record["pc"]), sp, registers


class Logical:
    """The logical traceback of a g: calls `give(frame, managed)` for each frame, innermost first."""

    def __init__(self, cpu, give):
        self.cpu, self.give = cpu, give

    def on_stack(self, g, sp):
        low, high = (self.cpu.get(g, "G", "stack." + end) for end in ("limit", "top"))
        return low <= sp <= high

    def of_thread(self):
        """Of the selected thread: what it runs now, then its curg."""
        cpu = self.cpu
        g = current_g(cpu)
        frames = list_of(chain(gdb.newest_frame(), True))
        m = m_of(cpu, g) if g else 0
        curg = cpu.get(m, "M", "curg") if m else 0
        if not curg:
            for frame in frames[0]:
                self.give(frame, False)
            return frames[1]
        self.g, self.g0_sp = curg, cpu.get(m, "M", "g0.sched.sp")
        sp = register(cpu.sp)
        if self.on_stack(curg, sp):
            return self.managed(frames)
        return self.system(frames)

    def of_parked(self, g):
        self.g, self.g0_sp = g, 0
        at = self.cpu.get(g, "G", "sched.sp")
        caller = caller_of_switch(self.cpu, at)
        if symbol_at(caller[0]) in ENDS:
            return "the g has not run yet"
        return self.managed(chain_from(self.cpu, *caller))

    def managed(self, part):
        """A part on the managed stack: up to a callback, or to the end."""
        frames, reason = part
        for frame in frames:
            if frame.crossing is None:
                self.give(frame, True)
            elif frame.crossing in CALLBACKS:
                return self.callback(frame.registers)
            elif frame.crossing in ENDS:
                return None
            elif frame.crossing in CALLS:
                # gdb has crossed over by itself.
                continue
        return reason or "the chain ends before its stack does"

    def system(self, part):
        """A part on the system stack: C, up to the call that managed code made."""
        registers = {}
        for frame in part[0]:
            if frame.crossing in CALLS:
                registers = frame.registers
                break
            if frame.crossing is None:
                self.give(frame, False)
        # Where gdb cannot follow C to its end, the m knows where the managed caller is.
        return self.call(registers)

    def callback(self, registers):
        cpu = self.cpu
        callback = self.g0_sp
        if not callback or cpu.get(callback, "CallbackFrame", "g") != self.g:
            return "the callback's two halves do not match"
        self.g0_sp = cpu.get(callback, "CallbackFrame", "g0_sp")
        return self.system(chain_from(cpu, *caller_of_callback(cpu, callback), registers))

    def call(self, registers):
        cpu = self.cpu
        call = self.g0_sp - cpu.size("AsmcgocallFrame")
        if cpu.get(call, "AsmcgocallFrame", "g") != self.g:
            return "no call into C where the m says that one is"
        return self.managed(chain_from(cpu, *caller_of_call(cpu, call), registers))


def depth(cpu, m, g):
    """How many callbacks `g` has under way on `m`."""
    top = cpu.get(g, "G", "stack.top")
    end = cpu.get(top - cpu.size("BaseFrame"), "BaseFrame", "parent")
    at, count = cpu.get(m, "M", "g0.sched.sp"), 0
    while at not in (end, 0) and count < MOST_FRAMES:
        at, count = cpu.get(at, "CallbackFrame", "g0_sp"), count + 1
    return count


def begin():
    global CPU
    if gdb.selected_thread() is None:
        raise gdb.GdbError("no thread: run the program, or open a core file")
    CPU = Cpu()
    return CPU


def address(text):
    """An expression's value: a pointer, a number, or the address of an object that is no pointer."""
    value = gdb.parse_and_eval(text)
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        value = value.address
    return int(value) & (1 << 64) - 1


def threads():
    """Selects each thread in turn; the one that was selected is so again at the end."""
    before, frame = gdb.selected_thread(), gdb.selected_frame()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
            thread.switch()
            yield thread
    finally:
        before.switch()
        try:
            frame.select()
        except gdb.error:
            pass


def doing(cpu, m, g):
    """What a g that an m runs is doing."""
    callbacks = depth(cpu, m, g)
    inside = "" if not callbacks else ", %d callback%s deep" % (callbacks, "s" if callbacks > 1 else "")
    return ("in C" if current_g(cpu) != g else "in managed code") + inside


class Info(gdb.Command):
    """List the m's and g's of a program that uses stackgate.

info stackgate [G, ...]: each thread's m, its system and signal stacks and the g that it runs; then the g's that
expressions or addresses name, with commas between, such as parked ones, which are on no list."""

    def __init__(self):
        super().__init__("info stackgate", gdb.COMMAND_STATUS, gdb.COMPLETE_EXPRESSION)

    def invoke(self, text, _from_tty):
        cpu = begin()
        rows = [("thread", "what", "address", "state", "limit", "top", "")]

        def row(thread, what, g, more=""):
            low, high = (cpu.get(g, "G", "stack." + end) for end in ("limit", "top"))
            rows.append((thread, what, "0x%x" % g, state_of(cpu, g), "0x%x" % low, "0x%x" % high, more))

        for thread in threads():
            try:
                g = current_g(cpu)
                if not g:
                    rows.append((str(thread.num), "", "", "no m", "", "", ""))
                    continue
                m = m_of(cpu, g)
                ncgo = cpu.get(m, "M", "ncgo")
                rows.append((str(thread.num), "m", "0x%x" % m, "%d in C" % ncgo if ncgo else "", "", "", ""))
                for what in ("g0", "gsignal"):
                    at = m + cpu.offset("M", what + ".state") - cpu.offset("G", "state")
                    row("", what, at, "current" if at == g else "")
                curg = cpu.get(m, "M", "curg")
                if curg:
                    row("", "curg", curg, doing(cpu, m, curg))
            except Stop as stop:
                rows.append((str(thread.num), "", "", str(stop), "", "", ""))
        for expression in filter(None, map(str.strip, text.split(","))):
            try:
                row("", expression, address(expression))
            except Stop as stop:
                rows.append(("", expression, "", str(stop), "", "", ""))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for columns in rows:
            gdb.write("  ".join(text.ljust(width) for text, width in zip(columns, widths)).rstrip() + "\n")


class Prefix(gdb.Command):
    """Commands for programs that use stackgate."""

    def __init__(self):
        super().__init__("stackgate", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class Backtrace(gdb.Command):
    """Print the logical traceback of a g: managed frames, with C's between them.

stackgate bt [G]: of the g at this address; without one, of what the selected thread runs."""

    def __init__(self):
        super().__init__("stackgate bt", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, text, _from_tty):
        cpu = begin()
        count = 0

        def give(frame, managed):
            nonlocal count
            place = " at %s:%d" % (frame.file, frame.line) if frame.file else ""
            kind = "" if managed else " [C]"
            gdb.write("#%-3d 0x%0*x %s%s%s\n" % (count, cpu.word * 2, frame.pc, frame.name or "??", place, kind))
            count += 1

        try:
            reason = self.of(cpu, address(text) if text.strip() else None, Logical(cpu, give))
        except Stop as stop:
            reason = str(stop)
        if reason:
            gdb.write("ends here: %s\n" % reason)

    @staticmethod
    def of(cpu, g, walk):
        if g is None:
            return walk.of_thread()
        state = state_of(cpu, g)
        if state == "Parked":
            return walk.of_parked(g)
        if state != "Running":
            return "the g is %s: it has no frames of its own" % state
        for _ in threads():
            try:
                current = current_g(cpu)
                m = m_of(cpu, current) if current else 0
                if m and cpu.get(m, "M", "curg") == g:
                    return walk.of_thread()
            except Stop:
                continue
        return "the g is running, and no thread of this program says that it runs it"


Info()
Prefix()
Backtrace()
