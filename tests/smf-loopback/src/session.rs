//! One connection: a thread that reads frames and one that writes what the broker has for the client.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::broker::{Broker, SessionError};
use crate::ids::SessionId;
use crate::outbox::{Drained, Outbox};
use crate::wire::frame::FrameDecoder;

/// Most that is read at once: a publisher's whole window of usual messages, so that it is
/// acknowledged with one frame.
const READ_BYTES: usize = 64 * 1024;

/// How much larger than the largest message a frame may be before the connection ends. A message a
/// little too large is refused and the connection goes on.
const OVERSIZE_TOLERANCE_BYTES: usize = 1024 * 1024;

/// Serves a connection until either side ends it.
pub(crate) fn serve(broker: &Broker, stream: TcpStream, max_message_bytes: u32) {
    let outbox = match stream.try_clone() {
        Ok(clone) => Arc::new(Outbox::new(clone)),
        Err(error) => return tracing::warn!(%error, "cannot serve a connection"),
    };
    let id = broker.connect(outbox.clone());
    let mut decoder = FrameDecoder::new(max_message_bytes as usize + OVERSIZE_TOLERANCE_BYTES);
    thread::scope(|scope| {
        scope.spawn(|| write_all(broker, id, &outbox, &stream));
        match read_all(broker, id, &outbox, &stream, &mut decoder) {
            Ok(()) | Err(SessionError::Dropped | SessionError::Io(_)) => {
                tracing::debug!(session = id.0, "connection ended");
            }
            Err(error) => {
                tracing::warn!(session = id.0, error = &error as &dyn std::error::Error, "connection cut");
            }
        }
        broker.disconnect(id);
        outbox.finish();
    });
}

fn read_all(
    broker: &Broker,
    id: SessionId,
    outbox: &Outbox,
    mut stream: &TcpStream,
    decoder: &mut FrameDecoder,
) -> Result<(), SessionError> {
    let mut chunk = vec![0; READ_BYTES];
    let mut frames = Vec::new();
    loop {
        outbox.wait_for_room();
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        decoder.feed(&chunk[..count]);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
        if !frames.is_empty() {
            broker.handle(id, frames.drain(..))?;
        }
    }
}

fn write_all(broker: &Broker, id: SessionId, outbox: &Outbox, stream: &TcpStream) {
    let mut batch = Vec::new();
    loop {
        match outbox.write_next(&mut batch) {
            Ok(Drained::WantsMore) => broker.resume(id),
            Ok(Drained::Idle) => {}
            Ok(Drained::Closed) | Err(_) => break,
        }
    }
    outbox.close();
    // Ends the reader too. A socket that the client closed already needs no shutdown.
    let _ = stream.shutdown(Shutdown::Both);
}
