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
fn a_rule_of_ours_is_left_to_a_linter_that_knows_it_better() {
    let place = create_ruff_repository("a = 1\n", "a = 1\nassert (a, 'always true')\n");
    install(place.home(), "ruff", "#!/bin/sh\necho '[]'\n");
    let ours = run_review(&place, &["--quiet", "--format", "json"]).json();
    assert_eq!(field_of_findings(&ours, "rule"), ["core/python-assert-tuple"], "{ours:#}");
    assert!(field_of_findings(&review_report(&place, &[]), "rule").is_empty());
    install(place.home(), "ruff", "#!/bin/sh\nexit 2\n");
    assert_eq!(
        field_of_findings(&review_report(&place, &[]), "rule"),
        ["core/python-assert-tuple"],
        "it has failed"
    );
}

#[test]
fn a_rule_of_ours_stays_on_in_files_that_the_linter_was_not_given() {
    let (old, new) = ("a = 1\n", "a = 1\nassert (a, 'always true')\n");
    let place = Place::new();
    for file in ["a.py", "src/a.py", "services/x/a.py"] {
        place.write(file, old);
    }
    place.write("services/x/ruff.toml", "");
    place.commit("second");
    for file in ["a.py", "src/a.py", "services/x/a.py"] {
        place.write(file, new);
    }
    install(place.home(), "ruff", "#!/bin/sh\necho '[]'\n");
    assert_eq!(
        field_of_findings(&review_report(&place, &[]), "path"),
        ["a.py", "src/a.py"],
        "it has run in its folder alone"
    );

    // Output that is given with `--from` does not name the files that Ruff checked, so Truing keeps its own
    // findings in all files.
    let output = place.home().join("ruff.json");
    std::fs::write(&output, "[]").unwrap();
    let given =
        ["--quiet", "--format", "json", "--format-in", "ruff-json", "--from", output.to_str().unwrap()];
    let told = run_review(&place, &given).json();
    assert_eq!(told["tools"][0]["name"], "ruff", "{told:#}");
    assert_eq!(field_of_findings(&told, "path"), ["a.py", "services/x/a.py", "src/a.py"], "{told:#}");

    let operators = |tool: &str| {
        std::fs::write(place.home().join("ops.toml"), format!("[[tool]]\nname = \"ruff\"\n{tool}\n"))
            .unwrap();
        let config = place.home().join("ops.toml");
        let arguments =
            ["--config", config.to_str().unwrap(), "review", "--quiet", "--tools", "--format", "json"];
        let told =
            Ran::from(place.command(&arguments).env("PATH", search_path_with_own(&place)).output().unwrap())
                .json();
        field_of_findings(&told, "path")
            .into_iter()
            .map(|path| path.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(operators("paths = [\"src/**\"]"), ["a.py", "services/x/a.py"]);
    // The operator's command chooses its own files. Truing does not know them, so it keeps its own findings
    // in all files.
    let all = ["a.py", "services/x/a.py", "src/a.py"];
    assert_eq!(operators("command = [\"ruff\", \"check\", \"docs\"]"), all);
}

#[test]
fn a_rule_of_ours_stays_on_in_files_that_the_linter_says_it_ignores() {
    let place = Place::new();
    place.write("eslint.config.js", "export default [{ ignores: ['b.js'] }]\n");
    for file in ["a.js", "b.js"] {
        place.write(file, "f();\n");
    }
    place.commit("second");
    for file in ["a.js", "b.js"] {
        place.write(file, "f();\ndebugger;\n");
    }
    let ignored = r#"[{"ruleId": null, "fatal": false, "severity": 1, "message": "File ignored because of a matching ignore pattern. Use \"--no-ignore\" to disable file ignore settings or use \"--no-warn-ignored\" to suppress this warning."}]"#;
    let script = format!(
        "#!/bin/sh\ncat <<END\n[{{\"filePath\": \"$PWD/a.js\", \"messages\": []}},\n\
         {{\"filePath\": \"$PWD/b.js\", \"messages\": {}}}]\nEND\n",
        ignored.replace('\\', "\\\\")
    );
    install(place.home(), "eslint", &script);
    let config = place.home().join("ops.toml");
    std::fs::write(&config, "[[tool]]\nname = \"eslint\"\ncommand = [\"eslint\", \"{files}\"]\n").unwrap();
    let arguments =
        ["--config", config.to_str().unwrap(), "review", "--quiet", "--tools", "--format", "json"];
    let told =
        Ran::from(place.command(&arguments).env("PATH", search_path_with_own(&place)).output().unwrap())
            .json();
    assert_eq!(told["tools"][0]["name"], "eslint", "{told:#}");
    assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
    assert_eq!(field_of_findings(&told, "path"), ["b.js"], "{told:#}");
    assert_eq!(field_of_findings(&told, "rule"), ["core/js-debugger"], "{told:#}");
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
