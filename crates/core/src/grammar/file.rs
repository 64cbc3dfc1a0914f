//! The form of a grammar file: one program, its commands, and groups of flags that several of them have.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Command;
use super::command::{Flags, Pattern, Short, Tail, Takes};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramFile {
    /// What the program is called; the first is its name in rules.
    programs: Vec<String>,
    /// How its short flags are written.
    short: Short,
    /// Flags under a name.
    #[serde(default)]
    group: BTreeMap<String, BTreeMap<String, Takes>>,
    command: Vec<CommandFile>,
}

/// One command.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandFile {
    /// Where it belongs to another program than the file's.
    programs: Option<Vec<String>>,
    /// The words after the program that name it.
    #[serde(default)]
    words: Vec<String>,
    /// Groups whose flags it has.
    #[serde(default)]
    groups: Vec<String>,
    /// Its own flags.
    #[serde(default)]
    flags: BTreeMap<String, Takes>,
    /// What its first operand is, where that differs.
    pattern: Option<Pattern>,
    /// What its operands are; without it, it takes none.
    operands: Option<super::Kind>,
    /// Flags of which one has to stand there for it to take operands.
    #[serde(default)]
    operands_with: Vec<String>,
    /// What may follow `--`; without it, nothing.
    after_dashes: Option<TailFile>,
    /// Its operands are another command line.
    #[serde(default)]
    runs: bool,
}

/// What follows `--`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TailFile {
    #[serde(default)]
    flags: BTreeMap<String, Takes>,
    operands: Option<super::Kind>,
}

impl ProgramFile {
    /// Its commands, with the flags of their groups.
    pub(super) fn commands(self) -> Result<Vec<Command>, String> {
        let Self { programs, short, group, command } = self;
        let of = |file: CommandFile| {
            let mut flags = file.flags;
            for name in &file.groups {
                let known = group.get(name).ok_or_else(|| format!("there is no group {name:?}"))?;
                flags.extend(known.clone());
            }
            let tail = file.after_dashes.map(|tail| {
                Ok::<_, String>(Tail { flags: Flags::new(tail.flags, short)?, operands: tail.operands })
            });
            Ok(Command {
                programs: file.programs.unwrap_or_else(|| programs.clone()),
                words: file.words,
                flags: Flags::new(flags, short)?,
                pattern: file.pattern,
                operands: file.operands,
                operands_with: file.operands_with,
                tail: tail.transpose()?,
                runs: file.runs,
            })
        };
        command.into_iter().map(of).collect()
    }
}
