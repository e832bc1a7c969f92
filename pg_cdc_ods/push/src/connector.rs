//! Connections to endpoints. A name is resolved, each address is checked against the policy, and the connection goes
//! to just the addresses that passed: a name that resolves differently the next moment does not get around the check.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

use crate::address_policy::{AddressPolicy, RefusedAddress};
use crate::endpoint::Endpoint;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot resolve the host name {host}")]
    Resolve { host: String, source: io::Error },
    #[error("the host name {0} has no address")]
    NoAddress(String),
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    #[error("cannot connect to {address}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("no TLS connection")]
    Tls(#[source] BoxError),
}

/// Opens TCP connections to permitted addresses.
#[derive(Debug, Clone)]
struct PermittedTcp {
    policy: Arc<AddressPolicy>,
}

impl PermittedTcp {
    async fn connect(self, url: Uri) -> Result<TcpStream, ConnectError> {
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let default_port = if url.scheme_str() == Some("https") { 443 } else { 80 };
        let port = url.port_u16().unwrap_or(default_port);
        let addresses = lookup_host((host, port))
            .await
            .map_err(|source| ConnectError::Resolve { host: host.to_owned(), source })?;
        let mut problem = ConnectError::NoAddress(host.to_owned());
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<TcpStream, ConnectError> {
        self.policy.check(address.ip())?;
        let failed = |source| ConnectError::Connect { address, source };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        // A request is written whole; waiting for more to send with it would only cost time.
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

impl Service<Uri> for PermittedTcp {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.clone().connect(url);
        Box::pin(async { connecting.await.map(TokioIo::new) })
    }
}

/// Opens connections to one endpoint, with TLS if its URL says so, within its time.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<PermittedTcp>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(endpoint: &Endpoint, policy: Arc<AddressPolicy>) -> Self {
        let tcp = PermittedTcp { policy };
        let inner = HttpsConnectorBuilder::new()
            .with_tls_config(endpoint.tls().clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Self { inner, timeout: endpoint.options().connect_timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.inner.call(url);
        let time = self.timeout;
        Box::pin(async move {
            match timeout(time, connecting).await {
                Err(_) => Err(ConnectError::Timeout(time)),
                Ok(connected) => connected.map_err(unboxed),
            }
        })
    }
}

/// The error that [`PermittedTcp`] gave, or else the one that TLS ended with.
fn unboxed(error: BoxError) -> ConnectError {
    match error.downcast::<ConnectError>() {
        Ok(error) => *error,
        Err(error) => ConnectError::Tls(error),
    }
}
