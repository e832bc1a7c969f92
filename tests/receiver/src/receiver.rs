//! Starting a receiver, and the handle by which its owner steers and stops it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::plan::Plan;
use crate::record::{NotWithin, Observed, Request};
use crate::routes::Shared;
use crate::serve;

/// How a receiver speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTP.
    #[default]
    Plain,
    /// HTTPS, with HTTP/2 for clients that want it, and a certificate of its own for `localhost` and 127.0.0.1.
    Tls,
}

/// Where a receiver listens, and how it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// With TLS or without.
    pub transport: Transport,
}

impl Default for Options {
    /// A free port on the loopback interface, without TLS.
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), transport: Transport::Plain }
    }
}

/// A receiver did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system did not let it listen.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gave no thread or no file descriptor.
    #[error("cannot start the receiver's thread")]
    Thread(#[from] io::Error),
    /// No certificate could be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Owner of a running receiver. Dropping it closes its connections and its port.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    transport: Transport,
    certificate: Option<String>,
    shared: Arc<Shared>,
    quit: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts a receiver on a thread of its own. It serves from the moment this returns.
    ///
    /// # Errors
    /// If the address is taken, or TLS cannot be set up.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (certificate, tls) = match options.transport {
            Transport::Plain => (None, None),
            Transport::Tls => {
                let (pem, tls) = tls()?;
                (Some(pem), Some(tls))
            }
        };
        let shared = Arc::new(Shared::default());
        let (quit, quitting) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("rest-receiver".to_owned())
            .spawn(move || run(&runtime, listener, tls, theirs, quitting))?;
        let transport = options.transport;
        Ok(Self { address, transport, certificate, shared, quit: Some(quit), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        let scheme = match self.transport {
            Transport::Plain => "http",
            Transport::Tls => "https",
        };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Its certificate in PEM, to be trusted by clients; none without TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Plans answers for the next requests, after those planned before.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.plan().then(answers);
    }

    /// Answers every request like this from now on; what was planned is forgotten.
    pub fn answer_always(&self, answer: Answer) {
        self.plan().replace(move |_| answer.clone());
    }

    /// Answers every request by this rule from now on; what was planned is forgotten.
    pub fn answer_by(&self, rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.plan().replace(rule);
    }

    /// What has come in so far.
    pub fn observed(&self) -> Observed {
        self.shared.record.look(Observed::clone)
    }

    /// Waits until what has come in meets a condition, which is looked at after each change, and returns it.
    ///
    /// # Errors
    /// If it does not within `timeout`.
    pub fn wait_until(
        &self,
        timeout: Duration,
        condition: impl FnMut(&Observed) -> bool,
    ) -> Result<Observed, NotWithin> {
        self.shared.record.wait_until(timeout, condition)
    }

    fn plan(&self) -> &Plan {
        &self.shared.plan
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The thread ends when the sender is gone.
        drop(self.quit.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    runtime: &Runtime,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    quitting: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        tokio::select! {
            () = serve::serve(listener, tls, shared) => {}
            _ = quitting => {}
        }
    });
}

/// A certificate in PEM, and what serves with it.
fn tls() -> Result<(String, TlsAcceptor), StartError> {
    let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((cert.pem(), TlsAcceptor::from(Arc::new(config))))
}
