//! Diffs that are hard to parse, made by the real git: names that must be quoted, lines that look like
//! headers, files that change without a line. Used by `bench diff` and `fuzz diff`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::diff::CountedDiff;

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

fn put(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> TreeEdit {
    TreeEdit::Put(path.as_ref().to_vec(), content.as_ref().to_vec())
}

/// A diff from one state to the next.
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
    fn case(
        &mut self,
        name: &'static str,
        before: Vec<TreeEdit>,
        after: Vec<TreeEdit>,
        options: &'static [&'static str],
    ) {
        self.0.push(DiffCase { name, before, after, options });
    }

    /// Adds a case of one file that changes.
    fn edit(
        &mut self,
        name: &'static str,
        path: impl AsRef<[u8]>,
        old: impl AsRef<[u8]>,
        new: impl AsRef<[u8]>,
    ) {
        self.case(name, vec![put(&path, old)], vec![put(&path, new)], &[]);
    }
}

fn cases() -> Vec<DiffCase> {
    let old: String = (1..=40).map(|line| format!("line {line}\n")).collect();
    let new = old.replace("line 20\n", "line twenty\nmore\n").replace("line 35\n", "");
    let (old, new) = (old.as_str(), new.as_str());
    let mut all = DiffCases::default();
    headers(&mut all, old, new);
    contents(&mut all, old, new);
    names(&mut all, old, new);
    all.0
}

/// Adds cases of renames, modes, types, binary content and options.
fn headers(all: &mut DiffCases, old: &str, new: &str) {
    let a = || vec![put("a.txt", old)];
    let edited = || vec![put("a.txt", new)];
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
        all.case(name, a(), edited(), options);
    }
    all.case("new file", vec![], vec![put("n", "one\ntwo\n")], &[]);
    all.case("new empty file", vec![], vec![put("n", "")], &[]);
    all.case("new empty file with a blank", vec![], vec![put("n n", "")], &[]);
    all.case("deleted file", vec![put("n", "one\n")], vec![Remove("n")], &[]);
    all.case("deleted empty file", vec![put("n", "")], vec![Remove("n")], &[]);
    all.case("deleted without its lines", vec![put("n", "")], vec![Remove("n")], &["--no-prefix"]);
    all.case("empty file gets a line", vec![put("n", "")], vec![put("n", "x")], &[]);
    all.case("file becomes empty", vec![put("n", "x\n")], vec![put("n", "")], &[]);
    all.case("rename", a(), vec![Rename("a.txt", "b.txt")], &[]);
    all.case("rename and edit", a(), vec![Rename("a.txt", "b.txt"), put("b.txt", new)], &[]);
    all.case("rename to a blank", a(), vec![Rename("a.txt", "b b.txt"), put("b b.txt", new)], &[]);
    all.case("rename to quotes", a(), vec![Rename("a.txt", "é\t\".txt"), put("é\t\".txt", new)], &[]);
    all.case("rename and mode", a(), vec![Rename("a.txt", "b"), Executable("b")], &[]);
    all.case(
        "rename in a chain",
        vec![put("a", old), put("b", new.repeat(2))],
        vec![Rename("b", "c"), Rename("a", "b")],
        &[],
    );
    all.case(
        "renames swapped",
        vec![put("a", old), put("b", "1\n2\n3\n")],
        vec![Rename("a", "t"), Rename("b", "a"), Rename("t", "b")],
        &["-B"],
    );
    all.case("rewritten whole", a(), vec![put("a.txt", "other\n".repeat(60))], &["-B"]);
    all.case("copy", a(), vec![put("c.txt", new), put("a.txt", format!("{old}tail\n"))], &["-C"]);
    all.case("copy found harder", a(), vec![put("c c.txt", new)], &["-C", "--find-copies-harder"]);
    all.case("mode", vec![put("x.sh", old)], vec![Executable("x.sh")], &[]);
    all.case("mode with a blank", vec![put("x b/y", old)], vec![Executable("x b/y")], &[]);
    all.case("mode and edit", vec![put("x.sh", old)], vec![put("x.sh", new), Executable("x.sh")], &[]);
    all.case("link", vec![Link("a", "l")], vec![Remove("l"), Link("b", "l")], &[]);
    all.case("file becomes a link", vec![put("l", old)], vec![Remove("l"), Link("b", "l")], &[]);
    all.case("link becomes a file", vec![Link("b", "l")], vec![Remove("l"), put("l", old)], &[]);
    all.case(
        "submodule",
        vec![put("a", old), Submodule("s", '1')],
        vec![put("a", new), Submodule("s", '2')],
        &[],
    );
    all.case("new submodule", vec![put("a", old)], vec![Submodule("s b/s", '1')], &[]);
    let bytes: Vec<u8> = (0..=255).cycle().take(4000).collect();
    let other: Vec<u8> = bytes.iter().map(|byte| 255 - byte).collect();
    let binary = |content: &[u8]| vec![put("b.dat", content)];
    all.case("binary", binary(&bytes), binary(&other), &[]);
    all.case("binary with its content", binary(&bytes), binary(&other), &["--binary"]);
    all.case("new binary", vec![], binary(&bytes), &[]);
    all.case("binary with a blank", vec![put("b b/b.dat", &bytes)], vec![put("b b/b.dat", &other)], &[]);
    all.case("text becomes binary", vec![put("b", old)], vec![put("b", &bytes)], &[]);
    all.case(
        "binary renamed",
        binary(&bytes),
        vec![Rename("b.dat", "c.dat"), put("c.dat", [&bytes[..], b"+"].concat())],
        &[],
    );
    let mixed = |text: &str, content: &[u8]| vec![put("a", text), put("b", content), put("c", text)];
    all.case("binary between text", mixed(old, &bytes), mixed(new, &other), &[]);
    all.case("binary content between text", mixed(old, &bytes), mixed(new, &other), &["--binary"]);
    let many = |text: &str| (0..400).map(|at| put(format!("d/{at}"), text)).collect();
    all.case("many files", many("a\n"), many("b\n"), &[]);
}

