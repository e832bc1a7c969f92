//! Sources without a target attach themselves, if the settings say so.

use std::collections::BTreeMap;
use std::ffi::CString;

use cdc_core::{Event, EventKey, SourceTable};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::target_cache;
use super::targets::Targets;
use crate::settings;
use crate::sql_error::spi_failed;

const ATTACH: &str = "
    insert into cdc.attachments (source_schema, source_table, target_schema, target_table, key, on_unknown, on_delete,
                                 columns, dropped, owner, creates_target)
    select $1, $2, $3, $4, $5, 'alter', 'delete', '{}', '{}', r.oid,
           to_regclass(format('%I.%I', $3, $4)) is null
      from pg_catalog.pg_roles r where r.rolname = $6
    on conflict do nothing";

/// Attaches the sources of events that have no target; a source whose key is not known stays without.
pub(super) fn attach_themselves(
    client: &mut SpiClient<'_>,
    targets: &mut Targets,
    events: &[(usize, Event<'_>)],
) {
    let Some(role) = text(&settings::AUTO_ATTACH) else { return };
    let unknown = events.iter().map(|(_, event)| event).filter(|event| targets.find(&event.source).is_none());
    let mut keys: BTreeMap<&SourceTable, Vec<String>> = BTreeMap::new();
    for event in unknown {
        if !keys.contains_key(&event.source)
            && let Some(key) = key(event)
        {
            keys.insert(&event.source, key);
        }
    }
    if keys.is_empty() {
        return;
    }
    let schema = text(&settings::AUTO_ATTACH_SCHEMA).unwrap_or_else(|| "public".to_owned());
    for (source, key) in keys {
        let args = [
            source.schema().into(),
            source.table().into(),
            schema.as_str().into(),
            source.table().to_lowercase().into(),
            key.into(),
            role.as_str().into(),
        ];
        match client.update(ATTACH, None, &args).map(|rows| rows.len()) {
            Ok(0) => warning!("pg_cdc_ods.auto_attach names no role: {role}"),
            Ok(_) => (),
            Err(error) => spi_failed("cannot write cdc.attachments", &error),
        }
    }
    *targets = target_cache::load(client);
}

/// The key columns of an event's table: those of the message's key, else the first of the configured ones.
fn key(event: &Event<'_>) -> Option<Vec<String>> {
    if let Some(EventKey::Columns(columns)) = &event.key {
        return Some(columns.columns().map(|(name, _)| name.to_lowercase()).collect());
    }
    let row = event.after.as_ref().or(event.before.as_ref())?;
    let candidates =
        text(&settings::AUTO_ATTACH_KEY)?.replace("{table}", event.source.table()).to_lowercase();
    let has_column = |name: &&str| row.columns().any(|(column, _)| column.to_lowercase() == **name);
    candidates.split(',').map(str::trim).find(has_column).map(|name| vec![name.to_owned()])
}

/// The text of a setting; `None` if it is empty.
fn text(setting: &pgrx::GucSetting<Option<CString>>) -> Option<String> {
    let text = setting.get()?.into_string().ok()?;
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}
