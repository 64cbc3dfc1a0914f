//! Limits of operators' grammars (`crates/core/grammar/limits.toml`). The limits exclude programs that start
//! other programs. They also exclude flags and texts that may name a command, a rule file, an output path or
//! a server.
//!
//! Pure functions. The flags of the shipped grammars were reviewed one by one (`tests/data/policy/flags`).

use std::sync::LazyLock;

use serde::Deserialize;

use super::ValueType;
use super::command::{CommandSpec, FlagArgument, FlagSet, ShortFlagStyle};
use super::file::CommandClass;
use super::kind::{NamedType, REFUSED_MODULES};

/// The format of the data file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrammarLimitsFile {
    /// Programs that no grammar may list.
    programs: Vec<String>,
    /// Interpreters, each with the word that makes the interpreter run a module (`-m`).
    interpreter: Vec<InterpreterLimit>,
    /// Folders of the clone: a grammar may list programs in these folders.
    folders: Vec<String>,
    /// Flags that no grammar may list.
    flags: Vec<String>,
    /// Flags whose value may be any expression, because the expression only selects tests.
    text_flags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterpreterLimit {
    programs: Vec<String>,
    /// First word that each command of the interpreter must have; `None` if a grammar may list no command of
    /// the interpreter.
    word: Option<String>,
}

/// A part of a command that is not permitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommandPart {
    Program,
    Class,
    /// Word at this index.
    Word(usize),
    Flag(String),
    TailFlag(String),
    Pattern,
    Operands,
    TailOperands,
    RunsCode,
}

fn limits() -> &'static GrammarLimitsFile {
    static LIMITS: LazyLock<GrammarLimitsFile> = LazyLock::new(|| {
        // A test checks that the file is valid. If the file were invalid, the list of folders would be empty,
        // and every program would be refused.
        toml::from_str(include_str!("../../grammar/limits.toml")).unwrap_or_else(|_| GrammarLimitsFile {
            programs: Vec::new(),
            interpreter: Vec::new(),
            folders: Vec::new(),
            flags: Vec::new(),
            text_flags: Vec::new(),
        })
    });
    &LIMITS
}

