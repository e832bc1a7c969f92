//! What the broker writes itself is, byte for byte, what the real client was seen to accept; and what
//! it reads out of the client's frames is what stands there.

use smf_loopback::wire::WireError;
use smf_loopback::wire::assured_ctrl::{
    AckRange, Activity, Bind, Durability, Endpoint, FlowChanges, Outcome, Request, SpecialFlow,
    write_flow_change, write_publish_ack, write_publisher_flow_opened, write_unbind,
};
use smf_loopback::wire::client_ctrl::{Login, MessageKind};
use smf_loopback::wire::frame::{Frame, FrameDecoder, FrameWriter, Header, Protocol};
use smf_loopback::wire::response::Response;
use smf_loopback::wire::smp;
use smf_loopback::wire::trmsg::{Delivery, Mode, Publish, write_delivery, write_direct};

use crate::fixtures::named;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn request(name: &str) -> Frame {
    named(name).frame()
}

#[test]
fn publish_ack() {
    let bytes = written(|out| write_publish_ack(out, &Response::OK, 1, 2, 50));
    assert_eq!(bytes, named("B>C publish ack").bytes);
}

#[test]
fn publish_refusal() {
    let bytes = written(|out| write_publish_ack(out, &Response::SPOOL_OVER_QUOTA, 1, 1, 50));
    assert_eq!(bytes, named("B>C publish refused").bytes);
}

#[test]
fn publisher_flow_answer() {
    let bytes = written(|out| write_publisher_flow_opened(out, None, 1, "pubflow1", 0, 50));
    assert_eq!(bytes, named("B>C answer to \"open publisher flow, new\"").bytes);
}

#[test]
fn unbind_answer() {
    let bytes = written(|out| write_unbind(out, None, &Response::OK, 2));
    assert_eq!(bytes, named("B>C answer to \"unbind\"").bytes);
}

#[test]
fn flow_change() {
    let bytes = written(|out| write_flow_change(out, 3, Activity::Inactive));
    assert_eq!(bytes, named("B>C flow becomes inactive").bytes);
}

#[test]
fn subscription_answers() {
    let subscribe = request("C>B subscribe d/>");
    let bytes = written(|out| smp::write_answer(out, &subscribe, &Response::OK));
    assert_eq!(bytes, named("B>C answer to \"subscribe d/>\"").bytes);
    let queue_subscribe = request("C>B queue subscription q1 g/>");
    let bytes = written(|out| smp::write_answer(out, &queue_subscribe, &Response::OK));
    assert_eq!(bytes, named("B>C answer to \"queue subscription q1 g/>\"").bytes);
}

#[test]
fn deliveries() {
    for (name, message_id, flow, redeliveries) in
        [("B>C delivery, first time", 1, 2, 0), ("B>C delivery, redelivered once", 3, 4, 1)]
    {
        let fixture = named(name);
        let delivery = Delivery { flow, message_id, previous_id: 0, redeliveries };
        let bytes = written(|out| write_delivery(out, &fixture.frame(), &delivery));
        assert_eq!(bytes, fixture.bytes, "{name}");
    }
}

#[test]
fn a_retransmitted_publish_is_spooled_without_its_marks() {
    let published = request("C>B publisher retransmission");
    let delivery = Delivery { flow: 2, message_id: 1, previous_id: 0, redeliveries: 0 };
    let bytes = written(|out| write_delivery(out, &published, &delivery));
    let expected = [&named("B>C delivery, first time").bytes[..69], b"z-0"].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn a_direct_message_goes_on_with_topic_and_body() {
    let published = request("C>B direct message d/x");
    let bytes = written(|out| write_direct(out, &published));
    let forwarded = Frame::parse(bytes.into()).unwrap();
    assert_eq!(Publish::parse(&forwarded), Ok(Publish { topic: "d/x", mode: Mode::Direct }));
    assert_eq!(forwarded.body(), b"afterreconnect");
}

#[test]
fn login() {
    let frame = request("C>B login");
    let login = Login::parse(&frame).unwrap();
    assert_eq!(login.kind, MessageKind::Login);
    assert_eq!(login.username.as_deref(), Some("u"));
    assert_eq!(login.password.as_deref(), Some("p"));
    assert_eq!(login.vpn, Some("default"));
    assert_eq!(login.client_name, Some("vm/11124/00000001/FuixMvYVoH"));
}

#[test]
fn publishes() {
    let guaranteed = |message_id| Mode::Guaranteed { flow: 1, message_id };
    for (name, topic, mode) in [
        ("C>B publish persistent g/x", "g/x", guaranteed(1)),
        ("C>B publish persistent to queue q1", "#P2P/QUE/q1", guaranteed(6)),
        ("C>B publish with every property", "g/full", guaranteed(7)),
        ("C>B direct message d/x", "d/x", Mode::Direct),
    ] {
        assert_eq!(Publish::parse(&request(name)), Ok(Publish { topic, mode }), "{name}");
    }
}

#[test]
fn binds() {
    let plain = Bind {
        endpoint: Endpoint::Queue("q1"),
        durability: Durability::Durable,
        window: 10,
        flow_changes: FlowChanges::NotReported,
        special: None,
    };
    let temporary_name = "#P2P/QTMP/#smfdouble/1da424e5-4e23-4bb4-bf68-b97402aac48a";
    for (name, expected) in [
        ("C>B bind q1, window 10", plain),
        ("C>B bind with required outcomes", plain),
        (
            "C>B bind as browser with selector a=1",
            Bind { window: 255, special: Some(SpecialFlow::Browser), ..plain },
        ),
        (
            "C>B bind topic endpoint te1 te/>",
            Bind { endpoint: Endpoint::TopicEndpoint("te1"), window: 255, ..plain },
        ),
        (
            "C>B bind temporary queue",
            Bind {
                endpoint: Endpoint::Queue(temporary_name),
                durability: Durability::Temporary,
                window: 255,
                ..plain
            },
        ),
    ] {
        assert_eq!(Request::parse(request(name).body()), Ok(Request::Bind(expected)), "{name}");
    }
}

#[test]
fn application_acks() {
    let range = |first, last, outcome| AckRange { first, last, outcome };
    for (name, received, ranges) in [
        ("C>B first consumer ack (starts delivery)", 0, vec![]),
        ("C>B application ack up to 5", 5, vec![range(0, 5, Outcome::Accepted)]),
        (
            "C>B application acks 2 and 4",
            5,
            vec![range(2, 2, Outcome::Accepted), range(4, 4, Outcome::Accepted)],
        ),
        ("C>B settle message 1 as Failed", 4, vec![range(1, 1, Outcome::Failed)]),
    ] {
        let expected = Request::Ack { flow: 2, received, window: 10, ranges };
        assert_eq!(Request::parse(request(name).body()), Ok(expected), "{name}");
    }
}

fn frame_of(bytes: usize) -> Vec<u8> {
    written(|out| {
        FrameWriter::begin(out, Header::from_broker(Protocol::TrMsg)).finish(|out| out.resize(bytes, 0));
    })
}

#[test]
fn frames_are_bounded() {
    const LIMIT: usize = 100;
    for (bytes, expected) in [
        (LIMIT - 1, Ok(true)),
        (LIMIT, Ok(true)),
        (LIMIT + 1, Err(WireError::FrameTooLarge { total: LIMIT + 1, limit: LIMIT })),
    ] {
        let mut decoder = FrameDecoder::new(LIMIT);
        decoder.feed(&frame_of(bytes));
        assert_eq!(decoder.next_frame().map(|frame| frame.is_some()), expected, "{bytes} bytes");
    }
}
