//! Registers text that models and external servers must not receive: all credentials of this process, and
//! paths on this machine.

use truing_agent::outgoing_text::{hide_folder, hide_repository};
use truing_config::Config;
use truing_config::environment::Environment;
use truing_core::given_secrets::{register_if_credential, register_secret};
use truing_reader::mask::set_secrets_shown;

use super::forges::MARKER_KEY_FILE_NAME;
use super::programs::search_path;

/// Environment variables that hold credentials and that no configuration key names.
pub(super) const CREDENTIAL_VARIABLES: [&str; 5] =
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "MCP_TOKEN"];

/// An environment variable whose name contains one of these words may hold a credential.
const CREDENTIAL_NAME_WORDS: [&str; 7] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"];

/// Registers all credentials, even those that this command does not need. Credentials that cannot be read are
/// skipped, because they cannot have been passed to a process either.
pub(crate) fn register_secrets(config: &Config, environment: &Environment) {
    for (_, setting) in config.settings() {
        // Reading a secret registers it, so the value itself is dropped. Errors are ignored, because a secret
        // that cannot be read was not passed to any process.
        setting.value.secret_sources().into_iter().for_each(|secret| drop(secret.read(environment)));
    }
    for name in CREDENTIAL_VARIABLES {
        environment.get(name).and_then(|value| value.to_str()).into_iter().for_each(register_secret);
    }
    for (name, value) in environment.variables_with_prefix("") {
        let is_credential = CREDENTIAL_NAME_WORDS.iter().any(|word| name.to_ascii_uppercase().contains(word));
        // A value that is an absolute path names the file of a credential and is not a credential itself.
        let value = value.to_str().filter(|value| is_credential && !value.starts_with('/'));
        value.into_iter().for_each(register_if_credential);
    }
    set_secrets_shown(!config.review.redacts_secrets);
    for tree in search_path(environment).excluded_trees() {
        hide_repository(tree);
    }
    if let Ok(folder) = config.store.local_data_folder() {
        let marker_key =
            truing_config::open_regular_file(&folder.join(MARKER_KEY_FILE_NAME)).map(std::io::read_to_string);
        if let Ok(Ok(key)) = marker_key {
            register_secret(&key);
        }
        hide_folder(folder);
    }
}
