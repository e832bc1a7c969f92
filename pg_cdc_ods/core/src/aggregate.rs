//! Window aggregates: the statements that keep a table of sums per tumbling window and group equal to a GROUP BY.
//!
//! A query over the relation `changed` says what rows contribute: an `event_time`, the groups, and the measures to sum.
//! It is run over the rows before and after a change, the former count negative, and the sums are added to what is
//! stored. So the order of changes does not matter.

use serde::Deserialize;

use crate::RowEvent;
use crate::sql_name::{name_list, quote_name, quote_text};

/// A window aggregate, as it is stored. All SQL in it names its objects in full.
#[derive(Debug, Clone, Deserialize)]
pub struct Aggregate {
    /// The number of its configuration.
    pub aggregate_id: i32,
    /// The name it was given.
    pub name: String,
    /// The quoted name of the table that is aggregated.
    pub source: String,
    /// The quoted name of the table of windows.
    pub target: String,
    /// What rows contribute: a query over `changed`.
    pub contributions: String,
    /// The columns that windows are grouped by.
    pub groups: Vec<String>,
    /// The column that counts contributions; a group without any has no row.
    pub counter: String,
    /// The columns that are sums of the contributions' columns of these names.
    pub measures: Vec<String>,
    /// The length of a window, an interval as text.
    pub window_size: String,
    /// The type of `event_time`, e.g. `timestamp without time zone`.
    pub time_type: String,
    /// Windows that end up to then are closed; in the type of `event_time`, as text. None before the first event.
    pub watermark: Option<String>,
}

/// Where windows begin to be counted: a Monday, so that windows of whole days and weeks begin as people expect.
const ORIGIN: &str = "2001-01-01";

impl Aggregate {
    /// Adds the contributions of a change to the windows. `$1`: the watermark as text, or null. Returns the beginnings
    /// of windows in which a group is left without contributions, and how many contributions came late.
    #[must_use]
    pub fn add_change(&self, event: RowEvent) -> String {
        let version = |weight: i32, rows: &str| {
            let columns = self.contribution_columns("c.");
            format!(
                "select {weight} as weight, {columns} from (with changed as (select * from {rows}) select * from ({}) c) c",
                self.contributions
            )
        };
        match event {
            RowEvent::Insert => self.add(&version(1, "new_rows")),
            RowEvent::Delete => self.add(&version(-1, "old_rows")),
            RowEvent::Update => {
                self.add(&format!("{} union all {}", version(1, "new_rows"), version(-1, "old_rows")))
            }
        }
    }

    /// Adds all rows of the source; `$1` and result as in [`Self::add_change`].
    #[must_use]
    pub fn add_all(&self) -> String {
        self.add(&format!(
            "select 1 as weight, {} from ({}) c",
            self.contribution_columns("c."),
            self.whole()
        ))
    }

    /// What all rows of the source contribute.
    fn whole(&self) -> String {
        format!("with changed as (select * from {}) select * from ({}) c", self.source, self.contributions)
    }

    fn contribution_columns(&self, prefix: &str) -> String {
        let names: Vec<_> = [&self.groups[..], &self.measures[..]].concat();
        let separator = if names.is_empty() { "" } else { ", " };
        format!("{prefix}event_time{separator}{}", name_list(prefix, &names))
    }

