//! Reads plans: which tables does a query for a few keys read as a whole, because an index is missing?

use serde_json::Value;

/// A table that is read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnindexedScan {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The conditions that an index could serve, as EXPLAIN prints them.
    pub conditions: String,
    /// The name of the table within the conditions.
    alias: String,
}

/// The scans of a plan (EXPLAIN with FORMAT JSON and VERBOSE) that no index serves. The plan must have been made with
/// sequential scans, hash joins and merge joins disabled, so that one is only there if nothing else is possible.
#[must_use]
pub fn unindexed_scans(plan: &Value) -> Vec<UnindexedScan> {
    let mut found = Vec::new();
    let roots = plan.as_array().map(Vec::as_slice).unwrap_or_default();
    roots.iter().filter_map(|root| root.get("Plan")).for_each(|root| collect(root, "", &mut found));
    found
}

fn collect(node: &Value, join_conditions: &str, found: &mut Vec<UnindexedScan>) {
    let text = |name: &str| node.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_scan = text("Node Type").ends_with("Scan");
    if is_scan && !text("Relation Name").is_empty() && text("Index Cond").is_empty() {
        let is_bitmap = text("Node Type") == "Bitmap Heap Scan";
        if !is_bitmap {
            found.push(UnindexedScan {
                schema: text("Schema").to_owned(),
                table: text("Relation Name").to_owned(),
                conditions: format!("{} {join_conditions}", text("Filter")),
                alias: text("Alias").to_owned(),
            });
        }
    }
    let conditions = format!("{} {join_conditions}", text("Join Filter"));
    let children = node.get("Plans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    children.iter().for_each(|child| collect(child, &conditions, found));
}

impl UnindexedScan {
    /// The first of these columns that a condition compares with something by `=`.
    #[must_use]
    pub fn column<'c>(&self, columns: &'c [String]) -> Option<&'c String> {
        let compares = |name: &String| {
            let plain = format!("{}.{name}", self.alias);
            [format!("{plain} = "), format!("= {plain})"), format!("= {plain} ")]
                .iter()
                .any(|pattern| self.conditions.contains(pattern))
        };
        columns.iter().find(|name| compares(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scan_without_an_index_condition_is_found_with_the_column_it_compares() {
        let plan = json!([{"Plan": {"Node Type": "Nested Loop", "Join Filter": "(i.order_id = o.order_id)", "Plans": [
            {"Node Type": "Index Scan", "Schema": "public", "Relation Name": "orders", "Alias": "o",
             "Index Cond": "(o.order_id = 1)"},
            {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": "items", "Alias": "i"},
            {"Node Type": "CTE Scan", "CTE Name": "changed", "Alias": "changed"},
        ]}}]);
        let scans = unindexed_scans(&plan);
        assert_eq!(scans.iter().map(|scan| scan.table.as_str()).collect::<Vec<_>>(), ["items"]);
        let columns = ["item_id".to_owned(), "order_id".to_owned()];
        assert_eq!(scans[0].column(&columns), Some(&columns[1]));
    }
}
