//! The statements of an enriched table, as text.
//!
//! Integer keys travel as `bigint[]`. Keys of all other types travel as `text[]` and are cast to the key's type, and so do
//! keys from the queue.

use super::{Dependency, Enrichment, Policy};
use crate::sql_name::{name_list, quote_name, quote_text};

/// What happened to rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowEvent {
    /// They are in `new_rows`.
    Insert,
    /// They are in `old_rows` and `new_rows`.
    Update,
    /// They are in `old_rows`.
    Delete,
}

impl RowEvent {
    /// The rows before and after a change.
    fn changed(self) -> &'static str {
        match self {
            Self::Insert => "select * from new_rows",
            Self::Delete => "select * from old_rows",
            Self::Update => "select * from new_rows union all select * from old_rows",
        }
    }
}

/// How keys travel between the server and its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// As `bigint`.
    Integer,
    /// As `text`.
    Text,
}

impl KeyForm {
    fn sql_name(self) -> &'static str {
        match self {
            Self::Integer => "bigint",
            Self::Text => "text",
        }
    }
}

impl Dependency {
    /// The quoted name of the table.
    #[must_use]
    pub fn quoted_table(&self) -> String {
        format!("{}.{}", quote_name(&self.schema), quote_name(&self.table))
    }

    /// Whether an update of its rows alters no more than the columns that the declaration names.
    #[must_use]
    pub fn alters_columns(&self) -> bool {
        self.policy == Policy::Refresh && !self.columns.is_empty() && !self.row_key.is_empty()
    }
}

impl Enrichment {
    /// How the keys of changed rows travel.
    #[must_use]
    pub fn key_form(&self) -> KeyForm {
        match self.key_type.as_str() {
            "smallint" | "integer" | "bigint" => KeyForm::Integer,
            _ => KeyForm::Text,
        }
    }

    /// The parameter `$1` as an array of keys.
    fn sent_keys(&self, form: KeyForm) -> String {
        match (form.sql_name(), self.key_type.as_str()) {
            (sent, key_type) if sent == key_type => format!("$1::{sent}[]"),
            (sent, key_type) => format!("$1::{sent}[]::{key_type}[]"),
        }
    }

    /// The keys that a change of a dependency makes dirty, as an array of their [`KeyForm`]. `$1`: how many at most.
    #[must_use]
    pub fn dirty_keys(&self, dependency: &Dependency, event: RowEvent) -> String {
        format!(
            "with changed as ({}) select array_agg(d.key) from \
             (select k.key::{} as key from ({}) as k(key) where k.key is not null{} limit $1) d",
            event.changed(),
            self.key_form().sql_name(),
            dependency.keys,
            self.only_waiting(dependency),
        )
    }

    /// The changed rows as one JSON array, to be mapped to keys later.
    #[must_use]
    pub fn changed_rows(event: RowEvent) -> String {
        format!("with changed as ({}) select jsonb_agg(to_jsonb(c)) from changed c", event.changed())
    }

    /// The key of the row of the table at which a stretch of it ends: the `$2`-th after the key `$1`, or with `is_first`
    /// the `$2`-th of all. None if fewer rows are left. It is found by the primary key.
    #[must_use]
    pub fn end_of_stretch(&self, is_first: bool) -> String {
        let key = quote_name(&self.key);
        let after =
            if is_first { String::new() } else { format!(" where t.{key} > $1::text::{}", self.key_type) };
        format!(
            "select t.{key}::text from {} t{after} order by t.{key} offset $2::bigint - 1 limit 1",
            self.target
        )
    }

    /// The next keys of changed rows that were put off, in order. `$1`: the rows as JSON; `$2`: the key up to which it is
    /// done, or null; `$3`: up to which it is to be done, or null; `$4`: how many at most.
    #[must_use]
    pub fn next_keys(&self, dependency: &Dependency) -> String {
        format!(
            "select array_agg(d.key::text order by d.key) from (select distinct k.key from ({}) k where {} \
             and ($3::text is null or k.key <= $3::text::{}) order by 1 limit $4) d",
            self.postponed_keys(dependency),
            self.after_cursor("k.key", "$2"),
            self.key_type,
        )
    }

    /// How many keys of changed rows that were put off are left; `$1` and `$2` as in [`Self::next_keys`].
    #[must_use]
    pub fn count_keys(&self, dependency: &Dependency) -> String {
        format!(
            "select count(distinct k.key) from ({}) k where {}",
            self.postponed_keys(dependency),
            self.after_cursor("k.key", "$2"),
        )
    }

