//! What the bridge's integration tests share: finding libsolclient, and a broker to talk to.

use std::path::PathBuf;
use std::time::Duration;

use cdc_bridge::secret::Secret;
use cdc_bridge::solace::{Library, OnRejection, OutboundMessage, Publisher, SessionOptions, Tls};
use smf_loopback::{Broker, BrokerHandle, Config, Credentials, QueueConfig};

/// Longer than anything here takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// User and password of the brokers that [`broker`] starts.
pub(crate) const USERNAME: &str = "bridge";
pub(crate) const PASSWORD: &str = "hunter2";

/// The path of libsolclient: LIBSOLCLIENT, or where `scripts/setup.sh` puts it. `None`, with a note, if it is not
/// there; a failure then if CDC_REQUIRE_SOLCLIENT is 1.
pub(crate) fn library_path() -> Option<PathBuf> {
    let path = std::env::var_os("LIBSOLCLIENT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/solclient/lib/libsolclient.so"),
        PathBuf::from,
    );
    if path.exists() {
        return Some(path);
    }
    let note = format!("{} is not there; run scripts/setup.sh or set LIBSOLCLIENT", path.display());
    let required = std::env::var("CDC_REQUIRE_SOLCLIENT").is_ok_and(|value| value == "1");
    assert!(!required, "{note}");
    println!("skipped: {note}");
    None
}

/// libsolclient, or `None` with a note if it is not there.
pub(crate) fn library() -> Option<Library> {
    Some(Library::load(Some(&library_path()?)).unwrap())
}

/// A broker with one user and these queues, each subscribed to `t/>`.
pub(crate) fn broker(queues: &[&str]) -> BrokerHandle {
    Broker::start(Config {
        credentials: Some(Credentials { username: USERNAME.to_owned(), password: PASSWORD.to_owned() }),
        vpn: Some("default".to_owned()),
        queues: queues.iter().map(|queue| QueueConfig::new(*queue, ["t/>"])).collect(),
        ..Config::default()
    })
    .unwrap()
}

/// How to log in to a broker of [`broker`].
pub(crate) fn session_options(broker: &BrokerHandle) -> SessionOptions {
    SessionOptions {
        hosts: format!("tcp://{}", broker.smf_addr()),
        vpn: "default".to_owned(),
        username: USERNAME.to_owned(),
        password: Secret::new(PASSWORD),
        tls: Tls::default(),
        description: "test".to_owned(),
    }
}

/// A publisher on a broker of [`broker`].
pub(crate) fn publisher(library: Library, broker: &BrokerHandle) -> Publisher {
    Publisher::connect(library, &session_options(broker), OnRejection::Keep).unwrap()
}

/// A message to a topic that the queues of [`broker`] attract.
pub(crate) fn message(payload: impl Into<String>) -> OutboundMessage {
    let payload = payload.into();
    OutboundMessage {
        topic: "t/1".to_owned(),
        application_message_id: Some(format!("id-{payload}")),
        payload: payload.into(),
        ..OutboundMessage::default()
    }
}
