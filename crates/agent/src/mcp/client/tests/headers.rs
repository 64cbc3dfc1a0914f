//! Tests of servers that require a header with an API key.

use hyper::Method;

use super::*;

/// The header that the servers require.
const NAME: &str = "X-API-Key";
const KEY: &str = "the-right-key-of-docs";

fn with_key(url: &str, key: &str) -> ServerAddress {
    let mut address = at(url, None);
    address.add_header(NAME, &SecretString::new(key)).unwrap();
    address
}

/// Starts a server that assigns a session to each client. Returns the server's address, and the list of the
/// accepted requests.
async fn with_sessions() -> (String, Arc<Mutex<Vec<String>>>) {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = noted.clone();
    let url = listens(move |request: Request<Incoming>| {
        let noted = notes.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            if head.headers.get(NAME).is_none_or(|key| key != KEY) {
                return words(StatusCode::UNAUTHORIZED, "text/plain", "");
            }
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let method = asked["method"].as_str().unwrap_or_default();
            noted.lock().unwrap().push(format!("{} {method}", head.method));
            let Some((id, ScriptedReaction::Result(result))) = asked.get("id").map(|id| (id, well(method)))
            else {
                return words(StatusCode::ACCEPTED, "text/plain", "");
            };
            let said = json!({"jsonrpc": "2.0", "id": id, "result": result});
            let mut answer = words(StatusCode::OK, "application/json", &said.to_string());
            answer.headers_mut().insert("mcp-session-id", "1".parse().unwrap());
            answer
        }
    })
    .await;
    (url, noted)
}

#[tokio::test]
async fn every_request_over_http_has_the_headers_to_the_end_of_the_session() {
    let (url, noted) = with_sessions().await;
    let (output, problems) = tried(ServerTransport::Http(with_key(&url, KEY))).await;
    assert_eq!((output.text.as_str(), problems), ("well", vec![]));
    let expected = [
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/list",
        "POST tools/call",
        &format!("{} ", Method::DELETE),
    ];
    assert_eq!(*noted.lock().unwrap(), expected);

    noted.lock().unwrap().clear();
    for address in [at(&url, None), at(&url, Some(KEY)), with_key(&url, "another-key-of-docs")] {
        let (_, problems) = tried(ServerTransport::Http(address)).await;
        assert_eq!(told(&problems), ["it answers 401 Unauthorized"]);
    }
    assert_eq!(noted.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn every_request_to_an_older_server_has_the_headers() {
    let place = "/messages?session=1";
    let url = with_events(place, NAME, KEY.to_owned()).await;
    let (output, problems) = tried(ServerTransport::Sse(with_key(&url, KEY))).await;
    assert_eq!((output.text.as_str(), problems), ("well", vec![]));
    let url = with_events(place, NAME, KEY.to_owned()).await;
    let (_, problems) = tried(ServerTransport::Sse(with_key(&url, "another-key-of-docs"))).await;
    assert_eq!(told(&problems), ["it answers 401 Unauthorized"]);
}

#[tokio::test]
async fn the_headers_are_sent_beside_the_token_and_never_to_where_a_server_sends_its_clients() {
    let elsewhere = Arc::new(Mutex::new(0));
    let counted = elsewhere.clone();
    let other = listens(move |_| {
        *counted.lock().unwrap() += 1;
        async { words(StatusCode::OK, "text/plain", "") }
    })
    .await;
    let url = listens(move |request: Request<Incoming>| {
        let other = other.clone();
        async move {
            assert_eq!(request.headers()["authorization"], format!("Bearer {TOKEN}"));
            assert_eq!(request.headers()[NAME], KEY);
            let mut moved = words(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
            moved.headers_mut().insert("location", other.parse().unwrap());
            moved
        }
    })
    .await;
    let mut address = at(&url, Some(TOKEN));
    address.add_header(NAME, &SecretString::new(KEY)).unwrap();
    let (_, problems) = tried(ServerTransport::Http(address)).await;
    assert_eq!(told(&problems), ["it answers 307 Temporary Redirect"]);
    assert_eq!(*elsewhere.lock().unwrap(), 0);
}

#[test]
fn the_value_of_a_header_is_not_shown_and_one_that_http_has_no_form_for_is_refused() {
    let address = with_key("http://127.0.0.1:1/mcp", KEY);
    let shown = format!("{address:?} {:?}", server(ServerTransport::Sse(address.clone()), &["say"]));
    assert!(shown.to_lowercase().contains("x-api-key") && !shown.contains(KEY), "{shown}");
    let web = http_transport::WebClient::new(&address, byte_limits::ServerMeter::default()).unwrap();
    assert!(!format!("{web:?}").contains(KEY), "{web:?}");
    let mut address = address;
    for value in ["hush\nX-Other: 1", "hush\r", "hush\0", "hush\u{7f}"] {
        let error = address.add_header(NAME, &SecretString::new(value)).unwrap_err();
        assert_eq!(error, HeaderError::Value);
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    assert_eq!(address.add_header("X Key", &SecretString::new(KEY)), Err(HeaderError::Name));
}
