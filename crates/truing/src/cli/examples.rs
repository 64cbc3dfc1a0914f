//! The examples at the end of each help page. Each command has two examples, which work unchanged if the
//! named files, jobs and pull requests exist.

/// The examples of all help pages. The examples of a page begin with a line that names the command. Each
/// example is a comment line and, below it, a command line.
const EXAMPLES_TEXT: &str = include_str!("examples.txt");

/// Returns the commands that have examples, with the examples of each.
pub(super) fn command_examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let pages = EXAMPLES_TEXT.split("== ").filter_map(|page| page.split_once('\n'));
    pages.map(|(command, examples)| (command, examples.trim_end()))
}

/// Returns the examples of a command. `command` is the full name, such as `truing rules list`.
pub(super) fn for_command(command: &str) -> Option<&'static str> {
    command_examples().find(|(name, _)| *name == command).map(|(_, examples)| examples)
}
