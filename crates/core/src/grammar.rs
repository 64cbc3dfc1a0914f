//! Grammar of known command lines: programs, their commands, and the flags and operands of each command.
//!
//! A command line is a list of words, never shell text, and no regular expression is used. Anything that a
//! grammar does not list is refused: an unknown or abbreviated flag, a value of another type. The profile
//! decides which of the known commands may run ([`crate::policy`]).
//!
//! The grammars are data (`crates/core/grammar/*.toml`). Three rules keep an accepted command line safe, even
//! if the program parses its words differently than Truing. A word that begins with `-` must be a listed flag
//! or `--`. A flag's value in a separate word must not begin with `-`. An operand must not begin with `-`
//! either, even after `--`.

mod command;
mod file;
mod kind;
mod limits;
#[cfg(test)]
mod manuals;
mod refusal;
#[cfg(test)]
mod tests;

pub use command::{AcceptedCommand, CommandSpec};
pub use file::{CommandClass, PolicyFile, PolicyFileError};
pub use kind::ValueType;
pub use refusal::CommandRefusal;

/// Maximum number of words in one command line.
pub const MAX_WORDS: usize = 512;
/// Maximum length of a word in bytes.
pub const MAX_WORD_BYTES: usize = 8 << 10;

/// Shipped grammars, with paths relative to the folder of a policy.
pub const SHIPPED_GRAMMARS: &[(&str, &str)] = &[
    ("grammar/cargo.toml", include_str!("../grammar/cargo.toml")),
    ("grammar/dotnet.toml", include_str!("../grammar/dotnet.toml")),
    ("grammar/gh.toml", include_str!("../grammar/gh.toml")),
    ("grammar/git.toml", include_str!("../grammar/git.toml")),
    ("grammar/go.toml", include_str!("../grammar/go.toml")),
    ("grammar/gradle.toml", include_str!("../grammar/gradle.toml")),
    ("grammar/make.toml", include_str!("../grammar/make.toml")),
    ("grammar/maven.toml", include_str!("../grammar/maven.toml")),
    ("grammar/mypy.toml", include_str!("../grammar/mypy.toml")),
    ("grammar/node-bin.toml", include_str!("../grammar/node-bin.toml")),
    ("grammar/node.toml", include_str!("../grammar/node.toml")),
    ("grammar/nox.toml", include_str!("../grammar/nox.toml")),
    ("grammar/npm.toml", include_str!("../grammar/npm.toml")),
    ("grammar/pre-commit.toml", include_str!("../grammar/pre-commit.toml")),
    ("grammar/pytest.toml", include_str!("../grammar/pytest.toml")),
    ("grammar/rg.toml", include_str!("../grammar/rg.toml")),
    ("grammar/ruby.toml", include_str!("../grammar/ruby.toml")),
    ("grammar/ruff.toml", include_str!("../grammar/ruff.toml")),
    ("grammar/tox.toml", include_str!("../grammar/tox.toml")),
    ("grammar/unittest.toml", include_str!("../grammar/unittest.toml")),
    ("grammar/uv.toml", include_str!("../grammar/uv.toml")),
];

/// Grammar of all known commands.
#[derive(Clone, Debug, Default)]
pub struct CommandGrammar {
    commands: Vec<CommandSpec>,
}

impl CommandGrammar {
    /// Reads the shipped grammars.
    ///
    /// # Errors
    /// If one of the files is invalid.
    pub fn load_shipped() -> Result<Self, Vec<PolicyFileError>> {
        let mut commands = Vec::new();
        for (name, text) in SHIPPED_GRAMMARS {
            commands.extend(file::read_commands(&PolicyFile::from_shipped(name, text), None)?);
        }
        Ok(Self { commands })
    }

