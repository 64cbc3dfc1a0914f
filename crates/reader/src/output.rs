//! Output of linters and test programs: bytes in, diagnostics out.
//!
//! A [`Format`] names how a tool prints. [`read`] makes a [`Report`] of any bytes: it does not panic, takes no more than
//! a bounded room, and says what it left out. Whatever a tool prints is data of strangers: texts are cleaned
//! (`text`), paths stay in the tree (`path`), and places are compared with the file itself (`resolve`).

pub mod checkstyle;
pub mod decode;
pub mod diagnostic;
pub mod entries;
pub mod finding;
pub mod format;
pub mod gitlab;
pub mod json;
pub mod junit;
pub mod known;
pub mod level;
mod parse;
pub mod path;
pub mod patterns;
pub mod range;
pub mod rdjson;
pub mod read;
pub mod recognize;
pub mod report;
pub mod resolve;
pub mod sarif;
pub mod text;
pub mod xml;

pub use diagnostic::{Diagnostic, Level, ToolEdit, ToolFix};
pub use finding::{Finder, Levels, Mapping, finding, rule_name};
pub use format::{Format, Input, Named};
pub use path::{PathError, Paths};
pub use range::{ColumnUnit, Offsets, Position, Range, Span};
pub use read::read;
pub use recognize::recognize;
pub use report::{Problem, ProblemKind, Report};
pub use resolve::{ByteEdit, FileText, FixRefused, Unresolved, resolve_fix};
