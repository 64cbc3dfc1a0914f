//! The result of a check.

/// The findings of a check.
pub(crate) enum CheckReport {
    /// The check has run.
    Completed {
        /// The number of checked items, such as `12 crates, 30 arrows`.
        summary: String,
        /// The problems that must be fixed.
        problems: Vec<String>,
        /// The warnings, which need no fix.
        warnings: Vec<String>,
    },
    /// The check was not run, because a program or external data is missing; the text explains how to get it.
    NotRun(String),
}
