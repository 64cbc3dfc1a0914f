//! Which command lines are known: programs, their commands, and each command's flags and operands, one by one.
//!
//! A command line is a vector of words, never text for a shell, and nothing is matched by a regular expression.
//! What a grammar does not list does not exist: another flag, an abbreviated one, a value of another type. Whether a
//! known command may be run is the profile's ([`crate::policy`]).
//!
//! The grammars are data (`crates/core/grammar/*.toml`). Three rules make it not matter whether a program splits its
//! words exactly as we do: a word that begins with `-` is a listed flag or `--`, a value in a word of its own never
//! begins with `-`, and neither does an operand, even after `--`.

mod command;
mod file;
mod kind;
#[cfg(test)]
mod manuals;
mod refusal;
#[cfg(test)]
mod tests;

pub use command::{Accepted, Command};
pub use kind::Kind;
pub use refusal::Refusal;

use file::ProgramFile;

/// The most words of one command line.
pub const MAX_WORDS: usize = 512;
/// The longest word, in bytes.
pub const MAX_WORD_BYTES: usize = 8 << 10;

/// The shipped grammars.
const FILES: &[(&str, &str)] = &[
    ("cargo.toml", include_str!("../grammar/cargo.toml")),
    ("git.toml", include_str!("../grammar/git.toml")),
    ("go.toml", include_str!("../grammar/go.toml")),
    ("node.toml", include_str!("../grammar/node.toml")),
    ("npm.toml", include_str!("../grammar/npm.toml")),
    ("pytest.toml", include_str!("../grammar/pytest.toml")),
    ("rg.toml", include_str!("../grammar/rg.toml")),
    ("ruff.toml", include_str!("../grammar/ruff.toml")),
    ("uv.toml", include_str!("../grammar/uv.toml")),
];

/// A grammar file that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the grammar file {file} is wrong: {what}")]
pub struct GrammarError {
    /// Which file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// All known commands.
#[derive(Clone, Debug, Default)]
pub struct Grammar {
    commands: Vec<Command>,
}

impl Grammar {
    /// The shipped grammars.
    ///
    /// # Errors
    /// If one of the files is wrong.
    pub fn shipped() -> Result<Self, GrammarError> {
        let mut commands = Vec::new();
        for (file, text) in FILES {
            let wrong = |what: String| GrammarError { file: (*file).to_owned(), what };
            let parsed: ProgramFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
            commands.extend(parsed.commands().map_err(wrong)?);
        }
        Ok(Self { commands })
    }

    /// Every command.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The command that these words are a line of.
    ///
    /// # Errors
    /// If there is none, or if its flags and operands do not allow them: why not.
    pub fn accept<'a>(&'a self, argv: &'a [&str]) -> Result<Accepted<'a>, Refusal> {
        whole(argv)?;
        let (program, words) = argv.split_first().ok_or(Refusal::Nothing)?;
        let mut known = self.commands.iter().filter(|command| command.is_of(program)).peekable();
        if known.peek().is_none() {
            return Err(Refusal::Program { program: (*program).to_owned() });
        }
        let command = known
            .filter(|command| command.begins(words))
            .max_by_key(|command| command.words().len())
            .ok_or_else(|| Refusal::Command {
                command: argv.iter().take(2).copied().collect::<Vec<_>>().join(" "),
            })?;
        command.accept(words.get(command.words().len()..).unwrap_or_default())
    }
}

/// Refuses what is no command line for any program: too much, or with characters that no word needs.
fn whole(argv: &[&str]) -> Result<(), Refusal> {
    if argv.len() > MAX_WORDS {
        return Err(Refusal::TooLong);
    }
    for word in argv {
        if word.len() > MAX_WORD_BYTES {
            return Err(Refusal::TooLong);
        }
        // NUL ends a word where programs are started, a newline ends one where lines are read.
        if word.chars().any(char::is_control) {
            return Err(Refusal::Control { word: (*word).to_owned() });
        }
    }
    Ok(())
}
