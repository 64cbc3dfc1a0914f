//! Finds locked versions with a known security problem in a local copy of the RustSec advisory database
//! (<https://github.com/RustSec/advisory-db>). Each advisory is a file `crates/<package>/RUSTSEC-*.md` that
//! begins with TOML.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::deny::{self, IgnoredAdvisory};
use super::report::CheckReport;
use crate::workspace::{self, LockedPackage};

/// Message that explains how to download the database.
const DATABASE_DOWNLOAD_HINT: &str = "no advisory database (data outside the repository): git clone \
                   https://github.com/RustSec/advisory-db ~/.cargo/advisory-db, or --advisory-db FOLDER";

/// Checks `Cargo.lock` against the database in `folder`, or in the default folder if `folder` is `None`.
pub(crate) fn check(root: &Path, folder: Option<&Path>) -> Result<CheckReport> {
    let Some(folder) = folder.map(Path::to_path_buf).or_else(default_folder) else {
        return Ok(CheckReport::NotRun(DATABASE_DOWNLOAD_HINT.to_owned()));
    };
    let database = read_advisories(&folder)?;
    let locked = workspace::read_lock_file(root)?;
    let (problems, warnings) =
        find_problems(&locked, &database, &deny::read_config(root)?.advisories.ignore)?;
    let newest = database.iter().map(|advisory| advisory.date.as_str()).max().unwrap_or("none");
    let summary =
        format!("{} locked packages, {} advisories, the newest of {newest}", locked.len(), database.len());
    Ok(CheckReport::Completed { summary, problems, warnings })
}

/// Returns the folder of the copy that `cargo audit` downloads, if the folder exists.
fn default_folder() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    Some(home.join("advisory-db")).filter(|folder| folder.is_dir())
}

/// One advisory that was not withdrawn.
#[derive(Debug)]
struct Advisory {
    id: String,
    package: String,
    date: String,
    title: String,
    /// Kind of an advisory that is only a warning: `unmaintained`, `unsound` or `notice`; none for a
    /// vulnerability.
    informational: Option<String>,
    /// Versions that never had the problem, or in which the problem is fixed.
    safe_versions: Vec<VersionReq>,
}

impl Advisory {
    /// Returns true if a version is affected. If no range of safe versions names a pre-release of the same
    /// version, a pre-release counts as affected.
    fn affects(&self, version: &Version) -> bool {
        !self.safe_versions.iter().any(|range| range.matches(version))
    }
}

/// Returns every advisory of the database that was not withdrawn.
fn read_advisories(folder: &Path) -> Result<Vec<Advisory>> {
    let mut advisories = Vec::new();
    for package in sorted_entries(&folder.join("crates"))? {
        for file in sorted_entries(&package)? {
            if file.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let advisory =
                parse_advisory(&text).with_context(|| format!("cannot understand {}", file.display()))?;
            advisories.extend(advisory);
        }
    }
    if advisories.is_empty() {
        bail!("{} holds no advisories: {DATABASE_DOWNLOAD_HINT}", folder.display());
    }
    Ok(advisories)
}

/// Lists a folder's entries, sorted.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("cannot list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

/// Parses one advisory; `None` if it was withdrawn.
fn parse_advisory(text: &str) -> Result<Option<Advisory>> {
    #[derive(Deserialize)]
    struct AdvisoryFile {
        advisory: AdvisoryHead,
        versions: AdvisoryVersions,
    }
    #[derive(Deserialize)]
    struct AdvisoryHead {
        id: String,
        package: String,
        date: String,
        informational: Option<String>,
        withdrawn: Option<String>,
    }
    #[derive(Deserialize)]
    struct AdvisoryVersions {
        patched: Vec<String>,
        #[serde(default)]
        unaffected: Vec<String>,
    }

    let (front, rest) = text
        .trim_start()
        .strip_prefix("```toml")
        .and_then(|text| text.split_once("\n```"))
        .context("it is not opened by a ```toml block")?;
    let AdvisoryFile { advisory, versions } = toml::from_str(front)?;
    if advisory.withdrawn.is_some() {
        return Ok(None);
    }
    let safe = versions
        .patched
        .iter()
        .chain(&versions.unaffected)
        .map(|range| VersionReq::parse(range).with_context(|| format!("not a range of versions: {range:?}")))
        .collect::<Result<_>>()?;
    let title =
        rest.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("(no title)").trim().to_owned();
    let AdvisoryHead { id, package, date, informational, withdrawn: _ } = advisory;
    Ok(Some(Advisory { id, package, date, title, informational, safe_versions: safe }))
}

