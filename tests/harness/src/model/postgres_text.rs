//! Values as PostgreSQL prints them after it has stored them in a column of some type.

use super::json::Json;

/// Type of an ODS column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// `bigint`, or `integer` where values are small.
    Integer,
    /// `numeric(15,2)`.
    Money,
    /// `text`.
    Text,
    /// `timestamp`.
    Timestamp,
    /// `boolean`.
    Boolean,
}

/// A value that its column cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// Digits before the point that `numeric(15,2)` has room for.
const MONEY_WHOLE_DIGITS: usize = 13;

/// The printed form of `value` in a column of type `column_type`; `None` is null.
pub(super) fn print(value: &Json, column_type: ColumnType) -> Result<Option<String>, Unfit> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::Number(text) | Json::Text(text) => text.as_str(),
        Json::Bool(true) => "true",
        Json::Bool(false) => "false",
        Json::Array(_) | Json::Object(_) => return Err(Unfit),
    };
    match column_type {
        ColumnType::Integer => print_integer(text),
        ColumnType::Money => print_money(text),
        ColumnType::Text => Ok(text.to_owned()),
        ColumnType::Timestamp => print_timestamp(text),
        ColumnType::Boolean => print_boolean(text),
    }
    .map(Some)
}

fn print_integer(text: &str) -> Result<String, Unfit> {
    text.parse::<i64>().map(|number| number.to_string()).map_err(|_| Unfit)
}

/// Rounds to two decimals, halves away from zero, as `numeric(15,2)` does.
fn print_money(text: &str) -> Result<String, Unfit> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(Unfit);
    }
    let rounds_up = fraction.as_bytes().get(2).is_some_and(|&digit| digit >= b'5');
    let hundredths: String = fraction.chars().chain("00".chars()).take(2).collect();
    let cents: u128 = format!("{whole}{hundredths}").parse().map_err(|_| Unfit)?;
    let cents = cents + u128::from(rounds_up);
    let (whole, hundredths) = ((cents / 100).to_string(), cents % 100);
    if whole.len() > MONEY_WHOLE_DIGITS {
        return Err(Unfit);
    }
    let sign = if cents == 0 { "" } else { sign };
    Ok(format!("{sign}{whole}.{hundredths:02}"))
}

/// Takes `2026-01-02T03:04:05.120000`; prints a space for the `T` and no zeros at the end of the fraction.
fn print_timestamp(text: &str) -> Result<String, Unfit> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    const MAX_FRACTION_DIGITS: usize = 6;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let has_shape = seconds.len() == SHAPE.len()
        && seconds.bytes().zip(SHAPE).all(|(byte, &shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
    let has_fraction = (1..=MAX_FRACTION_DIGITS).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !has_shape || !has_fraction {
        return Err(Unfit);
    }
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{}{point}{fraction}", seconds.replace('T', " ")))
}

/// Oracle has no boolean columns: they come as 0 and 1.
fn print_boolean(text: &str) -> Result<String, Unfit> {
    match text {
        "1" | "true" => Ok("t".to_owned()),
        "0" | "false" => Ok("f".to_owned()),
        _ => Err(Unfit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_prints(json: &str, column_type: ColumnType, expected: Result<&str, Unfit>) {
        let printed = print(&Json::parse(json).unwrap(), column_type);
        assert_eq!(printed, expected.map(|text| Some(text.to_owned())), "{json}");
    }

    #[test]
    fn null_is_null_in_any_column() {
        assert_eq!(print(&Json::Null, ColumnType::Money), Ok(None));
    }

    #[test]
    fn integers() {
        assert_prints("12", ColumnType::Integer, Ok("12"));
        assert_prints("\"-7\"", ColumnType::Integer, Ok("-7"));
        assert_prints("9223372036854775807", ColumnType::Integer, Ok("9223372036854775807"));
        assert_prints("9223372036854775808", ColumnType::Integer, Err(Unfit));
        assert_prints("\"not a number\"", ColumnType::Integer, Err(Unfit));
        assert_prints("1.5", ColumnType::Integer, Err(Unfit));
        assert_prints("{}", ColumnType::Integer, Err(Unfit));
    }

    #[test]
    fn money_has_two_decimals() {
        assert_prints("12.3", ColumnType::Money, Ok("12.30"));
        assert_prints("12", ColumnType::Money, Ok("12.00"));
        assert_prints("0.10", ColumnType::Money, Ok("0.10"));
        assert_prints("-0.005", ColumnType::Money, Ok("-0.01"));
        assert_prints("-0.004", ColumnType::Money, Ok("0.00"));
        assert_prints("1.995", ColumnType::Money, Ok("2.00"));
        assert_prints("9999999999999.99", ColumnType::Money, Ok("9999999999999.99"));
        assert_prints("9999999999999.995", ColumnType::Money, Err(Unfit));
        assert_prints("\"x\"", ColumnType::Money, Err(Unfit));
        assert_prints("\"\"", ColumnType::Money, Err(Unfit));
    }

    #[test]
    fn timestamps_lose_zeros_at_the_end() {
        assert_prints(
            "\"2026-01-02T03:04:05.123456\"",
            ColumnType::Timestamp,
            Ok("2026-01-02 03:04:05.123456"),
        );
        assert_prints("\"2026-01-02T03:04:05.120000\"", ColumnType::Timestamp, Ok("2026-01-02 03:04:05.12"));
        assert_prints("\"2026-01-02T03:04:05.000000\"", ColumnType::Timestamp, Ok("2026-01-02 03:04:05"));
        assert_prints("\"2026-01-02T03:04:05\"", ColumnType::Timestamp, Ok("2026-01-02 03:04:05"));
        assert_prints("\"yesterday\"", ColumnType::Timestamp, Err(Unfit));
    }

    #[test]
    fn texts_and_booleans() {
        assert_prints("\"a \\n ü\"", ColumnType::Text, Ok("a \n ü"));
        assert_prints("42", ColumnType::Text, Ok("42"));
        assert_prints("1", ColumnType::Boolean, Ok("t"));
        assert_prints("0", ColumnType::Boolean, Ok("f"));
        assert_prints("2", ColumnType::Boolean, Err(Unfit));
    }
}
