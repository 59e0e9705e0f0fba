//! Every callee-saved register survives each crossing, in both directions. A lost one is named.

use crate::cpu::{KEPT, Pattern, clobber_everything, clobber_volatile, with_pattern};
use crate::setup::{Task, adopted, in_c, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use stackgate::arch;
use stackgate::{CFn, CallbackFn, G, Resumed, current_g};

/// A pattern that no other seed shares a word with, and whose halves differ.
fn pattern(seed: u64) -> Pattern {
    core::array::from_fn(|i| {
        let word = ((seed << 8) | (i as u64 + 1)).wrapping_mul(0x0101_0101_0101_0101) ^ 0x8123_4567_89ab_cdef;
        crate::cpu::representable(i, word)
    })
}

/// Calls `f(args...)` with a pattern in the callee-saved registers; names the first that is lost.
pub fn keeps(what: &str, f: usize, args: [usize; 4], seed: u64) -> usize {
    let before = pattern(seed);
    let mut after = [0; KEPT.len()];
    // SAFETY: callers pass functions of the arguments they give.
    let result = unsafe { with_pattern(f, &args, &before, &mut after) };
    for (i, register) in KEPT.iter().enumerate() {
        check_eq!(after[i], before[i], "{what} lost {register}");
    }
    result
}

fn asmcgocall() {
    in_task(|| {
        let f = clobber_volatile as *const () as usize;
        check_eq!(keeps("asmcgocall", arch::asmcgocall as *const () as usize, [f, 0, 0, 0], 1) as c_int, 7);
    });
}

fn asmcgocall_on_g0() {
    adopted(|_| {
        let f = clobber_volatile as *const () as usize;
        check_eq!(
            keeps("asmcgocall on g0", arch::asmcgocall as *const () as usize, [f, 0, 0, 0], 2) as c_int,
            7
        );
    });
}

fn asmcgocall_without_g() {
    let f = clobber_volatile as *const () as usize;
    check_eq!(
        keeps("asmcgocall without a g", arch::asmcgocall as *const () as usize, [f, 0, 0, 0], 3) as c_int,
        7
    );
}

fn systemstack() {
    in_task(|| {
        keeps(
            "systemstack",
            arch::systemstack as *const () as usize,
            [clobber_volatile as *const () as usize, 0, 0, 0],
            4,
        );
    });
}

fn systemstack_on_g0() {
    adopted(|_| {
        keeps(
            "systemstack on g0",
            arch::systemstack as *const () as usize,
            [clobber_volatile as *const () as usize, 0, 0, 0],
            5,
        );
    });
}

fn asmcgocall_catch() {
    in_task(|| {
        let mut thrown = 1usize;
        let args = [clobber_volatile as *const () as usize, 0, (&raw mut thrown).expose_provenance(), 0];
        check_eq!(
            keeps("asmcgocall_catch", arch::asmcgocall_catch as *const () as usize, args, 6) as c_int,
            7
        );
        check_eq!(thrown, 0);
    });
}

/// C that calls back managed code that throws 55, with every register that C may use changed.
///
/// # Safety
/// C below a task whose call into C catches.
pub unsafe extern "C" fn c_throws(_: *mut c_void) -> c_int {
    unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
        let g: *mut G = current_g().expect("in a task");
        let mut words = [0usize; 2];
        let args = [(&raw mut words).expose_provenance(), 0, 0, 0];
        let junk = pattern(99);
        let mut after = [0; KEPT.len()];
        // SAFETY: a function that returns at once; then a throw to the catch that is there, with junk in
        // every callee-saved register.
        unsafe {
            with_pattern(clobber_volatile as *const () as usize, &args, &junk, &mut after);
            let throw = [(*g).catch.get().expose_provenance(), 55, 0, 0];
            with_pattern(arch::throw_to as *const () as usize, &throw, &junk, &mut after);
        }
    }
    // SAFETY: C below a task.
    unsafe { arch::cgocallback(throws, core::ptr::null_mut(), 0, 0) };
    unreachable!("the callback throws")
}

fn throw_to() {
    in_task(|| {
        let mut thrown = 1usize;
        let args = [c_throws as *const () as usize, 0, (&raw mut thrown).expose_provenance(), 0];
        check_eq!(keeps("throw_to", arch::asmcgocall_catch as *const () as usize, args, 7) as c_int, 0);
        check_eq!(thrown, 55);
    });
}

/// A task that parks with a pattern in its registers.
unsafe extern "C" fn parks(_: usize) -> usize {
    for i in 0..3 {
        check_eq!(keeps("park", arch::park_full as *const () as usize, [i, 0, 0, 0], 20 + i as u64), i + 100);
    }
    3
}

