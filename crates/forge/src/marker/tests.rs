//! Tests that forged and damaged markers are detected.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use truing_core::id::Topic;

use super::*;

fn pr(number: u64) -> PrId {
    PrId { forge: "github".into(), repository: "1296269".into(), number }
}

fn keys() -> MarkerKeys {
    MarkerKeys::new(b"first key", &[])
}

fn verified(producer: CommentProducer, item: CommentSubject, body: &str) -> MarkerMatch {
    MarkerMatch::Verified { producer, item, body: body.into() }
}

fn finding(id: &str) -> CommentSubject {
    CommentSubject::Finding(FindingId::new(id))
}

proptest! {
    #[test]
    fn every_item_of_every_pull_request_is_found_again(
        id in ".*", number: u64, forge in "[a-z-]{1,10}", repository in "[0-9]{1,12}",
        body in "([a-z<>! \n-]|truing:){0,40}", producer in prop::sample::select(&CommentProducer::ALL),
    ) {
        let pr = PrId { forge, repository, number };
        for item in [finding(&id), CommentSubject::Summary] {
            let marker = keys().sign(&pr, producer, &item);
            prop_assert!(!marker.get(4..marker.len() - 3).unwrap().contains("--"), "{marker}");
            let comment = format!("{body}\n\n{marker}");
            prop_assert_eq!(keys().find_marker(&pr, &comment), verified(producer, item, &normalize_text(&body)));
        }
    }

    #[test]
    fn a_marker_with_one_byte_changed_does_not_verify(id in "[0-9a-f:-]{0,20}", at: prop::sample::Index, byte: u8) {
        let marker = keys().sign(&pr(7), CommentProducer::Review, &finding(&id)).into_bytes();
        let mut changed = marker.clone();
        *at.get_mut(changed.as_mut_slice()) = byte;
        prop_assume!(changed != marker);
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
        let found = keys().find_marker(&pr(7), &changed);
        prop_assert!(!matches!(found, MarkerMatch::Verified { .. }), "{changed}");
    }

    #[test]
    fn stripped_text_has_no_marker_left_and_stripping_again_changes_nothing(
        text in "(<!-{0,3}|-->| |\n|truing:|TRUING:1|x){0,20}",
    ) {
        let stripped = disable_markers(&text);
        prop_assert!(MARKER_PREFIXES.iter().all(|opening| !stripped.contains(opening)));
        prop_assert_eq!(&disable_markers(&stripped), &stripped);
        prop_assert_eq!(stripped.replace("&lt;", "<"), text);
    }
}

#[test]
fn the_form_and_the_key_id_do_not_drift() {
    let marker = keys().sign(&pr(7), CommentProducer::Review, &finding("1:0f3a-0"));
    let start = "<!-- truing:1 producer=review item=1:0f3a-0 key=";
    assert!(marker.starts_with(start), "{marker}");
    let id = &hex::encode(Sha256::digest(b"first key"))[..8];
    assert!(marker[start.len()..].starts_with(&format!("{id} mac=")), "{marker}");
    assert_eq!(marker.len(), start.len() + 8 + 5 + 64 + 4);
}

#[test]
fn a_marker_of_something_else_does_not_verify() {
    let marker = keys().sign(&pr(7), CommentProducer::Review, &CommentSubject::Summary);
    assert_eq!(keys().find_marker(&pr(8), &marker), MarkerMatch::Forged);
    for other in [
        PrId { forge: "other".into(), ..pr(7) },
        PrId { repository: "1".into(), ..pr(7) },
        PrId { forge: "github1".into(), repository: "296269".into(), number: 7 },
    ] {
        assert_eq!(keys().find_marker(&other, &marker), MarkerMatch::Forged, "{other:?}");
    }
    let converge = marker.replace("producer=review", "producer=converge");
    assert_eq!(keys().find_marker(&pr(7), &converge), MarkerMatch::Forged);
    let item = marker.replace("item=summary", "item=1:0-0");
    assert_eq!(keys().find_marker(&pr(7), &item), MarkerMatch::Forged);
}

