//! Keeps what a batch has shown of the columns of its sources: `cdc.source_columns` and `cdc.schema_history`.

use cdc_core::{ColumnDrift, Drift, Kind};
use pgrx::spi::SpiClient;

use super::arrays::parameter;
use super::dead_letters::printable;
use super::targets::{Target, Targets};
use crate::messages::Message;
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// Writes what is new since the targets were loaded.
pub(super) fn record(client: &mut SpiClient<'_>, targets: &mut Targets, messages: &[Message<'_>]) {
    for target in targets.iter_mut() {
        remember_columns(client, target);
        let drifts = target.source_columns.take_drifts();
        if !drifts.is_empty() {
            record_drifts(client, target, &drifts, messages);
        }
    }
}

const REMEMBER_COLUMN: &str = "
    insert into cdc.source_columns (attachment_id, column_name, kinds) values ($1, $2, $3)
    on conflict (attachment_id, column_name) do update set kinds = excluded.kinds";

fn remember_columns(client: &mut SpiClient<'_>, target: &mut Target) {
    for (name, kinds) in target.source_columns.take_changed() {
        let kinds: Vec<String> = kinds.names().into_iter().map(str::to_owned).collect();
        let args = [target.attachment_id.into(), printable(&name).into(), kinds.into()];
        if let Err(error) = client.update(REMEMBER_COLUMN, None, &args) {
            spi_failed("cannot write cdc.source_columns", &error);
        }
    }
}

/// Whether one of them is not recorded. To record it tells everybody that keeps configuration in memory, so that must not
/// be done in vain.
const ARE_NEWS: &str = "
    select exists (select from unnest($2::text[], $3::text[], $4::text[]) as e(column_name, change, new_type)
                    where not exists (
                        select from cdc.schema_history h
                         where (h.source, h.column_name, h.change) = ($1, e.column_name, e.change)
                           and coalesce(h.new_type, '') = coalesce(e.new_type, '')))";

const RECORD_DRIFTS: &str = "
    insert into cdc.schema_history (source, column_name, change, old_type, new_type, topic, stream, seq)
    select $1, e.column_name, e.change, e.old_type, e.new_type, e.topic, e.stream, e.seq
      from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
           as e(column_name, change, old_type, new_type, topic, stream, seq)
    on conflict do nothing";

fn record_drifts(
    client: &mut SpiClient<'_>,
    target: &Target,
    drifts: &[ColumnDrift],
    messages: &[Message<'_>],
) {
    let texts = |read: &dyn Fn(&ColumnDrift) -> Option<String>| {
        parameter("text", drifts.iter().map(read).collect()).datum
    };
    let source = target.source.to_string();
    let names = || texts(&|drift| Some(printable(&drift.column)));
    let changes = || texts(&|drift| Some(change(&drift.drift).to_owned()));
    let new_types = || texts(&|drift| new_type(&drift.drift).map(str::to_owned));
    let args = [source.as_str().into(), names(), changes(), new_types()];
    let are_news = plan_cache::update(client, ARE_NEWS, &args).and_then(|row| row.one::<bool>());
    match are_news {
        Ok(Some(true)) => (),
        Ok(_) => return,
        Err(error) => spi_failed("cannot read cdc.schema_history", &error),
    }
    let message = |drift: &ColumnDrift| &messages[drift.message];
    let args = [
        source.as_str().into(),
        names(),
        changes(),
        texts(&|drift| match &drift.drift {
            Drift::Retyped { from, .. } => Some(from.names().join(", ")),
            Drift::New { .. } | Drift::Missing => None,
        }),
        new_types(),
        texts(&|drift| Some(message(drift).topic.to_owned())),
        texts(&|drift| Some(message(drift).stream.to_owned())),
        parameter("bigint", drifts.iter().map(|drift| Some(message(drift).seq)).collect()).datum,
    ];
    if let Err(error) = client.update(RECORD_DRIFTS, None, &args) {
        spi_failed("cannot write cdc.schema_history", &error);
    }
}

fn new_type(drift: &Drift) -> Option<&'static str> {
    match drift {
        Drift::Retyped { to, .. } => Some(to.as_str()),
        Drift::New { kind } => kind.map(Kind::as_str),
        Drift::Missing => None,
    }
}

fn change(drift: &Drift) -> &'static str {
    match drift {
        Drift::New { .. } => "new",
        Drift::Missing => "missing",
        Drift::Retyped { .. } => "retyped",
    }
}
