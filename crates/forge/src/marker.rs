//! Markers: the last line of each comment of ours, which says what it is about and proves that we wrote it.
//!
//! A marker is a hidden HTML comment or, where a forge shows HTML as text, a link reference that nothing
//! refers to ([`MarkerForm`]),
//!
//! ```text
//! <!-- truing:1 producer=review item=1:0f3a…-0 key=9c56cc51 mac=<64 hexadecimal digits> -->
//! [//]: # (truing:1 producer=review item=1:0f3a…-0 key=9c56cc51 mac=<64 hexadecimal digits>)
//! ```
//!
//! with the finding's id in clear and an HMAC-SHA-256 over forge, repository, pull request, producer and
//! item. It is the way back when records are lost (design.md section 4), so it must hold against text that
//! anybody can write: only the last line counts, it has exactly one spelling, and it verifies on its own pull
//! request only. [`strip`] takes marker syntax out of text that is not ours.
//!
//! A pull request or an issue of ours, and a comment of a loop that opens them, has a marker with a topic in
//! place of the item (`topic.rs`).

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use truing_core::code::LinesKey;
use truing_core::id::{FindingId, PrId};
use truing_core::publish::{CommentSubject, Producer};

use crate::capability::MarkerForm;

#[cfg(test)]
mod tests;
mod topic;

pub use topic::split;

/// The beginning of every marker of every version, in each form.
const OPENINGS: [&str; 2] = ["<!-- truing:", "[//]: # (truing:"];
/// The beginning of a marker of this version, in each form.
const OPENING_1: [&str; 2] = ["<!-- truing:1 ", "[//]: # (truing:1 "];
/// The end of it.
const CLOSING: [&str; 2] = [" -->", ")"];
/// The seed's marker of an inline comment, before and after its hash.
const SEED: (&str, &str) = ("<!-- claude-reviewer:inline:", " -->");
/// The summary's word. A finding with this very id is written with an escape, so words stay unique.
const SUMMARY: &str = "summary";
/// Markers of comments, each of one item of a pull request.
const ITEMS: MarkerKind = MarkerKind { field: "item", domain: b"truing marker 1" };
/// Bytes of a new key.
const KEY_BYTES: usize = 32;
/// Hexadecimal digits of a key's id.
const KEY_ID_DIGITS: usize = 8;
/// The longest key file that is read: some hundred keys.
const MAX_KEY_FILE_BYTES: u64 = 8 * 1024;

/// A kind of markers.
struct MarkerKind {
    /// What the field is called that says what a marker is about.
    field: &'static str,
    /// What the HMAC begins with, so that neither a key that is used elsewhere too nor a marker of another
    /// kind makes one of this kind.
    domain: &'static [u8],
}

/// The keys that make markers: one that signs, and former ones that are still recognised.
#[derive(Clone)]
pub struct MarkerKeys {
    current: MarkerKey,
    previous: Vec<MarkerKey>,
    /// The form of what is signed. Every form is read.
    form: MarkerForm,
}

#[derive(Clone, PartialEq, Eq)]
struct MarkerKey {
    id: String,
    bytes: Vec<u8>,
}

/// What the last line of a comment turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MarkerMatch {
    /// One of our markers, for this pull request.
    Verified {
        /// Who wanted the comment.
        producer: Producer,
        /// What it is about.
        item: CommentSubject,
        /// The text above the marker, line ends and trailing white space normalised ([`normal`]).
        body: String,
    },
    /// A marker under a key that is not ours (any more): it cannot be told whether it is genuine. What it
    /// says stands in clear.
    UnknownKey {
        /// The id of that key.
        key: String,
        /// Who wanted the comment.
        producer: Producer,
        /// What it is about.
        item: CommentSubject,
        /// The text above the marker, as of a verified one.
        body: String,
    },
    /// A marker's beginning, but not one that we wrote for this pull request.
    Forged,
    /// No marker.
    None,
}

