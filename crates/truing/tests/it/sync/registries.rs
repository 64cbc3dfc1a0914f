//! Tests of packages on npm and crates.io: the data of the indexes, the requirement in the project's own file
//! format, and definitions that are named by file and name.

use serde_json::json;

use super::server::{Files, Registry, sha1, sha256, sha512, tar_gz};

const RUN: &str = "pub fn run(a: u8) -> u8 { a }\n";

/// Returns a crates.io registry with these releases of `demo`. Each release has a version, a source text, and
/// a flag that is true if the release was yanked.
fn crates_io_registry(releases: &[(&str, &str, bool)]) -> Registry {
    let files = |address| {
        let mut files = Files::new();
        let mut lines = Vec::new();
        for (version, source, yanked) in releases {
            let archive = tar_gz(
                &format!("demo-{version}"),
                &[("src/lib.rs", "mod a;\npub use a::run;\n"), ("src/a.rs", source)],
            );
            let line = json!({ "name": "demo", "vers": version, "cksum": sha256(&archive), "yanked": yanked,
                "deps": [], "features": {}, "pubtime": "2024-05-01T00:00:00Z" });
            lines.push(line.to_string());
            files.insert(format!("/dl/demo/{version}.crate"), archive);
        }
        let config = json!({ "dl": format!("http://{address}/dl/{{crate}}/{{version}}.crate") });
        files.insert("/index/config.json".to_owned(), config.to_string().into_bytes());
        files.insert("/index/de/mo/demo".to_owned(), (lines.join("\n") + "\n").into_bytes());
        files
    };
    let manifest = json!({ "src/lib.rs:run": [sha1(RUN)] }).to_string();
    Registry::new(
        files,
        &[
            ("truing.toml", "[sync.demo]\nregistry = \"crates\"\nmirror = [\"src/=src/theirs/\"]\n"),
            ("Cargo.toml", "[dependencies]\ndemo = { version = \">=1.0.0, <1.0.1\" }\n"),
            ("upstream.json", &manifest),
            ("src/theirs/a.rs", ""),
        ],
    )
}

/// A caret range, as `cargo add` writes it, already admits every release of the same major version. The
/// decision is therefore `skip`, without a list of changes.
#[test]
fn a_caret_range_skips_what_it_admits_and_names_no_change_below() {
    let site =
        crates_io_registry(&[("1.0.0", RUN, false), ("1.0.1", "pub fn run(a: u8) -> u8 { a + 1 }\n", false)]);
    for range in ["^1.0.0", "1.0.0", "1"] {
        site.write("Cargo.toml", format!("[dependencies]\ndemo = {{ version = \"{range}\" }}\n"));
        let (answer, exit) = site.decide(&[]);
        assert_eq!((&answer["decision"], exit), (&json!("skip"), Some(0)), "{range}: {answer}");
        assert_eq!(
            (&answer["changed"], &answer["spec_after"]),
            (&json!([]), &answer["spec_before"]),
            "{answer}"
        );
        let output = site.sync(&["decide", "demo"]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("skip") && !told.contains("changed"), "{range}: {told}");
    }
}

#[test]
fn a_crate_is_followed_by_file_and_item() {
    let site = crates_io_registry(&[
        ("1.0.0", RUN, false),
        ("1.0.1", "/// Runs.\npub fn run(\n    a: u8,\n) -> u8 {\n    a\n}\n", false),
        ("1.0.2", "pub fn run(a: u8) -> u8 { a }\npub fn more() {}\n", false),
        ("1.0.3", "pub fn run(a: u8) -> u8 { a + 1 }\n", false),
        ("1.0.4", "", true),
        ("1.1.0-rc.1", "", false),
        ("2.0.0", RUN, false),
    ]);
    let outcome = |to: &str| {
        let (answer, _) = site.decide(&["--to", to]);
        (answer["decision"].as_str().unwrap().to_owned(), answer["spec_after"].as_str().map(str::to_owned))
    };
    let is = |decision: &str, spec: Option<&str>| (decision.to_owned(), spec.map(str::to_owned));
    assert_eq!(outcome("1.0.1"), is("relax", Some(">=1.0.0, <1.0.2")));
    assert_eq!(outcome("1.0.2"), is("ask", None));
    assert_eq!(outcome("1.0.3"), is("bump", Some(">=1.0.3, <1.0.4")));
    assert_eq!(outcome("2.0.0"), is("ask", None));
    let (answer, _) = site.decide(&["--to", "1.0.3"]);
    let change = &answer["changed"][0];
    // The change names the file that contains the definition, not the file that re-exports it. It also names
    // the first release with another version of the definition.
    assert_eq!(
        (&change["symbol"], &change["file"], &change["first_in"]),
        (&json!("src/lib.rs:run"), &json!("src/a.rs"), &json!("1.0.1"))
    );
    site.assert_refused(&["--to", "1.0.4"], 2, &["demo 1.0.4 was withdrawn or deprecated"]);
    // The newest release is neither yanked nor a pre-release.
    assert_eq!(site.decide(&[]).0["to"], "2.0.0");
    site.write(
        "truing.toml",
        "[sync.demo]\nregistry = \"crates\"\ntarget = \"1.0.1\"\nconstraint.style = \"exact\"\n",
    );
    assert_eq!(site.decide(&[]).0["spec_after"], "=1.0.1");
    site.write("truing.toml", "[sync.demo]\nregistry = \"crates\"\ntarget = \"one\"\n");
    site.assert_refused(&[], 2, &["`one` is not a valid version of crates.io", "truing.toml:3"]);
    site.write("truing.toml", "[sync.demo]\nregistry = \"crates\"\ntarget = \"+0\"\n");
    site.assert_refused(&[], 2, &["must have a positive number after `+`"]);
}