/// Returns the parts of an operator's command that are not permitted, each with the reason. `shipped`
/// contains Truing's own commands.
///
/// A command of class `reads` must be one of Truing's own commands. The operator's command may add no flags
/// or operands to Truing's command, because any flag may start a program. Commands of class `runs_code` run
/// in the sandbox, like the repository's code.
pub(super) fn violations(command: &CommandSpec, shipped: &[CommandSpec]) -> Vec<(CommandPart, String)> {
    let own_flags = shipped.iter().find(|own_flags| own_flags.name() == command.name());
    let mut found = Vec::new();
    let class_fault = class_violation(command, own_flags);
    // If the class is not permitted, the class is reported. The flags are then not checked against the rules
    // of the class `reads`.
    let reads = command.class == CommandClass::Reads && class_fault.is_none();
    for program in &command.programs {
        let is_own = own_flags.is_some_and(|own_flags| own_flags.programs.contains(program));
        // A program in a folder of the clone always counts as running code, even if the grammar gives its
        // command the class `reads`.
        let fault = match is_own {
            true => None,
            false if reads && !program.contains('/') => Some(format!(
                "Truing's own grammar of `{}` has no program {program:?}: a command with this program \
                    needs the class `runs_code`",
                command.name()
            )),
            false => program_violation(program, command, shipped),
        };
        found.extend(fault.map(|what| (CommandPart::Program, what)));
    }
    if own_flags.is_none() {
        let wrong = command.name_words.iter().enumerate().filter(|(at, word)| !is_plain_word(*at, word));
        found.extend(wrong.map(|(at, word)| {
            (CommandPart::Word(at), format!("{word:?} is not a valid word in the name of a command"))
        }));
    }
    found.extend(class_fault.map(|what| (CommandPart::Class, what)));
    let flags_of =
        |flags: &FlagSet, own_flags: Option<&FlagSet>, to_part: fn(String) -> CommandPart| -> Vec<_> {
            let is_own = |name: &String, takes| {
                own_flags.is_some_and(|own_flags| own_flags.flags.get(name) == Some(takes))
            };
            let more = flags.flags.iter().filter(|(name, takes)| !is_own(name, takes));
            let fault = |(name, takes): (&String, &FlagArgument)| match reads {
                true => Some(format!(
                    "`{}` has no flag {name} of this type in Truing's own grammar: a command with this flag \
                    needs the class `runs_code`",
                    command.name()
                )),
                false => flag_violation(name, takes, flags.short_flag_style),
            };
            more.filter_map(|(name, takes)| Some((to_part(name.clone()), fault((name, takes))?))).collect()
        };
    found.extend(flags_of(&command.flags, own_flags.map(|own_flags| &own_flags.flags), CommandPart::Flag));
    let own_tail = own_flags.and_then(|own_flags| own_flags.tail.as_ref());
    if let Some(tail) = &command.tail {
        found.extend(flags_of(&tail.flags, own_tail.map(|tail| &tail.flags), CommandPart::TailFlag));
        let own_flags = own_tail.and_then(|own_flags| own_flags.operands.as_ref());
        let fault = operand_violation(tail.operands.as_ref(), own_flags, reads);
        found.extend(fault.map(|what| (CommandPart::TailOperands, what)));
    }
    let fault = operand_violation(
        command.operands.as_ref(),
        own_flags.and_then(|own_flags| own_flags.operands.as_ref()),
        reads,
    );
    found.extend(fault.map(|what| (CommandPart::Operands, what)));
    let pattern = command.leading_operand.as_ref().map(|pattern| &pattern.is);
    let own_pattern = own_flags.and_then(|own_flags| own_flags.leading_operand.as_ref());
    let fault = operand_violation(pattern, own_pattern.map(|pattern| &pattern.is), reads);
    found.extend(fault.map(|what| (CommandPart::Pattern, what)));
    if let Some(own_flags) = own_flags {
        found.extend(loosened_parts(command, own_flags));
    }
    if command.runs_inner_command && !own_flags.is_some_and(|own_flags| own_flags.runs_inner_command) {
        let what = "only Truing's own grammar may define a command that runs another command";
        found.push((CommandPart::RunsCode, what.to_owned()));
    }
    found
}

/// Returns the reason why the command must not have the class that its grammar gives; `None` if the class is
/// permitted.
fn class_violation(command: &CommandSpec, shipped: Option<&CommandSpec>) -> Option<String> {
    let name = command.name();
    match (command.class, shipped.map(|shipped| shipped.class)) {
        (CommandClass::RunsCode, _) | (CommandClass::Reads, Some(CommandClass::Reads)) => None,
        (CommandClass::Reads, Some(CommandClass::RunsCode)) => {
            Some(format!("`{name}` runs code of the repository: set its class to `runs_code`"))
        }
        (CommandClass::Reads, None) => Some(format!(
            "Truing does not know `{name}`, which may start other programs: set its class to `runs_code`"
        )),
    }
}

/// Returns the parts of the operator's command that lack a restriction of Truing's own command, each with the
/// reason.
fn loosened_parts(command: &CommandSpec, shipped: &CommandSpec) -> Vec<(CommandPart, String)> {
    let mut found = Vec::new();
    if shipped.runs_inner_command && !command.runs_inner_command {
        let what = "the command runs another command line: set `runs = true`";
        found.push((CommandPart::RunsCode, what.to_owned()));
    }
    if command.operands.is_none() && command.leading_operand.is_none() {
        return found;
    }
    if !shipped.refused_first_operands.iter().all(|word| command.refused_first_operands.contains(word)) {
        let what = format!(
            "the program treats some operands as commands: set `operands_not = {:?}`",
            shipped.refused_first_operands
        );
        found.push((CommandPart::Operands, what));
    }
    let flags = &command.operand_enabling_flags;
    let is_free = flags.is_empty() || !flags.iter().all(|flag| shipped.operand_enabling_flags.contains(flag));
    if !shipped.operand_enabling_flags.is_empty() && is_free {
        let what = format!(
            "the command accepts operands only together with some flags: set `operands_with = {:?}`",
            shipped.operand_enabling_flags
        );
        found.push((CommandPart::Operands, what));
    }
    if let (Some(pattern), Some(shipped)) = (&command.leading_operand, &shipped.leading_operand) {
        let mut listed =
            shipped.excluding_flags.iter().filter(|flag| command.flags.flags.contains_key(*flag));
        if !listed.all(|flag| pattern.excluding_flags.contains(flag)) {
            let what = format!(
                "with some flags, the command must reject the pattern: set `unless = {:?}`",
                shipped.excluding_flags
            );
            found.push((CommandPart::Pattern, what));
        }
    }
    found
}

