//! What the broker knows, and what each frame of a client changes in it.
//!
//! One lock guards all of it. A connection takes it once for all frames of one read, so that
//! acknowledgements and deliveries are made for the whole run and not for each message.

mod consuming;
mod login;
mod provisioning;
mod publishing;
mod subscriptions;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::faults::Faults;
use crate::ids::{FlowId, MessageIds, SessionId};
use crate::outbox::Outbox;
use crate::publisher_flow::PublisherFlow;
use crate::queue::{Lifetime, Queue};
use crate::stats::{QueueStats, Stats, WaitError};
use crate::topic::{Subscription, SubscriptionError};
use crate::wire::WireError;
use crate::wire::assured_ctrl::Request;
use crate::wire::frame::{Frame, FrameWriter, Header, Protocol};

/// A running broker. [`Broker::start`] makes one, the [`BrokerHandle`](crate::BrokerHandle) that it
/// returns steers it.
#[derive(Debug)]
pub struct Broker {
    state: Mutex<State>,
    changed: Condvar,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("reading or writing the connection failed")]
    Io(#[from] std::io::Error),
    #[error("the client sent what is not SMF")]
    Wire(#[from] WireError),
    #[error("the client did not log in first")]
    NotLoggedIn,
    #[error("the client published on flow {0}, which it has not opened")]
    UnknownPublisherFlow(u32),
    #[error("the broker dropped the connection")]
    Dropped,
}

impl Broker {
    pub(crate) fn new(config: &Config) -> Result<Self, SubscriptionError> {
        Ok(Self { state: Mutex::new(State::new(config)?), changed: Condvar::new() })
    }

    /// Registers a new connection.
    pub(crate) fn connect(&self, outbox: Arc<Outbox>) -> SessionId {
        self.change(|state| state.connect(outbox))
    }

    /// Forgets a connection: its flows end, what they had not acknowledged waits for others.
    pub(crate) fn disconnect(&self, id: SessionId) {
        self.change(|state| state.disconnect(id));
    }

    /// Handles the frames of one read, up to the first that is wrong.
    pub(crate) fn handle(
        &self,
        id: SessionId,
        mut frames: impl Iterator<Item = Frame>,
    ) -> Result<(), SessionError> {
        self.change(|state| {
            let result = frames.try_for_each(|frame| state.handle(id, frame));
            state.send_publish_acks(id);
            state.flush(id);
            result
        })
    }

    /// The client of a connection has read what was waiting for it: send more.
    pub(crate) fn resume(&self, id: SessionId) {
        self.change(|state| state.resume(id));
    }

    /// Changes the state, then sends what has become possible and wakes those who wait for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        state.dispatch();
        if state.waiters > 0 {
            self.changed.notify_all();
        }
        result
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.lock().stats()
    }

    /// Waits until `met` holds, and gives the counters that it was judged by. Tests wait with this
    /// instead of sleeping.
    ///
    /// # Errors
    /// If `met` does not hold within `timeout`.
    pub fn wait_until(&self, timeout: Duration, met: impl Fn(&Stats) -> bool) -> Result<Stats, WaitError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            let stats = state.stats();
            if met(&stats) {
                return Ok(stats);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError { timeout, stats: Box::new(stats) });
            }
            state.waiters += 1;
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state.waiters -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    /// Differs from start to start: flow names and group message ids of an earlier broker are not
    /// mistaken for those of this one.
    incarnation: u64,
    pub(crate) faults: Faults,
    sessions: HashMap<SessionId, Session>,
    queues: BTreeMap<Arc<str>, Queue>,
    /// By number of the flow: the oldest is first.
    publisher_flows: BTreeMap<u32, PublisherFlow>,
    message_ids: MessageIds,
    last_session: u64,
    last_flow: u32,
    totals: Totals,
    waiters: usize,
}

#[derive(Debug, Default)]
struct Totals {
    logins: u64,
    published: u64,
    publish_duplicates: u64,
    publishes_refused: u64,
    unrouted: u64,
    direct_received: u64,
    direct_discarded: u64,
}

/// One connection.
#[derive(Debug)]
struct Session {
    outbox: Arc<Outbox>,
    /// Known once the client is logged in.
    client_name: Option<Box<str>>,
    /// For direct messages.
    subscriptions: HashSet<Subscription>,
    publishers: HashMap<FlowId, Publisher>,
    /// Consumer flows and the queues they are bound to.
    consumers: HashMap<FlowId, Arc<str>>,
}

/// A publisher flow as one connection uses it.
#[derive(Debug, Clone, Copy)]
struct Publisher {
    /// Its number in [`State::publisher_flows`].
    number: u32,
    window: u8,
}

/// Which connections a fault strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clients<'a> {
    All,
    Named(&'a str),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// What the broker has said already still arrives.
    Flushed,
    /// At once.
    Abrupt,
}

