//! The grammar of one command, and the check of a command line against it, word by word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::CommandClass;
use super::kind::NamedType;
use super::{CommandRefusal, ValueType};

/// A command: a program, the words that name the command, and its permitted arguments.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    pub(super) programs: Vec<String>,
    pub(super) name_words: Vec<String>,
    pub(super) class: CommandClass,
    /// File that lists the command, as displayed to users.
    pub(super) file: String,
    pub(super) flags: FlagSet,
    pub(super) leading_operand: Option<LeadingOperand>,
    pub(super) operands: Option<ValueType>,
    /// Flags that permit operands: operands are accepted only if one of these flags is present. The list is
    /// empty if operands are always permitted.
    pub(super) operand_enabling_flags: Vec<String>,
    /// Words that are refused as the first operand, because the program interprets them as commands.
    pub(super) refused_first_operands: Vec<String>,
    pub(super) tail: Option<TailSpec>,
    pub(super) runs_inner_command: bool,
}

/// Returns the name that a program may take a first operand for: in lower case, without leading `./` and `/`,
/// without a query, and without a `/` at the end. An address on a server means the same in all these forms.
fn first_operand_name(word: &str) -> String {
    let path = word.split(['?', '#']).next().unwrap_or_default();
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/").to_ascii_lowercase()
}

/// The flags of a command by name, and the style of its short flags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FlagSet {
    pub(super) flags: BTreeMap<String, FlagArgument>,
    pub(super) short_flag_style: ShortFlagStyle,
}

/// The argument of a flag.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FlagArgument {
    /// The flag has no argument. Written as `alone` in a grammar.
    Nothing(NoArgument),
    /// A required value, as `--flag value` or `--flag=value`.
    Value(ValueType),
    /// An optional value, as `--flag=value` or `-fvalue`.
    Optional {
        /// Type of the value.
        optional: ValueType,
    },
    /// A value that must be written as `--flag=value`, because the program does not read the next word as the
    /// flag's value.
    Attached {
        /// Type of the value.
        attached: ValueType,
    },
}

/// The word that a grammar uses for a flag without an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoArgument {
    /// The flag takes no argument.
    Alone,
}

/// The program's interpretation of words that begin with exactly one `-`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShortFlagStyle {
    /// Bundled letters: `-ab` is `-a -b`, and `-n5` is `-n 5`.
    Bundled,
    /// The whole word is one flag, like a long flag: `-run x` or `-run=x`.
    #[serde(rename = "whole")]
    WholeWord,
}

/// An operand that must precede all other operands, such as a search pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeadingOperand {
    /// Type of the operand.
    pub(super) is: ValueType,
    /// Flags that exclude this operand. If one of these flags is present, the first operand has the same type
    /// as the other operands.
    #[serde(rename = "unless")]
    pub(super) excluding_flags: Vec<String>,
}

/// The permitted words after `--`.
#[derive(Clone, Debug)]
pub(super) struct TailSpec {
    pub(super) flags: FlagSet,
    pub(super) operands: Option<ValueType>,
}

/// A command line that a grammar accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedCommand<'a> {
    /// Name of the command, as profiles list it.
    pub command: String,
    /// Class of the command: it only reads the repository, or it runs code of the repository.
    pub class: CommandClass,
    /// Inner command line, if the accepted command runs another command. The inner command line has not been
    /// checked yet.
    pub inner_command: Option<&'a [&'a str]>,
}

impl FlagSet {
    pub(super) fn new(flags: BTreeMap<String, FlagArgument>, short_flag_style: ShortFlagStyle) -> Self {
        Self { flags, short_flag_style }
    }

    /// Checks a word that begins with `-`. The following word, `next`, may be the value of its flag. Returns
    /// the names of the flags in the word, and true if `next` is the value.
    fn check_flag_word(
        &self,
        command: &str,
        word: &str,
        next: Option<&str>,
    ) -> Result<(Vec<String>, bool), CommandRefusal> {
        if word.starts_with("--") || self.short_flag_style == ShortFlagStyle::WholeWord {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let took = self.check_flag(command, name, value, next)?;
            return Ok((vec![name.to_owned()], took));
        }
        self.check_flag_bundle(command, word, next)
    }

