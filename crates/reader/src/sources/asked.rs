//! What a reader of sources is asked, one thing a process, and what is believed of its answer: the process may have been
//! taken over by what it read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use truing_core::port::{ProofRequest, ToolFindings, ToolRequest, UsedTools, UsedToolsRequest};
use truing_core::sync::{DefinitionDigests, RAW_DIGITS, ReleaseSources, SymbolState, TREE_DIGITS, TREE_FORM};

use super::{
    ArchiveFormat, HashPins, ProjectFacts, ProjectRequest, SourcesError, SourcesRequest, files_of, pins_of,
    project_of, read,
};
use crate::output::{self, choose};
use crate::proposals::prove;
use crate::tool_findings::{check_findings, tool_findings};
use crate::used_tools::{check_used, used_tools};

/// The longest name or reason, in bytes.
const MAX_NAME: usize = 16 << 10;

/// Which files of a release are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FilesRequest {
    /// The archive as it was downloaded.
    pub archive: PathBuf,
    /// How it is packed.
    pub format: ArchiveFormat,
    /// The files; their paths begin below the folder that the archive packs.
    pub files: Vec<String>,
}

/// An output whose format is not named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FormatRequest {
    /// A folder; nothing in it is read.
    pub folder: PathBuf,
    /// The output.
    pub text: String,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcesQuery {
    /// What a release holds.
    Release(SourcesRequest),
    /// What a project's Python hash test pins: its file.
    Pins(PathBuf),
    /// What a project takes from the packages that it follows.
    Project(ProjectRequest),
    /// Files of a release.
    Files(FilesRequest),
    /// The findings in a tool's output on the lines of a change.
    Tool(Box<ToolRequest>),
    /// The known tools that a repository uses.
    UsedTools(UsedToolsRequest),
    /// The format of a tool's output.
    Format(FormatRequest),
    /// Proofs of replacements.
    Proofs(ProofRequest),
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcesAnswer {
    /// Of a release.
    Release(ReleaseSources),
    /// Of a test.
    Pins(HashPins),
    /// Of a project.
    Project(ProjectFacts),
    /// Files, by their paths: data.
    Files(BTreeMap<String, String>),
    /// Of a tool's output.
    Tool(ToolFindings),
    /// Of a repository.
    UsedTools(UsedTools),
    /// Of an output: the format's name; none is recognised.
    Format(Option<String>),
    /// Of each replacement: is it proven?
    Proofs(Vec<bool>),
}

impl SourcesQuery {
    /// The folder that it is about: nothing else has to be readable.
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

    /// Reads what is asked for.
    ///
    /// # Errors
    /// [`SourcesError`]
    pub fn answer(&self) -> Result<SourcesAnswer, SourcesError> {
        match self {
            Self::Release(request) => read(request).map(SourcesAnswer::Release),
            Self::Pins(file) => pins_of(file).map(SourcesAnswer::Pins),
            Self::Project(request) => project_of(request).map(SourcesAnswer::Project),
            Self::Files(request) => files_of(request).map(SourcesAnswer::Files),
            Self::Tool(request) => match tool_findings(request) {
                Ok(found) => Ok(SourcesAnswer::Tool(found)),
                Err(error) => Err(SourcesError::Failed(error.to_string())),
            },
            Self::UsedTools(request) => match used_tools(request) {
                Ok(used) => Ok(SourcesAnswer::UsedTools(used)),
                Err(error) => Err(SourcesError::Failed(error.to_string())),
            },
            Self::Format(request) => {
                let format = choose(None, request.text.as_bytes());
                Ok(SourcesAnswer::Format(format.map(|format| format.as_str().to_owned())))
            }
            Self::Proofs(request) => match prove(request) {
                Ok(proven) => Ok(SourcesAnswer::Proofs(proven)),
                Err(error) => Err(SourcesError::Failed(error.to_string())),
            },
        }
    }

    /// Is this an answer to it, and of the form that the rest of the program relies on? If not: what is wrong.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, told: &SourcesAnswer) -> Result<(), &'static str> {
        match (self, told) {
            (Self::Release(request), SourcesAnswer::Release(sources)) => release(request, sources),
            (Self::Pins(_), SourcesAnswer::Pins(pins)) => rows(pins),
            (Self::Project(_), SourcesAnswer::Project(project)) => taken(project),
            (Self::Files(request), SourcesAnswer::Files(files)) => {
                ensure(files.keys().all(|path| request.files.contains(path)), "a file")
            }
            (Self::Tool(request), SourcesAnswer::Tool(found)) => check_findings(request, found),
            (Self::UsedTools(request), SourcesAnswer::UsedTools(used)) => check_used(request, used),
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

fn release(request: &SourcesRequest, sources: &ReleaseSources) -> Result<(), &'static str> {
    let asked: BTreeSet<&String> = request.symbols.iter().chain(&request.bases).collect();
    ensure(sources.symbols.keys().collect::<BTreeSet<_>>() == asked, "its definitions")?;
    for definition in sources.symbols.values().filter_map(SymbolState::definition) {
        ensure(is_name(&definition.file) && is_name(&definition.name), "a name")?;
        ensure(are_digests(&definition.digests), "a digest")?;
    }
    for (file, functions) in &sources.functions {
        ensure(is_name(file) && functions.keys().all(|name| is_name(name)), "a name")?;
        ensure(functions.values().all(are_digests), "a digest")?;
    }
    for (file, names) in &sources.namesakes {
        ensure(is_name(file) && names.keys().all(|name| is_name(name)), "a name")?;
        let mut all = names.values().flatten();
        ensure(all.all(|one| is_name(&one.name) && is_tree(&one.tree)), "a definition of a name")?;
    }
    for (file, pieces) in &sources.outside {
        let names = pieces.iter().all(|piece| is_name(&piece.scope) && is_name(&piece.name));
        ensure(is_name(file) && names, "a name")?;
        ensure(pieces.iter().all(|piece| is_tree(&piece.tree)), "a digest")?;
    }
    ensure(sources.imported.iter().chain(&sources.shadows).all(|file| is_name(file)), "a name")?;
    ensure(
        sources.files.iter().all(|(file, digest)| is_name(file) && are_digits(digest, RAW_DIGITS)),
        "a file",
    )?;
    for (file, requirements) in &sources.requirements {
        let texts =
            requirements.iter().all(|(name, texts)| is_name(name) && texts.iter().all(|text| is_name(text)));
        ensure(is_name(file) && texts, "a requirement")?;
    }
    let reasons = sources.unreadable.iter().all(|(file, why)| is_name(file) && is_name(why));
    ensure(reasons, "a reason")
}

fn rows(pins: &HashPins) -> Result<(), &'static str> {
    ensure(pins.rows.keys().all(|name| is_name(name)), "a name")?;
    ensure(pins.rows.values().flatten().all(|digest| are_digits(digest, RAW_DIGITS)), "a digest")?;
    ensure(pins.left_out.iter().all(|row| is_name(&row.text) && is_name(&row.why)), "a reason")
}

fn taken(project: &ProjectFacts) -> Result<(), &'static str> {
    let ProjectFacts { overrides, candidates, classes, inherited, functions, imports, unreadable } = project;
    let pairs = overrides
        .iter()
        .chain(candidates)
        .chain(unreadable)
        .all(|(one, other)| is_name(one) && is_name(other));
    let all = |names: &BTreeSet<String>| names.iter().all(|name| is_name(name));
    let functions = functions.iter().all(|(file, names)| is_name(file) && all(names));
    let classes = classes.iter().all(|(file, classes)| {
        is_name(file) && classes.iter().all(|(class, methods)| is_name(class) && all(methods))
    });
    let names = functions && classes;
    let single = inherited.iter().chain(imports).all(|name| is_name(name));
    ensure(pairs && names && single, "a name")
}

fn ensure(is_well: bool, what: &'static str) -> Result<(), &'static str> {
    if is_well { Ok(()) } else { Err(what) }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

fn are_digests(of: &DefinitionDigests) -> bool {
    let is_former = of.former.as_ref().is_none_or(|former| are_digits(former, TREE_DIGITS));
    are_digits(&of.raw, RAW_DIGITS) && is_tree(&of.tree) && is_former
}

fn is_tree(text: &str) -> bool {
    are_digits(text.strip_prefix(TREE_FORM).unwrap_or(text), TREE_DIGITS)
}

fn are_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
