//! Finds programs that are installed on this machine, with the folders that they need. A sandbox shows no
//! other folders of the machine.
//!
//! A program that a project has installed in its tree takes precedence over a program on the search path. A
//! script needs its interpreter. A virtual environment needs the Python installation that it was made from. A
//! Node.js module needs the modules beside it. A folder that may hold a person's other files, such as the
//! home folder, is never shown.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::sandbox::READABLE_SYSTEM_PATHS;

/// Maximum length of a chain of interpreters. The interpreter of a script may itself be a script.
const MAX_INTERPRETERS: usize = 4;
/// Maximum number of bytes that are read from the beginning of a script or a settings file.
const MAX_HEAD_BYTES: u64 = 4 << 10;
/// The file that marks a folder as a virtual environment of Python.
const VENV_FILE: &str = "pyvenv.cfg";
/// Name of the folder of programs in an installation.
const BIN_FOLDER: &str = "bin";
/// The folders and files of an installation below its prefix (FHS 3.0, section 4).
const INSTALLATION_PARTS: &[&str] =
    &[BIN_FOLDER, "lib", "lib32", "lib64", "libexec", "include", "share", VENV_FILE];
/// Further folders and files of a Go installation, which contains [`GO_VERSION_FILE`].
const GO_PARTS: &[&str] = &["src", "pkg", "misc", GO_VERSION_FILE, "go.env"];
/// The file that holds the version of a Go toolchain; its text begins with `go`.
const GO_VERSION_FILE: &str = "VERSION";
/// The users of this machine, with their homes in the sixth field (passwd(5)).
const USERS_FILE: &str = "/etc/passwd";
/// Folders whose subfolders are treated as users' home folders, even if [`USERS_FILE`] lists none of them.
const HOME_PARENTS: [&str; 2] = ["/home", "/Users"];
const RUSTUP: &str = "rustup";
/// The folder of Node.js modules.
const NODE_MODULES: &str = "node_modules";

/// The machine's search path and home folder.
#[derive(Clone, Debug, Default)]
pub struct MachinePaths {
    /// The folders of `PATH`, in order.
    pub search_path: Vec<PathBuf>,
    pub home: Option<PathBuf>,
    /// The folder of rustup's toolchains and settings. If it is `None`, the default folder in the home folder
    /// applies.
    pub rustup: Option<PathBuf>,
    /// The home folders of all users.
    homes: Vec<PathBuf>,
}

impl InstalledProgram {
    /// Returns true if this folder contains the program or any path that must be shown to the program.
    pub fn needs_folder(&self, folder: &Path) -> bool {
        std::iter::once(&self.file).chain(&self.readable_paths).any(|path| path.starts_with(folder))
    }
}

/// A program that exists on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstalledProgram {
    /// The file to start.
    pub file: PathBuf,
    /// The folders and files that must be shown to the program.
    pub readable_paths: BTreeSet<PathBuf>,
    /// The folders in which the program finds other programs, searched before the system's folders. The
    /// program's own folder is first. A virtual environment's Python therefore precedes the Python that the
    /// environment was made from.
    pub search_path: Vec<PathBuf>,
    /// The Python virtual environment that the program is installed in.
    pub environment: Option<PathBuf>,
}

impl MachinePaths {
    /// Reads the values of the variables `PATH` and `HOME`.
    pub fn new(path: Option<&OsStr>, home: Option<&Path>) -> Self {
        let path =
            path.map(|path| std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect());
        let home = home.and_then(|home| home.canonicalize().ok());
        let homes = home.iter().cloned().chain(list_home_folders()).collect();
        Self { search_path: path.unwrap_or_default(), home, rustup: None, homes }
    }

    /// Sets the value of the variable `RUSTUP_HOME`; a relative path is ignored.
    pub fn with_rustup(self, folder: Option<&OsStr>) -> Self {
        Self { rustup: folder.map(PathBuf::from).filter(|folder| folder.is_absolute()), ..self }
    }

