//! Builds addresses at GitHub, and validates the names of repositories.

use url::Url;

/// Appends the segments to an address, each percent-encoded.
pub(super) fn append_segments<'a>(root: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = root.clone();
    url.set_query(None);
    url.set_fragment(None);
    // `GitHub::new` accepts only HTTP addresses, which always have a path, so this call does not fail.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Returns true for `owner/name` with the characters that GitHub allows in both.
pub(super) fn is_repository_name(text: &str) -> bool {
    let right = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.len() <= 100
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| right(owner) && right(name))
}
