//! The result of a check.

/// The findings of a check.
pub(crate) enum CheckReport {
    /// It looked.
    Looked {
        /// At what: `12 crates, 30 arrows`.
        at: String,
        /// The problems that must be fixed.
        problems: Vec<String>,
        /// The things that are worth knowing.
        warnings: Vec<String>,
    },
    /// It needs data outside the repository, which is not there.
    NotRun(String),
}
