//! Reads the commands in a README with the output that the README shows for them.

use std::path::{Path, PathBuf};

/// Returns the root folder of the repository. The commands in its READMEs are run there.
pub(crate) fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A `truing` command in a README, with its output.
#[derive(Debug)]
pub(crate) struct ReadmeCommand {
    pub(crate) arguments: Vec<String>,
    /// The output that the README shows for the command.
    pub(crate) output: String,
}

impl ReadmeCommand {
    /// Returns the `truing` commands of a README that have all these words among their arguments.
    pub(crate) fn find_commands(readme: &str, words: &[&str]) -> Vec<Self> {
        let text = std::fs::read_to_string(repository_root().join(readme)).unwrap();
        let mut all: Vec<Self> = Vec::new();
        // `ours` is true after a `truing` command, until the next command or the end of the block. `goes_on`
        // is true if the next line continues the command.
        let (mut ours, mut goes_on) = (false, false);
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with("```") {
                (inside, ours) = (line == "```console", false);
            } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
                let arguments = command.strip_prefix("truing ").map(split);
                ours = arguments.is_some();
                all.extend(arguments.map(|arguments| Self { arguments, output: String::new() }));
                goes_on = line.ends_with('\\');
            } else if let (true, Some(shown)) = (ours, all.last_mut()) {
                if goes_on {
                    shown.arguments.extend(split(line));
                    goes_on = line.ends_with('\\');
                } else {
                    shown.output += &format!("{line}\n");
                }
            }
        }
        all.retain(|shown| words.iter().all(|word| shown.arguments.iter().any(|has| has == word)));
        assert!(!all.is_empty(), "{readme} shows no {words:?}");
        all
    }
}

fn split(command: &str) -> Vec<String> {
    command.split_whitespace().filter(|word| *word != "\\").map(str::to_owned).collect()
}