    fn postponed_keys(&self, dependency: &Dependency) -> String {
        format!(
            "with changed as (select * from jsonb_populate_recordset(null::{}, $1::jsonb)) \
             select k.key::{}{} as key from ({}) as k(key) where k.key is not null{}",
            dependency.quoted_table(),
            self.key_type,
            self.collate(),
            dependency.keys,
            self.only_waiting(dependency),
        )
    }

    /// With [`Policy::Pending`] a change concerns only rows that wait for it.
    fn only_waiting(&self, dependency: &Dependency) -> String {
        match (&dependency.part, dependency.policy) {
            (Some(part), Policy::Pending) => format!(
                " and exists (select from {} t where t.{} = k.key and {} = any (t.missing))",
                self.target,
                quote_name(&self.key),
                quote_text(part),
            ),
            _ => String::new(),
        }
    }

    /// Has keys in the order that the primary key's index has them in.
    fn collate(&self) -> String {
        self.key_collation.as_ref().map(|collation| format!(" collate {collation}")).unwrap_or_default()
    }

    fn after_cursor(&self, key: &str, cursor: &str) -> String {
        format!("({cursor}::text is null or {key} > {cursor}::text::{})", self.key_type)
    }

    /// The next of all keys, those of the query and those of the table. `$1`: the last key done, or null; `$2`: how
    /// many.
    #[must_use]
    pub fn next_of_all_keys(&self) -> String {
        let key = quote_name(&self.key);
        let part = |relation: &str| {
            let ordered = format!("r.{key}{}", self.collate());
            let after = self.after_cursor(&ordered, "$1");
            format!(
                "(select {ordered} as key from {relation} r where r.{key} is not null and {after} order by 1 limit $2)"
            )
        };
        format!(
            "select array_agg(d.key::text order by d.key) from (select key from ({} union {}) k order by 1 limit $2) d",
            part(&format!("({})", self.query)),
            part(&self.target),
        )
    }

    /// Makes the table right for the keys `$1`, each of them once; returns whether the query gives more than one row for a
    /// key.
    ///
    /// A row that is as it should be is not touched. `INSERT … ON CONFLICT` would do in one step what UPDATE and INSERT do
    /// here, but it locks every row that is there, which is a write, too. Rows are added only by who holds the progress
    /// lock, so that a row cannot come between the two. New integer keys are mostly larger than all before, and are not
    /// looked up.
    #[must_use]
    pub fn refresh(&self, form: KeyForm) -> String {
        let stamp = |column, value| if self.stamped { format!(", {column}{value}") } else { String::new() };
        let others: Vec<_> = self.columns.iter().filter(|name| **name != self.key).collect();
        let merged: Vec<_> = others.iter().map(|name| (quote_name(name), self.merged(name, "f"))).collect();
        let assignments: Vec<_> = merged.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let stored: Vec<_> = merged.iter().map(|(name, _)| format!("t.{name}")).collect();
        let values: Vec<_> = merged.iter().map(|(_, value)| value.as_str()).collect();
        let key = quote_name(&self.key);
        let [last, may_be_there, is_new] = match form {
            KeyForm::Integer => [
                format!(
                    "last as materialized (select coalesce(max(t.{key}), {}) as key from {} t), ",
                    i64::MIN,
                    self.target
                ),
                format!(" and f.{key} <= (select l.key from last l)"),
                format!("f.{key} > (select l.key from last l) or "),
            ],
            KeyForm::Text => Default::default(),
        };
        format!(
            "with fresh as materialized (select * from ({query}) q where q.{key} = any ({keys})), \
             lost as materialized (select k from unnest({keys}) k where k not in (select f.{key} from fresh f)), \
             gone as (delete from {target} t where t.{key} = any (array(select k from lost))), \
             {last}updated as (update {target} t set {assignments}{stamp_assignment} from fresh f \
                where t.{key} = f.{key}{may_be_there} and ({stored}) is distinct from ({values}) returning t.{key}), \
             added as (insert into {target} ({columns}{stamp_column}) select {columns}{stamp_value} from fresh f \
                where {is_new}f.{key} not in (select u.{key} from updated u) \
                and not exists (select from {target} t where t.{key} = f.{key})) \
             select (select count(*) from fresh) + (select count(*) from lost) > cardinality($1)",
            keys = self.sent_keys(form),
            query = self.query,
            target = self.target,
            columns = name_list("", &self.columns),
            stamp_column = stamp("processed_at", ""),
            stamp_value = stamp("clock_timestamp()", ""),
            stamp_assignment = stamp("processed_at", " = clock_timestamp()"),
            assignments = assignments.join(", "),
            stored = stored.join(", "),
            values = values.join(", "),
        )
    }

