//! Tracebacks: which functions led here, through managed code and C, on both stacks.
//!
//! [`Traceback`] walks a chain and yields a [`Pc`] for each frame, [`Frames`] turns those into names and
//! lines, and [`print`](print()) writes them. Nothing here allocates or takes a lock, everything is bounded,
//! and a trace that ends says why ([`Stop`]).
//!
//! # What a trace shows
//!
//! The *logical* chain: every managed frame of the task, innermost first, and wherever C called back, the C
//! frames between, which the user's traceback function knows ([`set_cgo_traceback`]). The crossings
//! themselves do not appear. A trace that begins on the system stack shows what runs there and goes on to
//! the task.
//!
//! ```text
//!     managed stack (curg)        system stack (g0)           the trace, begun in g2
//!   | task                 |    |                  |             5  task
//!   | ..asmcgocall         |    | AsmcgocallFrame  |
//!   |                      |    | c1               |             4  C frames of context 1
//!   | CallbackEntry        |    | CallbackFrame: 1 |
//!   | g1                   |    |                  |             3  g1
//!   | ..asmcgocall         |    | AsmcgocallFrame  |
//!   |                      |    | c2               |             2  C frames of context 2
//!   | CallbackEntry        |    | CallbackFrame: 2 |
//!   | g2                   |    |                  |             1  g2
//! ```
//!
//! # The two walkers
//!
//! *Records* follows frame records (rbp and its like; back chains on ppc64le and s390x): needs nothing but
//! code that keeps them, and costs a few instructions a frame. *Tables* follows `.eh_frame` or `.ARM.exidx`,
//! registered by [`register_tables`], behind a cache. [`Walker::Auto`] asks the tables about each PC and goes
//! on by records where none knows it. Where code keeps records, both see the same frames.
//!
//! # Where it runs
//!
//! Where an item says nothing else, it runs on any stack and is safe in a signal handler. Taking a trace, and asking
//! what it has found, always is, as far as the user's functions are.
//!
//! # Trust
//!
//! A stack that is traced may be damaged. Of it, words are read only inside the bounds of the stack in
//! question, at aligned addresses, each address above the last one; what cannot be so ends the trace, by
//! name. The frames of crossings on the system stack are found from the m, not from the managed stack, and
//! each callback on one stack must designate its other half.

/// How many bytes of the stack that it runs on a traceback uses at most in code that is optimised, on every CPU:
/// [`Traceback::from_ucontext`], [`print`](print()), [`callers`]. The user's three functions come on top of that
/// where they run on the same stack. See `cargo xtask stack-depth`.
///
/// A signal stack has room for this beside what the kernel puts there.
pub const HANDLER_USE: usize = 8 << 10;

mod code;
mod cpu;
mod exidx;
mod expression;
mod frames;
mod physical;
mod print;
mod records;
mod registry;
mod row;
mod set;
mod stack;
mod symbols;
mod tables;
mod walk;

pub(crate) use cpu::kept_for_caller;

pub use code::{Code, MAX_CODE, MAX_CODE_NAME, code_at, register_code, unregister_code};
pub use frames::{Frame, Frames, Known, MAX_FRAMES_PER_PC};
pub use physical::Physical;
pub use print::print;
pub use set::{
    CONTEXT_ROOM, ContextArg, ContextFn, ContextPlace, SetTracebackError, SymbolizerArg, SymbolizerFn,
    TracebackArg, TracebackFn, acquire_context, release_context, set_cgo_traceback, set_managed_symbolizer,
};
pub use symbols::{Function, MAX_FUNCTION_TABLES, RegisterError, function_at, register_functions};
pub use tables::{MAX_UNWIND_TABLES, UnwindTables, register_tables};
#[doc(hidden)]
pub use walk::fill;
pub use walk::{MAX_C_FRAMES, MAX_FRAMES, Pc, Stop, Traceback, Walker, callers, callers_pcs};

pub(crate) use set::{acquire_from, context_function, release_to};

/// Lets nobody register anything until [`let_in`].
pub(crate) fn keep_out() {
    symbols::TABLES.keep_out();
    tables::TABLES.keep_out();
    code::keep_out();
}

/// Lets functions and tables be registered again.
///
/// # Safety
/// After [`keep_out`], on that thread or on its copy in a child process.
pub(crate) unsafe fn let_in() {
    // SAFETY: by the caller.
    unsafe {
        code::let_in();
        tables::TABLES.let_in();
        symbols::TABLES.let_in();
    }
}
