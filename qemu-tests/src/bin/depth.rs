//! Runs one path on a painted stack: `depth --list`, `depth PATH`. See [`qemu_tests::depth`].

use qemu_tests::depth::{Run, paths, used};

fn main() -> std::process::ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        eprintln!("usage: depth --list | depth PATH");
        return 2.into();
    };
    if wanted == "--list" {
        for path in paths() {
            let stack = match path.run {
                Run::Task(_) | Run::End(_) => "managed",
                Run::Start(_) => "top",
                Run::Handler(_) => "handler",
            };
            println!("{}\t{stack}\t{}\t{}\t{}", path.name, path.parts.join(", "), path.arguments, path.why);
        }
        return 0.into();
    }
    let Some(path) = paths().find(|path| path.name == wanted) else {
        eprintln!("no path is called {wanted}: depth --list names them");
        return 2.into();
    };
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    stackgate_libc::register_own_tables();
    println!("{}", used(path));
    0.into()
}
