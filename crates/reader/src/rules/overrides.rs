//! Finds the methods and functions of a Python file that a change affects, and the entries for them in a
//! table of overrides.
//!
//! Files are parsed line by line, only by indentation. The check can be evaded deliberately, but authors
//! would only harm themselves by doing so.

use std::collections::BTreeSet;

use crate::lines::LineIndex;

/// Prefixes in the names of classes that override another class. The name may have a leading `_`.
const OVERRIDE_CLASS_PREFIXES: [&str; 4] = ["Aio", "AIO", "Anyio", "Async"];

/// Maximum number of lines in the head of a class.
const MAX_HEAD_LINES: u32 = 12;

/// Returns the added code lines in methods and functions. For each line, returns the names that an entry for
/// its method or function may have in the table. For a method, such a name consists of a class and the
/// method. The class is a base class or the method's own class, without an override's prefix. For a function,
/// the name is the name of the function.
pub(super) fn candidate_names_by_added_line(
    lines: &LineIndex<'_>,
    added_lines: &[(u32, u32)],
) -> Vec<(u32, Vec<String>)> {
    let code = mark_code_lines(lines);
    let is_code = |number: &u32| code.get(*number as usize - 1) == Some(&true);
    let last = lines.line_count();
    let numbers = added_lines.iter().flat_map(|(first, end)| *first..=(*end).min(last)).filter(is_code);
    let named = numbers.filter_map(|number| {
        let names = candidate_entry_names(lines, &code, number);
        (!names.is_empty()).then_some((number, names))
    });
    named.collect()
}

/// Returns the first line for which two conditions hold: its method or function has an entry in the table,
/// and no added line of this entry satisfies `is_satisfying_line`.
pub(super) fn find_line_with_stale_entry(
    changed_names: &[(u32, Vec<String>)],
    table: &LineIndex<'_>,
    added_lines: &[(u32, u32)],
    is_satisfying_line: impl Fn(&[u8]) -> bool,
) -> Option<u32> {
    let entries = table_entries(table);
    let is_satisfied = |first: u32, end: u32| {
        let numbers = added_lines.iter().flat_map(|(start, last)| (*start).max(first)..=(*last).min(end));
        numbers.into_iter().any(|number| is_satisfying_line(table.bytes(table.line_range(number))))
    };
    let misses = |names: &[String]| {
        let mut of_piece = entries
            .iter()
            .filter(|(name, ..)| names.iter().any(|wanted| entry_matches_name(name, wanted)))
            .peekable();
        of_piece.peek().is_some() && !of_piece.any(|(_, first, end)| is_satisfied(*first, *end))
    };
    changed_names.iter().find(|(_, names)| misses(names)).map(|(number, _)| *number)
}

/// Returns the added lines that begin an override of one of these methods, given as `Class.method`.
pub(super) fn override_head_lines(
    lines: &LineIndex<'_>,
    added_lines: &[(u32, u32)],
    methods: &[String],
) -> Vec<u32> {
    if methods.is_empty() {
        return Vec::new();
    }
    let is_head = |number: u32, name: &str| {
        let of_line = function_name(line_text(lines, number));
        name.rsplit('.').next().is_some_and(|method| of_line == Some(method))
    };
    let heads = candidate_names_by_added_line(lines, added_lines)
        .into_iter()
        .filter(|(number, names)| names.iter().any(|name| methods.contains(name) && is_head(*number, name)));
    heads.map(|(number, _)| number).collect()
}

/// Returns the first of these heads whose function name is missing in the table. In the table, a comma or a
/// colon must follow the name. If the head of the class is also added, one further condition applies. The
/// name must be in an added line of the table, or in the table together with the class or a base. An entry
/// that is for another added override does not count.
pub(super) fn find_missing_name(
    lines: &LineIndex<'_>,
    added_lines: &[(u32, u32)],
    head_lines: &[u32],
    table: &LineIndex<'_>,
    table_added_lines: &[(u32, u32)],
) -> Option<u32> {
    let whole = String::from_utf8_lossy(table.text());
    let last = table.line_count();
    let numbers = table_added_lines.iter().flat_map(|(first, end)| *first..=(*end).min(last));
    let new: String = numbers.map(|number| format!("{}\n", line_text(table, number))).collect();
    let code = mark_code_lines(lines);
    let all_names: BTreeSet<String> =
        candidate_names_by_added_line(lines, added_lines).into_iter().flat_map(|(_, names)| names).collect();
    let is_added = |number: u32| added_lines.iter().any(|(first, end)| (*first..=*end).contains(&number));
    let has_new_entry = |name: &str, own: &[String]| {
        let of_others = all_names.iter().filter(|other| !own.contains(other) && ends_with_part(other, name));
        contains_name(&of_others.fold(new.clone(), |text, other| text.replace(other.as_str(), "")), name)
    };
    head_lines.iter().copied().find(|number| {
        let Some(name) = function_name(line_text(lines, *number)) else { return false };
        let own = candidate_entry_names(lines, &code, *number);
        let is_of_another = class_line(lines, *number).is_some_and(is_added)
            && !own.is_empty()
            && !own.iter().any(|own| contains_name(&whole, own))
            && !has_new_entry(name, &own);
        !contains_name(&whole, name) || is_of_another
    })
}