    /// Checks a bundle such as `-abn5`: flags without an argument, and at most one value at the end.
    fn check_flag_bundle(
        &self,
        command: &str,
        word: &str,
        next: Option<&str>,
    ) -> Result<(Vec<String>, bool), CommandRefusal> {
        let letters = word.strip_prefix('-').unwrap_or(word);
        if letters.is_empty() {
            return Err(CommandRefusal::UnknownFlag { command: command.to_owned(), flag: word.to_owned() });
        }
        if self.flags.contains_key(Self::NUMBER_FLAG) && letters.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok((vec![Self::NUMBER_FLAG.to_owned()], false));
        }
        let mut seen = Vec::new();
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let name = format!("-{letter}");
            seen.push(name.clone());
            match self.find(command, &name)? {
                FlagArgument::Nothing(NoArgument::Alone) => {}
                FlagArgument::Optional { .. } if rest.as_str().is_empty() => {}
                FlagArgument::Value(_) | FlagArgument::Optional { .. } | FlagArgument::Attached { .. } => {
                    let attached = Some(rest.as_str()).filter(|rest| !rest.is_empty());
                    // `-n=5` is refused, because some programs read its value as `5`, others as `=5`.
                    if attached.is_some_and(|value| value.starts_with('=')) {
                        return Err(CommandRefusal::NoValue { command: command.to_owned(), flag: name });
                    }
                    let took = self.check_flag(command, &name, attached, next)?;
                    return Ok((seen, took));
                }
            }
        }
        Ok((seen, false))
    }

    /// Checks one flag with its value, attached or in the next word. Returns true if the next word is the
    /// flag's value.
    fn check_flag(
        &self,
        command: &str,
        name: &str,
        attached: Option<&str>,
        next: Option<&str>,
    ) -> Result<bool, CommandRefusal> {
        let (command, flag) = (command.to_owned(), name.to_owned());
        let (kind, next) = match self.find(&command, name)? {
            FlagArgument::Nothing(NoArgument::Alone) if attached.is_some() => {
                return Err(CommandRefusal::UnexpectedValue { command, flag });
            }
            FlagArgument::Nothing(NoArgument::Alone) => return Ok(false),
            FlagArgument::Optional { .. } if attached.is_none() => return Ok(false),
            FlagArgument::Optional { optional: kind } | FlagArgument::Attached { attached: kind } => {
                (kind, None)
            }
            FlagArgument::Value(kind) => (kind, next),
        };
        let Some(value) = attached.or_else(|| next.filter(|word| !word.starts_with('-'))) else {
            return Err(CommandRefusal::NoValue { command, flag });
        };
        if !kind.fits(value) {
            return Err(CommandRefusal::InvalidValue {
                command,
                flag,
                value: value.to_owned(),
                kind: kind.clone(),
            });
        }
        Ok(attached.is_none())
    }

    fn find(&self, command: &str, name: &str) -> Result<&FlagArgument, CommandRefusal> {
        self.flags
            .get(name)
            .ok_or_else(|| CommandRefusal::UnknownFlag { command: command.to_owned(), flag: name.to_owned() })
    }

    /// Name of `-1`, `-20` and similar flags in a grammar.
    const NUMBER_FLAG: &'static str = "-NUMBER";
}

