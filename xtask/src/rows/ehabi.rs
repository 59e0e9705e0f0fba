//! What arm's own unwind tables say of an instruction, as one row: `.ARM.exidx` and `.ARM.extab`.
//!
//! *Exception Handling ABI for the Arm Architecture* (EHABI), 2023Q3, sections 6, 7 and 10.3. An entry has one row for
//! all of its instructions, so the crossings begin a new one wherever something changes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

use super::{Cfa, Rule};

/// Numbers of registers that the instructions name.
const SP: u16 = 13;
const D0: u16 = 256;

/// Second word of an entry that says nothing.
const CANTUNWIND: u32 = 1;

/// The CFA, and where registers are, as DWARF's rules have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub cfa: Cfa,
    pub rules: BTreeMap<u16, Rule>,
}

/// The rows of a program, each from its address on; `None` where nobody unwinds.
pub fn read(file: &object::File<'_>) -> Result<Vec<(u64, Option<Row>)>> {
    let section = |name: &str| -> Result<(u64, &[u8])> {
        let section = file.section_by_name(name).with_context(|| format!("no {name}"))?;
        Ok((section.address(), section.data()?))
    };
    let ((index_at, index), (table_at, table)) = (section(".ARM.exidx")?, section(".ARM.extab")?);
    let word = |bytes: &[u8], at: usize| -> Result<u32> {
        let bytes = bytes.get(at..at + 4).context("a table that ends too soon")?;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    };
    let prel31 =
        |word: u32, place: u64| place.wrapping_add_signed(i64::from((word << 1) as i32 >> 1)) & 0xffff_ffff;
    let mut found = Vec::new();
    for at in (0..index.len()).step_by(8) {
        let start = prel31(word(index, at)?, index_at + at as u64);
        let (second, place) = (word(index, at + 4)?, index_at + at as u64 + 4);
        if second == CANTUNWIND {
            found.push((start, None));
            continue;
        }
        let mut words = Vec::new();
        if second >> 31 == 1 {
            words.push(second);
        } else {
            let from =
                prel31(second, place).checked_sub(table_at).context("an entry outside .ARM.extab")? as usize;
            words.push(word(table, from)?);
            // Other functions have personalities of their own; crossings have not.
            let more = if words[0] >> 24 == 0x81 { (words[0] >> 16) & 0xff } else { 0 };
            for next in 1..=more as usize {
                words.push(word(table, from + 4 * next)?);
            }
        }
        found.push((start, instructions(&words).and_then(|bytes| row(&bytes).ok())));
    }
    Ok(found)
}

/// The bytes of the compact models' instructions: three of a short one, any number of a long one.
fn instructions(words: &[u32]) -> Option<Vec<u8>> {
    let skip = match words[0] >> 24 {
        0x80 => 1,
        0x81 => 2,
        _ => return None,
    };
    Some(words.iter().flat_map(|word| word.to_be_bytes()).skip(skip).collect())
}

