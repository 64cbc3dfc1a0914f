//! Compares the files that the reader finds in a wheel with the files that pip installs. The decision about a
//! release must not be `Relax` if pip would install other pinned or mirrored files, or additional files that
//! take precedence over them.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod generated;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use truing_core::sync::{
    ManifestEntry, PinManifest, ReleaseSources, SymbolState, SyncDecisionInput, SyncVerdict, decide_sync,
};
use truing_reader::sources::{ArchiveFormat, ReleaseSourcesRequest, SourcesError, read_release};

use generated::{PseudoRandom, Wheel};

const COUNT: usize = 200;
/// The pinned definition; the next constant lists the mirrored files.
const PINNED: &str = "rimx.extra:pinned";
const MIRRORED: [&str; 3] = ["rimx/__init__.py", "rimx/core.py", "rimx/table.json"];
/// Modules that Python imports. A mirrored file tries to import the last of these modules. For that module,
/// the test checks only that a release does not add it.
const MODULES: [&str; 4] = ["rimx", "rimx.core", "rimx.extra", "rimx._speed"];
/// Script that the installer generates.
const GENERATED: &str = ".data/scripts/run";
/// A file of the scheme `data` may be on an import path if its path contains this text.
const OVER: &str = "-packages/";

/// The result of installing a wheel with pip and importing its modules with Python.
#[derive(Deserialize)]
struct InstalledWheel {
    wheel: usize,
    /// Digests of the installed files; `None` if pip refuses the wheel.
    files: Option<BTreeMap<String, String>>,
    #[serde(default)]
    modules: BTreeMap<String, Option<Vec<Option<String>>>>,
    #[serde(default)]
    start: BTreeMap<String, String>,
}

/// The parts of an installed wheel that matter for a project that pins `PINNED` and mirrors `MIRRORED`.
#[derive(Debug)]
struct InstallEffect {
    found: Vec<Option<Vec<Option<String>>>>,
    mirrored: Vec<Option<String>>,
    start: BTreeMap<String, String>,
    has_speed: bool,
}

impl InstallEffect {
    /// Returns true if this release has the same effect on the project as the previous release.
    fn is_same_effect(&self, before: &Self) -> bool {
        let Self { found, mirrored, start, has_speed } = self;
        let is_new = *has_speed && !before.has_speed;
        !is_new && (found, mirrored, start) == (&before.found, &before.mirrored, &before.start)
    }
}

impl InstalledWheel {
    fn effect(&self) -> Option<InstallEffect> {
        let files = self.files.as_ref()?;
        let [modules @ .., speed] = MODULES;
        let found = modules.iter().map(|module| self.modules[*module].clone());
        let has_speed = self.modules[speed].is_some();
        let mirrored = MIRRORED.iter().map(|file| files.get(*file).cloned());
        let (found, mirrored) = (found.collect(), mirrored.collect());
        Some(InstallEffect { found, mirrored, start: self.start.clone(), has_speed })
    }
}

fn sources(archive: &Path, mirrored: &[&str]) -> Result<ReleaseSources, SourcesError> {
    read_release(&ReleaseSourcesRequest {
        archive: archive.to_owned(),
        format: ArchiveFormat::Wheel,
        symbols: vec![PINNED.to_owned()],
        mirrored_globs: mirrored.iter().map(|glob| (*glob).to_owned()).collect(),
        base_classes: vec![],
    })
}

/// Returns the decision about an upgrade from `from` to `to`, for a project that pins the definition in
/// `from`.
fn decide_upgrade(from: &ReleaseSources, to: &ReleaseSources) -> SyncVerdict {
    let digest = from.symbols[PINNED].definition().map_or("a".repeat(40), |found| found.digests.raw.clone());
    let rows = [(PINNED.to_owned(), ManifestEntry::Digests(BTreeSet::from([digest])))];
    let manifest = PinManifest::new(rows.into()).unwrap();
    decide_sync(&SyncDecisionInput {
        in_range: false,
        is_major: false,
        inherited_classes: &BTreeSet::new(),
        harmless_requirements: &BTreeMap::new(),
        manifest: &manifest,
        old_release: from,
        new_release: to,
    })
    .verdict
}

/// Reads a wheel; returns `None` if it is refused.
fn read_if_accepted(wheel: &Wheel) -> Option<ReleaseSources> {
    let folder = tempfile::tempdir().unwrap();
    sources(&wheel.write(folder.path()), &MIRRORED).ok()
}

/// Returns the decision about an upgrade from the plain wheel.
fn decide_plain_upgrade(wheel: &Wheel) -> Option<SyncVerdict> {
    let plain = read_if_accepted(&Wheel::plain()).unwrap();
    read_if_accepted(wheel).map(|sources| decide_upgrade(&plain, &sources))
}

#[test]
fn a_wheel_whose_other_files_changed_changes_nothing() {
    let plain = Wheel::plain();
    assert_eq!(decide_plain_upgrade(&plain), Some(SyncVerdict::Relax));
    assert_eq!(decide_plain_upgrade(&plain.with_file("rimx/other.py", "x = 1\n")), Some(SyncVerdict::Relax));
    assert_eq!(
        decide_plain_upgrade(&plain.with_file("rimx-1.0.data/scripts/go", "#!python\n")),
        Some(SyncVerdict::Relax)
    );
}

