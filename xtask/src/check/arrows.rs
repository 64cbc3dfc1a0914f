//! Checks the permitted dependencies between our crates, and that the pure crates are linked with no crate
//! that does I/O. The rules for all other crates are in `deny.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::report::CheckReport;
use crate::workspace::{self, WorkspaceMember};

/// All permitted dependencies between crates of this workspace (ARCHITECTURE.md, "Crates"). Only normal
/// dependencies count: tests may use the fakes.
const ALLOWED_DEPENDENCIES: &[(&str, &[&str])] = &[
    (
        "truing",
        &[
            "truing-agent",
            "truing-config",
            "truing-core",
            "truing-diff",
            "truing-fakes",
            "truing-forge",
            "truing-git",
            "truing-loops",
            "truing-model",
            "truing-reader",
            "truing-service",
            "truing-store",
            "truing-system",
            "truing-upstream",
        ],
    ),
    ("truing-agent", &["truing-core", "truing-model", "truing-reader", "truing-seccomp", "truing-system"]),
    ("truing-config", &["truing-core"]),
    ("truing-contract", &[]),
    ("truing-core", &["truing-diff"]),
    ("truing-diff", &[]),
    ("truing-fakes", &["truing-core"]),
    ("truing-forge", &["truing-core", "truing-diff", "truing-git"]),
    ("truing-git", &["truing-core", "truing-system"]),
    ("truing-guard", &["truing-core", "truing-diff"]),
    (
        "truing-loops",
        &[
            "truing-agent",
            "truing-config",
            "truing-core",
            "truing-diff",
            "truing-forge",
            "truing-git",
            "truing-guard",
            "truing-model",
            "truing-reader",
            "truing-system",
            "truing-upstream",
        ],
    ),
    ("truing-model", &["truing-core"]),
    ("truing-reader", &["truing-core", "truing-diff"]),
    (
        "truing-service",
        &[
            "truing-agent",
            "truing-config",
            "truing-core",
            "truing-diff",
            "truing-forge",
            "truing-git",
            "truing-loops",
            "truing-store",
            "truing-system",
            "truing-upstream",
        ],
    ),
    ("truing-seccomp", &[]),
    ("truing-store", &["truing-core"]),
    ("truing-system", &[]),
    ("truing-upstream", &["truing-core", "truing-reader"]),
    ("truing-bench", &["truing-core", "truing-diff", "truing-fakes", "truing-reader", "xtask"]),
    ("xtask", &[]),
];

/// The pure crates. A pure crate only computes decisions; it may not use a clock, randomness, the
/// environment, the file system or the network.
const PURE_CRATES: &[&str] = &["truing-core", "truing-diff", "truing-guard"];

/// External crates that use a clock, randomness, the environment, the file system or the network. A pure
/// crate must not depend on these crates, not even indirectly.
const IMPURE_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "jiff",
    "libsqlite3-sys",
    "mio",
    "rand",
    "redis",
    "reqwest",
    "rusqlite",
    "rustix",
    "socket2",
    "tempfile",
    "time",
    "tokio",
];

/// Checks the dependency graph of this workspace.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let members = workspace::workspace_members(root)?;
    let mut problems = unlisted_dependencies(&members);
    for pure in PURE_CRATES {
        problems.extend(forbidden_packages(pure, &workspace::linked_packages(root, pure)?));
    }
    Ok(CheckReport::Completed {
        summary: format!("{} crates of ours", members.len()),
        problems,
        warnings: Vec::new(),
    })
}

/// Returns the normal dependencies between workspace members that `ALLOWED_DEPENDENCIES` does not list.
fn unlisted_dependencies(members: &[WorkspaceMember]) -> Vec<String> {
    let ours = |name: &str| members.iter().any(|member| member.name == name);
    let mut problems = Vec::new();
    for member in members {
        let Some((_, allowed)) = ALLOWED_DEPENDENCIES.iter().find(|(from, _)| *from == member.name) else {
            problems
                .push(format!("{} is not in the table of arrows (xtask/src/check/arrows.rs)", member.name));
            continue;
        };
        for dependency in member.dependencies.iter().filter(|d| d.kind.is_none() && ours(&d.name)) {
            if !allowed.contains(&dependency.name.as_str()) {
                problems.push(format!("{} must not depend on {}", member.name, dependency.name));
            }
        }
    }
    problems
}

/// Returns a problem for each forbidden package that a pure crate is linked with.
fn forbidden_packages(pure_crate: &str, linked: &BTreeSet<String>) -> Vec<String> {
    let impure = linked.iter().filter(|name| IMPURE_CRATES.contains(&name.as_str()));
    impure
        .map(|name| {
            format!(
                "{pure_crate} must stay pure, but is linked with {name} (cargo tree -p {pure_crate} -i \
                 {name})"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::DeclaredDependency;

    fn member(name: &str, dependencies: &[(&str, Option<&str>)]) -> WorkspaceMember {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| DeclaredDependency { name: (*name).into(), kind: kind.map(str::to_owned) })
            .collect();
        WorkspaceMember { name: name.into(), dependencies }
    }

    #[test]
    fn an_arrow_that_is_not_listed_is_a_problem_and_a_tests_arrow_is_not() {
        let members = [
            member("truing-core", &[("truing-diff", None), ("serde", None), ("truing-fakes", Some("dev"))]),
            member("truing-diff", &[("truing-core", None)]),
            member("truing-fakes", &[("truing-core", None), ("truing-store", None)]),
            member("truing-store", &[]),
            member("truing-new", &[]),
        ];
        assert_eq!(
            unlisted_dependencies(&members),
            [
                "truing-diff must not depend on truing-core",
                "truing-fakes must not depend on truing-store",
                "truing-new is not in the table of arrows (xtask/src/check/arrows.rs)",
            ]
        );
    }

    #[test]
    fn the_listed_arrows_form_no_circle_and_name_only_listed_crates() {
        // Repeatedly removes the crates that depend on no remaining crate. If the dependencies contain a
        // cycle, some crates remain at the end.
        let mut left: Vec<_> = ALLOWED_DEPENDENCIES.to_vec();
        while !left.is_empty() {
            let names: Vec<_> = left.iter().map(|(from, _)| *from).collect();
            let before = left.len();
            left.retain(|(_, to)| to.iter().any(|name| names.contains(name)));
            assert!(left.len() < before, "a circle among {names:?}");
        }
        for (from, to) in ALLOWED_DEPENDENCIES {
            for name in *to {
                assert!(ALLOWED_DEPENDENCIES.iter().any(|(listed, _)| listed == name), "{from} → {name}");
            }
        }
    }

    #[test]
    fn a_pure_crate_may_not_reach_the_outside() {
        let linked = ["serde", "getrandom"].map(str::to_owned).into();
        let problems = forbidden_packages("truing-core", &linked);
        assert_eq!(problems.len(), 1);
        assert!(problems.concat().contains("linked with getrandom"), "{problems:?}");
    }
}
