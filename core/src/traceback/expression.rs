//! Expressions of unwind tables (DWARF 5, section 2.5.1): of the code between a program and its shared libraries, of
//! libc's signal frames, and of what somebody wrote by hand.
//!
//! gimli reads the bytes. Its evaluator is not used: it knows types, pieces and calls, which an unwind table does not
//! have, and was half of the code that a program carried for tracebacks. A test compares with it.

use super::stack::WORD;
use super::walk::Stop;
use gimli::{EndianSlice, NativeEndian, Reader as _, Register, constants as op};
use heapless::Vec;

/// How many values an expression may stack. Compilers and libc stack three.
const DEPTH: usize = 8;

/// So many operations at most, for one that jumps backwards.
const LIMIT: usize = 64;

/// What an expression may ask for.
pub(super) trait Source {
    /// The value of a register.
    fn register(&self, register: Register) -> Result<usize, Stop>;
    /// The word at an address.
    fn read(&self, at: usize) -> Result<usize, Stop>;
}

/// The values of an expression, the last on top.
struct Stack(Vec<usize, DEPTH>);

impl Stack {
    fn push(&mut self, value: usize) -> Result<(), Stop> {
        self.0.push(value).map_err(|_| Stop::BadTable)
    }

    fn pop(&mut self) -> Result<usize, Stop> {
        self.0.pop().ok_or(Stop::BadTable)
    }

    /// The value `index` places below the top.
    fn pick(&self, index: usize) -> Result<usize, Stop> {
        self.0.iter().rev().nth(index).copied().ok_or(Stop::BadTable)
    }

    fn unary(&mut self, f: impl FnOnce(usize) -> usize) -> Result<(), Stop> {
        let value = self.pop()?;
        self.push(f(value))
    }
}

/// The value of an expression, with `initial` on its stack at first.
///
/// # Errors
/// [`Stop::BadTable`] where an unwind table has no business with an operation, or the stack does not fit; what `source`
/// returns.
pub(super) fn evaluate(
    expression: EndianSlice<'_, NativeEndian>,
    initial: Option<usize>,
    source: &impl Source,
) -> Result<usize, Stop> {
    let mut stack = Stack(Vec::new());
    if let Some(value) = initial {
        stack.push(value)?;
    }
    let mut rest = expression;
    for _ in 0..LIMIT {
        if rest.is_empty() {
            return stack.pop();
        }
        if let Some(by) = operation(&mut rest, &mut stack, source)? {
            let behind = expression.len() - rest.len();
            let to = behind.checked_add_signed(isize::from(by));
            let to = to.and_then(|to| expression.slice().get(to..)).ok_or(Stop::BadTable)?;
            rest = EndianSlice::new(to, NativeEndian);
        }
    }
    Err(Stop::BadTable)
}

