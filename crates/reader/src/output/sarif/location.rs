//! Resolves locations in SARIF logs: the URIs of files with their base URIs, and regions in files (SARIF
//! 2.1.0, 3.4, 3.14.14 and 3.30).

use truing_diff::RepoPath;

use super::log::{ArtifactLocation, PhysicalLocation, SarifRegion, SarifRun};
use crate::output::entries::WholeNumber;
use crate::output::format::OutputContext;
use crate::output::path::{AbsolutePath, MAX_PATH_BYTES, PathError, PathResolver, percent_decode};
use crate::output::range::{ColumnUnit, DiagnosticRange, LinePosition, LineSpan};

/// Maximum number of base URIs that are followed for the URI of a file.
const MAX_BASE_URIS: usize = 20;

/// Resolver of the locations in one run.
pub(super) struct SarifLocationResolver<'a> {
    run: &'a SarifRun<'a>,
    paths: PathResolver,
    /// Unit of columns and of character offsets in the run.
    pub(super) unit: ColumnUnit,
}

/// The path of a URI after all known base URIs have been applied.
#[derive(Debug)]
enum ResolvedUri {
    Absolute(AbsolutePath),
    /// Decoded path relative to a folder whose URI is not in the log. That folder is assumed to be the root
    /// of the tree.
    Relative(Vec<u8>),
}

impl<'a> SarifLocationResolver<'a> {
    pub(super) fn new(run: &'a SarifRun<'a>, context: &OutputContext<'_>) -> Self {
        // Section 3.14.17 names two units, and the drafts of version 2.2 add bytes.
        let unit = match run.column_kind.as_deref() {
            Some("unicodeCodePoints") => ColumnUnit::CodePoint,
            Some("bytes") => ColumnUnit::Byte,
            Some(_) | None => ColumnUnit::Utf16,
        };
        let mut places = Self { run, paths: PathResolver::new(context), unit };
        if let Some(root) = places.tree_root() {
            places.paths.add_root(root);
        }
        places
    }

    /// Returns the root of the tree if the log determines it. This is the folder to which the only repository
    /// in the log is mapped, or else the deepest folder that contains all absolute base URIs.
    fn tree_root(&self) -> Option<AbsolutePath> {
        let absolute = |location: &ArtifactLocation| match self.resolve_uri(location)? {
            ResolvedUri::Absolute(path) => Some(path),
            ResolvedUri::Relative(_) => None,
        };
        let checked_out = self.run.version_control_provenance.iter();
        let mut checked_out = checked_out.filter_map(|control| absolute(control.mapped_to.as_ref()?));
        if let (Some(root), None) = (checked_out.next(), checked_out.next()) {
            return Some(root);
        }
        let bases = &self.run.original_uri_base_ids.0;
        let mut bases = bases.iter().filter_map(|(_, location)| absolute(location));
        let first = bases.next()?;
        bases.try_fold(first, |common, base| common.common_prefix(&base))
    }

    /// Applies the base URIs of a URI. Returns `None` if there are too many base URIs, or if the path is too
    /// long.
    fn resolve_uri(&self, location: &ArtifactLocation) -> Option<ResolvedUri> {
        let mut location = location;
        let mut relative: Vec<u8> = Vec::new();
        for _ in 0..MAX_BASE_URIS {
            let uri = location.uri.as_deref().unwrap_or_default();
            if uri.len() > MAX_PATH_BYTES {
                return None;
            }
            if let Some(base) = AbsolutePath::from_uri(uri) {
                return base.join(&relative).map(ResolvedUri::Absolute);
            }
            let decoded = percent_decode(uri.as_bytes());
            relative = [decoded.as_slice(), b"/", &relative].concat();
            if relative.len() > MAX_PATH_BYTES {
                return None;
            }
            let base = location.uri_base_id.as_deref().and_then(|id| self.run.original_uri_base_ids.get(id));
            let Some(base) = base else { return Some(ResolvedUri::Relative(relative)) };
            location = base;
        }
        None
    }

