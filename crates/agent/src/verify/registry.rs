//! The hosts that a setup may connect to: the hosts of the listed registries, and the hosts of package
//! indexes that the user has configured.

use std::collections::BTreeMap;

use serde::Serialize;
use truing_core::loopback::is_loopback;
use truing_core::registry::PackageRegistry;
use url::{Host, Url};

use crate::proxy::{AllowedHost, normalize_host};

/// Returns the hosts of a registry, including the hosts from which its package files are downloaded.
fn registry_hosts(registry: PackageRegistry) -> &'static [&'static str] {
    match registry {
        PackageRegistry::Pypi => &["pypi.org", "files.pythonhosted.org"],
        PackageRegistry::Npm => &["registry.npmjs.org"],
        PackageRegistry::Crates => &["index.crates.io", "static.crates.io", "crates.io"],
    }
}

/// Returns the environment variables in which a registry's tools read additional indexes. The value of one
/// variable may list several indexes.
fn index_variables(registry: PackageRegistry) -> &'static [&'static str] {
    match registry {
        PackageRegistry::Pypi => &["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"],
        PackageRegistry::Npm | PackageRegistry::Crates => &[],
    }
}

/// Environment variables with paths of CA certificates. A variable is passed on only if its path belongs to
/// the system's certificates, because no other certificates exist inside the sandbox.
const CERTIFICATE_VARIABLES: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
];
/// Paths of the system's certificates, which also exist inside the sandbox.
const SYSTEM_CERTIFICATE_PATHS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs", "/usr/"];

/// The registries that setups may use, and the configuration of the registries' tools.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegistryAccess {
    /// Hosts that setups may connect to.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Environment variables of the setup.
    pub environment: Vec<(String, String)>,
    /// Files that the setup needs in its home folder, by their paths in this folder.
    pub files: Vec<(&'static str, String)>,
}

/// A package index that the user has configured as a replacement for a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryIndex {
    pub registry: PackageRegistry,
    /// Name of the variable or file that configures the index.
    pub configured_by: String,
    /// URL of the index.
    pub address: String,
}

/// Path of Cargo's configuration file. The file is needed, because no environment variable can replace
/// crates.io with another index.
const CARGO_CONFIG_PATH: &str = ".cargo/config.toml";
/// Prefix of the URL of a sparse Cargo index.
const SPARSE_PREFIX: &str = "sparse+";
/// Name, in Cargo's configuration, of the source that replaces crates.io.
const REPLACEMENT_SOURCE: &str = "own";

/// A source of crates in Cargo's configuration.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum CargoSource {
    ReplaceWith(&'static str),
    Registry(String),
}

/// The reason that an index cannot be used. The error omits the index's URL, which may contain a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// The URL contains a user name or a password, which the programs of the setup could read.
    #[error(
        "{0} names an index whose URL contains a user name or a password, which programs of a set-up \
        would see"
    )]
    UrlCredentials(String),
    /// The connection is not protected by TLS.
    #[error("{0} names an index whose URL does not use https")]
    NotHttps(String),
    /// The URL is invalid.
    #[error("{variable} does not name an index: {reason}")]
    InvalidUrl {
        /// Variable that holds the URL.
        variable: String,
        reason: String,
    },
}

impl RegistryError {
    /// Returns advice on how to correct the error.
    pub fn hint(&self) -> String {
        match self {
            Self::UrlCredentials(_) => {
                "name an index that requires no login (a mirror on this machine or network), or leave its \
                    registry out of `verify.registries`"
                    .to_owned()
            }
            Self::NotHttps(_) => "use https; http is allowed only for addresses of this machine".to_owned(),
            Self::InvalidUrl { .. } => "give a URL such as https://pypi.example.org/simple".to_owned(),
        }
    }
}

