//! The objects of a SARIF log, as far as they are read (SARIF 2.1.0, section 3).
//!
//! An index is -1 where it is not set. A part that may be malformed without the whole being so is kept as text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::entries::{Fields, List, Whole};

/// Rules of a tool component.
pub(super) const MAX_RULES: usize = 20_000;
/// Components of a tool, beside its driver.
const MAX_EXTENSIONS: usize = 200;
/// Artifacts of a run.
const MAX_ARTIFACTS: usize = 200_000;
/// Invocations of a run.
const MAX_INVOCATIONS: usize = 1_000;
/// Entries of what is short in every log of a real tool.
const MAX_FEW: usize = 100;

/// `sarifLog` (3.13).
#[derive(Deserialize)]
pub(super) struct Log<'a> {
    pub(super) version: Option<String>,
    #[serde(borrow)]
    pub(super) runs: Option<&'a RawValue>,
}

/// `run` (3.14).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run<'a> {
    #[serde(default)]
    pub(super) tool: Tool,
    #[serde(borrow)]
    pub(super) results: Option<&'a RawValue>,
    pub(super) column_kind: Option<String>,
    #[serde(default)]
    pub(super) original_uri_base_ids: Fields<ArtifactLocation, MAX_FEW>,
    #[serde(default)]
    pub(super) artifacts: List<Artifact, MAX_ARTIFACTS>,
    #[serde(default)]
    pub(super) invocations: List<Invocation, MAX_INVOCATIONS>,
    #[serde(default)]
    pub(super) version_control_provenance: List<VersionControl, MAX_FEW>,
}

/// `versionControlDetails` (3.23).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionControl {
    pub(super) mapped_to: Option<ArtifactLocation>,
}

/// `tool` (3.18).
#[derive(Deserialize, Default)]
pub(super) struct Tool {
    #[serde(default)]
    pub(super) driver: Component,
    #[serde(default)]
    pub(super) extensions: List<Component, MAX_EXTENSIONS>,
}

/// `toolComponent` (3.19).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Component {
    pub(super) name: Option<String>,
    pub(super) guid: Option<String>,
    #[serde(default)]
    pub(super) rules: List<Descriptor, MAX_RULES>,
    #[serde(default)]
    pub(super) global_message_strings: Fields<Text, MAX_FEW>,
}

/// `reportingDescriptor` (3.49).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) id: String,
    pub(super) guid: Option<String>,
    pub(super) short_description: Option<Text>,
    pub(super) full_description: Option<Text>,
    pub(super) help: Option<Text>,
    pub(super) help_uri: Option<String>,
    pub(super) default_configuration: Option<Configuration>,
    #[serde(default)]
    pub(super) message_strings: Fields<Text, MAX_FEW>,
    pub(super) properties: Option<Properties>,
}

/// `reportingConfiguration` (3.50).
#[derive(Deserialize)]
pub(super) struct Configuration {
    pub(super) level: Option<String>,
}

/// `multiformatMessageString` (3.12).
#[derive(Deserialize)]
pub(super) struct Text {
    pub(super) text: Option<String>,
    pub(super) markdown: Option<String>,
}

/// The fields of property bags (3.8) that tools agree on. `security-severity` is GitHub's.
#[derive(Deserialize)]
pub(super) struct Properties {
    #[serde(default)]
    pub(super) tags: List<String, MAX_FEW>,
    #[serde(rename = "security-severity")]
    pub(super) security_severity: Option<serde::de::IgnoredAny>,
}

/// `invocation` (3.20).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invocation {
    pub(super) execution_successful: Option<bool>,
    pub(super) exit_code: Option<Whole>,
    pub(super) exit_code_description: Option<String>,
    pub(super) process_start_failure_message: Option<String>,
    #[serde(default)]
    pub(super) tool_execution_notifications: List<Notification, MAX_FEW>,
    #[serde(default)]
    pub(super) tool_configuration_notifications: List<Notification, MAX_FEW>,
    #[serde(default)]
    pub(super) rule_configuration_overrides: List<Override, MAX_FEW>,
}

