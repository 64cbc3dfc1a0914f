//! Property tests: the grammars accept only listed commands, flags and operands. A table of hostile command
//! lines is in `tests/it/grammar.rs`.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::command::{FlagArgument, FlagSet};
use super::*;

fn grammar() -> &'static CommandGrammar {
    static SHIPPED: LazyLock<CommandGrammar> = LazyLock::new(|| CommandGrammar::load_shipped().unwrap());
    &SHIPPED
}

fn refusal_of(argv: &[String]) -> Option<CommandRefusal> {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    grammar().accept(&argv).err()
}

/// Returns an example of a value of this type.
fn sample(kind: &ValueType) -> String {
    ["1", "a", "tests", "HEAD", "30s", "1,2:a", "a==1"]
        .iter()
        .find(|value| kind.fits(value))
        .map(|value| (*value).to_owned())
        .unwrap_or_else(|| match kind {
            ValueType::OneOf(words) => words.first().unwrap().clone(),
            ValueType::Named(named) => panic!("no sample of {named:?}"),
        })
}

/// Returns a flag as words of a command line. The flag's value is attached to the flag, or is a separate
/// word.
fn flag_words((name, takes): (&String, &FlagArgument), attached: bool) -> Vec<String> {
    match takes {
        FlagArgument::Nothing(_) if name == "-NUMBER" => vec!["-3".to_owned()],
        FlagArgument::Nothing(_) => vec![name.clone()],
        FlagArgument::Optional { .. } if !attached => vec![name.clone()],
        FlagArgument::Optional { optional: kind } | FlagArgument::Attached { attached: kind }
            if name.len() > 2 =>
        {
            vec![format!("{name}={}", sample(kind))]
        }
        FlagArgument::Optional { optional: kind } | FlagArgument::Attached { attached: kind } => {
            vec![format!("{name}{}", sample(kind))]
        }
        FlagArgument::Value(kind) if attached && name.starts_with("--") => {
            vec![format!("{name}={}", sample(kind))]
        }
        FlagArgument::Value(kind) => vec![name.clone(), sample(kind)],
    }
}

/// Returns a valid command line: the command, some of its flags, and then some operands.
fn known_line(command: usize, flags: &[(Index, bool)], operands: usize) -> Vec<String> {
    let command = grammar().commands().get(command).unwrap();
    let mut argv = vec![command.programs.first().unwrap().clone()];
    argv.extend(command.name_words.clone());
    if !command.flags.flags.is_empty() {
        let all: Vec<_> = command.flags.flags.iter().collect();
        argv.extend(flags.iter().flat_map(|(index, attached)| flag_words(*index.get(&all), *attached)));
    }
    let takes_operands = command.leading_operand.is_none() && command.operand_enabling_flags.is_empty();
    if let Some(kind) = command.operands.as_ref().filter(|_| takes_operands) {
        argv.extend(std::iter::repeat_n(sample(kind), operands));
    }
    if command.runs_inner_command {
        argv.push("pytest".to_owned());
    }
    argv
}

/// Returns true if a word that begins with `-` is permitted. This is a simpler implementation of the check,
/// independent of the tested implementation.
fn is_listed_flag(word: &str, flags: &FlagSet) -> bool {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    match flags.flags.get(name) {
        Some(FlagArgument::Nothing(_)) => return value.is_none(),
        Some(
            FlagArgument::Value(kind)
            | FlagArgument::Optional { optional: kind }
            | FlagArgument::Attached { attached: kind },
        ) if word.starts_with("--") || name.len() > 2 => {
            return value.is_none_or(|value| kind.fits(value));
        }
        Some(_) | None => {}
    }
    let letters = word.strip_prefix('-').unwrap();
    if !letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_digit()) {
        return true;
    }
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match flags.flags.get(&format!("-{letter}")) {
            Some(FlagArgument::Nothing(_)) => {}
            Some(
                FlagArgument::Value(kind)
                | FlagArgument::Optional { optional: kind }
                | FlagArgument::Attached { attached: kind },
            ) => {
                return rest.is_empty() || kind.fits(rest);
            }
            None => return false,
        }
    }
    !letters.is_empty()
}