impl RegistryAccess {
    /// Returns access to these registries, and to the additional indexes that the user's environment
    /// configures. `variable` returns the value of an environment variable.
    ///
    /// # Errors
    /// [`RegistryError`] for an index that cannot be used.
    pub fn new<'a>(
        registries: &[PackageRegistry],
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, RegistryError> {
        let mut all = Self::default();
        for registry in registries {
            let public = registry_hosts(*registry).iter().map(|host| AllowedHost {
                host: (*host).to_owned(),
                port: 443,
                tls: true,
                allows_private: false,
            });
            all.allowed_hosts.extend(public);
            for name in index_variables(*registry) {
                let Some(value) = variable(name).filter(|value| !value.trim().is_empty()) else { continue };
                for index in value.split_whitespace() {
                    all.allowed_hosts.push(parse_index(name, index)?);
                }
                all.environment.push(((*name).to_owned(), value.to_owned()));
            }
        }
        let is_shown = |path: &&str| {
            SYSTEM_CERTIFICATE_PATHS.iter().any(|shown| path.starts_with(shown)) && !path.contains("..")
        };
        let certificates =
            CERTIFICATE_VARIABLES.iter().filter_map(|name| Some((*name, variable(name).filter(is_shown)?)));
        all.environment.extend(certificates.map(|(name, path)| (name.to_owned(), path.to_owned())));
        Ok(all)
    }

    /// Allows access to this index, and configures the tools of its registry to use the index.
    ///
    /// # Errors
    /// [`RegistryError`] if the index cannot be used.
    pub fn with_index(mut self, index: &RegistryIndex) -> Result<Self, RegistryError> {
        let RegistryIndex { registry, configured_by: named_by, address } = index;
        self.allowed_hosts.push(parse_index(named_by, address)?);
        match registry {
            PackageRegistry::Pypi => {
                let names = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"];
                self.environment.extend(names.map(|name| (name.to_owned(), address.clone())));
            }
            PackageRegistry::Npm => {
                self.environment.push(("npm_config_registry".to_owned(), address.clone()));
            }
            PackageRegistry::Crates => {
                let sparse =
                    format!("{SPARSE_PREFIX}{}", address.strip_prefix(SPARSE_PREFIX).unwrap_or(address));
                let sources = [
                    ("crates-io", CargoSource::ReplaceWith(REPLACEMENT_SOURCE)),
                    (REPLACEMENT_SOURCE, CargoSource::Registry(sparse)),
                ];
                let config = BTreeMap::from([("source", BTreeMap::from(sources))]);
                let no = |error: toml::ser::Error| RegistryError::InvalidUrl {
                    variable: named_by.clone(),
                    reason: error.to_string(),
                };
                let text = toml::to_string(&config).map_err(no)?;
                self.files.push((CARGO_CONFIG_PATH, text));
            }
        }
        Ok(self)
    }
}