/// A task that switches to `other` with a pattern in its registers, and says who it is.
unsafe extern "C" fn switches(other: usize) -> usize {
    let me = current_g().expect("a task").addr();
    // What the other one has in its registers is not what this one has.
    let seed = if me < other { 40 } else { 50 };
    for i in 0..3 {
        let mut word = me;
        let f = stackgate::capi::stackgate_switch_to as *const () as usize;
        check_eq!(keeps("switch_to", f, [other, (&raw mut word).expose_provenance(), 0, 0], seed + i), 0);
        check_eq!(word, other, "the one that has switched back");
    }
    3
}

fn switch_to() {
    adopted(|_| {
        let (mut one, mut other) = (Task::new(64 << 10, switches), Task::new(64 << 10, switches));
        check_eq!(one.resume(other.at().expose_provenance()), Resumed::Finished(3));
        check_eq!(other.resume(one.at().addr()), Resumed::Finished(3), "from its last switch");
    });
}

fn park_and_resume() {
    adopted(|_| {
        let mut task = Task::new(64 << 10, parks);
        let g = task.at().expose_provenance();
        for i in 0..4 {
            let out = keeps(
                "resume",
                arch::resume_full as *const () as usize,
                [g, (i + 99) as usize, 0, 0],
                // No field of a condition register is what `parks` has there.
                90 + i,
            );
            check_eq!(out, i as usize);
        }
    });
}

/// A task that leaves its stack by mcall and is back by gogo, from where every callee-saved register has junk.
unsafe extern "C" fn leaves_by_mcall(word: usize) -> usize {
    unsafe extern "C" fn next(g: *mut G) -> ! {
        let mut after = [0; KEPT.len()];
        let args = [g.expose_provenance(), 0, 0, 0];
        // SAFETY: g0 is current, g has been left; it goes on where it was.
        unsafe { with_pattern(arch::gogo as *const () as usize, &args, &pattern(99), &mut after) };
        unreachable!("gogo does not return")
    }
    for i in 0..3 {
        keeps(
            "mcall and gogo",
            arch::mcall as *const () as usize,
            [next as *const () as usize, 0, 0, 0],
            40 + i,
        );
    }
    word
}

fn mcall_and_gogo() {
    adopted(|_| {
        let mut task = Task::new(64 << 10, leaves_by_mcall);
        check_eq!(task.resume(8), Resumed::Finished(8));
    });
}

/// Runs `f(clobbers, words, n, ctxt)` as C would, and checks what C finds after.
fn way_in(what: &'static str, f: usize, clobbers: usize, wide: bool, ctxt: usize, seed: u64) {
    in_task(|| {
        in_c(|| {
            let mut words = [0usize; 2];
            let n = if wide { -5isize as usize } else { -5i32 as u32 as usize };
            let at = (&raw mut words).expose_provenance();
            keeps(what, f, [clobbers, at, n, 0x1234], seed);
            check_eq!(words[0] as isize, -5, "{what}: n");
            check_eq!(words[1], ctxt, "{what}: ctxt");
        });
    });
}

/// The function, which the compiler does not know: ppc64le's callers take their TOC back behind such a call alone.
fn by_pointer(f: CFn) -> CFn {
    core::hint::black_box(f)
}

/// Crossings that compiled code calls by name expect back what it expects: on ppc64le the TOC too, by which the checks
/// find what they count with. What they call keeps as little as it may.
fn called_by_name() {
    in_task(|| {
        let mut thrown = 1usize;
        let nothing = core::ptr::null_mut();
        // SAFETY: it takes anything, as C and as managed code for the system stack, whose result is ignored.
        unsafe {
            check_eq!(arch::asmcgocall(clobber_volatile, nothing), 7);
            check_eq!(arch::asmcgocall_catch(clobber_volatile, nothing, &raw mut thrown), 7);
            arch::systemstack(core::mem::transmute::<CFn, arch::SystemFn>(clobber_volatile), nothing);
            check_eq!(crate::cpu::ccall_one(clobber_volatile, nothing), 7);
        }
        check_eq!(thrown, 0);
        in_c(|| {
            let mut words = [0usize; 2];
            // SAFETY: two words to write to.
            unsafe { arch::cgocallback(obeys, (&raw mut words).cast(), 4, 5) };
            check_eq!(words, [4, 5]);
            // SAFETY: as above.
            unsafe { arch::crosscall2(clobber_everything, (&raw mut words).cast(), 6, 7) };
            check_eq!(words, [6, 7]);
        });
    });
    // On g0, from where they go on as C.
    adopted(|_| {
        let nothing = core::ptr::null_mut();
        // SAFETY: as above.
        unsafe {
            check_eq!(arch::asmcgocall(clobber_volatile, nothing), 7);
            arch::systemstack(core::mem::transmute::<CFn, arch::SystemFn>(clobber_volatile), nothing);
            check_eq!(crate::cpu::ccall_one(clobber_volatile, nothing), 7);
        }
    });
    let mut m = stackgate::M::default();
    // SAFETY: nobody else's, until this ends; the function writes two words to the g0 that it is given.
    unsafe {
        check_eq!(stackgate::m_init(&raw mut m), Ok(()));
        let f = core::mem::transmute::<CallbackFn, unsafe extern "C" fn(*mut G)>(clobber_everything);
        arch::crosscall1(f, &raw mut m.g0);
    }
    check!(current_g().is_none(), "the thread has its former g, which is none");
}

