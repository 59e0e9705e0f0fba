//! Code that was made at run time: named while it is there, and forgotten.
//!
//! A handler may read while another thread registers or forgets. Nothing is pointed to: what a place holds, the name
//! too, is copied out of it, and its version says whether all of that is of one registration. So nobody waits for
//! readers, and nothing of the embedder's has to outlive the code.

use super::symbols::RegisterError;
use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

/// How many pieces of code may be registered at a time. A JIT that makes more registers what lies together as one.
pub const MAX_CODE: usize = 1024;

/// How many bytes of a name are kept.
pub const MAX_CODE_NAME: usize = 47;

const WORD: usize = size_of::<usize>();
/// The name's length comes first.
const NAME_WORDS: usize = (MAX_CODE_NAME + 1) / WORD;

/// A piece of code, and its name, as a trace shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Address of its first instruction.
    pub start: usize,
    /// One past its last instruction.
    pub end: usize,
    name: [u8; MAX_CODE_NAME + 1],
}

impl Code {
    fn new(range: &Range<usize>, text: &[u8]) -> Self {
        let mut name = [0; MAX_CODE_NAME + 1];
        let length = text.len().min(MAX_CODE_NAME);
        name[0] = length as u8;
        for (to, from) in name[1..].iter_mut().zip(text) {
            *to = *from;
        }
        Self { start: range.start, end: range.end, name }
    }

    /// Its name, or the beginning of that.
    pub fn name(&self) -> &[u8] {
        let length = usize::from(self.name[0]).min(MAX_CODE_NAME);
        &self.name[1..=length]
    }
}

/// A place for one piece.
struct Place {
    /// Odd while the rest is written.
    version: AtomicUsize,
    /// Both 0 if there is none.
    start: AtomicUsize,
    end: AtomicUsize,
    name: [AtomicUsize; NAME_WORDS],
}

impl Place {
    const fn new() -> Self {
        Self {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            name: [const { AtomicUsize::new(0) }; NAME_WORDS],
        }
    }

    /// Puts something else here. Only for who holds [`CHANGING`].
    fn put(&self, code: &Code) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // What follows is not seen before that.
        fence(Ordering::Release);
        self.start.store(code.start, Ordering::Relaxed);
        self.end.store(code.end, Ordering::Relaxed);
        for (place, bytes) in self.name.iter().zip(code.name.chunks_exact(WORD)) {
            let mut word = [0; WORD];
            word.copy_from_slice(bytes);
            place.store(usize::from_ne_bytes(word), Ordering::Relaxed);
        }
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Whether `address` lies in what is here at this moment.
    fn covers(&self, address: usize) -> bool {
        (self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)).contains(&address)
    }

    /// What is here, if `address` lies in it. A piece that is being changed is not there any more, or not yet.
    fn get(&self, address: usize) -> Option<Code> {
        let version = self.version.load(Ordering::Acquire);
        if !version.is_multiple_of(2) {
            return None;
        }
        let range = self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed);
        let mut code = Code::new(&range, &[]);
        for (bytes, place) in code.name.chunks_exact_mut(WORD).zip(&self.name) {
            bytes.copy_from_slice(&place.load(Ordering::Relaxed).to_ne_bytes());
        }
        // What came before is read before that.
        fence(Ordering::Acquire);
        (range.contains(&address) && self.version.load(Ordering::Relaxed) == version).then_some(code)
    }
}

static PLACES: [Place; MAX_CODE] = [const { Place::new() }; MAX_CODE];
/// [`PLACES`] once something has been there: programs that register nothing are linked without all that room.
static KNOWN: AtomicPtr<Place> = AtomicPtr::new(null_mut());
/// Places from here on have never been used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Taken by who changes a place; never by who reads.
static CHANGING: spin::Mutex<()> = spin::Mutex::new(());

