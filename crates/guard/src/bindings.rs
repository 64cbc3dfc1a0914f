//! Compares the meaning that names used in tests have before and after a fix. Imports, definitions,
//! assignments and parameters give a name its meaning, as do calls that replace the function or value behind
//! a name. A fix that changes the meaning of such a name is refused, unless the fix has moved or renamed the
//! name's target in the product. If the text does not show which case applies, the change is only reported.

use std::collections::{BTreeMap, BTreeSet};

use super::count::missing_items;
use super::file::FileVersionPair;
use super::rename::defined_names;
use super::test_bindings::{BindingKind, TestBinding, TestFileBindings};
use super::used_names::UsedNames;
use super::version::{AnalyzedVersion, can_affect_tests};
use super::weakening::{Weakening, WeakeningKind};
use truing_diff::RepoPath;

/// Verdict on a name whose meaning a fix changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NameVerdict {
    Allowed,
    Reported,
    Refused,
}
use NameVerdict::{Allowed, Refused, Reported};

/// Finds the names used in tests whose meaning the fix changes, and adds them to `weakenings`.
pub(super) fn find_rebound_names(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    let before: Vec<Option<TestFileBindings<'_>>> =
        files.iter().map(|file| TestFileBindings::new(file.before.as_ref())).collect();
    let used: Vec<Option<UsedNames>> = before.iter().map(|side| side.as_ref().map(UsedNames::new)).collect();
    // The used names of all files, by language.
    let mut merged: BTreeMap<&'static [&'static str], UsedNames> = BTreeMap::new();
    for used in used.iter().flatten() {
        merged.entry(used.file_suffixes).or_default().add(used);
    }
    let none = UsedNames::default();
    for (at, file) in files.iter().enumerate() {
        let Some(after) = TestFileBindings::new(file.after.as_ref()) else { continue };
        // If tests have moved to a new file, the names in this file are compared with the names in the old
        // file.
        let own = before.get(at).is_some_and(Option::is_some).then_some(at);
        let from = own.or_else(|| {
            before.iter().position(|side| side.as_ref().is_some_and(|side| side.shares_tests(&after)))
        });
        let all = merged.get(after.naming_rules.file_suffixes).unwrap_or(&none);
        let pair = from.and_then(|from| Some((before.get(from)?.as_ref()?, used.get(from)?.as_ref()?)));
        let mut verdicts: Vec<(String, NameVerdict)> = Vec::new();
        match pair {
            Some((was, used)) => {
                // If a file contains no tests, the tests of other files may use its names.
                let used = if after.tests.is_empty() { all } else { used };
                let change = BindingChange { files, before: was, after: &after, used_names: used };
                verdicts.extend(change.judge_imports());
                verdicts.extend(change.judge_bindings());
                verdicts.extend(change.judge_patching_calls());
            }
            None => verdicts.extend(check_new_file(file, files, &after, all)),
        }
        weakenings.extend(verdicts.into_iter().filter(|(_, verdict)| *verdict != Allowed).map(
            |(what, verdict)| Weakening {
                is_report_only: verdict == Reported,
                ..file.new_weakening(WeakeningKind::ReboundName, &what)
            },
        ));
    }
}

/// Checks a new file that belongs to tests. The file is suspicious if tests may import it instead of the
/// tested code, or if it changes the tested code for other files.
fn check_new_file(
    file: &FileVersionPair<'_>,
    files: &[FileVersionPair<'_>],
    after: &TestFileBindings<'_>,
    used_names: &UsedNames,
) -> Vec<(String, NameVerdict)> {
    let mut words: Vec<(String, NameVerdict)> =
        after.find_patching_statements(|_| false).into_iter().map(|it| (it, Reported)).collect();
    let is_set = |bound: &&TestBinding| {
        let head = bound.root_name();
        bound.name.contains('.') && after.imports_of(head).any(|path| after.is_product(path))
    };
    words.extend(after.bindings.iter().filter(is_set).map(|bound| (after.line_text(bound.line), Reported)));
    let Some(path) = file.after.as_ref().map(|half| half.path.as_str()) else { return words };
    if !after.tests.is_empty() || !after.version.is_test {
        return words;
    }
    let stem = import_name(path);
    let is_product = |other: &FileVersionPair<'_>| {
        [&other.before, &other.after].into_iter().flatten().any(|half| {
            half.scanned_file.is_some()
                && !can_affect_tests(&RepoPath::from_text(&half.path))
                && import_name(&half.path) == stem
        })
    };
    let is_taken = used_names.tested_names.contains(stem) || files.iter().any(is_product);
    // In Java, tests can use a class of the test folder without an import, so a new class is reported.
    let verdict = if is_taken {
        Refused
    } else if path.ends_with(".java") {
        Reported
    } else {
        Allowed
    };
    words.push((path.to_owned(), verdict));
    words
}

