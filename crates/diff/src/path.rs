//! Represents paths as git stores them: as bytes, not as text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside a repository: bytes, separated by `/`, relative to the root.
///
/// A path in git need not be valid UTF-8, and no byte may be lost when a path is written as text. Paths with
/// special characters are therefore quoted as in the output of `git diff` without `-z`: in double quotes,
/// with C escapes and three-digit octal bytes. [`RepoPath::from_text`] reads plain and quoted paths.
///
/// * With [`fmt::Display`], a path is also quoted if it contains a control character, a double quote or a
///   backslash. Therefore a path cannot send control codes to a terminal.
/// * In JSON, which has its own escapes, a path in valid UTF-8 is written as text. A path is quoted only if
///   it is not UTF-8, or if its text looks like a quoted path: a file may be named `"x"`, including the
///   quotes. Bytes that are not UTF-8 are also accepted in Python's notation (PEP 383): a lone surrogate,
///   such as `\udcff` for the byte `ff`. This notation is accepted but never written, because most JSON
///   readers reject or replace lone surrogates.
///
/// ```
/// use truing_diff::RepoPath;
/// let odd = RepoPath::from_bytes(b"caf\xe9.py".to_vec());
/// assert_eq!(odd.to_string(), r#""caf\351.py""#);
/// assert_eq!(RepoPath::from_text(&odd.to_string()), odd);
/// assert_eq!(RepoPath::from_text("a/é.py").to_string(), "a/é.py");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// Creates a path from unquoted bytes, as git prints them with `-z`.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Creates a path from a plain text or from a text in git's quotes. If the text begins with a quote but
    /// is not validly quoted, it is used literally.
    pub fn from_text(text: &str) -> Self {
        Self(unquote(text.as_bytes()).unwrap_or_else(|| text.as_bytes().to_vec()))
    }

    /// Returns the bytes as git stores them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as text; `None` if the path is not valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns true if the path, joined to a folder, stays inside that folder. The path must have no empty,
    /// `.` or `..` component, must not be absolute, and must contain no NUL. Git accepts no other path in an
    /// index, but a diff may contain any path.
    pub fn stays_within_folder(&self) -> bool {
        !self.0.is_empty()
            && !self.0.contains(&0)
            && self.0.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
    }

    /// Returns true if the path stays inside its folder and cannot be in a `.git` folder on any file system.
    pub fn is_safe_to_write(&self) -> bool {
        self.stays_within_folder()
            && !self.case_folded().split('/').any(|name| matches!(name, ".git" | "git~1"))
    }

    /// Returns a normalized path: removes all differences that at least one common file system ignores. If
    /// two paths name the same file on such a file system, and one of them is plain ASCII, the results for
    /// both are equal. Use the result to compare a path with protected names.
    ///
    /// Many file systems ignore letter case. APFS, and ext4 with `casefold`, also map some non-ASCII letters
    /// to ASCII, by Unicode case folding. HFS+ ignores some characters. NTFS ignores spaces and dots at the
    /// end of a name, ignores the part after a colon, and treats `\` as `/`. Short names (`GIT~1`) are not
    /// expanded.
    pub fn case_folded(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let names = text.split(['/', '\\']).map(|name| {
            let name = name.split(':').next().unwrap_or_default();
            let mut folded = String::with_capacity(name.len());
            for letter in name.chars().filter(|letter| !is_ignored_by_hfs(*letter)) {
                match fold_to_ascii(letter) {
                    Some(ascii) => folded.push_str(ascii),
                    None => folded.extend(letter.to_lowercase()),
                }
            }
            folded.truncate(folded.trim_end_matches([' ', '.']).len());
            folded
        });
        names.collect::<Vec<_>>().join("/")
    }
}

/// Returns the full case folding of a non-ASCII letter if the folding is ASCII; otherwise `None`. The source
/// is Unicode's CaseFolding.txt (status C and F). Unicode normalization also maps U+212A.
fn fold_to_ascii(letter: char) -> Option<&'static str> {
    Some(match letter {
        '\u{17f}' => "s",
        '\u{212a}' => "k",
        '\u{df}' | '\u{1e9e}' => "ss",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

fn is_ignored_by_hfs(letter: char) -> bool {
    matches!(letter,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Returns the content of a C-quoted name; `None` if `text` is not a C-quoted name.
pub(crate) fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == b'"' {
            return None;
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next()? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            escaped @ (b'"' | b'\\') => escaped,
            first @ b'0'..=b'3' => {
                let second = rest.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                let third = rest.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                ((first - b'0') << 6) | ((second - b'0') << 3) | (third - b'0')
            }
            _ => return None,
        });
    }
    Some(out)
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.as_str()
            && !text.chars().any(|c| c.is_control() || c == '"' || c == '\\')
        {
            return f.write_str(text);
        }
        QuotedPath(&self.0).fmt(f)
    }
}

/// Returns a name in git's quotes, unless the name is plain. A name with a blank is also quoted, because some
/// tools treat a blank as the end of a name.
pub fn quote_name(name: &[u8]) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    match std::str::from_utf8(name) {
        Ok(text) if name.iter().all(is_plain) => text.into(),
        Ok(_) | Err(_) => QuotedPath(name).to_string().into(),
    }
}

/// Displays a path in git's quotes.
struct QuotedPath<'a>(&'a [u8]);

