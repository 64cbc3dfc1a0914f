//! Defines the command line: the global flags, the list of commands, and the steps before and after every
//! command. Each command has its own file in the folder `cli`, with the command's name, its arguments and a
//! `run` function.
//!
//! To add a command, add a variant to `CliCommand` and its arm to `CliCommand::run`.

pub mod backup;
pub mod breaker;
pub mod budget;
mod columns;
pub mod completions;
pub mod config;
mod context;
pub mod converge;
#[cfg(feature = "demo")]
pub mod demo;
mod destination;
pub mod diff;
pub mod dismiss;
pub mod error;
mod examples;
pub mod findings;
pub mod gate;
mod globals;
pub mod help;
pub mod init;
mod json_lines;
pub mod kill;
pub mod log;
pub mod logging;
pub mod man;
pub mod mcp;
pub mod output;
mod period_start;
pub mod policy;
pub mod preflight;
pub mod prompts;
pub mod queue;
mod reader;
pub mod report;
pub mod retract;
pub mod review;
pub mod rules;
mod run_failure;
mod runner_commands;
mod runtime;
pub mod sandbox;
pub mod serve;
pub mod status;
pub mod store;
pub mod sync;
mod target;
mod tiers;
pub mod verify;
pub mod why;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{EnumValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use context::CommandContext;
pub use globals::{CliFormat, ColorWhen, GlobalArgs};

use error::{CliError, CommandExit};
use logging::LogStyle;
use output::OutputPrinter;
use truing_config::environment::Environment;

/// The arguments of the whole program.
#[derive(Parser, Debug)]
#[command(
    name = "truing",
    version,
    about = "Review pull requests, fix what is found, and follow upstream packages, within limits that you \
         set",
    propagate_version = false,
    infer_subcommands = false,
    disable_help_subcommand = true,
    max_term_width = 80
)]
struct TruingCli {
    #[command(flatten)]
    globals: GlobalArgs,
    #[command(subcommand)]
    command: CliCommand,
}

/// The commands.
#[derive(Subcommand, Debug)]
enum CliCommand {
    Review(review::ReviewArgs),
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    #[command(hide = true)]
    Reader(reader::ReaderArgs),
    Serve(serve::ServeArgs),
    Status(status::StatusArgs),
    Why(why::WhyArgs),
    #[command(visible_alias = "slots")]
    Queue(queue::QueueArgs),
    Kill(kill::KillArgs),
    Log(log::LogArgs),
    Policy(policy::PolicyArgs),
    Sandbox(sandbox::SandboxArgs),
    Retract(retract::RetractArgs),
    Report(report::ReportArgs),
    Budget(budget::BudgetArgs),
    Sync(sync::SyncArgs),
    Breaker(breaker::BreakerArgs),
    Converge(converge::ConvergeArgs),
    Watch(converge::WatchArgs),
    Audit(converge::AuditArgs),
    Dismiss(dismiss::DismissArgs),
    Verify(verify::VerifyArgs),
    Gate(gate::GateArgs),
    Preflight(preflight::PreflightArgs),
    Backup(backup::BackupArgs),
    Store(store::StoreArgs),
    Mcp(mcp::McpArgs),
    Diff(diff::DiffArgs),
    Findings(findings::FindingsArgs),
    Rules(rules::RulesArgs),
    Prompts(prompts::PromptsArgs),
    Init(init::InitArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    Help(help::HelpArgs),
}

impl CliCommand {
    /// Runs the command and returns the exit code of the process.
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(args) => demo::run(args, context),
            Self::Review(args) => review::run(args, context),
            Self::Reader(args) => reader::run(args, context),
            Self::Serve(args) => serve::run(args, context),
            Self::Status(args) => status::run(args, context),
            Self::Why(args) => why::run(args, context),
            Self::Queue(args) => queue::run(args, context),
            Self::Kill(args) => kill::run(args, context),
            Self::Log(args) => log::run(args, context),
            Self::Policy(args) => policy::run(args, context),
            Self::Sandbox(args) => sandbox::run(args, context),
            Self::Retract(args) => retract::run(args, context),
            Self::Report(args) => report::run(args, context),
            Self::Budget(args) => budget::run(args, context),
            Self::Sync(args) => sync::run(args, context),
            Self::Breaker(args) => breaker::run(args, context),
            Self::Converge(args) => converge::run(args, context),
            Self::Watch(args) => converge::run_watch(args, context),
            Self::Audit(args) => converge::run_audit(args, context),
            Self::Dismiss(args) => dismiss::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Gate(args) => gate::run(args, context),
            Self::Preflight(args) => preflight::run(args, context),
            Self::Backup(args) => backup::run(args, context),
            Self::Store(args) => store::run(args, context),
            Self::Mcp(args) => mcp::run(args, context),
            Self::Diff(args) => diff::run(args, context),
            Self::Findings(args) => findings::run(args, context),
            Self::Rules(args) => rules::run(args, context),
            Self::Prompts(args) => prompts::run(args, context),
            Self::Init(args) => init::run(args, context),
            Self::Config(args) => config::run(args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Man(args) => man::run(args, context),
            Self::Help(args) => help::run(args, build_program(), context),
        }
    }

