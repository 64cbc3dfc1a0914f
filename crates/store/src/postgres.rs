//! PostgreSQL: a bounded pool of sessions, and one transaction around each unit of work. A transaction that
//! writes is serializable: its result is the same as if transactions ran one after another. A transaction
//! with a conflict is retried. A fencing token that a writing transaction reads is therefore still valid when
//! the transaction writes.

mod advisory_lock;
mod fault;
mod migrate;
mod operations;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use truing_core::port::StoreError;

pub(crate) use self::advisory_lock::AdvisoryLock;
pub use self::fault::PostgresConnectError;

use self::session::PostgresSession;
use crate::fault::StoreFault;
use crate::sql::{StoreOpenPurpose, TransactionMode, TransactionResult, TransactionWork};
use crate::watch::StoreMonitor;
use truing_core::loopback::is_loopback;

/// Largest number of sessions. If all sessions are in use, further work waits.
const MAX_SESSIONS: usize = 16;
/// Timeout both of waiting for a free session and of connecting a new session.
const SESSION_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a migration, including the time during which another process migrates.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);
/// Number of attempts at a transaction that conflicts with others. After the last attempt, the error is
/// returned to the caller.
const MAX_TRANSACTION_ATTEMPTS: u32 = 20;
/// Largest number of times that the pause between attempts is doubled. The first pause is 1 ms.
const MAX_BACKOFF_DOUBLINGS: u32 = 6;

/// A database with a pool of sessions.
pub(crate) struct PostgresDatabase {
    pool: Pool,
    /// Host and database name, for messages. The name contains no password.
    name: Arc<str>,
    monitor: Arc<StoreMonitor>,
}

impl PostgresDatabase {
    /// Connects, and migrates the database to this version's schema.
    pub(crate) async fn open(
        url: &str,
        purpose: StoreOpenPurpose,
        monitor: Arc<StoreMonitor>,
    ) -> Result<Self, PostgresConnectError> {
        let mut config = parse_configuration(url).map_err(PostgresConnectError::Url)?;
        let name: Arc<str> = server_name(&config).into();
        config
            .application_name("truing")
            .connect_timeout(SESSION_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30));
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if config.get_ssl_mode() == SslMode::Disable {
            Manager::from_config(config, tokio_postgres::NoTls, manager)
        } else {
            let tls = rustls::ClientConfig::with_platform_verifier()
                .map_err(|error| PostgresConnectError::Certificates(error.to_string()))?;
            Manager::from_config(config, MakeRustlsConnect::new(tls), manager)
        };
        let prepare = Hook::async_fn(|client, _| {
            Box::pin(async move {
                match tokio::time::timeout(SESSION_TIMEOUT, client.batch_execute(session::SESSION_SETUP_SQL))
                    .await
                {
                    Ok(done) => done.map_err(HookError::Backend),
                    Err(_) => Err(HookError::message(fault::timeout_message())),
                }
            })
        });
        let pool = Pool::builder(manager)
            .max_size(MAX_SESSIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(SESSION_TIMEOUT))
            .create_timeout(Some(SESSION_TIMEOUT))
            .recycle_timeout(Some(SESSION_TIMEOUT))
            .post_create(prepare)
            .build()
            .map_err(|error| PostgresConnectError::Other {
                name: Arc::clone(&name),
                message: error.to_string(),
            })?;
        let database = Self { pool, name, monitor };
        // A migration through a pooler in transaction mode could create tables in another schema.
        database.check_sessions().await.map_err(PostgresConnectError::Check)?;
        match tokio::time::timeout(MIGRATION_TIMEOUT, database.migrate(purpose)).await {
            Ok(done) => done.map(|()| database),
            Err(_) => {
                let message = format!(
                    "the upgrade of the tables to this version did not finish within {} s",
                    MIGRATION_TIMEOUT.as_secs()
                );
                Err(PostgresConnectError::Other { name: Arc::clone(&database.name), message })
            }
        }
    }

    /// Returns host and database name for messages, without a password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a transaction. After a conflict with another transaction, `work` is retried.
    pub(crate) async fn run(
        &self,
        mode: TransactionMode,
        work: TransactionWork,
    ) -> Result<TransactionResult, StoreError> {
        let began = Instant::now();
        let done = self.transact(session::begin_statement(mode), work).await;
        if let Some(meter) = self.monitor.write_metrics.get().filter(|_| mode != TransactionMode::Read) {
            meter.commit_seconds.observe(began.elapsed().as_secs_f64());
            meter.failures.inc_by(u64::from(matches!(done, Err(StoreError::Unavailable(_)))));
        }
        done
    }

    async fn transact(
        &self,
        begin_sql: &'static str,
        mut work: TransactionWork,
    ) -> Result<TransactionResult, StoreError> {
        let mut sessions = 1;
        loop {
            let client =
                self.pool.get().await.map_err(|error| fault::missing_session_error(&self.name, &error))?;
            let session = PostgresSession::new(client, tokio::runtime::Handle::current());
            // The work runs on a separate thread. A transaction that has begun therefore ends normally, even
            // if the caller stops waiting.
            let done =
                tokio::task::spawn_blocking(move || (run_with_retries(session, begin_sql, &work), work))
                    .await;
            let Ok((done, given_back)) = done else {
                return Err(StoreError::Unavailable(format!(
                    "{}: the database operation was interrupted",
                    self.name
                )));
            };
            match done {
                // The server had closed the session while it was idle. The transaction was not begun, so the
                // work can be done in another session.
                Err(fault) if fault::is_session_lost(&fault) && sessions < MAX_SESSIONS => {
                    (work, sessions) = (given_back, sessions + 1);
                }
                done => return done.map_err(|fault| fault::store_error(fault, &self.name)),
            }
        }
    }
}

