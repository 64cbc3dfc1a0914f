//! The command `truing help`, and the common parts of help pages: the groups of commands, their examples and
//! the exit codes.

use anstyle::Style;

use super::error::{CliError, CommandExit};
use super::{CommandContext, columns, examples};

/// Print the help of a command, or list all commands
#[derive(clap::Args, Debug)]
pub struct HelpArgs {
    /// The command whose help is printed [default: the program]
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
    /// List all commands, also those for scripts
    #[arg(long, conflicts_with = "words")]
    all: bool,
}

/// Name of the program in help pages.
const PROGRAM_NAME: &str = "truing";

/// The title of a task, and its commands in the order in which a user needs them.
type HelpGroup = (&'static str, &'static [&'static str]);

/// Groups that `--help` shows.
const COMMAND_GROUPS: [HelpGroup; 6] = [
    ("Review", &["review", "rules"]),
    ("Converge", &["converge", "audit", "watch", "gate", "preflight", "dismiss"]),
    ("Follow packages", &["sync", "breaker", "verify"]),
    (
        "Operate",
        &["serve", "status", "why", "queue", "kill", "retract", "report", "budget", "log", "backup", "store"],
    ),
    ("Set up", &["init", "config", "completions", "man", "demo"]),
    ("Extend", &["mcp", "prompts", "policy"]),
];
/// Group of commands for scripts, which only `help --all` shows.
const PLUMBING: HelpGroup = ("Plumbing", &["diff", "findings", "sandbox"]);

/// Prints a help page of `program`.
pub(crate) fn run(
    args: &HelpArgs,
    program: clap::Command,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let mut all = match args.all {
        true => with_groups(program, &[COMMAND_GROUPS.as_slice(), &[PLUMBING]].concat()),
        false => program,
    };
    all.build();
    let page = find_command(&all, &args.words)?.clone().render_long_help();
    context.output.print_data(page.ansi())?;
    Ok(CommandExit::Success)
}

/// The exit codes with their meanings, for `--help` and the manual page.
pub(super) const EXIT_CODES: [(&str, &str); 6] = [
    ("0", "done; nothing blocks"),
    ("1", "done, and the answer is no: something blocks, or a check failed"),
    ("2", "wrong use: arguments, configuration or input; nothing was changed"),
    ("3", "failed: git, forge, model, store or sandbox"),
    ("4", "refused by policy: budget, kill switch, already running"),
    ("130", "interrupted; run the command again to continue"),
];

/// Returns the command with the name in `command_path`.
pub(super) fn find_command<'a>(
    program: &'a clap::Command,
    command_path: &[String],
) -> Result<&'a clap::Command, CliError> {
    command_path.iter().try_fold(program, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            CliError::usage("no_command", format!("there is no command `{}`", command_path.join(" ")))
                .hint("see the list of commands: `--help`")
        })
    })
}

/// Returns the program with the help pages of all its commands.
pub(super) fn with_help_pages(program: clap::Command) -> clap::Command {
    let header = *program.get_styles().get_header();
    let program = program.mut_subcommands(|command| with_examples(command, PROGRAM_NAME, header));
    let codes: String =
        EXIT_CODES.iter().map(|(code, meaning)| format!("  {code:<3}  {meaning}\n")).collect();
    let after = format!(
        "{header}Exit codes:{header:#}\n{codes}\n{}\n\n\
         More: `truing help COMMAND`; commands for scripts: `truing help --all`",
        examples_section(examples::for_command(PROGRAM_NAME).unwrap_or_default(), header)
    );
    with_groups(program.after_help(after), &COMMAND_GROUPS)
}

/// Adds examples to the end of the pages of a command and its subcommands.
fn with_examples(command: clap::Command, parent_name: &str, header: Style) -> clap::Command {
    let name = format!("{parent_name} {}", command.get_name());
    let command = match examples::for_command(&name) {
        Some(examples) => command.after_help(examples_section(examples, header)),
        None => command,
    };
    command.mut_subcommands(|below| with_examples(below, &name, header))
}

/// Returns the section of a page that shows examples.
fn examples_section(examples: &str, header: Style) -> String {
    let lines: String = examples.lines().map(|line| format!("\n  {line}")).collect();
    format!("{header}Examples:{header:#}{lines}")
}

