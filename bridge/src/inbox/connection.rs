//! A session with PostgreSQL that is the one writer of a stream.

use std::time::Duration;

use futures_util::{SinkExt, pin_mut};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::copy::{COLUMNS, CopyBatch};
use super::error::InboxError;
use super::tls;
use crate::config::{PostgresConfig, SslMode};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that acknowledges nothing for so long is given up; what it was sent is sent again.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that is idle for so long is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// A batch is handed over in pieces, so that the driver's own buffer stays small.
const CHUNK_BYTES: usize = 64 * 1024;

/// The lock is for the stream's name, apart from locks that others may take on hashes.
const LOCK_STREAM: &str = "select pg_try_advisory_lock(hashtextextended('pg_cdc_ods stream ' || $1, 0))";

/// Writes batches of one stream, alone.
///
/// A session-level lock keeps other bridges out as long as the connection lives.
pub(crate) struct InboxWriter {
    client: Client,
    copy: Statement,
}

impl InboxWriter {
    /// Connects and takes the stream's lock.
    ///
    /// # Errors
    /// [`InboxError::StreamTaken`] if another session holds the lock; others if the database is not to be had.
    pub(crate) async fn connect(config: &PostgresConfig, stream: &str) -> Result<Self, InboxError> {
        let client = connect(config, stream).await?;
        let locked: bool = client
            .query_one(LOCK_STREAM, &[&stream])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(InboxError::postgres("locking the stream"))?;
        if !locked {
            return Err(InboxError::StreamTaken { stream: stream.to_owned() });
        }
        let copy = client
            .prepare(&format!("copy cdc.inbox ({COLUMNS}) from stdin (format binary)"))
            .await
            .map_err(InboxError::postgres("preparing to write to cdc.inbox"))?;
        Ok(Self { client, copy })
    }

    /// Writes a batch in one transaction, which is committed when this returns.
    ///
    /// # Errors
    /// If the server refuses it or the connection is lost; the batch may then be committed all the same. The writer
    /// should be replaced by a new one.
    pub(crate) async fn write(&self, batch: &CopyBatch) -> Result<(), InboxError> {
        let failed = || InboxError::postgres("writing to cdc.inbox");
        let sink = self.client.copy_in(&self.copy).await.map_err(failed())?;
        pin_mut!(sink);
        let mut rest = batch.data.clone();
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            if let Err(error) = sink.feed(chunk).await {
                // The server has ended the COPY; its reason comes when finishing.
                return Err(failed()(sink.finish().await.err().unwrap_or(error)));
            }
        }
        let taken = sink.finish().await.map_err(failed())?;
        if taken == batch.rows as u64 {
            Ok(())
        } else {
            Err(InboxError::RowsMissing { sent: batch.rows, taken })
        }
    }
}

/// Connects; the connection's own task runs until the client is dropped. `purpose` is shown in `pg_stat_activity`.
pub(crate) async fn connect(config: &PostgresConfig, purpose: &str) -> Result<Client, InboxError> {
    // libpq ignores the mode on Unix sockets, too.
    let ssl_mode = if config.host.starts_with('/') { SslMode::Disable } else { config.ssl_mode };
    let settings = settings(config, ssl_mode, purpose);
    if ssl_mode == SslMode::Disable {
        return drive(&settings, NoTls).await;
    }
    let tls = tls::client_config(ssl_mode, config.ca_file.as_deref())?;
    drive(&settings, MakeRustlsConnect::new(tls)).await
}

fn settings(config: &PostgresConfig, ssl_mode: SslMode, purpose: &str) -> tokio_postgres::Config {
    let mut settings = tokio_postgres::Config::new();
    settings
        .host(&config.host)
        .port(config.port)
        .dbname(&config.database)
        .user(&config.user)
        .application_name(format!("cdc-bridge {purpose}"))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives_idle(KEEPALIVE_IDLE)
        .ssl_mode(match ssl_mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        });
    if !config.password.is_empty() {
        settings.password(config.password.expose());
    }
    settings
}

async fn drive<T>(settings: &tokio_postgres::Config, tls: T) -> Result<Client, InboxError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) =
        settings.connect(tls).await.map_err(InboxError::postgres("connecting to PostgreSQL"))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Whoever uses the client gets an error of its own and acts on it.
            tracing::debug!(%error, "connection to PostgreSQL ended");
        }
    });
    Ok(client)
}
