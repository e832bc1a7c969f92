//! The engine's one task: it takes commands, lets each endpoint make the requests that it may, and puts outcomes into
//! the mailbox. Everything that it keeps is its own, so nothing here is locked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::address_policy::AddressPolicy;
use crate::client::Reply;
use crate::delivery::{Delivery, Exchange, Outcome, Postponement};
use crate::endpoint::Endpoint;
use crate::lanes::{LaneKey, Queued};
use crate::line::{Line, Load, Step};
use crate::mailbox::Mailbox;

/// What the owner asks for. There are never more than the deliveries that the engine holds, and a few.
#[derive(Debug)]
pub(crate) enum Command {
    Submit(Delivery),
    /// The owner has taken note that a delivery was given back.
    Seen {
        endpoint: String,
        lane: LaneKey,
    },
    Configure {
        endpoints: Vec<Endpoint>,
        policy: AddressPolicy,
    },
    Shutdown {
        grace: Duration,
    },
}

/// The scheduler's state.
pub(crate) struct Scheduler {
    lines: HashMap<String, Line>,
    policy: Arc<AddressPolicy>,
    requests: JoinSet<Reply>,
    /// The requests under way, by the task that makes them.
    loads: HashMap<Id, (String, Load)>,
    outcomes: Vec<Outcome>,
    mailbox: Arc<Mailbox>,
    hold_for: Duration,
    /// When to look again for deliveries that were held too long.
    next_sweep: Instant,
    /// Since a shutdown was asked for: when requests under way are given up.
    ends_at: Option<Instant>,
}

/// What the scheduler waited for.
enum Happening {
    Command(Option<Command>),
    Reply(Result<(Id, Reply), JoinError>),
    Time,
}

impl Scheduler {
    pub(crate) fn new(mailbox: Arc<Mailbox>, hold_for: Duration) -> Self {
        Self {
            lines: HashMap::new(),
            policy: Arc::default(),
            requests: JoinSet::new(),
            loads: HashMap::new(),
            outcomes: Vec::new(),
            mailbox,
            hold_for,
            next_sweep: Instant::now() + hold_for,
            ends_at: None,
        }
    }