/// Returns the host of an index. An index is given as a URL, as `sparse+` and a URL (Cargo), or as `NAME=URL`
/// (uv).
fn parse_index(variable: &str, index: &str) -> Result<AllowedHost, RegistryError> {
    let no = |reason: String| RegistryError::InvalidUrl { variable: variable.to_owned(), reason };
    let named = index.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
    let index = named.map_or(index, |(_, index)| index);
    let index = index.strip_prefix(SPARSE_PREFIX).unwrap_or(index);
    let url = Url::parse(index).map_err(|error| no(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RegistryError::UrlCredentials(variable.to_owned()));
    }
    let tls = match url.scheme() {
        "https" => true,
        "http" if url.host_str().is_some_and(is_loopback) => false,
        _ => return Err(RegistryError::NotHttps(variable.to_owned())),
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => normalize_host(name),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(no("it has no host".to_owned())),
    };
    let port = url.port_or_known_default().ok_or_else(|| no("it has no port".to_owned()))?;
    Ok(AllowedHost { host, port, tls, allows_private: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry_access(
        registries: &[PackageRegistry],
        variables: &[(&str, &'static str)],
    ) -> Result<RegistryAccess, RegistryError> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        RegistryAccess::new(registries, found)
    }

    #[test]
    fn listed_registries_and_the_users_indexes_may_be_reached() {
        let all = registry_access(
            &[PackageRegistry::Pypi],
            &[
                ("PIP_EXTRA_INDEX_URL", "https://Mirror.example.org:8443/simple"),
                ("UV_INDEX", "one=https://a.example.org/x http://127.0.0.1:5000/simple"),
                ("SSL_CERT_FILE", "/etc/ssl/certs/ca.pem"),
                ("PIP_CERT", "/home/me/ca.pem"),
                ("REQUESTS_CA_BUNDLE", "/usr/../home/me/ca.pem"),
            ],
        )
        .unwrap();
        let reached = |host, port, tls| {
            let at = |place: &&AllowedHost| (place.host.as_str(), place.port, place.tls) == (host, port, tls);
            all.allowed_hosts.iter().find(at).map(|place| place.allows_private)
        };
        assert_eq!(reached("pypi.org", 443, true), Some(false));
        assert_eq!(reached("mirror.example.org", 8443, true), Some(true));
        assert_eq!(reached("a.example.org", 443, true), Some(true));
        assert_eq!(reached("127.0.0.1", 5000, false), Some(true));
        for (host, port, tls) in [
            ("pypi.org", 80, false),
            ("pypi.org", 22, true),
            ("upload.pypi.org", 443, true),
            ("registry.npmjs.org", 443, true),
            ("127.0.0.1", 5000, true),
        ] {
            assert_eq!(reached(host, port, tls), None, "{host}");
        }
        let told: Vec<&str> = all.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["UV_INDEX", "PIP_EXTRA_INDEX_URL", "SSL_CERT_FILE"]);
    }

    #[test]
    fn an_index_that_cannot_be_used_is_told_without_its_address() {
        for (value, wrong) in [
            ("https://me:hush@example.org/simple", "a user name or a password"),
            ("https://hush@example.org/simple", "a user name or a password"),
            ("x=https://me:hush@example.org/simple", "a user name or a password"),
            ("http://hush.example.org/simple", "whose URL does not use https"),
            ("file:///hush", "whose URL does not use https"),
            ("hush", "does not name an index"),
        ] {
            let error =
                registry_access(&PackageRegistry::ALL, &[("PIP_EXTRA_INDEX_URL", value)]).unwrap_err();
            let told = format!("{error}, {}", error.hint());
            assert!(told.contains(wrong) && told.contains("PIP_EXTRA_INDEX_URL"), "{told}");
            assert!(!told.contains("hush"), "{told}");
        }
    }

    #[test]
    fn tools_are_told_of_the_indexes_that_a_user_has() {
        let mut all = RegistryAccess::default();
        for (registry, address) in [
            (PackageRegistry::Pypi, "https://one.example.org/simple"),
            (PackageRegistry::Npm, "https://two.example.org"),
            (PackageRegistry::Crates, "https://three.example.org/index/"),
        ] {
            let named_by = "~/.x".to_owned();
            all = all
                .with_index(&RegistryIndex { registry, configured_by: named_by, address: address.to_owned() })
                .unwrap();
        }
        for host in ["one.example.org", "two.example.org", "three.example.org"] {
            assert!(all.allowed_hosts.iter().any(|place| (place.host.as_str(), place.port) == (host, 443)));
        }
        let told: Vec<&str> = all.environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(told, ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "npm_config_registry"]);
        let [(path, text)] = all.files.as_slice() else { unreachable!("one file: {all:?}") };
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(*path, ".cargo/config.toml");
        assert_eq!(config["source"]["crates-io"][concat!("replace", "-with")].as_str(), Some("own"));
        let sparse = format!("{SPARSE_PREFIX}https://three.example.org/index/");
        assert_eq!(config["source"]["own"]["registry"].as_str(), Some(sparse.as_str()));
        let secret = RegistryIndex {
            registry: PackageRegistry::Crates,
            configured_by: "~/.cargo/config.toml".to_owned(),
            address: "https://me:hush@example.org".to_owned(),
        };
        assert!(matches!(all.with_index(&secret), Err(RegistryError::UrlCredentials(_))));
    }
}
