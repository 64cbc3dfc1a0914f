//! Tests of outputs that the reader can parse only in part. A review must not treat such an output as
//! complete, because the tool may have reported more findings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use truing_core::port::{ChangedFile, ExternalToolRun, ToolFindings, ToolOutput, ToolOutputRequest};
use truing_diff::RepoPath;
use truing_reader::output::OutputFormat;
use truing_reader::sources::{SourcesAnswer, SourcesQuery};

use super::real::{OUTPUTS, bytes};

/// A tree with the files to which the outputs refer.
pub(super) struct Tree {
    folder: tempfile::TempDir,
    files: Vec<ChangedFile>,
}

impl Tree {
    pub(super) fn from_files(files: &BTreeMap<String, String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let changed = |path: &String| ChangedFile {
            path: RepoPath::from_text(path),
            old_path: None,
            added_lines: vec![(1, u32::MAX)],
            secrets_only: false,
        };
        Self { files: files.keys().map(changed).collect(), folder }
    }

    fn from_real_files() -> Self {
        Self::from_files(&serde_json::from_slice(&bytes("tree.json")).unwrap())
    }

    pub(super) fn read(&self, output: ToolOutput) -> Result<ToolFindings, String> {
        let request = ToolOutputRequest { tree: self.path(), files: self.files.clone(), output };
        match SourcesQuery::Tool(Box::new(request)).execute() {
            Ok(SourcesAnswer::Tool(found)) => Ok(found),
            other => Err(format!("{other:?}")),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Returns an output of a tool that another program than Truing ran.
pub(super) fn foreign_output(format: &str, folder: &str, text: &str) -> ToolOutput {
    ToolOutput {
        format: Some(format.to_owned()),
        roots: vec!["/build/tree".to_owned()],
        folder: (!folder.is_empty()).then(|| RepoPath::from_text(folder)),
        foreign: Some(ExternalToolRun { is_tree_whole: true, ..ExternalToolRun::default() }),
        text: text.to_owned(),
        ..ToolOutput::default()
    }
}

fn count_findings(tool_findings: &ToolFindings) -> u64 {
    tool_findings.findings.len() as u64 + tool_findings.outside_count + tool_findings.suppressed
}

/// Returns true if a review would treat these findings as the complete output of the tool. The review would
/// then pass, or resolve earlier findings that are missing in the output.
fn is_trusted(tool_findings: &ToolFindings) -> bool {
    tool_findings.problems.is_empty() && tool_findings.keeps_open.is_none()
}

fn read_sample(name: &str) -> String {
    String::from_utf8_lossy(&bytes(name)).into_owned()
}

#[test]
fn an_output_under_the_name_of_another_format_is_understood_or_not_trusted() {
    let (tree, mut tried, mut wrong) = (Tree::from_real_files(), 0, Vec::new());
    for (name, format, folder) in OUTPUTS {
        let text = read_sample(name);
        let right = tree.read(foreign_output(format, folder, &text)).unwrap();
        for other in OutputFormat::all_formats().map(OutputFormat::as_str).filter(|other| other != format) {
            tried += 1;
            let Ok(found) = tree.read(foreign_output(other, folder, &text)) else { continue };
            // Notes of GCC and notes of Mypy have the same format.
            let is_alike = (*format, other) == ("gcc", "mypy");
            if is_trusted(&found) && count_findings(&found) < count_findings(&right) && !is_alike {
                wrong.push(format!(
                    "{name} as {other}: {} of {}",
                    count_findings(&found),
                    count_findings(&right)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried > 1000, "{tried}");
}

#[test]
fn an_output_that_is_cut_wrapped_or_in_another_language_is_not_trusted() {
    let (tree, mut tried, mut wrong) = (Tree::from_real_files(), 0, Vec::new());
    for (name, format, folder) in OUTPUTS {
        let text = read_sample(name);
        let right = count_findings(&tree.read(foreign_output(format, folder, &text)).unwrap());
        let mut made: Vec<(String, String)> = (1..10)
            .map(|tenth| {
                (format!("cut at {tenth}/10"), text.chars().take(text.chars().count() * tenth / 10).collect())
            })
            // Truncation at the end of a line is excluded, because a reader cannot detect it in a text of
            // independent lines.
            .filter(|(_, cut): &(String, String)| !cut.is_empty() && !cut.ends_with('\n'))
            .collect();
        let prefixed =
            |prefix: &str| text.lines().map(|line| format!("{prefix}{line}\n")).collect::<String>();
        made.push(("a log's time".into(), prefixed("2026-01-02T03:04:05.678Z ")));
        made.push(("a job's name".into(), prefixed("lint | ")));
        made.push(("a quote".into(), prefixed("> ")));
        let words = [("error", "Fehler"), ("warning", "Warnung"), ("note", "Anmerkung")];
        let translated = words.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
        if translated != text && !text.trim_start().starts_with(['{', '[', '<']) {
            made.push(("another language".into(), translated));
        }
        for (how, text) in made {
            tried += 1;
            let Ok(found) = tree.read(foreign_output(format, folder, &text)) else { continue };
            if is_trusted(&found) && count_findings(&found) < right {
                wrong.push(format!("{name}, {how}: {} of {right}", count_findings(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried > 200, "{tried}");
}

#[test]
fn colors_change_nothing() {
    let tree = Tree::from_real_files();
    for (name, format, folder) in OUTPUTS.iter().filter(|(name, ..)| name.ends_with(".txt")) {
        let text = read_sample(name);
        let colored: String = text
            .lines()
            .map(|line| match line.split_once(':') {
                Some((path, rest)) => format!("\u{1b}[1m{path}\u{1b}[0m\u{1b}[36m:\u{1b}[0m{rest}\n"),
                None => format!("\u{1b}[31m{line}\u{1b}[0m\n"),
            })
            .collect();
        let (plain, colored) = (
            tree.read(foreign_output(format, folder, &text)).unwrap(),
            tree.read(foreign_output(format, folder, &colored)).unwrap(),
        );
        assert_eq!(plain.findings, colored.findings, "{name}");
        assert_eq!(plain.problems, colored.problems, "{name}");
    }
}

/// Reads output of programs that failed, in each line-based format.
#[test]
fn a_text_without_a_line_that_is_understood_is_a_problem_that_names_it() {
    let tree = Tree::from_real_files();
    for text in [
        "Traceback (most recent call last):\n  File \"x\", line 1, in <module>\nImportError: boom\n",
        "sh: 1: flake8: not found\n",
        "   indented words, as of another tool\n",
    ] {
        for format in OutputFormat::all_formats().filter(|format| format.is_line_based()) {
            let found = tree.read(foreign_output(format.as_str(), "", text)).unwrap();
            let is_named = found.problems.iter().any(|problem| problem.contains("none of"));
            // Some line-based formats parse text of the form `word: 1` as a file with a line number. For such
            // a text, there is no problem that calls the text unreadable, but the findings must not be
            // trusted.
            assert!(is_named || !is_trusted(&found), "{}: {text}: {found:?}", format.as_str());
        }
        // The exit code 0 excuses a line of an operator's own tool, but not one of a known tool, and no
        // crash.
        let is_crash = text.starts_with("Traceback");
        for (tool, is_known) in [("flake8", true), ("own-lint", false)] {
            let output = foreign_output("flake8", "", text);
            let clean = ToolOutput { tool: tool.to_owned(), is_clean: true, foreign: None, ..output };
            let found = tree.read(clean).unwrap();
            assert_eq!(!found.problems.is_empty(), is_known || is_crash, "{tool}: {found:?}");
            assert!(found.keeps_open.is_some(), "{found:?}");
        }
    }
}

#[test]
fn the_tools_own_total_counts_and_lines_beside_are_named() {
    let tree = Tree::from_files(&[("a.py".to_owned(), "l = 1\nm = 2\n".to_owned())].into());
    let mypy = "a.py:1: error: Wrong  [assignment]\nFound 2 errors in 1 file (checked 1 source file)\n";
    let found = tree.read(foreign_output("mypy", "", mypy)).unwrap();
    assert!(
        found.problems[0].contains("reports 2 findings, but only 1 could be parsed"),
        "{:?}",
        found.problems
    );
    let found = tree.read(foreign_output("mypy", "", "Found 1 error in 1 file (checked 1 source file)\n"));
    let problems = found.unwrap().problems;
    assert!(problems[0].contains("reports 1 finding, but only 0 could be parsed"), "{problems:?}");
    let none = tree.read(foreign_output("mypy", "", "Success: no issues found in 1 source file\n")).unwrap();
    assert!(is_trusted(&none), "{none:?}");

    let beside = "DeprecationWarning: an option\na.py:1:1: E741 ambiguous\n";
    let found = tree.read(foreign_output("flake8", "", beside)).unwrap();
    assert_eq!((found.findings.len(), found.problems.len()), (1, 0), "{found:?}");
    assert!(found.keeps_open.unwrap().contains("`DeprecationWarning: an option`"));
}

#[test]
fn a_tools_name_stands_for_all_of_its_formats() {
    let tree = Tree::from_real_files();
    for (name, _, folder) in OUTPUTS {
        let format = OUTPUTS.iter().find(|output| output.0 == *name).unwrap().1;
        let Some(tool) = OutputFormat::parse(format).and_then(OutputFormat::tool) else { continue };
        let text = read_sample(name);
        let (by_tool, by_format) = (
            tree.read(foreign_output(tool, folder, &text)).unwrap(),
            tree.read(foreign_output(format, folder, &text)).unwrap(),
        );
        assert_eq!(by_tool.findings, by_format.findings, "{name}");
    }
    for (tool, nothing) in [
        ("ruff", "[]"),
        ("ruff", ""),
        ("eslint", "[]\n"),
        ("golangci-lint", "{\"Issues\": null}"),
        ("clang-tidy", ""),
    ] {
        let found = tree.read(foreign_output(tool, "", nothing)).unwrap();
        assert!(is_trusted(&found) && count_findings(&found) == 0, "{tool}: {nothing}: {found:?}");
    }
    for (tool, name, folder) in
        [("semgrep", "semgrep.sarif.json", "sg"), ("hadolint", "hadolint.xml", "docker")]
    {
        let found = tree.read(foreign_output(tool, folder, &read_sample(name))).unwrap();
        assert!(!found.findings.is_empty() && found.problems.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn a_path_of_another_machine_is_placed_by_the_files_that_are_here() {
    let files = ["src/a.py", "pkg/cart/main_test.go", "main_test.go"];
    let tree = Tree::from_files(&files.map(|path| (path.to_owned(), "l = 1\n".to_owned())).into());
    for (root, more) in [
        ("/home/runner/work/ab/ab", ""),
        (r"D:\a\ab", ""),
        ("/app", ""),
        ("/builds/team/ab", "/elsewhere/b.py:1:1: E741 another\n"),
    ] {
        let separator = if root.contains('\\') { "\\" } else { "/" };
        let path = |path: &str| format!("{root}{separator}{}", path.replace('/', separator));
        let text = format!("{}:1:1: E741 ambiguous\n{more}", path("src/a.py"));
        let found = tree.read(foreign_output("flake8", "", &text)).unwrap();
        assert_eq!(found.findings.len(), 1, "{root}: {found:?}");
        assert_eq!(found.findings[0].location.path, RepoPath::from_text("src/a.py"), "{root}");
        assert_eq!(found.problems.is_empty(), more.is_empty(), "{root}: {found:?}");
        let text = format!("{}:1:1: E741 ambiguous\n", path("pkg/cart/main_test.go"));
        let found = tree.read(foreign_output("flake8", "", &text)).unwrap();
        assert_eq!(found.findings[0].location.path, RepoPath::from_text("pkg/cart/main_test.go"), "{root}");
    }
    for nowhere in ["/x/y/gone.py", "https://example.org/src/a.py", "../docs/x.py", "gone/x.py"] {
        let found = tree.read(foreign_output("unix", "", &format!("{nowhere}:1:1: words\n"))).unwrap();
        assert!(!is_trusted(&found) && found.findings.is_empty(), "{nowhere}: {found:?}");
    }
    // Several folders contain a file with this name, so both paths are ambiguous.
    let text = "/x/main_test.go:1:1: E741 one\n/y/main_test.go:1:1: E741 two\n";
    let found = tree.read(foreign_output("flake8", "", text)).unwrap();
    assert!(found.findings.is_empty() && !found.problems.is_empty(), "{found:?}");
}

#[test]
fn a_tool_that_ran_in_a_subfolder_is_placed_there() {
    let files = ["src/a.ts", "web/src/a.ts", "src/only.ts"];
    let tree = Tree::from_files(&files.map(|path| (path.to_owned(), "l = 1\n".to_owned())).into());
    let web = Some(RepoPath::from_text("web"));
    let started = |text: &str| {
        let foreign =
            ExternalToolRun { folder: web.clone(), is_tree_whole: true, ..ExternalToolRun::default() };
        tree.read(ToolOutput { foreign: Some(foreign), ..foreign_output("tsc", "", text) }).unwrap()
    };
    let path = |found: &ToolFindings| found.findings[0].location.path.to_string();
    let text = "src/a.ts(1,1): error TS1234: words\n";
    assert_eq!(path(&started(text)), "web/src/a.ts");
    assert_eq!(path(&tree.read(foreign_output("tsc", "web", text)).unwrap()), "web/src/a.ts");
    assert_eq!(path(&tree.read(foreign_output("tsc", "", text)).unwrap()), "src/a.ts");
    assert_eq!(path(&started("src/only.ts(1,1): error TS1234: words\n")), "src/only.ts");
}

#[test]
fn a_format_that_names_no_tool_resolves_nothing_until_somebody_names_it() {
    let tree = Tree::from_files(&[("a.py".to_owned(), "l = 1\n".to_owned())].into());
    let text = "<checkstyle><file name=\"a.py\"><error line=\"1\" message=\"words\" \
         source=\"X1\"/></file></checkstyle>";
    let found = tree.read(foreign_output("checkstyle", "", text)).unwrap();
    assert!(found.keeps_open.unwrap().contains("--tool NAME"));
    assert_eq!(found.findings[0].rule, "checkstyle/X1");
    let foreign = ExternalToolRun {
        tool: Some("ShellCheck".into()),
        is_tree_whole: true,
        ..ExternalToolRun::default()
    };
    let found =
        tree.read(ToolOutput { foreign: Some(foreign), ..foreign_output("checkstyle", "", text) }).unwrap();
    assert!(is_trusted(&found) && found.tools.contains("shellcheck"), "{found:?}");
    assert_eq!(found.findings[0].rule, "shellcheck/X1");
}

#[test]
fn no_text_about_an_output_holds_a_secret_of_the_output() {
    let tree = Tree::from_files(&[("a.py".to_owned(), "l = 1\n".to_owned())].into());
    let begin = "AKIA73U5";
    let key = [begin, "5XTPLPFT7V4S"].concat();
    let sarif = |run: &str| format!("{{\"version\":\"2.1.0\",\"runs\":[{run}]}}");
    let driver = "\"tool\":{\"driver\":{\"name\":\"lint\"}}";
    let place = "\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"a.py\"},\
         \"region\":{\"startLine\":1}}}]";
    // The end of the key would be cut off if the text were shortened first.
    let padding = "word ".repeat(58);
    for (format, text) in [
        ("unix", format!("a.py:1: words\nKEY = \"{key}\"\n")),
        ("unix", format!("a.py:1: words\n{padding}{key}\n")),
        ("unix", format!("KEY = \"{key}\"\n")),
        ("unix", format!("src/{key}/b.py:1: words\n")),
        ("unix", format!("/elsewhere/{key}/b.py:1: words\n")),
        (
            "sarif",
            sarif(&format!(
                "{{{driver},\"results\":[],\"invocations\":[{{\"executionSuccessful\":false,\
                 \"toolExecutionNotifications\":[{{\"level\":\"error\",\
                 \"message\":{{\"text\":\"no access with {key}\"}}}}]}}]}}"
            )),
        ),
        ("sarif", sarif(&format!("{{{driver},\"results\":\"{key}\"}}"))),
        ("sarif", sarif(&format!("{{{driver},\"results\":[\"{key}\"]}}"))),
        (
            "sarif",
            sarif(&format!(
                "{{{driver},\"results\":[{{\"ruleId\":\"rule {key}\",\
                 \"message\":{{\"text\":\"m\"}},{place}}}]}}"
            )),
        ),
        (
            "sarif",
            sarif(&format!(
                "{{\"tool\":{{\"driver\":{{\"name\":\"lint {key}\"}}}},\
                 \"results\":[{{\"message\":{{\"text\":\"m\"}},{place}}}]}}"
            )),
        ),
        ("ruff-json", format!("[{{\"filename\": \"a.py\", \"location\": \"{key}\"}}]")),
        ("ruff-json", format!("\"{key}\"")),
        (
            "checkstyle",
            format!(
                "<checkstyle><file name=\"b {key}.py\"><error line=\"1\" message=\"m\"/></file></checkstyle>"
            ),
        ),
        (
            "checkstyle",
            format!("<checkstyle><file name=\"a.py\"><exception>{key}</exception></file></checkstyle>"),
        ),
        ("checkstyle", format!("<checkstyle><a></{key}></checkstyle>")),
    ] {
        let found = tree.read(foreign_output(format, "", &text)).unwrap();
        let told = format!("{found:?}");
        // Names of tools are in lower case.
        assert!(!told.to_uppercase().contains(begin), "{format}: {text}\n{told}");
        assert!(!is_trusted(&found) || !found.findings.is_empty(), "{format}: {text}\n{told}");
    }
    let rule = |name: &str| {
        let text = format!(
            "<checkstyle><file name=\"a.py\"><error line=\"1\" message=\"words\" \
             source=\"{name}\"/></file></checkstyle>"
        );
        tree.read(foreign_output("checkstyle", "", &text)).unwrap().findings[0].rule.clone()
    };
    assert_eq!((rule("X1"), rule(&format!("x {key}"))), ("checkstyle/X1".into(), "checkstyle/x-AKIA".into()));
}

#[test]
fn equal_findings_of_a_line_are_one() {
    let text = "<<<<<<< a\nl = l = 1\n=======\n>>>>>>> b\n";
    let tree = Tree::from_files(&[("a.py".to_owned(), text.to_owned())].into());
    let printed = "a.py:1:1: invalid-syntax: Expected a statement\n\
         a.py:1:3: invalid-syntax: Expected a statement\n\
         a.py:3:1: invalid-syntax: Expected a statement\n\
         a.py:4:1: invalid-syntax: Expected an expression\n\
         a.py:2:1: E741 Ambiguous variable name: `l`\n\
         a.py:2:5: E741 Ambiguous variable name: `l`\n";
    let found = tree.read(foreign_output("ruff", "", printed)).unwrap();
    let places: Vec<(&str, u32)> =
        found.findings.iter().map(|raw| (raw.rule.as_str(), raw.location.start_line)).collect();
    let syntax = "ruff/invalid-syntax";
    assert_eq!(places, [(syntax, 1), ("ruff/E741", 2), (syntax, 3), (syntax, 4)], "{found:?}");
}
