//! From PCs to functions, files and lines.

use super::code::{self, Code};
use super::set::{self, SymbolizerArg};
use super::symbols::{self, Function};
use super::walk::Pc;
use core::ffi::{CStr, c_char};
use core::ptr::null;

/// How many frames a symbolizer may have for one PC: one that never stops saying `more` ends there.
pub const MAX_FRAMES_PER_PC: usize = 64;

/// A frame with its names, as far as somebody knows them.
///
/// Names are bytes: C promises no encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The PC, as the trace had it.
    pub pc: usize,
    /// The function's name.
    pub function: Option<&'a [u8]>,
    /// The file's name.
    pub file: Option<&'a [u8]>,
    /// The line; 0 when it is not known.
    pub line: usize,
    /// Where the function begins; 0 when it is not known.
    pub entry: usize,
    /// Managed code, not C.
    pub managed: bool,
    /// The last of a boundary's C frames, of which there may be more that nobody saw.
    pub cut: bool,
}

/// The frames of a sequence of PCs. One that a symbolizer names may have several, when functions were inlined.
///
/// A PC that nobody knows is a frame without names; no frame is invented and none is left out. When this is
/// dropped, or has come to its end, the symbolizer is told so, if it was called at all: once. That of managed code
/// ([`set_managed_symbolizer`](super::set_managed_symbolizer)) has an iteration of its own.
///
/// Runs on any stack; safe in a signal handler if the symbolizer is. Go: `runtime.Frames`.
#[derive(Debug)]
pub struct Frames<I> {
    pcs: I,
    arg: SymbolizerArg,
    /// The PC at hand, if it has a further frame.
    inlined: Option<Pc>,
    /// How many frames it has had.
    count: usize,
    /// What each of the symbolizers keeps, C's and managed code's, once it has been called.
    data: [Option<usize>; 2],
    /// Whose name the last frame has, if it was made at run time.
    code: Option<Code>,
}

impl<I: Iterator<Item = Pc>> Frames<I> {
    /// The frames of `pcs`, for instance of a [`Traceback`](super::Traceback).
    pub fn new(pcs: impl IntoIterator<IntoIter = I>) -> Self {
        let arg = SymbolizerArg { pc: 0, file: null(), lineno: 0, func: null(), entry: 0, more: 0, data: 0 };
        Self { pcs: pcs.into_iter(), arg, inlined: None, count: 0, data: [None; 2], code: None }
    }

    /// The next frame. Its names last until the next call.
    #[allow(clippy::should_implement_trait, reason = "an Iterator cannot lend its items")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        loop {
            let inlined = self.inlined.take();
            let Some(pc) = inlined.or_else(|| self.pcs.next()) else {
                self.finish();
                return None;
            };
            let function = if pc.managed { symbols::function_at(pc.lookup()) } else { None };
            let blank = Frame { pc: pc.pc, managed: pc.managed, ..Frame::default() };
            let named = Frame { cut: pc.cut, ..function.map_or(blank, |function| by_table(function, blank)) };
            if named.file.is_some() {
                return Some(named);
            }
            if pc.managed && function.is_none() {
                // Nothing else knows it. The name is a copy: the code may be forgotten meanwhile.
                self.code = code::code_at(pc.lookup());
                if self.code.is_some() {
                    let code = self.code.as_ref();
                    let (function, entry) = (code.map(Code::name), code.map_or(0, |code| code.start));
                    return Some(Frame { function, entry, cut: pc.cut, ..blank });
                }
            }
            // One that was interrupted becomes one that is returned to, so that a symbolizer has one rule.
            let at = if pc.managed { pc.as_return_address() } else { pc.pc };
            if inlined.is_none() {
                self.count = 0;
                self.arg = SymbolizerArg {
                    pc: at,
                    file: null(),
                    lineno: 0,
                    func: null(),
                    entry: 0,
                    more: 0,
                    data: self.data[usize::from(pc.managed)].unwrap_or(0),
                };
            } else {
                // The other fields stay: a symbolizer may tell the calls for one PC apart by them.
                self.arg.pc = at;
                self.arg.more = 0;
            }
            if !set::symbolize(pc.managed, &mut self.arg) {
                return Some(named);
            }
            self.data[usize::from(pc.managed)] = Some(self.arg.data);
            self.count += 1;
            if self.arg.more != 0 && self.count < MAX_FRAMES_PER_PC {
                self.inlined = Some(pc);
            }
            let known = !self.arg.func.is_null() || !self.arg.file.is_null();
            if !known && inlined.is_some() {
                // It promised a frame and has none.
                self.inlined = None;
                continue;
            }
            if !known && function.is_some() {
                return Some(named);
            }
            return Some(Frame {
                // SAFETY: the symbolizer's strings, which it keeps until it is called again.
                function: unsafe { text(self.arg.func) },
                // SAFETY: as above.
                file: unsafe { text(self.arg.file) },
                line: self.arg.lineno,
                entry: self.arg.entry,
                cut: pc.cut && self.inlined.is_none(),
                ..blank
            });
        }
    }

    /// Calls `each` with every frame that is left.
    pub fn for_each(mut self, mut each: impl FnMut(Frame<'_>)) {
        while let Some(frame) = self.next() {
            each(frame);
        }
    }
}

impl<'a> Frames<Known<'a>> {
    /// The frames of bare PCs as [`callers`](super::callers) gives them: one that lies in a registered function
    /// or in registered code is managed code, every other one is C's.
    pub fn of_callers(pcs: &'a [usize]) -> Self {
        Self::new(Known(pcs.iter()))
    }
}

/// Bare PCs, told apart by the registered functions, and by code that was made at run time.
#[derive(Clone, Debug)]
pub struct Known<'a>(core::slice::Iter<'a, usize>);

impl Iterator for Known<'_> {
    type Item = Pc;
    fn next(&mut self) -> Option<Pc> {
        let &pc = self.0.next()?;
        let at = Pc::managed(pc).lookup();
        let managed = symbols::function_at(at).is_some() || code::code_at(at).is_some();
        Some(if managed { Pc::managed(pc) } else { Pc::c(pc) })
    }
}

impl<I> Frames<I> {
    /// Tells the symbolizers that were called that the iteration is over.
    fn finish(&mut self) {
        for managed in [false, true] {
            if let Some(data) = self.data[usize::from(managed)].take() {
                self.arg =
                    SymbolizerArg { pc: 0, file: null(), lineno: 0, func: null(), entry: 0, more: 0, data };
                set::symbolize(managed, &mut self.arg);
            }
        }
    }
}

impl<I> Drop for Frames<I> {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What a registered function says.
fn by_table(function: &'static Function, blank: Frame<'static>) -> Frame<'static> {
    Frame {
        function: Some(function.name.as_bytes()),
        file: (!function.file.is_empty()).then_some(function.file.as_bytes()),
        line: function.line as usize,
        entry: function.entry,
        ..blank
    }
}

/// # Safety
/// `text` is null or a C string, for as long as the result is used.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
