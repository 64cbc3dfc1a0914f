//! The behaviour of Bitbucket Data Center. `routes` lists all routes, `admission` checks permissions, and
//! `errors` creates error responses. `server_and_repositories`, `pulls`, `comments`, `activities`, `diff` and
//! `commits` answer requests; `anchor` finds the lines of comments. `page` divides lists into pages, `json`
//! creates Data Center's objects, and `events` creates webhooks.

mod activities;
mod admission;
mod anchor;
mod comments;
mod commits;
mod diff;
mod errors;
mod events;
mod json;
mod page;
mod pulls;
mod routes;
mod server_and_repositories;

pub(crate) use self::events::build_delivery;
pub(crate) use self::routes::PROTOCOL;

/// First version that supports draft pull requests.
const DRAFTS_MIN_VERSION: (u32, u32) = (8, 18);
/// First version that accepts comments on several lines.
const MULTILINE_COMMENTS_MIN_VERSION: (u32, u32) = (9, 3);

/// Returns true if a version such as `8.9.0` is at least `min_version`. An invalid version counts as older
/// than every version.
fn is_version_at_least(version: &str, min_version: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= min_version
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
            assert_eq!(is_version_at_least(version, DRAFTS_MIN_VERSION), drafts, "{version}");
        }
    }
}
