//! The wish to end, seen by every task.

use tokio::sync::watch;

/// Makes the wish known. Dropping it counts as a wish, too.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<bool>,
}

/// Learns of the wish; clones learn of the same one.
#[derive(Debug, Clone)]
pub struct Shutdown {
    receiver: watch::Receiver<bool>,
}

/// A trigger and what it triggers.
pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger { sender }, Shutdown { receiver })
}

impl ShutdownTrigger {
    /// Asks everything to end.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }
}

impl Shutdown {
    /// Waits for the wish. Safe to cancel.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which is a wish as well.
        let _ = self.receiver.wait_for(|requested| *requested).await;
    }

    /// Whether the wish is known already.
    pub(crate) fn is_requested(&self) -> bool {
        *self.receiver.borrow()
    }

    /// Waits for `future`, but no longer than until the wish; `None` then.
    pub(crate) async fn cancels<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            output = future => Some(output),
        }
    }
}
