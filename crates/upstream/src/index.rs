//! A Python package index: the releases of a package, as the index lists them, in JSON or in HTML (the simple
//! repository API, PEP 503, 592, 629, 691 and 700).

mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use pep440_rs::Version;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use truing_core::secret::Secret;
use truing_reader::sources::Format;
use url::Url;

/// The index of everybody who configures none.
pub const DEFAULT: &str = "https://pypi.org/simple/";

/// The longest page of a package, in bytes: ten times that of one with a release a day for ten years.
const MAX_PAGE: usize = 64 << 20;
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The longest wait between two pieces of an answer.
const READ_TIME: Duration = Duration::from_secs(30);
const ACCEPTED: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A package index.
#[derive(Clone, Debug)]
pub struct Index {
    client: Client,
    base: Url,
    login: Option<(String, Secret)>,
}

/// A release of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// The archive that is read of it: a wheel where there is one.
    pub archive: Archive,
    /// It was taken back.
    pub is_yanked: bool,
}

/// A file of a release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archive {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// Its SHA-256 digest, in lower-case hexadecimal digits, as the index gives it.
    pub sha256: Option<String>,
    /// How it is packed.
    pub format: Format,
}

/// Why an index does not serve.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Its address.
    #[error("`{0}` is no address of a package index: write https://HOST/PATH/")]
    Address(String),
    /// A package's name.
    #[error("`{0}` is no name of a package")]
    Name(String),
    /// The package is not there.
    #[error("{index} has no package `{package}`")]
    Missing {
        /// The index.
        index: String,
        /// The package.
        package: String,
    },
    /// It refuses.
    #[error("{index} answers {status}{}", advice(*status))]
    Status {
        /// What was asked for.
        index: String,
        /// The answer.
        status: StatusCode,
    },
    /// It cannot be reached, or broke off.
    #[error("{index} cannot be read: {why}")]
    Unreachable {
        /// What was asked for.
        index: String,
        /// What happened.
        why: String,
    },
    /// It says something else.
    #[error("{index} gives no list of releases: {why}")]
    Rubbish {
        /// What was asked for.
        index: String,
        /// What is wrong with it.
        why: String,
    },
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": put the login into the index's address, as pip takes it"
        }
        _ => "",
    }
}

/// A file as an index lists it.
#[derive(Debug)]
struct Listed {
    name: String,
    url: String,
    sha256: Option<String>,
    is_yanked: bool,
}

