//! The permissions of a loop's installation tokens. A leaked token has only the permissions of its loop.

use std::collections::HashMap;

use truing_core::slot::LoopKind;

use super::refusals::OptionalWrite;

/// A permission of GitHub Apps and its level.
pub type AppPermission = (&'static str, &'static str);

/// Returns the permissions that this loop needs. No loop needs the permissions for administration, workflows
/// or members. <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>
pub const fn loop_permissions(loop_kind: LoopKind) -> &'static [AppPermission] {
    match loop_kind {
        LoopKind::Review => &[
            ("checks", "write"),
            ("contents", "read"),
            ("issues", "write"),
            ("metadata", "read"),
            ("pull_requests", "write"),
            ("statuses", "write"),
        ],
        // These loops push. GitHub rejects a push that changes a workflow file, because that change requires
        // another permission.
        LoopKind::Converge | LoopKind::Sync => &[
            ("checks", "read"),
            ("contents", "write"),
            ("issues", "write"),
            ("metadata", "read"),
            ("pull_requests", "write"),
            ("statuses", "read"),
        ],
    }
}

/// Permissions to push a branch. For all other calls, the loops that push use the permissions of a review.
/// GitHub rejects a push that changes a workflow file, because that change requires another permission.
pub(super) const PUSH_PERMISSIONS: &[AppPermission] = &[("contents", "write"), ("metadata", "read")];

/// Permissions to change the draft state of a pull request, and to resolve or reopen a thread. With fewer
/// permissions, GitHub rejects these calls of an installation (<https://github.com/cli/cli/issues/8910>,
/// <https://github.com/github/gh-aw/issues/35726>).
pub(super) const STATE_CHANGE_PERMISSIONS: &[AppPermission] =
    &[("contents", "write"), ("metadata", "read"), ("pull_requests", "write")];

/// Writes that a review does not require, each with the permissions that the write needs.
pub(super) const OPTIONAL_WRITE_PERMISSIONS: &[(OptionalWrite, &[AppPermission])] = &[
    (OptionalWrite::ThreadResolution, STATE_CHANGE_PERMISSIONS),
    (OptionalWrite::Checks, &[("checks", "write")]),
    (OptionalWrite::Statuses, &[("statuses", "write")]),
];

/// Permissions that are requested only if the installation grants them. If `issues` is missing,
/// `pull_requests` is enough to write comments. [`EXTRA`] lists the writes that need `checks` and `statuses`.
const OPTIONAL_PERMISSION_NAMES: [&str; 3] = ["checks", "issues", "statuses"];

/// Returns true if an installation grants this permission.
pub(super) fn is_granted((name, level): &(&str, &str), granted: &HashMap<String, String>) -> bool {
    granted.get(*name).is_some_and(|has| has == "write" || has == level)
}

/// Returns the wanted permissions that an installation grants. An installation that lists no permissions is
/// assumed to grant all of them.
///
/// # Errors
/// The first missing permission that is required.
pub(super) fn select_granted(
    wanted_permissions: &'static [AppPermission],
    granted: &HashMap<String, String>,
) -> Result<Vec<AppPermission>, String> {
    let (has, lacks): (Vec<AppPermission>, Vec<AppPermission>) =
        wanted_permissions.iter().copied().partition(|one| granted.is_empty() || is_granted(one, granted));
    match lacks.iter().find(|(name, _)| !OPTIONAL_PERMISSION_NAMES.contains(name)) {
        Some((name, level)) => Err(format!("`{name}: {level}`")),
        None => Ok(has),
    }
}

