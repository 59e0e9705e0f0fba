//! Where a register is: while a callback runs, while C runs, while a task is parked.

use stackgate_arch::frame::{Field, Layout, Register, SavedBy};

use super::Described;

/// A field of a frame, those of frames inside it included.
#[derive(Clone, Debug)]
pub struct Flat {
    /// `saved.rbx`.
    pub path: String,
    pub offset: usize,
    pub size: usize,
    pub register: Option<Register>,
    pub writer: &'static str,
    pub reader: &'static str,
}

/// What frames that lie in others say instead of a name.
const OUTER: &[&str] = &["the frame that holds this", "who saves"];

/// The name of the layout that a field is, if it is one.
pub fn nested<'a>(cpu: &'a Described, field: &Field) -> Option<&'a Layout> {
    let ty = field.ty.trim();
    let name = ty.strip_prefix("C::").unwrap_or(ty).split('<').next().unwrap_or(ty).trim();
    cpu.layouts.iter().find(|l| l.name == name)
}

/// Every field, with those of nested frames in place of the field that holds them.
pub fn flatten(cpu: &Described, layout: &Layout) -> Vec<Flat> {
    let mut all = Vec::new();
    for field in layout.fields {
        let inner = nested(cpu, field).map(|inner| flatten(cpu, inner)).unwrap_or_default();
        // A vector is two words, and one register.
        if inner.is_empty() || field.register.is_some() {
            all.push(Flat {
                path: field.name.to_owned(),
                offset: field.offset,
                size: field.size,
                register: field.register,
                writer: field.writer,
                reader: field.reader,
            });
            continue;
        }
        all.extend(inner.into_iter().map(|flat| {
            let outer = OUTER.iter().any(|o| flat.writer.starts_with(o));
            Flat {
                path: format!("{}.{}", field.name, flat.path),
                offset: field.offset + flat.offset,
                writer: if outer { field.writer } else { flat.writer },
                reader: if outer { field.reader } else { flat.reader },
                ..flat
            }
        }));
    }
    all
}