/// `notification` (3.58).
#[derive(Deserialize)]
pub(super) struct Notification {
    pub(super) level: Option<String>,
    pub(super) message: Option<Message>,
}

/// `configurationOverride` (3.51).
#[derive(Deserialize)]
pub(super) struct Override {
    pub(super) descriptor: Option<Reference>,
    pub(super) configuration: Option<Configuration>,
}

/// `artifact` (3.24).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Artifact {
    pub(super) location: Option<ArtifactLocation>,
    pub(super) parent_index: Option<Whole>,
}

/// `artifactLocation` (3.4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtifactLocation {
    pub(super) uri: Option<String>,
    pub(super) uri_base_id: Option<String>,
    pub(super) index: Option<Whole>,
}

/// `result` (3.27).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome<'a> {
    pub(super) rule_id: Option<String>,
    pub(super) rule_index: Option<Whole>,
    pub(super) rule: Option<Reference>,
    pub(super) kind: Option<String>,
    pub(super) level: Option<String>,
    pub(super) message: Option<Message>,
    #[serde(default)]
    pub(super) locations: List<Location, MAX_FEW>,
    #[serde(default)]
    pub(super) fingerprints: Fields<String, MAX_FEW>,
    #[serde(default)]
    pub(super) partial_fingerprints: Fields<String, MAX_FEW>,
    #[serde(default)]
    pub(super) suppressions: List<Suppression, MAX_FEW>,
    pub(super) baseline_state: Option<String>,
    pub(super) provenance: Option<Provenance>,
    #[serde(borrow)]
    pub(super) fixes: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) properties: Option<&'a RawValue>,
}

/// `resultProvenance` (3.48).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provenance {
    pub(super) invocation_index: Option<Whole>,
}

/// `reportingDescriptorReference` (3.52).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) id: Option<String>,
    pub(super) index: Option<Whole>,
    pub(super) guid: Option<String>,
    pub(super) tool_component: Option<ComponentReference>,
}

/// `toolComponentReference` (3.54).
#[derive(Deserialize)]
pub(super) struct ComponentReference {
    pub(super) name: Option<String>,
    pub(super) index: Option<Whole>,
    pub(super) guid: Option<String>,
}

/// `message` (3.11).
#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) text: Option<String>,
    pub(super) markdown: Option<String>,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) arguments: List<String, MAX_FEW>,
}

/// `suppression` (3.35).
#[derive(Deserialize)]
pub(super) struct Suppression {
    pub(super) status: Option<String>,
}

/// `location` (3.28).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location {
    pub(super) physical_location: Option<PhysicalLocation>,
}

/// `physicalLocation` (3.29).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhysicalLocation {
    pub(super) artifact_location: Option<ArtifactLocation>,
    pub(super) region: Option<Region>,
}

/// `region` (3.30).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region {
    pub(super) start_line: Option<Whole>,
    pub(super) start_column: Option<Whole>,
    pub(super) end_line: Option<Whole>,
    pub(super) end_column: Option<Whole>,
    pub(super) char_offset: Option<Whole>,
    pub(super) char_length: Option<Whole>,
    pub(super) byte_offset: Option<Whole>,
    pub(super) byte_length: Option<Whole>,
}

/// `fix` (3.55). Its changes are kept as text: a fix without one of its parts is no fix.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fix {
    pub(super) description: Option<Message>,
    pub(super) artifact_changes: Vec<Change>,
}

/// `artifactChange` (3.56).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) artifact_location: ArtifactLocation,
    pub(super) replacements: Vec<Replacement>,
}

/// `replacement` (3.57).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replacement {
    pub(super) deleted_region: Region,
    pub(super) inserted_content: Option<Content>,
}

/// `artifactContent` (3.3).
#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) binary: Option<String>,
}
