//! The deliveries that wait for one endpoint, in the order that each key asks for.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::batch::BatchOptions;
use crate::delivery::Delivery;

/// A delivery that waits for its turn.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) delivery: Delivery,
    /// When it is given back, if its turn has not come.
    pub(crate) held_until: Instant,
    /// Most deliveries in a request with it. It falls when an endpoint refuses a batch, until the one that it does not
    /// want stands alone.
    pub(crate) batch_limit: usize,
}

impl Queued {
    pub(crate) fn lane(&self) -> LaneKey {
        LaneKey::of(&self.delivery)
    }
}

/// Deliveries of one lane go one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LaneKey {
    /// All deliveries with this key.
    Keyed(String),
    /// The one delivery with this number, which has no key.
    Single(i64),
}

impl LaneKey {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        match &delivery.key {
            Some(key) => Self::Keyed(key.clone()),
            None => Self::Single(delivery.id),
        }
    }
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Queued>,
    /// A request with deliveries of this lane is under way.
    busy: bool,
    /// Deliveries given back that the engine's owner has not taken note of. Until then later ones, which the owner may
    /// submit unawares, must not overtake them.
    unseen: usize,
    /// It is in the queue of lanes whose turn it is.
    queued: bool,
}

impl Lane {
    fn may_go(&self) -> bool {
        !self.busy && self.unseen == 0 && !self.waiting.is_empty()
    }
}

/// All lanes of an endpoint. Lanes take turns, so that a key with much to send does not hold up the others.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    turns: VecDeque<LaneKey>,
    waiting: usize,
}

impl Lanes {
    /// Deliveries that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether an earlier delivery of the lane was given back, and its owner has not taken note.
    pub(crate) fn is_blocked(&self, key: &LaneKey) -> bool {
        self.lanes.get(key).is_some_and(|lane| lane.unseen > 0)
    }

    /// Adds a delivery at the end of its lane.
    pub(crate) fn push(&mut self, queued: Queued) {
        let key = queued.lane();
        self.lanes.entry(key.clone()).or_default().waiting.push_back(queued);
        self.waiting += 1;
        self.offer(&key);
    }

    /// Whether there is a delivery whose turn it is.
    pub(crate) fn any_may_go(&mut self) -> bool {
        while let Some(key) = self.turns.front() {
            if self.lanes.get(key).is_some_and(Lane::may_go) {
                return true;
            }
            self.skip_turn();
        }
        false
    }

    /// Takes what goes into the next request: one delivery, or as many as fit into a batch.
    pub(crate) fn take(&mut self, batch: Option<&BatchOptions>) -> Vec<Queued> {
        let mut filling = Filling::new(batch);
        while self.any_may_go() {
            let Some(key) = self.turns.front().cloned() else { break };
            let Some(lane) = self.lanes.get_mut(&key) else { break };
            let before = filling.items.len();
            while let Some(queued) = lane.waiting.pop_front_if(|next| filling.fits(next)) {
                filling.add(queued);
            }
            let taken = filling.items.len() - before;
            self.waiting -= taken;
            if taken == 0 {
                break;
            }
            lane.busy = true;
            self.skip_turn();
        }
        filling.items
    }

    /// Puts deliveries of a request that is over back where they came from.
    pub(crate) fn put_back(&mut self, items: Vec<Queued>) {
        for queued in items.into_iter().rev() {
            let key = queued.lane();
            let lane = self.lanes.entry(key.clone()).or_default();
            lane.busy = false;
            lane.waiting.push_front(queued);
            self.waiting += 1;
            self.offer(&key);
        }
    }

    /// The delivery of a request that is over has its final fate.
    pub(crate) fn finish(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.busy = false;
            self.settle(key);
        }
    }

    /// A delivery is given back. What waits behind it in its lane has to be given back, too: it is returned.
    pub(crate) fn give_back(&mut self, key: &LaneKey) -> Vec<Queued> {
        // A lane of one has nothing behind it, and nobody to overtake.
        if matches!(key, LaneKey::Single(_)) {
            self.finish(key);
            return Vec::new();
        }
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.busy = false;
        lane.unseen += 1;
        let behind: Vec<Queued> = lane.waiting.drain(..).collect();
        lane.unseen += behind.len();
        self.waiting -= behind.len();
        behind
    }

    /// The owner has taken note of a delivery that was given back.
    pub(crate) fn seen(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.unseen = lane.unseen.saturating_sub(1);
            self.settle(key);
        }
    }

    /// Takes out everything that waits, to be given back.
    pub(crate) fn drain(&mut self) -> Vec<Queued> {
        self.drain_lanes(|_| true)
    }

    /// Takes out the lanes whose first delivery has waited too long, to be given back.
    pub(crate) fn drain_expired(&mut self, now: Instant) -> Vec<Queued> {
        self.drain_lanes(|first| first.held_until <= now)
    }

    fn drain_lanes(&mut self, wanted: impl Fn(&Queued) -> bool) -> Vec<Queued> {
        let mut drained = Vec::new();
        for (key, lane) in &mut self.lanes {
            if lane.waiting.front().is_some_and(&wanted) {
                let keyed = matches!(key, LaneKey::Keyed(_));
                lane.unseen += if keyed { lane.waiting.len() } else { 0 };
                drained.extend(lane.waiting.drain(..));
                lane.queued = false;
            }
        }
        self.turns.retain(|key| self.lanes.get(key).is_some_and(|lane| lane.queued));
        self.lanes.retain(|_, lane| lane.busy || lane.unseen > 0 || !lane.waiting.is_empty());
        self.waiting -= drained.len();
        drained
    }

    /// Queues a lane for its turn, if it has something to send and may.
    fn offer(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.may_go()
            && !lane.queued
        {
            lane.queued = true;
            self.turns.push_back(key.clone());
        }
    }

    /// Offers a lane, or forgets it if there is nothing to remember.
    fn settle(&mut self, key: &LaneKey) {
        self.offer(key);
        if self.lanes.get(key).is_some_and(|lane| !lane.busy && lane.unseen == 0 && lane.waiting.is_empty()) {
            self.lanes.remove(key);
        }
    }

    fn skip_turn(&mut self) {
        if let Some(key) = self.turns.pop_front()
            && let Some(lane) = self.lanes.get_mut(&key)
        {
            lane.queued = false;
        }
    }
}

/// A request that is being filled.
struct Filling {
    items: Vec<Queued>,
    bytes: usize,
    most_items: usize,
    most_bytes: usize,
}

impl Filling {
    fn new(batch: Option<&BatchOptions>) -> Self {
        let (most_items, most_bytes) = batch.map_or((1, 0), |batch| (batch.max_items(), batch.max_bytes()));
        Self { items: Vec::new(), bytes: 0, most_items, most_bytes }
    }

    /// Whether this delivery may go with those that are in already. The first always may.
    fn fits(&self, next: &Queued) -> bool {
        let Some(first) = self.items.first() else { return true };
        let alone = !first.delivery.headers.is_empty() || !next.delivery.headers.is_empty();
        !alone
            && self.items.len() < self.most_items.min(next.batch_limit)
            && self.bytes + next.delivery.body.len() <= self.most_bytes
    }

    fn add(&mut self, queued: Queued) {
        self.most_items = self.most_items.min(queued.batch_limit);
        self.bytes += queued.delivery.body.len();
        self.items.push(queued);
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
