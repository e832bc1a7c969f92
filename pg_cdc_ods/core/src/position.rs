//! Where an event stands in the history of its source, as bytes that sort in source order.
//!
//! `source_pos` guards every ODS row: an event is applied only if its position is greater than the row's. The bytes
//! are compared as PostgreSQL compares `bytea`, so the layout below must sort by itself.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | class | 1 | [`CLASS_TIME`] or [`CLASS_COORDINATES`] |
//! | parts | | numbers as length byte and big-endian digits without leading zeros; texts ended by a zero byte |
//!
//! The parts, by what the connector sends; *phase* is 0 for a row of a snapshot and 1 for a streamed change, so that a
//! snapshot row comes before any change committed at its place:
//!
//! | connector | parts |
//! |---|---|
//! | Oracle | commit SCN (SCN if there is none), phase, SCN, `rs_id`, `ssn`, `lcr_position`, `txSeq`, order in the transaction |
//! | SQL Server, Db2 | `commit_lsn`, phase, `change_lsn`, `event_serial_no`, order in the transaction |
//! | PostgreSQL | LSN of the last commit before (from `sequence`; the LSN if there is none), phase, LSN, order in the transaction |
//! | MySQL, MariaDB | number of the binlog file, `pos`, phase, `row`, order in the transaction |
//! | none of these | the source's time in microseconds, then the broker's message id, else the order of arrival: the best that can be had, and no more than that |

use std::borrow::Cow;

use crate::trim::trim;

/// Position by time and arrival, for events that carry no coordinates.
const CLASS_TIME: u8 = 1;
/// Position by the source's own coordinates. Sorts after every [`CLASS_TIME`] position.
const CLASS_COORDINATES: u8 = 2;

const PHASE_SNAPSHOT: u8 = 0;
const PHASE_STREAM: u8 = 1;

/// The longest text that goes into a position, in bytes; the texts of all connectors are far shorter.
const TEXT_BYTES_MAX: usize = 200;

/// The position of an event in its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Vec<u8>);

/// The fields of a `source` block that tell the order of events, as texts.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Coordinates<'a> {
    pub(crate) scn: Option<Cow<'a, str>>,
    pub(crate) commit_scn: Option<Cow<'a, str>>,
    pub(crate) rs_id: Option<Cow<'a, str>>,
    pub(crate) ssn: Option<Cow<'a, str>>,
    pub(crate) lcr_position: Option<Cow<'a, str>>,
    pub(crate) tx_seq: Option<Cow<'a, str>>,
    pub(crate) commit_lsn: Option<Cow<'a, str>>,
    pub(crate) change_lsn: Option<Cow<'a, str>>,
    pub(crate) event_serial_no: Option<Cow<'a, str>>,
    pub(crate) lsn: Option<Cow<'a, str>>,
    pub(crate) sequence: Option<Cow<'a, str>>,
    pub(crate) file: Option<Cow<'a, str>>,
    pub(crate) pos: Option<Cow<'a, str>>,
    pub(crate) row: Option<Cow<'a, str>>,
    pub(crate) total_order: Option<Cow<'a, str>>,
}

impl Position {
    /// The bytes as they are stored in `source_pos`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes a position back from stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The position of an event without coordinates: its time in microseconds since the Unix epoch, then `arrival`.
    pub fn from_time(unix_micros: i64, arrival: u64) -> Self {
        Self::at_time(unix_micros).number(arrival.into())
    }

    /// The same with the broker's message id, which stays the same when the message is delivered again.
    pub fn from_time_and_message_id(unix_micros: i64, message_id: &str) -> Self {
        Self::at_time(unix_micros).text(Some(message_id))
    }

    fn at_time(unix_micros: i64) -> Self {
        let mut bytes = Vec::with_capacity(24);
        bytes.push(CLASS_TIME);
        // Flipping the sign bit makes two's complement sort as unsigned bytes.
        bytes.extend_from_slice(&((unix_micros as u64) ^ (1 << 63)).to_be_bytes());
        Self(bytes)
    }

