//! Reads a Python project, and finds definitions that the project takes from the packages that it follows.
//! These definitions are methods that override methods of the packages' classes, and functions in the
//! project's files. The project's source is never run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use serde::{Deserialize, Serialize};
use tree_sitter::Node;

use super::non_function_code::imported_modules;
use super::python::absolute_module;
use super::{SourcesError, read_source_bytes};
use crate::stack::run_on_large_stack;
use crate::syntax::{MAX_SOURCE_BYTES, ParserPool, SourceLanguage};

/// Maximum number of files of a project that are read.
const MAX_FILES: usize = 20_000;
/// Maximum number of classes that are examined to find all base classes of a class.
const MAX_EXAMINED_CLASSES: usize = 100;
/// Asynchronous special methods of Python, each with the synchronous method that it replaces.
const ASYNC_SPECIAL_METHODS: [(&str, &str); 4] = [
    ("__aiter__", "__iter__"),
    ("__anext__", "__next__"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
];

/// Query about a project: its folder, and the packages that it follows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProjectRequest {
    /// Path of the project's folder.
    pub folder: PathBuf,
    /// Names under which the packages are imported.
    pub packages: BTreeSet<String>,
}

/// Definitions that a project takes, or may take, from the packages that it follows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProjectFacts {
    /// Overrides. The key is the package's method, as `module:Class.method`; the value is the project's own
    /// definition, by file and name.
    pub overrides: BTreeMap<String, String>,
    /// Definitions that are overrides only if the package has the definition in the key. These are methods
    /// that a class inherits from another class of the project, aliases of methods, asynchronous methods such
    /// as `__aiter__`, and classes that only change attributes.
    #[serde(default)]
    pub candidates: BTreeMap<String, String>,
    /// Classes at the top level of the project's files, by file and name. These classes may contain copies of
    /// code in the packages. If a class inherits from a class of the packages, each of its listed methods may
    /// be a copy. For all other classes, no methods are listed, because the whole class may be a copy.
    #[serde(default)]
    pub classes: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Base classes of the packages that the project's classes inherit from, as `module:Class`.
    #[serde(default)]
    pub inherited: BTreeSet<String>,
    /// Functions at the top level of the files, by file.
    pub functions: BTreeMap<String, BTreeSet<String>>,
    /// First part of the name of each module that the project imports, such as `a` of `a.b`.
    #[serde(default)]
    pub imports: BTreeSet<String>,
    /// Files that cannot be read, with the reason.
    pub unreadable: BTreeMap<String, String>,
}

/// Reads a project.
///
/// # Errors
///
/// [`SourcesError`]; a single invalid source file is part of the response.
pub fn read_project_facts(request: &ProjectRequest) -> Result<ProjectFacts, SourcesError> {
    run_on_large_stack(|| read_project(request))
        .map_err(|error| SourcesError::ReaderFailed(error.to_string()))?
}

fn read_project(request: &ProjectRequest) -> Result<ProjectFacts, SourcesError> {
    let mut project = ProjectFacts::default();
    let mut classes: BTreeMap<String, ProjectClass> = BTreeMap::new();
    let mut parsers = ParserPool::default();
    let entries = WalkBuilder::new(&request.folder).require_git(false).sort_by_file_path(Path::cmp).build();
    let is_source = |path: &Path| path.extension().is_some_and(|extension| extension == "py");
    let files = entries.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    for (count, entry) in files.filter(|entry| is_source(entry.path())).enumerate() {
        let path = entry.path();
        if count >= MAX_FILES {
            let reason = format!("it contains more than {MAX_FILES} Python files");
            return Err(SourcesError::File { path: request.folder.clone(), reason });
        }
        let Some(name) = path.strip_prefix(&request.folder).ok().and_then(Path::to_str) else { continue };
        match ProjectModule::parse(path, name, &mut parsers) {
            Ok(file) => {
                project.functions.insert(name.to_owned(), file.functions);
                project.imports.extend(file.imports);
                classes.extend(file.classes);
            }
            Err(reason) => drop(project.unreadable.insert(name.to_owned(), reason)),
        }
    }
    for class in classes.values() {
        let (bases, own) = package_ancestors(class, &classes, &request.packages);
        let methods = if bases.is_empty() { BTreeSet::new() } else { class.methods.clone() };
        if bases.is_empty() || !methods.is_empty() {
            project.classes.entry(class.file.clone()).or_default().insert(class.name.clone(), methods);
        }
        for base in bases {
            project.inherited.insert(base.clone());
            for method in &class.methods {
                project
                    .overrides
                    .entry(format!("{base}.{method}"))
                    .or_insert_with(|| class.member_name(method));
            }
            let others = own
                .iter()
                .flat_map(|one| one.methods.iter().map(|method| (one.member_name(method), method.as_str())));
            let aliases = class.aliases.iter().map(|alias| (class.member_name(alias), alias.as_str()));
            for (ours, name) in aliases.chain(others) {
                project.candidates.entry(format!("{base}.{name}")).or_insert(ours);
            }
            for (own, theirs) in ASYNC_SPECIAL_METHODS.iter().filter(|(own, _)| class.methods.contains(*own))
            {
                project
                    .candidates
                    .entry(format!("{base}.{theirs}"))
                    .or_insert_with(|| class.member_name(own));
            }
            if class.methods.is_empty() && class.bases.contains(&base) {
                project.candidates.entry(base).or_insert_with(|| format!("{}:{}", class.file, class.name));
            }
        }
    }
    Ok(project)
}

