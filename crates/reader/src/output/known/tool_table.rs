//! The table of the known tools.

use std::sync::LazyLock;

use serde::Deserialize;

use super::tool::KnownTool;

/// Table of the tools.
pub(super) const TOOLS_TOML: &str = include_str!("../../../tools.toml");

/// Returns the tools of `tools.toml`, in the order of their names. A malformed file would result in an empty
/// list; a test ensures that the file is well-formed.
pub fn known_tools() -> &'static [KnownTool] {
    static KNOWN_TOOLS: LazyLock<Vec<KnownTool>> =
        LazyLock::new(|| parse_tools(TOOLS_TOML).unwrap_or_default());
    &KNOWN_TOOLS
}

/// Returns the tool with this name. The name may also be another name that the tool's output uses for the
/// tool. Letter case does not matter.
pub fn find_tool(name: &str) -> Option<&'static KnownTool> {
    let is_it = |known: &String| known.eq_ignore_ascii_case(name.trim());
    known_tools().iter().find(|tool| is_it(&tool.name) || tool.aliases.iter().any(is_it))
}

/// Parses a table of tools.
///
/// # Errors
///
/// Returns an error if the text is not a table of tools.
pub fn parse_tools(text: &str) -> Result<Vec<KnownTool>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct KnownToolTable {
        tool: Vec<KnownTool>,
    }
    let table = toml::from_str::<serde_json::Value>(text)?;
    truing_core::json::from_value::<KnownToolTable>(&table)
        .map(|table| table.tool)
        .map_err(serde::de::Error::custom)
}
