//! A trace at every instruction of a call that calls back: the trap flag is set, and the handler takes the
//! whole trace of what it interrupted.

use crate::setup::{Task, adopted, register_tables};
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use stackgate::traceback::{ContextArg, Pc, Stop, Traceback, TracebackArg, Walker, set_cgo_traceback};
use stackgate::{Resumed, arch};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const SIGTRAP: c_int = 5;

#[repr(C)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}
#[repr(C)]
struct Stack {
    sp: *mut c_void,
    flags: c_int,
    size: usize,
}
unsafe extern "C" {
    fn sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int;
    fn sigaltstack(stack: *const Stack, old: *mut Stack) -> c_int;
}

/// What one trap has seen: as little as will do, since a handler allocates nothing.
#[derive(Clone, Copy)]
struct Seen {
    pc: usize,
    stop: Option<Stop>,
    count: usize,
    pcs: [Pc; 8],
}

const ROOM: usize = 40_000;
static mut SEEN: [Seen; ROOM] = [Seen { pc: 0, stop: None, count: 0, pcs: [Pc::managed(0); 8] }; ROOM];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static WALKER: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn handler(_: c_int, _: *mut c_void, ucontext: *mut c_void) {
    // SAFETY: the handler's own third argument.
    let pc = unsafe { arch::unwind::Registers::from_ucontext(ucontext) }.pc();
    let walker = if WALKER.load(Ordering::Relaxed) == 0 { Walker::Auto } else { Walker::Tables };
    // SAFETY: as above.
    let mut trace = unsafe { Traceback::from_ucontext_by(walker, ucontext) };
    let mut pcs = [Pc::managed(0); 8];
    let mut count = 0;
    for pc in trace.by_ref() {
        if let Some(place) = pcs.get_mut(count) {
            *place = pc;
        }
        count += 1;
    }
    let at = COUNT.fetch_add(1, Ordering::Relaxed);
    if at < ROOM {
        let seen = Seen { pc, stop: trace.stop(), count, pcs };
        // SAFETY: this place is this trap's.
        unsafe { (&raw mut SEEN).cast::<Seen>().add(at).write(seen) };
    }
}

fn catch_traps() {
    let stack = vec![0u8; 256 << 10].leak();
    let stack = Stack { sp: stack.as_mut_ptr().cast(), flags: 0, size: stack.len() };
    // SIGINFO, ONSTACK, NODEFER is not wanted.
    let action =
        Action { handler: handler as *const () as usize, mask: [0; 16], flags: 0x0800_0004, restorer: 0 };
    // SAFETY: the C library's own structures on x86_64 Linux.
    unsafe {
        check_eq!(sigaltstack(&stack, core::ptr::null_mut()), 0);
        check_eq!(sigaction(SIGTRAP, &action, core::ptr::null_mut()), 0);
    }
}

#[inline(always)]
fn trap(on: bool) {
    // SAFETY: only the trap flag changes.
    unsafe {
        if on {
            core::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
        } else {
            core::arch::asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq");
        }
    }
}

unsafe extern "C" fn context(arg: *mut ContextArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.context == 0 {
        arg.context = 0x77;
    }
}

unsafe extern "C" fn traceback(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed.
    unsafe {
        let arg = &*arg;
        if arg.sigcontext.is_null() {
            arg.buf.write(arg.context);
        } else {
            arg.buf.write(0x5555);
        }
    }
}

#[inline(never)]
unsafe extern "C" fn task(_: usize) -> usize {
    // SAFETY: on a managed stack.
    unsafe { black_box(arch::asmcgocall(calls_back, core::ptr::null_mut())) };
    black_box(3)
}

unsafe extern "C" fn calls_back(_: *mut c_void) -> c_int {
    // SAFETY: on the system stack.
    unsafe {
        arch::cgocallback(managed, core::ptr::null_mut(), 0, 0x77);
        arch::crosscall2(managed, core::ptr::null_mut(), 0, 0x77);
    }
    black_box(2)
}

#[inline(never)]
unsafe extern "C" fn managed(_: *mut c_void, _: usize, _: usize) {
    // SAFETY: on a managed stack.
    unsafe {
        black_box(arch::asmcgocall(leaf, core::ptr::null_mut()));
        let mut thrown = 0;
        black_box(arch::asmcgocall_catch(leaf, core::ptr::null_mut(), &raw mut thrown));
        arch::systemstack(quiet, core::ptr::null_mut());
    }
    black_box(());
}

