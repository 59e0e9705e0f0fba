//! Times each operation natively, in blocks that alternate with the same work done by others.
//!
//! `bench [--rounds N] [--block MICROSECONDS] [--go PROGRAM]`. First everybody does what it does with functions that
//! count, and the counts have to be right. Then each round visits every row, and in a row everybody by turns, in short
//! blocks. Prints `pinned CPU`, and for each contestant `sample ROW WHO WHAT VALUES`, with tabs between them: the
//! nanoseconds of one operation in each round.

#[cfg(feature = "boost")]
mod boost;
mod ccall;
#[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "arm", target_arch = "aarch64"))]
mod corosensei;
mod go;
mod measure;
mod plain;
mod psm;
mod stackgate;

use measure::{Contestant, Row};

/// How many tasks take turns where there are many.
const MANY: usize = 16;

/// Calls a macro with the numbers of [`MANY`] tasks: what is compiled for each is a function of its own.
#[macro_export]
macro_rules! each_of_many {
    ($function:ident) => {
        [
            $function::<0>,
            $function::<1>,
            $function::<2>,
            $function::<3>,
            $function::<4>,
            $function::<5>,
            $function::<6>,
            $function::<7>,
            $function::<8>,
            $function::<9>,
            $function::<10>,
            $function::<11>,
            $function::<12>,
            $function::<13>,
            $function::<14>,
            $function::<15>,
        ]
    };
}

/// Every row, and who is in it. The first of each is the plain one.
fn rows(go: Option<&go::Peer>) -> Vec<Row> {
    let mut rows = vec![
        Row::new("ccall", [plain::call(), stackgate::ccall()]),
        Row::new("asmcgocall", [plain::call(), stackgate::asmcgocall()]),
        Row::new("cgocall", [plain::call(), stackgate::cgocall()]),
        Row::new("systemstack", [plain::call_void(), stackgate::systemstack()]),
        Row::new("on_system_stack", [plain::call(), stackgate::on_system_stack()]),
        Row::new("cgocallback", [plain::callback(), stackgate::cgocallback()]),
        Row::new("callback", [plain::callback(), stackgate::callback()]),
        Row::new("cgocall and callback", [plain::call_and_callback(), stackgate::call_and_callback()]),
        Row::new("resume and park, 1 task", [plain::call(), stackgate::turns::<1>()]),
        Row::new("arch::resume and arch::park, 1 task", [plain::call(), stackgate::turns_unchecked()]),
        Row::new("resume and park, 16 tasks", [plain::call(), stackgate::turns::<MANY>()]),
        Row::new(
            "resume and park, 16 tasks of one function",
            [plain::call(), stackgate::turns_alike::<MANY>()],
        ),
        Row::new("switch_to, 2 tasks", [plain::call(), stackgate::ring::<2>()]),
        Row::new("switch_to, 16 tasks", [plain::call(), stackgate::ring::<MANY>()]),
    ];
    let mut add = |row: &str, contestant: Contestant| {
        let row = rows.iter_mut().find(|r| r.name == row).expect("a row of this name");
        row.contestants.push(contestant);
    };
    for row in ["ccall", "asmcgocall", "cgocall", "on_system_stack"] {
        add(row, psm::on_stack());
    }
    add("systemstack", psm::on_stack_void());
    #[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "arm", target_arch = "aarch64"))]
    {
        for row in ["ccall", "asmcgocall", "cgocall", "on_system_stack"] {
            add(row, corosensei::on_parent_stack());
        }
        add("systemstack", corosensei::on_parent_stack_void());
        for row in ["resume and park, 1 task", "arch::resume and arch::park, 1 task", "switch_to, 2 tasks"] {
            add(row, corosensei::turns::<1>());
        }
        for row in ["resume and park, 16 tasks", "switch_to, 16 tasks"] {
            add(row, corosensei::turns::<MANY>());
        }
        add("resume and park, 16 tasks of one function", corosensei::turns_alike::<MANY>());
    }
    #[cfg(feature = "boost")]
    {
        add("resume and park, 1 task", boost::turns::<1>());
        add("resume and park, 16 tasks", boost::turns::<MANY>());
        add("resume and park, 16 tasks of one function", boost::turns_alike::<MANY>());
        add("switch_to, 2 tasks", boost::ring::<2>());
        add("switch_to, 16 tasks", boost::ring::<MANY>());
    }
    if let Some(go) = go {
        add("cgocall", go.contestant("cgo call", "cgocall", 1));
        add("callback", go.contestant("exported function", "callback", 1));
        add("cgocall and callback", go.contestant("cgo call, exported function", "cgocall-callback", 2));
        add("resume and park, 1 task", go.contestant("Gosched", "turns-1", 1));
        add("resume and park, 16 tasks of one function", go.contestant("Gosched", "turns-16", 1));
    }
    rows
}

/// What is asked for on the command line.
struct Options {
    rounds: usize,
    block: u64,
    go: Option<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 301, block: 40, go: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || {
            value.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| format!("{name} {value}: no number"))
        };
        match name.as_str() {
            "--rounds" => options.rounds = number()? as usize,
            "--block" => options.block = number()?,
            "--go" => options.go = Some(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

fn main() -> std::process::ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\nusage: bench [--rounds N] [--block MICROSECONDS] [--go PROGRAM]");
            return 2.into();
        }
    };
    match measure::pin() {
        Some(cpu) => println!("pinned {cpu}"),
        None => println!("pinned no"),
    }
    ::stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    let m = Box::leak(Box::<::stackgate::M>::default());
    // SAFETY: the m is never freed.
    unsafe { ::stackgate::m_adopt(m) }.expect("a thread that is no m");
    let go = options.go.as_deref().map(go::Peer::start);
    let mut rows = rows(go.as_ref());
    let calls: usize = rows.iter_mut().map(measure::check).sum();
    println!("counted {calls}");
    measure::measure(&mut rows, options.rounds, std::time::Duration::from_micros(options.block));
    for row in &rows {
        row.print();
    }
    0.into()
}
