//! The names of a Python module or class, with all that each is bound to.

use std::collections::BTreeMap;
use std::rc::Rc;

use truing_core::sync::{DefinitionDigests, NamesakeDefinition, SymbolDefinition};

use super::super::digest::joined;

#[derive(Default)]
pub(super) struct PythonScope {
    /// What the names of its definitions begin with: a class's name and a dot.
    pub(super) prefix: String,
    /// Each name with all that it is bound to, in the order of the text.
    pub(super) names: BTreeMap<String, Vec<ScopeBinding>>,
    /// Modules whose names are all taken over.
    pub(super) stars: Vec<String>,
}

#[derive(Clone)]
pub(super) struct ScopeBinding {
    pub(super) to: BindingTarget,
    pub(super) branch: StatementBranch,
}

/// Where a statement stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StatementBranch {
    /// It is run whenever its scope is.
    Always,
    /// Under an `if`.
    If,
    /// In a branch that is not the usual one: `except`, `else`, or for type checkers alone.
    Alternative,
}

#[derive(Clone)]
pub(super) enum BindingTarget {
    Function(PropertyRole, Rc<SymbolDefinition>),
    Class(Rc<PythonClass>),
    /// Another name in the same scope.
    Alias(Vec<String>),
    Import {
        module: String,
        name: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PropertyRole {
    /// A function, or the getter of a property.
    Plain,
    Setter,
    Deleter,
}

impl PropertyRole {
    /// Stands after the name of such a function.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
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
    pub(super) fn bind(&mut self, name: &str, to: BindingTarget, branch: StatementBranch) {
        self.names.entry(name.to_owned()).or_default().push(ScopeBinding { to, branch });
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// What a name is bound to in the end. A definition that stands under no condition is not replaced by another name
    /// that stands under one, such as `if not ssl: HTTPSConnection = Dummy`.
    pub(super) fn get(&self, name: &str, role: PropertyRole) -> Option<&BindingTarget> {
        let bound = self.names.get(name)?;
        let wanted =
            |bound: &&ScopeBinding| !matches!(bound.to, BindingTarget::Function(of, _) if of != role);
        let is_definition =
            |bound: &ScopeBinding| matches!(bound.to, BindingTarget::Function(..) | BindingTarget::Class(_));
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
        usual.or_else(|| bound.iter().rev().find(wanted)).map(|bound| &bound.to)
    }

    /// All definitions of a qualified name, also in classes that are defined more than once.
    pub(super) fn namesakes(&self, name: &str, into: &mut Vec<NamesakeDefinition>) {
        let Some(own) = name.strip_prefix(&self.prefix) else { return };
        let head = own.split('.').next().unwrap_or(own);
        for bound in self.names.get(head).into_iter().flatten() {
            let (suffix, definition) = match &bound.to {
                BindingTarget::Function(role, definition) => (role.suffix(), definition),
                BindingTarget::Class(class) if head != own => {
                    class.scope.namesakes(name, into);
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

    pub(super) fn functions(&self, into: &mut BTreeMap<String, DefinitionDigests>) {
        for bound in self.names.values() {
            for bound in bound {
                match &bound.to {
                    BindingTarget::Function(role, definition) => {
                        let of = &definition.digests;
                        into.entry(format!("{}{}", definition.name, role.suffix()))
                            .and_modify(|known| *known = joined(known, of))
                            .or_insert_with(|| of.clone());
                    }
                    BindingTarget::Class(class) => class.scope.functions(into),
                    BindingTarget::Alias(_) | BindingTarget::Import { .. } => {}
                }
            }
        }
    }
}
