//! What this crate calls and takes itself, on a system stack, beside what the table has.

use core::ffi::{c_int, c_long, c_uint, c_ulong, c_void};

pub(crate) use crate::abi::{SigSet, SigStack, ThreadAttr};
pub(crate) use crate::raw::{
    close::target as close, getpid::target as getpid, madvise::target as madvise, mmap::target as mmap,
    mprotect::target as mprotect, munmap::target as munmap, open::target as open,
    pthread_atfork::target as pthread_atfork, pthread_attr_destroy::target as pthread_attr_destroy,
    pthread_attr_getstack::target as pthread_attr_getstack, pthread_attr_init::target as pthread_attr_init,
    pthread_attr_setdetachstate::target as pthread_attr_setdetachstate,
    pthread_attr_setstacksize::target as pthread_attr_setstacksize, pthread_create::target as pthread_create,
    pthread_getattr_np::target as pthread_getattr_np, pthread_key_create::target as pthread_key_create,
    pthread_self::target as pthread_self, pthread_setspecific::target as pthread_setspecific,
    pthread_sigmask::target as pthread_sigmask, read::target as read, sigaltstack::target as sigaltstack,
    usleep::target as usleep, write::target as write,
};
pub(crate) use crate::{
    MADV_DONTNEED, MADV_NOHUGEPAGE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE, PROT_READ,
    PROT_WRITE, PTHREAD_CREATE_DETACHED, SIG_BLOCK, SIG_SETMASK, SS_DISABLE,
};

/// For stacks that overflow, which only CPUs with atomic 64-bit words tell of.
#[cfg(target_has_atomic = "64")]
pub(crate) use crate::{
    SA_NODEFER, SA_ONSTACK, SA_SIGINFO, SIG_DFL, SIG_IGN, SIG_UNBLOCK, SIGBUS, SIGSEGV,
    abi::SigAction,
    raw::{raise::target as raise, sigaction::target as sigaction},
};

pub(crate) const EAGAIN: c_int = crate::Errno::EAGAIN.0;
pub(crate) const ENOMEM: c_int = crate::Errno::ENOMEM.0;
pub(crate) const EFAULT: c_int = crate::Errno::EFAULT.0;
pub(crate) const EINVAL: c_int = crate::Errno::EINVAL.0;
pub(crate) const EPERM: c_int = crate::Errno::EPERM.0;

/// Linux 6.13.
pub(crate) const MADV_GUARD_INSTALL: c_int = 102;

pub(crate) const AT_PAGESZ: c_ulong = 6;
pub(crate) const AT_MINSIGSTKSZ: c_ulong = 51;

pub(crate) const SA_RESETHAND: c_int = i32::MIN;

pub(crate) const FUTEX_WAIT_PRIVATE: c_long = 128;
pub(crate) const FUTEX_WAKE_PRIVATE: c_long = 129;

// What Linux numbers differently on each CPU.
cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        pub(crate) const SYS_GETTID: c_long = 186;
        pub(crate) const SYS_FUTEX: c_long = 202;
        pub(crate) const SYS_RT_SIGPROCMASK: c_long = 14;
    } else if #[cfg(any(target_arch = "x86", target_arch = "arm"))] {
        pub(crate) const SYS_GETTID: c_long = 224;
        pub(crate) const SYS_FUTEX: c_long = 240;
        pub(crate) const SYS_RT_SIGPROCMASK: c_long = 175;
    } else if #[cfg(target_arch = "aarch64")] {
        pub(crate) const SYS_GETTID: c_long = 178;
        pub(crate) const SYS_FUTEX: c_long = 98;
        pub(crate) const SYS_RT_SIGPROCMASK: c_long = 135;
    } else if #[cfg(target_arch = "powerpc64")] {
        pub(crate) const SYS_GETTID: c_long = 207;
        pub(crate) const SYS_FUTEX: c_long = 221;
        pub(crate) const SYS_RT_SIGPROCMASK: c_long = 174;
    } else {
        pub(crate) const SYS_GETTID: c_long = 236;
        pub(crate) const SYS_FUTEX: c_long = 238;
        pub(crate) const SYS_RT_SIGPROCMASK: c_long = 175;
    }
}

/// The part of `siginfo_t` that says where a fault was, `bits/types/siginfo_t.h`.
#[repr(C)]
pub(crate) struct Siginfo {
    pub signal: c_int,
    pub errno: c_int,
    /// Greater than 0 where the kernel found the fault; otherwise somebody sent the signal.
    pub code: c_int,
    pub address: *mut c_void,
}

#[allow(clashing_extern_declarations, reason = "the table imports abort as if it returned")]
unsafe extern "C" {
    #[cfg_attr(feature = "libc-names", link_name = "libc___errno_location")]
    pub(crate) fn __errno_location() -> *mut c_int;
    #[cfg_attr(feature = "libc-names", link_name = "libc_abort")]
    pub(crate) fn abort() -> !;
    pub(crate) fn syscall(number: c_long, ...) -> c_long;
    pub(crate) fn getauxval(kind: c_ulong) -> c_ulong;
    pub(crate) fn pthread_key_delete(key: c_uint) -> c_int;
}

/// The number by which libc said why the last call of this thread failed.
pub(crate) fn errno() -> c_int {
    // SAFETY: this thread's.
    unsafe { *__errno_location() }
}
