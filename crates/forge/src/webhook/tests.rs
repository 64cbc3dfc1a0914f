//! Tests that valid deliveries are accepted, and that all other deliveries are errors.

use proptest::prelude::*;
use serde_json::{Value, json};
use truing_core::id::AccountId;

use super::*;
use crate::github::webhook::{MAX_COMMENT_CHARS, parse as parse_github};

/// Checks the signature of a body that arrives in two parts.
fn verify(secret: &[u8], body: &[u8], header: Option<&str>) -> Result<(), SignatureError> {
    let signature = DeliverySignature::from_header_values(header.map(str::as_bytes))?;
    let mut check = HookSecret::new(secret).begin_check(signature)?;
    let (first, second) = body.split_at(body.len() / 2);
    check.update(first);
    check.update(second);
    check.finish()
}

const SECRET: &[u8] = b"It's a Secret to Everybody";
/// GitHub's published example, and the example of another forge that uses the same algorithm.
const VECTORS: [(&[u8], &str); 2] = [
    (b"Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    (b"Hello World!", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"),
];
const HEAD: &str = "1111111111111111111111111111111111111111";

#[test]
fn published_signatures_verify_in_either_case() {
    for (body, digits) in VECTORS {
        assert_eq!(verify(SECRET, body, Some(&format!("sha256={digits}"))), Ok(()));
        let upper = format!("sha256={}", digits.to_ascii_uppercase());
        assert_eq!(verify(SECRET, body, Some(&upper)), Ok(()));
    }
}

#[test]
fn everything_else_is_unsigned() {
    let (body, digits) = VECTORS[0];
    let sha1 = format!("sha1={}", "0".repeat(40));
    let cases = [
        (None, SignatureError::Missing),
        (Some(String::new()), SignatureError::Malformed),
        (Some(digits.to_owned()), SignatureError::Malformed),
        (Some(sha1), SignatureError::Malformed),
        (Some(format!("sha1={digits}")), SignatureError::Malformed),
        (Some(format!("SHA256={digits}")), SignatureError::Malformed),
        (Some("sha256=".into()), SignatureError::Malformed),
        (Some(format!("sha256={}", &digits[..62])), SignatureError::Malformed),
        (Some(format!("sha256={}", &digits[..63])), SignatureError::Malformed),
        (Some(format!("sha256={digits}00")), SignatureError::Malformed),
        (Some(format!("sha256={digits}, sha256={digits}")), SignatureError::Malformed),
        (Some(format!("sha256={}", "g".repeat(64))), SignatureError::Malformed),
        (Some(format!("sha256={}", "0".repeat(64))), SignatureError::Mismatch),
    ];
    for (header, error) in cases {
        assert_eq!(verify(SECRET, body, header.as_deref()), Err(error), "{header:?}");
    }
    let right = format!("sha256={digits}");
    assert_eq!(verify(b"another", body, Some(&right)), Err(SignatureError::Mismatch));
    assert_eq!(verify(SECRET, b"Hello, World?", Some(&right)), Err(SignatureError::Mismatch));
}

#[test]
fn two_signatures_are_none() {
    let right = format!("sha256={}", VECTORS[0].1);
    let both = [right.as_bytes(), right.as_bytes()];
    assert_eq!(DeliverySignature::from_header_values(both).err(), Some(SignatureError::Repeated));
}

#[test]
fn a_secret_is_not_shown() {
    assert_eq!(format!("{:?}", HookSecret::new(SECRET)), "HookSecret");
}

#[test]
fn without_a_secret_nothing_is_signed() {
    // HMAC-SHA256 of `x` with the empty key.
    let header = "sha256=4cbc96099a6467ce002461f10549b4898265ebe6188b45efacc44293516e62c4";
    assert_eq!(verify(b"", b"x", Some(header)), Err(SignatureError::NoSecret));
}

fn event(action: &str) -> Value {
    json!({
        "action": action,
        "number": 7,
        "pull_request": {
            "html_url": "https://github.com/octo/demo/pull/7",
            "head": { "sha": HEAD, "repo": null },
            "draft": false,
        },
        "repository": { "id": 1296269, "full_name": "octo/demo" },
        "something_new": { "a": [1, 2, 3] },
    })
}

