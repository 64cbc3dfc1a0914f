//! Bombs are small texts that could cost a parser of untrusted text much memory or time. The tests generate
//! bombs for configuration, front matter, rules, diffs, webhooks, comments, command lines, manifests,
//! requirements, model streams, recordings, prompts, and the guard. Parsing each bomb must use a bounded
//! amount of memory and time.
//!
//! With the other tests, only a few bombs are parsed; `cargo xtask fuzz bombs` parses bombs until its time is
//! over, and prints the most expensive ones. Syntax trees and hash tests, which a child process parses, have
//! their own bombs in `tests/it/reader/bombs.rs`.

// long: one generator for each form of text; all generators share the same bounds.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them; the figures are its result"
)]

#[path = "it/support/bomb.rs"]
mod bomb;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use truing_agent::memory::{LayerFiles, LayeredMemory, MemoryFile, SkillFile};
use truing_config::environment::Environment;
use truing_config::{Config, REPOSITORY_FILE};
use truing_core::RepoPath;
use truing_core::id::PrId;
use truing_core::markdown;
use truing_core::policy::{AgentAction, PolicyFile, PolicySet, ProfileName, plain_words};
use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;
use truing_forge::marker::{self, MarkerKeys};
use truing_guard::{FileChange, FileVersion, find_weakenings};
use truing_model::cassette::{Cassette, SecretRedactor};
use truing_model::stream::AnswerAccumulator;
use truing_reader::{RulePacks, redact};
use truing_upstream::manifest;
use truing_upstream::project_requirement::{self, RequirementPlace};
use truing_upstream::requirement_changes::DependentProject;

use bomb::{BombRequest, CostliestTexts, Random};

/// Maximum memory in bytes for parsing one text of any length, which the size limit of each parser ensures.
const MEMORY: u64 = 256 << 20;
/// Maximum CPU time for parsing one text; a longer parse counts as a hang.
const HANGS: Duration = Duration::from_secs(120);

/// Base-2 logarithm of the approximate size of the largest text in bytes.
const LARGEST: usize = 21;

/// A parser under test: possible beginnings of its texts, words that its grammar contains, and a function
/// that calls it.
struct Reader {
    name: &'static str,
    begins: &'static [&'static str],
    words: &'static [&'static str],
    /// Function that parses a text. The folder is empty, and only this call uses it.
    read: fn(&str, &Path),
}

const TOML: &[&str] = &[
    "[a]\n",
    "[[a]]\n",
    "[a.b]\n",
    "a.",
    "a = ",
    "[",
    "]",
    "{",
    "}",
    "a=1\n",
    "\"\"\"",
    "'''",
    "\\u00e9",
    "1979-05-27",
    "0x",
    "_",
    "a = [",
    "{a=",
    ", ",
    "# ",
    "\"a\" = 1\n",
    "[review]\n",
    "skip = [",
    "\"**/\"",
    "[sync.a]\n",
    "[forge.a]\n",
    "inf",
    "\"\\",
    "[project]\n",
    "dependencies = [",
];
const JSON: &[&str] = &[
    "{\"a\":",
    "[",
    "]",
    "}",
    "{",
    ",",
    "\"a\":1,",
    "null",
    "1e9",
    "\\u0000",
    "\"",
    "\\ud800",
    "{\"\":[",
    "\"action\":",
    "true",
    "0.1",
    "-",
    "1E400,",
    "\"repository\":{",
];
const YAML: &[&str] = &[
    "- ",
    "a: ",
    "&a ",
    "*a ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "|\n",
    ">\n",
    "!!str ",
    "\n  ",
    "\n",
    "---\n",
    "'",
    "\"",
    "<<: *a\n",
    "key: value\n",
    "any:\n",
    "all:\n",
    "  - pattern: $A\n",
    "regex: ",
    "(a|b)*",
    "[a-z]{1,99}",
    "not:\n",
    "has:\n",
    "language: python\n",
    "%YAML 1.2\n",
];
const TEXT: &[&str] = &[
    "*",
    "_",
    "`",
    "```\n",
    "~~~\n",
    "> ",
    "- ",
    "1. ",
    "#",
    "<!-- ",
    "-->",
    "<",
    ">",
    "[",
    "](",
    ")",
    "![",
    "&amp;",
    "@a",
    "|",
    "\n",
    "\n\n",
    "    ",
    "\\",
    "http://",
    "<details>",
    "\r",
    "\u{200b}",
    "\u{202e}",
    "password=",
    "AKIA",
    "-----BEGIN PRIVATE KEY-----\n",
    "ghp_",
    "://a:b@",
    "[truing]: # (",
];
const CODE: &[&str] = &[
    "def test_a():\n",
    "assert a == 1\n",
    "    ",
    "\t",
    "{",
    "}",
    "(",
    ")",
    "[",
    "'",
    "\"",
    "\"\"\"",
    "`",
    "${",
    "//",
    "/*",
    "*/",
    "#",
    "\\",
    "describe('a', () => {\n",
    "it.skip(",
    "expect(a).toBe(1)\n",
    "@a\n",
    "#[test]\n",
    "fn a() {",
    "r#\"",
    "import a\n",
    "from a import b\n",
    "func TestA(t *testing.T) {\n",
    "t.Skip()\n",
    "if a == 1: return 2\n",
    "class A:\n",
    "require('./",
    "<a>",
    "=> ",
    "/a/",
    "\n",
    "raise\n",
    "1",
    "x",
    "mock.patch('a')\n",
];
const SHELL: &[&str] = &[
    "git",
    "log",
    "--format=%H",
    "-c",
    "-e",
    "rg",
    "--",
    "-",
    "--a=",
    "cargo",
    "test",
    "+",
    "find",
    ".",
    "-name",
    "*",
    "sed",
    "-n",
    "1,5p",
    "/",
    "..",
    "HEAD~",
    ":(glob)",
    "é",
    "'",
    "$(",
    "-A1",
    "--no-",
    "env",
    "xargs",
    "a=b",
];

