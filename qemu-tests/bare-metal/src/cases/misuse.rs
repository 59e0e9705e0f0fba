//! Mistakes get an error that says what to do, or end the program by name.

use crate::setup::{Task, adopted, bounds, in_c, in_callback, in_task};
use crate::{board, cases, check, check_eq, libc, memory, signal};
use core::ffi::{c_int, c_void};
use stackgate::{
    AdoptError, G, InitError, M, ParkError, PlatformError, ReleaseError, ResumeError, StackError, arch,
    g_init, m_adopt, m_release, notify_runtime_init_done, park, resume, runtime_init_begin,
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

fn callback_without_an_m() {
    calls_back();
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

unsafe extern "C" {
    fn libc_write(fd: c_int, from: *const c_void, n: usize) -> isize;
    fn libc_mmap(
        at: *mut c_void,
        n: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: isize,
    ) -> *mut c_void;
    fn libc_munmap(at: *mut c_void, n: usize) -> c_int;
    fn libc_pthread_create() -> isize;
}

/// The names of `linker/libc.x`: a console, an arena that ends, and an error with a name for the rest.
fn services() {
    let text = b"libc_write writes here\n";
    let null = core::ptr::null_mut;
    // SAFETY: the defaults of this program.
    unsafe {
        check_eq!(libc_write(1, text.as_ptr().cast(), text.len()), text.len() as isize);
        let arena = memory::arena();
        let first = libc_mmap(null(), 100, 3, 0x22, -1, 0);
        let second = libc_mmap(null(), 100, 3, 0x22, -1, 0);
        check!(arena.contains(&first.addr()) && arena.contains(&second.addr()), "in the arena");
        check_eq!(second.addr() - first.addr(), 128, "one behind the other, aligned");
        first.cast::<u8>().write_bytes(1, 100);
        check_eq!(libc_mmap(null(), arena.len(), 3, 0x22, -1, 0).addr(), usize::MAX, "more than there is");
        check_eq!(libc::errno(), 12, "ENOMEM");
        check_eq!(libc_munmap(first, 100), 0);
        check_eq!(libc_pthread_create(), -1);
        check_eq!(libc::errno(), 38, "ENOSYS");
    }
}

cases! {
    "misuse";
    "errors" => errors_where_a_caller_can_take_them;
    "callback without an m" (fatal "callback on a thread without an m") => callback_without_an_m;
    "callback while no g runs" (fatal "callback while no g runs on this m") => callback_while_no_g_runs;
    "callback on a managed stack" (fatal "callback on a g that is not g0") => callback_on_a_managed_stack;
    "callback in an interrupt" (fatal "callback from a signal handler") => callback_in_an_interrupt;
    "the names of libc" => services;
    "callback before initialisation" (fatal "callback before initialisation") => callback_before_initialisation;
}
