//! Tests of files that a linter does not check, of two linters with equal findings, and of a linter program
//! that is replaced during a review.

use std::os::unix::ffi::OsStrExt as _;

use super::*;

/// Returns a script that prints one finding of this rule in Ruff's format, on line 2 of `a.py`.
fn one_finding_script(rule: &str) -> String {
    format!("#!/bin/sh\n{}exit 1\n", ruff_finding_command("words", 2).replace("X1", rule))
}

#[test]
fn two_linters_that_say_the_same_of_a_line_tell_it_once() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nimport os\n");
    place.write(".flake8", "");
    install(place.home(), "ruff", &one_finding_script("F401"));
    install(place.home(), "flake8", "#!/bin/sh\necho \"a.py:2:1: F401 'os' imported but unused\"\nexit 1\n");
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "tool"), ["flake8"], "{told:#}");
    place.write("a.py", "a = 1\nimport os, sys\n");
    install(place.home(), "ruff", &one_finding_script("E401"));
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "tool"), ["flake8", "ruff"], "another rule: {told:#}");
}

#[test]
fn a_rule_of_ours_gives_way_to_what_a_linter_reports_and_not_to_its_silence() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nassert (a, 'always true')\n");
    let our_rule = ["core/python-assert-tuple"];
    for silent in ["#!/bin/sh\necho '[]'\n", "#!/bin/sh\nexit 2\n"] {
        install(place.home(), "ruff", silent);
        assert_eq!(field_of_findings(&review_report(&place, &[]), "rule"), our_rule, "{silent}");
    }
    install(place.home(), "ruff", &one_finding_script("F631"));
    let report = review_report(&place, &[]);
    assert_eq!(field_of_findings(&report, "tool"), ["ruff"], "{report:#}");
    assert_eq!(field_of_findings(&report, "severity"), ["P1"], "the severity of our rule: {report:#}");
}

#[test]
fn a_suggested_linter_runs_where_the_repository_has_none_and_blocks_nothing() {
    let place = Place::new();
    place.write("a.py", "a = 1\n");
    place.commit("second");
    place.write("a.py", "a = 1\nimport os\n");
    install(place.home(), "ruff", &one_finding_script("F821"));
    let review = |selection: &[&str]| {
        let arguments = [&["review", "--quiet", "--format", "json"], selection].concat();
        let mut command = place.command(&arguments);
        Ran::from(command.env("PATH", search_path_with_own(&place)).output().unwrap())
    };
    assert_eq!(review(&["--tools"]).json()["findings"], serde_json::json!([]));
    let ran = review(&["--tools", "suggested"]);
    let report = ran.json();
    assert_eq!(field_of_findings(&report, "severity"), ["P2"], "{report:#}");
    let body = report["findings"][0]["body"].as_str().unwrap();
    assert!(body.contains("This is a suggestion: Truing found no configuration of ruff here."), "{body}");
    assert_eq!(ran.exit, 0, "it blocks nothing: {ran:?}");
    place.write("Dockerfile", "FROM scratch\n");
    let hadolint =
        r#"[{"code":"DL1000","column":1,"file":"Dockerfile","level":"error","line":1,"message":"m"}]"#;
    install(place.home(), "hadolint", &format!("#!/bin/sh\necho '{hadolint}'\nexit 1\n"));
    install(place.home(), "ruff", "#!/bin/sh\necho broken >&2\nexit 2\n");
    let report = review(&["--tools", "suggested"]).json();
    assert_eq!(report["outcome"]["kind"], "reviewed", "the repository does not use it: {report:#}");
    place.write(".flake8", "");
    install(place.home(), "ruff", &one_finding_script("F821"));
    let report = review(&["--tools", "suggested"]).json();
    assert!(field_of_findings(&report, "tool").is_empty(), "flake8 is the repository's own: {report:#}");
}

#[test]
fn a_linter_that_crashed_after_its_first_finding_makes_the_review_partial() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    let crash =
        one_finding_script("E741").replace("exit 1", "echo 'Traceback (most recent call last):' >&2\nexit 1");
    install(place.home(), "ruff", &crash);
    let report = review_report(&place, &[]);
    assert_eq!(report["outcome"]["kind"], "partial", "{report:#}");
    assert_eq!(field_of_findings(&report, "tool"), ["ruff"], "what it found is told: {report:#}");
}

#[test]
fn linters_that_are_not_known_and_configuration_that_cannot_be_read_are_named() {
    let place = Place::new();
    place.write("package.json", "{\"scripts\": {\"test\": \"xo && ava\"}}\n");
    place.commit("second");
    place.write("a.js", "f();\n");
    let report = review_report(&place, &[]);
    assert_eq!(report["tools"][0]["name"], "xo", "{report:#}");
    assert!(
        report["tools"][0]["skipped"].as_str().unwrap().contains("does not know this linter"),
        "{report:#}"
    );
    assert_eq!(report["outcome"]["kind"], "reviewed", "{report:#}");
    place.write("package.json", "{\"scripts\": \n");
    let report = review_report(&place, &[]);
    assert_eq!(report["tools"][0]["name"], "package.json", "{report:#}");
    assert_eq!(report["outcome"]["kind"], "partial", "{report:#}");
}

