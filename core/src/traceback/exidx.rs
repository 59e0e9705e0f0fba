//! arm's own unwind tables: `.ARM.exidx` and `.ARM.extab`.
//!
//! *Exception Handling ABI for the Arm Architecture* (EHABI), 2023Q3: section 6 (index table), section 7
//! (entries), section 10.3 (the unwinding instructions, table 4). They describe the body of a function, so
//! that they hold at call sites and not in the middle of a prologue.
//!
//! Everything here works on bytes and numbers, on any host.

use super::cpu::{FIRST_MORE, FP, Frame};
use super::stack::Memory;
use super::walk::Stop;
use stackgate_arch::unwind::Registers;

/// Bytes of a word of arm's.
const WORD: usize = 4;

/// r0 to r15.
const COUNT: usize = 16;
const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

/// Second word of an index entry: nobody unwinds this function.
const CANTUNWIND: u32 = 1;
/// Bytes of an index entry.
const ENTRY: usize = 8;

/// Whether `index` can be an index table.
pub(super) fn plausible(index: &[u8]) -> bool {
    index.len() >= ENTRY && index.len().is_multiple_of(ENTRY) && index.as_ptr().addr().is_multiple_of(4)
}

/// Goes from the frame with these registers to its caller.
pub(super) fn caller(
    index: &'static [u8],
    registers: &Registers,
    exact: bool,
    stack: &dyn Fn(usize) -> Option<usize>,
) -> Result<Frame, Stop> {
    let mut words = [0u32; COUNT];
    for (dwarf, word) in words.iter_mut().enumerate() {
        *word = registers.get(dwarf).unwrap_or(0) as u32;
    }
    step(&tables(index), &mut words, exact, &|at| stack(at as usize).map(|word| word as u32))?;
    let mut next = Registers::default();
    for (dwarf, &word) in words.iter().enumerate() {
        next.set(dwarf, word as usize);
    }
    Ok(Frame { pc: words[PC] as usize, ..Frame::from(&next) })
}

/// What the unwinding instructions of nearly every function do, in one word: take SP from a register, go up or down,
/// pop some of r4 to r11 and then lr, go up.
///
/// | bits | |
/// |---|---|
/// | 0 | set |
/// | 4 | the register that SP is taken from |
/// | 8 | which of r4 to r11 are popped |
/// | 11 | words from there up to the first popped one, signed |
/// | 8 | words from above lr up to the caller's SP |
#[derive(Clone, Copy)]
struct Row(u32);

impl Row {
    const BASE: u32 = 1;
    const MASK: u32 = 5;
    const UP: u32 = 13;
    const ABOVE: u32 = 24;
    /// How far the words up to the first popped register reach, either way.
    const FARTHEST: i32 = 1 << (Self::ABOVE - Self::UP - 1);

    /// Of these instructions, if they do no more than that.
    fn of(mut program: Program<'_, impl Fn(u32) -> u32>) -> Option<Self> {
        let (mut base, mut mask, mut up, mut above) = (SP as u32, 0, 0, 0);
        let mut popped = false;
        loop {
            let byte = program.byte();
            let registers = match byte {
                0x00..=0x7f => {
                    let words = ((byte & 0x3f) + 1) as i32 * if byte < 0x40 { 1 } else { -1 };
                    *if popped { &mut above } else { &mut up } += words;
                    continue;
                }
                0x80..=0x8f => ((byte & 0xf) << 8 | program.byte()) << 4,
                0x94..=0x9b if !popped && up == 0 => {
                    base = byte & 0xf;
                    continue;
                }
                0xa8..=0xaf => ((1 << ((byte & 7) + 1)) - 1) << 4 | 1 << LR,
                FINISH => break,
                _ => return None,
            };
            // lr comes last, and nothing but r4 to r11 before it.
            if popped || registers & !0xff0 != 1 << LR {
                return None;
            }
            (mask, popped) = (registers >> 4 & 0xff, true);
        }
        let fits = popped && (-Self::FARTHEST..Self::FARTHEST).contains(&up) && (0..1 << 8).contains(&above);
        let up = up as u32 & ((1 << (Self::ABOVE - Self::UP)) - 1);
        fits.then_some(Self(
            1 | base << Self::BASE | mask << Self::MASK | up << Self::UP | (above as u32) << Self::ABOVE,
        ))
    }

    /// The register that SP is taken from.
    #[inline(always)]
    fn base(self) -> usize {
        (self.0 >> Self::BASE & 0xf) as usize
    }

