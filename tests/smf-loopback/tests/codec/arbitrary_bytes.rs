//! Parsers take whatever comes and never panic.

use bytes::Bytes;
use proptest::prelude::*;
use smf_loopback::wire::assured_ctrl;
use smf_loopback::wire::client_ctrl::{ClientCtrl, Login};
use smf_loopback::wire::frame::{Frame, FrameDecoder};
use smf_loopback::wire::param::{ParamKind, Params};
use smf_loopback::wire::response::Response;
use smf_loopback::wire::smp;
use smf_loopback::wire::trmsg::{Delivery, Publish, write_delivery, write_direct};

use crate::fixtures;

/// Gives the bytes to every parser there is; what they answer does not matter.
fn parse_as_everything(bytes: &[u8]) {
    let mut decoder = FrameDecoder::new(4096);
    decoder.feed(bytes);
    while let Ok(Some(frame)) = decoder.next_frame() {
        parse_frame_as_everything(&frame);
    }
    if let Ok(frame) = Frame::parse(Bytes::copy_from_slice(bytes)) {
        parse_frame_as_everything(&frame);
    }
    parse_body_as_everything(bytes);
    Params::new(bytes).for_each(drop);
}

fn parse_frame_as_everything(frame: &Frame) {
    let _ = (Login::parse(frame), Publish::parse(frame), frame.tag());
    let _ = frame.param(ParamKind::RESPONSE).map(Response::parse);
    parse_body_as_everything(frame.body());
    let delivery = Delivery { flow: 1, message_id: 2, previous_id: 1, redeliveries: 3 };
    let mut out = Vec::new();
    write_delivery(&mut out, frame, &delivery);
    write_direct(&mut out, frame);
    smp::write_answer(&mut out, frame, &Response::OK);
}

fn parse_body_as_everything(body: &[u8]) {
    let _ = (ClientCtrl::parse(body), smp::Request::parse(body), Response::parse(body));
    let _ = assured_ctrl::Request::parse(body);
}

/// A fixture with a few bytes changed, and then cut short somewhere.
fn damaged_fixture() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let whole =
        (prop::sample::select(fixtures::all().into_iter().map(|f| f.bytes).collect::<Vec<_>>()), changes);
    (whole, any::<bool>(), any::<prop::sample::Index>()).prop_map(|((mut bytes, changes), cut, end)| {
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_parser_panics_at_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn no_parser_panics_at_damaged_frames(bytes in damaged_fixture()) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn no_body_parser_panics_at_damaged_bodies(bytes in damaged_fixture()) {
        const LONGEST_HEADER: usize = 78;
        for offset in 0..bytes.len().min(LONGEST_HEADER) {
            parse_body_as_everything(&bytes[offset..]);
        }
    }
}

#[test]
fn every_cut_of_every_fixture_is_refused_or_waited_for() {
    for fixture in fixtures::all() {
        for end in 0..fixture.bytes.len() {
            let cut = &fixture.bytes[..end];
            assert!(Frame::parse(Bytes::copy_from_slice(cut)).is_err(), "{} cut at {end}", fixture.name);
            let mut decoder = FrameDecoder::new(4096);
            decoder.feed(cut);
            assert_eq!(decoder.next_frame(), Ok(None), "{} cut at {end}", fixture.name);
        }
    }
}
