//! Memory as the linker script lays it out: see `linker/stackgate.x` for the names.

use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Declares pairs of symbols, and a function for each that gives the addresses between them.
macro_rules! regions {
    ($($(#[$doc:meta])* $name:ident: $start:ident, $end:ident;)+) => {
        unsafe extern "C" {
            $(static $start: [u8; 0]; static $end: [u8; 0];)+
        }
        $($(#[$doc])*
        pub fn $name() -> Range<usize> {
            (&raw const $start).expose_provenance()..(&raw const $end).expose_provenance()
        })+
    };
}

regions! {
    /// All code.
    code: __sboot, __ecode;
    /// The functions that tracebacks know by name.
    traced: __straced_text, __etraced_text;
    /// `.eh_frame_hdr`.
    eh_frame_hdr: __seh_frame_hdr, __eeh_frame_hdr;
    /// `.eh_frame`.
    eh_frame: __seh_frame, __eeh_frame;
    /// `.ARM.exidx`.
    exidx: __sexidx, __eexidx;
    /// What a slot begins as.
    tdata: __stdata, __etdata;
    /// The same with what is cleared.
    tls: __stls, __etls;
    /// Variables.
    data: __sdata, __edata;
    /// Variables that begin as zeros.
    bss: __sbss, __ebss;
    /// The slots of the CPUs.
    slots: __sslots, __eslots;
    /// The system stacks of the CPUs, with their guards.
    system_stacks: __ssystem_stacks, __esystem_stacks;
    /// The signal stacks of the CPUs, with their guards.
    signal_stacks: __ssignal_stacks, __esignal_stacks;
    /// The tasks' stacks, with their guards.
    managed_stacks: __smanaged_stacks, __emanaged_stacks;
    /// What `libc_mmap` gives away.
    arena: __sarena, __earena;
}

/// Declares symbols whose addresses are numbers.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $symbol:ident;)+) => {
        unsafe extern "C" { $(static $symbol: [u8; 0];)+ }
        $($(#[$doc])*
        pub fn $name() -> usize {
            (&raw const $symbol).addr()
        })+
    };
}

numbers! {
    /// How many CPUs have stacks.
    cpus: stackgate_cpus;
    /// Bytes of a slot.
    slot_size: stackgate_slot_size;
    /// Bytes of a system stack.
    system_stack_size: stackgate_system_stack_size;
    /// Bytes of a signal stack.
    signal_stack_size: stackgate_signal_stack_size;
    /// How many stacks tasks have.
    managed_count: stackgate_managed_stacks;
    /// Bytes of each.
    managed_stack_size: stackgate_managed_stack_size;
    /// Bytes of a guard.
    guard_size: stackgate_guard_size;
}

/// Bytes of the image that are not written: code, constants, tables, what variables begin as.
pub fn read_only() -> usize {
    initial_data() + data().len() - code().start
}

/// Bytes of RAM that the program takes, stacks included.
pub fn written() -> usize {
    arena().end - data().start
}

/// Where `.data` lies before it is copied.
pub fn initial_data() -> usize {
    unsafe extern "C" {
        static __sidata: [u8; 0];
    }
    (&raw const __sidata).expose_provenance()
}

/// The `i`th stack of a region whose stacks have `size` bytes: above its guard.
fn stack(region: Range<usize>, size: usize, i: usize) -> Range<usize> {
    let limit = region.start + i * (guard_size() + size) + guard_size();
    assert!(limit + size <= region.end, "the linker script made no such stack");
    limit..limit + size
}

/// A CPU's system stack.
pub fn system_stack(cpu: usize) -> Range<usize> {
    stack(system_stacks(), system_stack_size(), cpu)
}

/// A CPU's signal stack.
pub fn signal_stack(cpu: usize) -> Range<usize> {
    stack(signal_stacks(), signal_stack_size(), cpu)
}

/// A task's stack.
pub fn managed_stack(i: usize) -> Range<usize> {
    stack(managed_stacks(), managed_stack_size(), i)
}

/// What guards are filled with.
const GUARD: usize = 0xdead_beef;

/// Every guard.
pub fn guards() -> impl Iterator<Item = Range<usize>> {
    let of = |stack: Range<usize>| stack.start - guard_size()..stack.start;
    let system = (0..cpus()).map(move |cpu| of(system_stack(cpu)));
    let signal = (0..cpus()).map(move |cpu| of(signal_stack(cpu)));
    let managed = (0..managed_count()).map(move |i| of(managed_stack(i)));
    system.chain(signal).chain(managed)
}

fn words(range: Range<usize>) -> impl Iterator<Item = *mut usize> {
    range.step_by(size_of::<usize>()).map(core::ptr::with_exposed_provenance_mut)
}

/// Fills every guard, but for what is as it should be: the machine may let nobody write there.
pub fn fill_guards() {
    // SAFETY: the linker script keeps these words for this.
    let written = guards().flat_map(words).filter(|word| unsafe { word.read_volatile() } != GUARD);
    // SAFETY: as above.
    written.for_each(|word| unsafe { word.write_volatile(GUARD) });
}

/// The first guard's word that somebody has written to, if anybody has.
pub fn broken_guard() -> Option<usize> {
    // SAFETY: as above.
    guards().flat_map(words).find(|word| unsafe { word.read_volatile() } != GUARD).map(|word| word.addr())
}

/// One bit for each managed stack that is in use.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Takes a managed stack from the pool.
pub fn take_managed() -> usize {
    let i = USED.load(Ordering::Relaxed).trailing_ones() as usize;
    assert!(i < managed_count().min(usize::BITS as usize), "no managed stack is left in the pool");
    USED.fetch_or(1 << i, Ordering::Relaxed);
    i
}

/// Gives one back.
pub fn give_managed(i: usize) {
    USED.fetch_and(!(1 << i), Ordering::Relaxed);
}

/// Takes all of them back, from tasks that will never run again.
pub fn reclaim_managed() {
    USED.store(0, Ordering::Relaxed);
}

/// What parts of the arena are a multiple of.
pub const ARENA_ALIGN: usize = 64;

/// Takes the next `size` bytes of the arena, zeroed, for ever. Nothing if there is less, or `size` is 0 or not a
/// multiple of [`ARENA_ALIGN`].
pub fn take_arena(size: usize) -> Option<NonNull<u8>> {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    if size == 0 || !size.is_multiple_of(ARENA_ALIGN) {
        return None;
    }
    let arena = arena();
    let room = |taken: usize| taken.checked_add(size).filter(|&end| end <= arena.len());
    let at = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
    let at = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(arena.start + at))?;
    // SAFETY: this part is nobody's before and the caller's from now on.
    unsafe { at.write_bytes(0, size) };
    Some(at)
}