    /// Finds the program of this name: the first executable file in `candidate_paths`, or else the first
    /// match on the search path. `tree` is the project's folder. If the project pins a Rust version, this
    /// version selects the toolchain.
    pub fn find(&self, program: &str, candidate_paths: &[PathBuf], tree: &Path) -> Option<InstalledProgram> {
        let here = candidate_paths.iter().find(|file| is_program(file)).cloned();
        let file = here.or_else(|| self.find_program(program))?;
        let file = self.resolve_shim(&file, program, tree).unwrap_or(file);
        // Links in the folder's path are resolved. The file itself may remain a link, because a program may
        // behave differently if it is started through a link.
        let file = file.parent()?.canonicalize().ok()?.join(file.file_name()?);
        let mut installed = InstalledProgram {
            file: file.clone(),
            readable_paths: BTreeSet::new(),
            search_path: file.parent().map(Path::to_owned).into_iter().collect(),
            environment: virtual_environment(&file).map(Path::to_owned),
        };
        self.add_program_paths(&file, &mut installed.readable_paths, MAX_INTERPRETERS);
        let programs = installed.readable_paths.iter().filter_map(|path| match path.ends_with(BIN_FOLDER) {
            true => Some(path.as_path()),
            false => path.parent().filter(|_| path.is_symlink() && is_program(path)),
        });
        installed.search_path.extend(programs.map(Path::to_owned));
        // A link outside the shown folders is replaced by its target. The Python of a virtual environment
        // stays a link, because the link identifies the environment.
        if !installed.readable_paths.iter().any(|folder| file.starts_with(folder)) {
            installed.file = file.canonicalize().ok()?;
        }
        Some(installed)
    }

