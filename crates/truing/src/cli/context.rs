//! The flags, environment and output that every command is given.

use std::path::PathBuf;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::KeyFlag;

use crate::cli::error::CliError;
use crate::cli::globals::GlobalArgs;
use crate::cli::output::OutputPrinter;

/// All that a command gets beside its own arguments.
#[derive(Debug)]
pub struct CommandContext {
    /// The flags of every command.
    pub globals: GlobalArgs,
    /// Variables and current folder.
    pub environment: Environment,
    /// The only way to print.
    pub output: OutputPrinter,
}

impl CommandContext {
    /// The configuration that holds for all repositories: defaults, the operator's file, variables and these
    /// flags. For one repository's own file see [`Config::with_repository`].
    ///
    /// # Errors
    /// Exit 2, with everything that is wrong.
    pub fn config(&self, flags: &[KeyFlag]) -> Result<Config, CliError> {
        let file = truing_config::operator_file(&self.environment, self.globals.config.as_deref())?;
        Ok(Config::resolve(&self.environment, file.as_ref(), flags)?)
    }

    /// The operator's file: the one that is named, or the user's own if it is there.
    pub fn operator_file(&self) -> Option<PathBuf> {
        let named = self.globals.config.clone();
        let variable =
            || self.environment.get("TRUING_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let own = || truing_config::user_file(&self.environment).filter(|path| path.exists());
        named.or_else(variable).or_else(own)
    }

    /// The operator's file, as people know it.
    pub fn operator_place(&self) -> String {
        match (self.operator_file(), truing_config::user_file(&self.environment)) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(path)) => format!("{}, which is not there", path.display()),
            (None, None) => "any configuration: name one by --config FILE".to_owned(),
        }
    }
}