/// Returns the reason why operands must not have this type; `None` if the type is permitted.
fn operand_violation(
    kind: Option<&ValueType>,
    shipped_kind: Option<&ValueType>,
    is_read_only: bool,
) -> Option<String> {
    let kind = kind.filter(|kind| shipped_kind != Some(*kind))?;
    match is_read_only {
        true => Some(
            "Truing's own grammar has operands of another type: a command with these operands needs the \
                class `runs_code`"
                .to_owned(),
        ),
        false => value_type_violation(kind),
    }
}

/// Returns the reason why no grammar may list this program; `None` if the program is permitted.
fn program_violation(program: &str, command: &CommandSpec, shipped: &[CommandSpec]) -> Option<String> {
    let limits = limits();
    let in_folder = limits.folders.iter().find_map(|folder| program.strip_prefix(folder.as_str()));
    let name = in_folder.unwrap_or(program);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.+-".contains(letter));
    if !is_name {
        let folders = limits.folders.join(", ");
        return Some(format!("{program:?} is neither a plain program name nor a path below {folders}"));
    }
    let bare = bare_name(name);
    if limits.folders.is_empty() || limits.programs.contains(&bare) {
        return Some(format!(
            "{program:?} starts other programs, or reaches the network: no grammar may list it"
        ));
    }
    let Some(interpreter) = limits.interpreter.iter().find(|one| one.programs.contains(&bare)) else {
        let of_program = |own: &&CommandSpec| own.is_program(name) || own.is_program(&bare);
        let is_known = shipped.iter().any(|own| of_program(&own));
        let is_listed = shipped.iter().filter(of_program).any(|own| own.name_words() == command.name_words());
        return (is_known && !is_listed).then(|| {
            let line = std::iter::once(name).chain(command.name_words.iter().map(String::as_str));
            let line = line.collect::<Vec<_>>().join(" ");
            format!(
                "`{line}` is not one of the commands of {name:?} that Truing knows: list the command line \
                    in `verify.check`, which allows exactly this line"
            )
        });
    };
    let first = command.name_words.first().filter(|word| Some(*word) == interpreter.word.as_ref());
    let module = command.name_words.get(1).and_then(|module| module.split('.').next());
    let is_refused = |module: &str| REFUSED_MODULES.contains(&module);
    match (&interpreter.word, first, module) {
        (Some(_), Some(_), Some(module)) if !is_refused(module) => None,
        (Some(word), _, _) => Some(format!(
            "{program:?} runs arbitrary commands: its commands must begin with {word:?} and the name of a \
            module other than {}",
            REFUSED_MODULES.join(", ")
        )),
        (None, _, _) => Some(format!("{program:?} runs arbitrary commands: no grammar may list it")),
    }
}

/// Returns a program's name without version or `.exe`, in lower case: `Python3.12` becomes `python`.
fn bare_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let name = lower.trim_end_matches(".exe").trim_end_matches(".cmd").trim_end_matches(".bat");
    name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-').to_owned()
}

/// Returns true for a word of letters, digits and `_ . : -`. At position 0, the flag `-m` is accepted, too.
fn is_plain_word(position: usize, word: &str) -> bool {
    let begins = word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_module_flag = position == 0 && word == "-m";
    is_module_flag
        || begins && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.:-".contains(letter))
}

