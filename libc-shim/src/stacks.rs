//! Managed stacks: small, guarded, cached, as many as the memory holds.
//!
//! Stacks are cut from arenas: one mapping each, that costs address space until it is touched.
//!
//! ```text
//!   | links, one word a slot | guard | stack 0    | guard | stack 1    | ...
//!   start                            limit      top        limit    top
//! ```
//!
//! What a pool knows of its stacks lies in front of them, so that a stack that is not in use costs nothing: the
//! link to the next one of its list, which is all there is to know. Nothing is locked: lists are changed by one
//! compare-and-swap, and can be used in the child of a `fork` whatever other threads were doing.
//!
//! Tops are staggered by cache lines. Tasks whose stacks all begin at the same place within a page would
//! share a few sets of the cache.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use stackgate::{G, MIN_STACK, Platform, STACK_ALIGN, ServiceError, StackError, platform};

/// The step between two staggered tops, in bytes: a cache line of most CPUs; of those with larger ones a part.
const LINE: usize = 64;
/// How many different places there are for tops.
const PLACES: usize = 16;
/// What staggering takes of a stack at most.
const STAGGER: usize = LINE * (PLACES - 1);

/// How many arenas there may be in a process. Each of a size has twice the stacks of the last one.
const MAX_ARENAS: usize = 256;
/// Stacks of the first arena of a size.
const FIRST_COUNT: usize = 64;
/// Stacks of an arena at most, so that the number of a stack fits its list.
const MAX_COUNT: usize = 1 << 22;
/// Bytes of an arena at most, as far as more than one stack is concerned.
const MAX_ARENA: usize = if usize::BITS == 64 { 1 << 36 } else { 1 << 26 };

/// Size classes: four to each power of two pages, so that at most a quarter is for nothing.
const CLASSES: usize = 68;

/// How a pool makes and keeps its stacks.
#[derive(Clone, Copy, Debug)]
pub struct StackOptions {
    /// Bytes of the guard below each stack, rounded up to whole pages; 0 for none.
    ///
    /// A function whose frame is larger than the guard can jump over it, and write into the stack below: compile
    /// with stack probes (Rust has them; gcc's are `-fstack-clash-protection`) or make the guard larger.
    pub guard: usize,
    /// Bytes of stacks that have been put back and keep their memory. What goes beyond is given to the system
    /// until it is used again.
    pub keep: usize,
}

impl StackOptions {
    /// [`Default`] for a `static`.
    pub const DEFAULT: Self = Self { guard: 1, keep: 16 << 20 };
}

