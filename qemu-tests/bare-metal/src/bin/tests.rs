//! The tests, on a machine.

#![no_std]
#![no_main]

#[unsafe(no_mangle)]
fn machine_main() -> ! {
    bare_metal::runner::run(bare_metal::cases::nth)
}
