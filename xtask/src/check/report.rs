//! The result of a check.

/// The findings of a check.
pub(crate) enum CheckReport {
    /// The check has run.
    Completed {
        /// A summary of the checked items, such as `12 crates, 30 arrows`.
        summary: String,
        /// The problems that must be fixed.
        problems: Vec<String>,
        /// The warnings, which need no fix.
        warnings: Vec<String>,
    },
    /// The check needs external data that is missing.
    NotRun(String),
}