impl Default for StackOptions {
    /// A guard of one page, and 16 MiB kept.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A pool of managed stacks of any size. Usually a `static`.
///
/// Its methods run on any system stack and on any thread; none is for signal handlers.
#[derive(Debug)]
pub struct Stacks {
    options: StackOptions,
    classes: [Class; CLASSES],
    /// Bytes of stacks in the warm lists.
    kept: AtomicUsize,
}

/// The stacks of one size.
#[derive(Debug)]
struct Class {
    /// Not in use, with their memory.
    warm: List,
    /// Not in use, without memory.
    cold: List,
    /// Never used: their guard could not be made.
    bare: List,
    /// The newest arena's number, and one; 0 for none.
    newest: AtomicU32,
}

/// A list of stacks by number: the last one that was added, and one, and how often the list has changed.
#[derive(Debug)]
struct List(AtomicU64);

/// One mapping, cut into stacks. All arenas of a process are in one table, which says to whoever asks whether an
/// address is in a guard.
struct Arena {
    taken: AtomicBool,
    /// Lowest address; 0 while the others mean nothing. Written last and cleared first.
    start: AtomicUsize,
    size: AtomicUsize,
    /// Where the first slot begins.
    first: AtomicUsize,
    /// Bytes of a slot: guard and stack.
    slot: AtomicUsize,
    guard: AtomicUsize,
    count: AtomicUsize,
    /// How many slots have ever been used.
    used: AtomicUsize,
    links: AtomicPtr<AtomicU32>,
    /// The arena before of the same size, and one; 0 for none.
    previous: AtomicU32,
    /// The memory is the embedder's.
    given: AtomicBool,
}

static ARENAS: [Arena; MAX_ARENAS] = [const {
    Arena {
        taken: AtomicBool::new(false),
        start: AtomicUsize::new(0),
        size: AtomicUsize::new(0),
        first: AtomicUsize::new(0),
        slot: AtomicUsize::new(0),
        guard: AtomicUsize::new(0),
        count: AtomicUsize::new(0),
        used: AtomicUsize::new(0),
        links: AtomicPtr::new(core::ptr::null_mut()),
        previous: AtomicU32::new(0),
        given: AtomicBool::new(false),
    }
}; MAX_ARENAS];

/// A stack's number: its arena, and its slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(u32);

impl Id {
    const SLOT_BITS: u32 = 23;
    fn new(arena: usize, slot: usize) -> Self {
        Self((arena as u32) << Self::SLOT_BITS | slot as u32)
    }
    fn arena(self) -> &'static Arena {
        &ARENAS[(self.0 >> Self::SLOT_BITS) as usize]
    }
    fn slot(self) -> usize {
        (self.0 & ((1 << Self::SLOT_BITS) - 1)) as usize
    }
    fn link(self) -> &'static AtomicU32 {
        let links = self.arena().links.load(Ordering::Relaxed);
        // SAFETY: there is a link for each slot, for as long as the arena is there.
        unsafe { &*links.add(self.slot()) }
    }
}

const _: () = assert!(MAX_COUNT <= 1 << Id::SLOT_BITS && MAX_ARENAS <= 1 << (31 - Id::SLOT_BITS));

impl List {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn push(&self, id: Id) {
        self.change(|head| {
            id.link().store(head, Ordering::Relaxed);
            Some(id.0 + 1)
        });
    }

    fn pop(&self) -> Option<Id> {
        let former = self.change(|head| {
            let id = Id(head.checked_sub(1)?);
            // Another thread may have taken it: then this is nobody's number, and not used.
            Some(id.link().load(Ordering::Relaxed))
        });
        Some(Id(former?.checked_sub(1)?))
    }

    /// Replaces the head by what `new` makes of it; returns the former one.
    fn change(&self, new: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let head = new(now as u32)?;
            // The count tells a head from the same one after others have come and gone.
            let next = (now >> 32).wrapping_add(1) << 32 | u64::from(head);
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(now as u32),
                Err(other) => now = other,
            }
        }
    }
}

/// A managed stack. It goes back to its pool when dropped: when its task has finished, and nobody uses it.
#[derive(Debug)]
#[must_use = "a stack that is dropped is another task's in a moment"]
pub struct ManagedStack<'a> {
    pool: &'a Stacks,
    class: u32,
    id: Id,
}

impl ManagedStack<'_> {
    /// Its lowest address, a multiple of the page.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn limit(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(place(self.id).limit)
    }

    /// One past its highest address, a multiple of [`STACK_ALIGN`](stackgate::STACK_ALIGN).
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn top(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(place(self.id).top)
    }

    /// Bytes of use: at least as many as were asked for.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn size(&self) -> usize {
        let place = place(self.id);
        place.top - place.limit
    }

    /// Bytes of the guard below it; 0 if there is none.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn guard(&self) -> usize {
        let place = place(self.id);
        place.limit - place.guard
    }

    /// Makes `g` a task on this stack: [`g_init`](stackgate::g_init).
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// [`StackError`]; nothing has changed then.
    ///
    /// # Safety
    /// As [`g_init`](stackgate::g_init): the stack is not dropped before the task has finished.
    pub unsafe fn init(&self, g: *mut G, entry: stackgate::EntryFn) -> Result<(), StackError> {
        // SAFETY: by the caller.
        unsafe { stackgate::g_init(g, self.limit(), self.top(), entry) }
    }
}

