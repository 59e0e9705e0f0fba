//! Towers of managed code and C at random: functions of every shape, in Rust as this program is compiled and in C at
//! -O0 and -O2, call each other, C and back as a list says.

use crate::fuzz::report::Random;
use core::cell::RefCell;
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use stackgate::{G, Resumed, arch, g_init, resume};

/// What the functions of a tower pass on; `struct tower` of `tower.c`.
#[repr(C)]
struct Tower {
    next: *const arch::CFn,
    page: *mut u8,
    room: usize,
}

/// The function that the one at hand calls.
///
/// # Safety
/// `tower` is one, with a function left.
#[inline(always)]
unsafe fn after(tower: *mut c_void) -> arch::CFn {
    let tower: *mut Tower = tower.cast();
    // SAFETY: by the caller.
    unsafe {
        let next = (*tower).next;
        (*tower).next = next.add(1);
        *next
    }
}

/// What a function does beside calling the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Dynamic,
    Large,
    Many,
    Busy,
    Floating,
    Aligned,
    CallsC,
    Catches,
    CallsBack,
    Entered,
    Sorts,
    Compares,
    Leaf,
    Ends,
}

/// Those that are like any other.
const ORDINARY: [Shape; 7] =
    [Shape::Plain, Shape::Dynamic, Shape::Large, Shape::Many, Shape::Busy, Shape::Floating, Shape::Aligned];

/// Addresses in the order of [`Shape`].
type Shapes = [*const (); Shape::Ends as usize + 1];

mod in_rust {
    use super::*;

    macro_rules! calls_next {
        ($($name:ident: $before:stmt => $after:expr;)+) => {$(
            #[inline(never)]
            pub unsafe extern "C" fn $name(tower: *mut c_void) -> c_int {
                $before
                // SAFETY: who builds a tower passes it.
                let rest = unsafe { after(tower)(tower) };
                rest + black_box($after)
            }
        )+};
    }
    calls_next! {
        plain: () => 1;
        // So large that each page of it is touched first.
        dynamic: let room = black_box([1u8; 9000]) => c_int::from(room[8999]);
        large: let room = black_box([1u8; 2500]) => c_int::from(room[2499]);
        busy: let many: [usize; 14] = core::array::from_fn(black_box) => (many.iter().sum::<usize>() / 91) as c_int;
        floating: let many: [f64; 10] = core::array::from_fn(|i| black_box(i as f64))
            => many.iter().sum::<f64>() as c_int / 45;
        aligned: let room = black_box(Aligned([1; 64])) => c_int::from(room.0[63]);
    }

    #[repr(align(64))]
    struct Aligned([u8; 64]);

    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "what it is about")]
    fn last(
        a: c_int,
        b: c_int,
        c: c_int,
        d: c_int,
        e: c_int,
        f: c_int,
        g: c_int,
        h: c_int,
        i: c_int,
        last: c_int,
    ) -> c_int {
        black_box(a + b + c + d + e + f + g + h + i) / 9 + last
    }

    #[inline(never)]
    pub unsafe extern "C" fn many(tower: *mut c_void) -> c_int {
        // SAFETY: as above.
        last(1, 1, 1, 1, 1, 1, 1, 1, 1, unsafe { after(tower)(tower) })
    }

    #[inline(never)]
    pub unsafe extern "C" fn calls_c(tower: *mut c_void) -> c_int {
        // SAFETY: on a managed stack; the function takes the tower.
        unsafe { arch::asmcgocall(after(tower), tower) + black_box(1) }
    }

    #[inline(never)]
    pub unsafe extern "C" fn catches(tower: *mut c_void) -> c_int {
        let mut thrown = 1;
        // SAFETY: as above.
        let rest = unsafe { arch::asmcgocall_catch(after(tower), tower, &raw mut thrown) };
        rest + 1 + thrown as c_int
    }

    #[inline(never)]
    pub unsafe extern "C" fn entered(tower: *mut c_void, result: usize, context: usize) {
        // SAFETY: as above; `calls_back` passes the place of its result.
        unsafe {
            let rest = after(tower)(tower) + 1 + context as c_int;
            core::ptr::with_exposed_provenance_mut::<c_int>(result).write(rest);
        }
    }

    #[inline(never)]
    pub unsafe extern "C" fn calls_back(tower: *mut c_void) -> c_int {
        let mut rest = 0;
        // SAFETY: on the system stack.
        unsafe { stackgate::enter(entered, tower, (&raw mut rest).expose_provenance()) };
        black_box(rest) + 1
    }

    static RESULT: core::sync::atomic::AtomicI32 = core::sync::atomic::AtomicI32::new(0);

    #[inline(never)]
    pub unsafe extern "C" fn compares(tower: *const c_void, _: *const c_void) -> c_int {
        // SAFETY: as above, of an element of the array below.
        let rest = unsafe {
            let tower = tower.cast::<*mut c_void>().read();
            after(tower)(tower)
        };
        RESULT.store(rest + 1, core::sync::atomic::Ordering::Relaxed);
        0
    }

    #[inline(never)]
    pub unsafe extern "C" fn sorts(tower: *mut c_void) -> c_int {
        let mut two = [tower; 2];
        // SAFETY: an array of two pointers.
        unsafe { libc::qsort(two.as_mut_ptr().cast(), 2, size_of_val(&tower), Some(compares)) };
        RESULT.load(core::sync::atomic::Ordering::Relaxed) + 1
    }

    #[inline(never)]
    pub unsafe extern "C" fn leaf(tower: *mut c_void) -> c_int {
        // SAFETY: a handler makes the page one that can be written to.
        unsafe { (*tower.cast::<Tower>()).page.write_volatile(1) };
        1
    }

    #[inline(never)]
    pub unsafe extern "C" fn ends(tower: *mut c_void) -> c_int {
        let one = last(1, 1, 1, 1, 1, 1, 1, 1, 1, 0);
        // SAFETY: as above.
        unsafe { (*tower.cast::<Tower>()).page.write_volatile(1) };
        last(1, 1, 1, 1, 1, 1, 1, 1, 1, one - 1)
    }
}

