//! Which pull request `--pr` means: its page, or `owner/name#7`, on a configured forge or on github.com.

use url::Url;

use crate::cli::error::CliError;
use crate::config::Config;
use crate::environment::Environment;

/// The forge that needs no configuration, by the name and the host that it has then.
const GITHUB: (&str, &str) = ("github", "github.com");

/// A pull request, by what people call it.
#[derive(Debug)]
pub(in crate::cli) struct Target {
    /// The `NAME` of `[forge.NAME]`.
    pub(in crate::cli) forge: String,
    /// `owner/name`.
    pub(in crate::cli) repo: String,
    /// The number people see.
    pub(in crate::cli) number: u64,
    /// The configuration, which holds that forge.
    pub(in crate::cli) config: Config,
}

impl Target {
    /// Finds out what a URL or name means.
    ///
    /// # Errors
    /// Exit 2 for what names no pull request, or one of a forge that is not configured.
    pub(in crate::cli) fn find(
        text: &str,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let text = text.trim();
        if !text.contains("://") {
            return Self::by_name(text, config, environment);
        }
        let unknown = || not_a_pull(text);
        let url = Url::parse(text).map_err(|_| unknown())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CliError::usage("bad_target", "the URL holds a user name or a password")
                .hint("give it without: the token of the configured forge is used"));
        }
        let below = |(name, forge): (&String, &crate::config::ForgeConfig)| {
            let root = Url::parse(&forge.git_url).ok()?;
            Some((name.clone(), tail(&root, &url)?))
        };
        let (config, forge, tail) = match config.forges.iter().find_map(below) {
            Some((name, tail)) => (config.clone(), name, tail),
            None if is_github(&url) => {
                let tail = url.path_segments().map(|parts| parts.map(str::to_owned).collect());
                (with_github(config, environment)?, GITHUB.0.to_owned(), tail.unwrap_or_default())
            }
            None => {
                let at = url.origin().ascii_serialization();
                return Err(CliError::usage("unknown_forge", format!("no configured forge is at {at}"))
                    .hint(format!("add a section [forge.NAME] with git_url = \"{at}\" and its api_url")));
            }
        };
        match tail.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [owner, name, "pull", number, ..] => {
                let number = number.parse().map_err(|_| unknown())?;
                Ok(Self { forge, repo: format!("{owner}/{name}"), number, config })
            }
            _ => Err(unknown()),
        }
    }

    /// `owner/name#7` on the only forge.
    fn by_name(text: &str, config: &Config, environment: &Environment) -> Result<Self, CliError> {
        let parts = text.split_once('#').filter(|(repo, _)| repo.split('/').count() == 2);
        let number = parts.and_then(|(_, number)| number.trim().parse().ok());
        let (Some((repo, _)), Some(number)) = (parts, number) else { return Err(not_a_pull(text)) };
        let names: Vec<&String> = config.forges.keys().collect();
        let (config, forge) = match names.as_slice() {
            [] => (with_github(config, environment)?, GITHUB.0.to_owned()),
            [only] => (config.clone(), (*only).clone()),
            several => {
                let several: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                let message = format!("`{text}` may be on each of the forges {}", several.join(", "));
                return Err(CliError::usage("which_forge", message).hint("give the URL of its page"));
            }
        };
        Ok(Self { forge, repo: repo.trim().to_owned(), number, config })
    }
}

fn not_a_pull(text: &str) -> CliError {
    CliError::usage("bad_target", format!("`{text}` names no pull request"))
        .hint("give its page, https://HOST/OWNER/NAME/pull/NUMBER, or OWNER/NAME#NUMBER")
}

/// The parts of a page's path below a forge's root, if it is there.
fn tail(root: &Url, page: &Url) -> Option<Vec<String>> {
    let same = root.host() == page.host() && root.port_or_known_default() == page.port_or_known_default();
    let mut parts = page.path_segments().filter(|_| same)?;
    let mut above = root.path_segments()?.filter(|part| !part.is_empty());
    above.all(|part| parts.next() == Some(part)).then(|| parts.map(str::to_owned).collect())
}

fn is_github(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.host_str().is_some_and(|host| host.trim_start_matches("www.") == GITHUB.1)
}

/// With github.com, as it is without configuration.
fn with_github(config: &Config, environment: &Environment) -> Result<Config, CliError> {
    let (name, host) = GITHUB;
    if config.forges.contains_key(name) {
        return Err(CliError::usage(
            "unknown_forge",
            format!("[forge.{name}] is another server than {host}"),
        )
        .hint(format!("add a section [forge.NAME] with kind = \"github\" for {host}")));
    }
    Ok(config.with_forge(name, environment)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::SourceFile;

    const OTHER: &str = "[forge.work]\nkind = \"github\"\napi_url = \"https://git.example.com/api/v3\"\n\
                         git_url = \"https://git.example.com/hub\"\n";

    fn find(text: &str, file: &str) -> Result<(String, String, u64), String> {
        let environment = Environment::new([("HOME", "/home/u")], "/home/u");
        let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: file.into() };
        let config = Config::resolve(&environment, Some(&file), &[]).unwrap();
        match Target::find(text, &config, &environment) {
            Ok(target) => {
                assert!(target.config.forges.contains_key(&target.forge));
                Ok((target.forge, target.repo, target.number))
            }
            Err(error) => Err(error.code.to_owned()),
        }
    }

    #[test]
    fn a_page_is_found_by_its_host_and_github_needs_no_configuration() {
        let there = |forge: &str| Ok((forge.to_owned(), "o/r".to_owned(), 7));
        for page in ["https://github.com/o/r/pull/7", "https://github.com/o/r/pull/7/files?w=1#x", "o/r#7"] {
            assert_eq!(find(page, ""), there("github"), "{page}");
        }
        assert_eq!(find("https://git.example.com/hub/o/r/pull/7", OTHER), there("work"));
        assert_eq!(find(" o/r#7 ", OTHER), there("work"), "the only one there is");
        assert_eq!(find("https://github.com/o/r/pull/7", OTHER), there("github"));
    }

    #[test]
    fn what_names_no_pull_request_or_no_forge_is_refused() {
        let both = format!("{OTHER}[forge.github]\n");
        let elsewhere = "[forge.github]\ngit_url = \"https://git.example.com\"\n";
        for (text, file, code) in [
            ("https://github.com/o/r", "", "bad_target"),
            ("https://github.com/o/r/pull/x", "", "bad_target"),
            ("https://github.com/o/r/pull/-1", "", "bad_target"),
            ("https://github.com/o/r/issues/7", "", "bad_target"),
            ("https://token@github.com/o/r/pull/7", "", "bad_target"),
            ("http://", "", "bad_target"),
            ("o/r", "", "bad_target"),
            ("o#7", "", "bad_target"),
            ("a/b/c#7", "", "bad_target"),
            ("o/r#7", &both, "which_forge"),
            ("https://git.example.com/o/r/pull/7", OTHER, "unknown_forge"),
            ("https://gitlab.com/o/r/pull/7", "", "unknown_forge"),
            ("https://github.com/o/r/pull/7", elsewhere, "unknown_forge"),
        ] {
            assert_eq!(find(text, file), Err(code.to_owned()), "{text}");
        }
    }
}
