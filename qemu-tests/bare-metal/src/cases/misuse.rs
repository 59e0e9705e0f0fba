//! Mistakes get an error that says what to do, or end the program by name.

use crate::setup::{Task, adopted, bounds, in_c, in_callback, in_task};
use crate::{board, cases, check, check_eq, memory, signal};
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::{
    AdoptError, ExtraMs, G, InitError, M, ParkError, PlatformError, ReleaseError, ResumeError, StackError,
    add_extra_m, arch, current_g, current_m, extra_ms, g_init, m_adopt, m_release, notify_runtime_init_done,
    park, resume, runtime_init_begin,
};

unsafe extern "C" fn entry(word: usize) -> usize {
    word
}

fn errors_where_a_caller_can_take_them() {
    // SAFETY: refused.
    unsafe {
        let null = core::ptr::null_mut;
        check_eq!(m_adopt(core::ptr::null_mut()), Err(AdoptError::BadAddress));
        check_eq!(g_init(core::ptr::null_mut(), null(), null(), entry), Err(StackError::BadAddress));
    }
    check_eq!(m_release(), Err(ReleaseError::NotOnG0));
    check_eq!(park(1), Err(ParkError::NotATask));
    check_eq!(notify_runtime_init_done(), Err(InitError::NotBegun));
    check_eq!(stackgate::set_platform(&crate::platform::Machine), Err(PlatformError::AlreadySet));
    let mut g = G::default();
    // SAFETY: refused.
    check_eq!(unsafe { resume(&raw mut g, 0) }, Err(ResumeError::NoM));
    adopted(|_| {
        let mut m = M::default();
        // SAFETY: refused.
        unsafe {
            check_eq!(m_adopt(&raw mut m), Err(AdoptError::AlreadyAnM));
            check_eq!(resume(&raw mut g, 0), Err(ResumeError::NotParked));
        }
        let mut task = Task::new(stackgate::MIN_STACK, entry);
        check_eq!(task.resume(5), stackgate::Resumed::Finished(5), "the smallest stack works");
    });
    in_task(|| {
        check_eq!(m_release(), Err(ReleaseError::NotOnG0));
        in_c(|| {
            check_eq!(m_release(), Err(ReleaseError::InUse));
            in_callback(|| check_eq!(park(1), Err(ParkError::BelowC)));
        });
    });
}

unsafe extern "C" fn managed(_: *mut c_void, _: usize, _: usize) {}

/// Calls managed code as C does.
fn calls_back() {
    // SAFETY: it goes to core's fatal message.
    unsafe { arch::cgocallback(managed, core::ptr::null_mut(), 0, 0) };
}

/// With memory left, the platform would give it one.
fn callback_without_an_m() {
    while memory::take_arena(memory::ARENA_ALIGN).is_some() {}
    calls_back();
}

/// The same with one that was prepared: its task's stack is where the callback runs.
fn callback_with_an_extra_m() {
    static RAN_AT: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn notes(_: *mut c_void, _: usize, _: usize) {
        let local = 0u8;
        RAN_AT.store((&raw const local).addr(), Ordering::Relaxed);
        check!(current_m().is_some() && current_g().is_some(), "it has an m and a g");
    }
    let stack = memory::managed_stack(memory::managed_count() - 1);
    // SAFETY: no case after this one has so many tasks, and C calls.
    unsafe {
        add_extra_m(core::ptr::with_exposed_provenance_mut(stack.start), stack.len()).expect("enough room");
        arch::cgocallback(notes, core::ptr::null_mut(), 0, 0);
    }
    check!(stack.contains(&RAN_AT.load(Ordering::Relaxed)), "on the task's stack");
    check_eq!((current_m(), current_g()), (None, None), "it has been given back");
    check_eq!(extra_ms(), ExtraMs { made: 1, ready: 1 });
}

fn callback_while_no_g_runs() {
    adopted(|_| calls_back());
}

fn callback_on_a_managed_stack() {
    in_task(calls_back);
}

fn callback_in_an_interrupt() {
    signal::handle(|_| calls_back());
    let mut m = M::default();
    // SAFETY: the m outlives what follows, which does not come back.
    unsafe {
        m_adopt(&raw mut m).expect("a CPU that is no m");
        bounds(&raw mut m);
    }
    board::timer_arm(1000);
    board::unmask();
    for i in 0..1_000_000 {
        core::hint::black_box(i);
    }
}

fn callback_before_initialisation() {
    runtime_init_begin().expect("nobody else");
    in_task(|| in_c(|| in_callback(|| ())));
}

/// A task writes below its stack: a machine that protects guards ends it there, others find the guard changed.
fn a_stack_runs_over() {
    let guard = memory::managed_stack(0).start - size_of::<usize>();
    // SAFETY: nobody keeps anything there.
    unsafe { core::ptr::with_exposed_provenance_mut::<usize>(guard).write_volatile(0) };
    if board::PROTECTED_GUARDS != 0 {
        panic!("the machine has let it be written");
    }
}

cases! {
    "misuse";
    "a stack runs over" (fatal "a stack has run over") => a_stack_runs_over;
    "errors" => errors_where_a_caller_can_take_them;
    "callback without an m" (fatal "callback on a thread without an m") => callback_without_an_m;
    "callback with an extra m" => callback_with_an_extra_m;
    "callback while no g runs" (fatal "callback while no g runs on this m") => callback_while_no_g_runs;
    "callback on a managed stack" (fatal "callback on a g that is not g0") => callback_on_a_managed_stack;
    "callback in an interrupt" (fatal "callback from a signal handler") => callback_in_an_interrupt;
    "callback before initialisation" (fatal "callback before initialisation") => callback_before_initialisation;
}
