//! Fetches linters in the versions that the repository pins (`review.tool_fetch`). Each version is in a
//! folder of this machine and is fetched once.
//!
//! A package manager installs the linter's package from the user's index. No code of the package runs during
//! the installation, and no file of the repository affects the installation. The fetched program runs in the
//! sandbox, like an installed program. A program is installed into a private folder, which is then renamed.
//! An interrupted installation therefore leaves no incomplete program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use truing_agent::installed::{MachinePaths, is_program};
use truing_agent::read_only_program::BuildFolder;
use truing_agent::verify::CommandOutput;
use truing_config::environment::Environment;
use truing_core::line::clean_line;
use truing_core::verification::CommandEndReason;
use truing_git::PrivateFolder;
use truing_reader::output::known::is_version;

use super::builds::{
    FolderLock, has_free_disk_space, recorded_bytes, remove_unless_locked, try_share_folder, write_bytes,
};
use super::cache::{CacheEntry, expired_entries};
use super::select::SelectedLinter;
use crate::command_failure::failure_cause;
use crate::reader::drain_to_tail;

/// The folder that contains the fetched programs, below the folder of the cached findings.
const PROGRAMS_FOLDER: &str = "programs";
/// Time limit for fetching one program.
const FETCH_TIME_LIMIT: Duration = Duration::from_secs(120);
/// Minimum time between two attempts to fetch a program, after an attempt has failed.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Maximum size of a fetched program in bytes, with its dependencies.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;
/// Maximum total size of all fetched programs in bytes.
const MAX_TOTAL_BYTES: u64 = 2 << 30;
/// Fetched programs that were not used for this time are removed.
const MAX_UNUSED_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 250;
/// The variables of a package manager, in upper case: the user's folders, indexes, proxies and certificates.
/// At the end of a name, `*` stands for any text. Other variables may hold credentials of Truing.
const PASSED_VARIABLES: &[&str] = &[
    "HOME",
    "XDG_*",
    "TMPDIR",
    "LANG",
    "LC_*",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_*",
    "NETRC",
    "NODE_EXTRA_CA_CERTS",
    "NODE_AUTH_TOKEN",
    "NPM_TOKEN",
    "NPM_CONFIG_//*",
    "NPM_CONFIG_@*",
    "NPM_CONFIG__AUTH*",
    "NPM_CONFIG_CA",
    "NPM_CONFIG_CACHE",
    "NPM_CONFIG_CAFILE",
    "NPM_CONFIG_GLOBALCONFIG",
    "NPM_CONFIG_HTTPS_PROXY",
    "NPM_CONFIG_NOPROXY",
    "NPM_CONFIG_OFFLINE",
    "NPM_CONFIG_PREFER_OFFLINE",
    "NPM_CONFIG_PROXY",
    "NPM_CONFIG_REGISTRY",
    "NPM_CONFIG_STRICT_SSL",
    "NPM_CONFIG_USERCONFIG",
    "UV_CACHE_DIR",
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_*",
    "UV_INDEX*",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    "UV_PYTHON_INSTALL_*",
    "UV_SYSTEM_CERTS",
];
/// The variable with the path of uv's settings file.
const UV_SETTINGS_VARIABLE: &str = "UV_CONFIG_FILE";

/// A package manager that installs a program into a folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum PackageManager {
    Uv,
    Npm,
}

impl PackageManager {
    const ALL: [Self; 2] = [Self::Uv, Self::Npm];

    fn program(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Npm => "npm",
        }
    }

    /// Returns the beginning of the command by which a person installs a program with this package manager.
    fn install_command_prefix(self) -> &'static str {
        match self {
            Self::Uv => "uv tool install ",
            Self::Npm => "npm install --global ",
        }
    }
}

/// The package of a linter, in the version that the repository pins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PinnedPackage {
    manager: PackageManager,
    pub(super) package: String,
    program: String,
    version: String,
}

