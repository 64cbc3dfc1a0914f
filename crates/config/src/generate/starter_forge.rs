//! The forge of a generated configuration file.

use serde_json::Value as Json;

use super::{default_as_toml, named_section};
use crate::ForgeKind;
use crate::keys::{ConfigKey, NamedSection};

/// Key that both generated files always set, because a server requires a forge.
pub(super) const FORGE_KIND_KEY: &str = "forge.NAME.kind";
/// Key that both generated files set if a repository is given.
pub(super) const REPOSITORIES_KEY: &str = "forge.NAME.repositories";
/// Keys that both generated files set if the forge is a server of one's own.
const API_URL_KEY: &str = "forge.NAME.api_url";
const GIT_URL_KEY: &str = "forge.NAME.git_url";

/// The forge of a generated file, which is also the name of its section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StarterForge {
    pub kind: ForgeKind,
    /// Address of the server, `https://HOST`; `None` for github.com and bitbucket.org.
    pub server: Option<String>,
    /// The only repository that the file's server serves, `owner/name`.
    pub repository: Option<String>,
}

impl Default for StarterForge {
    /// Returns github.com with all of its repositories.
    fn default() -> Self {
        Self { kind: ForgeKind::Github, server: None, repository: None }
    }
}

impl StarterForge {
    /// Returns the path of a section. `None` in place of a name stands for a section without names.
    pub(super) fn section_path(&self, section: &str) -> String {
        let name = match named_section(section) {
            Some(NamedSection::Forge) => self.kind.as_str(),
            Some(named) => named.example(),
            None => "",
        };
        section.replace("NAME", name)
    }

    /// Returns the value of a key, and true if the file sets the key. A key that is not set is shown as a
    /// comment.
    pub(super) fn value(&self, key: &ConfigKey) -> (String, bool) {
        let text = |value: &str| Json::from(value).to_string();
        let server = self.server.as_deref();
        let api_url = |server: &str| match self.kind {
            ForgeKind::Github => format!("{server}/api/v3"),
            ForgeKind::Bitbucket | ForgeKind::BitbucketDc => server.to_owned(),
        };
        let set = match (key.path, server, &self.repository) {
            (FORGE_KIND_KEY, ..) => Some(text(self.kind.as_str())),
            (REPOSITORIES_KEY, _, Some(repository)) => Some(format!("[{}]", text(repository))),
            (API_URL_KEY, Some(server), _) => Some(text(&api_url(server))),
            (GIT_URL_KEY, Some(server), _) if self.kind == ForgeKind::Github => Some(text(server)),
            _ => None,
        };
        if let Some(value) = set {
            return (value, true);
        }
        let example = default_as_toml(key);
        let is_forge_key = key.path.starts_with("forge.NAME.");
        if self.kind == ForgeKind::Github || !is_forge_key {
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
    use crate::ForgeKind;

    fn forge(kind: ForgeKind, server: Option<&str>, repository: &str) -> StarterForge {
        StarterForge { kind, server: server.map(str::to_owned), repository: Some(repository.to_owned()) }
    }

    #[test]
    fn generated_file_configures_the_given_forge() {
        for (forge, lines) in [
            (
                forge(ForgeKind::Bitbucket, None, "team/shop"),
                &[
                    "forge.bitbucket.kind = \"bitbucket\"",
                    "# forge.bitbucket.token = { env = \"BITBUCKET_TOKEN\" }",
                    "forge.bitbucket.repositories = [\"team/shop\"]",
                ][..],
            ),
            (
                forge(ForgeKind::BitbucketDc, Some("https://git.example"), "PROJ/shop"),
                &[
                    "forge.bitbucket-dc.kind = \"bitbucket-dc\"",
                    "forge.bitbucket-dc.api_url = \"https://git.example\"",
                ],
            ),
            (
                forge(ForgeKind::Github, Some("https://git.example"), "team/shop"),
                &[
                    "forge.github.api_url = \"https://git.example/api/v3\"",
                    "forge.github.git_url = \"https://git.example\"",
                ],
            ),
        ] {
            for file in [starter_file(&forge), commented_file(&forge)] {
                for line in lines {
                    assert!(file.lines().any(|written| written == *line), "{line}\n{file}");
                }
            }
        }
    }

    #[test]
    fn the_commented_file_serves_the_repository_that_is_given_alone() {
        let own = forge(ForgeKind::Github, None, "ada/shop");
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
