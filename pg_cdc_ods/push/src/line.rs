//! One endpoint at work: what waits for it, what is on its way, and whether the next request may be made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address_policy::AddressPolicy;
use crate::breaker::{Admission, Breaker, Permit};
use crate::client::{EndpointClient, Reply};
use crate::delivery::{Exchange, Fate, Outcome, Postponement};
use crate::endpoint::Endpoint;
use crate::lanes::{LaneKey, Lanes, Queued};
use crate::pace::Pace;
use crate::status::EndpointStatus;
use crate::verdict::Verdict;

/// A request that is to be made, or under way.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) items: Vec<Queued>,
    permit: Permit,
    /// The breaker that gave the permit: a later one must not hear of it.
    generation: u64,
}

/// What an endpoint does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Make a request.
    Send(Load),
    /// Look again after this time.
    Wait(Duration),
    /// Nothing until something happens.
    Rest,
}

/// An endpoint, with everything that the engine keeps for it.
#[derive(Debug)]
pub(crate) struct Line {
    client: EndpointClient,
    breaker: Breaker,
    pace: Option<Pace>,
    lanes: Lanes,
    in_flight: usize,
    generation: u64,
    removed: bool,
}

impl Line {
    pub(crate) fn new(endpoint: Arc<Endpoint>, policy: Arc<AddressPolicy>, now: Instant) -> Self {
        let (breaker, pace) = fresh(&endpoint, now);
        let client = EndpointClient::new(endpoint, policy);
        Self { client, breaker, pace, lanes: Lanes::default(), in_flight: 0, generation: 0, removed: false }
    }

    pub(crate) fn client(&self) -> &EndpointClient {
        &self.client
    }

    /// Whether it is at work for an endpoint described like this.
    pub(crate) fn describes(&self, endpoint: &Endpoint) -> bool {
        !self.removed && **self.client.endpoint() == *endpoint
    }

    /// Takes a new description: with new connections, a new breaker and a new pace. What waits goes on waiting.
    pub(crate) fn replace(&mut self, endpoint: Arc<Endpoint>, policy: Arc<AddressPolicy>, now: Instant) {
        (self.breaker, self.pace) = fresh(&endpoint, now);
        self.client = EndpointClient::new(endpoint, policy);
        self.generation += 1;
        self.removed = false;
    }

    /// Gives back what waits. The line must stay until [`is_over`](Self::is_over).
    pub(crate) fn remove(&mut self) -> Vec<Outcome> {
        self.removed = true;
        self.give_back_all(Duration::ZERO, Postponement::EndpointRemoved)
    }

    /// Whether it is removed and nothing of it is left.
    pub(crate) fn is_over(&self) -> bool {
        self.removed && self.in_flight == 0 && self.lanes.is_empty()
    }

    /// Takes a delivery, or gives it back if it cannot be sent in its order.
    pub(crate) fn submit(&mut self, queued: Queued) -> Option<Outcome> {
        let lane = queued.lane();
        let reason = match (self.removed, self.lanes.is_blocked(&lane)) {
            (true, _) => Postponement::EndpointRemoved,
            (false, true) => Postponement::BehindEarlier,
            (false, false) => {
                self.lanes.push(queued);
                return None;
            }
        };
        self.lanes.give_back(&lane);
        Some(Outcome::postponed(queued.delivery.id, Duration::ZERO, reason))
    }

    /// The owner has taken note that a delivery of this lane was given back.
    pub(crate) fn seen(&mut self, lane: &LaneKey) {
        self.lanes.seen(lane);
    }

