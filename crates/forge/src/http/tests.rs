//! Tests of the handling of responses, over a real connection to a scripted server.

use std::time::Duration;

use truing_fakes::common::FakeSharedState;

use super::*;
use crate::testing::{
    CANARY, ManualClock, ScriptedHttpReply, Server, open_gate_permit, short_timeouts, test_timeouts,
};

struct Client {
    http: ForgeHttpClient,
    by: RequestAuthorization,
}

impl Client {
    fn at(api: &Url, clock: Arc<dyn Clock>) -> Self {
        Self::with(api, test_timeouts(), clock)
    }

    fn with(api: &Url, patience: HttpTimeouts, clock: Arc<dyn Clock>) -> Self {
        let by = RequestAuthorization::bearer(SecretString::new(CANARY), RateLimitOwner::Token).unwrap();
        let http = ForgeHttpClient::new(api, crate::github::http_dialect(api), patience, clock).unwrap();
        Self { http: http.with_permit(open_gate_permit()), by }
    }

    async fn send(&self, call: &ForgeRequest) -> Result<ForgeResponse, ForgeError> {
        self.http.send(&self.by, call).await
    }

    fn quota(&self) -> Option<RateQuota> {
        self.http.quota()
    }
}

fn client(server: &Server) -> Client {
    Client::at(&server.url(""), Arc::new(ManualClock::new(NOW)))
}

/// Returns a client with short timeouts.
fn impatient(server: &Server) -> Client {
    Client::with(&server.url(""), short_timeouts(), Arc::new(ManualClock::new(NOW)))
}

/// A time 15 minutes before the end of the rate-limit window in the tests' responses.
const NOW: UnixMillis = UnixMillis(1_795_161_300_000);

async fn get(reply: ScriptedHttpReply) -> ForgeError {
    let comes = reply != ScriptedHttpReply::no_response();
    let server = Server::new([reply.repeat_always()]).await;
    let client = if comes { client(&server) } else { impatient(&server) };
    let answer = client.send(&ForgeRequest::get("reading x", server.url("/x"))).await;
    let answer = answer.and_then(|answer| answer.json::<Value>());
    let error = answer.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    error
}

fn what() -> String {
    "reading x".to_owned()
}

fn limited(seconds: i64) -> ForgeError {
    ForgeError::RateLimited { request: what(), wait: truing_core::id::TimeSpan::seconds(seconds) }
}

fn forbidden(message: &str) -> ForgeError {
    ForgeError::Forbidden { request: what(), message: message.into() }
}

fn rejected(message: &str) -> ForgeError {
    ForgeError::Rejected { request: what(), message: message.into() }
}