impl fmt::Display for QuotedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.0 {
            match byte {
                7 => f.write_str("\\a")?,
                8 => f.write_str("\\b")?,
                b'\t' => f.write_str("\\t")?,
                b'\n' => f.write_str("\\n")?,
                11 => f.write_str("\\v")?,
                12 => f.write_str("\\f")?,
                b'\r' => f.write_str("\\r")?,
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                0x20..=0x7e => write!(f, "{}", *byte as char)?,
                _ => write!(f, "\\{byte:03o}")?,
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for RepoPath {
    /// Creates a path from the bytes of the text. Quotes in the text are not removed.
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str().filter(|text| unquote(text.as_bytes()).is_none()) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(&QuotedPath(&self.0)),
        }
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PathVisitor)
    }
}

/// Deserializes a path from text, or from bytes in which a JSON reader has encoded lone surrogates.
struct PathVisitor;

impl Visitor<'_> for PathVisitor {
    type Value = RepoPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RepoPath, E> {
        Ok(RepoPath::from_text(text))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<RepoPath, E> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(RepoPath::from_text(text));
        }
        let unescaped = decode_lone_surrogates(bytes);
        unescaped.map(RepoPath).ok_or_else(|| E::invalid_value(Unexpected::Bytes(bytes), &"UTF-8"))
    }
}

/// Replaces each lone surrogate in a text by the byte that it stands for: U+DC80 to U+DCFF stand for the
/// bytes 80 to FF. In the text, each surrogate is encoded as three bytes. Returns `None` if the rest of the
/// text is not UTF-8.
fn decode_lone_surrogates(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    loop {
        let valid = std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        let (before, rest) = text.split_at_checked(valid)?;
        bytes.extend_from_slice(before);
        match rest {
            [] => return Some(bytes),
            [0xED, second @ (0xB2 | 0xB3), third, after @ ..] => {
                bytes.push(((second & 0x03) << 6) | (third & 0x3F));
                text = after;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RepoPath;

    proptest! {
        #[test]
        fn every_path_survives_its_text(bytes: Vec<u8>) {
            let path = RepoPath::from_bytes(bytes);
            prop_assert_eq!(RepoPath::from_text(&path.to_string()), path);
        }
    }

    proptest! {
        #[test]
        fn every_path_survives_json(bytes in prop::collection::vec(prop::sample::select(&b"\"\"\\\\ab1/\n\xc3\xa9"[..]), 0..8)) {
            let path = RepoPath::from_bytes(bytes);
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<RepoPath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn json_shows_text_as_it_is_and_quotes_the_rest() {
        for (path, json) in [
            (&b"t\ta\"b\\c.txt"[..], r#""t\ta\"b\\c.txt""#),
            ("n\nl/é".as_bytes(), r#""n\nl/é""#),
            (b"f\xff.txt", r#""\"f\\377.txt\"""#),
            (b"\"x\"", r#""\"\\\"x\\\"\"""#),
            (b"\"x", r#""\"x""#),
        ] {
            assert_eq!(serde_json::to_string(&RepoPath::from_bytes(path)).unwrap(), json);
        }
    }

    #[test]
    fn lone_surrogates_are_the_bytes_they_stand_for() {
        let read = |json: &str| serde_json::from_str::<RepoPath>(json);
        for (json, path) in
            [(r#""\udcff""#, &b"\xff"[..]), (r#""a\udc80\u00e9\udcbf""#, b"a\x80\xc3\xa9\xbf")]
        {
            assert_eq!(read(json).unwrap(), RepoPath::from_bytes(path));
        }
        for wrong in [r#""\ud800""#, r#""\udc7f""#, r#""\udd00""#, "7", "null", "[1]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let value: serde_json::Value = serde_json::json!("\"f\\377\"");
        assert_eq!(serde_json::from_value::<RepoPath>(value).unwrap(), RepoPath::from_bytes(b"f\xff"));
    }

    #[test]
    fn a_path_that_leaves_the_tree_is_seen() {
        for bad in ["", "/etc/passwd", "../x", "a/../x", "a//b", "a/.", "a\0b"] {
            assert!(!RepoPath::from(bad).stays_within_folder(), "{bad:?}");
        }
        assert!(RepoPath::from("a/..b/c").stays_within_folder());
    }

    #[test]
    fn no_spelling_of_a_git_folder_is_written() {
        for bad in [
            ".git",
            ".git/config",
            "a/.git",
            ".GIT/x",
            ".Git",
            "a/.gIt/hooks/x",
            "git~1/x",
            "GIT~1",
            ".git /x",
            ".git./x",
            ".git. ./x",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/x",
            "\u{feff}.git",
            ".git\u{200d}./x",
            "a\\.git\\x",
            "../x",
            "/x",
            "a/../x",
            "",
            "a//b",
            "a/.",
        ] {
            assert!(!RepoPath::from(bad).is_safe_to_write(), "{bad:?}");
        }
        for good in
            [".gitignore", ".github/x", "git", "a.git", "x/.gitattributes", "git~10", ".gi", "é/\u{200c}"]
        {
            assert!(RepoPath::from(good).is_safe_to_write(), "{good:?}");
        }
        assert!(RepoPath::from_bytes(b"caf\xe9".to_vec()).is_safe_to_write());
    }

    #[test]
    fn a_folded_path_is_what_the_loosest_file_system_reads() {
        for (path, folded) in [
            ("A/B.py", "a/b.py"),
            (".Hu\u{17f}ky/x", ".husky/x"),
            ("Ma\u{212a}efile", "makefile"),
            ("work\u{fb02}ows. /ci.yml:x", "workflows/ci.yml"),
            ("a\\.HUSKY\\x", "a/.husky/x"),
            ("\u{200d}CI\u{2060}", "ci\u{2060}"),
            ("\u{c9}t\u{e9}", "\u{e9}t\u{e9}"),
        ] {
            assert_eq!(RepoPath::from(path).case_folded(), folded, "{path:?}");
        }
    }
}
