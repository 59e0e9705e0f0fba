//! Every crossing on each of its paths, and what has to be seen meanwhile. The same with an operating system,
//! where `cargo xtask step` takes a traceback at each instruction, and without, where a timer does.
//!
//! [`SCENARIOS`] says what has to be seen. Functions of this file are called `step_...` there without that
//! prefix, crossings without `stackgate_`, and `main` is the program's: nothing lies between it and the scenario.

use crate::cpu::{self, ccall_one};
use crate::movable::Movable;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write as _};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch::frame::{Ptr, Word};
use stackgate::arch::{self, AsmcgocallFrame, CALLBACK_ELSEWHERE, NativeWord, SIGNAL_HANDLER, Stack};
use stackgate::traceback::{Traceback, TracebackArg};
use stackgate::{CFn, CallbackFn, EntryFn, G, GState, M, m_adopt, m_release, stack_moved};

/// One stretch of a scenario: while `function` runs, unwinders see exactly this.
pub struct Step {
    /// The crossing that is stepped through.
    pub function: &'static str,
    /// By call frame information: every frame of both stacks, innermost first, to `main`. Where it is empty gdb does
    /// not look at the scenario.
    pub physical: &'static str,
    /// By the library's own iterator: the managed frames, and C's as [`step_traceback`] makes them up.
    pub logical: &'static str,
}

/// Where a scenario begins.
pub enum Way {
    /// In a task, from its first `resume` to its end; `ENTER` and `LEAVE` come round the steps.
    Task(EntryFn),
    /// On the system stack of an m that runs nothing.
    G0(unsafe extern "C" fn()),
    /// On a thread without a g.
    Bare(unsafe extern "C" fn()),
}

/// A crossing on one path, and what is seen meanwhile. The stretches follow each other in this order, each
/// at least one instruction long.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Where it begins.
    pub way: Way,
    /// What has to be seen.
    pub steps: &'static [Step],
}

/// The frames below a task's function. `g_start` goes on where `resume` returns to.
macro_rules! task {
    ($frames:literal) => {
        concat!($frames, " g_start run main")
    };
}

/// The same in a call into C from the task `$task`.
macro_rules! called {
    ($frames:literal, $task:literal) => {
        concat!($frames, " asmcgocall ", $task, " g_start run main")
    };
}

/// One stretch: `function`, `physical`, `logical`.
pub const fn step(function: &'static str, physical: &'static str, logical: &'static str) -> Step {
    Step { function, physical, logical }
}

/// How every task begins: `resume` goes from the system stack to the g's, where no frame is yet.
const ENTER: &[Step] = &[
    step("resume_light", "resume_light run main", "run main"),
    step("resume_light", "resume_light g_start run main", ""),
    step("g_start", "g_start run main", ""),
];

/// How every task ends.
const LEAVE: &[Step] =
    &[step("g_start", "g_start run main", ""), step("g_start", "g_start run main", "run main")];

