//! Tests of findings from another program's output that Truing publishes on a pull request. Each finding is
//! posted once, moves with its line, and is resolved when it is missing.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;

impl Site {
    /// Publishes a tool's output with findings on these lines of `a.py`.
    fn publish_findings(&self, tool: &str, findings: &[(u32, &str)], more: &[&str]) -> Ran {
        let diagnostic = |(line, message): &(u32, &str)| {
            json!({
                "message": message,
                "location": { "path": "a.py", "range": { "start": { "line": line } } },
                "severity": "ERROR",
                "code": { "value": "X1" },
            })
        };
        let diagnostics: Vec<Value> = findings.iter().map(diagnostic).collect();
        let output = json!({ "source": { "name": tool }, "diagnostics": diagnostics });
        self.publish_output(&output.to_string(), more)
    }

    fn publish_output(&self, output: &str, more: &[&str]) -> Ran {
        std::fs::write(self.home.path().join("found.json"), output).unwrap();
        let fixed = ["review", "--pr", "o/r#1", "--publish", "--color", "never", "--from", "found.json"];
        self.run(&[&fixed[..], more].concat())
    }

    async fn push(&self, text: &str) {
        self.repo.push("one", CommitBuilder::new("more").write("a.py", text)).await.unwrap();
    }
}

