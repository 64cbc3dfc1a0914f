//! Tests of webhook deliveries from both kinds of Bitbucket: headers, signatures, events, and ids that do not
//! change with a rename.

use reqwest::header::{HeaderMap, HeaderValue};
use truing_core::port::ForgeKind;

use super::*;
use crate::delivery::parse_delivery;
use crate::webhook::{
    DeliveryError, DeliveryHeaders, HookSecret, SignatureError, WebhookComment, WebhookEvent,
};

const KINDS: [ForgeKind; 2] = [ForgeKind::Bitbucket, ForgeKind::BitbucketDc];

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (reqwest::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    });
    pairs.collect()
}

fn cloud(event: &str, body: &Value) -> Result<WebhookEvent, DeliveryError> {
    parse_delivery(ForgeKind::Bitbucket, event, "bitbucket", body.to_string().as_bytes())
}

fn center(event: &str, body: &Value) -> Result<WebhookEvent, DeliveryError> {
    parse_delivery(ForgeKind::BitbucketDc, event, "bitbucket", body.to_string().as_bytes())
}

fn cloud_event() -> Value {
    json!({
        "actor": { "type": "user" },
        "repository": { "uuid": UUID, "full_name": "acme/demo", "workspace": { "slug": "acme" } },
        "pullrequest": {
            "id": 7, "links": { "html": { "href": "https://bitbucket.org/acme/demo/pull-requests/7" } },
            "source": { "commit": { "hash": "111111111111" }, "repository": null },
        },
        "comment": { "id": 21, "content": { "raw": "/review" } },
        "of_tomorrow": [[[[1]]]],
    })
}

fn center_event() -> Value {
    json!({
        "eventKey": "pr:opened", "date": "2026-11-20T09:45:32+1000", "actor": { "id": 5 },
        "pullRequest": {
            "id": 7, "version": 1, "fromRef": { "latestCommit": HEAD, "repository": null },
            "toRef": { "repository": { "id": 101, "slug": "demo", "project": { "key": "~me" } } },
            "links": { "self": [null] },
        },
        "comment": { "id": 21, "text": "/review" }, "commentParentId": 20,
    })
}

#[test]
fn the_kind_chooses_the_headers_and_the_signature_is_sha_256_over_the_raw_body() {
    let signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
    let all = headers(&[
        ("x-event-key", "pullrequest:created"),
        ("x-request-uuid", "uuid-1"),
        ("x-request-id", "id-1"),
        ("x-attempt-number", "2"),
        ("x-hub-signature", signature),
        ("x-github-event", "push"),
        ("x-github-delivery", "guid"),
    ]);
    let told = KINDS.map(|kind| DeliveryHeaders::read(kind, &all));
    assert_eq!((told[0].event, told[0].id, told[0].attempt), ("pullrequest:created", "uuid-1", 2));
    assert_eq!((told[1].event, told[1].id), ("pullrequest:created", "id-1"));
    let github = DeliveryHeaders::read(ForgeKind::Github, &all);
    assert_eq!((github.event, github.id, github.attempt), ("push", "guid", 1));
    assert_eq!(github.signature.err(), Some(SignatureError::Missing));
    for delivery in told {
        let mut check =
            HookSecret::new(b"It's a Secret to Everybody").begin_check(delivery.signature.unwrap()).unwrap();
        check.update(b"Hello World!");
        assert_eq!(check.finish(), Ok(()));
    }
}

#[test]
fn an_unsigned_or_older_signature_is_refused() {
    for (value, expected) in [
        (None, SignatureError::Missing),
        (Some("sha1=0f3a"), SignatureError::Malformed),
        (Some("sha256=0f3a"), SignatureError::Malformed),
    ] {
        let pairs: Vec<_> = value.into_iter().map(|value| ("x-hub-signature", value)).collect();
        let all = headers(&pairs);
        for kind in KINDS {
            assert_eq!(DeliveryHeaders::read(kind, &all).signature.err(), Some(expected));
        }
    }
}

#[test]
fn a_pull_request_is_known_by_ids_and_twelve_digits_are_no_head() {
    for event in ["created", "push", "updated", "fulfilled", "rejected"] {
        let hook = cloud(&format!("pullrequest:{event}"), &cloud_event()).unwrap();
        let expected = WebhookEvent::Pull {
            pr: pr(UUID),
            repo: "acme/demo".into(),
            name: "acme/demo#7".into(),
            url: "https://bitbucket.org/acme/demo/pull-requests/7".into(),
            head: None,
        };
        assert_eq!(hook, expected, "{event}");
    }
    for event in ["opened", "from_ref_updated", "to_ref_updated", "modified", "merged", "declined", "deleted"]
    {
        let hook = center(&format!("pr:{event}"), &center_event()).unwrap();
        let expected = WebhookEvent::Pull {
            pr: pr("101"),
            repo: "~me/demo".into(),
            name: "~me/demo#7".into(),
            url: String::new(),
            head: Some(head()),
        };
        assert_eq!(hook, expected, "{event}");
    }
}

