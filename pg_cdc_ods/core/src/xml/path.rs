//! The paths that a mapping is written in: a small part of XPath, checked when it is configured.
//!
//! A name without a prefix matches by the local name, whatever prefix the document uses. A name with a prefix matches
//! names that are written so; which namespace the prefix stands for is not looked up.

use super::text::local_name;

/// The name of an element or attribute in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    text: Box<str>,
    is_prefixed: bool,
}

/// Which elements are rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowPath {
    origin: Origin,
    steps: Vec<Step>,
}

/// Where the first step of a row path stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is the first of the names: the root of the document (`/order/item`), or a child of the row (`tags/tag`).
    First,
    /// It is a child of the root (`items/item`).
    BelowRoot,
    /// It is anywhere (`.//item`).
    Anywhere,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(Name),
    Any,
}

/// What a row path starts at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// The document.
    Document,
    /// A row of another path.
    Row,
}

/// Where the value of a column is, seen from its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPath {
    /// How many elements up from the row the path starts: the number of its `..`.
    pub(super) levels_up: usize,
    /// The elements on the way down; none if there is a way up.
    pub(super) elements: Vec<Name>,
    /// The attribute; `None` for the text of the last element.
    pub(super) attribute: Option<Name>,
}

/// A path that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathError {
    /// Where, in characters from 1.
    pub(super) place: usize,
    pub(super) problem: String,
}

impl Name {
    fn parse(step: &str, place: usize) -> Result<Self, PathError> {
        check_name(step, place)?;
        Ok(Self { text: step.into(), is_prefixed: step.contains(':') })
    }

    /// Whether this is the name of an element that the document writes as `written`, prefix included.
    pub(super) fn matches(&self, written: &str) -> bool {
        *self.text == *if self.is_prefixed { written } else { local_name(written) }
    }

    /// Whether the document writes the name exactly so.
    pub(super) fn is(&self, written: &str) -> bool {
        *self.text == *written
    }
}

impl RowPath {
    /// Reads `/a/b`, `a/b`, `./a/b`, `//a/b` or `.//a/b`; a step may be `*`.
    pub(super) fn parse(text: &str, context: Context) -> Result<Self, PathError> {
        let (origin, rest) = if let Some(rest) = text.strip_prefix(".//") {
            (Origin::Anywhere, rest)
        } else if text.starts_with('/') && context == Context::Row {
            return Err(problem(1, "a nested row path starts at its row: write tags/tag or .//tag"));
        } else if let Some(rest) = text.strip_prefix("//") {
            (Origin::Anywhere, rest)
        } else if let Some(rest) = text.strip_prefix('/') {
            (Origin::First, rest)
        } else {
            let origin = if context == Context::Row { Origin::First } else { Origin::BelowRoot };
            (origin, text.strip_prefix("./").unwrap_or(text))
        };
        let steps = split(text, rest)?
            .map(|(place, step)| match step {
                "*" => Ok(Step::Any),
                _ if step.starts_with('@') || step == "text()" => {
                    Err(problem(place, "a row is an element: its path ends with a name"))
                }
                _ => Name::parse(step, place).map(Step::Name),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { origin, steps })
    }

    /// Whether the last of `names` is a row. `names` are those of the open elements as they are written, from the
    /// root or, for a nested path, from the child of the row on.
    pub(super) fn matches<'n>(
        &self,
        names: impl DoubleEndedIterator<Item = &'n str> + ExactSizeIterator,
    ) -> bool {
        let (length, steps) = (names.len(), self.steps.len());
        let fits = match self.origin {
            Origin::Anywhere => length >= steps,
            Origin::First => length == steps,
            Origin::BelowRoot => length == steps + 1,
        };
        fits && names.rev().zip(self.steps.iter().rev()).all(|(name, step)| match step {
            Step::Name(expected) => expected.matches(name),
            Step::Any => true,
        })
    }
}

