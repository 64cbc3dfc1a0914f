//! Tests of the completions in shells, and of the manual page in `man`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run_truing(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command.output().unwrap()
}

fn output_text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns true if the program is installed, otherwise prints that the test is skipped and returns false.
fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !found.status.success() {
        eprintln!("{program} is not on this machine: not tried with it");
    }
    found.status.success()
}

/// Returns bash's completions for the last of these words.
fn completions(words: &[&str]) -> Vec<String> {
    completions_in(Path::new("."), words)
}

/// Returns bash's completions in a folder, with the built `truing` in `PATH`.
fn completions_in(folder: &Path, words: &[&str]) -> Vec<String> {
    let script = output_text(&run_truing(&["completions", "bash"]));
    let asked = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_truing truing '{}' '{}'\nprintf \
         '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
        words.last().unwrap(),
        words.get(words.len().wrapping_sub(2)).unwrap_or(&""),
    );
    // The script is passed as a file, because it is longer than the maximum length of an argument.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(asked.as_bytes()).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_truing")).parent().unwrap().to_owned();
    let system = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&system))).unwrap();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile"]).arg(file.path()).current_dir(folder).env_clear();
    let output = command.env("PATH", path).env("TRUING_CONFIG", folder.join("jobs.toml")).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output_text(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values_and_no_hidden_command() {
    assert!(is_installed("bash"));
    let commands = completions(&["truing", ""]);
    for command in ["review", "serve", "rules", "completions", "man"] {
        assert!(commands.iter().any(|offer| offer == command), "{command}: {commands:?}");
    }
    assert!(!commands.iter().any(|offer| offer == "reader"), "{commands:?}");
    let first_flag = commands.iter().position(|offer| offer.starts_with('-')).unwrap();
    assert!(
        commands[first_flag..].iter().all(|offer| offer.starts_with('-')),
        "commands come first: {commands:?}"
    );
    assert_eq!(completions(&["truing", "rev"]), ["review"]);
    assert_eq!(completions(&["truing", "review", "--fi"]), ["--fix"]);
    assert_eq!(completions(&["truing", "review", "--fail-on", "P"]), ["P0", "P1", "P2"]);
    assert_eq!(completions(&["truing", "rules", "ch"]), ["check"]);
}

#[test]
fn bash_completes_refs_packs_rules_and_jobs() {
    assert!(is_installed("bash"));
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let own = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
        let mut command = truing_fakes::repo::git_command(folder.path());
        let done = command.args(own).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
    git(&["branch", "fix/login"]);
    git(&["tag", "v1.0"]);
    // Without quotes, a shell would execute the command in this branch name.
    git(&["branch", "fix/$(touch${IFS}ran)"]);
    std::fs::write(
        folder.path().join("jobs.toml"),
        "[sync.rim]\nmanifest = \"none\"\n[sync.rust]\nmanifest = \"none\"\n",
    )
    .unwrap();
    let offered = |words: &[&str]| completions_in(folder.path(), &[&["truing"], words].concat());
    assert_eq!(offered(&["review", "--base", ""]), ["fix/login", "main", "v1.0"]);
    assert_eq!(offered(&["review", "--head", "fix"]), ["fix/login"]);
    assert_eq!(offered(&["review", "mai"]), ["main"]);
    assert_eq!(offered(&["review", "--pack", "aio"]), ["aiobotocore"]);
    assert_eq!(offered(&["rules", "show", "core/python-d"]), ["core/python-debugger"]);
    assert_eq!(offered(&["sync", "run", "r"]), ["rim", "rust"]);
    // If `--config` names a file, the completions are the jobs in that file.
    std::fs::write(folder.path().join("more.toml"), "[sync.rope]\nmanifest = \"none\"\n").unwrap();
    for named in [&["--config", "more.toml"][..], &["--config", "=", "more.toml"]] {
        assert_eq!(offered(&[named, &["sync", "run", "r"]].concat()), ["rope"]);
        assert_eq!(offered(&[&["sync", "status"], named, &["r"]].concat()), ["rope"]);
    }
    assert!(!folder.path().join("ran").exists());
}

#[test]
fn every_shell_gets_a_script_that_it_can_read_and_others_are_refused() {
    for (shell, check) in [
        ("bash", "bash -n"),
        ("zsh", "zsh -n"),
        ("fish", "fish --no-execute"),
        ("elvish", ""),
        ("powershell", ""),
    ] {
        let script = output_text(&run_truing(&["completions", shell]));
        assert!(script.contains("completions") && !script.contains("reader"), "{shell}");
        assert!(!script.contains("__REFS__") && !script.contains("__RULES__"), "{shell}");
        if check.is_empty() || !is_installed(shell) {
            continue;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &script).unwrap();
        let line = format!("{check} {}", file.path().display());
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(run_truing(&["completions", "cmd"]).status.code(), Some(2));
    assert_eq!(run_truing(&["completions", "bash", "--format", "json"]).status.code(), Some(2));
}

#[test]
fn the_manual_has_a_page_for_each_command_that_is_shown_and_groff_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("share/man1");
    run_truing(&["man", "--output", into.to_str().unwrap()]);
    let mut names: Vec<String> =
        into.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    for name in ["truing.1", "truing-review.1", "truing-rules-check.1", "truing-man.1"] {
        assert!(names.iter().any(|page| page == name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|page| page.contains("reader") || page.contains("help")), "{names:?}");
    let page = std::fs::read_to_string(into.join("truing-review.1")).unwrap();
    assert_eq!(page, output_text(&run_truing(&["man", "review"])));
    for name in &names {
        let page = std::fs::read_to_string(into.join(name)).unwrap();
        assert!(!page.contains("EXTRA") && page.contains(".SH \"EXIT STATUS\""), "{name}: {page}");
    }
    if is_installed("groff") {
        for name in &names {
            let output = Command::new("groff")
                .args(["-man", "-Tutf8", "-wall", "-z"])
                .arg(into.join(name))
                .output()
                .unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
        }
    }
    let none = run_truing(&["man", "nonsense"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no command `nonsense`"));
}
