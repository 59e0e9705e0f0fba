//! The crossing between a language runtime's own stacks and C.
//!
//! Code that runs on small managed stacks calls C on a big system stack; C calls back onto the managed stack
//! it came from, nested to any depth; tracebacks run across all of it. Six CPUs, no allocator, no libc.
//!
//! # The least that works
//!
//! ```
//! use core::ffi::{c_int, c_void};
//! use stackgate::{G, M, Resumed, cgocall, g_init, m_adopt, resume};
//!
//! unsafe extern "C" fn in_c(_arg: *mut c_void) -> c_int { 42 }
//!
//! unsafe extern "C" fn task(_word: usize) -> usize {
//!     unsafe { cgocall(in_c, core::ptr::null_mut()) as usize }
//! }
//!
//! let (mut m, mut g) = (M::default(), G::default());
//! let mut stack = [0u128; 1024];
//! let ends = stack.as_mut_ptr_range();
//! unsafe {
//!     m_adopt(&mut m).unwrap();
//!     g_init(&mut g, ends.start.cast(), ends.end.cast(), task).unwrap();
//!     assert_eq!(resume(&mut g, 0), Ok(Resumed::Finished(42)));
//! }
//! # stackgate::m_release().unwrap();
//! ```
//!
//! [`guide`] goes on from here, in ten steps. [`cgocall`](mod@cgocall) tells what happens on both stacks when C
//! calls back.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | |
//! |---|---|
//! | `std` | a Rust panic in an exported function is caught and thrown through C ([`throw`](mod@throw)) |
//! | `single-core` | the current g is one plain word: one CPU, no threads |
//!
//! # Words
//!
//! The field's own, and Go's for Go's operations. A *g* is a managed task with its own stack; an *m* a
//! thread, or a CPU, that runs g's; *g0* and *gsignal* are the m's system and signal stacks seen as g's;
//! *curg* is the g an m is running. `top` and `limit` are the two ends of a stack. A *boundary* is one part
//! of C between two managed parts.

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "std")]
extern crate std;

/// The README's own program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub mod callback;
pub mod capi;
pub mod cgocall;
mod console;
mod extra;
mod fork;
mod gate;
#[doc = include_str!("../docs/costs.md")]
#[doc = include_str!("../docs/counts.md")]
#[doc = include_str!("../docs/sizes.md")]
pub mod costs {}
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}
#[doc = include_str!("../docs/hardening.md")]
pub mod hardening {}
mod hooks;
mod once;
mod platform;
mod pool;
#[cfg_attr(
    not(any(feature = "asan", feature = "tsan", feature = "valgrind")),
    allow(unused_variables, dead_code, reason = "nothing is told")
)]
pub mod sanitizers;
mod signals;
mod sync;
mod task;
pub mod throw;
pub mod traceback;

pub use callback::{InitError, enter, notify_runtime_init_done, runtime_init_begin, wait_runtime_init_done};
pub use cgocall::{cgocall, cgocall_no_callback, on_system_stack};
pub use console::Console;
pub use extra::{ExtraError, ExtraMs, add_extra_m, calls_of_ended_threads, extra_ms, prepare_extra_ms};
pub use fork::{after_fork, before_fork};
pub use hooks::{Hooks, HooksError, set_hooks};
pub use platform::{
    ErrnoFn, ExitHook, Platform, PlatformError, ServiceError, SignalMask, StackBounds, ThreadRun, fatal,
    platform, set_platform,
};
pub use signals::{SignalError, interrupted_g, set_signal_handler};
pub use stackgate_arch as arch;

/// Where the sources of this crate were when it was compiled: debug information names files there.
#[doc(hidden)]
pub const SOURCES: &str = match option_env!("STACKGATE_WITHOUT_PATHS") {
    // `cargo xtask dist`, whose bytes do not depend on where, and which has no debug information.
    Some(_) => "stackgate:",
    None => concat!(env!("CARGO_MANIFEST_DIR"), "/src/"),
};
pub use stackgate_arch::{
    CFn, CallbackFn, EntryFn, GState, SignalFn, asmcgocall, cgocallback, crosscall2, systemstack,
};
pub use task::{
    AdoptError, MIN_STACK, ParkError, ReleaseError, ResumeError, Resumed, STACK_ALIGN, StackError,
    SwitchError, current_g, current_m, finish, g_init, m_adopt, m_init, m_release, park, resume, resume_any,
    stack_moved, switch_to, topofstack,
};
pub use throw::{Thrown, cgocall_catch, throw};

/// How many bytes of a managed stack a call into C, a callback or a park uses at most, from the caller's SP until
/// the system stack, or a function of the user's, is reached. The same for every path of this library and of
/// `stackgate-libc`, on every CPU, in code that is optimised; `cargo xtask stack-depth` says what each really uses.
///
/// Go's limit for a chain of functions that do not ask for more stack.
pub const MANAGED_USE: usize = 800;

/// A managed task: the first field of the embedder's task structure. See [`stackgate_arch::G`].
pub type G = stackgate_arch::G<stackgate_arch::Native>;
/// A thread that runs tasks: the first field of the embedder's thread structure. See [`stackgate_arch::M`].
pub type M = stackgate_arch::M<stackgate_arch::Native>;
/// What a signal has interrupted.
pub(crate) type Interrupted = stackgate_arch::Interrupted<stackgate_arch::Native>;
