//! Tests of the SARIF output of reviews. The output must match the schema of the standard and GitHub's rules
//! for uploads ("SARIF support for code scanning" in its documentation).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::review::place::{Place, STOPS, fake_key};

/// Validator for the SARIF schema that also checks the formats of URIs and timestamps.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../data/sarif-schema-2.1.0.json")).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// Runs a review and checks its SARIF log against the schema and GitHub's rules. Returns the log and the exit
/// code.
fn checked_sarif_log(place: &Place, arguments: &[&str]) -> (Value, i32) {
    let ran = place.review(&[&["--format", "sarif"], arguments].concat());
    let log = ran.json();
    assert_log_valid(&log);
    (log, ran.exit)
}

fn assert_log_valid(log: &Value) {
    let wrong: Vec<String> =
        SCHEMA.iter_errors(log).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert_eq!(wrong, [""; 0]);
    assert_github_accepts(log);
}

/// Checks that the log follows the rules in GitHub's documentation.
fn assert_github_accepts(log: &Value) {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).unwrap().to_owned();
    assert_eq!((log["version"].as_str(), log["$schema"].is_string()), (Some("2.1.0"), true));
    assert_eq!(log["runs"].as_array().unwrap().len(), 1);
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    text(&driver["name"]);
    text(&driver["semanticVersion"]);
    let rules = driver["rules"].as_array().unwrap();
    assert!(!rules.is_empty() && rules.len() <= 25_000);
    for rule in rules {
        text(&rule["id"]);
        for description in ["shortDescription", "fullDescription"] {
            assert!(text(&rule[description]["text"]).chars().count() <= 1024, "{rule}");
        }
        text(&rule["help"]["text"]);
        text(&rule["help"]["markdown"]);
        assert!(["note", "warning", "error"].contains(&&*text(&rule["defaultConfiguration"]["level"])));
        let tags: Vec<String> = rule["properties"]["tags"].as_array().unwrap().iter().map(text).collect();
        assert!(tags.len() <= 10);
        let precision = text(&rule["properties"]["precision"]);
        assert!(["very-high", "high", "medium", "low"].contains(&&*precision), "{rule}");
        // A rule with a `security-severity` score is a security rule; every other rule has a
        // `problem.severity`.
        let properties = &rule["properties"];
        match properties.get("security-severity") {
            Some(score) => {
                let score: f64 = text(score).parse().unwrap();
                assert!(score > 0.0 && score <= 10.0 && tags.contains(&"security".to_owned()), "{rule}");
            }
            None => {
                let severity = text(&properties["problem.severity"]);
                assert!(["error", "warning", "recommendation"].contains(&&*severity), "{rule}");
            }
        }
    }
    assert!(text(&run["automationDetails"]["id"]).starts_with("truing/"));
    let results = run["results"].as_array().unwrap();
    assert!(results.len() <= 25_000);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        text(&result["message"]["text"]);
        assert!(["note", "warning", "error"].contains(&&*text(&result["level"])));
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let place = &result["locations"][0]["physicalLocation"];
        assert_relative_path(&place["artifactLocation"]);
        let (first, last) = (&place["region"]["startLine"], &place["region"]["endLine"]);
        assert!(first.as_u64() >= Some(1) && last.as_u64() >= first.as_u64(), "{place}");
        text(&result["partialFingerprints"]["truing/v1"]);
        // GitHub's upload action computes and adds the fingerprint with this name, so Truing must not set it.
        assert!(result["partialFingerprints"].get("primaryLocationLineHash").is_none());
    }
    for invocation in run["invocations"].as_array().unwrap() {
        assert!(invocation["executionSuccessful"].is_boolean());
    }
}

/// Checks that the path of a file is relative to the repository's root and is a valid URI.
fn assert_relative_path(artifact: &Value) {
    let uri = artifact["uri"].as_str().unwrap();
    assert!(artifact["uriBaseId"] == "%SRCROOT%" && !uri.starts_with('/') && !uri.contains(':'), "{uri}");
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~/!$&'()*+,;=@%".contains(c);
    assert!(uri.chars().all(allowed), "{uri}");
}

/// Returns the percent-decoded paths of all results.
fn result_paths(log: &Value) -> Vec<Vec<u8>> {
    let decoded = |uri: &str| {
        let mut bytes = Vec::new();
        let mut rest = uri.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        bytes
    };
    let results = log["runs"][0]["results"].as_array().unwrap().iter();
    results
        .map(|result| &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        .map(|uri| decoded(uri.as_str().unwrap()))
        .collect()
}

#[test]
fn a_finding_is_a_result_of_its_rule() {
    let place = Place::new();
    place.write("src/b.py", STOPS);
    let report = place.report(&[]);
    let (log, exit) = checked_sarif_log(&place, &[]);
    assert_eq!(exit, 1);
    let finding = &report["findings"][0];
    let run = &log["runs"][0];
    let mut result = run["results"][0].clone();
    let index = result["ruleIndex"].as_u64().unwrap();
    result["ruleIndex"].take();
    assert_eq!(
        result,
        json!({
            "ruleId": "core/python-debugger",
            "ruleIndex": null,
            "level": "error",
            "message": { "text": format!("Debugger call left in the code. {}", finding["body"].as_str().unwrap()) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": "src/b.py", "uriBaseId": "%SRCROOT%" },
                "region": { "startLine": 2, "endLine": 2, "snippet": { "text": "    breakpoint()" } },
            } }],
            "partialFingerprints": { "truing/v1": finding["fingerprint"] },
            "fingerprints": { "truing/id/v1": finding["id"] },
            "properties": { "severity": "P1", "category": "J" },
        })
    );
    let rule = &run["tool"]["driver"]["rules"][usize::try_from(index).unwrap()];
    assert_eq!(rule["shortDescription"]["text"], finding["title"]);
    assert_eq!(rule["help"]["markdown"], finding["body"]);
    assert_eq!(run["properties"], json!({ "base": report["base"], "head": null }));
}

