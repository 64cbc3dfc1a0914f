//! `truing completions`: what a shell must know to complete this program's arguments.

use super::error::{CliError, Exit};
use super::{Context, visible};

/// Print the completion script for a shell
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let mut command = visible();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    context.output.data(String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