fn commands() -> impl Strategy<Value = usize> {
    0..grammar().commands().len()
}

/// Generates flags that an attacker may use, and parts of such flags.
fn hostile_flags() -> impl Strategy<Value = String> {
    select(vec![
        "--output=x",
        "--output",
        "--outp",
        "--pre",
        "--pre=x",
        "--exec=x",
        "-exec",
        "--ext-diff",
        "-O",
        "-Oless",
        "--config=x",
        "--upload-pack=x",
        "-c",
        "-C..",
        "--require=x",
        "-Z",
        "-z",
        "-",
        "---",
        "--=x",
        "-=",
        "--rootdir=..",
        "--script-shell=x",
        "-toolexec=x",
        "--no-index",
        "-\u{2d}o",
        "--OUTPUT=x",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn lines_made_of_what_is_listed_are_known(
        command in commands(), flags in prop::collection::vec(any::<(Index, bool)>(), 0..6), operands in 0..3_usize,
    ) {
        let argv = known_line(command, &flags, operands);
        prop_assert_eq!(refusal_of(&argv), None, "{:?}", argv);
    }

    /// An unlisted flag is refused at every position: before the command, as a value, among flags or
    /// operands, and after `--`.
    #[test]
    fn a_flag_that_is_not_listed_is_refused_wherever_it_stands(
        command in commands(), flags in prop::collection::vec(any::<(Index, bool)>(), 0..4), operands in 0..3_usize,
        hostile in hostile_flags(), at in any::<Index>(), dashes in any::<bool>(),
    ) {
        let mut argv = known_line(command, &flags, operands);
        let command = grammar().commands().get(command).unwrap();
        let known = |flags: &FlagSet| is_listed_flag(&hostile, flags);
        prop_assume!(!known(&command.flags) && !command.tail.as_ref().is_some_and(|tail| known(&tail.flags)));
        if dashes && !command.runs_inner_command {
            argv.push("--".to_owned());
        }
        // If the command runs another command, the flag is not inserted at the end, because it would belong
        // to the other command.
        let end = argv.len() + 1 - usize::from(command.runs_inner_command);
        argv.insert(1 + at.index(end - 1), hostile);
        prop_assert!(refusal_of(&argv).is_some(), "{:?}", argv);
    }

    /// If a line of arbitrary words is accepted, each of its words that begins with `-` is a listed flag or
    /// `--`.
    #[test]
    fn no_line_is_accepted_but_of_listed_flags(
        command in commands(),
        rest in prop::collection::vec(prop_oneof![
            hostile_flags(),
            "-{0,2}[a-zA-Z=@/.0-9-]{0,6}",
            select(vec!["--", "-n", "-p", "-e", "-k", "-x", "..", "/etc/passwd", "a", "tests", ".git/config", "@f"])
                .prop_map(str::to_owned),
        ], 0..6),
    ) {
        let command = grammar().commands().get(command).unwrap();
        prop_assume!(!command.runs_inner_command);
        let mut argv = vec![command.programs.first().unwrap().clone()];
        argv.extend(command.name_words.clone());
        let named = argv.len();
        argv.extend(rest);
        let refused = refusal_of(&argv);
        let mut flags = &command.flags;
        for word in argv.iter().skip(named).filter(|word| word.starts_with('-')) {
            if word == "--" && std::ptr::eq(flags, &command.flags) {
                let Some(tail) = &command.tail else {
                    prop_assert!(refused.is_some(), "{:?}", argv);
                    break;
                };
                flags = &tail.flags;
            } else {
                prop_assert!(refused.is_some() || is_listed_flag(word, flags), "{:?}: {}", argv, word);
            }
        }
    }
}
