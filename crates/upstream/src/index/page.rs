//! The files that a Python index lists for a package: JSON (PEP 691), or anchors in HTML (PEP 503).

use html5gum::{Token, Tokenizer};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::ArchiveDigest;

/// A file as an index lists it.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) digest: Option<ArchiveDigest>,
    pub(super) is_yanked: bool,
    pub(super) published_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct SimpleApiPage {
    files: Vec<SimpleApiFile>,
}

#[derive(Deserialize)]
struct SimpleApiFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: FileHashes,
    /// `false`, `true`, or a reason.
    #[serde(default)]
    yanked: Value,
    /// Time of the upload (PEP 700); an invalid time counts as missing.
    #[serde(default, rename = "upload-time")]
    published: Option<String>,
}

#[derive(Default, Deserialize)]
struct FileHashes {
    sha256: Option<String>,
}

pub(super) fn parse_json(body: &[u8]) -> Result<Vec<IndexFile>, String> {
    let page: SimpleApiPage = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let listed = |file: SimpleApiFile| IndexFile {
        name: file.filename,
        url: file.url,
        digest: file.hashes.sha256.as_deref().and_then(ArchiveDigest::from_sha256),
        published_at: file.published.and_then(|time| time.parse().ok()),
        is_yanked: !matches!(file.yanked, Value::Null | Value::Bool(false)),
    };
    Ok(page.files.into_iter().map(listed).collect())
}

pub(super) fn parse_html(body: &[u8]) -> Vec<IndexFile> {
    let mut files = Vec::new();
    for token in Tokenizer::new(body).flatten() {
        let Token::StartTag(tag) = token else { continue };
        let attribute = |name: &[u8]| {
            let found = tag.attributes.iter().find(|(known, _)| known.as_slice() == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let Some(href) = attribute(b"href").filter(|_| tag.name.as_slice() == b"a") else { continue };
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        // The file's name is the last part of the URL (PEP 503). The anchor's text is not used, because an
        // index may shorten the text.
        let name = url.rsplit('/').next().unwrap_or(url).to_owned();
        files.push(IndexFile {
            name,
            url: url.to_owned(),
            digest: fragment.strip_prefix("sha256=").and_then(ArchiveDigest::from_sha256),
            published_at: None,
            is_yanked: attribute(b"data-yanked").is_some(),
        });
    }
    files
}
