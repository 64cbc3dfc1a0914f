//! Reasons why no grammar accepts a command line, and the grammar rules that would accept the command line.

use super::ValueType;

/// The reason why a command line is refused. The `Display` text describes the error.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandRefusal {
    /// The command line has no words.
    #[error("no command is given")]
    EmptyCommand,
    /// The command line has too many words, or a word is too long.
    #[error("the command line is too long")]
    TooLong,
    /// A word contains a control character.
    #[error("{word:?} contains a control character")]
    ControlCharacter {
        /// Word that was refused.
        word: String,
    },
    /// No grammar has this program. Grammars list programs by their bare names.
    #[error("{program:?} is not a known program")]
    UnknownProgram {
        /// First word of the command line.
        program: String,
    },
    /// The program is known, but not this command.
    #[error("{command:?} is not a known command")]
    UnknownCommand {
        /// Program and the word after it.
        command: String,
    },
    /// The grammar does not list the flag.
    #[error("{flag:?} is not an allowed flag of `{command}`")]
    UnknownFlag {
        /// Command that was called.
        command: String,
        /// Flag without its value.
        flag: String,
    },
    /// A flag without an argument was given a value.
    #[error("{flag:?} of `{command}` accepts no value")]
    UnexpectedValue {
        /// Command that was called.
        command: String,
        /// Flag without its value.
        flag: String,
    },
    /// A flag's value is missing, or is a word that begins with `-`.
    #[error("{flag:?} of `{command}` has no value")]
    NoValue {
        /// Command that was called.
        command: String,
        /// Flag without its value.
        flag: String,
    },
    /// A flag's value does not have the type that the grammar requires.
    #[error("{value:?} is not a valid value: {flag:?} of `{command}` accepts only {kind}")]
    InvalidValue {
        /// Command that was called.
        command: String,
        /// Flag without its value.
        flag: String,
        /// Value that was given.
        value: String,
        /// Type that is required.
        kind: ValueType,
    },
    /// The program may replace the word with the words of a file.
    #[error("{word:?} may make `{command}` read its arguments from a file")]
    ArgumentFile {
        /// Command that was called.
        command: String,
        /// Word that begins with `@`.
        word: String,
    },
    /// The operand sets a variable.
    #[error("{word:?} sets a variable of `{command}`")]
    Assignment {
        /// Command that was called.
        command: String,
        /// Operand with the assignment.
        word: String,
    },
    /// The word is not a flag, and the command accepts no operand like this word at this position.
    #[error("{word:?} is not {}: `{command}` accepts nothing else here",
        .kind.as_ref().map_or("a flag".to_owned(), ValueType::to_string))]
    UnexpectedOperand {
        /// Command that was called.
        command: String,
        /// Word that was refused.
        word: String,
        /// Type that is required; `None` if no operand is permitted.
        kind: Option<ValueType>,
    },
}

impl CommandRefusal {
    /// Returns the rule that a grammar would need to accept the command line; `None` if no rule can accept
    /// it.
    pub fn required_grammar_rule(&self) -> Option<String> {
        match self {
            Self::EmptyCommand
            | Self::TooLong
            | Self::ControlCharacter { .. }
            | Self::NoValue { .. }
            | Self::ArgumentFile { .. }
            | Self::Assignment { .. } => None,
            Self::UnknownProgram { program } => Some(format!("grammar: program {program:?}")),
            Self::UnknownCommand { command } => Some(format!("grammar: command {command:?}")),
            Self::UnknownFlag { command, flag } | Self::UnexpectedValue { command, flag } => {
                Some(format!("grammar: command {command:?}, flag {flag:?}"))
            }
            Self::InvalidValue { command, flag, value, .. } => {
                Some(format!("grammar: command {command:?}, flag {flag:?} with {value:?}"))
            }
            Self::UnexpectedOperand { command, word, .. } => {
                Some(format!("grammar: command {command:?}, operand {word:?}"))
            }
        }
    }
}
