//! Fakes of the package registries PyPI, npm and crates.io on loopback. This module builds the archives from
//! file paths and texts.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::Digest as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use zip::write::SimpleFileOptions;

use crate::server;

/// Publication time of every release. The time is so early that every release is older than any minimum age
/// in a test.
const PUBLICATION_TIME: &str = "2024-05-01T00:00:00Z";

/// The kind of a package index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FakeRegistryKind {
    /// PyPI with its simple index and wheels.
    Pypi,
    Npm,
    /// The sparse index of crates.io.
    Crates,
}

/// A release: the version, and the files, each with its path and text.
pub type FakeRelease<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Served files by path.
type ServedFiles = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Registries of every kind at one address. The server stops when this value is dropped.
pub struct FakeRegistry {
    files: ServedFiles,
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for FakeRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeRegistry").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FakeRegistry {
    /// Starts the registries on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let files = ServedFiles::default();
        let router = Router::new().fallback(serve_file).with_state(Arc::clone(&files));
        let task = tokio::spawn(server::serve_connections(listener, router)).abort_handle();
        Ok(Self { files, address, task })
    }

    /// Returns the environment variables that make pip, npm and cargo use these registries.
    pub fn environment_variables(&self) -> Vec<(String, String)> {
        let at = |path: &str| format!("http://{}/{path}/", self.address);
        [
            ("PIP_INDEX_URL", at("simple")),
            ("npm_config_registry", at("npm")),
            ("CARGO_SOURCE_CRATES_IO_REPLACE_WITH", "here".to_owned()),
            ("CARGO_REGISTRIES_HERE_INDEX", format!("sparse+{}", at("index"))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Sets the releases of the package, oldest first. The new releases replace earlier releases.
    ///
    /// # Errors
    /// Returns an error if an archive cannot be built.
    pub fn set_releases(
        &self,
        kind: FakeRegistryKind,
        package: &str,
        releases: &[FakeRelease<'_>],
    ) -> io::Result<()> {
        match kind {
            FakeRegistryKind::Pypi => self.set_pypi_releases(package, releases),
            FakeRegistryKind::Npm => self.set_npm_releases(package, releases),
            FakeRegistryKind::Crates => self.set_crate_releases(package, releases),
        }
    }

    /// Sets or replaces the content at this path.
    pub fn set_file(&self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.into(), content.into());
    }

    fn set_pypi_releases(&self, package: &str, releases: &[FakeRelease<'_>]) -> io::Result<()> {
        let mut page = String::new();
        for (version, files) in releases {
            let stem = format!("{}-{version}", package.replace('-', "_"));
            let (name, archive) = (format!("{stem}-py3-none-any.whl"), build_wheel(package, &stem, files)?);
            page += &format!("<a href=\"/files/{name}#sha256={}\">{name}</a>\n", sha256_hex(&archive));
            self.set_file(format!("/files/{name}"), archive);
        }
        self.set_file(format!("/simple/{package}/"), page);
        Ok(())
    }

    fn set_npm_releases(&self, package: &str, releases: &[FakeRelease<'_>]) -> io::Result<()> {
        let (mut versions, mut time) = (json!({}), json!({ "created": PUBLICATION_TIME }));
        for (version, files) in releases {
            let archive = tar_gz("package", files)?;
            let path = format!("/npm/{package}/-/{version}.tgz");
            let integrity = format!("sha512-{}", STANDARD.encode(sha2::Sha512::digest(&archive)));
            let tarball = format!("http://{}{path}", self.address);
            versions[*version] = json!({ "dist": { "tarball": tarball, "integrity": integrity } });
            time[*version] = json!(PUBLICATION_TIME);
            self.set_file(path, archive);
        }
        let document = json!({ "name": package, "versions": versions, "time": time, "dist-tags": {} });
        self.set_file(format!("/npm/{}", package.replace('/', "%2f")), document.to_string());
        Ok(())
    }

    fn set_crate_releases(&self, package: &str, releases: &[FakeRelease<'_>]) -> io::Result<()> {
        let mut lines = String::new();
        for (version, files) in releases {
            let archive = tar_gz(&format!("{package}-{version}"), files)?;
            let line = json!({ "name": package, "vers": version, "cksum": sha256_hex(&archive),
                "yanked": false,
                "deps": [], "features": {}, "pubtime": PUBLICATION_TIME });
            lines += &format!("{line}\n");
            self.set_file(format!("/dl/{package}/{version}.crate"), archive);
        }
        let config = json!({ "dl": format!("http://{}/dl/{{crate}}/{{version}}.crate", self.address) });
        self.set_file("/index/config.json", config.to_string());
        self.set_file(format!("/index/{}", sparse_path(package)), lines);
        Ok(())
    }
}

async fn serve_file(State(files): State<ServedFiles>, uri: Uri) -> Response {
    let files = files.lock().unwrap_or_else(PoisonError::into_inner);
    match files.get(uri.path()) {
        Some(content) if content.starts_with(b"<a") => {
            ([("content-type", "text/html")], content.clone()).into_response()
        }
        Some(content) => content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Returns the path of a crate in the sparse index.
fn sparse_path(package: &str) -> String {
    let (two, four) = (package.get(..2).unwrap_or(package), package.get(2..4).unwrap_or_default());
    match package.len() {
        1 => format!("1/{package}"),
        2 => format!("2/{package}"),
        3 => format!("3/{}/{package}", package.get(..1).unwrap_or_default()),
        _ => format!("{two}/{four}/{package}"),
    }
}

/// Builds a wheel with the metadata that installers require. The metadata folder is named `{stem}.dist-info`.
fn build_wheel(package: &str, stem: &str, files: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let info = |file: &str| format!("{stem}.dist-info/{file}");
    let metadata = (info("METADATA"), format!("Metadata-Version: 2.1\nName: {package}\n"));
    let own = [metadata, (info("WHEEL"), "Wheel-Version: 1.0\n".to_owned()), (info("RECORD"), String::new())];
    let own = own.iter().filter(|(path, _)| files.iter().all(|(other, _)| other != path));
    let own = own.map(|(path, text)| (path.as_str(), text.as_str()));
    for (path, text) in files.iter().copied().chain(own) {
        zip.start_file(path, SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Builds a gzipped tar archive with one folder.
fn tar_gz(folder: &str, files: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

/// Returns the digest with which a manifest pins a definition: the SHA-1 of the definition's lines.
pub fn definition_digest(lines: &str) -> String {
    hex::encode(sha1::Sha1::digest(lines.as_bytes()))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}
