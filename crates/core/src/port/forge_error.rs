//! Consequences of a forge error: a hint for users, and whether the failed call may have changed anything.

use super::{ForgeError, ForgeKind};

impl ForgeError {
    /// Returns advice on how to resolve this error.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => {
                "make a new token, and store it where forge.NAME.token points; check app_id, private_key \
                    and this machine's clock (GitHub App), or forge.NAME.email (Bitbucket API token)"
            }
            Self::Forbidden { .. } => {
                "give the token permission to read the code and to write pull request comments and \
                    statuses, or use another token; docs/github.md, docs/bitbucket.md and \
                    docs/bitbucket-dc.md list the required permissions"
            }
            Self::NotFound { .. } => {
                "check that the resource exists and that the token may read it: the forge gives the same \
                answer for a missing resource and a missing permission"
            }
            Self::Moved { .. } => "use the current name of the repository",
            Self::Rejected { .. } => "see the forge's message",
            Self::Stale { .. } => "run the command again: it reads the current state",
            Self::RateLimited { .. } => "Truing continues automatically after this time",
            Self::Unavailable { .. } => {
                "if this persists, check forge.NAME.api_url and the forge's status page"
            }
            Self::Halted(halt) => halt.reason.hint(),
        }
    }

    /// Returns advice like `hint`, but with instructions for this kind of forge.
    pub fn hint_at(&self, kind: ForgeKind) -> &'static str {
        match (self, kind) {
            (Self::Unauthorized { .. }, ForgeKind::Bitbucket) => {
                "make a new token, and store it where forge.NAME.token points; an API token needs \
                 forge.NAME.email, too, and app passwords no longer work"
            }
            (Self::Unauthorized { .. }, ForgeKind::BitbucketDc) => {
                "make a new HTTP access token, and store it where forge.NAME.token points"
            }
            (Self::Forbidden { .. }, ForgeKind::Github) => {
                "give the token permission to read the code and to write pull request comments and \
                    statuses, or use another token; docs/github.md lists the required permissions"
            }
            (Self::Forbidden { .. }, ForgeKind::Bitbucket) => {
                "give the token the scopes that docs/bitbucket.md lists, or use another token"
            }
            (Self::Forbidden { .. }, ForgeKind::BitbucketDc) => {
                "give the token the permissions that docs/bitbucket-dc.md lists, or use another token"
            }
            (_, ForgeKind::Github | ForgeKind::Bitbucket | ForgeKind::BitbucketDc) => self.hint(),
        }
    }

    /// Returns the error and its hint in one line.
    pub fn with_hint(&self) -> String {
        format!("{self} (hint: {})", self.hint())
    }

    /// Returns true if the failed call certainly changed nothing. Otherwise the effect of the call must stay
    /// open in the effect log.
    pub fn has_no_effect(&self) -> bool {
        match self {
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Moved { .. }
            | Self::Rejected { .. }
            | Self::Stale { .. }
            | Self::RateLimited { .. }
            | Self::Halted(_) => true,
            Self::Unavailable { .. } => false,
        }
    }
}