    /// Returns the style of the command's log lines.
    fn log_style(&self) -> LogStyle {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(_) => LogStyle::Human,
            Self::Reader(_) => LogStyle::Human,
            Self::Serve(args) => args.log_style(),
            Self::Review(_)
            | Self::Status(_)
            | Self::Why(_)
            | Self::Queue(_)
            | Self::Kill(_)
            | Self::Log(_)
            | Self::Policy(_)
            | Self::Sandbox(_)
            | Self::Retract(_)
            | Self::Report(_)
            | Self::Budget(_)
            | Self::Sync(_)
            | Self::Breaker(_)
            | Self::Converge(_)
            | Self::Watch(_)
            | Self::Audit(_)
            | Self::Dismiss(_)
            | Self::Verify(_)
            | Self::Gate(_)
            | Self::Preflight(_)
            | Self::Backup(_)
            | Self::Store(_)
            | Self::Diff(_)
            | Self::Mcp(_)
            | Self::Findings(_)
            | Self::Rules(_)
            | Self::Prompts(_)
            | Self::Init(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Help(_) => LogStyle::Human,
        }
    }
}

/// Returns clap's definition of the program. Each command lists only the output formats that it supports.
fn build_program() -> clap::Command {
    let all = TruingCli::command();
    let format = all.get_arguments().find(|argument| argument.get_id() == FORMAT_FLAG).cloned();
    let all = match format {
        Some(format) => all.mut_subcommands(|command| add_format_flags(command, &format, &[])),
        None => all,
    };
    help::with_help_pages(all)
}

/// Name of the flag for the path of the operator's file.
const CONFIG_FLAG: &str = "config";
/// Name of the flag whose values differ between commands.
const FORMAT_FLAG: &str = "format";

/// Adds `--format` to a command and its subcommands. The flag's help lists only the formats that the command
/// supports.
fn add_format_flags(command: clap::Command, format: &clap::Arg, parent_names: &[&str]) -> clap::Command {
    let name = command.get_name().to_owned();
    let words: Vec<&str> = parent_names.iter().copied().chain([name.as_str()]).collect();
    let formats = command_formats(&words);
    let own = format.clone().value_parser(FormatParser(formats)).hide(formats == CliFormat::TEXT_ONLY);
    command.arg(own).mut_subcommands(|below| add_format_flags(below, format, &words))
}

