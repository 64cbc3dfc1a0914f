//! Finds Python definitions like `import`, but without importing anything. A dotted name is resolved through
//! classes and their bases, aliases, re-exports and submodules. The lines of a definition are the lines that
//! Python's own tools print. Decorators of functions are included; decorators of classes are not. Comments
//! after a definition are included if they are indented at least like the definition's body.

mod scope;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tree_sitter::Node;
use truing_core::sync::{DefinitionDigests, NamesakeDefinition, SymbolDefinition, SymbolState};

use super::archive::ArchiveFormat;
use super::digest::digest_definition;
use super::non_function_code::NonFunctionPieces;
use crate::syntax::{MAX_SOURCE_BYTES, ParserPool, SourceLanguage, SyntaxScanError};
use scope::{BindingTarget, PropertyRole, PythonClass, PythonScope, StatementBranch};

/// Maximum number of names that are looked up for one symbol. The number is limited because aliases may form
/// a cycle.
const MAX_LOOKUPS: u32 = 300;
/// Folders in which import paths may begin: `ARCHIVE_IMPORT_ROOTS` for a source archive, `ROOT` for an
/// installed tree.
const ARCHIVE_IMPORT_ROOTS: &[&str] = &["", "src/"];
const INSTALLED_IMPORT_ROOTS: &[&str] = &[""];
/// Attributes at the end of a symbol that select one function of a decorated name, such as the setter of a
/// property.
const ACCESSOR_ATTRIBUTES: [&str; 5] = ["fget", "fset", "fdel", "__wrapped__", "__func__"];

/// The modules of a release. Each module is parsed when it is used for the first time.
pub(super) struct PythonPackage<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    roots: &'static [&'static str],
    modules: BTreeMap<String, Option<Rc<PythonModule>>>,
    unreadable_files: BTreeMap<String, String>,
    parsers: ParserPool,
}

/// Names of one module.
pub(super) struct PythonModule {
    /// Name under which the module is imported.
    name: String,
    scope: PythonScope,
    /// Code that is not in a function.
    pub(super) non_function_pieces: NonFunctionPieces,
}

enum NameLookupResult {
    Function(Rc<SymbolDefinition>),
    /// Class, with the name of its module.
    Class(Rc<PythonClass>, String),
    NotFound,
    OtherPackage,
}

/// State of one search: the requested part of a property, and the number of lookups left.
struct DefinitionSearch {
    role: PropertyRole,
    remaining_lookups: u32,
}

impl<'a> PythonPackage<'a> {
    pub(super) fn new(files: &'a BTreeMap<String, Vec<u8>>, format: ArchiveFormat) -> Self {
        let roots = match format {
            ArchiveFormat::Wheel => INSTALLED_IMPORT_ROOTS,
            ArchiveFormat::TarGz => ARCHIVE_IMPORT_ROOTS,
        };
        let (modules, unreadable, parsers) = (BTreeMap::new(), BTreeMap::new(), ParserPool::default());
        Self { files, roots, modules, unreadable_files: unreadable, parsers }
    }

    /// Returns the files that were parsed.
    pub(super) fn parsed_files(&self) -> impl Iterator<Item = String> {
        self.modules.keys().cloned()
    }

    /// Returns the possible paths of a module. If both a package and a file exist, Python uses the package.
    pub(super) fn candidate_paths(&self, module: &str) -> impl Iterator<Item = String> + use<> {
        let path = module.replace('.', "/");
        self.roots
            .iter()
            .flat_map(move |root| [format!("{root}{path}/__init__.py"), format!("{root}{path}.py")])
    }

    pub(super) fn into_unreadable_files(self) -> BTreeMap<String, String> {
        self.unreadable_files
    }

    /// Finds `module:Class.method`; `fget`, `fset` or `fdel` at the end selects a part of a property.
    pub(super) fn symbol_state(&mut self, name: &str) -> SymbolState {
        let (module, qualified) = name.split_once(':').unwrap_or((name, ""));
        let mut names: Vec<&str> = qualified.split('.').filter(|part| !part.is_empty()).collect();
        let mut search =
            DefinitionSearch { role: PropertyRole::FunctionOrGetter, remaining_lookups: MAX_LOOKUPS };
        while let Some(accessor) = names.last().filter(|name| ACCESSOR_ATTRIBUTES.contains(name)) {
            match *accessor {
                "fset" => search.role = PropertyRole::Setter,
                "fdel" => search.role = PropertyRole::Deleter,
                _ => {}
            }
            names.pop();
        }
        match self.find_in_module(module, &names, &mut search) {
            NameLookupResult::Function(definition) => SymbolState::Defined((*definition).clone()),
            NameLookupResult::Class(class, _) => SymbolState::Defined((*class.definition).clone()),
            NameLookupResult::NotFound => SymbolState::Absent,
            NameLookupResult::OtherPackage => SymbolState::OtherPackage,
        }
    }

