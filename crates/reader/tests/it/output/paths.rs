//! Tests that the reader resolves every form in which tools write a path.

use proptest::prelude::*;
use truing_diff::RepoPath;
use truing_reader::output::{OutputContext, OutputFormat, PathError, PathResolver};

use super::{report, report_at};

/// Returns the path in the tree that `text` resolves to, first as a path and then as a URI reference.
fn resolve_both(roots: &[&str], folder: Option<&str>, text: &str) -> [Result<String, PathError>; 2] {
    let roots: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let folder = folder.map(RepoPath::from);
    let paths = PathResolver::new(&OutputContext {
        roots: &roots,
        working_folder: folder.as_ref(),
        ..OutputContext::default()
    });
    [paths.resolve(text), paths.resolve_uri(text)]
        .map(|path| path.map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned()))
}

#[test]
fn every_way_to_write_a_path_leads_to_the_file() {
    let posix = &["/home/ci/x"][..];
    let windows = &[r"C:\Actions\x"][..];
    for (roots, text, path) in [
        (&[][..], "src/a.py", "src/a.py"),
        (&[], "./src/./a.py", "src/a.py"),
        (&[], ".//src//a.py", "src/a.py"),
        (&[], "src/b/../a.py", "src/a.py"),
        (&[], r"src\a.py", "src/a.py"),
        (&[], r".\src\a.py", "src/a.py"),
        (posix, "/home/ci/x/src/a.py", "src/a.py"),
        (posix, "/home/ci/x/../x/src/a.py", "src/a.py"),
        (posix, "//home/ci/x/src/a.py", "src/a.py"),
        (posix, "file:///home/ci/x/src/a.py", "src/a.py"),
        (posix, "file:/home/ci/x/src/a.py", "src/a.py"),
        (posix, "FILE://localhost/home/ci/x/src/a%20%C3%A9.py", "src/a é.py"),
        (windows, r"C:\Actions\x\src\a.py", "src/a.py"),
        (windows, "c:/actions/X/src/A.py", "src/A.py"),
        (windows, r"\\?\C:\Actions\x\src\a.py", "src/a.py"),
        (windows, "file:///C:/Actions/x/src/a.py", "src/a.py"),
        (windows, "file:///c%3A/Actions/x/src/a.py", "src/a.py"),
        (windows, "file://C:/Actions/x/src/a.py", "src/a.py"),
        (&[r"\\host\share\x"], r"\\HOST\share\x\a.py", "a.py"),
        (&[r"\\host\share\x"], "file://host/share/x/a.py", "a.py"),
        (&["/home/ci", "/home/ci/x/"], "/home/ci/x/a.py", "a.py"),
        (&["file:///home/ci/x", "/home/ci/x"], "/home/ci/x/a.py", "a.py"),
    ] {
        assert_eq!(resolve_both(roots, None, text), [Ok(path.to_owned()), Ok(path.to_owned())], "{text}");
    }
}

#[test]
fn a_uri_is_decoded_and_a_path_is_not() {
    assert_eq!(
        resolve_both(&[], None, "a%20b/%41.py"),
        [Ok("a%20b/%41.py".to_owned()), Ok("a b/A.py".to_owned())]
    );
    assert_eq!(resolve_both(&[], None, "100%.py")[1], Ok("100%.py".to_owned()));
    let paths = PathResolver::new(&OutputContext::default());
    assert_eq!(paths.resolve_uri("caf%E9.py").unwrap().as_bytes(), b"caf\xe9.py");
}

#[test]
fn relative_paths_begin_in_the_folder_where_the_tool_ran() {
    let found = |text: &str| resolve_both(&["/ci"], Some("web/app"), text)[0].clone();
    assert_eq!(found("src/a.js"), Ok("web/app/src/a.js".to_owned()));
    assert_eq!(found("../lib/a.js"), Ok("web/lib/a.js".to_owned()));
    assert_eq!(found("/ci/a.js"), Ok("a.js".to_owned()));
    assert_eq!(found("../../../a.js"), Err(PathError::OutsideTree("../../../a.js".to_owned())));
    assert_eq!(
        resolve_both(&[], Some("../up"), "a.js")[0],
        Ok("a.js".to_owned()),
        "a folder outside is none"
    );
}

