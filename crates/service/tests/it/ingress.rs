//! Tests the ingress with different clients: slow, half closed, pipelining, old and hostile. The tests use
//! raw sockets and a service with short limits. Each response must be the defined one.

use crate::support::site;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use truing_core::port::OperatorStore as _;
use truing_core::switch::SwitchRequest;
use truing_fakes::forge::sign_sha256;
use truing_service::ingress::{IngressSettings, MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS};

use site::{FORGE, Running, SECRET, Site, limits, settings};

/// A timeout that is short enough for a test to wait for, and long enough for the other steps of the test on
/// a busy machine.
const SHORT: Duration = Duration::from_millis(300);
/// Maximum wait for an event that must happen; after that time, the test fails.
const PATIENCE: Duration = crate::support::HANGS;

/// Starts a service whose ingress settings the function `of` changes.
async fn serve(site: &Site, of: impl FnOnce(&mut IngressSettings)) -> Running {
    let mut settings = settings();
    of(&mut settings);
    site.serve_as(settings, limits()).await
}

async fn connect(service: &Running) -> TcpStream {
    TcpStream::connect(service.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Reads everything that the service sends until the connection is closed.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset after the response also counts as a close.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it closes");
    String::from_utf8_lossy(&said).into_owned()
}

/// Reads one whole response and leaves the connection open. Returns the status line and the body.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    whole_answer(stream).await.unwrap()
}

/// Reads one complete response. If the connection is closed earlier, the error contains the data that arrived
/// before.
async fn whole_answer(stream: &mut TcpStream) -> Result<(String, String), String> {
    let mut said = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Ok((head.lines().next().unwrap().to_owned(), body.to_owned()));
            }
        }
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut byte)).await.expect("it answers");
        read.map_err(|error| format!("{error} after {text}"))?;
        said.push(byte[0]);
    }
}

/// Returns the header of a signed delivery; the test sends the body later.
fn head(event: &str, body: &[u8], more: &str) -> String {
    let signature = sign_sha256(SECRET, body);
    format!(
        "POST /webhooks/{FORGE} HTTP/1.1\r\nhost: x\r\nx-github-event: {event}\r\n\
         x-hub-signature-256: sha256={signature}\r\n{more}\r\n"
    )
}

/// Returns a complete delivery; the event must be one that has no effect.
fn delivery(event: &str, body: &[u8], more: &str) -> Vec<u8> {
    let length = format!("content-length: {}\r\n{more}", body.len());
    [head(event, body, &length).as_bytes(), body].concat()
}

/// Sends one request over a new connection, and returns the status line and the body of the response.
async fn ask(service: &Running, request: &[u8]) -> (String, String) {
    let mut stream = connect(service).await;
    stream.write_all(request).await.unwrap();
    answer(&mut stream).await
}

async fn status(service: &Running, request: &[u8]) -> String {
    ask(service, request).await.0.strip_prefix("HTTP/1.1 ").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_finish_are_let_go() {
    let site = Site::new().await;
    let service = serve(&site, |settings| settings.bounds.header_timeout = SHORT).await;
    let mut idle = connect(&service).await;
    let mut slow_header = connect(&service).await;
    // The server may close the connection before the client has sent everything.
    let _ = slow_header.write_all(b"POST /webhooks/fake HTTP/1.1\r\nhost: x\r\nx-a: ").await;
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut slow_header).await, "");
    service.stop().await;

    let service = serve(&site, |settings| {
        settings.bounds.body_idle_timeout = SHORT;
        settings.bounds.body_timeout = SHORT * 4;
    })
    .await;
    let mut slow_body = connect(&service).await;
    slow_body.write_all(head("ping", b"{}", "content-length: 2\r\n").as_bytes()).await.unwrap();
    slow_body.write_all(b"{").await.unwrap();
    let said = rest(&mut slow_body).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.ends_with(r#"{"error":"too_slow"}"#), "{said}");

    // A client that sends single bytes without a pause is also rejected, because the time for the whole body
    // is limited.
    let mut dripping = connect(&service).await;
    dripping.write_all(head("ping", b"", "content-length: 100000\r\n").as_bytes()).await.unwrap();
    let (mut from, mut to) = dripping.into_split();
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(SHORT / 6);
        while to.write_all(b" ").await.is_ok() {
            tick.tick().await;
        }
    });
    let mut said = String::new();
    let _ = tokio::time::timeout(PATIENCE, from.read_to_string(&mut said)).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    drip.abort();
    service.stop().await;
}

