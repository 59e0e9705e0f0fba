//! Towers of managed code and C, seen by others and by both walkers: libgcc's unwinder, a profiler's walk over frame
//! records, and ours, each held against the list by which the tower was built.

use crate::cases::signals::{handle, with_room};
use crate::cases::traceback::{WALKERS, take_by};
use crate::cases::unwinding::{calls, is_main};
use crate::cpu::PERF;
use crate::fuzz::report::Random;
use crate::setup::{Task, adopted};
use crate::symbols::{self, entry};
use crate::towers::{Managed, Plan, Top, of_towers};
use crate::variants::MORE_STACK;
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ops::Range;
use core::ptr::{null_mut, with_exposed_provenance_mut};
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::Registers;
use stackgate::traceback::{MAX_FRAMES, Pc, Stop, Traceback, Walker};
use stackgate::{Resumed, arch, current_m, on_system_stack};
use stackgate_libc::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Where the managed stack lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below the system stack, behind all that it may grow to.
    Below,
    /// Above it: in a frame of the main thread, whose calls go on below.
    Above,
}
use Place::{Above, Below};

/// Of a stack, in units of 16 bytes.
const STACK: usize = (256 << 10) / 16 * MORE_STACK;

/// A multiple of the size of a page, on every CPU.
const PAGE: usize = 64 << 10;

/// Runs `f` with memory for a managed stack there.
fn with_stack(place: Place, f: impl FnOnce(&mut [u128])) {
    match place {
        Below => below(f),
        Above => above(f),
    }
}

