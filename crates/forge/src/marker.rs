//! Markers: the last line of each comment of ours. The marker names the comment's subject and proves that we
//! wrote the comment.
//!
//! A marker is a hidden HTML comment. If the forge shows HTML as text, the marker is instead a link reference
//! that no text uses ([`MarkerSyntax`]). The two forms are:
//!
//! ```text
//! <!-- truing:1 producer=review item=1:0f3a…-0 key=9c56cc51 mac=<64 hexadecimal digits> -->
//! [//]: # (truing:1 producer=review item=1:0f3a…-0 key=9c56cc51 mac=<64 hexadecimal digits>)
//! ```
//!
//! A marker contains the finding's id as plain text, and an HMAC-SHA-256 over forge, repository, pull
//! request, producer and item. Lost records are recovered from markers, so a marker that another account has
//! written must not verify. Only the last line is read as a marker. Each marker has exactly one valid
//! spelling, and verifies only on the pull request that it was written for. [`disable_markers`] disables
//! marker syntax in text that is not ours.
//!
//! Our pull requests and issues, and the comments of the loops that open them, have a marker with a topic in
//! place of the item (`topic.rs`).

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use truing_core::code_digest::LinesKey;
use truing_core::id::{FindingId, PrId};
use truing_core::publish::{CommentProducer, CommentSubject};

use crate::capability::MarkerSyntax;

#[cfg(test)]
mod tests;
mod topic;

pub use topic::split_marker;

/// Prefixes of the markers of every version, in each form.
const MARKER_PREFIXES: [&str; 2] = ["<!-- truing:", "[//]: # (truing:"];
/// Prefixes of the markers of this version, in each form.
const MARKER_PREFIXES_V1: [&str; 2] = ["<!-- truing:1 ", "[//]: # (truing:1 "];
/// Suffixes of markers, in each form.
const MARKER_SUFFIXES: [&str; 2] = [" -->", ")"];
/// Text before and after the hash in a marker of the tool that Truing replaces. That tool put its marker into
/// its inline comments.
const LEGACY_MARKER_AFFIXES: (&str, &str) = ("<!-- claude-reviewer:inline:", " -->");
/// Word for the summary in a marker. A finding whose id is this word is escaped, so the unescaped word always
/// means the summary.
const SUMMARY_WORD: &str = "summary";
/// The kind of marker in a comment that shows an item of a pull request: a finding or the summary.
const ITEM_MARKER_KIND: MarkerKind = MarkerKind { field_name: "item", domain: b"truing marker 1" };
/// Length of a new key, in bytes.
const KEY_BYTES: usize = 32;
/// Number of hexadecimal digits of a key's id.
const KEY_ID_DIGITS: usize = 8;
/// Maximum size of a key file, enough for about a hundred keys.
const MAX_KEY_FILE_BYTES: u64 = 8 * 1024;

struct MarkerKind {
    /// Name of the field that holds the subject of a marker.
    field_name: &'static str,
    /// First input of the HMAC, different for each kind of marker. Without this input, an HMAC for another
    /// kind or another purpose could verify as a marker of this kind.
    domain: &'static [u8],
}

/// The keys of markers: the key that signs, and former keys whose markers still verify.
#[derive(Clone)]
pub struct MarkerKeys {
    current: MarkerKey,
    previous: Vec<MarkerKey>,
    /// Syntax of new markers. Existing markers verify in every syntax.
    syntax: MarkerSyntax,
}

#[derive(Clone, PartialEq, Eq)]
struct MarkerKey {
    id: String,
    bytes: Vec<u8>,
}

/// The result of searching the last line of a comment for a marker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MarkerMatch {
    /// A marker that we wrote for this pull request.
    Verified {
        /// Producer that requested the comment.
        producer: CommentProducer,
        /// Subject of the comment.
        item: CommentSubject,
        /// Text above the marker, with normalised line ends and trailing white space ([`normalize_text`]).
        body: String,
    },
    /// A marker whose key is not configured. The marker cannot be verified, but its content is readable.
    UnknownKey {
        /// Id of the unknown key.
        key_id: String,
        /// Producer that requested the comment, as the marker says.
        producer: CommentProducer,
        /// Subject of the comment, as the marker says.
        item: CommentSubject,
        /// Text above the marker, normalised as for a verified marker.
        body: String,
    },
    /// A line that begins like a marker, but that we did not write for this pull request.
    Forged,
    NoMarker,
}

// The output contains only the ids of the keys, because the keys are secret.
impl fmt::Debug for MarkerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkerKeys")
            .field("current", &self.current)
            .field("previous", &self.previous)
            .finish()
    }
}

