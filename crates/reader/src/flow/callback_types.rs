//! Parses the declared types of callbacks. A type states whether a callback returns a coroutine, a plain
//! value, or either.

use tree_sitter::Node;

use super::model::{FileBindings, FlowBinding};

/// Maximum length of a type that is parsed, in bytes.
const MAX_TYPE_BYTES: usize = 2_000;

/// Types of values that must be awaited.
const AWAITABLE_TYPES: &[&str] = &["Awaitable", "Coroutine", "Future", "Task"];

/// Kinds of callback results: results that need no `await`, that need one, or that may need one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallbackResultKind {
    NotAwaitable,
    /// The result must be awaited.
    Awaitable,
    /// The result may or may not have to be awaited.
    MaybeAwaitable,
}

/// Returns the text of a type without whitespace, with the file's type aliases expanded.
pub(super) fn expand_type(model: &FileBindings<'_>, node: Node<'_>, max_alias_depth: u32) -> String {
    let text = model.text(node);
    let mut out = String::new();
    let mut rest = text.trim_matches(['"', '\'']);
    while !rest.is_empty() && out.len() < MAX_TYPE_BYTES {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            let mut chars = rest.chars();
            out.extend(chars.next().filter(|c| !c.is_whitespace()));
            rest = chars.as_str();
            continue;
        }
        let (name, after) = rest.split_at(end);
        rest = after;
        match max_alias_depth.checked_sub(1).and_then(|left| resolve_alias(model, name, left)) {
            Some(alias) => out.push_str(&alias),
            None => out.push_str(name.rsplit('.').next().unwrap_or(name)),
        }
    }
    out
}

/// Returns the type to which a name refers in this file: an alias, or a protocol with a `__call__` method.
fn resolve_alias(model: &FileBindings<'_>, name: &str, max_names: u32) -> Option<String> {
    let root = model.root();
    let (bound, _) = model.find_bindings(name, root)?;
    for bound in bound {
        match bound {
            FlowBinding::Value(value) => return Some(expand_type(model, *value, max_names)),
            FlowBinding::Definition(class) if class.kind() == "class_definition" => {
                let called = model.member_bindings(*class, "__call__").find_map(|it| match it {
                    FlowBinding::Definition(method) => Some(method),
                    FlowBinding::Value(_)
                    | FlowBinding::ValuePart(_)
                    | FlowBinding::EnteredContext(..)
                    | FlowBinding::Parameter(_)
                    | FlowBinding::Import(..)
                    | FlowBinding::Unknown => None,
                })?;
                let given = called.child_by_field_name("return_type")?;
                let given = expand_type(model, given, max_names);
                return Some(match model.is_async(called) {
                    true => format!("Callable[...,Awaitable[{given}]]"),
                    false => format!("Callable[...,{given}]"),
                });
            }
            FlowBinding::Definition(_)
            | FlowBinding::ValuePart(_)
            | FlowBinding::EnteredContext(..)
            | FlowBinding::Parameter(_)
            | FlowBinding::Import(..)
            | FlowBinding::Unknown => {}
        }
    }
    None
}

/// Returns the kind of result of the callbacks in a type, or `None` if the type contains no callback.
pub(super) fn callback_result_kind(type_text: &str) -> Option<CallbackResultKind> {
    let mut found: Option<CallbackResultKind> = None;
    for (at, _) in type_text.match_indices("Callable[") {
        let inner = type_text.get(at + "Callable[".len()..).and_then(before_closing_bracket)?;
        let given = split_outside_brackets(inner, ',').last().copied().unwrap_or_default();
        let its = classify_result_type(given);
        found = Some(match found {
            Some(other) if other != its => CallbackResultKind::MaybeAwaitable,
            Some(_) | None => its,
        });
    }
    found
}

fn classify_result_type(type_text: &str) -> CallbackResultKind {
    let (mut later, mut plain) = (false, false);
    for one in union_alternatives(type_text) {
        let name = one.split('[').next().unwrap_or(one);
        if name.contains("MaybeAwaitable") || name.contains("OrAwaitable") {
            return CallbackResultKind::MaybeAwaitable;
        }
        if AWAITABLE_TYPES.contains(&name) { later = true } else { plain = true }
    }
    match (later, plain) {
        (true, true) => CallbackResultKind::MaybeAwaitable,
        (true, false) => CallbackResultKind::Awaitable,
        (false, _) => CallbackResultKind::NotAwaitable,
    }
}

/// Returns the alternatives of a type: `A|B`, `Union[A,B]`, `Optional[A]`.
fn union_alternatives(type_text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for one in split_outside_brackets(type_text, '|') {
        let inside = |name: &str| one.strip_prefix(name).and_then(before_closing_bracket);
        if let Some(inner) = inside("Union[") {
            found.extend(
                split_outside_brackets(inner, ',').into_iter().flat_map(|it| split_outside_brackets(it, '|')),
            );
        } else if let Some(inner) = inside("Optional[") {
            found.extend(split_outside_brackets(inner, '|'));
            found.push("None");
        } else {
            found.push(one);
        }
    }
    found
}

/// The text begins after an opening bracket. Returns the part before the matching closing bracket.
fn before_closing_bracket(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' if depth == 0 => return text.get(..at),
            ']' | ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Splits a text at the separators that are not inside of brackets.
fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                found.extend(text.get(start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    found.extend(text.get(start..));
    found.retain(|it| !it.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_callbacks_are_told_apart() {
        for (written, expected) in [
            ("Callable[[str,str],None|Awaitable[None]]|None", Some(CallbackResultKind::MaybeAwaitable)),
            ("Optional[Callable[...,Union[None,Awaitable[None]]]]", Some(CallbackResultKind::MaybeAwaitable)),
            ("list[Callable[[int],Optional[Awaitable[int]]]]", Some(CallbackResultKind::MaybeAwaitable)),
            ("Callable[[],None]|Callable[[],Awaitable[None]]", Some(CallbackResultKind::MaybeAwaitable)),
            ("Callable[[],MaybeAwaitable[int]]", Some(CallbackResultKind::MaybeAwaitable)),
            ("Callable[[],Awaitable[None]]|None", Some(CallbackResultKind::Awaitable)),
            ("Callable[[],Coroutine[Any,Any,int]]", Some(CallbackResultKind::Awaitable)),
            ("Callable[[Awaitable[int]],None]", Some(CallbackResultKind::NotAwaitable)),
            ("Callable[", None),
            ("str|None", None),
        ] {
            assert_eq!(callback_result_kind(written), expected, "{written}");
        }
    }
}
