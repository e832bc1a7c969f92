//! Endpoints as they are configured, and as the delivery engine takes them.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use cdc_push::{
    AddressPolicy, AddressRange, Authorization, Backoff, BatchOptions, BreakerOptions, Endpoint,
    EndpointError, EndpointOptions, Header, HeaderError, InvalidBatch, LONGEST_TIME, Secret, Trust,
};
use pgrx::JsonB;
use pgrx::prelude::*;
use serde::Deserialize;

use crate::settings;
use crate::sql_error::spi_failed;

/// An endpoint as its row tells it. Times are in seconds.
pub(crate) struct Description {
    pub(crate) name: String,
    pub(super) url: String,
    pub(super) timeout: f64,
    pub(super) connect_timeout: f64,
    pub(super) max_attempts: i32,
    pub(super) backoff: f64,
    pub(super) max_backoff: f64,
    pub(super) breaker_failures: i32,
    pub(super) breaker_open: f64,
    pub(super) concurrency: i32,
    pub(super) max_rate: Option<i32>,
    pub(super) batch_size: i32,
    pub(super) batch_member: String,
    pub(super) batch_bytes: i32,
    pub(super) ca: Option<String>,
    pub(super) auth: Option<JsonB>,
    pub(super) headers: Option<JsonB>,
}

/// An argument of `cdc.endpoint()` cannot be used. It does not show the value, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("invalid value for argument \"{argument}\": {problem}")]
pub(crate) struct InvalidArgument {
    pub(super) argument: &'static str,
    pub(super) problem: String,
}

impl InvalidArgument {
    fn new(argument: &'static str, problem: impl Into<String>) -> Self {
        Self { argument, problem: problem.into() }
    }
}

/// Credentials as `cdc.endpoint()` takes them.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum AuthJson {
    Bearer(String),
    Basic { user: String, password: String },
}

const READ: &str = "
    select e.name, e.url, e.max_attempts, e.breaker_failures, e.concurrency, e.max_rate, e.batch_size, e.batch_bytes,
           e.batch_member, e.ca, s.auth, s.headers,
           array(select extract(epoch from t)::double precision
                   from unnest(array[e.timeout, e.connect_timeout, e.backoff, e.max_backoff, e.breaker_open])
                        with ordinality as u(t, place) order by place)
      from cdc.endpoints e left join cdc.endpoint_secrets s on s.endpoint = e.name
     where e.name = $1 or $1 is null
     order by e.name";

impl Description {
    /// All that are configured.
    pub(crate) fn read_all() -> Vec<Self> {
        Self::read(None)
    }

    /// The one of this name.
    pub(super) fn read_one(name: &str) -> Option<Self> {
        Self::read(Some(name)).pop()
    }

    fn read(name: Option<&str>) -> Vec<Self> {
        let read = Spi::connect_mut(|client| {
            let mut all = Vec::new();
            for row in client.update(READ, None, &[name.into()])? {
                let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
                let number = |ordinal| row.get::<i32>(ordinal).map(Option::unwrap_or_default);
                let times = row.get::<Vec<f64>>(13)?.unwrap_or_default();
                let time = |place: usize| times.get(place).copied().unwrap_or_default();
                all.push(Self {
                    name: text(1)?,
                    url: text(2)?,
                    timeout: time(0),
                    connect_timeout: time(1),
                    max_attempts: number(3)?,
                    backoff: time(2),
                    max_backoff: time(3),
                    breaker_failures: number(4)?,
                    breaker_open: time(4),
                    concurrency: number(5)?,
                    max_rate: row.get(6)?,
                    batch_size: number(7)?,
                    batch_member: text(9)?,
                    batch_bytes: number(8)?,
                    ca: row.get(10)?,
                    auth: row.get(11)?,
                    headers: row.get(12)?,
                });
            }
            Ok(all)
        });
        read.unwrap_or_else(|error| spi_failed("cannot read cdc.endpoints", &error))
    }