/// Returns the packages' classes from which a class inherits, and the project's classes through which it
/// inherits from them.
fn package_ancestors<'a>(
    class: &'a ProjectClass,
    classes: &'a BTreeMap<String, ProjectClass>,
    packages: &BTreeSet<String>,
) -> (BTreeSet<String>, Vec<&'a ProjectClass>) {
    let (mut seen, mut found, mut between) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut next: Vec<&String> = class.bases.iter().collect();
    while let Some(base) = next.pop() {
        if seen.len() >= MAX_EXAMINED_CLASSES || !seen.insert(base) {
            continue;
        }
        let top = base.split(['.', ':']).next().unwrap_or(base);
        if packages.contains(top) {
            found.insert(base.clone());
        } else if let Some(own) = classes.get(base) {
            next.extend(&own.bases);
            between.push(own);
        }
    }
    (found, between)
}

struct ProjectClass {
    file: String,
    name: String,
    /// Base classes, as `module:Class`.
    bases: Vec<String>,
    /// Methods of the class; for a property also `name.fset` and `name.fdel`.
    methods: BTreeSet<String>,
    /// Other names that the class assigns, such as aliases of methods.
    aliases: BTreeSet<String>,
}

impl ProjectClass {
    /// Returns the name of a member of the class, as `FILE:Class.member`.
    fn member_name(&self, name: &str) -> String {
        format!("{}:{}.{name}", self.file, self.name)
    }
}

/// Collects the facts of a file.
struct ProjectModule<'a> {
    text: &'a str,
    path: &'a str,
    /// Name under which the file is imported.
    module: String,
    /// Package from which relative imports are resolved.
    package: String,
    imports: BTreeMap<String, (String, Option<String>)>,
}

/// Facts about one file.
struct ModuleFacts {
    classes: Vec<(String, ProjectClass)>,
    functions: BTreeSet<String>,
    imports: BTreeSet<String>,
}

