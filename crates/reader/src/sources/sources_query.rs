//! Defines the queries to a reader of sources, one query per process. Responses are validated, because
//! hostile content may have taken over the process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use truing_core::port::{
    DetectedTools, ReplacementCheckRequest, ToolDetectionRequest, ToolFindings, ToolOutputRequest,
};
use truing_core::sync::{
    DefinitionDigests, LINE_DIGEST_HEX_DIGITS, ReleaseSources, SymbolState, TREE_DIGEST_HEX_DIGITS,
    TREE_DIGEST_PREFIX,
};

use super::{
    ArchiveFormat, HashPins, ProjectFacts, ProjectRequest, ReleaseSourcesRequest, SourcesError, read_pins,
    read_project_facts, read_release, read_release_files,
};
use crate::output::{self, choose_format};
use crate::proposals::validate_replacements;
use crate::tool_findings::{check_findings, tool_findings};
use crate::used_tools::{check_detected_tools, find_used_tools};

/// Maximum length of a name or a reason, in bytes.
const MAX_NAME_BYTES: usize = 16 << 10;

/// Query for the texts of certain files in a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseFilesRequest {
    /// Path of the downloaded archive.
    pub archive: PathBuf,
    /// Format of the archive.
    pub format: ArchiveFormat,
    /// Paths of the files, without the top folder of the archive.
    pub files: Vec<String>,
}

/// Query for the name of the format of a tool's output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutputFormatRequest {
    /// Folder that the process may access, although this query reads no file in the folder.
    pub folder: PathBuf,
    /// Text of the output.
    pub text: String,
}

/// Query to a reader of sources.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcesQuery {
    /// Content of a release.
    Release(ReleaseSourcesRequest),
    /// Digests that a project's Python hash test pins; the value is the path of the test file.
    Pins(PathBuf),
    /// Definitions that a project takes from the packages that it follows.
    Project(ProjectRequest),
    /// Files of a release.
    Files(ReleaseFilesRequest),
    /// Findings of a tool on the lines of a change, parsed from the tool's output.
    Tool(Box<ToolOutputRequest>),
    /// Known tools that a repository uses.
    UsedTools(ToolDetectionRequest),
    /// Format of a tool's output.
    Format(OutputFormatRequest),
    /// Validation of replacements that a model proposes.
    Proofs(ReplacementCheckRequest),
}

/// Response to a query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcesAnswer {
    /// Content of a release.
    Release(ReleaseSources),
    /// Digests that a hash test accepts.
    Pins(HashPins),
    /// Facts about a project.
    Project(ProjectFacts),
    /// Text of each file, by path.
    Files(BTreeMap<String, String>),
    /// Findings in a tool's output.
    Tool(ToolFindings),
    /// Known tools that a repository uses.
    UsedTools(DetectedTools),
    /// Name of an output's format; `None` if the format is not recognised.
    Format(Option<String>),
    /// For each replacement, true if it is valid.
    Proofs(Vec<bool>),
}

impl SourcesQuery {
    /// Returns the folder that the reader process must be able to read. The query needs no other path.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Release(request) => request.archive.parent().unwrap_or(Path::new("/")),
            Self::Files(request) => request.archive.parent().unwrap_or(Path::new("/")),
            Self::Pins(file) => file.parent().unwrap_or(Path::new("/")),
            Self::Project(request) => &request.folder,
            Self::Tool(request) => &request.tree,
            Self::UsedTools(request) => &request.tree,
            Self::Format(request) => &request.folder,
            Self::Proofs(request) => &request.tree,
        }
    }

    /// Executes the query.
    ///
    /// # Errors
    ///
    /// [`SourcesError`]
    pub fn execute(&self) -> Result<SourcesAnswer, SourcesError> {
        match self {
            Self::Release(request) => read_release(request).map(SourcesAnswer::Release),
            Self::Pins(file) => read_pins(file).map(SourcesAnswer::Pins),
            Self::Project(request) => read_project_facts(request).map(SourcesAnswer::Project),
            Self::Files(request) => read_release_files(request).map(SourcesAnswer::Files),
            Self::Tool(request) => match tool_findings(request) {
                Ok(found) => Ok(SourcesAnswer::Tool(found)),
                Err(error) => Err(SourcesError::ReaderFailed(error.to_string())),
            },
            Self::UsedTools(request) => match find_used_tools(request) {
                Ok(used) => Ok(SourcesAnswer::UsedTools(used)),
                Err(error) => Err(SourcesError::ReaderFailed(error.to_string())),
            },
            Self::Format(request) => {
                let format = choose_format(None, request.text.as_bytes());
                Ok(SourcesAnswer::Format(format.map(|format| format.as_str().to_owned())))
            }
            Self::Proofs(request) => match validate_replacements(request) {
                Ok(proven) => Ok(SourcesAnswer::Proofs(proven)),
                Err(error) => Err(SourcesError::ReaderFailed(error.to_string())),
            },
        }
    }

    /// Checks that the response is a response to this query and that all its values are valid.
    ///
    /// # Errors
    ///
    /// Returns a description of the invalid part.
    pub fn check_answer(&self, answer: &SourcesAnswer) -> Result<(), &'static str> {
        match (self, answer) {
            (Self::Release(request), SourcesAnswer::Release(sources)) => check_release(request, sources),
            (Self::Pins(_), SourcesAnswer::Pins(pins)) => check_pins(pins),
            (Self::Project(_), SourcesAnswer::Project(project)) => check_project(project),
            (Self::Files(request), SourcesAnswer::Files(files)) => {
                ensure(files.keys().all(|path| request.files.contains(path)), "a file")
            }
            (Self::Tool(request), SourcesAnswer::Tool(found)) => check_findings(request, found),
            (Self::UsedTools(request), SourcesAnswer::UsedTools(used)) => check_detected_tools(request, used),
            (Self::Format(_), SourcesAnswer::Format(name)) => ensure(
                name.as_ref().is_none_or(|name| output::OutputFormat::parse(name).is_some()),
                "a format",
            ),
            (Self::Proofs(request), SourcesAnswer::Proofs(proven)) => {
                ensure(proven.len() == request.proposals.len(), "the number of proofs")
            }
            (
                Self::Release(_)
                | Self::Pins(_)
                | Self::Project(_)
                | Self::Files(_)
                | Self::Tool(_)
                | Self::UsedTools(_)
                | Self::Format(_)
                | Self::Proofs(_),
                _,
            ) => Err("an answer to another question"),
        }
    }
}