#[tokio::test]
async fn every_refusal_has_its_meaning() {
    let date = ("date", "Fri, 20 Nov 2026 08:00:00 GMT"); // 1_795_161_600
    let spent = [date, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795162200")];
    let words = |message: &str| format!(r#"{{"message":"{message}","documentation_url":"https://x"}}"#);
    let secondary = words("You have exceeded a secondary rate limit. Please wait.");
    let strings =
        r#"{"message":"Unprocessable Entity","errors":["line must be part of the diff","b"],"status":"422"}"#;
    let objects = r#"{"message":"Validation Failed","errors":[{"resource":"IssueComment","code":"unprocessable",
        "field":"data","message":"Body is too long"},{"resource":"Review","code":"missing"},7]}"#;
    let table = [
        (ScriptedHttpReply::new(401, words("Bad credentials")), ForgeError::Unauthorized { request: what() }),
        (ScriptedHttpReply::new(403, words("Resource not accessible")), forbidden("Resource not accessible")),
        (ScriptedHttpReply::new(403, ""), forbidden("the forge gives no reason")),
        (
            ScriptedHttpReply::new(
                403,
                r#"{"type":"error","error":{"message":"Too few","detail":{"required":["account","team"],"granted":[]}}}"#,
            ),
            forbidden("Too few (the call requires the scopes account, team)"),
        ),
        (
            ScriptedHttpReply::new(403, r#"{"error":{"message":"Too few","detail":{"required":[]}}}"#),
            forbidden("Too few"),
        ),
        (
            ScriptedHttpReply::new(403, words("No"))
                .header("x-github-sso", "required; url=https://x/?authorization_request=CODE"),
            forbidden(
                "No (the organization requires single sign-on: authorize the token for single sign-on)",
            ),
        ),
        // The rejection is due to a missing permission, because calls remain and the message does not mention
        // a limit. The reset header has no effect.
        (
            ScriptedHttpReply::new(403, words("No"))
                .header("x-ratelimit-remaining", "7")
                .header("x-ratelimit-reset", "1795162200"),
            forbidden("No"),
        ),
        (ScriptedHttpReply::new(403, words("API rate limit exceeded")).headers(spent), limited(600)),
        (ScriptedHttpReply::new(429, "").headers(spent), limited(600)),
        (ScriptedHttpReply::new(403, secondary.clone()), limited(60)),
        (ScriptedHttpReply::new(403, secondary.clone()).header("retry-after", "17"), limited(17)),
        (ScriptedHttpReply::new(403, secondary).headers(spent).header("retry-after", "17"), limited(17)),
        (ScriptedHttpReply::new(403, words("You have triggered an abuse detection mechanism")), limited(60)),
        (ScriptedHttpReply::new(429, ""), limited(60)),
        (ScriptedHttpReply::new(429, "<html>").header("retry-after", "5"), limited(5)),
        (
            ScriptedHttpReply::new(429, "")
                .headers([date])
                .header("retry-after", "Fri, 20 Nov 2026 08:02:00 GMT"),
            limited(120),
        ),
        (ScriptedHttpReply::new(429, "").header("retry-after", "soon"), limited(60)),
        (ScriptedHttpReply::new(429, "").header("retry-after", "-5"), limited(1)),
        (ScriptedHttpReply::new(429, "").header("retry-after", "99999999999"), limited(3600)),
        (ScriptedHttpReply::new(404, words("Not Found")), ForgeError::NotFound { request: what() }),
        (ScriptedHttpReply::new(404, "404 page not found"), ForgeError::NotFound { request: what() }),
        (ScriptedHttpReply::new(410, ""), ForgeError::NotFound { request: what() }),
        (
            ScriptedHttpReply::new(301, "").header("location", "/repositories/1"),
            ForgeError::Moved { request: what() },
        ),
        (
            ScriptedHttpReply::new(307, "").header("location", "/repositories/1"),
            ForgeError::Moved { request: what() },
        ),
        (
            ScriptedHttpReply::new(422, strings),
            rejected("Unprocessable Entity; line must be part of the diff; b"),
        ),
        (
            ScriptedHttpReply::new(422, objects),
            rejected("Validation Failed; IssueComment data Body is too long; Review missing"),
        ),
        (ScriptedHttpReply::new(422, r#"{"message":"m","errors":"one"}"#), rejected("m; one")),
        (ScriptedHttpReply::new(422, r#"{"message":7,"errors":{"code":"c"}}"#), rejected("c")),
        (ScriptedHttpReply::new(422, r#"{"message":"a\u001b[31m\r\nb"}"#), rejected("a [31m b")),
        (ScriptedHttpReply::new(400, words("Problems parsing JSON")), rejected("Problems parsing JSON")),
        (ScriptedHttpReply::new(400, "<html>"), rejected("the forge gives no reason")),
        (
            ScriptedHttpReply::new(409, words("Conflict")),
            unavailable_error("reading x", "status 409: Conflict"),
        ),
        (
            ScriptedHttpReply::new(408, ""),
            unavailable_error("reading x", "status 408: the forge gives no reason"),
        ),
        (
            ScriptedHttpReply::new(500, "<html>"),
            unavailable_error("reading x", "status 500: the forge gives no reason"),
        ),
        (
            ScriptedHttpReply::new(500, words("Server Error")),
            unavailable_error("reading x", "status 500: Server Error"),
        ),
        (
            ScriptedHttpReply::new(503, ""),
            unavailable_error("reading x", "status 503: the forge gives no reason"),
        ),
    ];
    for (reply, expected) in table {
        let shown = format!("{reply:?}");
        assert_eq!(get(reply).await, expected, "{shown}");
    }
}

#[tokio::test]
async fn the_wait_counts_from_now_if_the_forge_names_no_date() {
    // The test server sends no date header.
    let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795162200")];
    assert_eq!(get(ScriptedHttpReply::new(403, "").headers(spent)).await, limited(900));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_may_have_been_done() {
    let table = [
        (ScriptedHttpReply::new(200, "<!DOCTYPE html><html>"), "HTML"),
        (ScriptedHttpReply::new(200, r#"{"id": 7, "body": "x"#), "cut off"),
        (ScriptedHttpReply::new(200, ""), "cut off"),
        (ScriptedHttpReply::new(200, "nonsense"), "not as expected"),
        (ScriptedHttpReply::new(200, "{}").broken_off(), "the connection broke"),
        (ScriptedHttpReply::hang_up(), "the connection broke"),
        (ScriptedHttpReply::no_response(), "no answer in time"),
        (
            ScriptedHttpReply::new(301, "").header("location", "https://elsewhere.example/a?b"),
            "redirects to https://elsewhere.example: ",
        ),
        // The server redirects to the requested URL.
        (ScriptedHttpReply::new(301, "").header("location", ""), "127.0.0.1"),
        (ScriptedHttpReply::new(302, ""), "redirects to nowhere"),
        (ScriptedHttpReply::new(304, ""), "redirects to nowhere"),
    ];
    for (reply, expected) in table {
        let shown = format!("{reply:?}");
        let error = get(reply).await;
        assert!(!error.has_no_effect(), "{shown}: {error}");
        assert!(error.to_string().contains(expected), "{shown}: {error}");
        let cause = match expected {
            "no answer in time" => UnavailableCause::TimedOut,
            _ => UnavailableCause::InvalidAnswer,
        };
        assert!(
            matches!(&error, ForgeError::Unavailable { cause: found, .. } if *found == cause),
            "{shown}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let server = Server::new([]).await;
    let gone = server.url("/x");
    server.stop().await;
    let http = Client::at(&gone, Arc::new(ManualClock::new(NOW)));
    let error = http.send(&ForgeRequest::get("reading x", gone.clone())).await.err().unwrap();
    assert!(
        error.to_string().starts_with(&format!("reading x: cannot connect to {}:", url_origin(&gone))),
        "{error}"
    );
    assert!(
        matches!(&error, ForgeError::Unavailable { cause: UnavailableCause::NotConnected, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let big = "x".repeat(MAX_RESPONSE_BYTES + 1);
    let error = get(ScriptedHttpReply::new(200, big.clone())).await;
    assert!(error.to_string().contains("larger than"), "{error}");
    assert_eq!(get(ScriptedHttpReply::new(422, big)).await, rejected("the forge gives no reason"));
}

#[tokio::test]
async fn a_token_that_the_forge_repeats_is_not_repeated() {
    let echo = format!(r#"{{"message":"bad token {CANARY}","errors":["Bearer {CANARY}"]}}"#);
    assert_eq!(get(ScriptedHttpReply::new(422, echo)).await, rejected("bad token [token]; Bearer [token]"));
    get(ScriptedHttpReply::new(200, format!(r#""{CANARY}"#))).await;
    get(ScriptedHttpReply::new(302, "").header("location", &format!("https://{CANARY}.example/"))).await;
    let wrong_type =
        Server::new([ScriptedHttpReply::new(200, format!(r#""{CANARY}""#)).repeat_always()]).await;
    let answer = client(&wrong_type).send(&ForgeRequest::get("x", wrong_type.url("/"))).await.unwrap();
    let error = answer.json::<u64>().unwrap_err();
    assert!(!error.to_string().contains(CANARY), "{error}");
    let client = client(&wrong_type);
    assert!(!format!("{:?} {:?}", client.http, client.by).contains(CANARY));
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_unseen() {
    let error = RequestAuthorization::bearer(SecretString::new(format!("{CANARY}\n")), RateLimitOwner::Token)
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[tokio::test]
async fn every_request_says_who_asks() {
    let server = Server::new([ScriptedHttpReply::new(200, "{}")]).await;
    client(&server).send(&ForgeRequest::get("x", server.url("/x"))).await.unwrap();
    let request = server.requests().remove(0);
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("authorization"), Some(format!("Bearer {CANARY}")));
    assert_eq!(header("user-agent"), Some(format!("truing/{}", env!("CARGO_PKG_VERSION"))));
    assert_eq!(header("x-github-api-version").as_deref(), Some("2022-11-28"));
    assert_eq!(header("accept").as_deref(), Some("application/vnd.github+json"));
}

#[tokio::test]
async fn harmless_calls_are_repeated_and_creating_ones_are_not() {
    let passing = [
        ScriptedHttpReply::new(502, ""),
        ScriptedHttpReply::new(503, ""),
        ScriptedHttpReply::new(504, ""),
        ScriptedHttpReply::hang_up(),
    ];
    for reply in passing {
        let shown = format!("{reply:?}");
        for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
            let server = Server::new([reply.clone(), reply.clone(), ScriptedHttpReply::new(200, "{}")]).await;
            let call = ForgeRequest::set("x", method, server.url("/x"), None);
            assert!(client(&server).send(&call).await.is_ok(), "{shown}");
            assert_eq!(server.requests().len(), 3, "{shown}");
        }
        let server = Server::new([reply.clone(), ScriptedHttpReply::new(200, "{}")]).await;
        let call = ForgeRequest::create("x", server.url("/x"), Value::Null);
        assert!(client(&server).send(&call).await.is_err(), "{shown}");
        assert_eq!(server.requests().len(), 1, "{shown}");

        let server = Server::new([reply.repeat_always()]).await;
        assert!(client(&server).send(&ForgeRequest::get("x", server.url("/x"))).await.is_err(), "{shown}");
        assert_eq!(server.requests().len(), 1 + MAX_RETRIES as usize, "{shown}");
    }
    for lasting in
        [ScriptedHttpReply::new(500, ""), ScriptedHttpReply::new(429, ""), ScriptedHttpReply::new(404, "")]
    {
        let server = Server::new([lasting, ScriptedHttpReply::new(200, "{}")]).await;
        assert!(client(&server).send(&ForgeRequest::get("x", server.url("/x"))).await.is_err());
        assert_eq!(server.requests().len(), 1);
    }
    let silent = Server::new([ScriptedHttpReply::no_response(), ScriptedHttpReply::new(200, "{}")]).await;
    assert!(impatient(&silent).send(&ForgeRequest::get("x", silent.url("/x"))).await.is_err());
    assert_eq!(silent.requests().len(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::new([ScriptedHttpReply::new(200, "{}").repeat_always()]).await;
    let server = Server::new([ScriptedHttpReply::new(307, "")
        .header("location", elsewhere.url("/y").as_str())
        .repeat_always()])
    .await;
    assert!(client(&server).send(&ForgeRequest::get("x", server.url("/x"))).await.is_err());
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn the_rate_limit_can_be_read() {
    let told = |status, left: &str, of: &str| {
        ScriptedHttpReply::new(status, "{}").headers([
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", left),
            ("x-ratelimit-reset", "1795162200"),
            ("x-ratelimit-resource", of),
        ])
    };
    let replies = [
        told(200, "41", "core"),
        told(200, "4999", "graphql"),
        ScriptedHttpReply::new(200, "{}"),
        told(404, "40", "core"),
    ];
    let server = Server::new(replies).await;
    let http = client(&server);
    assert_eq!(http.quota(), None);
    for remaining in [41, 41, 41, 40] {
        let _ = http.send(&ForgeRequest::get("x", server.url("/x"))).await;
        let reset = UnixMillis(1_795_162_200_000);
        assert_eq!(http.quota(), Some(RateQuota { limit: 5000, remaining, reset }));
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_an_error_if_it_was_asked_so() {
    let first = ScriptedHttpReply::new(200, "[1]").header("etag", "W/\"a\"");
    let server = Server::new([first, ScriptedHttpReply::new(304, "")]).await;
    let http = client(&server);
    let fresh = http.send(&ForgeRequest::get("x", server.url("/x"))).await.unwrap();
    assert!(!fresh.is_unchanged());
    let again =
        http.send(&ForgeRequest::get("x", server.url("/x")).if_none_match(fresh.etag())).await.unwrap();
    assert!(again.is_unchanged());
    let requests = server.requests();
    assert_eq!(requests[0].headers.get("if-none-match"), None);
    assert_eq!(requests[1].headers.get("if-none-match").unwrap(), "W/\"a\"");
}

#[tokio::test]
async fn processes_that_share_limits_send_together_what_one_may() {
    let server = Server::new([ScriptedHttpReply::new(201, "{}").repeat_always()]).await;
    let (api, clock) = (server.url(""), Arc::new(ManualClock::new(NOW)));
    let common = FakeSharedState::new(clock.clone());
    const THREE: &[(usize, TimeSpan)] = &[(3, TimeSpan::minutes(1))];
    let wire = HttpDialect { creation_limits: THREE, ..crate::github::http_dialect(&api) };
    let process = |login: &str| {
        let http = ForgeHttpClient::new(&api, wire, test_timeouts(), clock.clone()).unwrap();
        http.with_shared_limits(Arc::new(common.clone()), &api, login).with_permit(open_gate_permit())
    };
    let (one, other, stranger) = (process("token/1"), process("token/1"), process("token/2"));
    let by = RequestAuthorization::bearer(SecretString::new(CANARY), RateLimitOwner::Token).unwrap();
    let call = ForgeRequest::create("making x", server.url("/x"), Value::Null);
    let send = async |http: &ForgeHttpClient| http.send(&by, &call).await.is_ok();
    let sent = [send(&one).await, send(&other).await, send(&one).await, send(&other).await, send(&one).await];
    assert_eq!((sent, server.requests().len()), ([true, true, true, false, false], 3));
    assert!(send(&stranger).await, "another login has its own");
    // From here on, the shared state is unreachable, but calls still succeed.
    common.set_unreachable(true);
    clock.pass(TimeSpan::minutes(1));
    assert!(send(&one).await && send(&one).await && send(&one).await);
    assert!(!send(&one).await && send(&other).await);
    assert_eq!(common.names(), [format!("limits:{api}:token/1"), format!("limits:{api}:token/2")]);
}

#[test]
fn waiting_is_bounded() {
    let patience = HttpTimeouts::default();
    assert!(patience.connect <= patience.total && patience.read <= patience.total);
    assert!(patience.total <= Duration::from_secs(60));
}