fn parse(event: &Value) -> Result<WebhookEvent, DeliveryError> {
    parse_github("pull_request", "github", event.to_string().as_bytes())
}

/// Returns true if the event counts as a change of a pull request, and false if the event is ignored.
fn marks(event: &Value) -> bool {
    match parse(event).unwrap() {
        WebhookEvent::Pull { .. } => true,
        WebhookEvent::Ignored { .. } => false,
        WebhookEvent::Ping | WebhookEvent::Comment(_) | WebhookEvent::Rerun(_) | WebhookEvent::Label(_) => {
            panic!("it is about a pull request")
        }
    }
}

#[test]
fn a_pull_request_event_names_everything_by_id() {
    let expected = WebhookEvent::Pull {
        pr: PrId { forge: "github".into(), repository: "1296269".into(), number: 7 },
        repo: "octo/demo".into(),
        name: "octo/demo#7".into(),
        url: "https://github.com/octo/demo/pull/7".into(),
        head: Some(Sha::parse(HEAD).unwrap()),
    };
    assert_eq!(parse(&event("opened")), Ok(expected));
}

#[test]
fn what_may_want_a_review_marks_and_other_actions_are_ignored() {
    for action in ["opened", "synchronize", "reopened", "ready_for_review", "converted_to_draft", "closed"] {
        assert!(marks(&event(action)), "{action}");
    }
    for action in ["edited", "unlabeled", "stacked", "synchronized", ""] {
        assert!(!marks(&event(action)), "{action}");
    }
    let mut edited = event("edited");
    edited["changes"] = json!({ "title": { "from": "old" } });
    assert!(!marks(&edited));
    edited["changes"]["base"] = json!({ "ref": { "from": "main" }, "sha": { "from": "2".repeat(40) } });
    assert!(marks(&edited));
}

#[test]
fn other_events_are_ignored_without_reading_the_body() {
    assert_eq!(parse_github("ping", "github", b"{"), Ok(WebhookEvent::Ping));
    for event in ["push", "status", "", "pull_request_review\n\u{1b}[31m"] {
        let Ok(WebhookEvent::Ignored { event_name }) = parse_github(event, "github", b"[[[") else {
            panic!("{event}")
        };
        assert!(
            event.starts_with(&event_name[..event_name.len().min(5)])
                && event_name.chars().all(|c| c.is_ascii_graphic())
        );
    }
}

#[test]
fn an_ignored_action_needs_no_other_field() {
    assert!(!marks(&json!({ "action": "unlabeled" })));
}

#[test]
fn a_label_is_told_with_its_name_and_who_set_it_is_not_read() {
    let mut labeled = event("labeled");
    labeled["label"] = json!({ "id": 4, "name": "truing:converge" });
    labeled["sender"] = json!("somebody");
    let pr = PrId { forge: "github".into(), repository: "1296269".into(), number: 7 };
    let expected = WebhookLabel { pr, repo: "octo/demo".into(), name: "truing:converge".into() };
    assert_eq!(parse(&labeled), Ok(WebhookEvent::Label(expected)));
    labeled["label"] = json!({});
    let Err(DeliveryError::Field { field, .. }) = parse(&labeled) else { panic!() };
    assert_eq!(field, "label.name");
}

#[test]
fn a_delivery_without_a_head_is_still_a_delivery() {
    for gone in [json!(null), json!({}), json!({ "sha": null, "repo": null })] {
        let mut event = event("closed");
        event["pull_request"]["head"] = gone;
        let WebhookEvent::Pull { head, .. } = parse(&event).unwrap() else { panic!() };
        assert_eq!(head, None);
    }
}

