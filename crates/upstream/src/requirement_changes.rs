//! Decides whether a requirement that changed in a Python package's release affects the project that follows
//! the package. A change that cannot be compared is assumed to affect the project.
//!
//! A changed requirement does not affect the project in three cases:
//!
//! * the requirement belongs to an extra that the project does not use;
//! * the requirement is for Python versions that the project does not support;
//! * the new range contains all versions of the old range, and the project itself neither requires nor
//!   imports the required package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr as _;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{ExtraName, MarkerTree, Pep508Error, VerbatimUrl, VersionOrUrl};
use toml_edit::Item;
use truing_core::sync::{METADATA, ReleaseSources, UnguardedReason};
use version_ranges::Ranges;

use crate::project_requirement::{self, RequirementPlace, parse_document, pep508};

/// The name by which a release's requirements list the required Python versions.
const PYTHON_REQUIREMENT_NAME: &str = "Python";
/// The maximum length of a compared requirement, in bytes. The limit is low because the decision tree of a
/// marker can have exponentially many branches.
const MAX_REQUIREMENT_BYTES: usize = 240;
/// The maximum number of compared requirements per package name. `MAX_CHANGED_REQUIREMENTS` is the maximum
/// for all package names with changed requirements together.
const MAX_REQUIREMENTS_PER_NAME: usize = 16;
const MAX_CHANGED_REQUIREMENTS: usize = 200;
/// The maximum number of digits of a number in a requirement. Numbers are incremented and must not overflow.
const MAX_DIGITS: usize = 18;
/// Prefixes of package names. The names of the packages' modules often lack these prefixes.
const PACKAGE_NAME_PREFIXES: [&str; 4] = ["python-", "python", "py-", "py"];
/// Suffixes of package names. The names of the packages' modules often lack these suffixes.
const PACKAGE_NAME_SUFFIXES: [&str; 3] = ["-python", "-py", "py"];

/// Facts about a project that follows a package. These facts decide whether a changed requirement of the
/// package affects the project.
#[derive(Debug, Default)]
pub struct DependentProject {
    /// The extras of the package that the project uses; `None` if they are unknown.
    extras: Option<Vec<ExtraName>>,
    /// The Python versions that the project supports; `None` if they are unknown.
    supported_python: Option<VersionSpecifiers>,
    /// The names of the packages that the project requires, normalised as PEP 503 defines.
    required_packages: BTreeSet<String>,
    /// The modules that the project imports, in lower case and with `-` instead of `_`.
    imports: BTreeSet<String>,
}

impl DependentProject {
    /// Reads the project's files. `place` is the project's requirement of the package. `imports` are the
    /// top-level names of the modules that the project's source imports.
    pub fn read(project: &Path, place: &RequirementPlace<'_>, imports: &BTreeSet<String>) -> Self {
        let mut follower = Self::default();
        if let Some(text) = project_requirement::read_pep508_requirement(place) {
            follower.extras = pep508::parse_requirement(&text).ok().map(|requirement| requirement.extras);
        }
        for file in [place.file, &project.join("pyproject.toml")] {
            let Ok(text) = project_requirement::read_file(file) else { continue };
            if let Ok(document) = parse_document(&text) {
                follower.add_document(document.as_item());
            } else {
                let lines = text.lines().filter(|line| !line.trim_start().starts_with('-'));
                follower.required_packages.extend(lines.filter_map(pep508::package_name));
            }
        }
        follower.imports = imports.iter().map(|name| name.to_ascii_lowercase().replace('_', "-")).collect();
        follower
    }

    /// Adds the facts that a `pyproject.toml` contains.
    fn add_document(&mut self, document: &Item) {
        let at = |keys: &[&str]| keys.iter().fold(document, |item, key| item.get(key).unwrap_or(&Item::None));
        let names = |item: &Item| -> Vec<String> {
            let texts = item.as_array().into_iter().flatten().filter_map(toml_edit::Value::as_str);
            texts.filter_map(pep508::package_name).collect()
        };
        let python = at(&["project", "requires-python"]).as_str().filter(|text| is_cheap_to_compare(text));
        let python = python.and_then(|text| VersionSpecifiers::from_str(text).ok());
        self.supported_python = self.supported_python.take().or(python);
        self.required_packages.extend(names(at(&["project", "dependencies"])));
        for (_, list) in
            at(&["project", "optional-dependencies"]).as_table_like().into_iter().flat_map(|of| of.iter())
        {
            self.required_packages.extend(names(list));
        }
        let poetry = at(&["tool", "poetry", "dependencies"]).as_table_like();
        let poetry = poetry.into_iter().flat_map(|of| of.iter());
        self.required_packages.extend(poetry.filter_map(|(name, _)| pep508::package_name(name)));
    }