#[test]
fn only_the_last_line_counts() {
    let marker = keys().sign(&pr(7), CommentProducer::Review, &CommentSubject::Summary);
    assert_eq!(keys().find_marker(&pr(7), &format!("{marker}\nquoted by somebody")), MarkerMatch::NoMarker);
    assert_eq!(keys().find_marker(&pr(7), &format!("> {marker}")), MarkerMatch::NoMarker);
    assert_eq!(keys().find_marker(&pr(7), &format!("{marker} {marker}")), MarkerMatch::Forged);
    assert_eq!(keys().find_marker(&pr(7), ""), MarkerMatch::NoMarker);
}

#[test]
fn line_ends_and_trailing_space_of_the_forge_change_nothing() {
    let marker = keys().sign(&pr(7), CommentProducer::Review, &CommentSubject::Summary);
    for comment in [
        format!("one\ntwo\n\n{marker}"),
        format!("one\r\ntwo\r\n\r\n{marker}\r\n"),
        format!("one\ntwo  \n\n\n{marker} \n\n \t\n"),
    ] {
        assert_eq!(
            keys().find_marker(&pr(7), &comment),
            verified(CommentProducer::Review, CommentSubject::Summary, "one\ntwo"),
            "{comment:?}"
        );
    }
}

#[test]
fn former_keys_verify_and_unknown_ones_are_named() {
    let old = keys().sign(&pr(7), CommentProducer::Review, &CommentSubject::Summary);
    let rotated = MarkerKeys::new(b"second key", &[b"first key"]);
    assert_eq!(
        rotated.find_marker(&pr(7), &old),
        verified(CommentProducer::Review, CommentSubject::Summary, "")
    );
    assert!(
        !rotated.sign(&pr(7), CommentProducer::Review, &CommentSubject::Summary).contains(&keys().current.id)
    );
    let without = MarkerKeys::new(b"second key", &[]);
    let (key_id, body) = (keys().current.id, String::new());
    let (producer, item) = (CommentProducer::Review, CommentSubject::Summary);
    assert_eq!(without.find_marker(&pr(7), &old), MarkerMatch::UnknownKey { key_id, producer, item, body });
    let no_item = old.replace("item=summary", "item=%zz");
    assert_eq!(without.find_marker(&pr(7), &no_item), MarkerMatch::Forged);
    let newer = old.replace("truing:1", "truing:2");
    assert_eq!(rotated.find_marker(&pr(7), &newer), MarkerMatch::Forged);
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?}", MarkerKeys::new(b"canary-1", &[b"canary-2"]));
    assert!(!shown.contains("canary") && !shown.contains(&hex::encode("canary-1")), "{shown}");
}

#[test]
fn a_key_file_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marker.key");
    // All threads start at the same time. Each thread must load the key that the file contains at the end.
    let ids: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| MarkerKeys::load_or_create(&path).unwrap().current.id)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    let later = MarkerKeys::load_or_create(&path).unwrap();
    assert!(ids.iter().all(|id| *id == later.current.id), "{ids:?}");
    assert_eq!(later.current.bytes.len(), KEY_BYTES);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [path]);
}