const READERS: [Reader; 18] = [
    Reader {
        name: "configuration",
        begins: &["", "[review]\n", "[forge.a]\n"],
        words: TOML,
        read: read_configuration,
    },
    Reader { name: "repository's file", begins: &["", "[review]\n"], words: TOML, read: read_repository },
    Reader {
        name: "pattern for files",
        begins: &["", "**/"],
        words: &["{", "{a,", "}", "**", "**/", "*", "?", "[a-z]", "[!", "]", ",", "\\", "a", "/", "..", "{{"],
        read: read_ignore_pattern,
    },
    Reader { name: "front matter", begins: &["---\n", "---\nname: a\n", ""], words: YAML, read: read_skill },
    Reader {
        name: "rules",
        begins: &["language: python\nrule:\n  pattern: a\n", "rule:\n ", "", "text:\n  regex: "],
        words: YAML,
        read: read_rules,
    },
    Reader {
        name: "diff",
        begins: &["diff --git a/a b/a\n--- a/a\n+++ b/a\n", "diff --cc a\n", ""],
        words: &[
            "@@ -1 +1 @@\n",
            "@@ -1,9 +1,9 @@\n",
            "+a\n",
            "-a\n",
            " a\n",
            "diff --git a/a b/a\n",
            "--- a/a\n",
            "+++ b/a\n",
            "\\ No newline at end of file\n",
            "@@@ -1 -1 +1 @@@\n",
            "rename from a\n",
            "Binary files ",
            "\"a\\303\" ",
            "index 0..1\n",
            "new file mode 100644\n",
            "GIT binary patch\n",
            "literal 9\n",
        ],
        read: read_diff,
    },
    Reader {
        name: "webhook",
        begins: &["{\"action\":\"opened\",\"pull_request\":", "{", "["],
        words: JSON,
        read: read_webhook,
    },
    Reader {
        name: "comment",
        begins: &["", "<!-- truing:v1 ", "/dismiss "],
        words: TEXT,
        read: read_comment,
    },
    Reader {
        name: "secrets in a text",
        begins: &["", "key = '", "https://"],
        words: TEXT,
        read: scan_secrets,
    },
    Reader {
        name: "command line",
        begins: &["git ", "rg ", "find ", "cargo ", ""],
        words: SHELL,
        read: judge_command,
    },
    Reader { name: "manifest, TOML", begins: &["", "[digests]\n"], words: TOML, read: read_manifest_toml },
    Reader {
        name: "manifest, JSON",
        begins: &["{\"digests\":", "{", ""],
        words: JSON,
        read: read_manifest_json,
    },
    Reader {
        name: "requirement, TOML",
        begins: &["[project]\n", ""],
        words: TOML,
        read: read_requirement_toml,
    },
    Reader {
        name: "requirement, JSON",
        begins: &["{\"dependencies\":{", "{"],
        words: JSON,
        read: read_requirement_json,
    },
    Reader {
        name: "requirement, lines",
        begins: &["", "a"],
        words: &[
            "a",
            ">=1",
            "<2",
            ",",
            "==1.*",
            "[x]",
            ";",
            "python_version",
            "<",
            "'3'",
            " and ",
            "(",
            ")",
            " or ",
            "@ ",
            "\n",
            "#",
            "-r ",
            "\\\n",
            "1.",
            "!",
            "1!",
            ".post1",
            ".dev",
            "+a.",
            "~=",
            "===",
            "--hash=sha256:",
            "not in ",
        ],
        read: read_requirement_lines,
    },
    Reader { name: "tests of a project", begins: &["", "def test_a():\n    "], words: CODE, read: run_guard },
    Reader {
        name: "model's stream",
        begins: &["event: message_start\ndata: {\"type\":\"message_start\",\"message\":", ""],
        words: &[
            "data: ",
            "\n",
            "\n\n",
            "event: ",
            "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":",
            "{",
            "[",
            "}",
            "]",
            "\"a\":",
            ":",
            "\r\n",
            "id: 1\n",
            "data: {\"type\":\"ping\"}\n\n",
            "\u{feff}",
            "data: \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                \
                {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        ],
        read: read_stream,
    },
    Reader {
        name: "recording",
        begins: &["{\"run\":\"a\",\"agent\":\"a\",\"request\":", "{"],
        words: JSON,
        read: read_cassette,
    },
];

fn read_configuration(text: &str, folder: &Path) {
    let Ok(file) = truing_config::read_named_file(Path::new("a.toml"), &write_file(folder, "a.toml", text))
    else {
        return;
    };
    let environment = Environment::new([] as [(&str, &str); 0], folder);
    let _ = Config::resolve(&environment, Some(&file), &[]);
}

fn read_repository(text: &str, folder: &Path) {
    write_file(folder, REPOSITORY_FILE, text);
    let Ok(Some(file)) = truing_config::read_repository_file(folder) else { return };
    let environment = Environment::new([] as [(&str, &str); 0], folder);
    let _ = Config::resolve(&environment, None, &[]).unwrap().with_repository(&file);
}

fn read_ignore_pattern(text: &str, folder: &Path) {
    let quoted = serde_json::to_string(text).unwrap();
    read_repository(&format!("[rules]\nignore = [{quoted}]\n"), folder);
}

fn read_skill(text: &str, _: &Path) {
    let file = MemoryFile { path: "skills/a/SKILL.md".to_owned(), content: Ok(text.as_bytes().to_vec()) };
    let memory = MemoryFile { path: "CLAUDE.md".to_owned(), content: Ok(text.as_bytes().to_vec()) };
    let skill = SkillFile { folder: "a".to_owned(), file };
    let found = LayerFiles {
        memory: vec![memory],
        specialists: vec![skill.clone()],
        skills: vec![skill],
        ..LayerFiles::default()
    };
    let _ = LayeredMemory::from_layers(&LayerFiles::default(), &found);
}

fn read_rules(text: &str, _: &Path) {
    if let Ok(packs) = RulePacks::parse(&[("a/rules/a.yml", text)]) {
        let _ = packs.list_rules();
        let _ = packs.run_examples(&["a".to_owned()]);
    }
}

fn read_diff(text: &str, _: &Path) {
    let _ = truing_diff::parse(text.as_bytes());
    let _ = truing_diff::parse_files(text.as_bytes()).count();
}

fn read_webhook(text: &str, _: &Path) {
    for event in ["pull_request", "issue_comment", "check_run"] {
        let _ = truing_forge::delivery::parse_delivery(
            truing_core::port::ForgeKind::Github,
            event,
            "github",
            text.as_bytes(),
        );
    }
}

fn read_comment(text: &str, _: &Path) {
    let pull = PrId { forge: "github".to_owned(), repository: "1".to_owned(), number: 1 };
    let keys = MarkerKeys::new(b"a key of thirty-two bytes or more", &[]);
    let _ = keys.find_marker(&pull, text);
    let _ = (marker::normalize_text(text), marker::disable_markers(text));
    let _ = (markdown::escape_text(text), markdown::render_title(text), markdown::code_block("python", text));
}

fn scan_secrets(text: &str, _: &Path) {
    let _ = redact::redact_secrets(text);
}

fn judge_command(text: &str, _: &Path) {
    let argv: Vec<&str> = text.split(' ').collect();
    let policies = PolicySet::load_shipped().unwrap();
    for profile in [ProfileName::Reviewer, ProfileName::Fixer] {
        let _ = policies.policy_for(profile).judge(AgentAction::Run(&argv));
    }
    let _ = policies.policy_for(ProfileName::Fixer).judge(AgentAction::Write(text));
    let _ = plain_words(text);
    for name in ["grammar/x.toml", "profiles/fixer.toml", "never.toml"] {
        let file = PolicyFile { name: name.to_owned(), display_path: name.to_owned(), text: text.to_owned() };
        let _ = PolicySet::new(&[file]);
    }
}

/// Writes a file with this text and returns its path.
fn write_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn read_manifest_toml(text: &str, folder: &Path) {
    let _ = manifest::read_manifest(&write_file(folder, "pins.toml", text));
}

fn read_manifest_json(text: &str, folder: &Path) {
    let _ = manifest::read_manifest(&write_file(folder, "pins.json", text));
}

fn read_requirement(folder: &Path, name: &str, text: &str, (registry, key_path): (PackageRegistry, &str)) {
    let file = write_file(folder, name, text);
    let place = RequirementPlace {
        file: &file,
        key_path,
        package: "a",
        registry,
        style: RangeStyle::ExclusiveUpperNextPatch,
    };
    let _ = project_requirement::read_requirement(&place);
    let _ = project_requirement::requiring_key_paths(&place);
    let _ = DependentProject::read(folder, &place, &BTreeSet::new());
}

fn read_requirement_toml(text: &str, folder: &Path) {
    read_requirement(folder, "pyproject.toml", text, (PackageRegistry::Pypi, "project.dependencies"));
}

fn read_requirement_json(text: &str, folder: &Path) {
    read_requirement(folder, "package.json", text, (PackageRegistry::Npm, "dependencies"));
}

fn read_requirement_lines(text: &str, folder: &Path) {
    read_requirement(folder, "requirements.txt", text, (PackageRegistry::Pypi, ""));
}

fn run_guard(text: &str, _: &Path) {
    let names =
        ["test_a.py", "a.test.ts", "a_test.go", "tests/a.rs", "a.py", "conftest.py", "pyproject.toml"];
    let path = RepoPath::from_text(names[text.len() % names.len()]);
    let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let before = FileVersion { path: &path, bytes: text.as_bytes() };
    let after = FileVersion { path: &path, bytes: &text.as_bytes()[half..] };
    let _ = find_weakenings(&[FileChange { before: Some(before), after: Some(after) }], &BTreeSet::new());
}

fn read_stream(text: &str, _: &Path) {
    let mut fold = AnswerAccumulator::default();
    // The accumulator gets the text in chunks, as from a connection.
    if text.as_bytes().chunks(1400).all(|piece| fold.push(piece).is_ok()) {
        let _ = fold.finish();
    }
}

fn read_cassette(text: &str, _: &Path) {
    let _ = Cassette::parse(text, "a.jsonl", SecretRedactor::default());
}

/// Returns the peak memory of this process since [`reset_peak`], in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    };
    of("VmHWM:")
}

