//! Reads facts about the workspace from cargo and git: the root folder, the tracked files, and the dependency
//! graph.

use std::collections::BTreeSet;
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

/// Returns the names of the packages that are linked into a crate, with all features and on all platforms.
/// Like cargo's builds, and unlike the lock file, the result excludes optional dependencies that no feature
/// enables.
pub fn linked_packages(root: &Path, crate_name: &str) -> Result<BTreeSet<String>> {
    let tree = command_output(
        cargo_command(root)
            .args(["tree", "--locked", "--all-features", "--target", "all", "--prefix", "none"])
            .args(["--edges", "normal", "--format", "{p}", "--package", crate_name]),
    )?;
    // A line begins with the name: `name v1.2.3 (proc-macro) (*)`.
    Ok(tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_this_workspace_are_found() {
        let members = workspace_members(&workspace_root().unwrap()).unwrap();
        assert!(members.iter().any(|member| member.name == "xtask"));
    }
    #[test]
    fn finds_packages_that_another_package_links() {
        let linked = linked_packages(&workspace_root().unwrap(), "truing-core").unwrap();
        for name in ["truing-core", "truing-diff", "serde_core"] {
            assert!(linked.contains(name), "{name}: {linked:?}");
        }
    }
}
