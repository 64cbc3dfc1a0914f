//! Checks that every package in a build has a licence that deny.toml allows.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::deny::{self, LicenseRules};
use super::report::CheckReport;
use super::spdx;
use crate::workspace::{self, DependencyScope, ResolvedPackage};

/// Checks the packages that are part of the build. Packages that only tests use are not checked, because they
/// are never distributed.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let packages = workspace::dependency_graph(root, DependencyScope::WithoutTests)?;
    let (problems, warnings) = find_problems(&packages, &deny::read_config(root)?.licenses);
    Ok(CheckReport::Completed { summary: format!("{} packages", packages.len()), problems, warnings })
}

/// Returns the packages with a forbidden licence, and the allowed licences that no package uses.
fn find_problems(packages: &[ResolvedPackage], licenses: &LicenseRules) -> (Vec<String>, Vec<String>) {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for package in packages {
        let extra = licenses.exceptions.iter().filter(|exception| exception.name == package.name);
        let extra: Vec<&String> = extra.flat_map(|exception| &exception.allow).collect();
        let mut allowed = |licence: &str| {
            if licenses.allow.iter().any(|allowed| allowed == licence) {
                used.insert(licence.to_owned());
                return true;
            }
            extra.iter().any(|allowed| *allowed == licence)
        };
        let ResolvedPackage { name, version, licence } = package;
        match licence.as_deref().map(|expression| (expression, spdx::is_satisfied(expression, &mut allowed)))
        {
            None => problems.push(format!("{name} {version} names no licence")),
            Some((_, Ok(true))) => {}
            Some((expression, Ok(false))) => problems.push(format!(
                "{name} {version} is under `{expression}`, which deny.toml does not allow (cargo tree -i \
                 {name})"
            )),
            Some((expression, Err(error))) => {
                problems.push(format!("{name} {version}: cannot read the licence `{expression}`: {error}"));
            }
        }
    }

    let unused = licenses.allow.iter().filter(|licence| !used.contains(*licence));
    let mut warnings: Vec<_> =
        unused.map(|licence| format!("deny.toml allows {licence}, which nothing uses")).collect();
    let gone = licenses.exceptions.iter().filter(|e| packages.iter().all(|package| package.name != e.name));
    warnings.extend(gone.map(|e| format!("deny.toml makes an exception for {}, which is not used", e.name)));
    (problems, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::deny::LicenseException;

    fn package(name: &str, licence: Option<&str>) -> ResolvedPackage {
        ResolvedPackage { name: name.into(), version: "1.0.0".into(), licence: licence.map(str::to_owned) }
    }

    fn licenses() -> LicenseRules {
        let exception = LicenseException { name: "special".into(), allow: vec!["MPL-2.0".into()] };
        LicenseRules { allow: vec!["MIT".into(), "ISC".into()], exceptions: vec![exception] }
    }

    #[test]
    fn an_exception_holds_for_its_crate_alone() {
        let packages = [package("special", Some("MPL-2.0 AND MIT")), package("other", Some("MPL-2.0"))];
        let (problems, _) = find_problems(&packages, &licenses());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems.concat().starts_with("other 1.0.0 is under `MPL-2.0`"), "{problems:?}");
    }

    #[test]
    fn a_missing_or_unreadable_licence_is_a_problem() {
        let (problems, _) =
            find_problems(&[package("none", None), package("odd", Some("MIT MIT"))], &licenses());
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn what_is_allowed_in_vain_is_pointed_out() {
        let (problems, warnings) = find_problems(&[package("a", Some("MIT"))], &licenses());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            warnings,
            [
                "deny.toml allows ISC, which nothing uses",
                "deny.toml makes an exception for special, which is not used"
            ]
        );
    }
}