    /// Works until a shutdown was asked for, or the owner is gone.
    pub(crate) async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            let wait = self.dispatch(Instant::now());
            self.publish();
            if self.ends_at.is_some_and(|end| self.loads.is_empty() || end <= Instant::now()) {
                return self.abandon_requests();
            }
            match self.happening(&mut commands, wait).await {
                Happening::Command(command) => self.obey_all(command, &mut commands),
                Happening::Reply(reply) => self.take_reply(reply),
                Happening::Time => {}
            }
        }
    }

    async fn happening(&mut self, commands: &mut UnboundedReceiver<Command>, wait: Instant) -> Happening {
        tokio::select! {
            command = commands.recv(), if self.ends_at.is_none() => Happening::Command(command),
            Some(reply) = self.requests.join_next_with_id() => Happening::Reply(reply),
            () = sleep_until(wait.into()) => Happening::Time,
        }
    }

    /// Obeys a command and those that wait behind it, so that batches find what was submitted together.
    fn obey_all(&mut self, first: Option<Command>, commands: &mut UnboundedReceiver<Command>) {
        // No owner, no one to tell: requests under way are given up.
        let mut next = Some(first.unwrap_or(Command::Shutdown { grace: Duration::ZERO }));
        while let Some(command) = next {
            self.obey(command);
            next = commands.try_recv().ok();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit(delivery) => self.submit(delivery),
            Command::Seen { endpoint, lane } => {
                if let Some(line) = self.lines.get_mut(&endpoint) {
                    line.seen(&lane);
                }
            }
            Command::Configure { endpoints, policy } => self.configure(endpoints, policy),
            Command::Shutdown { grace } => self.shut_down(grace),
        }
    }

    fn submit(&mut self, delivery: Delivery) {
        let held_until = Instant::now() + self.hold_for;
        let id = delivery.id;
        let outcome = match self.lines.get_mut(&delivery.endpoint) {
            Some(line) => line.submit(Queued { delivery, held_until, batch_limit: usize::MAX }),
            None => Some(Outcome::postponed(id, Duration::ZERO, Postponement::EndpointRemoved)),
        };
        self.outcomes.extend(outcome);
    }

    fn configure(&mut self, endpoints: Vec<Endpoint>, policy: AddressPolicy) {
        let now = Instant::now();
        let policy_changed = *self.policy != policy;
        if policy_changed {
            self.policy = Arc::new(policy);
        }
        let endpoints: HashMap<String, Endpoint> =
            endpoints.into_iter().map(|endpoint| (endpoint.name().to_owned(), endpoint)).collect();
        for (name, line) in &mut self.lines {
            if !endpoints.contains_key(name) {
                self.outcomes.extend(line.remove());
            }
        }
        for (name, endpoint) in endpoints {
            match self.lines.get_mut(&name) {
                Some(line) if line.describes(&endpoint) && !policy_changed => {}
                Some(line) => line.replace(Arc::new(endpoint), Arc::clone(&self.policy), now),
                None => {
                    let line = Line::new(Arc::new(endpoint), Arc::clone(&self.policy), now);
                    self.lines.insert(name, line);
                }
            }
        }
    }

    fn shut_down(&mut self, grace: Duration) {
        self.ends_at = Some(Instant::now() + grace);
        for line in self.lines.values_mut() {
            self.outcomes.extend(line.give_back_all(Duration::ZERO, Postponement::ShuttingDown));
        }
    }

    /// Makes the requests that may be made, and returns when to look again.
    fn dispatch(&mut self, now: Instant) -> Instant {
        let sweep = now >= self.next_sweep;
        if sweep {
            self.next_sweep = now + self.hold_for / 8;
        }
        let mut wait = self.next_sweep;
        for (name, line) in &mut self.lines {
            if sweep {
                self.outcomes.extend(line.give_back_expired(now));
            }
            loop {
                match line.step(now, &mut self.outcomes) {
                    Step::Rest => break,
                    Step::Wait(time) => {
                        wait = wait.min(now + time);
                        break;
                    }
                    Step::Send(load) => {
                        let client = line.client().clone();
                        let request = client.request(load.items.iter().map(|queued| &queued.delivery));
                        let task = self.requests.spawn(client.send(request, load.items.len()));
                        self.loads.insert(task.id(), (name.clone(), load));
                    }
                }
            }
        }
        self.lines.retain(|_, line| !line.is_over());
        self.ends_at.map_or(wait, |end| wait.min(end))
    }

    fn take_reply(&mut self, reply: Result<(Id, Reply), JoinError>) {
        let (id, reply) = match reply {
            Ok((id, reply)) => (id, Some(reply)),
            Err(error) => (error.id(), None),
        };
        let Some((name, load)) = self.loads.remove(&id) else { return };
        let Some(line) = self.lines.get_mut(&name) else { return };
        let reply = reply.unwrap_or_else(|| failed_inside(load.items.len()));
        self.outcomes.extend(line.finish(load, &reply, Instant::now()));
        if self.ends_at.is_some() {
            // A refused batch may have been split; its parts will not be sent.
            self.outcomes.extend(line.give_back_all(Duration::ZERO, Postponement::ShuttingDown));
        }
    }

    /// Gives up the requests under way.
    fn abandon_requests(mut self) {
        for (name, load) in self.loads.drain().map(|(_, request)| request) {
            if let Some(line) = self.lines.get_mut(&name) {
                self.outcomes.extend(line.abandon(load, Postponement::Interrupted));
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let now = Instant::now();
        let statuses = self.lines.values().map(|line| line.status(now)).collect();
        self.mailbox.put(&mut self.outcomes, statuses);
    }
}

/// The reply of a request whose task panicked. It counts as an attempt, or one that always panics would never end.
fn failed_inside(items: usize) -> Reply {
    let exchange = Exchange { status: None, latency: Duration::ZERO, excerpt: String::new(), items };
    let failure = "the request failed inside the delivery engine; this is a defect of the engine".to_owned();
    Reply { exchange, retry_after: None, failure: Some(failure) }
}
