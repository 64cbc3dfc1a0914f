//! Parses every version of aiobotocore's hash test, and compares the result with recorded manifests. The
//! recordings were made by executing the test. `TRUING_AIOBOTOCORE` may name a git folder of the project;
//! otherwise, the project is cloned.

use std::path::PathBuf;
use std::process::Command;

use truing_reader::sources::{HashPins, read_pins};
use truing_upstream::manifest::{DigestUpdate, add_hash_test_digests};

use super::recorded::{Manifest, Records, archive_cache};

const PROJECT: &str = "https://github.com/aio-libs/aiobotocore";
const TEST: &str = "tests/test_patches.py";

struct Project(PathBuf);

impl Project {
    fn clone_or_open() -> Self {
        if let Some(folder) = std::env::var_os("TRUING_AIOBOTOCORE") {
            return Self(folder.into());
        }
        let folder = archive_cache().join("aiobotocore.git");
        if !folder.exists() {
            let cloned =
                Command::new("git").args(["clone", "--bare", PROJECT]).arg(&folder).status().unwrap();
            assert!(cloned.success(), "clone {PROJECT} and name the folder: TRUING_AIOBOTOCORE");
        }
        Self(folder)
    }

    fn git(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("git").arg("-C").arg(&self.0).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn read_hash_test(&self, commit: &str) -> String {
        String::from_utf8(self.git(&["show", &format!("{commit}:{TEST}")])).unwrap()
    }

    fn pins(&self, commit: &str) -> HashPins {
        parse_pins(&self.read_hash_test(commit))
    }
}

fn parse_pins(text: &str) -> HashPins {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    read_pins(file.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// Adds a digest to each row whose old digest occurs only once in the text. Returns the number of these rows.
fn add_unique_digests(text: &str, pins: &HashPins) -> usize {
    let new = "f".repeat(40);
    let alone = |digest: &&String| text.matches(digest.as_str()).count() == 1;
    let rows = pins
        .accepted_digests
        .iter()
        .filter_map(|(symbol, digests)| Some((symbol, digests.iter().find(alone)?)));
    let added: Vec<DigestUpdate<'_>> =
        rows.map(|(symbol, old)| DigestUpdate { symbol, old, new: &new }).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let changed = add_hash_test_digests(file.path(), &added).unwrap();
    let mut expected = pins.clone();
    for one in &added {
        expected.accepted_digests.get_mut(one.symbol).unwrap().insert(new.clone());
    }
    assert_eq!(parse_pins(&changed), expected);
    added.len()
}

#[test]
#[ignore = "needs the network"]
fn a_hash_test_is_read_as_it_was_recorded_at_every_commit() {
    let (records, project) = (Records::load(), Project::clone_or_open());
    let mut wrong = Vec::new();
    for case in &records.cases {
        let pins = project.pins(&case.manifest_revision());
        let recorded: &Manifest = records.manifest(case);
        for (symbol, digests) in recorded {
            if pins.accepted_digests.get(symbol) != Some(digests) {
                wrong.push(format!(
                    "{}: {symbol}: {:?}, recorded {digests:?}",
                    case.case_id,
                    pins.accepted_digests.get(symbol)
                ));
            }
        }
        // The recorded manifests contain no getters and setters.
        let is_accessor = |symbol: &str| symbol.ends_with(".fget") || symbol.ends_with(".fset");
        let more = pins
            .accepted_digests
            .keys()
            .filter(|symbol| !recorded.contains_key(*symbol) && !is_accessor(symbol));
        wrong.extend(more.map(|symbol| format!("{}: {symbol} was not recorded", case.case_id)));
        wrong.extend(pins.skipped_pins.iter().map(|row| format!("{}: {row:?}", case.case_id)));
    }
    let log = project.git(&["log", "--format=%H", "--", TEST]);
    let (mut commits, mut rows, mut left_out, mut edited) = (0, 0, 0, 0);
    for commit in String::from_utf8(log).unwrap().lines() {
        let text = project.read_hash_test(commit);
        let pins = parse_pins(&text);
        assert!(!pins.accepted_digests.is_empty(), "{commit}");
        edited += add_unique_digests(&text, &pins);
        (commits, rows, left_out) =
            (commits + 1, rows + pins.accepted_digests.len(), left_out + pins.skipped_pins.len());
        for row in pins.skipped_pins {
            println!("{commit}: left out: {row:?}");
        }
    }
    println!(
        "{commits} versions of the test: {rows} rows read, {left_out} left out; a digest added to {edited}"
    );
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
