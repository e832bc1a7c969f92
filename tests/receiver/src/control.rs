//! The fault switch for other processes: `PUT /control/answer` sets how requests are answered, `DELETE` takes it back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;

use crate::answer::Answer;
use crate::routes::Shared;

/// Most requests that one call can plan for: each takes memory.
const MOST_PLANNED: usize = 10_000;

/// What to do with requests, as JSON: `{"status": 503}`, `{"fault": "hang", "count": 3}`,
/// `{"status": 429, "retry_after": "7"}`, `{"delay_ms": 2000}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    /// The status; 200 without.
    status: Option<u16>,
    /// Value of the `Retry-After` header.
    retry_after: Option<String>,
    /// Time before the answer.
    #[serde(default)]
    delay_ms: u64,
    /// What happens instead of an answer.
    fault: Option<Fault>,
    /// Requests that it is for; all from now on without.
    count: Option<usize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fault {
    Hang,
    Close,
    Reset,
    Garbage,
}

impl Switch {
    fn answer(&self) -> Result<Answer, &'static str> {
        let status = self.status.unwrap_or(200);
        let retry_after = self.retry_after.as_deref();
        if !(200..=599).contains(&status) {
            return Err("status must be 200 to 599");
        }
        if !retry_after.is_none_or(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
            return Err("retry_after must be seconds or a date");
        }
        let answer = match self.fault {
            None => Answer::status(status),
            Some(Fault::Hang) => Answer::hang(),
            Some(Fault::Close) => Answer::close_connection(),
            Some(Fault::Reset) => Answer::reset_connection(),
            Some(Fault::Garbage) => Answer::garbage(),
        };
        let answer = answer.after(Duration::from_millis(self.delay_ms));
        Ok(match retry_after {
            Some(value) => answer.with_header("retry-after", value),
            None => answer,
        })
    }
}

pub(crate) async fn set(
    State(shared): State<Arc<Shared>>,
    Json(switch): Json<Switch>,
) -> Result<StatusCode, (StatusCode, &'static str)> {
    let refused = |problem| (StatusCode::BAD_REQUEST, problem);
    let answer = switch.answer().map_err(refused)?;
    match switch.count {
        None => shared.plan.replace(move |_| answer.clone()),
        Some(count) if count <= MOST_PLANNED => shared.plan.then(std::iter::repeat_n(answer, count)),
        Some(_) => return Err(refused("count must be at most 10000")),
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn reset(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.plan.replace(|_| Answer::default());
    StatusCode::NO_CONTENT
}