    fn find_program(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            let file = PathBuf::from(program);
            return (file.is_absolute() && is_program(&file)).then_some(file);
        }
        self.search_path.iter().map(|folder| folder.join(program)).find(|file| is_program(file))
    }

    /// Resolves a shim of pyenv or rustup to the program that the shim starts. Returns none if the file is
    /// not such a shim.
    fn resolve_shim(&self, file: &Path, program: &str, tree: &Path) -> Option<PathBuf> {
        let folder = file.parent()?;
        if folder.file_name() == Some(OsStr::new("shims")) {
            let root = folder.parent()?;
            let of_version = |version: &str| root.join("versions").join(version).join("bin").join(program);
            let chosen = read_file_start(&root.join("version"));
            let chosen = chosen.lines().map(|version| of_version(version.trim()));
            let all = list_names(&root.join("versions"));
            return chosen.chain(all.iter().rev().map(|name| of_version(name))).find(|file| is_program(file));
        }
        if program == "rustup" || !is_rustup(file) {
            return None;
        }
        let root = self.rustup.clone().or_else(|| Some(self.home.as_ref()?.join(".rustup")))?;
        let pinned = ["rust-toolchain.toml", "rust-toolchain"]
            .map(|name| pinned_rust_version(&read_file_start(&tree.join(name))));
        let default = config_value(&read_file_start(&root.join("settings.toml")), "default_toolchain");
        let all = list_names(&root.join("toolchains"));
        let named = pinned.into_iter().flatten().chain(default);
        let found = named.filter_map(|wanted| {
            all.iter().find(|name| **name == wanted || name.starts_with(&format!("{wanted}-")))
        });
        let mut found = found.map(|name| root.join("toolchains").join(name).join("bin").join(program));
        found.find(|file| is_program(file))
    }

    /// Adds the paths that a program needs.
    fn add_program_paths(&self, file: &Path, readable_paths: &mut BTreeSet<PathBuf>, steps: usize) {
        let Ok(real) = file.canonicalize() else { return };
        let environment = virtual_environment(file).and_then(|root| Some((root, root.canonicalize().ok()?)));
        if let Some((name, root)) = environment.filter(|(_, root)| !self.homes.contains(root)) {
            add_folder_links(name, readable_paths);
            add_installation_parts(&root, readable_paths);
            if let Some(home) = config_value(&read_file_start(&root.join(VENV_FILE)), "home") {
                self.add_install_folder(&Path::new(&home).join("python3"), readable_paths);
            }
        }
        self.add_install_folder(&real, readable_paths);
        let Some(interpreter) = script_interpreter(&real).filter(|_| steps > 0) else { return };
        let program = if interpreter.is_absolute() {
            Some(interpreter)
        } else {
            let named = interpreter.to_str().and_then(|name| self.find_program(name));
            named.inspect(|program| add_interpreter_links(program, readable_paths))
        };
        if let Some(program) = program {
            self.add_program_paths(&program, readable_paths, steps - 1);
        }
    }

    /// Adds the folder that a file was installed into, or the parts of it that belong to the installation.
    fn add_install_folder(&self, file: &Path, readable_paths: &mut BTreeSet<PathBuf>) {
        let Ok(file) = file.canonicalize() else { return };
        // A link in the project's tree may lead to any file of the machine, so a file that is not a program
        // is not shown.
        if !is_program(&file) || READABLE_SYSTEM_PATHS.iter().any(|folder| file.starts_with(folder)) {
            return;
        }
        let modules = file.ancestors().filter(|folder| folder.file_name() == Some(OsStr::new(NODE_MODULES)));
        let beside = file.parent();
        let prefix = beside.filter(|folder| folder.ends_with(BIN_FOLDER)).and_then(Path::parent);
        if let Some(modules) = modules.last().filter(|folder| !self.may_contain_other_files(folder)) {
            readable_paths.insert(modules.to_owned());
        } else if let Some(prefix) = prefix.filter(|folder| !self.may_contain_other_files(folder)) {
            add_installation_parts(prefix, readable_paths);
        } else {
            let programs = beside.filter(|it| it.ends_with(BIN_FOLDER) && !self.may_contain_other_files(it));
            readable_paths.insert(programs.unwrap_or(&file).to_owned());
        }
    }

    /// Returns true if the folder may also contain files that do not belong to an installation, such as a
    /// person's own files.
    fn may_contain_other_files(&self, folder: &Path) -> bool {
        let is_near_root = folder.components().count() < 3;
        let is_environment = folder.join(VENV_FILE).is_file();
        let is_of_home = self
            .homes
            .iter()
            .any(|home| home.starts_with(folder) || (folder.parent() == Some(home) && !is_environment));
        let is_home =
            folder.parent().is_some_and(|parent| HOME_PARENTS.iter().any(|homes| parent == Path::new(homes)));
        is_of_home || is_home || is_near_root
    }
}

/// Returns the virtual environment of Python that a program is installed in.
fn virtual_environment(file: &Path) -> Option<&Path> {
    file.parent().and_then(Path::parent).filter(|root| root.join(VENV_FILE).is_file())
}

/// Adds the symbolic links in a folder's path, because scripts in the folder may refer to this path.
fn add_folder_links(folder: &Path, readable_paths: &mut BTreeSet<PathBuf>) {
    for path in folder.ancestors().filter(|path| path.is_symlink()) {
        readable_paths.insert(path.to_owned());
    }
}

/// Adds the chain of symbolic links from an interpreter's name, such as `python`, to its file. If the file
/// has the same name, adds nothing.
fn add_interpreter_links(program: &Path, readable_paths: &mut BTreeSet<PathBuf>) {
    if program.canonicalize().is_ok_and(|real| real.file_name() == program.file_name()) {
        return;
    }
    let mut next = Some(program.to_owned());
    for _ in 0..MAX_INTERPRETERS {
        let link = next.as_deref().filter(|link| link.is_symlink());
        let link = link.and_then(|link| Some(link.parent()?.canonicalize().ok()?.join(link.file_name()?)));
        let Some(link) = link else { return };
        next = std::fs::read_link(&link).ok().and_then(|to| Some(link.parent()?.join(to)));
        if !READABLE_SYSTEM_PATHS.iter().any(|folder| link.starts_with(folder)) {
            readable_paths.insert(link);
        }
    }
}

