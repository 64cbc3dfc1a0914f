//! The format of a grammar file: one program, its commands, and groups of flags that several commands share.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::command::{CommandSpec, FlagArgument, FlagSet, LeadingOperand, ShortFlagStyle, TailSpec};
use super::limits;
use crate::nesting::is_too_deep;

/// One file of a policy: a grammar, a profile or a list of paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyFile {
    /// Path below the policy's folder, such as `grammar/make.toml`.
    pub name: String,
    /// Path as displayed to users.
    pub display_path: String,
    /// Text of the file.
    pub text: String,
}

/// An error in a file of a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}{}: {message}", .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct PolicyFileError {
    /// File as displayed to users.
    pub file: String,
    /// Number of the line, counted from 1.
    pub line: Option<usize>,
    /// Description of the error and its correction.
    pub message: String,
}

impl PolicyFile {
    /// Creates a file that Truing ships.
    pub(crate) fn from_shipped(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), display_path: format!("truing's own {name}"), text: text.to_owned() }
    }

    /// Creates an error that names the line at which a byte range of the text begins.
    pub(crate) fn error(&self, span: Option<Range<usize>>, message: impl Into<String>) -> PolicyFileError {
        let before = span.and_then(|span| self.text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        PolicyFileError { file: self.display_path.clone(), line, message: message.into() }
    }

    /// Parses the text as TOML into a type.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PolicyFileError> {
        if is_too_deep(&self.text) {
            return Err(self.error(None, "the values of the file are nested too deeply"));
        }
        toml::from_str(&self.text).map_err(|error| self.error(error.span(), error.message()))
    }
}

/// Class of a command: it only reads the repository's files, or it runs the repository's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandClass {
    /// The command only reads the repository, or rewrites files by rules that are built into the program.
    Reads,
    /// The command runs the repository's code: tests, build scripts or hooks.
    RunsCode,
}

/// The format of one grammar file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrammarFile {
    /// Names of the program. Policy rules use the first name.
    programs: Spanned<Vec<String>>,
    /// Style of the program's short flags.
    #[serde(rename = "short")]
    short_flag_style: ShortFlagStyle,
    /// Class of each command that has no `class` of its own in the file.
    class: Spanned<CommandClass>,
    /// Named groups of flags.
    #[serde(default)]
    group: BTreeMap<String, FlagTable>,
    command: Vec<CommandTable>,
}

/// Flags by their names.
type FlagTable = BTreeMap<Spanned<String>, FlagArgument>;

/// The format of one command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandTable {
    /// Names of the program, if they differ from the names at the top of the file.
    programs: Option<Spanned<Vec<String>>>,
    /// Words after the program that name the command.
    #[serde(default)]
    words: Vec<Spanned<String>>,
    /// Class of the command, if it differs from the class at the top of the file.
    class: Option<Spanned<CommandClass>>,
    /// Names of the groups of flags that the command accepts in addition to its own flags.
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    /// Flags that the command lists itself, in addition to the flags of its groups.
    #[serde(default)]
    flags: FlagTable,
    /// Type of the first operand, if it differs from the type of the other operands.
    pattern: Option<Spanned<LeadingOperand>>,
    /// Type of the operands. Without a type, the command accepts no operands.
    operands: Option<Spanned<super::ValueType>>,
    /// Flags that permit operands: operands are accepted only if one of these flags is present. Empty if
    /// operands are always permitted.
    #[serde(default)]
    operands_with: Vec<String>,
    /// Words that the first operand must not be.
    #[serde(default)]
    operands_not: Vec<String>,
    /// Flags and operands permitted after `--`; `None` if nothing may follow `--`.
    after_dashes: Option<TailTable>,
    /// True if the words from the first operand on are another command line, which the command runs.
    runs: Option<Spanned<bool>>,
}

/// The format of the part after `--`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TailTable {
    #[serde(default)]
    flags: FlagTable,
    operands: Option<Spanned<super::ValueType>>,
}

