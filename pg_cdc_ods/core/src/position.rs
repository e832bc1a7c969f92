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
//! Oracle (coordinates): commit SCN (SCN if there is none), phase (0 snapshot, 1 stream), SCN, `rs_id`, `ssn`. A
//! snapshot row at an SCN comes before any change committed at that SCN. Without coordinates the order is the
//! source's time in microseconds, then the order of arrival: the best that can be had, and no more than that.

use serde::Deserialize;

/// Position by time and arrival, for events that carry no coordinates.
const CLASS_TIME: u8 = 1;
/// Position by the source's own coordinates. Sorts after every [`CLASS_TIME`] position.
const CLASS_COORDINATES: u8 = 2;

const PHASE_SNAPSHOT: u8 = 0;
const PHASE_STREAM: u8 = 1;

/// The position of an event in its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Vec<u8>);

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
        let mut bytes = Vec::with_capacity(17);
        bytes.push(CLASS_TIME);
        // Flipping the sign bit makes two's complement sort as unsigned bytes.
        bytes.extend_from_slice(&((unix_micros as u64) ^ (1 << 63)).to_be_bytes());
        bytes.extend_from_slice(&arrival.to_be_bytes());
        Self(bytes)
    }

    /// The position from an event's `source` block, or `None` when it has no coordinates that are known.
    pub(crate) fn from_source(source: &Coordinates<'_>) -> Option<Self> {
        let scn = source.scn.as_deref().and_then(digits);
        let commit_scn = source.commit_scn.as_deref().and_then(digits);
        let major = commit_scn.or(scn)?;
        let mut bytes = Vec::with_capacity(48);
        bytes.push(CLASS_COORDINATES);
        push_number(&mut bytes, major);
        bytes.push(if source.is_snapshot { PHASE_SNAPSHOT } else { PHASE_STREAM });
        push_number(&mut bytes, scn.unwrap_or(major));
        push_text(&mut bytes, source.rs_id.as_deref().unwrap_or_default().trim());
        push_number(&mut bytes, source.ssn.unwrap_or(0).into());
        Some(Self(bytes))
    }
}

/// The fields of a `source` block that tell the order of events.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Coordinates<'a> {
    pub(crate) scn: Option<std::borrow::Cow<'a, str>>,
    pub(crate) commit_scn: Option<std::borrow::Cow<'a, str>>,
    pub(crate) rs_id: Option<std::borrow::Cow<'a, str>>,
    pub(crate) ssn: Option<u64>,
    pub(crate) is_snapshot: bool,
}

/// SCN are strings of digits that can exceed 2^53; 38 digits are more than Oracle will ever write.
fn digits(text: &str) -> Option<u128> {
    let text = text.trim();
    let valid = !text.is_empty() && text.len() <= 38 && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.bytes().fold(0_u128, |sum, byte| sum * 10 + u128::from(byte - b'0')))
}

fn push_number(bytes: &mut Vec<u8>, number: u128) {
    let all = number.to_be_bytes();
    let significant = &all[(number.leading_zeros() / 8) as usize..];
    bytes.push(significant.len() as u8);
    bytes.extend_from_slice(significant);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.bytes().filter(|byte| *byte != 0).map(|byte| byte.to_ascii_lowercase()));
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oracle(commit_scn: Option<&str>, scn: &str, rs_id: &str, ssn: u64, is_snapshot: bool) -> Position {
        let coordinates = Coordinates {
            scn: Some(scn.to_owned().into()),
            commit_scn: commit_scn.map(|text| text.to_owned().into()),
            rs_id: Some(rs_id.to_owned().into()),
            ssn: Some(ssn),
            is_snapshot,
        };
        Position::from_source(&coordinates).unwrap()
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
        assert!(Position::from_time(3, 1) < Position::from_time(3, 2));
        assert!(Position::from_time(i64::MAX, u64::MAX) < oracle(None, "0", "", 0, true));
    }

    #[test]
    fn what_is_not_a_number_is_no_coordinate() {
        for text in ["", " ", "-1", "1.5", "0x10", "999999999999999999999999999999999999999"] {
            let coordinates = Coordinates { scn: Some(text.into()), ..Coordinates::default() };
            assert_eq!(Position::from_source(&coordinates), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_keep_their_order(a: u128, b: u128) {
            let encode = |number| { let mut bytes = Vec::new(); push_number(&mut bytes, number); bytes };
            prop_assert_eq!(a.cmp(&b), encode(a).cmp(&encode(b)));
        }
    }
}