/// Adds the folders below a prefix that belong to an installation, but no other content of the prefix.
fn add_installation_parts(root: &Path, readable_paths: &mut BTreeSet<PathBuf>) {
    let go: &[&str] = if is_go_toolchain(root) { GO_PARTS } else { &[] };
    let parts = INSTALLATION_PARTS.iter().chain(go).map(|part| root.join(part));
    readable_paths.extend(parts.filter(|part| part.exists()));
}

/// Returns true for a Go toolchain: a folder with its version, its program and the sources of its runtime.
fn is_go_toolchain(root: &Path) -> bool {
    let version = read_file_start(&root.join(GO_VERSION_FILE));
    let is_version = version
        .strip_prefix("go")
        .is_some_and(|version| version.starts_with(|digit: char| digit.is_ascii_digit()));
    is_version && is_program(&root.join("bin/go")) && root.join("src/runtime").is_dir()
}

/// Returns the home folders in `/etc/passwd`, except `/` and folders of the system.
fn list_home_folders() -> Vec<PathBuf> {
    let users = std::fs::read_to_string(USERS_FILE).unwrap_or_default();
    let homes = users.lines().filter_map(|line| line.split(':').nth(5)).map(PathBuf::from);
    let is_system = |home: &Path| READABLE_SYSTEM_PATHS.iter().any(|folder| home.starts_with(folder));
    let homes = homes.filter(|home| home.parent().is_some() && !is_system(home));
    // These folders are compared with resolved paths, so each home folder is also listed as resolved path.
    homes.flat_map(|home| [home.canonicalize().ok(), Some(home)]).flatten().collect()
}

/// Returns true for an executable file, also behind links.
pub fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Returns true if the file is rustup under another name: a link to `rustup`, or the same file as the
/// `rustup` beside it.
fn is_rustup(file: &Path) -> bool {
    let is_link = file.canonicalize().is_ok_and(|target| target.file_name() == Some(OsStr::new(RUSTUP)));
    let same = |file: &Path| file.metadata().ok().map(|found| (found.dev(), found.ino()));
    is_link || same(file).is_some_and(|own| same(&file.with_file_name(RUSTUP)) == Some(own))
}

/// Returns the interpreter that a script names: a path, or a name to look up.
fn script_interpreter(file: &Path) -> Option<PathBuf> {
    let text = read_file_start(file);
    let line = text.strip_prefix("#!")?.lines().next()?;
    let mut words = line.split_whitespace();
    let first = Path::new(words.next()?);
    if first.file_name() != Some(OsStr::new("env")) {
        return Some(first.to_owned());
    }
    let is_program = |word: &&str| !word.starts_with('-') && !word.contains('=');
    words.find(is_program).map(PathBuf::from)
}

