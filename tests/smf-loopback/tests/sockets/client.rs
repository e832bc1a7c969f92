//! A client that says exactly what a test wants it to say, one frame at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smf_loopback::wire::assured_ctrl::{
    AckRange, AssuredCtrl, BodyWriter, MessageKind, Outcome, field, write_body,
};
use smf_loopback::wire::client_ctrl;
use smf_loopback::wire::frame::{FLAG_GUARANTEED, Frame, FrameDecoder, FrameWriter, Header, Protocol};
use smf_loopback::wire::param::{Param, ParamKind};
use smf_loopback::wire::response::Response;
use smf_loopback::wire::smp::Action;
use smf_loopback::wire::trmsg::Publish;
use smf_loopback::{Broker, BrokerHandle, Config, QueueConfig};

/// Far longer than any answer takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// A broker with one exclusive queue `q1` that takes `g/>`.
pub(crate) fn broker_with_queue() -> BrokerHandle {
    broker_with(QueueConfig::new("q1", ["g/>"]))
}

/// A broker with one queue.
pub(crate) fn broker_with(queue: QueueConfig) -> BrokerHandle {
    Broker::start(Config { queues: vec![queue], ..Config::default() }).unwrap()
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    decoder: FrameDecoder,
    last_tag: u32,
}

/// A publisher flow as the client knows it.
pub(crate) struct PublisherFlow {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Highest message the broker says it has.
    pub(crate) last_acked: u64,
}

/// An acknowledgement of publishes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublishAck {
    pub(crate) code: u32,
    pub(crate) text: String,
    pub(crate) last_acked: u64,
}

impl PublishAck {
    pub(crate) fn ok(last_acked: u64) -> Self {
        Self { code: 200, text: "OK".into(), last_acked }
    }
}

/// A guaranteed message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) flow: u32,
    pub(crate) id: u64,
    pub(crate) previous_id: u64,
    pub(crate) redelivered: bool,
    pub(crate) body: String,
}

impl Client {
    /// Connects and logs in.
    pub(crate) fn connect(broker: &BrokerHandle, name: &str) -> Self {
        let (client, response) = Self::try_login(broker, name, "default", "user", "password");
        assert_eq!(response, Response::OK);
        client
    }

    /// Connects and asks to be let in.
    pub(crate) fn try_login(
        broker: &BrokerHandle,
        name: &str,
        vpn: &str,
        username: &str,
        password: &str,
    ) -> (Self, Response) {
        let mut client = Self::connect_only(broker);
        let (name, vpn) = (format!("{name}\0"), format!("{vpn}\0"));
        let (username, password) = (STANDARD.encode(username), STANDARD.encode(password));
        let body = client_ctrl::ClientCtrl {
            kind: client_ctrl::MessageKind::Login,
            fields: vec![
                (client_ctrl::field::CLIENT_NAME, name.as_bytes()),
                (client_ctrl::field::VPN_NAME, vpn.as_bytes()),
            ],
        };
        client.send(
            Protocol::ClientCtrl,
            |frame| {
                frame.param(Param::new(ParamKind::USERNAME, username.as_bytes()));
                frame.param(Param::new(ParamKind::PASSWORD, password.as_bytes()));
            },
            |out| body.write(out),
        );
        let answer = client.next();
        let response = response_of(&answer);
        (client, response)
    }

    /// Connects and says nothing.
    pub(crate) fn connect_only(broker: &BrokerHandle) -> Self {
        let stream = TcpStream::connect(broker.smf_addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, decoder: FrameDecoder::new(MAX_FRAME_BYTES), last_tag: 0 }
    }

