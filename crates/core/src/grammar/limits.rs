//! Limits of operators' grammars (`crates/core/grammar/limits.toml`): shells and programs that start
//! others, flags that name a command, another file of rules, a place to write or a server, and text where a program may take it for
//! any of these. Pure; the shipped grammars were judged flag by flag (`tests/data/policy/flags`).

use std::sync::LazyLock;

use serde::Deserialize;

use super::Kind;
use super::command::{Command, Flags, Takes};
use super::file::CommandClass;
use super::kind::Named;

/// The form of the data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    /// Programs that are no program of a grammar.
    programs: Vec<String>,
    /// Programs that run what they are given, and the words with which they run something of a name.
    interpreter: Vec<InterpreterLimit>,
    /// Folders of a clone whose programs may be named.
    folders: Vec<String>,
    /// Flags that no command has.
    flags: Vec<String>,
    /// Flags that may take text: it chooses by a pattern.
    text_flags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterpreterLimit {
    programs: Vec<String>,
    /// The first word that a command of it has to have; none: it has no command.
    word: Option<String>,
    /// Second words that it may not have.
    #[serde(default)]
    not: Vec<String>,
}

/// A part of a command that is not allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CommandPart {
    Program,
    /// The word at this place.
    Word(usize),
    Flag(String),
    TailFlag(String),
    Pattern,
    Operands,
    TailOperands,
    Runs,
}

fn limits() -> &'static LimitsFile {
    static LIMITS: LazyLock<LimitsFile> = LazyLock::new(|| {
        // A test reads the file. A wrong one leaves no folders, and without folders no program is accepted.
        toml::from_str(include_str!("../../grammar/limits.toml")).unwrap_or_else(|_| LimitsFile {
            programs: Vec::new(),
            interpreter: Vec::new(),
            folders: Vec::new(),
            flags: Vec::new(),
            text_flags: Vec::new(),
        })
    });
    &LIMITS
}

/// The parts of an operator's command that are not allowed, each with the reason; `shipped` is Truing's own of the same name.
pub(super) fn violations(command: &Command, shipped: Option<&Command>) -> Vec<(CommandPart, String)> {
    let mut found = Vec::new();
    for program in &command.programs {
        if !shipped.is_some_and(|shipped| shipped.programs.contains(program))
            && let Some(what) = program_fault(program, &command.words)
        {
            found.push((CommandPart::Program, what));
        }
    }
    if shipped.is_none() {
        let wrong = command.words.iter().enumerate().filter(|(at, word)| !is_plain_word(*at, word));
        found.extend(
            wrong.map(|(at, word)| {
                (CommandPart::Word(at), format!("{word:?} is no word that names a command"))
            }),
        );
    }
    let flags_of = |flags: &Flags, own: Option<&Flags>, part: fn(String) -> CommandPart| -> Vec<_> {
        let is_shipped = |name: &String, takes| own.is_some_and(|own| own.known.get(name) == Some(takes));
        let judged = flags.known.iter().filter(|(name, takes)| !is_shipped(name, takes));
        judged.filter_map(|(name, takes)| Some((part(name.clone()), flag_fault(name, takes)?))).collect()
    };
    found.extend(flags_of(&command.flags, shipped.map(|shipped| &shipped.flags), CommandPart::Flag));
    let own_tail = shipped.and_then(|shipped| shipped.tail.as_ref());
    if let Some(tail) = &command.tail {
        found.extend(flags_of(&tail.flags, own_tail.map(|tail| &tail.flags), CommandPart::TailFlag));
        let is_shipped = own_tail.is_some_and(|own| own.operands == tail.operands);
        let fault = tail.operands.as_ref().filter(|_| !is_shipped).and_then(value_fault);
        found.extend(fault.map(|what| (CommandPart::TailOperands, what)));
    }
    let operands = command.operands.as_ref();
    let is_shipped = shipped.is_some_and(|shipped| shipped.operands == command.operands);
    found.extend(
        operands.filter(|_| !is_shipped).and_then(value_fault).map(|what| (CommandPart::Operands, what)),
    );
    let pattern = command.pattern.as_ref().map(|pattern| &pattern.is);
    let own = shipped.and_then(|shipped| shipped.pattern.as_ref()).map(|pattern| &pattern.is);
    let fault = pattern.filter(|pattern| own != Some(*pattern)).and_then(value_fault);
    found.extend(fault.map(|what| (CommandPart::Pattern, what)));
    if command.class == CommandClass::Reads && shipped.is_some_and(|own| own.class == CommandClass::RunsCode)
    {
        let what = format!("`{}` runs code of the repository: its class is `runs_code`", command.name());
        found.push((CommandPart::Program, what));
    }
    if !command.runs && shipped.is_some_and(|shipped| shipped.runs) {
        let what = "the command runs another line of words: it needs `runs = true`";
        found.push((CommandPart::Runs, what.to_owned()));
    }
    if command.runs && !shipped.is_some_and(|shipped| shipped.runs) {
        let what = "a command that runs another line of words is Truing's alone to know";
        found.push((CommandPart::Runs, what.to_owned()));
    }
    found
}

