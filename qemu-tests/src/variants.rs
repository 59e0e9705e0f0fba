//! What a program is there to notice that was built as one of the variants of `cargo xtask test --variants`.

/// Before anything else: what the variant needs to be switched on.
pub fn begin() {
    #[cfg(stackgate_landing_pads)]
    crate::cpu::enforce_landing_pads();
    // What Rust gives its main thread is too small for instrumented handlers.
    #[cfg(any(feature = "asan", feature = "tsan"))]
    {
        let memory = vec![0u8; MORE_STACK << 14].leak();
        let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
        // SAFETY: memory that nobody else has.
        assert_eq!(unsafe { libc::sigaltstack(&stack, core::ptr::null_mut()) }, 0);
    }
}

/// How many times the stack instrumented code needs that others do.
pub const MORE_STACK: usize = if cfg!(any(feature = "asan", feature = "tsan")) { 16 } else { 1 };

/// Does what is to be noticed. Returns where nobody does.
pub fn prove() {
    #[cfg(stackgate_landing_pads)]
    crate::cpu::miss_landing_pad();
    #[cfg(stackgate_hash_checks)]
    {
        unsafe extern "C" {
            fn c_returns_elsewhere();
        }
        // SAFETY: it writes over its return address, and is stopped before it returns.
        unsafe { c_returns_elsewhere() };
    }
    #[cfg(feature = "asan")]
    {
        let bytes = vec![1u8; 8];
        // SAFETY: wrong on purpose: a byte behind the block, of the allocator's own memory.
        let stray = unsafe { core::hint::black_box(bytes.as_ptr()).add(8).read() };
        println!("{stray}");
    }
    #[cfg(feature = "tsan")]
    {
        static mut RACED: usize = 0;
        let bump = || {
            for _ in 0..1000 {
                // SAFETY: wrong on purpose: two threads write without a lock.
                unsafe { (&raw mut RACED).write((&raw const RACED).read() + 1) };
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(bump);
            scope.spawn(bump);
        });
        std::process::exit(1);
    }
}
