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
    /// A window is closed when it has ended this long before the newest event, an interval as text.
    pub watermark_delay: String,
}

/// Where windows begin to be counted: a Monday, so that windows of whole days and weeks begin as people expect.
const ORIGIN: &str = "2001-01-01";

impl Aggregate {
    /// Adds the contributions of a change to the windows. `$1`: the time of the newest event, or null. Returns the
    /// beginnings of windows in which a group is left without contributions, and how many contributions came late.
    #[must_use]
    pub fn add_change(&self, event: RowEvent) -> String {
        match event {
            RowEvent::Insert => self.add(&self.version(Sign::Plus, "new_rows")),
            RowEvent::Delete => self.add(&self.version(Sign::Minus, "old_rows")),
            RowEvent::Update => self.add(&format!(
                "{} union all {}",
                self.version(Sign::Plus, "new_rows"),
                self.version(Sign::Minus, "old_rows")
            )),
        }
    }

    /// Adds all rows of the source; `$1` and result as in [`Self::add_change`].
    #[must_use]
    pub fn add_all(&self) -> String {
        self.add(&self.version(Sign::Plus, &self.source))
    }

    /// What the rows of a relation contribute, the measures with this sign.
    fn version(&self, sign: Sign, rows: &str) -> String {
        let (weight, minus) = match sign {
            Sign::Plus => (1, ""),
            Sign::Minus => (-1, "-"),
        };
        let groups = each(&self.groups, |name| format!(", c.{name}"));
        let measures = each(&self.measures, |name| format!(", {minus}c.{name} as {name}"));
        format!(
            "select {weight} as weight, {} as window_start{groups}{measures} from ({}) c where c.event_time is not null",
            self.window("c.event_time"),
            self.contributed_by(rows)
        )
    }

    fn contributed_by(&self, rows: &str) -> String {
        format!("with changed as (select * from {rows}) select * from ({}) c", self.contributions)
    }

    /// All groups are summed up at once, and what comes to nothing is left out: a window is written only if it changes.
    fn add(&self, change: &str) -> String {
        let (size, counter) = (self.size(), quote_name(&self.counter));
        let is_closed = format!("coalesce(d.window_start + {size} <= {}, false)", self.watermark());
        format!(
            "with version as ({change}), \
             delta as ( \
                select v.window_start{v_groups}{sums}, sum(v.weight) as contributions, \
                       count(*) filter (where v.weight > 0) as arrived \
                  from version v group by v.window_start{v_groups} having sum(v.weight) <> 0{nonzero}), \
             written as ( \
                insert into {target} as t (window_start, window_end{groups}, {counter}{measures}, closed) \
                select d.window_start, d.window_start + {size}{d_groups}, d.contributions{d_measures}, {is_closed} \
                  from delta d order by d.window_start{d_groups} \
                on conflict (window_start{groups}) do update \
                   set {counter} = t.{counter} + excluded.{counter}{additions} \
                returning t.window_start, t.{counter} as contributions) \
             select (select array_agg(distinct w.window_start::text) from written w where w.contributions = 0), \
                    (select coalesce(sum(d.arrived), 0)::bigint from delta d where {is_closed})",
            target = self.target,
            groups = each(&self.groups, |name| format!(", {name}")),
            v_groups = each(&self.groups, |name| format!(", v.{name}")),
            d_groups = each(&self.groups, |name| format!(", d.{name}")),
            measures = each(&self.measures, |name| format!(", {name}")),
            d_measures = each(&self.measures, |name| format!(", d.{name}")),
            sums = each(&self.measures, |name| format!(", coalesce(sum(v.{name}), 0) as {name}")),
            nonzero = each(&self.measures, |name| format!(" or sum(v.{name}) <> 0")),
            additions = each(&self.measures, |name| format!(", {name} = t.{name} + excluded.{name}")),
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

    /// Closes the windows that are over when the newest event is of the time `$1`.
    #[must_use]
    pub fn close(&self) -> String {
        let ends = format!("t.window_end <= {}", self.watermark());
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
                    coalesce(g.window_start + {size} <= {watermark}, false) as closed from groups g) g \
                    cross join lateral jsonb_populate_record(null::{target}, to_jsonb(g)) r) r), \
             stored as (select {columns} from {target}) \
             select to_jsonb(d), null::jsonb from (select * from expected except select * from stored) d \
             union all \
             select null::jsonb, to_jsonb(d) from (select * from stored except select * from expected) d \
             limit $2",
            window = self.window("event_time"),
            counter = quote_name(&self.counter),
            whole = self.contributed_by(&self.source),
            size = self.size(),
            watermark = self.watermark(),
            target = self.target,
        )
    }

    /// Up to when windows have ended that are closed, in the type of `event_time`; null before the first event.
    fn watermark(&self) -> String {
        let newest = format!("($1::timestamptz - {}::interval)", quote_text(&self.watermark_delay));
        match self.time_type.as_str() {
            "timestamp without time zone" => format!("({newest} at time zone 'UTC')"),
            _ => newest,
        }
    }

    fn size(&self) -> String {
        format!("{}::interval", quote_text(&self.window_size))
    }

    fn window(&self, time: &str) -> String {
        format!("date_bin({}, {time}, {}::{})", self.size(), quote_text(ORIGIN), self.time_type)
    }
}

/// Whether rows are added or taken away.
#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

/// Something for each of these names, quoted.
fn each(names: &[String], write: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| write(&quote_name(name))).collect()
}
