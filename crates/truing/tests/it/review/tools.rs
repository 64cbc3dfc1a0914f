//! Tests of `truing review --tools`, which runs linters on the changed files in the sandbox.

use serde_json::{Value, json};

use crate::review::place::{Place, Ran, field_of_findings};
use crate::support::linter::{RUFF, install, ruff_finding_command, write_program};

mod adverse;
mod builds;
mod kept;
mod lacks;

/// Creates a repository that uses Ruff, with a file to which the uncommitted change adds a last line.
fn create_ruff_repository(old: &str, new: &str) -> Place {
    let place = Place::new();
    place.write("ruff.toml", "");
    place.write("a.py", old);
    place.commit("second");
    place.write("a.py", new);
    place
}

/// Runs a review with the folder of the fake linters first in `PATH`.
fn run_review(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(&[&["review"], arguments].concat());
    let bin = place.home().join("opt/bin");
    let machine = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&machine))).unwrap();
    Ran::from(command.env("PATH", path).output().unwrap())
}

fn review_report(place: &Place, arguments: &[&str]) -> Value {
    let ran = run_review(place, &[&["--quiet", "--tools", "--format", "json"], arguments].concat());
    assert!(ran.exit < 2, "{}", ran.err);
    ran.json()
}

/// Returns the reason for which a review is partial.
fn incomplete_reason(place: &Place) -> String {
    let told = review_report(place, &[]);
    assert_eq!(told["outcome"]["kind"], "partial", "{told:#}");
    told["outcome"]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_linter_that_the_repository_uses_tells_of_changed_lines_alone() {
    let place = create_ruff_repository("l = 1\n", "l = 1\nl = 2\n");
    place.write("b.md", "l = 3\n");
    install(place.home(), "ruff", RUFF);
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "path"), ["a.py"], "{told:#}");
    assert_eq!(field_of_findings(&told, "start_line"), [2], "{told:#}");
    let finding = &told["findings"][0];
    assert_eq!(
        (&finding["tool"], &finding["rule"], &finding["source"]),
        (&json!("ruff"), &json!("E741"), &json!("tool"))
    );
    assert_eq!(told["tools"], json!([{ "name": "ruff", "findings": 1, "elsewhere": 1 }]));
    assert_eq!(told["outcome"]["kind"], "reviewed");

    let said = run_review(&place, &["--tools"]);
    assert!(said.out.contains("rules and the output of ruff: no model was called"), "{}", said.out);
    // A review of commits runs the linters, too.
    place.commit("third");
    assert_eq!(
        field_of_findings(&review_report(&place, &["--head", "HEAD", "--base", "HEAD~1"]), "start_line"),
        [2]
    );
}

#[test]
fn a_linter_looks_at_as_many_files_as_changed() {
    let place = create_ruff_repository("", "l = 1\n");
    install(place.home(), "ruff", RUFF);
    let names: Vec<String> = (0..1_500).map(|at| format!("{}/{at:0>40}.py", "d".repeat(80))).collect();
    for name in &names {
        place.write(name, "");
    }
    place.write(names.last().unwrap(), "l = 2\n");
    let told = review_report(&place, &[]);
    assert_eq!(told["outcome"]["kind"], "reviewed", "{}", told["outcome"]);
    assert_eq!(field_of_findings(&told, "path"), ["a.py", names.last().unwrap().as_str()]);
}

#[test]
fn without_tools_one_line_tells_which_could_look() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    let silent = run_review(&place, &[]);
    let missing = "ruff is configured in this repository, but does not run: `ruff` is not installed: \
        `pipx install ruff`";
    assert!(silent.err.contains(missing), "{}", silent.err);
    install(place.home(), "ruff", RUFF);
    let said = run_review(&place, &[]);
    assert_eq!(said.exit, 0, "{}", said.out);
    assert!(
        said.err.contains("other linters that could check these files: ruff (`truing review --tools`)"),
        "{}",
        said.err
    );
    place.write("a.py", "a = 1\n");
    place.write("b.md", "text\n");
    assert!(!run_review(&place, &[]).err.contains("ruff"), "it looks at no file that changed");
}

