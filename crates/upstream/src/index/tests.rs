use std::net::SocketAddr;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use truing_reader::sources::ArchiveFormat;

use super::client::MAX_PAGE_BYTES;
use super::*;
use crate::archives::{ArchiveFetchError, ArchiveFolder, MAX_ARCHIVE_BYTES};

const HTML: &str = r##"<!DOCTYPE html><html><body><h1>Links for demo-package</h1>
<a href="../../files/demo_package-1.0.tar.gz#sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">demo_package-1.0.tar.gz</a><br/>
<a href="/files/demo_package-1.0-py3-none-any.whl#sha256=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" data-requires-python="&gt;=3.9">demo</a>
<a href="/files/demo_package-1.10-py3-none-any.whl">no digest</a>
<a href="/files/demo_package-1.9-py3-none-any.whl#sha256=dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd" data-yanked="broken">yanked</a>
<a href="/files/demo_package-2.0rc1-py3-none-any.whl#sha256=eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee">early</a>
<a href="/files/demo_package-not.a.version-py3-none-any.whl#sha256=ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff">odd</a>
<a href="/files/another-9.0-py3-none-any.whl#sha256=ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff">another's</a>
<a href="/files/demo_package-1.0.exe">no archive</a></body></html>"##;

const JSON: &str = r#"{"meta": {"api-version": "1.1"}, "name": "demo-package", "files": [
  {"filename": "demo_package-1.0-py3-none-any.whl", "url": "/files/w", "hashes": {"sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}},
  {"filename": "demo_package-1.1-py3-none-any.whl", "url": "/files/x", "hashes": {}, "yanked": "why"}]}"#;

