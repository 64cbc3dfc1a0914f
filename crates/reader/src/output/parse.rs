//! Finds formats by name.

use crate::output::format::OutputFormat;
use crate::output::known::NAMED_FORMATS;

impl OutputFormat {
    /// Finds a format by its name in a configuration, in upper or lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all_formats().find(|format| format.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// Returns the tool that the format belongs to, or `None` if the format belongs to no single tool.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Self::Named(named) => Some(named.tool).filter(|tool| !tool.is_empty()),
            Self::Sarif | Self::Rdjson | Self::Rdjsonl | Self::Checkstyle | Self::Gitlab | Self::Junit => {
                None
            }
        }
    }

    /// Returns true if the format consists of lines of text.
    pub fn is_line_based(self) -> bool {
        match self {
            Self::Named(named) => named.is_line_based,
            Self::Sarif | Self::Rdjson | Self::Rdjsonl | Self::Checkstyle | Self::Gitlab | Self::Junit => {
                false
            }
        }
    }

    /// Returns all formats: first those with their own variant in this enum, and then those in the table.
    pub fn all_formats() -> impl Iterator<Item = Self> {
        Self::TOOL_INDEPENDENT_FORMATS.into_iter().chain(NAMED_FORMATS.iter().map(Self::Named))
    }
}
