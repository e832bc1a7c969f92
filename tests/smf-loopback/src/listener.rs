//! A listening socket with one thread for each connection, and an end to all of them.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long to wait after the system could not accept a connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Sockets of the connections that are served, to wake their threads at the end.
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Listener {
    /// Listens at `addr` and runs `serve` for every connection.
    pub(crate) fn start(
        addr: SocketAddr,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(addr)?;
        let addr = socket.local_addr()?;
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let acceptor = thread::spawn(move || accept_all(&socket, &for_thread, &Arc::new(serve)));
        Ok(Self { addr, shared, acceptor: Some(acceptor) })
    }

    /// The address with the real port.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the socket and all connections, and waits for their threads.
    pub(crate) fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A connection to itself wakes the acceptor. If it cannot be made, the acceptor is awake.
        let _ = TcpStream::connect(self.addr);
        if acceptor.join().is_err() {
            tracing::error!(addr = %self.addr, "a listener's thread panicked");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept_all<F: Fn(TcpStream) + Send + Sync + 'static>(
    socket: &TcpListener,
    shared: &Arc<Shared>,
    serve: &Arc<F>,
) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for number in 0.. {
        let accepted = socket.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        match accepted.and_then(|(stream, _)| register(shared, number, stream)) {
            Ok(stream) => {
                let (shared, serve) = (shared.clone(), serve.clone());
                threads.push(thread::spawn(move || {
                    serve(stream);
                    shared.open().remove(&number);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
    for stream in shared.open().values() {
        // A socket that the other side closed already needs no shutdown.
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a connection's thread panicked");
        }
    }
}

fn register(shared: &Shared, number: u64, stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    shared.open().insert(number, stream.try_clone()?);
    Ok(stream)
}
