//! Change events that measures make themselves.

use serde_json::{Value, json};

use crate::corpus::Message;

/// Later than any event of the generator.
const SCN: u64 = 1 << 60;

/// An event that is newer than all of the corpus; `after` is the whole row.
pub(crate) fn newest(table: &str, operation: &str, after: &Value) -> Message {
    let source = json!({
        "version": "2.4.0", "connector": "oracle", "name": "oracle-cdc", "ts_ms": 1_767_225_600_000_u64,
        "snapshot": "false", "db": "ORCL", "schema": "SALES", "table": table, "txId": "1", "scn": SCN.to_string()
    });
    let op = if operation == "insert" { "c" } else { "u" };
    let payload = json!({
        "payload": {"before": null, "after": after, "source": source, "op": op, "ts_ms": 1_767_225_600_000_u64}
    });
    Message {
        topic: format!("cdc/oracle/SALES/{table}/{operation}"),
        payload: payload.to_string(),
        message_id: "bench".to_owned(),
    }
}