    /// Returns the names of the packages whose changed requirements do not affect the project, each with the
    /// reason.
    pub fn harmless_changes(
        &self,
        from: &ReleaseSources,
        to: &ReleaseSources,
    ) -> BTreeMap<String, UnguardedReason> {
        let nothing = BTreeMap::new();
        let of = |sources: &ReleaseSources| sources.requirements.get(METADATA).cloned();
        let (Some(old), Some(new)) = (of(from), of(to)) else { return nothing };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changed: Vec<&String> =
            names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect();
        let none = BTreeSet::new();
        let pairs = changed
            .into_iter()
            .map(|name| (name, old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none)));
        let pairs: Vec<_> = pairs.collect();
        if pairs.iter().map(|(_, old, new)| old.len() + new.len()).sum::<usize>() > MAX_CHANGED_REQUIREMENTS {
            return nothing;
        }
        let reason =
            |(name, old, new): (&String, _, _)| Some((name.clone(), self.no_effect_reason(name, old, new)?));
        pairs.into_iter().filter_map(reason).collect()
    }

    /// Returns the reason why a change does not affect the project; `None` if the change affects it.
    fn no_effect_reason(
        &self,
        name: &str,
        old: &BTreeSet<String>,
        new: &BTreeSet<String>,
    ) -> Option<UnguardedReason> {
        if old.len().max(new.len()) > MAX_REQUIREMENTS_PER_NAME
            || !old.iter().chain(new).all(|text| is_cheap_to_compare(text))
        {
            return None;
        }
        if name == PYTHON_REQUIREMENT_NAME {
            return self.python_no_effect_reason(old, new);
        }
        let read = |texts: &BTreeSet<String>| {
            texts.iter().map(|text| MarkedRequirement::parse(text)).collect::<Option<Vec<_>>>()
        };
        let (old, new) = (read(old)?, read(new)?);
        let same =
            |scope: &InstallScope<'_>| scope.satisfies_needs(&new, &old) && scope.satisfies_needs(&old, &new);
        let mut scope = InstallScope { extras: self.extras.as_deref(), python: MarkerTree::TRUE };
        if same(&scope) {
            return Some(UnguardedReason::OfExtra);
        }
        scope.python = self.supported_python.as_ref().and_then(python_marker).unwrap_or(MarkerTree::TRUE);
        if same(&scope) {
            return Some(UnguardedReason::OfOtherPython);
        }
        let reason =
            if new.is_empty() { UnguardedReason::RequirementRemoved } else { UnguardedReason::Wider };
        (scope.satisfies_needs(&new, &old) && !self.uses_package(name)).then_some(reason)
    }

    /// Returns the reason why a change of the required Python versions does not affect the project.
    fn python_no_effect_reason(
        &self,
        old: &BTreeSet<String>,
        new: &BTreeSet<String>,
    ) -> Option<UnguardedReason> {
        let range = |texts: &BTreeSet<String>| {
            let texts = texts.iter().map(|text| VersionSpecifiers::from_str(text).ok());
            texts
                .map(|range| range.map(pep440_rs::release_specifiers_to_ranges))
                .try_fold(Ranges::full(), |all, one| Some(all.intersection(&one?)))
        };
        let is_dropped = new.is_empty();
        let (old, new) = (range(old)?, range(new)?);
        if old.subset_of(&new) {
            return Some(if is_dropped {
                UnguardedReason::RequirementRemoved
            } else {
                UnguardedReason::Wider
            });
        }
        let own =
            self.supported_python.clone().map_or_else(Ranges::full, pep440_rs::release_specifiers_to_ranges);
        own.intersection(&old).subset_of(&new).then_some(UnguardedReason::OfOtherPython)
    }

    /// Returns true if the project requires the package, or imports a module whose name matches the package's
    /// name.
    fn uses_package(&self, package: &str) -> bool {
        let stripped = PACKAGE_NAME_PREFIXES.iter().filter_map(|prefix| package.strip_prefix(prefix));
        let stripped =
            stripped.chain(PACKAGE_NAME_SUFFIXES.iter().filter_map(|suffix| package.strip_suffix(suffix)));
        let mut modules = stripped.chain([package]);
        self.required_packages.contains(package) || modules.any(|module| self.imports.contains(module))
    }
}

