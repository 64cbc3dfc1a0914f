//! What no model and no server of others is told: every credential that this process was given, and where things lie on
//! this machine.

use truing_agent::outgoing::{hide_folder, hide_repository};
use truing_config::Config;
use truing_config::environment::Environment;
use truing_core::given_secrets::{keep, keep_if_credential};
use truing_reader::mask::show_secrets;

use super::forges::MARKER_KEY;
use super::programs::programs;

/// Variables of credentials that no key names. All that begin as our own may hold one, too.
pub(super) const CREDENTIALS: [&str; 5] =
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "MCP_TOKEN"];

/// Words in the names of variables that hold credentials.
const WORDS: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"];

/// From now on all of it is left out, whether this command needs it or not: what cannot be read is given to nobody.
pub(crate) fn conceal(config: &Config, environment: &Environment) {
    for (_, setting) in config.settings() {
        // Reading keeps it; one that cannot be read was given to nobody.
        setting.value.secrets().into_iter().for_each(|secret| drop(secret.read(environment)));
    }
    for name in CREDENTIALS {
        environment.get(name).and_then(|value| value.to_str()).into_iter().for_each(keep);
    }
    for (name, value) in environment.with_prefix("") {
        let is_credential = WORDS.iter().any(|word| name.to_ascii_uppercase().contains(word));
        // A path says where one is, and is none.
        let value = value.to_str().filter(|value| is_credential && !value.starts_with('/'));
        value.into_iter().for_each(keep_if_credential);
    }
    show_secrets(!config.review.redact);
    for tree in programs(environment).trees() {
        hide_repository(tree);
    }
    if let Ok(folder) = config.store.folder() {
        let marker_key = truing_config::open_plain(&folder.join(MARKER_KEY)).map(std::io::read_to_string);
        if let Ok(Ok(key)) = marker_key {
            keep(&key);
        }
        hide_folder(folder);
    }
}