/// Registers code that was made at run time: tracebacks know it for managed code and show its name, of which they keep
/// [`MAX_CODE_NAME`] bytes. Neither the name nor anything else of the embedder's is referred to.
///
/// Tracebacks walk such code by its frame records, which it keeps as compiled code does ([`Walker`](super::Walker)).
///
/// Runs on any stack; not for signal handlers. Go: what a plug-in's `moduledata` is.
///
/// # Errors
/// [`RegisterError::Full`] when [`MAX_CODE`] pieces are registered, [`RegisterError::Unsorted`] if the range is empty,
/// [`RegisterError::Overlap`]. Nothing has changed then.
pub fn register_code(range: Range<usize>, name: &[u8]) -> Result<(), RegisterError> {
    if range.start == 0 || range.is_empty() {
        return Err(RegisterError::Unsorted);
    }
    let _changing = CHANGING.lock();
    let used = USED.load(Ordering::Relaxed);
    let mut free = None;
    for place in PLACES.iter().take(used) {
        let (start, end) = (place.start.load(Ordering::Relaxed), place.end.load(Ordering::Relaxed));
        if start == end {
            free = free.or(Some(place));
        } else if start < range.end && range.start < end {
            return Err(RegisterError::Overlap);
        }
    }
    let place = free.or(PLACES.get(used)).ok_or(RegisterError::Full)?;
    place.put(&Code::new(&range, name));
    if free.is_none() {
        KNOWN.store(PLACES.as_ptr().cast_mut(), Ordering::Relaxed);
        USED.store(used + 1, Ordering::Release);
    }
    Ok(())
}

/// Forgets the code that was registered from `start` on; `false` if there is none.
///
/// When this returns, no traceback that begins calls anything by its name, and the memory may hold something else, if
/// no frame of it is on any stack.
///
/// Runs on any stack; not for signal handlers.
pub fn unregister_code(start: usize) -> bool {
    let _changing = CHANGING.lock();
    let used = USED.load(Ordering::Relaxed);
    let found =
        PLACES.iter().take(used).find(|place| start != 0 && place.start.load(Ordering::Relaxed) == start);
    if let Some(place) = found {
        place.put(&Code::new(&(0..0), &[]));
    }
    found.is_some()
}

/// The registered code that `address` lies in, if it was made at run time.
///
/// Reads each place that was ever used: costs four instructions for each. Runs on any stack; safe in a signal handler.
pub fn code_at(address: usize) -> Option<Code> {
    let used = USED.load(Ordering::Acquire);
    if used == 0 {
        return None;
    }
    // SAFETY: stored before the number, and as many places as that are in use; they are there for ever.
    let places = unsafe { core::slice::from_raw_parts(KNOWN.load(Ordering::Relaxed), used) };
    places.iter().filter(|place| place.covers(address)).find_map(|place| place.get(address))
}

/// Lets nobody change anything until [`let_in`].
pub(super) fn keep_out() {
    core::mem::forget(CHANGING.lock());
}

/// Lets code be registered again.
///
/// # Safety
/// After [`keep_out`], on that thread or on its copy in a child process.
pub(super) unsafe fn let_in() {
    // SAFETY: by the caller; the guard has been forgotten.
    unsafe { CHANGING.force_unlock() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_named_while_it_is_registered() {
        let long = [b'x'; 60];
        assert_eq!(register_code(0x1000..0x1100, b"first"), Ok(()));
        assert_eq!(register_code(0x1100..0x1101, &long), Ok(()));
        assert_eq!(register_code(0x10ff..0x1100, b"other"), Err(RegisterError::Overlap));
        assert_eq!(register_code(0x2000..0x2000, b"empty"), Err(RegisterError::Unsorted));
        assert_eq!(code_at(0xfff), None);
        assert_eq!(
            code_at(0x10ff).map(|code| (code.start, code.name().to_vec())),
            Some((0x1000, b"first".to_vec()))
        );
        assert_eq!(code_at(0x1100).map(|code| code.name().len()), Some(MAX_CODE_NAME));
        assert!(unregister_code(0x1000) && !unregister_code(0x1000));
        assert_eq!(code_at(0x1000), None);
        // The place is used again.
        assert_eq!(register_code(0x3000..0x3001, b""), Ok(()));
        assert_eq!(USED.load(Ordering::Relaxed), 2);
        assert!(unregister_code(0x3000) && unregister_code(0x1100));
        for at in 0..MAX_CODE {
            assert_eq!(register_code(0x10000 + at..0x10001 + at, b"all"), Ok(()));
        }
        assert_eq!(register_code(0x9000..0x9001, b"one more"), Err(RegisterError::Full));
        assert!((0..MAX_CODE).all(|at| unregister_code(0x10000 + at)));
    }
}
