//! Runs a linter, either as a program installed on the machine or in the project's set-up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_agent::installed::InstalledProgram;
use truing_agent::read_only_program::{BuildFolder, ReadOnlyProgram};
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CommandOutput, SANDBOX_TREE_PATH, SetupResult, Verifier};
use truing_core::verification::CommandEndReason;

use super::cached_findings::ProgramIdentity;
use super::linter_runner::{LinterFiles, LinterRunMethod, LinterRunner};
use super::select::SelectedLinter;

/// Time limit for a program to print its version.
const VERSION_TIME_LIMIT: Duration = Duration::from_secs(20);

/// The settings of one run of a program that is installed on the machine.
#[derive(Clone, Debug)]
pub(super) struct LinterRunSettings<'a> {
    /// The tree that the program inspects.
    pub(super) tree: &'a Path,
    /// True if the sandbox shows the tree at [`SANDBOX_TREE_PATH`] instead of at its real path.
    pub(super) uses_fixed_tree_path: bool,
    /// Time limit of the run.
    pub(super) time_limit: Duration,
    /// The folder with the builds of earlier runs.
    pub(super) build_folder: Option<&'a BuildFolder>,
}

impl LinterRunner {
    /// Runs a tool's program with the arguments that print its version, and returns the output. `None` if the
    /// program cannot run or fails.
    pub(super) async fn version_output(
        &self,
        tool: &SelectedLinter,
        installed: &InstalledProgram,
        arguments: &[String],
        files: LinterFiles<'_>,
    ) -> Option<(ProgramIdentity, CommandOutput)> {
        let program = ProgramIdentity::from_path(&installed.file)?;
        let time = tool.time_limit.min(VERSION_TIME_LIMIT);
        let place = LinterRunSettings {
            tree: files.tree,
            uses_fixed_tree_path: false,
            time_limit: time,
            build_folder: None,
        };
        let version = self.run_machine_program(tool, installed, arguments.to_vec(), place).await.ok()?;
        matches!(version.end_reason, CommandEndReason::Exit { code: 0 }).then_some((program, version))
    }

    /// True if the sandbox may show the tree at [`SANDBOX_TREE_PATH`]. False if the program needs a folder in
    /// the tree, because the path of this folder would change. Also false if the program needs a folder below
    /// [`SANDBOX_TREE_PATH`], because the tree would hide it.
    pub(super) fn can_use_fixed_tree_path(&self, method: &LinterRunMethod<'_>, tree: &Path) -> bool {
        match method {
            LinterRunMethod::MachineProgram(installed) => {
                self.sandbox_level == SandboxLevel::Full
                    && ![tree, Path::new(SANDBOX_TREE_PATH)].iter().any(|it| installed.needs_folder(it))
            }
            LinterRunMethod::ProjectSetup(..) => false,
        }
    }

    /// Runs a tool's program that is installed on the machine.
    pub(super) async fn run_machine_program(
        &self,
        tool: &SelectedLinter,
        installed: &InstalledProgram,
        arguments: Vec<String>,
        settings: LinterRunSettings<'_>,
    ) -> Result<CommandOutput, String> {
        let program = installed.file.clone().into_os_string();
        let fetched = tool.fetched_folders().iter();
        let variables = fetched
            .filter_map(|it| Some((it.variable.clone(), self.find_fetched_folder(it)?.to_str()?.to_owned())));
        let environment = installed.environment.as_ref().and_then(|folder| folder.to_str());
        let environment = environment.map(|folder| ("VIRTUAL_ENV".to_owned(), folder.to_owned()));
        let looking = ReadOnlyProgram {
            argv: std::iter::once(program).chain(arguments.into_iter().map(OsString::from)).collect(),
            tree: settings.tree.to_owned(),
            uses_fixed_tree_path: settings.uses_fixed_tree_path,
            folder: PathBuf::from(&tool.folder),
            readable_paths: installed.readable_paths.clone(),
            path: installed.search_path.clone(),
            variables: variables.chain(environment).collect(),
            build_folder: settings.build_folder.cloned(),
            level: self.sandbox_level,
            time: settings.time_limit,
        };
        looking.run().await.map_err(|error| error.to_string())
    }
}

/// Runs a tool in the project's set-up. Uses the program that the set-up has installed, or else the system's
/// program.
pub(super) async fn run_in_project_setup(
    tool: &SelectedLinter,
    verifier: &Verifier,
    setup_result: &SetupResult,
    arguments: Vec<String>,
    tree: &Path,
) -> Result<CommandOutput, String> {
    let place = tool.install_paths.iter().find(|place| setup_result.has_file(Path::new(place)));
    let program = match place {
        Some(place) => format!("./{place}"),
        // A program path inside the tree is refused, because the reviewed change could have supplied the
        // file.
        None if tool.program.contains('/') && !tool.program.starts_with('/') => {
            return Err(format!("`{}` is not installed by `verify.setup`", tool.program));
        }
        None => tool.program.clone(),
    };
    let argv: Vec<String> = std::iter::once(program).chain(arguments).collect();
    verifier
        .with_time_limit(tool.time_limit)
        .run_on_copy(setup_result, tree, &argv)
        .await
        .map_err(|error| error.to_string())
}
