//! The flags of every command.

use std::path::PathBuf;

use clap::{ArgAction, ValueEnum};

/// Flags of every command, before or after its name.
#[derive(clap::Args, Clone, Debug)]
pub struct GlobalArgs {
    /// The operator's configuration file, instead of the file in TRUING_CONFIG or the user's default file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// The format of the answer on standard output
    #[arg(long, global = true, value_enum, default_value = "text", help_heading = "Global options")]
    pub format: CliFormat,
    /// Print only the answer, warnings and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Write more log lines to standard error; twice: even more
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub color: ColorWhen,
}

/// The format of a command's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum CliFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: stable field names.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// For comments and job summaries.
    Markdown,
    /// For reviewdog and other programs that read rdjson.
    Rdjson,
    /// For GitHub Actions: annotations of the lines.
    Github,
    /// For GitLab: a code quality report.
    Gitlab,
    /// For spreadsheets: a header line, and one row for each run.
    Csv,
    /// For browsers: a single page that loads no resources.
    Html,
}

impl CliFormat {
    /// Formats of commands that print text only.
    pub(super) const TEXT_ONLY: &[Self] = &[Self::Text];
    /// Formats of most commands.
    pub(super) const TEXT_AND_JSON: &[Self] = &[Self::Text, Self::Json];
    /// Formats of commands that print findings.
    pub(super) const FOR_FINDINGS: &[Self] = &[Self::Text, Self::Json, Self::Sarif, Self::Markdown];
    /// Formats of a review.
    pub(super) const FOR_REVIEWS: &[Self] =
        &[Self::Text, Self::Json, Self::Sarif, Self::Markdown, Self::Rdjson, Self::Github, Self::Gitlab];

    /// Formats of reports on many runs.
    pub(super) const FOR_RUN_REPORTS: &[Self] =
        &[Self::Text, Self::Json, Self::Csv, Self::Markdown, Self::Html];

    /// Returns the value of `--format`.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The use of colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// On a terminal, and also in files and pipes.
    Always,
    /// Never.
    Never,
}
