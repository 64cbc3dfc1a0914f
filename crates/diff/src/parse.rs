//! Diffs from bytes: finds the sections of the files among other text, and puts together what their headers and
//! hunks say.

use thiserror::Error;

use crate::RepoPath;
use crate::header::{self, Header, trimmed};
use crate::hunks::{self, Hunks, Malformed};
use crate::model::{FileDiff, Status, first_line};
use crate::name::{self, Name, Pair};

/// How many digits git leaves of the id of a commit that it shortens, at least, unless it is told to leave fewer.
const MIN_ID_DIGITS: usize = 7;

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed<'a> {
    /// The files in the order of the input, up to the first error.
    pub files: Vec<FileDiff<'a>>,
    /// Why reading stopped before the end, if it did.
    pub error: Option<ParseError>,
}

/// A diff that is not well formed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the diff is malformed at line {line} (byte {byte}): {message}")]
pub struct ParseError {
    /// Where: the offset of the first byte of the line that is wrong, or the length of an input that is cut off.
    pub byte: usize,
    /// The same as a 1-based line.
    pub line: usize,
    /// What is wrong, and in the diff of which file.
    pub message: String,
}

/// Reads the diffs of all files in `input`: what `git diff`, `git show`, `git log -p` and `git format-patch`
/// print, and what GitHub and Bitbucket answer; also plain unified diffs.
///
/// Other text before, between and behind the diffs is skipped as `git apply` skips it: commit messages, mail headers
/// and signatures. In a mail of `git format-patch` the diff begins after the line `---`, as with `git am`.
///
/// No input, or nothing but white space, is an empty diff: no files, no error. So are commits that change nothing, if
/// one line shows that git printed them: `commit ID`, the `From ID` of a mail, `* Unmerged path`. Any other input
/// without a file is an error, at its first line that is not blank: a web page, an error in JSON, prose.
///
/// A line that begins with `@@ -` where no file has hunks is an error too, whether or not the rest is well formed, as
/// with git: what it belongs to is lost.
///
/// Diffs with colours, with a graph in front (`git log --graph -p`), word diffs and `--submodule=log` are not
/// unified diffs: their lines are skipped as text.
///
/// ```
/// use truing_diff::{RepoPath, Status, parse};
/// let parsed = parse(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ f()\n same\n+more\n");
/// let file = parsed.files.first().unwrap();
/// assert_eq!((file.status, file.added, file.deleted), (Status::Modified, 1, 0));
/// assert_eq!(file.path, RepoPath::from("x"));
/// let more = file.hunks.first().unwrap().lines().last().unwrap();
/// assert_eq!((more.old, more.new, more.text), (None, Some(2), &b"more"[..]));
/// assert!(parsed.error.is_none());
/// ```
pub fn parse(input: &[u8]) -> Parsed<'_> {
    let (mut read, mut error) = (Vec::new(), None);
    for file in files(input) {
        match file {
            Ok(file) => read.push(file),
            Err(wrong) => error = Some(wrong),
        }
    }
    Parsed { files: read, error }
}

/// Reads as [`parse`] does, one file at a time; an error is the last item.
pub fn files(input: &[u8]) -> Files<'_> {
    Files { input, at: Some(0), any: false }
}

/// The files of a diff; see [`files`].
#[derive(Clone, Debug)]
pub struct Files<'a> {
    input: &'a [u8],
    /// Where the next section is looked for; none at the end.
    at: Option<usize>,
    /// Has there been a file?
    any: bool,
}

impl<'a> Iterator for Files<'a> {
    type Item = Result<FileDiff<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // None in case of an error.
            let at = self.at.take()?;
            let section = match next_section(self.input, at) {
                Ok(Some(section)) => section,
                Ok(None) if self.any => return None,
                Ok(None) => return no_diff(self.input).map(|wrong| Err(self.error(wrong))),
                Err(wrong) => return Some(Err(self.error(wrong))),
            };
            self.at = Some(section.end);
            if let Some(file) = section.file {
                self.any = true;
                return Some(Ok(file));
            }
        }
    }
}

impl Files<'_> {
    fn error(&self, Malformed { byte, what: message }: Malformed) -> ParseError {
        let before = self.input.get(..byte).unwrap_or(self.input);
        ParseError { byte, line: 1 + memchr::memchr_iter(b'\n', before).count(), message }
    }
}

/// What is wrong with an input in which there is no file: nothing, if git can have printed it.
fn no_diff(input: &[u8]) -> Option<Malformed> {
    let (mut at, mut first) = (0, None);
    while let Some((line, _)) = input.get(at..).and_then(first_line) {
        if is_commit(line) || is_mail_start(line) || line.starts_with(b"* Unmerged path ") {
            return None;
        }
        if !line.trim_ascii().is_empty() {
            first = first.or(Some(at));
        }
        at += line.len();
    }
    Some(Malformed::new(first?, "this is no unified diff: no line begins the diff of a file"))
}

