//! `--from`: what other programs have printed of the head, whose findings are part of the review.

use std::path::{Path, PathBuf};

use truing_core::port::ToolOutput;
use truing_loops::reader::ChildReader;
use truing_reader::output::report::MAX_INPUT_BYTES;
use truing_reader::output::{Format, text_of};

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
            ..ToolOutput::default()
        };
        self.outputs.into_iter().map(output).collect()
    }
}

impl Outputs {
    /// Are there any?
    pub(super) fn any(&self) -> bool {
        !self.from.is_empty()
    }

    /// Reads the outputs that were named; a child process recognises their formats. Whoever writes them may take their time: an
    /// interruption is served meanwhile.
    pub(super) async fn read(&self, folder: &Path, reader: &ChildReader) -> Result<Read, CliError> {
        let Self { from, format_in } = self.clone();
        let mut outputs = Vec::new();
        if from.is_empty() {
            return Ok(Read { outputs });
        }
        let here = folder.to_owned();
        let reading = tokio::task::spawn_blocking(move || texts(&from, &here));
        let texts = reading.await.unwrap_or_else(|stopped| {
            Err(CliError::failed("internal", format!("the output of a tool cannot be read: {stopped}")))
        })?;
        for (name, text) in texts {
            let format = match format_in {
                Some(format) => format,
                None => recognised(&name, &text, folder, reader).await?,
            };
            outputs.push((format, text));
        }
        Ok(Read { outputs })
    }
}

/// The outputs' texts, each with its name for people.
fn texts(from: &[PathBuf], folder: &Path) -> Result<Vec<(String, String)>, CliError> {
    let text = |file: &PathBuf| {
        let (name, bytes) = diff::input(Some(file), folder, MAX_INPUT_BYTES as u64)?;
        Ok((name, text_of(&bytes).into_owned()))
    };
    from.iter().map(text).collect()
}

async fn recognised(name: &str, text: &str, folder: &Path, reader: &ChildReader) -> Result<Format, CliError> {
    let found = reader.format(folder, text).await.map_err(|error| {
        CliError::failed("reader", format!("{name}: the format cannot be recognised: {error}"))
            .hint("name it: `--format-in FORMAT`")
    })?;
    found.as_deref().and_then(Format::parse).ok_or_else(|| {
        CliError::usage("unknown_format", format!("{name}: the format is not recognised"))
            .hint(format!("name it: `--format-in FORMAT`; known are {}", known()))
    })
}

fn format(name: &str) -> Result<Format, String> {
    Format::parse(name).ok_or_else(|| format!("known are {}", known()))
}

fn known() -> String {
    Format::all().map(Format::as_str).collect::<Vec<_>>().join(", ")
}
