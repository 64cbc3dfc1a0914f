//! Reads facts about the workspace from cargo and git: the root folder, the tracked files, and the dependency
//! graph.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Returns the folder of the root manifest. The folder is derived from this package's folder, which `cargo
/// run` and `cargo test` set in a variable.
pub fn workspace_root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .context("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask …`")?;
    let parent = Path::new(&manifest).parent().context("the folder of xtask has no parent")?;
    Ok(parent.to_path_buf())
}

/// Returns a cargo command that runs in `root`, without standard input. The command uses the cargo program
/// that started this program.
pub fn cargo_command(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// Runs `command` and returns its standard output. If the command fails, the error contains its standard
/// error.
pub fn command_output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{shown} printed bytes that are not UTF-8"))
}

/// A file under version control.
pub struct TrackedFile {
    /// Path relative to the root, with `/`.
    pub path: String,
    /// Text of the file in the work tree.
    pub text: String,
}

/// Returns every tracked file that is text and exists in the work tree.
pub fn tracked_files(root: &Path) -> Result<Vec<TrackedFile>> {
    // Git accepts the checkout even if it belongs to another user, as on some CI runners. This is safe,
    // because only file names are requested.
    let trust = format!("safe.directory={}", root.display());
    let names = command_output(Command::new("git").args(["-c", &trust, "ls-files", "-z"]).current_dir(root))
        .context("cannot list the tracked files")?;
    let mut files = Vec::new();
    for path in names.split_terminator('\0') {
        let file = root.join(path);
        if file.is_symlink() || !file.is_file() {
            continue;
        }
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(TrackedFile { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

/// A crate of this workspace, as its manifest declares it.
#[derive(Deserialize)]
pub struct WorkspaceMember {
    pub name: String,
    pub dependencies: Vec<DeclaredDependency>,
}

/// A dependency that the manifest declares. The dependency may be optional, or only for another platform.
#[derive(Deserialize)]
pub struct DeclaredDependency {
    pub name: String,
    /// `None` for a normal dependency, otherwise `dev` or `build`.
    pub kind: Option<String>,
}

/// Returns the crates of this workspace.
pub fn workspace_members(root: &Path) -> Result<Vec<WorkspaceMember>> {
    #[derive(Deserialize)]
    struct CargoMetadata {
        packages: Vec<WorkspaceMember>,
    }
    let json = command_output(cargo_command(root).args([
        "metadata",
        "--no-deps",
        "--offline",
        "--locked",
        "--format-version",
        "1",
    ]))?;
    let metadata: CargoMetadata =
        serde_json::from_str(&json).context("cannot read what cargo metadata printed")?;
    Ok(metadata.packages)
}

/// A package of a resolved dependency graph.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedPackage {
    pub name: String,
    pub version: String,
    /// The licence expression in the package's manifest, if there is one.
    pub licence: Option<String>,
}

/// The crate on which only tests depend. Published builds therefore do not contain this crate.
const TEST_ONLY_CRATE: &str = "truing-contract";

/// The part of the dependency graph to read. The graph always includes all features and all platforms.
#[derive(Clone, Copy)]
pub enum DependencyScope<'a> {
    /// The packages from which the workspace's crates are built, except packages that only tests use.
    WithoutTests,
    /// All packages, including packages that only tests use.
    WithTests,
    /// The packages that are linked into the crate with this name.
    LinkedInto(&'a str),
}

/// Returns the packages of a part of the graph, sorted and without duplicates. Like cargo's builds, and
/// unlike the lock file, the result excludes optional dependencies that no feature enables.
pub fn dependency_graph(root: &Path, scope: DependencyScope<'_>) -> Result<Vec<ResolvedPackage>> {
    let (crates, edges) = match scope {
        DependencyScope::WithoutTests => (vec!["--workspace", "--exclude", TEST_ONLY_CRATE], "normal,build"),
        DependencyScope::WithTests => (vec!["--workspace"], "normal,build,dev"),
        DependencyScope::LinkedInto(name) => (vec!["--package", name], "normal"),
    };
    let tree = command_output(
        cargo_command(root)
            .args(["tree", "--locked", "--all-features", "--target", "all", "--prefix", "none"])
            .args(["--edges", edges, "--format", "{p}\t{l}"])
            .args(crates),
    )?;
    // Empty lines, which separate the trees of different crates, are skipped.
    let lines = tree.lines().filter(|line| !line.is_empty());
    let mut packages = lines.map(parse_package).collect::<Result<Vec<_>>>()?;
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// Reads one line of `cargo tree --format "{p}\t{l}"`: `name v1.2.3 (proc-macro)⇥MIT OR Apache-2.0 (*)`.
fn parse_package(line: &str) -> Result<ResolvedPackage> {
    let line = line.strip_suffix(" (*)").unwrap_or(line);
    let read = || {
        let (package, licence) = line.split_once('\t')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let licence = Some(licence.trim()).filter(|text| !text.is_empty());
        Some(ResolvedPackage {
            name: name.into(),
            version: version.into(),
            licence: licence.map(str::to_owned),
        })
    };
    read().with_context(|| format!("cannot read this line of cargo tree: {line:?}"))
}

/// A package of the lock file.
#[derive(Debug, Deserialize)]
pub struct LockedPackage {
    pub name: String,
    pub version: String,
    /// The registry or repository that contains the package; `None` for the workspace's own crates.
    pub source: Option<String>,
}

/// Returns every package of `Cargo.lock`.
pub fn read_lock_file(root: &Path) -> Result<Vec<LockedPackage>> {
    #[derive(Deserialize)]
    struct CargoLock {
        package: Vec<LockedPackage>,
    }
    let text = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let lock: CargoLock = toml::from_str(&text).context("cannot understand Cargo.lock")?;
    Ok(lock.package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_is_read_whatever_follows_the_version() {
        let expected = |licence: Option<&str>| ResolvedPackage {
            name: "some-crate".into(),
            version: "1.2.3-rc.1+b".into(),
            licence: licence.map(str::to_owned),
        };
        for (line, licence) in [
            ("some-crate v1.2.3-rc.1+b\tMIT", Some("MIT")),
            ("some-crate v1.2.3-rc.1+b (proc-macro)\tMIT/Apache-2.0", Some("MIT/Apache-2.0")),
            ("some-crate v1.2.3-rc.1+b (/a folder/some-crate)\tMIT OR ISC (*)", Some("MIT OR ISC")),
            ("some-crate v1.2.3-rc.1+b\t", None),
        ] {
            assert_eq!(parse_package(line).unwrap(), expected(licence), "{line}");
        }
        assert!(parse_package("not a package").is_err());
    }

    #[test]
    fn the_manifests_of_this_workspace_are_found() {
        let members = workspace_members(&workspace_root().unwrap()).unwrap();
        assert!(members.iter().any(|member| member.name == "xtask"));
    }
}