/// Returns the problems of locked versions, and the warnings.
fn find_problems(
    locked: &[LockedPackage],
    database: &[Advisory],
    ignored: &[IgnoredAdvisory],
) -> Result<(Vec<String>, Vec<String>)> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut hit = Vec::new();
    for package in locked.iter().filter(|package| package.source.is_some()) {
        let version = Version::parse(&package.version)
            .with_context(|| format!("Cargo.lock: {} has no version: {:?}", package.name, package.version))?;
        for advisory in database.iter().filter(|a| a.package == package.name && a.affects(&version)) {
            hit.push(advisory.id.as_str());
            let line = format!("{} {version}: {}: {}", package.name, advisory.id, advisory.title);
            if let Some(IgnoredAdvisory { reason, .. }) =
                ignored.iter().find(|ignored| ignored.id == advisory.id)
            {
                warnings.push(format!("{line} (ignored: {reason})"));
            } else if let Some(kind) = &advisory.informational {
                warnings.push(format!("{line} ({kind})"));
            } else {
                problems.push(format!("{line} (https://rustsec.org/advisories/{})", advisory.id));
            }
        }
    }
    let in_vain = ignored.iter().filter(|ignored| !hit.contains(&ignored.id.as_str()));
    warnings
        .extend(in_vain.map(|ignored| format!("deny.toml ignores {}, which affects nothing", ignored.id)));
    Ok((problems, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a database with one advisory for the package `leaky`.
    fn database(head: &str, versions: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("crates/leaky");
        std::fs::create_dir_all(&package).unwrap();
        let text = format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2000-0001\"\npackage = \"leaky\"\ndate \
             = \"2000-01-31\"\n{head}\n[versions]\n{versions}\n```\n\n# Leaks\n\nIt does.\n"
        );
        std::fs::write(package.join("RUSTSEC-2000-0001.md"), text).unwrap();
        folder
    }

    fn locked(name: &str, version: &str) -> LockedPackage {
        LockedPackage { name: name.into(), version: version.into(), source: Some("registry".into()) }
    }

    /// Returns problems and warnings about one locked version of `leaky`.
    fn find_problems_in(
        folder: &tempfile::TempDir,
        version: &str,
        ignored: &[IgnoredAdvisory],
    ) -> (Vec<String>, Vec<String>) {
        find_problems(&[locked("leaky", version)], &read_advisories(folder.path()).unwrap(), ignored).unwrap()
    }

    #[test]
    fn versions_outside_the_patched_and_unaffected_ranges_are_affected() {
        let folder =
            database("", "patched = [\">= 1.2.3\", \">= 1.1.9, < 1.2.0\"]\nunaffected = [\"< 1.0.0\"]");
        for (version, affected) in [
            ("0.9.0", false),
            ("1.0.0", true),
            ("1.1.8", true),
            ("1.1.9", false),
            ("1.2.2", true),
            ("1.2.3", false),
            ("2.0.0", false),
            // No range names a pre-release of 1.2.3, so this pre-release counts as affected.
            ("1.2.3-rc.1", true),
        ] {
            let (problems, warnings) = find_problems_in(&folder, version, &[]);
            assert_eq!((problems.len(), warnings.len()), (usize::from(affected), 0), "{version}");
        }
        let (problems, _) = find_problems_in(&folder, "1.0.0", &[]);
        assert_eq!(
            problems,
            ["leaky 1.0.0: RUSTSEC-2000-0001: Leaks (https://rustsec.org/advisories/RUSTSEC-2000-0001)"]
        );
    }

    #[test]
    fn an_advisory_without_patched_versions_affects_all() {
        assert_eq!(find_problems_in(&database("", "patched = []"), "99.0.0", &[]).0.len(), 1);
    }

    #[test]
    fn withdrawn_advisories_do_not_count_and_informational_ones_warn() {
        let safe = database("", "patched = [\">= 1.0.0\"]");
        let withdrawn = database("withdrawn = \"2000-02-01\"", "patched = []");
        // The withdrawn advisory is added to a database with a valid advisory, because a database of only
        // withdrawn advisories is invalid.
        std::fs::copy(
            withdrawn.path().join("crates/leaky/RUSTSEC-2000-0001.md"),
            safe.path().join("crates/leaky/RUSTSEC-2000-0002.md"),
        )
        .unwrap();
        assert_eq!(find_problems_in(&safe, "1.0.0", &[]), (Vec::new(), Vec::new()));

        let informational = database("informational = \"unmaintained\"", "patched = []");
        let (problems, warnings) = find_problems_in(&informational, "1.0.0", &[]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(warnings, ["leaky 1.0.0: RUSTSEC-2000-0001: Leaks (unmaintained)"]);
    }

    #[test]
    fn an_ignored_advisory_is_a_warning_with_its_reason_and_so_is_one_ignored_in_vain() {
        let ignored = |id: &str| IgnoredAdvisory { id: id.into(), reason: "not called".into() };
        let folder = database("", "patched = []");
        let (problems, warnings) =
            find_problems_in(&folder, "1.0.0", &[ignored("RUSTSEC-2000-0001"), ignored("RUSTSEC-2000-0009")]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            warnings,
            [
                "leaky 1.0.0: RUSTSEC-2000-0001: Leaks (ignored: not called)",
                "deny.toml ignores RUSTSEC-2000-0009, which affects nothing"
            ]
        );
    }

    #[test]
    fn other_packages_and_our_own_are_not_affected() {
        let folder = database("", "patched = []");
        let ours = LockedPackage { source: None, ..locked("leaky", "1.0.0") };
        let judged =
            find_problems(&[ours, locked("tight", "1.0.0")], &read_advisories(folder.path()).unwrap(), &[])
                .unwrap();
        assert_eq!(judged, (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_never_passed_over() {
        for versions in ["patched = [\"newer\"]", "patched = 1", "fixed = []"] {
            assert!(read_advisories(database("", versions).path()).is_err(), "{versions}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(read_advisories(empty.path()).is_err());
        std::fs::create_dir(empty.path().join("crates")).unwrap();
        assert!(read_advisories(empty.path()).unwrap_err().to_string().contains("holds no advisories"));
    }
}