    /// Returns all definitions of a name in a file, in the order of the text. The list is empty for a file
    /// that is not Python.
    pub(super) fn same_name_definitions(&self, file: &str, name: &str) -> Vec<NamesakeDefinition> {
        let mut found = Vec::new();
        if let Some(Some(module)) = self.modules.get(file) {
            module.scope.collect_same_name_definitions(name, &mut found);
        }
        found.sort_by_key(|one| one.line);
        found
    }

    fn find_in_module(
        &mut self,
        module_name: &str,
        names: &[&str],
        search: &mut DefinitionSearch,
    ) -> NameLookupResult {
        let Some(left) = search.remaining_lookups.checked_sub(1) else { return NameLookupResult::NotFound };
        search.remaining_lookups = left;
        let Some(module) = self.load_module(module_name) else {
            return if self.is_own_module(module_name) {
                NameLookupResult::NotFound
            } else {
                NameLookupResult::OtherPackage
            };
        };
        let Some((head, rest)) = names.split_first() else { return NameLookupResult::NotFound };
        if let Some(binding) = module.scope.effective_binding(head, search.role) {
            return self.follow_binding(&module.name, binding, rest, search);
        }
        let below = format!("{module_name}.{head}");
        if self.module_path(&below).is_some() {
            return self.find_in_module(&below, rest, search);
        }
        for star in &module.scope.star_import_modules {
            match self.find_in_module(star, names, search) {
                NameLookupResult::NotFound | NameLookupResult::OtherPackage => {}
                found @ (NameLookupResult::Function(_) | NameLookupResult::Class(..)) => return found,
            }
        }
        NameLookupResult::NotFound
    }

    fn follow_binding(
        &mut self,
        module: &str,
        binding: &BindingTarget,
        remaining_names: &[&str],
        search: &mut DefinitionSearch,
    ) -> NameLookupResult {
        match binding {
            BindingTarget::Function(_, definition) if remaining_names.is_empty() => {
                NameLookupResult::Function(definition.clone())
            }
            BindingTarget::Function(..) => NameLookupResult::NotFound,
            BindingTarget::Class(class) if remaining_names.is_empty() => {
                NameLookupResult::Class(class.clone(), module.to_owned())
            }
            BindingTarget::Class(class) => self.find_in_class(module, class, remaining_names, search),
            BindingTarget::Alias(names) => {
                let names: Vec<&str> =
                    names.iter().map(String::as_str).chain(remaining_names.iter().copied()).collect();
                self.find_in_module(module, &names, search)
            }
            BindingTarget::Import { module, name } => {
                let names: Vec<&str> =
                    name.as_deref().into_iter().chain(remaining_names.iter().copied()).collect();
                self.find_in_module(module, &names, search)
            }
        }
    }

    fn find_in_class(
        &mut self,
        module: &str,
        class: &Rc<PythonClass>,
        names: &[&str],
        search: &mut DefinitionSearch,
    ) -> NameLookupResult {
        let Some(left) = search.remaining_lookups.checked_sub(1) else { return NameLookupResult::NotFound };
        search.remaining_lookups = left;
        let Some((head, rest)) = names.split_first() else { return NameLookupResult::NotFound };
        match class.scope.effective_binding(head, search.role) {
            // In a class, an alias refers to a name of the class if there is one, and otherwise to a name of
            // the module.
            Some(BindingTarget::Alias(alias))
                if alias.first().is_some_and(|first| first != head && class.scope.has_name(first)) =>
            {
                let names: Vec<&str> = alias.iter().map(String::as_str).chain(rest.iter().copied()).collect();
                return self.find_in_class(module, class, &names, search);
            }
            Some(binding) => return self.follow_binding(module, binding, rest, search),
            None => {}
        }
        let mut nothing = NameLookupResult::NotFound;
        for base in &class.bases {
            let base: Vec<&str> = base.iter().map(String::as_str).collect();
            match self.find_in_module(module, &base, search) {
                NameLookupResult::Class(base, module) => match self
                    .find_in_class(&module, &base, names, search)
                {
                    NameLookupResult::NotFound => {}
                    NameLookupResult::OtherPackage => nothing = NameLookupResult::OtherPackage,
                    found @ (NameLookupResult::Function(_) | NameLookupResult::Class(..)) => return found,
                },
                NameLookupResult::OtherPackage => nothing = NameLookupResult::OtherPackage,
                NameLookupResult::Function(_) | NameLookupResult::NotFound => {}
            }
        }
        nothing
    }

