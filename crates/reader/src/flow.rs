//! Flow rules, which follow values through a Python file. For example, they follow the result of a call to
//! the code that enters, awaits or drops this result. The rules are not a type checker: a value that the file
//! does not determine is unknown and causes no finding. The only exceptions are names that the rule's page
//! lists as trusted.
//!
//! `model` resolves names to bindings, and `value` resolves expressions. `guess` determines the results of
//! calls from trusted names, `library_objects` and `streams` contain facts about libraries, and
//! `callback_types` parses the types of callbacks. `uses` finds the uses of contexts, and `imports` finds the
//! imports on which a finding depends. The other modules implement the rules.

mod awaits;
mod blocking;
mod botocore_items;
mod callback_types;
mod callbacks;
mod cancel;
mod context;
mod flow_match;
mod guess;
mod imports;
mod iterate;
mod library_objects;
mod model;
mod operation_names;
mod prefix;
mod streams;
mod table;
mod uses;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use truing_diff::RepoPath;

use crate::syntax::{MAX_SOURCE_BYTES, ParserPool, SourceLanguage, SyntaxScanError, decode_keeping_offsets};
pub(crate) use flow_match::FlowMatch;
use model::FileBindings;
use value::FlowValueResolver;

/// A flow rule, which follows values.
#[derive(Debug)]
pub(crate) struct FlowCheck {
    pub(crate) kind: FlowKind,
}

impl FlowCheck {
    /// The language to which flow rules apply.
    pub(crate) const LANGUAGE: &'static str = "python";

    /// Returns true if the rule proposes a fix.
    pub(crate) fn has_fix(&self) -> bool {
        self.kind == FlowKind::Coroutines
    }
}

/// The kinds of defects that flow rules find. Each rule finds one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlowKind {
    /// Clients and sessions that are created but not entered.
    Contexts,
    /// Coroutines that are not awaited.
    Coroutines,
    /// Calls in coroutines that block the event loop.
    Blocking,
    /// Cancellations that a coroutine swallows.
    Cancellations,
    /// Asynchronous iterators in a plain `for` loop, and asynchronous contexts in a plain `with` statement.
    Iterations,
    /// Classes and functions of botocore that have an asynchronous replacement in aiobotocore.
    Pieces,
    /// Callbacks that are called without support for both synchronous and asynchronous callbacks.
    Callbacks,
    /// Names of classes that override classes of botocore.
    Names,
}

/// Returns the matches of these rules in a file, as pairs of rule index and match. A file that contains
/// neither coroutines nor botocore has no matches.
pub(crate) fn find_matches(
    rules: &[(usize, &FlowCheck)],
    path: &RepoPath,
    bytes: &[u8],
    parsers: &mut ParserPool,
) -> Result<Vec<(usize, FlowMatch)>, SyntaxScanError> {
    let language = SourceLanguage::from_path(path.as_bytes()).filter(|it| it.name() == FlowCheck::LANGUAGE);
    let holds = |word: &[u8]| memchr::memmem::find(bytes, word).is_some();
    let may_match = is_in_package(path) || holds(b"async") || holds(b"botocore");
    let Some(language) = language.filter(|_| !rules.is_empty() && may_match) else {
        return Ok(Vec::new());
    };
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(SyntaxScanError::TooLarge);
    }
    let text = decode_keeping_offsets(bytes);
    let is_time = parsers.deadline_check();
    let tree = parsers.parse_in_time(language, &text).ok_or(SyntaxScanError::OverLimit)?;
    let find = || {
        let model = FileBindings::from_tree(&tree, &text, &is_time).ok_or(SyntaxScanError::OverLimit)?;
        let in_package = is_in_package(path);
        let values = FlowValueResolver::new(&model, in_package);
        let mut all = Vec::new();
        for (index, rule) in rules {
            let found = match rule.kind {
                FlowKind::Contexts => context::find_misused_contexts(&values),
                FlowKind::Coroutines => awaits::find_lost_coroutines(&values),
                FlowKind::Blocking => blocking::find_blocking_calls(&values),
                FlowKind::Cancellations => cancel::find_swallowed_cancellations(&values),
                FlowKind::Iterations => iterate::find_wrong_iterations(&values),
                FlowKind::Pieces => botocore_items::find_botocore_uses(&values, in_package),
                FlowKind::Callbacks => callbacks::find_wrong_callback_calls(&values, in_package),
                FlowKind::Names => prefix::find_misnamed_classes(&values),
            };
            all.extend(found.into_iter().map(|it| {
                let imports = imports::find_imports(&model, &it.range);
                (*index, FlowMatch { imports, ..it })
            }));
        }
        if model.is_exhausted() { Err(SyntaxScanError::OverLimit) } else { Ok(all) }
    };
    // If a flow rule panics, only this file fails. Panics in syntax rules are handled in the same way.
    catch_unwind(AssertUnwindSafe(find)).unwrap_or(Err(SyntaxScanError::Panicked))
}

/// Returns true if the file belongs to aiobotocore itself.
fn is_in_package(path: &RepoPath) -> bool {
    let folders: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').collect();
    let folders = folders.split_last().map(|(_, folders)| folders).unwrap_or_default();
    folders.contains(&b"aiobotocore".as_slice()) && !folders.contains(&b"tests".as_slice())
}
