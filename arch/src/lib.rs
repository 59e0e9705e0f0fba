//! Frame layouts and stack crossings, for six CPUs.
//!
//! # The contract
//!
//! Each CPU's module, `x86_64`, `i386`, `arm`, `arm64`, `ppc64le` and `s390x`, defines the same set of names,
//! in the same order, so that the difference between two of them is the difference between two CPUs:
//!
//! * `frame`: the marker type that names the CPU; its registers; `Gobuf`, `CalleeSaved`, `SwitchFrame`,
//!   `BaseFrame`, `AsmcgocallFrame`, `CatchFrame`, `CallbackFrame`, `CallbackEntry`, `Crosscall2Frame`,
//!   `Crosscall2Win64Frame` (x86_64 alone); `LAYOUTS`.
//! * `seed`: the frames of the Go commits that this machinery comes from, to compare with.
//! * `asm`: the crossings, compiled where the target is that CPU:
//!
//! | function | runs on | what it does |
//! |---|---|---|
//! | [`getg`] | any stack | the current g, or null |
//! | [`current`] | any stack | `getg` inlined, where a g of zeros stands for none |
//! | [`setg`] | any stack | makes a g current; null for none |
//! | [`asmcgocall`] | any stack | calls C on the system stack |
//! | [`ccall`] | any stack | the same, with C's own argument registers |
//! | [`asmcgocall_catch`] | a managed stack | the same, and a throw lands here |
//! | [`throw_to`] | a managed stack | drops everything down to a catch |
//! | [`systemstack`] | any stack | runs managed code on the system stack |
//! | [`mcall`] | a managed stack | leaves a g for its m's system stack for good |
//! | [`gogo`] | a system stack | runs a g, and does not come back |
//! | [`resume`] | a system stack | runs a g until it parks or ends; inlined |
//! | [`park`] | a managed stack | goes back to the `resume` that ran this g; inlined |
//! | [`switch_to`] | a managed stack | `park`, and `resume` of another g in its place; inlined |
//! | [`resume_full`] | a system stack | `resume` as a function, for C |
//! | [`park_full`] | a managed stack | `park` as a function, for C |
//! | `resume_light`, `park_light`, `mcall_light`, `switch_light` | | the switches of these, out of line |
//! | [`cgocallback`] | a system stack | runs managed code on curg, called by C-ABI code |
//! | [`crosscall2`] | a system stack | the same, for managed code without callee-saved registers |
//! | [`crosscall2_panic`] | a system stack | the three-argument form of it, without a context |
//! | [`crosscall1`] | a system stack | a thread's entry: runs managed code as a g0 |
//! | [`sigtramp`] | any stack | a signal handler: calls the embedder's as gsignal |
//! | [`trap`] | any stack | ends the program without a word |
//! | [`client_request`] | any stack | what valgrind is asked by; nothing where there is none |
//! | `crosscall2_win64` | a system stack | `crosscall2` for callers of the Windows convention (x86_64) |
//!
//! # What holds at every instruction
//!
//! * The current g is g0 whenever anything below `g0.sched.sp` on the system stack is in use: a crossing
//!   makes g0 current before it moves SP there, and gives up g0 only after SP has left. In a handler that runs
//!   there it is gsignal, which calls C where it stands as g0 does.
//! * While curg is in C, an `AsmcgocallFrame` lies directly below `g0.sched.sp`.
//! * While a callback runs, `g0.sched.sp` is the address of its `CallbackFrame`. One store publishes the
//!   frame when it is complete; one store takes it back before anything of it is given up.
//! * SP holds an address of the managed stack or of the system stack, never anything else, and what lies
//!   below SP is not in use.
//! * The call frame information is exact.
//! * The PC lies in the section `stackgate_text`, which holds the functions of `asm` and nothing else.
//! * The frame pointer, where the CPU has one, designates a frame record whose chain leads through the
//!   managed frames; between "SP has moved" and "the record has moved" it designates the other stack's, and
//!   the PC tells.
//!
//! # The current g
//!
//! It is a variable of static TLS, in the initial-exec model: a thread's own where there are threads, and where
//! there is no operating system the slot that a board lets each CPU's thread pointer designate. With the feature
//! `single-core` it is one plain word, where one CPU runs everything: for microcontrollers, which have no thread
//! pointer, and for boards that use theirs otherwise. Crossings find it by one named line, the same on each path.
//!
//! A g is never kept over a switch: after it the same code may run on another thread.
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `single-core` | the current g is one plain word; not on by default |

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub use memoffset;

