//! An endpoint: where deliveries go, and how they are made.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};
use rustls::ClientConfig;

use crate::backoff::Backoff;
use crate::batch::BatchOptions;
use crate::breaker::BreakerOptions;
use crate::header::{Header, HeaderError};
use crate::secret::Authorization;
use crate::tls::{self, Trust, TrustError};

/// Names this program to endpoints, unless the endpoint has a `User-Agent` header of its own.
const AGENT: &str = concat!("pg_cdc_ods/", env!("CARGO_PKG_VERSION"));

/// Longest time that an option may give. Whatever is meant, a day is a mistake.
pub const LONGEST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How deliveries to an endpoint are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointOptions {
    /// How the requests show who sends them.
    pub authorization: Authorization,
    /// Headers that every request has.
    pub headers: Vec<Header>,
    /// Whose certificates are believed, for `https` URLs.
    pub trust: Trust,
    /// Time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Time for a whole request, connecting and reading the answer included.
    pub timeout: Duration,
    /// Requests that may be on their way at the same time.
    pub concurrency: NonZeroUsize,
    /// Most requests in a second; no bound if none.
    pub max_rate: Option<NonZeroU32>,
    /// Attempts after which a delivery is dead.
    pub max_attempts: NonZeroU32,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// When to spare the endpoint.
    pub breaker: BreakerOptions,
    /// How to send several deliveries in one request; one at a time if none.
    pub batch: Option<BatchOptions>,
}

impl Default for EndpointOptions {
    /// 10 s to connect, 30 s in all, 4 requests at a time, 10 attempts, one delivery in each request.
    fn default() -> Self {
        Self {
            authorization: Authorization::None,
            headers: Vec::new(),
            trust: Trust::System,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            // Both are worked out when this is compiled: neither can fail later.
            concurrency: const { NonZeroUsize::new(4).unwrap() },
            max_rate: None,
            max_attempts: const { NonZeroU32::new(10).unwrap() },
            backoff: Backoff::default(),
            breaker: BreakerOptions::default(),
            batch: None,
        }
    }
}

/// A place that deliveries can be sent to. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Endpoint {
    name: String,
    url: Uri,
    options: EndpointOptions,
    headers: HeaderMap,
    tls: ClientConfig,
}

/// An endpoint cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The URL has another form. It is not shown, since it may have a password in it.
    #[error("the URL cannot be used: {0}; it looks like https://host:port/path")]
    Url(&'static str),
    /// A timeout of zero, or a time of more than [`LONGEST_TIME`].
    #[error("{0} cannot be {1:?}; give a time of at most {LONGEST_TIME:?}, and for a timeout more than zero")]
    Time(&'static str, Duration),
    /// A header or the credentials cannot be sent.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Endpoint {
    /// Describes an endpoint. Nothing is sent and no name is resolved; for an `https` URL the first call may read the
    /// system's authorities from disk.
    ///
    /// # Errors
    /// If the URL is not one of `http` or `https` with a host and without a user, a time is out of bounds, or the
    /// headers, the credentials or the authorities cannot be used.
    pub fn new(name: impl Into<String>, url: &str, options: EndpointOptions) -> Result<Self, EndpointError> {
        let url = parse_url(url)?;
        check_times(&options)?;
        let headers = request_headers(&options)?;
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let tls = if secure { options.trust.client_config()? } else { tls::without_authorities()? };
        Ok(Self { name: name.into(), url, options, headers, tls })
    }

    /// Its name, which deliveries give.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// How deliveries to it are made.
    pub fn options(&self) -> &EndpointOptions {
        &self.options
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn tls(&self) -> &ClientConfig {
        &self.tls
    }
}

/// Endpoints are equal if they were described equally.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.url, &self.options) == (&other.name, &other.url, &other.options)
    }
}

fn parse_url(text: &str) -> Result<Uri, EndpointError> {
    let problem = |problem| Err(EndpointError::Url(problem));
    let Ok(url) = text.parse::<Uri>() else { return problem("it is malformed") };
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return problem("it begins with neither http:// nor https://");
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            problem("it has a user in it; give credentials as authorization")
        }
        Some(authority) if !authority.host().is_empty() => Ok(url),
        _ => problem("it has no host"),
    }
}

fn check_times(options: &EndpointOptions) -> Result<(), EndpointError> {
    for (name, time, least) in [
        ("the time to connect", options.connect_timeout, Duration::from_nanos(1)),
        ("the timeout", options.timeout, Duration::from_nanos(1)),
        ("the first pause", options.backoff.base, Duration::ZERO),
        ("the longest pause", options.backoff.max, Duration::ZERO),
        ("the time that the breaker stays open", options.breaker.open_for, Duration::ZERO),
    ] {
        if !(least..=LONGEST_TIME).contains(&time) {
            return Err(EndpointError::Time(name, time));
        }
    }
    Ok(())
}

fn request_headers(options: &EndpointOptions) -> Result<HeaderMap, HeaderError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let own = options.headers.iter().cloned();
    for header in own.chain(options.authorization.header()?) {
        headers.insert(header.name, header.value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::new("shop", url, EndpointOptions::default())
    }

    #[test]
    fn urls_of_http_and_https_with_a_host_are_taken() {
        for url in ["http://a", "https://a:8443/api/v1/events?x=1", "http://[::1]:80/", "HTTP://A/"] {
            endpoint(url).unwrap();
        }
        for url in
            ["", "a", "/path", "ftp://a/", "http://", "http://:80/", "http://a b/", "file:///etc/passwd"]
        {
            assert!(matches!(endpoint(url), Err(EndpointError::Url(_))), "{url:?}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_shown() {
        let error = endpoint("https://user:hunter2@host/").unwrap_err();
        assert!(error.to_string().contains("give credentials as authorization"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn times_are_bounded() {
        let with_timeout = |timeout| {
            let options = EndpointOptions { timeout, ..EndpointOptions::default() };
            Endpoint::new("shop", "http://a/", options)
        };
        for timeout in [Duration::from_nanos(1), LONGEST_TIME] {
            with_timeout(timeout).unwrap();
        }
        for timeout in [Duration::ZERO, LONGEST_TIME + Duration::from_nanos(1), Duration::MAX] {
            assert!(
                matches!(with_timeout(timeout), Err(EndpointError::Time("the timeout", _))),
                "{timeout:?}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let options = EndpointOptions {
            authorization: Authorization::Bearer(Secret::new("hunter2")),
            headers: vec![Header::new("X-Api-Key", "hunter3").unwrap()],
            ..EndpointOptions::default()
        };
        let shown = format!("{:?}", Endpoint::new("shop", "https://host/", options).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn endpoints_described_equally_are_equal() {
        assert_eq!(endpoint("https://a/").unwrap(), endpoint("https://a/").unwrap());
        assert_ne!(endpoint("https://a/").unwrap(), endpoint("https://b/").unwrap());
    }
}