/// Takes an operation from `rest` and does it; how many bytes further the next one is, if it is a jump.
fn operation(
    rest: &mut EndianSlice<'_, NativeEndian>,
    stack: &mut Stack,
    source: &impl Source,
) -> Result<Option<i16>, Stop> {
    let bad = |_: gimli::Error| Stop::BadTable;
    let code = op::DwOp(rest.read_u8().map_err(bad)?);
    // Sign and size of the constants, all cut off to a word.
    let number = match code {
        op::DW_OP_addr | op::DW_OP_const8u | op::DW_OP_const8s => {
            let size = if code == op::DW_OP_addr { WORD } else { 8 };
            Some(rest.read_uint(size).map_err(bad)? as usize)
        }
        op::DW_OP_const1u => Some(usize::from(rest.read_u8().map_err(bad)?)),
        op::DW_OP_const1s => Some(rest.read_i8().map_err(bad)? as usize),
        op::DW_OP_const2u => Some(usize::from(rest.read_u16().map_err(bad)?)),
        op::DW_OP_const2s => Some(rest.read_i16().map_err(bad)? as usize),
        op::DW_OP_const4u => Some(rest.read_u32().map_err(bad)? as usize),
        op::DW_OP_const4s => Some(rest.read_i32().map_err(bad)? as usize),
        op::DW_OP_constu => Some(rest.read_uleb128().map_err(bad)? as usize),
        op::DW_OP_consts => Some(rest.read_sleb128().map_err(bad)? as usize),
        op::DwOp(n) if (op::DW_OP_lit0.0..=op::DW_OP_lit31.0).contains(&n) => {
            Some(usize::from(n - op::DW_OP_lit0.0))
        }
        op::DwOp(n) if (op::DW_OP_breg0.0..=op::DW_OP_breg31.0).contains(&n) => {
            let register = Register(u16::from(n - op::DW_OP_breg0.0));
            Some(above(register, rest, source)?)
        }
        op::DW_OP_bregx => {
            let register = rest.read_uleb128_u16().map_err(bad)?;
            Some(above(Register(register), rest, source)?)
        }
        _ => None,
    };
    if let Some(number) = number {
        stack.push(number)?;
        return Ok(None);
    }
    match code {
        op::DW_OP_deref => {
            let at = stack.pop()?;
            stack.push(source.read(at)?)?;
        }
        op::DW_OP_drop => drop(stack.pop()?),
        op::DW_OP_dup => stack.push(stack.pick(0)?)?,
        op::DW_OP_over => stack.push(stack.pick(1)?)?,
        op::DW_OP_pick => {
            let index = rest.read_u8().map_err(bad)?;
            stack.push(stack.pick(usize::from(index))?)?;
        }
        op::DW_OP_swap => {
            let (top, below) = (stack.pop()?, stack.pop()?);
            stack.push(top)?;
            stack.push(below)?;
        }
        op::DW_OP_rot => {
            let (top, second, third) = (stack.pop()?, stack.pop()?, stack.pop()?);
            stack.push(top)?;
            stack.push(third)?;
            stack.push(second)?;
        }
        op::DW_OP_abs => stack.unary(|a| (a as isize).wrapping_abs() as usize)?,
        op::DW_OP_neg => stack.unary(usize::wrapping_neg)?,
        op::DW_OP_not => stack.unary(|a| !a)?,
        op::DW_OP_plus_uconst => {
            let value = rest.read_uleb128().map_err(bad)? as usize;
            stack.unary(|a| a.wrapping_add(value))?;
        }
        op::DW_OP_skip => return rest.read_i16().map(Some).map_err(bad),
        op::DW_OP_bra => {
            let by = rest.read_i16().map_err(bad)?;
            return Ok((stack.pop()? != 0).then_some(by));
        }
        op::DW_OP_nop => {}
        _ => {
            let (b, a) = (stack.pop()?, stack.pop()?);
            stack.push(combined(code, a, b).ok_or(Stop::BadTable)?)?;
        }
    }
    Ok(None)
}

/// The value of a register and of the offset behind its number.
fn above(
    register: Register,
    rest: &mut EndianSlice<'_, NativeEndian>,
    source: &impl Source,
) -> Result<usize, Stop> {
    let offset = rest.read_sleb128().map_err(|_| Stop::BadTable)?;
    Ok(source.register(register)?.wrapping_add(offset as usize))
}

