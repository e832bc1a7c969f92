//! The exact product of decimal numbers that stand as text, such as quantity times price.

use num_bigint::BigInt;

/// The longest number that is multiplied, in digits. Money and quantities have a few, `NUMBER` of Oracle has 38;
/// the cost of a product grows faster than its length, so it must have an end.
pub(super) const MAX_DIGITS: usize = 100;

/// A decimal number: `unscaled / 10^scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decimal {
    unscaled: BigInt,
    scale: usize,
}

/// Reads `12`, `-1.50`, `+.5`, `3.`; no exponents, no separators. White space around it is ignored.
fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let length = whole.len() + fraction.len();
    if length == 0 || length > MAX_DIGITS {
        return None;
    }
    let digits = [whole, fraction].concat();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let magnitude: BigInt = digits.parse().ok()?;
    Some(Decimal { unscaled: if negative { -magnitude } else { magnitude }, scale: fraction.len() })
}

/// The product with as many decimal places as its factors have together.
///
/// # Errors
/// The place, in `factors`, of a text that is no decimal number of at most [`MAX_DIGITS`] digits.
pub(super) fn product<'t>(factors: impl IntoIterator<Item = &'t str>) -> Result<String, usize> {
    let mut product = Decimal { unscaled: BigInt::from(1), scale: 0 };
    for (place, factor) in factors.into_iter().enumerate() {
        let factor = parse(factor).ok_or(place)?;
        product.unscaled *= factor.unscaled;
        product.scale += factor.scale;
    }
    Ok(written(&product))
}

fn written(number: &Decimal) -> String {
    let sign = if number.unscaled < BigInt::ZERO { "-" } else { "" };
    let digits = format!("{:0>width$}", number.unscaled.magnitude(), width = number.scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - number.scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_is_lost() {
        for (factors, expected) in [
            (vec!["3", "19.99"], "59.97"),
            (vec!["-0.5", " 0.10 "], "-0.050"),
            (vec!["+.5", "2."], "1.0"),
            (vec!["0", "-7.5"], "0.0"),
            (
                vec!["99999999999999999999999999999999999999", "1.1"],
                "109999999999999999999999999999999999998.9",
            ),
            (vec!["2", "3", "7"], "42"),
        ] {
            assert_eq!(product(factors.iter().copied()).as_deref(), Ok(expected), "{factors:?}");
        }
    }

    #[test]
    fn what_is_no_decimal_number_is_told_by_its_place() {
        let long = "1".repeat(MAX_DIGITS + 1);
        for wrong in ["", "-", ".", "1e3", "1,5", "0x1", "--1", "1.2.3", "٣", "NaN", &long] {
            assert_eq!(product(["2", wrong]), Err(1), "{wrong:?}");
        }
        assert!(product([&long[1..]]).is_ok());
    }
}