/// Returns true if the requirement can be compared in bounded time, and no number in it can overflow.
fn is_cheap_to_compare(text: &str) -> bool {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
    text.len() <= MAX_REQUIREMENT_BYTES && numbers.all(|number| number.len() <= MAX_DIGITS)
}

/// Converts a range of Python versions to a marker.
fn python_marker(python: &VersionSpecifiers) -> Option<MarkerTree> {
    let terms =
        python.iter().map(|one| format!("python_full_version {} '{}'", one.operator(), one.version()));
    let terms = terms.collect::<Vec<_>>().join(" and ");
    let parsed: Result<MarkerTree, Pep508Error<VerbatimUrl>> = MarkerTree::parse_str(&terms);
    parsed.ok()
}

/// A requirement with its marker, extras and range.
struct MarkedRequirement {
    marker: MarkerTree,
    extras: BTreeSet<ExtraName>,
    range: Ranges<Version>,
}

impl MarkedRequirement {
    /// Parses a requirement. Returns `None` if the requirement is invalid, or contains a URL instead of a
    /// version range.
    fn parse(text: &str) -> Option<Self> {
        if text.contains('@') {
            return None;
        }
        let requirement = pep508::parse_requirement(text).ok()?;
        let range = match requirement.version_or_url {
            None => Ranges::full(),
            Some(VersionOrUrl::VersionSpecifier(range)) => range.into(),
            Some(VersionOrUrl::Url(_)) => return None,
        };
        let extras = requirement.extras.into_iter().collect();
        Some(Self { marker: requirement.marker, extras, range })
    }
}

/// Installations of the package; requirements are compared only for these installations.
struct InstallScope<'a> {
    /// The extras with which the package is installed; `None` for all possible extras.
    extras: Option<&'a [ExtraName]>,
    /// The Python versions of the installations.
    python: MarkerTree,
}

