//! The command `truing diff`: parses a diff, places comments in a diff, and tracks lines between commits. It
//! prints one JSON object per line, for programs.

mod compared;
mod parse;
mod position;
mod track;

use std::path::PathBuf;

use clap::Subcommand;

use super::CommandContext;
use super::error::{CliError, CommandExit};
pub(super) use compared::malformed_diff_error;
pub(super) use parse::{input_name, read_input};

/// Parse diffs, anchor comments, track lines between commits: JSON lines for scripts
#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    #[command(subcommand)]
    command: DiffCommand,
}

#[derive(Subcommand, Debug)]
enum DiffCommand {
    /// Print what a unified diff contains about each file
    ///
    /// Reads the output of `git diff`, `git show`, `git log -p`, GitHub and Bitbucket. Prints one object for
    /// each file: path, old_path, status, added, deleted, hunks. If the input is malformed, the files before
    /// the error are printed. A name that is not UTF-8 is quoted in the same way as by git, for example
    /// "f\377.txt", including the quotes. The commands anchor and track read such names in the same way. The
    /// diff of a merge with several parents (-c, --cc) is read as a diff with the first parent. It contains
    /// the lines that its hunks add to this parent and remove from it. With --cc, git omits hunks that are
    /// equal to one of the parents. A diff of any size needs little memory: 16 bytes for each hunk of one
    /// file.
    Parse {
        /// The file with the diff; `-` or no file: standard input
        file: Option<PathBuf>,
    },
    /// Find where comments can be placed in a diff: reads positions from standard input
    ///
    /// Reads one object on each line: id, path, side (old or new), start_line, end_line. Answers with id,
    /// anchor (inline, file or summary), path, side, start_line, end_line, reason. Paths are written as in
    /// the output of parse.
    Anchor {
        /// The commit of the old side. Truing does not replace it with the merge base; for a pull request,
        /// specify the merge base
        #[arg(long, value_name = "REV")]
        base: String,
        /// The new side
        #[arg(long, value_name = "REV")]
        head: String,
        /// A folder in the repository
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Find where lines of one commit are in another: reads positions from standard input
    ///
    /// Reads one object on each line: id, path, start_line, end_line, with path and lines in the first
    /// commit. Answers with id, status (unmoved, moved, edited or deleted), path, start_line, end_line. For
    /// deleted lines, the line numbers are null. If the file was deleted, the path is null as well.
    Track {
        /// The commit to which the positions refer
        #[arg(long, value_name = "REV")]
        from: String,
        /// The commit in which to find the positions
        #[arg(long, value_name = "REV")]
        to: String,
        /// A folder in the repository
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

pub(crate) fn run(args: &DiffArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        DiffCommand::Parse { file } => parse::run(file.as_deref(), context),
        DiffCommand::Anchor { base, head, path } => position::run_anchor(base, head, path, context),
        DiffCommand::Track { from, to, path } => track::run(from, to, path, context),
    }
}
