//! The objects of a SARIF log, with only those fields that are used (SARIF 2.1.0, section 3).
//!
//! An index is -1 if it is not set. A value that may be malformed in a valid log is kept as unparsed JSON.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::entries::{BoundedFields, BoundedList, WholeNumber};

/// Maximum number of rules of a tool component.
pub(super) const MAX_RULES: usize = 20_000;
/// Maximum number of extensions of a tool.
const MAX_EXTENSIONS: usize = 200;
/// Maximum number of artifacts of a run.
const MAX_ARTIFACTS: usize = 200_000;
/// Maximum number of invocations of a run.
const MAX_INVOCATIONS: usize = 1_000;
/// Maximum number of entries of certain lists. In the logs of real tools, these lists are short.
const MAX_SHORT_LIST_ENTRIES: usize = 100;

/// SARIF object `sarifLog` (section 3.13).
#[derive(Deserialize)]
pub(super) struct SarifLog<'a> {
    pub(super) version: Option<String>,
    #[serde(borrow)]
    pub(super) runs: Option<&'a RawValue>,
}

/// SARIF object `run` (section 3.14).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifRun<'a> {
    #[serde(default)]
    pub(super) tool: SarifTool,
    #[serde(borrow)]
    pub(super) results: Option<&'a RawValue>,
    pub(super) column_kind: Option<String>,
    #[serde(default)]
    pub(super) original_uri_base_ids: BoundedFields<ArtifactLocation, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) artifacts: BoundedList<SarifArtifact, MAX_ARTIFACTS>,
    #[serde(default)]
    pub(super) invocations: BoundedList<SarifInvocation, MAX_INVOCATIONS>,
    #[serde(default)]
    pub(super) version_control_provenance: BoundedList<VersionControl, MAX_SHORT_LIST_ENTRIES>,
}

/// SARIF object `versionControlDetails` (section 3.23).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionControl {
    pub(super) mapped_to: Option<ArtifactLocation>,
}

/// SARIF object `tool` (section 3.18).
#[derive(Deserialize, Default)]
pub(super) struct SarifTool {
    #[serde(default)]
    pub(super) driver: SarifComponent,
    #[serde(default)]
    pub(super) extensions: BoundedList<SarifComponent, MAX_EXTENSIONS>,
}

/// SARIF object `toolComponent` (section 3.19).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifComponent {
    pub(super) name: Option<String>,
    pub(super) guid: Option<String>,
    #[serde(default)]
    pub(super) rules: BoundedList<SarifDescriptor, MAX_RULES>,
    #[serde(default)]
    pub(super) global_message_strings: BoundedFields<SarifText, MAX_SHORT_LIST_ENTRIES>,
}

/// SARIF object `reportingDescriptor` (section 3.49).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifDescriptor {
    pub(super) id: String,
    pub(super) guid: Option<String>,
    pub(super) short_description: Option<SarifText>,
    pub(super) full_description: Option<SarifText>,
    pub(super) help: Option<SarifText>,
    pub(super) help_uri: Option<String>,
    pub(super) default_configuration: Option<SarifConfiguration>,
    #[serde(default)]
    pub(super) message_strings: BoundedFields<SarifText, MAX_SHORT_LIST_ENTRIES>,
    pub(super) properties: Option<SarifProperties>,
}

/// SARIF object `reportingConfiguration` (section 3.50).
#[derive(Deserialize)]
pub(super) struct SarifConfiguration {
    pub(super) level: Option<String>,
}

/// SARIF object `multiformatMessageString` (section 3.12).
#[derive(Deserialize)]
pub(super) struct SarifText {
    pub(super) text: Option<String>,
    pub(super) markdown: Option<String>,
}

/// Fields of property bags (section 3.8) that several tools use. GitHub defines `security-severity`.
#[derive(Deserialize)]
pub(super) struct SarifProperties {
    #[serde(default)]
    pub(super) tags: BoundedList<String, MAX_SHORT_LIST_ENTRIES>,
    #[serde(rename = "security-severity")]
    pub(super) security_severity: Option<serde::de::IgnoredAny>,
}

/// SARIF object `invocation` (section 3.20).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifInvocation {
    pub(super) execution_successful: Option<bool>,
    pub(super) exit_code: Option<WholeNumber>,
    pub(super) exit_code_description: Option<String>,
    pub(super) process_start_failure_message: Option<String>,
    #[serde(default)]
    pub(super) tool_execution_notifications: BoundedList<SarifNotification, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) tool_configuration_notifications: BoundedList<SarifNotification, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) rule_configuration_overrides: BoundedList<SarifOverride, MAX_SHORT_LIST_ENTRIES>,
}

