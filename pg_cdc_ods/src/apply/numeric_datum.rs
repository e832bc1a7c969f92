//! Numbers as `numeric` stores them: a header, and digits of base 10,000.

/// Decimal digits in one of `numeric`.
const DECIMALS: usize = 4;
/// The longest number that is read here: what it says of itself fits the short header.
const DIGITS_MAX: usize = 40;

/// The short header: its mark, the sign, how many decimal digits stand after the point, and the weight.
const SHORT: u16 = 0x8000;
const NEGATIVE: u16 = 0x2000;
const SCALE_SHIFT: u32 = 7;
const WEIGHT_MASK: u16 = 0x7f;

/// A number in digits with at most one point, as nearly all are.
#[derive(Clone, Copy)]
pub(super) struct Decimal<'t> {
    is_negative: bool,
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Decimal<'t> {
    /// Takes a text apart; `None` if it is another number or none: with an exponent, longer than usual, `NaN`.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (is_negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = (1..=DIGITS_MAX).contains(&(whole.len() + fraction.len()));
        (has_digits && is_digits(whole) && is_digits(fraction)).then_some(Self {
            is_negative,
            whole,
            fraction,
        })
    }

    /// Appends it as it is stored, without the length in front.
    pub(super) fn push(self, data: &mut Vec<u8>) {
        let mut digits = [0_u16; DIGITS_MAX / DECIMALS + 2];
        // A digit of base 10,000 never spans the point.
        let before = self.whole.len().div_ceil(DECIMALS);
        let padding = before * DECIMALS - self.whole.len();
        for (place, byte) in (padding..).zip(self.whole.bytes()) {
            add(&mut digits, place, byte);
        }
        for (place, byte) in (before * DECIMALS..).zip(self.fraction.bytes()) {
            add(&mut digits, place, byte);
        }
        let first = digits.iter().position(|digit| *digit != 0);
        let end = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        // The power of 10,000 of the first digit; zero has neither digits nor sign.
        let weight = first.map_or(0, |first| before as i16 - 1 - first as i16);
        let sign = if self.is_negative && first.is_some() { NEGATIVE } else { 0 };
        let scale = (self.fraction.len() as u16) << SCALE_SHIFT;
        let header = SHORT | sign | scale | (weight as u16 & WEIGHT_MASK);
        data.extend_from_slice(&header.to_ne_bytes());
        for digit in &digits[first.unwrap_or(0)..end] {
            data.extend_from_slice(&digit.to_ne_bytes());
        }
    }
}

/// Adds the decimal digit at a place, counted from the first that a digit of base 10,000 can hold.
fn add(digits: &mut [u16], place: usize, byte: u8) {
    const POWERS: [u16; DECIMALS] = [1000, 100, 10, 1];
    digits[place / DECIMALS] += u16::from(byte - b'0') * POWERS[place % DECIMALS];
}
