//! What ends a program is told with everything that was going on: C's frames and managed ones, and then the process
//! dies by the signal that came.

use crate::cases::overflow::signal_stack;
use crate::child::{Ending, in_child};
use crate::setup::{in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stackgate::arch::unwind::Registers;
use stackgate::arch::{Cpu, Native};
use stackgate::{Platform, cgocall, current_m};
use stackgate_libc::symbolizer::install;
use stackgate_libc::{Hosted, Verdict, handle_faults, handle_overflow, handle_signal};
use std::thread;
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn c_fault_outer(how: *mut c_void) -> c_int;
}

/// What a program does, on the thread that goes wrong: there must be room for a traceback with names.
fn handled() {
    handle_faults().expect("handlers");
    signal_stack(64 << 10);
}

/// What goes wrong, in the order of C's own list.
const FAULTS: [(c_int, &str, bool); 3] =
    [(libc::SIGSEGV, "SIGSEGV", false), (libc::SIGFPE, "SIGFPE", true), (libc::SIGABRT, "SIGABRT", true)];

/// The report's lines, once it has been seen to be one and the process to have died of what it says.
fn report(ending: &Ending, signal: c_int, head: &str) -> Vec<String> {
    let text = &ending.errors;
    check_eq!(ending.signal, Some(signal), "{ending:?}");
    check_eq!(text.matches("stackgate: fatal: ").count(), 1, "{text}");
    check!(text.contains(&format!("stackgate: fatal: {head}\n")), "{text}");
    check!(text.contains(&format!("  signal {signal}\n")), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// Checks that the functions are there in this order, innermost first, by parts of their names.
fn in_order(lines: &[String], functions: &[&str]) {
    check!(lines.iter().all(|line| !line.starts_with("... stopped")), "to the end: {lines:#?}");
    let mut at = 0;
    for function in functions {
        let found = lines[at..].iter().position(|line| !line.starts_with(' ') && line.contains(function));
        check!(found.is_some(), "no {function} below line {at} of {lines:#?}");
        at += found.unwrap_or(0) + 1;
    }
}

#[inline(never)]
fn managed_outer(f: &mut dyn FnMut()) {
    in_c(|| {
        in_callback(|| managed_inner(f));
    });
    black_box(());
}

#[inline(never)]
fn managed_inner(f: &mut dyn FnMut()) {
    f();
    black_box(());
}

/// What comes to stand below a fault: two parts of managed code, and C between them.
const BELOW: [&str; 3] = ["managed_inner", "managed_outer", "in_task::entry"];

fn in_c_below_a_callback() {
    check_eq!(install(), Ok(()));
    for (how, (signal, name, sent)) in FAULTS.into_iter().enumerate() {
        let ending = in_child(|| {
            handled();
            handle_faults().expect("again does nothing");
            let mut how = how as c_int;
            in_task(|| {
                managed_outer(&mut || {
                    // SAFETY: it takes a number, and does not return.
                    unsafe { cgocall(c_fault_outer, (&raw mut how).cast()) };
                });
            });
            0
        });
        let lines = report(&ending, signal, &format!("{name}{}", if sent { ", which was sent" } else { "" }));
        let c = ["c_fault_inner", "c_fault_middle", "c_fault_outer"];
        // arm's unwind tables end in the C library's `abort`, which does not return.
        let seen = if signal == libc::SIGABRT && Native::NAME == "arm" { &[][..] } else { &c[..] };
        in_order(&lines, &[seen, &BELOW].concat());
        check!(
            lines.iter().any(|line| line.starts_with("    task 0x") && line.ends_with(", in C")),
            "{lines:#?}"
        );
        check_eq!(lines.iter().any(|line| line.contains("c/faults.c:")), !seen.is_empty(), "{lines:#?}");
        // s390x tells the page alone.
        let told = ["    fault 0x10  ", "    fault 0x0  "].iter().any(|fault| ending.errors.contains(fault));
        check_eq!(told, signal == libc::SIGSEGV, "{lines:#?}");
    }
}

fn in_managed_code_below_c() {
    check_eq!(install(), Ok(()));
    for (signal, name, sent) in FAULTS {
        let ending = in_child(|| {
            handled();
            in_task(|| {
                managed_outer(&mut || match signal {
                    // SAFETY: none: this is the fault.
                    libc::SIGSEGV => unsafe {
                        black_box(null_mut::<u32>()).wrapping_add(4).write_volatile(1)
                    },
                    // SAFETY: takes any number.
                    _ => _ = unsafe { libc::raise(signal) },
                });
            });
            0
        });
        let lines = report(&ending, signal, &format!("{name}{}", if sent { ", which was sent" } else { "" }));
        in_order(&lines, &BELOW);
        check!(
            lines.iter().any(|line| line.starts_with("    task 0x") && !line.contains("in C")),
            "{lines:#?}"
        );
    }
}

/// Goes wrong in C where no m is.
fn goes_wrong(how: usize) {
    assert!(current_m().is_none());
    let mut how = how as c_int;
    // SAFETY: it takes a number, and does not return.
    unsafe { c_fault_outer((&raw mut how).cast()) };
}

fn on_a_thread_without_an_m() {
    unsafe extern "C" fn thread(how: *mut c_void) -> *mut c_void {
        signal_stack(64 << 10);
        goes_wrong(how.addr());
        how
    }
    check_eq!(install(), Ok(()));
    for (how, (signal, name, sent)) in FAULTS.into_iter().enumerate() {
        for made_by_c in [false, true] {
            let ending = in_child(|| {
                handled();
                if !made_by_c {
                    goes_wrong(how);
                }
                let mut id = 0;
                // SAFETY: a function that takes the number, on a thread that nothing of ours has begun.
                unsafe {
                    let how = core::ptr::without_provenance_mut(how);
                    assert_eq!(libc::pthread_create(&mut id, core::ptr::null(), as_start(thread), how), 0);
                    libc::pthread_join(id, null_mut());
                }
                0
            });
            let head = format!("{name}{}", if sent { ", which was sent" } else { "" });
            let lines = report(&ending, signal, &head);
            check!(lines.iter().any(|line| line == "    on a thread without an m"), "{lines:#?}");
            // arm's unwind tables end in the C library's `abort`, which does not return.
            if signal != libc::SIGABRT || Native::NAME != "arm" {
                in_order(&lines, &["c_fault_inner", "c_fault_middle", "c_fault_outer", "goes_wrong"]);
            }
        }
    }
}

/// Where SP has gone astray there is nothing to read, and the handler goes on nevertheless: one frame is told.
fn without_a_stack() {
    static NOWHERE: AtomicUsize = AtomicUsize::new(0);
    static TOP: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn astray(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
        /// The kernel's registers lie in less.
        const NEAR: usize = 1 << 10;
        // SAFETY: the handler's third argument, on the signal stack: what SP's value is there comes to be SP's.
        unsafe {
            let sp = Registers::from_ucontext(ucontext).sp();
            let words = (TOP.load(Ordering::SeqCst) - ucontext.addr()).min(NEAR) / size_of::<usize>();
            for word in core::slice::from_raw_parts_mut(ucontext.cast::<usize>(), words) {
                if *word == sp {
                    *word = NOWHERE.load(Ordering::SeqCst);
                }
            }
        }
        Verdict::Done
    }
    check_eq!(install(), Ok(()));
    let ending = in_child(|| {
        handle_faults().expect("handlers");
        TOP.store(signal_stack(64 << 10).top, Ordering::SeqCst);
        let page = Hosted.page_size();
        let memory = Hosted.map(4 * page).expect("memory");
        // SAFETY: new memory; a handler of this type.
        unsafe {
            Hosted.guard(memory, 4 * page).expect("a guard");
            NOWHERE.store(memory.as_ptr().addr() + 2 * page, Ordering::SeqCst);
            handle_signal(libc::SIGUSR1, astray).expect("a signal");
            libc::raise(libc::SIGUSR1);
        }
        0
    });
    let lines = report(&ending, libc::SIGSEGV, "SIGSEGV");
    check!(lines.iter().any(|line| line == "    on a thread without an m"), "{lines:#?}");
    let frames = lines.iter().filter(|line| line.starts_with('\t') && line.contains("pc=0x"));
    check_eq!(frames.count(), 1, "{lines:#?}");
}

/// A thread's start routine, of the type that the `libc` crate has.
fn as_start(
    f: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
) -> extern "C" fn(*mut c_void) -> *mut c_void {
    // SAFETY: the same but for the word.
    unsafe { core::mem::transmute(f) }
}

/// What was there before comes afterwards, and may put it right: nothing is told of a fault that is none.
fn a_former_handler() {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn counts(_: c_int) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    let ending = in_child(|| {
        // SAFETY: a handler that counts.
        unsafe { libc::signal(libc::SIGFPE, counts as *const () as usize) };
        handled();
        for n in 1..=2 {
            // SAFETY: takes any number.
            unsafe { libc::raise(libc::SIGFPE) };
            assert_eq!(HANDLED.load(Ordering::SeqCst), n);
        }
        17
    });
    check_eq!(ending.code, Some(17), "{ending:?}");
    check_eq!(ending.errors.matches("stackgate: fatal: SIGFPE, which was sent\n").count(), 2, "told first");
    let ending = in_child(|| {
        handle_overflow().expect("a handler");
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGFPE, counts as *const () as usize) };
        // SAFETY: takes any number.
        unsafe { libc::raise(libc::SIGFPE) };
        18
    });
    check_eq!((ending.code, ending.errors.as_str()), (Some(18), ""), "only overflows are told");
}

