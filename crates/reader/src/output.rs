//! Parses the output of linters and test programs, and converts it to diagnostics.
//!
//! An [`OutputFormat`] identifies a format. [`read_output`] converts the bytes of an output to a
//! [`DiagnosticReport`]. [`read_output`] does not panic, uses bounded memory, and reports which parts of the
//! output it skips. Because the output is untrusted, texts are cleaned (`text`), paths outside the tree are
//! rejected (`path`), and locations are compared with the file's content (`resolve`).

mod checkstyle;
mod choose;
mod decode;
pub mod diagnostic;
mod entries;
mod file_names;
pub mod finding;
pub mod format;
mod gitlab;
mod json;
mod junit;
pub mod known;
mod level;
pub mod notebook;
mod parse;
pub mod path;
pub mod patterns;
pub mod range;
mod rdjson;
pub mod read;
pub mod recognize;
pub mod report;
pub mod resolve;
mod sarif;
pub mod text;
mod unformatted;
pub(crate) mod unified_diff;
mod xml;

pub use choose::{choose_format, is_known_tool};
pub use decode::decode_text as text_of;
pub use diagnostic::{Diagnostic, DiagnosticLevel, ToolEdit, ToolFix};
pub use finding::{
    DEFAULT_RULE_NAME, DiagnosticMapping, FindingMapper, LevelSeverities, map_diagnostic, rule_name,
    tool_name,
};
pub use format::{NamedFormat, OutputContext, OutputFormat};
pub use path::{PathError, PathResolver};
pub use range::{ColumnUnit, DiagnosticRange, LinePosition, LineSpan, OffsetSpan};
pub use read::read_output;
pub use recognize::recognize_format;
pub use report::{DiagnosticReport, ProblemKind, ReportProblem};
pub use resolve::{ByteEdit, FileText, RangeError, ToolFixError, resolve_fix};
