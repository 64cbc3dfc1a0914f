//! A package that is followed in tests: its releases, and what they are as wheels.

use std::io::Write as _;

use zip::write::SimpleFileOptions;

/// What is pinned of it, as [`RELEASES`] begin.
pub(crate) const PINNED: &str = "def pinned(a):\n    return a\n";
/// Releases of `demo`, and what their one module holds.
pub(crate) const RELEASES: [(&str, &str); 5] = [
    ("1.0.0", "def pinned(a):\n    return a\n\ndef other():\n    return 1\n"),
    ("1.0.1", "def pinned(a):\n    return a\n\ndef other():\n    # why\n    return 1\n"),
    ("1.0.2", "def pinned(a):\n    return (a)\n\ndef other():\n    return 1\n"),
    ("1.0.3", "def pinned(a):\n    return a\n\ndef other():\n    return 2\n"),
    ("1.0.4", "def pinned(a):\n    return a + 1\n\ndef other():\n    return 2\n"),
];

/// A release as a wheel, with this module.
pub(crate) fn wheel(module: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in [("demo/__init__.py", ""), ("demo/m.py", module)] {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