    /// Sends one frame.
    pub(crate) fn send(
        &mut self,
        protocol: Protocol,
        params: impl FnOnce(&mut FrameWriter<'_>),
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut bytes = Vec::new();
        let mut frame = FrameWriter::begin(&mut bytes, Header::from_broker(protocol));
        params(&mut frame);
        frame.finish(body);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, which has to come.
    pub(crate) fn next(&mut self) -> Frame {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            let count = self.stream.read(&mut chunk).expect("a frame from the broker");
            assert!(count > 0, "the broker closed the connection");
            self.decoder.feed(&chunk[..count]);
        }
    }

    /// Makes sure that the broker has nothing to say: two keep-alives are answered, and nothing comes
    /// before or between the answers. When the second is handled, all that was caused by earlier
    /// frames of anyone has been sent.
    pub(crate) fn expect_silence(&mut self) {
        for _ in 0..2 {
            self.send(Protocol::KeepAliveV2, |_| {}, |_| {});
            let frame = self.next();
            assert_eq!(frame.header().protocol, Protocol::KeepAliveV2, "{frame:?}");
        }
    }

    /// Whether the broker closes the connection, whatever it says before.
    pub(crate) fn is_disconnected(&mut self) -> bool {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends an AssuredCtrl frame without a tag.
    pub(crate) fn control(&mut self, kind: MessageKind, fields: impl FnOnce(&mut BodyWriter<'_>)) {
        self.send(Protocol::AssuredCtrl, |_| {}, |out| write_body(out, kind, fields));
    }

    /// Sends an AssuredCtrl frame with a tag, and gives the answer to that tag.
    pub(crate) fn request(&mut self, kind: MessageKind, fields: impl FnOnce(&mut BodyWriter<'_>)) -> Frame {
        let tag = self.next_tag();
        self.send(
            Protocol::AssuredCtrl,
            |frame| {
                frame.param(Param::new(ParamKind::CORRELATION_TAG, &tag));
            },
            |out| write_body(out, kind, fields),
        );
        let answer = self.next();
        assert_eq!(answer.tag().map(|tag| tag.0), Some(tag));
        answer
    }

    /// Subscribes to direct messages.
    pub(crate) fn subscribe(&mut self, topic: &str) -> Response {
        const ADD: u8 = 0x80;
        self.request_subscription(ADD, &[topic.as_bytes(), &[0]].concat())
    }

    /// Adds or removes a subscription of a queue.
    pub(crate) fn change_queue_subscription(&mut self, change: Action, queue: &str, topic: &str) -> Response {
        let type_byte = match change {
            Action::Add => 0x82,
            Action::Remove => 0x83,
        };
        let counted = |text: &str| [&[text.len() as u8 + 1], text.as_bytes(), &[0]].concat();
        self.request_subscription(type_byte, &[counted(queue), counted(topic)].concat())
    }

    fn request_subscription(&mut self, type_byte: u8, names: &[u8]) -> Response {
        const LENGTH_BEFORE_NAMES: u32 = 6;
        const TOPIC_WITH_RESPONSE: u8 = 0x0c;
        let tag = self.next_tag();
        let length = (LENGTH_BEFORE_NAMES + names.len() as u32).to_be_bytes();
        self.send(
            Protocol::Smp,
            |frame| {
                frame.param(Param::new(ParamKind::CORRELATION_TAG, &tag));
            },
            |out| out.extend([&[type_byte], &length[..], &[TOPIC_WITH_RESPONSE], names].concat()),
        );
        response_of(&self.next())
    }

    fn next_tag(&mut self) -> [u8; 3] {
        self.last_tag += 1;
        let [_, tag @ ..] = self.last_tag.to_be_bytes();
        tag
    }

    /// Opens a new publisher flow (empty name) or resumes one.
    pub(crate) fn open_publisher(&mut self, name: &str) -> Result<PublisherFlow, Response> {
        self.control(MessageKind::OpenPublisherFlow, |body| {
            body.u64(field::LAST_ACKED, 0).u64(field::LAST_SENT, 0).u8(field::WINDOW, 50);
            body.text(field::PUBLISHER_FLOW_NAME, name);
        });
        let answer = self.next();
        let response = response_of(&answer);
        if response != Response::OK {
            return Err(response);
        }
        let name = field_of(&answer, field::PUBLISHER_FLOW_NAME).strip_suffix(&[0]).unwrap().to_vec();
        Ok(PublisherFlow {
            id: u32_of(field_of(&answer, field::FLOW_ID)),
            name: String::from_utf8(name).unwrap(),
            last_acked: u64_of(field_of(&answer, field::LAST_ACKED)),
        })
    }

    /// Sends guaranteed messages `first..`, one for each body, in one write.
    pub(crate) fn publish<S: AsRef<[u8]>>(
        &mut self,
        flow: &PublisherFlow,
        topic: &str,
        first: u64,
        bodies: impl IntoIterator<Item = S>,
    ) {
        let mut bytes = Vec::new();
        for (id, body) in (first..).zip(bodies) {
            write_guaranteed(&mut bytes, flow.id, topic, id, body.as_ref());
        }
        self.send_bytes(&bytes);
    }

    /// Sends one direct message.
    pub(crate) fn publish_direct(&mut self, topic: &str, body: &str) {
        let topic = format!("{topic}\0");
        self.send(
            Protocol::TrMsg,
            |frame| {
                frame.param(Param::new(ParamKind::TOPIC, topic.as_bytes()));
            },
            |out| out.extend_from_slice(body.as_bytes()),
        );
    }

    /// The next frame, which has to be an acknowledgement of publishes.
    pub(crate) fn next_publish_ack(&mut self) -> PublishAck {
        let frame = self.next();
        assert_eq!(AssuredCtrl::parse(frame.body()).unwrap().kind, MessageKind::Ack);
        let response = response_of(&frame);
        PublishAck {
            code: response.code,
            text: response.text.into_owned(),
            last_acked: u64_of(field_of(&frame, field::LAST_ACKED)),
        }
    }

    /// Reads acknowledgements until they reach `last`; none may be a refusal.
    pub(crate) fn await_publish_acks(&mut self, last: u64) {
        loop {
            let ack = self.next_publish_ack();
            assert_eq!(ack, PublishAck::ok(ack.last_acked));
            if ack.last_acked == last {
                return;
            }
        }
    }

    /// Publishes texts to a topic on a new flow and waits until the broker has them.
    pub(crate) fn publish_all(&mut self, topic: &str, bodies: &[&str]) {
        let flow = self.open_publisher("").unwrap();
        self.publish(&flow, topic, 1, bodies);
        self.await_publish_acks(bodies.len() as u64);
    }

    /// Asks for a consumer flow and gives the whole answer.
    pub(crate) fn bind_frame(&mut self, queue: &str, window: u8) -> Frame {
        self.request(MessageKind::Bind, |body| {
            body.text(field::QUEUE_NAME, queue).u8(field::WINDOW, window).u8(field::DURABILITY, 1);
            body.u8(field::WANTS_FLOW_CHANGES, 1);
        })
    }

    /// Binds a flow that has not started, and gives its id.
    pub(crate) fn bind(&mut self, queue: &str, window: u8) -> Result<u32, Response> {
        let answer = self.bind_frame(queue, window);
        let response = response_of(&answer);
        if response == Response::OK { Ok(u32_of(field_of(&answer, field::FLOW_ID))) } else { Err(response) }
    }

    /// Binds a flow and starts it.
    pub(crate) fn consume(&mut self, queue: &str, window: u8) -> u32 {
        let flow = self.bind(queue, window).unwrap();
        self.acknowledge(flow, 0, window, &[]);
        flow
    }

    /// Acknowledges: transport up to `received`, and messages that the application is done with.
    pub(crate) fn acknowledge(&mut self, flow: u32, received: u64, window: u8, ranges: &[AckRange]) {
        self.control(MessageKind::Ack, |body| {
            body.u32(field::FLOW_ID, flow).u64(field::LAST_ACKED, received).u8(field::WINDOW, window);
            for range in ranges {
                let outcome: &[u8] = match range.outcome {
                    Outcome::Accepted => &[],
                    Outcome::Failed => &[1],
                    Outcome::Rejected => &[3],
                };
                let value = [&range.first.to_be_bytes(), &range.last.to_be_bytes(), outcome].concat();
                body.bytes(field::ACK_RANGE, &value);
            }
        });
    }

    /// Ends a flow and waits for the answer.
    pub(crate) fn unbind(&mut self, flow: u32) {
        self.control(MessageKind::Unbind, |body| {
            body.u32(field::FLOW_ID, flow);
        });
        let answer = self.next();
        assert_eq!(AssuredCtrl::parse(answer.body()).unwrap().kind, MessageKind::Unbind);
        assert_eq!(response_of(&answer), Response::OK);
    }

    /// The next frame, which has to be a message.
    pub(crate) fn receive(&mut self) -> Received {
        received(&self.next())
    }

    /// The next messages.
    pub(crate) fn receive_many(&mut self, count: usize) -> Vec<Received> {
        (0..count).map(|_| self.receive()).collect()
    }
}

/// An acknowledged range of message ids.
pub(crate) fn accepted(first: u64, last: u64) -> AckRange {
    AckRange { first, last, outcome: Outcome::Accepted }
}

/// Response code and text of an answer.
pub(crate) fn response_of(frame: &Frame) -> Response {
    Response::parse(frame.param(ParamKind::RESPONSE).unwrap()).unwrap()
}

/// A field of an AssuredCtrl frame.
pub(crate) fn field_of(frame: &Frame, number: u8) -> &[u8] {
    let message = AssuredCtrl::parse(frame.body()).unwrap();
    message.fields().find(|field| field.number == number).unwrap().value
}

/// The texts of messages.
pub(crate) fn bodies(messages: &[Received]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

/// Appends a guaranteed message as the client library writes it.
pub(crate) fn write_guaranteed(out: &mut Vec<u8>, flow: u32, topic: &str, id: u64, body: &[u8]) {
    const PERSISTENT: [u8; 1] = [1];
    const DELIVERY_MODE: ParamKind = ParamKind::Standard(0x10);
    let topic = format!("{topic}\0");
    let header = Header { flags: FLAG_GUARANTEED, ..Header::from_broker(Protocol::TrMsg) };
    let mut frame = FrameWriter::begin(out, header);
    frame
        .param(Param::new(ParamKind::TOPIC, topic.as_bytes()))
        .param(Param::new(DELIVERY_MODE, &PERSISTENT))
        .param(Param::new(ParamKind::FLOW_ID, &flow.to_be_bytes()))
        .param(Param::new(ParamKind::PREVIOUS_MESSAGE_ID, &(id - 1).to_be_bytes()))
        .param(Param::new(ParamKind::MESSAGE_ID, &id.to_be_bytes()));
    frame.finish(|out| out.extend_from_slice(body));
}

fn received(frame: &Frame) -> Received {
    assert_eq!(frame.header().protocol, Protocol::TrMsg, "{frame:?}");
    assert!(Publish::parse(frame).is_ok());
    Received {
        flow: u32_of(frame.param(ParamKind::FLOW_ID).unwrap()),
        id: u64_of(frame.param(ParamKind::MESSAGE_ID).unwrap()),
        previous_id: u64_of(frame.param(ParamKind::PREVIOUS_MESSAGE_ID).unwrap()),
        redelivered: frame.param(ParamKind::REDELIVERED).is_some(),
        body: String::from_utf8(frame.body().to_vec()).unwrap(),
    }
}

fn u32_of(value: &[u8]) -> u32 {
    u32::from_be_bytes(value.try_into().unwrap())
}

fn u64_of(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}
