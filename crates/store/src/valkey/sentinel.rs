//! Sentinels, which are servers that monitor a primary and its replicas, and know the present primary. The
//! address names several Sentinels, because each of them may be unreachable:
//! `valkey+sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME[/DATABASE][?OPTION=VALUE&…]`.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError,
};

use super::fault::{self, REQUEST_TIMEOUT, SENTINEL_TIMEOUT, ValkeyConnectError};
use super::primary::PrimaryServer;
use super::transport::TransportPolicy;

/// The default port of a Sentinel.
const DEFAULT_SENTINEL_PORT: u16 = 26379;

/// The Sentinels of one primary.
pub(super) struct SentinelGroup {
    /// The name of the primary in the configuration of the Sentinels.
    primary_name: String,
    sentinels: Vec<Client>,
    /// User, password and database that are used for every possible primary. The host and port in this value
    /// are not used.
    login: ConnectionInfo,
    transport: TransportPolicy,
    /// The name of this group for messages, without a password.
    name: Arc<str>,
}

impl SentinelGroup {
    /// Parses an address. Returns `None` if the address names a single server.
    pub(super) fn parse(url: &str, transport: TransportPolicy) -> Result<Option<Self>, ValkeyConnectError> {
        let wrong = |reason: String| ValkeyConnectError::SentinelUrl(reason);
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
        let scheme = match scheme {
            "valkey+sentinel" | "redis+sentinel" => "redis",
            "valkeys+sentinel" | "rediss+sentinel" => "rediss",
            _ => return Ok(None),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (of, database) = path.split_once('/').unwrap_or((path, "0"));
        if of.is_empty() || rest.contains('#') {
            return Err(wrong("the name of the primary is missing after the hosts".to_owned()));
        }
        let (own, others): (Vec<_>, Vec<_>) =
            query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("sentinel_"));
        let mut own_login = [""; 2];
        for pair in own {
            match pair.split_once('=') {
                Some(("sentinel_username", user)) => own_login[0] = user,
                Some(("sentinel_password", password)) => own_login[1] = password,
                Some((name, _)) => return Err(wrong(format!("there is no option `{name}`"))),
                None => return Err(wrong("an option has no value".to_owned())),
            }
        }
        let read = |url: String| url.into_connection_info().map_err(|error| wrong(error.to_string()));
        let hosts: Vec<String> = hosts.split(',').map(with_port).collect();
        let own_login = match own_login {
            ["", ""] => String::new(),
            [user, password] => format!("{user}:{password}@"),
        };
        let all = hosts.iter().map(|host| {
            let info = read(format!("{scheme}://{own_login}{host}"))?;
            transport.check(info.addr())?;
            Client::open(info).map_err(|error| wrong(error.to_string()))
        });
        let all = all.collect::<Result<_, _>>()?;
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let login = read(format!("{scheme}://{login}localhost/{database}?{}", others.join("&")))?;
        let name = format!("Valkey `{of}`/{database} at Sentinel {}", hosts.join(", ")).into();
        Ok(Some(Self { primary_name: of.to_owned(), sentinels: all, login, transport, name }))
    }

    /// Returns the Sentinels and the primary's name for messages, without a password.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Connects to the primary. All Sentinels are asked in parallel, so an unreachable Sentinel causes no
    /// delay. The first named server that is actually a primary is used.
    pub(super) async fn connect_primary(&self) -> Result<PrimaryServer, ValkeyConnectError> {
        let none = |responses: String| ValkeyConnectError::NoPrimary { name: self.name(), responses };
        match tokio::time::timeout(REQUEST_TIMEOUT, self.find_primary()).await {
            Ok(found) => found.map_err(|faults| none(faults.join("; "))),
            Err(_) => Err(none(fault::timeout_message(REQUEST_TIMEOUT))),
        }
    }

    async fn find_primary(&self) -> Result<PrimaryServer, Vec<String>> {
        let mut answers: FuturesUnordered<_> =
            self.sentinels.iter().map(|sentinel| self.query_primary_address(sentinel)).collect();
        let (mut tried, mut faults) = (BTreeSet::new(), Vec::new());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(address) if tried.insert(address.clone()) => {
                    match self.connect(address.0, address.1).await {
                        Ok(primary) => return Ok(primary),
                        Err(error) => faults.push(error.to_string()),
                    }
                }
                Ok(_) => {}
                Err(fault) => faults.push(fault),
            }
        }
        Err(faults)
    }

    /// Asks one Sentinel for host and port of the primary.
    async fn query_primary_address(&self, sentinel: &Client) -> Result<(String, u16), String> {
        let name = sentinel.get_connection_info().addr();
        let sentinel_error = |error: RedisError| {
            format!("Sentinel {name}: {}", fault::render_sentinel_error(sentinel, &error))
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(SENTINEL_TIMEOUT))
            .set_response_timeout(Some(SENTINEL_TIMEOUT));
        let connecting = sentinel.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(sentinel_error)?;
        let asked = redis::cmd("SENTINEL")
            .arg(("GET-MASTER-ADDR-BY-NAME", &self.primary_name))
            .query_async(&mut connection)
            .await;
        let address: Option<(String, u16)> = asked.map_err(sentinel_error)?;
        address.ok_or_else(|| {
            format!(
                "Sentinel {name} knows no primary `{}`; correct the name in `store.url`",
                self.primary_name
            )
        })
    }

    async fn connect(&self, host: String, port: u16) -> Result<PrimaryServer, ValkeyConnectError> {
        let mut address = ConnectionAddr::Tcp(host.clone(), port);
        if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = self.login.addr() {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            address = ConnectionAddr::TcpTls { host, port, insecure, tls_params };
        }
        self.transport.check(&address)?;
        let client = Client::open(self.login.clone().set_addr(address));
        let client = client.map_err(|error| ValkeyConnectError::SentinelUrl(error.to_string()))?;
        let name = format!("{}, the primary `{}`", fault::server_name(&client), self.primary_name);
        PrimaryServer::connect(client, name.into()).await
    }
}

/// Returns the host with a port. If there is no port, the default port is added.
fn with_port(host: &str) -> String {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    if after.contains(':') { host.to_owned() } else { format!("{host}:{DEFAULT_SENTINEL_PORT}") }
}
