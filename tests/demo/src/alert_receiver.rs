//! The REST receiver to which the database sends its alerts.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use rest_receiver::{Answer, Options, Receiver, Request};
use serde_json::Value;

/// Where the receiver takes alerts.
const PATH: &str = "/api/v1/notifications";

/// A receiver in this process, on a free port of the loopback interface.
#[derive(Debug)]
pub(crate) struct AlertReceiver {
    receiver: Receiver,
    taken: Arc<Mutex<Taken>>,
}

/// What the receiver has got so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Different alerts: one that came again is the same.
    pub(crate) alerts: u64,
    /// The last of them.
    pub(crate) last: Option<LastAlert>,
}

/// What an alert says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastAlert {
    /// Such as `HIGH_VALUE_ORDER`.
    kind: String,
    /// Key of the order that it tells of; alerts on the system itself tell of none.
    order: Option<i64>,
}

#[derive(Debug, Default)]
struct Taken {
    /// UUIDs; as numbers they take a fifth of the memory.
    event_ids: HashSet<u128>,
    last: Option<LastAlert>,
}

impl AlertReceiver {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no port or no thread.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let receiver = Receiver::start(Options::default()).context("cannot start the receiver of alerts")?;
        let taken = Arc::new(Mutex::new(Taken::default()));
        let theirs = Arc::clone(&taken);
        receiver.answer_by(move |request| {
            lock(&theirs).take(request);
            Answer::default()
        });
        Ok(Self { receiver, taken })
    }

    /// The URL for alerts.
    pub(crate) fn url(&self) -> String {
        self.receiver.url(PATH)
    }

    /// What it has got so far.
    pub(crate) fn received(&self) -> Received {
        let taken = lock(&self.taken);
        Received { alerts: taken.event_ids.len() as u64, last: taken.last.clone() }
    }
}

impl Taken {
    fn take(&mut self, request: &Request) {
        let ids = request.event_ids();
        self.event_ids
            .extend(ids.iter().filter_map(|id| u128::from_str_radix(&id.replace('-', ""), 16).ok()));
        self.last = LastAlert::of(&request.json()).or(self.last.take());
    }
}

impl LastAlert {
    /// `None` if the document is no alert.
    pub(crate) fn of(document: &Value) -> Option<Self> {
        let kind = document.get("notification_type")?.as_str()?.to_owned();
        Some(Self { kind, order: document.pointer("/payload/order_id").and_then(Value::as_i64) })
    }
}

impl fmt::Display for LastAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match self.order {
            Some(order) => write!(f, " of order {order}"),
            None => Ok(()),
        }
    }
}

/// Nothing is left half done by a thread that panics while it holds the lock.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use serde_json::json;

    use super::*;

    fn post(receiver: &AlertReceiver, event_id: &str, body: &Value) {
        let address = receiver.receiver.address();
        let body = body.to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nIdempotency-Key: {event_id}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[test]
    fn an_alert_that_comes_again_counts_once() {
        let receiver = AlertReceiver::start().unwrap();
        assert_eq!(receiver.received(), Received::default());
        let alert =
            |order: i64| json!({"notification_type": "HIGH_VALUE_ORDER", "payload": {"order_id": order}});
        post(&receiver, "6f9619ff-8b86-4011-b42d-00c04fc964ff", &alert(17));
        post(&receiver, "6f9619ff-8b86-4011-b42d-00c04fc964ff", &alert(17));
        post(&receiver, "0a6f9619-8b86-4011-b42d-00c04fc964ff", &alert(18));
        let received = receiver.received();
        assert_eq!(received.alerts, 2);
        assert_eq!(received.last.unwrap().to_string(), "HIGH_VALUE_ORDER of order 18");
    }

    #[test]
    fn an_alert_on_the_system_tells_of_no_order() {
        let alert = LastAlert::of(&json!({"notification_type": "DLQ_GROWING", "payload": {"letters": 12}}));
        assert_eq!(alert.unwrap().to_string(), "DLQ_GROWING");
        assert_eq!(LastAlert::of(&json!({"events": []})), None);
    }
}
