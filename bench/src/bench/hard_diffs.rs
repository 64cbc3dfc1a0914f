//! Diffs that are hard to parse, produced by git itself. They contain names that must be quoted, lines that
//! look like headers, and files without changed lines. `bench diff` and `fuzz diff` use them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::diff::DiffWithNumstat;

/// A change of the working tree.
enum TreeEdit {
    Put(Vec<u8>, Vec<u8>),
    Remove(&'static str),
    Rename(&'static str, &'static str),
    Link(&'static str, &'static str),
    Executable(&'static str),
    Submodule(&'static str, char),
}
use TreeEdit::{Executable, Link, Remove, Rename, Submodule};

fn put_file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> TreeEdit {
    TreeEdit::Put(path.as_ref().to_vec(), content.as_ref().to_vec())
}

/// A diff to produce: the edits that create the old tree, the edits that create the new tree, and git's
/// options.
struct DiffCase {
    name: &'static str,
    before: Vec<TreeEdit>,
    after: Vec<TreeEdit>,
    options: &'static [&'static str],
}

/// The list of cases.
#[derive(Default)]
struct DiffCases(Vec<DiffCase>);

impl DiffCases {
    fn add_case(
        &mut self,
        name: &'static str,
        before: Vec<TreeEdit>,
        after: Vec<TreeEdit>,
        options: &'static [&'static str],
    ) {
        self.0.push(DiffCase { name, before, after, options });
    }

    /// Adds a case in which one file changes.
    fn add_edit_case(
        &mut self,
        name: &'static str,
        path: impl AsRef<[u8]>,
        old: impl AsRef<[u8]>,
        new: impl AsRef<[u8]>,
    ) {
        self.add_case(name, vec![put_file(&path, old)], vec![put_file(&path, new)], &[]);
    }
}

fn build_cases() -> Vec<DiffCase> {
    let old: String = (1..=40).map(|line| format!("line {line}\n")).collect();
    let new = old.replace("line 20\n", "line twenty\nmore\n").replace("line 35\n", "");
    let (old, new) = (old.as_str(), new.as_str());
    let mut all = DiffCases::default();
    add_header_cases(&mut all, old, new);
    add_content_cases(&mut all, old, new);
    add_name_cases(&mut all, old, new);
    all.0
}

/// Adds cases of renames, modes, types, binary content and options.
fn add_header_cases(all: &mut DiffCases, old: &str, new: &str) {
    let a = || vec![put_file("a.txt", old)];
    let edited = || vec![put_file("a.txt", new)];
    for (name, options) in [
        ("plain", &[][..]),
        ("no context", &["-U0"]),
        ("one line of context", &["-U1"]),
        ("all context", &["-U1000"]),
        ("function context", &["-W"]),
        ("reversed", &["-R"]),
        ("no prefix", &["--no-prefix"]),
        ("mnemonic prefixes", &["--src-prefix=i/", "--dst-prefix=w/"]),
        ("prefixes of Bitbucket", &["--src-prefix=src://", "--dst-prefix=dst://"]),
        ("prefixes of one's own", &["--src-prefix=before/", "--dst-prefix=after/"]),
        ("full index", &["--full-index"]),
        ("patience", &["--patience"]),
    ] {
        all.add_case(name, a(), edited(), options);
    }
    all.add_case("new file", vec![], vec![put_file("n", "one\ntwo\n")], &[]);
    all.add_case("new empty file", vec![], vec![put_file("n", "")], &[]);
    all.add_case("new empty file with a blank", vec![], vec![put_file("n n", "")], &[]);
    all.add_case("deleted file", vec![put_file("n", "one\n")], vec![Remove("n")], &[]);
    all.add_case("deleted empty file", vec![put_file("n", "")], vec![Remove("n")], &[]);
    all.add_case("deleted without its lines", vec![put_file("n", "")], vec![Remove("n")], &["--no-prefix"]);
    all.add_case("empty file gets a line", vec![put_file("n", "")], vec![put_file("n", "x")], &[]);
    all.add_case("file becomes empty", vec![put_file("n", "x\n")], vec![put_file("n", "")], &[]);
    all.add_case("rename", a(), vec![Rename("a.txt", "b.txt")], &[]);
    all.add_case("rename and edit", a(), vec![Rename("a.txt", "b.txt"), put_file("b.txt", new)], &[]);
    all.add_case("rename to a blank", a(), vec![Rename("a.txt", "b b.txt"), put_file("b b.txt", new)], &[]);
    all.add_case(
        "rename to quotes",
        a(),
        vec![Rename("a.txt", "é\t\".txt"), put_file("é\t\".txt", new)],
        &[],
    );
    all.add_case("rename and mode", a(), vec![Rename("a.txt", "b"), Executable("b")], &[]);
    all.add_case(
        "rename in a chain",
        vec![put_file("a", old), put_file("b", new.repeat(2))],
        vec![Rename("b", "c"), Rename("a", "b")],
        &[],
    );
    all.add_case(
        "renames swapped",
        vec![put_file("a", old), put_file("b", "1\n2\n3\n")],
        vec![Rename("a", "t"), Rename("b", "a"), Rename("t", "b")],
        &["-B"],
    );
    all.add_case("rewritten whole", a(), vec![put_file("a.txt", "other\n".repeat(60))], &["-B"]);
    all.add_case(
        "copy",
        a(),
        vec![put_file("c.txt", new), put_file("a.txt", format!("{old}tail\n"))],
        &["-C"],
    );
    all.add_case("copy found harder", a(), vec![put_file("c c.txt", new)], &["-C", "--find-copies-harder"]);
    all.add_case("mode", vec![put_file("x.sh", old)], vec![Executable("x.sh")], &[]);
    all.add_case("mode with a blank", vec![put_file("x b/y", old)], vec![Executable("x b/y")], &[]);
    all.add_case(
        "mode and edit",
        vec![put_file("x.sh", old)],
        vec![put_file("x.sh", new), Executable("x.sh")],
        &[],
    );
    all.add_case("link", vec![Link("a", "l")], vec![Remove("l"), Link("b", "l")], &[]);
    all.add_case("file becomes a link", vec![put_file("l", old)], vec![Remove("l"), Link("b", "l")], &[]);
    all.add_case("link becomes a file", vec![Link("b", "l")], vec![Remove("l"), put_file("l", old)], &[]);
    all.add_case(
        "submodule",
        vec![put_file("a", old), Submodule("s", '1')],
        vec![put_file("a", new), Submodule("s", '2')],
        &[],
    );
    all.add_case("new submodule", vec![put_file("a", old)], vec![Submodule("s b/s", '1')], &[]);
    let bytes: Vec<u8> = (0..=255).cycle().take(4000).collect();
    let other: Vec<u8> = bytes.iter().map(|byte| 255 - byte).collect();
    let binary = |content: &[u8]| vec![put_file("b.dat", content)];
    all.add_case("binary", binary(&bytes), binary(&other), &[]);
    all.add_case("binary with its content", binary(&bytes), binary(&other), &["--binary"]);
    all.add_case("new binary", vec![], binary(&bytes), &[]);
    all.add_case(
        "binary with a blank",
        vec![put_file("b b/b.dat", &bytes)],
        vec![put_file("b b/b.dat", &other)],
        &[],
    );
    all.add_case("text becomes binary", vec![put_file("b", old)], vec![put_file("b", &bytes)], &[]);
    all.add_case(
        "binary renamed",
        binary(&bytes),
        vec![Rename("b.dat", "c.dat"), put_file("c.dat", [&bytes[..], b"+"].concat())],
        &[],
    );
    let mixed =
        |text: &str, content: &[u8]| vec![put_file("a", text), put_file("b", content), put_file("c", text)];
    all.add_case("binary between text", mixed(old, &bytes), mixed(new, &other), &[]);
    all.add_case("binary content between text", mixed(old, &bytes), mixed(new, &other), &["--binary"]);
    let many = |text: &str| (0..400).map(|at| put_file(format!("d/{at}"), text)).collect();
    all.add_case("many files", many("a\n"), many("b\n"), &[]);
}

/// Adds cases of lines that look like headers or other parts of a diff, and of different line ends.
fn add_content_cases(all: &mut DiffCases, old: &str, new: &str) {
    all.add_edit_case("no line end before", "a", "x\ny", "x\ny\n");
    all.add_edit_case("no line end after", "a", "x\ny\n", "x\ny");
    all.add_edit_case("no line end on both sides", "a", "x\ny", "x\nz");
    all.add_edit_case("no line end, nothing else", "a", "x", "y");
    all.add_edit_case("no line end below the change", "a", "1\n2\n3", "0\n2\n3");
    all.add_edit_case("windows line ends", "a", "a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n");
    all.add_edit_case("line ends change", "a", "a\r\nb\r\n", "a\nb\n");
    all.add_edit_case("lone carriage returns", "a", "a\rb\nc\n", "a\rB\rC\nc\n");
    all.add_edit_case("form feeds", "a", "a\n\x0c\nb\n", "a\n\x0c\x0cx\nB\n");
    all.add_edit_case("other separators", "a", "a\n\x0b\x1c\x1d\x1e\nb\n", "a\nx\x0by\x1cz\x1d\x1e\nB\n");
    all.add_edit_case(
        "separators of Unicode",
        "a",
        "a\u{2028}b\nc\u{85}d\n",
        "a\u{2028}B\u{2029}\nc\u{85}D\n",
    );
    all.add_edit_case("not UTF-8", "a", b"caf\xe9\nx\n", b"caf\xe8\ny\n");
    all.add_edit_case("empty lines around", "a", "\n\n\nx\n\n\n", "\n\n\ny\n\n\n");
    all.add_edit_case("blanks at line ends", "a", "x \n \n\t\n", "x\n\n\n");
    all.add_edit_case("very long line", "a", "x".repeat(200_000), "y".repeat(200_000));
    all.add_edit_case(
        "removed comment of SQL",
        "a.sql",
        format!("-- drop\n++ y\nx\n{old}"),
        format!("++ plus\nx\n{new}"),
    );
    let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n";
    all.add_edit_case(
        "a diff in a file",
        "a.md",
        format!("{diff}{old}"),
        format!("@@ -9,9 +9,9 @@\n--- a/y\n+++ b/y\n{new}"),
    );
    all.add_case(
        "a diff in a file, no context",
        vec![put_file("a", format!("{diff}{old}"))],
        vec![put_file("a", new)],
        &["-U0"],
    );
    all.add_edit_case("removed names", "m.md", "a\n-- b/evil.txt\nz\n", "a\n++ b/evil.txt\nz\n");
    all.add_edit_case("removed names in a pair", "m.md", "-- a/x\nb\n", "++ b/x\nb\n");
    all.add_edit_case(
        "a line about a missing line end",
        "a",
        "x\n\\ No newline at end of file\n",
        "\\ No newline at end of file\n",
    );
    all.add_edit_case(
        "at signs in the heading",
        "a.c",
        format!("int f() @@ odd\n{{\n{old}}}\n"),
        format!("int f() @@ odd\n{{\n{new}}}\n"),
    );
    all.add_edit_case("mail signature in a file", "a", "x\n-- \n2.0\n", "x\n- \n2.0\n");
    all.add_edit_case(
        "binary words in a file",
        "a",
        "Binary files a/x and b/x differ\n",
        "GIT binary patch\nliteral 1\n",
    );
}

/// Adds cases of unusual file names.
fn add_name_cases(all: &mut DiffCases, old: &str, new: &str) {
    for (name, path) in [
        ("blanks", &b"dir with space/a b.txt"[..]),
        ("letters beyond ASCII", "é/ü.txt".as_bytes()),
        ("tab, quote, backslash", b"t\ta\"b\\c.txt"),
        ("line feed", b"n\nl.txt"),
        ("carriage return", b"r\rl.txt"),
        ("prefix inside", b"x b/x b/y.txt"),
        ("name not UTF-8", b"f\xff.txt"),
        ("like no file", b"dev/null"),
        ("blank at the end", b"a "),
        ("blank before", b" a"),
        ("like a prefix", b"a/a/a"),
        ("like both prefixes", b"b/b"),
        ("delete character", b"x\x7f"),
        ("like a header", b"rename from x"),
        ("like a hunk", b"@@ -1 +1 @@"),
        ("quotes around", b"\"q\""),
        ("only a quote", b"\""),
    ] {
        all.add_edit_case(name, path, old, new);
    }
    let unquoted = &["--no-prefix"];
    all.add_case(
        "prefix inside, none outside",
        vec![put_file("b/a", old)],
        vec![put_file("b/a", new)],
        unquoted,
    );
    all.add_case("new file like a pair", vec![], vec![put_file("x b/x", "")], &[]);
}

/// Produces the diffs of all cases, and git's counts for them.
pub(crate) fn produce_case_diffs() -> Result<Vec<DiffWithNumstat>> {
    let repo = TempRepo::new()?;
    build_cases().into_iter().map(|case| repo.diff_case(case)).collect()
}

/// A repository in a temporary folder, isolated from the machine's git configuration.
struct TempRepo(tempfile::TempDir);

impl TempRepo {
    fn new() -> Result<Self> {
        let repo = Self(tempfile::tempdir()?);
        repo.git(&["init", "-q", "-b", "main"])?;
        Ok(repo)
    }

