//! Tests that each error message names the fault and gives advice, after at most two requests.

use std::time::SystemTime;

use jiff::SignedDuration;
use truing_fakes::aws::{AUDIENCE, web_identity_token};
use truing_fakes::model::{AWS_KEY_ID, aws_secret_key};

use super::{Place, ROLE, assert_clean, keys, later};
use crate::aws::AwsKeyError;

/// Returns the message of a permanent fault, and the number of requests that were sent before it.
async fn fault(place: &Place) -> (String, usize) {
    let (AwsKeyError { message, is_transient: is_passing }, asked) = any_fault(place).await;
    assert!(!is_passing, "{message}");
    (message, asked)
}

/// Returns the message of a temporary fault, and the number of requests that were sent before it.
async fn outage(place: &Place) -> (String, usize) {
    let (AwsKeyError { message, is_transient: is_passing }, asked) = any_fault(place).await;
    assert!(is_passing, "{message}");
    (message, asked)
}

async fn any_fault(place: &Place) -> (AwsKeyError, usize) {
    let before = place.aws.request_log().len();
    let fault = keys(&place.chain(), SystemTime::now()).await.unwrap_err();
    assert_clean(&fault.message);
    (fault, place.aws.request_log().len() - before)
}

fn assert_says(fault: &str, all: &[&str]) {
    assert!(all.iter().all(|words| fault.contains(words)), "{all:?}: {fault}");
}

#[tokio::test]
async fn without_any_keys_each_place_is_named() {
    let place = Place::new().await.with("AWS_PROFILE", "nobody");
    let (words, asked) = fault(&place).await;
    let all = [
        "AWS_ACCESS_KEY_ID",
        "profile `nobody` of ~/.aws/config and ~/.aws/credentials",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_DISABLED",
    ];
    assert_says(&words, &all);
    assert_eq!(asked, 0);
    let place = place.with("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere");
    assert_says(&fault(&place).await.0, &["without AWS_ROLE_ARN"]);
    // No service listens at this port.
    let place = place
        .with("AWS_EC2_METADATA_DISABLED", "")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
    assert_says(&fault(&place).await.0, &["an instance's metadata at http://127.0.0.1:9"]);
}

#[tokio::test]
async fn a_token_that_is_of_no_use_is_named_by_its_file() {
    let place = Place::new().await.with_web_identity();
    for (token, words) in [
        (web_identity_token("pod", AUDIENCE, -1), "ExpiredTokenException"),
        (web_identity_token("pod", "another", 3600), "Incorrect token audience"),
        ("canary, no token".to_owned(), "not a valid JWT"),
    ] {
        let path = place.write("token", &token);
        let (said, asked) = fault(&place).await;
        assert_says(&said, &[words, super::text(&path), "AWS_WEB_IDENTITY_TOKEN_FILE"]);
        assert_eq!(asked, 1, "{said}");
    }
    let place = place.with("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
    let (said, asked) = fault(&place).await;
    assert_says(&said, &["/nowhere/token", "AWS_WEB_IDENTITY_TOKEN_FILE", "cannot be read"]);
    assert_eq!(asked, 0);

    let place = Place::new().await.with_container();
    let path = place.write("container-token", "wrong-canary");
    let (said, asked) = fault(&place).await;
    assert_says(&said, &[super::text(&path), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "403"]);
    assert_eq!(asked, 1);
    std::fs::remove_file(&path).unwrap();
    assert_says(&fault(&place).await.0, &[super::text(&path), "cannot be read"]);
}

#[tokio::test]
async fn a_denied_role_is_named() {
    let place = Place::new().await.with_web_identity();
    place.aws.change_behaviour(|aws| aws.denied_roles = vec![ROLE.to_owned()]);
    let (said, asked) = fault(&place).await;
    assert_says(&said, &[ROLE, "AccessDenied", "trust policy"]);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_service_that_is_down_is_named_by_its_address_and_asked_twice_at_most() {
    let place = Place::new().await.with_web_identity();
    place.aws.change_behaviour(|aws| aws.forced_status = Some(503));
    let (said, asked) = outage(&place).await;
    assert_says(&said, &["AWS STS", place.aws.url(), "503"]);
    assert_eq!(asked, 2);
    let place = place.with("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9");
    assert_says(&outage(&place).await.0, &["AWS STS (http://127.0.0.1:9) cannot be reached"]);
    // The chain sends no secret over plain HTTP to a remote address.
    let place = place.with("AWS_ENDPOINT_URL_STS", "http://sts.example.org");
    assert_says(&fault(&place).await.0, &["http://sts.example.org", "https://"]);

    for place in [Place::new().await.with_container(), Place::new().await.with_metadata()] {
        place.aws.change_behaviour(|aws| aws.forced_status = Some(503));
        let (said, asked) = outage(&place).await;
        assert_says(&said, &[place.aws.url(), "503"]);
        assert_eq!(asked, 2, "{said}");
    }
}

#[tokio::test]
async fn a_service_that_answers_with_an_error_under_the_status_of_a_success_is_named() {
    let places = [
        (Place::new().await.with_container(), "the credentials service of this container"),
        (Place::new().await.with_metadata(), "the metadata service of this instance"),
    ];
    for (place, service) in places {
        place.aws.change_behaviour(|aws| aws.error_code = Some("AssumeRoleUnauthorizedAccess".to_owned()));
        let (said, _) = fault(&place).await;
        assert_says(&said, &[service, place.aws.url(), "AssumeRoleUnauthorizedAccess"]);
        assert!(!said.contains("profile"), "{said}");
    }
}

#[tokio::test]
async fn keys_that_came_too_late_are_of_no_use() {
    let place = Place::new().await.with_web_identity();
    place.aws.change_behaviour(|aws| aws.keys_expire_at = later(SystemTime::UNIX_EPOCH, 60));
    assert_says(&fault(&place).await.0, &["expired credentials"]);
}

#[tokio::test]
async fn a_wrong_clock_is_named_by_how_much() {
    let place = Place::new().await;
    let role = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n[profile \
         base]\n";
    let keys = format!("aws_access_key_id = {AWS_KEY_ID}\naws_secret_access_key = {}\n", aws_secret_key());
    place.write(".aws/config", &format!("{role}{keys}"));
    let place = place.with("AWS_PROFILE", "role");
    place.aws.change_behaviour(|aws| aws.clock_offset = SignedDuration::from_mins(17));
    let (said, asked) = fault(&place).await;
    assert_says(&said, &["this machine's clock is 17 minutes behind"]);
    assert!(asked <= 2, "{asked}");
}

#[tokio::test]
async fn a_program_that_fails_is_named_by_its_profile() {
    let place = Place::new().await;
    place.write(
        ".aws/config",
        "[profile program]\ncredential_process = sh -c 'echo no session >&2; exit 3'\n",
    );
    let place = place.with("AWS_PROFILE", "program");
    assert_says(&fault(&place).await.0, &["profile `program`", "no session"]);
}
