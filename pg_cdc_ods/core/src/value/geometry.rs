//! Geometries: from a struct with well-known binary (WKB) to what PostGIS and `point` read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::binary::{from_base64, push_hex};

/// `io.debezium.data.geometry.Geometry`, `Geography` and `Point`
#[derive(Deserialize)]
struct Geometry<'a> {
    #[serde(borrow, default)]
    x: Option<&'a RawValue>,
    #[serde(borrow, default)]
    y: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wkb: Option<Cow<'a, str>>,
    #[serde(default)]
    srid: Option<i32>,
}

/// The flag in a geometry's type that says that its reference system follows (EWKB).
const HAS_SRID: u32 = 0x2000_0000;

/// `(x,y)` of a point.
pub(super) fn to_point(raw: &str) -> Option<String> {
    let point: Geometry<'_> = serde_json::from_str(raw).ok()?;
    Some(format!("({},{})", point.x?.get(), point.y?.get()))
}

/// Hexadecimal EWKB, which PostGIS reads as text: the WKB with its spatial reference system put in.
pub(super) fn to_ewkb(raw: &str) -> Option<String> {
    let geometry: Geometry<'_> = serde_json::from_str(raw).ok()?;
    let wkb = from_base64(geometry.wkb.as_deref()?)?;
    let (order, kind, rest) = (*wkb.first()?, wkb.get(1..5)?, wkb.get(5..)?);
    let kind: [u8; 4] = kind.try_into().ok()?;
    let is_little_endian = order == 1;
    let kind = if is_little_endian { u32::from_le_bytes(kind) } else { u32::from_be_bytes(kind) };
    let bytes = |number: u32| if is_little_endian { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut text = String::with_capacity(2 * wkb.len() + 8);
    match geometry.srid.and_then(|srid| u32::try_from(srid).ok()) {
        Some(srid) if kind & HAS_SRID == 0 => {
            push_hex(&mut text, &[order]);
            push_hex(&mut text, &bytes(kind | HAS_SRID));
            push_hex(&mut text, &bytes(srid));
            push_hex(&mut text, rest);
        }
        _ => push_hex(&mut text, &wkb),
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// POINT(1 2), little-endian.
    const WKB: &str = "AQEAAAAAAAAAAADwPwAAAAAAAABA";

    #[test]
    fn the_reference_system_is_put_in() {
        let raw = format!(r#"{{"wkb": "{WKB}", "srid": 4326}}"#);
        let expected = "0101000020e6100000000000000000f03f0000000000000040";
        assert_eq!(to_ewkb(&raw).as_deref(), Some(expected));
        let without = format!(r#"{{"wkb": "{WKB}", "srid": null}}"#);
        assert_eq!(to_ewkb(&without).as_deref(), Some("0101000000000000000000f03f0000000000000040"));
    }

    #[test]
    fn a_point_keeps_its_digits() {
        assert_eq!(to_point(r#"{"x": 1.10, "y": -2, "wkb": "x"}"#).as_deref(), Some("(1.10,-2)"));
        assert_eq!(to_point(r#"{"x": 1.10}"#), None);
    }

    #[test]
    fn what_is_no_geometry_is_refused() {
        for raw in ["{}", r#"{"wkb": "AQ=="}"#, r#"{"wkb": "???"}"#, "1"] {
            assert_eq!(to_ewkb(raw), None, "{raw}");
        }
    }
}
