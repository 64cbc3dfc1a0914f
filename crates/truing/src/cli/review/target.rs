//! Resolves names of pull requests, owners and repositories at a configured forge, at github.com or at
//! bitbucket.org. A pull request can be given as the URL of its page, `owner/name#7`, `owner/name/7` or its
//! key in the queue.

use truing_config::environment::Environment;
use truing_config::{Config, ForgeConfig};
use truing_core::id::SlotKey;
use truing_core::port::RunStore as _;
use truing_forge::capability::{self, ForgeCapability};
use truing_forge::pages::PageUrlLayout;
use url::Url;

mod origin;

use origin::{parse_remote_url, unsupported_forge};
pub(in crate::cli) use origin::{starter_forge, unsupported_origin};

use crate::cli::error::CliError;
use crate::cli::target::{open_existing_store, store_error};
use crate::wiring;

/// Forges that need no configuration, with their default names and hosts. If no forge is configured, a name
/// that is not a URL belongs to the first forge of this list.
const KNOWN_FORGES: [(&str, &str); 2] = [("github", "github.com"), ("bitbucket", "bitbucket.org")];

/// A pull request that the user named.
#[derive(Debug)]
pub(in crate::cli) struct PullTarget {
    /// Name of the forge in `[forge.NAME]`.
    pub(in crate::cli) forge: String,
    pub(in crate::cli) repo: String,
    pub(in crate::cli) number: u64,
    /// Configuration that contains the forge.
    pub(in crate::cli) config: Config,
}

impl PullTarget {
    /// Resolves a URL or a name.
    ///
    /// # Errors
    /// Returns exit 2 if the text names no pull request, or if the forge of the pull request is not
    /// configured.
    pub(in crate::cli) fn find(
        text: &str,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let text = text.trim();
        if !text.contains("://") {
            return Self::find_by_name(text, config, environment);
        }
        let unknown = || not_a_pull_error(text);
        let url = Url::parse(text).map_err(|_| unknown())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CliError::usage("bad_target", "the URL contains a user name or a password")
                .hint("omit both: Truing uses the token of the configured forge"));
        }
        let (config, forge, tail) = find_forge(&url, ForgeBaseAddress::Pages, config, environment)?;
        let row = config.forges.get(&forge).map(forge_capability);
        let tail: Vec<&str> = tail.iter().map(String::as_str).collect();
        let (repo, number) = row.and_then(|row| row.page_urls.parse_pull(&tail)).ok_or_else(unknown)?;
        Ok(Self { forge, repo, number, config })
    }

    /// Resolves a URL, a name, a number of a pull request in the current folder's repository, or a key of the
    /// queue. A key of the queue is known only if the store has a record of the pull request.
    ///
    /// # Errors
    /// Returns the errors of [`PullTarget::find`], and an error if the store or the repository cannot be
    /// read.
    pub(in crate::cli) async fn resolve_reference(
        text: &str,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        if let Ok(number) = text.trim_start_matches('#').parse() {
            return Self::find_in_origin(number, config, environment).await;
        }
        if !is_pull_slot_key(text) {
            return Self::find(text, config, environment);
        }
        let known = match open_existing_store(config, environment).await? {
            Some(store) => {
                store.descriptions(&[SlotKey::new(text)]).await.map_err(store_error)?.pop().flatten()
            }
            None => None,
        };
        Self::find(&known.ok_or_else(|| not_a_pull_error(text))?.url, config, environment)
    }

    /// Resolves a bare number as a pull request in the repository from which the current folder was cloned.
    async fn find_in_origin(
        number: u64,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let git = wiring::open_git(environment).await?;
        let repository =
            git.open_without_commits(environment.directory()).await.map_err(wiring::git_error)?;
        let unknown = |reason: &str| {
            CliError::usage("bad_target", format!("`{number}`: {reason}"))
                .hint("specify the pull request in full: OWNER/NAME#NUMBER, or its URL")
        };
        let origin = repository.origin_url().ok_or_else(|| {
            unknown(
                "a number without a repository name requires the remote `origin`, but this repository \
                has no such remote",
            )
        })?;
        let RepositoryTarget { forge, repo, config } =
            RepositoryTarget::from_remote(origin, config, environment).ok_or_else(|| {
                let error = unknown("the remote `origin` of this repository is not at a configured forge");
                match unsupported_origin(origin) {
                    Some(kind) => CliError { hints: vec![kind.hint()], ..error },
                    None => error,
                }
            })?;
        Ok(Self { forge, repo, number, config })
    }

    /// Resolves `owner/name#7` or `owner/name/7` at the only configured forge.
    fn find_by_name(text: &str, config: &Config, environment: &Environment) -> Result<Self, CliError> {
        let parts = text.split_once('#').or_else(|| text.rsplit_once('/'));
        let parts = parts.filter(|(repo, _)| repo.split('/').filter(|part| !part.is_empty()).count() == 2);
        let number = parts.and_then(|(_, number)| number.trim().parse().ok());
        let (Some((repo, _)), Some(number)) = (parts, number) else { return Err(not_a_pull_error(text)) };
        let (config, forge) = find_only_forge(text, config, environment)?;
        Ok(Self { forge, repo: repo.trim().to_owned(), number, config })
    }
}

