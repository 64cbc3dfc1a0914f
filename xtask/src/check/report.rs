//! The result of a check.

/// What a check found.
pub(crate) enum Report {
    /// It looked.
    Looked {
        /// At what: `12 crates, 30 arrows`.
        at: String,
        /// What must be mended.
        problems: Vec<String>,
        /// What is worth knowing.
        warnings: Vec<String>,
    },
    /// It needs data outside the repository, which is not there.
    NotRun(String),
}
