//! Every fixture can be taken apart and put together again without a byte of difference.

use smf_loopback::wire::assured_ctrl::{AssuredCtrl, Request, write_body};
use smf_loopback::wire::client_ctrl::ClientCtrl;
use smf_loopback::wire::frame::{Frame, FrameDecoder, FrameWriter, Protocol};
use smf_loopback::wire::smp;
use smf_loopback::wire::trmsg::Publish;

use crate::fixtures::{self, Fixture};

const ALL_FIXTURES: usize = 39;

fn rewrite(frame: &Frame, write_body: impl FnOnce(&Frame, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::begin(&mut out, frame.header());
    for param in frame.params() {
        writer.param(param);
    }
    writer.finish(|out| write_body(frame, out));
    out
}

fn rewrite_body(frame: &Frame, out: &mut Vec<u8>) {
    match frame.header().protocol {
        Protocol::AssuredCtrl => {
            let body = AssuredCtrl::parse(frame.body()).unwrap();
            write_body(out, body.kind, |writer| {
                for field in body.fields() {
                    writer.field(field);
                }
            });
        }
        Protocol::ClientCtrl => ClientCtrl::parse(frame.body()).unwrap().write(out),
        _ => out.extend_from_slice(frame.body()),
    }
}

#[test]
fn every_frame_of_the_broker_comes_out_as_it_went_in() {
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name.starts_with("B>C")) {
        assert_eq!(rewrite(&fixture.frame(), rewrite_body), fixture.bytes, "{}", fixture.name);
    }
}

#[test]
fn every_header_comes_out_as_it_went_in() {
    let fixtures = fixtures::all();
    assert_eq!(fixtures.len(), ALL_FIXTURES);
    for fixture in fixtures {
        let body_as_it_is = |frame: &Frame, out: &mut Vec<u8>| out.extend_from_slice(frame.body());
        assert_eq!(rewrite(&fixture.frame(), body_as_it_is), fixture.bytes, "{}", fixture.name);
    }
}

#[test]
fn every_request_of_the_client_is_understood() {
    let requests = fixtures::all().into_iter().filter(|fixture| fixture.name.starts_with("C>B"));
    for Fixture { name, bytes } in requests {
        let frame = Frame::parse(bytes.into()).unwrap();
        let understood = match frame.header().protocol {
            Protocol::AssuredCtrl => Request::parse(frame.body()).map(drop),
            Protocol::TrMsg => Publish::parse(&frame).map(drop),
            Protocol::Smp => smp::Request::parse(frame.body()).map(drop),
            Protocol::ClientCtrl => ClientCtrl::parse(frame.body()).map(drop),
            Protocol::KeepAliveV2 => Ok(()),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(understood, Ok(()), "{name}");
    }
}

#[test]
fn a_stream_in_pieces_of_any_size_gives_the_same_frames() {
    let fixtures = fixtures::all();
    let stream: Vec<u8> = fixtures.iter().flat_map(|fixture| fixture.bytes.clone()).collect();
    for piece in [1, 2, 7, 11, 12, 13, 64, stream.len()] {
        let mut decoder = FrameDecoder::new(1024);
        let mut frames = Vec::new();
        for bytes in stream.chunks(piece) {
            decoder.feed(bytes);
            while let Some(frame) = decoder.next_frame().unwrap() {
                frames.push(frame.bytes().to_vec());
            }
        }
        let expected: Vec<Vec<u8>> = fixtures.iter().map(|fixture| fixture.bytes.clone()).collect();
        assert_eq!(frames, expected, "pieces of {piece} bytes");
    }
}