impl State {
    fn new(config: &Config) -> Result<Self, SubscriptionError> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut queues = BTreeMap::new();
        for wanted in &config.queues {
            let name: Arc<str> = wanted.name.as_str().into();
            let mut queue = Queue::new(name.clone(), wanted.access, Lifetime::Durable);
            queue.quota = wanted.quota;
            for subscription in wanted.parsed_subscriptions()? {
                queue.subscribe(subscription);
            }
            queues.insert(name, queue);
        }
        Ok(Self {
            config: config.clone(),
            // The low 64 bits of the nanoseconds last for centuries.
            incarnation: since_epoch.as_nanos() as u64,
            faults: Faults::default(),
            sessions: HashMap::new(),
            queues,
            publisher_flows: BTreeMap::new(),
            message_ids: MessageIds::new(),
            last_session: 0,
            last_flow: 0,
            totals: Totals::default(),
            waiters: 0,
        })
    }

    fn connect(&mut self, outbox: Arc<Outbox>) -> SessionId {
        self.last_session += 1;
        let id = SessionId(self.last_session);
        let session = Session {
            outbox,
            client_name: None,
            subscriptions: HashSet::new(),
            publishers: HashMap::new(),
            consumers: HashMap::new(),
        };
        self.sessions.insert(id, session);
        id
    }

    fn disconnect(&mut self, id: SessionId) {
        if self.sessions.remove(&id).is_none() {
            return;
        }
        self.queues.retain(|_, queue| queue.lifetime != Lifetime::Temporary(id));
        for queue in self.queues.values_mut() {
            queue.unbind_session(id);
        }
    }

    /// Ends connections and says how many.
    pub(crate) fn drop_connections(&mut self, clients: Clients<'_>, ending: Ending) -> usize {
        let struck: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| match clients {
                Clients::All => true,
                Clients::Named(name) => session.client_name.as_deref() == Some(name),
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &struck {
            match ending {
                Ending::Flushed => self.sessions[id].outbox.finish(),
                Ending::Abrupt => self.sessions[id].outbox.close(),
            }
            self.disconnect(*id);
        }
        struck.len()
    }

    fn handle(&mut self, id: SessionId, frame: Frame) -> Result<(), SessionError> {
        let session = self.sessions.get(&id).ok_or(SessionError::Dropped)?;
        let protocol = frame.header().protocol;
        match protocol {
            Protocol::ClientCtrl => return self.login(id, &frame),
            Protocol::KeepAlive | Protocol::KeepAliveV2 => {
                self.answer_keep_alive(id, protocol);
                return Ok(());
            }
            _ if session.client_name.is_none() => return Err(SessionError::NotLoggedIn),
            _ => {}
        }
        match protocol {
            Protocol::TrMsg => self.publish(id, &frame),
            Protocol::AssuredCtrl => self.assured_ctrl(id, &frame),
            Protocol::Smp => self.change_subscription(id, &frame),
            other => {
                tracing::debug!(?other, "ignored a frame of an unknown protocol");
                Ok(())
            }
        }
    }

    fn assured_ctrl(&mut self, id: SessionId, frame: &Frame) -> Result<(), SessionError> {
        let tag = frame.tag();
        match Request::parse(frame.body())? {
            Request::OpenPublisherFlow { name, window } => self.open_publisher_flow(id, tag, name, window),
            Request::ClosePublisherFlow { flow } => self.close_publisher_flow(id, tag, FlowId(flow)),
            Request::Bind(bind) => self.bind(id, tag, &bind),
            Request::Unbind { flow } => self.unbind(id, tag, FlowId(flow)),
            Request::Ack { flow, received, window, ranges } => {
                self.acknowledge(id, FlowId(flow), received, window, &ranges);
            }
            Request::CreateEndpoint { endpoint, access, quota_mb, max_message_bytes } => {
                let wanted = provisioning::Wanted { access, quota_mb, max_message_bytes };
                self.create_endpoint(id, tag, endpoint, &wanted);
            }
            Request::DeleteEndpoint { endpoint } => self.delete_endpoint(id, tag, endpoint),
            Request::FlowChangeAnswer => {}
        }
        Ok(())
    }

    fn answer_keep_alive(&self, id: SessionId, protocol: Protocol) {
        if !self.faults.keep_alives_silenced {
            self.send(id, |out| FrameWriter::begin(out, Header::from_broker(protocol)).finish(|_| {}));
        }
    }

    /// Appends a frame for a client. It goes out at the end of the run.
    fn send(&self, id: SessionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(session) = self.sessions.get(&id) {
            session.outbox.push(write);
        }
    }

    fn flush(&self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id) {
            session.outbox.flush();
        }
    }

    fn next_flow_id(&mut self) -> FlowId {
        self.last_flow += 1;
        FlowId(self.last_flow)
    }

    fn resume(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        for name in session.consumers.values() {
            if let Some(queue) = self.queues.get_mut(name) {
                queue.retry_dispatch();
            }
        }
    }

    fn dispatch(&mut self) {
        for queue in self.queues.values_mut() {
            queue.dispatch_due(&mut self.message_ids);
        }
    }

    /// The queue of a name, for the hooks.
    pub(crate) fn queue_mut(&mut self, name: &str) -> Option<&mut Queue> {
        self.queues.get_mut(name)
    }

    fn stats(&self) -> Stats {
        let logged_in = self.sessions.values().filter(|session| session.client_name.is_some());
        let queues: BTreeMap<String, QueueStats> =
            self.queues.iter().map(|(name, queue)| (name.to_string(), queue.stats())).collect();
        Stats {
            connections: logged_in.count(),
            logins: self.totals.logins,
            published: self.totals.published,
            publish_duplicates: self.totals.publish_duplicates,
            publishes_refused: self.totals.publishes_refused,
            unrouted: self.totals.unrouted,
            direct_received: self.totals.direct_received,
            direct_discarded: self.totals.direct_discarded,
            queues,
        }
    }
}