    /// The next request, if one may be made now. What cannot be sent for some time is given back.
    pub(crate) fn step(&mut self, now: Instant, outcomes: &mut Vec<Outcome>) -> Step {
        if self.lanes.waiting() == 0 {
            return Step::Rest;
        }
        let permit = match self.breaker.admission(now) {
            Admission::Go(permit) => permit,
            Admission::WaitForProbe => return Step::Rest,
            Admission::Open(time) => {
                outcomes.extend(self.give_back_all(time, Postponement::BreakerOpen));
                return Step::Rest;
            }
            Admission::Paused(time) => {
                outcomes.extend(self.give_back_all(time, Postponement::EndpointPaused));
                return Step::Rest;
            }
        };
        let options = self.client.endpoint().options();
        if self.in_flight >= options.concurrency.get() || !self.lanes.any_may_go() {
            return Step::Rest;
        }
        let wait = self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.wait(now));
        if !wait.is_zero() {
            return Step::Wait(wait);
        }
        let items = self.lanes.take(options.batch.as_ref());
        Step::Send(self.begin(items, permit, now))
    }

    fn begin(&mut self, items: Vec<Queued>, permit: Permit, now: Instant) -> Load {
        self.breaker.begun(permit);
        if let Some(pace) = &mut self.pace {
            pace.begun(now);
        }
        self.in_flight += 1;
        Load { items, permit, generation: self.generation }
    }

    /// A request has been answered, or failed.
    pub(crate) fn finish(&mut self, load: Load, reply: &Reply, now: Instant) -> Vec<Outcome> {
        self.in_flight -= 1;
        self.tell_breaker(&load, reply, now);
        let several = load.items.len() > 1;
        if several && reply.verdict() == Verdict::Never && reply.may_be_about_one() && !self.removed {
            self.split(load.items);
            return Vec::new();
        }
        let options = self.client.endpoint().options().clone();
        let attempt = |queued: &Queued| queued.delivery.attempt;
        let most_tried = load.items.iter().map(attempt).max().unwrap_or_default();
        let pause = reply.pause(most_tried, &options, &mut rand::rng());
        let fate = |queued: &Queued| reply.fate(attempt(queued), pause, &options);
        self.settle(&load.items, fate, Some(&reply.exchange))
    }

    /// A request was given up without an answer.
    pub(crate) fn abandon(&mut self, load: Load, reason: Postponement) -> Vec<Outcome> {
        self.in_flight -= 1;
        self.settle(&load.items, |_| Fate::Postponed { after: Duration::ZERO, reason }, None)
    }

    /// Gives back everything that waits.
    pub(crate) fn give_back_all(&mut self, after: Duration, reason: Postponement) -> Vec<Outcome> {
        self.lanes
            .drain()
            .iter()
            .map(|queued| Outcome::postponed(queued.delivery.id, after, reason))
            .collect()
    }

    /// Gives back what has waited too long.
    pub(crate) fn give_back_expired(&mut self, now: Instant) -> Vec<Outcome> {
        let expired = self.lanes.drain_expired(now);
        expired
            .iter()
            .map(|queued| Outcome::postponed(queued.delivery.id, Duration::ZERO, Postponement::HeldTooLong))
            .collect()
    }

    pub(crate) fn status(&self, now: Instant) -> EndpointStatus {
        EndpointStatus {
            name: self.client.endpoint().name().to_owned(),
            breaker: self.breaker.state(),
            failures_in_a_row: self.breaker.failures_in_a_row(),
            refuses_until: match self.breaker.admission(now) {
                Admission::Open(time) | Admission::Paused(time) => Some(now + time),
                Admission::Go(_) | Admission::WaitForProbe => None,
            },
            waiting: self.lanes.waiting(),
            in_flight: self.in_flight,
        }
    }

    fn tell_breaker(&mut self, load: &Load, reply: &Reply, now: Instant) {
        if load.generation != self.generation {
            return;
        }
        if reply.is_failure() {
            self.breaker.failed(load.permit, now);
        } else {
            self.breaker.answered(load.permit);
        }
        if reply.verdict() == Verdict::Later
            && let Some(pause) = reply.retry_after
        {
            self.breaker.pause(pause, now);
        }
    }

    /// Puts back the deliveries of a refused batch, to go in smaller ones.
    fn split(&mut self, mut items: Vec<Queued>) {
        let limit = items.len().div_ceil(2);
        for queued in &mut items {
            queued.batch_limit = queued.batch_limit.min(limit);
        }
        self.lanes.put_back(items);
    }

    /// The outcomes of the deliveries of a request that is over, and of those that must not overtake them.
    fn settle(
        &mut self,
        items: &[Queued],
        fate: impl Fn(&Queued) -> Fate,
        exchange: Option<&Exchange>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut behind = Vec::new();
        for queued in items {
            let fate = fate(queued);
            if fate.is_final() {
                self.lanes.finish(&queued.lane());
            } else {
                behind.extend(self.lanes.give_back(&queued.lane()));
            }
            outcomes.push(Outcome { id: queued.delivery.id, fate, exchange: exchange.cloned() });
        }
        let later = |queued: &Queued| {
            Outcome::postponed(queued.delivery.id, Duration::ZERO, Postponement::BehindEarlier)
        };
        outcomes.extend(behind.iter().map(later));
        outcomes
    }
}

fn fresh(endpoint: &Endpoint, now: Instant) -> (Breaker, Option<Pace>) {
    let options = endpoint.options();
    (Breaker::new(options.breaker), options.max_rate.map(|rate| Pace::new(rate, now)))
}
