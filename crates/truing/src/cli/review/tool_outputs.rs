//! The flag `--from`: adds findings about the head to the review, from the output of other programs.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches};
use truing_core::port::{ExternalToolRun, ToolOutput};
use truing_diff::RepoPath;
use truing_loops::reader::ChildProcessReader;
use truing_reader::output::known::{find_tool, is_empty_without_findings};
use truing_reader::output::path::AbsolutePath;
use truing_reader::output::report::MAX_INPUT_BYTES;
use truing_reader::output::{OutputFormat, is_known_tool, text_of};

use crate::cli::diff;
use crate::cli::error::CliError;
use crate::wiring::nearest_three_names;

/// Outputs of tools that the user has run.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolOutputArgs {
    outputs: Vec<ToolOutputOptions>,
}

/// One output with its options.
#[derive(Clone, Debug, Default)]
struct ToolOutputOptions {
    file: PathBuf,
    /// Name of a format or a tool. `None` if the format is to be detected from the content.
    format: Option<String>,
    /// Name of the tool that the user gave. It overrides the name in the output.
    tool: Option<String>,
    /// Prefix of the absolute paths in the output.
    path_prefix: Option<String>,
    /// Folder of the repository in which the tool ran.
    run_folder: Option<String>,
    /// Exit code of the tool.
    exit_code: Option<u8>,
}

const FROM_ARG: &str = "from";
const FORMAT_ARG: &str = "format_in";
const TOOL_ARG: &str = "tool";
const ROOT_ARG: &str = "root";
const FOLDER_ARG: &str = "folder";
const EXIT_ARG: &str = "exit";

/// Returns an option that belongs to one `--from`, and is invalid without it.
fn dependent_arg(id: &'static str, long: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(long).value_name(value_name).help(help).action(ArgAction::Append).requires(FROM_ARG)
}

impl clap::Args for ToolOutputArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let from = Arg::new(FROM_ARG)
            .long("from")
            .value_name("FILE")
            .help(
                "Add the findings from this output file of a linter; `-` reads standard input; may be \
                repeated",
            )
            .long_help(
                "Add the findings from this output file of a linter; `-` reads standard input; may be \
                repeated\n\nOnly findings on changed lines count. With --pr --publish, each finding is \
                posted once, moves with its lines, and is resolved when a later output does not contain \
                the finding. If a finding cannot be parsed or names no file of the repository, the review \
                is partial and resolves no finding.",
            )
            .value_parser(clap::value_parser!(PathBuf))
            .action(ArgAction::Append)
            .conflicts_with_all(["fix", "replay"]);
        let format = dependent_arg(
            FORMAT_ARG,
            "format-in",
            "FORMAT",
            "The format of --from, such as sarif, rdjson, checkstyle, gitlab or junit, or the name of a \
            tool, for any format of this tool; if this option is given once, it applies to every --from \
            [default: recognised from the content]",
        );
        command
            .arg(from)
            .arg(format.value_parser(parse_format_name))
            .arg(dependent_arg(
                TOOL_ARG,
                "tool",
                "NAME",
                "The tool that wrote the preceding --from, if its format does not name the tool",
            ))
            .arg(
                dependent_arg(
                    ROOT_ARG,
                    "root",
                    "PREFIX",
                    "The beginning of absolute paths in the preceding --from [default: derived from its \
                        files]",
                )
                .value_parser(parse_absolute_root),
            )
            .arg(
                dependent_arg(
                    FOLDER_ARG,
                    "folder",
                    "DIR",
                    "The folder of the repository in which the tool of the preceding --from ran",
                )
                .value_parser(parse_folder),
            )
            .arg(
                dependent_arg(
                    EXIT_ARG,
                    "exit",
                    "CODE",
                    "The exit code of the tool that wrote the preceding --from; without it, an empty output \
                        counts as a failure",
                )
                .value_parser(parse_exit_code),
            )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ToolOutputArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let files = matches.get_many::<PathBuf>(FROM_ARG).into_iter().flatten();
        let mut outputs: Vec<ToolOutputOptions> = files
            .map(|file| ToolOutputOptions { file: file.clone(), ..ToolOutputOptions::default() })
            .collect();
        let froms: Vec<usize> = matches.indices_of(FROM_ARG).into_iter().flatten().collect();
        let formats = matches.get_many::<String>(FORMAT_ARG).map_or(0, Iterator::count);
        for (id, long) in [
            (FORMAT_ARG, "format-in"),
            (TOOL_ARG, "tool"),
            (ROOT_ARG, "root"),
            (FOLDER_ARG, "folder"),
            (EXIT_ARG, "exit"),
        ] {
            let values = matches.get_many::<String>(id).into_iter().flatten();
            for (value, at) in values.zip(matches.indices_of(id).into_iter().flatten()) {
                if id == FORMAT_ARG && formats == 1 {
                    outputs.iter_mut().for_each(|outputs| outputs.format = Some(value.clone()));
                    continue;
                }
                let before = froms.iter().filter(|from| **from < at).count();
                let index = if froms.len() == 1 { Some(0) } else { before.checked_sub(1) };
                let Some(outputs) = index.and_then(|index| outputs.get_mut(index)) else {
                    let text = format!("--{long} {value} must follow the --from that it belongs to\n");
                    return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
                };
                let is_repeated = match id {
                    FORMAT_ARG => outputs.format.replace(value.clone()).is_some(),
                    TOOL_ARG => outputs.tool.replace(value.clone()).is_some(),
                    ROOT_ARG => outputs.path_prefix.replace(value.clone()).is_some(),
                    FOLDER_ARG => outputs.run_folder.replace(value.clone()).is_some(),
                    _ => std::mem::replace(&mut outputs.exit_code, value.parse().ok()).is_some(),
                };
                if is_repeated {
                    let text = format!("--{long} is given twice for --from {}\n", outputs.file.display());
                    return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
                }
            }
        }
        Ok(Self { outputs })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Outputs that were read, with their texts.
