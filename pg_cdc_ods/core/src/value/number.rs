//! Numbers as text: what `numeric` takes, exact integers, floats, and decimals out of bytes.

use std::borrow::Cow;

use num_bigint::BigInt;

/// Digits that PostgreSQL's `numeric` can hold before and after the point.
const NUMERIC_DIGITS_BEFORE: i64 = 131_072;
const NUMERIC_DIGITS_AFTER: i64 = 16_383;

/// The longest unscaled integer that is read, in bytes: nearly 10,000 digits. Oracle's NUMBER has up to 40; turning
/// bytes into digits takes time that grows with the square of their number.
pub(super) const UNSCALED_BYTES_MAX: usize = 4096;

/// A number taken apart; the parts are digits only.
struct Parts<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// Sign, digits with at most one point, exponent: the numbers that JSON and `numeric_in` both know.
fn parts(text: &str) -> Option<Parts<'_>> {
    let (is_negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        // Beyond six digits no number is left that `numeric` could hold.
        Some(place) => (&unsigned[..place], &unsigned[place + 1..]),
        None => (unsigned, "0"),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let valid = !(whole.is_empty() && fraction.is_empty())
        && all_digits(whole)
        && all_digits(fraction)
        && (1..=6).contains(&exponent_digits.len())
        && all_digits(exponent_digits);
    let exponent = exponent.parse().ok().filter(|_| valid)?;
    Some(Parts { is_negative, whole, fraction, exponent })
}

/// `NaN` and the infinities, in the spelling that PostgreSQL reads.
pub(super) fn special(text: &str) -> Option<&'static str> {
    Some(match text {
        "NaN" => "NaN",
        "Infinity" | "+Infinity" => "Infinity",
        "-Infinity" => "-Infinity",
        _ => return None,
    })
}

/// Whether this is what nearly all numbers are: a handful of digits, perhaps with a point among them.
fn is_short_decimal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let points = bytes.iter().filter(|byte| **byte == b'.').count();
    let is_decimal = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    is_decimal && points <= 1 && bytes.len() <= 18 && bytes.len() > points
}

/// Whether `numeric` can hold this text with every digit; the special values count as well.
pub(super) fn fits_numeric(text: &str) -> bool {
    if is_short_decimal(text) {
        return true;
    }
    let Some(parts) = parts(text) else { return special(text).is_some() };
    let significant = parts.whole.trim_start_matches('0').len() as i64;
    let before = if significant > 0 || parts.exponent <= 0 {
        significant + parts.exponent
    } else {
        // Leading zeros of the fraction do not count once the exponent has moved the point.
        parts.exponent - (parts.fraction.len() - parts.fraction.trim_start_matches('0').len()) as i64
    };
    let after = parts.fraction.len() as i64 - parts.exponent;
    before <= NUMERIC_DIGITS_BEFORE && after <= NUMERIC_DIGITS_AFTER
}

/// An integer, also one written with a fraction of zeros (`5.00`) or an exponent (`5E2`), as NUMBER columns come.
pub(super) fn integer(text: &str) -> Option<i64> {
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    let parts = parts(text)?;
    let mut digits = String::with_capacity(24);
    digits.push_str(if parts.is_negative { "-" } else { "" });
    let all = [parts.whole, parts.fraction].concat();
    let point = parts.whole.len() as i64 + parts.exponent;
    if all.bytes().all(|byte| byte == b'0') {
        return Some(0);
    }
    // A bigint has 19 digits; leading zeros may come on top.
    let whole_digits = usize::try_from(point).ok().filter(|digits| *digits <= all.len() + 19)?;
    let kept = whole_digits.min(all.len());
    digits.push_str(&all[..kept]);
    digits.extend(std::iter::repeat_n('0', whole_digits - kept));
    let is_whole = all[kept..].bytes().all(|byte| byte == b'0');
    is_whole.then(|| digits.parse().ok()).flatten()
}

/// A double; `None` where a number is too large for it, or so small that nothing of it is left.
pub(super) fn double(text: &str) -> Option<f64> {
    float(text, text.parse().ok()?, |number: f64| number)
}

/// The same for `real`.
pub(super) fn real(text: &str) -> Option<f64> {
    float(text, text.parse().ok()?, |number: f32| f64::from(number))
}

fn float<F: Copy>(text: &str, parsed: F, widen: impl Fn(F) -> f64) -> Option<f64> {
    let number = widen(parsed);
    if special(text).is_some() {
        return Some(number);
    }
    // Rust reads more spellings of the special values than the sources write.
    let parts = parts(text)?;
    let is_zero = [parts.whole, parts.fraction].iter().all(|part| part.bytes().all(|byte| byte == b'0'));
    (number.is_finite() && (number != 0.0 || is_zero)).then_some(number)
}