/// A user or an organisation that the user named.
#[derive(Debug)]
pub(in crate::cli) struct OwnerTarget {
    /// Name of the forge in `[forge.NAME]`.
    pub(in crate::cli) forge: String,
    pub(in crate::cli) name: String,
    /// Configuration that contains the forge.
    pub(in crate::cli) config: Config,
}

impl OwnerTarget {
    /// Resolves the name of an owner, or the URL of its page.
    ///
    /// # Errors
    /// Returns the same errors as [`PullTarget::find`].
    pub(in crate::cli) fn find(
        text: &str,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let wrong = || {
            CliError::usage("bad_owner", format!("`{text}` is not the name of a user or an organisation"))
                .hint(
                    "give the owner's name, as in OWNER/NAME, or the URL of the owner's page, \
                    https://HOST/OWNER",
                )
        };
        let (config, forge, name) = if text.contains("://") {
            let url = Url::parse(text).map_err(|_| wrong())?;
            let (config, forge, tail) = find_forge(&url, ForgeBaseAddress::Pages, config, environment)?;
            let is_name = |part: &String| !part.is_empty() && !["orgs", "projects"].contains(&part.as_str());
            let mut parts = tail.into_iter().filter(is_name);
            match (parts.next(), parts.next()) {
                (Some(name), None) => (config, forge, name),
                _ => return Err(wrong()),
            }
        } else {
            let (config, forge) = find_only_forge(text, config, environment)?;
            (config, forge, text.to_owned())
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(wrong());
        }
        Ok(Self { forge, name, config })
    }
}

/// A repository at a forge.
#[derive(Debug)]
pub(in crate::cli) struct RepositoryTarget {
    /// Name of the forge in `[forge.NAME]`.
    pub(in crate::cli) forge: String,
    /// Name of the repository as `owner/name`.
    pub(in crate::cli) repo: String,
    /// Configuration that contains the forge.
    pub(in crate::cli) config: Config,
}

impl RepositoryTarget {
    /// Resolves a git remote, which may be a URL or a short ssh address. Returns none if the remote is not at
    /// a known forge.
    pub(in crate::cli) fn from_remote(
        remote: &str,
        config: &Config,
        environment: &Environment,
    ) -> Option<Self> {
        let url = parse_remote_url(remote)?;
        let is_web = matches!(url.scheme(), "https" | "http");
        let (config, forge, tail) = if is_web {
            find_forge(&url, ForgeBaseAddress::Git, config, environment).ok()?
        } else {
            // An ssh address contains only the host from the forge's base address, so only the host is
            // compared.
            let host = url.host_str()?;
            let is_there = |forge: &ForgeConfig| {
                Url::parse(&forge.git_url)
                    .is_ok_and(|root| root.host_str().is_some_and(|its| its.eq_ignore_ascii_case(host)))
            };
            let tail = url.path_segments()?.map(str::to_owned).collect();
            match config.forges.iter().find(|(_, forge)| is_there(forge)) {
                Some((name, _)) => (config.clone(), name.clone(), tail),
                None => {
                    let known =
                        KNOWN_FORGES.into_iter().find(|(_, known)| host.eq_ignore_ascii_case(known))?;
                    (add_known_forge(known.0, known.1, config, environment).ok()?, known.0.to_owned(), tail)
                }
            }
        };
        let parts: Vec<&str> = tail.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let [owner, name] = parts.as_slice() else { return None };
        let name = name.strip_suffix(".git").unwrap_or(name);
        Some(Self { forge, repo: format!("{owner}/{name}"), config })
    }
}

