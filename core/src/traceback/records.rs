//! The walker that follows frame records.

use super::cpu::{Frame, RECORD_ENDS_FRAME};
use super::stack::{Memory, WORD};
use super::walk::Stop;
use stackgate_arch::{RECORD, unwind::RecordForm, without_signature};

const FORM: RecordForm = RECORD;
/// How much of a record a step reads.
const SPAN: usize = if FORM.pc_is_in_next { FORM.link } else { FORM.pc } + WORD;
const _: () = assert!(FORM.pc_is_in_next || FORM.link == 0, "a record begins with its link");

/// The caller of `frame`, whose record is 0 in the outermost frame, if nothing about it is odd. What the next
/// record must not lie below comes with it.
#[inline(always)]
pub(super) fn follow(frame: &Frame, memory: &Memory) -> Option<(Frame, usize)> {
    let record = frame.record();
    // One check for both words.
    if !memory.holds(record, SPAN) {
        return None;
    }
    // SAFETY: both words lie in the stack.
    let link = unsafe { memory.load(record + FORM.link) };
    if FORM.pc_is_in_next {
        let pc = memory.read(link.wrapping_add(FORM.pc))?;
        return (link > record).then_some((Frame { pc, sp: link, ..Frame::default() }, link));
    }
    // SAFETY: as above.
    let pc = without_signature(unsafe { memory.load(record + FORM.pc) });
    let low = record + SPAN;
    Some((Frame { pc, sp: if RECORD_ENDS_FRAME { low } else { 0 }, fp: link, ..Frame::default() }, low))
}

/// Goes from `frame` to its caller.
pub(super) fn step(frame: &Frame, memory: &mut Memory) -> Result<Frame, Stop> {
    if let Some((next, low)) = follow(frame, memory) {
        memory.low = low;
        return Ok(next);
    }
    let mut odd = frame.record();
    if FORM.pc_is_in_next && memory.holds(odd, SPAN) {
        // SAFETY: the record lies in the stack.
        let link = unsafe { memory.load(odd + FORM.link) };
        if link == 0 || link <= odd && link.is_multiple_of(WORD) {
            return Err(if link == 0 { Stop::NoRecord } else { Stop::Loop });
        }
        odd = link;
    }
    Err(if odd == 0 {
        Stop::NoRecord
    } else if odd < memory.low && odd.is_multiple_of(WORD) {
        Stop::Loop
    } else {
        Stop::BadMemory
    })
}