/// SARIF object `notification` (section 3.58).
#[derive(Deserialize)]
pub(super) struct SarifNotification {
    pub(super) level: Option<String>,
    pub(super) message: Option<SarifMessage>,
}

/// SARIF object `configurationOverride` (section 3.51).
#[derive(Deserialize)]
pub(super) struct SarifOverride {
    pub(super) descriptor: Option<DescriptorReference>,
    pub(super) configuration: Option<SarifConfiguration>,
}

/// SARIF object `artifact` (section 3.24).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifArtifact {
    pub(super) location: Option<ArtifactLocation>,
    pub(super) parent_index: Option<WholeNumber>,
}

/// SARIF object `artifactLocation` (section 3.4).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtifactLocation {
    pub(super) uri: Option<String>,
    pub(super) uri_base_id: Option<String>,
    pub(super) index: Option<WholeNumber>,
}

/// SARIF object `result` (section 3.27).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifResult<'a> {
    pub(super) rule_id: Option<String>,
    pub(super) rule_index: Option<WholeNumber>,
    pub(super) rule: Option<DescriptorReference>,
    pub(super) kind: Option<String>,
    pub(super) level: Option<String>,
    pub(super) message: Option<SarifMessage>,
    #[serde(default)]
    pub(super) locations: BoundedList<SarifLocation, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) fingerprints: BoundedFields<String, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) partial_fingerprints: BoundedFields<String, MAX_SHORT_LIST_ENTRIES>,
    #[serde(default)]
    pub(super) suppressions: BoundedList<SarifSuppression, MAX_SHORT_LIST_ENTRIES>,
    pub(super) baseline_state: Option<String>,
    pub(super) provenance: Option<SarifProvenance>,
    #[serde(borrow)]
    pub(super) fixes: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) properties: Option<&'a RawValue>,
}

/// SARIF object `resultProvenance` (section 3.48).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifProvenance {
    pub(super) invocation_index: Option<WholeNumber>,
}

/// SARIF object `reportingDescriptorReference` (section 3.52).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescriptorReference {
    pub(super) id: Option<String>,
    pub(super) index: Option<WholeNumber>,
    pub(super) guid: Option<String>,
    pub(super) tool_component: Option<ComponentReference>,
}

/// SARIF object `toolComponentReference` (section 3.54).
#[derive(Deserialize)]
pub(super) struct ComponentReference {
    pub(super) name: Option<String>,
    pub(super) index: Option<WholeNumber>,
    pub(super) guid: Option<String>,
}

/// SARIF object `message` (section 3.11).
#[derive(Deserialize)]
pub(super) struct SarifMessage {
    pub(super) text: Option<String>,
    pub(super) markdown: Option<String>,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) arguments: BoundedList<String, MAX_SHORT_LIST_ENTRIES>,
}

/// SARIF object `suppression` (section 3.35).
#[derive(Deserialize)]
pub(super) struct SarifSuppression {
    pub(super) status: Option<String>,
}

/// SARIF object `location` (section 3.28).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifLocation {
    pub(super) physical_location: Option<PhysicalLocation>,
}

/// SARIF object `physicalLocation` (section 3.29).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhysicalLocation {
    pub(super) artifact_location: Option<ArtifactLocation>,
    pub(super) region: Option<SarifRegion>,
}

/// SARIF object `region` (section 3.30).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifRegion {
    pub(super) start_line: Option<WholeNumber>,
    pub(super) start_column: Option<WholeNumber>,
    pub(super) end_line: Option<WholeNumber>,
    pub(super) end_column: Option<WholeNumber>,
    pub(super) char_offset: Option<WholeNumber>,
    pub(super) char_length: Option<WholeNumber>,
    pub(super) byte_offset: Option<WholeNumber>,
    pub(super) byte_length: Option<WholeNumber>,
}

/// SARIF object `fix` (section 3.55). If one change of the fix is malformed, the whole fix is rejected,
/// because a fix must not be applied in part.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifFix {
    pub(super) description: Option<SarifMessage>,
    pub(super) artifact_changes: Vec<SarifChange>,
}

/// SARIF object `artifactChange` (section 3.56).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifChange {
    pub(super) artifact_location: ArtifactLocation,
    pub(super) replacements: Vec<SarifReplacement>,
}

/// SARIF object `replacement` (section 3.57).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SarifReplacement {
    pub(super) deleted_region: SarifRegion,
    pub(super) inserted_content: Option<SarifContent>,
}

/// SARIF object `artifactContent` (section 3.3).
#[derive(Deserialize)]
pub(super) struct SarifContent {
    pub(super) text: Option<String>,
    pub(super) binary: Option<String>,
}
