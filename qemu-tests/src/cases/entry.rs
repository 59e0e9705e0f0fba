//! What C, and managed code, find at their entry.

use crate::cpu::{self, entry_state};
use crate::setup::{adopted, in_c, in_task};
use crate::{cases, check_eq};
use core::ffi::{c_int, c_void};
use stackgate::arch;

/// The state as `entry_state` writes it.
type State = [usize; 8];

unsafe extern "C" fn state_in_c(state: *mut c_void) -> c_int {
    // SAFETY: callers pass a State.
    unsafe { entry_state(state.cast()) }
}

/// Checks what a crossing's callee finds.
fn checked(what: &str, run: impl FnOnce(*mut State)) {
    found(what, true, run);
}

fn found(what: &str, crossing: bool, run: impl FnOnce(*mut State)) {
    let mut state: State = [0; 8];
    run(&raw mut state);
    check_eq!(state[0] % cpu::SP_ALIGN, cpu::SP_AT_ENTRY, "{what}: SP {:#x}", state[0]);
    cpu::check_entry(what, &state, crossing);
}

/// `entry_state` itself is the C function, so that nothing comes between.
fn as_c_fn() -> stackgate::CFn {
    // SAFETY: the same function with its argument's type forgotten.
    unsafe { core::mem::transmute::<unsafe extern "C" fn(*mut State) -> c_int, stackgate::CFn>(entry_state) }
}

fn as_callback() -> stackgate::CallbackFn {
    // SAFETY: the result is ignored, further arguments are ignored by the function.
    unsafe {
        core::mem::transmute::<unsafe extern "C" fn(*mut State) -> c_int, stackgate::CallbackFn>(entry_state)
    }
}

fn as_system_fn() -> stackgate::arch::SystemFn {
    // SAFETY: the result is ignored.
    unsafe { core::mem::transmute::<unsafe extern "C" fn(*mut State) -> c_int, arch::SystemFn>(entry_state) }
}

fn plain_call() {
    // The test itself: what a compiler's own call looks like.
    found("a plain call", false, |state| {
        // SAFETY: takes a State.
        unsafe { entry_state(state) };
    });
}

fn asmcgocall() {
    // SAFETY: takes a State.
    in_task(|| checked("asmcgocall", |s| unsafe { _ = arch::asmcgocall(as_c_fn(), s.cast()) }));
}

fn asmcgocall_on_g0() {
    // SAFETY: takes a State.
    adopted(|_| checked("asmcgocall on g0", |s| unsafe { _ = arch::asmcgocall(as_c_fn(), s.cast()) }));
}

fn asmcgocall_without_g() {
    // SAFETY: takes a State.
    checked("asmcgocall without a g", |s| unsafe { _ = arch::asmcgocall(as_c_fn(), s.cast()) });
}

/// Calls from where SP is a multiple of no more than it always is.
fn from_odd_places(what: &str) {
    for more in (0..cpu::SP_ALIGN).step_by(cpu::SP_LEAST) {
        // SAFETY: takes a State; SP is a multiple of what it has to be.
        checked(what, |s| unsafe { _ = cpu::variable_frame(more, as_c_fn(), s.cast()) });
    }
}

fn asmcgocall_from_odd_places() {
    from_odd_places("asmcgocall without a g");
    adopted(|_| from_odd_places("asmcgocall on g0"));
    in_task(|| from_odd_places("asmcgocall"));
}

fn ccall() {
    // SAFETY: takes a State.
    in_task(|| checked("ccall", |s| unsafe { _ = cpu::ccall_one(as_c_fn(), s.cast()) }));
}

fn ccall_on_g0() {
    // SAFETY: takes a State.
    adopted(|_| checked("ccall on g0", |s| unsafe { _ = cpu::ccall_one(as_c_fn(), s.cast()) }));
}

fn systemstack() {
    // SAFETY: takes a State.
    in_task(|| checked("systemstack", |s| unsafe { arch::systemstack(as_system_fn(), s.cast()) }));
}

fn asmcgocall_catch() {
    in_task(|| {
        let mut thrown = 0usize;
        checked("asmcgocall_catch", |s| {
            // SAFETY: takes a State.
            unsafe { arch::asmcgocall_catch(as_c_fn(), s.cast(), &raw mut thrown) };
        });
    });
}

fn cgocallback() {
    in_task(|| {
        in_c(|| {
            checked("cgocallback", |s| {
                // SAFETY: takes a State.
                unsafe { arch::cgocallback(as_callback(), s.cast(), 0, 0) };
            });
        });
    });
}

fn crosscall2() {
    in_task(|| {
        in_c(|| {
            checked("crosscall2", |s| {
                // SAFETY: takes a State.
                unsafe { arch::crosscall2(as_callback(), s.cast(), 0, 0) };
            });
        });
    });
}

fn nested() {
    in_task(|| {
        in_c(|| {
            crate::setup::in_callback(|| {
                // SAFETY: takes a State.
                checked("asmcgocall in a callback", |s| unsafe {
                    _ = arch::asmcgocall(as_c_fn(), s.cast());
                });
            });
        });
    });
}

fn a_task() {
    static STATE: std::sync::Mutex<State> = std::sync::Mutex::new([0; 8]);
    unsafe extern "C" fn entry(_: usize) -> usize {
        let mut state: State = [0; 8];
        // SAFETY: takes a State.
        unsafe { state_in_c((&raw mut state).cast()) };
        *STATE.lock().expect("no other user") = state;
        0
    }
    adopted(|_| {
        crate::setup::Task::new(64 << 10, entry).resume(0);
    });
    // Called by a compiled function in the task: aligned if the task's own entry was.
    check_eq!(STATE.lock().expect("no other user")[0] % cpu::SP_ALIGN, cpu::SP_AT_ENTRY);
}

cases! {
    "entry";
    "a plain call" => plain_call;
    "asmcgocall" => asmcgocall;
    "asmcgocall on g0" => asmcgocall_on_g0;
    "asmcgocall without a g" => asmcgocall_without_g;
    "asmcgocall from odd places" => asmcgocall_from_odd_places;
    "ccall" => ccall;
    "ccall on g0" => ccall_on_g0;
    "systemstack" => systemstack;
    "asmcgocall_catch" => asmcgocall_catch;
    "cgocallback" => cgocallback;
    "crosscall2" => crosscall2;
    "nested" => nested;
    "a task" => a_task;
}
