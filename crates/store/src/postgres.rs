//! PostgreSQL: a bounded pool of sessions, and one transaction around each piece of work. One that writes is serializable: it
//! behaves as if it had the database for itself, and runs again where another one was in its way. So a fence that was read
//! still holds when what it lets pass is written.

mod alone;
mod fault;
mod migrate;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use truing_core::port::StoreError;

pub(crate) use self::alone::AdvisoryLock;
pub use self::fault::PostgresConnectError;

use self::session::PostgresSession;
use crate::fault::StoreFault;
use crate::sql::{OpenPurpose, SqlTransaction, TransactionMode};
use crate::watch::StoreMonitor;
use truing_core::loopback::is_loopback;

/// Sessions at most; more work waits.
const SESSIONS: usize = 16;
/// The longest wait for a session, and for a new one to be connected.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest time that bringing a database to its form may take, with the wait for another process that does it.
const MIGRATION: Duration = Duration::from_mins(10);
/// Tries of a transaction that conflicts with others, before the caller gets the error.
const TRIES: u32 = 20;
/// The pause before another try is doubled so often, from 1 ms.
const MOST_DOUBLINGS: u32 = 6;

/// A database that is open.
pub(crate) struct PostgresDatabase {
    pool: Pool,
    /// Host and name, as people are told them: no password.
    name: Arc<str>,
    watch: Arc<StoreMonitor>,
}

impl PostgresDatabase {
    /// Connects, and brings the database to this version's form.
    pub(crate) async fn open(
        url: &str,
        purpose: OpenPurpose,
        watch: Arc<StoreMonitor>,
    ) -> Result<Self, PostgresConnectError> {
        let mut config = configuration(url).map_err(PostgresConnectError::Url)?;
        let name: Arc<str> = named(&config).into();
        config.application_name("truing").connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30));
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
                match tokio::time::timeout(PATIENCE, client.batch_execute(session::PREPARE)).await {
                    Ok(done) => done.map_err(HookError::Backend),
                    Err(_) => Err(HookError::message(fault::silent())),
                }
            })
        });
        let pool = Pool::builder(manager)
            .max_size(SESSIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .post_create(prepare)
            .build()
            .map_err(|error| PostgresConnectError::Other {
                name: Arc::clone(&name),
                message: error.to_string(),
            })?;
        let database = Self { pool, name, watch };
        match tokio::time::timeout(MIGRATION, database.migrate(purpose)).await {
            Ok(done) => done.map(|()| database),
            Err(_) => {
                let message =
                    format!("it was not brought to this version's form within {} s", MIGRATION.as_secs());
                Err(PostgresConnectError::Other { name: Arc::clone(&database.name), message })
            }
        }
    }

    /// Host and database, for people: no password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a transaction of its own, again where another one was in its way.
    pub(crate) async fn run<T, F>(&self, mode: TransactionMode, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        let began = Instant::now();
        let done = self.transact(session::begin(mode), Box::new(work)).await;
        if let Some(meter) = self.watch.meter.get().filter(|_| mode != TransactionMode::Read) {
            meter.commit.observe(began.elapsed().as_secs_f64());
            meter.failed.inc_by(u64::from(matches!(done, Err(StoreError::Unavailable(_)))));
        }
        done
    }

    async fn transact<T>(&self, begin: &'static str, mut work: BoxedWork<T>) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let mut sessions = 1;
        loop {
            let client = self.pool.get().await.map_err(|error| fault::no_session(&self.name, &error))?;
            let session = PostgresSession::new(client, tokio::runtime::Handle::current());
            // On a thread of its own: a transaction that has begun ends, whoever gives up waiting for it.
            let done = tokio::task::spawn_blocking(move || (run(session, begin, &work), work)).await;
            let Ok((done, given_back)) = done else {
                return Err(StoreError::Unavailable(format!("{}: the work was interrupted", self.name)));
            };
            match done {
                // The server has ended the session while nobody used it: nothing was begun, and another one will do.
                Err(fault) if fault::is_over(&fault) && sessions < SESSIONS => {
                    (work, sessions) = (given_back, sessions + 1);
                }
                done => return done.map_err(|fault| fault::told(fault, &self.name)),
            }
        }
    }
}

/// Work in a transaction. In a box, so that what runs it is generated once a result, and not once a query.
type BoxedWork<T> = Box<dyn Fn(&SqlTransaction) -> Result<T, StoreFault> + Send>;

/// Runs work in a session, again where another transaction was in the way.
fn run<T>(
    session: PostgresSession,
    begin: &str,
    work: impl Fn(&SqlTransaction) -> Result<T, StoreFault>,
) -> Result<T, StoreFault> {
    let mut tries = 1;
    let done = loop {
        match session.attempt(begin, &work) {
            Err(fault) if fault::is_conflict(&fault) && tries < TRIES => {
                // Of two that are in each other's way one is let through; doubling keeps many apart.
                let pause = 1_u64 << tries.min(MOST_DOUBLINGS);
                std::thread::park_timeout(Duration::from_millis(pause));
                tries += 1;
            }
            done => break done,
        }
    };
    session.end();
    done
}

/// The configuration that an address describes. Beyond this machine TLS is required unless `sslmode=disable` is said: a
/// server that is only asked for it may be another one that says no.
///
/// # Errors
/// The fault of the address, without its password.
fn configuration(url: &str) -> Result<tokio_postgres::Config, String> {
    let mut config: tokio_postgres::Config =
        verified(url).parse().map_err(|error: tokio_postgres::Error| fault::cause(&error))?;
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    if hosts.iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err("`@` in a user or a password is written `%40`".to_owned());
    }
    let (authority, _) =
        url.split_once("://").map_or("", |(_, rest)| rest).split_once(['/', '?']).unwrap_or_default();
    let named = authority
        .rsplit('@')
        .next()
        .map_or(0, |hosts| hosts.split(',').filter(|host| !host.is_empty()).count());
    if named > 0 && (hosts.len() > named || !addresses.is_empty()) {
        return Err(
            "a host is named before the path, and by `host` or `hostaddr` behind it; name it once".to_owned()
        );
    }
    let is_here = hosts.iter().all(is_here) && addresses.iter().all(std::net::IpAddr::is_loopback);
    if config.get_ssl_mode() == SslMode::Prefer && !is_here {
        config.ssl_mode(SslMode::Require);
    }
    Ok(config)
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    }
}

/// The address with a mode of TLS that the client knows. It has none that verifies less than everything.
fn verified(url: &str) -> String {
    let Some((place, query)) = url.rsplit_once('?') else { return url.to_owned() };
    let options = query.split('&').map(|option| match option {
        "sslmode=verify-full" | "sslmode=verify-ca" => "sslmode=require",
        other => other,
    });
    format!("{place}?{}", options.collect::<Vec<_>>().join("&"))
}

/// Host and database, for people.
fn named(config: &tokio_postgres::Config) -> String {
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
            assert_eq!(configuration(url).unwrap().get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_second_host_is_refused() {
        for url in
            ["postgres://u:hush@one/d?host=two", "postgres://u:hush@one/d?sslmode=disable&hostaddr=10.0.0.1"]
        {
            let refused = configuration(url).unwrap_err();
            assert!(refused.contains("name it once") && !refused.contains("hush"), "{refused}");
        }
    }

    #[test]
    fn a_password_with_a_sign_that_ends_it_is_refused_and_not_shown() {
        let refused = configuration("postgres://u:hush@pw12@192.0.2.2/d").unwrap_err();
        assert!(refused.contains("%40") && !refused.contains("pw12"), "{refused}");
    }
}