impl fmt::Debug for MarkerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl MarkerKey {
    fn new(bytes: &[u8]) -> Self {
        let mut id = hex::encode(Sha256::digest(bytes));
        id.truncate(KEY_ID_DIGITS);
        Self { id, bytes: bytes.to_vec() }
    }

    /// Computes the HMAC over all parts of a marker. Each part is preceded by its length, so different parts
    /// never produce the same input.
    fn mac(&self, domain: &[u8], pr: &PrId, producer: &str, subject_word: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.bytes).ok()?;
        let number = pr.number.to_string();
        let parts = [
            domain,
            pr.forge.as_bytes(),
            pr.repository.as_bytes(),
            number.as_bytes(),
            producer.as_bytes(),
            subject_word.as_bytes(),
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl MarkerKeys {
    /// Builds the keys from the bytes of the signing key and of former keys.
    pub fn new(current: &[u8], previous: &[&[u8]]) -> Self {
        Self {
            current: MarkerKey::new(current),
            previous: previous.iter().map(|bytes| MarkerKey::new(bytes)).collect(),
            syntax: MarkerSyntax::HtmlComment,
        }
    }

    /// Returns the key for the line digests in the records. It is derived from the signing key.
    pub fn lines_key(&self) -> LinesKey {
        LinesKey::derive(&self.current.bytes)
    }

    /// Returns the same keys. New markers are written in this form.
    #[must_use]
    pub fn with_marker_syntax(self, form: MarkerSyntax) -> Self {
        Self { syntax: form, ..self }
    }

    /// Returns the marker line of an item of a pull request, without a line end.
    pub fn sign(&self, pr: &PrId, producer: CommentProducer, item: &CommentSubject) -> String {
        self.marker_line(&ITEM_MARKER_KIND, pr, producer, &encode_subject(item))
    }

    fn marker_line(
        &self,
        kind: &MarkerKind,
        pr: &PrId,
        producer: CommentProducer,
        subject_word: &str,
    ) -> String {
        let producer = producer.as_str();
        // HMAC accepts keys of any length, so this call does not fail. If it failed, the only consequence
        // would be a marker that does not verify.
        let mac = self
            .current
            .mac(kind.domain, pr, producer, subject_word)
            .map(|mac| hex::encode(mac.finalize().into_bytes()))
            .unwrap_or_default();
        let MarkerKind { field_name: field, .. } = kind;
        let ([html, link], [html_end, link_end]) = (MARKER_PREFIXES_V1, MARKER_SUFFIXES);
        let (opening, closing) = match self.syntax {
            MarkerSyntax::HtmlComment => (html, html_end),
            MarkerSyntax::LinkReference => (link, link_end),
        };
        format!(
            "{opening}producer={producer} {field}={subject_word} key={} mac={mac}{closing}",
            self.current.id
        )
    }

    /// Returns true if the marker's HMAC verifies, and `None` if the marker's key is not configured.
    fn verify_mac(&self, kind: &MarkerKind, pr: &PrId, parts: &MarkerParts<'_>) -> Option<bool> {
        let key = std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == parts.key_id)?;
        let mac = key.mac(kind.domain, pr, parts.producer.as_str(), parts.subject_word);
        Some(mac.is_some_and(|mac| mac.verify_slice(&parts.mac).is_ok()))
    }

    /// Reads the last line of a comment on `pr`.
    pub fn find_marker(&self, pr: &PrId, comment: &str) -> MarkerMatch {
        let comment = normalize_text(comment);
        let (body, line) = comment.rsplit_once('\n').unwrap_or(("", &comment));
        if !is_marker(line) {
            return MarkerMatch::NoMarker;
        }
        let Some(parts) = MarkerParts::read(&ITEM_MARKER_KIND, line) else {
            return MarkerMatch::Forged;
        };
        let Some(item) = decode_subject(parts.subject_word) else {
            return MarkerMatch::Forged;
        };
        let (producer, body) = (parts.producer, body.trim_end().to_owned());
        match self.verify_mac(&ITEM_MARKER_KIND, pr, &parts) {
            Some(true) => MarkerMatch::Verified { producer, item, body },
            Some(false) => MarkerMatch::Forged,
            None => MarkerMatch::UnknownKey { key_id: parts.key_id.to_owned(), producer, item, body },
        }
    }
}

/// Returns true if a line begins like a marker of any form.
fn is_marker(line: &str) -> bool {
    MARKER_PREFIXES.iter().any(|opening| line.starts_with(opening))
}

/// Returns the text of an inline comment of the tool that Truing replaces, without the marker in its first or
/// last line. `None` if the text has no such marker. A marker of that tool is not signed and proves nothing,
/// and Truing never writes one.
pub fn strip_legacy_marker(text: &str) -> Option<String> {
    let is_hash = |hash: &str| {
        !hash.is_empty() && hash.len() <= 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_seed = |line: &str| {
        line.trim()
            .strip_prefix(LEGACY_MARKER_AFFIXES.0)
            .and_then(|rest| rest.strip_suffix(LEGACY_MARKER_AFFIXES.1))
            .is_some_and(is_hash)
    };
    let lines: Vec<&str> = text.trim().lines().collect();
    match lines.as_slice() {
        [first, rest @ ..] if is_seed(first) => Some(rest.join("\n")),
        [rest @ .., last] if is_seed(last) => Some(rest.join("\n")),
        _ => None,
    }
}

/// The parts of a marker line, before its HMAC is checked.
struct MarkerParts<'a> {
    producer: CommentProducer,
    subject_word: &'a str,
    key_id: &'a str,
    mac: Vec<u8>,
}

impl<'a> MarkerParts<'a> {
    /// Parses a marker line; `None` if the line differs in any way from the line that we would write.
    fn read(kind: &MarkerKind, line: &'a str) -> Option<Self> {
        let mut forms = MARKER_PREFIXES_V1.iter().zip(MARKER_SUFFIXES);
        let inside =
            forms.find_map(|(opening, closing)| line.strip_prefix(opening)?.strip_suffix(closing))?;
        let mut fields = inside.split(' ');
        let producer = fields.next()?.strip_prefix("producer=")?;
        let subject_word = fields.next()?.strip_prefix(kind.field_name)?.strip_prefix('=')?;
        let key = fields.next()?.strip_prefix("key=")?;
        let mac = fields.next()?.strip_prefix("mac=")?;
        let producer = CommentProducer::ALL.into_iter().find(|one| one.as_str() == producer)?;
        let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let right = fields.next().is_none()
            && key.len() == KEY_ID_DIGITS
            && lower_hex(key)
            && mac.len() == 64
            && lower_hex(mac);
        if !right {
            return None;
        }
        Some(Self { producer, subject_word, key_id: key, mac: hex::decode(mac).ok()? })
    }
}

/// Returns true for bytes that a marker contains unescaped. `-` is not included, because two consecutive
/// dashes end or break an HTML comment: [`escape_value`] keeps a dash only after a byte other than a dash.
fn is_unescaped_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_' | b'/')
}

