//! AUDIT_LOG: entries that are only ever inserted.

use rand::RngExt;

use super::{Circumstances, Row};
use crate::generate::json_writer::{JsonWriter, Piece};
use crate::generate::table::{Table, pick_from};
use crate::generate::unix_micros::UnixMicros;

const ACTIONS: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "LOGIN", "EXPORT"];
const ENTITY_TYPES: [&str; 4] = ["ORDER", "ORDER_ITEM", "CUSTOMER", "PRODUCT"];

/// Keys that entries speak of: 1 to this.
const ENTITIES: i64 = 10_000;

/// Users who act: 1 to this.
const USERS: i64 = 100;

/// A row of AUDIT_LOG.
#[derive(Debug)]
pub(in crate::generate) struct AuditEntry {
    key: i64,
    action: &'static str,
    entity_type: &'static str,
    entity: i64,
    user: i64,
    host: [i64; 2],
    created: UnixMicros,
}

impl Row for AuditEntry {
    const TABLE: Table = Table::AuditLog;

    fn insert(key: i64, around: &mut Circumstances<'_>) -> Self {
        let rng = &mut *around.rng;
        Self {
            key,
            action: pick_from(rng, &ACTIONS),
            entity_type: pick_from(rng, &ENTITY_TYPES),
            entity: rng.random_range(1..=ENTITIES),
            user: rng.random_range(1..=USERS),
            host: [rng.random_range(0..=255), rng.random_range(1..=254)],
            created: around.now,
        }
    }

    /// An audit log is not rewritten: its operation mix has no updates.
    fn update(&mut self, _around: &mut Circumstances<'_>) {}

    fn write_columns(&self, json: &mut JsonWriter) {
        json.integer("LOG_ID", self.key);
        json.text("ACTION", self.action);
        json.text("ENTITY_TYPE", self.entity_type);
        json.integer("ENTITY_ID", self.entity);
        json.text_of("USER_ID", &[Piece::Text("user_"), Piece::Number(self.user)]);
        let details = [
            Piece::Text("{\"action\": \""),
            Piece::Text(self.action),
            Piece::Text("\", \"entity_id\": "),
            Piece::Number(self.entity),
            Piece::Text("}"),
        ];
        json.text_of("DETAILS", &details);
        let [subnet, host] = self.host;
        let address = [Piece::Text("10.0."), Piece::Number(subnet), Piece::Text("."), Piece::Number(host)];
        json.text_of("IP_ADDRESS", &address);
        json.timestamp("CREATED_AT", self.created);
    }
}
