//! Reads the output of linters and test programs: bytes in, diagnostics out.
//!
//! An [`OutputFormat`] identifies a format. [`read_output`] converts any bytes to a [`DiagnosticReport`]: it
//! does not panic, uses bounded memory, and reports the parts that it left out. Output is untrusted: texts
//! are cleaned (`text`), paths stay in the tree (`path`), and places are compared with the file itself
//! (`resolve`).

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
mod xml;

pub use choose::{choose_format, is_tool};
pub use decode::decode_text as text_of;
pub use diagnostic::{Diagnostic, DiagnosticLevel, ToolEdit, ToolFix};
pub use finding::{
    DiagnosticMapping, FindingMapper, LevelSeverities, NO_RULE, map_diagnostic, rule_name, tool_name,
};
pub use format::{NamedFormat, OutputContext, OutputFormat};
pub use path::{PathError, PathResolver};
pub use range::{ColumnUnit, DiagnosticRange, LinePosition, LineSpan, OffsetSpan};
pub use read::read_output;
pub use recognize::recognize_format;
pub use report::{DiagnosticReport, ProblemKind, ReportProblem};
pub use resolve::{ByteEdit, FileText, RangeError, ToolFixError, resolve_fix};
