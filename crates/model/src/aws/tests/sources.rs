//! Tests that each source of AWS's chain returns keys, and that the sources are tried in the right order.

use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use truing_core::given_secrets;
use truing_fakes::aws::{AUDIENCE, CONTAINER_TOKEN, web_identity_token};
use truing_fakes::model::{AWS_KEY_ID, AWS_REGION, aws_secret_key};

use super::{CredentialChain, CredentialPrograms, Place, STS_LOGGED, assert_clean, given, keys};
use crate::aws::profile_region;

fn profile_keys() -> String {
    format!("aws_access_key_id = {AWS_KEY_ID}\naws_secret_access_key = {}\n", aws_secret_key())
}

#[tokio::test]
async fn variables_come_first() {
    let place = Place::new().await.with_web_identity();
    let place = place.with("AWS_ACCESS_KEY_ID", "AKIDFIRST").with("AWS_SECRET_ACCESS_KEY", "a-fixed-secret");
    let found = keys(&place.chain(), SystemTime::now()).await.unwrap();
    assert_eq!((found.key_id.as_str(), found.secret_key.expose()), ("AKIDFIRST", "a-fixed-secret"));
    assert_eq!(place.aws.request_log(), [""; 0]);
}

#[tokio::test]
async fn a_web_identity_is_exchanged_for_keys() {
    let place = Place::new().await.with_web_identity().with("AWS_ROLE_SESSION_NAME", "truing");
    // Other tests in this process unregister secrets with the default prefix, so this test uses another
    // prefix.
    place.aws.change_behaviour(|aws| aws.session_token_prefix = "web-canary".to_owned());
    let chain = place.chain();
    assert!(keys(&chain, SystemTime::now()).await.is_ok());
    assert_eq!(place.aws.request_log(), [STS_LOGGED]);
    // The fetched secrets are registered for redaction, and do not occur in debug output.
    assert!(given_secrets::secret_values().contains("web-canary-1"));
    assert!(chain.secrets().iter().any(|secret| secret.expose() == "web-canary-1"));
    assert_clean(&format!("{chain:?}"));
}

#[tokio::test]
async fn a_container_gives_keys_for_the_token_in_its_file_or_variable() {
    let place = Place::new().await.with_container();
    assert_eq!(keys(&place.chain(), SystemTime::now()).await, Ok(given(1)));
    let mut place = place.with("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN);
    place.variables.retain(|(name, _)| name != "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    assert_eq!(keys(&place.chain(), SystemTime::now()).await, Ok(given(2)));
    assert_eq!(place.aws.request_log(), ["GET /v1/credentials"; 2]);
}

#[tokio::test]
async fn an_instance_gives_keys_by_its_metadata() {
    let place = Place::new().await.with_metadata();
    assert_eq!(keys(&place.chain(), SystemTime::now()).await, Ok(given(1)));
    let path = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(
        place.aws.request_log(),
        ["PUT /latest/api/token".to_owned(), format!("GET {path}"), format!("GET {path}instance-role")]
    );
}

#[tokio::test]
async fn a_profile_gives_keys_as_it_says() {
    let place = Place::new().await;
    let lines = profile_keys();
    place.write(".aws/credentials", &format!("[default]\n{lines}[base]\n{lines}"));
    let program = place.write(
        "keys.json",
        r#"{"Version": 1, "AccessKeyId": "AKIDPROGRAM", "SecretAccessKey": "by-a-program"}"#,
    );
    let role = "arn:aws:iam::123456789012:role/by-profile";
    let token = place.write("token", &web_identity_token("p", AUDIENCE, 3600));
    let config = format!(
        "[profile role]\nrole_arn = {role}\nsource_profile = base\n[profile program]\ncredential_process = \
         cat {}\n[profile web]\nrole_arn = {role}\nweb_identity_token_file = {}\n",
        program.display(),
        token.display(),
    );
    let elsewhere = place.write("elsewhere/config", &config);
    let place = place.with("AWS_CONFIG_FILE", super::text(&elsewhere));

    let found = keys(&place.chain(), SystemTime::now()).await.unwrap();
    assert_eq!((found.key_id.as_str(), found.session_token), (AWS_KEY_ID, None));
    let place = place.with("AWS_PROFILE", "program");
    assert_eq!(keys(&place.chain(), SystemTime::now()).await.unwrap().key_id, "AKIDPROGRAM");
    assert_eq!(place.aws.request_log(), [""; 0]);
    // The keys of the source profile sign the request for the role.
    let place = place.with("AWS_PROFILE", "role");
    assert_eq!(keys(&place.chain(), SystemTime::now()).await, Ok(given(1)));
    let place = place.with("AWS_PROFILE", "web");
    assert_eq!(keys(&place.chain(), SystemTime::now()).await, Ok(given(2)));
    assert_eq!(place.aws.request_log(), ["POST / AssumeRole", STS_LOGGED]);
}

#[tokio::test]
async fn a_program_is_found_neither_in_the_current_folder_nor_by_a_relative_path() {
    let place = Place::new().await;
    let shown = r#"echo '{"Version": 1, "AccessKeyId": "AKIDPROGRAM", "SecretAccessKey": "by-a-program"}'"#;
    let program = place.write("bin/own-keys", &format!("#!/bin/sh\n[ \"$PWD\" = / ] || exit 9\n{shown}\n"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "[profile absolute]\ncredential_process = {}\n[profile named]\ncredential_process = own-keys --json # \
         x\n[profile relative]\ncredential_process = ./own-keys\n[profile inner]\nCredential_Process = sh \
         ./Cargo.toml\n",
        program.display()
    );
    place.write(".aws/config", &config);
    let mut place = place;
    for profile in ["absolute", "named"] {
        place = place.with("AWS_PROFILE", profile);
        assert_eq!(keys(&place.chain(), SystemTime::now()).await.unwrap().key_id, "AKIDPROGRAM", "{profile}");
    }
    for (profile, reason) in [("relative", "write its absolute path"), ("inner", "Cargo.toml")] {
        place = place.with("AWS_PROFILE", profile);
        let fault = keys(&place.chain(), SystemTime::now()).await.unwrap_err();
        assert!(fault.message.contains(reason), "{profile}: {}", fault.message);
    }
    let untrusted = CredentialPrograms { path: "/usr/bin:/bin".to_owned(), is_shell_trusted: false };
    let chain = CredentialChain::new(place.variables.clone(), AWS_REGION, untrusted).unwrap();
    let fault = keys(&chain, SystemTime::now()).await.unwrap_err();
    assert!(fault.message.contains("remove this folder from `PATH`"), "{}", fault.message);
}

#[tokio::test]
async fn the_region_of_the_selected_profile_is_read() {
    let place = Place::new().await;
    let region = |place: &Place| profile_region(place.variables.clone());
    assert_eq!(region(&place), None);
    place.write(
        ".aws/config",
        "[default]\nregion = eu-west-1 # near\ns3 =\n  region = no\n[profile dev]\nREGION=eu-central-1\n[profile \
         bare]\nregion =\n[services x]\nregion = no\n",
    );
    assert_eq!(region(&place).as_deref(), Some("eu-west-1"));
    let place = place.with("AWS_PROFILE", "dev");
    assert_eq!(region(&place).as_deref(), Some("eu-central-1"));
    place.write(".aws/credentials", "[dev]\nregion = us-east-1\n[default]\nregion = no\n");
    assert_eq!(region(&place).as_deref(), Some("us-east-1"), "this file takes precedence");
    assert_eq!(region(&place.with("AWS_PROFILE", "bare")), None);
}
