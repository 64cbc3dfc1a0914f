//! The files that a Python index lists for a package: JSON (PEP 691), or anchors in HTML (PEP 503).

use std::borrow::Cow;

use html5gum::{Token, Tokenizer};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::ArchiveDigest;

/// A file as an index lists it.
#[derive(Debug)]
pub(super) struct IndexFile {
    /// Name of the file; `None` if it cannot be decoded.
    pub(super) name: Option<String>,
    /// The entry as the index writes it.
    pub(super) entry: String,
    /// Address of the file; `None` if the index's text is not an address.
    pub(super) url: Option<Url>,
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

pub(super) fn parse_json(body: &[u8], base: &Url) -> Result<Vec<IndexFile>, String> {
    let page: SimpleApiPage = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let listed = |file: SimpleApiFile| IndexFile {
        entry: file.filename.clone(),
        name: Some(file.filename),
        url: base.join(&file.url).ok(),
        digest: file.hashes.sha256.as_deref().and_then(ArchiveDigest::from_sha256),
        published_at: file.published.and_then(|time| time.parse().ok()),
        is_yanked: !matches!(file.yanked, Value::Null | Value::Bool(false)),
    };
    Ok(page.files.into_iter().map(listed).collect())
}

/// Parses the anchors of a page. `base` is the page's address; addresses of files refer to it, or to the
/// page's `<base>`.
pub(super) fn parse_html(body: &[u8], base: &Url) -> Vec<IndexFile> {
    let mut files = Vec::new();
    let mut base = base.clone();
    for token in Tokenizer::new(body).flatten() {
        let Token::StartTag(tag) = token else { continue };
        let attribute = |name: &[u8]| {
            let found = tag.attributes.iter().find(|(known, _)| known.as_slice() == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let Some(href) = attribute(b"href") else { continue };
        if tag.name.as_slice() == b"base" {
            base = base.join(&href).unwrap_or(base);
            continue;
        }
        if tag.name.as_slice() != b"a" {
            continue;
        }
        let url = base.join(href.trim()).ok();
        // The file's name is the last part of the address's path (PEP 503). The anchor's text is not used,
        // because an index may shorten the text.
        let name = url.as_ref().and_then(decode_file_name);
        let fragment = url.as_ref().and_then(Url::fragment).unwrap_or_default();
        let digest = fragment.split('&').find_map(|part| part.strip_prefix("sha256="));
        files.push(IndexFile {
            name,
            entry: href,
            digest: digest.and_then(ArchiveDigest::from_sha256),
            url,
            published_at: None,
            is_yanked: attribute(b"data-yanked").is_some(),
        });
    }
    files
}

/// Returns the decoded last part of an address's path; `None` if it is not UTF-8.
fn decode_file_name(url: &Url) -> Option<String> {
    let name = url.path_segments()?.next_back()?;
    percent_decode_str(name).decode_utf8().ok().map(Cow::into_owned)
}