    fn add(&self, change: &str) -> String {
        let sums = |expression: &dyn Fn(&str) -> String| -> String {
            self.measures.iter().map(|name| format!(", {}", expression(&quote_name(name)))).collect()
        };
        let groups = |prefix: &str| -> String {
            self.groups.iter().map(|name| format!(", {prefix}{}", quote_name(name))).collect()
        };
        let (size, watermark) = (self.size(), format!("$1::text::{}", self.time_type));
        let is_closed = format!("coalesce(d.window_start + {size} <= {watermark}, false)");
        let counter = quote_name(&self.counter);
        let nonzero: String = self
            .measures
            .iter()
            .map(|name| quote_name(name))
            .map(|name| format!(" or sum(v.weight * coalesce(v.{name}, 0)) <> 0"))
            .collect();
        format!(
            "with version as ({change}), \
             difference as ( \
                select {window} as window_start{v_groups}{v_measures}, sum(v.weight) as weight \
                  from version v where v.event_time is not null group by 1{v_groups}{v_measures} having sum(v.weight) <> 0), \
             delta as ( \
                select v.window_start{v_groups}{measure_sums}, sum(v.weight) as contributions, \
                       sum(v.weight) filter (where v.weight > 0) as arrived \
                  from difference v group by v.window_start{v_groups} having sum(v.weight) <> 0{nonzero}), \
             written as ( \
                insert into {target} as t (window_start, window_end{plain_groups}, {counter}{plain_measures}, closed) \
                select d.window_start, d.window_start + {size}{d_groups}, d.contributions{d_measures}, {is_closed} \
                  from delta d order by d.window_start{d_groups} \
                on conflict (window_start{plain_groups}) do update \
                   set {counter} = t.{counter} + excluded.{counter}{additions} \
                returning t.window_start, t.{counter} as contributions) \
             select (select array_agg(distinct w.window_start::text) from written w where w.contributions = 0), \
                    (select coalesce(sum(d.arrived), 0)::bigint from delta d where {is_closed})",
            window = self.window("v.event_time"),
            v_groups = groups("v."),
            v_measures = sums(&|name| format!("v.{name}")),
            measure_sums = sums(&|name| format!("sum(v.weight * coalesce(v.{name}, 0)) as {name}")),
            target = self.target,
            plain_groups = groups(""),
            plain_measures = sums(&str::to_owned),
            d_groups = groups("d."),
            d_measures = sums(&|name| format!("d.{name}")),
            additions = sums(&|name| format!("{name} = t.{name} + excluded.{name}")),
        )
    }

    /// Removes groups without contributions from the windows that begin at `$1`.
    #[must_use]
    pub fn remove_empty(&self) -> String {
        format!(
            "delete from {} t where t.window_start = any ($1::text[]::{}[]) and t.{} = 0",
            self.target,
            self.time_type,
            quote_name(&self.counter)
        )
    }

    /// Removes all windows.
    #[must_use]
    pub fn remove_all(&self) -> String {
        format!("delete from {}", self.target)
    }

    /// Closes the windows that end up to `$1`.
    #[must_use]
    pub fn close(&self) -> String {
        let ends = format!("t.window_end <= $1::text::{}", self.time_type);
        format!("update {} t set closed = true where not t.closed and {ends}", self.target)
    }

    /// Every row in which the table differs from a GROUP BY over its source: what is expected and what is stored, one
    /// of them null. `$1`: the watermark; `$2`: how many at most.
    #[must_use]
    pub fn differences(&self) -> String {
        let groups = name_list("", &self.groups);
        let comma = if groups.is_empty() { "" } else { ", " };
        let measures: String = self
            .measures
            .iter()
            .map(|name| quote_name(name))
            .map(|name| format!(", sum(coalesce({name}, 0)) as {name}"))
            .collect();
        let columns = [&self.groups[..], std::slice::from_ref(&self.counter), &self.measures[..]].concat();
        let columns = format!("window_start, window_end, {}, closed", name_list("", &columns));
        format!(
            "with groups as ( \
                select {window} as window_start{comma}{groups}, count(*) as {counter}{measures} \
                  from ({whole}) w where event_time is not null group by 1{comma}{groups}), \
             expected as ( \
                select {columns} from (select r.* from (select g.*, g.window_start + {size} as window_end, \
                    coalesce(g.window_start + {size} <= $1::text::{time_type}, false) as closed from groups g) g \
                    cross join lateral jsonb_populate_record(null::{target}, to_jsonb(g)) r) r), \
             stored as (select {columns} from {target}) \
             select to_jsonb(d), null::jsonb from (select * from expected except select * from stored) d \
             union all \
             select null::jsonb, to_jsonb(d) from (select * from stored except select * from expected) d \
             limit $2",
            window = self.window("event_time"),
            counter = quote_name(&self.counter),
            whole = self.whole(),
            size = self.size(),
            time_type = self.time_type,
            target = self.target,
        )
    }

    fn size(&self) -> String {
        format!("{}::interval", quote_text(&self.window_size))
    }

    fn window(&self, time: &str) -> String {
        format!("date_bin({}, {time}, {}::{})", self.size(), quote_text(ORIGIN), self.time_type)
    }
}
