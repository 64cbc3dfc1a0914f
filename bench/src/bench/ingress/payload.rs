//! The requests: copies of GitHub's published example of a push to a pull request. Each copy has a different
//! pull request number, and a valid signature.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// The secret with which webhooks are signed.
pub(super) const SECRET: &str = "a secret of the bench";
/// The file with GitHub's published examples, a list of `{ name, examples }`.
const EXAMPLES_PATH: &str = "crates/forge/tests/data/webhooks-examples.json.gz";

/// The payload of a request: all headers after the first lines, such as signature and length, and the body.
pub(super) struct RequestPayload(Vec<u8>);

impl RequestPayload {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns one payload for each pull request.
pub(super) fn signed_payloads(root: &Path, pulls: usize) -> Result<Vec<RequestPayload>> {
    let packed =
        std::fs::read(root.join(EXAMPLES_PATH)).with_context(|| format!("cannot read {EXAMPLES_PATH}"))?;
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut json)?;
    let events: Vec<Value> = serde_json::from_str(&json)?;
    let of_pulls = events.iter().find(|event| event["name"] == "pull_request");
    let examples = of_pulls.and_then(|event| event["examples"].as_array()).context("no pull requests")?;
    let push = examples.iter().find(|example| example["action"] == "synchronize").context("no push")?;
    (1..=pulls)
        .map(|number| {
            let mut push = push.clone();
            push["number"] = number.into();
            push["pull_request"]["number"] = number.into();
            let body = serde_json::to_vec(&push)?;
            let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?.chain_update(&body);
            let signature = hex::encode(mac.finalize().into_bytes());
            let length = body.len();
            let mut request = format!(
                "content-type: application/json\r\nuser-agent: GitHub-Hookshot/044aadd\r\nx-github-event: \
                 pull_request\r\nx-hub-signature-256: sha256={signature}\r\ncontent-length: \
                 {length}\r\n\r\n"
            )
            .into_bytes();
            request.extend(body);
            Ok(RequestPayload(request))
        })
        .collect()
}