/// Starts a service with a time limit of a few seconds, which `bound` sets. Opens a connection over which the
/// service answers `times` requests. If a busy machine needs more time than the limit, starts another service
/// with a longer limit.
async fn used(site: &Site, times: usize, bound: fn(&mut IngressSettings, Duration)) -> (Running, TcpStream) {
    let ping = delivery("ping", b"{}", "");
    let mut a_while = Duration::from_secs(3);
    loop {
        let service = serve(site, |settings| bound(settings, a_while)).await;
        let mut stream = connect(&service).await;
        let mut answers = 0;
        while answers < times && stream.write_all(&ping).await.is_ok() {
            let Ok((status, body)) = whole_answer(&mut stream).await else { break };
            assert_eq!((&*status, &*body), ("HTTP/1.1 202 Accepted", r#"{"status":"pong"}"#));
            answers += 1;
        }
        if answers == times {
            return (service, stream);
        }
        a_while *= 5;
        assert!(a_while < PATIENCE, "it is closed after {answers} answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_until_it_is_idle_or_old() {
    let site = Site::new().await;
    let (_service, mut stream) =
        used(&site, 1, |settings, a_while| settings.bounds.max_connection_age = a_while).await;
    assert_eq!(rest(&mut stream).await, "", "old, though the limit for a header is not over");

    let (_service, mut stream) =
        used(&site, 3, |settings, a_while| settings.bounds.header_timeout = a_while).await;
    assert_eq!(rest(&mut stream).await, "", "idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_come_in_many_forms() {
    let site = Site::new().await;
    let service = site.serve().await;
    let ping = delivery("ping", b"{}", "");

    // The service answers pipelined requests in their order.
    let mut piped = connect(&service).await;
    let unknown = delivery("gollum", b"[]", "");
    piped.write_all(&[ping.clone(), unknown, ping.clone()].concat()).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        bodies.push(answer(&mut piped).await.1);
    }
    assert_eq!(bodies[0], r#"{"status":"pong"}"#);
    assert_eq!(bodies[1], r#"{"status":"ignored","what":"gollum"}"#);
    assert_eq!(bodies[2], bodies[0]);

    // A client that closes its sending half gets the response.
    let mut half = connect(&service).await;
    half.write_all(&ping).await.unwrap();
    half.shutdown().await.unwrap();
    assert!(rest(&mut half).await.ends_with(r#"{"status":"pong"}"#));

    // An incomplete request has no effect.
    let mut cut = connect(&service).await;
    cut.write_all(&ping[..ping.len() - 1]).await.unwrap();
    cut.shutdown().await.unwrap();
    let said = rest(&mut cut).await;
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains(r#""cut_off""#), "{said}");

    // An HTTP/1.0 request without a `Host` header.
    let old = String::from_utf8(ping.clone()).unwrap().replace("HTTP/1.1\r\nhost: x\r\n", "HTTP/1.0\r\n");
    let mut stream = connect(&service).await;
    stream.write_all(old.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.0 202 ") && said.ends_with(r#"{"status":"pong"}"#), "{said}");

    // A request with chunked transfer encoding.
    let chunks = "transfer-encoding: chunked\r\n";
    let chunked = head("ping", b"{ }", chunks) + "2\r\n{ \r\n1\r\n}\r\n0\r\n\r\n";
    assert_eq!(status(&service, chunked.as_bytes()).await, "202 Accepted");
    let malformed = head("ping", b"{}", chunks) + "zz\r\n";
    assert_eq!(status(&service, malformed.as_bytes()).await, "400 Bad Request");

    // A request whose body is an encoded form.
    let form = b"payload=%7B%22zen%22%3A1%7D";
    let kind = "content-type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    assert_eq!(status(&service, &delivery("ping", form, kind)).await, "202 Accepted");
    assert_eq!(status(&service, &delivery("pull_request", b"x=1", kind)).await, "400 Bad Request");
    let kind = "content-type: text/xml\r\n";
    assert_eq!(status(&service, &delivery("ping", b"{}", kind)).await, "415 Unsupported Media Type");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_refused_is_refused_before_the_body() {
    let site = Site::new().await;
    let service = site.serve().await;
    let sound = sign_sha256(SECRET, b"");
    let route = format!("/webhooks/{FORGE}");
    let large = format!("content-length: {}\r\n", MAX_BODY_BYTES + 1);
    let digits = |count: usize| "0".repeat(count);
    // The service rejects each request because of its header, so the client never has to send the body.
    for (what, path, more, expected, word) in [
        ("unknown", "/webhooks/other", "", "404 Not Found", "unknown_forge"),
        ("no text", "/webhooks/%ff", "", "404 Not Found", "unknown_forge"),
        ("missing", &route, "", "401 Unauthorized", "bad_signature"),
        (
            "short",
            &route,
            &format!("x-hub-signature-256: sha256={}\r\n", digits(63)),
            "401 Unauthorized",
            "bad_signature",
        ),
        (
            "SHA-1",
            &route,
            &format!("x-hub-signature: sha1={}\r\n", digits(40)),
            "401 Unauthorized",
            "bad_signature",
        ),
        (
            "twice",
            &route,
            &format!("x-hub-signature-256: sha256={sound}\r\nx-hub-signature-256: sha256={sound}\r\n"),
            "401 Unauthorized",
            "bad_signature",
        ),
        (
            "type",
            &route,
            &format!("x-hub-signature-256: sha256={sound}\r\ncontent-type: image/png\r\n"),
            "415 Unsupported Media Type",
            "unsupported_media_type",
        ),
        (
            "large",
            &route,
            &format!("x-hub-signature-256: sha256={sound}\r\n{large}"),
            "413 Payload Too Large",
            "too_large",
        ),
    ] {
        let length = if more.contains("content-length") { "" } else { "content-length: 10\r\n" };
        // The service also rejects a client that waits for `100 Continue` before it sends the body.
        for ask_first in ["", "expect: 100-continue\r\n"] {
            let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{ask_first}{more}{length}\r\n");
            let (line, body) = ask(&service, request.as_bytes()).await;
            assert_eq!(line, format!("HTTP/1.1 {expected}"), "{what}");
            assert_eq!(body, format!(r#"{{"error":"{word}"}}"#), "{what}");
        }
    }
    let mut asking = connect(&service).await;
    let first = head("ping", b"{}", "content-length: 2\r\nexpect: 100-continue\r\n");
    asking.write_all(first.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    asking.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    asking.write_all(b"{}").await.unwrap();
    assert_eq!(answer(&mut asking).await.0, "HTTP/1.1 202 Accepted");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_is_cut_off_at_the_same_size() {
    let site = Site::new().await;
    let service = site.serve().await;
    let mut stream = connect(&service).await;
    let chunk = vec![b' '; 1024 * 1024];
    stream.write_all(head("ping", b"", "transfer-encoding: chunked\r\n").as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.split();
    let sending = async {
        for _ in 0..25 {
            to.write_all(b"100000\r\n").await?;
            to.write_all(&chunk).await?;
            to.write_all(b"\r\n").await?;
        }
        to.write_all(b"1\r\n \r\n").await
    };
    let hearing = async {
        let mut said = [0; 16];
        from.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 413 Pay");
    };
    let (sent, ()) = tokio::join!(sending, hearing);
    sent.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_headers_are_refused() {
    let site = Site::new().await;
    let service = site.serve().await;
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    let long = format!("x: {}\r\n", "y".repeat(MAX_HEADER_BYTES));
    for more in [many, long] {
        let request = format!("POST /webhooks/{FORGE} HTTP/1.1\r\n{more}\r\n");
        assert_eq!(status(&service, request.as_bytes()).await, "431 Request Header Fields Too Large");
    }
    for no_http in
        [&b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..], b"PUT / HTTP/9.9\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n"]
    {
        let mut stream = connect(&service).await;
        stream.write_all(no_http).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_share_a_bounded_memory_and_announcing_one_takes_none() {
    let site = Site::new().await;
    let service = serve(&site, |settings| settings.bounds.max_body_memory_bytes = 100_000).await;
    let mut announced = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&service).await;
        stream.write_all(head("ping", b"", "content-length: 20000000\r\n").as_bytes()).await.unwrap();
        announced.push(stream);
    }
    assert_eq!(status(&service, &delivery("ping", b"{}", "")).await, "202 Accepted");
    let (line, body) = ask(&service, &delivery("ping", &[b' '; 100_001], "")).await;
    assert_eq!((line.as_str(), body.as_str()), ("HTTP/1.1 503 Service Unavailable", r#"{"error":"busy"}"#));
    assert_eq!(
        status(&service, &delivery("ping", &[b' '; 100_000], "")).await,
        "202 Accepted",
        "it was given back"
    );
    drop(announced);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn further_connections_wait_for_one_to_close() {
    let site = Site::new().await;
    let service = serve(&site, |settings| {
        settings.bounds.max_connections = 2;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let ping = delivery("ping", b"{}", "");
    let mut open = [connect(&service).await, connect(&service).await];
    for stream in &mut open {
        stream.write_all(&ping).await.unwrap();
        answer(stream).await;
    }
    let mut third = connect(&service).await;
    third.write_all(&ping).await.unwrap();
    let early = tokio::time::timeout(SHORT, third.read_u8()).await;
    assert!(early.is_err(), "nobody listens yet");
    drop(open);
    assert_eq!(answer(&mut third).await.0, "HTTP/1.1 202 Accepted");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_holds_half_of_the_connections_gets_no_more_and_others_do() {
    let site = Site::new().await;
    let service = serve(&site, |settings| settings.bounds.max_connections = 4).await;
    let ping = delivery("ping", b"{}", "");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&service).await;
        stream.write_all(&ping).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, "HTTP/1.1 202 Accepted");
        held.push(stream);
    }
    for _ in 0..4 {
        let mut further = connect(&service).await;
        let read = tokio::time::timeout(PATIENCE, further.read_u8()).await.expect("it is closed at once");
        assert!(read.is_err(), "nothing is said");
    }
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = service.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut other = other.connect(address).await.unwrap();
    other.write_all(&ping).await.unwrap();
    assert_eq!(answer(&mut other).await.0, "HTTP/1.1 202 Accepted");

    // If a connection is closed, the service accepts another one.
    held.pop();
    let served = async {
        loop {
            let mut again = connect(&service).await;
            if again.write_all(&ping).await.is_ok() && again.read_u8().await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("there is room again");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_floods_is_limited_and_others_are_not() {
    let site = Site::new().await;
    let service = serve(&site, |settings| {
        settings.rate_limit = 1;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let from = |source: &str| delivery("ping", b"{}", &format!("x-forwarded-for: {source}\r\n"));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(&service, &from("192.0.2.1")).await);
    }
    assert_eq!(statuses[..2], ["202 Accepted", "202 Accepted"], "a burst");
    let mut stream = connect(&service).await;
    // Some of these requests exceed the rate limit, even if it takes a second or two to send them all.
    stream.write_all(&from("192.0.2.1").repeat(20)).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.contains("HTTP/1.1 429 Too Many Requests\r\n"), "{said}");
    assert!(said.contains("\r\nretry-after: 1\r\n") || said.contains("\r\nretry-after: 2\r\n"), "{said}");
    assert!(said.contains(r#"{"error":"rate_limited"}"#), "{said}");
    assert_eq!(status(&service, &from("192.0.2.2")).await, "202 Accepted");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_after_the_kill_switch_was_turned_on() {
    let site = Site::new().await;
    let service = site.serve().await;
    let opened = site.open("change").await;
    let event = site.forge.take_deliveries().remove(0);
    let request = delivery("pull_request", &event.body, "");
    service.store.turn_switch(&SwitchRequest::TurnOn { reason: None, mode: None }, "ada").await.unwrap();
    let (line, body) = ask(&service, &request).await;
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, r#"{"error":"killswitch_engaged"}"#);
    assert_eq!(service.store.list_slots().await.unwrap(), []);
    service.store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(status(&service, &request).await, "202 Accepted");
    assert_eq!(service.store.list_slots().await.unwrap().len(), 1, "{}", opened.number);
    service.stop().await;
}

#[tokio::test]
async fn a_delivery_is_taken_while_the_workers_are_busy() {
    use std::io::{Read as _, Write as _};

    let site = Site::new().await;
    let service = site.serve().await;
    site.open("change").await;
    let event = site.forge.take_deliveries().remove(0);
    // The response shows that the service is running.
    assert_eq!(status(&service, &delivery("ping", b"{}", "")).await, "202 Accepted");
    // Blocking calls of this test now occupy the only thread of the runtime.
    let mut stream = std::net::TcpStream::connect(service.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&delivery("pull_request", &event.body, "")).unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).expect("it answers");
    assert_eq!(&said, b"HTTP/1.1 202");
    drop(stream);
    service.stop().await;
}
