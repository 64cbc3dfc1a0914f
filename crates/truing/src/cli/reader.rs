//! The hidden command `truing reader`: the child process of [`truing_loops::reader`], which `truing serve`
//! starts.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use truing_agent::sandbox::ReadAccess;
use truing_reader::mask::set_secrets_shown;
use truing_reader::serve::{ServeError, serve_parent, serve_sources_to_parent, serve_tools_to_parent};

use super::CommandContext;
use super::error::{CliError, CommandExit};

/// The process that reads repository files for `truing serve`; `truing serve` starts it and exchanges JSON
/// with it
#[derive(clap::Args, Debug)]
pub(super) struct ReaderArgs {
    /// The folder with the files to read; the process can open only this folder and the rules
    #[arg(long, value_name = "FOLDER")]
    tree: Option<PathBuf>,
    /// A folder with further rule packs
    #[arg(long, value_name = "FOLDER")]
    rules: Option<PathBuf>,
    /// Execute only the tool calls of a model
    #[arg(long)]
    tools: bool,
    /// Show secrets in the results of tools
    #[arg(long, requires = "tools")]
    unmasked: bool,
    /// Only list the contents of an archive in the folder
    #[arg(long, conflicts_with = "tools")]
    sources: bool,
}

pub(super) fn run(args: &ReaderArgs, _: &CommandContext) -> Result<CommandExit, CliError> {
    let served = match &args.tree {
        Some(tree) if !io::stdin().is_terminal() => match serve(tree, args) {
            Ok(()) => return Ok(CommandExit::Success),
            Err(error) => CliError::failure("reader", error.to_string()),
        },
        Some(_) | None => CliError::usage("not_for_people", "`truing reader` is not for use at a terminal"),
    };
    Err(served
        .hint("`truing serve` starts `truing reader` to read repository files, and exchanges JSON with it"))
}

/// Confines this process, and then serves requests.
fn serve(tree: &Path, args: &ReaderArgs) -> Result<(), ServeError> {
    set_secrets_shown(args.unmasked);
    let sandbox = ReadAccess::new(tree.to_owned(), args.rules.clone()).confine()?;
    match (args.tools, args.sources) {
        (true, _) => serve_tools_to_parent(sandbox),
        (_, true) => serve_sources_to_parent(sandbox),
        (false, false) => serve_parent(sandbox, || truing_loops::reader::load_packs(args.rules.as_deref())),
    }
}
