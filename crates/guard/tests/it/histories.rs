//! Measures the decisions of the guard on fixes in public repositories. This test must be run manually.
//!
//! `HISTORIES` names folders of git repositories, separated by `:`; `LEAST` is the number of fixes examined
//! in each. A fix is a commit with one parent that changes code outside tests. The first line of the commit
//! message must call the commit a fix. It is assumed that no author of these fixes wanted to neutralise
//! tests. Each refusal is therefore either an error of the guard, or a case that a person would have to
//! allow.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and say what it saw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use truing_core::RepoPath;
use truing_guard::{
    FileChange, FileVersion, RepositoryFiles, Weakening, can_affect_tests, find_hard_coded_answers,
    find_weakenings, texts_to_search,
};

/// Maximum number of files of a fix; a larger change is a release or a move.
const MAX_CHANGED: usize = 30;

/// Number of fixes per repository: this many fixes that change tests, and as many that do not. `LEAST`
/// overrides the number.
const FIXES: usize = 20;

/// Maximum size in bytes of a file that the test reads.
const MAX_FILE: usize = 4 << 20;

const LANGUAGES: [(&str, &[&str]); 6] = [
    ("Python", &[".py"]),
    ("JavaScript", &[".js", ".mjs", ".cjs", ".jsx"]),
    ("TypeScript", &[".ts", ".tsx", ".mts", ".cts"]),
    ("Go", &[".go"]),
    ("Rust", &[".rs"]),
    ("Java", &[".java"]),
];

/// Words in the first line of a commit message that show that the commit does not fix a bug of the product.
const NO_BUG: &[&str] = &[
    "typo",
    "spelling",
    "lint",
    "clippy",
    "format",
    "warning",
    "docs",
    "doc:",
    "(docs",
    "readme",
    "changelog",
    "comment",
    "ci",
    "build",
    "test",
    "tests",
    "release",
    "bump",
    "style",
    "chore",
    "flaky",
];

/// A running `git cat-file --batch`.
struct Blobs {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Blobs {
    fn new(folder: &Path) -> Self {
        let mut child = git_command(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answer }
    }