#[derive(Debug, Default)]
pub(super) struct LoadedToolOutputs {
    outputs: Vec<(ToolOutputOptions, String)>,
}

/// The folders in which a review was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReviewFolders<'a> {
    /// Root of the repository's files on this machine.
    pub(super) root: &'a Path,
    /// Folder in which the review was started.
    pub(super) folder: &'a Path,
    /// True if all files of the head are available. False if only the files in a diff are available.
    pub(super) has_all_files: bool,
}

impl LoadedToolOutputs {
    /// Converts the outputs to the input of a review.
    pub(super) fn into_tool_outputs(self, start: ReviewFolders<'_>) -> Vec<ToolOutput> {
        let root = start.root.to_string_lossy().into_owned();
        let inner = start.folder.strip_prefix(start.root).ok().and_then(Path::to_str).unwrap_or_default();
        let started_in = (!inner.is_empty()).then(|| RepoPath::from_text(inner));
        let output = |(given, text): (ToolOutputOptions, String)| {
            let format = given.format.as_deref();
            let of_format =
                format.map(|name| OutputFormat::parse(name).and_then(OutputFormat::tool).unwrap_or(name));
            let (failure_reason, unnamed) = run_problems(&given, &text);
            ToolOutput {
                failure_reason,
                unnamed,
                is_clean: given.exit_code == Some(0),
                tool: given.tool.as_deref().or(of_format).unwrap_or_default().to_owned(),
                roots: given.path_prefix.into_iter().chain([root.clone()]).collect(),
                folder: given
                    .run_folder
                    .as_deref()
                    .filter(|folder| !folder.is_empty())
                    .map(RepoPath::from_text),
                foreign: Some(ExternalToolRun {
                    tool: given.tool,
                    folder: started_in.clone().filter(|_| given.run_folder.is_none()),
                    is_tree_whole: start.has_all_files,
                }),
                format: given.format,
                text,
                ..ToolOutput::default()
            }
        };
        self.outputs.into_iter().map(output).collect()
    }
}