impl PinnedPackage {
    /// Returns the package that contains a linter's program. `None` if the repository pins no version, if no
    /// package manager can install the linter alone, or if the linter needs the project's dependencies.
    pub(super) fn from_tool(tool: &SelectedLinter) -> Option<Self> {
        let pinned = tool.pinned_version.as_ref().filter(|pinned| is_version(&pinned.version))?;
        let command = tool.install_command().filter(|_| !tool.needs_setup())?;
        let (manager, package) = PackageManager::ALL
            .iter()
            .find_map(|manager| Some((*manager, command.strip_prefix(manager.install_command_prefix())?)))?;
        (!package.contains(' ')).then(|| Self {
            manager,
            package: package.to_owned(),
            program: tool.program.clone(),
            version: pinned.version.clone(),
        })
    }

    /// Returns the name of the folder that contains the program.
    fn folder_name(&self) -> String {
        format!("{}-{}", self.program, self.version)
    }

    /// Returns the path of the program in its folder.
    fn program_path(&self, folder: &Path) -> PathBuf {
        let programs = match self.manager {
            PackageManager::Uv => "bin",
            PackageManager::Npm => "node_modules/.bin",
        };
        folder.join(programs).join(&self.program)
    }

    /// Returns the package with its version, as the package manager expects it.
    fn requirement(&self) -> String {
        let Self { manager, package, program, version } = self;
        let is_release = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match manager {
            // A package with another name contains a program of another project. Such a package may add a
            // number to the program's version (`0.9.0.6` for ShellCheck 0.9.0).
            PackageManager::Uv if package != program && is_release => format!("{package}=={version}.*"),
            PackageManager::Uv => format!("{package}=={version}"),
            PackageManager::Npm => format!("{package}@{version}"),
        }
    }

    /// Returns the arguments of the commands that install the program into an empty folder.
    fn install_arguments(&self, folder: &Path) -> Vec<Vec<OsString>> {
        let folder = folder.as_os_str();
        let requirement = OsString::from(self.requirement());
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        match self.manager {
            PackageManager::Uv => {
                // The programs of a relocatable environment still run after its folder is renamed.
                let mut create = words(&["--no-config", "venv", "--relocatable", "--no-project"]);
                create.push(folder.to_owned());
                let mut install = words(&["--no-config", "pip", "install", "--python"]);
                install.push(folder.to_owned());
                install.extend(words(&["--only-binary", ":all:"]));
                install.push(requirement);
                vec![create, install]
            }
            PackageManager::Npm => {
                let mut install = words(&["install", "--prefix"]);
                install.push(folder.to_owned());
                install.extend(words(&["--ignore-scripts", "--no-audit", "--no-fund"]));
                install.push(requirement);
                vec![install]
            }
        }
    }
}

/// A fetched program. The program is not removed while this value exists.
#[derive(Debug)]
pub(super) struct FetchedProgram {
    /// The folder that contains the program and its dependencies.
    pub(super) folder: PathBuf,
    pub(super) file: PathBuf,
    _lock: FolderLock,
}

/// Fetches linters in pinned versions. Clones use the same temporary folder, and do not repeat each other's
/// failed attempts.
#[derive(Clone, Debug, Default)]
pub struct ProgramFetcher {
    environment: Environment,
    state: Arc<FetcherState>,
}

#[derive(Debug, Default)]
struct FetcherState {
    /// Contains the fetched programs if there is no folder for caches.
    temporary_folder: OnceLock<PrivateFolder>,
    /// Failed attempts, by the name of the program's folder: the time of the attempt, and the reason.
    failures: Mutex<BTreeMap<String, (Instant, String)>>,
}

impl ProgramFetcher {
    /// Creates a fetcher with the environment of the user whose package managers fetch the programs.
    pub fn new(environment: Environment) -> Self {
        Self { environment, state: Arc::default() }
    }