#[test]
fn a_linter_changes_nothing_and_sees_no_home() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    std::fs::write(place.home().join("secret"), "canary").unwrap();
    place.git(["config", "http.extraheader", "AUTHORIZATION: basic canary"]);
    let home = place.home().display();
    let tries = format!(
        "#!/bin/sh\ntold=''\ntouch made 2>/dev/null && told=\"$told wrote\"\nrm a.py 2>/dev/null && \
         told=\"$told removed\"\n[ -e '{home}/secret' ] && told=\"$told read\"\n[ -e \"$HOME/secret\" ] && \
         told=\"$told home\"\ngrep -q canary .git/config && told=\"$told config\"\n{}exit 1\n",
        ruff_finding_command("it could:$told.", 2)
    );
    install(place.home(), "ruff", &tries);
    let before = place.read_all_files();
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "title"), ["it could:."], "{told:#}");
    assert_eq!(place.read_all_files(), before);
}

#[test]
fn a_linter_that_fails_is_named_and_the_review_is_not_green() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    // A program that hangs is ended by its timeout; for all others, the timeout is longer than they need on a
    // busy machine.
    let cases = [
        ("echo 'ruff: no such rule' >&2; exit 2", "ruff: exit code 2: ruff: no such rule"),
        ("echo '[]'; exit 1", "ruff: it reported no finding: exit code 1"),
        ("echo 'all is well'", "ruff: "),
        ("kill -9 $$", "ruff: signal 9"),
        ("yes", "ruff: printed too much"),
        ("sleep 1000 & sleep 1000", "ruff: took too long"),
    ];
    for (body, reason) in cases {
        let timeout = if body.starts_with("sleep") { "3s" } else { "300s" };
        place.write("ops.toml", format!("[[tool]]\nname = \"ruff\"\ntimeout = \"{timeout}\"\n"));
        install(place.home(), "ruff", &format!("#!/bin/sh\n{body}\n"));
        let arguments = ["--config", "ops.toml", "review", "--quiet", "--tools", "--format", "json"];
        let mut command = place.command(&arguments);
        let told = Ran::from(command.env("PATH", search_path_with_own(&place)).output().unwrap());
        assert_eq!(told.exit, 1, "{body}: {}", told.err);
        let told = told.json();
        assert_eq!(told["outcome"]["kind"], "partial", "{body}: {told:#}");
        let said = told["outcome"]["reason"].as_str().unwrap();
        assert!(said.starts_with(reason), "{body}: {said}");
    }
}

fn search_path_with_own(place: &Place) -> std::ffi::OsString {
    let machine = std::env::var_os("PATH").unwrap();
    let own = std::iter::once(place.home().join("opt/bin"));
    std::env::join_paths(own.chain(std::env::split_paths(&machine))).unwrap()
}

#[test]
fn what_it_found_before_it_failed_is_told() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    install(place.home(), "ruff", &format!("#!/bin/sh\n{}exit 7\n", ruff_finding_command("found", 2)));
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "title"), ["found"]);
    assert!(incomplete_reason(&place).starts_with("ruff: exit code 7"));
}

#[test]
fn code_that_moves_is_not_told_of_again() {
    let place =
        create_ruff_repository("l = 1\n\n\ndef f():\n    pass\n", "\n\ndef f():\n    l = 1\n    l = 5\n");
    install(place.home(), "ruff", RUFF);
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "start_line"), [5], "{told:#}");
    assert_eq!(told["tools"][0]["findings"], 1);
}

#[test]
fn a_program_of_the_projects_own_comes_first_and_one_that_needs_it_is_told_to_be_missing() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    place.write("mypy.ini", "[mypy]\n");
    place.write(".gitignore", ".venv\n");
    place.commit("uses mypy");
    place.write("a.py", "a = 1\nl = 2\nl = 3\n");
    install(place.home(), "ruff", "#!/bin/sh\nexit 9\n");
    install(place.home(), "mypy", "#!/bin/sh\nexit 9\n");
    write_program(&place.repo().join(".venv/bin/ruff"), RUFF);
    let told = review_report(&place, &[]);
    assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
    assert_eq!(field_of_findings(&told, "tool"), ["ruff"]);
    let skipped = told["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "mypy").unwrap();
    let reason = "it needs the project's dependencies, but is not installed together with the \
        dependencies (`.venv/bin/mypy`): run `python3 -m venv .venv && .venv/bin/pip install mypy`";
    assert_eq!(skipped["skipped"], reason);
    let said = run_review(&place, &["--tools"]).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("mypy did not run: {reason}")), "{said}");
}

