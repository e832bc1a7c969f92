//! One pass over a document: what is well-formed goes to the [`Collector`], anything else ends the walk.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::attribute::{Attribute, Attributes, duplicate};
use super::collect::{Collector, Element};
use super::error::{Fault, XmlError, XmlErrorKind, shortened};
use super::limits::{XmlLimit, XmlLimits};
use super::text::{attribute_value, forbidden_control, is_name, is_space, resolve, with_line_feeds};
use super::{XmlExtraction, XmlMapping};

/// The rows of a document, given without a byte order mark.
pub(super) fn extract(
    mapping: &XmlMapping,
    text: &str,
    limits: &XmlLimits,
) -> Result<XmlExtraction, XmlError> {
    let mut walk = Walk {
        text,
        reader: Reader::from_str(text),
        limits,
        open: Vec::new(),
        had_root: false,
        attributes: Vec::new(),
        attribute_names: Vec::new(),
        collector: Collector::new(mapping, limits),
    };
    match walk.run() {
        Ok(()) => Ok(walk.collector.finish()),
        Err(fault) => {
            let names: Vec<&str> = walk.open.iter().map(|element| element.name).collect();
            Err(fault.into_error(text.as_bytes(), &names))
        }
    }
}

struct Walk<'d, 'm> {
    text: &'d str,
    reader: Reader<&'d [u8]>,
    limits: &'m XmlLimits,
    /// The open elements, the root first.
    open: Vec<Element<'d>>,
    had_root: bool,
    /// The attributes of the innermost start tag, and their names; kept for their memory.
    attributes: Vec<Attribute<'d>>,
    attribute_names: Vec<&'d str>,
    collector: Collector<'m>,
}