/// What an operation makes of the two topmost values, `b` the top. Comparisons and division are signed, as the standard
/// has them; `None` for what is none, and for a division by 0.
fn combined(code: op::DwOp, a: usize, b: usize) -> Option<usize> {
    let (signed_a, signed_b) = (a as isize, b as isize);
    Some(match code {
        op::DW_OP_plus => a.wrapping_add(b),
        op::DW_OP_minus => a.wrapping_sub(b),
        op::DW_OP_mul => a.wrapping_mul(b),
        op::DW_OP_div if b != 0 => signed_a.wrapping_div(signed_b) as usize,
        op::DW_OP_mod => a.checked_rem(b)?,
        op::DW_OP_and => a & b,
        op::DW_OP_or => a | b,
        op::DW_OP_xor => a ^ b,
        op::DW_OP_shl => shifted(b).map_or(0, |n| a << n),
        op::DW_OP_shr => shifted(b).map_or(0, |n| a >> n),
        op::DW_OP_shra => (signed_a >> shifted(b).unwrap_or(usize::BITS - 1)) as usize,
        op::DW_OP_eq => usize::from(a == b),
        op::DW_OP_ne => usize::from(a != b),
        op::DW_OP_ge => usize::from(signed_a >= signed_b),
        op::DW_OP_gt => usize::from(signed_a > signed_b),
        op::DW_OP_le => usize::from(signed_a <= signed_b),
        op::DW_OP_lt => usize::from(signed_a < signed_b),
        _ => return None,
    })
}