#[test]
fn a_file_that_is_installed_in_the_place_of_a_mirrored_one_is_no_unchanged_one() {
    for name in [
        "rimx/./__init__.py",
        "rimx//__init__.py",
        "./rimx/__init__.py",
        "rimx-1.0.data/purelib/rimx/__init__.py",
        "rimx-1.0.data/platlib/rimx/__init__.py",
        "RIMX-1.0.data//purelib/rimx/__init__.py",
        "rimx/__init__.py",
        "rimx/__init__.abi3.so",
        "rimx/core.cpython-312-x86_64-linux-gnu.so",
        "rimx/core.cp312-win_amd64.pyd",
        "rimx/core/__init__.py",
        "rimx/extra/__init__.py",
        "rimx/extra.abi3.so",
        "rimx/__pycache__/core.cpython-312.pyc",
        "rimx/_speed.abi3.so",
        "rimx.pth",
        "sitecustomize.py",
        "Rimx/core.py",
        "rimx/\u{ff43}ore.py",
        "rimx-1.0.data/data/lib/python3.12/site-packages/rimx/core.py",
    ] {
        let verdict = decide_plain_upgrade(&Wheel::plain().with_file(name, "import os\n"));
        assert!(matches!(verdict, Some(SyncVerdict::Ask | SyncVerdict::Bump)), "{name}: {verdict:?}");
    }
}

#[test]
fn what_was_there_before_cannot_be_compared_either() {
    for name in ["rimx.pth", "rimx/core.abi3.so", "./rimx/extra.py"] {
        let wheel = read_if_accepted(&Wheel::plain().with_file(name, "import os\n")).unwrap();
        let plain = read_if_accepted(&Wheel::plain()).unwrap();
        assert_ne!(decide_upgrade(&wheel, &wheel), SyncVerdict::Relax, "{name}");
        assert_ne!(decide_upgrade(&wheel, &plain), SyncVerdict::Relax, "{name}");
    }
}

#[test]
fn a_module_that_is_moved_within_the_import_path_by_its_scheme_is_the_same() {
    let moved = Wheel::plain().without_file("rimx/core.py");
    let moved = moved.with_file("rimx-1.0.data/purelib/rimx/core.py", generated::CORE);
    assert_eq!(decide_plain_upgrade(&moved), Some(SyncVerdict::Relax));
    // Unlike in a source archive, the folder `src` has no special meaning in a wheel.
    let moved = Wheel::plain().without_file("rimx/extra.py").with_file("src/rimx/extra.py", generated::EXTRA);
    assert_eq!(read_if_accepted(&moved).unwrap().symbols[PINNED], SymbolState::Absent);
}

#[test]
fn a_wheel_that_pip_does_not_install_is_refused() {
    let plain = Wheel::plain();
    let info = |file: &str| format!("rimx-1.0.dist-info/{file}");
    for wheel in [
        plain.without_file(&info("WHEEL")),
        plain.without_file(&info("METADATA")),
        plain.without_file(&info("RECORD")),
        plain.without_file(&info("WHEEL")).with_file(&info("WHEEL"), "Wheel-Version: 2.0\n"),
        plain.without_file(&info("WHEEL")).with_file(&info("WHEEL"), "Generator: x\n\nWheel-Version: 1.0\n"),
        plain
            .without_file(&info("METADATA"))
            .with_file(&info("METADATA"), "Metadata-Version: 2.1\nName: other\n"),
        plain.with_file("other-1.0.dist-info/WHEEL", ""),
        plain.with_file("rimx-1.0.data/rimx.py", ""),
        plain.with_file("rimx-1.0.data/library/rimx/core.py", ""),
        plain.with_file("other-1.0.data/purelib/rimx/core.py", ""),
        plain.with_file("rimx/core.py/x", ""),
        plain.with_file("../rimx/core.py", ""),
        plain.with_file("/rimx/core.py", ""),
        plain.with_file("rimx\\core.py", ""),
        plain.with_file("C:/rimx/core.py", ""),
    ] {
        assert!(read_if_accepted(&wheel).is_none(), "{:?}", wheel.names().last());
    }
}

#[test]
fn a_zip_file_that_programs_read_differently_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = Wheel::plain().with_file("rimx/\u{e9}.py", "");
    let path = wheel.write(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    assert!(sources(&path, &MIRRORED).is_ok());
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        sources(&path, &MIRRORED).is_err()
    };
    assert!(refused(&[b"before", bytes.as_slice()].concat()), "a prefix");
    assert!(refused(&[bytes.as_slice(), b"after"].concat()), "a suffix");
    assert!(refused(&[bytes.as_slice(), bytes.as_slice()].concat()), "two archives");
    // Position of the first entry's name in the entry's local header. The test changes this name, so that it
    // differs from the name in the central directory.
    let at = bytes.windows(16).position(|window| window == b"rimx/__init__.py").unwrap();
    let mut other = bytes;
    other[at] = b'R';
    assert!(refused(&other), "two names");
    assert!(refused(&wheel.bytes_without_utf8_flag()), "a name that is not marked as UTF-8");
}