/// Returns the heads for which an unchanged table has no entry. A class has an entry if the table names one
/// of its bases.
pub(super) fn heads_without_entry(
    lines: &LineIndex<'_>,
    head_lines: &[u32],
    table: &LineIndex<'_>,
) -> Vec<u32> {
    let whole = String::from_utf8_lossy(table.text());
    let code = mark_code_lines(lines);
    let has_entry = |number: u32| {
        if function_name(line_text(lines, number)).is_some() {
            candidate_entry_names(lines, &code, number).iter().any(|name| contains_name(&whole, name))
        } else {
            class_bases(lines, number).iter().any(|base| contains_word(&whole, base))
        }
    };
    head_lines.iter().copied().filter(|number| !has_entry(*number)).collect()
}

/// Attributes that lead from a decorated function or a property to the function with the code.
const CODE_ATTRIBUTES: [&str; 4] = [".__wrapped__", ".fget", ".fset", ".__func__"];

/// Returns a name without the attributes that lead to its code.
fn strip_code_attributes(name: &str) -> &str {
    let stripped = CODE_ATTRIBUTES.iter().find_map(|attribute| name.strip_suffix(attribute));
    stripped.map_or(name, strip_code_attributes)
}

/// Returns true if a table contains a name followed by a comma or a colon.
fn contains_name(table: &str, name: &str) -> bool {
    table.match_indices(name).any(|(at, _)| {
        let before = table.get(..at).and_then(|it| it.chars().next_back());
        let mut after = table.get(at + name.len()..).unwrap_or_default();
        while let Some(rest) = CODE_ATTRIBUTES.iter().find_map(|attribute| after.strip_prefix(attribute)) {
            after = rest;
        }
        !before.is_some_and(is_name_char) && after.trim_start().starts_with([',', ':'])
    })
}

/// Returns true if a table contains a name as a whole word.
fn contains_word(table: &str, name: &str) -> bool {
    table.match_indices(name).any(|(at, _)| {
        let before = table.get(..at).and_then(|text| text.chars().next_back());
        let after = table.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_name_char) && !after.is_some_and(is_name_char)
    })
}

fn is_name_char(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Returns the line in which the class of a method begins.
fn class_line(lines: &LineIndex<'_>, method_line: u32) -> Option<u32> {
    let bound = indent(line_text(lines, method_line));
    let is_class = |number: &u32| {
        let line = line_text(lines, *number);
        line.trim_start().starts_with("class ") && indent(line) < bound
    };
    (1..method_line).rev().find(is_class)
}

/// Returns true if the entry is for this method or function. The name in the entry may begin with module
/// names.
fn entry_matches_name(entry: &str, wanted_name: &str) -> bool {
    ends_with_part(strip_code_attributes(entry), wanted_name)
}

/// Returns true if the last parts of a dotted name are these.
fn ends_with_part(name: &str, last: &str) -> bool {
    name.strip_suffix(last).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Returns the entries of a table. An entry is a tuple whose first element is a name. For each entry, returns
/// the name, the first line and the last line.
fn table_entries<'a>(table: &LineIndex<'a>) -> Vec<(&'a str, u32, u32)> {
    let mut entries: Vec<(&str, u32, u32)> = Vec::new();
    for number in 1..=table.line_count() {
        match entry_name(line_text(table, number)) {
            Some(name) => entries.push((name, number, number)),
            None => {
                if let Some((.., end)) = entries.last_mut() {
                    *end = number;
                }
            }
        }
    }
    entries
}

/// Returns the name at the beginning of a line, if a comma follows the name. A parenthesis may precede the
/// name.
fn entry_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix('(').unwrap_or(line).trim_start();
    let end = line.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')))?;
    let (name, rest) = line.split_at_checked(end)?;
    let begins_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (begins_well && rest.trim_start().starts_with(',')).then_some(name)
}

