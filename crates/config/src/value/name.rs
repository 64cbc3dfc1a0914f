//! Validates names, pairs of paths, and networks in lists.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

/// Parses `UPSTREAM=OURS`, where both parts are folders or both are files.
pub(crate) fn parse_mirror_pair(text: &str) -> Option<(&str, &str)> {
    let (theirs, ours) = text.split_once('=')?;
    let is_path =
        |path: &str| !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    (is_path(theirs) && is_path(ours) && theirs.ends_with('/') == ours.ends_with('/'))
        .then_some((theirs, ours))
}

/// Parses a network in prefix notation, or a single address.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Removes duplicates. The first of several equal items is kept.
pub(crate) fn remove_duplicates(items: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// Regular expression for names of forges, teams and packs.
pub(crate) const NAME_PATTERN: &str = "^[a-z][a-z0-9-]*$";

/// Returns true for a name of a forge or pack: lower-case letters, digits and `-`, with a letter first.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