#[cfg(not(feature = "libc-names"))]
impl<'a> ManagedStack<'a> {
    /// As two words, for who cannot own it: nobody puts it back until [`Self::from_words`] has made it again.
    pub(crate) fn into_words(self) -> [u32; 2] {
        let words = [self.class, self.id.0];
        core::mem::forget(self);
        words
    }

    /// The stack again.
    ///
    /// # Safety
    /// From [`Self::into_words`] of a stack of this pool, once.
    pub(crate) unsafe fn from_words(pool: &'a Stacks, [class, id]: [u32; 2]) -> Self {
        Self { pool, class, id: Id(id) }
    }
}

impl Drop for ManagedStack<'_> {
    fn drop(&mut self) {
        self.pool.put(self.class as usize, self.id);
    }
}

/// Where a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where its guard begins.
    pub guard: usize,
    pub limit: usize,
    pub top: usize,
}

fn place(id: Id) -> Place {
    let arena = id.arena();
    arena.place(arena.first.load(Ordering::Relaxed), id.slot())
}

impl Arena {
    /// The stack in a slot, of an arena whose first slot is at `first`.
    fn place(&self, first: usize, slot: usize) -> Place {
        let bytes = self.slot.load(Ordering::Relaxed);
        let guard = first + slot * bytes;
        let stagger = slot % PLACES * LINE;
        Place { guard, limit: guard + self.guard.load(Ordering::Relaxed), top: guard + bytes - stagger }
    }
}

/// The stack of a pool in whose guard, or in which, `address` lies.
///
/// Safe in a signal handler.
pub(crate) fn find(address: usize) -> Option<Place> {
    ARENAS.iter().find_map(|arena| {
        let start = arena.start.load(Ordering::Acquire);
        let inside = address.wrapping_sub(start) < arena.size.load(Ordering::Relaxed);
        let first = arena.first.load(Ordering::Relaxed);
        if start == 0 || !inside || address < first {
            return None;
        }
        let slot = (address - first).checked_div(arena.slot.load(Ordering::Relaxed))?;
        (slot < arena.count.load(Ordering::Relaxed)).then(|| arena.place(first, slot))
    })
}

/// The class of stacks of so many pages, if there are such large ones.
const fn class_of(pages: usize) -> Option<usize> {
    if pages == 0 {
        return None;
    }
    if pages <= 4 {
        return Some(pages - 1);
    }
    // 2^k < pages <= 2^(k+1), in four steps.
    let k = (usize::BITS - 1 - (pages - 1).leading_zeros()) as usize;
    let step = 1 << (k - 2);
    let class = 4 + (k - 2) * 4 + (pages - (1 << k)).div_ceil(step) - 1;
    if class < CLASSES { Some(class) } else { None }
}

/// How many pages the stacks of a class have.
const fn pages_of(class: usize) -> usize {
    if class < 4 {
        return class + 1;
    }
    let (k, quarters) = (2 + (class - 4) / 4, (class - 4) % 4 + 1);
    (1 << k) + (quarters << (k - 2))
}

impl Stacks {
    /// A pool without stacks.
    pub const fn new(options: StackOptions) -> Self {
        Self {
            options,
            classes: [const {
                Class { warm: List::new(), cold: List::new(), bare: List::new(), newest: AtomicU32::new(0) }
            }; CLASSES],
            kept: AtomicUsize::new(0),
        }
    }

