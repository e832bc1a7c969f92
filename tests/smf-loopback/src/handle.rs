//! Starting a broker, and the handle by which its owner steers and stops it.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::broker::Broker;
use crate::config::{Config, Exposure};
use crate::control::{self, QuitSignal};
use crate::listener::Listener;
use crate::session;
use crate::topic::SubscriptionError;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not on the loopback interface, and [`Exposure::AnyAddress`] was not given.
    #[error("{0} is not a loopback address; this broker has no encryption and an open control port")]
    Exposed(SocketAddr),
    /// The system did not let it listen.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A queue's subscription is malformed.
    #[error("a configured queue has a bad subscription")]
    Subscription(#[from] SubscriptionError),
}

/// Owner of a running broker. Dropping it stops the broker.
#[derive(Debug)]
pub struct BrokerHandle {
    broker: Arc<Broker>,
    smf: Listener,
    control: Listener,
    quit: Arc<QuitSignal>,
}

impl Broker {
    /// Starts a broker. It serves from the moment this returns.
    ///
    /// # Errors
    /// If an address is not allowed or taken, or a queue's subscription is malformed.
    pub fn start(config: Config) -> Result<BrokerHandle, StartError> {
        if config.exposure == Exposure::LoopbackOnly {
            for addr in [config.listen, config.control] {
                if !addr.ip().is_loopback() {
                    return Err(StartError::Exposed(addr));
                }
            }
        }
        let broker = Arc::new(Self::new(&config)?);
        let listen_error = |addr| move |source| StartError::Listen { addr, source };
        let served = broker.clone();
        let smf = Listener::start(config.listen, move |stream| {
            session::serve(&served, stream, config.max_message_bytes);
        })
        .map_err(listen_error(config.listen))?;
        let quit = Arc::new(QuitSignal::default());
        let control = control::listen(config.control, broker.clone(), quit.clone())
            .map_err(listen_error(config.control))?;
        Ok(BrokerHandle { broker, smf, control, quit })
    }
}

impl BrokerHandle {
    /// Where clients connect.
    pub fn smf_addr(&self) -> SocketAddr {
        self.smf.addr()
    }

    /// Where the control port listens.
    pub fn control_addr(&self) -> SocketAddr {
        self.control.addr()
    }

    /// Waits until the control command `quit` or [`request_quit`](Self::request_quit).
    pub fn wait_for_quit(&self) {
        self.quit.wait();
    }

    /// A function that ends [`wait_for_quit`](Self::wait_for_quit), for a signal handler's thread.
    pub fn request_quit(&self) -> impl Fn() + Send + 'static {
        let quit = self.quit.clone();
        move || quit.raise()
    }

    /// Ends all connections and waits for all threads. Everything in the queues is gone.
    pub fn stop(mut self) {
        self.smf.stop();
        self.control.stop();
    }
}

/// Hooks, counters and waiting are the running broker's own.
impl Deref for BrokerHandle {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}