#[test]
fn the_operator_adds_linters_widens_them_and_switches_them_off() {
    let place = create_ruff_repository("l = 1\na = 1\n", "l = 1\na = 2\n");
    install(place.home(), "ruff", RUFF);
    install(place.home(), "own", "#!/bin/sh\nfor file; do echo \"$file:2: own words\"; done; exit 1\n");
    let run = |config: &str| {
        place.write("ops.toml", config);
        let arguments = ["--config", "ops.toml", "review", "--quiet", "--tools", "--format", "json"];
        let ran =
            Ran::from(place.command(&arguments).env("PATH", search_path_with_own(&place)).output().unwrap());
        assert!(ran.exit < 2, "{}", ran.err);
        ran.json()
    };
    let own =
        "[[tool]]\nname = \"own\"\ncommand = [\"own\", \"{files}\"]\nformat = \"unix\"\npaths = [\"*.py\"]\n";
    let told = run(own);
    assert_eq!(field_of_findings(&told, "title"), ["own words"], "{told:#}");
    assert_eq!(field_of_findings(&told, "tool"), ["own"]);
    let told = run("[[tool]]\nname = \"ruff\"\nscope = \"files\"\n");
    assert!(field_of_findings(&told, "start_line").is_empty(), "the base has it already: {told:#}");
    let told = run("[[tool]]\nname = \"ruff\"\nwhen = \"never\"\n");
    assert_eq!(told.get("tools"), None, "{told:#}");
    let told = run("[[tool]]\nname = \"gone\"\ncommand = [\"gone\"]\nformat = \"unix\"\n");
    assert_eq!(told["outcome"]["reason"], "gone: `gone` is not installed");
    // The repository's own file may define a linter command only if the operator allows this.
    place.write(".truing.toml", own);
    let refused = run("");
    assert!(field_of_findings(&refused, "tool").is_empty());
    assert_eq!(refused["tools"][1]["name"], "own", "{refused:#}");
    let skipped = refused["tools"][1]["skipped"].as_str().unwrap();
    assert!(skipped.contains("`verify.from_repository` is false"), "{skipped}");
    assert_eq!(field_of_findings(&run("[verify]\nfrom_repository = true\n"), "tool"), ["own"]);
}

#[test]
fn a_program_beside_a_file_that_the_configuration_names_does_not_run() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    install(place.home(), "own", "#!/bin/sh\ncat /opt/*/token\n");
    let folder = place.home().join("opt/bin").canonicalize().unwrap();
    std::fs::write(folder.join("token"), "canary").unwrap();
    let config = format!(
        "[forge.github]\ntoken = {{ file = \"{}/token\" }}\n[[tool]]\nname = \"own\"\ncommand = [\"{}/own\", \
         \"{{files}}\"]\nformat = \"unix\"\npaths = [\"*.py\"]\n",
        folder.display(),
        folder.display()
    );
    place.write("ops.toml", config);
    let arguments = ["--config", "ops.toml", "review", "--tools", "--explain"];
    let ran = Ran::from(place.command(&arguments).output().unwrap());
    let words = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = format!(
        "its program needs {0}, but linters must not read {0}/token: install the program elsewhere",
        folder.display()
    );
    assert!(words.contains(&format!("own does not run: {reason}")), "{words}");
    let text = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ran.exit == 1 && text.contains("own: its program needs"), "{text}");

    std::fs::remove_file(folder.join("token")).unwrap();
    place.write("ops.toml", "");
    install(place.home(), "ruff", RUFF);
    let ran = run_review(&place, &["--tools", "--explain"]);
    let lines: Vec<&str> = ran.err.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("ruff may read")).unwrap();
    assert_eq!(lines[at + 1], format!("  {}/ruff", folder.display()), "{lines:#?}");
    assert!(lines.contains(&format!("  {}", folder.display()).as_str()), "{lines:#?}");
}

#[test]
fn a_credential_in_the_words_of_a_linter_is_neither_shown_nor_recorded() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    let (token, encoded) = ("canary-w0rd-of-the-environment", "Y2FuYXJ5LXcwcmQtb2YtdGhlLWVudmlyb25tZW50");
    let printed = format!("a.py:2: it is {token}\na.py:2: it is {encoded}\n");
    std::fs::write(place.home().join("printed.txt"), printed).unwrap();
    let printed = place.home().join("printed.txt").display().to_string();
    for format in ["text", "json"] {
        let arguments = ["review", "--from", &printed, "--format-in", "unix", "--format", format];
        let ran = Ran::from(place.command(&arguments).env("OWN_TOKEN", token).output().unwrap());
        assert!(ran.exit < 2 && ran.out.contains("it is cana…"), "{ran:?}");
        assert!(!ran.out.contains(token) && !ran.out.contains(encoded), "{}", ran.out);
    }
    let records = std::fs::read(place.store()).unwrap();
    let is_in = |text: &str| records.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_in(token) && !is_in(encoded));
}