    /// Bytes from there up to what is popped first.
    #[inline(always)]
    fn up(self) -> isize {
        // Shifted to the top, the sign comes down again.
        let words = (self.0 << (32 - Self::ABOVE)) as i32 >> (32 - Self::ABOVE + Self::UP);
        words as isize * WORD as isize
    }

    /// Pops registers, r4 the first of `more`, from `at` up; lr and the caller's SP.
    #[inline(always)]
    fn pop(self, mut at: usize, more: &mut [usize], load: impl Fn(usize) -> usize) -> (usize, usize) {
        for (i, register) in more.iter_mut().enumerate() {
            if self.0 >> Self::MASK & 1 << i != 0 {
                *register = load(at);
                at += WORD;
            }
        }
        (load(at), at + WORD + (self.0 >> Self::ABOVE) as usize * WORD)
    }
}

/// What [`follow`] takes for a return address that [`before`](super::cpu::before) has taken to `pc`, if one word can
/// say it.
pub(super) fn compact(index: &'static [u8], pc: usize) -> Option<usize> {
    Row::of(tables(index).program(pc as u32).ok()?).map(|row| row.0 as usize)
}

/// The caller of `frame`, if nothing about it is odd. `memory.low` stays.
#[inline(always)]
pub(super) fn follow(row: usize, frame: &Frame, memory: &Memory) -> Option<Frame> {
    let row = Row(row as u32);
    let mut next = *frame;
    let base = row.base();
    let from = if base == SP { frame.sp } else { *frame.more.get(base.wrapping_sub(FIRST_MORE))? };
    let at = from.wrapping_add_signed(row.up());
    // As if all were popped: whoever stands so close to the top takes the long way.
    if !memory.holds(at, (next.more.len() + 1) * WORD) {
        return None;
    }
    // SAFETY: every word from there to behind lr lies in the stack.
    (next.pc, next.sp) = row.pop(at, &mut next.more, |at| unsafe { memory.load(at) });
    next.fp = *next.more.get(FP.wrapping_sub(FIRST_MORE))?;
    (next.pc != 0 && next.sp > memory.low).then_some(next)
}

/// The tables of a module whose index this is.
fn tables(index: &'static [u8]) -> Tables<'static, impl Fn(u32) -> u32> {
    Tables {
        index,
        at: index.as_ptr().addr() as u32,
        // SAFETY: the tables of a module that stays loaded; the index designates its own extab.
        extab: |at| unsafe { core::ptr::with_exposed_provenance::<u32>(at as usize).read() },
    }
}

/// The tables of one module.
struct Tables<'a, E> {
    index: &'a [u8],
    /// The address of the index, to which the addresses in it are relative.
    at: u32,
    /// Reads a word of `.ARM.extab`, aligned to four.
    extab: E,
}

impl<E: Fn(u32) -> u32> Tables<'_, E> {
    fn word(&self, offset: usize) -> u32 {
        let bytes = self.index.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    }

    /// The address that the word at `offset` of the index designates: 31 bits relative to itself.
    fn designated(&self, offset: usize) -> u32 {
        prel31(self.at.wrapping_add(offset as u32), self.word(offset))
    }

    /// Where in the index the entry for `pc` begins: the last one that is not above it.
    fn find(&self, pc: u32) -> Option<usize> {
        let mut low = 0;
        let mut count = self.index.len() / ENTRY;
        if count == 0 || pc < self.designated(0) {
            return None;
        }
        while count > 1 {
            let half = count / 2;
            if self.designated((low + half) * ENTRY) <= pc {
                low += half;
            }
            count -= half;
        }
        Some(low * ENTRY)
    }

    /// The instructions for `pc`.
    fn program(&self, pc: u32) -> Result<Program<'_, E>, Stop> {
        let entry = self.find(pc).ok_or(Stop::NoTable)?;
        let inline = self.word(entry + 4);
        if inline == CANTUNWIND {
            return Err(Stop::End);
        }
        let (first, mut next) = if inline >> 31 != 0 {
            (inline, None)
        } else {
            let at = self.designated(entry + 4);
            if !at.is_multiple_of(4) {
                return Err(Stop::BadTable);
            }
            ((self.extab)(at), Some(at.wrapping_add(4)))
        };
        // In each of the three models: how many bytes of the first word are instructions, and how many words
        // follow.
        let (word, bytes, words) = if first >> 31 == 0 {
            // The generic model: a personality routine, then a word of which one byte is the count.
            let at = next.ok_or(Stop::BadTable)?;
            next = Some(at.wrapping_add(4));
            let word = (self.extab)(at);
            (word, 3, word >> 24)
        } else {
            match first >> 24 & 0xf {
                0 => (first, 3, 0),
                1 | 2 if next.is_some() => (first, 2, first >> 16 & 0xff),
                _ => return Err(Stop::BadTable),
            }
        };
        Ok(Program { extab: &self.extab, next: next.unwrap_or(0), word, bytes, words })
    }
}

