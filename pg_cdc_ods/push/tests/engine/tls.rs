//! Endpoints with HTTPS.

use cdc_push::{Endpoint, EndpointOptions, Fate, Outcome, Trust};
use rest_receiver::{Options, Receiver, Transport};

use crate::owner::{Owner, PATH, delivery};

fn secure_receiver() -> Receiver {
    Receiver::start(Options { transport: Transport::Tls, ..Options::default() }).unwrap()
}

fn trusting(receiver: &Receiver) -> EndpointOptions {
    let trust = Trust::Authorities(receiver.certificate().unwrap().as_bytes().to_vec());
    EndpointOptions { trust, ..EndpointOptions::default() }
}

fn push(url: &str, options: EndpointOptions) -> Outcome {
    Owner::new(vec![Endpoint::new("shop", url, options).unwrap()]).push(delivery(1))
}

/// The receiver's certificate names `localhost` and 127.0.0.1, not this address of the same machine.
const OTHER_ADDRESS: &str = "127.0.0.2";

#[test]
fn an_endpoint_with_a_trusted_certificate_is_used_by_http_2() {
    let receiver = secure_receiver();
    let endpoint = Endpoint::new("shop", &receiver.url(PATH), trusting(&receiver)).unwrap();
    let mut owner = Owner::new(vec![endpoint]);
    assert_eq!(owner.push(delivery(1)).fate, Fate::Delivered);
    owner.submit((2..=50).map(delivery));
    assert!(owner.finish().values().all(|outcome| outcome.fate == Fate::Delivered));
    let observed = receiver.observed();
    assert_eq!(observed.connections, 1);
    assert_eq!(format!("{:?}", observed.requests[0].version), "HTTP/2.0");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let receiver = secure_receiver();
    let outcome = push(&receiver.url(PATH), EndpointOptions::default());
    let Fate::Retry { error, .. } = &outcome.fate else { panic!("{outcome:?}") };
    assert_eq!(error, "no TLS connection: invalid peer certificate: UnknownIssuer");
    let stranger = secure_receiver();
    let outcome = push(&receiver.url(PATH), trusting(&stranger));
    assert!(matches!(outcome.fate, Fate::Retry { .. }), "{outcome:?}");
    assert_eq!(receiver.observed().total, 0);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let listen = format!("{OTHER_ADDRESS}:0").parse().unwrap();
    let receiver = Receiver::start(Options { listen, transport: Transport::Tls }).unwrap();
    let outcome = push(&receiver.url(PATH), trusting(&receiver));
    let Fate::Retry { error, .. } = &outcome.fate else { panic!("{outcome:?}") };
    assert!(error.contains("certificate not valid for name"), "{error}");
    assert_eq!(receiver.observed().total, 0);
}
