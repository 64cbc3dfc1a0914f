//! The examples at the end of each help page: for each command two command lines that work as they are, where the
//! things that they name exist.

/// A page each: a line with the command, and its examples, each a comment of one line with the command line below it.
const PAGES: &str = include_str!("examples.txt");

/// The commands that have examples, each with them.
pub(super) fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let pages = PAGES.split("== ").filter_map(|page| page.split_once('\n'));
    pages.map(|(command, examples)| (command, examples.trim_end()))
}

/// The examples of a command, by its whole name such as `truing rules list`.
pub(super) fn of(command: &str) -> Option<&'static str> {
    pages().find(|(name, _)| *name == command).map(|(_, examples)| examples)
}
