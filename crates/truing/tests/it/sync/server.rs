//! Provides package registries on this machine that serve given files, and projects that require a package
//! from one of these registries.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Output;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::iter;
use serde_json::Value;
use sha1::Digest as _;
use tokio::runtime::Runtime;

use crate::support::home::Home;

/// The files that a registry serves, by URL path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) struct Registry {
    _runtime: Runtime,
    home: Home,
}

async fn serve_file(State(files): State<Files>, uri: Uri) -> Response {
    match files.get(uri.path()) {
        // The response declares more bytes than it contains, so the connection ends before the end of the
        // page.
        Some(bytes) if bytes.starts_with(b"SHORT") => {
            let parts = [Ok(bytes.clone()), Err(io::Error::other("it ends here"))];
            ([(header::CONTENT_LENGTH, "999")], Body::from_stream(iter(parts))).into_response()
        }
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Deref for Registry {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Registry {
    /// Starts a registry and creates a project. The function `files` gets the registry's address and returns
    /// its files.
    pub(super) fn new(files: impl FnOnce(SocketAddr) -> Files, project: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve_file).with_state(files(address));
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let home = Home::empty()
            .with_variable("PIP_INDEX_URL", format!("http://{address}/simple/"))
            .with_variable("npm_config_registry", format!("http://{address}/npm/"))
            .with_variable("CARGO_SOURCE_CRATES_IO_REPLACE_WITH", "here")
            .with_variable(
                "CARGO_REGISTRIES_HERE_INDEX",
                format!("sparse+{}", format_args!("http://{address}/index/")),
            );
        for (name, content) in project {
            home.write(name, content);
        }
        Self { _runtime: runtime, home }
    }

    /// Runs `truing sync` with environment variables that direct pip, npm and Cargo to this registry.
    pub(super) fn sync(&self, arguments: &[&str]) -> Output {
        let mut command = self.home.command(&[&["sync"], arguments].concat());
        command.env("TRUING_CONFIG", self.home.file("truing.toml")).output().unwrap()
    }

    pub(super) fn decide(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let output = self.sync(&[&["decide", "demo", "--format", "json"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}")), output.status.code())
    }

    /// Checks that `truing sync decide demo` fails with this exit code and prints all of these words.
    pub(super) fn assert_refused(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.sync(&[&["decide", "demo"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(words.iter().all(|word| told.contains(word)), "{arguments:?}: {told}");
    }
}

/// Returns a tar archive, compressed with gzip, whose files are in one folder.
pub(super) fn tar_gz(folder: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, format!("{folder}/{path}"), content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(super) fn sha1(text: &str) -> String {
    hex::encode(sha1::Sha1::digest(text.as_bytes()))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Returns the SHA-512 digest in the format of npm's `integrity` field.
pub(super) fn sha512(bytes: &[u8]) -> String {
    format!("sha512-{}", STANDARD.encode(sha2::Sha512::digest(bytes)))
}