/// Marks each line that is code: not blank, not a comment, and not part of a docstring.
fn mark_code_lines(lines: &LineIndex<'_>) -> Vec<bool> {
    let mut open: Option<&str> = None;
    let of_line = |number| {
        let line = line_text(lines, number).trim();
        if let Some(quotes) = open {
            if line.contains(quotes) {
                open = None;
            }
            return false;
        }
        let text = line.trim_start_matches(['r', 'R', 'u', 'U']);
        if let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| text.starts_with(quotes)) {
            if !text.get(3..).is_some_and(|rest| rest.contains(quotes)) {
                open = Some(quotes);
            }
            return false;
        }
        !line.is_empty() && !line.starts_with('#')
    };
    (1..=lines.line_count()).map(of_line).collect()
}

/// Returns the names that an entry for this line may have. The list is empty if the line is outside of
/// methods and functions, or in a class whose bases are all overrides themselves.
fn candidate_entry_names(lines: &LineIndex<'_>, is_code_line: &[bool], line_number: u32) -> Vec<String> {
    let line = line_text(lines, line_number);
    let mut piece = function_name(line);
    let mut bound = indent(line) + usize::from(is_closing_bracket_line(line));
    for above in (1..line_number).rev() {
        let line = line_text(lines, above);
        if is_code_line.get(above as usize - 1) != Some(&true)
            || is_closing_bracket_line(line)
            || indent(line) >= bound
        {
            continue;
        }
        bound = indent(line);
        if let Some(name) = function_name(line) {
            piece = Some(name);
        } else if line.trim_start().starts_with("class ") {
            return piece.map(|method| method_entry_names(lines, above, method)).unwrap_or_default();
        }
    }
    piece.filter(|_| bound == 0).map(|name| vec![name.to_owned()]).unwrap_or_default()
}

/// Returns the names that an entry for this method may have. The list is empty if all bases of the class are
/// overrides themselves.
fn method_entry_names(lines: &LineIndex<'_>, number: u32, method: &str) -> Vec<String> {
    let head = class_head(lines, number);
    let bases = base_names(&head);
    if !bases.is_empty() && bases.iter().all(|base| strip_override_prefix(base) != *base) {
        return Vec::new();
    }
    let name = head.split(['(', ':']).next().unwrap_or_default();
    let own = strip_override_prefix(name.trim().trim_start_matches('_'));
    bases
        .iter()
        .copied()
        .chain([own])
        .map(|class| format!("{}.{method}", strip_override_prefix(class)))
        .collect()
}

/// Returns the names of the bases of the class that begins in this line.
fn class_bases(lines: &LineIndex<'_>, number: u32) -> Vec<String> {
    base_names(&class_head(lines, number)).into_iter().map(str::to_owned).collect()
}

/// Returns the head of the class that begins in this line, from the name to the colon.
fn class_head(lines: &LineIndex<'_>, number: u32) -> String {
    let mut head = String::new();
    for number in number..number.saturating_add(MAX_HEAD_LINES) {
        let line = line_text(lines, number);
        head.push_str(line);
        if line.trim_end().ends_with(':') {
            break;
        }
    }
    head.trim_start().strip_prefix("class ").unwrap_or_default().to_owned()
}

/// Returns the names of the bases in a class's head, without modules.
fn base_names(head: &str) -> Vec<&str> {
    let rest = head.get(head.find(['(', ':']).unwrap_or(head.len())..).unwrap_or_default();
    let bases = rest.trim_matches(|letter| matches!(letter, '(' | ')' | ':' | ' ')).split(',');
    let bases = bases.map(|base| base.trim().rsplit('.').next().unwrap_or_default().trim_start_matches('_'));
    bases.filter(|base| !base.is_empty() && !base.contains('=')).collect()
}

/// Returns the name of a class without the prefix of an override.
fn strip_override_prefix(name: &str) -> &str {
    let without = OVERRIDE_CLASS_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    without.filter(|rest| rest.starts_with(char::is_uppercase)).unwrap_or(name)
}

/// Returns the name of the function whose head the line begins.
fn function_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("async ").map_or(line, str::trim_start).strip_prefix("def ")?;
    rest.split('(').next().map(str::trim).filter(|name| !name.is_empty())
}

/// Returns true if the line begins with a closing bracket, that is, ends an expression from a line above.
fn is_closing_bracket_line(line: &str) -> bool {
    line.trim_start().starts_with([')', ']', '}'])
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Returns a line up to the first byte that is not UTF-8.
fn line_text<'a>(lines: &LineIndex<'a>, number: u32) -> &'a str {
    let bytes = lines.bytes(lines.line_range(number));
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
from botocore.client import ClientCreator


class AioClientCreator(
    ClientCreator,
):
    kind = 'aio'

    @property
    async def create_client(
        self, name
    ):
        \"\"\"Makes one.

        As upstream.
        \"\"\"
        # Load it.
        model = await self._load(name)

        def inner():
            return {
                'a': model,
            }
        return inner