    /// Adds an operator's files. A file with the name of a shipped file replaces the shipped file.
    ///
    /// # Errors
    /// All problems of the files.
    pub fn with_files(&self, files: &[&PolicyFile]) -> Result<Self, Vec<PolicyFileError>> {
        let replaced: Vec<String> =
            files.iter().map(|file| PolicyFile::from_shipped(&file.name, "").display_path).collect();
        let mut commands: Vec<CommandSpec> =
            self.commands.iter().filter(|command| !replaced.contains(&command.file)).cloned().collect();
        let mut problems = Vec::new();
        for file in files {
            match file::read_commands(file, Some(&self.commands)) {
                Ok(more) => commands.extend(more),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() { Ok(Self { commands }) } else { Err(problems) }
    }

    /// Returns the commands that two files list, each with the names of both files. A command line of such a
    /// command is accepted only if both files accept it.
    pub fn duplicate_commands(&self) -> Vec<(String, [&str; 2])> {
        let mut twice = Vec::new();
        for (at, command) in self.commands.iter().enumerate() {
            let before = self.commands.iter().take(at).find(|other| other.name() == command.name());
            twice.extend(before.map(|other| (command.name(), [other.file(), command.file()])));
        }
        twice
    }

    pub fn find(&self, name: &str) -> Option<&CommandSpec> {
        self.commands.iter().find(|command| command.name() == name)
    }

    pub fn commands(&self) -> &[CommandSpec] {
        &self.commands
    }

    /// Finds the command to which these words belong.
    ///
    /// # Errors
    /// If no command matches, or if the flags and operands of the matching command do not allow the words.
    pub fn accept<'a>(&'a self, argv: &'a [&str]) -> Result<AcceptedCommand<'a>, CommandRefusal> {
        check_argv(argv)?;
        let (program, words) = argv.split_first().ok_or(CommandRefusal::EmptyCommand)?;
        let mut known = self.commands.iter().filter(|command| command.is_program(program)).peekable();
        if known.peek().is_none() {
            return Err(CommandRefusal::UnknownProgram { program: (*program).to_owned() });
        }
        let known: Vec<&CommandSpec> = known.filter(|command| command.is_prefix_of(words)).collect();
        let most = known.iter().map(|command| command.name_words().len()).max().ok_or_else(|| {
            CommandRefusal::UnknownCommand {
                command: argv.iter().take(2).copied().collect::<Vec<_>>().join(" "),
            }
        })?;
        // A program name that contains `/` refers to a program in the clone. Its class is `RunsCode`,
        // regardless of the grammar.
        let is_own = program.contains('/');
        // If two files list the same command, the stricter of both entries applies.
        let mut accepted: Result<AcceptedCommand<'a>, CommandRefusal> = Err(CommandRefusal::EmptyCommand);
        for command in known.into_iter().filter(|command| command.name_words().len() == most) {
            let more = command.accept(words.get(most..).unwrap_or_default())?;
            accepted = Ok(match accepted {
                // The inner command line is checked if either file declares that the command runs an inner
                // command line.
                Ok(before) => AcceptedCommand {
                    class: if before.class == CommandClass::RunsCode { before.class } else { more.class },
                    inner_command: before.inner_command.or(more.inner_command),
                    ..more
                },
                Err(_) => more,
            });
        }
        accepted.map(|accepted| match is_own {
            true => AcceptedCommand { class: CommandClass::RunsCode, ..accepted },
            false => accepted,
        })
    }
}

/// Refuses a command line with too many words, with a word that is too long, or with control characters.
fn check_argv(argv: &[&str]) -> Result<(), CommandRefusal> {
    if argv.len() > MAX_WORDS {
        return Err(CommandRefusal::TooLong);
    }
    for word in argv {
        if word.len() > MAX_WORD_BYTES {
            return Err(CommandRefusal::TooLong);
        }
        // Control characters are refused: the system ends a word at a NUL, and programs that read words line
        // by line end a word at a newline.
        if word.chars().any(char::is_control) {
            return Err(CommandRefusal::ControlCharacter { word: (*word).to_owned() });
        }
    }
    Ok(())
}
