//! The broker of a test: the loopback double, or a queue of its own on a Solace broker.

use std::env;

use anyhow::Context;
use cdc_bridge::secret::Secret;
use cdc_bridge::solace::{Library, Session, SessionOptions, Tls};
use smf_loopback::{Broker, BrokerHandle, Config, QueueConfig};

/// Names the Solace broker to test with. `SOLACE_TEST_PORT`, `_VPN`, `_USERNAME` and `_PASSWORD` go with it.
const HOST_VARIABLE: &str = "SOLACE_TEST_HOST";

/// The queue of the double, and first levels of the topics that it attracts.
const LOOPBACK_QUEUE: &str = "cdc.q";
const LOOPBACK_TOPIC_PREFIX: &str = "cdc/oracle";

/// The broker that a pipeline is built around, with one queue.
pub enum TestBroker {
    /// The double, in this process.
    Loopback(BrokerHandle),
    /// A Solace broker. The queue is deleted when this goes out of scope.
    Solace(SolaceQueue),
}

/// A queue that exists for one test.
pub struct SolaceQueue {
    login: Login,
    session: Session,
    queue: String,
    topic_prefix: String,
}

/// Where a broker is, and how to log in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    host: String,
    port: String,
    vpn: String,
    username: String,
    password: Secret,
}

impl Login {
    /// As `SOLACE_TEST_HOST` and its companions say; `None` if it is not set.
    fn of_environment() -> Option<Self> {
        let companion = |name: &str, default: &str| {
            env::var(format!("SOLACE_TEST_{name}")).unwrap_or_else(|_| default.to_owned())
        };
        Some(Self {
            host: env::var(HOST_VARIABLE).ok().filter(|host| !host.is_empty())?,
            port: companion("PORT", "55555"),
            vpn: companion("VPN", "default"),
            username: companion("USERNAME", "default"),
            password: Secret::new(companion("PASSWORD", "")),
        })
    }

    fn of_loopback(broker: &BrokerHandle) -> Self {
        Self {
            host: broker.smf_addr().ip().to_string(),
            port: broker.smf_addr().port().to_string(),
            vpn: "default".to_owned(),
            username: "test".to_owned(),
            password: Secret::default(),
        }
    }

    fn session_options(&self) -> SessionOptions {
        SessionOptions {
            hosts: format!("tcp://{}:{}", self.host, self.port),
            vpn: self.vpn.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            tls: Tls::default(),
            description: "pg_cdc_ods end-to-end test".to_owned(),
        }
    }

    fn environment(&self) -> [(&'static str, &str); 5] {
        [
            ("SOLACE_HOST", &self.host),
            ("SOLACE_PORT", &self.port),
            ("SOLACE_VPN", &self.vpn),
            ("SOLACE_USERNAME", &self.username),
            ("SOLACE_PASSWORD", self.password.expose()),
        ]
    }
}

impl TestBroker {
    /// Whether the environment names a Solace broker.
    pub(crate) fn is_solace_wanted() -> bool {
        Login::of_environment().is_some()
    }

    /// Starts the double.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn loopback() -> anyhow::Result<Self> {
        let queue = QueueConfig::new(LOOPBACK_QUEUE, [format!("{LOOPBACK_TOPIC_PREFIX}/>")]);
        Ok(Self::Loopback(Broker::start(Config { queues: vec![queue], ..Config::default() })?))
    }

    /// Creates a queue on the Solace broker of the environment. Waits for the broker.
    ///
    /// # Errors
    /// If the environment names none, or it refuses.
    pub(crate) fn solace(library: Library) -> anyhow::Result<Self> {
        let login = Login::of_environment().with_context(|| format!("{HOST_VARIABLE} is not set"))?;
        let session = Session::connect(library, &login.session_options(), |_| ())?;
        // Several tests share the broker: each has topics of its own.
        let name = format!("e2e-{:08x}", rand::random::<u32>());
        let (queue, topic_prefix) = (format!("pg_cdc_ods/{name}"), format!("{LOOPBACK_TOPIC_PREFIX}/{name}"));
        session.create_queue(&queue)?;
        let queue = SolaceQueue { login, session, queue, topic_prefix };
        queue.session.subscribe_queue(&queue.queue, &format!("{}/>", queue.topic_prefix))?;
        Ok(Self::Solace(queue))
    }

    /// The name of the queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        match self {
            Self::Loopback(_) => LOOPBACK_QUEUE,
            Self::Solace(queue) => &queue.queue,
        }
    }

    /// First levels of the topics that the queue attracts.
    #[must_use]
    pub fn topic_prefix(&self) -> &str {
        match self {
            Self::Loopback(_) => LOOPBACK_TOPIC_PREFIX,
            Self::Solace(queue) => &queue.topic_prefix,
        }
    }

    /// How a client in this process connects.
    #[must_use]
    pub fn session_options(&self) -> SessionOptions {
        self.login().session_options()
    }

    /// What tells `cdc-bridge` to connect here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let login = self.login();
        let settings = login.environment().map(|(name, value)| (name, value.to_owned()));
        settings.into_iter().chain([("SOLACE_QUEUES", self.queue().to_owned())]).collect()
    }

    fn login(&self) -> Login {
        match self {
            Self::Loopback(broker) => Login::of_loopback(broker),
            Self::Solace(queue) => queue.login.clone(),
        }
    }
}

impl Drop for SolaceQueue {
    fn drop(&mut self) {
        if let Err(error) = self.session.delete_queue(&self.queue) {
            eprintln!("the test's queue stays on the broker: {error}");
        }
    }
}