// Key ids alone: the keys are secrets.
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

    /// The HMAC over everything a marker stands for; each part is preceded by its length, so no two different
    /// sets of parts give the same input.
    fn mac(&self, domain: &[u8], pr: &PrId, producer: &str, word: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.bytes).ok()?;
        let number = pr.number.to_string();
        let parts = [
            domain,
            pr.forge.as_bytes(),
            pr.repository.as_bytes(),
            number.as_bytes(),
            producer.as_bytes(),
            word.as_bytes(),
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl MarkerKeys {
    /// Keys from their bytes: the one that signs, and former ones.
    pub fn new(current: &[u8], previous: &[&[u8]]) -> Self {
        Self {
            current: MarkerKey::new(current),
            previous: previous.iter().map(|bytes| MarkerKey::new(bytes)).collect(),
            form: MarkerForm::HtmlComment,
        }
    }

    /// The key of digests of lines in the records that these markers belong to.
    pub fn lines_key(&self) -> LinesKey {
        LinesKey::derive(&self.current.bytes)
    }

    /// The same keys, which sign in this form.
    #[must_use]
    pub fn written_as(self, form: MarkerForm) -> Self {
        Self { form, ..self }
    }

    /// The marker line of an item of a pull request, without a line end.
    pub fn sign(&self, pr: &PrId, producer: Producer, item: &CommentSubject) -> String {
        self.line(&ITEMS, pr, producer, &word_of(item))
    }

    fn line(&self, kind: &MarkerKind, pr: &PrId, producer: Producer, word: &str) -> String {
        let producer = producer.as_str();
        // HMAC takes keys of any length; were there none, the marker would only never verify.
        let mac = self
            .current
            .mac(kind.domain, pr, producer, word)
            .map(|mac| hex::encode(mac.finalize().into_bytes()))
            .unwrap_or_default();
        let MarkerKind { field, .. } = kind;
        let ([html, link], [html_end, link_end]) = (OPENING_1, CLOSING);
        let (opening, closing) = match self.form {
            MarkerForm::HtmlComment => (html, html_end),
            MarkerForm::LinkReference => (link, link_end),
        };
        format!("{opening}producer={producer} {field}={word} key={} mac={mac}{closing}", self.current.id)
    }

    /// Does a marker's HMAC verify? None: it is under a key that is not ours.
    fn verifies(&self, kind: &MarkerKind, pr: &PrId, parts: &MarkerParts<'_>) -> Option<bool> {
        let key = std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == parts.key)?;
        let mac = key.mac(kind.domain, pr, parts.producer.as_str(), parts.word);
        Some(mac.is_some_and(|mac| mac.verify_slice(&parts.mac).is_ok()))
    }

    /// Reads the last line of a comment on `pr`.
    pub fn find(&self, pr: &PrId, comment: &str) -> MarkerMatch {
        let comment = normal(comment);
        let (body, line) = comment.rsplit_once('\n').unwrap_or(("", &comment));
        if !is_marker(line) {
            return MarkerMatch::None;
        }
        let Some(parts) = MarkerParts::read(&ITEMS, line) else {
            return MarkerMatch::Forged;
        };
        let Some(item) = item_of(parts.word) else {
            return MarkerMatch::Forged;
        };
        let (producer, body) = (parts.producer, body.trim_end().to_owned());
        match self.verifies(&ITEMS, pr, &parts) {
            Some(true) => MarkerMatch::Verified { producer, item, body },
            Some(false) => MarkerMatch::Forged,
            None => MarkerMatch::UnknownKey { key: parts.key.to_owned(), producer, item, body },
        }
    }
}

/// Does a line begin like a marker, in whatever form?
fn is_marker(line: &str) -> bool {
    OPENINGS.iter().any(|opening| line.starts_with(opening))
}

/// The text of an inline comment of the tool that Truing replaces, without its marker, which is the first or
/// the last line; none: it has no such marker. The marker proves nothing, and is never written.
pub fn without_seed(text: &str) -> Option<String> {
    let is_hash = |hash: &str| {
        !hash.is_empty() && hash.len() <= 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_seed = |line: &str| {
        line.trim().strip_prefix(SEED.0).and_then(|rest| rest.strip_suffix(SEED.1)).is_some_and(is_hash)
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
    producer: Producer,
    word: &'a str,
    key: &'a str,
    mac: Vec<u8>,
}

impl<'a> MarkerParts<'a> {
    /// Takes a line apart; none if it is spelled in any way but ours.
    fn read(kind: &MarkerKind, line: &'a str) -> Option<Self> {
        let mut forms = OPENING_1.iter().zip(CLOSING);
        let inside =
            forms.find_map(|(opening, closing)| line.strip_prefix(opening)?.strip_suffix(closing))?;
        let mut fields = inside.split(' ');
        let producer = fields.next()?.strip_prefix("producer=")?;
        let word = fields.next()?.strip_prefix(kind.field)?.strip_prefix('=')?;
        let key = fields.next()?.strip_prefix("key=")?;
        let mac = fields.next()?.strip_prefix("mac=")?;
        let producer = Producer::ALL.into_iter().find(|one| one.as_str() == producer)?;
        let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let right = fields.next().is_none()
            && key.len() == KEY_ID_DIGITS
            && lower_hex(key)
            && mac.len() == 64
            && lower_hex(mac);
        if !right {
            return None;
        }
        Some(Self { producer, word, key, mac: hex::decode(mac).ok()? })
    }
}

/// Bytes that may stand in a marker as they are. `-` may not: two of them end or upset an HTML comment, so
/// [`escape`] keeps it only between other bytes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'_' | b'/')
}

/// The item's word as markers spell it.
fn word_of(item: &CommentSubject) -> String {
    match item {
        CommentSubject::Summary => SUMMARY.to_owned(),
        CommentSubject::Finding(id) if id.as_str() == SUMMARY => format!("%{:02x}{}", b's', "ummary"),
        CommentSubject::Finding(id) => escape(id.as_str()),
    }
}

/// Ordinary text in clear, everything else as `%` and two digits.
fn escape(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        let lone_dash = byte == b'-' && !word.is_empty() && !word.ends_with('-');
        if is_plain(byte) || lone_dash {
            word.push(char::from(byte));
        } else {
            word.push_str(&format!("%{byte:02x}"));
        }
    }
    word
}