/// Returns the word that stands for the item in a marker.
fn encode_subject(item: &CommentSubject) -> String {
    match item {
        CommentSubject::Summary => SUMMARY_WORD.to_owned(),
        CommentSubject::Finding(id) if id.as_str() == SUMMARY_WORD => format!("%{:02x}{}", b's', "ummary"),
        CommentSubject::Finding(id) => escape_value(id.as_str()),
    }
}

/// Escapes a text: unescaped bytes and single dashes stay, every other byte becomes `%` and two hexadecimal
/// digits.
fn escape_value(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        let lone_dash = byte == b'-' && !word.is_empty() && !word.ends_with('-');
        if is_unescaped_byte(byte) || lone_dash {
            word.push(char::from(byte));
        } else {
            word.push_str(&format!("%{byte:02x}"));
        }
    }
    word
}

/// Returns the item that a word encodes; `None` if [`encode_subject`] never returns this word.
fn decode_subject(subject_word: &str) -> Option<CommentSubject> {
    if subject_word == SUMMARY_WORD {
        return Some(CommentSubject::Summary);
    }
    let item = CommentSubject::Finding(FindingId::new(unescape_value(subject_word)?));
    (encode_subject(&item) == subject_word).then_some(item)
}

fn unescape_value(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(*hex::decode(digits).ok()?.first()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Normalises a text: every line end becomes `\n`, and trailing white space is removed. Texts are posted and
/// compared in this form, because forges change line ends and trailing white space.
pub fn normalize_text(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n");
    out.truncate(out.trim_end().len());
    out
}

/// Disables marker syntax in text that we did not write. If text begins like a marker, in any case or
/// spacing, its `<` or `[` becomes `&lt;` or `&#91;`. The forge then shows this text instead of hiding it,
/// and Truing does not recognise it as a marker. All other text is unchanged.
pub fn disable_markers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '[']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        out.push_str(match (from.starts_with('<'), begins_like_a_marker(from)) {
            (true, true) => "&lt;",
            (true, false) => "<",
            (false, true) => "&#91;",
            (false, false) => "[",
        });
        rest = from.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Returns true if a text begins with the opening of a marker, in any case or spacing.
fn begins_like_a_marker(text: &str) -> bool {
    let is_ours = |word: &str| word.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("truing:"));
    if let Some(inside) = text.strip_prefix("<!--") {
        return is_ours(inside.trim_start());
    }
    let title = text.strip_prefix("[//]:").map(str::trim_start).and_then(|rest| rest.strip_prefix('#'));
    let word = title.map(str::trim_start).and_then(|rest| rest.strip_prefix(['(', '"', '\'']));
    word.is_some_and(|word| is_ours(word.trim_start()))
}

