//! The version of the project itself, and which one comes next.

use std::fmt;

use super::SyncVerdict;

/// A version of three numbers: what the rule can count on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VersionTriple {
    major: u64,
    minor: u64,
    patch: u64,
}

impl VersionTriple {
    /// Reads `MAJOR.MINOR.PATCH`, as it would be written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        let read = Self { major, minor, patch };
        // No other way to write the same, such as `01` or `+1`.
        (parts.next().is_none() && read.to_string() == text).then_some(read)
    }

    /// The version that the change makes of this one: a patch on a relax, a minor on a bump. What is not released yet was
    /// counted up before; it becomes a minor if it was a patch.
    #[must_use]
    pub fn next(self, verdict: SyncVerdict, is_released: bool) -> Self {
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

    /// The tags that say that it is released.
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
            VersionTriple::parse(text).unwrap().next(verdict, is_released).to_string()
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
