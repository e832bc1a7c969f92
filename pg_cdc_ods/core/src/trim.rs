//! White space around a text.

/// The text without white space at its ends, as [`str::trim`] gives it: most texts have none, and that is seen at once.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] | [b'!'..=b'~'] | [] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_white_space_goes() {
        for text in
            ["", " ", "a", " a", "a ", "ab", "\u{a0}a\u{3000}", "é", "aé ", "\u{7f}", "a\u{85}", "\u{1f}a\t"]
        {
            assert_eq!(trim(text), text.trim(), "{text:?}");
        }
    }
}