#[test]
fn hooks_that_cannot_be_read_are_named() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    install(place.home(), "ruff", RUFF);
    place.write(".pre-commit-config.yaml", "repos: [");
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "start_line"), [2], "{told:#}");
    let said = run_review(&place, &["--tools"]).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("pre-commit did not run: .pre-commit-config.yaml cannot be read: "), "{said}");
    assert!(said.contains("linters run without the options of their hooks"), "{said}");
}

#[test]
fn a_file_whose_name_is_not_text_is_named_as_one_that_no_linter_has_looked_at() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nl = 2\n");
    install(place.home(), "ruff", RUFF);
    place.write(std::ffi::OsStr::from_bytes(b"b\xff.py"), "l = 1\n");
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "path"), ["a.py"], "{told:#}");
    assert_eq!(told["tools"][0]["unlinted"].as_array().unwrap().len(), 1, "{told:#}");
    let said = run_review(&place, &["--tools"]).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("ruff did not check 1 file with names that are not UTF-8"), "{said}");
}

/// Returns true if the command line of a running process contains this text.
fn is_process_running(text: &str) -> bool {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.into_iter().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.starts_with("/bin/sh ") && line.contains(text)
    })
}

#[test]
fn a_program_that_is_replaced_between_the_two_looks_is_named_and_the_base_is_not_believed() {
    let place =
        create_ruff_repository("l = 1\n\n\ndef f():\n    pass\n", "\n\ndef f():\n    l = 1\n    l = 5\n");
    place.write("head", "");
    // In the head's tree, the fake linter waits until the test has replaced its program. The new program does
    // not print a version.
    let wait = "[ \"$1\" = check ] || exit 9\n[ -e head ] && while [ ! -e go ]; do sleep 0.05; \
         done\n[ \"$1\" = check ]";
    let waiting = RUFF.replace("[ \"$1\" = check ]", wait);
    let program = install(place.home(), "ruff", &waiting).join("ruff");
    let arguments = ["review", "--quiet", "--tools", "--format", "json"];
    let mut command = place.command(&arguments);
    command.env("PATH", search_path_with_own(&place)).stdout(std::process::Stdio::piped());
    let review = command.spawn().unwrap();
    let name = format!("{} check", program.display());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_process_running(&name) {
        assert!(std::time::Instant::now() < until, "it never ran");
        std::thread::yield_now();
    }
    let next = place.home().join("next");
    write_program(&next, &waiting);
    std::fs::rename(next, program).unwrap();
    place.write("go", "");
    let told: Value = serde_json::from_slice(&review.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(told["outcome"]["kind"], "partial", "{told:#}");
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("ruff: its program was replaced during the review"), "{reason}");
    assert_eq!(field_of_findings(&told, "start_line"), [4, 5], "nothing counts as old: {told:#}");
}

#[test]
fn a_linter_of_a_folder_below_the_root_runs_there_for_its_own_files() {
    let place = Place::new();
    let flake8 = "#!/bin/sh\nfor file; do case \"$file\" in *.py)\n  echo \"$file:1:1: X1 from ${PWD##*/}\" \
         ;;\nesac; done\nexit 1\n";
    for folder in ["services/x", "services/x/deep", "services/y"] {
        place.write(format!("{folder}/a.py"), "a = 1\n");
    }
    place.write("services/x/.flake8", "");
    place.write("services/x/deep/.flake8", "");
    place.commit("second");
    install(place.home(), "flake8", flake8);
    for folder in ["services/x", "services/x/deep", "services/y"] {
        place.write(format!("{folder}/a.py"), "a = 2\n");
    }
    let told = review_report(&place, &[]);
    assert_eq!(field_of_findings(&told, "path"), ["services/x/a.py", "services/x/deep/a.py"], "{told:#}");
    assert_eq!(field_of_findings(&told, "title"), ["from x", "from deep"], "{told:#}");
    assert_eq!(told["tools"].as_array().unwrap().len(), 1, "{told:#}");
}

#[test]
fn a_copy_of_a_commit_stays_as_it_is_and_its_linter_sees_no_shared_memory_of_others() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    place.commit("third");
    let shared = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let tries = format!(
        "#!/bin/sh\ntold=''\ntouch made 2>/dev/null && told=\"$told wrote\"\n\
         rm a.py 2>/dev/null && told=\"$told removed\"\n[ -e '{}' ] && told=\"$told saw\"\n\
         for at in /dev/shm/*; do\n  case \"$0 $PWD/\" in *\"$at\"/*) continue ;; esac\n  \
         [ -e \"$at\" ] && told=\"$told others\"\ndone\n\
         {}exit 1\n",
        shared.path().display(),
        ruff_finding_command("it could:$told.", 2)
    );
    install(place.home(), "ruff", &tries);
    let told = review_report(&place, &["--base", "HEAD~1", "--head", "HEAD"]);
    assert_eq!(field_of_findings(&told, "title"), ["it could:."], "{told:#}");
}

#[test]
fn what_a_dead_process_has_left_in_shared_memory_is_removed() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nb = 2\n");
    let left = tempfile::Builder::new().prefix("truing-git-").tempdir_in("/dev/shm").unwrap();
    review_report(&place, &[]);
    assert!(!left.path().exists());
}