/// Reads the beginning of a file as text; empty if it cannot be read or is not a file.
fn read_file_start(file: &Path) -> String {
    let mut bytes = Vec::new();
    if file.metadata().is_ok_and(|found| found.is_file())
        && let Ok(file) = File::open(file)
    {
        let _ = file.take(MAX_HEAD_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the value of `key = value`, with or without quotes.
fn config_value(text: &str, key: &str) -> Option<String> {
    let of = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim() == key && !value.is_empty()).then(|| value.to_owned())
    };
    text.lines().find_map(of)
}

/// Returns the Rust version that a project pins, from a TOML file or from a file that holds only the version.
fn pinned_rust_version(text: &str) -> Option<String> {
    let alone = || {
        let word = text.trim();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        (!word.is_empty() && word.chars().all(is_plain)).then(|| word.to_owned())
    };
    config_value(text, "channel").or_else(alone)
}

/// Returns the names in a folder, sorted.
fn list_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let text = |name: &OsStr| std::str::from_utf8(name.as_bytes()).ok().map(str::to_owned);
    let mut names: Vec<String> = entries.filter_map(|entry| text(&entry.file_name())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A temporary home folder, and a machine whose search path consists of folders in this home folder.
    struct Home {
        folder: tempfile::TempDir,
        machine: MachinePaths,
    }

    impl Home {
        fn new(path: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().canonicalize().unwrap();
            let path = path.iter().map(|name| home.join(name)).collect();
            let (homes, home) = (vec![home.clone()], Some(home));
            let machine = MachinePaths { search_path: path, homes, home, rustup: None };
            Self { folder, machine }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let file = self.path(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file
        }

        fn program(&self, name: &str, text: &str) -> PathBuf {
            let file = self.file(name, text);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            file
        }

        fn link(&self, name: &str, to: &Path) {
            std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            symlink(to, self.path(name)).unwrap();
        }

        fn find_program(&self, program: &str, places: &[&str]) -> InstalledProgram {
            let places: Vec<_> = places.iter().map(|place| self.path(place)).collect();
            self.machine.find(program, &places, &self.path("work/project")).unwrap()
        }

        fn read(&self, names: &[&str]) -> BTreeSet<PathBuf> {
            names.iter().map(|name| self.path(name)).collect()
        }
    }

    #[test]
    fn a_script_needs_its_environment_and_the_python_of_that() {
        let home = Home::new(&[".local/bin"]);
        home.program(".pyenv/versions/3.12/bin/python3", "\x7fELF");
        home.file(
            "tools/ruff/pyvenv.cfg",
            &format!("home = {}\n", home.path(".pyenv/versions/3.12/bin").display()),
        );
        home.link("tools/ruff/bin/python", &home.path(".pyenv/versions/3.12/bin/python3"));
        let python = home.path("tools/ruff/bin/python");
        let script = home.program("tools/ruff/bin/ruff", &format!("#!{}\n", python.display()));
        home.link(".local/bin/ruff", &script);
        let found = home.find_program("ruff", &[]);
        assert_eq!(found.file, script);
        let parts = ["tools/ruff/bin", "tools/ruff/pyvenv.cfg", ".pyenv/versions/3.12/bin"];
        assert_eq!(found.readable_paths, home.read(&parts));
        assert_eq!(
            home.find_program("ruff", &["tools/ruff/bin/ruff"]).environment,
            Some(home.path("tools/ruff"))
        );
    }

    #[test]
    fn an_environment_is_found_through_a_link_to_its_folder() {
        let home = Home::new(&["a/tools/bin"]);
        home.program("opt/python/bin/python3", "\x7fELF");
        home.file("b/tools/pyvenv.cfg", &format!("home = {}\n", home.path("opt/python/bin").display()));
        home.link("b/tools/bin/python", &home.path("opt/python/bin/python3"));
        home.link("a/tools", &home.path("b/tools"));
        home.program("b/tools/bin/ruff", "\x7fELF");
        let named = home.path("a/tools/bin/python");
        home.program("b/tools/bin/flake8", &format!("#!{}\n", named.display()));
        let parts = ["b/tools/bin", "b/tools/pyvenv.cfg", "opt/python/bin"];
        let found = home.find_program("ruff", &[]);
        assert_eq!((found.file, found.readable_paths), (home.path("b/tools/bin/ruff"), home.read(&parts)));
        assert_eq!(found.environment, Some(home.path("b/tools")));
        let found = home.find_program("flake8", &[]);
        assert_eq!(found.file, home.path("b/tools/bin/flake8"));
        assert_eq!(
            found.readable_paths,
            home.read(&[&parts[..], &["a/tools"]].concat()),
            "its script names the link"
        );
    }

    #[test]
    fn a_module_of_node_needs_the_modules_beside_it_and_node() {
        let home = Home::new(&[".nvm/versions/node/v22/bin"]);
        home.program(".nvm/versions/node/v22/bin/node", "\x7fELF");
        let script = "work/project/node_modules/eslint/bin/eslint.js";
        let script = home.program(script, "#!/usr/bin/env -S node --no-warnings\n");
        home.link("work/project/node_modules/.bin/eslint", &script);
        let found = home.find_program("eslint", &["work/project/node_modules/.bin/eslint"]);
        assert_eq!(found.file, home.path("work/project/node_modules/.bin/eslint"));
        assert_eq!(
            found.readable_paths,
            home.read(&["work/project/node_modules", ".nvm/versions/node/v22/bin"])
        );
    }

    #[test]
    fn an_interpreter_that_is_a_link_to_another_name_is_found_by_its_own() {
        let home = Home::new(&["links/bin"]);
        let real = home.program("versions/node-v22/node-22", "\x7fELF");
        home.link("versions/current", &real);
        home.link("links/bin/node", Path::new("../../versions/current"));
        home.program("work/project/node_modules/eslint/cli.js", "#!/usr/bin/env node\n");
        let found = home.find_program("eslint", &["work/project/node_modules/eslint/cli.js"]);
        let modules = "work/project/node_modules";
        let links = ["links/bin/node", "versions/current"];
        assert_eq!(
            found.readable_paths,
            home.read(&[&[modules, "versions/node-v22/node-22"][..], &links].concat())
        );
        assert!(found.search_path.contains(&home.path("links/bin")), "{found:?}");
    }

    #[test]
    fn nothing_else_beside_an_interpreter_is_shown() {
        let home = Home::new(&[]);
        home.program("srv/app/bin/python3", "\x7fELF");
        home.file("srv/app/.ssh/id", "key");
        home.file(
            "work/project/.venv/pyvenv.cfg",
            &format!("home = {}\n", home.path("srv/app/bin").display()),
        );
        home.program("work/project/.venv/bin/ruff", "\x7fELF");
        let found = home.find_program("ruff", &["work/project/.venv/bin/ruff"]);
        assert!(found.readable_paths.contains(&home.path("srv/app/bin")), "{found:?}");
        assert!(
            !found.readable_paths.iter().any(|shown| home.path("srv/app/.ssh/id").starts_with(shown)),
            "{found:?}"
        );
        assert_eq!(found.search_path.first(), Some(&home.path("work/project/.venv/bin")));
    }

    #[test]
    fn nothing_else_of_a_home_is_shown() {
        let home = Home::new(&["bin", "go/bin", ".cargo/bin"]);
        let one = home.program("bin/one", "\x7fELF");
        home.program("go/bin/two", "\x7fELF");
        home.file(".cargo/credentials.toml", "token");
        home.program(".cargo/bin/three", "\x7fELF");
        assert_eq!(home.find_program("one", &[]).readable_paths, BTreeSet::from([one]));
        assert_eq!(home.find_program("two", &[]).readable_paths, home.read(&["go/bin"]));
        assert_eq!(home.find_program("three", &[]).readable_paths, home.read(&[".cargo/bin"]));
        assert_eq!(home.machine.find("four", &[], Path::new("/")), None);
    }

    #[test]
    fn of_an_operators_folder_and_of_other_peoples_homes_the_program_alone_is_shown() {
        let home = Home::new(&[]);
        let lint = home.program("etc/truing/lint", "#!/bin/sh\n");
        home.file("etc/truing/marker.key", "key");
        assert_eq!(home.find_program("lint", &["etc/truing/lint"]).readable_paths, BTreeSet::from([lint]));

        // The user who runs Truing has another home folder, or the variable `HOME` is unset.
        let check = home.program("people/ada/bin/check", "\x7fELF");
        home.file("people/ada/lib/token", "key");
        let machine = MachinePaths {
            search_path: vec![home.path("people/ada/bin")],
            homes: vec![home.path("people/ada")],
            ..MachinePaths::default()
        };
        assert_eq!(
            machine.find("check", &[], Path::new("/")).unwrap().readable_paths,
            BTreeSet::from([check])
        );
        assert!(MachinePaths::new(None, None).may_contain_other_files(Path::new("/home/ada")));
        assert!(MachinePaths::new(None, None).may_contain_other_files(Path::new("/root")));
    }

    #[test]
    fn the_sources_of_an_installation_are_shown_for_go_alone() {
        let home = Home::new(&["opt/go/bin", "opt/app/bin"]);
        home.program("opt/go/bin/gofmt", "\x7fELF");
        home.file("opt/go/VERSION", "go1.25.1\n");
        home.program("opt/go/bin/go", "\x7fELF");
        home.file("opt/go/src/runtime/proc.go", "");
        home.program("opt/app/bin/lint", "\x7fELF");
        home.file("opt/app/VERSION", "goods 1.0\n");
        home.file("opt/app/src/settings.py", "key");
        assert_eq!(
            home.find_program("gofmt", &[]).readable_paths,
            home.read(&["opt/go/bin", "opt/go/VERSION", "opt/go/src"])
        );
        assert_eq!(home.find_program("lint", &[]).readable_paths, home.read(&["opt/app/bin"]));
    }

    #[test]
    fn managers_of_versions_are_looked_behind() {
        let home = Home::new(&[".cargo/bin", ".pyenv/shims"]);
        home.program(".pyenv/shims/mypy", "#!/bin/sh\n");
        home.file(".pyenv/version", "3.11\n");
        home.program(".pyenv/versions/3.11/bin/mypy", "\x7fELF");
        home.program(".pyenv/versions/3.12/bin/mypy", "\x7fELF");
        assert_eq!(home.find_program("mypy", &[]).file, home.path(".pyenv/versions/3.11/bin/mypy"));

        let rustup = home.program(".cargo/bin/rustup", "\x7fELF");
        home.link(".cargo/bin/cargo", &rustup);
        home.file(".rustup/settings.toml", "default_toolchain = \"stable-x86_64\"\n");
        for name in ["1.95.0-x86_64", "stable-x86_64"] {
            home.program(&format!(".rustup/toolchains/{name}/bin/cargo"), "\x7fELF");
        }
        let found = home.find_program("cargo", &[]);
        assert_eq!(found.file, home.path(".rustup/toolchains/stable-x86_64/bin/cargo"));
        assert_eq!(found.readable_paths, home.read(&[".rustup/toolchains/stable-x86_64/bin"]));
        home.file("work/project/rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n");
        assert_eq!(
            home.find_program("cargo", &[]).file,
            home.path(".rustup/toolchains/1.95.0-x86_64/bin/cargo")
        );
    }

    #[test]
    fn toolchains_are_found_where_a_variable_says() {
        // The layout of the official Rust image.
        let mut home = Home::new(&["usr/local/cargo/bin"]);
        let rustup = home.program("usr/local/cargo/bin/rustup", "\x7fELF");
        home.link("usr/local/cargo/bin/cargo", &rustup);
        std::fs::hard_link(&rustup, home.path("usr/local/cargo/bin/rustc")).unwrap();
        home.file("usr/local/rustup/settings.toml", "default_toolchain = \"1.95.0-x86_64\"\n");
        for name in ["cargo", "rustc"] {
            home.program(&format!("usr/local/rustup/toolchains/1.95.0-x86_64/bin/{name}"), "\x7fELF");
        }
        home.file(".rustup/settings.toml", "default_toolchain = \"1.94.0-x86_64\"\n");
        home.program(".rustup/toolchains/1.94.0-x86_64/bin/cargo", "\x7fELF");
        let own = home.machine.clone();
        home.machine = own.clone().with_rustup(Some(home.path("usr/local/rustup").as_os_str()));
        for name in ["cargo", "rustc"] {
            let found = home.find_program(name, &[]).file;
            assert_eq!(found, home.path(&format!("usr/local/rustup/toolchains/1.95.0-x86_64/bin/{name}")));
        }
        home.machine = own.with_rustup(Some(OsStr::new("relative")));
        let cargo = home.path(".rustup/toolchains/1.94.0-x86_64/bin/cargo");
        assert_eq!(home.find_program("cargo", &[]).file, cargo);
    }

    #[test]
    fn a_script_that_names_itself_comes_to_an_end() {
        let home = Home::new(&["opt/bin"]);
        let file = home.path("opt/bin/loop");
        home.program("opt/bin/loop", &format!("#!{}\n", file.display()));
        assert_eq!(home.find_program("loop", &[]).file, file);
    }
}
