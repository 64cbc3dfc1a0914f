//! The forge of a generated configuration file.

use serde_json::Value as Json;

use super::{default_as_toml, named_section};
use crate::ForgeKind;
use crate::keys::{ConfigKey, NamedSection};

/// Key that both generated files always set, because a server requires a forge.
pub(super) const FORGE_KIND_KEY: &str = "forge.NAME.kind";
/// Key that both generated files set if a repository is given.
pub(super) const REPOSITORIES_KEY: &str = "forge.NAME.repositories";
/// Value of this key to replace, in a comment.
const REPOSITORY_PLACEHOLDER: &str = "OWNER/NAME";
/// Keys that both generated files set if the forge is a server of one's own.
const API_URL_KEY: &str = "forge.NAME.api_url";
const GIT_URL_KEY: &str = "forge.NAME.git_url";
/// Key that the short file shows for Bitbucket Cloud, where an API token is valid only with it.
const EMAIL_KEY: &str = "forge.NAME.email";
/// Name of the section if the kind of the forge is unknown.
const UNKNOWN_KIND_SECTION: &str = "work";
/// End of the hosts of GitHub Enterprise Cloud with data residency, whose API has a host of its own.
const DATA_RESIDENCY_SUFFIX: &str = ".ghe.com";

/// The forge of a generated file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StarterForge {
    /// Kind of the forge; `None` if the kind is unknown. The file then shows the forge's keys as comments.
    pub kind: Option<ForgeKind>,
    /// Address of the server, `https://HOST`; `None` for github.com and bitbucket.org.
    pub server: Option<String>,
    /// The only repository that the file's server serves, `owner/name`.
    pub repository: Option<String>,
    /// True if the server is meant for a repository whose name is unknown. The file then contains a comment
    /// to fill in.
    pub is_repository_unknown: bool,
}

impl Default for StarterForge {
    /// Returns github.com with all of its repositories.
    fn default() -> Self {
        Self { kind: Some(ForgeKind::Github), server: None, repository: None, is_repository_unknown: false }
    }
}

impl StarterForge {
    /// Returns the name of the forge's section, `[forge.NAME]`.
    pub fn section_name(&self) -> &'static str {
        self.kind.map_or(UNKNOWN_KIND_SECTION, ForgeKind::as_str)
    }

    /// Returns the address of the forge's API; `None` for github.com and bitbucket.org. If the kind is
    /// unknown, returns the address that a GitHub Enterprise Server would have.
    fn api_url(&self) -> Option<String> {
        let server = self.server.as_deref()?;
        if self.kind.is_some_and(|kind| kind != ForgeKind::Github) {
            return Some(server.to_owned());
        }
        let host = server.strip_prefix("https://").filter(|host| host.ends_with(DATA_RESIDENCY_SUFFIX));
        Some(host.map_or_else(|| format!("{server}/api/v3"), |host| format!("https://api.{host}")))
    }

    /// Returns true if the short file shows a key of the forge that this kind of forge needs.
    pub(super) fn needs(&self, key: &ConfigKey) -> bool {
        match self.kind {
            Some(ForgeKind::Bitbucket) => key.path == EMAIL_KEY,
            Some(ForgeKind::Github | ForgeKind::BitbucketDc) => self.value(key).1,
            None => [API_URL_KEY, GIT_URL_KEY].contains(&key.path),
        }
    }

    /// Returns the path of a section. `None` in place of a name stands for a section without names.
    pub(super) fn section_path(&self, section: &str) -> String {
        let name = match named_section(section) {
            Some(NamedSection::Forge) => self.section_name(),
            Some(named) => named.example(),
            None => "",
        };
        section.replace("NAME", name)
    }

    /// Returns the value of a key, and true if the file sets the key. A key that is not set is shown as a
    /// comment.
    pub(super) fn value(&self, key: &ConfigKey) -> (String, bool) {
        let text = |value: &str| Json::from(value).to_string();
        let set = match (key.path, &self.repository) {
            (FORGE_KIND_KEY, _) => self.kind.map(|kind| text(kind.as_str())),
            (REPOSITORIES_KEY, Some(repository)) => Some(format!("[{}]", text(repository))),
            (API_URL_KEY, _) => self.api_url().as_deref().map(text),
            (GIT_URL_KEY, _) if self.kind != Some(ForgeKind::BitbucketDc) => self.server.as_deref().map(text),
            _ => None,
        };
        if let Some(value) = set {
            return (value, self.kind.is_some());
        }
        if key.path == REPOSITORIES_KEY && self.is_repository_unknown {
            return (format!("[{}]", text(REPOSITORY_PLACEHOLDER)), false);
        }
        let example = default_as_toml(key);
        let is_forge_key = key.path.starts_with("forge.NAME.");
        let is_github = self.kind.is_none_or(|kind| kind == ForgeKind::Github);
        if is_github || !is_forge_key {
            return (example, false);
        }
        let example = example
            .replace("GITHUB_", "BITBUCKET_")
            .replace("https://api.github.com", "https://api.bitbucket.org/2.0")
            .replace("https://github.com", "https://bitbucket.org");
        (example, false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{STARTER_FILE_KEYS, commented_file, starter_file};
    use super::StarterForge;

    #[test]
    fn the_commented_file_serves_the_repository_that_is_given_alone() {
        let own = StarterForge { repository: Some("ada/shop".to_owned()), ..StarterForge::default() };
        let without = commented_file(&StarterForge::default());
        let with = commented_file(&own);
        let line = "# forge.github.repositories = []\n";
        assert!(without.contains(line), "{without}");
        assert_eq!(with, without.replace(line, "forge.github.repositories = [\"ada/shop\"]\n"));
        for file in [starter_file(&StarterForge::default()), starter_file(&own)] {
            let keys = file.lines().filter(|line| line.contains(" = ")).count();
            assert_eq!(keys, STARTER_FILE_KEYS.len(), "{file}");
            assert!(file.lines().count() < 40, "{file}");
        }
        assert!(starter_file(&own).contains("\nforge.github.repositories = [\"ada/shop\"]\n"));
        let words = without.replace("\n# ", " ");
        assert!(words.contains("Truing serves every repository that the token sees"), "{words}");
    }
}
