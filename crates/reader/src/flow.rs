//! Rules that follow values through a Python file: what a name was imported as, what a call gives, who enters, awaits
//! or only drops it. It is no type checker: what the file does not tell is not known, and what is not known is no
//! finding, except where a rule's page says which names are believed.
//!
//! `model` says what names are bound to, `value` what expressions are, `guess` what is believed of names, `things` and
//! `streams` what is known of libraries, `types` what a callback's type tells, `uses` what becomes of a context, `imports`
//! which imports make a place what it is; the others are the rules.

mod awaits;
mod believe;
mod blocking;
mod callbacks;
mod cancel;
mod context;
mod found;
mod guess;
mod imports;
mod iterate;
mod model;
mod pieces;
mod prefix;
mod streams;
mod table;
mod things;
mod types;
mod uses;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use truing_diff::RepoPath;

use crate::syntax::{ComplexityError, MAX_SOURCE_BYTES, ParserPool, SourceLanguage, text_of};
pub(crate) use found::FlowMatch;
use model::FileModel;
use value::FlowValues;

/// A rule of this kind.
#[derive(Debug)]
pub(crate) struct FlowCheck {
    pub(crate) follows: FlowKind,
}

impl FlowCheck {
    /// The language that it is for.
    pub(crate) const LANGUAGE: &'static str = "python";

    /// Does it say what to make of what it finds?
    pub(crate) fn has_fix(&self) -> bool {
        self.follows == FlowKind::Coroutines
    }
}

/// The kinds of values that are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlowKind {
    /// Clients and sessions that are opened and not entered.
    Contexts,
    /// Coroutines that are not awaited.
    Coroutines,
    /// Coroutines that block the event loop.
    Blocking,
    /// Cancellations that do not get through.
    Cancellations,
    /// What is asynchronous, in a plain `for` or `with`.
    Iterations,
    /// Pieces of botocore that aiobotocore has of its own.
    Pieces,
    /// Callbacks that may be sync or async.
    Callbacks,
    /// Names of overrides.
    Names,
}

/// The findings of rules of this kind in a file: (index of the rule, place). Without a coroutine and without botocore
/// there is nothing to be found.
pub(crate) fn found(
    rules: &[(usize, &FlowCheck)],
    path: &RepoPath,
    bytes: &[u8],
    parsers: &mut ParserPool,
) -> Result<Vec<(usize, FlowMatch)>, ComplexityError> {
    let language = SourceLanguage::of_path(path.as_bytes()).filter(|it| it.name() == FlowCheck::LANGUAGE);
    let holds = |word: &[u8]| memchr::memmem::find(bytes, word).is_some();
    let may_match = is_in_package(path) || holds(b"async") || holds(b"botocore");
    let Some(language) = language.filter(|_| !rules.is_empty() && may_match) else {
        return Ok(Vec::new());
    };
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(ComplexityError::TooLarge);
    }
    let text = text_of(bytes);
    let is_time = parsers.time();
    let tree = parsers.parse_in_time(language, &text).ok_or(ComplexityError::OverLimit)?;
    let find = || {
        let model = FileModel::of(&tree, &text, &is_time).ok_or(ComplexityError::OverLimit)?;
        let in_package = is_in_package(path);
        let values = FlowValues::of(&model, in_package);
        let mut all = Vec::new();
        for (index, rule) in rules {
            let found = match rule.follows {
                FlowKind::Contexts => context::find(&values),
                FlowKind::Coroutines => awaits::find(&values),
                FlowKind::Blocking => blocking::find(&values),
                FlowKind::Cancellations => cancel::find(&values),
                FlowKind::Iterations => iterate::find(&values),
                FlowKind::Pieces => pieces::find(&values, in_package),
                FlowKind::Callbacks => callbacks::find(&values, in_package),
                FlowKind::Names => prefix::find(&values),
            };
            all.extend(found.into_iter().map(|it| {
                let imports = imports::of(&model, &it.range);
                (*index, FlowMatch { imports, ..it })
            }));
        }
        if model.is_exhausted() { Err(ComplexityError::OverLimit) } else { Ok(all) }
    };
    // As for rules of syntax: a fault here costs one file.
    catch_unwind(AssertUnwindSafe(find)).unwrap_or(Err(ComplexityError::Failed))
}

/// Is a file of aiobotocore itself?
fn is_in_package(path: &RepoPath) -> bool {
    let folders: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').collect();
    let folders = folders.split_last().map(|(_, folders)| folders).unwrap_or_default();
    folders.contains(&b"aiobotocore".as_slice()) && !folders.contains(&b"tests".as_slice())
}