    /// A stack with at least `size` bytes of use.
    ///
    /// # Errors
    /// [`ServiceError::TooManyGuards`] where the system has no more of them; [`ServiceError::NoMemory`];
    /// [`ServiceError::BadArgument`] if `size` is less than [`MIN_STACK`](stackgate::MIN_STACK) or larger than
    /// any stack; [`ServiceError::NotHere`] without a platform that has memory. What there was before is as it
    /// was.
    pub fn take(&self, size: usize) -> Result<ManagedStack<'_>, ServiceError> {
        let platform = platform().ok_or(ServiceError::NotHere)?;
        let class = class_for(platform, size)?;
        let at = &self.classes[class];
        let stack = |id| ManagedStack { pool: self, class: class as u32, id };
        if let Some(id) = at.warm.pop() {
            if !id.arena().given.load(Ordering::Relaxed) {
                self.kept.fetch_sub(pages_of(class) * platform.page_size(), Ordering::Relaxed);
            }
            return Ok(stack(id));
        }
        if let Some(id) = at.cold.pop() {
            return Ok(stack(id));
        }
        let id = match at.bare.pop() {
            Some(id) => id,
            None => self.next_slot(platform, class)?,
        };
        let Place { guard, limit, .. } = place(id);
        if let Some(pages) = NonNull::new(core::ptr::with_exposed_provenance_mut(guard))
            && limit > guard
        {
            // SAFETY: a slot that nobody has used.
            if let Err(error) = unsafe { platform.guard(pages, limit - guard) } {
                at.bare.push(id);
                return Err(error);
            }
        }
        Ok(stack(id))
    }

    /// Sees to it that there is one mapping for at least `count` more stacks of `size` bytes, so that these do not
    /// have to be looked for piece by piece. It costs address space, and a word a stack once that is used.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn reserve(&self, size: usize, count: usize) -> Result<(), ServiceError> {
        let platform = platform().ok_or(ServiceError::NotHere)?;
        let class = class_for(platform, size)?;
        if count > MAX_COUNT {
            return Err(ServiceError::BadArgument);
        }
        loop {
            let newest = self.classes[class].newest.load(Ordering::Acquire);
            if self.grow(platform, class, newest, count, count)? {
                return Ok(());
            }
        }
    }

    /// Makes stacks of `size` bytes from memory of the embedder's, `bytes` from `at` on, and returns how many.
    /// They have no guard: what runs over one writes into the next.
    ///
    /// # Errors
    /// [`ServiceError::BadArgument`] if there is not room for one, or `size` is one that [`take`](Self::take)
    /// refuses; [`ServiceError::NoMemory`] if there are too many arenas.
    ///
    /// # Safety
    /// The memory is the pool's alone for as long as that exists.
    pub unsafe fn give(&self, at: *mut u8, bytes: usize, size: usize) -> Result<usize, ServiceError> {
        let platform = platform().ok_or(ServiceError::NotHere)?;
        let class = class_for(platform, size)?;
        let slot = pages_of(class) * platform.page_size();
        let start = at.expose_provenance();
        let begin = start.next_multiple_of(STACK_ALIGN);
        let room = (start + bytes).saturating_sub(begin);
        // A link and a slot each, and what it takes to align the first slot.
        let count = room.saturating_sub(STACK_ALIGN) / (slot + size_of::<AtomicU32>());
        if at.is_null() || count == 0 || count > MAX_COUNT {
            return Err(ServiceError::BadArgument);
        }
        let number = take_arena().ok_or(ServiceError::NoMemory)?;
        let links: *mut AtomicU32 = core::ptr::with_exposed_provenance_mut(begin);
        for i in 0..count {
            // SAFETY: by the caller; in front of the slots.
            unsafe { links.add(i).write(AtomicU32::new(0)) };
        }
        let first = (begin + count * size_of::<AtomicU32>()).next_multiple_of(STACK_ALIGN);
        let arena = &ARENAS[number];
        arena.given.store(true, Ordering::Relaxed);
        arena.set(begin, room, first, slot, 0, count);
        let class = &self.classes[class];
        let mut newest = class.newest.load(Ordering::Acquire);
        // All of its stacks are on a list at once: the arena is no place to look for more.
        arena.used.store(count, Ordering::Relaxed);
        loop {
            arena.previous.store(newest, Ordering::Relaxed);
            let mine = number as u32 + 1;
            match class.newest.compare_exchange(newest, mine, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => newest = now,
            }
        }
        for slot in 0..count {
            class.warm.push(Id::new(number, slot));
        }
        Ok(count)
    }

    /// Gives the memory of every stack that is not in use back to the system, and keeps the stacks. Returns of how
    /// many.
    pub fn trim(&self) -> usize {
        let Some(platform) = platform() else { return 0 };
        let mut trimmed = 0;
        for (class, at) in self.classes.iter().enumerate() {
            let mut given = None;
            while let Some(id) = at.warm.pop() {
                if id.arena().given.load(Ordering::Relaxed) {
                    // Kept aside, in a list of its own, until the others have been found.
                    id.link().store(given.map_or(0, |Id(former)| former + 1), Ordering::Relaxed);
                    given = Some(id);
                    continue;
                }
                self.kept.fetch_sub(pages_of(class) * platform.page_size(), Ordering::Relaxed);
                idle(platform, id);
                at.cold.push(id);
                trimmed += 1;
            }
            while let Some(id) = given {
                given = id.link().load(Ordering::Relaxed).checked_sub(1).map(Id);
                at.warm.push(id);
            }
        }
        trimmed
    }

    /// Takes a stack back.
    fn put(&self, class: usize, id: Id) {
        let at = &self.classes[class];
        if id.arena().given.load(Ordering::Relaxed) {
            return at.warm.push(id);
        }
        let Some(platform) = platform() else { return };
        let bytes = pages_of(class) * platform.page_size();
        if self.kept.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.options.keep {
            return at.warm.push(id);
        }
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
        idle(platform, id);
        at.cold.push(id);
    }

    /// A slot that nobody has used, of an arena that is made if need be.
    fn next_slot(&self, platform: &dyn Platform, class: usize) -> Result<Id, ServiceError> {
        loop {
            let newest = self.classes[class].newest.load(Ordering::Acquire);
            let mut wanted = FIRST_COUNT;
            let mut next = newest;
            while let Some(number) = next.checked_sub(1) {
                let arena = &ARENAS[number as usize];
                let count = arena.count.load(Ordering::Relaxed);
                let one_more = |used| (used < count).then_some(used + 1);
                if let Ok(slot) = arena.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
                    return Ok(Id::new(number as usize, slot));
                }
                wanted = wanted.max(count * 2);
                next = arena.previous.load(Ordering::Relaxed);
            }
            self.grow(platform, class, newest, wanted.min(MAX_COUNT), 1)?;
        }
    }

    /// Makes an arena of `count` stacks, or fewer where there is not room for so many, but `least`. `false` if
    /// another thread has made one since `newest` was the newest: then that one will do.
    fn grow(
        &self,
        platform: &dyn Platform,
        class: usize,
        newest: u32,
        mut count: usize,
        least: usize,
    ) -> Result<bool, ServiceError> {
        let page = platform.page_size();
        let guard = self.options.guard.checked_next_multiple_of(page).ok_or(ServiceError::BadArgument)?;
        let slot = guard.checked_add(pages_of(class) * page).ok_or(ServiceError::BadArgument)?;
        if least < count {
            count = count.min(MAX_ARENA / slot).max(least);
        }
        let (start, first, size) = loop {
            let links = (count * size_of::<AtomicU32>()).next_multiple_of(page);
            let size = count.checked_mul(slot).and_then(|slots| slots.checked_add(links));
            match size.ok_or(ServiceError::NoMemory).and_then(|size| Ok((platform.map(size)?, links, size))) {
                Ok((start, links, size)) => break (start, start.as_ptr().expose_provenance() + links, size),
                Err(ServiceError::NoMemory) if count / 2 >= least => count /= 2,
                Err(error) => return Err(error),
            }
        };
        // SAFETY: the mapping that has just been made, which nobody has seen.
        let give_back = || unsafe { _ = platform.unmap(start, size) };
        let Some(number) = take_arena() else {
            give_back();
            return Err(ServiceError::NoMemory);
        };
        let arena = &ARENAS[number];
        arena.given.store(false, Ordering::Relaxed);
        arena.previous.store(newest, Ordering::Relaxed);
        arena.used.store(0, Ordering::Relaxed);
        arena.set(start.addr().get(), size, first, slot, guard, count);
        let mine = number as u32 + 1;
        let newest_now = &self.classes[class].newest;
        let first = newest_now.compare_exchange(newest, mine, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !first {
            arena.clear();
            give_back();
        }
        Ok(first)
    }
}