/// The error of a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system returned an error.
    #[error("marker key file {}: cannot {operation}: {cause}", path.display())]
    Io {
        /// Path of the key file.
        path: PathBuf,
        /// Operation on the file that failed.
        operation: &'static str,
        /// Error of the file system.
        cause: std::io::Error,
    },
    /// The file contains a line that is not a key, or no key.
    #[error(
        "marker key file {}: line {line} is not a key (64 hexadecimal digits). Restore the file from a \
            backup; without the keys in this file, Truing does not recognise earlier comments",
        path.display()
    )]
    InvalidKey {
        /// Path of the key file.
        path: PathBuf,
        /// Line number from 1; 1 for an empty file.
        line: usize,
    },
}

impl MarkerKeys {
    /// Reads the keys in a file: one key of 64 hexadecimal digits in each line, the signing key first. If the
    /// file is missing, it is created with one random key, readable only by its owner. Processes that start
    /// at the same time all get the same key.
    ///
    /// # Errors
    /// [`KeyFileError`] if the file cannot be read or created, or contains anything other than keys. An
    /// existing file is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |doing| move |cause| KeyFileError::Io { path: path.to_owned(), operation: doing, cause };
        match read_bounded(path) {
            Ok(text) => return Self::from_lines(path, &text),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed("read it")(cause)),
        }

        // The file is written in the same folder under a unique name, and then linked to its final name. The
        // link succeeds for only one process, and no process sees a partial file.
        let key = random_bytes::<KEY_BYTES>().map_err(failed("get random bytes for it"))?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(
            ".{}",
            hex::encode(random_bytes::<8>().map_err(failed("get random bytes for it"))?)
        ));
        let draft = PathBuf::from(name);
        let linked = write_private(&draft, &format!("{}\n", hex::encode(key)))
            .and_then(|()| std::fs::hard_link(&draft, path))
            .and_then(|()| sync_folder(path));
        // The temporary file is no longer needed. If it cannot be removed, it stays, readable only by its
        // owner.
        let _ = std::fs::remove_file(&draft);
        match linked {
            Ok(()) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(failed("create it")(cause)),
        }
        Self::from_lines(path, &read_bounded(path).map_err(failed("read it"))?)
    }

    /// Reads the keys in an existing file.
    ///
    /// # Errors
    /// [`KeyFileError`] if the file cannot be read, or contains anything other than keys.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_bounded(path);
        let text =
            text.map_err(|cause| KeyFileError::Io { path: path.to_owned(), operation: "read it", cause })?;
        Self::from_lines(path, &text)
    }

    /// Builds keys from a text. The bytes of the text are the signing key. If the text has the format of a
    /// key in a key file, the decoded bytes are also a former key.
    pub fn from_text(text: &str) -> Self {
        let spelled = hex::decode(text).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        Self::new(text.as_bytes(), spelled.as_deref().as_slice())
    }

    /// Adds former keys, whose signatures are also recognised.
    #[must_use]
    pub fn with_former_keys(mut self, former_keys: impl IntoIterator<Item = Self>) -> Self {
        for Self { current, previous, .. } in former_keys {
            for key in std::iter::once(current).chain(previous) {
                if key != self.current && !self.previous.contains(&key) {
                    self.previous.push(key);
                }
            }
        }
        self
    }

    fn from_lines(path: &Path, text: &str) -> Result<Self, KeyFileError> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            match hex::decode(line) {
                Ok(bytes) if bytes.len() == KEY_BYTES => keys.push(bytes),
                Ok(_) | Err(_) => {
                    return Err(KeyFileError::InvalidKey { path: path.to_owned(), line: at + 1 });
                }
            }
        }
        let mut keys = keys.iter().map(Vec::as_slice);
        match keys.next() {
            Some(current) => Ok(Self::new(current, &keys.collect::<Vec<_>>())),
            None => Err(KeyFileError::InvalidKey { path: path.to_owned(), line: 1 }),
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a new file name durable. Otherwise a power failure could lose the key, and comments signed with this
/// key would not be recognised.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
