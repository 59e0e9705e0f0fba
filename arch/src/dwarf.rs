//! The few DWARF opcodes that the crossings' call frame information needs, by name.
//!
//! While code runs on the stack that a crossing switched to, the CFA lies on the other stack: it is a word
//! of the crossing's own frame, which no register rule can express. A DWARF expression can, and the
//! assembler takes one through `.cfi_escape` only as bytes. The bytes are operands built from the constants
//! here, and an offset is always two bytes of LEB128, so that every expression has a fixed length.
//!
//! The functions are for constants: nothing of this is there at run time. They run on any stack, and in a signal
//! handler.
//!
//! Numbers: DWARF 5, sections 7.7.1 (expressions) and 7.24 (call frame instructions).

/// Call frame instruction: the CFA is the value of an expression.
pub const DW_CFA_DEF_CFA_EXPRESSION: u8 = 0x0f;
/// Call frame instruction: a register is saved at the address an expression gives.
pub const DW_CFA_EXPRESSION: u8 = 0x10;
/// Call frame instruction: a register's value is the value of an expression.
pub const DW_CFA_VAL_EXPRESSION: u8 = 0x16;
/// Operation: replace the address on the stack by the word it points at.
pub const DW_OP_DEREF: u8 = 0x06;
/// Operation: add an unsigned constant.
pub const DW_OP_PLUS_UCONST: u8 = 0x23;
/// Operation: push register 0 plus a signed offset; register n is this plus n, up to 31.
pub const DW_OP_BREG0: u8 = 0x70;

/// Bytes of a `breg` operation with the two-byte offset used here.
pub const BREG_LEN: u8 = 3;
/// Bytes of the expression `breg(offset); deref`.
pub const DEREF_LEN: u8 = BREG_LEN + 1;
/// Bytes of the expression `breg(offset); deref; plus_uconst n` with two-byte operands.
pub const CFA_DEREF_LEN: u8 = DEREF_LEN + 3;

/// The operation that pushes register `dwarf` plus an offset.
pub const fn breg(dwarf: u16) -> u8 {
    assert!(dwarf < 32, "DW_OP_breg exists for registers 0 to 31");
    DW_OP_BREG0 + dwarf as u8
}

/// First of the two LEB128 bytes of `value`, signed and unsigned alike.
pub const fn leb_lo(value: i64) -> u8 {
    assert!(value >= -8192 && value < 8192, "two bytes of signed LEB128 hold 14 bits");
    (value & 0x7f) as u8 | 0x80
}

/// Second of the two LEB128 bytes of `value`.
pub const fn leb_hi(value: i64) -> u8 {
    assert!(value >= -8192 && value < 8192, "two bytes of signed LEB128 hold 14 bits");
    ((value >> 7) & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes as DWARF 5, section 7.6 says.
    fn sleb(bytes: [u8; 2]) -> i64 {
        let raw = i64::from(bytes[0] & 0x7f) | i64::from(bytes[1] & 0x7f) << 7;
        if bytes[1] & 0x40 != 0 { raw - (1 << 14) } else { raw }
    }

    #[test]
    fn offsets_survive_encoding() {
        for value in -8192..8192 {
            let bytes = [leb_lo(value), leb_hi(value)];
            assert!(bytes[0] & 0x80 != 0 && bytes[1] & 0x80 == 0, "two bytes, the last one marked");
            assert_eq!(sleb(bytes), value);
        }
    }

    #[test]
    fn expressions_mean_what_gimli_reads() {
        use gimli::{Encoding, EndianSlice, Expression, Format, LittleEndian, Operation, Register};
        let bytes = [breg(7), leb_lo(8), leb_hi(8), DW_OP_DEREF, DW_OP_PLUS_UCONST, leb_lo(8), leb_hi(8)];
        assert_eq!(bytes.len(), CFA_DEREF_LEN as usize);
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 5 };
        let mut operations = Expression(EndianSlice::new(&bytes, LittleEndian)).operations(encoding);
        assert!(matches!(
            operations.next(),
            Ok(Some(Operation::RegisterOffset { register: Register(7), offset: 8, .. }))
        ));
        assert!(matches!(operations.next(), Ok(Some(Operation::Deref { .. }))));
        assert!(matches!(operations.next(), Ok(Some(Operation::PlusConstant { value: 8 }))));
        assert!(matches!(operations.next(), Ok(None)));
    }
}
