//! Compares the reader's digests of Python functions with the digests that Python's own parser yields. Two
//! functions must have the same digest if, and only if, their trees are equal apart from docstrings. The
//! functions are from Python's standard library. Each function is tested in its original spelling, in the
//! spelling that `ast.unparse` writes, and with one change.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;
use truing_reader::sources::{ArchiveFormat, ReleaseSourcesRequest, read_release};

use crate::support::wheel;

/// A function, and the digest that Python computes for its tree.
#[derive(Deserialize)]
struct Function {
    text: String,
    tree: String,
}

/// Number of functions that the test reads. The script takes them from all parts of the standard library.
const COUNT: usize = 800;

#[test]
fn a_digest_is_the_same_where_the_tree_is_and_only_there() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/trees.py");
    let output =
        Command::new("python3").args(["-B", "-W", "ignore", script, &COUNT.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let functions: Vec<Function> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(functions.len() > COUNT, "{}", functions.len());
    let files = functions.iter().enumerate().map(|(at, function)| (format!("p/m{at}.py"), &function.text));
    let (_folder, archive) = wheel(files);
    let mirrored = vec!["p/*.py".to_owned()];
    let request = ReleaseSourcesRequest {
        archive,
        format: ArchiveFormat::Wheel,
        symbols: vec![],
        mirrored_globs: mirrored,
        base_classes: vec![],
    };
    let told = read_release(&request).unwrap();
    let (mut by_tree, mut by_digest) = (BTreeMap::new(), BTreeMap::new());
    let (mut wrong, mut same) = (Vec::new(), 0);
    for (at, function) in functions.iter().enumerate() {
        let found = told.functions[&format!("p/m{at}.py")].values().next();
        let digest = found.unwrap_or_else(|| panic!("no function: {}", function.text)).tree.clone();
        let (known, text) = by_tree.entry(&function.tree).or_insert_with(|| (digest.clone(), &function.text));
        if *known == digest {
            same += usize::from(**text != function.text);
        } else {
            wrong.push(format!("one tree, two digests:\n{text}\n--\n{}", function.text));
        }
        let (tree, text) = by_digest.entry(digest).or_insert((&function.tree, &function.text));
        if *tree != &function.tree {
            wrong.push(format!("two trees, one digest:\n{text}\n--\n{}", function.text));
        }
    }
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n====\n");
    assert!(wrong.is_empty(), "{} of {} wrong:\n{shown}", wrong.len(), functions.len());
    assert!(same > COUNT / 2, "{same} texts have the tree of another one");
}