    /// Returns the variables of a package manager.
    fn variables(&self) -> BTreeMap<String, OsString> {
        let is_passed = |name: &str| {
            let name = name.to_ascii_uppercase();
            PASSED_VARIABLES.iter().any(|passed| match passed.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *passed,
            })
        };
        let all = self.environment.variables_with_prefix("").filter(|(name, _)| is_passed(name));
        let mut variables: BTreeMap<String, OsString> =
            all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // With `--no-config`, uv reads only the settings file that this variable names: the user's file, and
        // no file of a project.
        let settings = self.environment.user_folder("XDG_CONFIG_HOME", ".config");
        if let Some(file) = settings.map(|folder| folder.join("uv/uv.toml")).filter(|file| file.is_file()) {
            variables.entry(UV_SETTINGS_VARIABLE.to_owned()).or_insert_with(|| file.into_os_string());
        }
        variables
    }

    /// Returns a program in its pinned version, and fetches it if no earlier review has fetched it.
    /// `cache_folder` is the folder of the linters' caches. `machine_paths` lead to no folder of the
    /// repository.
    ///
    /// # Errors
    /// The reason why the program cannot be fetched, for users.
    pub(super) async fn fetch(
        &self,
        package: &PinnedPackage,
        cache_folder: Option<&Path>,
        machine_paths: &MachinePaths,
    ) -> Result<FetchedProgram, String> {
        let programs = match cache_folder {
            Some(folder) => folder.join(PROGRAMS_FOLDER),
            None => self.temporary_folder().map_err(|error| error.to_string())?.join(PROGRAMS_FOLDER),
        };
        let name = package.folder_name();
        if let Some(program) = open_fetched_program(package, &programs) {
            return Ok(program);
        }
        if let Some((attempt, reason)) = self.failures().get(&name)
            && attempt.elapsed() < MIN_RETRY_INTERVAL
        {
            return Err(reason.clone());
        }
        let fetched = self.fetch_anew(package, &programs, machine_paths).await;
        if let Err(reason) = &fetched {
            self.record_failure(package, reason);
        }
        fetched
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, String)>> {
        self.state.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that a program cannot be fetched, or does not run.
    pub(super) fn record_failure(&self, package: &PinnedPackage, reason: &str) {
        let mut failures = self.failures();
        failures.retain(|_, (attempt, _)| attempt.elapsed() < MIN_RETRY_INTERVAL);
        failures.insert(package.folder_name(), (Instant::now(), reason.to_owned()));
    }

    fn temporary_folder(&self) -> io::Result<&Path> {
        if self.state.temporary_folder.get().is_none() {
            // Another thread may have set the folder in the meantime. The new folder is then removed.
            let _ = self.state.temporary_folder.set(PrivateFolder::new()?);
        }
        let folder = self.state.temporary_folder.get();
        folder.map(PrivateFolder::path).ok_or_else(|| io::Error::other("there is no temporary folder"))
    }

    async fn fetch_anew(
        &self,
        package: &PinnedPackage,
        programs: &Path,
        machine_paths: &MachinePaths,
    ) -> Result<FetchedProgram, String> {
        let manager = package.manager.program();
        let program = machine_paths
            .find(manager, &[], Path::new("/"))
            .ok_or_else(|| format!("`{manager}` is not installed"))?;
        let failed = |error: io::Error| format!("{} cannot be used: {error}", programs.display());
        let private = create_private_folder(programs.to_owned()).await.map_err(failed)?;
        let new_folder = private.path().join("program");
        let working_folder = private.path().join("work");
        for folder in [&new_folder, &working_folder] {
            DirBuilder::new().mode(0o700).create(folder).map_err(failed)?;
        }
        let mut variables = self.variables();
        let path = std::env::join_paths(&machine_paths.search_path).unwrap_or_default();
        variables.insert("PATH".to_owned(), path);
        let deadline = Instant::now() + FETCH_TIME_LIMIT;
        for arguments in package.install_arguments(&new_folder) {
            let time_limit = deadline.saturating_duration_since(Instant::now());
            let mut command = Command::new(&program.file);
            command.args(arguments).current_dir(&working_folder).env_clear().envs(&variables);
            let output = run_to_end(command, time_limit)
                .await
                .map_err(|error| format!("`{manager}` cannot be started: {error}"))?;
            if !output.end_reason.is_success() {
                return Err(clean_line(&format!("{manager}: {}", failure_cause(&output)), MAX_REASON_CHARS));
            }
        }
        if !is_program(&package.program_path(&new_folder)) {
            return Err(format!("{} contains no program `{}`", package.requirement(), package.program));
        }
        let owned_package = package.clone();
        let owned_programs = programs.to_owned();
        let stored = tokio::task::spawn_blocking(move || {
            let stored = store_program(&owned_package, &new_folder, &owned_programs);
            drop(private);
            remove_expired(&owned_programs);
            stored
        });
        stored.await.map_err(|error| error.to_string())??;
        open_fetched_program(package, programs).ok_or_else(|| "another review has removed it".to_owned())
    }
}