/// Does `git log` begin a commit with this line: `commit ID`, perhaps with more behind a blank?
fn is_commit(line: &[u8]) -> bool {
    let Some(rest) = trimmed(line).strip_prefix(b"commit ") else { return false };
    let hex = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    (MIN_ID_DIGITS..=64).contains(&hex) && matches!(rest.get(hex), None | Some(b' '))
}

/// A part of the input that belongs together.
struct Section<'a> {
    /// What it says; nothing if it only looked like a diff.
    file: Option<FileDiff<'a>>,
    /// Where it ends.
    end: usize,
}

/// The first section at or after `at`; none if only text follows.
fn next_section(input: &[u8], mut at: usize) -> Result<Option<Section<'_>>, Malformed> {
    while let Some((line, rest)) = input.get(at..).and_then(first_line) {
        let after = at + line.len();
        match line.first() {
            Some(b'd') => {
                if let Some(names) = line.strip_prefix(b"diff --git ") {
                    return git_section(input, at, names).map(Some);
                }
                let combined = line.strip_prefix(b"diff --cc ");
                if let Some(name) = combined.or_else(|| line.strip_prefix(b"diff --combined ")) {
                    return combined_section(input, at, name, after).map(Some);
                }
            }
            Some(b'-') if line.starts_with(b"--- ") && is_plain_header(rest) => {
                return plain_section(input, at).map(Some);
            }
            Some(b'@') if line.starts_with(b"@@ -") => {
                return Err(Malformed::new(at, "a hunk without the name of its file before it"));
            }
            Some(b'F') if is_mail_start(line) => {
                at = after + message_len(rest);
                continue;
            }
            Some(_) | None => {}
        }
        at = after;
    }
    Ok(None)
}

/// Do these lines, behind one with `--- `, go on as a diff does?
fn is_plain_header(rest: &[u8]) -> bool {
    let Some((line, rest)) = first_line(rest) else { return false };
    line.starts_with(b"+++ ") && first_line(rest).is_some_and(|(line, _)| hunks::is_header(line))
}

/// Does the line begin a mail of `git format-patch`: `From`, a commit, a date?
fn is_mail_start(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let hex = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    matches!(hex, 40 | 64) && rest.get(hex) == Some(&b' ')
}

/// How long the head and message of a mail are, up to and with the line `---`; 0 if it has none.
///
/// The line separates the message from the statistics, and only stands there if there are statistics. So one
/// that comes after the first diff is a removed line (`--`) of it, unless statistics follow: then what looked
/// like a diff was part of the message.
fn message_len(mail: &[u8]) -> usize {
    let (mut rest, mut seen_diff) = (mail, false);
    while let Some((line, after)) = first_line(rest) {
        if is_mail_start(line) {
            break;
        }
        if matches!(line, b"---\n" | b"---\r\n") && (!seen_diff || is_statistics(after)) {
            return mail.len() - after.len();
        }
        seen_diff |= line.starts_with(b"diff --");
        rest = after;
    }
    0
}

/// Does a line like ` src/main.rs | 12 ++--` come first?
fn is_statistics(rest: &[u8]) -> bool {
    let Some((line, _)) = first_line(rest).filter(|(line, _)| line.starts_with(b" ")) else { return false };
    let Some(bar) = line.windows(3).rposition(|three| three == b" | ") else { return false };
    let count = line.get(bar + 3..).unwrap_or_default().trim_ascii();
    count.starts_with(b"Bin") || count.first().is_some_and(u8::is_ascii_digit)
}

/// A section that begins with `diff --git NAMES` at `at`.
fn git_section<'a>(input: &'a [u8], at: usize, names: &'a [u8]) -> Result<Section<'a>, Malformed> {
    let after = at + "diff --git ".len() + names.len();
    let header = header::read(input, after)?;
    let Some((path, old_path)) = git_names(trimmed(names), &header, at)? else {
        return if header.lines > 0 {
            Err(Malformed::new(at, "cannot tell the name of the file from its header"))
        } else if !input.get(at..after).is_some_and(|line| line.ends_with(b"\n")) {
            Err(Malformed::new(after, "the input ends inside the header of a file"))
        } else {
            // A sentence in a message.
            Ok(Section { file: None, end: after })
        };
    };
    let of_file = |error: Malformed| Malformed { what: format!("{path}: {}", error.what), ..error };
    let hunks = read_hunks(input, &header).map_err(of_file)?;
    let status = if header.renamed.is_some() {
        Status::Renamed
    } else if header.copied.is_some() {
        Status::Copied
    } else if header.is_new || header.is_added() {
        Status::Added
    } else if header.is_deleted || header.is_removed() {
        Status::Deleted
    } else if old_path.is_some() {
        // `git diff --no-index OLD NEW` says no more of it than two names.
        Status::Renamed
    } else if header.is_binary {
        Status::Binary
    } else if header.mode_changed && hunks.hunks.is_empty() {
        Status::Mode
    } else {
        Status::Modified
    };
    let old_path = old_path.filter(|_| matches!(status, Status::Renamed | Status::Copied));
    Ok(file(path, old_path, status, &header, hunks))
}

