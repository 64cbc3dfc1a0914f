//! Tests of faulty registries, releases and projects. Each error has its own message, and a file that cannot
//! be read does not count as unchanged.

use serde_json::json;

use super::package::PINNED;
use super::server::{Files, Registry, sha1, sha256, tar_gz};

/// Paths of files, with the contents of the files.
type Texts<'a> = &'a [(&'a str, &'a str)];

/// Returns a PyPI registry with these releases of `demo` as source archives. Each release has a version, its
/// files, and attributes for its link in the index.
fn pypi_registry(releases: &[(&str, Texts<'_>, &str)], more: Texts<'_>) -> Registry {
    let files = |_| {
        let mut files = Files::new();
        let mut page = String::new();
        for (version, content, attributes) in releases {
            let archive = tar_gz(&format!("demo-{version}"), content);
            let name = format!("demo-{version}.tar.gz");
            page +=
                &format!("<a href=\"/files/{name}#sha256={}\"{attributes}>{name}</a>\n", sha256(&archive));
            files.insert(format!("/files/{name}"), archive);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files.extend(more.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())));
        files
    };
    Registry::new(
        files,
        &[
            ("truing.toml", "[sync.demo]\nmirror = [\"src/demo/=ours/\"]\n"),
            ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
            ("upstream.json", &json!({ "demo.m:pinned": [sha1(PINNED)] }).to_string()),
            ("ours/m.py", ""),
        ],
    )
}

const MODULE: &str = "src/demo/m.py";

#[test]
fn a_release_that_was_taken_back_or_vanished_is_not_followed() {
    let plain: Texts<'_> = &[(MODULE, PINNED)];
    let site = pypi_registry(
        &[("1.0.0", plain, ""), ("1.0.1", plain, ""), ("1.0.2", plain, " data-yanked=\"broken\"")],
        &[],
    );
    assert_eq!(site.decide(&[]).0["to"], "1.0.1");
    site.assert_refused(&["--to", "1.0.2"], 2, &["demo 1.0.2 was withdrawn or deprecated", "--to V"]);
    site.assert_refused(&["--from", "0.9.0", "--to", "1.0.1"], 2, &["demo has no release 0.9.0"]);
    // The index no longer lists the release that the project uses, so its archive cannot be downloaded.
    let gone = pypi_registry(&[("1.0.1", plain, "")], &[]);
    gone.assert_refused(&[], 2, &["range contains no release", "--from V"]);
}

#[test]
fn an_index_that_is_down_or_lies_is_told_and_nothing_is_decided() {
    let plain: Texts<'_> = &[(MODULE, PINNED)];
    let lying = pypi_registry(&[("1.0.0", plain, "")], &[("/simple/demo/", "SHORT")]);
    lying.assert_refused(&[], 3, &["cannot be read"]);
    let short = pypi_registry(
        &[("1.0.0", plain, ""), ("1.0.1", plain, "")],
        &[("/files/demo-1.0.1.tar.gz", "SHORT")],
    );
    short.assert_refused(&[], 3, &["cannot be read"]);
    let empty = pypi_registry(&[], &[]);
    empty.assert_refused(&[], 3, &["it lists no file"]);
    let nothing = pypi_registry(&[], &[("/simple/demo/", "<a href=\"/demo-1.0.0.exe\">x</a>")]);
    nothing.assert_refused(&[], 2, &["range contains no release"]);
    let down = pypi_registry(&[], &[("/index/config.json", "{\"dl\": \"http://127.0.0.1:1\"}")]);
    down.write("truing.toml", "[sync.demo]\nregistry = \"crates\"\n");
    down.assert_refused(&[], 3, &["has no package `demo`"]);
}

#[test]
fn a_project_without_dates_cannot_wait_for_a_release_to_age() {
    let plain: Texts<'_> = &[(MODULE, PINNED)];
    let site = pypi_registry(&[("1.0.0", plain, ""), ("1.0.1", plain, "")], &[]);
    site.write("truing.toml", "[sync.demo]\nmin_age = \"1d\"\n");
    site.assert_refused(&[], 2, &["the index does not say when releases were published", "min_age"]);
    site.write("truing.toml", "[sync.demo]\n");
    site.write("uv.toml", "exclude-newer = \"7 days\"\n");
    let (answer, _) = site.decide(&[]);
    assert_eq!(answer["decision"], "ask", "{answer}");
    let text = answer.to_string();
    assert!(text.contains("`exclude-newer = 7 days` of uv.toml hides young releases"), "{text}");
}

#[test]
fn a_definition_that_moved_is_still_found_and_one_that_vanished_is_work() {
    let moved: Texts<'_> = &[(MODULE, "from .new import pinned\n"), ("src/demo/new.py", PINNED)];
    let gone: Texts<'_> = &[(MODULE, "from .new import another\n"), ("src/demo/new.py", PINNED)];
    let site =
        pypi_registry(&[("1.0.0", &[(MODULE, PINNED)], ""), ("1.0.1", moved, ""), ("1.0.2", gone, "")], &[]);
    let (answer, _) = site.decide(&["--to", "1.0.1"]);
    // The pinned definition itself is unchanged. It has moved to a new file, which is not pinned.
    assert_eq!((&answer["decision"], &answer["changed"]), (&json!("ask"), &json!([])), "{answer}");
    let new = json!({ "symbol": "*", "file": "src/demo/new.py", "why": "added", "what": "file" });
    assert!(answer["unguarded"].as_array().unwrap().contains(&new), "{answer}");
    let (answer, _) = site.decide(&["--to", "1.0.2"]);
    assert_eq!((&answer["decision"], &answer["changed"][0]["kind"]), (&json!("bump"), &json!("gone")));
}

#[test]
fn what_cannot_be_read_is_never_taken_for_unchanged() {
    let pinned = (MODULE, PINNED);
    let unreadable: Texts<'_> = &[pinned, ("src/demo/other.py", &"x = 1\n".repeat(1 << 20))];
    let site = pypi_registry(&[("1.0.0", &[pinned], ""), ("1.0.1", unreadable, "")], &[]);
    site.write("ours/other.py", "");
    let (answer, code) = site.decide(&[]);
    assert_eq!((&answer["decision"], code), (&json!("ask"), Some(1)));
    assert_eq!(answer["unguarded"][0]["why"], "unreadable", "{answer}");
    // The file of the pinned definition has a syntax error, so the definition counts as changed.
    let site =
        pypi_registry(&[("1.0.0", &[pinned], ""), ("1.0.1", &[(MODULE, "\u{0}(((\ndef pinn")], "")], &[]);
    assert_eq!(site.decide(&[]).0["decision"], "bump");
}

#[test]
fn a_major_release_is_a_persons_and_a_manifest_that_is_none_is_refused() {
    let plain: Texts<'_> = &[(MODULE, PINNED)];
    let site = pypi_registry(&[("1.0.0", plain, ""), ("2.0.0", plain, "")], &[]);
    let (answer, code) = site.decide(&[]);
    assert_eq!(
        (&answer["decision"], &answer["needs_classification"], code),
        (&json!("ask"), &json!(false), Some(1))
    );
    for (manifest, told) in [
        ("{", "not a valid manifest"),
        ("{}", "pins nothing"),
        ("{\"demo\": []}", "is not a definition"),
        ("{\"../m.rs:f\": []}", "is not a definition"),
        ("{\"demo.m:pinned\": [\"abc\"]}", "not a digest"),
    ] {
        site.write("upstream.json", manifest);
        site.assert_refused(&[], 2, &[told]);
    }
}
