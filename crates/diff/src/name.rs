//! Which file a section of a diff is about: quoting, prefixes, and the two names in `diff --git OLD NEW`.

use std::borrow::Cow;

use crate::path::unquote;

/// The prefixes that git and the forges put before the old and the new name: git's own (and reversed, `-R`),
/// those of `diff.mnemonicPrefix` (index, work tree, commit, object, the two of `--no-index`), and those of
/// Bitbucket Data Center.
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

/// How much longer than the other one of two unknown prefixes may be. With it, finding the blank between two
/// names costs time linear in their length.
const MAX_PREFIX_DIFFERENCE: usize = 64;

/// A name of a file, its quotes taken off.
pub(crate) type FileName<'a> = Cow<'a, [u8]>;

/// What two names of one section, prefixes and all, say together.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NamePair<'a> {
    /// They are one file.
    Same(&'a [u8]),
    /// They are two: the old and the new one.
    Two(&'a [u8], &'a [u8]),
}

/// The name in the rest of a `--- ` or `+++ ` line, with its prefix. None if the quotes are wrong.
///
/// A tab ends a name that is not quoted: git puts one behind a name with a blank, other tools a time.
pub(crate) fn header_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") {
        return quoted_token(rest).map(|(name, _)| name);
    }
    Some(Cow::Borrowed(rest.split(|byte| *byte == b'\t').next().unwrap_or(rest)))
}

/// The name in the rest of a `rename from ` line or its like: quoted or whole. None if the quotes are wrong.
pub(crate) fn whole_name(rest: &[u8]) -> Option<FileName<'_>> {
    if rest.starts_with(b"\"") { unquote(rest).map(Cow::Owned) } else { Some(Cow::Borrowed(rest)) }
}

/// Takes the prefixes off the two names of one section.
///
/// Equal names have none. Known prefixes are taken off. Else, if the names end alike, what they share after a
/// slash is the path.
pub(crate) fn pair<'a>(old: &'a [u8], new: &'a [u8]) -> NamePair<'a> {
    if old == new {
        return NamePair::Same(new);
    }
    let known = PREFIXES.iter().find_map(|(a, b)| Some((old.strip_prefix(*a)?, new.strip_prefix(*b)?)));
    match known {
        Some((old, new)) if old == new => NamePair::Same(new),
        Some((old, new)) => NamePair::Two(old, new),
        None => shared_path(old, new).map_or(NamePair::Two(old, new), NamePair::Same),
    }
}

/// The only name of a section that tells no second one, without git's prefix.
pub(crate) fn alone(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"b/").or_else(|| name.strip_prefix(b"a/")).unwrap_or(name)
}

/// The two names in the rest of a `diff --git ` line, with their prefixes. None if the line cannot be divided.
///
/// Without quotes nothing marks where the first name ends, so this finds the blank that makes them one path.
pub(crate) fn split_git_line(rest: &[u8]) -> Option<(FileName<'_>, FileName<'_>)> {
    if rest.starts_with(b"\"") {
        let (old, rest) = quoted_token(rest)?;
        return Some((old, whole_name(rest.strip_prefix(b" ")?)?));
    }
    let at = |blank: usize| {
        let (old, new) = (rest.get(..blank)?, rest.get(blank + 1..)?);
        (rest.get(blank) == Some(&b' ') && !old.is_empty() && !new.is_empty()).then_some((old, new))
    };
    let middle = rest.len() / 2;
    // Prefixes are mostly of one length: then the blank is in the middle.
    let (old, new) = (0..=MAX_PREFIX_DIFFERENCE / 2)
        .flat_map(|off| [middle.checked_sub(off), middle.checked_add(off)])
        .flatten()
        .filter_map(at)
        .find(|(old, new)| matches!(pair(old, new), NamePair::Same(_)))?;
    Some((Cow::Borrowed(old), Cow::Borrowed(new)))
}

/// The name in the quotes that `text` begins with, and what follows them.
fn quoted_token(text: &[u8]) -> Option<(FileName<'_>, &[u8])> {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    let (token, rest) = text.split_at_checked(end + 2)?;
    Some((Cow::Owned(unquote(token)?), rest))
}

/// What follows the first slash that both names share at their ends.
fn shared_path<'a>(old: &[u8], new: &'a [u8]) -> Option<&'a [u8]> {
    let shared = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let suffix = new.get(new.len() - shared..)?;
    let slash = suffix.iter().position(|byte| *byte == b'/')?;
    let path = suffix.get(slash..)?;
    path.get(path.iter().position(|byte| *byte != b'/')?..)
}