    fn is_own_module(&self, module: &str) -> bool {
        let top = module.split('.').next().unwrap_or(module);
        self.roots.iter().any(|root| {
            let (folder, file) = (format!("{root}{top}/"), format!("{root}{top}.py"));
            self.files.keys().any(|path| path.starts_with(&folder) || *path == file)
        })
    }

    fn module_path(&self, module: &str) -> Option<String> {
        self.candidate_paths(module).find(|candidate| self.files.contains_key(candidate))
    }

    fn load_module(&mut self, name: &str) -> Option<Rc<PythonModule>> {
        self.load_file(&self.module_path(name)?)
    }

    /// Returns the module in a file, or `None` if the file is not a readable source.
    pub(super) fn load_file(&mut self, path: &str) -> Option<Rc<PythonModule>> {
        if !self.modules.contains_key(path) {
            let bytes = self.files.get(path)?;
            let (parsers, roots) = (&mut self.parsers, self.roots);
            // A panic in a grammar must not affect other files.
            let parsed = catch_unwind(AssertUnwindSafe(|| PythonModule::parse(path, roots, bytes, parsers)));
            let module = match parsed.unwrap_or_else(|_| Err("its parser failed".to_owned())) {
                Ok(module) => Some(Rc::new(module)),
                Err(why) => {
                    self.unreadable_files.insert(path.to_owned(), why);
                    None
                }
            };
            self.modules.insert(path.to_owned(), module);
        }
        self.modules.get(path)?.clone()
    }
}

impl PythonModule {
    fn parse(path: &str, roots: &[&str], bytes: &[u8], parsers: &mut ParserPool) -> Result<Self, String> {
        if bytes.len() > MAX_SOURCE_BYTES {
            return Err(format!("it is longer than {} KiB", MAX_SOURCE_BYTES >> 10));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let language = SourceLanguage::from_name("python").ok_or("its language is not known")?;
        let tree = parsers.parse_in_time(language, &text).ok_or("it takes too long to parse")?;
        let name = roots.iter().rev().find_map(|root| path.strip_prefix(root)).unwrap_or(path);
        let name = name.trim_end_matches(".py").replace('/', ".");
        let (name, is_package) = match name.strip_suffix(".__init__") {
            Some(package) => (package.to_owned(), true),
            None => (name, false),
        };
        let parent = if is_package { name.as_str() } else { name.rsplit_once('.').map_or("", |(up, _)| up) };
        let lines = text.split_inclusive('\n').collect();
        let file = ScopeCollector { path, package: parent, text: &text, lines };
        let mut scope = PythonScope::default();
        let deep = |_| "it is nested too deeply".to_owned();
        file.visit_statements(tree.root_node(), StatementBranch::Always, &mut scope).map_err(deep)?;
        let outside = NonFunctionPieces::from_root(tree.root_node(), &text, parent).map_err(deep)?;
        Ok(Self { name, scope, non_function_pieces: outside })
    }

    /// Returns the digests of the functions and of the classes' methods, by qualified name.
    pub(super) fn function_digests(&self) -> BTreeMap<String, DefinitionDigests> {
        let mut functions = BTreeMap::new();
        self.scope.collect_functions(&mut functions);
        functions
    }
}

/// Collects the names of a file.
struct ScopeCollector<'a> {
    path: &'a str,
    /// Package from which relative imports are resolved.
    package: &'a str,
    text: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> ScopeCollector<'a> {
    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn visit_statements(
        &self,
        body: Node<'_>,
        branch: StatementBranch,
        scope: &mut PythonScope,
    ) -> Result<(), SyntaxScanError> {
        let mut cursor = body.walk();
        for statement in body.named_children(&mut cursor) {
            self.visit_statement(statement, branch, scope)?;
        }
        Ok(())
    }