impl CommandSpec {
    /// Returns the name of the command in policy rules: the program's first name and the words that name the
    /// command.
    pub fn name(&self) -> String {
        let program = self.programs.first().map(String::as_str);
        program.into_iter().chain(self.name_words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// Returns the command's class: it only reads the repository, or it runs code of the repository.
    pub fn class(&self) -> CommandClass {
        self.class
    }

    /// Returns the file that lists the command, as displayed to users.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns true if the command's program has this name.
    pub fn is_program(&self, program: &str) -> bool {
        self.programs.iter().any(|name| name == program)
    }

    pub(super) fn name_words(&self) -> &[String] {
        &self.name_words
    }

    pub(super) fn is_prefix_of(&self, words: &[&str]) -> bool {
        words.len() >= self.name_words.len()
            && self.name_words.iter().zip(words).all(|(own, word)| own == word)
    }

    /// Checks the words after the command's name.
    pub(super) fn accept<'a>(&self, words: &'a [&'a str]) -> Result<AcceptedCommand<'a>, CommandRefusal> {
        let name = self.name();
        let (mut at, mut seen, mut operands) = (0, Vec::new(), Vec::new());
        self.refuse_argument_file(&name, words)?;
        while let Some(word) = words.get(at) {
            let rest = words.get(at + 1..).unwrap_or_default();
            if *word == "--" {
                self.accept_tail(&name, rest)?;
                break;
            }
            if is_flag(word) {
                let (flags, took) = self.flags.check_flag_word(&name, word, rest.first().copied())?;
                seen.extend(flags);
                at += 1 + usize::from(took);
                continue;
            }
            if self.runs_inner_command {
                return Ok(AcceptedCommand {
                    command: name,
                    class: self.class,
                    inner_command: words.get(at..),
                });
            }
            operands.push(*word);
            at += 1;
        }
        // Programs also accept flags after operands. The operands are therefore checked last, when all flags
        // are known.
        for (before, word) in operands.into_iter().enumerate() {
            let is_command = before == 0
                && self.refused_first_operands.iter().any(|refused| *refused == first_operand_name(word));
            let kind = self.operand_type(before, &seen).filter(|_| !is_command);
            if kind != Some(&ValueType::Named(NamedType::PinnedRequirement)) {
                self.refuse_assignment(&name, word)?;
            }
            check_operand(&name, word, kind)?;
        }
        match self.runs_inner_command {
            true => Err(CommandRefusal::EmptyCommand),
            false => Ok(AcceptedCommand { command: name, class: self.class, inner_command: None }),
        }
    }

    /// Checks the words after `--`.
    fn accept_tail(&self, name: &str, words: &[&str]) -> Result<(), CommandRefusal> {
        let Some(tail) = &self.tail else {
            return Err(CommandRefusal::UnexpectedOperand {
                command: name.to_owned(),
                word: "--".to_owned(),
                kind: None,
            });
        };
        let name = format!("{name} --");
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let next = words.get(at + 1).copied();
            let took = if is_flag(word) {
                tail.flags.check_flag_word(&name, word, next)?.1
            } else {
                self.refuse_assignment(&name, word)?;
                check_operand(&name, word, tail.operands.as_ref())?;
                false
            };
            at += 1 + usize::from(took);
        }
        Ok(())
    }

    /// Refuses `@FILE` in commands that run code, also as a flag's value, because their programs may replace
    /// `@FILE` by the words in this file.
    fn refuse_argument_file(&self, name: &str, words: &[&str]) -> Result<(), CommandRefusal> {
        let file = words.iter().find(|word| word.starts_with('@'));
        match (self.class, file) {
            (CommandClass::RunsCode, Some(word)) if !self.runs_inner_command => {
                Err(CommandRefusal::ArgumentFile { command: name.to_owned(), word: (*word).to_owned() })
            }
            (CommandClass::RunsCode | CommandClass::Reads, _) => Ok(()),
        }
    }

    /// Refuses an operand `NAME=value` of a command that runs code, because the program may set a variable
    /// with this name.
    fn refuse_assignment(&self, name: &str, word: &str) -> Result<(), CommandRefusal> {
        // The text after `::` may contain `=`, because it is the name of a test with parameters.
        let head = word.split_once("::").map_or(word, |(head, _)| head);
        match self.class {
            CommandClass::RunsCode if head.contains('=') => {
                Err(CommandRefusal::Assignment { command: name.to_owned(), word: word.to_owned() })
            }
            CommandClass::RunsCode | CommandClass::Reads => Ok(()),
        }
    }

    /// Returns the required type of the operand at index `operand_index`; `None` if the command accepts no
    /// operand at this index.
    fn operand_type(&self, operand_index: usize, seen_flags: &[String]) -> Option<&ValueType> {
        if !self.operand_enabling_flags.is_empty()
            && !seen_flags.iter().any(|flag| self.operand_enabling_flags.contains(flag))
        {
            return None;
        }
        let pattern = self.leading_operand.as_ref().filter(|pattern| {
            operand_index == 0 && !seen_flags.iter().any(|flag| pattern.excluding_flags.contains(flag))
        });
        pattern.map(|pattern| &pattern.is).or(self.operands.as_ref())
    }
}

/// Returns true for a word that begins with `-`, because no operand may begin with `-`. A single `-`, which
/// denotes a stream, also counts as a flag.
fn is_flag(word: &str) -> bool {
    word.starts_with('-')
}

fn check_operand(command: &str, word: &str, kind: Option<&ValueType>) -> Result<(), CommandRefusal> {
    match kind {
        Some(kind) if kind.fits(word) => Ok(()),
        kind => Err(CommandRefusal::UnexpectedOperand {
            command: command.to_owned(),
            word: word.to_owned(),
            kind: kind.cloned(),
        }),
    }
}