const SCRIPT: &str = "exports.run = function (a) { return a; };\n";

/// Returns an npm registry with these releases of a scoped package. Each release has a version, a source
/// text, and additional fields for its data in the index. The field `tag` sets a tag to the release.
fn npm_registry(releases: &[(&str, &str, serde_json::Value)]) -> Registry {
    let files = |address| {
        let mut files = Files::new();
        let (mut versions, mut time) = (json!({}), json!({ "created": "2020-01-01T00:00:00Z" }));
        let mut tags = json!({});
        for (day, (version, source, more)) in releases.iter().enumerate() {
            let archive = tar_gz(
                "package",
                &[("index.js", "module.exports = require('./lib/run');\n"), ("lib/run.js", source)],
            );
            let mut entry = json!({ "dist": { "tarball": format!("http://{address}/npm/demo-{version}.tgz"),
                "integrity": sha512(&archive), "shasum": "0" } });
            for (key, value) in more.as_object().unwrap() {
                entry[key] = value.clone();
            }
            versions[*version] = entry;
            if let Some(tag) = more["tag"].as_str() {
                tags[tag] = json!(version);
            }
            time[*version] = json!(format!("2024-05-{:02}T00:00:00.000Z", day + 1));
            files.insert(format!("/npm/demo-{version}.tgz"), archive);
        }
        let document = json!({ "name": "@ours/demo", "versions": versions, "time": time, "dist-tags": tags });
        files.insert("/npm/@ours%2fdemo".to_owned(), document.to_string().into_bytes());
        files
    };
    Registry::new(
        files,
        &[
            ("truing.toml", "[sync.demo]\nregistry = \"npm\"\npackage = \"@ours/demo\"\n"),
            ("package.json", "{\"dependencies\": {\"@ours/demo\": \">=1.0.0 <1.0.1\"}}\n"),
            (
                "upstream.json",
                &json!({ "index.js:run": [sha1(SCRIPT)], "lib/run.js": [sha1(SCRIPT)] }).to_string(),
            ),
        ],
    )
}

#[test]
fn a_package_of_npm_is_followed_by_file_and_name_and_whole_files() {
    let changed = "exports.run = function (a) { return a + 1; };\n";
    let site = npm_registry(&[
        ("1.0.0", SCRIPT, json!({})),
        ("1.0.1", "exports.run = function (a) {\n  return a // why\n}\n", json!({ "deprecated": false })),
        ("1.0.2", changed, json!({})),
        ("1.0.3", changed, json!({ "deprecated": "broken" })),
        ("1.0.4-next.1", changed, json!({})),
    ]);
    let (answer, _) = site.decide(&["--to", "1.0.1"]);
    assert_eq!((&answer["decision"], &answer["spec_after"]), (&json!("relax"), &json!(">=1.0.0 <1.0.2")));
    let names: Vec<_> =
        answer["changed"].as_array().unwrap().iter().map(|one| (&one["symbol"], &one["kind"])).collect();
    assert_eq!(names, [(&json!("index.js:run"), &json!("bytes")), (&json!("lib/run.js"), &json!("bytes"))]);
    let (answer, _) = site.decide(&[]);
    assert_eq!((&answer["decision"], &answer["to"]), (&json!("bump"), &json!("1.0.2")));
    assert_eq!(answer["spec_after"], ">=1.0.2 <1.0.3");
    site.assert_refused(&["--to", "1.0.3"], 2, &["was withdrawn or deprecated by its publishers"]);
    site.write(
        "truing.toml",
        "[sync.demo]\nregistry = \"npm\"\npackage = \"@ours/demo\"\nconstraint.style = \"caret\"\n",
    );
    assert_eq!(site.decide(&[]).0["spec_after"], "^1.0.2");
}