/// Managed code that obeys the C ABI.
unsafe extern "C" fn obeys(frame: *mut c_void, n: usize, ctxt: usize) {
    let words = frame.cast::<usize>();
    // SAFETY: `way_in` passes two words.
    unsafe {
        words.write(n);
        words.add(1).write(ctxt);
        by_pointer(clobber_volatile)(core::ptr::null_mut());
    }
}

fn cgocallback() {
    way_in(
        "cgocallback",
        arch::cgocallback as *const () as usize,
        obeys as *const () as usize,
        true,
        0x1234,
        8,
    );
}

fn crosscall2() {
    way_in(
        "crosscall2",
        arch::crosscall2 as *const () as usize,
        clobber_everything as *const () as usize,
        false,
        0x1234,
        9,
    );
}

fn crosscall2_panic() {
    let f = arch::crosscall2_panic as *const () as usize;
    way_in("crosscall2_panic", f, clobber_everything as *const () as usize, false, 0, 10);
}

fn callback_after_callback() {
    for seed in 50..60 {
        way_in(
            "crosscall2 again",
            arch::crosscall2 as *const () as usize,
            clobber_everything as *const () as usize,
            false,
            0x1234,
            seed,
        );
    }
}

/// A thread's first managed function, which keeps nothing.
unsafe extern "C" fn crosscall1_body(g: *mut G) {
    check_eq!(current_g(), Some(g));
    // SAFETY: it takes anything.
    unsafe { by_pointer(clobber_volatile)(core::ptr::null_mut()) };
}

fn crosscall1() {
    let mut m = stackgate::M::default();
    // SAFETY: nobody else's, until this ends.
    check_eq!(unsafe { stackgate::m_init(&raw mut m) }, Ok(()));
    let g0 = (&raw mut m.g0).expose_provenance();
    keeps(
        "crosscall1",
        arch::crosscall1 as *const () as usize,
        [crosscall1_body as *const () as usize, g0, 0, 0],
        11,
    );
    check!(current_g().is_none(), "the thread has its former g, which is none");
    // And with one that keeps nothing, which writes two words to the g0 that it is given.
    let all = clobber_everything as *const () as usize;
    keeps("crosscall1", arch::crosscall1 as *const () as usize, [all, g0, 0, 0], 14);
}

fn ccall() {
    in_task(|| {
        let f = crate::cpu::ccall_one as *const () as usize;
        check_eq!(keeps("ccall", f, [clobber_volatile as *const () as usize, 0, 0, 0], 12) as c_int, 7);
    });
}

fn ccall_on_g0() {
    adopted(|_| {
        let f = crate::cpu::ccall_one as *const () as usize;
        check_eq!(keeps("ccall on g0", f, [clobber_volatile as *const () as usize, 0, 0, 0], 13) as c_int, 7);
    });
}

fn the_test_itself() {
    // With a callee that keeps nothing, each register must be reported lost.
    let before = pattern(70);
    let mut after = [0; KEPT.len()];
    let mut words = [0usize; 2];
    let args = [(&raw mut words).expose_provenance(), 1, 2, 0];
    // SAFETY: with_pattern itself keeps the caller's registers.
    unsafe { with_pattern(clobber_everything as *const () as usize, &args, &before, &mut after) };
    for (i, register) in KEPT.iter().enumerate() {
        check!(after[i] != before[i], "{register} is not changed by the callee that changes all");
    }
}

cases! {
    "registers";
    "the test itself" => the_test_itself;
    "asmcgocall" => asmcgocall;
    "asmcgocall on g0" => asmcgocall_on_g0;
    "asmcgocall without g" => asmcgocall_without_g;
    "ccall" => ccall;
    "ccall on g0" => ccall_on_g0;
    "systemstack" => systemstack;
    "systemstack on g0" => systemstack_on_g0;
    "asmcgocall_catch" => asmcgocall_catch;
    "throw_to" => throw_to;
    "park and resume" => park_and_resume;
    "switch_to" => switch_to;
    "mcall and gogo" => mcall_and_gogo;
    "called by name" => called_by_name;
    "cgocallback" => cgocallback;
    "crosscall2" => crosscall2;
    "crosscall2_panic" => crosscall2_panic;
    "callback after callback" => callback_after_callback;
    "crosscall1" => crosscall1;
}