/// Returns the reason why no command may have this flag; `None` if the flag is permitted.
fn flag_violation(name: &str, argument: &FlagArgument, short_flag_style: ShortFlagStyle) -> Option<String> {
    let limits = limits();
    let letters = normalized_flag(name);
    let is_refused = |refused_flag: &String| match refused_flag.strip_prefix("--") {
        Some(_) => letters == normalized_flag(refused_flag),
        // If a program's short flags are whole words, `-Dname` is the flag `-D` with the value `name`. Such a
        // flag is refused like `-D` itself.
        None => {
            name == refused_flag
                || short_flag_style == ShortFlagStyle::WholeWord
                    && ["-D", "-I", "-X"].contains(&refused_flag.as_str())
                    && name.starts_with(refused_flag.as_str())
        }
    };
    if limits.flags.iter().any(is_refused) {
        return Some(format!(
            "{name:?} may select a command, a file of rules, an output path, a variable or a server: no \
                grammar may list this flag"
        ));
    }
    let kind = match argument {
        FlagArgument::Nothing(_) => return None,
        FlagArgument::Value(kind)
        | FlagArgument::Optional { optional: kind }
        | FlagArgument::Attached { attached: kind } => kind,
    };
    let is_expression = matches!(kind, ValueType::Named(NamedType::Expression));
    if is_expression && limits.text_flags.iter().any(|flag| flag == name) {
        return None;
    }
    value_type_violation(kind)
}

/// Returns a flag without dashes and underscores, in lower case: `--Config_File` becomes `configfile`.
fn normalized_flag(name: &str) -> String {
    name.chars().filter(|letter| !"-_".contains(*letter)).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Returns the reason why values of this type are not permitted; `None` if they are.
fn value_type_violation(kind: &ValueType) -> Option<String> {
    match kind {
        ValueType::OneOf(words) if words.is_empty() => {
            Some("a list of values must contain at least one value".to_owned())
        }
        ValueType::OneOf(words) => {
            let wrong = words.iter().find(|word| !is_plain_value(word))?;
            Some(format!(
                "{wrong:?} is not a plain value: use letters, digits and, except at the beginning, `_ . , \
                    : + - / @`"
            ))
        }
        ValueType::Named(_) if is_free_text(kind) => Some(
            "a program may treat free text as a command or a file: use `word`, `path` or a list of values, \
                or `expression` for a flag that selects tests"
                .to_owned(),
        ),
        ValueType::Named(_) => None,
    }
}

fn is_plain_value(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.,:+-/@".contains(letter))
        && !word.split('/').any(|part| part == "..")
}

fn is_free_text(kind: &ValueType) -> bool {
    match kind {
        ValueType::OneOf(_) => false,
        ValueType::Named(
            NamedType::Text
            | NamedType::Format
            | NamedType::Expression
            | NamedType::Filter
            | NamedType::Session
            | NamedType::Surefire
            // Another program may read `NAME==VERSION` as an assignment.
            | NamedType::PinnedRequirement,
        ) => true,
        ValueType::Named(
            NamedType::Number
            | NamedType::SmallNumber
            | NamedType::Time
            | NamedType::Percent
            | NamedType::Word
            | NamedType::Path
            | NamedType::Glob
            | NamedType::Pathspec
            | NamedType::Package
            | NamedType::Lines
            | NamedType::Test
            | NamedType::Revision
            | NamedType::Target
            | NamedType::Task
            | NamedType::Tag
            | NamedType::Module
            | NamedType::Requirement,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read() {
        toml::from_str::<GrammarLimitsFile>(include_str!("../../grammar/limits.toml")).unwrap();
    }

    #[test]
    fn a_program_is_named_without_its_version() {
        for (name, bare) in
            [("Python3.12", "python"), ("bash", "bash"), ("sh.exe", "sh"), ("node-22", "node")]
        {
            assert_eq!(bare_name(name), bare);
        }
    }
}
