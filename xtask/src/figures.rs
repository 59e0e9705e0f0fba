//! What the same operations cost elsewhere: Go's cgo, in guest instructions.
//!
//! Counted with a plugin for the emulator, as `count` does it, on programs built with cgo by
//! Go 1.27.3 and Go 1.19.8 (garbage collector off, GOMAXPROCS=1, no asynchronous preemption). The
//! better of the two is what `count` compares with. A change of the limits is a decision of the
//! project; the other numbers are measurements and do not change.

/// One operation that Go has too.
pub struct Figure {
    /// Name of the operation in the program `count`.
    pub op: &'static str,
    /// What Go's operation is called, and the unit where it is not one operation.
    pub what: &'static str,
    /// Go 1.27.3: i386, x86_64, arm, arm64, ppc64le, s390x, in the order of the target table.
    pub go127: [f64; 6],
    /// Go 1.19.8, in the same order.
    pub go119: [f64; 6],
    /// Largest allowed ratio to Go's better figure.
    pub limit: Option<f64>,
    /// CPUs that exceed the limit, each for the reason given. `count --check` fails where another one does, where one
    /// of these no longer does, and where an operation with a limit is not counted.
    pub over: &'static [Over],
    /// Largest fraction by which two counts of the same program may differ. Zero for programs
    /// with one thread; where threads wait for each other, some waits spin and some sleep, and
    /// what `malloc` does for a new thread depends on what it did before (seen: 1.2 %).
    pub noise: f64,
}

/// Where a limit is exceeded, and what the instructions are for.
pub struct Over {
    pub cpus: &'static [&'static str],
    pub why: &'static str,
}

/// What ppc64le does for a call that the others do not.
const CGOCALL: &[Over] = &[Over {
    cpus: &["ppc64le"],
    why: "two instructions too many. It saves and sets the TOC pointer around the call (3), takes the address of a \
          variable in two instructions (2), and loads, changes and stores three counts, where others add to memory",
}];

/// What attaching a thread needs of a C library.
const ATTACH: &[Over] = &[Over {
    cpus: &["i386", "x86_64", "arm", "arm64", "ppc64le", "s390x"],
    why: "three fifths and more are `pthread_getattr_np`'s, which alone says where a thread's stack lies: it \
          allocates a set of CPUs, for which malloc makes a new thread a cache, and takes it apart when the thread \
          ends. What remains is below the limit on each CPU. Go 1.19 asks for no bounds: it attaches and detaches \
          with each callback, 2800 to 3400 instructions every time where ours take 65 to 77",
}];

/// What a step by records asks before it believes a record.
const RECORDS: &[Over] = &[Over {
    cpus: &["arm", "arm64", "ppc64le", "s390x"],
    why: "the two words of a record take two loads; the rest bounds the record (alignment and both ends of the \
          stack, since a corrupted chain must end by name), sees that the PC is no crossing's and the frame not the \
          last (9 to 12), keeps the iterator's state (8 to 10), and is the loop that asks for frames (6 to 9). \
          Where addresses take two instructions and compares do not take memory, that is a few more than 0.1",
}];