#[test]
fn a_wrong_field_is_named() {
    let cases = [
        ("/action", json!(7), "action"),
        ("/number", json!("7"), "number"),
        ("/number", json!(-7), "number"),
        ("/number", json!(1.5), "number"),
        ("/number", json!(18446744073709551616_f64), "number"),
        ("/number", json!(null), "number"),
        ("/number", json!(0), "number"),
        ("/number", json!(i64::MAX), "number"),
        ("/pull_request", json!([]), "pull_request"),
        ("/pull_request", json!(null), "pull_request"),
        ("/pull_request/html_url", json!("javascript:alert(1)"), "pull_request.html_url"),
        ("/pull_request/html_url", json!("https://x/\u{1b}[31m"), "pull_request.html_url"),
        ("/pull_request/html_url", json!(format!("https://x/{}", "a".repeat(3000))), "pull_request.html_url"),
        ("/pull_request/head/sha", json!("HEAD"), "pull_request.head.sha"),
        ("/pull_request/head/sha", json!({}), "pull_request.head.sha"),
        ("/repository/id", json!("1296269"), "repository.id"),
        ("/repository/id", json!(null), "repository.id"),
        ("/repository/full_name", json!("../.."), "repository.full_name"),
        ("/repository/full_name", json!("octo/demo/x"), "repository.full_name"),
        ("/repository/full_name", json!("octo"), "repository.full_name"),
        ("/repository/full_name", json!("octo/de mo"), "repository.full_name"),
    ];
    for (pointer, value, expected) in cases {
        let mut event = event("opened");
        *event.pointer_mut(pointer).unwrap() = value;
        let error = parse(&event).unwrap_err();
        let DeliveryError::Field { field, .. } = &error else { panic!("{pointer}: {error}") };
        assert_eq!(field, expected, "{error}");
    }
}

#[test]
fn what_is_not_json_is_said_to_be_so() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_field = format!(r#"{{"pull_request":{}}}"#, r#"{"head":"#.repeat(100_000));
    let cut = event("opened").to_string();
    let twice = format!("{cut}{cut}");
    for body in ["", "{", "payload=%7B%7D", &cut[..cut.len() - 1], &twice, "{\"number\":1e999}", &deep_field]
    {
        let error = parse_github("pull_request", "github", body.as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 400, "{error}");
    }
    assert!(parse_github("pull_request", "github", deep.as_bytes()).is_err());
    assert!(matches!(parse_github("pull_request", "github", b"{"), Err(DeliveryError::NotJson(_))));
    assert!(matches!(
        parse_github("pull_request", "github", twice.as_bytes()),
        Err(DeliveryError::NotJson(_))
    ));
}

fn comment() -> Value {
    json!({
        "action": "created",
        "issue": { "number": 7, "pull_request": { "url": "https://api.github.com/repos/octo/demo/pulls/7" } },
        "comment": { "id": 99, "body": "/review", "user": { "id": 5, "login": "ada" } },
        "repository": { "id": 1296269, "full_name": "octo/demo" },
    })
}

fn parse_comment(event: &Value) -> Result<WebhookEvent, DeliveryError> {
    parse_github("issue_comment", "github", event.to_string().as_bytes())
}

#[test]
fn a_new_comment_on_a_pull_request_is_taken_over() {
    let expected = WebhookComment {
        pr: PrId { forge: "github".into(), repository: "1296269".into(), number: 7 },
        repo: "octo/demo".into(),
        kind: CommentKind::Conversation,
        id: 99,
        body: "/review".into(),
    };
    assert_eq!(parse_comment(&comment()), Ok(WebhookEvent::Comment(expected)));
}

#[test]
fn a_new_comment_on_the_diff_is_taken_over() {
    let mut event = comment();
    event.as_object_mut().unwrap().remove("issue");
    event["pull_request"] = json!({ "number": 8 });
    event["comment"]["in_reply_to_id"] = 98.into();
    let parse =
        |event: &Value| parse_github("pull_request_review_comment", "github", event.to_string().as_bytes());
    let Ok(WebhookEvent::Comment(heard)) = parse(&event) else { panic!() };
    assert_eq!((heard.kind, heard.pr.number, heard.id), (CommentKind::Diff, 8, 99));
    event["pull_request"] = json!({});
    let Err(DeliveryError::Field { field, .. }) = parse(&event) else { panic!() };
    assert_eq!(field, "pull_request.number");
    event["action"] = "edited".into();
    let what = "pull_request_review_comment edited".into();
    assert_eq!(parse(&event), Ok(WebhookEvent::Ignored { event_name: what }));
}

#[test]
fn a_long_comment_is_cut_and_one_without_text_is_empty() {
    for (body, left) in [(json!("é".repeat(70_000)), MAX_COMMENT_CHARS), (json!(null), 0)] {
        let mut event = comment();
        event["comment"]["body"] = body;
        let Ok(WebhookEvent::Comment(comment)) = parse_comment(&event) else { panic!() };
        assert_eq!(comment.body.chars().count(), left);
    }
}

