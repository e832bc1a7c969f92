//! What happens to messages between the source and the reader: extra broken ones, doubles, and a changed order.
//!
//! The simulated changes themselves are left as they are: every one is delivered, unbroken, at least once. The
//! delay of a message is counted in changes, not in time, and bounded, and so is the memory for those held back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::damage::Damage;
use super::simulator::Event;

/// A message out of order is overtaken by at most this many changes.
const NEAR_CHANGES: u64 = 8;

/// A late message or a far duplicate comes at most this many changes later.
const FAR_CHANGES: u64 = 5_000;

/// Share of duplicates that come far later; the others come near.
const FAR_DUPLICATES: f64 = 0.5;

/// The stream of randomness of this stage: the simulation has stream 0, so that faults do not change it.
const RNG_STREAM: u64 = 1;

/// How often each fault occurs, as a share of the changes, 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// An extra message that cannot be read.
    pub(crate) malformed: f64,
    /// The same message again, with the same application message id.
    pub(crate) duplicates: f64,
    /// A message that near neighbours overtake.
    pub(crate) out_of_order: f64,
    /// A message that comes much later.
    pub(crate) late: f64,
}

/// The stage that delivers the changes of a simulation, with faults.
#[derive(Debug)]
pub(crate) struct Delivery {
    faults: Faults,
    rng: ChaCha8Rng,
    /// Changes accepted so far.
    changes: u64,
    /// Messages accepted so far, to keep those due at once in order.
    messages: u64,
    held: BinaryHeap<Reverse<Held>>,
}

/// A message that waits until `due` changes have been accepted.
#[derive(Debug)]
struct Held {
    due: u64,
    number: u64,
    event: Event,
}

impl Delivery {
    /// A stage whose faults are drawn from `seed`.
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(RNG_STREAM);
        Self { faults, rng, changes: 0, messages: 0, held: BinaryHeap::new() }
    }

    /// Takes the next change.
    pub(crate) fn accept(&mut self, event: Event) {
        self.changes += 1;
        if self.rng.random_bool(self.faults.duplicates) {
            let far = self.rng.random_bool(FAR_DUPLICATES);
            let delay = self.rng.random_range(1..=if far { FAR_CHANGES } else { NEAR_CHANGES });
            self.hold(event.clone(), delay);
        }
        if self.rng.random_bool(self.faults.malformed) {
            let broken = Damage::pick(&mut self.rng).broken_copy(&event, &mut self.rng);
            self.hold(broken, 0);
        }
        let delay = self.delay();
        self.hold(event, delay);
    }

    /// The next message that is due, if any.
    pub(crate) fn next_due(&mut self) -> Option<Event> {
        (self.held.peek()?.0.due <= self.changes).then(|| self.next_held()).flatten()
    }

    /// The next message, due or not: for the end of a run.
    pub(crate) fn next_held(&mut self) -> Option<Event> {
        self.held.pop().map(|Reverse(held)| held.event)
    }

    /// Draws both faults each time, so that the share of one does not change the draws of the other.
    fn delay(&mut self) -> u64 {
        let late = self.rng.random_bool(self.faults.late);
        let out_of_order = self.rng.random_bool(self.faults.out_of_order);
        match (late, out_of_order) {
            (true, _) => self.rng.random_range(1..=FAR_CHANGES),
            (false, true) => self.rng.random_range(1..=NEAR_CHANGES),
            (false, false) => 0,
        }
    }

    fn hold(&mut self, event: Event, delay: u64) {
        self.messages += 1;
        self.held.push(Reverse(Held { due: self.changes + delay, number: self.messages, event }));
    }
}

