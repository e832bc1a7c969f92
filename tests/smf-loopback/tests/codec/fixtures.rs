//! The frames in `tests/fixtures/frames.txt`.

use smf_loopback::wire::frame::Frame;

/// A frame that went between libsolclient and a broker double.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Fixture {
    pub(crate) fn frame(&self) -> Frame {
        Frame::parse(self.bytes.clone().into()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// All fixtures.
pub(crate) fn all() -> Vec<Fixture> {
    let lines = include_str!("../fixtures/frames.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse_line).collect()
}

/// The fixture of this name.
pub(crate) fn named(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name:?}"))
}

fn parse_line(line: &'static str) -> Fixture {
    let (name, hex) = line.rsplit_once(": ").unwrap();
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    Fixture { name, bytes: pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect() }
}
