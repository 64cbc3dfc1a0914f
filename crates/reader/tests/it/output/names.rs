//! Tests of file names that a reader could mistake for quoted or encoded paths. The outputs are in the
//! formats that Truing itself writes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};
use truing_core::port::{ChangedFile, ToolFindings, ToolOutputRequest};
use truing_diff::RepoPath;
use truing_reader::sources::{SourcesAnswer, SourcesQuery};

use super::misread::foreign_output;

/// File names; each test uses one file per name.
const NAMES: &[&[u8]] = &[
    b"plain.py",
    b"sp ace.py",
    b" led.py",
    b"qu\"ote.py",
    b"\"both\"",
    b"caf\xc3\xa9.py",
    b"caf\xe9.py",
    b"100%.py",
    b"%41.py",
    b"ha#sh.py",
    b"wh?y.py",
    b"new\nline.py",
    b"back\\slash.py",
    b"\\led.py",
    b"-dash.py",
    b"a:b,c.py",
    b"file:x.py",
    b"c:/drive.py",
    b"c:\\drive.py",
    b"sub/back\\slash 2.py",
    b"trail\\",
];

fn read(output: &Value, format: &str) -> ToolFindings {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        let file = folder.path().join(OsStr::from_bytes(name));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "f()\n").unwrap();
    }
    let changed = |name: &&[u8]| ChangedFile {
        path: RepoPath::from_bytes(*name),
        old_path: None,
        added_lines: vec![(1, u32::MAX)],
        secrets_only: false,
    };
    let mut files: Vec<ChangedFile> = NAMES.iter().map(changed).collect();
    files.sort_by(|one, two| one.path.cmp(&two.path));
    let output = foreign_output(format, "", &output.to_string());
    let request = ToolOutputRequest { tree: folder.path().to_owned(), files, output };
    match SourcesQuery::Tool(Box::new(request)).execute() {
        Ok(SourcesAnswer::Tool(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Returns the bytes percent-encoded as in a URI.
fn percent_encode(name: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.iter().map(letter).collect()
}

#[test]
fn each_name_is_kept() {
    let paths: Vec<RepoPath> = NAMES.iter().map(|name| RepoPath::from_bytes(*name)).collect();
    let mut expected = paths.clone();
    expected.sort();
    let gitlab = |path: &RepoPath| {
        json!({ "description": "m", "check_name": "r", "fingerprint": path, "severity": "minor",
            "location": { "path": path, "lines": { "begin": 1, "end": 1 } } })
    };
    let rdjson = |path: &RepoPath| json!({ "message": "m", "location": { "path": path, "range": { "start": { "line": 1 } } } });
    let sarif = |path: &RepoPath| {
        json!({ "ruleId": "r", "message": { "text": "m" }, "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": percent_encode(path.as_bytes()), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": 1 },
        } }] })
    };
    for (format, output) in [
        ("gitlab", paths.iter().map(gitlab).collect::<Value>()),
        (
            "rdjson",
            json!({ "source": { "name": "truing" }, "diagnostics": paths.iter().map(rdjson).collect::<Value>() }),
        ),
        (
            "sarif",
            json!({ "version": "2.1.0", "runs": [{
            "tool": { "driver": { "name": "Truing" } },
            "originalUriBaseIds": { "%SRCROOT%": { "description": { "text": "The root of the repository." } } },
            "results": paths.iter().map(sarif).collect::<Value>(),
        }] }),
        ),
    ] {
        let found = read(&output, format);
        let mut read: Vec<RepoPath> = found.findings.iter().map(|raw| raw.location.path.clone()).collect();
        read.sort();
        assert_eq!(read, expected, "{format}: {:?}", found.problems);
        assert!(found.problems.is_empty(), "{format}: {:?}", found.problems);
    }
}

#[test]
fn a_path_of_windows_is_one_where_no_file_has_that_name() {
    let output = json!([{ "description": "m", "check_name": "r", "fingerprint": "f", "severity": "minor",
        "location": { "path": "sub\\back\\slash 2.py", "lines": { "begin": 1 } } },
        { "description": "m", "check_name": "r", "fingerprint": "f", "severity": "minor",
        "location": { "path": ".\\plain.py", "lines": { "begin": 1 } } }]);
    let found = read(&output, "gitlab");
    let read: Vec<String> = found.findings.iter().map(|raw| raw.location.path.to_string()).collect();
    assert_eq!(read, ["plain.py"]);
}