async fn start_server(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn page(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

async fn index_for_router(router: Router) -> PackageIndex {
    PackageIndex::new(PackageRegistry::Pypi, &format!("http://{}/simple", start_server(router).await))
        .unwrap()
}

#[tokio::test]
async fn releases_are_listed_in_the_order_of_their_versions() {
    let router = Router::new().route("/simple/demo-package/", get(|| async { page("text/html", HTML) }));
    let index = index_for_router(router).await;
    let releases = index.fetch_releases("Demo.Package").await.unwrap().releases;
    let told: Vec<_> = releases
        .iter()
        .map(|release| {
            let path = release.archive.url.path().to_owned();
            (release.version.to_string(), path, release.archive.digest.is_some(), release.is_yanked)
        })
        .collect();
    let wheel = |version: &str| format!("/files/demo_package-{version}-py3-none-any.whl");
    assert_eq!(
        told,
        [
            ("1.0".to_owned(), wheel("1.0"), true, false),
            ("1.9".to_owned(), wheel("1.9"), true, true),
            ("1.10".to_owned(), wheel("1.10"), false, false),
            ("2.0rc1".to_owned(), wheel("2.0rc1"), true, false),
        ]
    );
}

#[tokio::test]
async fn names_in_addresses_are_decoded() {
    const PAGE: &str = r##"<html><head><base href="/other/"></head>
<a href="files/gpu_kit-2.1.0%2Bcu118-py3-none-any.whl?X-Sig=a%2Fb#egg=x&sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">a</a>
<a href="/files/gpu%5Fkit-1%213.0.tar.gz">b</a>
<a href=" gpu_kit-1.0&#43;x-py3-none-any.whl ">c</a>
<a href="gpu_kit-9.0.zip">no archive that can be read</a>
<a href="gpu_kit-2.1.0+cu118.zip">another archive of a release</a>
<a href="gpu_kit-%FF.whl">no text</a>
<a href="http://[/gpu_kit-8.0.tar.gz">no address</a>
<a href="gpu_kit-old_name.tar.gz">ignored</a> <a href="/login">ignored</a></html>"##;
    let router = Router::new().route("/simple/gpu-kit/", get(|| async { page("text/html", PAGE) }));
    let listing = index_for_router(router).await.fetch_releases("gpu-kit").await.unwrap();
    let releases: Vec<_> = listing
        .releases
        .iter()
        .map(|release| (release.version.to_string(), release.archive.url.path().to_owned()))
        .collect();
    let expected = [
        ("1.0+x", "/other/gpu_kit-1.0+x-py3-none-any.whl"),
        ("2.1.0+cu118", "/other/files/gpu_kit-2.1.0%2Bcu118-py3-none-any.whl"),
        ("1!3.0", "/files/gpu%5Fkit-1%213.0.tar.gz"),
    ];
    assert_eq!(releases, expected.map(|(version, path)| (version.to_owned(), path.to_owned())));
    assert!(listing.releases[1].archive.digest.is_some());
    let unreadable: Vec<_> = listing
        .unreadable
        .iter()
        .map(|entry| (entry.name.as_str(), entry.version.as_ref().map(ToString::to_string)))
        .collect();
    assert_eq!(
        unreadable,
        [
            ("gpu_kit-9.0.zip", Some("9.0".to_owned())),
            ("gpu_kit-%FF.whl", None),
            ("http://[/gpu_kit-8.0.tar.gz", None),
        ]
    );
}

#[tokio::test]
async fn lists_digests_only_if_each_archive_has_one() {
    const PAGE: &str = r#"{"files": [
  {"filename": "kit-1.0-py3-none-any.whl", "url": "w", "hashes": {"sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}},
  {"filename": "kit-1.0.tar.gz", "url": "t", "hashes": {"sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
  {"filename": "kit-1.1-py3-none-any.whl", "url": "x", "hashes": {"sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}},
  {"filename": "kit-1.1.tar.gz", "url": "y", "hashes": {}}]}"#;
    let answer = || async { page("application/vnd.pypi.simple.v1+json", PAGE) };
    let router = Router::new().route("/simple/kit/", get(answer));
    let listing = index_for_router(router).await.fetch_releases("kit").await.unwrap();
    let digests: Vec<_> = listing.releases.iter().map(|release| release.sha256_digests.len()).collect();
    assert_eq!(digests, [2, 0]);
}

#[tokio::test]
async fn counts_wheels_of_other_platforms() {
    const PAGE: &str = r#"
<a href="kit-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"></a><a href="kit-1.0-cp312-cp312-win_amd64.whl"></a>
<a href="kit-1.0-cp312-cp312-macosx_11_0_arm64.whl"></a><a href="kit-1.0.tar.gz"></a>
<a href="kit-1.1-cp312-cp312-win_amd64.whl"></a><a href="kit-1.1-py3-none-any.whl"></a>"#;
    let router = Router::new().route("/simple/kit/", get(|| async { page("text/html", PAGE) }));
    let listing = index_for_router(router).await.fetch_releases("kit").await.unwrap();
    let other_wheels: Vec<_> = listing.releases.iter().map(|release| release.other_wheels).collect();
    assert_eq!(other_wheels, [2, 0]);
}

#[tokio::test]
async fn json_is_asked_for_and_taken() {
    let answer = |headers: HeaderMap| async move {
        assert!(headers[header::ACCEPT].to_str().unwrap().contains("application/vnd.pypi.simple.v1+json"));
        page("application/vnd.pypi.simple.v1+json", JSON)
    };
    let index = index_for_router(Router::new().route("/simple/demo-package/", get(answer))).await;
    let releases = index.fetch_releases("demo_package").await.unwrap().releases;
    assert_eq!(releases.iter().map(|release| release.is_yanked).collect::<Vec<_>>(), [false, true]);
    assert_eq!(releases[0].archive.format, ArchiveFormat::Wheel);
}

#[tokio::test]
async fn what_an_index_refuses_is_told_and_a_password_is_not() {
    let router = Router::new()
        .route("/simple/closed/", get(|| async { StatusCode::FORBIDDEN }))
        .route("/simple/empty/", get(|| async { page("text/html", "<p>nothing</p>") }))
        .route("/simple/rubbish/", get(|| async { page("application/json", "{") }));
    let address = start_server(router).await;
    let index =
        PackageIndex::new(PackageRegistry::Pypi, &format!("http://user:hunter2@{address}/simple/")).unwrap();
    for (package, told) in [
        (
            "closed",
            "returned status 403 Forbidden: store the login in the configuration of the package \
            manager",
        ),
        ("empty", "it lists no file"),
        ("rubbish", "did not return a list of releases"),
        ("absent", "has no package `absent`"),
        ("../../etc", "is not a name of a package"),
        ("", "is not a name of a package"),
    ] {
        let error = index.fetch_releases(package).await.unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains("hunter2"), "{package}: {error}");
    }
    assert!(!format!("{index:?}").contains("hunter2"));
    for address in
        ["pypi.org/simple", "http://pypi.example/simple", "ftp://user:hunter2@127.0.0.1/", "x:hunter2@"]
    {
        let error = PackageIndex::new(PackageRegistry::Pypi, address).unwrap_err().to_string();
        assert!(error.contains("not an address of a package index") && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_login_goes_to_the_indexs_own_host_alone() {
    let login = |headers: HeaderMap| async move {
        let login = headers.get(header::AUTHORIZATION).map_or("none", |value| value.to_str().unwrap());
        login.to_owned()
    };
    let elsewhere = start_server(Router::new().route("/file", get(login))).await;
    let own = start_server(Router::new().route("/file", get(login))).await;
    let index =
        PackageIndex::new(PackageRegistry::Pypi, &format!("http://user:secret@{own}/simple/")).unwrap();
    for (host, expected) in [(own, "Basic dXNlcjpzZWNyZXQ="), (elsewhere, "none")] {
        let archive = archive(&format!("http://{host}/file"), None);
        assert_eq!(index.open_archive(&archive).await.unwrap().text().await.unwrap(), expected);
    }
}

fn archive(url: &str, sha256: Option<String>) -> ReleaseArchive {
    let integrity = sha256.as_deref().and_then(ArchiveDigest::from_sha256);
    ReleaseArchive {
        name: "demo-1.0.whl".to_owned(),
        url: url.parse().unwrap(),
        digest: integrity,
        format: ArchiveFormat::Wheel,
    }
}

#[tokio::test]
async fn an_archive_is_kept_only_if_it_is_what_the_index_says() {
    let address = start_server(Router::new().route("/file", get(|| async { "content" }))).await;
    let index = PackageIndex::new(PackageRegistry::Pypi, &format!("http://{address}/")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archives = ArchiveFolder::new(folder.path().join("kept"));
    let url = format!("http://{address}/file");
    let digest = hex::encode(Sha256::digest(b"content"));

    let wrong = archives.fetch(&index, &archive(&url, Some("0".repeat(64)))).await.unwrap_err();
    assert!(
        matches!(&wrong, ArchiveFetchError::DigestMismatch { actual_digest: is, .. } if *is == digest),
        "{wrong}"
    );
    let none = archives.fetch(&index, &archive(&url, None)).await.unwrap_err();
    assert!(matches!(none, ArchiveFetchError::NoDigest(_)), "{none}");
    assert_eq!(std::fs::read_dir(archives.folder()).unwrap().count(), 0);

    let right = archive(&url, Some(digest.to_uppercase()));
    let kept = archives.fetch(&index, &right).await.unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), b"content");
    // The archive is already in the folder, so the second call does not need the index.
    let gone = ReleaseArchive { url: "http://127.0.0.1:1/gone".parse().unwrap(), ..right };
    assert_eq!(archives.fetch(&index, &gone).await.unwrap(), kept);
}

#[tokio::test]
async fn a_page_is_read_up_to_its_bound() {
    let of = |bytes: usize| get(move || async move { vec![b' '; bytes].into_response() });
    let router = Router::new()
        .route("/simple/large/", of(MAX_PAGE_BYTES))
        .route("/simple/larger/", of(MAX_PAGE_BYTES + 1));
    let index = index_for_router(router).await;
    assert!(index.fetch_page("large/", "large", "text/html").await.is_ok());
    let told = index.fetch_page("larger/", "larger", "text/html").await.err().unwrap().to_string();
    assert!(told.contains("longer than 64 MiB"), "{told}");
}

/// Starts a server that responds to each request with these header lines and a short body. The server closes
/// the connection after each response.
async fn start_raw_server(head: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\ncontent").as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn an_archive_is_downloaded_up_to_its_bound_whether_it_is_announced_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let archives = ArchiveFolder::new(folder.path().to_owned());
    let get = async |head: &'static str, most: u64| {
        let address = start_raw_server(head).await;
        let index = PackageIndex::new(PackageRegistry::Pypi, &format!("http://{address}/")).unwrap();
        let digest = hex::encode(Sha256::digest(b"content"));
        archives.fetch_up_to(most, &index, &archive(&format!("http://{address}/file"), Some(digest))).await
    };
    // In both cases, the archive is one byte longer than the limit. In the first case, only the
    // `content-length` header exceeds the limit; in the second case, there is no such header, and the body
    // exceeds it.
    for (head, most) in [("content-length: 536870913\r\n", MAX_ARCHIVE_BYTES), ("", 6)] {
        let told = get(head, most).await.unwrap_err();
        assert!(matches!(told, ArchiveFetchError::TooLong(_)), "{told}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    assert!(get("", 7).await.is_ok());
}
