//! Searches for the packages that a pre-commit hook installs together with a linter. Without such a package,
//! for example a plugin, the linter reports fewer findings than the hook.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use truing_upstream::project_requirement::normalise_package_name;

use super::linter_runner::LinterRunMethod;
use super::select::SelectedLinter;

/// Folder in which Node.js finds packages.
const NODE_PACKAGES_FOLDER: &str = "node_modules";
/// Folders of a Python installation that contain its versions' folders.
const PYTHON_LIBRARY_FOLDERS: [&str; 3] = ["lib", "lib64", "local/lib"];
/// Folders of a Python version that contain packages.
const PYTHON_PACKAGES_FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];
/// Endings of the folders that describe a Python package.
const PYTHON_PACKAGE_ENDINGS: [&str; 2] = [".dist-info", ".egg-info"];
/// Maximum number of packages that a reason names.
const MAX_NAMED_PACKAGES: usize = 5;

/// Returns the reason why the linter may report fewer findings than its hook: the hook installs packages that
/// are not found beside the linter's program or in the project. `None` if all packages are found.
pub(super) fn missing_packages_reason(
    tool: &SelectedLinter,
    method: &LinterRunMethod<'_>,
    project: Option<&Path>,
) -> Option<String> {
    if tool.hook_dependencies.is_empty() {
        return None;
    }
    let folders = match method {
        LinterRunMethod::MachineProgram(installed) => {
            let mut programs = vec![installed.file.clone()];
            programs.extend(installed.file.canonicalize());
            let project =
                project.into_iter().flat_map(|project| [project.to_owned(), project.join(&tool.folder)]);
            PackageFolders::search(&programs, project.chain(installed.environment.clone()))
        }
        LinterRunMethod::ProjectSetup(_, set_up) => {
            let tree = set_up.tree();
            let install_paths =
                tree.iter().flat_map(|tree| tool.install_paths.iter().map(move |path| tree.join(path)));
            let programs: Vec<PathBuf> =
                install_paths.filter(|path| path.symlink_metadata().is_ok()).collect();
            PackageFolders::search(&programs, tree.clone().into_iter())
        }
    };
    let missing: Vec<&str> =
        tool.hook_dependencies.iter().map(String::as_str).filter(|name| !folders.has_package(name)).collect();
    let (named, more) = missing.split_at(missing.len().min(MAX_NAMED_PACKAGES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    (!missing.is_empty()).then(|| {
        format!(
            "its hook also installs {}{more}; the installed {} may not have them",
            named.join(", "),
            tool.name
        )
    })
}

/// Folders in which a linter finds packages.
struct PackageFolders {
    /// Normalised names of the Python packages.
    python_packages: BTreeSet<String>,
    node_folders: Vec<PathBuf>,
}

impl PackageFolders {
    /// Searches beside the programs, and in further folders that may contain packages of Node.js or a Python
    /// installation.
    fn search(programs: &[PathBuf], more: impl Iterator<Item = PathBuf>) -> Self {
        let more: Vec<PathBuf> = more.collect();
        let above = programs.iter().flat_map(|program| program.ancestors());
        let is_packages =
            |folder: &&Path| folder.file_name().is_some_and(|name| name == NODE_PACKAGES_FOLDER);
        let beside = above.filter(is_packages).map(Path::to_owned);
        let node_folders =
            beside.chain(more.iter().map(|folder| folder.join(NODE_PACKAGES_FOLDER))).collect();
        let installations = programs.iter().filter_map(|program| program.parent()?.parent());
        let installations = installations.chain(more.iter().map(PathBuf::as_path));
        Self { python_packages: installations.flat_map(python_packages).collect(), node_folders }
    }

    fn has_package(&self, name: &str) -> bool {
        self.python_packages.contains(&normalise_package_name(name))
            || self.node_folders.iter().any(|folder| folder.join(name).is_dir())
    }
}

/// Returns the normalised names of the packages of a Python installation.
fn python_packages(installation: &Path) -> Vec<String> {
    let entries = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let libraries = PYTHON_LIBRARY_FOLDERS.iter().flat_map(|folder| entries(installation.join(folder)));
    let versions = libraries.filter(|entry| entry.file_name().to_string_lossy().starts_with("python"));
    let packages = versions.flat_map(|version| {
        PYTHON_PACKAGES_FOLDERS.iter().flat_map(move |folder| entries(version.path().join(folder)))
    });
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let described = PYTHON_PACKAGE_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
        Some(normalise_package_name(described.split('-').next()?))
    };
    packages.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use truing_agent::installed::InstalledProgram;
    use truing_core::port::DetectedTool;

    use super::*;
    use crate::tools::select_linters;

    fn make(root: &Path, paths: &[&str]) {
        for path in paths {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
    }

    #[test]
    fn finds_python_packages_beside_program() {
        let root = tempfile::tempdir().unwrap();
        make(
            root.path(),
            &[
                "bin",
                "lib/python3.12/site-packages/flake8_bugbear-24.1.dist-info",
                "lib/python3.12/site-packages/pep8_naming-0.14.egg-info",
                "lib/python3.12/site-packages/types_only",
            ],
        );
        let folders = PackageFolders::search(&[root.path().join("bin/flake8")], std::iter::empty());
        assert!(folders.has_package("flake8-bugbear") && folders.has_package("PEP8.naming"));
        assert!(!folders.has_package("flake8") && !folders.has_package("types-only"));
    }

    #[test]
    fn finds_node_packages_above_program_and_in_project() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["a/node_modules/@x/y", "a/node_modules/.bin", "b/node_modules/z"]);
        let program = root.path().join("a/node_modules/.bin/eslint");
        let folders = PackageFolders::search(&[program], std::iter::once(root.path().join("b")));
        assert!(folders.has_package("@x/y") && folders.has_package("z"));
        assert!(!folders.has_package("y"));
    }

    #[test]
    fn names_packages_of_hook_that_program_lacks() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), &["bin", "lib/python3.12/site-packages/flake8_bugbear-24.1.dist-info"]);
        let reason = |packages: &[&str]| {
            let detected = DetectedTool {
                name: "flake8".into(),
                sign: ".flake8".into(),
                hook_dependencies: packages.iter().map(|name| (*name).to_owned()).collect(),
                ..DetectedTool::default()
            };
            let tool = select_linters(&[detected], &[]).remove(0);
            let method = LinterRunMethod::MachineProgram(InstalledProgram {
                file: root.path().join("bin/flake8"),
                readable_paths: BTreeSet::new(),
                search_path: Vec::new(),
                environment: None,
            });
            missing_packages_reason(&tool, &method, None)
        };
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&["flake8-bugbear"]), None);
        let expected = "its hook also installs pep8-naming; the installed flake8 may not have them";
        assert_eq!(reason(&["flake8-bugbear", "pep8-naming"]).as_deref(), Some(expected));
        assert!(reason(&["a", "b", "c", "d", "e", "f"]).unwrap().contains("a, b, c, d, e and 1 more"));
    }
}