impl ToolOutputArgs {
    /// Returns true if outputs were given.
    pub(super) fn has_any(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Reads the given outputs. If an output has no `--format-in`, a child process detects its format. The
    /// program that writes an output may be slow. The command can therefore be interrupted during the wait.
    pub(super) async fn read(
        &self,
        folder: &Path,
        reader: &ChildProcessReader,
    ) -> Result<LoadedToolOutputs, CliError> {
        let Self { outputs: given } = self.clone();
        let mut outputs = Vec::new();
        if given.is_empty() {
            return Ok(LoadedToolOutputs { outputs });
        }
        let here = folder.to_owned();
        let reading = tokio::task::spawn_blocking(move || read_texts(given, &here));
        let texts = reading.await.unwrap_or_else(|stopped| {
            Err(CliError::failure("internal", format!("the output of a tool cannot be read: {stopped}")))
        })?;
        for (mut given, name, text) in texts {
            // A format that the user named is not detected. The format of an empty output cannot be detected,
            // so the user must name it.
            if given.format.is_none() {
                given.format = Some(recognise_format(&name, &text, folder, reader).await?);
            }
            outputs.push((given, text));
        }
        Ok(LoadedToolOutputs { outputs })
    }
}

/// Returns the reason why the run of a tool counts as failed, and the reason that counts if the output
/// contains no finding.
fn run_problems(given: &ToolOutputOptions, text: &str) -> (Option<String>, Option<String>) {
    let format = given.format.as_deref().unwrap_or_default();
    let known_tool =
        given.tool.as_deref().and_then(find_tool).or_else(|| {
            find_tool(OutputFormat::parse(format).and_then(OutputFormat::tool).unwrap_or(format))
        });
    // Most linters use 1 for findings, and other codes for failures.
    let is_failure =
        |code: u8| known_tool.map_or(code > 1, |known_tool| !known_tool.exit.contains(&i32::from(code)));
    // With the name of a tool, the format is the one in which Truing runs the tool.
    let by_name =
        known_tool.filter(|_| find_tool(format).is_some()).map(|known_tool| known_tool.format.as_str());
    let is_never_empty = match by_name.or_else(|| OutputFormat::parse(format).map(OutputFormat::as_str)) {
        Some(format) => !is_empty_without_findings(format),
        None => false,
    };
    match given.exit_code {
        Some(code) if is_failure(code) => (Some(format!("its exit code is {code}")), None),
        _ if !text.trim().is_empty() => {
            let unnamed = given.exit_code.filter(|code| *code != 0);
            (None, unnamed.map(|code| format!("its exit code is {code}, but it reported no finding")))
        }
        Some(0) if !is_never_empty => (None, None),
        Some(0) => {
            (Some("its output is empty, but a run without findings prints something".to_owned()), None)
        }
        Some(code) => (Some(format!("its exit code is {code}, and its output is empty")), None),
        None => {
            let reason = "its output is empty, which can also mean that it did not run: pass its exit code \
                          with `--exit CODE`";
            (Some(reason.to_owned()), None)
        }
    }
}

/// Hint for an output that cannot be read.
const FINDINGS_HINT: &str = "specify a file with the findings that a linter printed, or `-` to read them \
    from a pipe, such as the output of `ruff check --output-format sarif`";

/// Returns the outputs with their display names and texts.
fn read_texts(
    outputs: Vec<ToolOutputOptions>,
    folder: &Path,
) -> Result<Vec<(ToolOutputOptions, String, String)>, CliError> {
    let text = |outputs: ToolOutputOptions| {
        let read = diff::read_input(Some(&outputs.file), folder, MAX_INPUT_BYTES as u64);
        let (name, bytes) =
            read.map_err(|error| CliError { hints: vec![FINDINGS_HINT.to_owned()], ..error })?;
        Ok((outputs, name, text_of(&bytes).into_owned()))
    };
    outputs.into_iter().map(text).collect()
}

async fn recognise_format(
    name: &str,
    text: &str,
    folder: &Path,
    reader: &ChildProcessReader,
) -> Result<String, CliError> {
    let found = reader.detect_tool_output_format(folder, text).await.map_err(|error| {
        CliError::failure("reader", format!("{name}: the format cannot be recognised: {error}"))
            .hint("specify the format: `--format-in FORMAT`")
    })?;
    let is_bare = matches!(text.trim(), "" | "[]" | "{}");
    found.ok_or_else(|| match is_bare {
        true => CliError::usage(
            "unknown_format",
            format!("{name}: the output contains neither findings nor the name of a tool"),
        )
        .hint(
            "specify the tool and its exit code, as in `--format-in ruff --exit 0`: the output then counts \
                        as a run without findings",
        ),
        false => CliError::usage("unknown_format", format!("{name}: the format is not recognised")).hint(
            "set `--format-in` to a format, such as sarif, checkstyle or junit, or to the tool that \
                printed the output",
        ),
    })
}

fn parse_format_name(name: &str) -> Result<String, String> {
    if OutputFormat::parse(name).is_some() || is_known_tool(name) {
        return Ok(name.to_owned());
    }
    let tools = OutputFormat::all_formats().filter_map(OutputFormat::tool);
    let names = OutputFormat::all_formats().map(OutputFormat::as_str).chain(tools);
    Err(format!("no such format or tool; the nearest are {}", nearest_three_names(name, names).join(", ")))
}

fn parse_exit_code(code: &str) -> Result<String, String> {
    match code.parse::<u8>() {
        Ok(_) => Ok(code.to_owned()),
        Err(_) => Err("not an exit code: specify a number from 0 to 255".to_owned()),
    }
}

fn parse_absolute_root(root: &str) -> Result<String, String> {
    match AbsolutePath::from_uri(root) {
        Some(_) => Ok(root.to_owned()),
        None => {
            Err("not an absolute path: give the folder of the files on the machine where the tool ran"
                .to_owned())
        }
    }
}

fn parse_folder(folder: &str) -> Result<String, String> {
    let parts: Vec<&str> = folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path = parts.join("/");
    if folder.starts_with('/') || !(path.is_empty() || RepoPath::from_text(&path).stays_within_folder()) {
        return Err("not a folder of the repository: specify the folder relative to the root of the \
                repository"
            .to_owned());
    }
    Ok(path)
}