class AnyioClientCreator(AioClientCreator):
    async def create_client(self, name):
        return None


async def get_response(model, http):
    return await http.read()
";

    fn entry_names_at(number: u32) -> Vec<String> {
        let lines = LineIndex::new(FILE.as_bytes());
        candidate_names_by_added_line(&lines, &[(number, number)])
            .into_iter()
            .flat_map(|(_, names)| names)
            .collect()
    }

    #[test]
    fn a_line_of_code_is_in_a_piece() {
        let creator = ["ClientCreator.create_client", "ClientCreator.create_client"];
        for number in [10, 11, 12, 18, 20, 21, 22, 23, 24] {
            assert_eq!(entry_names_at(number), creator, "line {number}");
        }
        for number in [1, 2, 4, 7, 13, 14, 15, 16, 17, 19, 25, 28, 29] {
            assert_eq!(entry_names_at(number), [""; 0], "line {number}");
        }
        assert_eq!(entry_names_at(32), ["get_response"]);
        assert_eq!(entry_names_at(33), ["get_response"]);
    }

    #[test]
    fn heads_of_pieces_are_found_and_looked_up_in_the_table() {
        let lines = LineIndex::new(FILE.as_bytes());
        let all = [(1, 40)];
        let pieces = ["ClientCreator.create_client".to_owned()];
        assert_eq!(override_head_lines(&lines, &all, &pieces), [10]);
        assert_eq!(override_head_lines(&lines, &all, &[]), [0_u32; 0]);
        let named = |table: &str| {
            find_missing_name(&lines, &[], &[4, 10, 32], &LineIndex::new(table.as_bytes()), &[])
        };
        assert_eq!(named("(A.create_client, B),\n(\n    get_response ,\n)"), None);
        assert_eq!(named("A.create_client: B\n_get_response,"), Some(32));
        assert_eq!(named("create_clients, get_response,"), Some(10));
        assert_eq!(named("A.create_client.__wrapped__, get_response.fget.__wrapped__,"), None);
        let unlisted =
            |table: &str| heads_without_entry(&lines, &[4, 10, 32], &LineIndex::new(table.as_bytes()));
        assert_eq!(unlisted("(ClientCreator.create_client.__wrapped__, {}), (get_response, {})"), [0_u32; 0]);
        assert_eq!(unlisted("(ClientCreator.other, {})"), [10, 32]);
        assert_eq!(unlisted("(AnyClientCreators.create_client, {})"), [4, 10, 32]);
    }

    #[test]
    fn an_entry_of_the_piece_must_have_a_new_line() {
        let table = "\
        # client.py
        (
            ClientCreator.create_client,
            {
                'aa',
            },
        ),
        (botocore.parsers.get_response, {'bb'}),
        (Other.create_client, {'cc'}),
";
        let (lines, table) = (LineIndex::new(FILE.as_bytes()), LineIndex::new(table.as_bytes()));
        let check = |code: u32, added: &[(u32, u32)]| {
            let changed = candidate_names_by_added_line(&lines, &[(code, code)]);
            find_line_with_stale_entry(&changed, &table, added, |line| line.contains(&b'\''))
        };
        assert_eq!(check(18, &[]), Some(18));
        assert_eq!(check(18, &[(5, 5)]), None);
        assert_eq!(check(18, &[(4, 4)]), Some(18), "not a hash");
        assert_eq!(check(18, &[(8, 9)]), Some(18), "others' hashes");
        assert_eq!(check(33, &[(8, 8)]), None);
        assert_eq!(check(33, &[(1, 7)]), Some(33));
        assert_eq!(check(28, &[]), None, "it overrides what is ours");
        assert_eq!(check(16, &[]), None, "a comment");
    }

    #[test]
    fn a_new_class_needs_entries_of_its_own() {
        const NEW_CLASS: &str =
            "class AioEnvProvider(EnvProvider):\n    async def load(self):\n        return None\n";
        let lines = LineIndex::new(NEW_CLASS.as_bytes());
        let missed = |table: &str, added: &[(u32, u32)], table_added: &[(u32, u32)]| {
            find_missing_name(&lines, added, &[2], &LineIndex::new(table.as_bytes()), table_added)
        };
        let table = "(SSOProvider.load, {}),\n(EnvProvider.other, {}),\n";
        assert_eq!(missed(table, &[(1, 3)], &[(2, 2)]), Some(2));
        assert_eq!(missed(table, &[(1, 3)], &[(1, 1)]), None);
        assert_eq!(missed(table, &[(2, 3)], &[(2, 2)]), None);
        assert_eq!(missed("(EnvProvider.load, {}),\n", &[(1, 3)], &[]), None);
    }
}
