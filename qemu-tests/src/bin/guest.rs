//! Runs one case: `guest --list`, `guest GROUP/NAME`.

use qemu_tests::cases;
use qemu_tests::fake::FAKE;
use qemu_tests::harness::{Expect, checked};
use stackgate::Platform;

/// Stops the program where a case has forbidden it to allocate.
#[global_allocator]
static ALLOCATOR: qemu_tests::allocation::Forbidding = qemu_tests::allocation::Forbidding;

fn main() -> std::process::ExitCode {
    qemu_tests::variants::begin();
    let Some(wanted) = std::env::args().nth(1) else {
        eprintln!("usage: guest --list | guest GROUP/NAME");
        return 2.into();
    };
    if wanted == "--prove" {
        return qemu_tests::variants::prove().into();
    }
    if wanted == "--list" {
        for case in cases::all() {
            match case.expect {
                Expect::Ok => println!("{}/{}\tok", case.group, case.name),
                Expect::Fatal(text) => println!("{}/{}\tfatal:{text}", case.group, case.name),
            }
        }
        return 0.into();
    }
    let Some(case) = cases::all().find(|case| wanted == format!("{}/{}", case.group, case.name)) else {
        eprintln!("no case is called {wanted}: guest --list names them");
        return 2.into();
    };
    let platform: Option<&'static dyn Platform> = match case.group {
        "no platform" => None,
        "platform" => Some(&FAKE),
        _ => Some(&stackgate_libc::Hosted),
    };
    if let Some(platform) = platform {
        stackgate::set_platform(platform).expect("the first platform");
    }
    stackgate_libc::register_own_tables();
    (case.run)();
    println!("ok {}", checked());
    0.into()
}
