//! What a loop's installation tokens may do. A token that leaks can do no more than its loop.

use truing_core::slot::Loop;

/// A permission of GitHub Apps and its level.
pub type Permission = (&'static str, &'static str);

/// What each loop needs, and nothing else: no administration, no workflows, no members.
/// <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>
pub const fn permissions(of: Loop) -> &'static [Permission] {
    match of {
        Loop::Review => &[
            ("checks", "write"),
            ("contents", "read"),
            ("issues", "write"),
            ("metadata", "read"),
            ("pull_requests", "write"),
            ("statuses", "write"),
        ],
        // Those push. A push can change no workflow without a permission of its own.
        Loop::Converge | Loop::Sync => &[
            ("checks", "read"),
            ("contents", "write"),
            ("issues", "write"),
            ("metadata", "read"),
            ("pull_requests", "write"),
            ("statuses", "read"),
        ],
    }
}

/// What pushes a branch, and no more of what the loops that push need: all else they do as reviews do. A push can
/// change no workflow without a permission of its own.
pub(super) const PUSHING: &[Permission] = &[("contents", "write"), ("metadata", "read")];

/// What makes a pull request a draft or ready: with less GitHub refuses that to an installation
/// (<https://github.com/cli/cli/issues/8910>).
pub(super) const READYING: &[Permission] =
    &[("contents", "write"), ("metadata", "read"), ("pull_requests", "write")];

/// What lists an installation's repositories.
pub(super) const LISTING: &[Permission] = &[("metadata", "read")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reviews_changes_no_code_and_nobody_administers() {
        let review = permissions(Loop::Review);
        assert!(review.contains(&("contents", "read")));
        for of in Loop::ALL {
            for (name, level) in permissions(of) {
                assert!(
                    ["checks", "contents", "issues", "metadata", "pull_requests", "statuses"].contains(name),
                    "{name}"
                );
                assert!(["read", "write"].contains(level), "{level}");
            }
        }
    }

    #[test]
    fn who_pushes_needs_what_its_loop_is_granted() {
        for of in [Loop::Converge, Loop::Sync] {
            let needs = PUSHING.iter().chain(READYING);
            assert!(needs.into_iter().all(|permission| permissions(of).contains(permission)));
        }
        let page = include_str!("../../../../../docs/github.md");
        assert!(page.contains("*Contents: write*"));
    }

    #[test]
    fn the_page_on_connecting_github_lists_what_is_asked_for() {
        let page = include_str!("../../../../../docs/github.md");
        for (name, level) in permissions(Loop::Review) {
            let row = |line: &str| line.contains(&format!("| {level} | `{name}` |"));
            assert!(page.lines().any(row), "{name}: {level}");
        }
        let of_a_permission = |line: &&str| line.contains("| read | `") || line.contains("| write | `");
        let rows = page.lines().filter(of_a_permission).count();
        assert_eq!(rows, permissions(Loop::Review).len());
    }
}
