//! A TCP connection that can be broken while a request is answered.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What no client can take for an answer, with TLS or without.
const GARBAGE: &[u8] = b"\x00\xffthis is not the answer you are looking for\r\n\r\n";

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// It carries garbage, and is closed.
    Garbage,
}

/// One connection, as a handler of requests sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection(Arc<Mutex<Option<Break>>>);

impl Connection {
    /// Breaks it at the next byte that would be written.
    pub(crate) fn break_by(&self, how: Break) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    fn broken(&self) -> Option<Break> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's TCP stream. TLS goes above it, so a break looks like one of the network.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Connection,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, connection: Connection) -> Self {
        Self { stream, connection }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.connection.broken() {
            None => return self.stream().poll_write(context, buffer),
            Some(Break::Close) => {}
            // The reset itself is sent when the stream is dropped.
            Some(Break::Reset) => self.stream.set_zero_linger()?,
            Some(Break::Garbage) => {
                ready!(self.as_mut().stream().poll_write(context, GARBAGE))?;
            }
        }
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.broken() == Some(Break::Reset) {
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(context)
    }
}
