//! The linter of the demonstration. The linter is a shell script, because no real linter may be installed on
//! this machine. The linter's finding is posted, moves with its line, and is resolved after the fix.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use truing_agent::installed::MachinePaths;
use truing_config::Config;
use truing_config::tool::{ToolCondition, ToolConfig, ToolScope, ToolSelection};
use truing_core::sandbox::SandboxLevel;
use truing_loops::tools::{LinterRunner, LinterSources, ProgramFetcher};

/// Name of the linter.
const LINTER_NAME: &str = "no-todo";
/// File that the linter checks.
pub(super) const LINTED_FILE_NAME: &str = "report.py";
/// Script of the linter.
const LINTER_SCRIPT: &str = "#!/bin/sh\nexec awk '/TODO/ \
     { print FILENAME \":\" FNR \": TODO without a name\"; found = 1 } END { exit found }' \"$@\"\n";
/// Time limit of the linter.
const LINTER_TIME_LIMIT: Duration = Duration::from_secs(60);

/// Writes the linter's script. Returns the configuration with the linter, and the runner of the linter. If
/// this machine has no sandbox, the linter is left out.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn install_linter(config: &Config, folder: &Path) -> io::Result<(Config, LinterSources)> {
    let level = truing_loops::machine::sandbox_level();
    if level == SandboxLevel::None {
        return Ok((config.clone(), LinterSources::default()));
    }
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    let file = bin.join(LINTER_NAME);
    std::fs::write(&file, LINTER_SCRIPT)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    let tool = ToolConfig {
        name: LINTER_NAME.to_owned(),
        command: Some(vec![LINTER_NAME.to_owned(), "{files}".to_owned()]),
        format: Some("unix".to_owned()),
        paths: Some(vec![LINTED_FILE_NAME.to_owned()]),
        condition: ToolCondition::FilesChanged,
        success_exit_codes: None,
        timeout: LINTER_TIME_LIMIT,
        scope: ToolScope::Lines,
    };
    let mut config = config.clone();
    config.review.linters = ToolSelection::Auto;
    config.linters = vec![tool];
    let running = LinterRunner {
        machine_paths: MachinePaths::new(Some(bin.as_os_str()), None),
        sandbox_level: level,
        folders_by_variable: std::collections::BTreeMap::new(),
        python_environment: None,
        is_foreign_code: true,
        verifier: None,
        program_fetcher: ProgramFetcher::default(),
        cache: None,
        hidden_paths: Vec::new(),
    };
    Ok((config, LinterSources { supplied_outputs: Vec::new(), runner: Some(running) }))
}
