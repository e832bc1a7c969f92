//! Accepting connections, with TLS or without.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::routes::{Origin, Shared, router};
use crate::socket::{Connection, Socket};

/// Pause after a failure to accept, such as a lack of file descriptors: others may be closed meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.spawn(connect(stream, tls.clone(), Arc::clone(&shared)));
    }
}

/// The life of one connection. A client that breaks the rules loses it, and nobody needs to know.
async fn connect(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let origin = Origin { number: shared.record.connected(), connection: Connection::default() };
    let socket = Socket::new(stream, origin.connection.clone());
    let router = router(shared).layer(Extension(origin));
    match tls {
        None => answer_requests(socket, router).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                answer_requests(stream, router).await;
            }
        }
    }
}

async fn answer_requests(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| router.clone().call(request));
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
