//! The paths: those that take documents, those to look at them, and those of the fault switch.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control;
use crate::plan::Plan;
use crate::record::{Record, Request};
use crate::socket::Connection;

/// Lists of documents, and the member that holds the documents of a batch.
const LISTS: [(&str, &str); 4] = [
    ("/api/v1/events", "events"),
    ("/api/v1/enriched-orders", "orders"),
    ("/api/v1/order-items", "items"),
    ("/api/v1/notifications", "notifications"),
];
/// Largest body that is taken.
const MOST_BODY_BYTES: usize = 64 << 20;
/// Documents that a list shows if it is not asked for another number.
const SHOWN: usize = 100;

/// What all connections share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) record: Record,
}

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) number: u64,
    pub(crate) connection: Connection,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/metrics", get(metrics))
        .route("/control/answer", put(control::set).delete(control::reset));
    for (path, member) in LISTS {
        let look = get(move |State(shared): State<Arc<Shared>>, Query(limit): Query<Limit>| async move {
            Json(list(&shared, limit.limit.unwrap_or(SHOWN), path, member))
        });
        let methods = look.post(receive);
        router = router.route(path, methods.clone()).route(&format!("{path}/batch"), methods);
    }
    router.with_state(shared)
}

/// Takes a document, remembers it, and answers as planned.
async fn receive(
    State(shared): State<Arc<Shared>>,
    Extension(origin): Extension<Origin>,
    request: HttpRequest,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = shared.record.arrived(Request {
        number: 0,
        connection: origin.number,
        received_at: Instant::now(),
        path: head.uri.path().to_owned(),
        version: head.version,
        headers: head.headers,
        body,
        answered: None,
        taken: false,
    });
    let _waiting = Waiting(&shared.record);
    let answer = shared.plan.answer(&request);
    answer.wait().await;
    shared.record.answered(request.number, answer.code().as_u16(), answer.is_success());
    answer.give(&origin.connection)
}

/// A request that waits for its answer. If its client goes, it is dropped with the handler.
struct Waiting<'a>(&'a Record);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: Option<usize>,
}

/// The newest documents of a list that were taken, those of batches included, oldest first.
fn list(shared: &Shared, limit: usize, path: &str, member: &str) -> Vec<Value> {
    let mut documents = shared.record.look(|observed| {
        let mut newest = Vec::new();
        for request in observed.requests.iter().rev().filter(|request| request.taken) {
            if newest.len() >= limit {
                break;
            }
            match request.path.strip_prefix(path) {
                Some("") => newest.push(request.json()),
                Some("/batch") => newest.extend(items(request.json(), member).into_iter().rev()),
                _ => {}
            }
        }
        newest
    });
    documents.truncate(limit);
    documents.reverse();
    documents
}

fn items(mut batch: Value, member: &str) -> Vec<Value> {
    match batch.get_mut(member).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Counters in Prometheus' text format.
async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let text = shared.record.look(|observed| {
        let mut text = String::from(
            "# HELP rest_receiver_requests_total Requests answered.\n# TYPE rest_receiver_requests_total counter\n",
        );
        for ((path, status), count) in &observed.by_status {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                r#"rest_receiver_requests_total{{path="{path}",status="{status}"}} {count}"#
            );
        }
        let _ = writeln!(text, "# HELP rest_receiver_waiting Requests that wait for their answer.");
        let _ = writeln!(text, "# TYPE rest_receiver_waiting gauge\nrest_receiver_waiting {}", observed.in_flight);
        text
    });
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
