//! A wakeup that a thread can wait for beside other things.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

/// A file descriptor that becomes readable when the engine has something to fetch. A PostgreSQL background worker waits
/// for it and its latch together, with `WaitLatchOrSocket`: so nothing of PostgreSQL is called on the engine's thread.
#[derive(Debug)]
pub struct WakeupFd {
    receiver: UnixStream,
}

impl WakeupFd {
    /// The descriptor, and the wakeup for [`Engine::start`](crate::Engine::start).
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new() -> io::Result<(Self, impl Fn() + Send + Sync + 'static)> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let wakeup = move || {
            // If the buffer is full, the receiver is readable as it is; if it is gone, nobody waits.
            let _ = (&sender).write(&[0]);
        };
        Ok((Self { receiver }, wakeup))
    }

    /// Makes it unreadable until the next wakeup. To miss nothing, call it before fetching outcomes.
    pub fn clear(&self) {
        let mut buffer = [0; 256];
        while matches!((&self.receiver).read(&mut buffer), Ok(bytes) if bytes == buffer.len()) {}
    }
}

impl AsFd for WakeupFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl AsRawFd for WakeupFd {
    fn as_raw_fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(fd: &WakeupFd) -> bool {
        (&fd.receiver).read(&mut [0]).is_ok()
    }

    #[test]
    fn it_is_readable_from_a_wakeup_until_it_is_cleared() {
        let (fd, wakeup) = WakeupFd::new().unwrap();
        assert!(!is_readable(&fd));
        wakeup();
        wakeup();
        assert!(is_readable(&fd));
        fd.clear();
        assert!(!is_readable(&fd));
    }

    #[test]
    fn any_number_of_wakeups_is_cleared_at_once() {
        let (fd, wakeup) = WakeupFd::new().unwrap();
        for _ in 0..100_000 {
            wakeup();
        }
        fd.clear();
        assert!(!is_readable(&fd));
        drop(fd);
        wakeup();
    }
}
