//! Determines the name of the file in a section of a diff. Handles quoted names, prefixes, and the two names
//! in `diff --git OLD NEW`.

use std::borrow::Cow;

use crate::path::unquote;

/// Known pairs of prefixes of the old and the new name. Git uses the pairs by default, with `-R` (reversed)
/// and with `diff.mnemonicPrefix`; Bitbucket Data Center uses one of the pairs. A mnemonic prefix denotes the
/// index, the work tree, a commit, an object, or one of the two inputs of `--no-index`.
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
/// space between two names is linear in the length of the names.
const MAX_PREFIX_DIFFERENCE: usize = 64;

/// The name of a file without quotes.
pub(crate) type FileName<'a> = Cow<'a, [u8]>;

/// The names of a section's old and new file, without prefixes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NamePair<'a> {
    /// The old and the new file have the same name.
    Same(&'a [u8]),
    /// The old and the new file have different names, in this order.
    Different(&'a [u8], &'a [u8]),
}

/// Returns the name in the rest of a `--- ` or `+++ ` line, with its prefix. Returns `None` if the quoting is
/// invalid.
///
/// A name without quotes ends at the first tab. Git adds a tab after a name that contains a blank; other
/// tools add a tab and a time.
pub(crate) fn parse_header_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") {
        return parse_quoted_name(rest).map(|(name, _)| name);
    }
    Some(Cow::Borrowed(rest.split(|byte| *byte == b'\t').next().unwrap_or(rest)))
}

/// Returns the name in the rest of a `rename from ` line or a similar line. If the name is not quoted, it is
/// the whole rest. Returns `None` if the quoting is invalid.
pub(crate) fn parse_rename_line_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") { unquote(rest).map(Cow::Owned) } else { Some(Cow::Borrowed(rest)) }
}

/// Removes the prefixes from the two names of one section.
///
/// If both names are equal, they have no prefixes. Otherwise, known prefixes are removed. If the prefixes are
/// unknown, but the common ending of both names contains a slash, the path is the part of this ending after
/// the first slash.
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

/// Returns the two names in the rest of a `diff --git ` line, with their prefixes. Returns `None` if the line
/// cannot be split.
///
/// If the first name is not quoted, the line does not show where it ends. The function therefore tries the
/// blanks as separators, and accepts a split if both names are equal without their prefixes.
pub(crate) fn split_diff_git_line(rest: &[u8]) -> Option<(FileName<'_>, FileName<'_>)> {
    if rest.starts_with(b"\"") {
        let (old, rest) = parse_quoted_name(rest)?;
        return Some((old, parse_rename_line_name(rest.strip_prefix(b" ")?)?));
    }
    let at = |blank: usize| {
        let (old, new) = (rest.get(..blank)?, rest.get(blank + 1..)?);
        (rest.get(blank) == Some(&b' ') && !old.is_empty() && !new.is_empty()).then_some((old, new))
    };
    let middle = rest.len() / 2;
    // The search begins in the middle, because the two prefixes usually have the same length.
    let (old, new) = (0..=MAX_PREFIX_DIFFERENCE / 2)
        .flat_map(|off| [middle.checked_sub(off), middle.checked_add(off)])
        .flatten()
        .filter_map(at)
        .find(|(old, new)| matches!(strip_pair_prefixes(old, new), NamePair::Same(_)))?;
    Some((Cow::Borrowed(old), Cow::Borrowed(new)))
}

/// Returns the quoted name at the beginning of `text`, without quotes, and the rest of the text.
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

/// Returns the part after the first slash of the common ending of both names.
fn common_path_suffix<'a>(old: &[u8], new: &'a [u8]) -> Option<&'a [u8]> {
    let shared = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let suffix = new.get(new.len() - shared..)?;
    let slash = suffix.iter().position(|byte| *byte == b'/')?;
    let path = suffix.get(slash..)?;
    path.get(path.iter().position(|byte| *byte != b'/')?..)
}