/// In Rust, in the order of [`Shape`].
fn rust_shapes() -> Shapes {
    use in_rust::*;
    let calling: [arch::CFn; 10] =
        [plain, dynamic, large, many, busy, floating, aligned, calls_c, catches, calls_back];
    let mut all = [core::ptr::null(); Shape::Ends as usize + 1];
    for (place, function) in all.iter_mut().zip(calling) {
        *place = function as *const ();
    }
    all[Shape::Entered as usize] = entered as arch::CallbackFn as *const ();
    all[Shape::Sorts as usize] = sorts as arch::CFn as *const ();
    all[Shape::Compares as usize] = compares as unsafe extern "C" fn(_, _) -> _ as *const ();
    all[Shape::Leaf as usize] = leaf as arch::CFn as *const ();
    all[Shape::Ends as usize] = ends as arch::CFn as *const ();
    all
}

unsafe extern "C" {
    static tower_o0_shapes: Shapes;
    static tower_o2_shapes: Shapes;
    static tower_o0_keeps_records: c_int;
}

/// What a compiler has made of the shapes.
struct Compiled {
    shapes: Shapes,
    keeps_records: bool,
}

fn compiled() -> [Compiled; 3] {
    // SAFETY: constants.
    let (o0, o2, keeps_records) = unsafe { (tower_o0_shapes, tower_o2_shapes, tower_o0_keeps_records != 0) };
    [
        Compiled { shapes: rust_shapes(), keeps_records: true },
        Compiled { shapes: o0, keeps_records },
        Compiled { shapes: o2, keeps_records },
    ]
}

/// One frame of a tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Where its function begins.
    pub entry: usize,
    /// Managed code, not C or a crossing.
    pub managed: bool,
    /// Of the crossings.
    pub crossing: bool,
}

/// Which functions may be managed code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managed {
    /// Those that keep frame records of the form that walkers follow.
    WithRecords,
    /// Every one.
    Any,
}

/// The innermost function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Managed code, which runs what the case wants.
    Runs,
    /// The same in C.
    RunsInC,
    /// A managed function that calls nothing, where a signal comes.
    Leaf,
    /// A managed function with a frame, where a signal comes.
    Ends,
    /// The same in C.
    EndsInC,
}

/// A tower to be built.
pub struct Plan {
    functions: Vec<arch::CFn>,
    /// What a walk over all of it sees, outermost first, from the task's function on.
    pub levels: Vec<Level>,
}

impl Plan {
    /// The same, innermost first, of managed code alone.
    pub fn managed(&self) -> Vec<usize> {
        self.levels.iter().rev().filter(|level| level.managed).map(|level| level.entry).collect()
    }

    /// The same of all.
    pub fn physical(&self) -> Vec<usize> {
        self.levels.iter().rev().map(|level| level.entry).collect()
    }