/// An answer: the value of a register in some situation.
#[derive(Debug)]
pub struct Answer {
    pub situation: &'static str,
    /// Frame and field; `None` where no frame of ours has it.
    pub place: Option<(&'static str, Flat)>,
    /// How to get there, or why there is nothing to get.
    pub how: String,
}

/// What `CallbackFrame.link` designates in the `Crosscall2Frame` above it.
fn designated(cpu: &Described, frame: &[Flat]) -> Option<usize> {
    if cpu.record.pc_is_in_next {
        // A back chain designates a frame. s390x's frames begin with what the caller passed, which is `saved`;
        // ppc64le's with their own header.
        let passed = frame.iter().find(|f| f.path == "saved.link");
        return Some(passed.map_or(0, |f| f.offset));
    }
    // A record: where the frame pointer of C was saved.
    let saved = |f: &&Flat| f.register.is_some_and(|r| r == cpu.record.register);
    frame.iter().rfind(saved).map(|f| f.offset)
}

/// Where the value that `register` had is, in each situation.
pub fn answers(cpu: &Described, register: Register) -> Vec<Answer> {
    let find = |name: &str| -> Option<(&'static str, Flat, usize)> {
        let layout = cpu.layouts.iter().find(|l| l.name == name)?;
        let flat = flatten(cpu, layout);
        // Of several, the last: a link that only resembles it comes first.
        let flat = flat.into_iter().rfind(|f| f.register == Some(register))?;
        Some((layout.name, flat, layout.size))
    };
    let mut all = Vec::new();
    let callee = register.saved_by == SavedBy::Callee;

    const CALLBACK: &str = "while a callback runs";
    if let Some((name, flat, _)) = find("CallbackFrame") {
        let how = format!("C's value, at g0.sched.sp + {}", flat.offset);
        all.push(Answer { situation: CALLBACK, place: Some((name, flat)), how });
    }
    for name in ["Crosscall2Frame", "Crosscall2Win64Frame"] {
        let Some((name, flat, _)) = find(name) else { continue };
        let layout = cpu.layouts.iter().find(|l| l.name == name);
        let whole = layout.map(|l| flatten(cpu, l)).unwrap_or_default();
        let from = designated(cpu, &whole).unwrap_or(0);
        let (sign, distance) =
            if flat.offset >= from { ('+', flat.offset - from) } else { ('-', from - flat.offset) };
        let entry = if name == "Crosscall2Frame" { "crosscall2" } else { "crosscall2_win64" };
        // The word that `link` designates is itself one of them.
        let how = format!("C's value, if C came through {entry}: at CallbackFrame.link {sign} {distance}");
        all.push(Answer { situation: CALLBACK, place: Some((name, flat)), how });
    }
    if callee {
        let how = "if C called cgocallback itself: with the managed function, which gives it back; where it \
                   saves it, its unwind table says"
            .to_owned();
        all.push(Answer { situation: CALLBACK, place: None, how });
    } else if all.is_empty() {
        let how = "nowhere: who calls gives its value up".to_owned();
        all.push(Answer { situation: "over any call", place: None, how });
        return all;
    }

    const IN_C: &str = "while C runs";
    const PARKED: &str = "while the task is parked";
    if let Some((name, flat, size)) = find("AsmcgocallFrame") {
        let how = format!("the task's value, at g0.sched.sp - {}", size - flat.offset);
        all.push(Answer { situation: IN_C, place: Some((name, flat)), how });
    }
    if callee {
        if let Some((name, flat, _)) = find("CatchFrame") {
            let how =
                format!("the task's value, if it called asmcgocall_catch: at g.catch + {}", flat.offset);
            all.push(Answer { situation: IN_C, place: Some((name, flat)), how });
        }
        let how =
            "otherwise with C, which gives it back; where it saves it, its unwind table says".to_owned();
        all.push(Answer { situation: IN_C, place: None, how });
    }

    if let Some((name, flat, _)) = find("SwitchFrame") {
        let how = format!("the task's value, at g.sched.sp + {}", flat.offset);
        all.push(Answer { situation: PARKED, place: Some((name, flat)), how });
    } else if callee {
        let how = "where the compiler has put it in the task's frames, as their unwind tables say".to_owned();
        all.push(Answer { situation: PARKED, place: None, how });
    }
    all
}

/// A callee-saved general register of the CPU that only `crosscall2` keeps: what the page is tried with.
pub fn sample(cpu: &Described) -> Option<Register> {
    let keeps = |name: &str, r: Register| {
        let layout = cpu.layouts.iter().find(|l| l.name == name);
        layout.is_some_and(|l| flatten(cpu, l).iter().any(|f| f.register == Some(r)))
    };
    cpu.registers
        .iter()
        .copied()
        .find(|&r| r.saved_by == SavedBy::Callee && keeps("Crosscall2Frame", r) && !keeps("CallbackFrame", r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::CPUS;

    #[test]
    fn each_cpu_has_its_own_sample() {
        let samples: Vec<_> = CPUS.iter().map(|cpu| sample(cpu).unwrap().name).collect();
        assert_eq!(samples, ["ebx", "rbx", "r6", "x19", "r14", "r6"]);
    }

    #[test]
    fn every_callee_saved_register_has_a_place_behind_crosscall2() {
        for cpu in CPUS {
            for &register in cpu.registers.iter().filter(|r| r.saved_by == SavedBy::Callee) {
                let all = answers(cpu, register);
                let kept = |a: &Answer| a.place.is_some() && a.situation == "while a callback runs";
                // The stack pointer is what the frames' own places say; ppc64le's condition register lies in C's
                // frame, where the ABI has it.
                let elsewhere = ["rsp", "esp", "sp", "r1", "cr2", "cr3", "cr4"].contains(&register.name);
                assert!(all.iter().any(kept) || elsewhere, "{}: {}", cpu.name, register.name);
            }
        }
    }

    #[test]
    fn distances_from_the_record_are_those_of_the_assembly() {
        // x86_64: `lea rbp, [rsp + {rbp}]` in crosscall2, and rbx lies below it in the same structure.
        let cpu = CPUS.iter().find(|c| c.name == "x86_64").unwrap();
        let rbx = *cpu.registers.iter().find(|r| r.name == "rbx").unwrap();
        let layout = cpu.layouts.iter().find(|l| l.name == "Crosscall2Frame").unwrap();
        let flat = flatten(cpu, layout);
        let at = |path: &str| flat.iter().find(|f| f.path == path).unwrap().offset;
        let wanted = format!("CallbackFrame.link - {}", at("saved.rbp") - at("saved.rbx"));
        assert!(answers(cpu, rbx).iter().any(|a| a.how.contains(&wanted)), "{wanted}");
    }
}