/// The reason for which a program may not be named.
fn program_fault(program: &str, words: &[String]) -> Option<String> {
    let limits = limits();
    let in_folder = limits.folders.iter().find_map(|folder| program.strip_prefix(folder.as_str()));
    let name = in_folder.unwrap_or(program);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.+-".contains(letter));
    if !is_name {
        let folders = limits.folders.join(", ");
        return Some(format!("{program:?} is no bare name of a program, nor one below {folders}"));
    }
    let bare = bare_name(name);
    if limits.folders.is_empty() || limits.programs.contains(&bare) {
        return Some(format!(
            "{program:?} starts other programs, or reaches the network: no grammar may list it"
        ));
    }
    let interpreter = limits.interpreter.iter().find(|one| one.programs.contains(&bare))?;
    let first = words.first().filter(|word| Some(*word) == interpreter.word.as_ref());
    let second = words.get(1);
    match (&interpreter.word, first, second) {
        (Some(_), Some(_), Some(module)) if !interpreter.not.contains(module) => None,
        (Some(word), _, _) => Some(format!(
            "{program:?} runs whatever it is given: its commands begin with {word:?} and one name, and not {}",
            interpreter.not.join(", ")
        )),
        (None, _, _) => Some(format!("{program:?} runs whatever it is given: no grammar may list it")),
    }
}

/// A program's name without a version or `.exe`, in lower case: `Python3.12` is `python`.
fn bare_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let name = lower.trim_end_matches(".exe").trim_end_matches(".cmd").trim_end_matches(".bat");
    name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-').to_owned()
}

/// A word of letters, digits and `_ . : -`; a flag is one only at the first place.
fn is_plain_word(at: usize, word: &str) -> bool {
    let begins = word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_module_flag = at == 0 && word == "-m";
    is_module_flag
        || begins && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.:-".contains(letter))
}

/// The reason for which a command may not have a flag.
fn flag_fault(name: &str, takes: &Takes) -> Option<String> {
    let limits = limits();
    if limits.flags.iter().any(|refused| refused == name) {
        return Some(format!(
            "{name:?} may name a command, a file of rules, a place to write, a variable or a server: no grammar may list it"
        ));
    }
    let kind = match takes {
        Takes::Nothing(_) => return None,
        Takes::Value(kind) | Takes::Optional { optional: kind } | Takes::Attached { attached: kind } => kind,
    };
    if is_free_text(kind) && limits.text_flags.iter().any(|flag| flag == name) {
        return None;
    }
    value_fault(kind)
}

/// The reason for which values of a type may not be taken.
fn value_fault(kind: &Kind) -> Option<String> {
    match kind {
        Kind::OneOf(words) if words.is_empty() => Some("a list of values has at least one".to_owned()),
        Kind::OneOf(words) => {
            let wrong = words.iter().find(|word| !is_plain_value(word))?;
            Some(format!(
                "{wrong:?} is no plain value: letters, digits, and `_ . , : + - / @` not at the beginning"
            ))
        }
        Kind::Named(_) if is_free_text(kind) => Some(
            "text may be a command or a file to a program: take `word`, `path`, or a list of values"
                .to_owned(),
        ),
        Kind::Named(_) => None,
    }
}

fn is_plain_value(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.,:+-/@".contains(letter))
        && !word.split('/').any(|part| part == "..")
}

fn is_free_text(kind: &Kind) -> bool {
    match kind {
        Kind::OneOf(_) => false,
        Kind::Named(Named::Text | Named::Format) => true,
        Kind::Named(
            Named::Number
            | Named::Small
            | Named::Time
            | Named::Percent
            | Named::Word
            | Named::Path
            | Named::Glob
            | Named::Pathspec
            | Named::Package
            | Named::Lines
            | Named::Test
            | Named::Revision
            | Named::Target
            | Named::Requirement,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_read() {
        toml::from_str::<LimitsFile>(include_str!("../../grammar/limits.toml")).unwrap();
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