/// Where the sources of this crate were when it was compiled: debug information names files there.
#[doc(hidden)]
pub const SOURCES: &str = match option_env!("STACKGATE_WITHOUT_PATHS") {
    // `cargo xtask dist`, whose bytes do not depend on where, and which has no debug information.
    Some(_) => "stackgate:",
    None => concat!(env!("CARGO_MANIFEST_DIR"), "/src/"),
};

pub mod dwarf;
pub mod frame;
mod g;
pub mod lineage;
pub mod unwind;

pub use g::{
    CALLBACK_ELSEWHERE, Cpu, ENDED_NO_G, G, GState, HANDLES_NO_G, Interrupted, M, SIGNAL_HANDLER, Stack,
};

/// Has a compiled function beside the crossings. Where none of a unit has unwind tables the compiler puts those of
/// the assembly, too, into `.debug_frame`, which no unwinder of a running program reads: so do sanitizers' units,
/// which have a function of their own.
#[allow(unused_macros, reason = "arm's unwinders read `.ARM.exidx`")]
macro_rules! keep_unwind_tables {
    () => {
        #[used]
        static HAS_UNWIND_TABLES: extern "C" fn() = {
            #[inline(never)]
            extern "C" fn compiled() {}
            compiled
        };
    };
}

/// Asserts that pushing these fields, in this order, builds the frame from its upper end down.
#[allow(unused_macros, reason = "frames are pushed on x86 only")]
macro_rules! pushes {
    ($frame:ident: $($field:ident),+) => {
        const _: () = {
            let mut at = size_of::<$frame>();
            $(
                at -= size_of::<crate::NativeWord>();
                assert!(core::mem::offset_of!($frame, $field) == at, "the pushes no longer build this frame");
            )+
            assert!(at == 0, "the pushes leave a part of this frame out");
        };
    };
}

pub mod arm;
pub mod arm64;
pub mod i386;
pub mod ppc64le;
pub mod s390x;
pub mod x86_64;

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        use x86_64 as native;
    } else if #[cfg(target_arch = "x86")] {
        use i386 as native;
    } else if #[cfg(target_arch = "arm")] {
        use arm as native;
    } else if #[cfg(target_arch = "aarch64")] {
        use arm64 as native;
    } else if #[cfg(all(target_arch = "powerpc64", target_endian = "little"))] {
        use ppc64le as native;
    } else if #[cfg(target_arch = "s390x")] {
        use s390x as native;
    } else {
        compile_error!("stackgate knows i386, x86_64, arm, arm64, ppc64le and s390x; CONTRIBUTING.md says how to add a CPU");
    }
}

/// The CPU that this crate is compiled for.
pub type Native = native::frame::ThisCpu;
/// The machine word of the CPU that this crate is compiled for.
pub type NativeWord = <Native as Cpu>::Word;

pub use native::asm::{
    asmcgocall, asmcgocall_catch, callback_return, ccall, cgocallback, client_request, crosscall1,
    crosscall2, crosscall2_panic, current, g_begin, getg, gogo, mcall, park, park_full, resume, resume_full,
    setg, sigtramp, switch_to, systemstack, throw_to, trap,
};
pub use native::frame::{
    AsmcgocallFrame, BEGIN_BELOW_BASE, BaseFrame, CallbackEntry, CallbackFrame, CalleeSaved, CatchFrame,
    Crosscall2Frame, Gobuf, SwitchFrame, begin_below, gobuf,
};

pub use native::unwind::{
    CFA_ABOVE_SP, ENTRY_RECORD, EXIDX, FP, RECORD, RECORD_ENDS_FRAME, RED_ZONE, call_moved, capture,
    catch_moved, entry_below, entry_moved, gobuf_moved, kept_moved, start_of_call, without_signature,
};

#[cfg(target_arch = "x86_64")]
pub use native::asm::crosscall2_win64;