/// Returns the output formats of a command. `command_path` contains the names of the command and its parents,
/// outermost first. If a pattern in the `match` below ends in `..`, it also applies to all subcommands.
fn command_formats(command_path: &[&str]) -> &'static [CliFormat] {
    match command_path {
        ["review"] => CliFormat::FOR_REVIEWS,
        ["rules"] | ["rules", "check"] => CliFormat::FOR_FINDINGS,
        ["report"] => CliFormat::FOR_RUN_REPORTS,
        ["completions" | "man" | "mcp" | "help", ..] | ["sandbox", "run"] | ["policy", "hook"] => {
            CliFormat::TEXT_ONLY
        }
        _ => CliFormat::TEXT_AND_JSON,
    }
}

/// Parses the `--format` of a command. The parser accepts the formats of all commands. [`check_format`] later
/// rejects an unsupported format, with an error that names the supported formats.
#[derive(Clone)]
struct FormatParser(&'static [CliFormat]);

impl TypedValueParser for FormatParser {
    type Value = CliFormat;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<CliFormat, clap::Error> {
        EnumValueParser::<CliFormat>::new().parse_ref(command, argument, value).map_err(|error| {
            let known = PossibleValuesParser::new(self.0.iter().filter_map(CliFormat::to_possible_value));
            known.parse_ref(command, argument, value).err().unwrap_or(error)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().filter_map(CliFormat::to_possible_value)))
    }
}

/// Rejects a format that the command does not support. This check runs before the command does anything.
fn check_format(command_path: &[&str], format: CliFormat) -> Result<(), CliError> {
    let formats = command_formats(command_path);
    if formats.contains(&format) {
        return Ok(());
    }
    let known: Vec<String> = formats.iter().map(|known| format!("`--format {}`", known.name())).collect();
    Err(CliError::usage("unknown_format", format!("this command has no {} output", format.name()))
        .hint(format!("use {}", known.join(" or "))))
}

/// Returns the names of the requested command and subcommands, outermost first.
fn command_names(matches: &ArgMatches) -> Vec<&str> {
    let mut words = Vec::new();
    let mut at = matches;
    while let Some((name, below)) = at.subcommand() {
        words.push(name);
        at = below;
    }
    words
}

/// Returns the values of all arguments except `--config`, because each value may be a path on which the
/// command works.
fn argument_paths(matches: &ArgMatches) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut at = Some(matches);
    while let Some(matches) = at {
        let ids = matches.ids().map(clap::Id::as_str).filter(|id| *id != CONFIG_FLAG);
        // A group of arguments also has an id, but no values.
        let values = ids.filter_map(|id| matches.try_get_raw(id).ok().flatten()).flatten();
        paths.extend(values.map(PathBuf::from));
        at = matches.subcommand().map(|(_, below)| below);
    }
    paths
}

/// Returns the program and its commands, without the hidden commands.
fn visible_program() -> clap::Command {
    let all = build_program();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let bare = clap::Command::new("truing").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    GlobalArgs::augment_args(bare)
        .about(all.get_about().cloned().unwrap_or_default())
        .subcommands(shown.collect::<Vec<_>>())
}

/// Runs the whole program: parses the arguments, runs the command, and prints an error.
pub fn main(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let parsed = build_program()
        .try_get_matches_from(&arguments)
        .and_then(|matches| TruingCli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return handle_parse_error(&remove_hidden_suggestions(error), requested_output(&arguments))
                .into();
        }
    };
    let GlobalArgs { format, quiet, verbose, color, .. } = cli.globals;
    let output = OutputPrinter::new(format, quiet, verbose, color).with_config(cli.globals.config.as_deref());
    let log = logging::start(cli.command.log_style(), output);
    let environment = environment.with_reviewed_paths(argument_paths(&matches));
    let context = CommandContext { globals: cli.globals, environment, output };
    let ended = check_format(&command_names(&matches), format).and_then(|()| cli.command.run(&context));
    // The log is closed before the error is printed, because its last lines may explain the error.
    drop(log);
    ended
        .unwrap_or_else(|error| {
            output.print_error(&error);
            error.exit
        })
        .into()
}

