//! Parses the project's own version, and determines the next version.

use std::fmt;

use super::SyncVerdict;

/// A version of exactly three numbers. Only such a version can be incremented automatically.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VersionTriple {
    major: u64,
    minor: u64,
    patch: u64,
}

impl VersionTriple {
    /// Parses `MAJOR.MINOR.PATCH` in its canonical form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        let read = Self { major, minor, patch };
        // Other spellings such as `01` or `+1` are invalid.
        (parts.next().is_none() && read.to_string() == text).then_some(read)
    }

    /// Returns the version after the change: the next patch version for `relax`, the next minor version for
    /// `bump`. An unreleased version has already been incremented, so it normally does not change. The
    /// exception is `bump`: it changes an unreleased patch version to the next minor version.
    #[must_use]
    pub fn next_version(self, verdict: SyncVerdict, is_released: bool) -> Self {
        let Self { major, minor, patch } = self;
        match (verdict, is_released) {
            (SyncVerdict::Bump, true) => Self { major, minor: minor.saturating_add(1), patch: 0 },
            (SyncVerdict::Bump, false) if patch > 0 => {
                Self { major, minor: minor.saturating_add(1), patch: 0 }
            }
            (SyncVerdict::Relax, true) => Self { major, minor, patch: patch.saturating_add(1) },
            (SyncVerdict::Bump | SyncVerdict::Relax, false) | (SyncVerdict::Ask | SyncVerdict::Skip, _) => {
                self
            }
        }
    }

    /// Returns the two possible names of the git tag that marks the version as released.
    pub fn tags(self) -> [String; 2] {
        [self.to_string(), format!("v{self}")]
    }
}

impl fmt::Display for VersionTriple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_on_a_relax_a_minor_on_a_bump_and_each_once_until_it_is_released() {
        let next = |text: &str, verdict, is_released| {
            VersionTriple::parse(text).unwrap().next_version(verdict, is_released).to_string()
        };
        assert_eq!(next("1.2.3", SyncVerdict::Relax, true), "1.2.4");
        assert_eq!(next("1.2.4", SyncVerdict::Relax, false), "1.2.4");
        assert_eq!(next("1.2.3", SyncVerdict::Bump, true), "1.3.0");
        assert_eq!(next("1.2.4", SyncVerdict::Bump, false), "1.3.0");
        assert_eq!(next("1.3.0", SyncVerdict::Bump, false), "1.3.0");
        assert_eq!(next("1.3.0", SyncVerdict::Relax, false), "1.3.0");
        for wrong in
            ["1.2", "1.2.3.4", "1.2.3rc1", "01.2.3", "1.+2.3", "v1.2.3", "", "1.2.99999999999999999999"]
        {
            assert_eq!(VersionTriple::parse(wrong), None, "{wrong}");
        }
    }
}
