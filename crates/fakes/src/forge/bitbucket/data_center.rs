//! Bitbucket Data Center's semantics: `routes` has every call and its ways with it, `admission` says who may
//! make it, `errors` how it is refused; `estate`, `pulls`, `comments` (on the lines of an `anchor`),
//! `activities`, `diff` and `commits` answer it, `page` cuts lists; `json` is its form of it all, `events`
//! that of webhooks.

mod activities;
mod admission;
mod anchor;
mod comments;
mod commits;
mod diff;
mod errors;
mod estate;
mod events;
mod json;
mod page;
mod pulls;
mod routes;

pub(crate) use self::events::delivery;
pub(crate) use self::routes::PROTOCOL;

/// The first version that has drafts.
const DRAFTS: (u32, u32) = (8, 18);
/// The first version that takes comments on several lines.
const SEVERAL_LINES: (u32, u32) = (9, 3);

/// Is a version, as `8.9.0`, at least this one? One that cannot be read is older than all.
fn is_since(version: &str, since: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, drafts) in [
            ("8.17.9", false),
            ("8.18.0", true),
            ("8.9.0", false),
            ("10.0.0", true),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(is_since(version, DRAFTS), drafts, "{version}");
        }
    }
}
