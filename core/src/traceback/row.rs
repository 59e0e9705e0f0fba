//! The row of an unwind table for one PC, in as little room as a handler has.
//!
//! gimli reads the instructions. Its own rows are not used: they keep a rule for every register of the CPU, in
//! several copies, which is kilobytes of a signal stack, and a walk needs the rules of three registers.

use super::cpu::{FP, SP};
use gimli::{
    BaseAddresses, CallFrameInstruction as Instruction, CallFrameInstructionIter, CfaRule, EhFrame,
    FrameDescriptionEntry, Reader, Register, RegisterRule,
};
use heapless::Vec;

/// Where the caller's value of a register is. A table that says nothing of a register means that it is the same.
pub(super) type Rule = RegisterRule<usize>;

/// How deep compilers nest `DW_CFA_remember_state`: once, for an epilogue in the middle. Those who write CFI by
/// hand may go further.
const REMEMBERED: usize = 4;

/// The rules of one row.
#[derive(Clone)]
pub(super) struct Row {
    pub cfa: CfaRule<usize>,
    /// Of the return address.
    pub pc: Rule,
    pub fp: Rule,
    pub sp: Rule,
}

impl Row {
    /// The rules for `pc`, which `fde` covers; `None` if the table is wrong.
    pub fn at<R: Reader<Offset = usize>>(
        fde: &FrameDescriptionEntry<R>,
        section: &EhFrame<R>,
        bases: &BaseAddresses,
        pc: u64,
    ) -> Option<Self> {
        let cie = fde.cie();
        let mut program = Program {
            row: Self {
                cfa: CfaRule::default(),
                pc: Rule::SameValue,
                fp: Rule::SameValue,
                sp: Rule::SameValue,
            },
            code: cie.code_alignment_factor(),
            data: cie.data_alignment_factor(),
            return_address: cie.return_address_register(),
        };
        program.run(cie.instructions(section, bases), None, 0, 0)?;
        let initial = program.row.clone();
        program.run(fde.instructions(section, bases), Some(&initial), fde.initial_address(), pc)?;
        Some(program.row)
    }
}

struct Program {
    row: Row,
    code: u64,
    data: i64,
    return_address: Register,
}

impl Program {
    /// Follows instructions as far as the row of `pc`, from the row at `address` on.
    fn run<R: Reader<Offset = usize>>(
        &mut self,
        mut instructions: CallFrameInstructionIter<'_, R>,
        initial: Option<&Row>,
        mut address: u64,
        pc: u64,
    ) -> Option<()> {
        let mut remembered = Vec::<Row, REMEMBERED>::new();
        while let Some(instruction) = instructions.next().ok()? {
            match instruction {
                Instruction::SetLoc { address: to } => address = to,
                Instruction::AdvanceLoc { delta } => {
                    address = address.wrapping_add(u64::from(delta).wrapping_mul(self.code));
                }
                Instruction::RememberState => remembered.push(self.row.clone()).ok()?,
                Instruction::RestoreState => self.row = remembered.pop()?,
                Instruction::Restore { register } => {
                    let initial = initial?;
                    if let Some(rule) = self.rule(register) {
                        *rule = match usize::from(register.0) {
                            FP => initial.fp.clone(),
                            SP => initial.sp.clone(),
                            _ => initial.pc.clone(),
                        };
                    }
                }
                other => self.rules(other)?,
            }
            if address > pc {
                break;
            }
        }
        Some(())
    }

    /// The rule of a register that a walk needs.
    fn rule(&mut self, register: Register) -> Option<&mut Rule> {
        match usize::from(register.0) {
            FP => Some(&mut self.row.fp),
            SP => Some(&mut self.row.sp),
            _ if register == self.return_address => Some(&mut self.row.pc),
            _ => None,
        }
    }

    /// An instruction that says where something is.
    fn rules(&mut self, instruction: Instruction<usize>) -> Option<()> {
        let factored = |n: i64| n.wrapping_mul(self.data);
        let (register, rule) = match instruction {
            Instruction::DefCfa { register, offset } => {
                self.row.cfa = CfaRule::RegisterAndOffset { register, offset: offset as i64 };
                return Some(());
            }
            Instruction::DefCfaSf { register, factored_offset } => {
                let offset = factored(factored_offset);
                self.row.cfa = CfaRule::RegisterAndOffset { register, offset };
                return Some(());
            }
            Instruction::DefCfaRegister { register: to } => return self.cfa(|register, _| *register = to),
            Instruction::DefCfaOffset { offset: to } => return self.cfa(|_, offset| *offset = to as i64),
            Instruction::DefCfaOffsetSf { factored_offset } => {
                let to = factored(factored_offset);
                return self.cfa(|_, offset| *offset = to);
            }
            Instruction::DefCfaExpression { expression } => {
                self.row.cfa = CfaRule::Expression(expression);
                return Some(());
            }
            Instruction::Undefined { register } => (register, Rule::Undefined),
            Instruction::SameValue { register } => (register, Rule::SameValue),
            Instruction::Offset { register, factored_offset } => {
                (register, Rule::Offset(factored(factored_offset as i64)))
            }
            Instruction::OffsetExtendedSf { register, factored_offset } => {
                (register, Rule::Offset(factored(factored_offset)))
            }
            Instruction::ValOffset { register, factored_offset } => {
                (register, Rule::ValOffset(factored(factored_offset as i64)))
            }
            Instruction::ValOffsetSf { register, factored_offset } => {
                (register, Rule::ValOffset(factored(factored_offset)))
            }
            Instruction::Register { dest_register, src_register } => {
                (dest_register, Rule::Register(src_register))
            }
            Instruction::Expression { register, expression } => (register, Rule::Expression(expression)),
            Instruction::ValExpression { register, expression } => {
                (register, Rule::ValExpression(expression))
            }
            // They move nothing.
            _ => return Some(()),
        };
        if let Some(place) = self.rule(register) {
            *place = rule;
        }
        Some(())
    }

    /// Changes a CFA that is a register and an offset; `None` if it is not one.
    fn cfa(&mut self, change: impl FnOnce(&mut Register, &mut i64)) -> Option<()> {
        let CfaRule::RegisterAndOffset { register, offset } = &mut self.row.cfa else { return None };
        change(register, offset);
        Some(())
    }
}
