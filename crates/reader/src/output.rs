//! Output of linters and test programs: bytes in, diagnostics out.
//!
//! A [`Format`] names how a tool prints. [`read()`] makes a [`Report`] of any bytes: it does not panic, takes no more than
//! a bounded room, and says what it left out. Whatever a tool prints is data of strangers: texts are cleaned
//! (`text`), paths stay in the tree (`path`), and places are compared with the file itself (`resolve`).

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

pub use choose::{choose, is_tool};
pub use decode::text as text_of;
pub use diagnostic::{Diagnostic, Level, ToolEdit, ToolFix};
pub use finding::{Finder, Levels, Mapping, NO_RULE, finding, rule_name, tool_name};
pub use format::{Format, Input, Named};
pub use path::{PathError, Paths};
pub use range::{ColumnUnit, Offsets, Position, Range, Span};
pub use read::read;
pub use recognize::recognize;
pub use report::{Problem, ProblemKind, Report};
pub use resolve::{ByteEdit, FileText, FixRefused, Unresolved, resolve_fix};
