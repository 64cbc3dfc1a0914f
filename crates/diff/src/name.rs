//! Finds the file name of a diff section. Handles quoting, prefixes, and the two names in `diff --git OLD
//! NEW`.

use std::borrow::Cow;

use crate::path::unquote;

/// Prefixes before the old and the new name. The pairs come from git, from git with `-R` (reversed), from
/// `diff.mnemonicPrefix`, and from Bitbucket Data Center. Mnemonic prefixes stand for index, work tree,
/// commit, object, and the two inputs of `--no-index`.
const PREFIXES: [(&[u8], &[u8]); 13] = [
    (b"a/", b"b/"),
    (b"b/", b"a/"),
    (b"i/", b"w/"),
    (b"w/", b"i/"),
    (b"c/", b"i/"),
    (b"i/", b"c/"),
    (b"c/", b"w/"),
    (b"w/", b"c/"),
    (b"o/", b"w/"),
    (b"w/", b"o/"),
    (b"1/", b"2/"),
    (b"2/", b"1/"),
    (b"src://", b"dst://"),
];

/// Maximum difference between the lengths of two unknown prefixes. With this limit, the time to find the
/// blank between two names is linear in the length of the names.
const MAX_PREFIX_DIFFERENCE: usize = 64;

/// The name of a file without quotes.
pub(crate) type FileName<'a> = Cow<'a, [u8]>;

/// The result of comparing two names of one section with their prefixes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NamePair<'a> {
    /// Both names mean the same file.
    Same(&'a [u8]),
    /// The names mean two files: the old file and the new file.
    Different(&'a [u8], &'a [u8]),
}

/// Returns the name in the rest of a `--- ` or `+++ ` line, with its prefix. Returns none for invalid
/// quoting.
///
/// A tab ends a name without quotes. Git adds a tab after a name with a blank; other tools add a tab before a
/// time.
pub(crate) fn parse_header_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") {
        return parse_quoted_name(rest).map(|(name, _)| name);
    }
    Some(Cow::Borrowed(rest.split(|byte| *byte == b'\t').next().unwrap_or(rest)))
}

/// Returns the name in the rest of a `rename from ` line or a similar line. The name is quoted, or is the
/// whole rest. Returns none for invalid quoting.
pub(crate) fn parse_whole_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") { unquote(rest).map(Cow::Owned) } else { Some(Cow::Borrowed(rest)) }
}

/// Removes the prefixes from the two names of one section.
///
/// Equal names have no prefixes. Known prefixes are removed. Otherwise, if both names have a common ending,
/// the path is the part of the ending after its first slash.
pub(crate) fn strip_pair_prefixes<'a>(old: &'a [u8], new: &'a [u8]) -> NamePair<'a> {
    if old == new {
        return NamePair::Same(new);
    }
    let known = PREFIXES.iter().find_map(|(a, b)| Some((old.strip_prefix(*a)?, new.strip_prefix(*b)?)));
    match known {
        Some((old, new)) if old == new => NamePair::Same(new),
        Some((old, new)) => NamePair::Different(old, new),
        None => common_path_suffix(old, new).map_or(NamePair::Different(old, new), NamePair::Same),
    }
}

/// Returns the name of a section that has only one name, without git's prefix.
pub(crate) fn strip_git_prefix(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"b/").or_else(|| name.strip_prefix(b"a/")).unwrap_or(name)
}

/// Returns the two names in the rest of a `diff --git ` line, with their prefixes. Returns none if the line
/// cannot be split.
///
/// Without quotes, nothing marks the end of the first name. The function therefore searches for the blank
/// that splits the line into two names of the same path.
pub(crate) fn split_diff_git_line(rest: &[u8]) -> Option<(FileName<'_>, FileName<'_>)> {
    if rest.starts_with(b"\"") {
        let (old, rest) = parse_quoted_name(rest)?;
        return Some((old, parse_whole_name(rest.strip_prefix(b" ")?)?));
    }
    let at = |blank: usize| {
        let (old, new) = (rest.get(..blank)?, rest.get(blank + 1..)?);
        (rest.get(blank) == Some(&b' ') && !old.is_empty() && !new.is_empty()).then_some((old, new))
    };
    let middle = rest.len() / 2;
    // Prefixes usually have equal lengths; the blank is then in the middle.
    let (old, new) = (0..=MAX_PREFIX_DIFFERENCE / 2)
        .flat_map(|off| [middle.checked_sub(off), middle.checked_add(off)])
        .flatten()
        .filter_map(at)
        .find(|(old, new)| matches!(strip_pair_prefixes(old, new), NamePair::Same(_)))?;
    Some((Cow::Borrowed(old), Cow::Borrowed(new)))
}

/// Returns the quoted name at the beginning of `text`, and the rest.
fn parse_quoted_name(text: &[u8]) -> Option<(FileName<'_>, &[u8])> {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    let (token, rest) = text.split_at_checked(end + 2)?;
    Some((Cow::Owned(unquote(token)?), rest))
}

/// Returns the text after the first slash in the common ending of both names.
fn common_path_suffix<'a>(old: &[u8], new: &'a [u8]) -> Option<&'a [u8]> {
    let shared = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let suffix = new.get(new.len() - shared..)?;
    let slash = suffix.iter().position(|byte| *byte == b'/')?;
    let path = suffix.get(slash..)?;
    path.get(path.iter().position(|byte| *byte != b'/')?..)
}
