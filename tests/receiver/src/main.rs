//! The receiver as a program, for the demo: it serves until SIGTERM or SIGINT.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use rest_receiver::{Options, Receiver, Transport};
use tokio::signal::unix::{SignalKind, signal};

/// Takes what is posted under /api/v1, and shows it by GET. PUT a fault to /control/answer, such as {"status": 503},
/// {"status": 429, "retry_after": "7"}, {"delay_ms": 2000}, {"fault": "hang" | "close" | "reset" | "garbage"}, each with
/// a "count" or for good; DELETE takes it back.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 takes a free one. Anyone who reaches it can use it
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak HTTPS, and write the certificate to trust into this file, in PEM
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let transport = if args.tls_certificate.is_some() { Transport::Tls } else { Transport::Plain };
    // Before the receiver starts: whoever sees the line below may send a signal at once.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let receiver = Receiver::start(Options { listen: args.listen, transport })?;
    if let Some((path, certificate)) = args.tls_certificate.zip(receiver.certificate()) {
        fs::write(&path, certificate).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("listening on {}", receiver.url(""));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