#[test]
fn other_comments_are_ignored() {
    let cases = [
        ("/action", json!("edited"), "issue_comment edited"),
        ("/action", json!("deleted"), "issue_comment deleted"),
        ("/issue/pull_request", json!(null), "issue_comment on an issue"),
    ];
    for (pointer, value, expected) in cases {
        let mut event = comment();
        *event.pointer_mut(pointer).unwrap() = value;
        assert_eq!(parse_comment(&event), Ok(WebhookEvent::Ignored { event_name: expected.into() }));
    }
}

#[test]
fn a_wrong_field_of_a_comment_is_named() {
    let cases = [
        ("/issue/number", json!(null), "issue.number"),
        ("/issue", json!(null), "issue"),
        ("/comment", json!(null), "comment"),
        ("/comment/id", json!("99"), "comment.id"),
        ("/repository/full_name", json!("octo"), "repository.full_name"),
    ];
    for (pointer, value, expected) in cases {
        let mut event = comment();
        *event.pointer_mut(pointer).unwrap() = value;
        let Err(DeliveryError::Field { field, .. }) = parse_comment(&event) else { panic!("{pointer}") };
        assert_eq!(field, expected);
    }
}

/// Returns an event in which a person requests a rerun of a check or a check suite.
fn rerun(event: &str) -> Value {
    let of = match event {
        "check_run" => json!({
            "name": "truing/review", "external_id": "pr/github/1296269/7#00ff", "app": { "id": 77 },
        }),
        _ => json!({ "head_sha": HEAD, "app": { "id": 77 }, "pull_requests": [] }),
    };
    json!({
        "action": "rerequested",
        event: of,
        "repository": { "id": 1296269, "full_name": "octo/demo" },
        "sender": { "id": 5, "login": "ada", "type": "User" },
    })
}

fn parse_rerun(name: &str, event: &Value) -> Result<WebhookEvent, DeliveryError> {
    parse_github(name, "github", event.to_string().as_bytes())
}

#[test]
fn a_check_of_ours_that_is_wanted_again_names_its_pull_request_and_a_suite_its_commit() {
    let pr = PrId { forge: "github".into(), repository: "1296269".into(), number: 7 };
    let head = Sha::parse(HEAD).unwrap();
    for (name, target) in [("check_run", RerunTarget::Pull(pr)), ("check_suite", RerunTarget::Head(head))] {
        let expected = CheckRerun {
            repository_id: "1296269".into(),
            repo: "octo/demo".into(),
            app_id: 77,
            target,
            account: AccountId::new("5"),
            login: "ada".into(),
        };
        let mut event = rerun(name);
        assert_eq!(parse_rerun(name, &event), Ok(WebhookEvent::Rerun(expected.clone())));
        event["action"] = "requested_action".into();
        event["requested_action"] = json!({ "identifier": "x" });
        assert_eq!(parse_rerun(name, &event), Ok(WebhookEvent::Rerun(expected)));
    }
}

#[test]
fn other_checks_and_other_news_of_ours_are_ignored() {
    let cases = [
        ("check_run", "/action", json!("completed")),
        ("check_run", "/action", json!("created")),
        ("check_suite", "/action", json!("requested")),
        ("check_run", "/check_run/name", json!("build")),
        ("check_run", "/check_run/external_id", json!(null)),
        ("check_run", "/check_run/external_id", json!("")),
        ("check_run", "/check_run/external_id", json!("pr/github/1296269/7")),
        ("check_run", "/check_run/external_id", json!("pr/other/1296269/7#00ff")),
        ("check_run", "/check_run/external_id", json!("pr/github/1/7#00ff")),
        ("check_run", "/sender/type", json!("Bot")),
        ("check_suite", "/sender/type", json!(null)),
    ];
    for (name, pointer, value) in cases {
        let mut event = rerun(name);
        *event.pointer_mut(pointer).unwrap() = value;
        let parsed = parse_rerun(name, &event);
        assert!(matches!(parsed, Ok(WebhookEvent::Ignored { .. })), "{pointer}: {parsed:?}");
    }
}

