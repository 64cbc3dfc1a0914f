//! Parses addresses of a forge's web pages: finds the pull request that a page shows.

/// The pattern of the addresses of a forge's web pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageUrlLayout {
    /// `OWNER/NAME/pull/NUMBER`, below the address of git.
    OwnerPath,
    /// `WORKSPACE/SLUG/pull-requests/NUMBER`, below the address of git.
    WorkspacePath,
    /// `projects/KEY/repos/SLUG/pull-requests/NUMBER`, below the address of the API; for a person's
    /// repository `users/SLUG/repos/…`.
    ProjectPath,
}

impl PageUrlLayout {
    /// Returns the pull request that a page shows, as `owner/name` and number. `path` contains the segments
    /// of the address below its root. A page below the page of a pull request, such as its list of files,
    /// belongs to the same pull request.
    pub fn parse_pull(self, path: &[&str]) -> Option<(String, u64)> {
        let (owner, name, number) = match (self, path) {
            (Self::OwnerPath, [owner, name, "pull", number, ..])
            | (Self::WorkspacePath, [owner, name, "pull-requests", number, ..])
            | (Self::ProjectPath, ["projects", owner, "repos", name, "pull-requests", number, ..]) => {
                ((*owner).to_owned(), name, number)
            }
            (Self::ProjectPath, ["users", user, "repos", name, "pull-requests", number, ..]) => {
                (format!("~{user}"), name, number)
            }
            (Self::OwnerPath | Self::WorkspacePath | Self::ProjectPath, _) => return None,
        };
        let number = number.parse().ok()?;
        (!owner.is_empty() && !name.is_empty()).then(|| (format!("{owner}/{name}"), number))
    }

    /// Returns the pattern of a pull request's address, as text for people.
    pub fn url_pattern(self) -> &'static str {
        match self {
            Self::OwnerPath => "https://HOST/OWNER/NAME/pull/NUMBER",
            Self::WorkspacePath => "https://bitbucket.org/WORKSPACE/NAME/pull-requests/NUMBER",
            Self::ProjectPath => "SERVER/projects/KEY/repos/NAME/pull-requests/NUMBER",
        }
    }

    /// Returns true if the root of the pages is the address of the API, and false if it is the address of
    /// git.
    pub fn is_under_api_url(self) -> bool {
        match self {
            Self::OwnerPath | Self::WorkspacePath => false,
            Self::ProjectPath => true,
        }
    }

    /// Returns the API and git addresses of a server whose pages have this layout. `root` is the root address
    /// of the pages.
    pub fn api_and_git_urls(self, root: &str) -> (String, String) {
        match self {
            Self::OwnerPath => (format!("{root}/api/v3"), root.to_owned()),
            Self::WorkspacePath => (format!("{root}/2.0"), root.to_owned()),
            Self::ProjectPath => (root.to_owned(), format!("{root}/scm")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_pull_request_at_its_own_kind_alone() {
        let read = |pages: PageUrlLayout, path: &str| pages.parse_pull(&path.split('/').collect::<Vec<_>>());
        let there = Some(("o/r".to_owned(), 7));
        for (pages, path) in [
            (PageUrlLayout::OwnerPath, "o/r/pull/7"),
            (PageUrlLayout::OwnerPath, "o/r/pull/7/files"),
            (PageUrlLayout::WorkspacePath, "o/r/pull-requests/7/diff"),
            (PageUrlLayout::ProjectPath, "projects/o/repos/r/pull-requests/7/overview"),
        ] {
            assert_eq!(read(pages, path), there, "{path}");
            for other in [PageUrlLayout::OwnerPath, PageUrlLayout::WorkspacePath, PageUrlLayout::ProjectPath]
            {
                assert!(other == pages || read(other, path).is_none(), "{path}");
            }
        }
        let own = read(PageUrlLayout::ProjectPath, "users/ada/repos/r/pull-requests/7");
        assert_eq!(own, Some(("~ada/r".to_owned(), 7)));
        for path in ["o/r/pull-requests/x", "o//pull-requests/7", "o/r/pull-requests", "o/r/issues/7"] {
            assert_eq!(read(PageUrlLayout::WorkspacePath, path), None, "{path}");
        }
    }
}
