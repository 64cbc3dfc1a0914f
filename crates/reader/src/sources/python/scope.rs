//! Contains the names of a Python module or class, with all bindings of each name.

use std::collections::BTreeMap;
use std::rc::Rc;

use truing_core::sync::{DefinitionDigests, NamesakeDefinition, SymbolDefinition};

use super::super::digest::join_digests;

#[derive(Default)]
pub(super) struct PythonScope {
    /// Text before the names of definitions in this scope: for a class, the name of the class and a dot.
    pub(super) prefix: String,
    /// Bindings of each name, in the order of the text.
    pub(super) bindings: BTreeMap<String, Vec<ScopeBinding>>,
    /// Modules from which all names are imported (`from module import *`).
    pub(super) star_import_modules: Vec<String>,
}

#[derive(Clone)]
pub(super) struct ScopeBinding {
    pub(super) target: BindingTarget,
    pub(super) branch: StatementBranch,
}

/// The conditions under which a statement runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StatementBranch {
    /// The statement runs whenever its scope runs.
    Always,
    /// The statement is in an `if`.
    If,
    /// The statement is in a secondary branch: `except`, `else`, or a branch only for type checkers.
    Alternative,
}

#[derive(Clone)]
pub(super) enum BindingTarget {
    Function(PropertyRole, Rc<SymbolDefinition>),
    Class(Rc<PythonClass>),
    /// Alias of another name in the same scope.
    Alias(Vec<String>),
    Import {
        module: String,
        name: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PropertyRole {
    /// Function, or the getter of a property.
    FunctionOrGetter,
    Setter,
    Deleter,
}

impl PropertyRole {
    /// Returns the suffix after the name of a function with this role.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::FunctionOrGetter => "",
            Self::Setter => ".fset",
            Self::Deleter => ".fdel",
        }
    }
}

pub(super) struct PythonClass {
    pub(super) definition: Rc<SymbolDefinition>,
    pub(super) bases: Vec<Vec<String>>,
    pub(super) scope: PythonScope,
}

impl PythonScope {
    pub(super) fn bind(&mut self, name: &str, target: BindingTarget, branch: StatementBranch) {
        self.bindings.entry(name.to_owned()).or_default().push(ScopeBinding { target, branch });
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.bindings.contains_key(name)
    }

    /// Returns the effective binding of a name. An assignment under a condition, such as `if not ssl:
    /// HTTPSConnection = Dummy`, does not replace an unconditional definition.
    pub(super) fn effective_binding(&self, name: &str, role: PropertyRole) -> Option<&BindingTarget> {
        let bound = self.bindings.get(name)?;
        let wanted =
            |bound: &&ScopeBinding| !matches!(bound.target, BindingTarget::Function(of, _) if of != role);
        let is_definition = |bound: &ScopeBinding| {
            matches!(bound.target, BindingTarget::Function(..) | BindingTarget::Class(_))
        };
        let stands = bound
            .iter()
            .filter(wanted)
            .any(|one| one.branch == StatementBranch::Always && is_definition(one));
        let counts = |one: &&ScopeBinding| match one.branch {
            StatementBranch::Always => true,
            StatementBranch::If => !stands || is_definition(one),
            StatementBranch::Alternative => false,
        };
        let usual = bound.iter().rev().filter(wanted).find(counts);
        usual.or_else(|| bound.iter().rev().find(wanted)).map(|bound| &bound.target)
    }

    /// Adds all definitions of a qualified name. Follows every definition of a class in the name if there are
    /// several.
    pub(super) fn collect_same_name_definitions(&self, name: &str, into: &mut Vec<NamesakeDefinition>) {
        let Some(own) = name.strip_prefix(&self.prefix) else { return };
        let head = own.split('.').next().unwrap_or(own);
        for bound in self.bindings.get(head).into_iter().flatten() {
            let (suffix, definition) = match &bound.target {
                BindingTarget::Function(role, definition) => (role.suffix(), definition),
                BindingTarget::Class(class) if head != own => {
                    class.scope.collect_same_name_definitions(name, into);
                    continue;
                }
                BindingTarget::Class(class) => ("", &class.definition),
                BindingTarget::Alias(_) | BindingTarget::Import { .. } => continue,
            };
            if head == own {
                let SymbolDefinition { name, line, digests, .. } = definition.as_ref();
                let name = format!("{name}{suffix}");
                into.push(NamesakeDefinition { name, line: *line, tree: digests.tree.clone() });
            }
        }
    }

    pub(super) fn collect_functions(&self, into: &mut BTreeMap<String, DefinitionDigests>) {
        for bound in self.bindings.values() {
            for bound in bound {
                match &bound.target {
                    BindingTarget::Function(role, definition) => {
                        let of = &definition.digests;
                        into.entry(format!("{}{}", definition.name, role.suffix()))
                            .and_modify(|known| *known = join_digests(known, of))
                            .or_insert_with(|| of.clone());
                    }
                    BindingTarget::Class(class) => class.scope.collect_functions(into),
                    BindingTarget::Alias(_) | BindingTarget::Import { .. } => {}
                }
            }
        }
    }
}
