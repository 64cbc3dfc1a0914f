//! Messages for users about errors of Valkey, and a check that refuses servers that could lose slots. Each
//! message names the server and the next step.

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ConnectionAddr, ErrorKind, RedisError};

/// Timeout of a request to the server.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a request to a Sentinel. All Sentinels are asked in parallel.
pub(super) const SENTINEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason why a server cannot be used for the slots.
#[derive(Debug, thiserror::Error)]
pub enum ValkeyConnectError {
    /// The address is not valid.
    #[error("`store.url` is not a valid Valkey URL: {0}; write valkey://HOST:6379/0")]
    Url(String),
    /// The address of Sentinels is not valid.
    #[error(
        "`store.url` is not an address of Sentinels: {0}; write \
            valkey+sentinel://HOST:26379,HOST:26379/NAME/0, where NAME is the Sentinels' name for the \
            primary"
    )]
    SentinelUrl(String),
    /// The server is on another machine, but the address does not use TLS.
    #[error(
        "`store.url` would send the password and slots to {address} without TLS; write valkeys://, or add \
            `?tls=off` if the network to the server is safe"
    )]
    NoTls {
        /// The server's host and port.
        address: String,
    },
    /// The Sentinels name no primary that is reachable.
    #[error("{name}: no primary can be reached: {responses}")]
    NoPrimary {
        /// The name of the group of Sentinels, with the name of the primary.
        name: Arc<str>,
        /// The response of each Sentinel.
        responses: String,
    },
    /// The server's version is too old.
    #[error(
        "{name} has version {version}, and 7 or newer is needed; upgrade the server, or set `store.url` to \
            another server"
    )]
    ServerTooOld {
        /// Name of the server.
        name: Arc<str>,
        /// The version of the server.
        version: String,
    },
    /// The server is a node of a cluster.
    #[error(
        "{name} is a node of a cluster. Clusters are not supported, because all slots are changed \
            together; set `store.url` to a standalone server, or to a server behind Sentinel"
    )]
    Cluster {
        /// Name of the server.
        name: Arc<str>,
    },
    /// The server is a replica of another server.
    #[error(
        "{name} is a replica, which is read-only; set `store.url` to the primary server, or to its \
            Sentinels; if the Sentinels returned this server, a failover is in progress: try again"
    )]
    Replica {
        /// Name of the server.
        name: Arc<str>,
    },
    /// The server drops keys when its memory is full.
    #[error(
        "{name} drops keys when its memory is full (maxmemory-policy {policy}), and slots would be lost; set \
         maxmemory-policy noeviction"
    )]
    EvictsKeys {
        /// Name of the server.
        name: Arc<str>,
        /// The server's eviction policy, `maxmemory-policy`.
        policy: String,
    },
    /// Any other error while connecting.
    #[error("{name}: {message}")]
    Other {
        /// Name of the server.
        name: Arc<str>,
        /// The error with a next step.
        message: String,
    },
}

/// Returns host and database for messages, without a password.
pub(super) fn server_name(client: &Client) -> String {
    let info = client.get_connection_info();
    format!("Valkey at {}/{}", info.addr(), info.redis_settings().db())
}

/// The server's error codes, each with a message and a next step.
const ERROR_CODE_HINTS: &[(&str, &str)] = &[
    (
        "NOAUTH",
        "the server requires a password; write the password into `store.url`: valkey://:PASSWORD@HOST",
    ),
    ("WRONGPASS", "the server does not accept the password; correct the password in `store.url`"),
    (
        "NOPERM",
        "this user lacks a permission; allow all commands on the keys `truing:*`, `review:slot:*` and \
            `bot:killswitch:enabled`, and the channel `truing:*` (&truing:*)",
    ),
    (
        "READONLY",
        "the server accepts no writes: it may have become a replica; set `store.url` to the primary \
            server, or to its Sentinels",
    ),
    ("OOM", "the server's memory is full: raise maxmemory; acknowledged writes are safe"),
    (
        "MISCONF",
        "the server cannot save to its disk and accepts no writes: free some disk space; acknowledged \
            writes are safe",
    ),
    (
        "NOREPLICAS",
        "the server has too few replicas to accept writes (min-replicas-to-write); check that its replicas \
            run; acknowledged writes are safe",
    ),
    ("LOADING", "the server is starting; try again"),
    ("MASTERDOWN", "the server has lost the connection to its primary server; try again"),
    (
        "WRONGTYPE",
        "a key of Truing holds a value of the wrong type; see the server's log, and delete the value that \
            was set manually",
    ),
];

/// Returns true if the server does not let this user run the command, or does not have the command.
pub(super) fn is_command_refused(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOPERM" | "ERR"))
}

/// Returns the message for a server that does not answer.
pub(super) fn timeout_message(timeout: Duration) -> String {
    let seconds = timeout.as_secs();
    format!(
        "the server has not answered within {seconds} s; check that it runs, and check the network to \
        the server"
    )
}

/// Renders an error as a message.
pub(super) fn error_text(error: &RedisError) -> String {
    let known = error.code().and_then(|code| ERROR_CODE_HINTS.iter().find(|(known, _)| *known == code));
    if let Some(words) = crate::tls::describe_tls_error(error) {
        return words;
    }
    match known {
        Some((_, hint)) => format!("{hint} ({error})"),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            format!(
                "the server does not accept the user or the password; correct both in `store.url` \
                ({error})"
            )
        }
        None if error.is_timeout() => timeout_message(REQUEST_TIMEOUT),
        // The client reads the certificate files for each connection. It reports unreadable files only by a
        // message.
        None if error.to_string().contains(" PEM ") => {
            format!(
                "the trusted certificates cannot be read; correct the path in SSL_CERT_FILE, or the file \
                    at that path ({error})"
            )
        }
        None if error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal() => {
            format!(
                "the server cannot be reached; check that it runs, and check its address in `store.url` or \
                    at the Sentinels ({error})"
            )
        }
        None => format!("the operation failed: {error}"),
    }
}

