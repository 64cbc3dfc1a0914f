//! Why a command line is none that a grammar knows, and what would have to be listed.

use super::ValueType;

/// Why a command line is refused. Shown, it says what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandRefusal {
    /// No words at all.
    #[error("no command is given")]
    Nothing,
    /// Too many words, or too long a one.
    #[error("the command line is longer than any may be")]
    TooLong,
    /// A control character in a word.
    #[error("{word:?} holds a control character")]
    Control {
        /// The word.
        word: String,
    },
    /// No grammar for this program. Programs go by their bare name.
    #[error("{program:?} is no known program")]
    Program {
        /// As it was called.
        program: String,
    },
    /// The program is known, this command of it is not.
    #[error("{command:?} is no known command")]
    Command {
        /// The program and the word after it.
        command: String,
    },
    /// A flag that is not listed.
    #[error("{flag:?} is no flag that `{command}` may have")]
    Flag {
        /// The command.
        command: String,
        /// The flag, without its value.
        flag: String,
    },
    /// A flag that takes no value has one.
    #[error("{flag:?} of `{command}` takes no value")]
    Alone {
        /// The command.
        command: String,
        /// The flag.
        flag: String,
    },
    /// A flag's value is missing, or is a word that begins with `-`.
    #[error("{flag:?} of `{command}` has no value")]
    NoValue {
        /// The command.
        command: String,
        /// The flag.
        flag: String,
    },
    /// A flag's value is of another type.
    #[error("{value:?} is not {kind}, as {flag:?} of `{command}` takes")]
    Value {
        /// The command.
        command: String,
        /// The flag.
        flag: String,
        /// Its value.
        value: String,
        /// What it must be.
        kind: ValueType,
    },
    /// A word that stands for the words of a file.
    #[error("{word:?} may stand for words of a file to `{command}`")]
    WordsFile {
        /// The command that was called.
        command: String,
        /// The word that begins with `@`.
        word: String,
    },
    /// An operand that sets a variable.
    #[error("{word:?} sets a variable of `{command}`")]
    Assignment {
        /// The command.
        command: String,
        /// The word.
        word: String,
    },
    /// A word that is no flag, where the command takes none, or none like it.
    #[error("{word:?} is not {}, as `{command}` takes", .kind.as_ref().map_or("a flag".to_owned(), ValueType::to_string))]
    Operand {
        /// The command.
        command: String,
        /// The word.
        word: String,
        /// What it may be given, if anything.
        kind: Option<ValueType>,
    },
}

impl CommandRefusal {
    /// The rule that a grammar would need for it; none where no rule can allow it.
    pub fn needed(&self) -> Option<String> {
        match self {
            Self::Nothing
            | Self::TooLong
            | Self::Control { .. }
            | Self::NoValue { .. }
            | Self::WordsFile { .. }
            | Self::Assignment { .. } => None,
            Self::Program { program } => Some(format!("grammar: program {program:?}")),
            Self::Command { command } => Some(format!("grammar: command {command:?}")),
            Self::Flag { command, flag } | Self::Alone { command, flag } => {
                Some(format!("grammar: command {command:?}, flag {flag:?}"))
            }
            Self::Value { command, flag, value, .. } => {
                Some(format!("grammar: command {command:?}, flag {flag:?} with {value:?}"))
            }
            Self::Operand { command, word, .. } => {
                Some(format!("grammar: command {command:?}, operand {word:?}"))
            }
        }
    }
}