    /// Returns the file to which a location's URI refers.
    ///
    /// # Errors
    ///
    /// The URI does not refer to a file of the tree.
    pub(super) fn resolve_path(&self, location: &ArtifactLocation) -> Result<RepoPath, PathError> {
        let location = match &location.uri {
            Some(_) => location,
            None => self.artifact_location(location.index)?,
        };
        let uri = location.uri.as_deref().unwrap_or_default();
        let base = location.uri_base_id.as_deref().and_then(|id| self.run.original_uri_base_ids.get(id));
        if uri.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if let Some(path) = self.paths.find_unusual_name(&percent_decode(uri.as_bytes())) {
            return Ok(path);
        }
        let (Some(base), None) = (base, AbsolutePath::from_uri(uri)) else {
            return self.paths.resolve_uri(uri);
        };
        let relative = percent_decode(uri.as_bytes());
        match self.resolve_uri(base).ok_or_else(|| PathError::OutsideTree(uri.to_owned()))? {
            ResolvedUri::Absolute(base) => self.paths.resolve_below(&base, &relative, uri),
            ResolvedUri::Relative(base) => self.paths.resolve_relative(&base, &relative, uri),
        }
    }

    /// Returns the location of the artifact with this index, if the artifact is a whole file and not a part
    /// of another artifact.
    fn artifact_location(&self, index: Option<WholeNumber>) -> Result<&ArtifactLocation, PathError> {
        let artifact = index.and_then(|index| self.run.artifacts.get(index.0)).ok_or(PathError::Missing)?;
        let location = artifact.location.as_ref().filter(|location| location.uri.is_some());
        let is_nested = artifact.parent_index.is_some_and(|parent| parent.0 >= 0);
        location.filter(|_| !is_nested).ok_or(PathError::Missing)
    }

    /// Returns the file and the range of a location.
    ///
    /// # Errors
    ///
    /// The location is not a file of the tree.
    pub(super) fn resolve_location(
        &self,
        location: &PhysicalLocation,
    ) -> Result<(RepoPath, DiagnosticRange), PathError> {
        let path = self.resolve_path(location.artifact_location.as_ref().ok_or(PathError::Missing)?)?;
        let range = location.region.as_ref().and_then(|region| self.region_range(region));
        Ok((path, range.unwrap_or(DiagnosticRange::WholeFile)))
    }

    /// Returns the range of a region for a diagnostic. If the region is malformed but has a start line, the
    /// range consists of whole lines. Returns `None` for a region without a usable position.
    fn region_range(&self, region: &SarifRegion) -> Option<DiagnosticRange> {
        let exact = self.exact_range(region);
        let count = |whole: Option<WholeNumber>| whole.map_or(0, WholeNumber::to_line_or_column);
        let line = count(region.start_line);
        exact.or_else(|| (line > 0).then(|| DiagnosticRange::from_lines(line, count(region.end_line))))
    }

    /// Returns the range of a region according to the standard: lines take precedence over character offsets,
    /// and character offsets over byte offsets. Returns `None` for a malformed region.
    pub(super) fn exact_range(&self, region: &SarifRegion) -> Option<DiagnosticRange> {
        let given = |whole: Option<WholeNumber>| {
            whole.filter(|whole| whole.0 > 0).map(WholeNumber::to_line_or_column)
        };
        let offset = |whole: Option<WholeNumber>| whole.and_then(WholeNumber::to_offset);
        let is_set = |whole: Option<WholeNumber>| whole.is_some_and(|whole| whole.0 >= 0);
        if let Some(line) = given(region.start_line) {
            let is_wrong = |whole: Option<WholeNumber>| whole.is_some() && given(whole).is_none();
            if is_wrong(region.start_column) || is_wrong(region.end_line) || is_wrong(region.end_column) {
                return None;
            }
            let last = given(region.end_line).unwrap_or(line);
            let start = LinePosition::new(line, given(region.start_column))?;
            let end = LinePosition::new(last, given(region.end_column))?;
            return LineSpan::new(start, end, self.unit).map(DiagnosticRange::Lines);
        }
        let (start, length, unit) = if is_set(region.char_offset) {
            (region.char_offset, region.char_length, self.unit)
        } else {
            (region.byte_offset, region.byte_length, ColumnUnit::Byte)
        };
        let (start, length) = (offset(start)?, length.map_or(Some(0), WholeNumber::to_offset)?);
        DiagnosticRange::from_offsets(start, start.checked_add(length)?, unit)
    }
}
