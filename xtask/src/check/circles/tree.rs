//! Builds the module tree of one crate, and determines the files that each file uses.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{self, ImportedPath, ParsedSource};

/// Maximum number of steps to resolve a name. If an import refers to another import, each of the imports
/// takes a step.
const MAX_RESOLUTION_STEPS: usize = 32;

/// A module, identified by the names on the path from the crate's root to the module.
type ModulePath = Vec<String>;

/// The files that each file uses.
pub(super) type FileDependencies = BTreeMap<String, BTreeSet<String>>;

/// Returns the files that each file of a crate uses. `root` is the crate's `lib.rs` or `main.rs`; `texts`
/// contains the text of each file.
pub(super) fn file_dependencies(root: &str, texts: &BTreeMap<&str, &str>) -> FileDependencies {
    let mut tree = ModuleTree::default();
    tree.add_file(root, Vec::new(), texts);
    let mut arrows: FileDependencies =
        tree.files.keys().map(|file| (file.clone(), BTreeSet::new())).collect();
    for (file, (own, source)) in &tree.files {
        let used = tree.used_files(own, source);
        arrows.entry(file.clone()).or_default().extend(used.filter(|to| to != file));
    }
    arrows
}

/// The item that a path refers to.
#[derive(Clone, Debug)]
enum PathTarget {
    Module(ModulePath),
    /// An item in this module.
    Item(ModulePath),
    /// An item of another crate.
    ExternalItem,
}

/// A module of the crate.
#[derive(Debug, Default)]
struct ModuleNode {
    file: String,
    items: BTreeSet<String>,
    /// The path that each imported name refers to.
    aliases: BTreeMap<String, ModulePath>,
    /// Paths that are imported with a glob (`*`).
    globs: Vec<ModulePath>,
}

#[derive(Debug, Default)]
struct ModuleTree {
    modules: BTreeMap<ModulePath, ModuleNode>,
    /// Each file with its module.
    files: BTreeMap<String, (ModulePath, ParsedSource)>,
}

impl ModuleTree {
    /// Adds a file, and recursively the files of its modules.
    fn add_file(&mut self, file: &str, module_path: ModulePath, texts: &BTreeMap<&str, &str>) {
        let Some(text) = texts.get(file) else { return };
        let source = source::parse_source(text);
        let at = |within: &ModulePath| [module_path.as_slice(), within].concat();
        for within in &source.inline_modules {
            self.modules.entry(at(within)).or_default().file = file.to_owned();
        }
        for (within, item) in &source.items {
            self.modules.entry(at(within)).or_default().items.insert(item.clone());
        }
        for ImportedPath { enclosing_module: within, path, alias, is_reexported: _ } in &source.imports {
            let module = self.modules.entry(at(within)).or_default();
            match alias {
                Some(alias) => drop(module.aliases.insert(alias.clone(), path.clone())),
                None => module.globs.push(path.clone()),
            }
        }
        // The modules of a crate's root file are in the same folder as the root. The modules of another file
        // are in a folder with this file's name.
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let folder = if module_path.is_empty() || name == "mod.rs" {
            folder.to_owned()
        } else {
            file.trim_end_matches(".rs").to_owned()
        };
        let more = source.file_modules.clone();
        self.files.insert(file.to_owned(), (module_path.clone(), source));
        for module in more {
            let place = format!("{folder}/{}", module.join("/"));
            let module = [module_path.as_slice(), &module].concat();
            for file in [format!("{place}.rs"), format!("{place}/mod.rs")] {
                self.add_file(&file, module.clone(), texts);
            }
        }
    }

    /// Returns the files whose items this file names.
    fn used_files<'a>(
        &'a self,
        module_path: &'a ModulePath,
        source: &'a ParsedSource,
    ) -> impl Iterator<Item = String> + 'a {
        let imported = source.imports.iter().filter_map(move |import| {
            let within = [module_path.as_slice(), &import.enclosing_module].concat();
            match (self.resolve_path(&within, &import.path, MAX_RESOLUTION_STEPS)?, &import.alias) {
                // A file that only re-exports another module's item does not use the item.
                (PathTarget::Item(module), Some(alias)) => {
                    (!import.is_reexported || source.names.contains(alias)).then_some(module)
                }
                (PathTarget::Module(module) | PathTarget::Item(module), None) => {
                    (!import.is_reexported).then_some(module)
                }
                // The import of a module does not count as a use, but a path that begins with the module's
                // name counts as a use.
                (PathTarget::Module(_), Some(_)) | (PathTarget::ExternalItem, _) => None,
            }
        });
        let named = source.paths.iter().filter_map(move |(within, path)| {
            match self.resolve_path(&[module_path.as_slice(), within].concat(), path, MAX_RESOLUTION_STEPS)? {
                PathTarget::Item(module) => Some(module),
                PathTarget::Module(_) | PathTarget::ExternalItem => None,
            }
        });
        imported.chain(named).filter_map(|module| Some(self.modules.get(&module)?.file.clone()))
    }

    /// Returns the target of a path in a module; `None` if the first name of the path is unknown in that
    /// module.
    fn resolve_path(
        &self,
        module_path: &ModulePath,
        path: &[String],
        remaining_steps: usize,
    ) -> Option<PathTarget> {
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => PathTarget::Module(Vec::new()),
            "self" => PathTarget::Module(module_path.clone()),
            "super" => PathTarget::Module(module_path.split_last()?.1.to_vec()),
            name => self.resolve_name(module_path, name, remaining_steps)?,
        };
        for name in rest {
            at = match at {
                PathTarget::Module(module) if name == "super" => {
                    PathTarget::Module(module.split_last()?.1.to_vec())
                }
                PathTarget::Module(module) => {
                    self.resolve_name(&module, name, remaining_steps).unwrap_or(PathTarget::Item(module))
                }
                PathTarget::Item(_) | PathTarget::ExternalItem => return Some(at),
            };
        }
        Some(at)
    }

    /// Resolves a name in a module: a submodule, an item of the module, or an import.
    fn resolve_name(&self, module: &ModulePath, name: &str, remaining_steps: usize) -> Option<PathTarget> {
        let steps = remaining_steps.checked_sub(1)?;
        let below = [module.as_slice(), &[name.to_owned()]].concat();
        if self.modules.contains_key(&below) {
            return Some(PathTarget::Module(below));
        }
        let here = self.modules.get(module)?;
        if here.items.contains(name) {
            return Some(PathTarget::Item(module.clone()));
        }
        if let Some(path) = here.aliases.get(name) {
            // In `use log::log`, the first name refers to the external crate `log`, and not to the name that
            // this import declares.
            let circular = path.first().is_some_and(|first| first == name);
            let target = if circular { None } else { self.resolve_path(module, path, steps) };
            return Some(target.unwrap_or(PathTarget::ExternalItem));
        }
        here.globs.iter().find_map(|glob| match self.resolve_path(module, glob, steps)? {
            PathTarget::Module(from) if from != *module => self.resolve_name(&from, name, steps),
            PathTarget::Module(_) | PathTarget::Item(_) | PathTarget::ExternalItem => None,
        })
    }
}
