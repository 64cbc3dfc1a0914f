//! Reads the source files of an upstream release from its archive in memory (`archive`). Finds the
//! definitions in these files, and computes two digests for each definition (`digest`). The first digest
//! depends on the bytes of the definition's lines, as Python's own tools print them. The second digest
//! depends on the syntax tree; comments, docstrings and layout do not change it. In Python, definitions are
//! found by module (`python`). In Rust and JavaScript, definitions are found by file (`items`, `rust`,
//! `javascript`). In addition, each whole file is a definition. Code of mirrored files that is not in a
//! definition is reported in named pieces (`non_function_code`). The report also contains the requirements of
//! the release (`requirements`), and files that Python may run in place of compared files (`shadow`).
//!
//! For a project, reads the table of such digests in the project's own test (`pins`), and finds the project's
//! overrides (`project`). `sources_query` defines the queries that a reader process answers.
//!
//! No part of a release or a project is written, imported, built or run.

mod archive;
mod digest;
mod directory;
mod items;
mod javascript;
mod non_function_code;
mod pins;
mod project;
mod python;
mod requirements;
mod rust;
mod shadow;
mod sources_query;
mod wheel;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use truing_core::glob::check_bounds;
use truing_core::line::clean_line;
use truing_core::sync::{ReleaseSources, SymbolDefinition, SymbolState};

pub use archive::{ArchiveError, ArchiveFormat};
pub use pins::{HashPins, SkippedPin};
pub use project::{ProjectFacts, ProjectRequest, read_project_facts};
pub use sources_query::{OutputFormatRequest, ReleaseFilesRequest, SourcesAnswer, SourcesQuery};

use archive::ArchiveContent;
use items::{LanguageFamily, ReleaseFiles};

use crate::stack::run_on_large_stack;
use crate::syntax::MAX_SOURCE_BYTES;

/// Query for the definitions in one release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseSourcesRequest {
    /// Path of the downloaded archive.
    pub archive: PathBuf,
    /// Format of the archive.
    pub format: ArchiveFormat,
    /// Definitions to find, as `module:Class.method`, `FILE:Type.method` or `FILE`.
    pub symbols: Vec<String>,
    /// Globs of mirrored files, which are reported completely: every function, and all code outside of
    /// functions. Paths are compared without the archive's top folder. If there are no globs, the files with
    /// the requested definitions are reported completely.
    #[serde(rename = "mirrored")]
    pub mirrored_globs: Vec<String>,
    /// Further definitions to find, whose files are not reported whole.
    #[serde(default)]
    #[serde(rename = "bases")]
    pub base_classes: Vec<String>,
}

/// Errors in reading a release.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum SourcesError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file of the project cannot be read.
    #[error("{path} cannot be read: {reason}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Reason for the failure.
        #[serde(rename = "why")]
        reason: String,
    },
    /// A glob is invalid.
    #[error("`{glob}` is not a valid file pattern: {reason}")]
    Glob {
        /// Glob in the request.
        glob: String,
        /// Reason why the glob is invalid.
        #[serde(rename = "why")]
        reason: String,
    },
    /// The reader failed before it could read the release.
    #[error("the sources cannot be read: {0}")]
    #[serde(rename = "Failed")]
    ReaderFailed(String),
}

/// Reads a release.
///
/// # Errors
///
/// [`SourcesError`]; a single invalid source file is part of the report.
pub fn read_release(request: &ReleaseSourcesRequest) -> Result<ReleaseSources, SourcesError> {
    let mirrored = build_glob_set(&request.mirrored_globs)?;
    let symbols = request.symbols.iter().chain(&request.base_classes);
    let symbols: Vec<SymbolTarget<'_>> = symbols.map(|symbol| SymbolTarget::parse(symbol)).collect();
    let wanted = |path: &str| {
        mirrored.is_match(path)
            || requirements::requirements_file_name(path).is_some()
            || symbols.iter().any(|symbol| symbol.needs_file(path))
    };
    let content = archive::read_sources(&request.archive, request.format, &wanted)?;
    run_on_large_stack(|| build_report(content, request, &mirrored))
        .map_err(|error| SourcesError::ReaderFailed(error.to_string()))
}

/// Returns the texts of those requested files that exist in a release, with U+FFFD in place of invalid UTF-8.
/// The metadata of a Python distribution is returned under the name [`truing_core::sync::METADATA`],
/// regardless of its name in the archive.
///
/// # Errors
///
/// [`SourcesError::Archive`]
pub fn read_release_files(request: &ReleaseFilesRequest) -> Result<BTreeMap<String, String>, SourcesError> {
    let known = |path: &str| requirements::requirements_file_name(path).unwrap_or(path).to_owned();
    let wanted = |path: &str| request.files.contains(&known(path));
    let content = archive::read_sources(&request.archive, request.format, &wanted)?;
    let mut files: BTreeMap<String, Vec<u8>> =
        content.files.into_iter().map(|(path, bytes)| (known(&path), bytes)).collect();
    let text = |path: &String| {
        let bytes = files.remove(path).filter(|bytes| bytes.len() <= MAX_SOURCE_BYTES)?;
        Some((path.clone(), String::from_utf8_lossy(&bytes).into_owned()))
    };
    Ok(request.files.iter().filter_map(text).collect())
}

