//! The `Reader` port in the calling process: opens the changed files one after the other and reports.

use std::sync::Arc;

use truing_core::outcome::NotReviewed;
use truing_core::outcome::SkipReason;
use truing_core::port::{ReadReport, ReadRequest, Reader, ReaderError};

use crate::engine::RuleSet;
use crate::file::Tree;
use crate::pack::Packs;

/// Reads in the calling process. Cheap to clone; patterns are compiled at most once for all clones.
#[derive(Clone, Debug)]
pub struct InProcess {
    packs: Arc<Packs>,
}

impl InProcess {
    /// A reader with the embedded packs.
    ///
    /// # Errors
    /// [`ReaderError::BadPack`] if the data built into the binary is wrong.
    pub fn new() -> Result<Self, ReaderError> {
        Ok(Self::with_packs(Packs::embedded()?))
    }

    /// A reader with these packs.
    pub fn with_packs(packs: Packs) -> Self {
        Self { packs: Arc::new(packs) }
    }

    /// The names of the packs a request may ask for, in order.
    pub fn known_packs(&self) -> Vec<&str> {
        self.packs.names()
    }

    /// What [`Reader::read`] does, blocking: for callers that have threads for such work. Equal requests on equal
    /// trees give equal reports.
    ///
    /// # Errors
    /// [`ReaderError::UnknownPack`] for a pack there is not, [`ReaderError::Failed`] if the tree cannot be
    /// opened, [`ReaderError::BadPack`] for a pattern over the size limit. A file that cannot be read is in the
    /// report instead.
    pub fn read_blocking(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let rules = RuleSet::new(self.packs.select(&request.packs)?)?;
        let tree = Tree::open(&request.tree)?;
        let mut report = ReadReport::default();
        for file in &request.files {
            let skipped = match tree.read(&file.path) {
                Ok(bytes) => {
                    let examined = rules.examine(&file.path, &bytes, &file.added)?;
                    report.findings.extend(examined.findings);
                    // What was dropped must not look reviewed.
                    (!examined.complete).then_some(SkipReason::TooLarge)
                }
                Err(reason) => Some(reason),
            };
            match skipped {
                None => report.reviewed.push(file.path.clone()),
                Some(reason) => report.not_reviewed.push(NotReviewed { path: file.path.clone(), reason }),
            }
        }
        report.findings.sort_by(|a, b| (&a.place, &a.rule).cmp(&(&b.place, &b.rule)));
        report.reviewed.sort();
        report.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(report)
    }
}

impl Reader for InProcess {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        self.read_blocking(request)
    }
}