fn check_release(request: &ReleaseSourcesRequest, sources: &ReleaseSources) -> Result<(), &'static str> {
    let asked: BTreeSet<&String> = request.symbols.iter().chain(&request.base_classes).collect();
    ensure(sources.symbols.keys().collect::<BTreeSet<_>>() == asked, "its definitions")?;
    for definition in sources.symbols.values().filter_map(SymbolState::definition) {
        ensure(is_valid_name(&definition.file) && is_valid_name(&definition.name), "a name")?;
        ensure(are_valid_digests(&definition.digests), "a digest")?;
    }
    for (file, functions) in &sources.functions {
        ensure(is_valid_name(file) && functions.keys().all(|name| is_valid_name(name)), "a name")?;
        ensure(functions.values().all(are_valid_digests), "a digest")?;
    }
    for (file, names) in &sources.namesakes {
        ensure(is_valid_name(file) && names.keys().all(|name| is_valid_name(name)), "a name")?;
        let mut all = names.values().flatten();
        ensure(
            all.all(|one| is_valid_name(&one.name) && is_tree_digest(&one.tree)),
            "a definition of a name",
        )?;
    }
    for (file, pieces) in &sources.non_function_code {
        let names = pieces.iter().all(|piece| is_valid_name(&piece.scope) && is_valid_name(&piece.name));
        ensure(is_valid_name(file) && names, "a name")?;
        ensure(pieces.iter().all(|piece| is_tree_digest(&piece.tree)), "a digest")?;
    }
    ensure(sources.imported.iter().chain(&sources.shadows).all(|file| is_valid_name(file)), "a name")?;
    ensure(
        sources
            .files
            .iter()
            .all(|(file, digest)| is_valid_name(file) && are_hex_digits(digest, LINE_DIGEST_HEX_DIGITS)),
        "a file",
    )?;
    for (file, requirements) in &sources.requirements {
        let texts = requirements
            .iter()
            .all(|(name, texts)| is_valid_name(name) && texts.iter().all(|text| is_valid_name(text)));
        ensure(is_valid_name(file) && texts, "a requirement")?;
    }
    let reasons =
        sources.unreadable.iter().all(|(file, reason)| is_valid_name(file) && is_valid_name(reason));
    ensure(reasons, "a reason")
}

fn check_pins(pins: &HashPins) -> Result<(), &'static str> {
    ensure(pins.accepted_digests.keys().all(|name| is_valid_name(name)), "a name")?;
    ensure(
        pins.accepted_digests.values().flatten().all(|digest| are_hex_digits(digest, LINE_DIGEST_HEX_DIGITS)),
        "a digest",
    )?;
    ensure(
        pins.skipped_pins.iter().all(|row| is_valid_name(&row.text) && is_valid_name(&row.reason)),
        "a reason",
    )
}

fn check_project(project: &ProjectFacts) -> Result<(), &'static str> {
    let ProjectFacts { overrides, candidates, classes, inherited, functions, imports, unreadable } = project;
    let pairs = overrides
        .iter()
        .chain(candidates)
        .chain(unreadable)
        .all(|(one, other)| is_valid_name(one) && is_valid_name(other));
    let all = |names: &BTreeSet<String>| names.iter().all(|name| is_valid_name(name));
    let functions = functions.iter().all(|(file, names)| is_valid_name(file) && all(names));
    let classes = classes.iter().all(|(file, classes)| {
        is_valid_name(file) && classes.iter().all(|(class, methods)| is_valid_name(class) && all(methods))
    });
    let names = functions && classes;
    let single = inherited.iter().chain(imports).all(|name| is_valid_name(name));
    ensure(pairs && names && single, "a name")
}

fn ensure(is_valid: bool, invalid_part: &'static str) -> Result<(), &'static str> {
    if is_valid { Ok(()) } else { Err(invalid_part) }
}

fn is_valid_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
}

fn are_valid_digests(digests: &DefinitionDigests) -> bool {
    are_hex_digits(&digests.raw, LINE_DIGEST_HEX_DIGITS) && is_tree_digest(&digests.tree)
}

fn is_tree_digest(text: &str) -> bool {
    are_hex_digits(text.strip_prefix(TREE_DIGEST_PREFIX).unwrap_or(text), TREE_DIGEST_HEX_DIGITS)
}

fn are_hex_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