    /// As the delivery engine takes it.
    pub(crate) fn to_endpoint(&self) -> Result<Endpoint, InvalidArgument> {
        let options = EndpointOptions {
            authorization: self.authorization()?,
            headers: self.headers()?,
            trust: self.ca.as_ref().map_or(Trust::System, |pem| Trust::Authorities(pem.clone().into_bytes())),
            connect_timeout: time("connect_timeout", self.connect_timeout, Shortest::MoreThanZero)?,
            timeout: time("timeout", self.timeout, Shortest::MoreThanZero)?,
            concurrency: count("concurrency", self.concurrency).map(to_size)?,
            max_rate: self.max_rate.map(|rate| count("max_rate", rate)).transpose()?,
            max_attempts: count("max_attempts", self.max_attempts)?,
            backoff: Backoff {
                base: time("backoff", self.backoff, Shortest::Zero)?,
                max: time("max_backoff", self.max_backoff, Shortest::Zero)?,
            },
            breaker: BreakerOptions {
                failures: count("breaker_failures", self.breaker_failures)?.get(),
                open_for: time("breaker_open", self.breaker_open, Shortest::Zero)?,
            },
            batch: self.batch()?,
        };
        Endpoint::new(&self.name, &self.url, options).map_err(|error| {
            let argument = match &error {
                EndpointError::Url(_) => "url",
                EndpointError::Time(..) => "timeout",
                EndpointError::Header(_) => "auth",
                EndpointError::Trust(_) => "ca",
            };
            InvalidArgument::new(argument, error.to_string())
        })
    }

    fn authorization(&self) -> Result<Authorization, InvalidArgument> {
        let Some(JsonB(auth)) = &self.auth else { return Ok(Authorization::None) };
        if auth.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(Authorization::None);
        }
        match AuthJson::deserialize(auth) {
            Ok(AuthJson::Bearer(token)) => Ok(Authorization::Bearer(Secret::new(token))),
            Ok(AuthJson::Basic { user, password }) => {
                Ok(Authorization::Basic { user, password: Secret::new(password) })
            }
            // The error of the parser would show the value.
            Err(_) => Err(InvalidArgument::new(
                "auth",
                r#"write {"bearer": "…"} or {"basic": {"user": "…", "password": "…"}}"#,
            )),
        }
    }

    fn headers(&self) -> Result<Vec<Header>, InvalidArgument> {
        let Some(JsonB(headers)) = &self.headers else { return Ok(Vec::new()) };
        let headers = BTreeMap::<String, String>::deserialize(headers)
            .map_err(|_| InvalidArgument::new("headers", "write a JSON object of texts: name to value"))?;
        let header = |(name, value): (&String, &String)| Header::new(name, value);
        let refused = |error: HeaderError| InvalidArgument::new("headers", error.to_string());
        headers.iter().map(header).collect::<Result<_, _>>().map_err(refused)
    }

    fn batch(&self) -> Result<Option<BatchOptions>, InvalidArgument> {
        let items = to_size(count("batch_size", self.batch_size)?).get();
        let bytes = to_size(count("batch_bytes", self.batch_bytes)?).get();
        let batch = BatchOptions::new(&self.batch_member, items, bytes).map_err(|error| {
            let argument = match error {
                InvalidBatch::Member(_) => "batch_member",
                InvalidBatch::Items(_) => "batch_size",
            };
            InvalidArgument::new(argument, error.to_string())
        })?;
        Ok((items > 1).then_some(batch))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortest {
    Zero,
    MoreThanZero,
}

fn time(argument: &'static str, seconds: f64, shortest: Shortest) -> Result<Duration, InvalidArgument> {
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST_TIME);
    match (time, shortest) {
        (Some(Duration::ZERO), Shortest::MoreThanZero) | (None, _) => {
            let least = if shortest == Shortest::Zero { "from zero" } else { "of more than zero and" };
            Err(InvalidArgument::new(argument, format!("give a time {least} up to 1 day")))
        }
        (Some(time), _) => Ok(time),
    }
}

fn count(argument: &'static str, number: i32) -> Result<NonZeroU32, InvalidArgument> {
    let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
    count.ok_or_else(|| InvalidArgument::new(argument, format!("it is {number}, and must be at least 1")))
}

fn to_size(count: NonZeroU32) -> NonZeroUsize {
    NonZeroUsize::try_from(count).unwrap_or(NonZeroUsize::MAX)
}

/// Which addresses endpoints may have. A setting that cannot be read refuses them all: better nothing is sent than to
/// a place that was to be kept out.
pub(crate) fn address_policy() -> AddressPolicy {
    let setting = settings::PUSH_REFUSED_ADDRESSES.get();
    let text = setting.as_deref().map(|text| text.to_string_lossy()).unwrap_or_default();
    text.parse().unwrap_or_else(|error| {
        warning!(
            "pg_cdc_ods.push_refused_addresses cannot be read, so every special range is refused: {error}"
        );
        AddressPolicy::refusing(AddressRange::ALL)
    })
}
