//! What an answer means for the deliveries of its request, and for its endpoint.

use std::time::Duration;

use rand::Rng;

use crate::client::Reply;
use crate::delivery::Fate;
use crate::endpoint::EndpointOptions;

/// What to do about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The endpoint took it.
    Taken,
    /// It may take it later.
    Later,
    /// It will never take it.
    Never,
}

/// The verdict of a status. 2xx is taken. 408, 425, 429 and 5xx may pass. Everything else will not: other 4xx say that
/// the request itself is wrong, and a redirect is not followed, since it would carry data and credentials to a place
/// that nobody configured.
fn of_status(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Taken,
        408 | 425 | 429 | 500..=599 => Verdict::Later,
        _ => Verdict::Never,
    }
}

impl Reply {
    /// The verdict. Without a status, the failure was one of the network and may pass.
    pub(crate) fn verdict(&self) -> Verdict {
        self.exchange.status.map_or(Verdict::Later, of_status)
    }

    /// Whether a refusal may be about one delivery of several: 400, 409, 413 and 422 speak of what was sent. The others
    /// speak of the endpoint, and would be the same for each delivery alone.
    pub(crate) fn may_be_about_one(&self) -> bool {
        matches!(self.exchange.status, Some(400 | 409 | 413 | 422))
    }

    /// Whether the endpoint is in trouble. One that says by 429 when to come again is not.
    pub(crate) fn is_failure(&self) -> bool {
        self.verdict() == Verdict::Later && !(self.exchange.status == Some(429) && self.retry_after.is_some())
    }

    /// The pause before the next attempt of deliveries that have been tried `attempt` times.
    pub(crate) fn pause(&self, attempt: u32, options: &EndpointOptions, rng: &mut impl Rng) -> Duration {
        options.backoff.pause(attempt, rng).max(self.retry_after.unwrap_or_default())
    }

    /// What becomes of a delivery whose attempt of this number this was.
    pub(crate) fn fate(&self, attempt: u32, pause: Duration, options: &EndpointOptions) -> Fate {
        let most = options.max_attempts.get();
        match self.verdict() {
            Verdict::Taken => Fate::Delivered,
            Verdict::Never => Fate::Dead { error: self.problem() },
            Verdict::Later if attempt < most => Fate::Retry { after: pause, error: self.problem() },
            Verdict::Later => {
                Fate::Dead { error: format!("{}; that was attempt {attempt} of {most}", self.problem()) }
            }
        }
    }

    fn problem(&self) -> String {
        match (&self.failure, self.exchange.status) {
            (Some(failure), _) => failure.clone(),
            (None, Some(status @ 300..=399)) => {
                format!("the endpoint answered with the redirect {status}, which is not followed")
            }
            (None, Some(status)) => format!("the endpoint answered with status {status}"),
            (None, None) => "the endpoint did not answer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::delivery::Exchange;

    fn reply(status: Option<u16>, retry_after: Option<u64>) -> Reply {
        Reply {
            exchange: Exchange { status, latency: Duration::ZERO, excerpt: String::new(), items: 1 },
            retry_after: retry_after.map(Duration::from_secs),
            failure: status.is_none().then(|| "cannot connect".to_owned()),
        }
    }

    #[test]
    fn each_class_of_status_has_its_verdict() {
        for (statuses, verdict) in [
            (&[200, 201, 202, 204, 299][..], Verdict::Taken),
            (&[408, 425, 429, 500, 502, 503, 504, 599], Verdict::Later),
            (&[199, 301, 302, 307, 308, 400, 401, 403, 404, 409, 410, 413, 422, 600], Verdict::Never),
        ] {
            for status in statuses {
                assert_eq!(of_status(*status), verdict, "{status}");
            }
        }
        assert_eq!(reply(None, None).verdict(), Verdict::Later);
    }

    #[test]
    fn attempts_end_at_the_last() {
        let options = EndpointOptions::default();
        let pause = Duration::from_secs(3);
        let fate = |attempt| reply(None, None).fate(attempt, pause, &options);
        assert_eq!(fate(9), Fate::Retry { after: pause, error: "cannot connect".to_owned() });
        for attempt in [10, 11] {
            let error = format!("cannot connect; that was attempt {attempt} of 10");
            assert_eq!(fate(attempt), Fate::Dead { error });
        }
    }

    #[test]
    fn a_pause_is_no_shorter_than_the_endpoint_asks() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let options = EndpointOptions::default();
        assert_eq!(reply(Some(503), Some(120)).pause(1, &options, &mut rng), Duration::from_secs(120));
        assert!(reply(Some(503), Some(0)).pause(1, &options, &mut rng) <= Duration::from_secs(1));
    }

    #[test]
    fn only_trouble_counts_as_failure() {
        for (status, retry_after, failure) in [
            (Some(200), None, false),
            (Some(404), None, false),
            (Some(503), Some(1), true),
            (Some(429), None, true),
            (Some(429), Some(1), false),
            (None, None, true),
        ] {
            assert_eq!(reply(status, retry_after).is_failure(), failure, "{status:?} {retry_after:?}");
        }
    }
}
