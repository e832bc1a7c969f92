//! The owner of an engine, as tests play it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver as Wakeups, channel};
use std::time::{Duration, Instant};

use cdc_push::{
    AddressPolicy, Backoff, Delivery, Endpoint, EndpointOptions, EndpointStatus, Engine, EngineOptions,
    Outcome,
};
use rest_receiver::{Options, Receiver};

/// How long a test waits for what must come. Machines that build are slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The path that documents are posted to.
pub(crate) const PATH: &str = "/api/v1/events";

/// A receiver on a free port, without TLS.
pub(crate) fn receiver() -> Receiver {
    Receiver::start(Options::default()).unwrap()
}

/// An endpoint at this receiver with the name that [`delivery`] uses.
pub(crate) fn shop(receiver: &Receiver, options: EndpointOptions) -> Endpoint {
    Endpoint::new("shop", &receiver.url(PATH), options).unwrap()
}

/// Options for tests that try again: without pauses.
pub(crate) fn without_pauses() -> EndpointOptions {
    let backoff = Backoff { base: Duration::ZERO, max: Duration::ZERO };
    EndpointOptions { backoff, ..EndpointOptions::default() }
}

/// A first attempt without a key.
pub(crate) fn delivery(id: i64) -> Delivery {
    Delivery {
        id,
        endpoint: "shop".to_owned(),
        key: None,
        event_id: event_id(id).parse().unwrap(),
        body: format!(r#"{{"id":{id}}}"#).into(),
        attempt: 1,
        headers: Vec::new(),
    }
}

/// A first attempt with a key.
pub(crate) fn keyed(id: i64, key: &str) -> Delivery {
    Delivery { key: Some(key.to_owned()), ..delivery(id) }
}

/// The event id of the delivery with this number.
pub(crate) fn event_id(id: i64) -> String {
    format!("00000000-0000-4000-8000-{id:012}")
}

pub(crate) struct Owner {
    pub(crate) engine: Engine,
    wakeups: Wakeups<()>,
}

impl Owner {
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self::with(EngineOptions::default(), endpoints)
    }

    pub(crate) fn with(options: EngineOptions, endpoints: Vec<Endpoint>) -> Self {
        let (wake, wakeups) = channel();
        let wakeup = move || {
            // A test that is over does not listen.
            let _ = wake.send(());
        };
        let mut engine = Engine::start(options, wakeup).unwrap();
        engine.configure(endpoints, AddressPolicy::default());
        Self { engine, wakeups }
    }

    pub(crate) fn submit(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        for delivery in deliveries {
            self.engine.submit(delivery).unwrap();
        }
    }

    /// Waits for a wakeup and fetches outcomes; perhaps none.
    pub(crate) fn fetch(&mut self) -> Vec<Outcome> {
        self.wakeups.recv_timeout(PATIENCE).unwrap();
        self.engine.outcomes()
    }

    /// Waits until the engine holds nothing, and returns all outcomes by their delivery.
    pub(crate) fn finish(&mut self) -> BTreeMap<i64, Outcome> {
        let mut outcomes = BTreeMap::new();
        while self.engine.held() > 0 {
            outcomes.extend(self.fetch().into_iter().map(|outcome| (outcome.id, outcome)));
        }
        outcomes
    }

    /// Waits until so many deliveries wait in the engine for those before them.
    pub(crate) fn wait_for_waiting(&self, deliveries: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.status().waiting != deliveries {
            assert!(Instant::now() < deadline, "{deliveries} should wait: {:?}", self.status());
            std::thread::yield_now();
        }
    }

    /// Submits one delivery, and waits for its outcome.
    pub(crate) fn push(&mut self, delivery: Delivery) -> Outcome {
        let id = delivery.id;
        self.submit([delivery]);
        self.finish().remove(&id).unwrap()
    }

    /// The status of the one endpoint.
    pub(crate) fn status(&self) -> EndpointStatus {
        self.engine.statuses().remove(0)
    }
}