impl ColumnPath {
    /// Reads `@a`, `text()`, `a`, `a/text()`, `a/b/@c`, each with or without `./` before it, and `../@a`, `../../@a`.
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        if text.starts_with('/') || text.starts_with(".//") {
            return Err(problem(1, "a column path starts at its row: write child/text() or @attribute"));
        }
        let mut path = Self { levels_up: 0, elements: Vec::new(), attribute: None };
        let mut ended_by = None;
        for (place, step) in split(text, text.strip_prefix("./").unwrap_or(text))? {
            if let Some(last) = ended_by {
                return Err(problem(place, format!("nothing can follow {last}")));
            }
            if let Some(name) = step.strip_prefix('@') {
                path.attribute = Some(Name::parse(name, place + 1)?);
                ended_by = Some("an attribute");
            } else if step == ".." && path.elements.is_empty() {
                path.levels_up += 1;
            } else if path.levels_up > 0 {
                return Err(problem(place, "only an attribute can follow .., as in ../@id"));
            } else if step == "text()" {
                ended_by = Some("text()");
            } else if step == "*" {
                return Err(problem(place, "* is only allowed in row paths"));
            } else {
                path.elements.push(Name::parse(step, place)?);
            }
        }
        if path.levels_up > 0 && path.attribute.is_none() {
            return Err(problem(text.chars().count() + 1, "the attribute is missing, as in ../@id"));
        }
        Ok(path)
    }

    /// Whether the path leads from its row to the last of `below`, the names of the elements from the child of the row
    /// on, as they are written.
    pub(super) fn leads_to<'n>(&self, below: impl ExactSizeIterator<Item = &'n str>) -> bool {
        self.levels_up == 0
            && self.elements.len() == below.len()
            && below.zip(&self.elements).all(|(name, expected)| expected.matches(name))
    }
}

fn problem(place: usize, problem: impl Into<String>) -> PathError {
    PathError { place, problem: problem.into() }
}

/// The steps of `rest`, which is the end of `whole`, each with its place in `whole`.
fn split<'t>(whole: &str, rest: &'t str) -> Result<impl Iterator<Item = (usize, &'t str)>, PathError> {
    let mut place = whole[..whole.len() - rest.len()].chars().count() + 1;
    if rest.is_empty() {
        return Err(problem(place, "the path ends where a name is expected"));
    }
    Ok(rest.split('/').map(move |step| {
        let at = place;
        place += step.chars().count() + 1;
        (at, step)
    }))
}