    /// The position from an event's `source` block, or `None` when it has no coordinates that are known.
    pub(crate) fn from_source(source: &Coordinates<'_>, is_snapshot: bool) -> Option<Self> {
        let start = || Self(Vec::with_capacity(64)).byte(CLASS_COORDINATES);
        let phase = if is_snapshot { PHASE_SNAPSHOT } else { PHASE_STREAM };
        let scn = digits(&source.scn);
        let position = if let Some(major) = digits(&source.commit_scn).or(scn) {
            start()
                .number(major)
                .byte(phase)
                .number(scn.unwrap_or(major))
                .text(source.rs_id.as_deref())
                .number(digits(&source.ssn).unwrap_or(0))
                .text(source.lcr_position.as_deref())
                .number(digits(&source.tx_seq).unwrap_or(0))
        } else if let Some(commit_lsn) = source.commit_lsn.as_deref().filter(|text| !text.trim().is_empty()) {
            start()
                .text(Some(commit_lsn))
                .byte(phase)
                .text(source.change_lsn.as_deref())
                .number(digits(&source.event_serial_no).unwrap_or(0))
        } else if let Some(lsn) = digits(&source.lsn) {
            start().number(last_commit(&source.sequence).unwrap_or(lsn)).byte(phase).number(lsn)
        } else {
            let file = source.file.as_deref()?.rsplit('.').next()?;
            start()
                .number(digits(&Some(file.into()))?)
                .number(digits(&source.pos)?)
                .byte(phase)
                .number(digits(&source.row).unwrap_or(0))
        };
        Some(position.number(digits(&source.total_order).unwrap_or(0)))
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn number(mut self, number: u128) -> Self {
        let all = number.to_be_bytes();
        let significant = &all[(number.leading_zeros() / 8) as usize..];
        self.0.push(significant.len() as u8);
        self.0.extend_from_slice(significant);
        self
    }

    fn text(mut self, text: Option<&str>) -> Self {
        let bytes = trim(text.unwrap_or_default()).bytes().filter(|byte| *byte != 0).take(TEXT_BYTES_MAX);
        self.0.extend(bytes.map(|byte| byte.to_ascii_lowercase()));
        self.byte(0)
    }
}

/// SCN are strings of digits that can exceed 2^53; 38 digits are more than any source will ever write.
fn digits(text: &Option<Cow<'_, str>>) -> Option<u128> {
    let text = trim(text.as_deref()?);
    // Nearly all fit 64 bits, which are much quicker to count with.
    let (start, rest) = text.as_bytes().split_at(text.len().min(19));
    let start = start.iter().try_fold(0_u64, |sum, byte| Some(sum * 10 + u64::from(digit(*byte)?)))?;
    let number = rest.iter().try_fold(start.into(), |sum, byte| {
        let sum: u128 = sum;
        sum.checked_mul(10)?.checked_add(digit(*byte)?.into())
    });
    number.filter(|_| (1..=38).contains(&text.len()))
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// PostgreSQL's `sequence` is a JSON array in a text: the LSN of the last commit before the event, and its own. Change
/// LSNs of transactions that run side by side interleave; commits do not.
fn last_commit(sequence: &Option<Cow<'_, str>>) -> Option<u128> {
    let parts: Vec<Option<Cow<'_, str>>> = serde_json::from_str(sequence.as_deref()?).ok()?;
    digits(parts.first()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oracle(commit_scn: Option<&str>, scn: &str, rs_id: &str, ssn: u64, is_snapshot: bool) -> Position {
        let coordinates = Coordinates {
            scn: Some(scn.into()),
            commit_scn: commit_scn.map(Into::into),
            rs_id: Some(rs_id.into()),
            ssn: Some(ssn.to_string().into()),
            ..Coordinates::default()
        };
        Position::from_source(&coordinates, is_snapshot).unwrap()
    }

    #[test]
    fn scn_compare_as_integers_beyond_2_to_the_53() {
        assert!(oracle(None, "9", "", 0, false) < oracle(None, "10", "", 0, false));
        let (a, b) = ("9007199254740993", "9007199254740994");
        assert!(oracle(None, a, "", 0, false) < oracle(None, b, "", 0, false));
    }

    #[test]
    fn transactions_come_in_commit_order_and_then_in_their_own() {
        let early_commit = oracle(Some("200"), "190", "0x01.02.03", 7, false);
        let late_commit = oracle(Some("201"), "100", "0x01.02.03", 0, false);
        assert!(early_commit < late_commit);
        assert!(oracle(Some("200"), "190", "0x01.02.03", 0, false) < early_commit);
        assert!(early_commit < oracle(Some("200"), "190", "0x01.02.04", 0, false));
    }

    #[test]
    fn a_snapshot_row_comes_before_the_changes_of_its_scn() {
        assert!(oracle(None, "500", "", 0, true) < oracle(None, "500", "", 0, false));
        assert!(oracle(None, "499", "", 0, false) < oracle(None, "500", "", 0, true));
    }

    #[test]
    fn time_sorts_by_value_then_arrival_and_before_any_coordinates() {
        assert!(Position::from_time(-5, 9) < Position::from_time(3, 1));
        assert!(Position::from_time(3, 1) < Position::from_time(3, 256));
        assert!(Position::from_time(i64::MAX, u64::MAX) < oracle(None, "0", "", 0, true));
        let id = |id| Position::from_time_and_message_id(3, id);
        assert!(id("rmid1:1-a") < id("rmid1:1-b") && id("rmid1:1-a") == id("rmid1:1-a"));
    }

    #[test]
    fn postgresql_orders_by_commits() {
        let at = |sequence: &str, lsn: &str, is_snapshot| {
            let sequence = Some(sequence.to_owned().into()).filter(|text: &Cow<'_, str>| !text.is_empty());
            let lsn = Some(lsn.to_owned().into());
            let coordinates = Coordinates { lsn, sequence, ..Coordinates::default() };
            Position::from_source(&coordinates, is_snapshot).unwrap()
        };
        // The transaction that wrote first, at 100, committed after the one that wrote at 200.
        assert!(at(r#"["150","200"]"#, "200", false) < at(r#"["250","100"]"#, "100", false));
        assert!(at("", "100", false) < at("", "200", false));
        assert!(at(r#"[null,"150"]"#, "150", true) < at("", "150", false));
    }

    #[test]
    fn mysql_orders_by_file_then_place() {
        let at = |file: &'static str, pos: &'static str, row: &'static str| {
            let (file, pos, row) = (Some(file.into()), Some(pos.into()), Some(row.into()));
            Position::from_source(&Coordinates { file, pos, row, ..Coordinates::default() }, false).unwrap()
        };
        assert!(at("mysql-bin.000009", "900", "0") < at("mysql-bin.000010", "4", "0"));
        assert!(at("mysql-bin.000009", "900", "0") < at("mysql-bin.000009", "900", "1"));
    }

    #[test]
    fn sql_server_orders_by_commit_then_change() {
        let at = |commit: &'static str, change: Option<&'static str>, is_snapshot| {
            let (commit_lsn, change_lsn) = (Some(commit.into()), change.map(Into::into));
            let coordinates = Coordinates { commit_lsn, change_lsn, ..Coordinates::default() };
            Position::from_source(&coordinates, is_snapshot).unwrap()
        };
        let commit = "00000027:00000ac0:0002";
        assert!(at(commit, None, true) < at(commit, Some("00000027:00000ab8:0001"), false));
        assert!(
            at(commit, Some("00000027:00000ab8:0001"), false) < at("00000027:00000AD0:0001", None, false)
        );
    }

    #[test]
    fn what_is_not_a_number_is_no_coordinate() {
        for text in ["", " ", "-1", "1.5", "0x10", "999999999999999999999999999999999999999"] {
            let coordinates = Coordinates { scn: Some(text.into()), ..Coordinates::default() };
            assert_eq!(Position::from_source(&coordinates, false), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_keep_their_order(a: u128, b: u128) {
            let encode = |number| Position(Vec::new()).number(number);
            prop_assert_eq!(a.cmp(&b), encode(a).cmp(&encode(b)));
        }
    }
}