/// Every path of every crossing.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the current g",
        way: Way::Task(step_current),
        steps: &[
            step("getg", task!("getg current"), "current"),
            step("setg", task!("setg current"), "current"),
        ],
    },
    Scenario {
        name: "the current g where there is none",
        way: Way::Bare(step_no_g),
        steps: &[step("getg", "getg no_g main", "C:signal"), step("setg", "setg no_g main", "C:signal")],
    },
    Scenario {
        name: "asmcgocall from a g",
        way: Way::Task(step_calls),
        steps: &[step("asmcgocall", task!("asmcgocall calls"), "calls")],
    },
    Scenario {
        name: "asmcgocall on g0",
        way: Way::G0(step_calls_here),
        steps: &[step("asmcgocall", "asmcgocall calls_here main", "calls_here main")],
    },
    Scenario {
        name: "asmcgocall without a g",
        way: Way::Bare(step_calls_here),
        steps: &[step("asmcgocall", "asmcgocall calls_here main", "C:signal")],
    },
    Scenario {
        name: "ccall from a g",
        way: Way::Task(step_ccalls),
        steps: &[step("ccall", task!("ccall ccalls"), "ccalls")],
    },
    Scenario {
        name: "ccall on g0",
        way: Way::G0(step_ccalls_here),
        steps: &[step("ccall", "ccall ccalls_here main", "ccalls_here main")],
    },
    Scenario {
        name: "ccall without a g",
        way: Way::Bare(step_ccalls_here),
        steps: &[step("ccall", "ccall ccalls_here main", "C:signal")],
    },
    Scenario {
        name: "systemstack from a g",
        way: Way::Task(step_system),
        steps: &[step("systemstack", task!("systemstack system"), "system")],
    },
    Scenario {
        name: "systemstack on g0",
        way: Way::G0(step_system_here),
        steps: &[step("systemstack", "systemstack system_here main", "system_here main")],
    },
    Scenario {
        name: "systemstack without a g",
        way: Way::Bare(step_system_here),
        steps: &[step("systemstack", "systemstack system_here main", "C:signal")],
    },
    Scenario {
        name: "asmcgocall_catch without a throw",
        way: Way::Task(step_catches),
        steps: &[
            step("asmcgocall_catch", task!("asmcgocall_catch catches"), "catches"),
            step("asmcgocall", task!("asmcgocall asmcgocall_catch catches"), "catches"),
            step("asmcgocall_catch", task!("asmcgocall_catch catches"), "catches"),
        ],
    },
    Scenario {
        name: "a throw through two levels",
        way: Way::Task(step_throws),
        steps: &[
            step("asmcgocall_catch", task!("asmcgocall_catch throws"), "throws"),
            step("asmcgocall", task!("asmcgocall asmcgocall_catch throws"), "throws"),
            step(
                "cgocallback",
                task!("cgocallback c_outer asmcgocall asmcgocall_catch throws"),
                "C:signal throws",
            ),
            step(
                "cgocallback",
                task!("cgocallback c_outer asmcgocall asmcgocall_catch throws"),
                "C:1 throws",
            ),
            step(
                "asmcgocall",
                task!("asmcgocall outer cgocallback c_outer asmcgocall asmcgocall_catch throws"),
                "outer C:1 throws",
            ),
            step(
                "cgocallback",
                task!(
                    "cgocallback c_inner asmcgocall outer cgocallback c_outer asmcgocall asmcgocall_catch throws"
                ),
                "C:signal outer C:1 throws",
            ),
            step(
                "cgocallback",
                task!(
                    "cgocallback c_inner asmcgocall outer cgocallback c_outer asmcgocall asmcgocall_catch throws"
                ),
                "C:2 outer C:1 throws",
            ),
            step(
                "getg",
                task!(
                    "getg inner cgocallback c_inner asmcgocall outer cgocallback c_outer asmcgocall asmcgocall_catch throws"
                ),
                "inner C:2 outer C:1 throws",
            ),
            step(
                "throw_to",
                task!(
                    "throw_to inner cgocallback c_inner asmcgocall outer cgocallback c_outer asmcgocall asmcgocall_catch throws"
                ),
                "inner C:2 outer C:1 throws",
            ),
            step("throw_to", task!("throw_to throws"), "throws"),
        ],
    },
    // Until C comes back the stack is where it was; then it is elsewhere, and the old one is junk.
    Scenario {
        name: "a moved stack",
        way: Way::Task(cpu::movable),
        steps: &[
            step("asmcgocall", task!("asmcgocall movable"), "movable"),
            step("cgocallback", called!("cgocallback c_moves", "movable"), "C:signal movable"),
            step("cgocallback", called!("cgocallback c_moves", "movable"), "C:1 movable"),
            step("cgocallback", called!("cgocallback c_moves", "movable"), "C:signal movable"),
            step("asmcgocall", task!("asmcgocall movable"), "movable"),
        ],
    },
    Scenario {
        name: "mcall and gogo",
        way: Way::Task(step_mcalls),
        steps: &[
            step("mcall", task!("mcall mcalls"), "mcalls"),
            step("mcall_light", task!("mcall_light mcall mcalls"), "mcalls"),
            step("mcall_light", "mcall_light run main", "run main"),
            step("gogo", "gogo next mcall_light run main", "next run main"),
            step("gogo", task!("gogo mcall mcalls"), "mcalls"),
            step("mcall", task!("mcall mcalls"), "mcalls"),
        ],
    },
    Scenario {
        name: "park and resume",
        way: Way::Task(step_parks),
        steps: &[
            step("park_light", task!("park_light parks"), "parks"),
            step("park_light", "park_light run main", "run main"),
            step("resume_light", "resume_light run main", "run main"),
            step("resume_light", task!("resume_light parks"), "parks"),
        ],
    },
    Scenario {
        name: "park and resume, as functions",
        way: Way::Task(step_parks_by_functions),
        steps: &[
            step("park", task!("park parks_by_functions"), "parks_by_functions"),
            step("park_light", task!("park_light park parks_by_functions"), "parks_by_functions"),
            step("park_light", "park_light run main", "run main"),
            step("resume", "resume run main", "run main"),
            step("resume_light", "resume_light resume run main", "run main"),
            step(
                "resume_light",
                "resume_light park parks_by_functions g_start resume run main",
                "parks_by_functions",
            ),
            step("park", "park parks_by_functions g_start resume run main", "parks_by_functions"),
            step("park_light", "park_light parks_by_functions g_start resume run main", "parks_by_functions"),
            step("park_light", "park_light resume run main", "run main"),
            step("resume", "resume run main", "run main"),
            step("resume_light", "resume_light run main", "run main"),
            step("resume_light", task!("resume_light parks_by_functions"), "parks_by_functions"),
        ],
    },
    Scenario {
        name: "switch_to",
        way: Way::Task(step_switches),
        steps: &[
            step("switch_light", task!("switch_light switches"), "switches"),
            step("switch_light", "switch_light g_start run main", ""),
            step("g_start", "g_start run main", ""),
            step("switch_light", task!("switch_light switched"), "switched"),
            step("switch_light", task!("switch_light switches"), "switches"),
        ],
    },
    Scenario {
        name: "a callback",
        way: Way::Task(step_called_back),
        steps: &[
            step("asmcgocall", task!("asmcgocall called_back"), "called_back"),
            step("cgocallback", called!("cgocallback c_calls_back", "called_back"), "C:signal called_back"),
            step("cgocallback", called!("cgocallback c_calls_back", "called_back"), "C:1 called_back"),
            step("cgocallback", called!("cgocallback c_calls_back", "called_back"), "C:signal called_back"),
            step("asmcgocall", task!("asmcgocall called_back"), "called_back"),
        ],
    },
    Scenario {
        name: "a callback after a longjmp",
        way: Way::Task(step_jumped),
        steps: &[
            step("asmcgocall", task!("asmcgocall jumped"), "jumped"),
            step("cgocallback", called!("cgocallback c_has_jumped", "jumped"), "C:signal jumped"),
            step("asmcgocall", task!("asmcgocall jumped"), "jumped"),
        ],
    },
    Scenario {
        name: "a callback after a longjmp, from deeper",
        way: Way::Task(step_jumped_deeper),
        steps: &[
            step("asmcgocall", task!("asmcgocall jumped_deeper"), "jumped_deeper"),
            // Where the task is on its stack only those words say.
            step("cgocallback", called!("cgocallback c_has_called", "jumped_deeper"), "C:signal"),
            step("asmcgocall", task!("asmcgocall jumped_deeper"), "jumped_deeper"),
        ],
    },
    Scenario {
        name: "a callback through ccall",
        way: Way::Task(step_ccalled_back),
        steps: &[
            step("ccall", task!("ccall ccalled_back"), "ccalled_back"),
            step(
                "cgocallback",
                task!("cgocallback c_calls_back ccall ccalled_back"),
                "C:signal ccalled_back",
            ),
            step("cgocallback", task!("cgocallback c_calls_back ccall ccalled_back"), "C:1 ccalled_back"),
            step(
                "cgocallback",
                task!("cgocallback c_calls_back ccall ccalled_back"),
                "C:signal ccalled_back",
            ),
            step("ccall", task!("ccall ccalled_back"), "ccalled_back"),
        ],
    },
    Scenario {
        name: "a callback in a callback",
        way: Way::Task(step_nests),
        steps: &[
            step("asmcgocall", task!("asmcgocall nests"), "nests"),
            step("cgocallback", called!("cgocallback c_nests", "nests"), "C:signal nests"),
            step("cgocallback", called!("cgocallback c_nests", "nests"), "C:1 nests"),
            step(
                "asmcgocall",
                called!("asmcgocall called_back_in cgocallback c_nests", "nests"),
                "called_back_in C:1 nests",
            ),
            step(
                "cgocallback",
                called!("cgocallback c_calls_back_2 asmcgocall called_back_in cgocallback c_nests", "nests"),
                "C:signal called_back_in C:1 nests",
            ),
            step(
                "cgocallback",
                called!("cgocallback c_calls_back_2 asmcgocall called_back_in cgocallback c_nests", "nests"),
                "C:2 called_back_in C:1 nests",
            ),
            step(
                "cgocallback",
                called!("cgocallback c_calls_back_2 asmcgocall called_back_in cgocallback c_nests", "nests"),
                "C:signal called_back_in C:1 nests",
            ),
            step(
                "asmcgocall",
                called!("asmcgocall called_back_in cgocallback c_nests", "nests"),
                "called_back_in C:1 nests",
            ),
            step("cgocallback", called!("cgocallback c_nests", "nests"), "C:1 nests"),
            step("cgocallback", called!("cgocallback c_nests", "nests"), "C:signal nests"),
            step("asmcgocall", task!("asmcgocall nests"), "nests"),
        ],
    },
    Scenario {
        name: "a callback through crosscall2",
        way: Way::Task(step_crossed),
        steps: &[
            step("asmcgocall", task!("asmcgocall crossed"), "crossed"),
            step("crosscall2", called!("crosscall2 c_crosses", "crossed"), "C:signal crossed"),
            step("cgocallback", called!("cgocallback crosscall2 c_crosses", "crossed"), "C:signal crossed"),
            step("cgocallback", called!("cgocallback crosscall2 c_crosses", "crossed"), "C:1 crossed"),
            step("cgocallback", called!("cgocallback crosscall2 c_crosses", "crossed"), "C:signal crossed"),
            step("crosscall2", called!("crosscall2 c_crosses", "crossed"), "C:signal crossed"),
            step("asmcgocall", task!("asmcgocall crossed"), "crossed"),
        ],
    },
    // On i386 it makes the call itself: arguments lie on the stack, where there is no room for a fourth.
    #[cfg(target_arch = "x86")]
    Scenario {
        name: "a callback through crosscall2_panic",
        way: Way::Task(step_panicked),
        steps: &[
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
            step("crosscall2_panic", called!("crosscall2_panic c_panics", "panicked"), "C:signal panicked"),
            step(
                "cgocallback",
                called!("cgocallback crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step("cgocallback", called!("cgocallback crosscall2_panic c_panics", "panicked"), "panicked"),
            step(
                "cgocallback",
                called!("cgocallback crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step("crosscall2_panic", called!("crosscall2_panic c_panics", "panicked"), "C:signal panicked"),
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
        ],
    },
    // On ppc64le the two may differ in their TOC, so that it is a call and not a jump.
    #[cfg(target_arch = "powerpc64")]
    Scenario {
        name: "a callback through crosscall2_panic",
        way: Way::Task(step_panicked),
        steps: &[
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
            step("crosscall2_panic", called!("crosscall2_panic c_panics", "panicked"), "C:signal panicked"),
            step(
                "crosscall2",
                called!("crosscall2 crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2 crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2 crosscall2_panic c_panics", "panicked"),
                "panicked",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2 crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step(
                "crosscall2",
                called!("crosscall2 crosscall2_panic c_panics", "panicked"),
                "C:signal panicked",
            ),
            step("crosscall2_panic", called!("crosscall2_panic c_panics", "panicked"), "C:signal panicked"),
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
        ],
    },
    #[cfg(not(any(target_arch = "x86", target_arch = "powerpc64")))]
    Scenario {
        name: "a callback through crosscall2_panic",
        way: Way::Task(step_panicked),
        steps: &[
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
            step("crosscall2_panic", called!("crosscall2_panic c_panics", "panicked"), "C:signal panicked"),
            step("crosscall2", called!("crosscall2 c_panics", "panicked"), "C:signal panicked"),
            step("cgocallback", called!("cgocallback crosscall2 c_panics", "panicked"), "C:signal panicked"),
            step("cgocallback", called!("cgocallback crosscall2 c_panics", "panicked"), "panicked"),
            step("cgocallback", called!("cgocallback crosscall2 c_panics", "panicked"), "C:signal panicked"),
            step("crosscall2", called!("crosscall2 c_panics", "panicked"), "C:signal panicked"),
            step("asmcgocall", task!("asmcgocall panicked"), "panicked"),
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Scenario {
        name: "a callback through crosscall2_win64",
        way: Way::Task(step_from_windows),
        steps: &[
            step("asmcgocall", task!("asmcgocall from_windows"), "from_windows"),
            step(
                "crosscall2_win64",
                called!("crosscall2_win64 c_windows", "from_windows"),
                "C:signal from_windows",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2_win64 c_windows", "from_windows"),
                "C:signal from_windows",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2_win64 c_windows", "from_windows"),
                "C:1 from_windows",
            ),
            step(
                "cgocallback",
                called!("cgocallback crosscall2_win64 c_windows", "from_windows"),
                "C:signal from_windows",
            ),
            step(
                "crosscall2_win64",
                called!("crosscall2_win64 c_windows", "from_windows"),
                "C:signal from_windows",
            ),
            step("asmcgocall", task!("asmcgocall from_windows"), "from_windows"),
        ],
    },
    Scenario {
        name: "a callback on a thread without a g",
        way: Way::Bare(step_calls_back_here),
        steps: &[step("cgocallback", "cgocallback calls_back_here main", "C:signal")],
    },
    Scenario {
        name: "a callback while no g runs",
        way: Way::G0(step_calls_back_here),
        steps: &[step("cgocallback", "cgocallback calls_back_here main", "calls_back_here main")],
    },
    Scenario {
        name: "a thread's entry",
        way: Way::Bare(step_enters_thread),
        steps: &[
            step("crosscall1", "crosscall1 enters_thread main", "C:signal"),
            step("crosscall1", "crosscall1 enters_thread main", "enters_thread main"),
            step("crosscall1", "crosscall1 enters_thread main", "C:signal"),
        ],
    },
    Scenario {
        name: "a handler on a g",
        way: Way::Task(step_handled),
        steps: &[step("sigtramp", task!("sigtramp handled"), "handled")],
    },
    Scenario {
        name: "a handler on g0",
        way: Way::G0(step_handled_here),
        steps: &[step("sigtramp", "sigtramp handled_here main", "handled_here main")],
    },
    Scenario {
        name: "a handler without a g",
        way: Way::Bare(step_handled_here),
        steps: &[step("sigtramp", "sigtramp handled_here main", "C:signal")],
    },
];

/// The word that a task gives back at its end; others are parked with.
const END: usize = 7;
/// PCs of no function, which stand for C's frames: this and the context.
const C_OF_CONTEXT: usize = 0xc000;
/// The same for C that a signal interrupted.
const C_OF_SIGNAL: usize = 0xcfff;

/// A function pointer that the compiler calls as one: on ppc64le such a call comes by another entry.
fn any<T>(f: T) -> T {
    black_box(f)
}

// What managed code does. No call of a crossing is the last thing that a function does, which would make it
// a jump, and the frame would be missing.

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_current(_: usize) -> usize {
    // SAFETY: the g that is current stays so.
    unsafe {
        let g = any(arch::getg as unsafe extern "C" fn() -> *mut G)();
        any(arch::setg as unsafe extern "C" fn(*mut G))(g);
    }
    black_box(END)
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_no_g() {
    // SAFETY: none is current, and stays so.
    unsafe {
        let g = any(arch::getg as unsafe extern "C" fn() -> *mut G)();
        any(arch::setg as unsafe extern "C" fn(*mut G))(g);
    }
    black_box(());
}

type Asmcgocall = unsafe extern "C" fn(CFn, *mut c_void) -> c_int;
type Systemstack = unsafe extern "C" fn(stackgate::arch::SystemFn, *mut c_void);

/// Defines a task's function and one for other threads that make the same call.
macro_rules! both {
    ($task:ident, $here:ident, $call:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $task(_: usize) -> usize {
            // SAFETY: the callee takes anything.
            unsafe { $call };
            black_box(END)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $here() {
            // SAFETY: the callee takes anything.
            unsafe { $call };
            black_box(());
        }
    };
}

both!(step_calls, step_calls_here, any(arch::asmcgocall as Asmcgocall)(step_c_leaf, NULL));
both!(step_ccalls, step_ccalls_here, ccall_one(step_c_leaf, NULL));
both!(
    step_handled,
    step_handled_here,
    any(arch::sigtramp as unsafe extern "C" fn(c_int, *mut c_void, *mut c_void))(1, NULL, NULL)
);
both!(step_system, step_system_here, any(arch::systemstack as Systemstack)(step_system_leaf, NULL));

const NULL: *mut c_void = core::ptr::null_mut();

/// Defines a task's function that makes one call into C.
macro_rules! calls {
    ($task:ident, $c:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $task(_: usize) -> usize {
            // SAFETY: the callee takes anything.
            unsafe { arch::asmcgocall($c, NULL) };
            black_box(END)
        }
    };
}

calls!(step_called_back, step_c_calls_back);
calls!(step_jumped, step_c_has_jumped);
calls!(step_jumped_deeper, step_c_has_called);
calls!(step_nests, step_c_nests);
calls!(step_crossed, step_c_crosses);
calls!(step_panicked, step_c_panics);
#[cfg(target_arch = "x86_64")]
calls!(step_from_windows, step_c_windows);

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_ccalled_back(_: usize) -> usize {
    // SAFETY: the callee takes anything.
    unsafe { ccall_one(step_c_calls_back, NULL) };
    black_box(END)
}

/// Defines a task's function that makes a call that catches.
macro_rules! catches {
    ($task:ident, $c:ident, $thrown:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $task(_: usize) -> usize {
            let mut thrown = 1;
            let catch =
                any(arch::asmcgocall_catch as unsafe extern "C" fn(CFn, *mut c_void, *mut usize) -> c_int);
            // SAFETY: the callee takes anything.
            unsafe { catch($c, NULL, &raw mut thrown) };
            assert_eq!(thrown, $thrown);
            black_box(END)
        }
    };
}

catches!(step_catches, step_c_leaf, 0);
catches!(step_throws, step_c_outer, 5);

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_mcalls(_: usize) -> usize {
    // SAFETY: `step_next` takes a g and does not return.
    unsafe { any(arch::mcall as unsafe extern "C" fn(arch::McallFn))(step_next) };
    black_box(END)
}

/// Runs on the system stack for a task that has left.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_next(g: *mut G) -> ! {
    // SAFETY: the g has just been left.
    unsafe { forget_parent(g) };
    // SAFETY: the same.
    unsafe { any(arch::gogo as unsafe extern "C" fn(*mut G, usize) -> !)(g, 0) }
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_parks(_: usize) -> usize {
    // SAFETY: in a task, not below C.
    let word = unsafe { arch::park(1) };
    black_box(word);
    black_box(END)
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_parks_by_functions(_: usize) -> usize {
    BY_FUNCTION.store(true, Ordering::Relaxed);
    // SAFETY: in a task, not below C.
    let word = unsafe { any(arch::park_full as unsafe extern "C" fn(usize) -> usize)(1) };
    // SAFETY: the same, resumed by a function and then inline.
    black_box(word + unsafe { arch::park(2) });
    black_box(END)
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_switches(_: usize) -> usize {
    let (this, mut other) = (arch::current(), G::default());
    // SAFETY: in a task, not below C; the stack is for the other one alone, which is left for good.
    unsafe {
        let size = (Word::get((*this).stack.top) - Word::get((*this).stack.limit)) as usize;
        let limit = spare(size);
        stackgate::g_init(&raw mut other, limit, limit.add(size), step_switched).expect("a good stack");
        black_box(arch::switch_to(&raw mut other, this.expose_provenance()));
    }
    black_box(END)
}

/// The task that is switched to.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_switched(other: usize) -> usize {
    // SAFETY: the task that has switched here.
    black_box(unsafe { arch::switch_to(core::ptr::with_exposed_provenance_mut(other), 1) });
    black_box(END)
}

/// Managed code that C calls back, and that calls C again.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_called_back_in(_: *mut c_void, _: usize, _: usize) {
    // SAFETY: the callee takes anything.
    unsafe { arch::asmcgocall(step_c_calls_back_2, NULL) };
    black_box(());
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_outer(_: *mut c_void, _: usize, _: usize) {
    // SAFETY: the callee takes anything.
    unsafe { arch::asmcgocall(step_c_inner, NULL) };
    black_box(());
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_inner(_: *mut c_void, _: usize, _: usize) {
    let throw = any(arch::throw_to as unsafe extern "C" fn(*mut arch::CatchFrame, usize) -> !);
    // SAFETY: `step_throws` catches.
    unsafe { throw((*arch::getg()).catch.get(), 5) }
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_leaf(_: *mut c_void, _: usize, _: usize) {}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_system_leaf(_: *mut c_void) {}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_thread(_: *mut G) {}

// What C does.

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_c_leaf(_: *mut c_void) -> c_int {
    0
}

/// Defines C that calls back.
macro_rules! c_calls_back {
    ($c:ident, $call:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $c(_: *mut c_void) -> c_int {
            // SAFETY: the callee takes anything.
            unsafe { $call };
            black_box(0)
        }
    };
}

/// Memory to move a stack to: says where so many bytes are, aligned as a stack.
pub type Spare = fn(usize) -> *mut u8;
/// It; null where no scenario needs any.
static SPARE: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Says where stacks are moved to.
pub fn set_spare(spare: Spare) {
    SPARE.store(spare as *mut (), Ordering::Relaxed);
}

fn spare(size: usize) -> *mut u8 {
    let f = SPARE.load(Ordering::Relaxed);
    assert!(!f.is_null(), "set_spare comes first");
    // SAFETY: `set_spare` stores one.
    unsafe { core::mem::transmute::<*mut (), Spare>(f)(size) }
}

/// C that moves the stack of the task that called it, and calls back.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_c_moves(g: *mut c_void) -> c_int {
    // SAFETY: curg is in C, and all of its stack is copied.
    unsafe {
        let g = g.cast::<G>();
        let old = [(*g).stack.limit, (*g).stack.top]
            .map(|end| core::ptr::with_exposed_provenance_mut::<u8>(Word::get(end) as usize));
        let size = old[1].addr() - old[0].addr();
        let limit = spare(size);
        let top = limit.add(size);
        limit.copy_from_nonoverlapping(old[0], size);
        cpu::relink(limit, top, old[0], old[1]);
        stack_moved(g, limit, top).expect("a good stack");
        old[0].write_bytes(0xa5, size);
        arch::cgocallback(step_leaf, NULL, 0, 1);
    }
    black_box(0)
}

/// C that calls back from above where the system stack is in use, as after a `longjmp` over managed frames: the words
/// of the call have gone down, where a callback's frame would have them.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_c_has_jumped(_: *mut c_void) -> c_int {
    const WORDS: usize = size_of::<AsmcgocallFrame>() / size_of::<usize>();
    static BELOW: [AtomicUsize; WORDS] = [const { AtomicUsize::new(0) }; WORDS];
    // SAFETY: a call of a task's is under way on this m; it goes to `step_elsewhere`.
    unsafe {
        // On g0, whose address is its m's.
        let m = arch::current().cast::<M>();
        let (used, limit) = ((*m).g0.sched.sp, (*m).g0.stack.limit);
        let call: *const AsmcgocallFrame = core::ptr::with_exposed_provenance(used.get() as usize);
        let below = (&raw const BELOW).cast_mut().cast::<AsmcgocallFrame>();
        below.copy_from_nonoverlapping(call.sub(1), 1);
        (*m).g0.stack.limit = NativeWord::new(below.expose_provenance() as u64);
        (*m).g0.sched.sp = NativeWord::new(below.add(1).expose_provenance() as u64);
        arch::cgocallback(step_leaf, NULL, 0, 1);
        ((*m).g0.sched.sp, (*m).g0.stack.limit) = (used, limit);
    }
    black_box(0)
}

/// C that calls back where it has called over the words of the call, as after a `longjmp` over managed frames: over one
/// of them, which it brings back for the way back.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_c_has_called(_: *mut c_void) -> c_int {
    // SAFETY: a call of a task's is under way on this m; it goes to `step_elsewhere`.
    unsafe {
        // On g0, whose address is its m's.
        let used = (*arch::current()).sched.sp.get() as usize;
        let call: *mut AsmcgocallFrame = core::ptr::with_exposed_provenance_mut(used);
        let g = &raw mut (*call.sub(1)).g;
        let was = g.replace(Ptr::new(core::ptr::null_mut()));
        arch::cgocallback(step_leaf, NULL, 0, 1);
        g.write(was);
    }
    black_box(0)
}

type Cgocallback = unsafe extern "C" fn(CallbackFn, *mut c_void, usize, usize);
type Crosscall2 = unsafe extern "C" fn(CallbackFn, *mut c_void, c_int, usize);

c_calls_back!(step_c_calls_back, any(arch::cgocallback as Cgocallback)(step_leaf, NULL, 0, 1));
c_calls_back!(step_c_calls_back_2, arch::cgocallback(step_leaf, NULL, 0, 2));
c_calls_back!(step_c_nests, arch::cgocallback(step_called_back_in, NULL, 0, 1));
c_calls_back!(step_c_outer, arch::cgocallback(step_outer, NULL, 0, 1));
c_calls_back!(step_c_inner, arch::cgocallback(step_inner, NULL, 0, 2));
c_calls_back!(step_c_crosses, any(arch::crosscall2 as Crosscall2)(step_leaf, NULL, 0, 1));
c_calls_back!(
    step_c_panics,
    any(arch::crosscall2_panic as unsafe extern "C" fn(CallbackFn, *mut c_void, c_int))(step_leaf, NULL, 0)
);
#[cfg(target_arch = "x86_64")]
c_calls_back!(step_c_windows, arch::crosscall2_win64(step_leaf, NULL, 0, 1));

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_calls_back_here() {
    // SAFETY: it goes to `step_elsewhere`.
    unsafe { any(arch::cgocallback as Cgocallback)(step_leaf, NULL, 0, 1) };
    black_box(());
}

/// Signals end here, unless [`set_handler`] says where. No register but those that C keeps survives it.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_handler(_: c_int, _: *mut c_void, _: *mut c_void, _: *mut G) {
    // SAFETY: it takes anything.
    unsafe { black_box(cpu::clobber_volatile as CFn)(NULL) };
    black_box(());
}

/// What `sigtramp` calls: the signal, what the kernel passed, and the g that was current.
pub type Handler = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void, *mut G);
static HANDLER: AtomicPtr<c_void> = AtomicPtr::new(step_handler as *const () as *mut c_void);

/// Says what `sigtramp` calls while scenarios run.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as *mut c_void, Ordering::Relaxed);
}

/// Callbacks that cannot run end here.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_elsewhere(_: CallbackFn, _: *mut c_void, _: usize, _: usize) {}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_enters_thread() {
    let mut m = M::default();
    m.g0.state = NativeWord::new(GState::G0 as u64);
    m.gsignal.state = NativeWord::new(GState::Gsignal as u64);
    with_bounds(&mut m);
    let enter = any(arch::crosscall1 as unsafe extern "C" fn(arch::ThreadFn, *mut G));
    // SAFETY: a g0 that nobody uses.
    unsafe { enter(step_thread, &raw mut m.g0) };
    black_box(());
}

/// The ends of the system stack that scenarios run on.
static BOUNDS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Says which part of the system stack belongs to the m's that scenarios make.
pub fn set_bounds(limit: usize, top: usize) {
    BOUNDS[0].store(limit, Ordering::Relaxed);
    BOUNDS[1].store(top, Ordering::Relaxed);
}

/// Tells an m of its system stack.
fn with_bounds(m: &mut M) {
    let [limit, top] = [0, 1].map(|i: usize| NativeWord::new(BOUNDS[i].load(Ordering::Relaxed) as u64));
    m.g0.stack = Stack { limit, top };
}

/// The system stack's part of a task.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_run(g: *mut G, word: usize) -> usize {
    // SAFETY: a parked g, on an m that runs nothing.
    let word = unsafe {
        // Not `swap`: a signal at each of its instructions would take its reservation away for ever.
        let by_function = BY_FUNCTION.load(Ordering::Relaxed);
        BY_FUNCTION.store(false, Ordering::Relaxed);
        if by_function {
            any(arch::resume_full as unsafe extern "C" fn(*mut G, usize) -> usize)(g, word)
        } else {
            arch::resume(g, word).0
        }
    };
    black_box(word)
}

/// The next [`step_run`] calls the form that C calls.
static BY_FUNCTION: AtomicBool = AtomicBool::new(false);

/// Made-up frames of C, by which a trace shows what it asked for.
///
/// # Safety
/// As the traceback function of `set_cgo_traceback`.
pub unsafe extern "C" fn step_traceback(arg: *mut TracebackArg) {
    // SAFETY: stackgate passes one, with a buffer.
    unsafe {
        let pc = if (*arg).sigcontext.is_null() { C_OF_CONTEXT + (*arg).context } else { C_OF_SIGNAL };
        (*arg).buf.write(pc);
    }
}

/// A scenario is under way: what happens before and after it is the set-up's.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// Where a scenario begins, for who watches from outside.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_scenario_begins() {
    UNDER_WAY.store(true, Ordering::Relaxed);
}

/// Where it has ended.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn step_scenario_ends() {
    UNDER_WAY.store(false, Ordering::Relaxed);
}

/// Whether what runs now is a scenario's.
pub fn under_way() -> bool {
    UNDER_WAY.load(Ordering::Relaxed)
}

/// How a CPU traps by itself after each instruction of a thread, which gets SIGTRAP then.
pub struct EveryInstruction {
    /// From its return on.
    pub begin: extern "C" fn(),
    /// From a handler's return on. The argument is the handler's `ucontext_t`.
    pub end: unsafe fn(*mut c_void),
}

/// The trace of what has been interrupted at `at`, as a line: the PC, `m` or `C` and the PC to look up for each
/// frame, the reason of the end. Addresses that are not in a crossing mean nothing. Behind `!` a rule that
/// was broken there.
pub fn trace_line(at: usize, broken: Option<&str>, mut trace: Traceback) -> Line {
    let mut line = Line::default();
    let _ = write!(line, "@ {at:x}");
    if let Some(broken) = broken {
        let _ = write!(line, " !{broken}");
    }
    let mut left = 40;
    while left > 0
        && let Some(pc) = trace.next()
    {
        left -= 1;
        let _ = write!(
            line,
            " {}{:x}",
            if pc.managed { 'm' } else { 'C' },
            if pc.managed { pc.lookup() } else { pc.pc }
        );
    }
    let _ = writeln!(line, " {}", trace.stop().map_or("more", |stop| stop.name()));
    line
}

/// Text of limited length. QEMU 7.2 enters a handler on x86_64 with SP a multiple of 16, where Linux and the
/// ABI have it 8 less; a local that is aligned more strictly makes the compiler see to SP itself.
#[repr(align(64))]
pub struct Line {
    bytes: [u8; 1024],
    used: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 1024], used: 0 }
    }
}

