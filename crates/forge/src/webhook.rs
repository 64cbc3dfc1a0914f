//! Webhooks of GitHub: is this delivery signed by someone who has the secret, and what does it say?
//!
//! Both are pure. A delivery only marks a slot (design.md section 2), so little of it is read, and all of that is
//! data from people: names are checked for their form, unknown events, actions and fields are let pass, and
//! nothing in a body can do more than cause one look at the forge.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use truing_core::id::{PrId, Sha};
use truing_core::port::Revision;
use url::Url;

use crate::github::is_repository_name;

/// The longest page address that is taken over, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// How much of a foreign word (event, action) is repeated, in characters.
const MAX_WORD_CHARS: usize = 60;
/// How much of a parser's complaint is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;

/// Why a delivery is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsigned {
    /// No secret is configured, so nobody can sign.
    #[error("no webhook secret is configured: no delivery can be accepted")]
    NoSecret,
    /// There is no signature.
    #[error("the delivery has no X-Hub-Signature-256 header: set the hook's secret at the forge")]
    Missing,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the X-Hub-Signature-256 header is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// It was made with another secret or over another body.
    #[error(
        "the signature does not match: the hook's secret and the configured one differ, or the body was changed"
    )]
    Wrong,
}

/// Checks the value of `X-Hub-Signature-256` against the raw body, in constant time.
///
/// The algorithm is fixed by the route, never chosen by the header. Hexadecimal digits may be of either case:
/// they stand for the same bytes.
///
/// # Errors
/// [`Unsigned`]; without a secret every delivery is unsigned.
pub fn verify_github(secret: &[u8], body: &[u8], signature_header: Option<&str>) -> Result<(), Unsigned> {
    if secret.is_empty() {
        return Err(Unsigned::NoSecret);
    }
    let digits = signature_header.ok_or(Unsigned::Missing)?.strip_prefix("sha256=");
    let signature = digits.and_then(|digits| hex::decode(digits).ok()).ok_or(Unsigned::Malformed)?;
    if signature.len() != 32 {
        return Err(Unsigned::Malformed);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Unsigned::NoSecret)?;
    mac.update(body);
    mac.verify_slice(&signature).map_err(|_| Unsigned::Wrong)
}

/// What a delivery says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hook {
    /// Something about a pull request that may want a review.
    Pull {
        /// Which.
        pr: PrId,
        /// `owner/name` at the time.
        repo: String,
        /// `owner/name#7`, for people.
        name: String,
        /// Its page.
        url: String,
        /// What happened.
        change: Change,
        /// Head and base when it happened, if told. Late by nature: good for suppressing work, not for doing it.
        revision: Option<Revision>,
    },
    /// The hook was set up.
    Ping,
    /// Nothing that concerns us.
    Ignored {
        /// The event and action, cleaned.
        what: String,
    },
}

/// What happened to a pull request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is new.
    Opened,
    /// Its head moved.
    Pushed,
    /// It is open again.
    Reopened,
    /// It is no longer a draft.
    Ready,
    /// It is a draft again.
    Drafted,
    /// It goes to another branch.
    BaseChanged,
    /// It was merged or closed.
    Closed,
}