    /// Makes the columns of a dependency right for the keys `$1` that are in the table, each of them once; returns whether the
    /// query gives more than one row for a key. The server leaves out the parts of the query that these columns do not need.
    #[must_use]
    pub fn refresh_columns(&self, dependency: &Dependency, form: KeyForm) -> String {
        let columns = &dependency.columns;
        let assignments: Vec<_> =
            columns.iter().map(|name| quote_name(name)).map(|name| format!("{name} = f.{name}")).collect();
        format!(
            "with fresh as materialized (select q.{key}, {given} from ({query}) q \
                where q.{key} = any ({keys})), \
             updated as (update {target} t set {assignments}{stamp} from fresh f \
                where t.{key} = f.{key} and ({stored}) is distinct from ({fresh})) \
             select count(*) > count(distinct f.{key}) from fresh f",
            key = quote_name(&self.key),
            keys = self.sent_keys(form),
            given = name_list("q.", columns),
            query = self.query,
            target = self.target,
            assignments = assignments.join(", "),
            stamp = if self.stamped { ", processed_at = clock_timestamp()" } else { "" },
            stored = name_list("t.", columns),
            fresh = name_list("f.", columns),
        )
    }

    /// Every row in which the table differs from its query: key, what the query gives, what is stored. `$1`: how many
    /// at most.
    #[must_use]
    pub fn differences(&self) -> String {
        let key = quote_name(&self.key);
        let expected: Vec<_> = self
            .columns
            .iter()
            .map(|name| {
                (
                    quote_name(name),
                    if *name == self.key { format!("q.{key}") } else { self.merged(name, "q") },
                )
            })
            .collect();
        // The table's own types decide what is equal: a sum with more digits than its column is the same once stored.
        let cast: Vec<_> = expected.iter().map(|(name, value)| format!("{value} as {name}")).collect();
        format!(
            "select coalesce(e.{key}, t.{key})::text, \
                case when e.{key} is not null then (select to_jsonb(x) from (select {e_columns}) x) end, \
                case when t.{key} is not null then (select to_jsonb(x) from (select {t_columns}) x) end \
             from (select r.* from (select {cast} from ({query}) q left join {target} t on t.{key} = q.{key} \
                                     where q.{key} is not null) q \
                   cross join lateral jsonb_populate_record(null::{target}, to_jsonb(q)) r) e \
             full join {target} t on t.{key} = e.{key} \
             where e.{key} is null or t.{key} is null or ({e_columns}) is distinct from ({t_columns}) limit $1",
            cast = cast.join(", "),
            query = self.query,
            target = self.target,
            e_columns = name_list("e.", &self.columns),
            t_columns = name_list("t.", &self.columns),
        )
    }

    /// How many rows wait for each part.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.columns.iter().any(|name| name == "missing").then(|| {
            format!(
                "select part, count(*) from {} t cross join lateral unnest(t.missing) as part \
                 where t.missing <> '{{}}' group by part order by part",
                self.target
            )
        })
    }

    /// The value that a column gets when the row `t` is there: the fresh one, unless a part that the row has keeps it.
    fn merged(&self, column: &str, fresh: &str) -> String {
        let quoted = quote_name(column);
        let fresh_value = format!("{fresh}.{quoted}");
        let keeping = || self.dependencies.iter().filter(|dependency| dependency.policy == Policy::Pending);
        match column {
            "missing" => keeping().fold(fresh_value, |value, dependency| {
                let part = quote_text(dependency.part.as_deref().unwrap_or_default());
                format!(
                    "case when {} then array_remove({value}, {part}) else {value} end",
                    self.keeps(dependency, fresh)
                )
            }),
            "complete" if keeping().next().is_some() => {
                format!("{fresh_value} or {} = '{{}}'", self.merged("missing", fresh))
            }
            _ => keeping().filter(|dependency| dependency.columns.iter().any(|name| name == column)).fold(
                fresh_value,
                |value, dependency| {
                    format!("case when {} then t.{quoted} else {value} end", self.keeps(dependency, fresh))
                },
            ),
        }
    }

    /// Whether the row `t` has the part already, and of the same row of the dimension.
    fn keeps(&self, dependency: &Dependency, fresh: &str) -> String {
        let part = quote_text(dependency.part.as_deref().unwrap_or_default());
        let mut keeps = format!("t.{} is not null and {part} <> all (t.missing)", quote_name(&self.key));
        for name in &dependency.reference {
            let name = quote_name(name);
            keeps.push_str(&format!(" and t.{name} is not distinct from {fresh}.{name}"));
        }
        keeps
    }
}