    fn visit_statement(
        &self,
        node: Node<'_>,
        branch: StatementBranch,
        scope: &mut PythonScope,
    ) -> Result<(), SyntaxScanError> {
        match node.kind() {
            "function_definition" | "class_definition" | "decorated_definition" => {
                self.visit_definition(node, branch, scope)
            }
            "if_statement" => {
                let condition = node.child_by_field_name("condition").map(|node| self.text_of(node));
                let for_checkers = condition.is_some_and(|text| text.ends_with("TYPE_CHECKING"));
                let mut cursor = node.walk();
                for block in node.named_children(&mut cursor) {
                    let is_else = block.kind() != "block";
                    let own = if is_else != for_checkers {
                        StatementBranch::Alternative
                    } else {
                        StatementBranch::If
                    };
                    self.visit_block(block, own.max(branch), scope)?;
                }
                Ok(())
            }
            "try_statement" => {
                let mut cursor = node.walk();
                for block in node.named_children(&mut cursor) {
                    let own = if block.kind().starts_with("except") {
                        StatementBranch::Alternative
                    } else {
                        branch
                    };
                    self.visit_block(block, own.max(branch), scope)?;
                }
                Ok(())
            }
            "with_statement" => self.visit_block(node, branch, scope),
            "for_statement" | "while_statement" => {
                let mut cursor = node.walk();
                node.named_children(&mut cursor).try_for_each(|block| self.visit_block(block, branch, scope))
            }
            "import_statement" | "import_from_statement" => {
                self.visit_import(node, branch, scope);
                Ok(())
            }
            "expression_statement" => {
                if let Some(assignment) = node.named_child(0).filter(|child| child.kind() == "assignment") {
                    self.visit_assignment(assignment, branch, scope);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Visits the statements of a block, or of all blocks of a compound statement.
    fn visit_block(
        &self,
        node: Node<'_>,
        branch: StatementBranch,
        scope: &mut PythonScope,
    ) -> Result<(), SyntaxScanError> {
        if node.kind() == "block" {
            return self.visit_statements(node, branch, scope);
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor).filter(|child| child.kind() == "block") {
            self.visit_statements(child, branch, scope)?;
        }
        Ok(())
    }

    fn visit_definition(
        &self,
        outer_node: Node<'_>,
        branch: StatementBranch,
        scope: &mut PythonScope,
    ) -> Result<(), SyntaxScanError> {
        let inner = outer_node.child_by_field_name("definition").unwrap_or(outer_node);
        let Some(name) = inner.child_by_field_name("name").map(|name| self.text_of(name)) else {
            return Ok(());
        };
        let body = inner.child_by_field_name("body");
        let is_class = inner.kind() == "class_definition";
        let first = if is_class { inner } else { outer_node }.start_position().row;
        let last = self.last_row(inner, body);
        let lines = self.lines.get(first..=last).unwrap_or_default().concat();
        let decorators = decorators(outer_node, |node| self.text_of(node));
        let qualified = format!("{}{name}", scope.prefix);
        let definition = Rc::new(SymbolDefinition {
            file: self.path.to_owned(),
            name: qualified.clone(),
            line: u32::try_from(first + 1).unwrap_or(u32::MAX),
            digests: digest_definition(&lines, outer_node, self.text)?,
            decorated: !decorators.is_empty(),
        });
        let binding = if is_class {
            let mut inside = PythonScope { prefix: format!("{qualified}."), ..PythonScope::default() };
            if let Some(body) = body {
                self.visit_statements(body, StatementBranch::Always, &mut inside)?;
            }
            let bases = inner.child_by_field_name("superclasses").map(|bases| self.base_names(bases));
            let bases = bases.unwrap_or_default();
            BindingTarget::Class(Rc::new(PythonClass { definition, bases, scope: inside }))
        } else {
            let ends = |word: &str| decorators.iter().any(|text| text.ends_with(word));
            let role = match () {
                () if ends(".setter") => PropertyRole::Setter,
                () if ends(".deleter") => PropertyRole::Deleter,
                () => PropertyRole::FunctionOrGetter,
            };
            BindingTarget::Function(role, definition)
        };
        scope.bind(name, binding, branch);
        Ok(())
    }

    fn base_names(&self, bases: Node<'_>) -> Vec<Vec<String>> {
        let mut cursor = bases.walk();
        bases.named_children(&mut cursor).filter_map(|base| self.dotted_parts(base)).collect()
    }

    /// Returns the last line of a definition. This is the last line of its code, or of a following comment
    /// that is indented at least like the body. Python's `inspect` has the same rule.
    fn last_row(&self, definition: Node<'_>, body: Option<Node<'_>>) -> usize {
        let mut leaf = definition;
        while let Some(child) = last_code_node(leaf) {
            leaf = child;
        }
        let mut last = leaf.end_position().row;
        let Some(column) = body.and_then(|body| body_start_column(definition, body)) else { return last };
        for (row, line) in self.lines.iter().enumerate().skip(last + 1) {
            let code = line.trim_start_matches([' ', '\t', '\u{c}']);
            let is_comment = code.starts_with('#');
            if !is_comment && !code.trim().is_empty() {
                break;
            }
            if is_comment && line.len() - code.len() >= column {
                last = row;
            }
        }
        last
    }

    fn visit_import(&self, node: Node<'_>, branch: StatementBranch, scope: &mut PythonScope) {
        let from = node
            .child_by_field_name("module_name")
            .map(|module| absolute_module(self.package, self.text_of(module)));
        let mut cursor = node.walk();
        for imported in node.children_by_field_name("name", &mut cursor) {
            let alias = imported.child_by_field_name("alias").map(|alias| self.text_of(alias));
            let name = imported.child_by_field_name("name").unwrap_or(imported);
            let name = self.text_of(name);
            let binding = match (&from, alias) {
                (Some(module), _) => {
                    BindingTarget::Import { module: module.clone(), name: Some(name.to_owned()) }
                }
                (None, Some(_)) => BindingTarget::Import { module: name.to_owned(), name: None },
                (None, None) => {
                    let top = name.split('.').next().unwrap_or(name);
                    BindingTarget::Import { module: top.to_owned(), name: None }
                }
            };
            let bound = alias.unwrap_or_else(|| name.split('.').next().unwrap_or(name));
            scope.bind(bound, binding, branch);
        }
        let mut cursor = node.walk();
        let takes_all = node.named_children(&mut cursor).any(|child| child.kind() == "wildcard_import");
        scope.star_import_modules.extend(from.filter(|_| takes_all));
    }

    fn visit_assignment(&self, node: Node<'_>, branch: StatementBranch, scope: &mut PythonScope) {
        let (Some(left), Some(mut right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return;
        };
        // In `a = b = c`, the value is the last expression.
        while right.kind() == "assignment" {
            self.visit_assignment(right, branch, scope);
            let Some(further) = right.child_by_field_name("right") else { return };
            right = further;
        }
        // In `a = property(b)` and `a = staticmethod(b)`, `a` is an alias of the wrapped function `b`.
        if right.kind() == "call"
            && let Some(function) = right.child_by_field_name("function")
            && ["property", "staticmethod", "classmethod"].contains(&self.text_of(function))
            && let Some(first) =
                right.child_by_field_name("arguments").and_then(|arguments| arguments.named_child(0))
        {
            right = first;
        }
        if let (true, Some(names)) = (left.kind() == "identifier", self.dotted_parts(right)) {
            scope.bind(self.text_of(left), BindingTarget::Alias(names), branch);
        }
    }

    /// Returns the names of an expression `a.b.c`.
    fn dotted_parts(&self, node: Node<'_>) -> Option<Vec<String>> {
        let text = self.text_of(node);
        let is_name = matches!(node.kind(), "identifier" | "attribute")
            && text.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'));
        is_name.then(|| text.split('.').map(str::to_owned).collect())
    }
}

/// Returns a module's absolute name. A relative name such as `..a` is resolved relative to `package`.
pub(super) fn absolute_module(package: &str, name: &str) -> String {
    let relative = name.trim_start_matches('.');
    let dots = name.len() - relative.len();
    if dots == 0 {
        return name.to_owned();
    }
    let mut package: Vec<&str> = package.split('.').filter(|part| !part.is_empty()).collect();
    package.truncate(package.len().saturating_sub(dots - 1));
    package.extend(relative.split('.').filter(|part| !part.is_empty()));
    package.join(".")
}

/// Returns the possible paths of a native module. The paths do not contain the platform.
pub(super) fn native_module_paths(module: &str) -> impl Iterator<Item = String> + use<> {
    let path = module.replace('.', "/");
    [format!("{path}/__init__.so"), format!("{path}.so")].into_iter()
}

/// Returns the decorators' names without their arguments.
fn decorators<'a>(outer_node: Node<'_>, text_of: impl Fn(Node<'_>) -> &'a str) -> Vec<&'a str> {
    let mut cursor = outer_node.walk();
    let decorators = outer_node.children(&mut cursor).filter(|child| child.kind() == "decorator");
    decorators.map(|decorator| text_of(decorator).trim_start_matches('@').trim()).collect()
}

fn last_code_node(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor).filter(|child| child.kind() != "comment").last()
}

/// Returns the column of a body's first statement. Returns `None` if this statement is on the line of the
/// definition's head.
fn body_start_column(definition: Node<'_>, body: Node<'_>) -> Option<usize> {
    let mut cursor = definition.walk();
    let colon = definition.children(&mut cursor).filter(|child| child.kind() == ":").last()?;
    let mut cursor = body.walk();
    let first = body.named_children(&mut cursor).find(|child| child.kind() != "comment")?;
    let start = first.start_position();
    (start.row > colon.start_position().row).then_some(start.column)
}