impl Line {
    /// What has been written.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.used..self.used + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}

/// Says what `g` is doing, as `stackgate::resume` does.
///
/// # Safety
/// `g` is valid.
unsafe fn set(g: *mut G, state: GState) {
    // SAFETY: by the caller.
    unsafe { (*g).state = NativeWord::new(state as u64) };
}

/// Runs a scenario, as a part of the caller: nothing lies between its frame and theirs. `g` is a task whose
/// function is the scenario's, if it has one; `begin` and `end` come directly before and after.
///
/// # Safety
/// On a thread that is no m, with `m` and `g` for this alone.
#[inline(always)]
pub unsafe fn run(scenario: &Scenario, m: *mut M, g: *mut G, begin: extern "C" fn(), end: extern "C" fn()) {
    CALLBACK_ELSEWHERE.store(step_elsewhere as *const () as *mut c_void, Ordering::Release);
    SIGNAL_HANDLER.store(HANDLER.load(Ordering::Relaxed), Ordering::Release);
    // SAFETY: by the caller.
    unsafe {
        match scenario.way {
            Way::Task(_) => {
                adopt(m);
                any(begin)();
                // For the one that calls what it is told; the others take no notice.
                let mut block = Movable::new(step_c_moves, g.cast());
                let word = (&raw mut block).expose_provenance();
                loop {
                    set(g, GState::Running);
                    forget_parent(g);
                    black_box(step_run(g, word));
                    if (*g).state.get() == GState::Finished as u64 {
                        break;
                    }
                    set(g, GState::Parked);
                }
            }
            Way::G0(f) => {
                adopt(m);
                any(begin)();
                any(f)();
            }
            Way::Bare(f) => {
                any(begin)();
                any(f)();
            }
        }
    }
    any(end)();
    if !matches!(scenario.way, Way::Bare(_)) {
        m_release().expect("where it was adopted");
    }
}

/// Makes the way from a g's first frame to its m's stack a wrong one, as it is after the g has run on another
/// thread: whoever lets the g run has to write it.
///
/// # Safety
/// The g is parked.
unsafe fn forget_parent(g: *mut G) {
    // SAFETY: the upper end of a stack that `g_init` has seen.
    unsafe {
        let top: *mut arch::BaseFrame = core::ptr::with_exposed_provenance_mut((*g).stack.top.get() as usize);
        (*top.sub(1)).parent = Default::default();
    }
}

/// Makes this thread an m.
///
/// # Safety
/// As [`run`].
unsafe fn adopt(m: *mut M) {
    // SAFETY: by the caller.
    unsafe {
        m_adopt(m).expect("a thread that is no m");
        with_bounds(&mut *m);
    }
    CALLBACK_ELSEWHERE.store(step_elsewhere as *const () as *mut c_void, Ordering::Release);
    SIGNAL_HANDLER.store(HANDLER.load(Ordering::Relaxed), Ordering::Release);
}

/// One line a stretch: scenario, function, physical list, logical list, with tabs between.
///
/// # Errors
/// Those of `to`.
pub fn write_expected(scenario: &Scenario, to: &mut dyn fmt::Write) -> fmt::Result {
    let (before, after) = match scenario.way {
        Way::Task(_) => (ENTER, LEAVE),
        _ => (&[][..], &[][..]),
    };
    for step in before.iter().chain(scenario.steps).chain(after) {
        writeln!(to, "{}\t{}\t{}\t{}", scenario.name, step.function, step.physical, step.logical)?;
    }
    Ok(())
}