fn below(f: impl FnOnce(&mut [u128])) {
    let hint = with_exposed_provenance_mut((here() & !(PAGE - 1)) - (64 << 20));
    let (size, flags) = (STACK * size_of::<u128>(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, which nobody has any more when it is given back.
    unsafe {
        let memory = libc::mmap(hint, size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        f(core::slice::from_raw_parts_mut(memory.cast(), STACK));
        assert_eq!(libc::munmap(memory, size), 0);
    }
}

#[inline(never)]
fn above(f: impl FnOnce(&mut [u128])) {
    let mut memory = [0; STACK];
    f(black_box(&mut memory));
    black_box(&mut memory);
}

/// An address of the stack that this runs on.
#[inline(always)]
fn here() -> usize {
    let here = 0u8;
    black_box(&raw const here).addr()
}

/// The system stack, and the one of what this thread's m runs.
fn stacks() -> [Range<usize>; 2] {
    let m = current_m().expect("an m");
    // SAFETY: this thread's m, and the g that it runs.
    unsafe {
        [&raw const (*m).g0, (*m).curg.get()]
            .map(|g| (*g).stack.limit.get() as usize..(*g).stack.top.get() as usize)
    }
}

/// Builds a tower, whose managed stack lies there, and runs `top` in its innermost function, or what a signal does that
/// comes to it.
pub fn build(plan: &Plan, place: Place, page: *mut u8, top: &mut dyn FnMut()) {
    with_stack(place, |stack| {
        let managed = stack.as_ptr_range();
        adopted(|_| {
            let system = on_system_stack(here);
            let lies_there = match place {
                Below => managed.end.addr() <= system,
                Above => managed.start.addr() > system,
            };
            check!(lies_there, "{managed:?} and {system:#x}: not {place:?}");
            plan.run(stack, page, top);
        });
    });
}

/// The functions that begin there, by name.
fn names(entries: &[usize]) -> Vec<&'static str> {
    let functions = symbols::functions();
    let at = |entry| functions.partition_point(|f| f.entry < entry);
    entries.iter().map(|&entry| functions[at(entry)].name).collect()
}

// ---- The physical chain.

/// libgcc sees every function of a tower, in order, and behind them the main thread's own.
fn by_libgcc(place: Place) {
    let mut random = Random(0x1abcc);
    let mut longest = 0;
    for round in 0..100 {
        let top = if round % 2 == 0 { Top::Runs } else { Top::RunsInC };
        // The first is the one that calls C twice, and is called back twice.
        let depth = if round == 0 { 2 } else { random.below(6) };
        let plan = Plan::new(&mut random, depth, Managed::Any, top);
        let mut ran = 0;
        build(&plan, place, null_mut(), &mut || {
            let calls = calls();
            check_eq!(names(&of_towers(&calls)), names(&plan.physical()), "tower {round}");
            let outermost = plan.levels[0].entry;
            let rest = calls.iter().rev().take_while(|&&pc| entry(pc) != Some(outermost));
            let rest: Vec<_> = rest.filter_map(|&pc| entry(pc)).collect();
            check!(
                names(&rest).into_iter().any(is_main),
                "the tower does not stand on main: {:#?}",
                names(&rest)
            );
            longest = longest.max(plan.levels.len());
            ran += 1;
        });
        check_eq!(ran, 1, "the top has run");
    }
    check!(longest >= 40, "the longest has {longest} frames");
}

// ---- The walkers.

/// The functions of managed code that led to the innermost one of a tower, by a trace that began above it.
fn below_the_top(pcs: &[Pc], plan: &Plan) -> Vec<usize> {
    let all: Vec<_> = pcs.iter().map(|pc| entry(pc.lookup()).expect("a function of this program")).collect();
    let top = plan.managed()[0];
    let at = all.iter().rposition(|&entry| entry == top).expect("the innermost function");
    all[at..].to_vec()
}

fn both_walkers(place: Place) {
    let mut random = Random(0x3a1e5);
    let mut frames = 0;
    for round in 0..300 {
        let plan = Plan::new(&mut random, round % 6, Managed::WithRecords, Top::Runs);
        build(&plan, place, null_mut(), &mut || {
            let mut seen = Vec::new();
            // Twice, since the cache may be empty the first time. One call, so that every PC is the same.
            for i in black_box(0..6) {
                seen.push(take_by(WALKERS[i % 3]));
            }
            for (i, (pcs, stop)) in seen.iter().enumerate() {
                let walker = WALKERS[i % 3];
                check_eq!(*stop, Some(Stop::End), "tower {round}, {walker:?}");
                check_eq!(
                    names(&below_the_top(pcs, &plan)),
                    names(&plan.managed()),
                    "tower {round}, {walker:?}"
                );
                check_eq!(*pcs, seen[0].0, "tower {round}: {walker:?} sees what records tell");
            }
            frames += plan.managed().len();
        });
    }
    check!(frames > 1500, "{frames} managed frames in all");
}

/// Also of code without records.
fn by_tables(place: Place) {
    let mut random = Random(0x7ab1e);
    for round in 0..300 {
        let plan = Plan::new(&mut random, round % 6, Managed::Any, Top::Runs);
        build(&plan, place, null_mut(), &mut || {
            for walker in [Walker::Tables, Walker::Auto] {
                let (pcs, stop) = take_by(walker);
                check_eq!(stop, Some(Stop::End), "tower {round}, {walker:?}");
                check_eq!(
                    names(&below_the_top(&pcs, &plan)),
                    names(&plan.managed()),
                    "tower {round}, {walker:?}"
                );
            }
        });
    }
}

// ---- What a signal interrupts.

/// What a handler saw.
struct Found {
    page: usize,
    by: Vec<(Walker, Vec<Pc>, Option<Stop>)>,
    /// By records alone, and by nothing of ours.
    perf: Vec<usize>,
}

static FOUND: Mutex<Found> = Mutex::new(Found { page: 0, by: Vec::new(), perf: Vec::new() });

/// Runs `f` with a page that cannot be written to: who does is interrupted, looked at, and goes on.
fn with_page(f: impl FnOnce(*mut u8)) {
    unsafe extern "C" fn looks(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
        // SAFETY: a handler's argument.
        let registers = unsafe { Registers::from_ucontext(ucontext) };
        let mut found = FOUND.lock().expect("no panic before");
        for walker in WALKERS {
            // SAFETY: as above.
            let mut trace = unsafe { Traceback::from_ucontext_by(walker, ucontext) };
            let pcs = trace.by_ref().collect();
            found.by.push((walker, pcs, trace.stop()));
        }
        found.perf.push(registers.pc());
        let record = registers.get(PERF.register).expect("a register");
        PERF.walk(record, &stacks(), |pc| found.perf.push(pc.wrapping_sub(1)));
        // SAFETY: a page of this test's.
        let opened =
            unsafe { libc::mprotect(with_exposed_provenance_mut(found.page), PAGE, libc::PROT_WRITE) };
        assert_eq!(opened, 0);
        Verdict::Done
    }
    with_room(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory.
        let page = unsafe { libc::mmap(null_mut(), PAGE, libc::PROT_NONE, flags, -1, 0) };
        check!(page != libc::MAP_FAILED);
        FOUND.lock().expect("no panic before").page = page.expose_provenance();
        handle(libc::SIGSEGV, looks);
        f(page.cast());
    });
}

/// Runs the tower until its innermost function is interrupted, and says what was seen there.
fn interrupted(plan: &Plan, place: Place, page: *mut u8) -> Found {
    // SAFETY: the page of this test.
    assert_eq!(unsafe { libc::mprotect(page.cast(), PAGE, libc::PROT_NONE) }, 0);
    build(plan, place, page, &mut || ());
    let mut found = FOUND.lock().expect("no panic before");
    check_eq!(found.by.len(), WALKERS.len(), "it was interrupted once");
    Found { page: found.page, by: core::mem::take(&mut found.by), perf: core::mem::take(&mut found.perf) }
}

fn entries(pcs: &[Pc]) -> Vec<usize> {
    pcs.iter().filter_map(|pc| entry(pc.lookup())).collect()
}

fn interrupted_in_a_leaf(place: Place) {
    with_page(|page| {
        let mut random = Random(0x1eaf);
        for round in 0..200 {
            let plan = Plan::new(&mut random, round % 4, Managed::WithRecords, Top::Leaf);
            let found = interrupted(&plan, place, page);
            for (walker, pcs, stop) in &found.by {
                check_eq!(*stop, Some(Stop::End), "tower {round}, {walker:?}");
                check!(pcs[0].exact, "it was interrupted there");
                if *walker == Walker::Records {
                    // A function that calls nothing needs no record, and has none where the call instruction keeps the
                    // return address in a register: who called it is not told.
                    let rest = plan.managed().split_off(2.min(plan.managed().len()));
                    check!(
                        names(&entries(pcs)).ends_with(&names(&rest)),
                        "tower {round}: {:?}",
                        names(&entries(pcs))
                    );
                } else {
                    check_eq!(names(&entries(pcs)), names(&plan.managed()), "tower {round}, {walker:?}");
                }
            }
        }
    });
}

/// Where a function with a frame is interrupted every walk is complete, also a profiler's.
fn interrupted_in_managed_code(place: Place) {
    with_page(|page| {
        let mut random = Random(0x9e2f);
        for round in 0..200 {
            let plan = Plan::new(&mut random, round % 6, Managed::WithRecords, Top::Ends);
            let found = interrupted(&plan, place, page);
            for (walker, pcs, stop) in &found.by {
                check_eq!(*stop, Some(Stop::End), "tower {round}, {walker:?}");
                check_eq!(names(&entries(pcs)), names(&plan.managed()), "tower {round}, {walker:?}");
            }
            check_eq!(
                names(&without_crossings(&found.perf)),
                names(&plan.managed()),
                "tower {round}, as perf walks"
            );
        }
    });
}

/// From C with records a profiler's walk goes on in the managed code that called it, through each level.
fn interrupted_in_c(place: Place) {
    with_page(|page| {
        let mut random = Random(0xc0de);
        for round in 0..200 {
            let plan = Plan::new(&mut random, round % 6, Managed::WithRecords, Top::EndsInC);
            let found = interrupted(&plan, place, page);
            let seen = names(&without_crossings(&found.perf));
            let levels = || plan.levels.iter().rev();
            let in_c: Vec<_> = levels().take_while(|level| !level.managed && !level.crossing).collect();
            let wanted = in_c.iter().copied().chain(levels().filter(|level| level.managed));
            let wanted = names(&wanted.map(|level| level.entry).collect::<Vec<_>>());
            if PERF.upwards && place == Below {
                // The kernel goes upwards only: it ends where the first record lies on a stack below C's.
                check!(wanted.starts_with(&seen), "tower {round}: {seen:?} of {wanted:?}");
                check!(seen.len() >= in_c.len(), "tower {round}: {seen:?} of {wanted:?}");
            } else {
                check_eq!(seen, wanted, "tower {round}");
            }
        }
    });
}

fn without_crossings(pcs: &[usize]) -> Vec<usize> {
    let pcs: Vec<_> = pcs.iter().copied().filter(|&pc| !arch::unwind::in_crossing(pc)).collect();
    of_towers(&pcs)
}

// ---- Damage.

const WORD: usize = size_of::<usize>();

fn word_at(at: usize) -> *mut usize {
    with_exposed_provenance_mut(at)
}

/// How often each walker ended for which reason.
type Stops = BTreeMap<(&'static str, &'static str), usize>;

/// Writes over random words of the managed stack `words`, takes traces, and puts back what was there. Runs on the system
/// stack, and uses nothing that lies on the other one.
#[inline(never)]
fn damage(words: Range<usize>, random: &mut Random, code: &[usize], stops: &mut Stops) {
    let many = words.len() / WORD;
    // SAFETY: words of a stack on which nothing runs now.
    let read = |i: usize| unsafe { word_at(words.start + i * WORD).read_volatile() };
    // SAFETY: as above.
    let write = |i: usize, word: usize| unsafe { word_at(words.start + i * WORD).write_volatile(word) };
    let was: Vec<_> = (0..many).map(read).collect();
    // Links and return addresses: what walkers look at.
    let telling = |&i: &usize| words.contains(&was[i]) || entry(was[i]).is_some();
    let telling: Vec<_> = (0..many).filter(telling).collect();
    for _ in 0..200 {
        let changed: Vec<_> = (0..1 + random.below(4))
            .map(|_| match random.below(4) {
                0 => random.below(many),
                _ => telling[random.below(telling.len())],
            })
            .collect();
        for &i in &changed {
            let word = match random.below(10) {
                0 => 0,
                1 => random.word() as usize,
                2 => was[i].wrapping_add(random.below(3)).wrapping_sub(1),
                3 => was[i] ^ 1 << random.below(usize::BITS as usize),
                4 => code[random.below(code.len())] + random.below(64),
                5 => was[random.below(many)],
                6 => words.start + random.below(many) * WORD,
                7 => words.end + random.below(8) * WORD,
                // From where distances lead round to small addresses.
                8 => 0usize.wrapping_sub(random.below(128) * WORD),
                _ => words.start + i * WORD,
            };
            write(i, word);
        }
        for walker in WALKERS {
            let mut trace = Traceback::current_by(walker);
            let count = trace.by_ref().count();
            let stop = trace.stop().expect("a reason");
            let walker = match walker {
                Walker::Records => "records",
                Walker::Tables => "tables",
                Walker::Auto => "both",
            };
            *stops.entry((walker, stop.name())).or_insert(0) += 1;
            check!(count <= many, "{count} frames on {many} words");
        }
        for &i in &changed {
            write(i, was[i]);
        }
    }
}

fn damaged_towers(place: Place) {
    let mut random = Random(0xda3a9e);
    let mut stops = Stops::new();
    for round in 0..20 {
        let plan = Plan::new(&mut random, 1 + round % 5, Managed::WithRecords, Top::Runs);
        let code: Vec<_> = plan.levels.iter().map(|level| level.entry).collect();
        build(&plan, place, null_mut(), &mut || {
            let low = here() & !(WORD - 1);
            let top = stacks()[1].end;
            let (random, stops, code) = (&raw mut random, &raw mut stops, &*code);
            // SAFETY: both are the case's, on the system stack.
            on_system_stack(|| unsafe { damage(low..top, &mut *random, code, &mut *stops) });
            // Nothing is damaged any more.
            let (pcs, stop) = take_by(Walker::Auto);
            check_eq!(stop, Some(Stop::End));
            check_eq!(names(&below_the_top(&pcs, &plan)), names(&plan.managed()), "tower {round}");
        });
    }
    println!("note ends of traces over damage, {place:?}: {stops:?}");
    let seen: BTreeSet<_> = stops.keys().copied().collect();
    for (walker, reason) in [
        ("records", Stop::End),
        ("records", Stop::BadMemory),
        ("records", Stop::Loop),
        ("records", Stop::NoRecord),
        ("tables", Stop::End),
        ("tables", Stop::BadMemory),
        ("tables", Stop::NoTable),
    ] {
        check!(seen.contains(&(walker, reason.name())), "{walker}: no {reason:?} among {stops:?}");
    }
}

/// More frames than a trace has.
fn too_many_frames() {
    #[inline(never)]
    fn down(n: usize) {
        if n == 0 {
            for walker in WALKERS {
                let (pcs, stop) = take_by(walker);
                check_eq!(stop, Some(Stop::Bound), "{walker:?}");
                check_eq!(pcs.len(), MAX_FRAMES, "{walker:?}");
            }
        } else {
            down(n - 1);
        }
        black_box(n);
    }
    unsafe extern "C" fn entry(_: usize) -> usize {
        down(black_box(MAX_FRAMES));
        black_box(1)
    }
    adopted(|_| {
        check_eq!(Task::new((32 << 20) * MORE_STACK, entry).resume(0), Resumed::Finished(1));
    });
}

cases! {
    "towers";
    "libgcc, stack below" => || by_libgcc(Below);
    "libgcc, stack above" => || by_libgcc(Above);
    "both walkers, stack below" => || both_walkers(Below);
    "both walkers, stack above" => || both_walkers(Above);
    "by tables, stack below" => || by_tables(Below);
    "by tables, stack above" => || by_tables(Above);
    "an interrupted leaf, stack below" => || interrupted_in_a_leaf(Below);
    "an interrupted leaf, stack above" => || interrupted_in_a_leaf(Above);
    "as perf walks from managed code, stack below" => || interrupted_in_managed_code(Below);
    "as perf walks from managed code, stack above" => || interrupted_in_managed_code(Above);
    "as perf walks from C, stack below" => || interrupted_in_c(Below);
    "as perf walks from C, stack above" => || interrupted_in_c(Above);
    "damaged, stack below" => || damaged_towers(Below);
    "damaged, stack above" => || damaged_towers(Above);
    "too many frames" => too_many_frames;
}