/// A word's lower 31 bits, signed, relative to the word's address.
fn prel31(at: u32, word: u32) -> u32 {
    at.wrapping_add(((word << 1) as i32 >> 1) as u32)
}

/// Unwinding instructions: bytes, the most significant one of each word first.
struct Program<'a, E> {
    extab: &'a E,
    next: u32,
    word: u32,
    bytes: u32,
    words: u32,
}

impl<E: Fn(u32) -> u32> Program<'_, E> {
    /// The next byte; behind the last one `finish` for ever.
    fn byte(&mut self) -> u32 {
        if self.bytes == 0 {
            if self.words == 0 {
                return FINISH;
            }
            self.words -= 1;
            self.word = (self.extab)(self.next);
            self.next = self.next.wrapping_add(4);
            self.bytes = 4;
        }
        self.bytes -= 1;
        self.word >> (self.bytes * 8) & 0xff
    }
}

const FINISH: u32 = 0xb0;

/// Goes from the frame with `registers` to its caller's.
fn step(
    tables: &Tables<'_, impl Fn(u32) -> u32>,
    registers: &mut [u32; COUNT],
    exact: bool,
    stack: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Stop> {
    // The lowest bit of an address tells Thumb from A32. A return address may be the first of the next
    // function, so the byte before it is what counts.
    let pc = (registers[PC] & !1).wrapping_sub(u32::from(!exact));
    let mut program = tables.program(pc)?;
    let mut sp = registers[SP];
    let mut popped = 0u32;
    loop {
        let byte = program.byte();
        match byte {
            0x00..=0x3f => sp = sp.wrapping_add((byte << 2) + 4),
            0x40..=0x7f => sp = sp.wrapping_sub(((byte & 0x3f) << 2) + 4),
            0x80..=0x8f => {
                let mask = (byte & 0xf) << 8 | program.byte();
                if mask == 0 {
                    // Refuses to unwind.
                    return Err(Stop::End);
                }
                pop(mask << 4, registers, &mut sp, &mut popped, stack)?;
            }
            0x9d | 0x9f => return Err(Stop::BadTable),
            0x90..=0x9f => sp = registers[(byte & 0xf) as usize],
            0xa0..=0xaf => {
                let mask = ((1 << ((byte & 7) + 1)) - 1) << 4;
                let link = if byte & 8 != 0 { 1 << LR } else { 0 };
                pop(mask | link, registers, &mut sp, &mut popped, stack)?;
            }
            FINISH => break,
            0xb1 => {
                let mask = program.byte();
                if mask == 0 || mask > 0xf {
                    return Err(Stop::BadTable);
                }
                pop(mask, registers, &mut sp, &mut popped, stack)?;
            }
            0xb2 => {
                let (mut value, mut shift) = (0u32, 0);
                loop {
                    let byte = program.byte();
                    value |= (byte & 0x7f) << shift;
                    shift += 7;
                    if byte & 0x80 == 0 || shift > 28 {
                        break;
                    }
                }
                sp = sp.wrapping_add(0x204).wrapping_add(value << 2);
            }
            // Vector registers, saved by FSTMFDX: with a word of padding.
            0xb3 => sp = sp.wrapping_add(((program.byte() & 0xf) + 1) * 8 + 4),
            0xb8..=0xbf => sp = sp.wrapping_add(((byte & 7) + 1) * 8 + 4),
            // The code that authenticates the return address.
            0xb4 => sp = sp.wrapping_add(4),
            // Vector registers, saved by VPUSH.
            0xc8 | 0xc9 => sp = sp.wrapping_add(((program.byte() & 0xf) + 1) * 8),
            0xd0..=0xd7 => sp = sp.wrapping_add(((byte & 7) + 1) * 8),
            _ => return Err(Stop::BadTable),
        }
    }
    if popped & 1 << SP == 0 {
        registers[SP] = sp;
    }
    if popped & 1 << PC == 0 {
        // lr has the return address where it was saved, or before anything was called.
        if popped & 1 << LR == 0 && !exact {
            return Err(Stop::BadTable);
        }
        registers[PC] = registers[LR];
    }
    if registers[PC] == 0 { Err(Stop::End) } else { Ok(()) }
}

/// Takes the registers of `mask` off the stack, the lowest number from the lowest address.
fn pop(
    mask: u32,
    registers: &mut [u32; COUNT],
    sp: &mut u32,
    popped: &mut u32,
    stack: &dyn Fn(u32) -> Option<u32>,
) -> Result<(), Stop> {
    for (i, register) in registers.iter_mut().enumerate() {
        if mask & 1 << i != 0 {
            *register = stack(*sp).ok_or(Stop::BadMemory)?;
            *sp = sp.wrapping_add(4);
        }
    }
    *popped |= mask;
    if mask & 1 << SP != 0 {
        *sp = registers[SP];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u32 = 0x1_0000;
    const EXTAB: u32 = 0x2_0000;
    const STACK: u32 = 0x8_0000;

    fn relative(from: u32, to: u32) -> u32 {
        to.wrapping_sub(from) & 0x7fff_ffff
    }

    /// An index of functions at 0x100, 0x200, ... with these second words.
    fn index<const N: usize>(seconds: [fn(u32) -> u32; N]) -> [[[u8; 4]; 2]; N] {
        core::array::from_fn(|i| {
            let at = AT + 8 * i as u32;
            let first = relative(at, 0x100 * (i as u32 + 1));
            [first.to_ne_bytes(), (seconds[i])(at + 4).to_ne_bytes()]
        })
    }

    fn walk(seconds: [fn(u32) -> u32; 3], extab: &[u32], pc: u32, exact: bool) -> Result<[u32; COUNT], Stop> {
        let index = index(seconds);
        let tables = Tables {
            index: index.as_flattened().as_flattened(),
            at: AT,
            extab: |at: u32| extab[((at - EXTAB) / 4) as usize],
        };
        let mut registers = [0; COUNT];
        registers[SP] = STACK;
        registers[LR] = 0x999;
        registers[PC] = pc;
        registers[7] = STACK + 0x20;
        registers[11] = STACK + 0x40;
        // Every word of the stack holds its own address, and a stack of 256 bytes it is.
        let stack = |at: u32| (STACK..STACK + 0x100).contains(&at).then_some(at);
        step(&tables, &mut registers, exact, &stack)?;
        Ok(registers)
    }

    const CANT: fn(u32) -> u32 = |_| CANTUNWIND;

    #[test]
    fn a_push_of_r4_r11_lr_inside_the_index() {
        // 0x80000000 | model 0 | pop {r4-r11, lr} | finish | finish
        let inline: fn(u32) -> u32 = |_| 0x80af_b0b0;
        let got = walk([CANT, inline, CANT], &[], 0x210, false).unwrap();
        assert_eq!(got[4..=11], core::array::from_fn::<u32, 8, _>(|i| STACK + 4 * i as u32));
        assert_eq!((got[LR], got[PC], got[SP]), (STACK + 32, STACK + 32, STACK + 36));
    }

    #[test]
    fn a_frame_register_and_a_word_of_extab() {
        // vsp = r11; vsp += 8; pop {r11, lr}; in the compact model 1 with one more word
        let outside: fn(u32) -> u32 = |at| relative(at, EXTAB);
        let extab = [0x8101_9b01, 0x8480_b0b0];
        let got = walk([outside, CANT, CANT], &extab, 0x180, false).unwrap();
        assert_eq!((got[11], got[LR], got[SP]), (STACK + 0x48, STACK + 0x4c, STACK + 0x50));
    }

    #[test]
    fn the_generic_model_counts_its_words() {
        let outside: fn(u32) -> u32 = |at| relative(at, EXTAB);
        // personality; 1 more word: vsp = r7, pop {r7, lr} (0x84 0x08), finish
        let extab = [0x0000_1234, 0x0197_8408, 0xb0b0_b0b0];
        let got = walk([outside, CANT, CANT], &extab, 0x180, false).unwrap();
        assert_eq!((got[7], got[LR], got[SP]), (STACK + 0x20, STACK + 0x24, STACK + 0x28));
    }

    #[test]
    fn every_instruction_that_moves_sp() {
        let outside: fn(u32) -> u32 = |at| relative(at, EXTAB);
        // +4*(0x3f+1), -4*(1+1), d8-d11 (VPUSH), d8-d9 (FSTMFDX), uleb 0x204 + 4*1, vpush by number, pop {pc}
        let extab = [0x8104_3f41, 0xd3b9_b201, 0xc801_b4b3, 0x01b1_01b0, 0xb0b0_b0b0];
        let got = walk([outside, CANT, CANT], &extab, 0x180, true);
        let up = 256 - 8 + 32 + 20 + 0x208 + 16 + 4 + 20;
        // The pop of r0 lies outside the stack then.
        assert_eq!(got, Err(Stop::BadMemory), "{up} bytes up");
        let extab = [0x8104_0341, 0xd0b8_0101, 0xc801_b4b3, 0x01b1_01b0, 0xb0b0_b0b0];
        let got = walk([outside, CANT, CANT], &extab, 0x180, true).unwrap();
        let up = 16 - 8 + 8 + 12 + 8 + 8 + 16 + 4 + 20;
        assert_eq!((got[0], got[SP], got[PC]), (STACK + up, STACK + up + 4, 0x999));
    }

    /// Whatever one word can say of a function is what its instructions do.
    #[test]
    fn a_row_does_what_the_instructions_do() {
        let outside: fn(u32) -> u32 = |at| relative(at, EXTAB);
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        let (mut rows, mut others) = (0, 0);
        for _ in 0..100_000 {
            // sp from r7 or r11, up or down, pop, up; some left out, some in another order.
            let mut bytes = [0xb0; 8];
            let mut n = 0;
            for kind in 0..4 {
                let byte = match if random(9) == 0 { random(4) } else { kind } {
                    0 => [0x97, 0x9b, 0x99][random(3) as usize],
                    1 | 3 => random(16) | if random(4) == 0 { 0x40 } else { 0 },
                    _ if random(2) == 0 => 0xa0 + random(16),
                    _ => 0x80 + random(16),
                };
                if random(5) == 0 && kind != 2 {
                    continue;
                }
                bytes[n] = byte as u8;
                n += 1;
                if byte >> 4 == 8 {
                    bytes[n] = random(256) as u8;
                    n += 1;
                }
            }
            let [a, b, c, d, e, f, g, h] = bytes;
            let extab = [
                u32::from_be_bytes([0x81, 2, a, b]),
                u32::from_be_bytes([c, d, e, f]),
                u32::from_be_bytes([g, h, 0xb0, 0xb0]),
            ];
            let program = Program {
                extab: &|at: u32| extab[((at - EXTAB) / 4) as usize],
                next: EXTAB + 4,
                word: extab[0],
                bytes: 2,
                words: 2,
            };
            let Some(row) = Row::of(program) else {
                others += 1;
                continue;
            };
            let Ok(got) = walk([outside, CANT, CANT], &extab, 0x180, false) else { continue };
            rows += 1;
            let from = |register| match register {
                SP => STACK as usize,
                7 => STACK as usize + 0x20,
                11 => STACK as usize + 0x40,
                _ => 0,
            };
            let mut more = core::array::from_fn::<_, 8, _>(|i| from(i + FIRST_MORE));
            let (pc, sp) = row.pop(from(row.base()).wrapping_add_signed(row.up()), &mut more, |at| at);
            let own = (more.map(|word| word as u32), pc as u32, sp as u32);
            assert_eq!(own, (got[4..12].try_into().unwrap(), got[PC], got[SP]), "{bytes:02x?}");
        }
        assert!(rows > 10_000 && others > 10_000, "{rows} rows, {others} others");
    }

    #[test]
    fn ends_and_refusals_have_names() {
        assert_eq!(walk([CANT, CANT, CANT], &[], 0x150, false), Err(Stop::End));
        assert_eq!(walk([CANT, CANT, CANT], &[], 0x80, false), Err(Stop::NoTable));
        let refuse: fn(u32) -> u32 = |_| 0x8080_00b0;
        assert_eq!(walk([refuse, CANT, CANT], &[], 0x150, false), Err(Stop::End));
        let spare: fn(u32) -> u32 = |_| 0x80c0_b0b0;
        assert_eq!(walk([spare, CANT, CANT], &[], 0x150, false), Err(Stop::BadTable));
        // Nothing saved: lr counts where it was interrupted, and only there.
        let nothing: fn(u32) -> u32 = |_| 0x80b0_b0b0;
        assert_eq!(walk([nothing, CANT, CANT], &[], 0x151, true).map(|r| r[PC]), Ok(0x999));
        assert_eq!(walk([nothing, CANT, CANT], &[], 0x151, false), Err(Stop::BadTable));
    }

    #[test]
    fn a_return_address_belongs_to_the_call_before_it() {
        let inline: fn(u32) -> u32 = |_| 0x80af_b0b0;
        // 0x200 is the first of the second function, and the return address of a call that ends the first.
        assert!(walk([inline, CANT, CANT], &[], 0x200, false).is_ok());
        assert_eq!(walk([inline, CANT, CANT], &[], 0x200, true), Err(Stop::End));
    }
}
