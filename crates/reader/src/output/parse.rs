//! Names of formats.

use crate::output::format::OutputFormat;
use crate::output::known::NAMED;

impl OutputFormat {
    /// The format of this name, as a configuration writes it; letters in upper case count as those in lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|format| format.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// The tool whose format it is; none: any tool may print it.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Self::Named(named) => Some(named.tool).filter(|tool| !tool.is_empty()),
            Self::Sarif | Self::Rdjson | Self::Rdjsonl | Self::Checkstyle | Self::Gitlab | Self::Junit => {
                None
            }
        }
    }

    /// Is it lines of text?
    pub fn is_lines(self) -> bool {
        match self {
            Self::Named(named) => named.is_lines,
            Self::Sarif | Self::Rdjson | Self::Rdjsonl | Self::Checkstyle | Self::Gitlab | Self::Junit => {
                false
            }
        }
    }

    /// Every format: those with a variant of their own, then those of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OWN.into_iter().chain(NAMED.iter().map(Self::Named))
    }
}
