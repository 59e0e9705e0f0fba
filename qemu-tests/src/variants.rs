//! What a program is there to notice that was built as one of the variants of `cargo xtask test --variants`.

/// Before anything else: what the variant needs to be switched on.
pub fn begin() {
    #[cfg(stackgate_landing_pads)]
    crate::cpu::enforce_landing_pads();
    // What Rust gives its main thread is too small for instrumented handlers, and for valgrind's frames.
    #[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
    {
        let memory = vec![0u8; MORE_STACK << 14].leak();
        let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
        // SAFETY: memory that nobody else has.
        assert_eq!(unsafe { libc::sigaltstack(&stack, core::ptr::null_mut()) }, 0);
    }
}

/// How many times the stack instrumented code needs that others do, and what valgrind puts on one for a handler.
pub const MORE_STACK: usize =
    if cfg!(any(feature = "asan", feature = "tsan", feature = "valgrind")) { 16 } else { 1 };

/// Says that a test reads these bytes whoever has written them: what lies below SP, for example, when it copies a whole
/// stack.
pub fn is_readable(from: *const u8, bytes: usize) {
    _ = (from, bytes);
    #[cfg(feature = "valgrind")]
    {
        /// `VG_USERREQ__MAKE_MEM_DEFINED` of valgrind's memcheck, `memcheck.h`.
        const MAKE_MEM_DEFINED: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16 | 2;
        stackgate::arch::client_request(0, &[MAKE_MEM_DEFINED, from.addr(), bytes, 0, 0, 0]);
    }
}

/// Does what is to be noticed. Returns where nobody does, or where it is said: the program's exit code.
pub fn prove() -> u8 {
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
    #[cfg(feature = "valgrind")]
    {
        // What was never written decides.
        let bytes = Vec::<u8>::with_capacity(8);
        // SAFETY: wrong on purpose: nobody has written it.
        if unsafe { core::hint::black_box(bytes.as_ptr()).read_volatile() } == 1 {
            println!("one");
        }
    }
    // What the compilers and the linker have made of this program, by what is in it.
    #[cfg(any(stackgate_pie, stackgate_lto))]
    {
        use object::Object as _;
        let bytes = std::fs::read("/proc/self/exe").expect("the program's own file");
        if object::File::parse(&*bytes).expect("an ELF file").kind() == object::ObjectKind::Dynamic {
            eprint!("position independent, ");
        }
        // This function itself, called once and from another crate: compiled as one module it is part of its caller.
        if crate::symbols::functions().iter().all(|f| f.name != "qemu_tests::variants::prove") {
            eprint!("one module, ");
        }
        eprintln!("opt-level {}", env!("QEMU_TESTS_OPT_LEVEL"));
        return 1;
    }
    #[cfg(not(any(stackgate_pie, stackgate_lto)))]
    0
}