/// Reads the commands of a grammar file. The commands of an operator's file must respect the limits of
/// grammars. For a file that Truing ships, `shipped` is `None`, and no limits apply. Flags and types that
/// `shipped` lists for the same command are permitted despite the limits.
///
/// # Errors
/// All errors of the file.
pub(super) fn read_commands(
    file: &PolicyFile,
    shipped: Option<&[CommandSpec]>,
) -> Result<Vec<CommandSpec>, Vec<PolicyFileError>> {
    let GrammarFile { programs, short_flag_style: short, class, group, command } =
        file.parse().map_err(|error| vec![error])?;
    let mut problems = Vec::new();
    let mut commands = Vec::new();
    for form in command {
        let mut wrong = |at: Range<usize>, message: String| problems.push(file.error(Some(at), message));
        let programs = form.programs.as_ref().unwrap_or(&programs);
        if programs.get_ref().is_empty() {
            wrong(programs.span(), "a command needs a program".to_owned());
            continue;
        }
        let command_class = form.class.as_ref().unwrap_or(&class);
        let mut flags = form.flags;
        for name in &form.groups {
            match group.get(name.get_ref()) {
                Some(known) => flags.extend(known.clone()),
                None => wrong(name.span(), format!("the file defines no group {:?}", name.get_ref())),
            }
        }
        let tail = form.after_dashes.unwrap_or(TailTable { flags: FlagTable::new(), operands: None });
        for name in flags.keys().chain(tail.flags.keys()) {
            if !is_flag_name(name.get_ref()) {
                wrong(name.span(), format!("{:?} is not a valid flag name", name.get_ref()));
            }
        }
        let known = |flags: &FlagTable| {
            flags.iter().map(|(name, takes)| (name.get_ref().clone(), takes.clone())).collect()
        };
        let has_tail = !tail.flags.is_empty() || tail.operands.is_some();
        let built = CommandSpec {
            programs: programs.get_ref().clone(),
            name_words: form.words.iter().map(|word| word.get_ref().clone()).collect(),
            class: *command_class.get_ref(),
            file: file.display_path.clone(),
            flags: FlagSet::new(known(&flags), short),
            leading_operand: form.pattern.as_ref().map(|pattern| pattern.get_ref().clone()),
            operands: form.operands.as_ref().map(|kind| kind.get_ref().clone()),
            operand_enabling_flags: form.operands_with,
            refused_first_operands: form.operands_not,
            tail: has_tail.then(|| TailSpec {
                flags: FlagSet::new(known(&tail.flags), short),
                operands: tail.operands.as_ref().map(|kind| kind.get_ref().clone()),
            }),
            runs_inner_command: form.runs.as_ref().is_some_and(|runs| *runs.get_ref()),
        };
        if let Some(shipped) = shipped {
            for (part, message) in limits::violations(&built, shipped) {
                let at = match part {
                    limits::CommandPart::Program => Some(programs.span()),
                    limits::CommandPart::Class => Some(command_class.span()),
                    limits::CommandPart::Word(at) => form.words.get(at).map(Spanned::span),
                    limits::CommandPart::Flag(name) => flag_span(&flags, &name),
                    limits::CommandPart::TailFlag(name) => flag_span(&tail.flags, &name),
                    limits::CommandPart::Pattern => form.pattern.as_ref().map(Spanned::span),
                    limits::CommandPart::Operands => form.operands.as_ref().map(Spanned::span),
                    limits::CommandPart::TailOperands => tail.operands.as_ref().map(Spanned::span),
                    limits::CommandPart::RunsCode => form.runs.as_ref().map(Spanned::span),
                };
                wrong(at.unwrap_or_else(|| programs.span()), message);
            }
        }
        commands.push(built);
    }
    if problems.is_empty() { Ok(commands) } else { Err(problems) }
}

fn flag_span(flags: &FlagTable, name: &str) -> Option<Range<usize>> {
    flags.keys().find(|flag| flag.get_ref() == name).map(Spanned::span)
}

fn is_flag_name(name: &str) -> bool {
    name.starts_with('-')
        && name.len() > 1
        && !name.contains(['=', ' '])
        && !name.chars().any(char::is_control)
}