#[test]
fn a_path_that_is_none_in_the_tree_is_an_error_that_names_it() {
    let outside = |text: &str| PathError::OutsideTree(text.to_owned());
    for (roots, text, error) in [
        (&[][..], "../a.py", outside("../a.py")),
        (&[], "a/../../b.py", outside("a/../../b.py")),
        (&[], r"..\a.py", outside(r"..\a.py")),
        (&["/ci"], "/ci/../etc/passwd", outside("/ci/../etc/passwd")),
        (&["/ci"], "/cid/a.py", outside("/cid/a.py")),
        (&["/ci"], "/CI/a.py", outside("/CI/a.py")),
        (&["/ci"], r"C:\ci\a.py", outside(r"C:\ci\a.py")),
        (&["/ci"], "file://host/ci/a.py", outside("file://host/ci/a.py")),
        (&[r"C:\ci"], r"D:\ci\a.py", outside(r"D:\ci\a.py")),
        (&[], "/usr/include/x.h", PathError::UnknownRoot("/usr/include/x.h".to_owned())),
        (&[], "file:///x.h", PathError::UnknownRoot("file:///x.h".to_owned())),
        (&["/ci"], "/ci/", PathError::NotAFile("/ci/".to_owned())),
        (&[], ".", PathError::NotAFile(".".to_owned())),
        (&[], ".git/config", PathError::NotAFile(".git/config".to_owned())),
        (&[], "a/.GIT/hooks/x", PathError::NotAFile("a/.GIT/hooks/x".to_owned())),
        (&[], "a\0b", PathError::NotAFile("a\0b".to_owned())),
        (&[], "", PathError::Missing),
        (&[], "https://x.example/a.py", PathError::NonFileUrl("https://x.example/a.py".to_owned())),
        (&[], "git+ssh://x/a", PathError::NonFileUrl("git+ssh://x/a".to_owned())),
    ] {
        assert_eq!(resolve_both(roots, None, text)[0], Err(error), "{text:?}");
    }
    let hidden = |uri: &str| resolve_both(&["/ci"], None, uri)[1].clone();
    for uri in ["%2e%2e/a", "a/%2E%2e%2f..%5C../b", "file:///ci/%2e%2e/etc/passwd"] {
        assert_eq!(hidden(uri), Err(outside(uri)));
    }
    for uri in ["%2egit/config", "a%00b"] {
        assert_eq!(hidden(uri), Err(PathError::NotAFile(uri.to_owned())));
    }
    assert_eq!(
        resolve_both(&[], None, &"a/".repeat(3000)),
        [Err(PathError::TooLong), Err(PathError::TooLong)]
    );
}

/// Generates text from fragments of paths.
fn path_strategy() -> impl Strategy<Value = String> {
    let parts = [
        "a", "b.py", "..", ".", "/", "\\", "//", "C:", "c:", "file://", "file:", "%2e", "%2F", "%5c", "%00",
        "%", ".git", "%2egit", ".GIT ", "git~1", "\0", "é", "host", "\\\\", "?", "://", "http", " ", "\n",
        "\u{200d}",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_path_leaves_the_tree_or_enters_a_git_folder(
        text in path_strategy(),
        root in prop::sample::select(&["/", "/a", "C:\\a", "\\\\host\\a", ""][..]),
        folder in prop::option::of(prop::sample::select(&["a", "a/b", "../a", "/a", ""][..])),
    ) {
        let (roots, folder) = ([root.to_owned()], folder.map(RepoPath::from));
        let working_folder = folder.as_ref();
        let context = OutputContext { roots: &roots, working_folder, ..OutputContext::default() };
        let paths = PathResolver::new(&context);
        for path in [paths.resolve(&text), paths.resolve_uri(&text)].into_iter().flatten() {
            prop_assert!(path.is_safe_to_write(), "{text:?} is {path}");
        }
    }

    #[test]
    fn no_diagnostic_of_any_format_is_outside_of_the_tree(text in path_strategy(), base in path_strategy()) {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let (uri, base) = (json(&text), json(&base));
        let place = format!(r#"{{"artifactLocation":{{"uri":{uri},"uriBaseId":"B"}},"region":{{"startLine":1}}}}"#);
        let fix = format!(r#"{{"artifactChanges":[{{"artifactLocation":{{"uri":{uri}}},"replacements":[{{"deletedRegion":{{"startLine":1}}}}]}}]}}"#);
        let sarif = format!(
            r#"{{"runs":[{{"tool":{{"driver":{{}}}},"originalUriBaseIds":{{"B":{{"uri":{base}}}}},"results":[{{"message":{{"text":"m"}},"locations":[{{"physicalLocation":{place}}}],"fixes":[{fix}]}}]}}]}}"#
        );
        let location = format!(r#"{{"message":"m","description":"m","location":{{"path":{uri}}},"suggestions":[{{"range":{{"start":{{"line":1}}}}}}]}}"#);
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let outputs = [
            (OutputFormat::Sarif, sarif),
            (OutputFormat::Rdjsonl, location.clone()),
            (OutputFormat::Gitlab, format!("[{location}]")),
            (OutputFormat::Checkstyle, format!(r#"<checkstyle><file name="{xml}"><error message="m"/></file></checkstyle>"#)),
            (OutputFormat::Junit, format!(r#"<testsuite><testcase file="{xml}"><failure message="m"/></testcase></testsuite>"#)),
        ];
        for (format, output) in outputs {
            for report in [report(format, &output), report_at(format, "/a", &output)] {
                let fixes = report.diagnostics.iter().flat_map(|found| &found.fixes).flat_map(|fix| &fix.edits);
                let all = report.diagnostics.iter().map(|found| &found.path).chain(fixes.map(|edit| &edit.path));
                for path in all {
                    prop_assert!(path.is_safe_to_write(), "{format:?} {output:?}: {path}");
                }
                prop_assert_eq!(report.diagnostics.len() as u64 + report.left_out_count, 1, "{:?} {:?}", format, report);
            }
        }
    }
}