/// Returns a fake Ruff with a fix that renames the variable.
fn renaming_ruff_script(new_name: &str) -> String {
    let edit = format!(
        "\\\"edits\\\":[{{\\\"content\\\":\\\"{new_name}\\\",\\\"location\\\":{{\\\"row\\\":%d,\\\"column\\\":1}},\\\"end_location\\\":{{\\\"row\\\":%d,\\\"column\\\":2}}}}]"
    );
    let fix =
        format!("\\\"fix\\\":{{\\\"applicability\\\":\\\"safe\\\",\\\"message\\\":\\\"Rename\\\",{edit}}}");
    RUFF.replace("\\\"fix\\\":null", &fix).replace("/x\\\"}\", FNR", "/x\\\"}\", FNR, FNR, FNR")
}

#[test]
fn a_fix_of_a_linter_is_suggested_and_made_if_the_file_still_parses_with_it() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    install(place.home(), "ruff", &renaming_ruff_script("length"));
    let told = review_report(&place, &[]);
    assert_eq!(told["findings"][0]["suggestion"]["replacement"], "length = 2", "{told:#}");
    let fixed = run_review(&place, &["--tools", "--fix"]);
    assert_eq!(fixed.exit, 0, "{} {}", fixed.out, fixed.err);
    assert_eq!(std::fs::read_to_string(place.repo().join("a.py")).unwrap(), "a = 1\nlength = 2\n");
    assert!(fixed.out.contains("no findings"), "{}", fixed.out);

    place.write("a.py", "a = 1\nl = 2\n");
    install(place.home(), "ruff", &renaming_ruff_script("((("));
    let told = review_report(&place, &[]);
    assert_eq!(told["findings"][0]["suggestion"], Value::Null, "{told:#}");
    let left = run_review(&place, &["--tools", "--fix"]);
    assert!(left.err.contains("not fixed: with the fix, the file would not parse"), "{}", left.err);
    assert_eq!(std::fs::read_to_string(place.repo().join("a.py")).unwrap(), "a = 1\nl = 2\n");
}

#[test]
fn a_linter_s_finding_is_as_severe_and_as_fixable_as_the_one_that_it_replaces() {
    let place = create_ruff_repository("x = 1\n", "x = 1\nassert (x, 'no')\n");
    place.write("b.py", "try:\n    f()\nexcept:\n    pass\n");
    let script = RUFF.replace("E741", "F631").replace("/^ *l = /", "/^assert [(]/");
    install(place.home(), "ruff", &script);
    let told = review_report(&place, &[]);
    let rules = field_of_findings(&told, "rule");
    assert_eq!(rules, [&json!("F631"), &json!("core/python-bare-except-pass")], "{told:#}");
    assert_eq!(told["findings"][0]["severity"], "P1", "{told:#}");
    assert_eq!(told["findings"][0]["suggestion"]["replacement"], "assert x, 'no'", "{told:#}");
    let fixed = run_review(&place, &["--tools", "--fix"]);
    assert!(!fixed.err.contains("not fixed"), "{}", fixed.err);
    assert_eq!(std::fs::read_to_string(place.repo().join("a.py")).unwrap(), "x = 1\nassert x, 'no'\n");
}

#[test]
fn one_that_ends_as_if_it_had_found_something_and_names_nothing_has_failed() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    install(
        place.home(),
        "own",
        "#!/bin/sh\necho 'Traceback: error in the configuration' >&2\necho nonsense\nexit 1\n",
    );
    place
        .write("ops.toml", "[[tool]]\nname = \"own\"\ncommand = [\"own\", \"{files}\"]\nformat = \"unix\"\n");
    let arguments = ["--config", "ops.toml", "review", "--quiet", "--tools", "--format", "json"];
    let ran =
        Ran::from(place.command(&arguments).env("PATH", search_path_with_own(&place)).output().unwrap());
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let reason = "own: it reported no finding: exit code 1: Traceback: error in the configuration";
    assert_eq!(ran.json()["outcome"]["reason"], reason);
}

#[test]
fn the_same_linter_by_its_output_and_by_running_it_tells_once() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    install(place.home(), "ruff", RUFF);
    let mut command = std::process::Command::new(place.home().join("opt/bin/ruff"));
    let printed = command.args(["check", "a.py"]).current_dir(place.repo()).output().unwrap().stdout;
    std::fs::write(place.home().join("found.json"), printed).unwrap();
    let told = review_report(&place, &["--from", "../found.json"]);
    assert_eq!(field_of_findings(&told, "start_line"), [2], "{told:#}");
}
