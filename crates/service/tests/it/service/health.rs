//! Tests of the service's health endpoints while the store fails or hangs.

use super::*;
use crate::service::site::{Running, until};

/// Sends a `GET` request for a path; returns the whole response.
pub(crate) async fn get(url: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn comes_to(service: &Running, path: &str, status: u16) {
    let wanted = format!("HTTP/1.1 {status} ");
    until(&wanted, async || get(&service.url, path).await.starts_with(&wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_or_hangs_stops_the_scheduler_and_health_says_so() {
    let site = Site::new().await;
    let (inner, script) = (site.store(), Script::new(None));
    let store = FaultyStore { inner: inner.clone(), script: script.clone() };
    let service = site.serve_from(store, inner, limits()).await;
    comes_to(&service, "/healthz", 200).await;
    comes_to(&service, "/readyz", 200).await;

    script.set_dead(true);
    comes_to(&service, "/readyz", 503).await;
    for _ in 0..3 {
        let told = get(&service.url, "/readyz").await;
        assert!(told.contains(r#""operation":"call on purpose""#), "{told}");
    }
    site.clock.skip(TimeSpan::seconds(31));
    comes_to(&service, "/healthz", 503).await;
    script.set_dead(false);
    comes_to(&service, "/healthz", 200).await;
    comes_to(&service, "/readyz", 200).await;

    let hung = script.passage.write().await;
    site.clock.skip(TimeSpan::seconds(31));
    comes_to(&service, "/healthz", 503).await;
    let told = get(&service.url, "/metrics").await;
    let age = told.lines().find_map(|line| line.strip_prefix("truing_scheduler_age_seconds "));
    assert!(age.unwrap().parse::<f64>().unwrap() > 30.0, "{told}");
    // If the clock is set back, the service remains unhealthy.
    site.clock.skip(TimeSpan::minutes(-60));
    comes_to(&service, "/healthz", 503).await;
    assert!(told.contains("truing_kill_switch_on 1"), "a switch that cannot be read may be on: {told}");
    drop(hung);
    comes_to(&service, "/healthz", 200).await;
    service.stop().await;
}
