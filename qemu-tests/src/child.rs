//! What happens in a child process, seen from its parent: for cases that end the program and must say more than
//! one thing.

use core::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;

/// How a child ended.
#[derive(Debug)]
pub struct Ending {
    /// The signal that it died by.
    pub signal: Option<c_int>,
    /// The code that it exited with.
    pub code: Option<c_int>,
    /// What it wrote to standard error.
    pub errors: String,
}

/// Runs `f` in a child process, which exits with the code that it returns.
pub fn in_child(f: impl FnOnce() -> c_int) -> Ending {
    let mut ends = [0; 2];
    // SAFETY: the child has one thread, the copy of this one, and ends here.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        match libc::fork() {
            0 => {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::setrlimit(libc::RLIMIT_CORE, &none);
                libc::dup2(ends[1], 2);
                libc::_exit(f())
            }
            child => {
                assert!(child > 0, "fork");
                libc::close(ends[1]);
                let mut errors = Vec::new();
                File::from_raw_fd(ends[0]).read_to_end(&mut errors).expect("a pipe");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                Ending {
                    signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
                    code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
                    errors: String::from_utf8_lossy(&errors).into_owned(),
                }
            }
        }
    }
}