#[test]
fn what_former_keys_have_signed_is_still_known() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.key");
    assert!(MarkerKeys::load(&file).is_err(), "a former key is never made");
    std::fs::write(&file, format!("{}\n{}\n", "aa".repeat(32), "bb".repeat(32))).unwrap();
    let keys = MarkerKeys::new(b"new", &[]).with_former_keys([
        MarkerKeys::load(&file).unwrap(),
        MarkerKeys::from_text("a passphrase"),
        MarkerKeys::from_text(&"cc".repeat(32)),
        MarkerKeys::new(b"new", &[]),
    ]);
    let pr = PrId { forge: "github".into(), repository: "1".into(), number: 7 };
    let comment = |key: &MarkerKeys| {
        format!("text\n\n{}", key.sign(&pr, CommentProducer::Review, &CommentSubject::Summary))
    };
    let hex = "cc".repeat(32);
    for former in [&b"new"[..], &[0xaa; 32], &[0xbb; 32], b"a passphrase", &[0xcc; 32], hex.as_bytes()] {
        let found = keys.find_marker(&pr, &comment(&MarkerKeys::new(former, &[])));
        assert!(matches!(found, MarkerMatch::Verified { .. }), "{former:?}: {found:?}");
    }
    let stranger = keys.find_marker(&pr, &comment(&MarkerKeys::new(b"stranger", &[])));
    assert!(matches!(stranger, MarkerMatch::UnknownKey { .. }), "{stranger:?}");
    assert_eq!(keys.previous.len(), 5, "none stands twice");
}

#[test]
fn a_key_file_may_hold_former_keys_and_must_hold_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marker.key");
    std::fs::write(&path, format!("{}\n\n{}\r\n", "aa".repeat(32), "bb".repeat(32))).unwrap();
    let keys = MarkerKeys::load_or_create(&path).unwrap();
    assert_eq!(keys.current.bytes, [0xaa; 32]);
    assert_eq!(keys.previous, [MarkerKey::new(&[0xbb; 32])]);
    for bad in ["", "\n", "hello", "aa", &"ab".repeat(33), &format!("{}\nx", "aa".repeat(32))] {
        std::fs::write(&path, bad).unwrap();
        let error = MarkerKeys::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::InvalidKey { .. }), "{bad:?}: {error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bad, "must not be overwritten");
    }
    let missing = MarkerKeys::load_or_create(&folder.path().join("no/such/folder")).unwrap_err();
    assert!(missing.to_string().contains("no/such/folder: cannot create it"), "{missing}");
}

proptest! {
    #[test]
    fn every_topic_is_found_where_it_was_written_and_nowhere_else(
        topic in ".*", number: u64, body in "([a-z<>! \n-]|truing:){0,40}", producer in prop::sample::select(&CommentProducer::ALL),
    ) {
        let topic = Topic::new(topic);
        let marker = keys().sign_topic(&pr(number), producer, &topic);
        prop_assert!(!marker.get(4..marker.len() - 3).unwrap().contains("--"), "{marker}");
        let text = format!("{body}\n\n{marker}");
        prop_assert_eq!(keys().find_topic(&pr(number), producer, &text), (Some(topic), normalize_text(&body)));
        let other = if number == 7 { 8 } else { 7 };
        prop_assert_eq!(keys().find_topic(&pr(other), producer, &text), (None, normalize_text(&body)));
        // The marker of a topic must not be accepted as the marker of a comment.
        prop_assert_eq!(keys().find_marker(&pr(number), &text), MarkerMatch::Forged);
    }
}

#[test]
fn topics_hold_against_what_items_hold_against() {
    let (topic, sync) = (Topic::new("sync/botocore"), CommentProducer::Sync);
    let marker = keys().sign_topic(&pr(0), sync, &topic);
    assert!(marker.starts_with("<!-- truing:1 producer=sync topic=sync/botocore key="), "{marker}");
    let found = |text: &str| keys().find_topic(&pr(0), sync, text).0;
    assert_eq!(found(&marker), Some(topic.clone()));
    for wrong in [
        marker.replace("botocore", "boto"),
        marker.replace("topic=", "item="),
        marker.replace("producer=sync", "producer=converge"),
        format!("{marker}\nquoted"),
        format!("> {marker}"),
        keys().sign(&pr(0), sync, &finding("sync/botocore")),
        keys().sign(&pr(0), sync, &finding("sync/botocore")).replace("item=", "topic="),
    ] {
        assert_eq!(found(&wrong), None, "{wrong}");
    }
    // The topic is found even if the signing key was replaced or lost.
    for keys in [MarkerKeys::new(b"second", &[b"first key"]), MarkerKeys::new(b"second", &[])] {
        assert_eq!(keys.find_topic(&pr(0), sync, &format!("x\n{marker}")), (Some(topic.clone()), "x".into()));
    }
    // The text above a marker is returned without the marker, for both kinds of markers.
    let item = keys().sign(&pr(0), sync, &CommentSubject::Summary);
    assert_eq!(keys().find_topic(&pr(0), sync, &format!("x\n\n{item}")), (None, "x".into()));
    assert_eq!(keys().find_topic(&pr(0), sync, "x\r\ny \n"), (None, "x\ny".into()));
}

