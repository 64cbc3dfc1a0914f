//! Creates and sends signed webhook deliveries. Deliveries are sent immediately after a change, or later by a
//! test, in the order that the test chooses.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use crate::forge::flavour::{ForgeFlavour, uuid_from_id};
use crate::forge::state::delivery::{FakeDelivery, WebhookTarget};
/// Time that a forge waits for a response: 10 s.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Id of the webhook in the headers of deliveries.
const HOOK_ID: u64 = 4_200_000_001;
/// Maximum number of attempts by Bitbucket Cloud to send a delivery. After a 5xx response, Cloud retries
/// immediately, at most twice.
const MAX_CLOUD_ATTEMPTS: u32 = 3;
/// Name of the event with which a Data Center tests a webhook.
pub(crate) const PING_EVENT: &str = "diagnostics:ping";

impl FakeDelivery {
    /// Creates the delivery of an event in GitHub's format.
    pub(crate) fn new(serial: u64, event: &str, action: &str, pull_number: u64, payload: &Value) -> Self {
        Self {
            flavour: ForgeFlavour::GitHub,
            id: delivery_guid(serial),
            event: event.into(),
            action: action.into(),
            pull_number,
            body: payload.to_string().into_bytes().into(),
        }
    }

    /// Creates the delivery of an event in Bitbucket's format. The action is the part of the event's name
    /// after the last colon.
    pub(crate) fn from_bitbucket_event(
        flavour: ForgeFlavour,
        serial: u64,
        event: &str,
        pull_number: u64,
        payload: &Value,
    ) -> Self {
        let action = event.rsplit(':').next().unwrap_or_default();
        Self { flavour, ..Self::new(serial, event, action, pull_number, payload) }
    }

    /// Returns the headers of the first attempt, signed with this key. If the key is empty, Bitbucket's
    /// headers have no signature.
    pub fn headers(&self, secret: &str) -> Vec<(&'static str, String)> {
        self.attempt_headers(secret, 1)
    }

    /// Returns the headers of the attempt with this number, counted from 1.
    fn attempt_headers(&self, secret: &str, attempt: u32) -> Vec<(&'static str, String)> {
        let json = ("content-type", "application/json".to_owned());
        let signed = format!("sha256={}", sign_sha256(secret, &self.body));
        let mut headers = match self.flavour {
            ForgeFlavour::GitHub => {
                return vec![
                    json,
                    ("user-agent", "GitHub-Hookshot/fake".into()),
                    ("x-github-event", self.event.clone()),
                    ("x-github-delivery", self.id.clone()),
                    ("x-github-hook-id", HOOK_ID.to_string()),
                    ("x-github-hook-installation-target-id", HOOK_ID.to_string()),
                    ("x-github-hook-installation-target-type", "repository".into()),
                    ("x-hub-signature", format!("sha1={}", sign_sha1(secret, &self.body))),
                    ("x-hub-signature-256", signed),
                ];
            }
            ForgeFlavour::Cloud => vec![
                json,
                ("user-agent", "Bitbucket-Webhooks/2.0".into()),
                ("x-event-key", self.event.clone()),
                ("x-request-uuid", self.id.clone()),
                ("x-hook-uuid", uuid_from_id(HOOK_ID).trim_matches(['{', '}']).to_owned()),
                ("x-attempt-number", attempt.to_string()),
            ],
            ForgeFlavour::DataCenter => vec![
                ("content-type", "application/json; charset=utf-8".into()),
                ("user-agent", "Atlassian HttpClient fake".into()),
                ("x-event-key", self.event.clone()),
                ("x-request-id", self.id.clone()),
            ],
        };
        // The delivery that tests the webhook has no signature.
        if !secret.is_empty() && self.event != PING_EVENT {
            headers.push(("x-hub-signature", signed));
        }
        headers
    }

    /// Posts the delivery and returns the status of the last response. For Cloud, the delivery is retried
    /// after a 5xx response, with at most three attempts.
    pub async fn send(&self, client: &reqwest::Client, hook: &WebhookTarget) -> Result<u16, reqwest::Error> {
        let attempts = if self.flavour == ForgeFlavour::Cloud { MAX_CLOUD_ATTEMPTS } else { 1 };
        let mut attempt = 1;
        loop {
            let status = self.post_attempt(client, hook, attempt).await?.status().as_u16();
            if status < 500 || attempt >= attempts {
                return Ok(status);
            }
            attempt += 1;
        }
    }

    /// Posts the delivery once and returns the response. The number of the attempt is counted from 1.
    pub async fn post_attempt(
        &self,
        client: &reqwest::Client,
        hook: &WebhookTarget,
        attempt: u32,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = client.post(&hook.url).timeout(DELIVERY_TIMEOUT).body(self.body.clone());
        for (name, value) in self.attempt_headers(&hook.secret, attempt) {
            request = request.header(name, value);
        }
        request.send().await
    }
}

