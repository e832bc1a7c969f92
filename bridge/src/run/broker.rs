//! A worker's side to the broker: one session, and its flows one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::valve::HELD_LIMITS;
use crate::config::{Config, Provisioning};
use crate::solace::{self, Flow, FlowOptions, FlowStart, Library, Session, SessionEvent};

/// How long an orderly disconnect is waited for. The library takes 20 s over it when a bind met a lost connection; by
/// then all acks are sent, with the flow's unbinding.
const DISCONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Makes flows, and sessions when there is none.
///
/// Calls of the library that wait for the broker run on threads for blocking work.
pub(super) struct Broker {
    library: Library,
    config: Arc<Config>,
    queue: String,
    session: Option<WatchedSession>,
}

/// A session and whether it is down for good.
struct WatchedSession {
    session: Session,
    down: watch::Receiver<Option<String>>,
}

impl Broker {
    pub(super) fn new(library: Library, config: Arc<Config>, queue: &str) -> Self {
        Self { library, config, queue: queue.to_owned(), session: None }
    }

    /// Binds a new flow to the queue, after connecting and provisioning if there is no living session. One attempt.
    pub(super) async fn bind(&mut self) -> Result<Flow, solace::Error> {
        if self.session.as_ref().is_some_and(|watched| watched.down.borrow().is_some()) {
            self.disconnect().await;
        }
        if self.session.is_none() {
            self.session = Some(self.connect().await?);
        }
        let session = self.session.as_ref().map(|watched| watched.session.clone());
        let options =
            FlowOptions { queue: self.queue.clone(), start: FlowStart::Started, limits: HELD_LIMITS };
        match session {
            Some(session) => blocking(move || session.bind(&options)).await,
            None => unreachable!("connected above"),
        }
    }

    /// Waits until the session is down for good; for ever if there is none. Says why. Safe to cancel.
    pub(super) async fn session_down(&mut self) -> String {
        if let Some(watched) = &mut self.session
            && let Ok(reason) = watched.down.wait_for(Option::is_some).await
        {
            return reason.clone().unwrap_or_default();
        }
        std::future::pending().await
    }

    /// Unbinds, which sends pending acks.
    pub(super) async fn unbind(&self, flow: Flow) {
        blocking(move || drop(flow)).await;
    }

    /// Ends the session, if there is one. What takes long goes on in a thread that nothing waits for.
    pub(super) async fn disconnect(&mut self) {
        let Some(watched) = self.session.take() else { return };
        let (ended, end) = oneshot::channel::<()>();
        let disconnect = move || {
            drop(watched);
            drop(ended);
        };
        // Where no thread can be had the session is dropped here, with what was to run.
        let thread = std::thread::Builder::new().name("disconnect".to_owned()).spawn(disconnect);
        if thread.is_ok() && timeout(DISCONNECT_PATIENCE, end).await.is_err() {
            tracing::debug!(queue = self.queue, "the session takes long to end; not waiting for it");
        }
    }

    async fn connect(&self) -> Result<WatchedSession, solace::Error> {
        let library = self.library;
        let config = Arc::clone(&self.config);
        let queue = self.queue.clone();
        blocking(move || {
            let (down_sender, down) = watch::channel(None);
            let log_queue = queue.clone();
            let session = Session::connect(library, &config.solace.session, move |event| match event {
                SessionEvent::Reconnecting { text } => {
                    tracing::warn!(
                        queue = log_queue,
                        reason = text,
                        "connection to the broker lost; reconnecting"
                    );
                }
                SessionEvent::Reconnected => tracing::info!(queue = log_queue, "reconnected to the broker"),
                SessionEvent::Down { text } => {
                    down_sender.send_replace(Some(text));
                }
                _ => (),
            })?;
            provision(&session, &queue, &config.solace.provisioning)?;
            Ok(WatchedSession { session, down })
        })
        .await
    }
}

/// Creates the queue and its subscriptions, as far as that is wanted.
fn provision(session: &Session, queue: &str, provisioning: &Provisioning) -> Result<(), solace::Error> {
    let Provisioning::Queues { subscriptions } = provisioning else { return Ok(()) };
    session.create_queue(queue)?;
    subscriptions.iter().try_for_each(|topic| session.subscribe_queue(queue, topic))
}

/// Runs what waits on a thread where that does no harm.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, which ends this task, too.
        Err(_) => std::future::pending().await,
    }
}
