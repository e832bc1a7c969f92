//! Addresses that endpoints may not have.

use cdc_push::{AddressPolicy, Endpoint, EndpointOptions, Fate};

use crate::owner::{Owner, PATH, delivery, receiver, shop};

fn refusing_loopback() -> AddressPolicy {
    "loopback".parse().unwrap()
}

#[test]
fn a_refused_address_gets_no_connection_however_it_is_written() {
    let receiver = receiver();
    let port = receiver.address().port();
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let url = format!("http://{host}:{port}{PATH}");
        let endpoint = Endpoint::new("shop", &url, EndpointOptions::default()).unwrap();
        let mut owner = Owner::new(Vec::new());
        owner.engine.configure(vec![endpoint], refusing_loopback());
        let outcome = owner.push(delivery(1));
        let Fate::Retry { error, .. } = &outcome.fate else { panic!("{host}: {outcome:?}") };
        assert!(error.ends_with("is in the range loopback, which endpoints may not have"), "{host}: {error}");
    }
    assert_eq!(receiver.observed().connections, 0);
}

#[test]
fn a_new_policy_ends_the_use_of_old_connections() {
    let receiver = receiver();
    let endpoint = || shop(&receiver, EndpointOptions::default());
    let mut owner = Owner::new(vec![endpoint()]);
    assert_eq!(owner.push(delivery(1)).fate, Fate::Delivered);
    owner.engine.configure(vec![endpoint()], refusing_loopback());
    assert!(matches!(owner.push(delivery(2)).fate, Fate::Retry { .. }));
    owner.engine.configure(vec![endpoint()], AddressPolicy::default());
    assert_eq!(owner.push(delivery(3)).fate, Fate::Delivered);
    assert_eq!(receiver.observed().total, 2);
}