#[test]
fn a_wrong_field_of_a_check_is_named() {
    let cases = [
        ("check_run", "/check_run", json!(null), "check_run"),
        ("check_run", "/check_run/app", json!(null), "check_run.app.id"),
        ("check_suite", "/check_suite/app/id", json!("77"), "check_suite.app.id"),
        ("check_suite", "/check_suite/head_sha", json!("HEAD"), "check_suite.head_sha"),
        ("check_suite", "/check_suite/head_sha", json!(null), "check_suite.head_sha"),
        ("check_run", "/repository/full_name", json!("octo"), "repository.full_name"),
        ("check_run", "/sender", json!(null), "sender"),
        ("check_run", "/sender/id", json!(null), "sender.id"),
        ("check_run", "/sender/login", json!(""), "sender.login"),
        ("check_run", "/sender/login", json!("a\u{1b}[31m"), "sender.login"),
        ("check_run", "/sender/login", json!("a".repeat(101)), "sender.login"),
    ];
    for (name, pointer, value, expected) in cases {
        let mut event = rerun(name);
        *event.pointer_mut(pointer).unwrap() = value;
        let Err(DeliveryError::Field { field, .. }) = parse_rerun(name, &event) else { panic!("{pointer}") };
        assert_eq!(field, expected);
    }
}

#[test]
fn bytes_that_json_cannot_be_are_told_where() {
    let sound = event("opened").to_string();
    let bom = format!("\u{feff}{sound}");
    let mut latin = sound.clone().into_bytes();
    let at = sound.find("something_new").unwrap();
    latin[at] = 0xe9; // inside a field that is not read
    let trailing = format!("{sound} x");
    for (body, told) in [
        (bom.as_bytes(), "expected value"),
        (latin.as_slice(), &format!("byte {at} is not UTF-8")),
        (trailing.as_bytes(), "the body continues after the end of the JSON"),
    ] {
        let Err(DeliveryError::NotJson(problem)) = parse_github("pull_request", "github", body) else {
            panic!()
        };
        assert!(problem.contains(told), "{problem}");
    }
}

#[test]
fn a_field_that_is_read_comes_once_and_others_may_be_anything() {
    let sound = event("opened").to_string();
    let twice = sound.replacen('{', r#"{"number":7,"#, 1);
    let Err(DeliveryError::Field { problem, .. }) = parse_github("pull_request", "github", twice.as_bytes())
    else {
        panic!()
    };
    assert!(problem.contains("duplicate field `number`"), "{problem}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for other in [r#""x":1,"x":2"#, &format!(r#""x":{deep}"#), r#""x":1e99999"#, r#""x":-0.0e-400"#] {
        let body = sound.replacen('{', &format!("{{{other},"), 1);
        assert!(matches!(
            parse_github("pull_request", "github", body.as_bytes()),
            Ok(WebhookEvent::Pull { .. })
        ));
    }
}

#[test]
fn a_form_holds_its_json_once() {
    let json = event("opened").to_string();
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &json).finish();
    assert_eq!(extract_form_payload(form.as_bytes()).unwrap(), json.as_bytes());
    assert_eq!(extract_form_payload(b"payload=7&other=8").unwrap(), b"7".as_slice());
    for wrong in ["", "other=7", "payload=7&payload=8", &json] {
        assert!(matches!(extract_form_payload(wrong.as_bytes()), Err(DeliveryError::NotJson(_))), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body: Vec<u8>, event in ".*", header in ".*") {
        let _ = parse_github(&event, "github", &body);
        let _ = parse_github("pull_request", "github", &body);
        let _ = parse_github("issue_comment", "github", &body);
        let _ = parse_github("pull_request_review_comment", "github", &body);
        let _ = parse_github("check_run", "github", &body);
        let _ = extract_form_payload(&body);
        prop_assert!(verify(SECRET, &body, Some(&header)).is_err());
    }

    #[test]
    fn no_damaged_event_panics(at: prop::sample::Index, byte: u8) {
        let mut body = event("opened").to_string().into_bytes();
        *at.get_mut(body.as_mut_slice()) = byte;
        let _ = parse_github("pull_request", "github", &body);
    }
}
