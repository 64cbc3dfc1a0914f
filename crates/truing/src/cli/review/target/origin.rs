//! Parses the address of a clone's remote, and finds the kind of its forge.

use truing_config::ForgeKind;
use truing_config::environment::Environment;
use truing_config::generate::StarterForge;
use url::Url;

use super::KNOWN_FORGES;

/// Hosts that github.com and bitbucket.org have for ssh at port 443, each with the host of the forge.
const SSH_HOSTS: [(&str, &str); 2] =
    [("ssh.github.com", "github.com"), ("altssh.bitbucket.org", "bitbucket.org")];
/// The port at which Bitbucket Data Center serves git over ssh.
const DATA_CENTER_SSH_PORT: u16 = 7999;
/// The part of a path below which Bitbucket Data Center serves git over https, as `PROJECT/NAME`.
const DATA_CENTER_GIT_PATH: &str = "scm";
/// Variable in which the program `gh` reads the host of a GitHub Enterprise Server.
const GH_HOST_VARIABLE: &str = "GH_HOST";

/// Parses a remote, which may be a URL or a short ssh address, as a URL.
pub(super) fn parse_remote_url(remote: &str) -> Option<Url> {
    match Url::parse(remote).ok().filter(|_| remote.contains("://")) {
        Some(url) => Some(url),
        // Short ssh address: `git@host:owner/name.git`.
        None => {
            let (host, path) = remote.split_once(':').filter(|(host, _)| !host.contains('/'))?;
            Url::parse(&format!("ssh://{host}/{}", path.trim_start_matches('/'))).ok()
        }
    }
}

/// Returns the forge of a remote, as a new configuration file describes it. Returns `None` for a remote that
/// is no server, such as a folder. The forge has no kind if the address does not show the kind.
pub(in crate::cli) fn starter_forge(remote: &str, environment: &Environment) -> Option<StarterForge> {
    let url = parse_remote_url(remote)?;
    let host = url.host_str()?.to_ascii_lowercase();
    let is_web = matches!(url.scheme(), "https" | "http");
    let path: Vec<&str> = url.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).collect();
    if let Some(kind) = hosted_kind(&host, is_web) {
        let repository = repository_name(&path);
        return Some(StarterForge {
            kind: Some(kind),
            server: None,
            repository,
            is_repository_unknown: false,
        });
    }
    let git_path = path.len().checked_sub(3).filter(|index| path.get(*index) == Some(&DATA_CENTER_GIT_PATH));
    let kind = if is_github_enterprise(&host, environment) {
        Some(ForgeKind::Github)
    } else if git_path.is_some() && is_web
        || url.scheme() == "ssh" && url.port() == Some(DATA_CENTER_SSH_PORT)
    {
        Some(ForgeKind::BitbucketDc)
    } else {
        None
    };
    let git_path = git_path.filter(|_| is_web && kind == Some(ForgeKind::BitbucketDc));
    let server_path: String =
        path.iter().take(git_path.unwrap_or(0)).map(|part| format!("/{part}")).collect();
    let port = url.port().filter(|_| is_web).map_or(String::new(), |port| format!(":{port}"));
    let repository = path.get(git_path.map_or(0, |index| index + 1)..).and_then(repository_name);
    let server = Some(format!("https://{host}{port}{server_path}"));
    Some(StarterForge { kind, server, repository, is_repository_unknown: false })
}

/// Returns the kind of forge that a host belongs to, if the host is github.com or bitbucket.org. An ssh
/// configuration may call such a host by a name of its own, such as `github.com-work`.
fn hosted_kind(host: &str, is_web: bool) -> Option<ForgeKind> {
    let is_alias = |known: &str| {
        host.strip_prefix(known).is_some_and(|rest| rest.starts_with(['-', '_']) && !rest.contains('.'))
    };
    let ssh_host = SSH_HOSTS.into_iter().find(|(ssh_host, _)| *ssh_host == host).map(|(_, known)| known);
    let (name, _) = KNOWN_FORGES
        .into_iter()
        .find(|(_, known)| host == *known || !is_web && (ssh_host == Some(known) || is_alias(known)))?;
    ForgeKind::from_word(name)
}

/// Returns true if the host is GitHub Enterprise Cloud with data residency, or if `GH_HOST` names the host.
fn is_github_enterprise(host: &str, environment: &Environment) -> bool {
    let configured_host = environment.get(GH_HOST_VARIABLE).and_then(|value| value.to_str());
    host.ends_with(".ghe.com") || configured_host.is_some_and(|name| name.eq_ignore_ascii_case(host))
}

/// Returns the repository of a path, as `owner/name`.
fn repository_name(path: &[&str]) -> Option<String> {
    let [owner, name] = path else { return None };
    let name = name.strip_suffix(".git").unwrap_or(name);
    let is_plain = |part: &str| {
        !["", ".", ".."].contains(&part)
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.~".contains(letter))
    };
    (is_plain(owner) && is_plain(name)).then(|| format!("{owner}/{name}"))
}

/// Returns the unsupported kind of forge to which the remote seems to belong, or `None`.
pub(in crate::cli) fn unsupported_origin(remote: &str) -> Option<UnsupportedForge> {
    parse_remote_url(remote).as_ref().and_then(unsupported_forge)
}

/// A kind of forge that Truing cannot serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum UnsupportedForge {
    GitLab,
    Forgejo,
    AzureDevOps,
}

impl UnsupportedForge {
    /// Returns a message with the alternatives.
    pub(in crate::cli) fn hint(self) -> String {
        let name = match self {
            Self::GitLab => "GitLab",
            Self::Forgejo => "Forgejo or Gitea",
            Self::AzureDevOps => "Azure DevOps",
        };
        format!(
            "{name} is not supported: Truing reviews pull requests at GitHub and Bitbucket; to review a \
            branch in a clone, run `truing review BRANCH`"
        )
    }

    /// Returns the advice for a CI job of this forge.
    pub(in crate::cli) fn job_hint(self) -> &'static str {
        match self {
            Self::GitLab => {
                "in a job of GitLab CI: `truing review --base origin/main --head HEAD --format gitlab --output \
                 gl-code-quality-report.json`, and name this file in `artifacts:reports:codequality`"
            }
            Self::Forgejo => {
                "in a CI job: `truing review --base origin/main --head HEAD`, which fails if there is a \
                 blocking finding; `--format rdjson` is for reviewdog"
            }
            Self::AzureDevOps => {
                "in a pipeline: `truing review --base origin/main --head HEAD`, which fails if there is a \
                 blocking finding; `--format sarif --output truing.sarif` writes a report"
            }
        }
    }
}

/// Returns the unsupported kind of forge to which the address seems to belong, or `None`.
pub(super) fn unsupported_forge(url: &Url) -> Option<UnsupportedForge> {
    let host = url.host_str()?.to_ascii_lowercase();
    let is_called = |names: &[&str]| names.iter().any(|name| host.contains(name));
    if is_called(&["gitlab"]) || url.path().contains("/-/merge_requests/") {
        Some(UnsupportedForge::GitLab)
    } else if is_called(&["codeberg", "gitea", "forgejo"]) {
        Some(UnsupportedForge::Forgejo)
    } else if is_called(&["dev.azure.com", "visualstudio.com"]) || url.path().contains("/_git/") {
        Some(UnsupportedForge::AzureDevOps)
    } else {
        None
    }
}