/// Resets the peak of memory, and returns the memory that the process uses now.
fn reset_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    peak_bytes()
}

/// Returns the CPU time of this process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
fn generated_bombs_cost_a_bounded_amount_whatever_reads_them() {
    let asked = BombRequest::from_environment();
    let mut worst = CostliestTexts::default();
    let mut broken = Vec::new();
    let count = READERS.len() as u64;
    for seed in asked.seeds(3 * count) {
        let reader = &READERS[usize::try_from(seed % count).unwrap()];
        let text = bomb::generate_text(reader.begins, reader.words, LARGEST, &mut Random(seed));
        let folder = tempfile::tempdir().unwrap();
        let (held, done) = (reset_peak(), cpu_time());
        (reader.read)(&text, folder.path());
        let (memory, took) = (peak_bytes().saturating_sub(held), cpu_time() - done);
        let bytes = text.len() as u64;
        if memory > MEMORY || took > HANGS {
            let told =
                format!("seed {seed}: {} of {bytes} bytes: {} MiB, {took:?}", reader.name, memory >> 20);
            println!("{told}");
            broken.push(told);
            asked.save_text(&format!("{seed}.txt"), &text);
        }
        worst.add(reader.name, seed, bytes, memory, took);
    }
    worst.print();
    assert!(broken.is_empty(), "{broken:#?}");
}
