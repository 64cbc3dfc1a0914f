//! Checks that each crate has only one program of integration tests, because each further program takes time
//! to link. Also checks that this program includes every test file. Without this check, cargo would silently
//! ignore a file that no `mod` declares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::code;
use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// The folder below `tests` that contains a crate's program.
const TEST_PROGRAM_FOLDER: &str = "it";

/// The subfolder of a program's folder that contains only test data, no source files.
const TEST_DATA_FOLDER: &str = "data";

/// Files that are permitted as additional test programs, with the reasons.
const EXTRA_TEST_PROGRAMS: &[(&str, &str)] =
    &[("crates/truing/tests/bombs.rs", "it measures the memory and time of its own process")];

/// Checks the tests of every crate.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let files = workspace::tracked_files(root)?;
    let tests: Vec<TestFile> = files.iter().filter_map(TestFile::new).collect();
    let mut problems = find_surplus_programs(&tests, EXTRA_TEST_PROGRAMS);
    problems.extend(files.iter().flat_map(forbidden_settings));
    problems.extend(untested_examples(&files));
    let crates: BTreeSet<&str> = tests.iter().map(|test| test.crate_folder).collect();
    let summary = format!("{} files of {} programs", tests.len(), crates.len() + EXTRA_TEST_PROGRAMS.len());
    Ok(CheckReport::Completed { summary, problems, warnings: Vec::new() })
}

/// Returns a problem for each crate whose documentation has examples that are not tested.
fn untested_examples(files: &[TrackedFile]) -> Vec<String> {
    let is_untested =
        |file: &&TrackedFile| file.path.ends_with("/Cargo.toml") && file.text.contains("doctest = false");
    let folders = files.iter().filter(is_untested).filter_map(|file| file.path.strip_suffix("Cargo.toml"));
    let has_example = |file: &&TrackedFile| {
        let is_fence = |line: &str| line.trim_start().starts_with("//") && line.contains("```");
        file.path.ends_with(".rs") && file.text.lines().any(is_fence)
    };
    let sources = |folder: &str| {
        let folder = format!("{folder}src/");
        files.iter().filter(has_example).find(move |file| file.path.starts_with(&folder))
    };
    let examples = folders.filter_map(sources);
    examples
        .map(|file| {
            format!("{}: an example that no test compiles: remove `doctest = false` in Cargo.toml", file.path)
        })
        .collect()
}

/// A Rust file in the folder `tests` of a crate.
struct TestFile<'a> {
    /// Path relative to the root.
    path: &'a str,
    /// Name of the crate's folder.
    crate_folder: &'a str,
    /// Components of the path below `tests`.
    components_below_tests: Vec<&'a str>,
    text: &'a str,
}

impl<'a> TestFile<'a> {
    fn new(file: &'a TrackedFile) -> Option<Self> {
        let (name, inside) = file.path.strip_prefix("crates/")?.split_once("/tests/")?;
        let inside: Vec<&str> = inside.split('/').collect();
        let is_source =
            file.path.ends_with(".rs") && !name.contains('/') && inside.first() != Some(&TEST_DATA_FOLDER);
        is_source.then_some(Self {
            path: &file.path,
            crate_folder: name,
            components_below_tests: inside,
            text: &file.text,
        })
    }

    /// Returns true if cargo builds a separate program from this file.
    fn is_program(&self) -> bool {
        matches!(self.components_below_tests.as_slice(), [_] | [_, "main.rs"])
    }
}

