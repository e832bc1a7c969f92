//! Signals that ask the demonstration to stop.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a terminal, a shell or a service manager sends.
///
/// One wish to stop may come as several signals: a script passes on what its whole process group got as well. So only
/// Ctrl-C says more when it comes again.
#[derive(Debug)]
pub(crate) struct StopRequests {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopRequests {
    /// Listens from now on; the signals no longer end the process.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the first of the signals. Safe to cancel.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            _ = self.hangup.recv() => (),
        }
    }

    /// Waits for a further Ctrl-C. Safe to cancel.
    pub(crate) async fn insisted(&mut self) {
        self.interrupt.recv().await;
    }
}