/// Adds cases of misleading lines, and of line ends.
fn contents(all: &mut DiffCases, old: &str, new: &str) {
    all.edit("no line end before", "a", "x\ny", "x\ny\n");
    all.edit("no line end after", "a", "x\ny\n", "x\ny");
    all.edit("no line end on both sides", "a", "x\ny", "x\nz");
    all.edit("no line end, nothing else", "a", "x", "y");
    all.edit("no line end below the change", "a", "1\n2\n3", "0\n2\n3");
    all.edit("windows line ends", "a", "a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n");
    all.edit("line ends change", "a", "a\r\nb\r\n", "a\nb\n");
    all.edit("lone carriage returns", "a", "a\rb\nc\n", "a\rB\rC\nc\n");
    all.edit("form feeds", "a", "a\n\x0c\nb\n", "a\n\x0c\x0cx\nB\n");
    all.edit("other separators", "a", "a\n\x0b\x1c\x1d\x1e\nb\n", "a\nx\x0by\x1cz\x1d\x1e\nB\n");
    all.edit("separators of Unicode", "a", "a\u{2028}b\nc\u{85}d\n", "a\u{2028}B\u{2029}\nc\u{85}D\n");
    all.edit("not UTF-8", "a", b"caf\xe9\nx\n", b"caf\xe8\ny\n");
    all.edit("empty lines around", "a", "\n\n\nx\n\n\n", "\n\n\ny\n\n\n");
    all.edit("blanks at line ends", "a", "x \n \n\t\n", "x\n\n\n");
    all.edit("very long line", "a", "x".repeat(200_000), "y".repeat(200_000));
    all.edit(
        "removed comment of SQL",
        "a.sql",
        format!("-- drop\n++ y\nx\n{old}"),
        format!("++ plus\nx\n{new}"),
    );
    let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n";
    all.edit(
        "a diff in a file",
        "a.md",
        format!("{diff}{old}"),
        format!("@@ -9,9 +9,9 @@\n--- a/y\n+++ b/y\n{new}"),
    );
    all.case(
        "a diff in a file, no context",
        vec![put("a", format!("{diff}{old}"))],
        vec![put("a", new)],
        &["-U0"],
    );
    all.edit("removed names", "m.md", "a\n-- b/evil.txt\nz\n", "a\n++ b/evil.txt\nz\n");
    all.edit("removed names in a pair", "m.md", "-- a/x\nb\n", "++ b/x\nb\n");
    all.edit(
        "a line about a missing line end",
        "a",
        "x\n\\ No newline at end of file\n",
        "\\ No newline at end of file\n",
    );
    all.edit(
        "at signs in the heading",
        "a.c",
        format!("int f() @@ odd\n{{\n{old}}}\n"),
        format!("int f() @@ odd\n{{\n{new}}}\n"),
    );
    all.edit("mail signature in a file", "a", "x\n-- \n2.0\n", "x\n- \n2.0\n");
    all.edit(
        "binary words in a file",
        "a",
        "Binary files a/x and b/x differ\n",
        "GIT binary patch\nliteral 1\n",
    );
}

/// Adds cases of unusual file names.
fn names(all: &mut DiffCases, old: &str, new: &str) {
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
        all.edit(name, path, old, new);
    }
    let unquoted = &["--no-prefix"];
    all.case("prefix inside, none outside", vec![put("b/a", old)], vec![put("b/a", new)], unquoted);
    all.case("new file like a pair", vec![], vec![put("x b/x", "")], &[]);
}

/// Produces the diffs of all cases.
pub(crate) fn diffs() -> Result<Vec<CountedDiff>> {
    let repo = TempRepo::new()?;
    cases().into_iter().map(|case| repo.diff(case)).collect()
}

/// A repository in a temporary folder, isolated from the configuration of the machine.
struct TempRepo(tempfile::TempDir);

impl TempRepo {
    fn new() -> Result<Self> {
        let repo = Self(tempfile::tempdir()?);
        repo.git(&["init", "-q", "-b", "main"])?;
        Ok(repo)
    }

    fn diff(&self, case: DiffCase) -> Result<CountedDiff> {
        self.git(&["read-tree", "--empty"])?;
        for entry in fs::read_dir(self.0.path())? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with(".git") {
                fs::remove_dir_all(path)?;
            } else if !path.is_dir() || path.is_symlink() {
                fs::remove_file(path)?;
            }
        }
        let (from, to) = (self.tree(&case.before)?, self.tree(&case.after)?);
        let sides = [from.as_str(), to.as_str()];
        let diff = [&["diff", "-M", "--no-color"], case.options, &sides].concat();
        let numstat = [&["diff", "-M", "--numstat", "-z"], case.options, &sides].concat();
        Ok(CountedDiff { name: case.name.to_owned(), diff: self.git(&diff)?, numstat: self.git(&numstat)? })
    }

    /// Makes the changes, and returns the id of the tree.
    fn tree(&self, steps: &[TreeEdit]) -> Result<String> {
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
