//! Provides the releases of a package that is synced in tests.

use truing_fakes::registry::{FakeRegistry, FakeRegistryKind};

/// The pinned definition. The module of the first release in [`RELEASES`] begins with it.
pub(crate) const PINNED: &str = "def pinned(a):\n    return a\n";
/// Versions of the package `demo`, each with the content of its only module.
pub(crate) const RELEASES: [(&str, &str); 5] = [
    ("1.0.0", "def pinned(a):\n    return a\n\ndef other():\n    return 1\n"),
    ("1.0.1", "def pinned(a):\n    return a\n\ndef other():\n    # why\n    return 1\n"),
    ("1.0.2", "def pinned(a):\n    return (a)\n\ndef other():\n    return 1\n"),
    ("1.0.3", "def pinned(a):\n    return a\n\ndef other():\n    return 2\n"),
    ("1.0.4", "def pinned(a):\n    return a + 1\n\ndef other():\n    return 2\n"),
];

/// Publishes these releases of `demo` in the fake registry, each with its only module.
pub(crate) fn set_releases<'a>(
    registry: &FakeRegistry,
    releases: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
) {
    let releases: Vec<_> = releases.into_iter().collect();
    let files: Vec<_> =
        releases.iter().map(|(_, module)| [("demo/__init__.py", ""), ("demo/m.py", module)]).collect();
    let listed: Vec<_> =
        releases.iter().zip(&files).map(|((version, _), files)| (*version, files.as_slice())).collect();
    registry.set_releases(FakeRegistryKind::Pypi, "demo", &listed).unwrap();
}