impl InstallScope<'_> {
    /// Returns true if both markers are true in at least one installation.
    fn can_overlap(&self, one: &MarkerTree, other: &MarkerTree) -> bool {
        let mut both = one.clone();
        both.and(other.clone());
        both.and(self.python.clone());
        match self.extras {
            Some(extras) => both.evaluate_extras(extras),
            None => !both.is_false(),
        }
    }

    /// Returns true if every installation that fulfils `fulfilled_requirements` also fulfils `needs`.
    /// Compares each need with the fulfilled requirements. A fulfilled requirement counts only if it applies
    /// in every installation in which the need applies. The combined range of these requirements must be
    /// within the need's range, and their extras must include the need's extras.
    fn satisfies_needs(
        &self,
        needs: &[MarkedRequirement],
        fulfilled_requirements: &[MarkedRequirement],
    ) -> bool {
        needs.iter().filter(|need| self.can_overlap(&need.marker, &MarkerTree::TRUE)).all(|need| {
            let there = |one: &&MarkedRequirement| !self.can_overlap(&need.marker, &one.marker.negate());
            let there: Vec<&MarkedRequirement> = fulfilled_requirements.iter().filter(there).collect();
            let range = there.iter().fold(Ranges::full(), |range, one| range.intersection(&one.range));
            let has = |extra: &ExtraName| there.iter().any(|one| one.extras.contains(extra));
            !there.is_empty() && range.subset_of(&need.range) && need.extras.iter().all(has)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string_set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn dependent_project(
        extras: &[&str],
        python: &str,
        requires: &[&str],
        imports: &[&str],
    ) -> DependentProject {
        let extras = extras.iter().map(|extra| ExtraName::from_str(extra).unwrap()).collect();
        let python = VersionSpecifiers::from_str(python).ok().filter(|_| !python.is_empty());
        DependentProject {
            extras: Some(extras),
            supported_python: python,
            required_packages: string_set(requires),
            imports: string_set(imports),
        }
    }

    fn no_effect_reason_for(
        project: &DependentProject,
        name: &str,
        old: &[&str],
        new: &[&str],
    ) -> Option<UnguardedReason> {
        let of = |texts: &[&str]| {
            let texts = BTreeMap::from([(name.to_owned(), string_set(texts))]);
            ReleaseSources {
                requirements: BTreeMap::from([(METADATA.to_owned(), texts)]),
                ..ReleaseSources::default()
            }
        };
        project.harmless_changes(&of(old), &of(new)).remove(name)
    }

    #[test]
    fn extra_change_affects_only_projects_using_the_extra() {
        let (old, new) = (["awscrt==0.19.19;extra=='crt'"], ["awscrt==0.20.9;extra=='crt'"]);
        let told = |extras: &[&str]| {
            no_effect_reason_for(&dependent_project(extras, "", &[], &[]), "awscrt", &old, &new)
        };
        assert_eq!(told(&[]), Some(UnguardedReason::OfExtra));
        assert_eq!(told(&["other"]), Some(UnguardedReason::OfExtra));
        assert_eq!(told(&["crt"]), None);
        // If the project's extras are unknown, the change is assumed to affect the project.
        assert_eq!(no_effect_reason_for(&DependentProject::default(), "awscrt", &old, &new), None);
        // The change also affects installations without the extra.
        let also = ["awscrt==0.20.9;extra=='crt'", "awscrt>=0.20"];
        assert_eq!(no_effect_reason_for(&dependent_project(&[], "", &[], &[]), "awscrt", &old, &also), None);
        assert_eq!(
            no_effect_reason_for(&dependent_project(&[], "", &[], &[]), "awscrt", &[], &new),
            Some(UnguardedReason::OfExtra)
        );
    }

    #[test]
    fn python_specific_change_affects_only_supporting_projects() {
        let old =
            ["urllib3<1.27,>=1.25.4;python_version<'3.10'", "urllib3<3,>=1.25.4;python_version>='3.10'"];
        let new = ["urllib3<3,>=1.25.4"];
        let told = |python: &str| {
            no_effect_reason_for(&dependent_project(&[], python, &["urllib3"], &[]), "urllib3", &old, &new)
        };
        assert_eq!(told(">=3.10"), Some(UnguardedReason::OfOtherPython));
        assert_eq!(told(">=3.10.1,<4"), Some(UnguardedReason::OfOtherPython));
        assert_eq!(told(">=3.9"), None);
        assert_eq!(told(""), None);
        let python = |own: &str, old: &str, new: &str| {
            no_effect_reason_for(&dependent_project(&[], own, &[], &[]), "Python", &[old], &[new])
        };
        assert_eq!(python(">=3.10", ">=3.9", ">=3.10"), Some(UnguardedReason::OfOtherPython));
        assert_eq!(python(">=3.9", ">=3.9", ">=3.10"), None);
        assert_eq!(python("", ">=3.9", ">=3.10"), None);
        assert_eq!(python("", ">=3.10", ">=3.9"), Some(UnguardedReason::Wider));
        assert_eq!(python(">=3.9", ">=3.9", ">=3.9,<4"), None);
        // Both the old and the new range exclude Python 4, so the change does not affect the project.
        assert_eq!(python(">=3.10", ">=3.9,<4", ">=3.10,<4"), Some(UnguardedReason::OfOtherPython));
    }

    #[test]
    fn wider_range_affects_only_projects_using_the_package() {
        let (old, new) = (["urllib3<2.1,>=1.25.4"], ["urllib3!=2.2.0,<3,>=1.25.4"]);
        let nobody = dependent_project(&[], "", &[], &["aiohttp"]);
        assert_eq!(no_effect_reason_for(&nobody, "urllib3", &old, &new), Some(UnguardedReason::Wider));
        assert_eq!(no_effect_reason_for(&nobody, "urllib3", &new, &old), None);
        assert_eq!(
            no_effect_reason_for(&nobody, "urllib3", &old, &[]),
            Some(UnguardedReason::RequirementRemoved)
        );
        assert_eq!(
            no_effect_reason_for(&nobody, "Python", &[">=3.9"], &[]),
            Some(UnguardedReason::RequirementRemoved)
        );
        assert_eq!(no_effect_reason_for(&nobody, "urllib3", &[], &old), None);
        for (requires, imports) in [(&["urllib3"][..], &[][..]), (&[], &["urllib3"])] {
            assert_eq!(
                no_effect_reason_for(&dependent_project(&[], "", requires, imports), "urllib3", &old, &new),
                None
            );
        }
        for (package, module) in
            [("python-dateutil", "dateutil"), ("pyyaml", "yaml"), ("ruamel-yaml", "ruamel-yaml")]
        {
            let (old, new) = ([format!("{package}<1")], [format!("{package}<2")]);
            let told = |imports: &[&str]| {
                no_effect_reason_for(
                    &dependent_project(&[], "", &[], imports),
                    package,
                    &[&old[0]],
                    &[&new[0]],
                )
            };
            assert_eq!(
                (told(&[module]), told(&["other"])),
                (None, Some(UnguardedReason::Wider)),
                "{package}"
            );
        }
        // If a marker splits the new requirement into two, each of the two ranges must be at least as wide as
        // the old range. In the last assertion, the range is unchanged, but an extra is added.
        let split = ["urllib3<1.27;python_version<'3.10'", "urllib3<2.1;python_version>='3.10'"];
        assert_eq!(
            no_effect_reason_for(&nobody, "urllib3", &["urllib3<1.27"], &split),
            Some(UnguardedReason::Wider)
        );
        assert_eq!(no_effect_reason_for(&nobody, "urllib3", &["urllib3<1.28"], &split), None);
        assert_eq!(no_effect_reason_for(&nobody, "a", &["a<2"], &["a[b]<2"]), None);
    }

    #[test]
    fn incomparable_change_affects_every_project() {
        let nobody = dependent_project(&[], ">=3.9", &[], &[]);
        let long = format!("a<3;{}", vec!["os_name=='a'"; 30].join(" or "));
        let many = vec!["1"; 20].join("1");
        let numbers =
            [format!("a<3;python_version>'3.{many}'"), format!("a==1.{many}.*"), format!("a~=1.{many}")];
        let wrong = ["a@https://example.org/a.whl", "a<", "a<3;b==", "-", long.as_str()];
        for text in wrong.into_iter().chain(numbers.iter().map(String::as_str)) {
            assert_eq!(no_effect_reason_for(&nobody, "a", &["a<2"], &[text]), None, "{text}");
        }
        assert_eq!(no_effect_reason_for(&nobody, "Python", &[">=3"], &["three"]), None);
    }

    #[test]
    fn a_project_says_what_it_requires_in_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pyproject.toml");
        let text = "[project]\nrequires-python = \">=3.9\"\ndependencies = [\"Demo[Crt, b] \
             <2\", \"Py_Yaml\"]\n[project.optional-dependencies]\nx = \
             [\"c>1\"]\n[tool.poetry.dependencies]\nd = \"^1\"\n";
        std::fs::write(&file, text).unwrap();
        let place = RequirementPlace {
            file: &file,
            key_path: "project.dependencies",
            package: "demo",
            registry: truing_core::registry::PackageRegistry::Pypi,
            style: truing_core::version::RangeStyle::ExclusiveUpperNextPatch,
        };
        let read = DependentProject::read(folder.path(), &place, &string_set(&["A_b"]));
        assert_eq!(read.extras.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["crt", "b"]);
        assert_eq!(read.supported_python.unwrap().to_string(), ">=3.9");
        assert_eq!(read.required_packages, string_set(&["demo", "py-yaml", "c", "d"]));
        assert_eq!(read.imports, string_set(&["a-b"]));
        std::fs::write(folder.path().join("other.txt"), "f>1\n").unwrap();
        let file = folder.path().join("requirements.txt");
        std::fs::write(&file, "# ours\ndemo<2\nE>1 # e\n-r other.txt\n").unwrap();
        let read = DependentProject::read(
            folder.path(),
            &RequirementPlace { file: &file, key_path: "", ..place },
            &BTreeSet::new(),
        );
        assert_eq!(read.required_packages, string_set(&["demo", "py-yaml", "c", "d", "e"]));
        assert_eq!(read.extras, Some(Vec::new()));
    }
}