/// Creates the folder that contains all fetched programs, and a private folder in it. Removes the private
/// folders of reviews that were killed.
async fn create_private_folder(programs: PathBuf) -> io::Result<PrivateFolder> {
    let created = tokio::task::spawn_blocking(move || {
        DirBuilder::new().recursive(true).mode(0o700).create(&programs)?;
        if !has_free_disk_space(&programs)? {
            return Err(io::Error::other("the disk is nearly full"));
        }
        PrivateFolder::new_with_cleanup(&programs)
    });
    created.await.map_err(io::Error::other)?
}

/// Opens a program that was fetched before, and records its use. `None` if there is no such program.
fn open_fetched_program(package: &PinnedPackage, programs: &Path) -> Option<FetchedProgram> {
    let folder = programs.join(package.folder_name()).canonicalize().ok()?;
    let lock = try_share_folder(&folder).ok()??;
    let file = package.program_path(&folder);
    if !is_program(&file) {
        return None;
    }
    // If the time cannot be recorded, the program is fetched again after some weeks.
    let _ = lock.0.set_modified(SystemTime::now());
    Some(FetchedProgram { folder, file, _lock: lock })
}

/// Moves a complete program to its place. If another review was first, its program stays.
fn store_program(package: &PinnedPackage, new_folder: &Path, programs: &Path) -> Result<(), String> {
    let bytes = BuildFolder::disk_bytes(new_folder);
    if bytes > MAX_PROGRAM_BYTES {
        return Err(format!(
            "it has {} MiB, and at most {} are allowed",
            bytes >> 20,
            MAX_PROGRAM_BYTES >> 20
        ));
    }
    let place = programs.join(package.folder_name());
    if place.exists() && !is_program(&package.program_path(&place)) {
        remove_unless_locked(&place);
    }
    match move_program(new_folder, bytes, &place) {
        Err(error) if !is_program(&package.program_path(&place)) => {
            Err(format!("{} cannot be written: {error}", place.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn move_program(new_folder: &Path, bytes: u64, place: &Path) -> io::Result<()> {
    write_bytes(new_folder, bytes)?;
    std::fs::set_permissions(new_folder, Permissions::from_mode(0o700))?;
    std::fs::rename(new_folder, place)
}

/// Removes programs that were unused for a long time. Also removes the least recently used programs if all
/// programs together exceed the size limit. A program that a review uses is kept.
fn remove_expired(programs: &Path) {
    let folders = std::fs::read_dir(programs).into_iter().flatten().flatten();
    let entries = folders.filter_map(|folder| {
        let found = folder.metadata().ok().filter(std::fs::Metadata::is_dir)?;
        let path = folder.path();
        // A folder without a recorded size is the private folder of a review.
        Some(CacheEntry { used: found.modified().ok()?, bytes: recorded_bytes(&path)?, path })
    });
    for folder in expired_entries(entries.collect(), MAX_TOTAL_BYTES, MAX_UNUSED_TIME) {
        remove_unless_locked(&folder);
    }
}

/// A process group, which is killed when this value is dropped.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // This call fails if all processes have just exited; there is then nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a command to its end, and returns the end of its error output. After the time limit, or if the future
/// is dropped, the command and the processes that it started are killed.
async fn run_to_end(mut command: Command, time_limit: Duration) -> io::Result<CommandOutput> {
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let stderr = child.stderr.take();
    let mut printed = Vec::new();
    let whole = async {
        drain_to_tail(stderr, &mut printed).await;
        child.wait().await
    };
    let end_reason = match tokio::time::timeout(time_limit, whole).await {
        Ok(status) => {
            // The id of a process that was waited for may belong to another process.
            group.0 = None;
            let code = status?.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(CommandEndReason::Killed, |code| CommandEndReason::Exit { code })
        }
        Err(_) => CommandEndReason::Time,
    };
    Ok(CommandOutput {
        end_reason,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&printed).into_owned(),
        tree_path: PathBuf::new(),
    })
}

#[cfg(test)]
mod tests;
