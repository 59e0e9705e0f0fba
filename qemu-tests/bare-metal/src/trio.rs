//! The three functions by which tracebacks go on in C, one set for the program: each case says what they do.

use core::sync::atomic::{AtomicPtr, Ordering};
use stackgate::traceback::{
    ContextArg, ContextFn, SymbolizerArg, SymbolizerFn, TracebackArg, TracebackFn, set_cgo_traceback,
};

static CONTEXT: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static TRACEBACK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static SYMBOLIZER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets the three, once.
pub fn install() {
    // SAFETY: they do what the case's own do, or nothing.
    unsafe { set_cgo_traceback(0, Some(traceback), Some(context), Some(symbolizer)) }.expect("the first set");
}

/// Chooses what they do from now on.
pub fn choose(context: Option<ContextFn>, traceback: Option<TracebackFn>, symbolizer: Option<SymbolizerFn>) {
    CONTEXT.store(context.map_or(core::ptr::null_mut(), |f| f as *mut ()), Ordering::Relaxed);
    TRACEBACK.store(traceback.map_or(core::ptr::null_mut(), |f| f as *mut ()), Ordering::Relaxed);
    SYMBOLIZER.store(symbolizer.map_or(core::ptr::null_mut(), |f| f as *mut ()), Ordering::Relaxed);
}

unsafe extern "C" fn context(arg: *mut ContextArg) {
    let f = CONTEXT.load(Ordering::Relaxed);
    if !f.is_null() {
        // SAFETY: `choose` stores functions of this type.
        unsafe { core::mem::transmute::<*mut (), ContextFn>(f)(arg) };
    }
}

unsafe extern "C" fn traceback(arg: *mut TracebackArg) {
    let f = TRACEBACK.load(Ordering::Relaxed);
    if !f.is_null() {
        // SAFETY: as above.
        unsafe { core::mem::transmute::<*mut (), TracebackFn>(f)(arg) };
    }
}

unsafe extern "C" fn symbolizer(arg: *mut SymbolizerArg) {
    let f = SYMBOLIZER.load(Ordering::Relaxed);
    if !f.is_null() {
        // SAFETY: as above.
        unsafe { core::mem::transmute::<*mut (), SymbolizerFn>(f)(arg) };
    }
}
