//! Descriptions of the tools for a model, as data.

use serde_json::{Value, json};

use super::{DIFF_TOOL_NAME, TreeTool};
use crate::syntax::SourceLanguage;

/// Description of a tool for a model.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolDescription {
    /// Name that the model uses.
    pub name: &'static str,
    /// Description of the tool's function.
    pub description: String,
    /// JSON Schema of the tool's input.
    pub input_schema: Value,
}

/// Returns the descriptions of all tools.
pub fn tool_descriptions() -> Vec<ToolDescription> {
    TreeTool::ALL.into_iter().map(describe_tree_tool).chain([describe_diff_tool()]).collect()
}

fn describe_tree_tool(tool: TreeTool) -> ToolDescription {
    let (description, required, properties) = match tool {
        TreeTool::Read => (
            "Reads a text file at the head of the change. The answer shows each line with its number, as \
            findings cite it. If a file is long, the answer shows one part, and says how to get the next \
            part."
                .to_owned(),
            json!(["path"]),
            json!({
                "path": string_schema("The file, relative to the root of the repository"),
                "start_line": integer_schema(1, "The first line to show; default 1"),
                "end_line": integer_schema(1, "The last line to show; default the end of the file"),
                "column": integer_schema(1, "Show each line from this character on, to read the rest of \
                    lines that were cut"),
            }),
        ),
        TreeTool::List => (
            "Lists a folder at the head of the change: files with their size, folders with the number of \
             files below them."
                .to_owned(),
            json!([]),
            json!({ "path": string_schema("The folder; default the root of the repository"),
                "skip": skip_schema("entries") }),
        ),
        TreeTool::Glob => (
            "Finds files by a pattern of their path: `*` within a name, `**` across folders, `{a,b}` for \
            either. A pattern without `/` is matched against file names in all folders."
                .to_owned(),
            json!(["pattern"]),
            json!({ "pattern": string_schema("The pattern, such as `src/**/*.py` or `*.toml`"),
                "skip": skip_schema("files") }),
        ),
        TreeTool::Grep => (
            "Searches the files at the head of the change for lines that match a regular expression \
            (ripgrep's: no look-around, no back-references). The answer shows the path and the line \
            number of each match."
                .to_owned(),
            json!(["pattern"]),
            json!({
                "pattern": string_schema("The regular expression, matched against single lines"),
                "path": string_schema("Only this file, or the files in this folder"),
                "glob": string_schema("Only files whose path matches this pattern, as in `glob`"),
                "ignore_case": boolean_schema("Ignore case"),
                "literal": boolean_schema("The pattern is plain text"),
                "context": integer_schema(0, "Number of lines to show before and after each match; at \
                    most 10"),
                "skip": skip_schema("matches"),
            }),
        ),
        TreeTool::Symbol => (
            format!(
                "Finds where a function, class, type, method or top-level variable is defined, by syntax, in \
                 files of {}. For uses of a name, or other languages, use `grep`.",
                SourceLanguage::all_names()
            ),
            json!(["name"]),
            json!({
                "name": string_schema("The bare name, such as `parse`"),
                "path": string_schema("Only in this file, or the files in this folder"),
                "skip": skip_schema("definitions"),
            }),
        ),
    };
    ToolDescription { name: tool.name(), description, input_schema: object_schema(&required, &properties) }
}

fn describe_diff_tool() -> ToolDescription {
    let description = "Shows the change that is reviewed. Each line has its number before the change, its \
        number after the change, a mark (`+` added, `-` removed, blank unchanged), and its text. If there \
        are several files, the answer begins with a list of them.";
    let properties = json!({
        "path": string_schema("Only this file, or the files in this folder; default the whole change"),
        "skip": skip_schema("lines"),
    });
    ToolDescription {
        name: DIFF_TOOL_NAME,
        description: description.to_owned(),
        input_schema: object_schema(&json!([]), &properties),
    }
}

fn object_schema(required: &Value, properties: &Value) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn string_schema(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn boolean_schema(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn integer_schema(minimum: u32, description: &str) -> Value {
    json!({ "type": "integer", "minimum": minimum, "description": description })
}

fn skip_schema(items: &str) -> Value {
    integer_schema(0, &format!("Number of {items} to omit, because earlier answers have already shown them"))
}
