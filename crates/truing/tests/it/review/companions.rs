//! Tests of rules about files that must change together. For every kind of head, these rules also read
//! unchanged files.

use serde_json::json;

use crate::review::place::{Place, field_of_findings};

const HASHES: &str = "tests/test_patches.py";
const PACK: [&str; 2] = ["--pack", "aiobotocore"];

/// Creates a repository of the kind of aiobotocore. Its change adds an override without adding its hash.
fn create_patched_repository() -> Place {
    let place = Place::new();
    place.write(HASHES, "HASHES = {}\n");
    place.commit("hashes");
    place.write(
        "aiobotocore/discovery.py",
        "class AioEndpointDiscoveryManager(EndpointDiscoveryManager):\n    pass\n",
    );
    place
}

#[test]
fn a_companion_that_did_not_change_is_seen_in_every_kind_of_head() {
    let place = create_patched_repository();
    let rule = json!("aiobotocore/patch-hashes");
    let of = |arguments: &[&str]| {
        let report = place.report(&[&PACK, arguments].concat());
        assert_eq!(field_of_findings(&report, "rule"), [&rule], "{arguments:?}");
        assert_eq!(report["coverage"]["reviewed"], json!(["aiobotocore/discovery.py"]), "{arguments:?}");
        assert_eq!(report["coverage"]["not_reviewed"], json!([]), "{arguments:?}");
    };
    of(&[]);
    place.git(["add", "--all"]);
    of(&["--staged"]);
    let diff = place.git(["diff", "--cached"]);
    place.git(["reset", "--quiet", "--hard"]);
    std::fs::write(place.home().join("change.diff"), diff + "\n").unwrap();
    of(&["--diff", "../change.diff"]);
    place.git(["apply", "--index", "../change.diff"]);
    place.commit("override");
    // The review of `HEAD` does not use the working tree.
    std::fs::remove_file(place.repo().join(HASHES)).unwrap();
    of(&["--head", "HEAD"]);
}

#[test]
fn a_companion_that_is_not_there_or_no_file_is_not_missed() {
    let place = create_patched_repository();
    std::fs::remove_file(place.repo().join(HASHES)).unwrap();
    place.commit("without hashes");
    let report = place.report(&[&PACK[..], &["--head", "HEAD"]].concat());
    assert_eq!(field_of_findings(&report, "rule").len(), 0);
    std::os::unix::fs::symlink("../a.py", place.repo().join(HASHES)).unwrap();
    place.commit("a link");
    place.write("aiobotocore/discovery.py", "class AioOther(Other):\n    pass\n");
    place.commit("override");
    let report = place.report(&[&PACK[..], &["--head", "HEAD"]].concat());
    assert_eq!(
        (field_of_findings(&report, "rule").len(), &report["outcome"]["kind"]),
        (0, &json!("reviewed"))
    );
    assert_eq!(report["coverage"]["not_reviewed"], json!([]), "it is no part of the change");
}
