//! ppc64le: OpenPOWER ELFv2, little-endian.
//!
//! # ABI documents
//!
//! * *64-Bit ELF V2 ABI Specification, Power Architecture*, OpenPOWER Foundation, revision 1.5: 2.2.2 (register
//!   roles), 2.2.3 (stack frame: back chain, CR and LR save words, TOC save, protected zone), 2.3.2.1 (calls by
//!   name and through pointers), 2.4 (DWARF numbers), 3.4.1 (local entry points), 3.7 (thread-local storage).
//! * *Power ISA*, version 2.07 B (POWER8, the least CPU that the ABI's little-endian side runs on).
//!
//! # Registers
//!
//! | name | DWARF | role | saved by |
//! |---|---|---|---|
//! | `r0` | 0 | scratch; stands for zero where an address or `addi` wants a base | caller |
//! | `r1` | 1 | stack pointer: a multiple of 16, and the address of a true back chain, at every instruction | callee |
//! | `r2` | 2 | TOC pointer | by rule: see below |
//! | `r3` to `r10` | 3 to 10 | arguments; `r3` and `r4` results | caller |
//! | `r11` | 11 | environment pointer; the function, for [`ccall`](crate::ccall) | caller |
//! | `r12` | 12 | the function's own address at its global entry | caller |
//! | `r13` | 13 | thread pointer | nobody: never written |
//! | `r14` to `r30` | 14 to 30 | general | callee |
//! | `r31` | 31 | general; frame pointer where a frame has no fixed size | callee |
//! | `f0` to `f13` | 32 to 45 | floating point; `f1` to `f13` arguments, `f1` to `f8` results | caller |
//! | `f14` to `f31` | 46 to 63 | floating point; the upper halves of vs14 to vs31 | callee |
//! | `lr` | 65 | return address; kept in the caller's frame | by rule |
//! | `ctr` | 66 | target of a call through a pointer | caller |
//! | `cr0`, `cr1`, `cr5` to `cr7` | 68, 69, 73 to 75 | conditions | caller |
//! | `cr2` to `cr4` | 70 to 72 | conditions; kept in the caller's frame | callee |
//! | `v0` to `v19` | 77 to 96 | vector; `v2` to `v13` arguments, `v2` to `v9` results | caller |
//! | `v20` to `v31` | 97 to 108 | vector | callee |
//!
//! # What is different here
//!
//! * *The record is the frame.* SP designates a back chain word, which designates the caller's frame: there is
//!   no frame pointer to move after SP. `stdu`, or a frame that is written before SP goes to it, keeps the chain
//!   true at every instruction; a walk by records needs no exception for the crossings' own instructions. Every
//!   compiler keeps the chain, in every build.
//! * *A return address lies in the caller's frame*, at 16, and the condition register at 8. So
//!   [`AsmcgocallFrame`](frame::AsmcgocallFrame) holds no PC, `asmcgocall` takes not a byte of the managed
//!   stack, and [`start_of_call`](unwind::start_of_call) reads the caller's frame.
//! * *Two entries.* A function that needs the TOC begins with the instructions that compute r2 from r12, for
//!   who comes through a pointer; `.localentry` says where who comes by name goes on.
//! * *r2 is given back by the caller* after a call through a pointer, from 24 of its own frame, by the very next
//!   instruction; libgcc's unwinder recognises that instruction. No crossing ends by a tail call through a
//!   pointer, which would leave the function's r2 to a caller that came by name; `systemstack` and
//!   `cgocallback` call there.
//! * *Moved stacks.* `r31` is the one register beside SP that can define a CFA; `asmcgocall` keeps it in its
//!   frame. Back chain words in managed frames are addresses of their own stack: who moves a stack rewrites
//!   those of its own frames.
//! * *Below SP* lie 288 bytes that leaf code may use and 512 that handlers leave alone (ABI 2.2.3.4). Nothing
//!   here relies on either. What lies below a managed SP that made a call is dead: its owner is no leaf.
//! * *The link stack* of the CPU pairs `bl` and `bctrl` with `blr`. Where a return matches no call, `bctr` jumps.
//!
//! # Where things are while a callback runs
//!
//! A managed function called `asmcgocall`; C called `cgocallback`, which runs `f`:
//!
//! ```text
//!   curg                                              g0
//!   | the managed caller's frame | <------+     | SwitchFrame of resume  |
//!   |   16: its return address   |        |     | AsmcgocallFrame        |
//!   | CallbackEntry              |  link -+---- |   sp                   |
//!   |   16: callback_return      |              |   16: into asmcgocall  |
//!   |   callback                 | ---+         | C's frames             |
//!   | f's frames                 |    |         |   16: into C           |
//!   |                            | <- SP        | CallbackFrame          | <- g0.sched.sp
//!                                     +-------> |   link: C's frame      |
//! ```
//!
//! * The return address of the managed caller's call of `asmcgocall` is at 16 of that caller's frame
//!   (ABI 2.2.3.2). `AsmcgocallFrame::sp` and `CallbackEntry::link` are the address of that frame.
//! * C's return address is at 16 of C's frame, which `CallbackFrame::link` designates.
//! * C's r14 to r31, f14 to f31, v20 to v31 are where the managed code, which obeys the ABI, saves them; for
//!   code that does not, in the [`Crosscall2Frame`](frame::Crosscall2Frame) above the `CallbackFrame`, with
//!   CR2 to CR4 at 8 of C's frame.
//! * The tests `registers/*` of qemu-tests lose none of them; `nesting/*` and `moved stack/*` walk this picture.
//!
//! # What is not saved
//!
//! * `FPSCR`, `VSCR`: modes of the thread, which a call does not keep (ABI 2.2.2). C sees the caller's, and the
//!   caller sees C's.
//! * `r13`: the thread pointer. A g that is resumed on another thread finds that thread's.
//! * `r2`: computed at each global entry.
//! * `CTR`, `XER`, CR0, CR1, CR5 to CR7, and the lower halves of vs14 to vs31: the caller's to save.
//! * `VRSAVE`: in no use on Linux. `TAR`, `DSCR`, `PPR`: the program's, of which the ABI asks nothing.
#![doc = include_str!("../../docs/ppc64le.md")]

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub mod asm;
