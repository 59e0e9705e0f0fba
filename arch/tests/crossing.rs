//! The crossings by themselves, without core: one task that calls, is called back, throws and parks.

#![allow(missing_docs, reason = "a test program")]

use core::ffi::{c_int, c_void};
use stackgate_arch::*;

const STACK: usize = 64 << 10;

/// A task of its own, as an embedder without core would set it up.
struct Task {
    g: Box<G<Native>>,
    _stack: Box<[u128]>,
}

fn word(value: usize) -> NativeWord {
    frame::Word::new(value as u64)
}

fn task(entry: EntryFn) -> Task {
    let mut stack = vec![0u128; STACK / 16].into_boxed_slice();
    let limit = stack.as_mut_ptr() as usize;
    let top = limit + STACK;
    let mut g: Box<G<Native>> = Box::default();
    g.state = word(GState::Parked as usize);
    g.stack = Stack { limit: word(limit), top: word(top) };
    let base = (top - size_of::<BaseFrame>()) as *mut BaseFrame;
    // SAFETY: the uppermost bytes of the stack, which is aligned to 16.
    unsafe { base.write(BaseFrame { entry: word(entry as usize), ..BaseFrame::default() }) };
    // SAFETY: as above.
    g.sched = unsafe { begin_below(base, &raw const g_begin as usize) };
    Task { g, _stack: stack }
}

fn adopt(m: &mut M<Native>) {
    let g0 = &raw mut *m as *mut G<Native>;
    m.g0.state = word(GState::G0 as usize);
    m.g0.m_in = frame::Ptr::new(m);
    // SAFETY: g0 of this thread, on whose stack we are; `m` outlives the test.
    unsafe { setg(g0) };
}

unsafe extern "C" fn c_inc(arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the caller's usize.
    unsafe { *arg.cast::<usize>() += 1 };
    41
}

unsafe extern "C" fn c_calls_back(arg: *mut c_void) -> c_int {
    // SAFETY: runs as C on the system stack, `managed` takes what it is given.
    unsafe { cgocallback(managed, arg, 7, 0xc0) };
    // SAFETY: as above.
    unsafe { crosscall2(managed, arg, -7, 0xc1) };
    5
}

unsafe extern "C" fn managed(frame: *mut c_void, n: usize, ctxt: usize) {
    // SAFETY: `frame` is the task's usize.
    let count = unsafe { &mut *frame.cast::<usize>() };
    assert_eq!(n as isize, if ctxt == 0xc0 { 7 } else { -7 });
    *count += 100;
    let mut inner = 0usize;
    if *count < 1000 {
        // SAFETY: on curg.
        let got = unsafe { asmcgocall(c_calls_back, frame) };
        assert_eq!(got, 5);
    }
    // SAFETY: on curg.
    assert_eq!(unsafe { asmcgocall(c_inc, (&raw mut inner).cast()) }, 41);
    assert_eq!(inner, 1);
}

unsafe extern "C" fn c_throws(arg: *mut c_void) -> c_int {
    // SAFETY: runs as C on the system stack.
    unsafe { cgocallback(throws, arg, 0, 0) };
    unreachable!("the callback throws");
}

unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
    // SAFETY: on curg, with a catch below.
    unsafe {
        let g = &*getg();
        throw_to(g.catch.get(), 77)
    }
}

unsafe extern "C" fn main_of_task(value: usize) -> usize {
    assert_eq!(value, 1);
    let mut count = 0usize;
    let arg = (&raw mut count).cast::<c_void>();
    // SAFETY: on curg all the way.
    unsafe {
        assert_eq!(asmcgocall(c_inc, arg), 41);
        assert_eq!(count, 1);
        assert_eq!(asmcgocall(c_calls_back, arg), 5);
        assert!(count > 1000);
        assert_eq!(park(2), 3);
        let mut thrown = 9usize;
        assert_eq!(asmcgocall_catch(c_inc, arg, &raw mut thrown), 41);
        assert_eq!(thrown, 0);
        for _ in 0..100 {
            assert_eq!(asmcgocall_catch(c_throws, arg, &raw mut thrown), 0);
            assert_eq!(thrown, 77);
        }
        assert_eq!(park(4), 5);
    }
    6
}

#[test]
fn a_task_calls_is_called_throws_and_parks() {
    let mut m: Box<M<Native>> = Box::default();
    adopt(&mut m);
    let mut task = task(main_of_task);
    let g: *mut G<Native> = &raw mut *task.g;
    // SAFETY: g0 is current, `g` is ready.
    unsafe {
        assert_eq!(resume(g, 1), (2, g));
        assert_eq!(resume(g, 3), (4, g));
        assert_eq!(resume(g, 5), (6, g));
        assert_eq!(getg(), &raw mut *m as *mut G<Native>);
        setg(core::ptr::null_mut());
        assert!(getg().is_null());
        let mut count = 0usize;
        assert_eq!(asmcgocall(c_inc, (&raw mut count).cast()), 41, "without a g");
    }
    assert_eq!(frame::Word::get(task.g.state), GState::Finished as u64);
}