/// Returns a message about a failed connection attempt. `error` is `None` if the server did not answer.
pub(super) fn connection_error_text(client: &Client, error: Option<&RedisError>) -> String {
    let message = error.map_or_else(|| timeout_message(REQUEST_TIMEOUT), error_text);
    format!("{message}{}", tls_mismatch_hint(client, error))
}

/// Returns a hint if only one side of the connection seems to use TLS. Signs of this are that the server does
/// not answer, or that it closes the connection.
fn tls_mismatch_hint(client: &Client, error: Option<&RedisError>) -> &'static str {
    let has_tls = matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. });
    let is_ended = error.is_some_and(|error| error.is_connection_dropped() && !error.is_connection_refusal());
    if has_tls && error.is_none_or(RedisError::is_timeout) {
        return ". If the server does not use TLS on this port, begin the address with `valkey` or `redis`";
    }
    if !has_tls && is_ended {
        return ". If the server accepts only TLS, begin the address with `valkeys` or `rediss`";
    }
    ""
}

/// Renders an error of a Sentinel as a message.
pub(super) fn render_sentinel_error(sentinel: &Client, error: &RedisError) -> String {
    format!("{}{}", sentinel_error_text(error), tls_mismatch_hint(sentinel, Some(error)))
}

fn sentinel_error_text(error: &RedisError) -> String {
    match error.code() {
        Some("NOAUTH") => {
            format!(
                "the Sentinel requires a password; write the password into `store.url`: \
                    ?sentinel_password=PASSWORD ({error})"
            )
        }
        Some("WRONGPASS") => {
            format!(
                "the Sentinel does not accept the password; correct `sentinel_password` in `store.url` \
                ({error})"
            )
        }
        Some("ERR") => format!("the server is not a Sentinel; check its port in `store.url` ({error})"),
        None if error.is_timeout() => timeout_message(SENTINEL_TIMEOUT),
        Some(_) | None => error_text(error),
    }
}

/// Returns an error if the server could lose slots, according to the information that the server reports.
pub(super) fn check_durability(name: &Arc<str>, info: &str) -> Result<(), ValkeyConnectError> {
    let of = |field: &str| {
        info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim).unwrap_or("")
    };
    let version = if of("valkey_version").is_empty() { of("redis_version") } else { of("valkey_version") };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(ValkeyConnectError::ServerTooOld { name: Arc::clone(name), version: version.to_owned() });
    }
    if of("cluster_enabled") == "1" {
        return Err(ValkeyConnectError::Cluster { name: Arc::clone(name) });
    }
    if of("role") == "slave" {
        return Err(ValkeyConnectError::Replica { name: Arc::clone(name) });
    }
    match (of("maxmemory"), of("maxmemory_policy")) {
        (_, "noeviction") => {}
        (_, "") => tracing::warn!(
            %name,
            "the server does not report its maxmemory-policy, so the policy is not checked; it must be \
                noeviction"
        ),
        ("0", policy) => tracing::warn!(
            %name,
            policy,
            "the server would drop keys if maxmemory were set, and slots would be lost; set maxmemory-policy \
                noeviction"
        ),
        (_, policy) => {
            return Err(ValkeyConnectError::EvictsKeys { name: Arc::clone(name), policy: policy.to_owned() });
        }
    }
    if of("aof_enabled") == "0" {
        tracing::warn!(
            %name,
            "the server has no append-only file (appendonly no): a crash loses changes, even acknowledged \
                webhooks, until the sweep finds them; set appendonly yes"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_would_lose_slots_is_refused_by_what_it_tells() {
        let name: Arc<str> = "Valkey at x:1/0".into();
        let good = "redis_version:7.2.4\r\nvalkey_version:8.1.1\r\nrole:master\r\nmaxmemory:0\r\n\
                    maxmemory_policy:allkeys-lru\r\ncluster_enabled:0\r\naof_enabled:1\r\n";
        check_durability(&name, good).unwrap();
        for (from, to, part) in [
            ("valkey_version:8.1.1", "x:1", ""),
            ("valkey_version:8.1.1\r\n", "valkey_version:6.0.0\r\n", "7 or newer"),
            ("role:master", "role:slave", "is a replica"),
            ("cluster_enabled:0", "cluster_enabled:1", "is a node of a cluster"),
            ("maxmemory:0", "maxmemory:100", "maxmemory-policy noeviction"),
            ("maxmemory:0", "x:1", "(maxmemory-policy allkeys-lru)"),
            ("maxmemory:0\r\nmaxmemory_policy:allkeys-lru", "maxmemory:100", ""),
            (
                "maxmemory:0\r\nmaxmemory_policy:allkeys-lru",
                "maxmemory:100\r\nmaxmemory_policy:noeviction",
                "",
            ),
        ] {
            let told = check_durability(&name, &good.replace(from, to))
                .map_or_else(|error| error.to_string(), |()| String::new());
            assert!(told.contains(part) && told.is_empty() == part.is_empty(), "{to}: {told}");
        }
    }
}