/// A section of a plain unified diff: its `---` line begins at `at`.
fn plain_section(input: &[u8], at: usize) -> Result<Section<'_>, Malformed> {
    let header = header::read(input, at)?;
    let (path, old_path, status) = match (&header.old, &header.new) {
        (None, None) => return Err(Malformed::new(at, "the file is `/dev/null` before and after")),
        (None, Some(new)) => (path(name::alone(new)), None, Status::Added),
        (Some(old), None) => (path(name::alone(old)), None, Status::Deleted),
        (Some(old), Some(new)) => match name::pair(old, new) {
            Pair::Same(same) => (path(same), None, Status::Modified),
            Pair::Two(old, new) => (path(new), Some(path(old)), Status::Renamed),
        },
    };
    let of_file = |error: Malformed| Malformed { what: format!("{path}: {}", error.what), ..error };
    let hunks = read_hunks(input, &header).map_err(of_file)?;
    Ok(file(path, old_path, status, &header, hunks))
}

/// A section of a merge, `diff --cc NAME`: says which file it is. Its hunks are left to be skipped as text: a line
/// of theirs has one mark for each parent, so none begins a section.
fn combined_section<'a>(
    input: &'a [u8],
    at: usize,
    name: &[u8],
    after: usize,
) -> Result<Section<'a>, Malformed> {
    let header = header::read_combined(input, after);
    let name = name::whole_name(trimmed(name)).ok_or_else(|| Malformed::new(at, header::BAD_QUOTES))?;
    let status = if header.is_new {
        Status::Added
    } else if header.is_deleted {
        Status::Deleted
    } else if header.is_binary {
        Status::Binary
    } else {
        Status::Modified
    };
    let hunks = Hunks { end: header.end, ..Hunks::default() };
    Ok(file(path(&name), None, status, &header, hunks))
}

fn file<'a>(
    path: RepoPath,
    old_path: Option<RepoPath>,
    status: Status,
    header: &Header<'_>,
    hunks: Hunks<'a>,
) -> Section<'a> {
    let file = FileDiff {
        path,
        old_path,
        status,
        added: hunks.added,
        deleted: hunks.deleted,
        old_mode: header.old_mode,
        new_mode: header.new_mode,
        is_binary: header.is_binary,
        is_combined: header.is_combined,
        hunks: hunks.hunks,
    };
    Section { file: Some(file), end: hunks.end }
}

fn path(name: &[u8]) -> RepoPath {
    RepoPath::from_bytes(name)
}

/// The hunks behind a header; none if it has no `---` line.
fn read_hunks<'a>(input: &'a [u8], header: &Header<'_>) -> Result<Hunks<'a>, Malformed> {
    if !header.has_names {
        return Ok(Hunks { end: header.end, ..Hunks::default() });
    }
    if !input.get(header.end..).is_some_and(|rest| rest.starts_with(b"@@ ")) {
        return Err(Malformed::new(header.end, "a hunk should follow the `---` and `+++` lines"));
    }
    hunks::read(input, header.end)
}

/// The name of the file, and its old one if it is another; none if they cannot be told.
///
/// `line` is what `diff --git` says. Its names carry prefixes and do not show where they end, so it is the last
/// to be asked.
fn git_names(
    line: &[u8],
    header: &Header<'_>,
    at: usize,
) -> Result<Option<(RepoPath, Option<RepoPath>)>, Malformed> {
    if let Some(moved) = header.renamed.as_ref().or(header.copied.as_ref()) {
        let (Some(from), Some(to)) = (&moved.from, &moved.to) else {
            return Err(Malformed::new(at, "the header tells only one of the two names"));
        };
        return Ok(Some((path(to), Some(path(from)))));
    }
    let (old, new) = (header.old.as_deref(), header.new.as_deref());
    let names: Option<(Name<'_>, Name<'_>)> = match (old, new) {
        (Some(old), Some(new)) => Some((old.into(), new.into())),
        // A new or deleted file has one name; only both together show what is their prefix.
        (Some(_), None) | (None, Some(_)) | (None, None) => name::split_git_line(line),
    };
    let Some((old, new)) = names else {
        return Ok(new.or(old).map(|name| (path(name::alone(name)), None)));
    };
    Ok(Some(match name::pair(&old, &new) {
        Pair::Same(same) => (path(same), None),
        Pair::Two(old, new) => (path(new), Some(path(old))),
    }))
}