#[test]
fn two_hundred_wheels_are_read_as_pip_installs_them() {
    let mut chance = PseudoRandom(0x5EED_2026);
    let wheels: Vec<Wheel> = (0..COUNT).map(|_| Wheel::random(&mut chance)).collect();
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..COUNT)
        .map(|at| {
            let folder = folder.path().join(at.to_string());
            std::fs::create_dir(&folder).unwrap();
            wheels[at].write(&folder)
        })
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wheels.py");
    let output =
        Command::new("python3").args(["-B", script]).arg(folder.path()).args(MODULES).output().unwrap();
    if output.status.code() == Some(3) {
        eprintln!("skipped: python3 has no pip; Debian's package is `python3-pip`");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let installed: BTreeMap<usize, InstalledWheel> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|installed: InstalledWheel| (installed.wheel, installed))
        .collect();
    assert_eq!(installed.len(), COUNT);

    let (mut same, mut refused, mut strict, mut wrong) = (0, 0, 0, Vec::new());
    for (at, path) in paths.iter().enumerate() {
        match (&installed[&at].files, sources(path, &["**"])) {
            (Some(theirs), Ok(ours)) => {
                if is_same_tree(&wheels[at], theirs, &ours) {
                    same += 1;
                } else {
                    wrong.push(format!("{:?}:\n{theirs:?}\n{:?}", wheels[at].names(), ours.files));
                }
            }
            (None, Err(_)) => refused += 1,
            (Some(_), Err(_)) => strict += 1,
            // pip refuses this wheel and the reader accepts it. The check below ensures that the decision
            // about such a wheel is not `Relax`.
            (None, Ok(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{} trees differ:\n{}", wrong.len(), wrong.join("\n"));

    let read: Vec<_> = paths.iter().map(|path| sources(path, &MIRRORED).ok()).collect();
    let effects: Vec<_> = (0..COUNT).map(|at| installed[&at].effect()).collect();
    let plain = {
        let folder = tempfile::tempdir().unwrap();
        sources(&Wheel::plain().write(folder.path()), &MIRRORED).unwrap()
    };
    let (mut pairs, mut relaxed, mut equal) = (0, 0, 0);
    for (from, to) in (0..COUNT).flat_map(|from| (0..COUNT).map(move |to| (from, to))) {
        let (Some(old), Some(new)) = (&read[from], &read[to]) else { continue };
        pairs += 1;
        let is_equal = effects[from]
            .as_ref()
            .zip(effects[to].as_ref())
            .is_some_and(|(old, new)| new.is_same_effect(old));
        equal += usize::from(is_equal);
        if decide_upgrade(old, new) == SyncVerdict::Relax {
            relaxed += 1;
            if !is_equal {
                wrong.push(format!(
                    "{:?} -> {:?}:\n{:?}\n{:?}",
                    wheels[from].names(),
                    wheels[to].names(),
                    effects[from],
                    effects[to]
                ));
            }
        }
    }
    println!(
        "{COUNT} wheels: {same} trees as pip's, {refused} refused by both, {strict} by this program alone; \
         {pairs} pairs, {equal} with one effect, {relaxed} relaxed, {} of them wrong",
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {relaxed} are wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    assert!(same > COUNT / 2 && refused > COUNT / 20, "{same} {refused}");
    assert!(relaxed > equal / 4, "{relaxed} of {equal}");
    assert_eq!(decide_upgrade(&plain, &plain), SyncVerdict::Relax);
}

/// Returns true if the reader found the files that pip installs, apart from files that pip generates. Files
/// of the scheme `data` that may overwrite other files must be in `shadows`.
fn is_same_tree(wheel: &Wheel, installed_files: &BTreeMap<String, String>, sources: &ReleaseSources) -> bool {
    let over: Vec<_> =
        sources.files.keys().filter(|path| path.starts_with(".data/data/") && path.contains(OVER)).collect();
    if !over.is_empty() {
        return over.iter().all(|path| sources.shadows.contains(*path));
    }
    // If a script has the name of an entry point, pip generates a script and ignores the content in the
    // wheel.
    let is_generated = wheel.names().contains(&"rimx-1.0.dist-info/entry_points.txt");
    // pip rewrites the first line of a script, so the digests of scripts are not compared.
    let seen = |files: &BTreeMap<String, String>| -> BTreeMap<String, Option<String>> {
        let files = files.iter().filter(|(path, _)| {
            let file = path.strip_prefix("rimx-1.0.dist-info/");
            !(is_generated && path.as_str() == GENERATED) && file != Some("RECORD")
        });
        let digest =
            |path: &str, digest: &String| (!path.starts_with(".data/scripts/")).then(|| digest.clone());
        files.map(|(path, of)| (path.clone(), digest(path, of))).collect()
    };
    !(is_generated && sources.files.contains_key(GENERATED)) && seen(installed_files) == seen(&sources.files)
}
