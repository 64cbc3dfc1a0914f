//! The HTTP client of a package index. The client adds the index's login to requests and limits the size of
//! pages.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use truing_core::secret::SecretString;
use url::Url;

use super::release::{IndexError, IndexResponse, ReleaseArchive};
use truing_core::loopback::is_loopback;
use truing_core::registry::PackageRegistry;

/// The largest page of a package, in bytes. The limit is ten times the size of the page that lists one
/// release per day for ten years.
pub(super) const MAX_PAGE_BYTES: usize = 64 << 20;

/// Hosts of the registries' public indexes.
const PUBLIC_HOSTS: [(PackageRegistry, &str); 5] = [
    (PackageRegistry::Pypi, "pypi.org"),
    (PackageRegistry::Pypi, "pypi.python.org"),
    (PackageRegistry::Npm, "registry.npmjs.org"),
    (PackageRegistry::Npm, "registry.yarnpkg.com"),
    (PackageRegistry::Crates, "index.crates.io"),
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout between two parts of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A package index over HTTP.
#[derive(Clone, Debug)]
pub struct PackageIndex {
    registry: PackageRegistry,
    client: Client,
    /// The client for hosts on this machine. It does not use the environment's proxy.
    direct_client: Client,
    base: Url,
    login: Option<IndexLogin>,
}

/// The login for an index.
#[derive(Clone, Debug)]
enum IndexLogin {
    Password(String, SecretString),
    Token(SecretString),
}

impl PackageIndex {
    /// Creates the client of the index at this address. The address may contain a login:
    /// `https://USER:PASSWORD@HOST/simple/`.
    ///
    /// # Errors
    /// [`IndexError::InvalidAddress`]
    pub fn new(registry: PackageRegistry, address: &str) -> Result<Self, IndexError> {
        // Error messages show only the part of the address after the last `@`, so a message never contains a
        // password.
        let shown = address.rsplit('@').next().unwrap_or_default();
        let wrong = || IndexError::InvalidAddress(shown.to_owned());
        let mut base = Url::parse(address).map_err(|_| wrong())?;
        let is_local = base.host_str().is_some_and(is_loopback);
        if !(base.scheme() == "https" || base.scheme() == "http" && is_local) {
            return Err(wrong());
        }
        let login = base
            .password()
            .map(|password| IndexLogin::Password(base.username().to_owned(), SecretString::new(password)));
        base.set_password(None).map_err(|()| wrong())?;
        base.set_username("").map_err(|()| wrong())?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let builder = || {
            Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .user_agent(concat!("truing/", env!("CARGO_PKG_VERSION")))
        };
        let client = builder().build().map_err(|_| wrong())?;
        let direct_client = builder().no_proxy().build().map_err(|_| wrong())?;
        Ok(Self { registry, client, direct_client, base, login })
    }

    /// Adds a token, if there is one and the address contains no login.
    #[must_use]
    pub fn with_token(mut self, token: Option<SecretString>) -> Self {
        self.login = self.login.or(token.map(IndexLogin::Token));
        self
    }

    /// Returns true if the address is that of this index. An address of the registry's public index also
    /// counts, because this index is what the user's package managers use in its place.
    pub fn serves(&self, address: &str) -> bool {
        let Ok(url) = Url::parse(address.trim().trim_start_matches("sparse+")) else { return false };
        let host = url.host_str().unwrap_or_default();
        let is_public =
            PUBLIC_HOSTS.iter().any(|(registry, public)| *registry == self.registry && host == *public);
        let place = |url: &Url| {
            let path = url.path().trim_end_matches('/').to_owned();
            (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default(), path)
        };
        is_public || place(&url) == place(&self.base)
    }

    pub fn registry(&self) -> PackageRegistry {
        self.registry
    }

    /// Requests the index's page about a package.
    pub(super) async fn fetch_page(
        &self,
        path: &str,
        package: &str,
        accept: &'static str,
    ) -> Result<IndexResponse, IndexError> {
        let url = self.base.join(path).map_err(|_| IndexError::InvalidPackageName(package.to_owned()))?;
        let index = url.to_string();
        let request = self.add_login(self.client_for(&url).get(url.clone()), &url).header(ACCEPT, accept);
        let broken = |error: reqwest::Error| IndexError::Unreachable {
            url: index.clone(),
            reason: innermost_cause(&error),
        };
        let mut answer = request.send().await.map_err(broken)?;
        match answer.status() {
            StatusCode::OK => {}
            // A package that was removed for legal reasons also counts as missing. For such a package, a
            // sparse index returns the status 451.
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                let (index, package) = (self.base.to_string(), package.to_owned());
                return Err(IndexError::PackageNotFound { index, package });
            }
            status => return Err(IndexError::ErrorStatus { url: index, status }),
        }
        let is_json = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
        let base = answer.url().clone();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(broken)? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_PAGE_BYTES {
                let reason = format!("it is longer than {} MiB", MAX_PAGE_BYTES >> 20);
                return Err(IndexError::Malformed { url: index, reason });
            }
        }
        Ok(IndexResponse { url: base, is_json, body })
    }

    /// Starts the download of an archive.
    ///
    /// # Errors
    /// [`IndexError`] if the index does not send the archive.
    pub(crate) async fn open_archive(&self, archive: &ReleaseArchive) -> Result<Response, IndexError> {
        let request = self.add_login(self.client_for(&archive.url).get(archive.url.clone()), &archive.url);
        let index = archive.url.to_string();
        let answer = request.send().await;
        let answer = answer.map_err(|error| IndexError::Unreachable {
            url: index.clone(),
            reason: innermost_cause(&error),
        })?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(IndexError::ErrorStatus { url: index, status }),
        }
    }

    /// Returns the client for this address. The environment's proxy is for traffic to other machines, so a
    /// host on this machine is called without the proxy.
    fn client_for(&self, url: &Url) -> &Client {
        if url.host_str().is_some_and(is_loopback) { &self.direct_client } else { &self.client }
    }

    /// Adds the login to a request if the URL has the same origin as the index. A request to any other origin
    /// gets no login.
    fn add_login(&self, request: reqwest::RequestBuilder, url: &Url) -> reqwest::RequestBuilder {
        match &self.login {
            Some(_) if url.origin() != self.base.origin() => request,
            Some(IndexLogin::Password(user, password)) => request.basic_auth(user, Some(password.expose())),
            Some(IndexLogin::Token(token)) => request.bearer_auth(token.expose()),
            None => request,
        }
    }
}

/// Returns the error's innermost cause, which does not include the address.
pub(crate) fn innermost_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