/// Selects the base address of a forge with which a URL is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ForgeBaseAddress {
    /// Base address of the web pages.
    Pages,
    Git,
}

/// Returns the capabilities of the forge's kind, including the layout of its page URLs.
fn forge_capability(forge: &ForgeConfig) -> &'static ForgeCapability {
    capability::forge_capability(forge.kind)
}

/// Finds the forge to whose base address a URL belongs. Returns the configuration with this forge, its name,
/// and the segments of the URL's path below the forge's root.
fn find_forge(
    url: &Url,
    root_kind: ForgeBaseAddress,
    config: &Config,
    environment: &Environment,
) -> Result<(Config, String, Vec<String>), CliError> {
    let found = config.forges.iter().find_map(|(name, forge)| {
        let is_at_api =
            root_kind == ForgeBaseAddress::Pages && forge_capability(forge).page_urls.is_under_api_url();
        let root = Url::parse(if is_at_api { &forge.api_url } else { &forge.git_url }).ok()?;
        Some((name.clone(), path_below_root(&root, url)?))
    });
    if let Some((name, tail)) = found {
        return Ok((config.clone(), name, tail));
    }
    if let Some(known) = KNOWN_FORGES.into_iter().find(|(_, host)| has_host(url, host)) {
        let tail = url.path_segments().map(|parts| parts.map(str::to_owned).collect());
        return Ok((
            add_known_forge(known.0, known.1, config, environment)?,
            known.0.to_owned(),
            tail.unwrap_or_default(),
        ));
    }
    let at = url.origin().ascii_serialization();
    if let Some(kind) = unsupported_forge(url) {
        let message = format!("no configured forge is at {at}");
        return Err(CliError::usage("unknown_forge", message).hint(kind.hint()));
    }
    let (row, path) = guess_forge_kind(url);
    let name = unused_forge_name(url.host_str().unwrap_or_default(), config);
    let message = format!("no configured forge is at {at}");
    let (api_url, git_url) = row.page_urls.api_and_git_urls(&format!("{at}{path}"));
    Err(unconfigured_forge_error(message, &name, row, &api_url, &git_url))
}

/// Guesses the kind of a forge from the URL of a page. The kind is GitHub, unless the page layout of another
/// kind matches the URL. Also returns the part of the URL's path that belongs to the server.
fn guess_forge_kind(url: &Url) -> (&'static ForgeCapability, String) {
    let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let others = capability::CAPABILITY_TABLE.iter().filter(|row| row.page_urls != PageUrlLayout::OwnerPath);
    for row in others {
        // The URL of a self-hosted server may contain a path, which precedes the path of the page. The URLs
        // of other forges contain no server path.
        let places = if row.page_urls.is_under_api_url() { parts.len() } else { 1.min(parts.len()) };
        for at in 0..places {
            let (above, below) = parts.split_at(at);
            if row.page_urls.parse_pull(below).is_some() {
                return (row, above.iter().map(|part| format!("/{part}")).collect());
            }
        }
    }
    (&capability::GITHUB, String::new())
}

/// Returns the error for a forge that is not configured. The error contains the configuration to add.
fn unconfigured_forge_error(
    message: String,
    name: &str,
    capability: &ForgeCapability,
    api_url: &str,
    git_url: &str,
) -> CliError {
    let kind = capability.kind.as_str();
    let token = format!("{}_TOKEN", name.replace('-', "_").to_ascii_uppercase());
    CliError::usage("unknown_forge", message)
        .with_excerpt(&format!(
            "[forge.{name}]\nkind = \"{kind}\"\napi_url = \"{api_url}\"\ngit_url = \"{git_url}\"\n\
             token = {{ env = \"{token}\" }}"
        ))
        .hint(format!(
            "if this address belongs to a {} server, add these lines to your configuration (`truing \
            config show` names the file) and put a token into {token}",
            capability.name
        ))
}

