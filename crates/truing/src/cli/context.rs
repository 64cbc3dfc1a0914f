//! The flags, environment and output that every command receives.

use std::path::PathBuf;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::KeyFlag;

use crate::cli::error::CliError;
use crate::cli::globals::GlobalArgs;
use crate::cli::output::OutputPrinter;

/// The values that a command receives in addition to its arguments.
#[derive(Debug)]
pub struct CommandContext {
    /// Flags that every command has.
    pub globals: GlobalArgs,
    /// Environment variables and the current folder.
    pub environment: Environment,
    /// Printer for all output of the command.
    pub output: OutputPrinter,
}

impl CommandContext {
    /// Returns the configuration that applies to all repositories: the defaults, the operator's file, the
    /// variables and `flags`. [`Config::with_repository`] adds the file of a repository.
    ///
    /// # Errors
    /// Returns exit 2 with every problem of the configuration.
    pub fn config(&self, flags: &[KeyFlag]) -> Result<Config, CliError> {
        let file = truing_config::read_operator_file(&self.environment, self.globals.config.as_deref())?;
        Ok(Config::resolve(&self.environment, file.as_ref(), flags)?)
    }

    /// Returns the path of the operator's file. A flag or a variable may name the file. Otherwise the file is
    /// the user's default file, if that file exists.
    pub fn operator_file(&self) -> Option<PathBuf> {
        let named = self.globals.config.clone();
        let variable =
            || self.environment.get("TRUING_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let own = || truing_config::operator_file_path(&self.environment).filter(|path| path.exists());
        named.or_else(variable).or_else(own)
    }

    /// Returns the path of the operator's file, formatted for messages.
    pub fn operator_file_text(&self) -> String {
        match (self.operator_file(), truing_config::operator_file_path(&self.environment)) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(path)) => format!("{}, which does not exist", path.display()),
            (None, None) => "a configuration file that you specify with --config FILE".to_owned(),
        }
    }
}