/// C as `asmcgocall` calls it: one pointer in, an `int` out.
pub type CFn = unsafe extern "C" fn(arg: *mut core::ffi::c_void) -> core::ffi::c_int;
/// Managed code as `systemstack` calls it.
pub type SystemFn = unsafe extern "C" fn(arg: *mut core::ffi::c_void);
/// Managed code as `mcall` calls it; it must not return.
pub type McallFn = unsafe extern "C" fn(g: *mut G<Native>) -> !;
/// Managed code as a callback runs it.
pub type CallbackFn = unsafe extern "C" fn(frame: *mut core::ffi::c_void, n: usize, ctxt: usize);
/// A task's first function: the word of the first `resume` in, the word for the last one out.
pub type EntryFn = unsafe extern "C" fn(value: usize) -> usize;
/// A signal handler as the kernel calls it: the signal's number, its `siginfo_t` and its `ucontext_t`.
pub type SignalFn = unsafe extern "C" fn(
    signal: core::ffi::c_int,
    info: *mut core::ffi::c_void,
    ucontext: *mut core::ffi::c_void,
);
/// What `crosscall1` runs.
pub type ThreadFn = unsafe extern "C" fn(g: *mut G<Native>);

/// The contract, enforced: the same names with the same types on each CPU.
mod contract {
    use super::{
        CFn, CallbackFn, CatchFrame, G, McallFn, Native, SystemFn, ThreadFn, native::asm, native::unwind,
    };
    use core::ffi::{c_int, c_void};

    const _: unsafe extern "C" fn() -> *mut G<Native> = asm::getg;
    const _: fn() -> *mut G<Native> = asm::current;
    const _: unsafe extern "C" fn(*mut G<Native>) = asm::setg;
    const _: unsafe extern "C" fn(CFn, *mut c_void) -> c_int = asm::asmcgocall;
    const _: unsafe extern "C" fn() = asm::ccall;
    const _: unsafe extern "C" fn(CFn, *mut c_void, *mut usize) -> c_int = asm::asmcgocall_catch;
    const _: unsafe extern "C" fn(*mut CatchFrame, usize) -> ! = asm::throw_to;
    const _: unsafe extern "C" fn(SystemFn, *mut c_void) = asm::systemstack;
    const _: unsafe extern "C" fn(McallFn) = asm::mcall;
    const _: unsafe extern "C" fn(*mut G<Native>, usize) -> ! = asm::gogo;
    const _: unsafe fn(*mut G<Native>, usize) -> (usize, *mut G<Native>) = asm::resume;
    const _: unsafe fn(usize) -> usize = asm::park;
    const _: unsafe fn(*mut G<Native>, usize) -> usize = asm::switch_to;
    const _: unsafe extern "C" fn(*mut G<Native>, usize) -> usize = asm::resume_full;
    const _: unsafe extern "C" fn(usize) -> usize = asm::park_full;
    const _: [unsafe extern "C" fn(); 4] =
        [asm::resume_light, asm::park_light, asm::mcall_light, asm::switch_light];
    const _: unsafe extern "C" fn() = asm::g_start;
    const _: unsafe extern "C" fn(CallbackFn, *mut c_void, usize, usize) = asm::cgocallback;
    const _: unsafe extern "C" fn(CallbackFn, *mut c_void, c_int, usize) = asm::crosscall2;
    const _: unsafe extern "C" fn(CallbackFn, *mut c_void, c_int) = asm::crosscall2_panic;
    const _: unsafe extern "C" fn(ThreadFn, *mut G<Native>) = asm::crosscall1;
    const _: super::SignalFn = asm::sigtramp;
    const _: fn() -> ! = asm::trap;
    const _: fn(usize, &[usize; 6]) -> usize = asm::client_request;
    const _: fn(usize) -> super::Gobuf = super::native::frame::gobuf;
    const _: unsafe fn(*mut super::BaseFrame, usize) -> super::Gobuf = super::native::frame::begin_below;
    const _: usize = super::native::frame::BEGIN_BELOW_BASE;
    const _: unsafe fn(&super::AsmcgocallFrame) -> super::unwind::Start = unwind::start_of_call;
    const _: fn(&super::AsmcgocallFrame) -> *mut super::CallbackEntry = unwind::entry_below;
    const _: unsafe extern "C" fn(*mut super::unwind::Registers) = unwind::capture;
    const _: fn(usize) -> usize = unwind::without_signature;
    const _: super::unwind::RecordForm = unwind::RECORD;
    const _: usize = unwind::ENTRY_RECORD;
    const _: [usize; 4] = [unwind::SP, unwind::FP, unwind::CFA_ABOVE_SP, unwind::RED_ZONE];
    const _: [bool; 2] = [unwind::RECORD_ENDS_FRAME, unwind::EXIDX];
    const _: [crate::frame::Register; 4] = unwind::LEFT_IN;
    const _: crate::frame::Register = unwind::CATCH_IN;
    const _: crate::frame::Layout = unwind::Ucontext::LAYOUT;
}