#[test]
fn rules_that_found_nothing_are_listed_too_and_those_that_are_off_are_not() {
    let (log, exit) = checked_sarif_log(&Place::new(), &[]);
    assert_eq!((exit, &log["runs"][0]["results"]), (0, &json!([])));
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"core/conflict-marker") && !ids.contains(&"core/js-console-log"));
    assert!(ids.iter().all(|id| id.starts_with("core/")), "packs that were not used have no rules here");
}

#[test]
fn a_secret_is_a_security_alert_and_is_not_in_the_file() {
    let place = Place::new();
    place.write("b.py", format!("id = '{}'\n", fake_key()));
    let (log, _) = checked_sarif_log(&place, &[]);
    assert!(!log.to_string().contains(&fake_key()));
    let run = &log["runs"][0];
    let index = usize::try_from(run["results"][0]["ruleIndex"].as_u64().unwrap()).unwrap();
    let properties = &run["tool"]["driver"]["rules"][index]["properties"];
    assert_eq!(properties, &json!({ "tags": ["security"], "precision": "high", "security-severity": "9.5" }));
}

#[test]
fn every_path_is_a_relative_uri_that_decodes_to_it() {
    let place = Place::new();
    let names: [&[u8]; 9] = [
        b"a b/c d.py",
        "é/ü.py".as_bytes(),
        b"100%41.py",
        b"a#b?c.py",
        b"new\nline.py",
        b"caf\xe9.py",
        b"c:d.py",
        b"q\"[1]\\`{}|^.py",
        b"@scope+x/(app)/$id.py",
    ];
    for name in names {
        place.write(OsStr::from_bytes(name), STOPS);
    }
    let mut found = result_paths(&checked_sarif_log(&place, &[]).0);
    found.sort();
    let mut expected = names.map(<[u8]>::to_vec);
    expected.sort();
    assert_eq!(found, expected);
    let commit = place.commit("odd");
    assert_eq!(result_paths(&checked_sarif_log(&place, &["--head", &commit]).0).len(), names.len());
}

#[test]
fn what_was_not_reviewed_is_notified_and_a_gap_is_no_success() {
    let place = Place::new();
    place.write("x y.bin", b"\0");
    place.write("huge.txt", "0123456789abcde\n".repeat(6 << 16));
    let (log, exit) = checked_sarif_log(&place, &[]);
    assert_eq!(exit, 1);
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let place = |uri: &str| json!([{ "physicalLocation": { "artifactLocation": { "uri": uri, "uriBaseId": "%SRCROOT%" } } }]);
    assert_eq!(
        invocation["toolExecutionNotifications"],
        json!([
            {
                "descriptor": { "id": "not-reviewed/too_large" },
                "level": "error",
                "message": { "text": "Not reviewed: too large." },
                "locations": place("huge.txt"),
            },
            {
                "descriptor": { "id": "not-reviewed/binary" },
                "level": "note",
                "message": { "text": "Not reviewed: binary." },
                "locations": place("x%20y.bin"),
            },
        ])
    );
}

#[test]
fn a_commit_tells_where_it_comes_from() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let commit = place.commit("second");
    let provenance = |url: &str| {
        place.git(["config", "remote.origin.url", url]);
        checked_sarif_log(&place, &["--head", "HEAD", "--base", "HEAD~1"]).0["runs"][0]["versionControlProvenance"].clone()
    };
    for (remote, uri) in [
        ("https://example.org/o/n.git", "https://example.org/o/n.git"),
        ("https://user:word@example.org/o/n.git", "https://example.org/o/n.git"),
        ("git@example.org:o/n.git", "ssh://git@example.org/o/n.git"),
    ] {
        let root = json!({ "uriBaseId": "%SRCROOT%" });
        assert_eq!(
            provenance(remote),
            json!([{ "repositoryUri": uri, "revisionId": commit, "mappedTo": root }])
        );
    }
    for folder in ["../up", "/srv/n.git", "file:///srv/n.git"] {
        assert_eq!(provenance(folder), Value::Null, "{folder}: a folder of this machine");
    }
}

#[test]
fn an_error_is_told_on_standard_error_alone() {
    let place = Place::new();
    for format in ["sarif", "markdown"] {
        let ran = place.review(&["--format", format, "--base", "nowhere"]);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
}

#[test]
fn a_proven_suggestion_is_a_fix() {
    let place = Place::new();
    place.write("a.py", "import os\nbreakpoint()\nx = 1\n");
    let (log, _) = checked_sarif_log(&place, &[]);
    assert_eq!(
        log["runs"][0]["results"][0]["fixes"],
        json!([{
            "description": { "text": "The replacement of the lines." },
            "artifactChanges": [{
                "artifactLocation": { "uri": "a.py", "uriBaseId": "%SRCROOT%" },
                "replacements": [{
                    "deletedRegion": { "startLine": 2, "startColumn": 1, "endLine": 3, "endColumn": 1 },
                }],
            }],
        }])
    );
}