/// Returns a name for the forge at a host. No configured forge has this name.
fn unused_forge_name(host: &str, config: &Config) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = host.chars().map(plain).collect();
    let name = name.trim_matches('-');
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("at-{name}")
    };
    let taken = |name: &String| config.forges.contains_key(name);
    let others = (2..).map(|number: u32| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(others).find(|name| !taken(name)).unwrap_or_else(|| name.clone())
}

/// Returns true for a key of a pull request's slot: `pr/FORGE/REPOSITORY/NUMBER`. A repository's id is a
/// number, or a UUID in braces.
pub(in crate::cli) fn is_pull_slot_key(text: &str) -> bool {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let is_uuid = |text: &str| text.starts_with('{') && text.ends_with('}');
    matches!(
        text.split('/').collect::<Vec<_>>().as_slice(),
        ["pr", _, repository, number] if (is_number(repository) || is_uuid(repository)) && is_number(number)
    )
}

/// Returns true if the text looks like a reference to a pull request. The caller has to exclude folders
/// first.
pub(super) fn is_pull_reference(text: &str) -> bool {
    let number = text.trim_start_matches('#');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number || text.contains("://") || text.contains('#') || is_pull_slot_key(text) || is_pull_name(text)
}

/// Returns true if the text has the form `owner/name/7`.
pub(in crate::cli) fn is_pull_name(text: &str) -> bool {
    matches!(text.split('/').collect::<Vec<_>>().as_slice(), [_, _, number] if number.parse::<u64>().is_ok())
}

fn find_only_forge(
    text: &str,
    config: &Config,
    environment: &Environment,
) -> Result<(Config, String), CliError> {
    let names: Vec<&str> = config.forges.keys().map(String::as_str).collect();
    match names.as_slice() {
        [] => Ok((
            add_known_forge(KNOWN_FORGES[0].0, KNOWN_FORGES[0].1, config, environment)?,
            KNOWN_FORGES[0].0.to_owned(),
        )),
        [only] => Ok((config.clone(), (*only).to_owned())),
        several => {
            let message = format!("`{text}` could be at any of the forges {}", several.join(", "));
            Err(CliError::usage("which_forge", message).hint("specify the URL of the page at the forge"))
        }
    }
}

fn not_a_pull_error(text: &str) -> CliError {
    CliError::usage("bad_target", format!("`{text}` is not a pull request")).hint(
        "specify a pull request by its URL, such as https://HOST/OWNER/NAME/pull/NUMBER, by \
            OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, by NUMBER in a clone of its repository, or by a key of \
            `truing queue list`",
    )
}

/// Returns the segments of a page's path below the root of a forge. Returns `None` if the page is not below
/// the root.
fn path_below_root(root: &Url, page: &Url) -> Option<Vec<String>> {
    let same = root.host() == page.host() && root.port_or_known_default() == page.port_or_known_default();
    let mut parts = page.path_segments().filter(|_| same)?;
    let mut above = root.path_segments()?.filter(|part| !part.is_empty());
    above.all(|part| parts.next() == Some(part)).then(|| parts.map(str::to_owned).collect())
}

fn has_host(url: &Url, host: &str) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.host_str().is_some_and(|at| at.trim_start_matches("www.") == host)
}

/// Adds a forge that needs no configuration, with its default settings.
fn add_known_forge(
    name: &str,
    host: &str,
    config: &Config,
    environment: &Environment,
) -> Result<Config, CliError> {
    if config.forges.contains_key(name) {
        let message = format!("[forge.{name}] configures another server than {host}");
        // The suggested section has another name, but the default addresses of the known forge are also
        // correct for that section.
        let bare = Config::resolve(environment, None, &[])?.with_forge(name, environment)?;
        let Some(known) = bare.forges.get(name) else {
            return Err(CliError::usage("unknown_forge", message));
        };
        let name = unused_forge_name(host, config);
        return Err(unconfigured_forge_error(
            message,
            &name,
            forge_capability(known),
            &known.api_url,
            &known.git_url,
        ));
    }
    Ok(config.with_forge(name, environment)?)
}

#[cfg(test)]
mod tests;
