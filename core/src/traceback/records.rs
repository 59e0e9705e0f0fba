//! The walker that follows frame records.

use super::cpu::{Frame, RECORD_ENDS_FRAME};
use super::stack::{Memory, WORD};
use super::walk::Stop;
use stackgate_arch::{RECORD, unwind::RecordForm};

const FORM: RecordForm = RECORD;
/// How much of a record a step reads.
const SPAN: usize = if FORM.pc_is_in_next || FORM.link > FORM.pc { FORM.link } else { FORM.pc } + WORD;

/// Goes from `frame` to its caller, whose record is 0 in the outermost frame.
#[inline(always)]
pub(super) fn step(frame: &Frame, memory: &mut Memory) -> Result<Frame, Stop> {
    let record = frame.record();
    // One check for both words.
    if !memory.holds(record, SPAN) {
        return Err(damaged(record, memory));
    }
    // SAFETY: both words lie in the stack.
    let link = unsafe { memory.load(record + FORM.link) };
    if link != 0 && link <= record {
        return Err(Stop::Loop);
    }
    if FORM.pc_is_in_next {
        if link == 0 {
            return Err(Stop::NoRecord);
        }
        let pc = memory.read(link.wrapping_add(FORM.pc)).ok_or(Stop::BadMemory)?;
        memory.low = link;
        return Ok(Frame { pc, sp: link, ..Frame::default() });
    }
    // SAFETY: as above.
    let pc = unsafe { memory.load(record + FORM.pc) };
    memory.low = record + SPAN;
    Ok(Frame { pc, sp: if RECORD_ENDS_FRAME { record + SPAN } else { 0 }, fp: link, ..Frame::default() })
}

#[cold]
fn damaged(record: usize, memory: &Memory) -> Stop {
    if record == 0 {
        Stop::NoRecord
    } else if record < memory.low && record % WORD == 0 {
        Stop::Loop
    } else {
        Stop::BadMemory
    }
}
