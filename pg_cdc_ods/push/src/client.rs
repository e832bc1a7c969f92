//! One request and its answer, within bounds of time and size.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

use crate::address_policy::AddressPolicy;
use crate::connector::Connector;
use crate::delivery::{Delivery, EXCERPT_BYTES, Exchange};
use crate::endpoint::Endpoint;
use crate::retry_after;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// An unused connection is closed after this time: sooner than most servers and firewalls do it, so that a request
/// seldom meets a connection that is about to go.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// A connection of HTTP/2 with a request under way is asked so often whether it still lives. Without it, a connection
/// that leads nowhere would be used again for every request until TCP gives up.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long such a connection may take to answer.
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer's head in memory; servers send a few hundred.
const HEAD_BYTES: usize = 64 * 1024;

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Reply {
    /// As it goes into outcomes.
    pub(crate) exchange: Exchange,
    /// The pause that the endpoint asks for.
    pub(crate) retry_after: Option<Duration>,
    /// Why there is no status.
    pub(crate) failure: Option<String>,
}

/// The requests of one endpoint share their connections.
#[derive(Debug, Clone)]
pub(crate) struct EndpointClient {
    endpoint: Arc<Endpoint>,
    client: Client<Connector, Full<Bytes>>,
}

impl EndpointClient {
    /// A client without a connection yet. It must be used on a Tokio runtime.
    pub(crate) fn new(endpoint: Arc<Endpoint>, policy: Arc<AddressPolicy>) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(endpoint.options().concurrency.get())
            .http1_max_buf_size(HEAD_BYTES)
            .http2_max_header_list_size(HEAD_BYTES as u32)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_PATIENCE);
        let client = builder.build(Connector::new(&endpoint, policy));
        Self { endpoint, client }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The request that carries these deliveries; more than one only if the endpoint takes batches.
    pub(crate) fn request<'a>(
        &self,
        deliveries: impl Iterator<Item = &'a Delivery> + Clone,
    ) -> Request<Full<Bytes>> {
        let body = match &self.endpoint.options().batch {
            Some(batch) => batch.body(deliveries.clone()),
            None => deliveries.clone().map(|delivery| delivery.body.clone()).next().unwrap_or_default(),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.url().clone();
        *request.headers_mut() = self.headers(deliveries);
        request
    }

    fn headers<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery> + Clone) -> HeaderMap {
        let mut headers = self.endpoint.headers().clone();
        for header in deliveries.clone().flat_map(|delivery| &delivery.headers) {
            headers.insert(header.name.clone(), header.value.clone());
        }
        let ids: Vec<&str> = deliveries.map(|delivery| delivery.event_id.as_str()).collect();
        // UUIDs and commas always make a header value.
        if let Ok(ids) = HeaderValue::from_str(&ids.join(", ")) {
            headers.insert(IDEMPOTENCY_KEY, ids);
        }
        headers
    }

    /// Sends a request with so many deliveries, and waits for the answer as long as the endpoint has.
    pub(crate) async fn send(self, request: Request<Full<Bytes>>, items: usize) -> Reply {
        let begun = Instant::now();
        let time = self.endpoint.options().timeout;
        let deadline = begun + time;
        let answer = timeout_at(deadline, self.client.request(request)).await;
        let latency = begun.elapsed();
        let exchange = |status, excerpt| Exchange { status, latency, excerpt, items };
        let failed = |failure| Reply {
            exchange: exchange(None, String::new()),
            retry_after: None,
            failure: Some(failure),
        };
        match answer {
            Err(_) => failed(format!("no answer within {time:?}")),
            Ok(Err(error)) => failed(explain(&error)),
            Ok(Ok(mut answer)) => {
                let retry_after = asked_pause(&answer);
                let excerpt = excerpt(answer.body_mut(), deadline).await;
                let status = Some(answer.status().as_u16());
                Reply { exchange: exchange(status, excerpt), retry_after, failure: None }
            }
        }
    }
}

fn asked_pause<B>(answer: &Response<B>) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?;
    retry_after::parse(value.as_bytes(), SystemTime::now())
}

/// The beginning of an answer's body. The status has decided already, so a body that breaks off or is slow is taken as
/// far as it came.
async fn excerpt(body: &mut (impl BodyExt<Data = Bytes> + Unpin), deadline: Instant) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < EXCERPT_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else { break };
        if let Some(data) = frame.data_ref() {
            let room = EXCERPT_BYTES - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    readable(&bytes)
}

/// Bytes as text that PostgreSQL takes, no longer than [`EXCERPT_BYTES`].
fn readable(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    // A replaced byte takes three.
    text.truncate(text.floor_char_boundary(EXCERPT_BYTES));
    text
}

/// What went wrong, from the outside inwards. The outermost error only says that a client has failed.
fn explain(error: &legacy::Error) -> String {
    let mut reasons: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(reason) = cause {
        let text = reason.to_string();
        // Some errors say again what their source says.
        if !reasons.last().is_some_and(|last| last.contains(&text)) {
            reasons.push(text);
        }
        cause = reason.source();
    }
    let reasons = reasons.join(": ");
    match (error.is_connect(), reasons.is_empty()) {
        (true, false) => reasons,
        (false, false) => format!("the connection failed before an answer came: {reasons}"),
        (_, true) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_text_that_postgresql_takes() {
        assert_eq!(readable(b"out of stock"), "out of stock");
        assert_eq!(readable(b"a\0b\xffc"), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn an_excerpt_is_bounded_and_ends_with_a_whole_character() {
        let text = readable(&[0xff; EXCERPT_BYTES]);
        assert_eq!(text.len(), EXCERPT_BYTES / 3 * 3);
        assert!(text.chars().all(|character| character == '\u{fffd}'));
    }
}
