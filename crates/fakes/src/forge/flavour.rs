//! The kinds of forges that the fake can simulate, and the identifiers that each kind uses.

/// The kind of forge that the fake simulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForgeFlavour {
    #[default]
    GitHub,
    /// Bitbucket Cloud, whose API is at `/2.0`.
    Cloud,
    /// Bitbucket Data Center, whose API is at `/rest` and whose git repositories are at `/scm`.
    DataCenter,
}

impl ForgeFlavour {
    /// Returns the path of a repository for git, relative to the forge's address.
    pub(crate) fn clone_path(self, full_name: &str) -> String {
        match self {
            Self::GitHub | Self::Cloud => format!("/{full_name}.git"),
            Self::DataCenter => format!("/scm/{full_name}.git"),
        }
    }

    /// Returns the full name of the ref at the head of a pull request. Cloud has no such ref, so the fake
    /// stores the ref but hides it from git.
    pub(crate) fn pull_ref(self, number: u64) -> String {
        match self {
            Self::GitHub | Self::Cloud => format!("refs/pull/{number}/head"),
            Self::DataCenter => format!("refs/pull-requests/{number}/from"),
        }
    }

    /// Returns the prefix of refs that are hidden from git clients. The branches of forks do not have this
    /// prefix, but are also hidden.
    pub(crate) fn hidden_ref_prefix(self) -> Option<&'static str> {
        match self {
            Self::Cloud => Some("refs/pull"),
            Self::GitHub | Self::DataCenter => None,
        }
    }

    /// Returns true if an account becomes a reviewer when it gives a verdict.
    pub(crate) fn verdict_makes_reviewer(self) -> bool {
        self == Self::DataCenter
    }

    /// Returns the id of a repository as the forge shows it.
    pub(crate) fn repository_id(self, id: u64) -> String {
        match self {
            Self::Cloud => uuid_from_id(id),
            Self::GitHub | Self::DataCenter => id.to_string(),
        }
    }

    /// Returns the id of an account as the forge shows it.
    pub(crate) fn account_id(self, id: u64) -> String {
        self.repository_id(id)
    }
}

/// Returns an id in Cloud's format that contains this number. The same number always results in the same id.
pub(crate) fn uuid_from_id(id: u64) -> String {
    // Twelve digits are enough for every id that the fake creates.
    format!("{{00000000-0000-4000-8000-{:012x}}}", id & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_cloud_have_braces_and_their_number() {
        assert_eq!(ForgeFlavour::Cloud.repository_id(255), "{00000000-0000-4000-8000-0000000000ff}");
        assert_eq!(ForgeFlavour::DataCenter.account_id(255), "255");
    }
}