/// A program ends at once, whatever its other threads do in C.
fn while_another_thread_is_in_c() {
    static IN_C: AtomicBool = AtomicBool::new(false);
    let start = Instant::now();
    let ending = in_child(|| {
        handled();
        thread::spawn(|| {
            in_task(|| {
                in_c(|| {
                    IN_C.store(true, Ordering::SeqCst);
                    thread::sleep(Duration::from_secs(100));
                });
            });
        });
        while !IN_C.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        in_task(|| {
            through_abort();
        });
        0
    });
    check_eq!(ending.signal, Some(libc::SIGABRT), "{ending:?}");
    check!(ending.errors.contains("stackgate: fatal: "), "{ending:?}");
    check!(start.elapsed() < Duration::from_secs(50), "it waits for nobody");
}

/// Ends the program by name from a callback: there is no catch.
fn through_abort() {
    in_c(|| {
        in_callback(|| {
            // SAFETY: nothing has a destructor.
            unsafe { stackgate::throw(core::num::NonZeroUsize::MIN) }
        });
    });
}

cases! {
    "faults";
    "in C below a callback" => in_c_below_a_callback;
    "in managed code below C" => in_managed_code_below_c;
    "without an m" => on_a_thread_without_an_m;
    "without a stack" => without_a_stack;
    "a former handler" => a_former_handler;
    "while another thread is in C" => while_another_thread_is_in_c;
}