impl Arena {
    fn set(&self, start: usize, size: usize, first: usize, slot: usize, guard: usize, count: usize) {
        self.size.store(size, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
        self.guard.store(guard, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        self.links.store(core::ptr::with_exposed_provenance_mut(start), Ordering::Relaxed);
        self.start.store(start, Ordering::Release);
    }

    fn clear(&self) {
        self.start.store(0, Ordering::Release);
        self.taken.store(false, Ordering::Release);
    }
}

impl Drop for Stacks {
    /// Unmaps every stack. None is in use: each borrows the pool.
    fn drop(&mut self) {
        let Some(platform) = platform() else { return };
        for class in &mut self.classes {
            let mut newest = *class.newest.get_mut();
            while let Some(number) = newest.checked_sub(1) {
                let arena = &ARENAS[number as usize];
                newest = arena.previous.load(Ordering::Relaxed);
                let start = arena.start.load(Ordering::Relaxed);
                let (size, given) = (arena.size.load(Ordering::Relaxed), arena.given.load(Ordering::Relaxed));
                arena.clear();
                if !given && let Some(start) = NonNull::new(core::ptr::with_exposed_provenance_mut(start)) {
                    // SAFETY: mapped by this pool; no stack of it is in use.
                    _ = unsafe { platform.unmap(start, size) };
                }
            }
        }
    }
}

/// A place in the table of arenas.
fn take_arena() -> Option<usize> {
    ARENAS.iter().position(|arena| !arena.taken.swap(true, Ordering::Acquire))
}

/// The class of the stacks that have `size` bytes of use wherever their tops are.
fn class_for(platform: &dyn Platform, size: usize) -> Result<usize, ServiceError> {
    let page = platform.page_size();
    if page == 0 {
        return Err(ServiceError::NotHere);
    }
    if size < MIN_STACK {
        return Err(ServiceError::BadArgument);
    }
    let pages = size.checked_add(STAGGER).ok_or(ServiceError::BadArgument)?.div_ceil(page);
    class_of(pages).ok_or(ServiceError::BadArgument)
}

/// Gives a stack's memory to the system. If it does not take it, nothing is lost.
fn idle(platform: &dyn Platform, id: Id) {
    let arena = id.arena();
    let Place { guard, limit, .. } = place(id);
    let end = guard + arena.slot.load(Ordering::Relaxed);
    if let Some(at) = NonNull::new(core::ptr::with_exposed_provenance_mut(limit)) {
        // SAFETY: a stack that nobody uses.
        _ = unsafe { platform.idle(at, end - limit) };
    }
}

const _: () = assert!(LINE.is_multiple_of(STACK_ALIGN));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_the_pages_that_are_asked_for_and_no_more_than_a_quarter_for_nothing() {
        for pages in 1..10_000 {
            let class = class_of(pages).expect("a class");
            let has = pages_of(class);
            assert!(has >= pages && has - pages <= pages / 4, "{pages} pages: {has}");
            assert_eq!(class_of(has), Some(class));
            assert!(class == 0 || pages_of(class - 1) < pages);
        }
        assert_eq!(class_of(0), None);
        assert_eq!(class_of(pages_of(CLASSES - 1) + 1), None);
    }
}