/// Opens a pull request that adds a line; no rule reports a finding in it.
async fn open_clean_pull(site: &Site) -> u64 {
    site.repo.push("one", CommitBuilder::new("add").write("a.py", "a = 1\nl = 2\n")).await.unwrap();
    site.repo.open_pull(NewPull::from_branch("one")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_of_a_tool_is_posted_once_moves_and_is_resolved_when_it_is_gone() {
    let site = Site::new().await;
    let number = open_clean_pull(&site).await;
    let found = "ambiguous variable name";
    let first = site.publish_findings("lint", &[(2, found), (1, "an old one")], &["--format", "json"]);
    assert_eq!(first.exit, 1, "{first:?}");
    let told: Value = serde_json::from_str(&first.out).unwrap();
    let finding = &told["findings"][0];
    assert_eq!(told["findings"].as_array().unwrap().len(), 1, "the other line was not changed: {told:#}");
    assert_eq!((&finding["source"], &finding["tool"]), (&json!("tool"), &json!("lint")));
    assert_eq!((&finding["rule"], &finding["severity"]), (&json!("X1"), &json!("P1")));
    assert_eq!(told["tools"][0], json!({ "name": "lint", "findings": 1, "elsewhere": 1 }));
    let view = site.repo.pull(number).await.unwrap();
    assert!(is_reviewed(&view), "{view:#?}");
    assert!(
        view.inline_comments()
            .all(|comment| comment.body.contains(found) && comment.body.contains("lint/X1"))
    );
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure");

    // The same output is published again, and once more after a push that moves the line.
    assert_eq!(site.publish_findings("lint", &[(2, found)], &[]).exit, 1);
    site.push("a = 1\nb = 2\nl = 2\n").await;
    assert_eq!(site.publish_findings("lint", &[(3, found)], &[]).exit, 1);
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 1), "{view:#?}");

    // The output of another tool, which has no findings, does not resolve the finding.
    let other = site.publish_findings("other", &[], &[]);
    assert_eq!(other.exit, 1, "{other:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(
        view.inline_comments().all(|comment| !comment.resolved && !comment.body.contains("Fixed in")),
        "{view:#?}"
    );

    site.push("a = 1\nb = 2\nlength = 2\n").await;
    let clean = site.publish_findings("lint", &[], &[]);
    assert_eq!(clean.exit, 0, "{clean:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!(view.inline_comments().count(), 1, "{view:#?}");
    assert!(
        view.inline_comments().all(|comment| comment.resolved && comment.body.contains("Fixed in")),
        "{view:#?}"
    );
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_cannot_be_read_resolves_nothing_and_is_never_green() {
    let site = Site::new().await;
    let number = open_clean_pull(&site).await;
    assert_eq!(site.publish_findings("lint", &[(2, "ambiguous")], &[]).exit, 1);
    for damaged in ["{\"source\":{\"name\":\"lint\"},\"diagnostics\":[", "", "null"] {
        let ran = site.publish_output(damaged, &["--format-in", "rdjson"]);
        assert_ne!(ran.exit, 0, "{damaged}: {ran:?}");
        let view = site.repo.pull(number).await.unwrap();
        assert!(view.inline_comments().all(|comment| !comment.resolved), "{damaged}: {view:#?}");
        assert_ne!(view.statuses[&view.head].last().unwrap().state, "success", "{damaged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_tool_are_shown_as_words() {
    let site = Site::new().await;
    let number = open_clean_pull(&site).await;
    let found = "<img src=x> @o/team ![x](https://example.org/x.png) \u{1b}[31mred\u{1b}[0m <!-- truing -->";
    assert_eq!(site.publish_findings("lint", &[(2, found)], &[]).exit, 1);
    let view = site.repo.pull(number).await.unwrap();
    let comment = view.inline_comments().next().unwrap();
    for shown in ["\\<img src=x\\>", "@\u{200b}o/team", "!\\[x\\]", " red "] {
        assert!(comment.body.contains(shown), "{shown}: {}", comment.body);
    }
    assert!(!comment.body.contains('\u{1b}'), "{}", comment.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_resolves_nothing_and_neither_does_another_tools_output_of_one_format() {
    let site = Site::new().await;
    let number = open_clean_pull(&site).await;
    let line = "a.py:2:1: E741 ambiguous variable name 'l'\n";
    let flake8 = |text: &str| site.publish_output(text, &["--format-in", "flake8"]);
    assert_eq!(flake8(line).exit, 0, "a P2");
    let checkstyle = |source: &str| {
        format!(
            "<checkstyle><file name=\"a.py\"><error line=\"2\" severity=\"warning\" message=\"of {source}\" \
             source=\"{source}\"/></file></checkstyle>"
        )
    };
    assert_eq!(site.publish_output(&checkstyle("one"), &["--tool", "one"]).exit, 0);
    let open = async || {
        let view = site.repo.pull(number).await.unwrap();
        view.inline_comments().filter(|comment| !comment.resolved).count()
    };
    assert_eq!(open().await, 2);
    for (text, arguments) in [
        ("Traceback (most recent call last):\nImportError: boom\n", ["--format-in", "flake8"]),
        ("/builds/else/gone.py:2:1: E741 ambiguous\n", ["--format-in", "flake8"]),
        ("a deprecated option\na.py:1:1: E741 on another line\n", ["--format-in", "flake8"]),
        ("<checkstyle/>", ["--tool", "two"]),
        ("<checkstyle/>", ["--format-in", "checkstyle"]),
    ] {
        site.publish_output(text, &arguments);
        assert_eq!(open().await, 2, "{text}");
    }
    site.publish_output("<checkstyle/>", &["--tool", "one"]);
    assert_eq!(open().await, 1);
    site.publish_output(&line.replace("2:1", "1:1"), &["--format-in", "flake8"]);
    assert_eq!(open().await, 0);
}

/// Runs each pair of steps of the example with a fake linter in the place of the real one. The finding is on
/// the second line of `a.py`. An output of nothing, or the exit code of a failure, resolves no finding.
#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_example_post_what_a_linter_prints_and_resolve_it_when_it_is_gone() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ci/linters.yml");
    let example = std::fs::read_to_string(example).unwrap();
    let ruff = json!([{
        "filename": "a.py", "code": "E741", "message": "ambiguous", "location": { "row": 2, "column": 1 },
        "end_location": { "row": 2, "column": 2 }, "noqa_row": 2, "fix": null, "url": null, "cell": null,
    }]);
    let eslint = json!([{
        "filePath": "a.py", "errorCount": 1, "messages": [{ "ruleId": "no-undef", "severity": 1, "message": "m", "line": 2, "column": 1 }],
    }]);
    let golangci = json!({ "Issues": [{ "FromLinter": "unused", "Text": "m", "Pos": { "Filename": "a.py", "Line": 2, "Column": 1 } }] });
    let shellcheck = json!({ "comments": [{
        "file": "a.py", "line": 2, "endLine": 2, "column": 1, "endColumn": 2, "level": "warning", "code": 2086, "message": "m", "fix": null,
    }] });
    let checkstyle = "<checkstyle><file name=\"a.py\"><error line=\"2\" severity=\"warning\" message=\"m\" \
         source=\"x\"/></file></checkstyle>";
    let outputs = [
        ("ruff ", ruff.to_string(), "[]"),
        ("npx eslint ", eslint.to_string(), "[]"),
        ("golangci-lint ", golangci.to_string(), "{\"Issues\":[]}"),
        ("shellcheck ", shellcheck.to_string(), "{\"comments\":[]}"),
        ("ktlint ", checkstyle.to_owned(), "<checkstyle/>"),
    ];
    let mut tried = 0;
    for (linter, found, nothing) in outputs {
        let mut scripts = example.lines().filter_map(|line| line.trim().strip_prefix("- run: "));
        let linter_script = scripts.find(|script| script.starts_with(linter)).unwrap();
        let line = format!("{linter_script}\n{}", scripts.next().unwrap());
        // The step of the linter does not get the token.
        assert!(example.contains(&format!("{linter_script}\n      - run: truing review ")), "{linter}");
        let site = Site::new().await;
        let number = open_clean_pull(&site).await;
        let run_line = |output: &str, code: u8| {
            let programs = site.home.path().join("programs");
            std::fs::create_dir_all(&programs).unwrap();
            std::fs::write(programs.join("output"), output).unwrap();
            let linter = linter.trim().split(' ').next().unwrap();
            let script = format!("#!/bin/sh\ncat {}/output\nexit {code}\n", programs.display());
            std::fs::write(programs.join(linter), script).unwrap();
            std::fs::set_permissions(programs.join(linter), std::fs::Permissions::from_mode(0o755)).unwrap();
            let truing = site.command(&[]);
            let program = Path::new(truing.get_program()).parent().unwrap();
            let path = format!("{}:{}:/usr/bin:/bin", programs.display(), program.display());
            let mut command = Command::new("bash");
            command.args(["-e", "-c", &line]).env_clear().current_dir(site.home.path());
            command.envs(truing.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let temporary = site.home.path().display().to_string();
            let variables = [
                ("PATH", path.as_str()),
                ("PULL", "o/r#1"),
                ("RUNNER_TEMP", &temporary),
                ("TRUING_CONFIG", "truing.toml"),
            ];
            Ran::from(command.envs(variables).output().unwrap())
        };
        let is_open = async || {
            let view = site.repo.pull(number).await.unwrap();
            view.inline_comments().any(|comment| !comment.resolved)
        };
        let ran = run_line(&found, 1);
        assert!(is_open().await, "{linter}: {ran:?}");
        for (output, code) in [("", 0), ("", 1), ("", 2), (nothing, 77)] {
            let ran = run_line(output, code);
            assert!(is_open().await, "{linter} {output} {code}: {ran:?}");
        }
        let ran = run_line(nothing, 0);
        assert!(!is_open().await, "{linter}: {ran:?}");
        tried += 1;
    }
    assert_eq!(tried, example.matches("- run: truing review ").count());
}