impl Index {
    /// The index at this address, which may hold a login: `https://USER:PASSWORD@HOST/simple/`.
    ///
    /// # Errors
    /// [`IndexError::Address`]
    pub fn new(address: &str) -> Result<Self, IndexError> {
        // What follows an `@` is shown; a password never.
        let shown = address.rsplit('@').next().unwrap_or_default();
        let wrong = || IndexError::Address(shown.to_owned());
        let mut base = Url::parse(address).map_err(|_| wrong())?;
        let is_local = base.host_str().is_some_and(|host| host == "localhost" || is_loopback(host));
        if !(base.scheme() == "https" || base.scheme() == "http" && is_local) {
            return Err(wrong());
        }
        let login = base.password().map(|password| (base.username().to_owned(), Secret::new(password)));
        base.set_password(None).map_err(|()| wrong())?;
        base.set_username("").map_err(|()| wrong())?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .read_timeout(READ_TIME)
            .user_agent(concat!("truing/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|_| wrong())?;
        Ok(Self { client, base, login })
    }

    /// A package's releases, oldest first. What is no version of the standard's form (PEP 440), and releases without an
    /// archive that can be read, are left out.
    ///
    /// # Errors
    /// [`IndexError`]
    pub async fn releases(&self, package: &str) -> Result<Vec<Release>, IndexError> {
        let normal = normalised(package).ok_or_else(|| IndexError::Name(package.to_owned()))?;
        let url = self.base.join(&format!("{normal}/")).map_err(|_| IndexError::Name(package.to_owned()))?;
        let index = url.to_string();
        let request = self.with_login(self.client.get(url.clone()), &url).header(ACCEPT, ACCEPTED);
        let broken =
            |error: reqwest::Error| IndexError::Unreachable { index: index.clone(), why: told(&error) };
        let mut answer = request.send().await.map_err(broken)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let (index, package) = (self.base.to_string(), package.to_owned());
                return Err(IndexError::Missing { index, package });
            }
            status => return Err(IndexError::Status { index, status }),
        }
        let is_json = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
        let base = answer.url().clone();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(broken)? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_PAGE {
                let why = format!("it is longer than {} MiB", MAX_PAGE >> 20);
                return Err(IndexError::Rubbish { index, why });
            }
        }
        let listed = if is_json { page::of_json(&body) } else { Ok(page::of_html(&body)) };
        let listed = listed.map_err(|why| IndexError::Rubbish { index: index.clone(), why })?;
        if listed.is_empty() {
            return Err(IndexError::Rubbish { index, why: "it lists no file".to_owned() });
        }
        Ok(releases(&normal, &base, listed))
    }

    /// Begins to download an archive.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) async fn open(&self, archive: &Archive) -> Result<Response, IndexError> {
        let request = self.with_login(self.client.get(archive.url.clone()), &archive.url);
        let index = archive.url.to_string();
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| IndexError::Unreachable { index: index.clone(), why: told(&error) })?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(IndexError::Status { index, status }),
        }
    }

    /// The login is for the index's own host.
    fn with_login(&self, request: reqwest::RequestBuilder, url: &Url) -> reqwest::RequestBuilder {
        match &self.login {
            Some((user, password)) if url.origin() == self.base.origin() => {
                request.basic_auth(user, Some(password.expose()))
            }
            Some(_) | None => request,
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What happened, to its cause, without the address.
pub(crate) fn told(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A package's name as an index spells it (PEP 503).
fn normalised(package: &str) -> Option<String> {
    let is_name = !package.is_empty()
        && package.len() <= 200
        && package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && package.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let words: Vec<_> = package.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    is_name.then(|| words.join("-").to_ascii_lowercase())
}

/// One release a version, with the archive that says most with least: a wheel for every machine, another wheel, a source
/// archive.
fn releases(package: &str, base: &Url, listed: Vec<Listed>) -> Vec<Release> {
    let mut best: BTreeMap<Version, (u8, Release)> = BTreeMap::new();
    for file in listed {
        let Some((version, format, rank)) = version_in(package, &file.name) else { continue };
        let Ok(url) = base.join(&file.url) else { continue };
        let archive = Archive { name: file.name, url, sha256: file.sha256, format };
        let release = Release { version: version.clone(), archive, is_yanked: file.is_yanked };
        match best.get_mut(&version) {
            Some(known) if known.0 >= rank => {}
            Some(known) => *known = (rank, release),
            None => drop(best.insert(version, (rank, release))),
        }
    }
    best.into_values().map(|(_, release)| release).collect()
}

/// Of a file's name: which version it is, how it is packed, and how well it serves.
fn version_in(package: &str, name: &str) -> Option<(Version, Format, u8)> {
    let is_ours = |written: &str| normalised(written).is_some_and(|written| written == package);
    if let Some(stem) = name.strip_suffix(".whl") {
        let mut parts = stem.split('-');
        let (written, version) = (parts.next()?, parts.next()?);
        let rank = if stem.ends_with("-none-any") { 3 } else { 2 };
        return is_ours(written).then(|| Some((version.parse().ok()?, Format::Wheel, rank)))?;
    }
    let (written, version) = name.strip_suffix(".tar.gz")?.rsplit_once('-')?;
    is_ours(written).then(|| Some((version.parse().ok()?, Format::TarGz, 1)))?
}
