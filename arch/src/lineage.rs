//! Where the frames come from: the Go commits that this machinery was taken from, and Go today.
//!
//! For comparison only; no code uses it. Each CPU's `seed` module says, for each frame of ours that has a
//! counterpart, what the first seed (April 2016, the traceback context) committed, what it meant, and what
//! Go's development tree has since March 2026. The documentation and the page of `cargo xtask frames` set
//! them beside ours.

use crate::frame::Layout;

/// A frame of ours and its counterparts in Go.
#[derive(Clone, Copy, Debug)]
pub struct Lineage {
    /// The name of our layout.
    pub ours: &'static str,
    /// What the seed meant.
    pub intended: Layout,
    /// What the seed did, where that is something else.
    pub committed: Option<Then>,
    /// What Go does today.
    pub today: Then,
    /// Why ours is another, on every CPU.
    pub why: &'static str,
    /// What is to be said of this CPU alone; may be empty.
    pub here: &'static str,
}

/// A frame of which only places are known.
#[derive(Clone, Copy, Debug)]
pub struct Then {
    /// Bytes, return address included where it is part of the frame.
    pub size: usize,
    /// Bytes from SP, and what lies there.
    pub slots: &'static [(isize, &'static str)],
    /// What is to be said of it.
    pub note: &'static str,
}

/// Why `AsmcgocallFrame` is no copy of Go's block.
pub const WHY_CALL: &str = "Go keeps the distance of SP from the top of the stack, since its stacks may move; it keeps \
no register, since its code has none that a call preserves, and where C's frames form a chain it ends that with a zero. Ours holds SP \
itself, which `stack_moved` rewrites, and each register that can define a caller's frame, so that unwinders go on from C \
to the managed code below.";
/// Why `CallbackFrame` is no copy of Go's frame on g0.
pub const WHY_CALLBACK: &str = "Go spreads a callback over two frames and over registers, and Go code reads its \
arguments back out of the frame by a distance of its own. Ours holds everything about the callback in named fields: the \
g, the m, the context, where the system stack stood. One store publishes it when it is complete, and one takes it back \
first.";
/// Why `CallbackEntry` is no copy of Go's frame on curg.
pub const WHY_ENTRY: &str = "Go lays a frame of the same size on curg and passes the context in it as an argument. Ours \
holds there only a frame record that continues curg's own chain, and the place of the `CallbackFrame`; the context stays \
on the system stack, where no other callback can take it.";
/// Why `Crosscall2Frame` is no copy of Go's frame.
pub const WHY_CROSSCALL2: &str = "Go stores the arguments in memory, because its code takes them there. Ours passes them \
in registers, where the convention has registers for them, and saves everything that the convention preserves, in the \
form of a frame record where the CPU has such, with call frame information for each.";

/// Structures of ours without a counterpart of their own, and what Go does there, on every CPU.
pub const NO_COUNTERPART: &[(&str, &str)] = &[
    ("Stack", "Go has the same two words, `lo` and `hi`, in its g."),
    (
        "Gobuf",
        "Go's holds more: the g, a context register, a result, a link register. Its code has no registers that a \
         call preserves, so that nothing else has to be kept of a g that is left.",
    ),
    (
        "G",
        "Go's begins with the bounds of the stack too, and is its runtime's alone. Ours is the part that crossings \
         and tracebacks need, and lies in the embedder's own structure.",
    ),
    (
        "M",
        "Go's is its runtime's alone, and holds pointers to g0 and gsignal. Ours holds the two themselves.",
    ),
    ("CalleeSaved", "Go's code has no such registers; its `crosscall2` alone saves them."),
    (
        "SwitchFrame",
        "Go leaves nothing on a stack that it leaves: what its code wants to keep it has put on the stack itself. So \
         does ours, but for the registers that no list of clobbers may name.",
    ),
    ("BaseFrame", "Go puts a return address into `goexit` at the upper end of a new stack."),
    (
        "CatchFrame",
        "Go's panics run deferred functions, and `unwindm` takes `g0.sched.sp` back from the callback's frame; no \
         register has to come back. Ours has to restore those that the dropped frames of C may hold.",
    ),
];