/// Computes HMAC-SHA-256 in hexadecimal.
pub fn sign_sha256(secret: &str, body: &[u8]) -> String {
    // HMAC accepts keys of every length, so this call never fails.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// Computes HMAC-SHA-1 in hexadecimal.
fn sign_sha1(secret: &str, body: &[u8]) -> String {
    Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// Returns an id in GitHub's format. The same number always results in the same id.
fn delivery_guid(serial: u64) -> String {
    let mut random = SplitMix64(serial);
    let (a, b) = (random.next(), random.next());
    format!("{:08x}-{:04x}-11ef-{:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 16)
}

/// A simulated network that loses, repeats and reorders deliveries. The same seed leads to the same losses,
/// repetitions and order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnreliableNetwork {
    /// Seed of the random choices.
    pub seed: u64,
    /// Percentage of deliveries that are lost.
    pub lost_percent: u64,
    /// Percentage of deliveries that arrive twice.
    pub repeated_percent: u64,
    /// Maximum number of positions by which a delivery moves back in the order.
    pub max_delay_positions: u64,
}

impl UnreliableNetwork {
    /// Returns the deliveries that arrive, in the order of arrival.
    pub fn apply(&self, deliveries: Vec<FakeDelivery>) -> Vec<FakeDelivery> {
        let mut random = SplitMix64(self.seed);
        let mut arriving = Vec::new();
        for (place, delivery) in (0_u64..).zip(deliveries) {
            let (lost, twice) =
                (random.next() % 100 < self.lost_percent, random.next() % 100 < self.repeated_percent);
            let mut at = || place + random.next() % (self.max_delay_positions + 1);
            let (first, second) = (at(), at());
            if lost {
                continue;
            }
            if twice {
                arriving.push((second, delivery.clone()));
            }
            arriving.push((first, delivery));
        }
        arriving.sort_by_key(|(at, _)| *at);
        arriving.into_iter().map(|(_, delivery)| delivery).collect()
    }
}

/// SplitMix64, a small seeded generator that is sufficient for these choices.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(count: u64) -> Vec<FakeDelivery> {
        (0..count).map(|n| FakeDelivery::new(n, "pull_request", "synchronize", n, &Value::Null)).collect()
    }

    #[test]
    fn signatures_are_githubs() {
        let key = "It's a Secret to Everybody";
        let published = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign_sha256(key, b"Hello, World!"), published);
        // RFC 2202, test case 2.
        assert_eq!(
            sign_sha1("Jefe", b"what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
    }

    #[test]
    fn signatures_are_bitbuckets_too_and_only_with_a_secret() {
        let key = "It's a Secret to Everybody";
        let published = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
        assert_eq!(sign_sha256(key, b"Hello World!"), published);
        for flavour in [ForgeFlavour::Cloud, ForgeFlavour::DataCenter] {
            let delivery = FakeDelivery::from_bitbucket_event(flavour, 1, "pr:opened", 1, &Value::Null);
            let signed = |secret| delivery.headers(secret).iter().any(|(name, _)| *name == "x-hub-signature");
            assert!(signed("s") && !signed(""), "{flavour:?}");
        }
    }

    #[test]
    fn chaos_loses_repeats_and_reorders_the_same_way_every_time() {
        let chaos =
            UnreliableNetwork { seed: 7, lost_percent: 20, repeated_percent: 20, max_delay_positions: 3 };
        let numbers = |chaos: UnreliableNetwork| {
            chaos.apply(deliveries(200)).iter().map(|d| d.pull_number).collect::<Vec<_>>()
        };
        let seen = numbers(chaos);
        assert_eq!(seen, numbers(chaos));
        assert_ne!(seen, numbers(UnreliableNetwork { seed: 8, ..chaos }));
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!((140..180).contains(&distinct.len()), "a fifth is lost: {}", distinct.len());
        assert!((15..60).contains(&(seen.len() - distinct.len())), "a fifth of the rest comes twice");
        assert!(seen.windows(2).any(|pair| pair[0] > pair[1]), "out of order");
        assert_eq!(
            numbers(UnreliableNetwork::default()),
            (0..200).collect::<Vec<_>>(),
            "no chaos changes nothing"
        );
    }

    #[test]
    fn ids_of_deliveries_are_guids_and_distinct() {
        let all: std::collections::HashSet<_> = deliveries(1000).into_iter().map(|d| d.id).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|id| id.len() == 36 && id.split('-').count() == 5));
    }
}