/// By how many bits to shift; `None` if nothing of the word is left.
fn shifted(by: usize) -> Option<u32> {
    u32::try_from(by).ok().filter(|&by| by < usize::BITS)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use gimli::{Encoding, Evaluation, EvaluationResult, EvaluationStorage, Piece, Value};

    type Bytes = EndianSlice<'static, NativeEndian>;

    /// Every register holds its number times this, and every word its address turned around.
    struct Made;
    impl Source for Made {
        fn register(&self, register: Register) -> Result<usize, Stop> {
            Ok(usize::from(register.0) * 0x1010)
        }
        fn read(&self, at: usize) -> Result<usize, Stop> {
            Ok(!at)
        }
    }

    struct Storage;
    impl EvaluationStorage<Bytes> for Storage {
        type Stack = [Value; DEPTH];
        type ExpressionStack = [(Bytes, Bytes); 1];
        type Result = [Piece<Bytes>; 1];
    }

    fn encoding() -> Encoding {
        Encoding { format: gimli::Format::Dwarf32, version: 4, address_size: WORD as u8 }
    }

    fn ours(bytes: &'static [u8], initial: Option<usize>) -> Option<usize> {
        evaluate(EndianSlice::new(bytes, NativeEndian), initial, &Made).ok()
    }

    /// What gimli's evaluator makes of it.
    fn theirs(bytes: &'static [u8], initial: Option<usize>) -> Option<usize> {
        let mut evaluation =
            Evaluation::<Bytes, Storage>::new_in(EndianSlice::new(bytes, NativeEndian), encoding());
        evaluation.set_max_iterations(LIMIT as u32);
        if let Some(value) = initial {
            evaluation.set_initial_value(value as u64);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => evaluation
                    .resume_with_register(Value::Generic(Made.register(register).unwrap_or(0) as u64))
                    .ok()?,
                EvaluationResult::RequiresMemory { address, size, .. } if usize::from(size) == WORD => {
                    evaluation
                        .resume_with_memory(Value::Generic(Made.read(address as usize).unwrap_or(0) as u64))
                        .ok()?
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    evaluation.resume_with_relocated_address(address).ok()?
                }
                _ => return None,
            };
        }
        let value = evaluation.value_result()?;
        value.to_u64(usize::MAX as u64).ok().map(|value| value as usize)
    }

    /// The expression by which x86_64's `.plt` says where the CFA is.
    #[test]
    fn of_a_plt() {
        static PLT: &[u8] = &[0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(ours(PLT, None), theirs(PLT, None));
        assert_eq!(ours(PLT, None), Some(7 * 0x1010 + 8));
    }

    #[test]
    fn as_gimli_for_any_expression() {
        const OPS: &[op::DwOp] = &[
            op::DW_OP_deref,
            op::DW_OP_drop,
            op::DW_OP_dup,
            op::DW_OP_over,
            op::DW_OP_pick,
            op::DW_OP_swap,
            op::DW_OP_rot,
            op::DW_OP_abs,
            op::DW_OP_neg,
            op::DW_OP_not,
            op::DW_OP_plus,
            op::DW_OP_plus_uconst,
            op::DW_OP_minus,
            op::DW_OP_mul,
            op::DW_OP_div,
            op::DW_OP_mod,
            op::DW_OP_and,
            op::DW_OP_or,
            op::DW_OP_xor,
            op::DW_OP_shl,
            op::DW_OP_shr,
            op::DW_OP_shra,
            op::DW_OP_eq,
            op::DW_OP_ne,
            op::DW_OP_ge,
            op::DW_OP_gt,
            op::DW_OP_le,
            op::DW_OP_lt,
            op::DW_OP_nop,
            op::DW_OP_bra,
            op::DW_OP_skip,
            op::DW_OP_lit3,
            op::DW_OP_lit31,
            op::DW_OP_const1s,
            op::DW_OP_const1u,
            op::DW_OP_const2s,
            op::DW_OP_const2u,
            op::DW_OP_const4s,
            op::DW_OP_const4u,
            op::DW_OP_const8s,
            op::DW_OP_const8u,
            op::DW_OP_constu,
            op::DW_OP_consts,
            op::DW_OP_addr,
            op::DW_OP_bregx,
            op::DW_OP_breg7,
            op::DW_OP_call2,
            op::DW_OP_piece,
        ];
        let mut state = 1_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        let (mut values, mut refused) = (0, 0);
        for _ in 0..200_000 {
            let mut bytes = std::vec::Vec::new();
            // Something to work with.
            for _ in 0..random(4) {
                bytes.extend([op::DW_OP_const1s.0, random(256) as u8]);
            }
            let (mut starts, mut jumps) = (std::vec![0], std::vec::Vec::new());
            for _ in 0..1 + random(6) {
                let op = OPS[random(OPS.len())];
                starts.push(bytes.len());
                bytes.push(op.0);
                match op {
                    op::DW_OP_bra | op::DW_OP_skip => {
                        bytes.extend([0; 2]);
                        jumps.push(bytes.len());
                    }
                    op::DW_OP_const2s | op::DW_OP_const2u => {
                        bytes.extend((random(12) as i16 - 4).to_ne_bytes());
                    }
                    op::DW_OP_const4s | op::DW_OP_const4u => {
                        bytes.extend((random(1 << 16) as i32 - 9).to_ne_bytes());
                    }
                    op::DW_OP_const8s | op::DW_OP_const8u => {
                        bytes.extend((random(1 << 16) as i64 - 9).to_ne_bytes());
                    }
                    op::DW_OP_addr => bytes.extend((random(1 << 16)).to_ne_bytes()),
                    op::DW_OP_constu | op::DW_OP_consts => {
                        bytes.extend([0x80 | random(128) as u8, random(128) as u8]);
                    }
                    op::DW_OP_bregx => bytes.extend([random(40) as u8, random(128) as u8]),
                    op::DW_OP_pick
                    | op::DW_OP_plus_uconst
                    | op::DW_OP_const1u
                    | op::DW_OP_const1s
                    | op::DW_OP_breg7 => bytes.push(random(128) as u8),
                    _ => {}
                }
            }
            starts.push(bytes.len());
            for behind in jumps {
                // To where an operation begins, to the end, or outside.
                let to = starts.get(random(starts.len() + 1)).map_or(-1, |&to| to as i16);
                bytes[behind - 2..behind].copy_from_slice(&(to - behind as i16).to_ne_bytes());
            }
            let bytes: &'static [u8] = bytes.leak();
            let initial = (random(2) == 0).then(|| random(1 << 16));
            let (own, other) = (ours(bytes, initial), theirs(bytes, initial));
            assert_eq!(own, other, "{bytes:02x?} {initial:x?}");
            if own.is_some() { values += 1 } else { refused += 1 }
        }
        assert!(values > 20_000 && refused > 20_000, "{values} values, {refused} refused");
    }
}