/// Returns the name that an import of this file uses.
fn import_name(path: &str) -> &str {
    let mut parts = path.rsplit('/');
    let stem = parts.next().and_then(|name| name.split('.').next()).unwrap_or_default();
    match stem {
        "__init__" | "index" | "mod" => parts.next().unwrap_or(stem),
        _ => stem,
    }
}

/// A file that belongs to tests, before and after the fix.
struct BindingChange<'c> {
    files: &'c [FileVersionPair<'c>],
    before: &'c TestFileBindings<'c>,
    after: &'c TestFileBindings<'c>,
    used_names: &'c UsedNames,
}

impl BindingChange<'_> {
    fn judge_imports(&self) -> Vec<(String, NameVerdict)> {
        let (before, after) = (self.before, self.after);
        let mut words = Vec::new();
        let paths = after.imports.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (name, path)));
        for (name, path) in
            paths.filter(|(name, path)| before.imports_of(name).all(|was| was != path.as_str()))
        {
            let verdict = match name.as_str() {
                "*" | "." => self.judge_star_import(path),
                _ if self.used_names.free_names.contains(name) => self.judge_import(name, path),
                _ => Allowed,
            };
            words.push((format!("{name} = {path}"), verdict));
        }
        let words_after: BTreeSet<&str> = after.token_texts().collect();
        let lost = before.imports.keys().filter(|name| {
            !after.binds(name)
                && self.used_names.free_names.contains(*name)
                && words_after.contains(name.as_str())
        });
        words.extend(lost.map(|name| (name.clone(), Reported)));
        words
    }

    /// Judges an import of all names of a module.
    fn judge_star_import(&self, path: &str) -> NameVerdict {
        let has_used = |half: &AnalyzedVersion| {
            defined_names(half, true).any(|name| self.used_names.free_names.contains(&name))
        };
        let mut modules =
            self.file_versions(|file| file.after.as_ref()).filter(|half| is_module_file(half, path));
        if modules.any(has_used) { Refused } else { Reported }
    }

    fn judge_import(&self, name: &str, path: &str) -> NameVerdict {
        let was: Vec<&str> = self.before.imports_of(name).collect();
        let last = last_segment(path);
        if was.iter().any(|was| self.is_moved(was, path)) {
            return Allowed;
        }
        let is_library = |path: &str| !self.before.is_product(path);
        if !was.is_empty() && is_library(path) && was.iter().all(|was| is_library(was)) {
            return Reported;
        }
        // The import binds a name to a library, and the file did not bind this name before the fix.
        if was.is_empty() && is_library(path) && last == name && !self.before.binds(name) {
            return Reported;
        }
        // The new import is only reported if both paths end with the same name and no changed module gives
        // this name another meaning.
        let is_same = if was.is_empty() {
            last == name && !self.before.binds(name)
        } else {
            was.iter().any(|was| last_segment(was) == last)
        };
        // True if a changed module belongs to tests, defines the name itself, or does not re-export the name
        // from its old module.
        let mut modules =
            self.file_versions(|file| file.after.as_ref()).filter(|half| is_module_file(half, path));
        let is_other = modules.any(|half| {
            let hands_on = was.iter().any(|was| {
                let stem = module_of_path(was);
                half.text.contains(stem) && half.text.contains(last_segment(was))
            });
            can_affect_tests(&RepoPath::from_text(&half.path))
                || defined_names(half, false).any(|defined| defined == last)
                || !hands_on
        });
        if is_same && !is_other && self.after.is_product(path) { Reported } else { Refused }
    }

    fn file_versions<'s>(
        &'s self,
        select_version: impl Fn(&'s FileVersionPair<'s>) -> Option<&'s AnalyzedVersion>,
    ) -> impl Iterator<Item = &'s AnalyzedVersion> {
        self.files.iter().filter_map(select_version)
    }

    /// Returns true if the fix moved or renamed `old_target` in the product to `new_target`.
    fn is_moved(&self, old_target: &str, new_target: &str) -> bool {
        let is_product = |half: &&AnalyzedVersion| !can_affect_tests(&RepoPath::from_text(&half.path));
        let defines = |half: Option<&AnalyzedVersion>, name: &str| {
            half.filter(is_product)
                .is_some_and(|half| defined_names(half, false).any(|defined| defined == name))
        };
        let (old, new) = (last_segment(old_target), last_segment(new_target));
        let is_gone = self
            .files
            .iter()
            .any(|file| defines(file.before.as_ref(), old) && !defines(file.after.as_ref(), old));
        let is_come = self
            .files
            .iter()
            .any(|file| defines(file.after.as_ref(), new) && !defines(file.before.as_ref(), new));
        let is_file_moved = self.files.iter().any(|file| {
            let was_there =
                file.before.as_ref().filter(is_product).is_some_and(|half| is_module_file(half, old_target));
            was_there && file.after.as_ref().is_none_or(|after| !is_module_file(after, old_target))
        }) && self
            .file_versions(|file| file.after.as_ref())
            .filter(is_product)
            .any(|half| is_module_file(half, new_target));
        (is_gone && is_come) || is_file_moved
    }

    fn judge_bindings(&self) -> Vec<(String, NameVerdict)> {
        let mut words = Vec::new();
        for bound in &self.after.bindings {
            if self.before.has_binding(bound) {
                continue;
            }
            words.push((self.after.line_text(bound.line), self.judge_binding(bound)));
        }
        words
    }

    fn judge_binding(&self, binding: &TestBinding) -> NameVerdict {
        let head = binding.root_name();
        let is_new_test = binding.test.as_ref().is_some_and(|test| !self.before.tests.contains(test));
        if is_new_test && !binding.is_shared {
            return Allowed;
        }
        let was: Vec<&TestBinding> = self.before.bindings_in_test(&binding.name, &binding.test).collect();
        if binding.name.contains('.') {
            return self.judge_field_assignment(binding, head, &was);
        }
        if binding.test.is_some() && !is_new_test && !was.is_empty() {
            return self.judge_new_target(binding, &was);
        }
        if !self.used_names.free_names.contains(&binding.name) {
            let is_others = binding.is_shared && self.after.naming_rules.can_set_foreign_variables;
            return if is_others { if is_new_test { Reported } else { Refused } } else { Allowed };
        }
        if was.is_empty() { Refused } else { self.judge_new_target(binding, &was) }
    }

    /// Judges an assignment to a field, such as `NAME.field = …`.
    fn judge_field_assignment(
        &self,
        binding: &TestBinding,
        root_name: &str,
        old_bindings: &[&TestBinding],
    ) -> NameVerdict {
        if matches!(root_name, "self" | "this" | "cls") {
            let is_read = self.used_names.field_accesses.contains(&binding.name);
            return if !is_read {
                Allowed
            } else if old_bindings.is_empty() {
                Refused
            } else {
                self.judge_new_target(binding, old_bindings)
            };
        }
        if self.after.is_local(root_name, &binding.test) {
            let is_called = self.used_names.field_accesses.contains(&binding.name);
            let is_new_test = binding.test.as_ref().is_some_and(|test| !self.before.tests.contains(test));
            if !is_called || is_new_test {
                return Allowed;
            }
            // In Go and Rust, a field cannot replace a method. The field may be an input or an expected
            // value; the text does not show which of the two it is.
            let is_kept_apart =
                [".go", ".rs"].iter().any(|ending| self.after.naming_rules.file_suffixes.contains(ending));
            return if is_kept_apart { Reported } else { Refused };
        }
        if self.after.imports_of(root_name).any(|path| self.after.is_product(path)) {
            return Refused;
        }
        if self.used_names.free_names.contains(root_name) { Reported } else { Allowed }
    }

    /// Judges a name that still exists but has another target.
    fn judge_new_target(&self, binding: &TestBinding, old_bindings: &[&TestBinding]) -> NameVerdict {
        if binding.kind == BindingKind::Parameter {
            return Allowed;
        }
        if old_bindings.iter().any(|old_bindings| old_bindings.target_path == binding.target_path) {
            return if binding.test.is_some() { Allowed } else { Reported };
        }
        let was_value = old_bindings.iter().any(|old_bindings| old_bindings.is_literal);
        let root = binding.target_path.split([' ', '.']).next().unwrap_or_default();
        let is_product = self.after.is_product(&binding.target_path)
            && !self.after.bindings_in_test(root, &None).any(|own| own.kind == BindingKind::Definition);
        if (binding.is_literal && was_value) || (is_product && !binding.is_literal) {
            Reported
        } else {
            Refused
        }
    }

    /// Finds new calls that replace a function or value by its name. A call that names no tested code is
    /// reported but not refused.
    fn judge_patching_calls(&self) -> Vec<(String, NameVerdict)> {
        let of = |side: &TestFileBindings<'_>| {
            side.find_patching_statements(|test| test.is_none_or(|test| self.before.tests.contains(test)))
        };
        let (before, after) = (of(self.before), of(self.after));
        let new = missing_items(&after, &before).into_iter();
        new.map(|statement| {
            let names = statement.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            let is_tested = names.into_iter().any(|word| self.used_names.tested_names.contains(word));
            (statement.clone(), if is_tested { Refused } else { Reported })
        })
        .collect()
    }
}

/// Returns the module's name in a path: the segment before the last segment.
fn module_of_path(path: &str) -> &str {
    let module = path.strip_suffix(last_segment(path)).unwrap_or(path);
    last_segment(module)
}

fn last_segment(path: &str) -> &str {
    path.rsplit([' ', '.', '/', ':']).find(|part| !part.is_empty()).unwrap_or_default()
}

/// Returns true if a segment of the path is the name that an import of the file uses.
fn is_module_file(version: &AnalyzedVersion, path: &str) -> bool {
    let stem = import_name(&version.path);
    path.split([' ', '.', '/', ':']).any(|part| part == stem)
}
