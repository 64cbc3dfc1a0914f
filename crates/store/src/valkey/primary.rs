//! The primary: the server that accepts writes. With Sentinels, another server may become the primary after a
//! failure. When the connection to the primary is lost, the Sentinels are asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::{Mutex, watch};
use truing_core::port::StoreError;

use super::fault::{self, REQUEST_TIMEOUT, ValkeyConnectError};
use super::sentinel::SentinelGroup;
use super::transport::TransportPolicy;

/// A server with a connection that reconnects after it is lost.
#[derive(Clone)]
pub(super) struct PrimaryServer {
    connection: ConnectionManager,
    /// The client that opens connections for receiving reports.
    pub(super) client: Client,
    /// Name of the server for messages, without a password.
    pub(super) name: Arc<str>,
    /// True if another server may be the primary now.
    is_lost: Arc<AtomicBool>,
}

impl PrimaryServer {
    /// Connects to the server, and refuses a server that could lose slots.
    pub(super) async fn connect(client: Client, name: Arc<str>) -> Result<Self, ValkeyConnectError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REQUEST_TIMEOUT))
            .set_response_timeout(Some(REQUEST_TIMEOUT))
            .set_number_of_retries(1);
        let connecting = ConnectionManager::new_with_config(client.clone(), config);
        let connected = tokio::time::timeout(REQUEST_TIMEOUT, connecting).await;
        let other = |message: String| ValkeyConnectError::Other { name: Arc::clone(&name), message };
        let mut connection = connected
            .map_err(|_| other(fault::connection_error_text(&client, None)))?
            .map_err(|error| other(fault::connection_error_text(&client, Some(&error))))?;
        let asked = redis::cmd("INFO").query_async(&mut connection).await;
        let info: RedisResult<String> = asked;
        match info {
            Ok(info) => fault::check_durability(&name, &info)?,
            Err(error) if fault::is_command_refused(&error) => tracing::warn!(
                %name,
                %error,
                "the server refuses INFO, so its version, role, eviction policy and append-only file are not \
                    checked; see the requirements in docs/scaling.md"
            ),
            Err(error) => return Err(other(fault::error_text(&error))),
        }
        Ok(Self { connection, client, name, is_lost: Arc::default() })
    }

    /// Records that another server may be the primary now.
    pub(super) fn mark_lost(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
    }

    /// Returns the response unchanged. If the response is an error that a working primary does not return,
    /// records that the primary may be lost.
    pub(super) fn mark_lost_on_error<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.as_ref().is_err_and(indicates_lost_primary) {
            self.mark_lost();
        }
        answer
    }
}

/// Returns true if the error shows that the connection is lost, or that the server is a replica or not ready.
fn indicates_lost_primary(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"))
}

impl ConnectionLike for PrimaryServer {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = self.connection.send_packed_command(command).await;
            self.mark_lost_on_error(answer.and_then(Value::extract_error))
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let answer = self.connection.send_packed_commands(pipeline, offset, count).await;
            self.mark_lost_on_error(answer)
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// Finds the primary, and contains the connection to the current one.
pub(super) struct PrimaryRoute {
    /// The Sentinels; `None` if the address names a single server.
    pub(super) sentinels: Option<SentinelGroup>,
    pub(super) primary_sender: watch::Sender<PrimaryServer>,
    /// The lock that a caller holds while it asks the Sentinels. The value is the time and the error of the
    /// last search, or `None` if that search succeeded.
    pub(super) search_lock: Mutex<Option<(Instant, StoreError)>>,
}

impl PrimaryRoute {
    /// Connects to the server in the address, or to the primary that the Sentinels in the address name.
    /// Returns the route, and a name for it that does not change later.
    pub(super) async fn open(url: &str) -> Result<(Self, Arc<str>), ValkeyConnectError> {
        let (url, transport) = TransportPolicy::split_from_url(url);
        let sentinels = SentinelGroup::parse(&url, transport)?;
        let (primary, name) = match &sentinels {
            Some(sentinels) => (sentinels.connect_primary().await?, sentinels.name()),
            None => {
                let client = Client::open(url).map_err(|error| ValkeyConnectError::Url(error.to_string()))?;
                transport.check(client.get_connection_info().addr())?;
                let name: Arc<str> = fault::server_name(&client).into();
                (PrimaryServer::connect(client, Arc::clone(&name)).await?, name)
            }
        };
        let current = watch::Sender::new(primary);
        Ok((Self { sentinels, primary_sender: current, search_lock: Mutex::new(None) }, name))
    }

    /// Returns the name of the present primary, for messages.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.primary_sender.borrow().name)
    }

    /// Returns a receiver that gets each new primary.
    pub(super) fn subscribe(&self) -> watch::Receiver<PrimaryServer> {
        self.primary_sender.subscribe()
    }

    /// Returns the current primary if it is not lost. Without Sentinels, always returns the only server.
    pub(super) fn current_primary(&self) -> Option<PrimaryServer> {
        let current = self.primary_sender.borrow();
        let is_usable = self.sentinels.is_none() || !current.is_lost.load(Ordering::Relaxed);
        is_usable.then(|| current.clone())
    }
}
