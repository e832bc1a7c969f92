//! `cdc.endpoint()` and `cdc.drop_endpoint()`.

use std::convert::Infallible;

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::endpoint::Description;
use crate::sql_error::{raise, spi_failed};
use crate::workers;

/// Statement trigger of the tables that describe endpoints: the push worker reads them again, or is started.
#[pg_trigger]
fn endpoints_changed<'a>(
    _trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    workers::push_configuration_changed_at_commit();
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

const SAVE: &str = "
    insert into cdc.endpoints (name, url, timeout, connect_timeout, max_attempts, backoff, max_backoff, breaker_failures,
                               breaker_open, concurrency, max_rate, batch_size, batch_member, batch_bytes, ca)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    on conflict (name) do update
       set url = excluded.url, timeout = excluded.timeout, connect_timeout = excluded.connect_timeout,
           max_attempts = excluded.max_attempts, backoff = excluded.backoff, max_backoff = excluded.max_backoff,
           breaker_failures = excluded.breaker_failures, breaker_open = excluded.breaker_open,
           concurrency = excluded.concurrency, max_rate = excluded.max_rate, batch_size = excluded.batch_size,
           batch_member = excluded.batch_member, batch_bytes = excluded.batch_bytes, ca = excluded.ca";

/// What is not given stays, so that an endpoint can be changed without repeating its secrets.
const SAVE_SECRETS: &str = "
    insert into cdc.endpoint_secrets as s (endpoint, auth, headers) values ($1, $2, $3)
    on conflict (endpoint) do update
       set auth = coalesce(excluded.auth, s.auth), headers = coalesce(excluded.headers, s.headers)";

#[pg_extern]
#[expect(clippy::too_many_arguments, reason = "an SQL function has its options as named arguments")]
fn endpoint(
    name: &str,
    url: &str,
    timeout: default!(Interval, "'30 seconds'"),
    connect_timeout: default!(Interval, "'10 seconds'"),
    max_attempts: default!(i32, 10),
    backoff: default!(Interval, "'1 second'"),
    max_backoff: default!(Interval, "'30 seconds'"),
    breaker_failures: default!(i32, 5),
    breaker_open: default!(Interval, "'30 seconds'"),
    concurrency: default!(i32, 4),
    max_rate: default!(Option<i32>, "null"),
    batch_size: default!(i32, 1),
    batch_member: default!(&str, "'events'"),
    batch_bytes: default!(i32, 1048576),
    auth: default!(Option<JsonB>, "null"),
    headers: default!(Option<JsonB>, "null"),
    ca: default!(Option<&str>, "null"),
) {
    if name.is_empty() {
        refuse("name", "give it a name");
    }
    let args = [
        name.into(),
        url.into(),
        timeout.into(),
        connect_timeout.into(),
        max_attempts.into(),
        backoff.into(),
        max_backoff.into(),
        breaker_failures.into(),
        breaker_open.into(),
        concurrency.into(),
        max_rate.into(),
        batch_size.into(),
        batch_member.into(),
        batch_bytes.into(),
        ca.into(),
    ];
    let secrets = [name.into(), auth.into(), headers.into()];
    Spi::connect_mut(|client| {
        write(client, SAVE, &args);
        write(client, SAVE_SECRETS, &secrets);
    });
    // As the push worker will read it; an ERROR takes back what was written.
    if let Some(Err(error)) = Description::read_one(name).map(|description| description.to_endpoint()) {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            error.to_string(),
            "docs/push.md says what each argument takes.",
        );
    }
}

fn refuse(argument: &str, problem: &str) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("invalid value for argument \"{argument}\": {problem}"),
        "docs/push.md says what each argument takes.",
    )
}

const RULES: &str = "
    select string_agg(rule, ', ' order by rule)
      from (select 'alert ' || name as rule from cdc.alerts where endpoint = $1
            union all select 'route ' || name from cdc.routes where endpoint = $1) r";

/// Removes an endpoint and what waits for it; returns how many deliveries that were.
#[pg_extern]
fn drop_endpoint(name: &str) -> i64 {
    Spi::connect_mut(|client| {
        let rules =
            client.update(RULES, Some(1), &[name.into()]).and_then(|row| row.first().get_one::<String>());
        match rules {
            Ok(None) => (),
            Ok(Some(rules)) => raise(
                PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
                format!("endpoint {name} is used by {rules}"),
                "Remove them first with cdc.drop_alert() or cdc.drop_route(), or give them another endpoint.",
            ),
            Err(error) => spi_failed("cannot read cdc.alerts and cdc.routes", &error),
        }
        if write(client, "delete from cdc.endpoints where name = $1", &[name.into()]) == 0 {
            raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("there is no endpoint {name}"),
                "See cdc.endpoints for those there are.",
            );
        }
        write(client, "delete from cdc.outbox where endpoint = $1", &[name.into()]) as i64
    })
}

fn write(client: &mut SpiClient<'_>, sql: &str, args: &[DatumWithOid<'_>]) -> usize {
    match client.update(sql, None, args) {
        Ok(rows) => rows.len(),
        Err(error) => spi_failed("cannot write the configuration of an endpoint", &error),
    }
}