/// All figures, in the order of the printed table.
pub const FIGURES: &[Figure] = &[
    Figure {
        op: "C call",
        what: "an empty C function called by a loop in C: no crossing at all",
        go127: [9.1, 6.0, 6.1, 6.0, 4.6, 4.2],
        go119: [8.9, 6.1, 6.0, 6.0, 4.5, 4.1],
        limit: None,
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "asmcgocall",
        what: "asmcgocall: switch to g0 and C call only",
        go127: [58.8, 66.0, 86.0, 88.0, 77.0, 89.0],
        go119: [61.0, 65.0, 88.0, 93.9, 89.9, 80.0],
        limit: Some(0.5),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "systemstack",
        what: "systemstack(fn)",
        go127: [55.1, 59.0, 78.0, 79.9, 82.0, 74.0],
        go119: [56.9, 56.0, 80.0, 87.0, 84.0, 69.0],
        limit: Some(0.5),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "cgocall",
        what: "cgo call with a nil argument",
        go127: [331.3, 283.1, 414.1, 341.2, 369.0, 319.9],
        go119: [441.7, 370.2, 560.4, 437.4, 476.8, 435.1],
        limit: Some(0.15),
        over: CGOCALL,
        noise: 0.0,
    },
    Figure {
        op: "callback",
        what: "callback from C, no result",
        go127: CALLBACK_127,
        go119: CALLBACK_119,
        limit: Some(0.15),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "callback, word to word",
        what: "callback from C, a word in and a word out",
        go127: [576.6, 492.3, 677.5, 567.1, 775.5, 560.0],
        go119: [881.1, 696.3, 970.5, 852.0, 989.3, 776.2],
        limit: Some(0.15),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "callback with a context",
        what: "callback from C with a context function set",
        go127: [649.5, 531.2, 757.8, 615.0, 857.2, 604.4],
        go119: [974.3, 754.4, 1065.0, 922.4, 1091.0, 838.5],
        limit: Some(0.2),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "crosscall2",
        what: "callback from C, no result (ours: every callee-saved register saved)",
        go127: CALLBACK_127,
        go119: CALLBACK_119,
        limit: Some(0.35),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "callback on a foreign thread",
        what: "callback on a thread the runtime did not make, steady state",
        go127: [587.3, 493.1, 700.5, 579.6, 787.3, 567.4],
        go119: [3120.0, 2782.0, 3429.0, 3189.0, 3412.0, 3153.0],
        limit: Some(0.2),
        over: &[],
        noise: 0.01,
    },
    Figure {
        op: "attach, callback, detach",
        what: "such a thread's attach, first callback and detach",
        go127: [8897.0, 6924.0, 10223.0, 7907.0, 8790.0, 6538.0],
        go119: [4524.0, 3862.0, 6065.0, 4812.0, 4583.0, 4150.0],
        limit: Some(0.5),
        over: ATTACH,
        noise: 0.03,
    },
    Figure {
        op: "nesting to 16, per level",
        what: "one level of nested calls and callbacks, depth 16",
        go127: [899.6, 767.3, 1075.0, 900.4, 1138.0, 871.2],
        go119: [1313.0, 1057.0, 1508.0, 1278.0, 1459.0, 1202.0],
        limit: Some(0.2),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "nesting, per level",
        what: "one level of nested calls and callbacks, depth 1000",
        go127: [898.5, 770.1, 1074.0, 907.1, 1125.0, 870.7],
        go119: [1312.0, 1057.0, 1512.0, 1280.0, 1460.0, 1200.0],
        limit: Some(0.2),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "resume and park",
        what: "Gosched, one switch by way of the scheduler (ours: into a task and back; what it takes more than \
               corosensei's are the current g, whose m it is, what the m runs and where its stack begins, stored each \
               way for handlers and tracebacks)",
        go127: [1208.0, 781.7, 1415.0, 843.4, 985.4, 926.1],
        go119: [684.4, 475.8, 888.0, 573.2, 608.6, 542.1],
        limit: Some(0.1),
        over: &[],
        noise: 0.0,
    },
    Figure {
        op: "traceback by records, per frame",
        what: "runtime.Callers, one frame (ours: by frame records)",
        go127: CALLERS_127,
        go119: CALLERS_119,
        limit: Some(0.1),
        over: RECORDS,
        noise: 0.0,
    },
    Figure {
        op: "traceback by tables, per frame",
        what: "runtime.Callers, one frame (ours: by unwind tables)",
        go127: CALLERS_127,
        go119: CALLERS_119,
        limit: Some(1.0),
        over: &[],
        noise: 0.0,
    },
];

const CALLBACK_127: [f64; 6] = [567.3, 484.1, 673.2, 567.2, 767.0, 556.5];
const CALLBACK_119: [f64; 6] = [870.7, 688.3, 964.6, 849.7, 978.7, 768.2];
const CALLERS_127: [f64; 6] = [495.8, 521.0, 532.0, 511.7, 559.4, 431.1];
const CALLERS_119: [f64; 6] = [415.9, 385.0, 409.0, 373.1, 404.0, 375.9];

impl Figure {
    /// Go's better figure on the CPU of this row of the target table.
    pub fn go(&self, cpu: usize) -> Option<f64> {
        Some(self.go127.get(cpu)?.min(*self.go119.get(cpu)?))
    }
}

/// The figure of an operation, if Go has it.
pub fn figure(op: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.op == op)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn the_better_figure_is_taken_for_each_cpu() {
        let asmcgocall = figure("asmcgocall").unwrap();
        assert_eq!(TARGETS.len(), asmcgocall.go127.len());
        assert_eq!(asmcgocall.go(0), Some(58.8));
        assert_eq!(asmcgocall.go(5), Some(80.0));
        assert_eq!(asmcgocall.go(6), None);
        assert!(figure("no such operation").is_none());
    }

    #[test]
    fn exceptions_are_from_limits_and_name_cpus() {
        for over in FIGURES.iter().flat_map(|figure| figure.over) {
            assert!(!over.cpus.is_empty() && !over.why.is_empty());
            assert!(over.cpus.iter().all(|cpu| TARGETS.iter().any(|target| target.name == *cpu)));
        }
        assert!(FIGURES.iter().all(|figure| figure.limit.is_some() || figure.over.is_empty()));
    }
}
