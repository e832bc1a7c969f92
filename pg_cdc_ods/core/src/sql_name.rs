//! Names as SQL takes them.

/// Quotes an identifier, whatever is in it.
#[must_use]
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string as a literal.
#[must_use]
pub fn quote_text(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Quoted names, each with a prefix such as `t.`, separated by commas.
pub(crate) fn name_list(prefix: &str, names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{prefix}{}", quote_name(name))).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_inside_are_doubled() {
        assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_text("it's"), "'it''s'");
        assert_eq!(quote_text("a\\b"), "E'a\\\\b'");
    }
}
