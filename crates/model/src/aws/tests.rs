//! Tests the fetching of AWS keys from fake services on loopback, which refuse the same requests as the real
//! services. The tests pass the environment variables as values. The tests write real files to a temporary
//! folder per test.

mod faults;
mod keeping;
mod signature;
mod sources;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use truing_core::secret::SecretString;
use truing_fakes::aws::{AUDIENCE, CONTAINER_CREDENTIALS_PATH, CONTAINER_TOKEN, FakeAws, web_identity_token};
use truing_fakes::model::{AWS_KEY_ID, AWS_REGION, aws_secret_key};

use super::{AwsKeyError, AwsKeys, CredentialChain, CredentialPrograms};

const ROLE: &str = "arn:aws:iam::123456789012:role/reviewer";
const STS_LOGGED: &str = "POST / AssumeRoleWithWebIdentity";

/// The fake services, a folder for files, and the environment variables of one test.
struct Place {
    aws: FakeAws,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    /// Returns a place without any source of AWS keys, in which AWS requests can reach only the fake
    /// services.
    async fn new() -> Self {
        let (aws, folder) = (FakeAws::start().await.unwrap(), tempfile::tempdir().unwrap());
        let place = Self { aws, folder, variables: Vec::new() };
        let (home, url) = (place.folder.path().display().to_string(), place.aws.url().to_owned());
        place
            .with("HOME", &home)
            .with("AWS_REGION", AWS_REGION)
            .with("AWS_ENDPOINT_URL_STS", &url)
            .with("AWS_EC2_METADATA_DISABLED", "true")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Adds a role and a web identity token for it, as in a Kubernetes pod.
    fn with_web_identity(self) -> Self {
        let path = self.write("token", &web_identity_token("pod-1", AUDIENCE, 3600));
        self.with("AWS_WEB_IDENTITY_TOKEN_FILE", text(&path)).with("AWS_ROLE_ARN", ROLE)
    }

    fn with_container(self) -> Self {
        let path = self.write("container-token", CONTAINER_TOKEN);
        let url = format!("{}{CONTAINER_CREDENTIALS_PATH}", self.aws.url());
        self.with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)
            .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&path))
    }

    fn with_metadata(self) -> Self {
        let url = self.aws.url().to_owned();
        self.with("AWS_EC2_METADATA_DISABLED", "false").with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
    }

    fn chain(&self) -> CredentialChain {
        let path = self.folder.path().join("bin");
        let programs =
            CredentialPrograms { path: format!("{}:/usr/bin:/bin", path.display()), is_shell_trusted: true };
        CredentialChain::new(self.variables.clone(), AWS_REGION, programs).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the keys that a service issues for its request with this number, counted from 1.
fn given(number: u32) -> AwsKeys {
    AwsKeys {
        key_id: AWS_KEY_ID.to_owned(),
        secret_key: SecretString::new(aws_secret_key()),
        session_token: Some(SecretString::new(format!("session-canary-{number}"))),
    }
}

/// Returns the keys that the chain returns at the time `now`.
async fn keys(chain: &CredentialChain, now: SystemTime) -> Result<AwsKeys, AwsKeyError> {
    chain.keys(&|| now).await
}

fn later(now: SystemTime, minutes: u64) -> SystemTime {
    now + Duration::from_secs(minutes * 60)
}

/// Checks that a text contains no part of a credential.
fn assert_clean(shown: &str) {
    let secret = aws_secret_key();
    assert!(!shown.contains("canary") && !shown.contains(&secret), "{shown}");
}
