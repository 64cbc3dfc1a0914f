//! What a README shows: commands with their output.

use std::path::{Path, PathBuf};

/// The top of the repository, where its READMEs are read.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A command of a README and what it prints.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Its words, without `truing`.
    pub(crate) arguments: Vec<String>,
    /// The lines that are shown.
    pub(crate) output: String,
}

impl Shown {
    /// Those of a README whose words are all in them.
    pub(crate) fn of(readme: &str, words: &[&str]) -> Vec<Self> {
        let text = std::fs::read_to_string(top().join(readme)).unwrap();
        let mut all: Vec<Self> = Vec::new();
        let (mut inside, mut goes_on) = (false, false);
        for line in text.lines() {
            if line.starts_with("```") {
                inside = line == "```console";
            } else if let (true, Some(command)) = (inside, line.strip_prefix("$ truing ")) {
                all.push(Self { arguments: split(command), output: String::new() });
                goes_on = line.ends_with('\\');
            } else if let (true, Some(shown)) = (inside, all.last_mut()) {
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
