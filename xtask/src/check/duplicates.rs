//! Checks that every package is built in one version, or that deny.toml gives a reason for each additional
//! version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::deny::{self, SkippedCrate};
use super::report::CheckReport;
use crate::workspace::{self, DependencyScope, ResolvedPackage};

/// Checks the packages that are part of the build on any platform.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let packages = workspace::dependency_graph(root, DependencyScope::WithoutTests)?;
    let (problems, warnings) = find_problems(&packages, &deny::read_config(root)?.bans.skip);
    Ok(CheckReport::Completed { summary: format!("{} packages", packages.len()), problems, warnings })
}

/// Returns the packages that are built in several versions without a reason in `deny.toml`, and the reasons
/// without a matching package.
fn find_problems(packages: &[ResolvedPackage], skipped: &[SkippedCrate]) -> (Vec<String>, Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let has_reason = |name: &str, version: &str| {
        skipped.iter().any(|skip| skip.name_and_version() == (name, version) && !skip.reason.is_empty())
    };
    let mut problems = Vec::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let unexplained: Vec<&str> =
            versions.iter().copied().filter(|version| !has_reason(name, version)).collect();
        if unexplained.len() > 1 {
            problems.push(format!(
                "{name} is built in versions {}: use a single version (cargo tree -i {name}@VERSION), or \
                    give the reason in deny.toml, `bans.skip`",
                unexplained.join(" and ")
            ));
        }
    }
    let is_idle = |skip: &&SkippedCrate| {
        let (name, version) = skip.name_and_version();
        versions.get(name).is_none_or(|versions| versions.len() < 2 || !versions.contains(version))
    };
    let idle = skipped.iter().filter(is_idle);
    let warnings =
        idle.map(|skip| format!("deny.toml gives a reason for {}, which is no second version", skip.name));
    (problems, warnings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(all: &[(&str, &str)]) -> Vec<ResolvedPackage> {
        let package = |(name, version): &(&str, &str)| ResolvedPackage {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            licence: None,
        };
        all.iter().map(package).collect()
    }

    fn skip(name: &str) -> SkippedCrate {
        SkippedCrate { name: name.to_owned(), reason: "its user has not moved".to_owned() }
    }

    #[test]
    fn a_second_version_needs_a_reason_and_a_reason_a_second_version() {
        let all = packages(&[("rand", "0.9.5"), ("rand", "0.10.3"), ("syn", "2.0.1")]);
        let (problems, warnings) = find_problems(&all, &[]);
        assert!(problems.len() == 1 && problems[0].contains("rand") && warnings.is_empty(), "{problems:?}");
        assert_eq!(find_problems(&all, &[skip("rand@0.9.5")]), (vec![], vec![]));
        let (problems, warnings) =
            find_problems(&all, &[skip("rand@0.9.5"), skip("syn@2.0.1"), skip("rand@0.8.0")]);
        assert!(problems.is_empty() && warnings.len() == 2, "{warnings:?}");
        let third = packages(&[("rand", "0.8.0"), ("rand", "0.9.5"), ("rand", "0.10.3")]);
        assert_eq!(find_problems(&third, &[skip("rand@0.9.5")]).0.len(), 1);
    }
}
