//! Boost.Context: `jump_fcontext`, what its fibers are made of.

use crate::each_of_many;
use crate::measure::Contestant;
use core::ffi::c_void;

const WHO: &str = "boost";

/// Bytes of a stack.
const STACK: usize = 16 << 10;

/// Whom one comes from, and what with.
#[repr(C)]
#[derive(Clone, Copy)]
struct Transfer {
    from: *mut c_void,
    data: *mut c_void,
}

type Entry = extern "C" fn(Transfer) -> !;

// `boost/context/detail/fcontext.hpp`.
#[link(name = "boost_context")]
unsafe extern "C" {
    fn jump_fcontext(to: *mut c_void, data: *mut c_void) -> Transfer;
    fn make_fcontext(top: *mut c_void, size: usize, entry: Entry) -> *mut c_void;
}

/// What a word is there.
fn pointer(word: usize) -> *mut c_void {
    core::ptr::without_provenance_mut(word)
}

/// A context on a stack whose top is a page's, as those are that Boost makes itself.
fn context(entry: Entry) -> *mut c_void {
    // A context has the floating point unit's control register as it is now, flags of past operations included, and
    // each switch loads it. That takes many times as long where it changes; so none of these flags is to come later.
    core::hint::black_box(core::hint::black_box(1.0) / core::hint::black_box(3.0));
    let layout = std::alloc::Layout::from_size_align(STACK, 4096).expect("a power of two");
    // SAFETY: not of size 0; the memory is never freed, and the stack's alone.
    unsafe {
        let stack = std::alloc::alloc_zeroed(layout);
        assert!(!stack.is_null(), "no memory");
        make_fcontext(stack.add(STACK).cast(), STACK, entry)
    }
}

/// Jumps back with how often it has done so: one function for each number.
extern "C" fn jumps<const NUMBER: usize>(mut back: Transfer) -> ! {
    let mut turns = NUMBER;
    loop {
        turns += 1;
        // SAFETY: who has jumped here waits there.
        back = unsafe { jump_fcontext(back.from, pointer(turns)) };
    }
}

pub fn turns<const TASKS: usize>() -> Contestant {
    let entries: [Entry; crate::MANY] = each_of_many!(jumps);
    there_and_back(core::array::from_fn::<_, TASKS, _>(|number| (context(entries[number]), number)))
}

pub fn turns_alike<const TASKS: usize>() -> Contestant {
    there_and_back(core::array::from_fn::<_, TASKS, _>(|_| (context(jumps::<0>), 0)))
}

/// Each in turn, again and again. With the number that each begins to count from.
fn there_and_back<const TASKS: usize>(tasks: [(*mut c_void, usize); TASKS]) -> Contestant {
    let begin = tasks.map(|(_, number)| number);
    let mut at = tasks.map(|(context, _)| context);
    let mut each = 0;
    Contestant::new(WHO, "jump_fcontext, twice", 0, move |n| {
        let mut words = [0; TASKS];
        for _ in 0..n / TASKS {
            for (context, last) in at.iter_mut().zip(&mut words) {
                // SAFETY: it waits there.
                let back = unsafe { jump_fcontext(*context, pointer(0)) };
                (*context, *last) = (back.from, back.data.addr());
            }
        }
        each += n / TASKS;
        assert_eq!(words, begin.map(|begin| begin + each), "turns that each context has had");
    })
}

/// What those of a ring know of each other.
struct Ring<const TASKS: usize> {
    /// Where each waits.
    at: [*mut c_void; TASKS],
    /// Who waits for all of them.
    outside: *mut c_void,
    switched: usize,
}

/// Jumps to the next one as often as all of them together have to. Who arrives stores where the one before waits.
extern "C" fn round<const NUMBER: usize, const TASKS: usize>(first: Transfer) -> ! {
    let ring: *mut Ring<TASKS> = first.data.cast();
    let (before, next) = ((NUMBER + TASKS - 1) % TASKS, (NUMBER + 1) % TASKS);
    let mut switched = NUMBER;
    // SAFETY: the ring is there for as long as the program; those who are jumped to wait where they say.
    unsafe {
        let mut came = jump_fcontext(first.from, pointer(0));
        let mut begun = true;
        loop {
            let left = came.data.addr();
            // From outside to the first of a block, from the one before otherwise.
            if core::mem::take(&mut begun) && NUMBER == 0 {
                (*ring).outside = came.from;
            } else {
                (*ring).at[before] = came.from;
            }
            if left > 0 {
                switched += 1;
                came = jump_fcontext((*ring).at[next], pointer(left - 1));
            } else {
                (*ring).switched = switched - NUMBER;
                begun = true;
                came = jump_fcontext((*ring).outside, pointer(0));
            }
        }
    }
}

pub fn ring<const TASKS: usize>() -> Contestant {
    fn of<const TASKS: usize>() -> [Entry; crate::MANY] {
        [
            round::<0, TASKS>,
            round::<1, TASKS>,
            round::<2, TASKS>,
            round::<3, TASKS>,
            round::<4, TASKS>,
            round::<5, TASKS>,
            round::<6, TASKS>,
            round::<7, TASKS>,
            round::<8, TASKS>,
            round::<9, TASKS>,
            round::<10, TASKS>,
            round::<11, TASKS>,
            round::<12, TASKS>,
            round::<13, TASKS>,
            round::<14, TASKS>,
            round::<15, TASKS>,
        ]
    }
    let entries = of::<TASKS>();
    let none =
        Ring::<TASKS> { at: [core::ptr::null_mut(); TASKS], outside: core::ptr::null_mut(), switched: 0 };
    let ring = Box::leak(Box::new(none)) as *mut Ring<TASKS>;
    for (number, entry) in entries.into_iter().enumerate().take(TASKS) {
        // SAFETY: a context that has not begun.
        let begun = unsafe { jump_fcontext(context(entry), ring.cast()) };
        // SAFETY: nobody else has the ring now.
        unsafe { (*ring).at[number] = begun.from };
    }
    let mut each = 0;
    Contestant::new(WHO, "jump_fcontext", 0, move |n| {
        each += n / TASKS;
        // SAFETY: the first one waits there; round after round it ends where it began.
        unsafe {
            let back = jump_fcontext((*ring).at[0], pointer(n));
            (*ring).at[0] = back.from;
            assert_eq!((*ring).switched, each, "switches of each context");
        }
    })
}
