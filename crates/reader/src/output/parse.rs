//! Names of formats.

use crate::output::format::Format;
use crate::output::known::NAMED;

impl Format {
    /// The format of this name, as a configuration writes it; letters in upper case count as those in lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|format| format.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// Every format: those with a variant of their own, then those of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OWN.into_iter().chain(NAMED.iter().map(Self::Named))
    }
}