/// The item that a word spells; none for words that [`word_of`] never makes.
fn item_of(word: &str) -> Option<CommentSubject> {
    if word == SUMMARY {
        return Some(CommentSubject::Summary);
    }
    let item = CommentSubject::Finding(FindingId::new(unescape(word)?));
    (word_of(&item) == word).then_some(item)
}

fn unescape(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
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

/// A text with `\n` as its only line end and nothing blank at its end: the form in which texts are posted and
/// compared, because forges change line ends and trailing white space.
pub fn normal(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n");
    out.truncate(out.trim_end().len());
    out
}

/// Takes the sting out of marker syntax in text that is not ours: the `<` or `[` of anything that begins like
/// a marker, in whatever case or spacing, becomes `&lt;` or `&#91;`, so it is shown instead of hidden and
/// nothing takes it for a marker. All other text is unchanged.
pub fn strip(text: &str) -> String {
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

/// Does a text begin with a marker's opening, in whatever case or spacing?
fn begins_like_a_marker(text: &str) -> bool {
    let is_ours = |word: &str| word.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("truing:"));
    if let Some(inside) = text.strip_prefix("<!--") {
        return is_ours(inside.trim_start());
    }
    let title = text.strip_prefix("[//]:").map(str::trim_start).and_then(|rest| rest.strip_prefix('#'));
    let word = title.map(str::trim_start).and_then(|rest| rest.strip_prefix(['(', '"', '\'']));
    word.is_some_and(|word| is_ours(word.trim_start()))
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("marker key file {}: cannot {doing}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What it answered.
        cause: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "marker key file {}: line {line} is not a key (64 hexadecimal digits). Restore the file from a backup; \
         without it, comments posted so far are not recognised",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// 1-based; 1 for an empty file.
        line: usize,
    },
}

impl MarkerKeys {
    /// The keys in a file: one of 64 hexadecimal digits a line, the one that signs first. Made with one
    /// random key, readable by its owner alone, if there is no such file; of processes that start at once,
    /// all end with the same key.
    ///
    /// # Errors
    /// [`KeyFileError`] if the file cannot be read or made, or holds anything but keys; it is never
    /// overwritten.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |doing| move |cause| KeyFileError::Io { path: path.to_owned(), doing, cause };
        match read_bounded(path) {
            Ok(text) => return Self::from_lines(path, &text),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed("read it")(cause)),
        }

        // Written beside its place under a name of its own, then linked into place, which succeeds for one
        // process only and never shows a half-written file.
        let key = random::<KEY_BYTES>().map_err(failed("get random bytes for it"))?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", hex::encode(random::<8>().map_err(failed("get random bytes for it"))?)));
        let draft = PathBuf::from(name);
        let linked = write_private(&draft, &format!("{}\n", hex::encode(key)))
            .and_then(|()| std::fs::hard_link(&draft, path))
            .and_then(|()| sync_folder(path));
        // The draft has served; if it cannot be removed it is only litter with the right mode.
        let _ = std::fs::remove_file(&draft);
        match linked {
            Ok(()) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(failed("create it")(cause)),
        }
        Self::from_lines(path, &read_bounded(path).map_err(failed("read it"))?)
    }

    /// The keys in a file that has to be there.
    ///
    /// # Errors
    /// [`KeyFileError`] if the file cannot be read, or holds anything but keys.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_bounded(path);
        let text =
            text.map_err(|cause| KeyFileError::Io { path: path.to_owned(), doing: "read it", cause })?;
        Self::from_lines(path, &text)
    }

    /// A key that was given as text: its bytes, and those that it spells if it is a line of a key file. Both
    /// are recognised, and it signs with its bytes.
    pub fn of_text(text: &str) -> Self {
        let spelled = hex::decode(text).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        Self::new(text.as_bytes(), spelled.as_deref().as_slice())
    }

    /// The same, which recognises also what those sign.
    #[must_use]
    pub fn after(mut self, former: impl IntoIterator<Item = Self>) -> Self {
        for Self { current, previous, .. } in former {
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
                Ok(_) | Err(_) => return Err(KeyFileError::NotAKey { path: path.to_owned(), line: at + 1 }),
            }
        }
        let mut keys = keys.iter().map(Vec::as_slice);
        match keys.next() {
            Some(current) => Ok(Self::new(current, &keys.collect::<Vec<_>>())),
            None => Err(KeyFileError::NotAKey { path: path.to_owned(), line: 1 }),
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

/// Makes a new name durable: comments signed with a key that a power failure takes are not recognised.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