unsafe extern "C" fn leaf(_: *mut c_void) -> c_int {
    1
}

unsafe extern "C" fn quiet(_: *mut c_void) {}

#[inline(never)]
fn body() {
    trap(true);
    // SAFETY: on a managed stack.
    unsafe { task(0) };
    trap(false);
}

fn every_instruction(walker: u32) {
    WALKER.store(walker, Ordering::Relaxed);
    register_tables();
    // SAFETY: the functions do what they should.
    check_eq!(unsafe { set_cgo_traceback(0, Some(traceback), Some(context), None) }, Ok(()));
    catch_traps();
    unsafe extern "C" fn entry(_: usize) -> usize {
        body();
        black_box(1)
    }
    adopted(|_| {
        check_eq!(Task::new(64 << 10, entry).resume(0), Resumed::Finished(1));
    });
    let count = COUNT.load(Ordering::Relaxed);
    check!((100..ROOM).contains(&count), "{count} instructions");
    // SAFETY: no trap is under way.
    let seen = unsafe { core::slice::from_raw_parts((&raw const SEEN).cast::<Seen>(), count) };

    let near = |pc: usize, start: *const (), bytes: usize| pc.wrapping_sub(start as usize) < bytes;
    // What the trace is to show: the function of each managed PC, by the nearest beginning below it.
    let functions = [
        (managed as *const () as usize, 'm'),
        (task as *const () as usize, 't'),
        (body as *const () as usize, 'b'),
        (entry as *const () as usize, 'e'),
        (calls_back as *const () as usize, '?'),
        (leaf as *const () as usize, '?'),
        (quiet as *const () as usize, 'q'),
        (every_instruction as *const () as usize, '?'),
    ];
    let letter = |pc: &Pc| match pc {
        pc if !pc.managed && pc.pc == 0x77 => 'c',
        pc if !pc.managed => 'C',
        pc => functions.iter().filter(|f| f.0 <= pc.pc).max().map_or('?', |f| f.1),
    };
    let mut forms = std::collections::BTreeMap::<String, BTreeSet<usize>>::new();
    for seen in seen {
        let form: String = seen.pcs[..seen.count.min(8)].iter().map(letter).collect();
        forms.entry(format!("{form} {:?}", seen.stop)).or_default().insert(seen.pc);
    }
    // What is on the stacks changes by one part at a time, and every trace reaches the outermost frame.
    const FORMS: [&str; 6] = [
        "be Some(End)",
        "tbe Some(End)",
        "Ctbe Some(End)",
        "ctbe Some(End)",
        "mctbe Some(End)",
        "Cmctbe Some(End)",
    ];
    for (form, pcs) in &forms {
        println!("{form}: {} PCs, {:#x?}", pcs.len(), pcs.iter().next());
        check!(FORMS.contains(&form.as_str()), "{form} at {pcs:#x?}");
    }
    check_eq!(forms.len(), FORMS.len(), "every form has been seen");
    let at = |seen: &Seen| {
        let form: String = seen.pcs[..seen.count.min(8)].iter().map(letter).collect();
        FORMS.iter().position(|known| known.starts_with(&format!("{form} "))).unwrap_or(usize::MAX)
    };
    for pair in seen.windows(2) {
        let (before, after) = (at(&pair[0]), at(&pair[1]));
        check!(
            before.abs_diff(after) <= 1,
            "from {} at {:#x} to {} at {:#x}",
            FORMS[before],
            pair[0].pc,
            FORMS[after],
            pair[1].pc
        );
        // The innermost managed frame is the function that was interrupted, where it was.
        let first = pair[0].pcs[0];
        check!(!first.exact || first.pc == pair[0].pc);
        for (start, letter) in
            [(managed as *const (), "m"), (task as *const (), "t"), (leaf as *const (), "C")]
        {
            if near(pair[0].pc, start, 6) {
                check!(FORMS[before].starts_with(letter), "{} at {:#x}", FORMS[before], pair[0].pc);
            }
        }
    }
}

cases! {
    "step";
    "every instruction, auto" => || every_instruction(0);
    "every instruction, tables" => || every_instruction(1);
}