/// Section 10.3, table 4: what the instructions of crossings are made of.
fn row(bytes: &[u8]) -> Result<Row> {
    let mut bytes = bytes.iter().copied();
    let (mut from, mut offset) = (SP, 0);
    // Where SP itself was popped from: from then on the offset is from what lay there.
    let mut popped: Option<i64> = None;
    // Popped before SP, and behind it.
    let (mut places, mut behind) = (BTreeMap::new(), BTreeMap::new());
    while let Some(byte) = bytes.next() {
        let mut next = || bytes.next().context("an instruction that ends too soon");
        let words: Vec<(u16, i64)> = match byte {
            0x00..=0x7f => {
                offset += (i64::from(byte & 0x3f) + 1) * 4 * if byte < 0x40 { 1 } else { -1 };
                continue;
            }
            0x80..=0x8f => {
                let mask = u16::from(byte & 0xf) << 8 | u16::from(next()?);
                (0..12).filter(|bit| mask >> bit & 1 == 1).map(|bit| (bit + 4, 4)).collect()
            }
            0x90..=0x9f => {
                if !places.is_empty() || offset != 0 {
                    bail!("SP is taken from a register behind something else");
                }
                from = u16::from(byte & 0xf);
                continue;
            }
            0xa0..=0xaf => {
                let lr = (byte & 8 != 0).then_some((14, 4));
                (4..=4 + u16::from(byte & 7)).map(|register| (register, 4)).chain(lr).collect()
            }
            0xb1 => {
                let mask = next()?;
                (0..4).filter(|bit| mask >> bit & 1 == 1).map(|bit| (bit, 4)).collect()
            }
            0xb2 => {
                let (mut value, mut shift) = (0, 0);
                loop {
                    let byte = next()?;
                    value |= i64::from(byte & 0x7f) << shift;
                    shift += 7;
                    if byte & 0x80 == 0 {
                        break;
                    }
                }
                offset += 0x204 + (value << 2);
                continue;
            }
            0xc9 => {
                let range = next()?;
                let first = D0 + u16::from(range >> 4);
                (first..=first + u16::from(range & 0xf)).map(|register| (register, 8)).collect()
            }
            0xd0..=0xd7 => (D0 + 8..=D0 + 8 + u16::from(byte & 7)).map(|register| (register, 8)).collect(),
            0xb0 => break,
            _ => bail!("an instruction {byte:#x} that no crossing needs"),
        };
        let (mut at, mut sp) = (offset, None);
        for (register, size) in words {
            if register == SP {
                sp = Some(at);
            } else if popped.is_some() {
                behind.insert(register, at);
            } else {
                places.insert(register, at);
            }
            at += size;
        }
        offset = at;
        if let Some(at) = sp {
            if from != SP || popped.is_some() {
                bail!("SP is popped from elsewhere than the stack, or twice");
            }
            (popped, offset) = (Some(at), 0);
        }
    }
    let cfa = match popped {
        Some(at) => Cfa::Word(at, u64::try_from(offset)?),
        None => Cfa::Register(from, offset),
    };
    let from_cfa =
        |places: BTreeMap<u16, i64>| places.into_iter().map(move |(r, at)| (r, Rule::At(at - offset)));
    let rules = if popped.is_some() {
        places.into_iter().map(|(r, at)| (r, Rule::AtSp(at))).chain(from_cfa(behind)).collect()
    } else {
        from_cfa(places).collect()
    };
    Ok(Row { cfa, rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_become_rows() {
        // Of a long model its own words, the first of which begins with how many there are.
        assert_eq!(instructions(&[0x8101_0184, 0x0882_80b0]).unwrap(), [0x01, 0x84, 0x08, 0x82, 0x80, 0xb0]);
        assert_eq!(instructions(&[0x80a8_b0b0]).unwrap(), [0xa8, 0xb0, 0xb0]);
        let of = |bytes: &[u8]| {
            let Row { cfa, rules } = row(bytes).unwrap();
            (cfa, rules.into_iter().collect::<Vec<_>>())
        };
        // `.save {r11, sp}`, `.save {r7, lr}`, `.pad #8`: the last one first.
        assert_eq!(
            of(&[0x01, 0x84, 0x08, 0x82, 0x80, 0xb0]),
            (Cfa::Word(20, 0), vec![(7, Rule::AtSp(8)), (11, Rule::AtSp(16)), (14, Rule::AtSp(12))])
        );
        // `.save {r5, lr}`, `.save {sp}`, `.pad #4`: the other two lie where that SP is.
        assert_eq!(
            of(&[0x00, 0x82, 0x00, 0x84, 0x02]),
            (Cfa::Word(4, 8), vec![(5, Rule::At(-8)), (14, Rule::At(-4))])
        );
        let doubles =
            vec![(4, Rule::At(-24)), (14, Rule::At(-20)), (D0 + 8, Rule::At(-16)), (D0 + 9, Rule::At(-8))];
        assert_eq!(of(&[0xa8, 0xd1]), (Cfa::Register(SP, 24), doubles));
        assert_eq!(of(&[0x9b, 0x84, 0x80]).0, Cfa::Register(11, 8));
        assert_eq!(of(&[0xb0, 0xff]), (Cfa::Register(SP, 0), vec![]));
        assert!(row(&[0xc6, 0]).is_err());
    }
}