/// The place in a release to which a symbol refers.
enum SymbolTarget<'a> {
    /// Name in a Python module.
    PythonName(&'a str),
    /// Item of a file.
    Item(LanguageFamily, &'a str, &'a str),
    /// Whole file in any format.
    File(&'a str),
}

impl<'a> SymbolTarget<'a> {
    fn parse(symbol: &'a str) -> Self {
        match symbol.split_once(':') {
            None => Self::File(symbol),
            Some((place, item)) => match LanguageFamily::from_path(place) {
                Some(family) => Self::Item(family, place, item),
                None => Self::PythonName(symbol),
            },
        }
    }

    /// Returns true if this file may be needed to find the symbol.
    fn needs_file(&self, path: &str) -> bool {
        match self {
            Self::PythonName(_) => path.ends_with(".py"),
            Self::Item(family, ..) => LanguageFamily::from_path(path) == Some(*family),
            Self::File(file) => path == *file,
        }
    }
}

/// Reads the digests that a project's Python hash test pins.
///
/// # Errors
///
/// [`SourcesError`]
pub fn read_pins(path: &Path) -> Result<HashPins, SourcesError> {
    let wrong = |reason: String| SourcesError::File { path: path.to_owned(), reason };
    let bytes = read_source_bytes(path).map_err(wrong)?;
    run_on_large_stack(|| pins::parse_hash_test(&bytes))
        .map_err(|error| SourcesError::ReaderFailed(error.to_string()))?
        .map_err(wrong)
}

/// Reads the bytes of a source. If the source is too long to be parsed, only one byte beyond the limit is
/// read.
fn read_source_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string()).map(|_| bytes)
}

fn build_report(
    content: ArchiveContent,
    request: &ReleaseSourcesRequest,
    mirrored: &GlobSet,
) -> ReleaseSources {
    let ArchiveContent { files, paths, .. } = &content;
    let natives: BTreeSet<String> =
        paths.iter().filter_map(|path| shadow::native_module_path(path)).collect();
    let mut wanted: BTreeSet<String> = files.keys().filter(|path| mirrored.is_match(path)).cloned().collect();
    let mut items = ReleaseFiles::new(files);
    let mut package = python::PythonPackage::new(files, request.format);
    let mut sources =
        ReleaseSources { requirements: requirements::parse_files(files.iter()), ..ReleaseSources::default() };
    let mut find = |symbol: &String| match SymbolTarget::parse(symbol) {
        SymbolTarget::PythonName(name) => package.symbol_state(name),
        SymbolTarget::Item(_, file, item) => items.symbol_state(file, item),
        SymbolTarget::File(file) => items.whole_file_state(file),
    };
    sources.symbols = request.symbols.iter().map(|symbol| (symbol.clone(), find(symbol))).collect();
    if request.mirrored_globs.is_empty() {
        wanted.extend(sources.symbols.values().filter_map(SymbolState::definition).map(|at| at.file.clone()));
    }
    for symbol in &request.base_classes {
        sources.symbols.entry(symbol.clone()).or_insert_with(|| find(symbol));
    }
    for SymbolDefinition { file, name, .. } in sources.symbols.values().filter_map(SymbolState::definition) {
        let all = package.same_name_definitions(file, name);
        if all.len() > 1 {
            sources.namesakes.entry(file.clone()).or_default().insert(name.clone(), all);
        }
    }
    for path in wanted {
        let bytes = files.get(&path).map(Vec::as_slice).unwrap_or_default();
        sources.files.insert(path.clone(), hex::encode(Sha1::digest(bytes)));
        if !path.ends_with(".py") {
            let rest = items.non_function_code(&path);
            sources.non_function_code.extend(rest.map(|rest| (path.clone(), vec![rest])));
            sources.functions.insert(path.clone(), items.all_definitions(&path));
        } else if let Some(module) = package.load_file(&path) {
            let imported = module.non_function_pieces.modules.iter();
            let places = imported
                .flat_map(|name| package.candidate_paths(name).chain(python::native_module_paths(name)));
            sources.imported.extend(places.filter(|at| paths.contains(at) || natives.contains(at)));
            sources.non_function_code.insert(path.clone(), module.non_function_pieces.pieces.clone());
            sources.functions.insert(path, module.function_digests());
        }
    }
    let definitions = sources.symbols.values().filter_map(SymbolState::definition).map(|at| at.file.clone());
    let told_of = requirements::requirements_files(files);
    let compared =
        sources.files.keys().cloned().chain(definitions).chain(package.parsed_files()).chain(told_of);
    let compared = compared.chain(request.mirrored_globs.iter().cloned());
    sources.shadows = shadow::find_shadowing_files(&content, request.format, &compared.collect());
    sources.unreadable = package.into_unreadable_files();
    sources.unreadable.extend(items.unreadable_files);
    sources
}

fn build_glob_set(patterns: &[String]) -> Result<GlobSet, SourcesError> {
    let bad = |glob: &str, error: globset::Error| SourcesError::Glob {
        glob: glob.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        check_bounds(pattern)
            .map_err(|reason| SourcesError::Glob { glob: clean_line(pattern, 80), reason })?;
        set.add(Glob::new(pattern).map_err(|error| bad(pattern, error))?);
    }
    set.build().map_err(|error| bad("", error))
}