    /// Returns `None` if the blob is missing. Some copies of repositories lack their largest files.
    fn read(&mut self, name: &str) -> Option<Vec<u8>> {
        writeln!(self.ask, "{name}").unwrap();
        self.ask.flush().unwrap();
        let mut head = String::new();
        let _ = self.answer.read_line(&mut head).unwrap();
        let size: usize = head.trim().rsplit(' ').next().and_then(|size| size.parse().ok())?;
        let mut bytes = vec![0; size + 1];
        self.answer.read_exact(&mut bytes).unwrap();
        bytes.truncate(size.min(MAX_FILE));
        Some(bytes)
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn git_command(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(folder).stderr(Stdio::null());
    git
}

fn git_output(folder: &Path, arguments: &[&str]) -> String {
    let out = git_command(folder).args(arguments).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A file that a commit changes: its blob and path before and after the commit. The value before or after the
/// commit is `None` if the commit adds or deletes the file.
struct Changed {
    before: Option<(String, String)>,
    after: Option<(String, String)>,
}

struct Commit {
    id: String,
    words: String,
    files: Vec<Changed>,
}

impl Commit {
    fn paths(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .filter_map(|file| file.after.as_ref().or(file.before.as_ref()))
            .map(|(_, path)| &**path)
    }

    /// Returns the most frequent language among the changed code files that are not tests.
    fn language(&self) -> Option<&'static str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for path in self.paths().filter(|path| !can_affect_tests(&RepoPath::from_text(path))) {
            let of =
                LANGUAGES.iter().find(|(_, endings)| endings.iter().any(|ending| path.ends_with(ending)));
            if let Some((language, _)) = of {
                *counts.entry(language).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(language, _)| language)
    }
}

fn is_fix(message: &str) -> bool {
    let message = message.to_lowercase();
    let all: Vec<&str> = message.split(|letter: char| !letter.is_alphanumeric()).collect();
    let is_no_bug = |known: &&str| {
        if known.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            all.contains(known)
        } else {
            message.contains(known)
        }
    };
    all.iter().any(|word| matches!(*word, "fix" | "fixes" | "fixed" | "bugfix" | "bug"))
        && !NO_BUG.iter().any(is_no_bug)
}

/// Returns the fixes of a history, the newest first.
fn list_fixes(folder: &Path) -> Vec<Commit> {
    let format = "--format=%x01%H %s";
    let log = git_output(
        folder,
        &[
            "log",
            "--no-merges",
            "--min-parents=1",
            "-M",
            "--raw",
            "--no-abbrev",
            "-i",
            "-E",
            "--grep=fix|bug",
            "-n4000",
            format,
        ],
    );
    let mut found = Vec::new();
    for part in log.split('\u{1}').skip(1) {
        let mut lines = part.lines();
        let Some((id, words)) = lines.next().and_then(|head| head.split_once(' ')) else { continue };
        if !is_fix(words) {
            continue;
        }
        let mut files = Vec::new();
        for line in lines.filter_map(|line| line.strip_prefix(':')) {
            let (modes, names) = line.split_once('\t').unwrap();
            let modes: Vec<&str> = modes.split(' ').collect();
            let [from, to, old, new, kind] = modes[..] else { panic!("{line}") };
            let (was, now) = names.split_once('\t').unwrap_or((names, names));
            let is_file = |mode: &str| mode.starts_with("10");
            files.push(Changed {
                before: (kind != "A" && is_file(from)).then(|| (old.to_owned(), was.to_owned())),
                after: (kind != "D" && is_file(to)).then(|| (new.to_owned(), now.to_owned())),
            });
        }
        files.retain(|file| file.before.is_some() || file.after.is_some());
        let commit = Commit { id: id.to_owned(), words: words.to_owned(), files };
        if (1..=MAX_CHANGED).contains(&commit.files.len()) && commit.language().is_some() {
            found.push(commit);
        }
    }
    found
}

/// Returns the weakenings that the guard finds in a commit.
fn judge_commit(folder: &Path, blobs: &mut Blobs, commit: &Commit) -> Vec<Weakening> {
    let mut side = |side: &Option<(String, String)>| {
        side.as_ref().and_then(|(blob, path)| Some((RepoPath::from_text(path), blobs.read(blob)?)))
    };
    let sides: Vec<_> = commit.files.iter().map(|file| (side(&file.before), side(&file.after))).collect();
    let version = |side: &'_ Option<(RepoPath, Vec<u8>)>| side.is_some();
    let rewrites: Vec<FileChange<'_>> = sides
        .iter()
        .filter(|(before, after)| version(before) || version(after))
        .map(|(before, after)| FileChange {
            before: before.as_ref().map(|(path, bytes)| FileVersion { path, bytes }),
            after: after.as_ref().map(|(path, bytes)| FileVersion { path, bytes }),
        })
        .collect();
    let about = BTreeSet::new();
    let mut found = find_weakenings(&rewrites, &about);
    let sought = texts_to_search(&rewrites);
    if sought.has_new_values {
        let tree = git_output(folder, &["ls-tree", "-r", &format!("{}^", commit.id)]);
        let all = tree.lines().filter_map(|line| line.split_once('\t'));
        let all: Vec<(&str, RepoPath)> = all
            .filter_map(|(head, path)| Some((head.split(' ').nth(2)?, RepoPath::from_text(path))))
            .collect();
        let paths: Vec<RepoPath> = all.iter().map(|(_, path)| path.clone()).collect();
        let mut files: Vec<(RepoPath, Vec<u8>)> = Vec::new();
        for (blob, path) in all.into_iter().filter(|(_, path)| can_affect_tests(path)) {
            let Some(bytes) = blobs.read(blob) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            if sought.texts.iter().any(|sought| text.contains(sought.as_str())) {
                files.push((path, bytes));
            }
        }
        let files: Vec<FileVersion<'_>> =
            files.iter().map(|(path, bytes)| FileVersion { path, bytes }).collect();
        found.extend(find_hard_coded_answers(
            &rewrites,
            &about,
            &RepositoryFiles { paths: &paths, matching_files: &files },
        ));
    }
    found
}

#[test]
fn what_the_guard_says_of_fixes_in_public_histories() {
    let Ok(folders) = std::env::var("HISTORIES") else {
        println!("skipped: HISTORIES names no git folders");
        return;
    };
    let least = std::env::var("LEAST").ok().and_then(|least| least.parse().ok()).unwrap_or(FIXES);
    let mut ends: BTreeMap<(String, &str, &str), usize> = BTreeMap::new();
    let mut reasons: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for folder in folders.split(':').map(Path::new) {
        let mut blobs = Blobs::new(folder);
        let mut left = [least, least];
        for commit in list_fixes(folder) {
            let changes_tests = commit.paths().any(|path| can_affect_tests(&RepoPath::from_text(path)));
            let left = &mut left[usize::from(changes_tests)];
            if *left == 0 {
                continue;
            }
            *left -= 1;
            let found = judge_commit(folder, &mut blobs, &commit);
            let (told, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_report_only);
            let end = if !refused.is_empty() {
                "refused"
            } else if told.is_empty() {
                "passed"
            } else {
                "told"
            };
            let kind = if changes_tests { "tests" } else { "source" };
            *ends.entry((commit.language().unwrap().to_owned(), kind, end)).or_default() += 1;
            *ends.entry(("all".to_owned(), kind, end)).or_default() += 1;
            let said = if refused.is_empty() { &told } else { &refused };
            let kinds: BTreeSet<String> = said.iter().map(|one| format!("{:?}", one.kind)).collect();
            for kind in &kinds {
                *reasons.entry((end, kind.clone())).or_default() += 1;
            }
            let name = folder.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            println!("{end}\t{kind}\t{name}\t{:.10}\t{}\t{kinds:?}", commit.id, commit.words);
            for one in said {
                println!("\t{:?}\t{}\t{one}", one.kind, String::from_utf8_lossy(one.path.as_bytes()));
            }
        }
    }
    for ((language, kind, end), count) in &ends {
        println!("= {language}\t{kind}\t{end}\t{count}");
    }
    for ((end, kind), count) in &reasons {
        println!("= {end}\t{kind}\t{count}");
    }
}
