//! The command `truing policy show`: prints the files of the policy in effect.

use std::fmt::Write as _;

use serde::Serialize;
use truing_core::policy::PolicyFile;

use crate::cli::CommandContext;
use crate::cli::error::{CliError, CommandExit};
use crate::wiring;

#[derive(clap::Args, Debug)]
pub(super) struct PolicyShowArgs {
    /// A profile (`fixer`), a program with a grammar (`cargo`), or `never`
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// A file of the policy in the JSON output.
#[derive(Serialize)]
struct PolicyFileRow<'a> {
    name: &'a str,
    /// Path of the file in effect.
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl PolicyShowArgs {
    pub(super) fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let policies = wiring::policy::load_policies(&context.config(&[])?)?;
        match &self.name {
            None => {
                let rows: Vec<PolicyFileRow<'_>> =
                    policies.files().iter().map(|file| file_row(file, false)).collect();
                context.output.print_answer(&rows, || {
                    let mut text = String::new();
                    for PolicyFileRow { name, from, .. } in &rows {
                        let _ = writeln!(text, "{name:<24} {from}");
                    }
                    text + "\nTo print one file: `truing policy show NAME`, such as `truing policy show \
                        fixer`\n"
                })?;
            }
            Some(name) => {
                let stems: Vec<&str> = policies.files().iter().map(policy_name).collect();
                let file =
                    policies.files().iter().find(|file| policy_name(file) == name).ok_or_else(|| {
                        let near = wiring::nearest_name(name, stems.iter().copied());
                        let near = near.map(|near| format!("did you mean `{near}`? "));
                        CliError::usage("unknown_policy", format!("no file of the policy is called `{name}`"))
                            .hint(format!(
                                "{}the files of the policy are: {}",
                                near.unwrap_or_default(),
                                stems.join(", ")
                            ))
                    })?;
                context.output.print_answer(&file_row(file, true), || file.text.clone())?;
            }
        }
        Ok(CommandExit::Success)
    }
}

fn file_row(file: &PolicyFile, has_text: bool) -> PolicyFileRow<'_> {
    PolicyFileRow { name: &file.name, from: &file.display_path, text: has_text.then_some(file.text.as_str()) }
}

/// Returns the name of a policy file without folder and extension.
fn policy_name(file: &PolicyFile) -> &str {
    let name = file.name.rsplit('/').next().unwrap_or(&file.name);
    name.trim_end_matches(".toml")
}
