//! The four paths of the calls into C: from a g, on g0, on gsignal, without a g.

use crate::cpu::{self, Wide};
use crate::setup::{adopted, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use stackgate::{M, arch, cgocall, current_g, current_m, on_system_stack, topofstack};

/// What C saw.
#[derive(Default)]
struct Seen {
    g: usize,
    sp: usize,
    calls: usize,
}

unsafe extern "C" fn look(seen: *mut c_void) -> c_int {
    let local = 0u8;
    // SAFETY: callers pass a Seen.
    let seen = unsafe { &mut *seen.cast::<Seen>() };
    seen.g = current_g().map_or(0, |g| g.addr());
    seen.sp = (&raw const local).addr();
    seen.calls += 1;
    -6
}

unsafe extern "C" fn look_managed(seen: *mut c_void) {
    // SAFETY: as `look`.
    unsafe { look(seen) };
}

unsafe extern "C" fn three_words(a: usize, b: usize, c: usize) -> Wide {
    let half = Wide::BITS / 2;
    ((a as Wide) << half).wrapping_add((b as Wide) << 7) ^ (c as Wide)
}

unsafe extern "C" fn two_doubles(a: f64, b: f64) -> f64 {
    a.mul_add(1024.0, -b)
}

/// Calls C functions whose arguments and results are not `asmcgocall`'s.
fn ccall_passes_registers_on() {
    const WORDS: [usize; 3] = [usize::MAX - 5, 0x1234_5678, usize::MAX / 3];
    let [a, b, c] = WORDS;
    // SAFETY: the functions take what they are called with.
    let (words, doubles) = unsafe {
        (
            cpu::ccall_words(a, b, c, three_words as *const () as usize),
            cpu::ccall_doubles(-0.75, 1e-300, two_doubles as *const () as usize),
        )
    };
    // SAFETY: as above.
    let (wanted_words, wanted_doubles) = unsafe { (three_words(a, b, c), two_doubles(-0.75, 1e-300)) };
    check_eq!(words, wanted_words, "words, and a result of {} bits", Wide::BITS);
    check_eq!(doubles.to_bits(), wanted_doubles.to_bits(), "doubles");
    // More registers of results than other CPUs have.
    #[cfg(target_arch = "arm")]
    {
        let (dividend, divisor) = (u64::MAX / 3 + 7, 0x1_2345_6789);
        let mut divided = [0; 2];
        // SAFETY: room for both.
        unsafe { cpu::ccall_divides(dividend, divisor, &raw mut divided) };
        check_eq!(divided, [dividend / divisor, dividend % divisor], "quotient and remainder");
    }
}

fn on_stack(sp: usize, g: *mut stackgate::G) -> bool {
    // SAFETY: the g of the running test.
    let stack = unsafe { (*g).stack };
    let (low, high) = (arch::frame::Word::get(stack.limit), arch::frame::Word::get(stack.top));
    (low..high).contains(&(sp as u64))
}

/// Calls through each of the ways, and compares what C saw with `expect`.
fn ways(expect_g: usize, here: bool) {
    let me = current_g();
    let local = 0u8;
    let mut seen = Seen::default();
    let at = (&raw mut seen).cast::<c_void>();
    // SAFETY: `look` takes a Seen; no way keeps it.
    unsafe {
        for way in [arch::asmcgocall, cgocall_way, ccall_way] {
            seen_cleared(at);
            check_eq!(way(look, at), -6, "the result");
            check_eq!((*at.cast::<Seen>()).g, expect_g, "g while C runs");
            check_eq!((*at.cast::<Seen>()).calls, 1, "how often C ran");
            check_eq!(current_g(), me, "g afterwards");
            near((*at.cast::<Seen>()).sp, &raw const local as usize, here);
        }
        seen_cleared(at);
        arch::systemstack(look_managed, at);
        check_eq!((*at.cast::<Seen>()).g, expect_g, "g on the system stack");
        check_eq!(current_g(), me, "g afterwards");
        near((*at.cast::<Seen>()).sp, &raw const local as usize, here);
        let answer = on_system_stack(|| (current_g().map_or(0, |g| g.addr()), [1u64, 2, 3, 4, 5]));
        check_eq!(answer, (expect_g, [1, 2, 3, 4, 5]), "what a closure returns");
    }
}

unsafe extern "C" fn cgocall_way(f: stackgate::CFn, arg: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    unsafe { cgocall(f, arg) }
}

unsafe extern "C" fn ccall_way(f: stackgate::CFn, arg: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    unsafe { cpu::ccall_one(f, arg) }
}

unsafe fn seen_cleared(at: *mut c_void) {
    // SAFETY: by the caller.
    unsafe { at.cast::<Seen>().write(Seen::default()) };
}

/// Whether C ran on the stack of the caller, or on another one.
fn near(sp: usize, local: usize, here: bool) {
    check_eq!(sp < local && local - sp < 8192, here, "SP in C {sp:#x}, in the caller {local:#x}");
}

fn from_a_g() {
    in_task(|| {
        let m = current_m().expect("an m");
        ways(m.addr(), false);
        let mut seen = Seen::default();
        // SAFETY: `look` takes a Seen.
        unsafe { arch::asmcgocall(look, (&raw mut seen).cast()) };
        check!(!on_stack(seen.sp, current_g().expect("a task")), "C runs off the managed stack");
        check!(topofstack() != 0, "the task's stack has a top");
    });
}

fn on_g0() {
    adopted(|m| {
        ways(m.addr(), true);
        check_eq!(topofstack(), 0, "no g runs");
    });
}

fn on_gsignal() {
    adopted(|m| {
        let former = current_g().expect("g0");
        // SAFETY: gsignal stands for this stack while the ways are tried.
        unsafe {
            let gsignal = &raw mut (*m).gsignal;
            arch::setg(gsignal);
            ways(gsignal.addr(), true);
            check_eq!(current_m(), Some(m), "the m of gsignal");
            arch::setg(former);
        }
    });
}

fn without_g() {
    check!(current_g().is_none());
    check!(current_m().is_none());
    ways(0, true);
}

fn with_null_g() {
    // SAFETY: none is what this thread has.
    unsafe { arch::setg(core::ptr::null_mut()) };
    ways(0, true);
}

fn each_thread_has_its_g() {
    adopted(|m| {
        let other = std::thread::spawn(|| {
            let before = current_g().map_or(0, |g| g.addr());
            let mut inner = 0;
            adopted(|m: *mut M| inner = m.addr());
            (before, inner, current_g().map_or(0, |g| g.addr()))
        });
        let (before, inner, after) = other.join().expect("the other thread");
        check_eq!(before, 0);
        check!(inner != 0 && inner != m.addr());
        check_eq!(after, 0);
        check_eq!(current_m(), Some(m));
    });
}

fn counters() {
    in_task(|| {
        let m = current_m().expect("an m");
        let read = |at: &arch::NativeWord| arch::frame::Word::get(*at);
        // SAFETY: this thread's m.
        let before = unsafe { read(&(*m).ncgocall) };
        unsafe extern "C" fn under_way(m: *mut c_void) -> c_int {
            // SAFETY: the test passes its m.
            unsafe { arch::frame::Word::get((*m.cast::<M>()).ncgo) as c_int }
        }
        for _ in 0..5 {
            // SAFETY: `under_way` takes the m.
            check_eq!(unsafe { cgocall(under_way, m.cast()) }, 1, "calls under way in C");
        }
        // SAFETY: this thread's m.
        unsafe {
            check_eq!(read(&(*m).ncgocall), before + 5, "calls in all");
            check_eq!(read(&(*m).ncgo), 0, "calls under way after");
        }
    });
}

fn deep_c_does_not_touch_the_task() {
    unsafe extern "C" {
        fn c_deep(bytes: *mut c_void) -> c_int;
    }
    in_task(|| {
        // SAFETY: half a MiB of the thread's stack, from a task whose own is 64 KiB.
        let got = unsafe { arch::asmcgocall(c_deep, core::ptr::without_provenance_mut(512 << 10)) };
        check_eq!(got, 2);
    });
}

fn negative_results_keep_their_sign() {
    unsafe extern "C" fn minus(arg: *mut c_void) -> c_int {
        -(arg.addr() as c_int)
    }
    in_task(|| {
        for n in [0usize, 1, 7, 65_536, 0x7fff_ffff] {
            // SAFETY: takes a number.
            let got = unsafe { arch::asmcgocall(minus, core::ptr::without_provenance_mut(n)) };
            check_eq!(got, -(n as c_int));
        }
    });
}

/// What valgrind is asked by, as a function.
#[inline(never)]
extern "C" fn asks(default: usize, words: &[usize; 6]) -> usize {
    arch::client_request(default, words)
}

fn client_request() {
    /// `VG_USERREQ__RUNNING_ON_VALGRIND` of `valgrind.h`.
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    let f = asks as extern "C" fn(_, _) -> _ as usize;
    let words = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let wanted = if cfg!(feature = "valgrind") { 1 } else { 0x1234 };
    let answer = crate::cases::registers::keeps(
        "client_request",
        f,
        [0x1234, (&raw const words).expose_provenance(), 0, 0],
        19,
    );
    check_eq!(answer, wanted, "what valgrind says, and nobody else");
    // More than the function has: what follows are others.
    const NEAR: usize = 128;
    // SAFETY: the program's code.
    let code = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance::<u8>(f & !1), NEAR) };
    let there = code.windows(cpu::CLIENT_REQUEST.len()).filter(|window| *window == cpu::CLIENT_REQUEST);
    check_eq!(there.count(), 1, "the instructions that valgrind knows, in {code:x?}");
}

cases! {
    "paths";
    "from a g" => from_a_g;
    "on g0" => on_g0;
    "on gsignal" => on_gsignal;
    "without a g" => without_g;
    "with a null g" => with_null_g;
    "each thread has its g" => each_thread_has_its_g;
    "counters" => counters;
    "deep C" => deep_c_does_not_touch_the_task;
    "ccall's arguments from a g" => || in_task(ccall_passes_registers_on);
    "ccall's arguments on g0" => || adopted(|_| ccall_passes_registers_on());
    "ccall's arguments without a g" => ccall_passes_registers_on;
    "negative results" => negative_results_keep_their_sign;
    "client_request" => client_request;
}
