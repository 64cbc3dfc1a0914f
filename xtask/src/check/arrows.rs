//! Checks the permitted dependencies between crates, the banned crates, and the sources of crates.

use std::path::Path;

use anyhow::Result;

use super::deny::{self, BannedCrate};
use super::report::CheckReport;
use crate::workspace::{self, DependencyScope, LockedPackage, ResolvedPackage, WorkspaceMember};

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

/// The only permitted implementations of TLS and of cryptography for TLS; deny.toml bans all others.
const TLS_CRATES: &[&str] = &["rustls", "aws-lc-rs"];

/// Checks the dependency graph of this workspace.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let members = workspace::workspace_members(root)?;
    let deny = deny::read_config(root)?;
    let graph = workspace::dependency_graph(root, DependencyScope::WithTests)?;

    let mut problems = unlisted_dependencies(&members);
    for pure in PURE_CRATES {
        problems.extend(forbidden_packages(
            pure,
            &workspace::dependency_graph(root, DependencyScope::LinkedInto(pure))?,
        ));
    }
    problems.extend(banned_packages(&graph, &deny.bans.deny));
    problems.extend(duplicate_versions(&graph, TLS_CRATES));
    problems.extend(foreign_packages(&workspace::read_lock_file(root)?, &deny.sources.allow_registry));
    Ok(CheckReport::Completed {
        summary: format!("{} crates of ours, {} packages in all", members.len(), graph.len()),
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
fn forbidden_packages(pure_crate: &str, linked: &[ResolvedPackage]) -> Vec<String> {
    let impure = linked.iter().filter(|package| IMPURE_CRATES.contains(&package.name.as_str()));
    impure
        .map(|package| {
            format!(
                "{pure_crate} must stay pure, but is linked with {0} (cargo tree -p {pure_crate} -i {0})",
                package.name
            )
        })
        .collect()
}

/// Returns a problem for each banned package in the graph.
fn banned_packages(graph: &[ResolvedPackage], bans: &[BannedCrate]) -> Vec<String> {
    let mut problems = Vec::new();
    for BannedCrate { name, reason } in bans {
        for package in graph.iter().filter(|package| package.name == *name) {
            problems.push(format!("{name} {} is banned: {reason} (cargo tree -i {name})", package.version));
        }
    }
    problems
}

/// Returns a problem for each package in `single_version_crates` that the graph contains in more than one
/// version.
fn duplicate_versions(graph: &[ResolvedPackage], single_version_crates: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for name in single_version_crates {
        let versions: Vec<_> = graph.iter().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
        if versions.len() > 1 {
            problems.push(format!("one TLS stack: {name} is there as {}", versions.join(" and ")));
        }
    }
    problems
}

/// Returns the packages that are locked to a source other than the allowed registries.
fn foreign_packages(locked: &[LockedPackage], registries: &[String]) -> Vec<String> {
    let allowed = |source: &str| {
        source
            .strip_prefix("registry+")
            .is_some_and(|index| registries.iter().any(|allowed| allowed == index))
    };
    locked
        .iter()
        .filter_map(|package| Some((package, package.source.as_deref()?)))
        .filter(|(_, source)| !allowed(source))
        .map(|(package, source)| format!("{} {} comes from {source}", package.name, package.version))
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

    fn package(name: &str, version: &str) -> ResolvedPackage {
        ResolvedPackage { name: name.into(), version: version.into(), licence: None }
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
        let problems =
            forbidden_packages("truing-core", &[package("serde", "1.0.0"), package("getrandom", "0.3.1")]);
        assert_eq!(problems.len(), 1);
        assert!(problems.concat().contains("linked with getrandom"), "{problems:?}");
    }

    #[test]
    fn a_banned_crate_is_named_with_the_reason() {
        let bans = [BannedCrate { name: "openssl".into(), reason: "one TLS stack".into() }];
        let problems =
            banned_packages(&[package("openssl", "0.10.1"), package("openssl-probe", "0.2.0")], &bans);
        assert_eq!(problems, ["openssl 0.10.1 is banned: one TLS stack (cargo tree -i openssl)"]);
    }

    #[test]
    fn two_versions_of_the_tls_stack_are_a_problem() {
        let graph = [package("rustls", "0.22.0"), package("rustls", "0.23.0"), package("aws-lc-rs", "1.0.0")];
        assert_eq!(
            duplicate_versions(&graph, TLS_CRATES),
            ["one TLS stack: rustls is there as 0.22.0 and 0.23.0"]
        );
    }

    #[test]
    fn only_the_listed_registries_are_sources() {
        let locked = |source: Option<&str>| LockedPackage {
            name: "a".into(),
            version: "1.0.0".into(),
            source: source.map(str::to_owned),
        };
        let registries = ["https://index.example/".to_owned()];
        let problems = foreign_packages(
            &[
                locked(None),
                locked(Some("registry+https://index.example/")),
                locked(Some("registry+https://index.example/other")),
                locked(Some("git+https://index.example/")),
            ],
            &registries,
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
