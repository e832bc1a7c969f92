//! The handle by which its owner, one thread that may do things the engine's threads may not, uses the engine.

use std::collections::{HashMap, HashSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::address_policy::AddressPolicy;
use crate::delivery::{Delivery, Outcome, Postponement};
use crate::endpoint::{Endpoint, LONGEST_TIME};
use crate::lanes::LaneKey;
use crate::mailbox::Mailbox;
use crate::quiet_thread::spawn_without_signals;
use crate::scheduler::{Command, Scheduler};
use crate::status::EndpointStatus;

/// Most threads that resolve host names. The system's resolver blocks a thread for as long as a name server does not
/// answer, and the names of one endpoint must not wait for those of another. They are started when needed and end
/// when idle.
const RESOLVER_THREADS: usize = 64;
/// A shorter hold would make the engine look for what was held too long all the time.
const SHORTEST_HOLD: Duration = Duration::from_millis(100);

/// Bounds of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Most deliveries that it holds: from their submission until their outcome is fetched.
    pub max_deliveries: usize,
    /// Most bytes of documents that it holds. One that is larger is held alone.
    pub max_bytes: usize,
    /// Longest time that a delivery waits for its turn, within an eighth. Then it is given back. At least 100 ms.
    pub hold_for: Duration,
}

impl Default for EngineOptions {
    /// 1,000 deliveries, 64 MiB, 20 s.
    fn default() -> Self {
        Self { max_deliveries: 1000, max_bytes: 64 << 20, hold_for: Duration::from_secs(20) }
    }
}

/// The engine did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the delivery engine")]
pub struct StartError(#[from] io::Error);

/// A delivery was not taken. The engine knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The engine holds as much as it may; fetch outcomes and try again.
    #[error("the delivery engine is full")]
    Full,
    /// It holds a delivery of this number already.
    #[error("the delivery engine holds a delivery of this number already")]
    Duplicate,
    /// No endpoint of this name is configured.
    #[error("the delivery engine knows no endpoint of this name")]
    UnknownEndpoint,
    /// The engine has failed. Start another.
    #[error("the delivery engine has failed")]
    EngineFailed,
}

/// What the owner's side knows of a delivery in the engine.
#[derive(Debug)]
struct Held {
    endpoint: String,
    lane: LaneKey,
    bytes: usize,
}

/// A running engine. Every delivery that it takes gets exactly one outcome. Dropping it gives up what is under way.
pub struct Engine {
    options: EngineOptions,
    commands: UnboundedSender<Command>,
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
    endpoints: HashSet<String>,
    longest_timeout: Duration,
    held: HashMap<i64, Held>,
    held_bytes: usize,
}