/// Permissions to list an installation's repositories.
pub(super) const REPOSITORY_LIST_PERMISSIONS: &[AppPermission] = &[("metadata", "read")];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use truing_contract::ForgeContract;

    use super::*;

    #[test]
    fn who_reviews_changes_no_code_and_nobody_administers() {
        let review = loop_permissions(LoopKind::Review);
        assert!(review.contains(&("contents", "read")));
        for of in LoopKind::ALL {
            for (name, level) in loop_permissions(of) {
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
        for of in [LoopKind::Converge, LoopKind::Sync] {
            let needs = PUSH_PERMISSIONS.iter().chain(STATE_CHANGE_PERMISSIONS);
            assert!(needs.into_iter().all(|permission| loop_permissions(of).contains(permission)));
        }
        let page = include_str!("../../../../../docs/github.md");
        assert!(page.contains("*Contents: write*"));
    }

    #[derive(Deserialize)]
    struct PermissionTable {
        sources: HashMap<String, String>,
        calls: Vec<CallRow>,
    }

    #[derive(Deserialize)]
    struct CallRow {
        call: String,
        app: String,
        fine_grained: String,
        actions: String,
        classic: String,
        sources: Vec<String>,
    }

    fn table() -> PermissionTable {
        toml::from_str(include_str!("../../../../contract/data/github-permissions.toml")).unwrap()
    }

    /// Returns true if these permissions are enough for `need`, which lists the permissions of one call in
    /// the table of calls.
    fn fulfilled(need: &str, permissions: &[AppPermission]) -> bool {
        let granted: HashMap<String, String> =
            permissions.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect();
        let has = |one: &str| one.split_once(": ").is_some_and(|one| is_granted(&one, &granted));
        need.split(" | ").any(|one| one.split(" + ").all(has))
    }

    /// Returns the permissions of the token that makes this call; `None` for the token of a review.
    fn non_review_permissions(call: &str) -> Option<&'static [AppPermission]> {
        match call {
            "git push" => Some(PUSH_PERMISSIONS),
            "GET /installation/repositories" => Some(REPOSITORY_LIST_PERMISSIONS),
            _ if call.starts_with("mutation ") => Some(STATE_CHANGE_PERMISSIONS),
            _ => None,
        }
    }

    #[test]
    fn each_call_of_the_table_is_one_that_its_token_may_make_and_has_its_source() {
        let table = table();
        for row in &table.calls {
            let with = non_review_permissions(&row.call).unwrap_or(loop_permissions(LoopKind::Review));
            let is_free = ["any", "login", "never"].contains(&row.app.as_str());
            assert!(is_free || fulfilled(&row.app, with), "{}: {}", row.call, row.app);
            for need in [&row.app, &row.fine_grained, &row.actions, &row.classic] {
                assert!(!need.is_empty(), "{}", row.call);
            }
            assert!(!row.sources.is_empty(), "{}", row.call);
            assert!(row.sources.iter().all(|source| table.sources.contains_key(source)), "{}", row.call);
        }
    }

    #[test]
    fn the_table_has_every_call_that_is_described() {
        let described = ForgeContract::github().unwrap();
        let plain = |call: &str| {
            let parts = call.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        let listed: BTreeSet<String> = table().calls.iter().map(|row| plain(&row.call)).collect();
        let missing: Vec<&str> =
            described.operations().filter(|call| !listed.contains(&plain(call))).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn nothing_is_asked_for_that_no_call_needs() {
        let table = table();
        for of in LoopKind::ALL {
            for (name, level) in loop_permissions(of) {
                let one = format!("{name}: {level}");
                assert!(table.calls.iter().any(|row| row.app.contains(&one)), "{one}");
            }
        }
    }

    #[test]
    fn what_an_app_lacks_is_not_asked_for_or_is_named() {
        let all: HashMap<String, String> = loop_permissions(LoopKind::Review)
            .iter()
            .map(|(name, level)| ((*name).into(), (*level).into()))
            .collect();
        for (name, level) in loop_permissions(LoopKind::Review) {
            let mut granted = all.clone();
            granted.remove(*name);
            let asked = select_granted(loop_permissions(LoopKind::Review), &granted);
            if OPTIONAL_PERMISSION_NAMES.contains(name) {
                assert!(asked.unwrap().iter().all(|(asked, _)| asked != name), "{name}");
            } else {
                assert_eq!(asked, Err(format!("`{name}: {level}`")));
            }
        }
        assert_eq!(
            select_granted(PUSH_PERMISSIONS, &HashMap::new()).unwrap(),
            PUSH_PERMISSIONS,
            "nothing is known of it"
        );
    }

    /// Formats `need`, the permissions of one call in the table of calls, as Markdown.
    fn format_need(need: &str) -> String {
        if ["any", "login", "never"].contains(&need) {
            return need.to_owned();
        }
        let all =
            |one: &str| one.split(" + ").map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" and ");
        need.split(" | ").map(all).collect::<Vec<_>>().join(" or ")
    }

    #[test]
    fn the_reference_shows_the_table() {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/github-permissions.md");
        let head = "# Permissions at GitHub\n\n<!-- Generated by \
            crates/forge/src/github/auth/permissions.rs. To update it: UPDATE_DOCS=1 cargo test -p \
            truing-forge --lib permissions -->\n\nThis table shows the permission that each of Truing's \
            calls needs. *any*: any valid token is enough; *login*: the App's own login is needed; \
            *never*: no permission is enough. The file `crates/contract/data/github-permissions.toml` \
            lists the sources of each row.\n\n";
        let columns =
            "| Call | App | Fine-grained token | Actions | Classic scopes |\n|---|---|---|---|---|\n";
        let rows = table().calls.into_iter().map(|row| {
            let needs =
                [&row.app, &row.fine_grained, &row.actions, &row.classic].map(|need| format_need(need));
            format!("| `{}` | {} |\n", row.call, needs.join(" | "))
        });
        let page = format!("{head}{columns}{}", rows.collect::<String>());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PAGE, &page).unwrap();
        }
        let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert_eq!(kept, page, "update it: UPDATE_DOCS=1 cargo test -p truing-forge --lib permissions");
    }

    #[test]
    fn the_page_on_connecting_github_lists_what_is_asked_for() {
        let page = include_str!("../../../../../docs/github.md");
        for (name, level) in loop_permissions(LoopKind::Review) {
            let row = |line: &str| line.contains(&format!("| {level} | `{name}` |"));
            assert!(page.lines().any(row), "{name}: {level}");
        }
        let of_a_permission = |line: &&str| line.contains("| read | `") || line.contains("| write | `");
        let rows = page.lines().filter(of_a_permission).count();
        assert_eq!(rows, loop_permissions(LoopKind::Review).len());
    }
}
