//! `--from`: what other programs have printed of the head, whose findings are part of the review.

use std::path::{Path, PathBuf};

use truing_core::port::ToolOutput;
use truing_reader::output::report::MAX_INPUT_BYTES;
use truing_reader::output::{Format, recognize, text_of};

use crate::cli::diff;
use crate::cli::error::CliError;

/// Outputs of tools that somebody else has run.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Outputs {
    /// Add the findings that a linter has printed into this file; `-` reads standard input; may be repeated
    ///
    /// Only findings on changed lines count. With --pr --publish they are posted once, move with their lines, and are
    /// resolved when a later output no longer has them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fix", "replay"])]
    from: Vec<PathBuf>,
    /// The format of --from, such as sarif, rdjson, rdjsonl, checkstyle, gitlab or junit, or the name of a tool
    /// [default: recognised from the content]
    #[arg(long, value_name = "FORMAT", requires = "from", value_parser = format)]
    format_in: Option<Format>,
}

/// Outputs that were read, each with its format.
#[derive(Debug, Default)]
pub(super) struct Read {
    outputs: Vec<(Format, String)>,
}

impl Read {
    /// The outputs, of tools that ran in this folder.
    pub(super) fn of(self, root: &Path) -> Vec<ToolOutput> {
        let root = root.to_string_lossy().into_owned();
        let tool = |format: Format| match format {
            Format::Named(named) if !named.tool.is_empty() => named.tool,
            Format::Named(_)
            | Format::Sarif
            | Format::Rdjson
            | Format::Rdjsonl
            | Format::Checkstyle
            | Format::Gitlab
            | Format::Junit => format.as_str(),
        };
        let output = |(format, text): (Format, String)| ToolOutput {
            tool: tool(format).to_owned(),
            format: Some(format.as_str().to_owned()),
            roots: vec![root.clone()],
            text,
            failed: None,
            unnamed: None,
            everywhere: false,
            left_out: std::collections::BTreeSet::new(),
            without: std::collections::BTreeSet::new(),
        };
        self.outputs.into_iter().map(output).collect()
    }
}

impl Outputs {
    /// Are there any?
    pub(super) fn any(&self) -> bool {
        !self.from.is_empty()
    }

    /// Reads the outputs that were named. Whoever writes them may take their time: an interruption is served meanwhile.
    pub(super) async fn read(&self, folder: &Path) -> Result<Read, CliError> {
        let Self { from, format_in } = self.clone();
        if from.is_empty() {
            return Ok(Read::default());
        }
        let folder = folder.to_owned();
        let reading = tokio::task::spawn_blocking(move || read(&from, format_in, &folder));
        reading.await.unwrap_or_else(|stopped| {
            Err(CliError::failed("internal", format!("the output of a tool cannot be read: {stopped}")))
        })
    }
}

fn read(from: &[PathBuf], format: Option<Format>, folder: &Path) -> Result<Read, CliError> {
    let mut outputs = Vec::new();
    for file in from {
        let (name, bytes) = diff::input(Some(file), folder, MAX_INPUT_BYTES as u64)?;
        let unknown = || {
            CliError::usage("unknown_format", format!("{name}: the format is not recognised"))
                .hint(format!("name it: `--format-in FORMAT`; known are {}", known()))
        };
        let format = format.or_else(|| recognize(&bytes)).ok_or_else(unknown)?;
        outputs.push((format, text_of(&bytes).into_owned()));
    }
    Ok(Read { outputs })
}

fn format(name: &str) -> Result<Format, String> {
    Format::parse(name).ok_or_else(|| format!("known are {}", known()))
}

fn known() -> String {
    Format::all().map(Format::as_str).collect::<Vec<_>>().join(", ")
}
