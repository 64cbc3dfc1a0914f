//! One command of a program, and how a line of it is read, word by word.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::CommandClass;
use super::{Kind, Refusal};

/// A command: a program, the words that name the command, and what may follow them.
#[derive(Clone, Debug)]
pub struct Command {
    pub(super) programs: Vec<String>,
    pub(super) words: Vec<String>,
    pub(super) class: CommandClass,
    /// The file that lists it, for people.
    pub(super) file: String,
    pub(super) flags: Flags,
    pub(super) pattern: Option<Pattern>,
    pub(super) operands: Option<Kind>,
    /// Operands are allowed beside one of these flags alone; none: always.
    pub(super) operands_with: Vec<String>,
    /// Words that the first operand may not be: the program takes them for commands of its own.
    pub(super) operands_not: Vec<String>,
    pub(super) tail: Option<Tail>,
    pub(super) runs: bool,
}

/// Flags by name, and how short ones are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Flags {
    pub(super) known: BTreeMap<String, Takes>,
    pub(super) short: Short,
}

/// What a flag takes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Takes {
    /// Nothing. The word `alone`.
    Nothing(Alone),
    /// A value, as `--flag value` or `--flag=value`.
    Value(Kind),
    /// A value as `--flag=value` or `-fvalue`, or none.
    Optional {
        /// What the value may be.
        optional: Kind,
    },
    /// A value as `--flag=value` alone: the next word is something else to the program.
    Attached {
        /// What the value may be.
        attached: Kind,
    },
}

/// The word for flags that take nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Alone {
    /// Takes nothing.
    Alone,
}

/// How a program reads words that begin with one `-`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Short {
    /// `-ab` is `-a -b`, and `-n5` is `-n 5`.
    Bundled,
    /// As a flag with a long name: `-run x` or `-run=x`.
    Whole,
}

/// An operand that comes before all others, such as what is searched for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pattern {
    /// What it may be.
    pub(super) is: Kind,
    /// Not where one of these flags stands: then all operands are alike.
    pub(super) unless: Vec<String>,
}

/// What may follow `--`.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) flags: Flags,
    pub(super) operands: Option<Kind>,
}

/// A line that a grammar knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted<'a> {
    /// The command's name, as profiles list it.
    pub command: String,
    /// Its use of the repository: it reads it, or runs its code.
    pub class: CommandClass,
    /// The line that this one runs, where it runs another: not judged yet.
    pub runs: Option<&'a [&'a str]>,
}

impl Flags {
    pub(super) fn new(known: BTreeMap<String, Takes>, short: Short) -> Self {
        Self { known, short }
    }

    /// Reads a word that begins with `-`, and `next`, the word after it, if that is its value. Which flags were
    /// seen, and whether `next` was taken.
    fn read(&self, command: &str, word: &str, next: Option<&str>) -> Result<(Vec<String>, bool), Refusal> {
        if word.starts_with("--") || self.short == Short::Whole {
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
    ) -> Result<(Vec<String>, bool), Refusal> {
        let letters = word.strip_prefix('-').unwrap_or(word);
        if letters.is_empty() {
            return Err(Refusal::Flag { command: command.to_owned(), flag: word.to_owned() });
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
                Takes::Nothing(Alone::Alone) => {}
                Takes::Optional { .. } if rest.as_str().is_empty() => {}
                Takes::Value(_) | Takes::Optional { .. } | Takes::Attached { .. } => {
                    let attached = Some(rest.as_str()).filter(|rest| !rest.is_empty());
                    // Programs differ on whether the value of `-n=5` is `5` or `=5`.
                    if attached.is_some_and(|value| value.starts_with('=')) {
                        return Err(Refusal::NoValue { command: command.to_owned(), flag: name });
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
    ) -> Result<bool, Refusal> {
        let (command, flag) = (command.to_owned(), name.to_owned());
        let (kind, next) = match self.find(&command, name)? {
            Takes::Nothing(Alone::Alone) if attached.is_some() => {
                return Err(Refusal::Alone { command, flag });
            }
            Takes::Nothing(Alone::Alone) => return Ok(false),
            Takes::Optional { .. } if attached.is_none() => return Ok(false),
            Takes::Optional { optional: kind } | Takes::Attached { attached: kind } => (kind, None),
            Takes::Value(kind) => (kind, next),
        };
        let Some(value) = attached.or_else(|| next.filter(|word| !word.starts_with('-'))) else {
            return Err(Refusal::NoValue { command, flag });
        };
        if !kind.fits(value) {
            return Err(Refusal::Value { command, flag, value: value.to_owned(), kind: kind.clone() });
        }
        Ok(attached.is_none())
    }

    fn find(&self, command: &str, name: &str) -> Result<&Takes, Refusal> {
        self.known
            .get(name)
            .ok_or_else(|| Refusal::Flag { command: command.to_owned(), flag: name.to_owned() })
    }

    /// The name under which a file lists `-1`, `-20` and so on.
    const COUNT: &'static str = "-NUMBER";
}

impl Command {
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
    pub(super) fn accept<'a>(&self, words: &'a [&'a str]) -> Result<Accepted<'a>, Refusal> {
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
                return Ok(Accepted { command: name, class: self.class, runs: words.get(at..) });
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
            true => Err(Refusal::Nothing),
            false => Ok(Accepted { command: name, class: self.class, runs: None }),
        }
    }

    /// What follows `--`.
    fn accept_tail(&self, name: &str, words: &[&str]) -> Result<(), Refusal> {
        let Some(tail) = &self.tail else {
            return Err(Refusal::Operand { command: name.to_owned(), word: "--".to_owned(), kind: None });
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
    fn refuse_files_of_words(&self, name: &str, words: &[&str]) -> Result<(), Refusal> {
        let file = words.iter().find(|word| word.starts_with('@'));
        match (self.class, file) {
            (CommandClass::RunsCode, Some(word)) if !self.runs => {
                Err(Refusal::WordsFile { command: name.to_owned(), word: (*word).to_owned() })
            }
            (CommandClass::RunsCode | CommandClass::Reads, _) => Ok(()),
        }
    }

    /// Programs that run code take `NAME=value` for a variable, wherever it stands among operands.
    fn refuse_assignment(&self, name: &str, word: &str) -> Result<(), Refusal> {
        // Parameters of a test stand behind `::`.
        let head = word.split_once("::").map_or(word, |(head, _)| head);
        match self.class {
            CommandClass::RunsCode if head.contains('=') => {
                Err(Refusal::Assignment { command: name.to_owned(), word: word.to_owned() })
            }
            CommandClass::RunsCode | CommandClass::Reads => Ok(()),
        }
    }

    /// What the operand after `before` others must be.
    fn kind_of(&self, before: usize, seen: &[String]) -> Option<&Kind> {
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

fn operand(command: &str, word: &str, kind: Option<&Kind>) -> Result<(), Refusal> {
    match kind {
        Some(kind) if kind.fits(word) => Ok(()),
        kind => {
            Err(Refusal::Operand { command: command.to_owned(), word: word.to_owned(), kind: kind.cloned() })
        }
    }
}
