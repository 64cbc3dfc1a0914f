//! One command of a program, and how a line of it is read, word by word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::CommandClass;
use super::{CommandRefusal, ValueType};

/// A command: a program, the words that name the command, and what may follow them.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    pub(super) programs: Vec<String>,
    pub(super) words: Vec<String>,
    pub(super) class: CommandClass,
    /// The file that lists it, for people.
    pub(super) file: String,
    pub(super) flags: FlagSet,
    pub(super) pattern: Option<LeadingOperand>,
    pub(super) operands: Option<ValueType>,
    /// Operands are allowed beside one of these flags alone; none: always.
    pub(super) operands_with: Vec<String>,
    /// Words that the first operand may not be: the program takes them for commands of its own.
    pub(super) operands_not: Vec<String>,
    pub(super) tail: Option<TailSpec>,
    pub(super) runs: bool,
}

/// Flags by name, and how short ones are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FlagSet {
    pub(super) known: BTreeMap<String, FlagArgument>,
    pub(super) short: ShortFlagStyle,
}

/// What a flag takes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FlagArgument {
    /// Nothing. The word `alone`.
    Nothing(NoArgument),
    /// A value, as `--flag value` or `--flag=value`.
    Value(ValueType),
    /// A value as `--flag=value` or `-fvalue`, or none.
    Optional {
        /// What the value may be.
        optional: ValueType,
    },
    /// A value as `--flag=value` alone: the next word is something else to the program.
    Attached {
        /// What the value may be.
        attached: ValueType,
    },
}

/// The word for flags that take nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoArgument {
    /// Takes nothing.
    Alone,
}

/// How a program reads words that begin with one `-`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShortFlagStyle {
    /// `-ab` is `-a -b`, and `-n5` is `-n 5`.
    Bundled,
    /// As a flag with a long name: `-run x` or `-run=x`.
    Whole,
}

/// An operand that comes before all others, such as what is searched for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeadingOperand {
    /// What it may be.
    pub(super) is: ValueType,
    /// Not where one of these flags stands: then all operands are alike.
    pub(super) unless: Vec<String>,
}

/// What may follow `--`.
#[derive(Clone, Debug)]
pub(super) struct TailSpec {
    pub(super) flags: FlagSet,
    pub(super) operands: Option<ValueType>,
}

/// A line that a grammar knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedCommand<'a> {
    /// The command's name, as profiles list it.
    pub command: String,
    /// Its use of the repository: it reads it, or runs its code.
    pub class: CommandClass,
    /// The line that this one runs, where it runs another: not judged yet.
    pub runs: Option<&'a [&'a str]>,
}

impl FlagSet {
    pub(super) fn new(known: BTreeMap<String, FlagArgument>, short: ShortFlagStyle) -> Self {
        Self { known, short }
    }

    /// Reads a word that begins with `-`, and `next`, the word after it, if that is its value. Which flags were
    /// seen, and whether `next` was taken.
    fn read(
        &self,
        command: &str,
        word: &str,
        next: Option<&str>,
    ) -> Result<(Vec<String>, bool), CommandRefusal> {
        if word.starts_with("--") || self.short == ShortFlagStyle::Whole {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let took = self.read_one(command, name, value, next)?;
            return Ok((vec![name.to_owned()], took));
        }
        self.read_bundle(command, word, next)
    }

    /// `-abn5`: flags that take nothing, and at most one value, at the end.
    fn read_bundle(
        &self,
        command: &str,
        word: &str,
        next: Option<&str>,
    ) -> Result<(Vec<String>, bool), CommandRefusal> {
        let letters = word.strip_prefix('-').unwrap_or(word);
        if letters.is_empty() {
            return Err(CommandRefusal::Flag { command: command.to_owned(), flag: word.to_owned() });
        }
        if self.known.contains_key(Self::COUNT) && letters.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok((vec![Self::COUNT.to_owned()], false));
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
                    // Programs differ on whether the value of `-n=5` is `5` or `=5`.
                    if attached.is_some_and(|value| value.starts_with('=')) {
                        return Err(CommandRefusal::NoValue { command: command.to_owned(), flag: name });
                    }
                    let took = self.read_one(command, &name, attached, next)?;
                    return Ok((seen, took));
                }
            }
        }
        Ok((seen, false))
    }

    /// One flag with its value: attached, or the next word. Whether the next word was taken.
    fn read_one(
        &self,
        command: &str,
        name: &str,
        attached: Option<&str>,
        next: Option<&str>,
    ) -> Result<bool, CommandRefusal> {
        let (command, flag) = (command.to_owned(), name.to_owned());
        let (kind, next) = match self.find(&command, name)? {
            FlagArgument::Nothing(NoArgument::Alone) if attached.is_some() => {
                return Err(CommandRefusal::Alone { command, flag });
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
            return Err(CommandRefusal::Value { command, flag, value: value.to_owned(), kind: kind.clone() });
        }
        Ok(attached.is_none())
    }

    fn find(&self, command: &str, name: &str) -> Result<&FlagArgument, CommandRefusal> {
        self.known
            .get(name)
            .ok_or_else(|| CommandRefusal::Flag { command: command.to_owned(), flag: name.to_owned() })
    }

    /// The name under which a file lists `-1`, `-20` and so on.
    const COUNT: &'static str = "-NUMBER";
}