impl<'d> Walk<'d, '_> {
    fn run(&mut self) -> Result<(), Fault> {
        if self.text.len() > self.limits.bytes {
            let limit = XmlLimit::Bytes(self.limits.bytes);
            return Err(Fault::new(XmlErrorKind::Limit(limit), self.limits.bytes));
        }
        if self.text.bytes().all(is_space) {
            return Ok(());
        }
        if let Some(offset) = forbidden_control(self.text) {
            let problem = format!("control character 0x{:02x}", self.text.as_bytes()[offset]);
            return Err(Fault::malformed(problem, offset));
        }
        let config = self.reader.config_mut();
        config.check_comments = true;
        // The open elements are kept here anyway.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        while self.step()? {}
        self.at_end()
    }

    /// Reads one piece of the document; false at its end.
    fn step(&mut self) -> Result<bool, Fault> {
        let start = self.position();
        let event = self.reader.read_event().map_err(|error| {
            let offset = usize::try_from(self.reader.error_position()).unwrap_or(start);
            Fault::malformed(error.to_string(), offset)
        })?;
        match event {
            Event::Start(_) => self.start_tag(start, "<", ">")?,
            Event::Empty(_) => {
                self.start_tag(start, "<", "/>")?;
                self.close()?;
            }
            Event::End(_) => self.end_tag(start)?,
            Event::Text(text) => self.text(&text.into_inner(), start)?,
            Event::CData(text) => self.content(with_line_feeds(text.into_inner()), start)?,
            Event::GeneralRef(name) => {
                let character = resolve(&name.into_inner()).map_err(|kind| Fault::new(kind, start))?;
                self.content(Cow::Borrowed(character.encode_utf8(&mut [0; 4])), start)?;
            }
            Event::Decl(_) if start > 0 => {
                return Err(Fault::malformed("an XML declaration can only stand at the start", start));
            }
            Event::DocType(_) => return Err(Fault::new(XmlErrorKind::DtdRefused, start)),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    /// How far the document is read, in bytes.
    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(self.text.len())
    }

    /// What was read from `start` on, without what it begins and ends with, and where it stands.
    fn inside(&self, start: usize, before: &str, after: &str) -> (&'d str, usize) {
        let whole = self.text.get(start..self.position()).unwrap_or_default();
        let inside = whole.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        (inside.unwrap_or_default(), start + before.len())
    }

    fn start_tag(&mut self, start: usize, before: &str, after: &str) -> Result<(), Fault> {
        let (tag, tag_offset) = self.inside(start, before, after);
        let name = &tag[..tag.bytes().position(is_space).unwrap_or(tag.len())];
        if !is_name(name) {
            return Err(Fault::malformed(
                format!("{:?} is no name of an element", shortened(name)),
                tag_offset,
            ));
        }
        if self.open.is_empty() && self.had_root {
            let problem = format!("<{}> stands after the end of the root element", shortened(name));
            return Err(Fault::malformed(problem, start));
        }
        if self.open.len() >= self.limits.depth {
            return Err(Fault::new(XmlErrorKind::Limit(XmlLimit::Depth(self.limits.depth)), start));
        }
        self.had_root = true;
        let element = Element { name, tag, tag_offset };
        self.open.push(element);
        self.read_attributes(element)?;
        self.collector.element_opened(&self.open, &self.attributes)
    }

    /// Reads the attributes of a start tag, and refuses those that XML does not allow, whether a column wants them or not.
    fn read_attributes(&mut self, element: Element<'d>) -> Result<(), Fault> {
        let at = |fault: Fault, offset: usize| Fault { offset: fault.offset + offset, ..fault };
        self.attributes.clear();
        for attribute in Attributes::new(element.tag, element.name.len()) {
            let attribute = attribute.map_err(|fault| at(fault, element.tag_offset))?;
            attribute_value(attribute.value)
                .map_err(|fault| at(fault, element.tag_offset + attribute.value_offset))?;
            self.attributes.push(attribute);
        }
        self.attribute_names.clear();
        self.attribute_names.extend(self.attributes.iter().map(|attribute| attribute.name));
        match duplicate(&mut self.attribute_names) {
            None => Ok(()),
            Some(name) => {
                let problem = format!("attribute {} stands twice in one tag", shortened(name));
                Err(Fault::malformed(problem, element.tag_offset))
            }
        }
    }

    fn end_tag(&mut self, start: usize) -> Result<(), Fault> {
        let (tag, _) = self.inside(start, "</", ">");
        let name = tag.trim_end_matches([' ', '\t', '\r', '\n']);
        let problem = match self.open.last() {
            Some(element) if element.name == name => return self.close(),
            Some(element) => {
                format!("</{}> where </{}> is expected", shortened(name), shortened(element.name))
            }
            None => format!("</{}> closes nothing", shortened(name)),
        };
        Err(Fault::malformed(problem, start))
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.collector.element_closes(self.open.len())?;
        self.open.pop();
        Ok(())
    }

    fn text(&mut self, raw: &str, start: usize) -> Result<(), Fault> {
        if let Some(at) = memchr::memmem::find(raw.as_bytes(), b"]]>") {
            return Err(Fault::malformed("]]> in text; it is written ]]&gt;", start + at));
        }
        if self.open.is_empty() {
            return match raw.bytes().position(|byte| !is_space(byte)) {
                None => Ok(()),
                Some(at) => Err(Fault::malformed("text outside of the root element", start + at)),
            };
        }
        self.content(with_line_feeds(Cow::Borrowed(raw)), start)
    }

    fn content(&mut self, text: Cow<'_, str>, start: usize) -> Result<(), Fault> {
        if self.open.is_empty() {
            return Err(Fault::malformed("text outside of the root element", start));
        }
        self.collector.text(self.open.len(), &text, start)
    }

    fn at_end(&self) -> Result<(), Fault> {
        let problem = match self.open.last() {
            Some(element) => format!("the document ends before </{}>", shortened(element.name)),
            None if self.had_root => return Ok(()),
            None => "the document has no element".to_owned(),
        };
        Err(Fault::malformed(problem, self.text.len()))
    }
}