    fn diff_case(&self, case: DiffCase) -> Result<DiffWithNumstat> {
        self.git(&["read-tree", "--empty"])?;
        for entry in fs::read_dir(self.0.path())? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with(".git") {
                fs::remove_dir_all(path)?;
            } else if !path.is_dir() || path.is_symlink() {
                fs::remove_file(path)?;
            }
        }
        let (from, to) = (self.write_tree(&case.before)?, self.write_tree(&case.after)?);
        let sides = [from.as_str(), to.as_str()];
        let diff = [&["diff", "-M", "--no-color"], case.options, &sides].concat();
        let numstat = [&["diff", "-M", "--numstat", "-z"], case.options, &sides].concat();
        Ok(DiffWithNumstat {
            name: case.name.to_owned(),
            diff: self.git(&diff)?,
            numstat: self.git(&numstat)?,
        })
    }

    /// Applies the edits, and returns the id of the resulting tree.
    fn write_tree(&self, steps: &[TreeEdit]) -> Result<String> {
        let at =
            |path: &[u8]| -> PathBuf { self.0.path().join(Path::new(std::ffi::OsStr::from_bytes(path))) };
        let mut submodules = Vec::new();
        for step in steps {
            match step {
                TreeEdit::Put(path, content) => {
                    let path = at(path);
                    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
                    fs::write(path, content)?;
                }
                Remove(path) => fs::remove_file(at(path.as_bytes()))?,
                Rename(from, to) => fs::rename(at(from.as_bytes()), at(to.as_bytes()))?,
                Link(target, path) => symlink(target, at(path.as_bytes()))?,
                Executable(path) => {
                    fs::set_permissions(at(path.as_bytes()), fs::Permissions::from_mode(0o755))?;
                }
                Submodule(path, digit) => {
                    submodules.push(format!("160000,{},{path}", digit.to_string().repeat(40)));
                }
            }
        }
        self.git(&["add", "-A"])?;
        for submodule in submodules {
            self.git(&["update-index", "--add", "--cacheinfo", &submodule])?;
        }
        Ok(String::from_utf8(self.git(&["write-tree"])?)?.trim().to_owned())
    }

    fn git(&self, args: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.0.path()).args(["-c", "core.autocrlf=false"]).args(args);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.0.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
        let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(output.stdout)
    }
}