impl CommandSpec {
    /// Its name in rules: the program and the words that follow it.
    pub fn name(&self) -> String {
        let program = self.programs.first().map(String::as_str);
        program.into_iter().chain(self.words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// Its use of the repository: it reads it, or runs its code.
    pub fn class(&self) -> CommandClass {
        self.class
    }

    /// The file that lists it, for people.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Tells whether its program has this name.
    pub fn is_of(&self, program: &str) -> bool {
        self.programs.iter().any(|name| name == program)
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn begins(&self, words: &[&str]) -> bool {
        words.len() >= self.words.len() && self.words.iter().zip(words).all(|(own, word)| own == word)
    }

    /// Reads the words after the command's name.
    pub(super) fn accept<'a>(&self, words: &'a [&'a str]) -> Result<AcceptedCommand<'a>, CommandRefusal> {
        let name = self.name();
        let (mut at, mut seen, mut operands) = (0, Vec::new(), Vec::new());
        self.refuse_files_of_words(&name, words)?;
        while let Some(word) = words.get(at) {
            let rest = words.get(at + 1..).unwrap_or_default();
            if *word == "--" {
                self.accept_tail(&name, rest)?;
                break;
            }
            if is_flag(word) {
                let (flags, took) = self.flags.read(&name, word, rest.first().copied())?;
                seen.extend(flags);
                at += 1 + usize::from(took);
                continue;
            }
            if self.runs {
                return Ok(AcceptedCommand { command: name, class: self.class, runs: words.get(at..) });
            }
            operands.push(*word);
            at += 1;
        }
        // Programs take flags behind an operand, too: what the first one is depends on all of them.
        for (before, word) in operands.into_iter().enumerate() {
            self.refuse_assignment(&name, word)?;
            let is_command = before == 0 && self.operands_not.iter().any(|refused| refused == word);
            operand(&name, word, self.kind_of(before, &seen).filter(|_| !is_command))?;
        }
        match self.runs {
            true => Err(CommandRefusal::Nothing),
            false => Ok(AcceptedCommand { command: name, class: self.class, runs: None }),
        }
    }

    /// What follows `--`.
    fn accept_tail(&self, name: &str, words: &[&str]) -> Result<(), CommandRefusal> {
        let Some(tail) = &self.tail else {
            return Err(CommandRefusal::Operand {
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
                tail.flags.read(&name, word, next)?.1
            } else {
                self.refuse_assignment(&name, word)?;
                operand(&name, word, tail.operands.as_ref())?;
                false
            };
            at += 1 + usize::from(took);
        }
        Ok(())
    }

    /// Programs that run code may take `@FILE` for the words in the file, also as the value of a flag.
    fn refuse_files_of_words(&self, name: &str, words: &[&str]) -> Result<(), CommandRefusal> {
        let file = words.iter().find(|word| word.starts_with('@'));
        match (self.class, file) {
            (CommandClass::RunsCode, Some(word)) if !self.runs => {
                Err(CommandRefusal::WordsFile { command: name.to_owned(), word: (*word).to_owned() })
            }
            (CommandClass::RunsCode | CommandClass::Reads, _) => Ok(()),
        }
    }

    /// Programs that run code take `NAME=value` for a variable, wherever it stands among operands.
    fn refuse_assignment(&self, name: &str, word: &str) -> Result<(), CommandRefusal> {
        // Parameters of a test stand behind `::`.
        let head = word.split_once("::").map_or(word, |(head, _)| head);
        match self.class {
            CommandClass::RunsCode if head.contains('=') => {
                Err(CommandRefusal::Assignment { command: name.to_owned(), word: word.to_owned() })
            }
            CommandClass::RunsCode | CommandClass::Reads => Ok(()),
        }
    }

    /// What the operand after `before` others must be.
    fn kind_of(&self, before: usize, seen: &[String]) -> Option<&ValueType> {
        if !self.operands_with.is_empty() && !seen.iter().any(|flag| self.operands_with.contains(flag)) {
            return None;
        }
        let pattern = self
            .pattern
            .as_ref()
            .filter(|pattern| before == 0 && !seen.iter().any(|flag| pattern.unless.contains(flag)));
        pattern.map(|pattern| &pattern.is).or(self.operands.as_ref())
    }
}

/// A flag, or a `-` that means a stream: neither is an operand.
fn is_flag(word: &str) -> bool {
    word.starts_with('-')
}

fn operand(command: &str, word: &str, kind: Option<&ValueType>) -> Result<(), CommandRefusal> {
    match kind {
        Some(kind) if kind.fits(word) => Ok(()),
        kind => Err(CommandRefusal::Operand {
            command: command.to_owned(),
            word: word.to_owned(),
            kind: kind.cloned(),
        }),
    }
}