#[test]
fn both_forms_are_read_whatever_is_written() {
    let (html, link) = (keys(), keys().with_marker_syntax(MarkerSyntax::LinkReference));
    for item in [finding("1:0f3a)-0"), CommentSubject::Summary] {
        let marker = link.sign(&pr(7), CommentProducer::Review, &item);
        assert!(marker.starts_with("[//]: # (truing:1 producer=review item="), "{marker}");
        assert!(marker.ends_with(')') && marker.matches(['(', ')']).count() == 2, "{marker}");
        let comment = format!("one\n\n{marker}\r\n");
        assert_eq!(
            html.find_marker(&pr(7), &comment),
            verified(CommentProducer::Review, item.clone(), "one")
        );
        assert_eq!(html.find_marker(&pr(8), &comment), MarkerMatch::Forged);
        let comment = format!("one\n\n{}", html.sign(&pr(7), CommentProducer::Review, &item));
        assert_eq!(link.find_marker(&pr(7), &comment), verified(CommentProducer::Review, item, "one"));
    }
    let topic = Topic::new("finding/a (b)");
    let text = format!("one\n\n{}", link.sign_topic(&pr(7), CommentProducer::Converge, &topic));
    assert_eq!(
        html.find_verified_topic(&pr(7), CommentProducer::Converge, &text),
        (Some(topic), "one".to_owned())
    );
    assert_eq!(split_marker(&text).0, "one");
}

#[test]
fn a_marker_of_one_form_with_the_end_of_the_other_is_none() {
    let marker = keys().with_marker_syntax(MarkerSyntax::LinkReference).sign(
        &pr(7),
        CommentProducer::Review,
        &CommentSubject::Summary,
    );
    let mixed = marker.replace(')', " -->");
    assert_eq!(keys().find_marker(&pr(7), &mixed), MarkerMatch::Forged);
}

#[test]
fn link_references_of_others_are_left_and_those_like_ours_are_shown() {
    for (text, expected) in [
        ("[//]: # (truing:1 x)", "&#91;//]: # (truing:1 x)"),
        ("a [//]:#\"TRUING:x\"", "a &#91;//]:#\"TRUING:x\""),
        ("[//]: # 'truing:x'", "&#91;//]: # 'truing:x'"),
        ("[//]: # (a comment)", "[//]: # (a comment)"),
        ("[a]: https://b (truing:1)", "[a]: https://b (truing:1)"),
        ("[ü", "[ü"),
    ] {
        assert_eq!(disable_markers(text), expected);
    }
}

#[test]
fn the_seeds_marker_is_recognised_and_proves_nothing() {
    let marker = "<!-- claude-reviewer:inline:0f3a9c -->";
    for text in [format!("Fix it.\n\n{marker}\n"), format!("{marker}\nFix it.")] {
        assert_eq!(strip_legacy_marker(&text).as_deref().map(str::trim), Some("Fix it."));
        assert_eq!(keys().find_marker(&pr(7), &text), MarkerMatch::NoMarker);
    }
    for other in [
        "",
        "<!-- claude-reviewer:inline: -->",
        "<!-- claude-reviewer:inline:x -->",
        "<!-- truing:1 x -->",
        "One.\n<!-- claude-reviewer:inline:0f3a9c -->\nThree.",
    ] {
        assert_eq!(strip_legacy_marker(other), None, "{other}");
    }
}