/// Returns a problem for each surplus program, and for each file that no program includes.
fn find_surplus_programs(tests: &[TestFile<'_>], exceptions: &[(&str, &str)]) -> Vec<String> {
    let is_exception = |path: &str| exceptions.iter().any(|(exception, _)| *exception == path);
    let (mut problems, mut reached) = (Vec::new(), BTreeSet::new());
    let texts: BTreeMap<&str, &str> = tests.iter().map(|test| (test.path, test.text)).collect();
    for test in tests.iter().filter(|test| test.is_program()) {
        if test.components_below_tests == [TEST_PROGRAM_FOLDER, "main.rs"] || is_exception(test.path) {
            add_reachable_files(test.path, true, &texts, &mut reached);
        } else {
            problems.push(format!(
                "{}: another program of tests: make it a module of \
                    crates/{}/tests/{TEST_PROGRAM_FOLDER}/main.rs",
                test.path, test.crate_folder
            ));
        }
    }
    for test in tests.iter().filter(|test| !test.is_program() && !reached.contains(test.path)) {
        problems.push(format!("{}: no `mod` leads to it: its tests are never compiled", test.path));
    }
    let gone = exceptions.iter().filter(|(path, _)| !texts.contains_key(path));
    problems.extend(gone.map(|(path, _)| format!("{path}: an exception, and no such file")));
    problems
}

/// Adds a file and, recursively, the files of its modules. If `is_root` is true, the modules' files are in
/// the same folder as the file; otherwise in a folder with the file's name.
fn add_reachable_files(
    path: &str,
    is_root: bool,
    texts: &BTreeMap<&str, &str>,
    reached: &mut BTreeSet<String>,
) {
    let Some(text) = texts.get(path) else { return };
    if !reached.insert(path.to_owned()) {
        return;
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let own = if is_root { folder.to_owned() } else { format!("{folder}/{}", name.trim_end_matches(".rs")) };
    for ModuleDeclaration { enclosing_modules: within, name, path } in module_declarations(text) {
        let place = [&[own.as_str()], within.as_slice()].concat().join("/");
        match path {
            Some(path) => {
                let from = if within.is_empty() { folder } else { &place };
                add_reachable_files(&join_path(from, path), true, texts, reached);
            }
            None => {
                add_reachable_files(&format!("{place}/{name}.rs"), false, texts, reached);
                add_reachable_files(&format!("{place}/{name}/mod.rs"), true, texts, reached);
            }
        }
    }
}

/// Joins a path to a folder and removes `.` and `..`.
fn join_path(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/').filter(|part| *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The declaration of a module that is in another file.
#[derive(Debug, PartialEq, Eq)]
struct ModuleDeclaration<'a> {
    /// The modules of this file that enclose the declaration.
    enclosing_modules: Vec<&'a str>,
    name: &'a str,
    /// The path in `#[path]`, if there is one.
    path: Option<&'a str>,
}

/// Returns every `mod name;` of a source.
fn module_declarations(source: &str) -> Vec<ModuleDeclaration<'_>> {
    // `code_only` keeps the number of characters, so a position in the code is also valid in the source.
    let code = code::code_only(source);
    let places: Vec<usize> = source.char_indices().map(|(at, _)| at).chain([source.len()]).collect();
    let original = |from: usize, to: usize| {
        let (from, to) = (places.get(from).copied(), places.get(to).copied());
        from.zip(to).and_then(|(from, to)| source.get(from..to)).unwrap_or_default()
    };
    let (mut found, mut open, mut path) = (Vec::new(), Vec::new(), None);
    // The previous word, and the name of the module if a module is being declared.
    let (mut last, mut named): (&str, Option<&str>) = ("", None);
    for (from, to) in token_ranges(&code) {
        let word = original(from, to);
        match word {
            "{" => open.push(named),
            "}" => drop(open.pop()),
            ";" => {
                if let Some(name) = named {
                    let within = open.iter().copied().flatten().collect();
                    found.push(ModuleDeclaration { enclosing_modules: within, name, path });
                }
            }
            "path" if last == "[" => {
                let rest = original(to, places.len() - 1);
                path = rest.split('"').nth(1).filter(|_| rest.trim_start().starts_with('='));
                last = word;
                continue;
            }
            _ => {}
        }
        if matches!(word, "{" | "}" | ";") {
            path = None;
        }
        named = (last == "mod").then(|| word.trim_start_matches("r#"));
        last = word;
    }
    found
}

/// Returns the ranges of all names and punctuation characters in the code; positions are counted in
/// characters.
fn token_ranges(code: &str) -> Vec<(usize, usize)> {
    let is_name = |char: char| char.is_alphanumeric() || char == '_' || char == '#';
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut in_name = false;
    for (at, char) in code.chars().enumerate() {
        match words.last_mut() {
            Some((_, end)) if in_name && is_name(char) => *end = at + 1,
            _ if !char.is_whitespace() => words.push((at, at + 1)),
            _ => {}
        }
        in_name = is_name(char);
    }
    words
}

/// Returns a problem for each forbidden test setting in a crate's manifest.
fn forbidden_settings(file: &TrackedFile) -> Vec<String> {
    let of_crate = file.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml"));
    let Some(name) = of_crate.filter(|name| !name.contains('/')) else { return Vec::new() };
    let Ok(manifest) = toml::from_str::<toml::Table>(&file.text) else { return Vec::new() };
    let mut problems = Vec::new();
    let package = manifest.get("package").and_then(toml::Value::as_table);
    if package.is_some_and(|package| package.contains_key("autotests")) {
        problems.push(format!("{}: `autotests`: cargo finds the program of tests by itself", file.path));
    }
    let tests = manifest.get("test").and_then(toml::Value::as_array).into_iter().flatten();
    for test in tests.filter_map(toml::Value::as_table) {
        let program = test.get("name").and_then(toml::Value::as_str).unwrap_or_default();
        let alone = format!("crates/{name}/tests/{program}.rs");
        let is_known =
            program == TEST_PROGRAM_FOLDER || EXTRA_TEST_PROGRAMS.iter().any(|(path, _)| *path == alone);
        let moves = ["path", "test", "required-features"].into_iter().find(|key| test.contains_key(*key));
        if !is_known || moves.is_some() {
            let key = moves.map(|key| format!(" with `{key}`")).unwrap_or_default();
            problems.push(format!(
                "{}: the test `{program}`{key}: there is `{TEST_PROGRAM_FOLDER}` alone",
                file.path
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_in_a_crate_whose_examples_are_not_tested_is_named() {
        let file = |path: &str, text: &str| TrackedFile { path: path.into(), text: text.into() };
        let example = "/// ```\n/// f();\n/// ```\nfn f() {}\n";
        let files = [
            file("crates/a/Cargo.toml", "[lib]\ndoctest = false\n"),
            file("crates/a/src/f.rs", example),
            file("crates/b/Cargo.toml", "[lib]\n"),
            file("crates/b/src/f.rs", example),
            file("crates/c/Cargo.toml", "[lib]\ndoctest = false\n"),
            file("crates/c/src/f.rs", "/// Nothing.\nfn f() {}\n"),
        ];
        let problems = untested_examples(&files);
        assert!(
            matches!(problems.as_slice(), [one] if one.starts_with("crates/a/src/f.rs: ")),
            "{problems:?}"
        );
    }

    fn problems(files: &[(&str, &str)], exceptions: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<TrackedFile> = files
            .iter()
            .map(|(path, text)| TrackedFile { path: format!("crates/{path}"), text: (*text).to_owned() })
            .collect();
        let sources: Vec<TestFile> = files.iter().filter_map(TestFile::new).collect();
        find_surplus_programs(&sources, exceptions)
    }

    #[test]
    fn a_file_that_no_mod_leads_to_is_told() {
        let files = [
            ("a/tests/it/main.rs", "mod b;\nmod c;\n// mod talk;\nconst TEXT: &str = \"mod text;\";\n"),
            ("a/tests/it/b.rs", "pub(crate) mod d;\n#[path = \"other/i.rs\"]\nmod j;\n"),
            ("a/tests/it/b/d.rs", ""),
            ("a/tests/it/c/mod.rs", "mod e;\n#[cfg(test)]\n#[path = \"../other/f.rs\"]\nmod g;\n"),
            (
                "a/tests/it/c/e.rs",
                "mod inline {\n    fn f() {}\n    mod deep;\n    #[path = \"k.rs\"]\n    mod l;\n}\nmod \
                 after;\n",
            ),
            ("a/tests/it/c/e/inline/deep.rs", ""),
            ("a/tests/it/c/e/inline/k.rs", ""),
            ("a/tests/it/c/e/after.rs", ""),
            ("a/tests/it/other/f.rs", "mod h;\n"),
            ("a/tests/it/other/h.rs", ""),
            ("a/tests/it/other/i.rs", ""),
            ("a/tests/data/seed.rs", ""),
            ("a/src/lib.rs", ""),
        ];
        assert_eq!(problems(&files, &[]), [""; 0]);
        for forgotten in [
            "a/tests/it/talk.rs",
            "a/tests/it/text.rs",
            "a/tests/it/d.rs",
            "a/tests/it/c.inner.rs",
            "a/tests/it/c/g.rs",
            "a/tests/it/c/e/deep.rs",
            "a/tests/it/c/e/inline/after.rs",
            "a/tests/other/helper.rs",
        ] {
            let told = problems(&[&files[..], &[(forgotten, "")]].concat(), &[]);
            assert_eq!(told.len(), 1, "{forgotten}: {told:?}");
            assert!(told[0].starts_with(&format!("crates/{forgotten}: no `mod`")), "{told:?}");
        }
        // If `main.rs` is missing, the program includes no file, not even files that other files declare as
        // modules.
        let main_is_gone: Vec<_> = files.iter().skip(1).copied().collect();
        assert_eq!(problems(&main_is_gone, &[]).len(), 10);
    }

    #[test]
    fn a_second_program_is_told_unless_it_is_an_exception() {
        let exceptions = [("crates/a/tests/own.rs", "why")];
        let one = [("a/tests/it/main.rs", "mod b;"), ("a/tests/it/b.rs", "")];
        let own = ("a/tests/own.rs", "#[path = \"it/c.rs\"]\nmod c;");
        let with = |more: &[(&'static str, &'static str)]| {
            problems(&[&one[..], &[own, ("a/tests/it/c.rs", "")], more].concat(), &exceptions)
        };
        assert_eq!(with(&[]), [""; 0]);
        for other in ["a/tests/more.rs", "a/tests/more/main.rs", "a/tests/it.rs", "b/tests/own.rs"] {
            let told = with(&[(other, "")]);
            assert_eq!(told.len(), 1, "{other}: {told:?}");
            assert!(told[0].starts_with(&format!("crates/{other}: another program")), "{told:?}");
        }
        let gone = problems(&one, &exceptions);
        assert_eq!(gone, ["crates/a/tests/own.rs: an exception, and no such file"]);
    }

    #[test]
    fn a_manifest_adds_no_program_and_hides_none() {
        let told = |path: &str, text: &str| {
            forbidden_settings(&TrackedFile { path: path.into(), text: text.into() }).len()
        };
        let a = "crates/a/Cargo.toml";
        assert_eq!(told(a, "[package]\nname = \"a\"\n[[test]]\nname = \"it\"\nharness = false\n"), 0);
        assert_eq!(told("crates/truing/Cargo.toml", "[[test]]\nname = \"bombs\"\n"), 0);
        assert_eq!(told(a, "[package]\nautotests = false\n"), 1);
        for test in ["name = \"other\"", "name = \"bombs\"", "name = \"it\"\npath = \"x.rs\"", "test = false"]
        {
            assert_eq!(told(a, &format!("[[test]]\n{test}\n")), 1, "{test}");
        }
        assert_eq!(told("examples/a/Cargo.toml", "[package]\nautotests = false\n"), 0);
    }
}