/// Refuses what cannot name an element or attribute in a path.
fn check_name(step: &str, place: usize) -> Result<(), PathError> {
    match step {
        "" => return Err(problem(place, "a name is missing; // is only allowed at the start of a row path")),
        "." | ".." => return Err(problem(place, format!("{step} is not allowed here"))),
        _ => {}
    }
    let wrong = step.chars().enumerate().find(|(at, character)| {
        let anywhere = character.is_alphabetic() || matches!(character, '_' | ':') || !character.is_ascii();
        let inside = *at > 0 && (character.is_ascii_digit() || matches!(character, '-' | '.'));
        !anywhere && !inside
    });
    if let Some((at, character)) = wrong {
        let hint = match character {
            '[' => ": predicates are not supported",
            '(' | ')' => ": of functions only text() is supported, as the last step",
            '@' => ": an attribute is a step of its own, child/@attribute",
            _ => "",
        };
        return Err(problem(place + at, format!("{character:?} cannot stand here{hint}")));
    }
    match step.split_once(':') {
        Some(("", _)) => Err(problem(place, "a prefix is missing before the :")),
        Some((_, "")) => Err(problem(place + step.chars().count(), "a name is missing after the prefix")),
        Some((_, name)) if name.contains(':') => Err(problem(place, "a name has one prefix")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> RowPath {
        RowPath::parse(text, Context::Document).unwrap()
    }

    #[test]
    fn a_row_path_may_start_at_the_document_below_the_root_or_anywhere() {
        for (path, names, expected) in [
            (".//item", vec!["order", "items", "item"], true),
            ("//item", vec!["item"], true),
            (".//items/item", vec!["items", "item"], true),
            (".//items/item", vec!["item"], false),
            ("items/item", vec!["order", "items", "item"], true),
            ("./items/item", vec!["anything", "items", "item"], true),
            ("items/item", vec!["items", "item"], false),
            ("items/item", vec!["order", "items", "item", "item"], false),
            ("/order/items/item", vec!["order", "items", "item"], true),
            ("/order/items/item", vec!["offer", "items", "item"], false),
            ("/order/*/item", vec!["order", "gifts", "item"], true),
            (".//item", vec!["o:order", "o:item"], true),
            (".//o:item", vec!["order", "o:item"], true),
            (".//o:item", vec!["order", "item"], false),
            (".//o:item", vec!["order", "p:item"], false),
            ("/order", vec!["order"], true),
            ("item", vec!["order"], false),
            ("item", vec![], false),
        ] {
            assert_eq!(row(path).matches(names.iter().copied()), expected, "{path} on {names:?}");
        }
    }

    #[test]
    fn a_nested_row_path_starts_at_its_row() {
        let matches =
            |path, names: &[&str]| RowPath::parse(path, Context::Row).unwrap().matches(names.iter().copied());
        assert!(matches("tags/tag", &["tags", "tag"]));
        assert!(!matches("tags/tag", &["tags"]) && !matches("tags/tag", &["x", "tags", "tag"]));
        assert!(matches(".//tag", &["a", "b", "tag"]) && !matches(".//tag", &[]));
        assert_eq!(RowPath::parse("//tag", Context::Row).unwrap_err().place, 1);
    }

    fn name(text: &str) -> Name {
        Name::parse(text, 1).unwrap()
    }

    #[test]
    fn a_column_path_ends_at_an_attribute_or_a_text() {
        for (text, levels_up, elements, attribute) in [
            ("@product_id", 0, vec![], Some("product_id")),
            ("@xlink:href", 0, vec![], Some("xlink:href")),
            ("text()", 0, vec![], None),
            ("city", 0, vec!["city"], None),
            ("./city/text()", 0, vec!["city"], None),
            ("a/p:b/@c", 0, vec!["a", "p:b"], Some("c")),
            ("straße/text()", 0, vec!["straße"], None),
            ("../@id", 1, vec![], Some("id")),
            ("./../../@id", 2, vec![], Some("id")),
        ] {
            let elements = elements.into_iter().map(name).collect();
            let expected = ColumnPath { levels_up, elements, attribute: attribute.map(name) };
            assert_eq!(ColumnPath::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_column_path_leads_down_from_its_row() {
        let leads = |path, names: &[&str]| ColumnPath::parse(path).unwrap().leads_to(names.iter().copied());
        assert!(leads("a/b/text()", &["a", "p:b"]) && leads("@c", &[]) && leads("a/@c", &["a"]));
        assert!(!leads("a/b", &["a"]) && !leads("a/b", &["b", "a"]) && !leads("../@c", &[]));
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (text, place, hint) in [
            ("", 1, "ends where"),
            ("./", 3, "ends where"),
            ("a//b", 3, "// is only"),
            ("a/", 3, "a name is missing"),
            ("a/../b", 3, ".. is not allowed"),
            ("a/.", 3, ". is not allowed"),
            ("item[1]", 5, "predicates"),
            ("é/position()", 11, "functions"),
            ("a/@b/c", 6, "follow an attribute"),
            ("text()/b", 8, "follow text()"),
            ("a@b", 2, "step of its own"),
            ("@", 2, "a name is missing"),
            ("p:", 3, "after the prefix"),
            ("1a", 1, "'1' cannot"),
            ("a b", 2, "' ' cannot"),
            (":a", 1, "prefix is missing"),
            ("p:q:a", 1, "one prefix"),
            ("..", 3, "attribute is missing"),
            ("../a", 4, "only an attribute"),
            ("../text()", 4, "only an attribute"),
            ("*/a", 1, "row paths"),
            ("/a", 1, "starts at its row"),
            (".//a", 1, "starts at its row"),
        ] {
            let error = ColumnPath::parse(text).unwrap_err();
            assert_eq!(error.place, place, "{text}: {error:?}");
            assert!(error.problem.contains(hint), "{text}: {error:?}");
        }
        for (text, place, hint) in [
            ("/", 2, "ends where"),
            (".//", 4, "ends where"),
            ("///a", 3, "a name is missing"),
            ("a//b", 3, "// is only"),
            (".//item/@id", 9, "row is an element"),
            ("item/text()", 6, "row is an element"),
        ] {
            let error = RowPath::parse(text, Context::Document).unwrap_err();
            assert_eq!(error.place, place, "{text}: {error:?}");
            assert!(error.problem.contains(hint), "{text}: {error:?}");
        }
    }
}
