//! Deliveries: what GitHub would post about a change, signed; sent when a test says so, in the order it says,
//! or at once.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use crate::forge::state::delivery::{Delivery, Hook};
/// How long GitHub waits for an answer (facts: 10 s).
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// The hook's id in headers.
const HOOK_ID: &str = "4200000001";

impl Delivery {
    pub(crate) fn new(serial: u64, event: &str, action: &str, number: u64, payload: &Value) -> Self {
        Self {
            id: guid(serial),
            event: event.into(),
            action: action.into(),
            number,
            body: payload.to_string().into_bytes().into(),
        }
    }

    /// The headers GitHub sends, signed with this key.
    pub fn headers(&self, secret: &str) -> Vec<(&'static str, String)> {
        vec![
            ("content-type", "application/json".into()),
            ("user-agent", "GitHub-Hookshot/fake".into()),
            ("x-github-event", self.event.clone()),
            ("x-github-delivery", self.id.clone()),
            ("x-github-hook-id", HOOK_ID.into()),
            ("x-github-hook-installation-target-id", HOOK_ID.into()),
            ("x-github-hook-installation-target-type", "repository".into()),
            ("x-hub-signature", format!("sha1={}", sign_sha1(secret, &self.body))),
            ("x-hub-signature-256", format!("sha256={}", sign_sha256(secret, &self.body))),
        ]
    }

    /// Posts it; the answer's status.
    pub async fn send(&self, client: &reqwest::Client, hook: &Hook) -> Result<u16, reqwest::Error> {
        let mut request = client.post(&hook.url).timeout(DELIVERY_TIMEOUT).body(self.body.clone());
        for (name, value) in self.headers(&hook.secret) {
            request = request.header(name, value);
        }
        Ok(request.send().await?.status().as_u16())
    }
}

/// HMAC-SHA-256 in hexadecimal.
pub fn sign_sha256(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of every length, so there is always a signature.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// HMAC-SHA-1 in hexadecimal.
fn sign_sha1(secret: &str, body: &[u8]) -> String {
    Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}

/// An id of GitHub's form, the same for the same number.
fn guid(serial: u64) -> String {
    let mut random = Random(serial);
    let (a, b) = (random.next(), random.next());
    format!("{:08x}-{:04x}-11ef-{:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 16)
}

/// How the network treats deliveries: lost, repeated, out of order; the same for the same seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chaos {
    /// What the choices depend on.
    pub seed: u64,
    /// How many of a hundred are lost.
    pub lost: u64,
    /// How many of a hundred arrive twice.
    pub twice: u64,
    /// How many places a delivery may be overtaken by.
    pub late: u64,
}

impl Chaos {
    /// What arrives, in the order it arrives.
    pub fn apply(&self, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        let mut random = Random(self.seed);
        let mut arriving = Vec::new();
        for (place, delivery) in (0_u64..).zip(deliveries) {
            let (lost, twice) = (random.next() % 100 < self.lost, random.next() % 100 < self.twice);
            let mut at = || place + random.next() % (self.late + 1);
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

/// SplitMix64: small, seeded, good enough to choose with.
struct Random(u64);

impl Random {
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

    fn deliveries(count: u64) -> Vec<Delivery> {
        (0..count).map(|n| Delivery::new(n, "pull_request", "synchronize", n, &Value::Null)).collect()
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
    fn chaos_loses_repeats_and_reorders_the_same_way_every_time() {
        let chaos = Chaos { seed: 7, lost: 20, twice: 20, late: 3 };
        let numbers =
            |chaos: Chaos| chaos.apply(deliveries(200)).iter().map(|d| d.number).collect::<Vec<_>>();
        let seen = numbers(chaos);
        assert_eq!(seen, numbers(chaos));
        assert_ne!(seen, numbers(Chaos { seed: 8, ..chaos }));
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!((140..180).contains(&distinct.len()), "a fifth is lost: {}", distinct.len());
        assert!((15..60).contains(&(seen.len() - distinct.len())), "a fifth of the rest comes twice");
        assert!(seen.windows(2).any(|pair| pair[0] > pair[1]), "out of order");
        assert_eq!(numbers(Chaos::default()), (0..200).collect::<Vec<_>>(), "no chaos changes nothing");
    }

    #[test]
    fn ids_of_deliveries_are_guids_and_distinct() {
        let all: std::collections::HashSet<_> = deliveries(1000).into_iter().map(|d| d.id).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|id| id.len() == 36 && id.split('-').count() == 5));
    }
}