impl Held {
    fn order(&self) -> (u64, u64) {
        (self.due, self.number)
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Held {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::generate::simulator::{Scenario, Simulator};
    use crate::generate::unix_micros::UnixMicros;

    const SEED: u64 = 11;
    const CHANGES: usize = 20_000;

    fn changes() -> Vec<Event> {
        println!("seed {SEED}");
        let scenario = Scenario { seed: SEED, schema: "S".into(), topic_prefix: "t".into(), drift: 0.0 };
        let mut simulator = Simulator::new(&scenario, UnixMicros(0));
        (0..CHANGES).map(|_| simulator.next(UnixMicros(0))).collect()
    }

    /// The delivered messages, each with the number of changes accepted when it came.
    fn delivered(faults: Faults) -> Vec<(usize, Event)> {
        let mut delivery = Delivery::new(faults, SEED);
        let mut delivered = Vec::new();
        for (number, event) in changes().into_iter().enumerate() {
            delivery.accept(event);
            delivered.extend(std::iter::from_fn(|| delivery.next_due()).map(|event| (number, event)));
        }
        delivered.extend(std::iter::from_fn(|| delivery.next_held()).map(|event| (CHANGES, event)));
        delivered
    }

    /// For each message the number of changes accepted since its own.
    fn delays(delivered: &[(usize, Event)]) -> Vec<usize> {
        let numbers: BTreeMap<_, _> =
            changes().into_iter().enumerate().map(|(number, event)| (event.message_id, number)).collect();
        delivered.iter().map(|(came, event)| came - numbers[&event.message_id]).collect()
    }

    fn share(count: usize) -> f64 {
        count as f64 / CHANGES as f64
    }

    #[test]
    fn without_faults_every_change_comes_at_once_and_in_order() {
        let delivered = delivered(Faults::default());
        assert!(delivered.iter().map(|(_, event)| event).eq(changes().iter()));
        assert!(delays(&delivered).iter().all(|&delay| delay == 0));
    }

    #[test]
    fn all_faults_together_keep_the_set_of_changes() {
        let faults = Faults { malformed: 0.05, duplicates: 0.1, out_of_order: 0.2, late: 0.05 };
        let mut good: Vec<Event> = delivered(faults)
            .into_iter()
            .map(|(_, event)| event)
            .filter(|event| !event.message_id.ends_with("-malformed"))
            .collect();
        good.sort_by_key(|event| event.message_id.parse::<u64>().unwrap());
        good.dedup();
        assert!(good == changes());
    }

    #[test]
    fn malformed_messages_are_extra() {
        let delivered = delivered(Faults { malformed: 0.1, ..Faults::default() });
        assert!((share(delivered.len() - CHANGES) - 0.1).abs() < 0.01, "{}", delivered.len());
    }

    #[test]
    fn duplicates_come_near_and_far_with_the_same_message_id() {
        let delivered = delivered(Faults { duplicates: 0.1, ..Faults::default() });
        assert!((share(delivered.len() - CHANGES) - 0.1).abs() < 0.01, "{}", delivered.len());
        let delays = delays(&delivered);
        assert!(delays.iter().any(|delay| (1..=NEAR_CHANGES as usize).contains(delay)));
        assert!(delays.iter().any(|delay| *delay > 1_000));
    }

    #[test]
    fn out_of_order_messages_are_overtaken_by_near_neighbours_only() {
        let delivered = delivered(Faults { out_of_order: 0.2, ..Faults::default() });
        let delays = delays(&delivered);
        let moved = delays.iter().filter(|delay| **delay > 0).count();
        assert_eq!(delivered.len(), CHANGES);
        assert!((share(moved) - 0.2).abs() < 0.02, "{moved}");
        assert!(delays.iter().all(|delay| *delay <= NEAR_CHANGES as usize));
    }

    #[test]
    fn late_messages_come_at_most_five_thousand_changes_later() {
        let delivered = delivered(Faults { late: 0.05, ..Faults::default() });
        let delays = delays(&delivered);
        assert_eq!(delivered.len(), CHANGES);
        assert!(delays.iter().any(|delay| *delay > 4_000));
        assert!(delays.iter().all(|delay| *delay <= FAR_CHANGES as usize));
    }

    #[test]
    fn the_same_seed_makes_the_same_faults() {
        let faults = Faults { malformed: 0.05, duplicates: 0.1, out_of_order: 0.2, late: 0.05 };
        assert!(delivered(faults) == delivered(faults));
    }
}