#[test]
fn what_is_too_young_is_not_followed() {
    let site = npm_registry(&[("1.0.0", SCRIPT, json!({})), ("1.0.1", SCRIPT, json!({}))]);
    let job = "[sync.demo]\nregistry = \"npm\"\npackage = \"@ours/demo\"\n";
    site.write("truing.toml", format!("{job}min_age = \"1h\"\n"));
    assert_eq!(site.decide(&[]).0["to"], "1.0.1");
    let site = crates_io_registry(&[("1.0.0", RUN, false), ("1.0.1", RUN, false)]);
    site.write("truing.toml", "[sync.demo]\nregistry = \"crates\"\nmin_age = \"366d\"\n");
    assert_eq!(site.decide(&[]).0["to"], "1.0.1");
}

#[test]
fn what_the_package_manager_does_not_install_yet_is_not_followed() {
    let site = npm_registry(&[
        ("1.0.0", SCRIPT, json!({})),
        ("1.0.1", SCRIPT, json!({ "tag": "latest" })),
        ("1.1.0", SCRIPT, json!({})),
        ("1.2.0", SCRIPT, json!({})),
    ]);
    let decide = |requirement: &str, npmrc: &str| {
        let text = format!("{{\"dependencies\": {{\"@ours/demo\": \"{requirement}\"}}}}\n");
        site.write("package.json", text);
        site.write(".npmrc", npmrc);
        let (answer, _) = site.decide(&[]);
        let reason = answer["reason"].as_str().unwrap_or_default().to_owned();
        (answer["from"].clone(), answer["to"].clone(), answer["decision"].clone(), reason)
    };
    let (_, to, decision, reason) = decide(">=1.0.0 <1.0.1", "");
    assert_eq!((&to, &decision), (&json!("1.0.1"), &json!("relax")), "{reason}");
    assert!(
        reason.contains("2 newer releases are not followed: above npm's tag `latest` (1.0.1)"),
        "{reason}"
    );
    // npm prefers the tag to newer releases in the range.
    let (from, to, ..) = decide("^1.0.0", "");
    assert_eq!((from, to), (json!("1.0.1"), json!("1.0.1")));
    // A project above the tag is not limited by it.
    let (_, to, ..) = decide(">=1.1.0 <1.2.0", "");
    assert_eq!(to, "1.2.0");
    let (_, to, _, reason) = decide(">=1.0.0 <1.0.1", "before=2024-05-02\n");
    assert_eq!(to, "1.0.0");
    assert!(
        reason.contains("1 newer release is not followed: hidden by `before = 2024-05-02` of .npmrc"),
        "{reason}"
    );
    let (_, to, ..) = decide(">=1.0.0 <1.0.1", "min-release-age=3\n");
    assert_eq!(to, "1.0.1");
}

#[test]
fn a_wider_range_that_loses_a_prerelease_is_asked_about() {
    let site = npm_registry(&[
        ("1.0.0", SCRIPT, json!({})),
        ("1.1.0-rc.1", SCRIPT, json!({})),
        ("1.1.0", SCRIPT, json!({})),
    ]);
    site.write("package.json", "{\"dependencies\": {\"@ours/demo\": \">=1.0.0 <1.1.0-rc.2\"}}\n");
    let (answer, _) = site.decide(&[]);
    assert_eq!(answer["decision"], "ask", "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("would exclude 1.1.0-rc.1"), "{answer}");
}

#[test]
fn an_archive_of_npm_without_a_strong_digest_is_not_read() {
    let dist = |integrity: serde_json::Value| {
        let address = "http://127.0.0.1:1/demo.tgz";
        json!({ "dist": { "tarball": address, "shasum": "0".repeat(40), "integrity": integrity } })
    };
    for integrity in [json!(null), json!("sha1-AAAA"), json!("sha512-AAAA")] {
        let site = npm_registry(&[("1.0.0", SCRIPT, json!({})), ("1.0.1", SCRIPT, dist(integrity))]);
        site.assert_refused(&[], 3, &["has no SHA-256 or SHA-512 digest for @ours/demo 1.0.1"]);
    }
    let site = npm_registry(&[("1.0.0", SCRIPT, json!({}))]);
    site.assert_refused(&["--to", "1.0.1"], 2, &["has no release 1.0.1"]);
}
