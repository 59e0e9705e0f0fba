//! What lies on the two stacks in the course of each crossing, told once for all CPUs.
//!
//! The frames are those of `LAYOUTS`, named here and measured there; a test holds that each exists on every
//! CPU and lies on the stack where it is shown.

/// A box on a stack.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// A frame of `LAYOUTS`, or code that lies there.
    pub what: What,
    /// What points at its lower end.
    pub marks: &'static [&'static str],
    /// A field of it, and the part of the other stack that the field designates.
    pub link: Option<(&'static str, usize)>,
}

/// What a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame, by its layout's name.
    Frame(&'static str),
    /// Frames of compiled code.
    Code(&'static str),
}

/// A moment. Both stacks from their highest address down.
#[derive(Debug)]
pub struct Panel {
    pub title: &'static str,
    /// The current g.
    pub g: &'static str,
    pub says: &'static str,
    pub managed: &'static [Part],
    pub system: &'static [Part],
}

/// A crossing in four moments.
#[derive(Debug)]
pub struct Story {
    pub name: &'static str,
    /// The functions of the contract that it tells of.
    pub covers: &'static [&'static str],
    /// The CPU that alone has them, if one does.
    pub only: Option<&'static str>,
    pub panels: [Panel; 4],
}

const fn code(what: &'static str) -> Part {
    Part { what: What::Code(what), marks: &[], link: None }
}

const fn frame(name: &'static str) -> Part {
    Part { what: What::Frame(name), marks: &[], link: None }
}

impl Part {
    const fn at(self, marks: &'static [&'static str]) -> Self {
        Self { marks, ..self }
    }
    /// The field `field` designates the part `to` of the other stack.
    const fn to(self, field: &'static str, to: usize) -> Self {
        Self { link: Some((field, to)), ..self }
    }
}

const SP: &[&str] = &["SP"];
const G0_SP: &[&str] = &["g0.sched.sp"];
const BOTH: &[&str] = &["SP", "g0.sched.sp"];

const BASE: Part = frame("BaseFrame");
const TASK: Part = code("the task, down to the caller");
const LOOP: Part = code("main, scheduler, resume's caller");
const SWITCH: Part = frame("SwitchFrame").at(G0_SP);