impl ProjectModule<'_> {
    fn parse(path: &Path, name: &str, parsers: &mut ParserPool) -> Result<ModuleFacts, String> {
        let bytes = read_source_bytes(path)?;
        if bytes.len() > MAX_SOURCE_BYTES {
            return Err(format!("it is longer than {} KiB", MAX_SOURCE_BYTES >> 10));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let language = SourceLanguage::from_name("python").ok_or("its language is not known")?;
        let tree = parsers.parse_in_time(language, text).ok_or("it takes too long to parse")?;
        let dotted = name.trim_end_matches(".py").trim_start_matches("src/").replace('/', ".");
        let (module, package) = match dotted.strip_suffix(".__init__") {
            Some(package) => (package.to_owned(), package.to_owned()),
            None => (dotted.clone(), dotted.rsplit_once('.').map_or("", |(up, _)| up).to_owned()),
        };
        let imported =
            imported_modules(tree.root_node(), text, &package).map_err(|_| "it is nested too deeply")?;
        let first = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
        let imports = imported.iter().map(first).collect();
        let mut file = ProjectModule { text, path: name, module, package, imports: BTreeMap::new() };
        let mut facts = ModuleFacts { classes: Vec::new(), functions: BTreeSet::new(), imports };
        file.visit_statements(tree.root_node(), &mut facts);
        Ok(facts)
    }

    fn text_of(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// Collects the statements at the top level of a file, including statements in branches.
    fn visit_statements(&mut self, body: Node<'_>, facts: &mut ModuleFacts) {
        let mut cursor = body.walk();
        for node in body.named_children(&mut cursor) {
            let inner = node.child_by_field_name("definition").unwrap_or(node);
            match inner.kind() {
                "import_statement" | "import_from_statement" => self.visit_import(inner),
                "function_definition" => {
                    facts
                        .functions
                        .extend(inner.child_by_field_name("name").map(|name| self.text_of(name).to_owned()));
                }
                "class_definition" => self.visit_class(inner, facts),
                // Statements beyond the maximum nesting depth are left out.
                "if_statement" | "try_statement" | "else_clause" | "except_clause" | "block"
                    if nesting_depth(inner) < MAX_EXAMINED_CLASSES =>
                {
                    self.visit_statements(inner, facts);
                }
                _ => {}
            }
        }
    }

    fn visit_class(&self, node: Node<'_>, facts: &mut ModuleFacts) {
        let Some(name) = node.child_by_field_name("name").map(|name| self.text_of(name).to_owned()) else {
            return;
        };
        let mut bases = Vec::new();
        if let Some(list) = node.child_by_field_name("superclasses") {
            let mut cursor = list.walk();
            bases.extend(
                list.named_children(&mut cursor)
                    .filter_map(|base| self.resolve_class_name(self.text_of(base))),
            );
        }
        let (mut methods, mut aliases) = (BTreeSet::new(), BTreeSet::new());
        if let Some(body) = node.child_by_field_name("body") {
            let mut cursor = body.walk();
            for member in body.named_children(&mut cursor) {
                let inner = member.child_by_field_name("definition").unwrap_or(member);
                if inner.kind() == "function_definition" {
                    let name = inner.child_by_field_name("name").map(|name| self.text_of(name));
                    methods.extend(name.map(|name| format!("{name}{}", self.accessor_suffix(member))));
                }
                aliases.extend(self.alias_target(member));
            }
        }
        let class = ProjectClass { file: self.path.to_owned(), name: name.clone(), bases, methods, aliases };
        facts.classes.push((format!("{}:{name}", self.module), class));
    }

    /// Returns the suffix for the setter or deleter of a property, which is recognised by its decorators. The
    /// suffix is empty for all other methods.
    fn accessor_suffix(&self, member: Node<'_>) -> &'static str {
        let mut cursor = member.walk();
        let mut decorators = member.children(&mut cursor).filter(|child| child.kind() == "decorator");
        let found = decorators.find_map(|decorator| match self.text_of(decorator).rsplit('.').next() {
            Some("setter") => Some(".fset"),
            Some("deleter") => Some(".fdel"),
            Some(_) | None => None,
        });
        found.unwrap_or_default()
    }

    /// Returns the assigned name in `name = method`, `name = wrapped(method)` and `name = lambda …`.
    fn alias_target(&self, member: Node<'_>) -> Option<String> {
        let assignment = member.named_child(0).filter(|inner| inner.kind() == "assignment")?;
        let (left, right) =
            (assignment.child_by_field_name("left")?, assignment.child_by_field_name("right")?);
        let is_code = matches!(right.kind(), "identifier" | "attribute" | "call" | "lambda");
        (left.kind() == "identifier" && is_code).then(|| self.text_of(left).to_owned())
    }

    /// Returns the full name of the class to which a dotted name refers, as `module:Class`.
    fn resolve_class_name(&self, text: &str) -> Option<String> {
        let is_name = |part: &str| {
            !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        };
        let (first, rest) = text.split_once('.').map_or((text, None), |(first, rest)| (first, Some(rest)));
        if !text.split('.').all(is_name) {
            return None;
        }
        let Some((module, name)) = self.imports.get(first) else {
            return Some(format!("{}:{text}", self.module));
        };
        let names: Vec<&str> = name.as_deref().into_iter().chain(rest).collect();
        if name.is_some() {
            return Some(format!("{module}:{}", names.join(".")));
        }
        // After `import a.b`, the last name of `a.b.C` is the class.
        let (inner, last) =
            names.last()?.rsplit_once('.').map_or(("", *names.last()?), |(inner, last)| (inner, last));
        let module = if inner.is_empty() { module.clone() } else { format!("{module}.{inner}") };
        Some(format!("{module}:{last}"))
    }

    fn visit_import(&mut self, statement: Node<'_>) {
        let from = statement
            .child_by_field_name("module_name")
            .map(|module| absolute_module(&self.package, self.text_of(module)));
        let mut bound = Vec::new();
        let mut cursor = statement.walk();
        for imported in statement.children_by_field_name("name", &mut cursor) {
            let alias = imported.child_by_field_name("alias").map(|alias| self.text_of(alias).to_owned());
            let name = self.text_of(imported.child_by_field_name("name").unwrap_or(imported)).to_owned();
            let top = name.split('.').next().unwrap_or(&name).to_owned();
            bound.push(match (&from, alias) {
                (Some(module), alias) => (alias.unwrap_or(top), (module.clone(), Some(name))),
                (None, Some(alias)) => (alias, (name, None)),
                (None, None) => (top.clone(), (top, None)),
            });
        }
        self.imports.extend(bound);
    }
}

/// Returns the number of nodes around a node, up to the maximum nesting depth.
fn nesting_depth(node: Node<'_>) -> usize {
    std::iter::successors(node.parent(), |node| node.parent()).take(MAX_EXAMINED_CLASSES).count()
}
