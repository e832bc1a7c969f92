//! The attributes of a start tag, in the order of the document.
//!
//! quick-xml's own iterator keeps a list of names for each tag and takes tags that XML does not allow (no space between
//! attributes, `<` in a value), so tags are scanned here.

use super::error::{Fault, shortened};
use super::text::{is_name, is_space};

/// An attribute as it stands in the document: the value is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// Where the value starts, from the start of the tag's content.
    pub(super) value_offset: usize,
}

/// Iterates over the attributes in the content of a tag.
pub(super) struct Attributes<'a> {
    tag: &'a str,
    at: usize,
}

impl<'a> Attributes<'a> {
    /// `tag` is what stands between the angle brackets (without the `/` of an empty element), `at` the end of its name.
    pub(super) fn new(tag: &'a str, at: usize) -> Self {
        Self { tag, at }
    }

    fn skip_space(&mut self) -> bool {
        let rest = &self.tag.as_bytes()[self.at..];
        let spaces = rest.iter().take_while(|byte| is_space(**byte)).count();
        self.at += spaces;
        spaces > 0
    }

    fn take_name(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.tag[self.at..];
        let end = rest.bytes().position(|byte| byte == b'=' || is_space(byte)).unwrap_or(rest.len());
        let name = &rest[..end];
        if !is_name(name) {
            return Err(self.fault(format!("{:?} is no name of an attribute", shortened(name))));
        }
        self.at += end;
        Ok(name)
    }

    fn take_value(&mut self, name: &str) -> Result<&'a str, Fault> {
        let rest = &self.tag[self.at..];
        let quote = match rest.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => {
                return Err(
                    self.fault(format!("the value of attribute {} is not in quotes", shortened(name)))
                );
            }
        };
        let Some(length) = memchr::memchr(quote, &rest.as_bytes()[1..]) else {
            return Err(self.fault(format!("the value of attribute {} has no end", shortened(name))));
        };
        self.at += length + 2;
        Ok(&rest[1..=length])
    }

    fn next_attribute(&mut self) -> Result<Option<Attribute<'a>>, Fault> {
        let separated = self.skip_space();
        if self.at == self.tag.len() {
            return Ok(None);
        }
        if !separated {
            return Err(self.fault("white space is missing before an attribute"));
        }
        let name = self.take_name()?;
        self.skip_space();
        if self.tag.as_bytes().get(self.at) != Some(&b'=') {
            return Err(self.fault(format!("attribute {} has no value", shortened(name))));
        }
        self.at += 1;
        self.skip_space();
        let value_offset = self.at + 1;
        let value = self.take_value(name)?;
        if let Some(at) = memchr::memchr(b'<', value.as_bytes()) {
            let problem = format!("the value of attribute {} has a <; it is written &lt;", shortened(name));
            return Err(Fault::malformed(problem, value_offset + at));
        }
        Ok(Some(Attribute { name, value, value_offset }))
    }

    fn fault(&self, problem: impl Into<String>) -> Fault {
        Fault::malformed(problem, self.at)
    }
}

impl<'a> Iterator for Attributes<'a> {
    /// Offsets of a [`Fault`] count from the start of the tag's content.
    type Item = Result<Attribute<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_attribute().transpose()
    }
}

/// A name that stands twice in `names`, which is put out of order.
pub(super) fn duplicate<'a>(names: &mut [&'a str]) -> Option<&'a str> {
    /// Up to so many names, comparing each with each is quicker than sorting.
    const FEW: usize = 8;
    if names.len() <= FEW {
        return names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].contains(name))
            .map(|(_, name)| *name);
    }
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(tag: &str) -> Result<Vec<(&str, &str)>, Fault> {
        Attributes::new(tag, 1).map(|attribute| attribute.map(|found| (found.name, found.value))).collect()
    }

    #[test]
    fn quotes_and_spaces_may_vary() {
        assert_eq!(scan("a").unwrap(), []);
        assert_eq!(scan("a  ").unwrap(), []);
        let expected = [("b", "1"), ("c:d", "it's"), ("é", "")];
        assert_eq!(scan("a b='1'\n\tc:d = \"it's\" é=''").unwrap(), expected);
    }

    #[test]
    fn a_value_knows_where_it_starts() {
        let found = Attributes::new("a b = 'x'", 1).next().unwrap().unwrap();
        assert_eq!(found, Attribute { name: "b", value: "x", value_offset: 7 });
    }

    #[test]
    fn tags_that_xml_does_not_allow_are_refused() {
        for (tag, offset, hint) in [
            ("a b", 3, "has no value"),
            ("a b c='1'", 4, "has no value"),
            ("a b=1", 4, "not in quotes"),
            ("a b=", 4, "not in quotes"),
            ("a b='1", 4, "has no end"),
            ("a b='1'c='2'", 7, "white space is missing"),
            ("a ='1'", 2, "no name"),
            ("a 1b='1'", 2, "no name"),
            ("a b='x<y'", 6, "&lt;"),
        ] {
            let fault = scan(tag).unwrap_err();
            assert_eq!(fault.offset, offset, "{tag}: {fault:?}");
            assert!(fault.kind.to_string().contains(hint), "{tag}: {fault:?}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_found_among_few_and_many() {
        assert_eq!(duplicate(&mut ["a", "b", "a"]), Some("a"));
        assert_eq!(duplicate(&mut ["a", "b", "A"]), None);
        let many: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
        let mut names: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(duplicate(&mut names), None);
        names.push("n42");
        assert_eq!(duplicate(&mut names), Some("n42"));
    }
}