/// Runs work in a session, and retries after a conflict with another transaction.
fn run_with_retries(
    session: PostgresSession,
    begin_sql: &str,
    work: &TransactionWork,
) -> Result<TransactionResult, StoreFault> {
    let mut tries = 1;
    let done = loop {
        match session.try_transaction(begin_sql, work) {
            Err(fault) if fault::is_conflict(&fault) && tries < MAX_TRANSACTION_ATTEMPTS => {
                // One of two conflicting transactions always succeeds. If many transactions conflict, the
                // growing pauses make them run at different times.
                let pause = 1_u64 << tries.min(MAX_BACKOFF_DOUBLINGS);
                std::thread::park_timeout(Duration::from_millis(pause));
                tries += 1;
            }
            done => break done,
        }
    };
    session.release();
    done
}

/// Parses an address. If the server is on another machine, TLS is required, except if the URL contains
/// `sslmode=disable`. If TLS were optional, another server could pose as the intended server by refusing TLS.
///
/// # Errors
/// A message about the invalid part of the address, without the password.
fn parse_configuration(url: &str) -> Result<tokio_postgres::Config, String> {
    let mut config: tokio_postgres::Config =
        normalize_ssl_mode(url).parse().map_err(|error: tokio_postgres::Error| fault::cause(&error))?;
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    if hosts.iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err("write `@` in a user or a password as `%40`".to_owned());
    }
    let (authority, _) =
        url.split_once("://").map_or("", |(_, rest)| rest).split_once(['/', '?']).unwrap_or_default();
    let named = authority
        .rsplit('@')
        .next()
        .map_or(0, |hosts| hosts.split(',').filter(|host| !host.is_empty()).count());
    if named > 0 && (hosts.len() > named || !addresses.is_empty()) {
        return Err(
            "the URL has a host both before the path and in the option `host` or `hostaddr`; specify the \
                host only once"
                .to_owned(),
        );
    }
    let is_here = hosts.iter().all(is_local_host) && addresses.iter().all(std::net::IpAddr::is_loopback);
    if config.get_ssl_mode() == SslMode::Prefer && !is_here {
        config.ssl_mode(SslMode::Require);
    }
    Ok(config)
}

fn is_local_host(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    }
}

/// Replaces a TLS mode that the client does not support, such as `verify-full`, by `sslmode=require`. The
/// result is as strict, because the client always verifies the certificate and the host name.
fn normalize_ssl_mode(url: &str) -> String {
    let Some((place, query)) = url.rsplit_once('?') else { return url.to_owned() };
    let options = query.split('&').map(|option| match option {
        "sslmode=verify-full" | "sslmode=verify-ca" => "sslmode=require",
        other => other,
    });
    format!("{place}?{}", options.collect::<Vec<_>>().join("&"))
}

/// Returns host and database for messages.
fn server_name(config: &tokio_postgres::Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map_or("localhost".to_owned(), ToString::to_string),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or("");
    format!("PostgreSQL at {host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_required_beyond_this_machine_unless_a_mode_is_named() {
        for (url, mode) in [
            ("postgres://u:p@db.example.com/d", SslMode::Require),
            ("postgres://u@db.example.com/d?application_name=a", SslMode::Require),
            ("postgres://u@10.0.0.7,127.0.0.1/d", SslMode::Require),
            ("postgres://u@db.example.com/d?sslmode=verify-full", SslMode::Require),
            ("postgres://u@db.example.com/d?sslmode=disable", SslMode::Disable),
            ("postgres://u@db.example.com/d?sslmode=prefer", SslMode::Require),
            ("postgres://u@192.0.2.2/d?application_name=x?sslmode=verify-full", SslMode::Require),
            ("postgresql:///d?hostaddr=192.0.2.2", SslMode::Require),
            ("postgresql:///d?host=localhost&hostaddr=192.0.2.2", SslMode::Require),
            ("postgres://u@127.0.0.1:5433/d", SslMode::Prefer),
            ("postgres://u@localhost/d", SslMode::Prefer),
            ("postgresql:///d?host=/run/postgresql", SslMode::Prefer),
            ("postgresql:///d?host=db.example.com", SslMode::Require),
        ] {
            assert_eq!(parse_configuration(url).unwrap().get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_second_host_is_refused() {
        for url in
            ["postgres://u:hush@one/d?host=two", "postgres://u:hush@one/d?sslmode=disable&hostaddr=10.0.0.1"]
        {
            let refused = parse_configuration(url).unwrap_err();
            assert!(refused.contains("specify the host only once") && !refused.contains("hush"), "{refused}");
        }
    }

    #[test]
    fn a_password_with_a_sign_that_ends_it_is_refused_and_not_shown() {
        let refused = parse_configuration("postgres://u:hush@pw12@192.0.2.2/d").unwrap_err();
        assert!(refused.contains("%40") && !refused.contains("pw12"), "{refused}");
    }
}