impl Engine {
    /// Starts the engine's thread, with all signals blocked in it. It has no endpoint yet.
    ///
    /// `wakeup` is called on that thread when there are outcomes to fetch, and when the engine ends. It must be quick,
    /// and safe to call from another thread than the owner's; see [`WakeupFd`](crate::WakeupFd).
    ///
    /// # Errors
    /// If the system gives no thread or no file descriptors.
    pub fn start(
        options: EngineOptions,
        wakeup: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let options =
            EngineOptions { hold_for: options.hold_for.clamp(SHORTEST_HOLD, LONGEST_TIME), ..options };
        let mailbox = Arc::new(Mailbox::new(Box::new(wakeup)));
        let (commands, inbound) = unbounded_channel();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVER_THREADS)
            .thread_name("cdc-push-names")
            .build()?;
        let scheduler = Scheduler::new(Arc::clone(&mailbox), options.hold_for);
        let theirs = Arc::clone(&mailbox);
        let thread = spawn_without_signals("cdc-push", move || work(runtime, scheduler, inbound, &theirs))?;
        Ok(Self {
            options,
            commands,
            mailbox,
            thread: Some(thread),
            endpoints: HashSet::new(),
            longest_timeout: Duration::ZERO,
            held: HashMap::new(),
            held_bytes: 0,
        })
    }

    /// Sets all endpoints, in place of those before; of two with one name the last counts. One that is described as
    /// before stays as it is. One that is described anew, and every one if the policy changes, gets new connections and
    /// a closed breaker. What waits for one that is left out is given back.
    pub fn configure(&mut self, endpoints: Vec<Endpoint>, policy: AddressPolicy) {
        self.endpoints = endpoints.iter().map(|endpoint| endpoint.name().to_owned()).collect();
        let timeouts = endpoints.iter().map(|endpoint| endpoint.options().timeout);
        // Requests of before may still be under way.
        self.longest_timeout = timeouts.fold(self.longest_timeout, Duration::max);
        self.command(Command::Configure { endpoints, policy });
    }

    /// Takes a delivery. Its outcome comes later.
    ///
    /// # Errors
    /// If the engine is full or has failed, holds this number already, or has no such endpoint.
    pub fn submit(&mut self, delivery: Delivery) -> Result<(), SubmitError> {
        let bytes = delivery.body.len();
        let too_many = self.room() == 0;
        let too_large = !self.held.is_empty() && self.held_bytes + bytes > self.options.max_bytes;
        if too_many || too_large {
            return Err(SubmitError::Full);
        }
        if !self.endpoints.contains(&delivery.endpoint) {
            return Err(SubmitError::UnknownEndpoint);
        }
        if self.held.contains_key(&delivery.id) {
            return Err(SubmitError::Duplicate);
        }
        let (id, lane) = (delivery.id, LaneKey::of(&delivery));
        let held = Held { endpoint: delivery.endpoint.clone(), lane, bytes };
        self.commands.send(Command::Submit(delivery)).map_err(|_| SubmitError::EngineFailed)?;
        self.held.insert(id, held);
        self.held_bytes += bytes;
        Ok(())
    }

    /// Deliveries that may still be submitted; fewer if they are large.
    pub fn room(&self) -> usize {
        self.options.max_deliveries.saturating_sub(self.held.len())
    }

    /// Deliveries that it holds: submitted, and their outcome not fetched.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Longest time from the submission of a delivery to its outcome, with the endpoints configured so far. A lease on
    /// what is submitted must be longer.
    pub fn longest_stay(&self) -> Duration {
        self.options.hold_for + self.options.hold_for / 8 + self.longest_timeout
    }

    /// Fetches the outcomes there are; does not wait. If the engine has failed, everything that it held comes back as
    /// [`Postponement::EngineFailed`].
    ///
    /// A delivery of a key that comes back for another attempt, or postponed, stands before later ones of its key. The
    /// engine keeps those that it holds, or that are submitted before this call, from overtaking it; after this call
    /// the owner must see to it.
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        let (mut outcomes, ended) = self.mailbox.take();
        for outcome in &outcomes {
            let Some(held) = self.held.remove(&outcome.id) else { continue };
            self.held_bytes -= held.bytes;
            if !outcome.fate.is_final() {
                self.command(Command::Seen { endpoint: held.endpoint, lane: held.lane });
            }
        }
        if ended {
            self.held_bytes = 0;
            let failed = |id| Outcome::postponed(id, Duration::ZERO, Postponement::EngineFailed);
            outcomes.extend(self.held.drain().map(|(id, _)| failed(id)));
        }
        outcomes
    }

    /// The endpoints as they are now, in the order of their names. It is never behind the outcomes fetched.
    pub fn statuses(&self) -> Vec<EndpointStatus> {
        let mut statuses = self.mailbox.statuses();
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        statuses
    }

    /// Whether the engine works. It ends early only by a defect, of its own or of the wakeup.
    pub fn is_running(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Ends the engine. What has not been sent is given back at once; what is under way may take `grace` to be
    /// answered. Returns the outcomes of everything that it held.
    pub fn shutdown(mut self, grace: Duration) -> Vec<Outcome> {
        self.end(grace);
        self.outcomes()
    }

    fn end(&mut self, grace: Duration) {
        self.command(Command::Shutdown { grace: grace.min(LONGEST_TIME) });
        if let Some(thread) = self.thread.take() {
            // Its panics were caught inside; there is nothing to learn from the result.
            let _ = thread.join();
        }
    }

    /// A failed engine does not listen; [`outcomes`](Self::outcomes) tells the owner.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).field("held", &self.held.len()).finish()
    }
}

/// The life of the engine's thread. Panics end here.
fn work(runtime: Runtime, scheduler: Scheduler, commands: UnboundedReceiver<Command>, mailbox: &Mailbox) {
    let _ = catch_unwind(AssertUnwindSafe(|| runtime.block_on(scheduler.run(commands))));
    // A resolver that hangs must not keep the owner waiting.
    runtime.shutdown_background();
    let _ = catch_unwind(AssertUnwindSafe(|| mailbox.close()));
}