/// Removes hidden commands from the suggestions of a parse error.
fn remove_hidden_suggestions(mut error: clap::Error) -> clap::Error {
    let all = build_program();
    let is_hidden = |name: &String| all.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    if let Some(ContextValue::Strings(mut names)) = error.remove(ContextKind::SuggestedSubcommand) {
        names.retain(|name| !is_hidden(name));
        // Clap lists the most likely suggestion last, so the order is reversed.
        names.reverse();
        if !names.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
        }
    }
    error
}

/// Handles arguments for which clap runs no command: help, version or invalid arguments.
fn handle_parse_error(error: &clap::Error, output: OutputPrinter) -> CommandExit {
    let help = || output.print_data(error.render().ansi());
    let kind = error.kind();
    let answer = if kind == ErrorKind::DisplayHelp || kind == ErrorKind::DisplayVersion {
        help().map(|()| CommandExit::Success)
    } else if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // If no command is given, the help is printed. The exit code reports an error, because a script that
        // passes no command does so by mistake.
        help().map(|()| CommandExit::Usage)
    } else {
        Err(invalid_arguments_error(error))
    };
    answer.unwrap_or_else(|error| {
        output.print_error(&error);
        error.exit
    })
}

/// Converts clap's error text to a message and hints. The text has paragraphs: the problem, tips, the usage,
/// and where to read more.
fn invalid_arguments_error(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut paragraphs = text.split("\n\n");
    let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wrong = CliError::usage("usage", on_one_line(paragraphs.next().unwrap_or_default()));
    let cli_error = paragraphs.flat_map(usage_hints).fold(wrong, CliError::hint);
    if cli_error.hints.is_empty() {
        cli_error.hint("see the arguments of the command: `--help`")
    } else {
        cli_error
    }
}

/// Returns a hint for each tip and for the usage in a paragraph of clap's text.
fn usage_hints(paragraph: &str) -> Vec<String> {
    if let Some(usage) = paragraph.trim().strip_prefix("Usage:") {
        // A usage with several forms has one line for each form.
        let forms: Vec<&str> = usage.trim().lines().map(str::trim).collect();
        return vec![format!("usage: {}", forms.join(", or "))];
    }
    paragraph.lines().filter_map(|line| Some(line.trim().strip_prefix("tip:")?.trim().to_owned())).collect()
}

/// Returns a printer with the format and colour that the arguments request. This function is called if the
/// arguments as a whole cannot be parsed.
fn requested_output(arguments: &[OsString]) -> OutputPrinter {
    let format = last_flag_value(arguments, "--format").unwrap_or_default();
    OutputPrinter::new(format, false, 0, last_flag_value(arguments, "--color").unwrap_or_default())
}

/// Returns the last valid value of a flag that is given as `--flag value` or `--flag=value`. Ignores the
/// arguments after `--`.
fn last_flag_value<T: ValueEnum>(arguments: &[OsString], flag: &str) -> Option<T> {
    let words: Vec<&str> = arguments
        .iter()
        .map_while(|word| match word.to_str() {
            Some("--") => None,
            other => Some(other.unwrap_or_default()),
        })
        .collect();
    let values = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix(flag)? {
        "" => words.get(at + 1).copied(),
        value => value.strip_prefix('='),
    });
    values.filter_map(|value| T::from_str(value, false).ok()).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_not_for_people_are_not_suggested() {
        let hints = |word: &str| {
            let error = build_program().try_get_matches_from(["truing", word]).unwrap_err();
            invalid_arguments_error(&remove_hidden_suggestions(error)).hints.join("\n")
        };
        for word in ["revew", "reade"] {
            assert!(!hints(word).contains("reader"), "{}", hints(word));
        }
        assert!(hints("revew").contains("exist: 'review', 'serve'"), "{}", hints("revew"));
    }
}