/// Returns the program with a help page that lists the commands in `groups`.
fn with_groups(program: clap::Command, groups: &[HelpGroup]) -> clap::Command {
    let styles = program.get_styles().clone();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let width = program.get_subcommands().map(|command| command.get_name().len()).max().unwrap_or_default();
    let line = |command: &clap::Command| {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let styled = format!("{literal}{name}{literal:#}");
        columns::fold_line(&format!("  {name:<width$}  "), &about).replacen(name, &styled, 1)
    };
    let mut list = String::new();
    for (group, names) in groups {
        let lines: String = names.iter().filter_map(|name| program.find_subcommand(name)).map(line).collect();
        list += &format!("{header}{group}:{header:#}\n{lines}\n");
    }
    program.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} \
         {{usage}}\n\n{list}{header}Options:{header:#}\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::build_program;

    /// Returns the full names of a command and all its visible subcommands, including `help`.
    fn command_names(command: &clap::Command, name: &str) -> Vec<String> {
        let is_shown = |below: &&clap::Command| !below.is_hide_set() || below.get_name() == "help";
        let below = command.get_subcommands().filter(is_shown);
        let below = below.flat_map(|below| command_names(below, &format!("{name} {}", below.get_name())));
        [name.to_owned()].into_iter().chain(below).collect()
    }

    /// Returns the help page of a command, for a terminal of 100 columns. Without a width, the environment
    /// variable `COLUMNS` would determine where lines are wrapped.
    fn page(name: &str) -> String {
        let mut all = build_program().term_width(100);
        all.build();
        let words: Vec<String> = name.split_whitespace().skip(1).map(str::to_owned).collect();
        find_command(&all, &words).unwrap().clone().render_long_help().to_string()
    }

    /// Finds calls of this program in a command line. Returns the words of each call, split as in a shell.
    fn program_calls(line: &str) -> Vec<Vec<String>> {
        let (mut calls, mut words, mut word, mut quote) = (Vec::new(), Vec::new(), None, None);
        for char in line.chars() {
            match (char, quote) {
                (_, Some(open)) if char == open => quote = None,
                ('"' | '\'', None) => {
                    word.get_or_insert_default();
                    quote = Some(char);
                }
                (' ' | '|' | '<' | '>', None) => {
                    words.extend(word.take());
                    if char != ' ' {
                        calls.push(std::mem::take(&mut words));
                    }
                }
                _ => String::push(word.get_or_insert_default(), char),
            }
        }
        words.extend(word);
        calls.push(words);
        calls.retain(|words: &Vec<String>| words.first().is_some_and(|first| first == PROGRAM_NAME));
        calls
    }

    #[test]
    fn every_page_has_two_examples_that_the_command_takes() {
        let all = build_program();
        for name in command_names(&all, PROGRAM_NAME) {
            let examples = examples::for_command(&name).unwrap_or_else(|| panic!("`{name}` has no examples"));
            assert!(examples.lines().all(|line| line.len() <= 78), "{examples}");
            let shown: Vec<&str> = examples.split("# ").skip(1).collect();
            assert_eq!(shown.len(), 2, "{name}: {shown:?}");
            for example in shown {
                let (_, line) = example.split_once('\n').unwrap();
                let calls = program_calls(&line.replace('\n', ""));
                let [call] = calls.as_slice() else { panic!("{line}: {calls:?}") };
                let parsed = all.clone().try_get_matches_from(call);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(call.join(" ").starts_with(&name), "{name}: {line}");
            }
            let lines: Vec<String> = examples.lines().map(|line| format!("  {line}\n")).collect();
            let section = format!("\nExamples:\n{}", lines.concat());
            let page = page(&name);
            let is_last = page.trim_end().ends_with(section.trim());
            assert!(is_last || name == PROGRAM_NAME && page.contains(&section), "{page}");
        }
    }

    #[test]
    #[cfg(feature = "demo")]
    fn each_example_is_of_a_command_that_there_is() {
        let names = command_names(&build_program(), PROGRAM_NAME);
        for (command, _) in examples::command_examples() {
            assert!(names.iter().any(|name| name == command), "{command}");
        }
    }

    #[test]
    fn every_command_is_in_one_group() {
        let all = build_program();
        let groups = COMMAND_GROUPS.iter().chain([&PLUMBING]);
        let listed: Vec<&str> = groups.flat_map(|(_, names)| *names).copied().collect();
        for command in all.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert_eq!(listed.iter().filter(|listed| **listed == name).count(), 1, "{name}");
        }
    }
}
