//! Answers that wait for a test's word.

use tokio::sync::watch;

/// Holds answers back until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets all answers through that wait, or will come.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        // The sender is this gate itself, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
