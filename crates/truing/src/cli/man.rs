//! The command `truing man`: prints the manual pages, which have the same source as `--help`.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use truing_core::line::format_count;

use super::error::{CliError, CommandExit};
use super::help::{EXIT_CODES, find_command};
use super::{CommandContext, examples, visible_program};

/// Print a page of the manual, or write all pages to a folder
#[derive(clap::Args, Debug)]
pub struct ManArgs {
    /// The command that the page is about [default: the program]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
    /// Write every page into this folder, with one file for each command
    #[arg(long, short, value_name = "FOLDER", conflicts_with = "path")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let mut all = visible_program().disable_help_subcommand(true);
    all.build();
    let Some(folder) = &args.output else {
        let page = render_page(find_command(&all, &args.path)?)
            .map_err(|error| write_error(Path::new("-"), &error))?;
        context.output.print_data(page)?;
        return Ok(CommandExit::Success);
    };
    let folder = context.environment.directory().join(folder);
    DirBuilder::new().recursive(true).create(&folder).map_err(|error| write_error(&folder, &error))?;
    let mut pages = 0;
    let mut commands = vec![&all];
    while let Some(command) = commands.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let file = folder.join(format!("{name}.1"));
        let written = render_page(command).and_then(|page| std::fs::write(&file, page));
        written.map_err(|error| write_error(&file, &error))?;
        pages += 1;
        commands.extend(command.get_subcommands());
    }
    context.output.print_note(format_args!(
        "{} written to {}",
        format_count(pages, "page"),
        folder.display()
    ));
    Ok(CommandExit::Success)
}

/// Renders a page for `man`.
fn render_page(command: &clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().after_help(None::<&'static str>)).render(&mut page)?;
    let codes: String =
        EXIT_CODES.iter().map(|(code, meaning)| format!(".TP\n\\fB{code}\\fR\n{meaning}\n")).collect();
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    // The examples are in a block whose line breaks `man` does not change.
    let examples: String =
        examples::for_command(name).unwrap_or_default().lines().map(escape_example).collect();
    let page = String::from_utf8_lossy(&page);
    Ok(format!("{page}.SH EXAMPLES\n.nf\n{examples}.fi\n.SH \"EXIT STATUS\"\n{codes}"))
}

/// Escapes a line of an example for `man`.
fn escape_example(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    format!("\\&{line}\n")
}

fn write_error(path: &Path, error: &io::Error) -> CliError {
    CliError::failure("write_failed", format!("cannot write {}: {error}", path.display()))
        .hint("give a writable folder: `truing man --output FOLDER`")
}