    /// Makes one that goes into C `depth` times, and back.
    pub fn new(random: &mut Random, depth: usize, managed: Managed, top: Top) -> Self {
        let compiled = compiled();
        let mut plan = Self { functions: Vec::new(), levels: Vec::new() };
        plan.level(begins as *const (), true);
        let one = |random: &mut Random| loop {
            let chosen = &compiled[random.below(compiled.len())];
            if managed == Managed::Any || chosen.keeps_records {
                break chosen;
            }
        };
        let in_c = matches!(top, Top::RunsInC | Top::EndsInC);
        for level in 0..=depth {
            for _ in 0..random.below(4) {
                plan.call(one(random), ORDINARY[random.below(ORDINARY.len())], true);
            }
            if level == depth && !in_c {
                break;
            }
            let shape = if random.below(3) == 0 { Shape::Catches } else { Shape::CallsC };
            plan.call(one(random), shape, true);
            plan.crossing(arch::asmcgocall as *const ());
            if shape == Shape::Catches {
                // Which goes on in the other one.
                plan.levels.insert(plan.levels.len() - 1, crossing(arch::asmcgocall_catch as *const ()));
            }
            for _ in 0..random.below(3) {
                plan.call(one(random), ORDINARY[random.below(ORDINARY.len())], false);
            }
            if level == depth {
                break;
            }
            if random.below(4) == 0 {
                let sorting = one(random);
                plan.call(sorting, Shape::Sorts, false);
                plan.level(sorting.shapes[Shape::Compares as usize], false);
            }
            let calling = one(random);
            plan.call(calling, Shape::CallsBack, false);
            plan.crossing(arch::cgocallback as *const ());
            plan.level(calling.shapes[Shape::Entered as usize], true);
        }
        let ends = match top {
            Top::Runs | Top::RunsInC => {
                plan.functions.push(runs);
                plan.level(runs as *const (), !in_c);
                return plan;
            }
            Top::Leaf => Shape::Leaf,
            Top::Ends | Top::EndsInC => Shape::Ends,
        };
        plan.call(one(random), ends, !in_c);
        plan
    }

    fn call(&mut self, compiled: &Compiled, shape: Shape, managed: bool) {
        let function = compiled.shapes[shape as usize];
        // SAFETY: every shape that is called from a list is such a function.
        self.functions.push(unsafe { core::mem::transmute::<*const (), arch::CFn>(function) });
        self.level(function, managed);
    }

    fn level(&mut self, function: *const (), managed: bool) {
        self.levels.push(Level { entry: entry(function), managed, crossing: false });
    }

    fn crossing(&mut self, function: *const ()) {
        self.levels.push(crossing(function));
    }

    /// Runs it in a task on this stack, whose system stack is that of the caller. `top` runs innermost.
    ///
    /// # Panics
    /// If a function does not get back what the next one has returned.
    pub fn run(&self, stack: &mut [u128], page: *mut u8, top: &mut dyn FnMut()) {
        let mut tower = Tower { next: self.functions.as_ptr(), page, room: 1 };
        // SAFETY: a closure that is called, and taken out again, before this returns.
        let top = unsafe { core::mem::transmute::<&mut dyn FnMut(), &'static mut dyn FnMut()>(top) };
        TOP.with(|place| *place.borrow_mut() = Some(top));
        let ends = stack.as_mut_ptr_range();
        let mut g = G::default();
        // SAFETY: both outlive the task; the tower is one.
        let ended = unsafe {
            g_init(&raw mut g, ends.start.cast(), ends.end.cast(), begins).expect("a good stack");
            resume(&raw mut g, (&raw mut tower).expose_provenance())
        };
        TOP.with(|place| *place.borrow_mut() = None);
        // Each that is called by the list or by another of its functions adds one.
        let adds = self.levels.iter().filter(|level| !level.crossing).count() - 1;
        assert_eq!(ended, Ok(Resumed::Finished(adds)), "what the functions return");
    }
}

fn crossing(function: *const ()) -> Level {
    Level { entry: entry(function), managed: false, crossing: true }
}

fn entry(function: *const ()) -> usize {
    crate::symbols::entry(function.addr()).expect("a function of this program")
}

std::thread_local! {
    static TOP: RefCell<Option<&'static mut dyn FnMut()>> = const { RefCell::new(None) };
}

/// The task's function.
#[inline(never)]
unsafe extern "C" fn begins(tower: usize) -> usize {
    let tower = core::ptr::with_exposed_provenance_mut(tower);
    // SAFETY: `Plan::run` passes it.
    black_box(unsafe { after(tower)(tower) }) as usize
}

/// The innermost function, of a tower that runs something.
#[inline(never)]
unsafe extern "C" fn runs(_: *mut c_void) -> c_int {
    let top = TOP.with(|place| place.borrow_mut().take());
    if let Some(top) = top {
        top();
    }
    black_box(1)
}

/// Of the functions that led from [`runs`] out, the entries of those that are a tower's or crossings; from the
/// innermost function on if no signal came there.
pub fn of_towers(pcs: &[usize]) -> Vec<usize> {
    let mut known: Vec<_> = compiled().iter().flat_map(|one| one.shapes).map(entry).collect();
    let crossings =
        [arch::asmcgocall as *const (), arch::asmcgocall_catch as *const (), arch::cgocallback as *const ()];
    known.extend(crossings.map(entry));
    known.extend([begins as *const (), runs as *const ()].map(entry));
    pcs.iter().filter_map(|&pc| crate::symbols::entry(pc)).filter(|entry| known.contains(entry)).collect()
}
