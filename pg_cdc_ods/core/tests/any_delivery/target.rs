//! A random target: columns, key, rules, documents, policies.

use cdc_core::{ColumnRule, ColumnType, OnDelete, OnUnknown, Plan, TargetColumn};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::kinds::{EXTRAS, KEYS, Kind, VALUES, WORDS};

/// Source columns that rules read; see [`Target::plan`].
const RULED: [&str; 5] = ["FIRST", "LAST", COMPARED, "NEW_NAME", "OLD_NAME"];

/// The one of them that is compared with a text.
pub(crate) const COMPARED: &str = "FLAG";

/// Source columns that have no place in any target.
const UNPLACED: [&str; 2] = ["EXTRA", "Other extra"];

/// The source column that targets drop.
const DROPPED: &str = "DROPPED";

/// A target and its source.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) keys: Vec<&'static Kind>,
    pub(crate) values: Vec<&'static Kind>,
    pub(crate) has_rules: bool,
    pub(crate) documents: usize,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) on_delete: OnDelete,
}

/// What a source column is to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has a column of its own, or is a document.
    Cell,
    /// A rule reads it.
    Ruled,
    /// It goes to `extra_fields`.
    Extra,
    Dropped,
}

/// A source column that is not in the key.
#[derive(Debug, Clone)]
pub(crate) struct SourceColumn {
    pub(crate) name: String,
    pub(crate) kind: &'static Kind,
    pub(crate) role: Role,
}

impl SourceColumn {
    /// Whether it is kept in `extra_fields`.
    pub(crate) fn overflows(&self) -> bool {
        // A comparison loses what the column said, so that it is kept beside it.
        self.role == Role::Extra || self.name == COMPARED
    }
}

impl Target {
    /// The columns of the source behind the key, those with a column of their own first.
    pub(crate) fn source_columns(&self) -> Vec<SourceColumn> {
        let column = |name: String, kind, role| SourceColumn { name, kind, role };
        let values = self.values.iter().enumerate();
        let values = values.map(|(place, kind)| column(format!("VALUE_{place}"), *kind, Role::Cell));
        let documents = (0..self.documents).map(|place| column(format!("DOC_{place}"), &WORDS, Role::Cell));
        let ruled = RULED.iter().filter(|_| self.has_rules);
        let ruled = ruled.map(|name| column((*name).to_owned(), &WORDS, Role::Ruled));
        let unplaced = UNPLACED.iter().map(|name| column((*name).to_owned(), &EXTRAS, Role::Extra));
        let dropped = [column(DROPPED.to_owned(), &WORDS, Role::Dropped)];
        values.chain(documents).chain(ruled).chain(unplaced).chain(dropped).collect()
    }

    /// The plan for it.
    pub(crate) fn plan(&self) -> Plan {
        let column = |name: String, sql_name: &str, rule: &Value| TargetColumn {
            name,
            column_type: ColumnType::from_sql_name(sql_name),
            rule: ColumnRule::from_json(rule).unwrap(),
        };
        let numbered = |prefix: &str, kinds: &[&'static Kind]| -> Vec<TargetColumn> {
            let place = |(place, kind): (usize, &&'static Kind)| {
                let name = format!("{prefix}_{place}");
                column(name.clone(), kind.sql_name, &json!(name))
            };
            kinds.iter().enumerate().map(place).collect()
        };
        let mut columns = numbered("key", &self.keys);
        let key: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        columns.extend(numbered("value", &self.values));
        if self.has_rules {
            let joined = json!({"join": ["FIRST", "LAST"], "separator": " "});
            columns.push(column("joined".to_owned(), "text", &joined));
            columns.push(column("is_set".to_owned(), "boolean", &json!({"column": COMPARED, "equals": "Y"})));
            columns.push(column("name".to_owned(), "text", &json!(["NEW_NAME", "OLD_NAME"])));
        }
        let dropped = [DROPPED.to_owned()];
        let plan = Plan::new(columns, &key, self.on_unknown, self.on_delete, &dropped).unwrap();
        let documents: Vec<String> = (0..self.documents).map(|place| format!("DOC_{place}")).collect();
        plan.with_documents(documents.iter().map(String::as_str))
    }
}

pub(crate) fn any_target() -> impl Strategy<Value = Target> {
    let kinds = |kinds: &'static [&'static Kind], count: std::ops::Range<usize>| {
        prop::collection::vec(prop::sample::select(kinds), count)
    };
    let on_unknown = prop_oneof![4 => Just(OnUnknown::Overflow), 1 => Just(OnUnknown::Alter), 1 => Just(OnUnknown::Reject)];
    let on_delete =
        prop_oneof![3 => Just(OnDelete::Delete), 2 => Just(OnDelete::Soft), 1 => Just(OnDelete::Ignore)];
    let drawn = (kinds(&KEYS, 1..3), kinds(&VALUES, 0..4), any::<bool>(), 0..3_usize, on_unknown, on_delete);
    drawn.prop_map(|(keys, values, has_rules, documents, on_unknown, on_delete)| Target {
        keys,
        values,
        has_rules,
        documents,
        on_unknown,
        on_delete,
    })
}