/// Every story.
pub const STORIES: &[Story] = &[
    Story {
        name: "A call into C that calls back",
        covers: &["asmcgocall", "ccall", "systemstack", "cgocallback"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "curg",
                says: "The task runs on its own stack; g0.sched.sp is where resume left the system stack.",
                managed: &[BASE, TASK.at(SP)],
                system: &[LOOP, SWITCH],
            },
            Panel {
                title: "in C",
                g: "g0",
                says: "asmcgocall has left its frame directly below g0.sched.sp: which g called, and where its stack is. C runs on the system stack. ccall and systemstack leave the same frame.",
                managed: &[BASE, TASK],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 1), code("C").at(SP)],
            },
            Panel {
                title: "in the callback",
                g: "curg",
                says: "cgocallback has published its frame on the system stack by moving g0.sched.sp to it. Managed code goes on below the task's frames; the entry's record continues the task's chain.",
                managed: &[
                    BASE,
                    TASK,
                    frame("CallbackEntry").to("callback", 4),
                    code("the managed function").at(SP),
                ],
                system: &[
                    LOOP,
                    frame("SwitchFrame"),
                    frame("AsmcgocallFrame").to("sp", 1),
                    code("C"),
                    frame("CallbackFrame").at(G0_SP),
                ],
            },
            Panel {
                title: "after",
                g: "curg",
                says: "cgocallback has taken g0.sched.sp back and returned to C, and C to asmcgocall, which took SP from its frame. Nothing is left on either stack.",
                managed: &[BASE, TASK.at(SP)],
                system: &[LOOP, SWITCH],
            },
        ],
    },
    Story {
        name: "The way in for code without callee-saved registers",
        covers: &["crosscall2", "crosscall2_panic"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "g0",
                says: "C runs, called by the task.",
                managed: &[BASE, TASK],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 1), code("C").at(SP)],
            },
            Panel {
                title: "in C, on the way in",
                g: "g0",
                says: "crosscall2 has saved every register that C expects back, and calls cgocallback. crosscall2_panic does the same, without a context.",
                managed: &[BASE, TASK],
                system: &[
                    LOOP,
                    SWITCH,
                    frame("AsmcgocallFrame").to("sp", 1),
                    code("C"),
                    frame("Crosscall2Frame").at(SP),
                ],
            },
            Panel {
                title: "in the callback",
                g: "curg",
                says: "Managed code may change any register: C's lie in the Crosscall2Frame. On s390x the CallbackFrame lies in the lowest 160 bytes of that frame, which a caller passes to whom it calls.",
                managed: &[
                    BASE,
                    TASK,
                    frame("CallbackEntry").to("callback", 5),
                    code("the managed function").at(SP),
                ],
                system: &[
                    LOOP,
                    frame("SwitchFrame"),
                    frame("AsmcgocallFrame").to("sp", 1),
                    code("C"),
                    frame("Crosscall2Frame"),
                    frame("CallbackFrame").at(G0_SP),
                ],
            },
            Panel {
                title: "after",
                g: "g0",
                says: "crosscall2 has given C its registers back.",
                managed: &[BASE, TASK],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 1), code("C").at(SP)],
            },
        ],
    },
    Story {
        name: "The way in for callers of the Windows convention",
        covers: &["crosscall2_win64"],
        only: Some("x86_64"),
        panels: [
            Panel {
                title: "before",
                g: "g0",
                says: "C of the Windows convention runs, called by the task.",
                managed: &[BASE, TASK],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 1), code("C").at(SP)],
            },
            Panel {
                title: "in C, on the way in",
                g: "g0",
                says: "crosscall2_win64 has saved what that convention preserves beyond the other: rdi, rsi and ten vector registers.",
                managed: &[BASE, TASK],
                system: &[
                    LOOP,
                    SWITCH,
                    frame("AsmcgocallFrame").to("sp", 1),
                    code("C"),
                    frame("Crosscall2Win64Frame").at(SP),
                ],
            },
            Panel {
                title: "in the callback",
                g: "curg",
                says: "Managed code may change any register.",
                managed: &[
                    BASE,
                    TASK,
                    frame("CallbackEntry").to("callback", 5),
                    code("the managed function").at(SP),
                ],
                system: &[
                    LOOP,
                    frame("SwitchFrame"),
                    frame("AsmcgocallFrame").to("sp", 1),
                    code("C"),
                    frame("Crosscall2Win64Frame"),
                    frame("CallbackFrame").at(G0_SP),
                ],
            },
            Panel {
                title: "after",
                g: "g0",
                says: "C has its registers back.",
                managed: &[BASE, TASK],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 1), code("C").at(SP)],
            },
        ],
    },
    Story {
        name: "A call into C with a place where a throw lands",
        covers: &["asmcgocall_catch", "throw_to"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "curg",
                says: "The task is about to call C, and wants to be where a throw lands.",
                managed: &[BASE, TASK.at(SP)],
                system: &[LOOP, SWITCH],
            },
            Panel {
                title: "in C",
                g: "g0",
                says: "asmcgocall_catch has saved every callee-saved register on the managed stack, since a throw drops the frames of C that may hold them, and has called asmcgocall.",
                managed: &[BASE, TASK, frame("CatchFrame")],
                system: &[LOOP, SWITCH, frame("AsmcgocallFrame").to("sp", 2), code("C").at(SP)],
            },
            Panel {
                title: "in the callback",
                g: "curg",
                says: "The managed function calls throw_to with the CatchFrame.",
                managed: &[
                    BASE,
                    TASK,
                    frame("CatchFrame"),
                    frame("CallbackEntry").to("callback", 4),
                    code("the managed function, throw_to").at(SP),
                ],
                system: &[
                    LOOP,
                    frame("SwitchFrame"),
                    frame("AsmcgocallFrame").to("sp", 2),
                    code("C"),
                    frame("CallbackFrame").at(G0_SP),
                ],
            },
            Panel {
                title: "after",
                g: "curg",
                says: "throw_to has set g0.sched.sp to what the CatchFrame says, which drops C's frames, and has returned from asmcgocall_catch with the registers of its caller.",
                managed: &[BASE, TASK.at(SP)],
                system: &[LOOP, SWITCH],
            },
        ],
    },
    Story {
        name: "Running a task, and leaving it",
        covers: &[
            "resume",
            "park",
            "switch_to",
            "gogo",
            "mcall",
            "resume_light",
            "park_light",
            "switch_light",
            "mcall_light",
        ],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "g0",
                says: "The scheduler runs on the system stack. A task that has parked before has a SwitchFrame at the lower end of its stack; a new one has that above its BaseFrame.",
                managed: &[BASE, code("the task"), frame("SwitchFrame").at(&["g.sched.sp"])],
                system: &[code("main, scheduler").at(SP)],
            },
            Panel {
                title: "running",
                g: "curg",
                says: "resume has left in a SwitchFrame what the compiler reserves for itself, and has given the task its own back; the compiler has kept the rest where it needs it. gogo leaves nothing: it does not come back.",
                managed: &[BASE.to("parent", 1), code("the task").at(SP)],
                system: &[code("main, scheduler"), frame("SwitchFrame").at(G0_SP)],
            },
            Panel {
                title: "left by mcall",
                g: "g0",
                says: "mcall has left the task as park does, and runs a function on the system stack, which must not return: it goes on with another task.",
                managed: &[BASE.to("parent", 1), code("the task"), frame("SwitchFrame").at(&["g.sched.sp"])],
                system: &[
                    code("main, scheduler"),
                    frame("SwitchFrame").at(G0_SP),
                    code("mcall's function").at(SP),
                ],
            },
            Panel {
                title: "after, parked",
                g: "g0",
                says: "park has left such a SwitchFrame on the task's stack, and returned from resume. switch_to leaves one too, and goes to the one of another task instead.",
                managed: &[BASE, code("the task"), frame("SwitchFrame").at(&["g.sched.sp"])],
                system: &[code("main, scheduler").at(SP)],
            },
        ],
    },
    Story {
        name: "A thread's entry",
        covers: &["crosscall1"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "none",
                says: "A thread begins in C; there is no managed stack.",
                managed: &[],
                system: &[code("the thread's start").at(SP)],
            },
            Panel {
                title: "in managed code",
                g: "the g it was given",
                says: "crosscall1 has saved every callee-saved register and the g that was current before, and runs managed code where it stands.",
                managed: &[],
                system: &[
                    code("the thread's start"),
                    frame("Crosscall2Frame"),
                    code("the managed function").at(SP),
                ],
            },
            Panel {
                title: "in C",
                g: "the g it was given",
                says: "C is called where the stack stands: a g0 switches nowhere.",
                managed: &[],
                system: &[
                    code("the thread's start"),
                    frame("Crosscall2Frame"),
                    code("the managed function"),
                    code("C").at(SP),
                ],
            },
            Panel {
                title: "after",
                g: "none",
                says: "The thread has its registers and its former g back.",
                managed: &[],
                system: &[code("the thread's start").at(SP)],
            },
        ],
    },
    Story {
        name: "A signal",
        covers: &["sigtramp"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "g",
                says: "A signal comes while a task, or C that it has called, runs; the kernel goes to the thread's signal stack.",
                managed: &[BASE, code("the task")],
                system: &[code("what the kernel has saved").at(SP)],
            },
            Panel {
                title: "in the handler",
                g: "gsignal",
                says: "sigtramp has saved every callee-saved register and the g that was current, since C may have called it as a function, and calls the embedder's handler.",
                managed: &[BASE, code("the task")],
                system: &[
                    code("what the kernel has saved"),
                    frame("Crosscall2Frame"),
                    code("the embedder's handler").at(SP),
                ],
            },
            Panel {
                title: "in a callback",
                g: "gsignal",
                says: "There is none: a callback from a signal handler is a named fatal error.",
                managed: &[BASE, code("the task")],
                system: &[
                    code("what the kernel has saved"),
                    frame("Crosscall2Frame"),
                    code("the embedder's handler"),
                    code("C").at(SP),
                ],
            },
            Panel {
                title: "after",
                g: "g",
                says: "The g is current again, and the kernel goes back to what was interrupted.",
                managed: &[BASE, code("the task")],
                system: &[code("what the kernel has saved").at(SP)],
            },
        ],
    },
    Story {
        name: "Where there is nothing to switch",
        covers: &["asmcgocall", "ccall", "systemstack", "getg", "setg"],
        only: None,
        panels: [
            Panel {
                title: "before",
                g: "g0, gsignal, or none",
                says: "Code runs on a system stack or on a signal stack, or on a thread without a g.",
                managed: &[],
                system: &[code("the caller").at(BOTH)],
            },
            Panel {
                title: "in C",
                g: "as before",
                says: "asmcgocall, ccall and systemstack call where they stand: SP is aligned and no g changes. getg and setg touch no stack at all.",
                managed: &[],
                system: &[code("the caller"), code("C").at(SP)],
            },
            Panel {
                title: "in a callback",
                g: "as before",
                says: "There is none: without a curg a callback is a named fatal error.",
                managed: &[],
                system: &[code("the caller"), code("C").at(SP)],
            },
            Panel {
                title: "after",
                g: "as before",
                says: "Nothing is left.",
                managed: &[],
                system: &[code("the caller").at(BOTH)],
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use stackgate_arch::frame::On;

    use super::*;
    use crate::frames::CPUS;

    #[test]
    fn the_frames_exist_and_lie_where_they_are_shown() {
        for cpu in CPUS {
            for story in STORIES.iter().filter(|s| s.only.is_none_or(|only| only == cpu.name)) {
                for panel in &story.panels {
                    for (parts, other, stack) in [
                        (panel.managed, panel.system, On::Managed),
                        (panel.system, panel.managed, On::System),
                    ] {
                        for part in parts {
                            let What::Frame(name) = part.what else { continue };
                            let place = format!("{}: {}: {}: {name}", cpu.name, story.name, panel.title);
                            let layout = cpu.layouts.iter().find(|l| l.name == name).expect(&place);
                            assert!(layout.on == stack || layout.on == On::Either, "{place}");
                            if let Some((field, to)) = part.link {
                                assert!(layout.field(field).is_some() && to < other.len(), "{place}");
                            }
                        }
                        let marked = parts.iter().flat_map(|p| p.marks).filter(|m| **m == "SP").count();
                        assert!(marked <= 1, "{}: {}", story.name, panel.title);
                    }
                    let all = panel.managed.iter().chain(panel.system);
                    assert_eq!(
                        all.flat_map(|p| p.marks).filter(|m| **m == "SP").count(),
                        1,
                        "one SP: {}",
                        panel.title
                    );
                }
            }
        }
    }

    #[test]
    fn every_crossing_of_the_contract_has_a_story() {
        for crossing in crate::step::contract() {
            assert!(STORIES.iter().any(|s| s.covers.contains(&crossing)), "{crossing} has no story");
        }
    }
}
