//! How a request is answered, or not.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::gate::Gate;
use crate::socket::{Break, Connection};

/// An answer that a test has chosen.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
    gate: Option<Gate>,
    manner: Manner,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    Whole,
    /// The body comes byte by byte, with this pause before each.
    Slow(Duration),
    /// The connection ends before the last byte of the body.
    Cut,
    /// No answer ever.
    Hang,
    /// Something happens to the connection instead.
    Broken(Break),
}

impl Default for Answer {
    /// 200 with an empty JSON object.
    fn default() -> Self {
        Self::status(200)
    }
}

impl Answer {
    /// An answer with this status and an empty JSON object.
    ///
    /// # Panics
    /// If the status is not 100 to 999.
    #[expect(clippy::expect_used, reason = "a mistake in a test should fail it")]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status of three digits");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let body = Bytes::from_static(b"{}");
        Self { status, headers, body, delay: Duration::ZERO, gate: None, manner: Manner::Whole }
    }

    /// No answer, on a connection that stays open.
    pub fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::default() }
    }

    /// The connection is closed without an answer.
    pub fn close_connection() -> Self {
        Self { manner: Manner::Broken(Break::Close), ..Self::default() }
    }

    /// The connection is reset without an answer.
    pub fn reset_connection() -> Self {
        Self { manner: Manner::Broken(Break::Reset), ..Self::default() }
    }

    /// Bytes that are not HTTP.
    pub fn garbage() -> Self {
        Self { manner: Manner::Broken(Break::Garbage), ..Self::default() }
    }

    /// The same answer with another body.
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The same answer with one more header.
    ///
    /// # Panics
    /// If it cannot be a header.
    #[expect(clippy::expect_used, reason = "a mistake in a test should fail it")]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("letters, digits and hyphens");
        let value = HeaderValue::from_str(value).expect("visible ASCII characters");
        self.headers.insert(name, value);
        self
    }

    /// The same answer, later.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same answer, when the gate is open.
    pub fn behind(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    /// The same answer, whose body comes byte by byte with this pause before each.
    pub fn with_slow_body(self, pause: Duration) -> Self {
        Self { manner: Manner::Slow(pause), ..self }
    }

    /// The same answer, whose last byte does not come before the connection ends.
    pub fn with_cut_body(self) -> Self {
        Self { manner: Manner::Cut, ..self }
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.status
    }

    /// Whether a client gets to see that its request was taken.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success() && matches!(self.manner, Manner::Whole | Manner::Slow(_))
    }

    /// Waits as long as it has to.
    pub(crate) async fn wait(&self) {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        tokio::time::sleep(self.delay).await;
        if matches!(self.manner, Manner::Hang) {
            pending::<()>().await;
        }
    }

    /// The answer on this connection.
    pub(crate) fn give(self, connection: &Connection) -> Response {
        let length = HeaderValue::from(self.body.len());
        let mut response = Response::new(match self.manner {
            Manner::Whole | Manner::Hang => Body::from(self.body),
            Manner::Slow(pause) => slow(self.body, pause),
            Manner::Cut => cut(self.body),
            Manner::Broken(how) => {
                connection.break_by(how);
                Body::empty()
            }
        });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if matches!(self.manner, Manner::Slow(_) | Manner::Cut) {
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
        response
    }
}

fn slow(body: Bytes, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    }))
}

fn cut(body: Bytes) -> Body {
    let most = body.slice(..body.len().saturating_sub(1));
    let end = stream::once(async {
        // The connection sends what it has when nothing more is ready; an error at once would swallow it.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut off"))
    });
    Body::from_stream(stream::iter([Ok(most)]).chain(end))
}