/// The decimal text of an unscaled integer (two's complement, big-endian) with `scale` digits after the point.
///
/// `None` if it has no bytes, more than [`UNSCALED_BYTES_MAX`], or a scale that `numeric` cannot hold.
pub(super) fn decimal(unscaled: &[u8], scale: i32) -> Option<String> {
    let scale_fits = (-NUMERIC_DIGITS_BEFORE..=NUMERIC_DIGITS_AFTER).contains(&i64::from(scale));
    if unscaled.is_empty() || unscaled.len() > UNSCALED_BYTES_MAX || !scale_fits {
        return None;
    }
    let digits = if unscaled.len() <= 16 {
        let mut bytes = if unscaled[0] & 0x80 == 0 { [0; 16] } else { [0xff; 16] };
        bytes[16 - unscaled.len()..].copy_from_slice(unscaled);
        i128::from_be_bytes(bytes).to_string()
    } else {
        BigInt::from_signed_bytes_be(unscaled).to_string()
    };
    Some(place_point(digits, scale))
}

fn place_point(digits: String, scale: i32) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) if digits == "0" => "0".to_owned(),
        Err(_) => format!("{sign}{digits}{}", "0".repeat(scale.unsigned_abs() as usize)),
    }
}

/// A number as JSON writes it: special values become strings.
pub(super) fn to_json(text: Cow<'_, str>) -> Cow<'_, str> {
    if special(&text).is_some() { Cow::Owned(format!("\"{text}\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_digits_and_fit() {
        for good in ["0", "-1", "+1", "1.", ".5", "1e5", "1.5E-10", "NaN", "-Infinity", "1e131071"] {
            assert!(fits_numeric(good), "{good}");
        }
        for wrong in ["", "-", ".", "1e", "1e131072", "1e-16384", "1e9999999", "1,5", "0x1", "nan", "1 2"] {
            assert!(!fits_numeric(wrong), "{wrong}");
        }
        assert!(fits_numeric(&"9".repeat(131_072)) && !fits_numeric(&"9".repeat(131_073)));
        let fraction = |digits| format!("0.{}", "9".repeat(digits));
        assert!(fits_numeric(&fraction(16_383)) && !fits_numeric(&fraction(16_384)));
    }

    #[test]
    fn integers_may_be_written_in_every_form_of_a_number() {
        for (text, expected) in
            [("5.00", 5), ("5E2", 500), ("1.50e1", 15), ("-0.0", 0), ("0007", 7), ("7.", 7)]
        {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
        for wrong in ["5.5", "", "x", "1e-1", "1e30", "9223372036854775808", "1e999999", "NaN"] {
            assert_eq!(integer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn floats_stop_at_their_range() {
        assert_eq!(double("1e308"), Some(1e308));
        assert_eq!(double("1e309"), None);
        assert_eq!(double("1e-400"), None);
        assert_eq!(double("0e-400"), Some(0.0));
        assert_eq!(real("3.5e38"), None);
        assert!(double("NaN").is_some_and(f64::is_nan));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(double("inf"), None);
    }

    #[test]
    fn bytes_become_every_digit() {
        assert_eq!(decimal(&[0x04, 0xd2], 2).as_deref(), Some("12.34"));
        assert_eq!(decimal(&[0xff], 3).as_deref(), Some("-0.001"));
        assert_eq!(decimal(&[5], -3).as_deref(), Some("5000"));
        assert_eq!(decimal(&[0], -3).as_deref(), Some("0"));
        assert_eq!(decimal(&[0x80; 17], 0).unwrap().len(), 42);
        assert_eq!(decimal(&[], 0), None);
        assert_eq!(decimal(&[1; UNSCALED_BYTES_MAX + 1], 0), None);
        assert!(decimal(&[1; UNSCALED_BYTES_MAX], 0).is_some());
        assert_eq!(decimal(&[1], i32::MAX), None);
        assert_eq!(decimal(&[1], i32::MIN), None);
    }

    proptest! {
        #[test]
        fn both_ways_to_digits_agree(number: i128, scale in -5_i32..5) {
            let bytes = number.to_be_bytes();
            let mut longer = vec![if number < 0 { 0xff } else { 0 }];
            longer.extend_from_slice(&bytes);
            prop_assert_eq!(decimal(&bytes, scale), decimal(&longer, scale));
        }

        #[test]
        fn integers_are_what_they_say(number: i64, zeros in 0_usize..4) {
            prop_assert_eq!(integer(&format!("{number}.{}", "0".repeat(zeros))), Some(number));
        }
    }
}