#[test]
fn a_comment_is_taken_over_and_its_place_tells_the_kind() {
    let comment = |kind, pr: PrId, repo: &str| {
        WebhookEvent::Comment(WebhookComment { pr, repo: repo.into(), kind, id: 21, body: "/review".into() })
    };
    let mut event = cloud_event();
    let hook = cloud("pullrequest:comment_created", &event);
    assert_eq!(hook, Ok(comment(CommentKind::Conversation, pr(UUID), "acme/demo")));
    event["comment"]["inline"] = json!({ "path": "a", "to": 3 });
    let hook = cloud("pullrequest:comment_updated", &event);
    assert_eq!(hook, Ok(comment(CommentKind::Diff, pr(UUID), "acme/demo")));
    let hook = center("pr:comment:added", &center_event());
    assert_eq!(hook, Ok(comment(CommentKind::Conversation, pr("101"), "~me/demo")));
    let mut long = cloud_event();
    long["comment"]["content"]["raw"] = "x".repeat(10_000).into();
    let Ok(WebhookEvent::Comment(cut)) = cloud("pullrequest:comment_created", &long) else {
        panic!("a comment")
    };
    assert_eq!(cut.body.len(), 4096);
}

#[test]
fn other_events_are_ignored_without_reading_the_body() {
    for event in
        ["repo:push", "pullrequest:approved", "pullrequest:comment_deleted", "pr:opened", "", "\u{1b}[31m"]
    {
        let hook = parse_delivery(ForgeKind::Bitbucket, event, "bitbucket", b"not JSON");
        assert!(matches!(hook, Ok(WebhookEvent::Ignored { .. })), "{event}");
    }
    for event in
        ["repo:refs_changed", "pr:reviewer:approved", "mirror:repo_synchronized", "pullrequest:created"]
    {
        let hook = parse_delivery(ForgeKind::BitbucketDc, event, "bitbucket", b"not JSON");
        assert!(matches!(hook, Ok(WebhookEvent::Ignored { .. })), "{event}");
    }
    assert_eq!(
        parse_delivery(ForgeKind::BitbucketDc, "diagnostics:ping", "bitbucket", b"{}"),
        Ok(WebhookEvent::Ping)
    );
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let table = [
        ("/repository/uuid", json!("no-braces"), "repository.uuid"),
        ("/repository/uuid", json!("{../x}"), "repository.uuid"),
        ("/repository/full_name", json!("acme"), "repository.full_name"),
        ("/pullrequest/id", json!("7"), "pullrequest.id"),
        ("/pullrequest/links/html/href", json!("javascript:x"), "pullrequest.links.html.href"),
        ("/pullrequest", Value::Null, "pullrequest"),
    ];
    for (path, value, expected) in table {
        let mut event = cloud_event();
        *event.pointer_mut(path).unwrap() = value;
        let Err(DeliveryError::Field { field, .. }) = cloud("pullrequest:created", &event) else {
            panic!("{path}")
        };
        assert_eq!(field, expected);
    }
    let table = [
        ("/pullRequest/toRef/repository/id", json!("101"), "pullRequest.toRef.repository.id"),
        (
            "/pullRequest/toRef/repository/project/key",
            Value::Null,
            "pullRequest.toRef.repository.project.key",
        ),
        ("/pullRequest/toRef/repository/slug", json!("a/b"), "pullRequest.toRef.repository.slug"),
        ("/pullRequest/fromRef/latestCommit", json!("1111"), "pullRequest.fromRef.latestCommit"),
    ];
    for (path, value, expected) in table {
        let mut event = center_event();
        *event.pointer_mut(path).unwrap() = value;
        let Err(DeliveryError::Field { field, .. }) = center("pr:opened", &event) else { panic!("{path}") };
        assert_eq!(field, expected);
    }
    for kind in KINDS {
        let event = if kind == ForgeKind::Bitbucket { "pullrequest:created" } else { "pr:opened" };
        assert!(matches!(parse_delivery(kind, event, "x", b"{"), Err(DeliveryError::NotJson(_))));
    }
}
