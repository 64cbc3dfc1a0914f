//! Tests of `truing gate` and `truing preflight` with real git and real commands in the sandbox, as users and
//! repository hooks run them.

// long: the gate and the preflight share their sites and their checks of the output.

#![cfg(target_os = "linux")]
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::workspace::{CheckedRepository, has_sandbox};

/// Code for which the rule pack `core` reports a defect.
const SWALLOWED: &str = "try:\n    f()\nexcept:\n    pass\n";

/// A repository for which a gate is configured.
struct Site(CheckedRepository);

impl Deref for Site {
    type Target = CheckedRepository;

    fn deref(&self) -> &CheckedRepository {
        &self.0
    }
}

impl Site {
    fn without_commit(configuration: &str) -> Self {
        Self(CheckedRepository::without_commit(configuration))
    }

    /// Creates a site with a base commit that adds a file of a hundred lines, and with a checked-out branch.
    fn new(configuration: &str) -> Self {
        let site = Self::without_commit(configuration);
        site.write("repository/old.txt", &lines(100));
        site.commit();
        site.git(&["checkout", "--quiet", "-b", "topic"]);
        site
    }

    /// Creates a site whose gate is this shell script.
    fn with_script(script: &str) -> Self {
        let command = json!([["sh", "-c", script]]);
        Self::new(&format!("[converge]\ngate = {command}\n[verify]\ntimeout = \"60s\"\n"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[&["gate"], arguments].concat()).output().unwrap()
    }

    /// Runs `truing preflight`. Returns the lines of its output that are not indented, and the exit code.
    fn preflight(&self, variables: &[(&str, &str)]) -> (Vec<String>, Option<i32>) {
        let mut command = self.command(&["preflight", "--quiet"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let told = text(&output.stdout) + &text(&output.stderr);
        (
            told.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect(),
            output.status.code(),
        )
    }

    /// Runs the preflight, and returns its output in one line.
    fn preflight_line(&self) -> String {
        let output = self.command(&["preflight", "--quiet"]).envs([KEY]).output().unwrap();
        let told = text(&output.stdout) + &text(&output.stderr);
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn run_json(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let output = self.run(&[arguments, &["--format", "json"]].concat());
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (answer, output.status.code())
    }

    /// Runs a gate that cannot be executed, and returns the error.
    fn refusal_error(&self) -> String {
        let output = self.run(&[]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        text(&output.stderr).lines().find(|line| line.starts_with("error: ")).unwrap().to_owned()
    }
}

fn lines(count: usize) -> String {
    (1..=count).map(|line| format!("line {line}\n")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns the findings in the list `kind` of the output, in the form `path:line text`.
fn findings_of_kind(answer: &Value, kind: &str) -> Vec<String> {
    let one = |finding: &Value| {
        let place = match finding["path"].as_str() {
            Some(path) => format!("{path}:{}", finding["line"]),
            None => "-".to_owned(),
        };
        format!("{place} {}", finding["text"].as_str().unwrap())
    };
    answer[kind].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn the_packs_alone_are_a_gate_of_any_repository_even_before_its_first_commit() {
    let site = Site::without_commit("");
    site.write("repository/a.py", SWALLOWED);
    let (answer, code) = site.run_json(&[]);
    assert_eq!((code, &answer["ok"], &answer["inspected"]), (Some(1), &json!(false), &json!(1)));
    assert_eq!(answer["blocking"][0]["by"], "core/python-bare-except-pass");
    assert_eq!((&answer["blocking"][0]["path"], &answer["blocking"][0]["line"]), (&json!("a.py"), &json!(3)));

    // The gate does not report defects in unchanged lines.
    site.commit();
    site.git(&["checkout", "--quiet", "-b", "topic"]);
    site.write("repository/a.py", &format!("{SWALLOWED}f()\n"));
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("gate: 1 file inspected, against "), "{output:?}");

    // If files are named, the gate checks all their lines.
    let output = site.run(&["a.py"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.starts_with("gate: 1 violation:\na.py:\n  Line 3: "), "{told}");
    assert!(told.ends_with("gate: 1 file inspected\n"), "{told}");
}

/// The gate of the converge loop ignores dismissals, so the command does, too.
#[test]
fn a_dismissed_finding_still_blocks_and_the_output_says_how_to_accept_it() {
    let site = Site::new("");
    site.write("repository/a.py", SWALLOWED);
    let review = site.command(&["review", "--format", "json"]).output().unwrap();
    let review: Value = serde_json::from_slice(&review.stdout).unwrap();
    let id = review["findings"][0]["id"].as_str().unwrap();
    let dismissal = site.command(&["dismiss", id, "--reason", "known"]).output().unwrap();
    assert_eq!(dismissal.status.code(), Some(0), "{dismissal:?}");
    let note = "the gate ignores dismissals: to accept a violation of a rule, write a comment";
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stderr).matches(note).count(), 1, "{output:?}");

    let comment = "# truing: ignore[core/python-bare-except-pass] known";
    site.write("repository/a.py", &SWALLOWED.replace("except:", &format!("except:  {comment}")));
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!text(&output.stderr).contains(note), "{output:?}");
}

#[test]
fn what_could_not_be_looked_at_is_told() {
    let site = Site::new("[rules]\npacks = [\"aiobotocore\"]\n");
    std::fs::write(site.path("repository/old.txt"), b"\0\x01\x02").unwrap();
    site.write("repository/huge.txt", &"x".repeat(20 << 20));
    let (answer, code) = site.run_json(&[]);
    assert_eq!((code, &answer["inspected"]), (Some(0), &json!(0)));
    assert_eq!(
        answer["not_inspected"],
        json!([
            { "path": "huge.txt", "reason": "too_large" },
            { "path": "old.txt", "reason": "became_binary" },
        ])
    );
    let told = text(&site.run(&[]).stdout);
    assert!(told.starts_with("gate: 0 files inspected, 2 not, against "), "{told}");
    assert!(
        told.ends_with("  not inspected: huge.txt: too large\n  not inspected: old.txt: became binary\n"),
        "{told}"
    );
}

#[test]
fn of_what_commands_print_changed_lines_block_and_old_ones_are_notes() {
    if !has_sandbox() {
        return;
    }
    let site = Site::with_script(
        "for n in $(seq 3000); do echo \"old.txt:$((n % 90 + 1)): old $n\"; done
         echo old.txt:95:7: E501 new; echo '    in this place'; echo; echo new.txt:1: new
         echo \"$PWD/old.txt:96: by its whole path\" >&2; printf './old.txt:94:1 old too\\n'
         echo gone.txt:1: no such file; echo done; exit 1",
    );
    site.write("repository/old.txt", &lines(100).replace("line 95\nline 96\n", "line 95!\nline 96!\n"));
    site.write("repository/new.txt", "new\n");
    let (answer, code) = site.run_json(&[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        findings_of_kind(&answer, "blocking"),
        [
            "old.txt:95 E501 new in this place",
            "new.txt:1 new",
            "- gone.txt:1: no such file",
            "- done",
            "old.txt:96 by its whole path",
        ]
    );
    // The output lists at most 500 old findings, but a new finding is always listed.
    let old = findings_of_kind(&answer, "advisory");
    assert_eq!((old.len(), old[0].as_str()), (500, "old.txt:2 old 1"));
    assert_eq!(answer["left_out"], json!({ "blocking": 0, "advisory": 2501 }));
    assert_eq!(answer["commands"][0]["ok"], false);
    let told = text(&site.run(&[]).stdout);
    assert!(told.starts_with("gate: 5 violations on changed lines:\nwithout a file:\n"));
    assert!(told.contains("\ngate: 3001 violations elsewhere in these files (not blocking):\n"));
}

#[test]
fn of_a_renamed_file_the_lines_count_that_are_new() {
    if !has_sandbox() {
        return;
    }
    let site = Site::with_script("echo new.txt:7: old; echo new.txt:101: new; exit 1");
    site.git(&["mv", "old.txt", "new.txt"]);
    site.write("repository/new.txt", &lines(101));
    site.commit();
    let (answer, code) = site.run_json(&["--base", "main"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        (findings_of_kind(&answer, "blocking"), findings_of_kind(&answer, "advisory")),
        (vec!["new.txt:101 new".to_owned()], vec!["new.txt:7 old".to_owned()])
    );
}

#[test]
fn a_clean_command_says_nothing_and_one_that_finds_something_in_silence_blocks() {
    if !has_sandbox() {
        return;
    }
    let site = Site::with_script("echo old.txt:95: a warning; exit 0");
    site.write("repository/old.txt", &lines(101));
    let (answer, code) = site.run_json(&[]);
    assert_eq!(
        (code, findings_of_kind(&answer, "blocking").len(), &answer["commands"][0]["ok"]),
        (Some(0), 0, &json!(true))
    );
    let site = Site::with_script("exit 1");
    let (answer, code) = site.run_json(&[]);
    assert_eq!(
        (code, findings_of_kind(&answer, "blocking")),
        (Some(1), vec!["- the command reported findings without any details".to_owned()])
    );
}

#[test]
fn a_command_that_cannot_do_its_work_is_no_finding() {
    if !has_sandbox() {
        return;
    }
    let begins = "error: code rules gate could not run: ";
    let site = Site::with_script("echo old.txt:1: x; echo no such option >&2; exit 2");
    assert_eq!(
        site.refusal_error(),
        format!(
            "{begins}`sh -c echo old.txt:1: x; echo no such option >&2; exit 2`: exit code 2: no such option"
        )
    );
    let flood = Site::with_script("yes old.txt:1: x");
    assert_eq!(
        flood.refusal_error(),
        format!("{begins}`sh -c yes old.txt:1: x`: printed too much: {}", ["old.txt:1: x"; 3].join("; "))
    );
    let hanging = Site::new("[converge]\ngate = [[\"sleep\", \"1000\"]]\n[verify]\ntimeout = \"1s\"\n");
    assert_eq!(hanging.refusal_error(), format!("{begins}`sleep 1000`: took too long"));
    let missing = Site::new("[converge]\ngate = [[\"no-such-linter\"]]\n");
    assert!(missing.refusal_error().starts_with(&format!("{begins}`no-such-linter`: cannot be started: ")));
    let killed = Site::with_script("kill -9 $$");
    assert!(killed.refusal_error().contains(": signal 9"), "{}", killed.refusal_error());
}

#[test]
fn commands_see_the_change_and_nothing_else_and_what_they_change_matters_to_nobody() {
    if !has_sandbox() {
        return;
    }
    let script = |words: &str| json!(["sh", "-c", words]);
    let gate =
        json!([
        script("test -z \"$SECRET\" && grep -qx new old.txt && test -e more.txt && test ! -e ignored.txt && \
                git log -1 --format=%s && ! (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null || exit 9
                echo changed > old.txt; rm -rf more.txt .git; echo new > left.txt"),
        script("grep -qx new old.txt && test -e more.txt && test ! -e left.txt || exit 9"),
    ]);
    let site = Site::new(&format!("[converge]\ngate = {gate}\n"));
    site.write("repository/old.txt", "new\n");
    site.write("repository/more.txt", "x\n");
    site.write("repository/.gitignore", "ignored.txt\n");
    site.write("repository/ignored.txt", "x\n");
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(std::fs::read_to_string(site.path("repository/old.txt")).unwrap(), "new\n");
    assert!(site.path("repository/more.txt").exists() && site.path("repository/.git/HEAD").exists());
    assert!(!site.path("repository/left.txt").exists());
}

#[test]
fn what_a_command_prints_steers_no_terminal_and_names_no_place_elsewhere() {
    if !has_sandbox() {
        return;
    }
    // The script contains the token in parts, which the shell joins.
    let token = ["ghp", "''", "_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    let site = Site::with_script(&format!(
        "printf '\\033[31mold.txt:1:2:\\033[0m \\033]0;title\\007red\\r\\n'
         echo ../../etc/passwd:1: a; echo /etc/passwd:1: b; echo link/passwd:1: c; echo old.txt:0: d
         echo old.txt:99999999999: e; echo old.txt:1: key {token}; exit 1"
    ));
    std::os::unix::fs::symlink("/etc", site.path("repository/link")).unwrap();
    site.write("repository/old.txt", "new\n");
    let output = site.run(&["--color", "always"]);
    let told = text(&output.stdout);
    assert!(!told.contains('\u{1b}') && !told.contains('\r') && !told.contains("16C7e42F"), "{told}");
    let (answer, _) = site.run_json(&[]);
    assert_eq!(
        findings_of_kind(&answer, "blocking"),
        [
            "old.txt:1 red",
            "- ../../etc/passwd:1: a",
            "- /etc/passwd:1: b",
            "- link/passwd:1: c",
            "- old.txt:0: d",
            "- old.txt:99999999999: e",
            "old.txt:1 key ghp_…",
        ]
    );
}

#[test]
fn what_is_staged_is_looked_at_as_it_is_staged() {
    let site = Site::new("");
    site.write("repository/a.py", SWALLOWED);
    assert_eq!(site.run_json(&["--staged"]).1, Some(0), "nothing is staged");
    site.git(&["add", "a.py"]);
    site.write("repository/a.py", "f()\n");
    assert_eq!(site.run_json(&["--staged"]).1, Some(1));
    assert_eq!(site.run_json(&[]).1, Some(0));
    if has_sandbox() {
        let gate = json!([["sh", "-c", "grep -n '^ *pass' a.py | sed 's/^/a.py:/'; exit 1"]]);
        site.write("truing.toml", &format!("[rules]\npacks = []\n[converge]\ngate = {gate}\n"));
        assert_eq!(findings_of_kind(&site.run_json(&["--staged"]).0, "blocking"), ["a.py:4 pass"]);
    }
}

#[test]
fn wrong_uses_are_refused_and_say_what_is_wrong() {
    let site = Site::new("");
    for (arguments, wrong) in [
        (&["--base", "nope"][..], "nope"),
        (&["/etc/passwd"], "the path is not in this repository"),
        (&["gone.py"], "gone.py: No such file or directory"),
        (&["--staged", "--base", "main"], "cannot be used with"),
        (&["--base", "main", "old.txt"], "cannot be used with"),
    ] {
        let output = site.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(wrong), "{arguments:?}: {said}");
    }
    std::fs::remove_dir_all(site.path("repository/.git")).unwrap();
    let output = site.run(&[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// A program with the interface and the output of pre-commit 4.7. It has the hook `strip`, which edits files,
/// and the hook `lint`. With network, it installs the hooks in the home folder.
const PRE_COMMIT: &str = r#"#!/bin/sh
if [ "$1" = validate-config ]; then
    grep -q '^repos:' "$2" && exit 0
    echo "==> File $2"
    echo "=====> Expected a Config map but got a NoneType"
    exit 1
fi
[ "$1" = install-hooks ] && grep -q hang .pre-commit-config.yaml && sleep 1000
installed="$HOME/.cache/pre-commit"
if [ ! -e "$installed" ]; then
    echo "[INFO] Initializing environment for https://example.org/hooks."
    if [ -n "$UV_OFFLINE" ]; then
        echo "An unexpected error has occurred: CalledProcessError: command: ('/usr/bin/git', 'fetch')"
        echo "return code: 128"
        exit 3
    fi
    mkdir -p "$installed"
fi
[ "$1" = install-hooks ] && exit 0
[ "$1" = run ] || exit 9
config=.pre-commit-config.yaml
[ "$2" = --config ] && { config=$3; shift 2; }
[ -e "$config" ] || {
    echo "An error has occurred: InvalidConfigError: "
    echo "=====> $config is not a file"
    exit 1
}
[ "$2" = --files ] || exit 9
shift 2
grep -q 'repos: \[\]' "$config" && exit 0
result=0
echo "check yaml...............................................................Passed"
echo "- hook id: check-yaml"
echo "this hook is verbose"
echo "check toml...........................................(no files to check)Skipped"
if grep -q ' $' "$@"; then
    sed -i 's/ *$//' "$@"
    echo "strip....................................................................Failed"
    echo "- hook id: strip"
    echo "- files were modified by this hook"
    result=1
fi
if grep -q bad "$@"; then
    echo "lint.....................................................................Failed"
    echo "- hook id: lint"
    echo "- exit code: 1"
    echo
    grep -n bad "$@" /dev/null | sed 's/^\.\///'
    result=1
fi
grep -q hang "$@" && sleep 1000
if grep -q missing "$@"; then
    echo "absent...................................................................Failed"
    echo "- hook id: absent"
    echo "- exit code: 1"
    echo
    echo "Executable \`nosuchtool\` not found"
    result=1
fi
exit $result
"#;

/// A list of the fake program's hooks.
const HOOKS: &str = "repos: [{repo: local}]\n";

/// Creates a site whose gate consists of the pre-commit hooks. The setup installs the program, and the hooks if
/// `installs_hooks`. `more` is added to the section `[verify]`.
fn site_with_hooks(installs_hooks: bool, more: &str) -> Site {
    let site = Site::new("");
    let install = "mkdir -p ~/.local/bin && printf %s \"$1\" > ~/.local/bin/pre-commit && chmod +x \
                   ~/.local/bin/pre-commit";
    let mut setup = vec![json!(["sh", "-c", install, "sh", PRE_COMMIT])];
    setup.extend(installs_hooks.then(|| json!(["pre-commit", "install-hooks"])));
    let verify = format!("[verify]\nsetup = {}\n{more}", json!(setup));
    site.write("truing.toml", &format!("[converge]\ngate = [\"pre-commit\"]\n{verify}"));
    site.write("repository/.pre-commit-config.yaml", HOOKS);
    site.commit();
    site
}

#[test]
fn pre_commit_hooks_block_if_they_fail_or_edit_files_and_their_edits_go_nowhere() {
    if !has_sandbox() {
        return;
    }
    let site = site_with_hooks(true, "");
    assert_eq!(site.run(&[]).status.code(), Some(0), "{:?}", site.run(&[]));
    site.write("repository/new.txt", "good \nbad\n");
    let (answer, code) = site.run_json(&[]);
    let failed = |name: &str, dots: usize, details: &str| {
        format!("- {name}{}Failed - hook id: {name} - {details}", ".".repeat(dots))
    };
    assert_eq!(code, Some(1), "{answer}");
    assert_eq!(
        findings_of_kind(&answer, "blocking"),
        [
            failed("strip", 68, "files were modified by this hook"),
            failed("lint", 69, "exit code: 1"),
            "new.txt:2 bad".to_owned(),
        ]
    );
    assert_eq!(answer["commands"][0]["argv"], json!(["pre-commit"]));
    assert_eq!(std::fs::read_to_string(site.path("repository/new.txt")).unwrap(), "good \nbad\n");
}

#[test]
fn pre_commit_hooks_that_cannot_run_are_no_pass() {
    if !has_sandbox() {
        return;
    }
    // No hook is installed.
    let site = site_with_hooks(false, "");
    site.write("repository/new.txt", "good\n");
    let error = site.refusal_error();
    assert!(error.contains("`pre-commit`: exit code 3: "), "{error}");
    assert!(error.contains("let `verify.setup` install them (`pre-commit install-hooks`)"), "{error}");

    // There is no configuration of hooks.
    let site = site_with_hooks(true, "");
    std::fs::remove_file(site.path("repository/.pre-commit-config.yaml")).unwrap();
    site.commit();
    site.write("repository/new.txt", "good\n");
    let error = site.refusal_error();
    assert!(error.contains(".pre-commit-config.yaml is not a file"), "{error}");

    let error = after_hang(
        |timeout| {
            let site = site_with_hooks(true, timeout);
            site.write("repository/new.txt", "hang\n");
            site.refusal_error()
        },
        "`pre-commit`: took too long",
    );
    assert!(error.contains("`pre-commit`: took too long"), "{error}");

    // The program of a hook is missing.
    let site = site_with_hooks(true, "");
    site.write("repository/new.txt", "missing\n");
    assert!(site.refusal_error().contains("Executable `nosuchtool` not found"), "{}", site.refusal_error());
}

/// Returns the message of a gate whose hooks hang. The timeout also applies to the commands before the one that
/// hangs, and on a busy machine one of them may exceed it. If the message is another than the expected one, the
/// gate is therefore repeated with longer timeouts.
fn after_hang(message: impl Fn(&str) -> String, expected: &str) -> String {
    let mut messages = [2, 8, 32].map(|seconds| format!("timeout = \"{seconds}s\"\n")).into_iter();
    let mut last = message(&messages.next().unwrap());
    for timeout in messages {
        if last.contains(expected) {
            break;
        }
        last = message(&timeout);
    }
    last
}

#[test]
fn change_cannot_disable_its_pre_commit_hooks() {
    if !has_sandbox() {
        return;
    }
    let note = "the change edits .pre-commit-config.yaml, so the gate ran the hooks of the base";
    for content in [Some("repos: []\n"), None] {
        let site = site_with_hooks(true, "");
        site.git(&["branch", "--force", "main"]);
        let file = site.path("repository/.pre-commit-config.yaml");
        match content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        site.write("repository/new.txt", "bad\n");
        let output = site.run(&[]);
        assert!(output.status.code() == Some(1) && text(&output.stderr).contains(note), "{output:?}");
        std::fs::write(&file, HOOKS).unwrap();
        let output = site.run(&[]);
        assert!(output.status.code() == Some(1) && !text(&output.stderr).contains(note), "{output:?}");
    }
}

#[test]
fn a_preflight_says_whether_pre_commit_hooks_are_installed_and_in_the_gate() {
    if !has_sandbox() {
        return;
    }
    let site = site_with_hooks(true, "");
    let (told, code) = site.preflight(&[KEY]);
    assert_eq!(code, Some(0), "{told:?}");
    assert!(told.contains(&"ok   gate: all pre-commit hooks are installed".to_owned()), "{told:?}");

    let site = site_with_hooks(false, "");
    let (told, code) = site.preflight(&[KEY]);
    let failed =
        told.iter().any(|line| line.starts_with("fail gate: not all pre-commit hooks are installed: "));
    assert!(code == Some(1) && failed, "{told:?}");
    assert!(site.preflight_line().contains("the hooks have no network"), "{told:?}");

    // Neither a hang nor a wrong configuration is about the network.
    for (file, expected) in [
        (Some("repos: [] # hang\n"), "fail gate: `pre-commit install-hooks` was stopped: took too long"),
        (Some("\n"), "fail gate: `.pre-commit-config.yaml` is not valid: exit code 1: "),
        (None, "fail gate: `.pre-commit-config.yaml` is not valid: exit code 1: "),
    ] {
        let told = after_hang(
            |timeout| {
                let site = site_with_hooks(false, timeout);
                match file {
                    Some(text) => site.write("repository/.pre-commit-config.yaml", text),
                    None => std::fs::remove_file(site.path("repository/.pre-commit-config.yaml")).unwrap(),
                }
                site.commit();
                site.preflight_line()
            },
            expected,
        );
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("the hooks have no network"), "{told}");
    }

    site.write("truing.toml", "");
    let (told, code) = site.preflight(&[KEY]);
    let note = "warn pre-commit: the hooks of .pre-commit-config.yaml are not run on fixes";
    assert!(code == Some(0) && told.iter().any(|line| line.starts_with(note)), "{told:?}");
}

const KEY: (&str, &str) = ("ANTHROPIC_API_KEY", "canary-key");

#[test]
fn linters_belong_to_the_gate_and_one_that_fails_is_no_finding() {
    let site = Site::new("[review]\ntools = \"auto\"\n");
    let folder = crate::support::linter::install(&site.path(""), "ruff", crate::support::linter::RUFF);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display());
    site.write("repository/ruff.toml", "");
    site.write("repository/b.py", "l = 1\n");
    site.commit();
    site.write("repository/b.py", "l = 1\nl = 2\n");
    let gate = |arguments: &[&str]| site.command(arguments).env("PATH", &path).output().unwrap();
    let ran = gate(&["gate", "--format", "json"]);
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(ran.status.code(), Some(1), "{answer:#}");
    let found = answer["blocking"].as_array().unwrap();
    assert!(found.iter().all(|one| one["by"] == "ruff/E741" && one["path"] == "b.py"), "{answer:#}");
    assert!(found.iter().any(|one| one["line"] == 2), "{answer:#}");

    crate::support::linter::install(&site.path(""), "ruff", "#!/bin/sh\necho 'no such rule' >&2\nexit 2\n");
    let ran = gate(&["gate"]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    assert!(text(&ran.stderr).contains("ruff: exit code 2: no such rule"), "{ran:?}");
}

#[test]
fn a_preflight_passes_where_all_is_there_and_says_what_it_looked_at() {
    let site = Site::new("");
    site.write("repository/old.txt", "new\n");
    site.commit();
    let (told, code) = site.preflight(&[KEY]);
    assert_eq!(code, Some(0), "{told:?}");
    let names: Vec<&str> = told.iter().map(|line| line.split(':').next().unwrap()).collect();
    let all = ["git", "repository", "difference", "tree", "branch", "sandbox", "model", "gate", "checks"];
    let mark = |name| if name == "checks" { "warn" } else { "ok  " };
    assert_eq!(names, all.map(|name| format!("{} {name}", mark(name))), "without checks a fix is not tried");
    assert!(!told.concat().contains("canary-key"));

    let output = site.command(&["preflight", "--format", "json"]).env(KEY.0, KEY.1).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["ok"], &answer["skipped"]), (&json!(true), &json!(false)));
    assert_eq!(
        answer["checks"][0],
        json!({ "name": "git", "ok": true, "known": true, "warning": false, "text": "it is installed and \
             recent enough", "hint": null })
    );
}

#[test]
fn a_preflight_says_each_thing_that_is_missing_and_changes_nothing() {
    let site = Site::new("");
    site.git(&["config", "core.hooksPath", ".husky"]);
    let configured = std::fs::read(site.path("repository/.git/config")).unwrap();
    site.write("repository/left.txt", "x\n");
    let (told, code) = site.preflight(&[]);
    assert_eq!(code, Some(1), "{told:?}");
    let failed: Vec<&String> = told.iter().filter(|line| line.starts_with("fail ")).collect();
    assert_eq!(failed[0], "fail difference: No PR or upstream diff: there is nothing to work on.");
    assert_eq!(failed[1], "fail tree: Uncommitted changes detected. Stash, commit, or revert them first.");
    assert!(
        failed[2]
            .starts_with("fail model: the auditor has no model: model.api_key: variable ANTHROPIC_API_KEY")
    );
    // No hint mentions `--runtime`, because only reviews have this flag.
    assert!(!told.join(" ").contains("--runtime"), "{told:?}");
    assert_eq!(failed.len(), 3, "{failed:?}");
    assert_eq!(std::fs::read(site.path("repository/.git/config")).unwrap(), configured);

    site.git(&["branch", "truing/run"]);
    let (told, code) = site.preflight(&[KEY]);
    let failed = told.iter().find(|line| line.starts_with("fail branch: cannot create branch"));
    assert!(code == Some(1) && failed.is_some(), "{told:?}");

    std::fs::remove_dir_all(site.path("repository/.git")).unwrap();
    let (told, code) = site.preflight(&[KEY]);
    assert!(code == Some(1) && told.len() == 2 && told[1].starts_with("fail repository: "), "{told:?}");
    let (told, code) = site.preflight(&[("PATH", "/nowhere")]);
    assert!(code == Some(1) && told.len() == 1 && told[0].starts_with("fail git: "), "{told:?}");
}

#[test]
fn a_preflight_tries_the_checks_before_anything_is_changed_and_looks_for_the_gate_s_commands() {
    if !has_sandbox() {
        return;
    }
    let gate = json!([["sh", "-c", "exit 1"], ["no-such-linter", "--all"], ["./lint"]]);
    let check = json!([["grep", "-q", "new", "old.txt"], ["grep", "-q", "other", "old.txt"]]);
    let site = Site::new(&format!("[converge]\ngate = {gate}\n[verify]\ncheck = {check}\n"));
    site.write("repository/old.txt", "new\n");
    site.write("repository/lint", "#!/bin/sh\n");
    let lint = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.path("repository/lint"), lint).unwrap();
    site.commit();
    let (told, code) = site.preflight(&[KEY]);
    assert_eq!(code, Some(1));
    assert_eq!(
        told[7..],
        [
            "ok   gate: `sh -c exit 1` can be started",
            "fail gate: `no-such-linter --all` cannot be started",
            "ok   gate: `./lint` can be started",
            "ok   checks: `grep -q new old.txt` passes",
            "fail checks: `grep -q other old.txt` fails: exit code 1",
        ]
    );

    let broken = format!("[verify]\nsetup = [[\"false\"]]\ncheck = {check}\n");
    site.write("truing.toml", &broken);
    let (told, code) = site.preflight(&[KEY]);
    assert_eq!(
        (code, &told[7..]),
        (
            Some(1),
            &[
                "fail set-up: `false` fails: exit code 1".to_owned(),
                "ok   gate: no command is configured; the gate consists only of the rule packs".to_owned()
            ][..]
        )
    );
}

#[test]
fn a_preflight_can_be_skipped_and_is_refused_where_the_loop_is() {
    let site = Site::without_commit("");
    let (told, code) = site.preflight(&[("BUGTEAM_PREFLIGHT_SKIP", "1")]);
    assert_eq!(told, ["preflight: skipped (BUGTEAM_PREFLIGHT_SKIP=1)"]);
    assert_eq!(code, Some(0));
    let (told, code) = site.preflight(&[("CLAUDE_REVIEWS_DISABLED", "qbug,BUGTEAM")]);
    assert_eq!(
        (told[0].as_str(), code),
        ("error: converge is disabled via CLAUDE_REVIEWS_DISABLED", Some(4))
    );
}