/// Why a signed delivery cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHook {
    /// Not JSON, or nested beyond reason.
    #[error("the delivery is not JSON: {0}")]
    NotJson(String),
    /// A field is missing or has another type or form.
    #[error("the delivery's field `{field}` {problem}")]
    Field {
        /// Its path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The fields that are read. All may be absent: which are needed depends on the action. Unknown fields pass.
#[derive(Deserialize)]
struct PullEvent {
    action: Option<String>,
    number: Option<u64>,
    pull_request: Option<PullBody>,
    repository: Option<RepositoryBody>,
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct PullBody {
    html_url: Option<String>,
    head: Option<Tip>,
    base: Option<Tip>,
}

/// `repo` is not read: it is null when the fork is gone.
#[derive(Deserialize)]
struct Tip {
    sha: Option<String>,
}

#[derive(Deserialize)]
struct RepositoryBody {
    id: Option<u64>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct Changes {
    base: Option<serde::de::IgnoredAny>,
}

/// Reads a delivery whose signature was verified. `event` is the value of `X-GitHub-Event`, `forge_name` the
/// `NAME` of `[forge.NAME]` that the route belongs to.
///
/// A Gitea server signs like GitHub and sends GitHub's headers too; its deliveries are read as far as they look
/// the same (its word for a push differs and is ignored).
///
/// # Errors
/// [`BadHook`] if the body is not JSON, or a field that is needed is missing or wrong.
pub fn parse_github(event: &str, forge_name: &str, body: &[u8]) -> Result<Hook, BadHook> {
    match event {
        "ping" => Ok(Hook::Ping),
        "pull_request" => parse_pull(forge_name, body),
        other => Ok(Hook::Ignored { what: word(other) }),
    }
}

fn parse_pull(forge_name: &str, body: &[u8]) -> Result<Hook, BadHook> {
    let event: PullEvent = read(body)?;
    let action = event.action.ok_or_else(|| missing("action"))?;
    let base_changed = event.changes.is_some_and(|changes| changes.base.is_some());
    let change = match action.as_str() {
        "opened" => Change::Opened,
        "synchronize" => Change::Pushed,
        "reopened" => Change::Reopened,
        "ready_for_review" => Change::Ready,
        "converted_to_draft" => Change::Drafted,
        "edited" if base_changed => Change::BaseChanged,
        "closed" => Change::Closed,
        other => return Ok(Hook::Ignored { what: format!("pull_request {}", word(other)) }),
    };

    let number = event.number.ok_or_else(|| missing("number"))?;
    let repository = event.repository.ok_or_else(|| missing("repository"))?;
    let id = repository.id.ok_or_else(|| missing("repository.id"))?;
    let repo = repository.full_name.ok_or_else(|| missing("repository.full_name"))?;
    if !is_repository_name(&repo) {
        return Err(wrong("repository.full_name", "is not `owner/name`"));
    }
    let pull = event.pull_request.ok_or_else(|| missing("pull_request"))?;
    let url = pull.html_url.ok_or_else(|| missing("pull_request.html_url"))?;
    if !is_page(&url) {
        return Err(wrong("pull_request.html_url", "is not the address of a page"));
    }
    let head = tip("pull_request.head.sha", pull.head)?;
    let base = tip("pull_request.base.sha", pull.base)?;
    Ok(Hook::Pull {
        pr: PrId { forge: forge_name.to_owned(), repository: id.to_string(), number },
        name: format!("{repo}#{number}"),
        repo,
        url,
        change,
        revision: head.zip(base).map(|(head, base)| Revision { head, base }),
    })
}

/// Reads the fields, and only if that fails a second time with a record of where it fails.
fn read(body: &[u8]) -> Result<PullEvent, BadHook> {
    if let Ok(event) = serde_json::from_slice(body) {
        return Ok(event);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let problem = match serde_path_to_error::deserialize::<_, PullEvent>(&mut json) {
        Err(error) if error.inner().is_data() => {
            let problem = format!("is wrong: {}", clean(&error.inner().to_string()));
            return Err(wrong(&clean(&error.path().to_string()), &problem));
        }
        Err(error) => error.into_inner().to_string(),
        Ok(_) => "something follows the JSON".to_owned(),
    };
    Err(BadHook::NotJson(clean(&problem)))
}

fn tip(field: &str, tip: Option<Tip>) -> Result<Option<Sha>, BadHook> {
    let Some(sha) = tip.and_then(|tip| tip.sha) else {
        return Ok(None);
    };
    Sha::parse(&sha).map(Some).map_err(|_| wrong(field, "is not a full commit id"))
}

fn is_page(url: &str) -> bool {
    let scheme = Url::parse(url).map(|url| url.scheme().to_owned());
    url.len() <= MAX_URL_BYTES
        && scheme.is_ok_and(|scheme| scheme == "https" || scheme == "http")
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn missing(field: &str) -> BadHook {
    wrong(field, "is missing")
}

fn wrong(field: &str, problem: &str) -> BadHook {
    BadHook::Field { field: field.to_owned(), problem: problem.to_owned() }
}

/// A foreign word for a log line: visible ASCII, cut.
fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(MAX_WORD_CHARS).collect()
}

/// A parser's complaint, which may quote the body: no control characters, cut.
fn clean(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"It's a Secret to Everybody";
    /// GitHub's published example, and the one of another forge with the same algorithm.
    const VECTORS: [(&[u8], &str); 2] = [
        (b"Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        (b"Hello World!", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"),
    ];
    const HEAD: &str = "1111111111111111111111111111111111111111";
    const BASE: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn published_signatures_verify_in_either_case() {
        for (body, digits) in VECTORS {
            assert_eq!(verify_github(SECRET, body, Some(&format!("sha256={digits}"))), Ok(()));
            let upper = format!("sha256={}", digits.to_ascii_uppercase());
            assert_eq!(verify_github(SECRET, body, Some(&upper)), Ok(()));
        }
    }

    #[test]
    fn everything_else_is_unsigned() {
        let (body, digits) = VECTORS[0];
        let sha1 = format!("sha1={}", "0".repeat(40));
        let cases = [
            (None, Unsigned::Missing),
            (Some(String::new()), Unsigned::Malformed),
            (Some(digits.to_owned()), Unsigned::Malformed),
            (Some(sha1), Unsigned::Malformed),
            (Some(format!("sha1={digits}")), Unsigned::Malformed),
            (Some(format!("SHA256={digits}")), Unsigned::Malformed),
            (Some("sha256=".into()), Unsigned::Malformed),
            (Some(format!("sha256={}", &digits[..62])), Unsigned::Malformed),
            (Some(format!("sha256={}", &digits[..63])), Unsigned::Malformed),
            (Some(format!("sha256={digits}00")), Unsigned::Malformed),
            (Some(format!("sha256={digits}, sha256={digits}")), Unsigned::Malformed),
            (Some(format!("sha256={}", "g".repeat(64))), Unsigned::Malformed),
            (Some(format!("sha256={}", "0".repeat(64))), Unsigned::Wrong),
        ];
        for (header, error) in cases {
            assert_eq!(verify_github(SECRET, body, header.as_deref()), Err(error), "{header:?}");
        }
        let right = format!("sha256={digits}");
        assert_eq!(verify_github(b"another", body, Some(&right)), Err(Unsigned::Wrong));
        assert_eq!(verify_github(SECRET, b"Hello, World?", Some(&right)), Err(Unsigned::Wrong));
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap().chain_update(b"x");
        let header = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(verify_github(b"", b"x", Some(&header)), Err(Unsigned::NoSecret));
    }

    fn event(action: &str) -> Value {
        json!({
            "action": action,
            "number": 7,
            "pull_request": {
                "html_url": "https://github.com/octo/demo/pull/7",
                "head": { "sha": HEAD, "repo": null },
                "base": { "sha": BASE, "repo": { "id": 1296269 } },
                "draft": false,
            },
            "repository": { "id": 1296269, "full_name": "octo/demo" },
            "something_new": { "a": [1, 2, 3] },
        })
    }

    fn parse(event: &Value) -> Result<Hook, BadHook> {
        parse_github("pull_request", "github", event.to_string().as_bytes())
    }

    fn change(event: &Value) -> Option<Change> {
        match parse(event).unwrap() {
            Hook::Pull { change, .. } => Some(change),
            Hook::Ignored { .. } => None,
            Hook::Ping => panic!("not a ping"),
        }
    }

    #[test]
    fn a_pull_request_event_names_everything_by_id() {
        let expected = Hook::Pull {
            pr: PrId { forge: "github".into(), repository: "1296269".into(), number: 7 },
            repo: "octo/demo".into(),
            name: "octo/demo#7".into(),
            url: "https://github.com/octo/demo/pull/7".into(),
            change: Change::Opened,
            revision: Some(Revision { head: Sha::parse(HEAD).unwrap(), base: Sha::parse(BASE).unwrap() }),
        };
        assert_eq!(parse(&event("opened")), Ok(expected));
    }

    #[test]
    fn each_action_has_its_meaning_and_unknown_ones_are_ignored() {
        let table = [
            ("opened", Some(Change::Opened)),
            ("synchronize", Some(Change::Pushed)),
            ("reopened", Some(Change::Reopened)),
            ("ready_for_review", Some(Change::Ready)),
            ("converted_to_draft", Some(Change::Drafted)),
            ("closed", Some(Change::Closed)),
            ("edited", None),
            ("labeled", None),
            ("stacked", None),
            ("synchronized", None),
            ("", None),
        ];
        for (action, expected) in table {
            assert_eq!(change(&event(action)), expected, "{action}");
        }
        let mut edited = event("edited");
        edited["changes"] = json!({ "title": { "from": "old" } });
        assert_eq!(change(&edited), None);
        edited["changes"]["base"] = json!({ "ref": { "from": "main" }, "sha": { "from": BASE } });
        assert_eq!(change(&edited), Some(Change::BaseChanged));
    }

    #[test]
    fn other_events_are_ignored_without_reading_the_body() {
        assert_eq!(parse_github("ping", "github", b"{"), Ok(Hook::Ping));
        for event in ["push", "check_run", "", "pull_request_review\n\u{1b}[31m"] {
            let Ok(Hook::Ignored { what }) = parse_github(event, "github", b"[[[") else { panic!("{event}") };
            assert!(
                event.starts_with(&what[..what.len().min(5)]) && what.chars().all(|c| c.is_ascii_graphic())
            );
        }
    }

    #[test]
    fn an_ignored_action_needs_no_other_field() {
        assert_eq!(change(&json!({ "action": "labeled" })), None);
    }

    #[test]
    fn a_delivery_without_commits_is_still_a_delivery() {
        for gone in [json!(null), json!({}), json!({ "sha": null, "repo": null })] {
            let mut event = event("closed");
            event["pull_request"]["head"] = gone;
            let Hook::Pull { revision, .. } = parse(&event).unwrap() else { panic!() };
            assert_eq!(revision, None);
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
            ("/pull_request", json!([]), "pull_request"),
            ("/pull_request", json!(null), "pull_request"),
            ("/pull_request/html_url", json!("javascript:alert(1)"), "pull_request.html_url"),
            ("/pull_request/html_url", json!("https://x/\u{1b}[31m"), "pull_request.html_url"),
            (
                "/pull_request/html_url",
                json!(format!("https://x/{}", "a".repeat(3000))),
                "pull_request.html_url",
            ),
            ("/pull_request/head/sha", json!("HEAD"), "pull_request.head.sha"),
            ("/pull_request/head/sha", json!({}), "pull_request.head.sha"),
            ("/pull_request/base/sha", json!("2222222"), "pull_request.base.sha"),
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
            let BadHook::Field { field, .. } = &error else { panic!("{pointer}: {error}") };
            assert_eq!(field, expected, "{error}");
        }
    }

    #[test]
    fn what_is_not_json_is_said_to_be_so() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_field = format!(r#"{{"pull_request":{}}}"#, r#"{"head":"#.repeat(100_000));
        let cut = event("opened").to_string();
        let twice = format!("{cut}{cut}");
        for body in
            ["", "{", "payload=%7B%7D", &cut[..cut.len() - 1], &twice, "{\"number\":1e999}", &deep_field]
        {
            let error = parse_github("pull_request", "github", body.as_bytes()).unwrap_err();
            assert!(error.to_string().len() < 400, "{error}");
        }
        assert!(parse_github("pull_request", "github", deep.as_bytes()).is_err());
        assert!(matches!(parse_github("pull_request", "github", b"{"), Err(BadHook::NotJson(_))));
        assert!(matches!(parse_github("pull_request", "github", twice.as_bytes()), Err(BadHook::NotJson(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>, event in ".*", header in ".*") {
            let _ = parse_github(&event, "github", &body);
            let _ = parse_github("pull_request", "github", &body);
            prop_assert!(verify_github(SECRET, &body, Some(&header)).is_err());
        }

        #[test]
        fn no_damaged_event_panics(at: prop::sample::Index, byte: u8) {
            let mut body = event("opened").to_string().into_bytes();
            *at.get_mut(body.as_mut_slice()) = byte;
            let _ = parse_github("pull_request", "github", &body);
        }
    }
}
