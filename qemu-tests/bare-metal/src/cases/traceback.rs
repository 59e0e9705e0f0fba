//! Tracebacks through a tower of tasks and compiled C, with the contexts of the first seed: each callback has
//! one more, C's frames tell which, and each PC stands for two lines.

use crate::calls::through;
use crate::setup::{Task, adopted};
use crate::{cases, check, check_eq, memory, trio};
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::Resumed;
use stackgate::traceback::{
    ContextArg, Frames, Function, Pc, Stop, SymbolizerArg, Traceback, TracebackArg, Walker, callers_pcs,
    register_functions,
};

/// What runs at the top of the tower.
type Top<'a> = &'a mut dyn FnMut();

// The tower: task, C, g1, C, g2, and what the case wants. Each in a section of its own, whose ends tell where
// a function ends: there is no symbol table here.

#[inline(never)]
#[unsafe(link_section = "traced_text")]
unsafe extern "C" fn task(top: usize) -> usize {
    let top: *mut Top<'_> = core::ptr::with_exposed_provenance_mut(top);
    // SAFETY: `tower` passes one that outlives the task.
    black_box(through(&mut || unsafe { g1(top) }) as usize)
}

#[inline(never)]
#[unsafe(link_section = "traced_text")]
unsafe fn g1(top: *mut Top<'_>) {
    // SAFETY: as above.
    black_box(through(&mut || unsafe { g2(top) }));
}

#[inline(never)]
#[unsafe(link_section = "traced_text")]
unsafe fn g2(top: *mut Top<'_>) {
    // SAFETY: as above.
    unsafe { (*top)() };
    black_box(top);
}

/// Where a function begins, without the mark of Thumb code.
fn entry(f: *const ()) -> usize {
    f.addr() & if cfg!(target_arch = "arm") { !1 } else { !0 }
}

/// Registers the tower's functions, once for the program.
fn name_tower() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    static mut TABLE: [Function; 3] = [Function { entry: 0, end: 0, name: "", file: "tower.rs", line: 1 }; 3];
    if DONE.fetch_add(1, Ordering::Relaxed) != 0 {
        return;
    }
    let mut named =
        [(entry(task as *const ()), "task"), (entry(g1 as *const ()), "g1"), (entry(g2 as *const ()), "g2")];
    named.sort_unstable();
    let table = &raw mut TABLE;
    // SAFETY: written once, before it is registered.
    let table = unsafe { &mut *table };
    for (i, function) in table.iter_mut().enumerate() {
        let end = named.get(i + 1).map_or(memory::traced().end, |next| next.0);
        *function = Function { entry: named[i].0, end, name: named[i].1, file: "tower.rs", line: 1 };
    }
    register_functions(table).expect("a sorted table");
}

/// Runs `top` in the innermost of two callbacks.
fn tower(mut top: impl FnMut()) {
    adopted(|_| {
        let mut top: Top<'_> = &mut top;
        let mut task = Task::new(32 << 10, task);
        check_eq!(task.resume((&raw mut top).expose_provenance()), Resumed::Finished(2), "C's word");
    });
}

static CONTEXTS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn counting_context(arg: *mut ContextArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.context == 0 {
        arg.context = CONTEXTS.fetch_add(1, Ordering::Relaxed) + 1;
    } else {
        assert_eq!(arg.context, CONTEXTS.fetch_sub(1, Ordering::Relaxed), "innermost first");
    }
}

/// As many PCs as the context says, without a zero behind them.
unsafe extern "C" fn traceback_by_context(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        for i in 0..arg.context.min(arg.max) {
            assert_eq!(*arg.buf.add(i), 0, "the buffer is clear");
            arg.buf.add(i).write((arg.context << 8) + i);
        }
    }
}

unsafe extern "C" fn two_lines_a_pc(arg: *mut SymbolizerArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.pc == 0 {
        return;
    }
    arg.more = usize::from(arg.file.is_null());
    arg.file = c"tracebackctxt.c".as_ptr();
    arg.func = c"cFunction".as_ptr();
    arg.lineno = arg.pc + (arg.more << 16);
}

/// Checks that the chain is the tower's: managed frames by name, C's by line.
fn shows(pcs: &[Pc]) {
    let want: [(&str, usize); 9] = [
        ("g2", 0),
        ("cFunction", 0x10200),
        ("cFunction", 0x200),
        ("cFunction", 0x10201),
        ("cFunction", 0x201),
        ("g1", 0),
        ("cFunction", 0x10100),
        ("cFunction", 0x100),
        ("task", 0),
    ];
    let mut frames = Frames::new(pcs.iter().copied());
    let mut at = 0;
    while let Some(frame) = frames.next() {
        let Some(name) = frame.function else { continue };
        let (wanted, line) = want.get(at).copied().unwrap_or(("nothing", 0));
        check_eq!(core::str::from_utf8(name), Ok(wanted), "frame {at}");
        if line != 0 {
            check_eq!(frame.line, line, "frame {at}");
        }
        at += 1;
    }
    check_eq!(at, want.len(), "how many frames have names");
}

fn traceback_context() {
    name_tower();
    trio::choose(Some(counting_context), Some(traceback_by_context), Some(two_lines_a_pc));
    tower(|| {
        let mut pcs = [Pc::default(); 100];
        let n = callers_pcs(0, &mut pcs);
        shows(&pcs[..n]);
        check_eq!(CONTEXTS.load(Ordering::Relaxed), 2, "contexts at the bottom");
    });
    check_eq!(CONTEXTS.load(Ordering::Relaxed), 0, "contexts at the end");
    trio::choose(None, None, None);
}

fn both_walkers_agree() {
    name_tower();
    trio::choose(Some(counting_context), Some(traceback_by_context), None);
    tower(|| {
        let mut tables = Traceback::current_by(Walker::Tables);
        let mut n = 0;
        while tables.next().is_some() {
            n += 1;
        }
        check_eq!(tables.stop(), Some(Stop::End), "by tables");
        check!(n >= 6, "{n} frames");
        // Compiled code keeps records everywhere but on arm in two forms and s390x's C.
        let mut records = Traceback::current_by(Walker::Records);
        let mut by_records = 0;
        while records.next().is_some() {
            by_records += 1;
        }
        check!(by_records >= 1, "by records");
    });
    trio::choose(None, None, None);
}

cases! {
    "traceback";
    "contexts of the first seed" => traceback_context;
    "both walkers" => both_walkers_agree;
}
