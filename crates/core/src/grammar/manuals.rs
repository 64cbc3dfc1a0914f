//! Checks that every flag in the manuals of the known programs has a class (`tests/data/policy/flags`). Also
//! checks that grammars list only flags of the class `plain`, with listed exceptions.
//!
//! A data file has lines `== COMMAND, COMMAND`, each followed by one flag per line. The line of a flag has
//! parts separated by tabs: the spellings, the argument, the class and a note.

use std::collections::{BTreeMap, BTreeSet};

use super::command::FlagSet;
use super::*;

const MANUALS: [&str; 21] = [
    include_str!("../../tests/data/policy/flags/cargo.txt"),
    include_str!("../../tests/data/policy/flags/dotnet.txt"),
    include_str!("../../tests/data/policy/flags/gh.txt"),
    include_str!("../../tests/data/policy/flags/git.txt"),
    include_str!("../../tests/data/policy/flags/go.txt"),
    include_str!("../../tests/data/policy/flags/gradle.txt"),
    include_str!("../../tests/data/policy/flags/make.txt"),
    include_str!("../../tests/data/policy/flags/maven.txt"),
    include_str!("../../tests/data/policy/flags/mypy.txt"),
    include_str!("../../tests/data/policy/flags/node-bin.txt"),
    include_str!("../../tests/data/policy/flags/node.txt"),
    include_str!("../../tests/data/policy/flags/nox.txt"),
    include_str!("../../tests/data/policy/flags/npm.txt"),
    include_str!("../../tests/data/policy/flags/pre-commit.txt"),
    include_str!("../../tests/data/policy/flags/pytest.txt"),
    include_str!("../../tests/data/policy/flags/rg.txt"),
    include_str!("../../tests/data/policy/flags/ruby.txt"),
    include_str!("../../tests/data/policy/flags/ruff.txt"),
    include_str!("../../tests/data/policy/flags/tox.txt"),
    include_str!("../../tests/data/policy/flags/unittest.txt"),
    include_str!("../../tests/data/policy/flags/uv.txt"),
];

const CLASSES: [&str; 8] = ["plain", "reads", "writes", "runs", "network", "leaves", "waits", "changes"];

/// Flags that a grammar may list although their class is not `plain` or the manual lacks them. Each row:
/// command, flag, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("go build", "-mod", "the two values that change nothing"),
    ("go test", "-mod", "the two values that change nothing"),
    ("go vet", "-mod", "the two values that change nothing"),
    ("npm run", "--workspace", "a folder inside the tree"),
    ("npm run", "-w", "a folder inside the tree"),
    ("npm test", "--workspace", "a folder inside the tree"),
    ("npm test", "-w", "a folder inside the tree"),
    ("node", "--experimental-strip-types", "of a later version; strips types from tests"),
    ("node", "--test-skip-pattern", "of a later version; chooses tests"),
    ("node", "--test-reporter", "reporters that are built in"),
    ("pytest", "--asyncio-mode", "of a plugin that the manual does not have"),
    ("pytest", "-W", "filters by classes that are built in"),
    ("pytest", "-p", "turns plugins off"),
    ("uv lock", "--upgrade-package", "updating one package is the purpose of a sync job"),
    ("uv lock", "-P", "updating one package is the purpose of a sync job"),
];

/// Commands without a manual of their own, each with the command whose manual applies.
const MANUAL_OF: &[(&str, &str)] = &[("node --test", "node"), ("python -m pytest", "pytest")];

/// Commands that pass the words after `--` to a script or command of the repository.
const OF_SCRIPTS: &[&str] = &["nox --", "npm run --", "npm test --", "tox --", "tox run --"];

/// Returns the class of each flag, by command.
fn flag_classes() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let mut classed = BTreeMap::<_, BTreeMap<_, _>>::new();
    for manual in MANUALS {
        let mut commands: Vec<&str> = Vec::new();
        for line in manual.lines() {
            if let Some(named) = line.strip_prefix("== ") {
                commands = named.split(", ").collect();
                continue;
            }
            let parts: Vec<&str> = line.split('\t').collect();
            let [names, _, class, ..] = parts[..] else { panic!("{line:?} is no flag") };
            assert!(CLASSES.contains(&class), "{line:?} has no class");
            for command in &commands {
                classed.entry(*command).or_default().extend(names.split(' ').map(|name| (name, class)));
            }
        }
    }
    classed
}

#[test]
fn a_grammar_lists_no_flag_but_those_that_the_manual_shows_to_be_plain() {
    let classed = flag_classes();
    let mut wrong = BTreeSet::new();
    for (name, flags) in grammar_commands() {
        let name =
            MANUAL_OF.iter().find(|(of, _)| *of == name).map_or(name, |(_, manual)| (*manual).to_owned());
        let Some(known) = classed.get(name.as_str()) else {
            wrong.insert(format!("{name}: its manual was not read"));
            continue;
        };
        for flag in flags.flags.keys().filter(|flag| *flag != "-NUMBER") {
            let is_excepted = EXCEPTIONS.iter().any(|(of, excepted, _)| *of == name && excepted == flag);
            match known.get(flag.as_str()) {
                Some(&"plain") => {}
                Some(_) | None if is_excepted => {}
                Some(class) => _ = wrong.insert(format!("{name} {flag}: {class}")),
                None => _ = wrong.insert(format!("{name} {flag}: not in the manual")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Returns the flags of each command, and the flags that each command accepts after `--`.
fn grammar_commands() -> Vec<(String, FlagSet)> {
    let shipped = CommandGrammar::load_shipped().unwrap();
    let of = |command: &CommandSpec| {
        let tail = command.tail.as_ref().map(|tail| (format!("{} --", command.name()), tail.flags.clone()));
        [Some((command.name(), command.flags.clone())), tail.filter(|(_, flags)| !flags.flags.is_empty())]
    };
    let all = shipped.commands().iter().flat_map(of).flatten();
    all.filter(|(name, _)| !OF_SCRIPTS.contains(&name.as_str())).collect()
}
