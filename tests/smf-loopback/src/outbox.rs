//! The way out of one connection: frames are appended by anyone, one thread writes them to the socket.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// With so many bytes waiting a connection gets no further messages until its client has read some.
/// Enough for a thousand messages of the usual size; what bounds the memory of a connection.
const FULL_BYTES: usize = 1024 * 1024;

/// Bytes on their way to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    stream: TcpStream,
    queue: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    phase: Phase,
    /// Somebody had something to send and found the outbox full.
    stalled: bool,
    writer_waits: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is in is still sent, nothing more is taken.
    Finishing,
    Closed,
}

/// What the writer thread finds when it comes back for more.
pub(crate) enum Drained {
    /// Written; somebody waits to send more.
    WantsMore,
    /// Written; nobody waits.
    Idle,
    /// The end.
    Closed,
}

impl Outbox {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let pending = Pending { bytes: Vec::new(), phase: Phase::Open, stalled: false, writer_waits: false };
        Self { stream, queue: Mutex::new(pending), changed: Condvar::new() }
    }

    /// Appends frames. They go out after the next [`flush`](Self::flush).
    pub(crate) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.pending();
        if pending.phase == Phase::Open {
            write(&mut pending.bytes);
        }
    }

    /// Wakes the writer if there is something to send.
    pub(crate) fn flush(&self) {
        let mut pending = self.pending();
        if pending.writer_waits && !pending.bytes.is_empty() {
            pending.writer_waits = false;
            self.changed.notify_all();
        }
    }

    /// Whether messages have to wait. If so, the writer reports [`Drained::WantsMore`] when there is
    /// room again.
    pub(crate) fn is_full(&self) -> bool {
        let mut pending = self.pending();
        let full = pending.bytes.len() >= FULL_BYTES;
        pending.stalled |= full;
        full
    }

    /// Waits until the outbox is not full, or closed. A client that does not read is not read from.
    pub(crate) fn wait_for_room(&self) {
        let mut pending = self.pending();
        while pending.bytes.len() >= FULL_BYTES && pending.phase == Phase::Open {
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends what is in, then closes the connection.
    pub(crate) fn finish(&self) {
        self.end(Phase::Finishing);
    }

    /// Closes the connection at once; what was not sent is lost.
    pub(crate) fn close(&self) {
        self.pending().bytes.clear();
        self.end(Phase::Closed);
        // A socket that the client closed already needs no shutdown.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn end(&self, phase: Phase) {
        let mut pending = self.pending();
        if pending.phase != Phase::Closed {
            pending.phase = phase;
        }
        self.changed.notify_all();
    }

    /// Waits for bytes and writes them. `batch` is a buffer to use again and again.
    pub(crate) fn write_next(&self, batch: &mut Vec<u8>) -> io::Result<Drained> {
        batch.clear();
        let mut pending = self.pending();
        while pending.bytes.is_empty() && pending.phase == Phase::Open {
            pending.writer_waits = true;
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.writer_waits = false;
        if pending.bytes.is_empty() {
            return Ok(Drained::Closed);
        }
        std::mem::swap(batch, &mut pending.bytes);
        let stalled = std::mem::take(&mut pending.stalled);
        if batch.len() >= FULL_BYTES {
            self.changed.notify_all();
        }
        drop(pending);
        (&self.stream).write_all(batch)?;
        Ok(if stalled { Drained::WantsMore } else { Drained::Idle })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
