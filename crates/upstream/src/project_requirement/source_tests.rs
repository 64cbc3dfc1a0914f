//! Tests of requirements whose package may come from elsewhere than from the user's index.

use truing_core::registry::PackageRegistry::{self, Crates, Npm, Pypi};
use truing_core::version::RangeStyle;

use super::*;
use crate::index::PackageIndex;

const UPPER: RangeStyle = RangeStyle::ExclusiveUpperNextPatch;

/// A project's files in a folder of its own, which is the root of a git work tree.
struct ProjectFolder {
    folder: tempfile::TempDir,
}

impl ProjectFolder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    /// Reads the requirement of `package` in the file at `location` (`FILE:KEYS`).
    fn read(
        &self,
        location: &str,
        package: &str,
        registry: PackageRegistry,
    ) -> Result<ProjectRequirement, RequirementError> {
        let (file, key_path) = location.split_once(':').unwrap();
        let file = self.folder.path().join(file);
        read_requirement(&RequirementPlace { file: &file, key_path, package, registry, style: UPPER })
    }

    fn doubt(&self, location: &str, package: &str, registry: PackageRegistry) -> String {
        match self.read(location, package, registry) {
            Err(RequirementError::NotUnderstood { text, reason, .. }) => format!("{text}: {reason}"),
            other => panic!("{location} {package}: {other:?}"),
        }
    }
}

fn package_json(value: &str) -> String {
    format!("{{\"dependencies\": {{\"kit\": \"{value}\", \"other\": \"^1.0.0\"}}}}")
}

#[test]
fn doubts_npm_values_that_are_no_range() {
    for (value, word) in [
        ("npm:real-kit@>=1.4.0 <1.5.0", "`real-kit`"),
        ("npm:real-kit", "`real-kit`"),
        ("npm:@scope/kit@^1", "`@scope/kit`"),
        ("git+ssh://git@host/kit.git#semver:^1.4", "git repository"),
        ("git://host/kit.git >=1", "git repository"),
        ("github:owner/kit#v1", "git repository"),
        ("owner/kit", "`owner/kit`"),
        ("https://host/kit.tgz", "address"),
        ("vendor/kit-1.4.0.tgz", "folder or file"),
        ("file:../kit", "folder"),
        ("link:../kit", "folder"),
        ("portal:../kit", "folder"),
        ("workspace:^1.4.0", "workspace"),
        ("workspace:*", "workspace"),
        ("catalog:", "catalog"),
        ("catalog:old", "catalog"),
        ("patch:kit@npm%3A1.4.0#~/kit.patch", "patched"),
        ("jsr:@s/kit@^1", "JSR"),
        ("latest", "`latest`"),
        ("next || ^1.4.0", "`next`"),
        ("^1.4.0 beta", "`beta`"),
    ] {
        let project = ProjectFolder::new(&[("package.json", &package_json(value))]);
        let doubt = project.doubt("package.json:dependencies", "kit", Npm);
        assert!(doubt.contains(word) && doubt.contains(value), "{value}: {doubt}");
    }
}

#[test]
fn follows_npm_alias_by_its_real_name() {
    let text = package_json("npm:@scope/real@>=1.4.0 <1.5.0");
    let project = ProjectFolder::new(&[("package.json", &text)]);
    let found = project.read("package.json:dependencies", "@scope/real", Npm).unwrap();
    assert_eq!(found.range.to_string(), ">=1.4.0 <1.5.0");
    let file = project.folder.path().join("package.json");
    let place = RequirementPlace {
        file: &file,
        key_path: "dependencies",
        package: "@scope/real",
        registry: Npm,
        style: UPPER,
    };
    let wider = VersionRange::parse(Npm, ">=1.4.0 <1.7.1").unwrap();
    let changed = file_text_with_range(&place, &wider, &[]).unwrap();
    assert_eq!(changed, package_json("npm:@scope/real@>=1.4.0 <1.7.1"));
    assert!(matches!(
        project.read("package.json:dependencies", "real", Npm),
        Err(RequirementError::NotExactlyOneRequirement { count: 0, .. })
    ));
}

#[test]
fn reads_empty_npm_range_as_any_version() {
    let project = ProjectFolder::new(&[("package.json", &package_json(""))]);
    let found = project.read("package.json:dependencies", "kit", Npm).unwrap();
    for version in ["0.0.1", "99.0.0"] {
        assert!(found.range.contains(&PackageVersion::parse(Npm, version).unwrap()));
    }
}

#[test]
fn doubts_npm_settings_that_may_replace_a_package() {
    let own = package_json("^1.0.0");
    for (file, text) in
        [(".pnpmfile.cjs", "module.exports = {}\n"), ("pnpm-workspace.yaml", "overrides:\n  kit: 1.2.3\n")]
    {
        let project = ProjectFolder::new(&[("package.json", &own), (file, text)]);
        let doubt = project.doubt("package.json:dependencies", "kit", Npm);
        assert!(doubt.contains(file), "{doubt}");
    }
    for (setting, is_doubted) in
        [("hoist-pattern[]=zod", false), ("registry[]=https://corp/", true), ("userconfig=x", true)]
    {
        let project = ProjectFolder::new(&[("package.json", &own), (".npmrc", setting)]);
        let found = project.read("package.json:dependencies", "kit", Npm);
        assert_eq!(found.is_err(), is_doubted, "{setting}");
    }
    let registries = ("pnpm-workspace.yaml", "registries:\n  default: https://corp/npm/\n");
    let project = ProjectFolder::new(&[("package.json", &own), registries]);
    let found = project.read("package.json:dependencies", "kit", Npm).unwrap();
    assert_eq!(found.indexes[0].address, "https://corp/npm/");
    let both = "{\"dependencies\": {\"kit\": \"^1\"}, \"devDependencies\": {\"kit\": \"^2\"}}";
    let project = ProjectFolder::new(&[("package.json", both)]);
    assert!(project.doubt("package.json:dependencies", "kit", Npm).contains("devDependencies"));
    let alias = ProjectFolder::new(&[("package.json", &package_json("npm:real"))]);
    assert!(alias.doubt("package.json:dependencies", "real", Npm).contains("no range"));
    let marked = format!("\u{feff}{own}");
    let project = ProjectFolder::new(&[("package.json", &marked)]);
    assert!(project.read("package.json:dependencies", "kit", Npm).is_ok());
}

#[test]
fn doubts_npm_versions_that_are_overridden() {
    for (overrides, word) in [
        ("\"overrides\": {\"kit\": \"npm:fork@1\"}", "npm:fork@1"),
        ("\"overrides\": {\"kit@^1\": {\".\": \"1.2.3\"}}", "1.2.3"),
        ("\"resolutions\": {\"**/kit\": \"1.2.3\"}", "1.2.3"),
        ("\"pnpm\": {\"overrides\": {\"kit\": \"link:../kit\"}}", "link:../kit"),
    ] {
        let text = format!("{{\"dependencies\": {{\"kit\": \"^1.0.0\"}}, {overrides}}}");
        let project = ProjectFolder::new(&[("package.json", &text)]);
        let doubt = project.doubt("package.json:dependencies", "kit", Npm);
        assert!(doubt.contains(word), "{overrides}: {doubt}");
    }
    let same =
        "{\"dependencies\": {\"kit\": \"^1.0.0\"}, \"overrides\": {\"kit\": \"$kit\", \"kitten\": \"1\"}}";
    let project = ProjectFolder::new(&[("package.json", same)]);
    assert!(project.read("package.json:dependencies", "kit", Npm).is_ok());
}

#[test]
fn doubts_packages_of_the_projects_own_workspace() {
    let own = "{\"name\": \"app\", \"dependencies\": {\"kit\": \"^1.0.0\"}}";
    let root = "{\"workspaces\": [\"packages/*\"]}";
    let kit = "{\"name\": \"kit\", \"version\": \"1.4.0\"}";
    let files = |kit_path| [("package.json", root), ("packages/app/package.json", own), (kit_path, kit)];
    let project = ProjectFolder::new(&files("packages/kit/package.json"));
    let doubt = project.doubt("packages/app/package.json:dependencies", "kit", Npm);
    assert!(doubt.contains("packages/kit/package.json"), "{doubt}");
    for elsewhere in ["node_modules/kit/package.json", "fixtures/kit/package.json"] {
        let project = ProjectFolder::new(&files(elsewhere));
        assert!(project.read("packages/app/package.json:dependencies", "kit", Npm).is_ok(), "{elsewhere}");
    }
    let pnpm = "packages:\n  - 'libs/**'\n  - '!libs/old/**'\noverrides:\n  'other@^1': 1.2.3\n";
    for (member, is_linked) in [("libs/a/kit/package.json", true), ("libs/old/kit/package.json", false)] {
        let files = [("app/package.json", own), ("pnpm-workspace.yaml", pnpm), (member, kit)];
        let found = ProjectFolder::new(&files).read("app/package.json:dependencies", "kit", Npm);
        assert_eq!(found.is_err(), is_linked, "{member}");
    }
    let files = [("app/package.json", own), ("pnpm-workspace.yaml", "overrides:\n  kit: npm:fork@1\n")];
    let doubt = ProjectFolder::new(&files).doubt("app/package.json:dependencies", "kit", Npm);
    assert!(doubt.contains("npm:fork@1"), "{doubt}");
    let text = "[project]\nname = \"kit\"\noptional-dependencies.all = [\"kit[a]>=1,<2\"]\n";
    let project = ProjectFolder::new(&[("pyproject.toml", text)]);
    let doubt = project.doubt("pyproject.toml:project.optional-dependencies.all", "kit", Pypi);
    assert!(doubt.contains("itself"), "{doubt}");
}

#[test]
fn doubts_crates_from_other_sources() {
    for (entry, word) in [
        ("kit = { version = \"1.4\", registry = \"corp\" }", "registry"),
        ("kit = { version = \"1.4\", registry-index = \"sparse+https://host/\" }", "registry-index"),
        ("kit = { git = \"https://host/kit\", version = \"1.4\" }", "git"),
        ("kit = { path = \"../kit\", version = \"1.4\" }", "path"),
        ("kit = { version = \"1.4\", base = \"corp\" }", "base"),
        ("kit = { workspace = true }", "workspace"),
        ("kit.workspace = true", "workspace"),
        ("kit = { features = [] }", "no version"),
        ("kit = { package = \"other\", version = \"1\" }", "`other`"),
        ("kit = \"1.4\"\n[patch.crates-io]\nkit = { path = \"../kit\" }", "[patch.crates-io]"),
        ("kit = \"1.4\"\n[patch.crates-io]\nrenamed = { package = \"kit\", path = \"../kit\" }", "patch"),
        ("kit = \"1.4\"\n[replace]\n\"kit:1.4.0\" = { git = \"https://host/kit\" }", "replace"),
        ("kit = \"1.4 beta\"", "beta"),
    ] {
        let text = format!("[dependencies]\n{entry}\n");
        let project = ProjectFolder::new(&[("Cargo.toml", &text)]);
        let doubt = project.doubt("Cargo.toml:dependencies", "kit", Crates);
        assert!(doubt.contains(word), "{entry}: {doubt}");
    }
}

#[test]
fn doubts_crates_that_settings_around_the_project_replace() {
    let own = "[dependencies]\nkit = \"1.4\"\n";
    for (file, text) in [
        ("Cargo.toml", "[workspace]\n[patch.crates-io]\nkit = { git = \"https://host/kit\" }\n"),
        (".cargo/config.toml", "[patch.crates-io]\nkit = { path = \"kit\" }\n"),
        (".cargo/config.toml", "paths = [\"kit\"]\n"),
        (".cargo/config.toml", "include = [\"more.toml\"]\n"),
        (".cargo/config", "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"v\"\n"),
    ] {
        let project = ProjectFolder::new(&[("members/a/Cargo.toml", own), (file, text)]);
        let doubt = project.doubt("members/a/Cargo.toml:dependencies", "kit", Crates);
        assert!(doubt.contains(file), "{text}: {doubt}");
    }
}

#[test]
fn doubts_python_packages_from_other_sources() {
    let dependencies = "[project]\ndependencies = [\"Kit_Py>=1.4,<1.5\"]\n";
    for (settings, word) in [
        ("[tool.uv.sources]\nkit-py = { git = \"https://host/kit\" }", "git"),
        ("[tool.uv.sources]\nkit_py = { path = \"../kit\" }", "path"),
        ("[tool.uv.sources]\nkit-py = { workspace = true }", "workspace"),
        ("[tool.uv.sources]\nkit-py = { url = \"https://host/kit.whl\" }", "url"),
        ("[tool.uv.sources]\nkit-py = [{ git = \"https://h/k\", marker = \"os_name == 'nt'\" }]", "git"),
        ("[tool.uv.sources]\nkit-py = { index = \"corp\" }", "`corp`"),
        ("[tool.uv]\noverride-dependencies = [\"kit.py==1.2\"]", "override-dependencies"),
        ("[tool.poetry.dependencies]\nkit-py = { source = \"corp\" }", "`corp`"),
    ] {
        let project = ProjectFolder::new(&[("pyproject.toml", &format!("{dependencies}{settings}\n"))]);
        let doubt = project.doubt("pyproject.toml:project.dependencies", "kit-py", Pypi);
        assert!(doubt.contains(word), "{settings}: {doubt}");
    }
    for requirement in ["kit-py @ https://host/kit.whl", "kit-py @ git+https://host/kit", "kit-py"] {
        let text = format!("[project]\ndependencies = [\"{requirement}\"]\n");
        let project = ProjectFolder::new(&[("pyproject.toml", &text)]);
        let doubt = project.doubt("pyproject.toml:project.dependencies", "kit-py", Pypi);
        assert!(doubt.contains(requirement), "{doubt}");
    }
    for settings in [
        "[dependency-groups]\ndev = [\"kit_py @ https://host/kit.whl\"]",
        "[tool.uv]\nconstraint-dependencies = [\"kit-py<1.4.5\"]",
        "[tool.uv]\nno-index = true",
        "[tool.pdm.resolution.overrides]\nkit-py = \"1.4.2\"",
        "[tool.pixi.pypi-dependencies]\nkit-py = { path = \"kit\" }",
    ] {
        let project = ProjectFolder::new(&[("pyproject.toml", &format!("{dependencies}{settings}\n"))]);
        project.doubt("pyproject.toml:project.dependencies", "kit-py", Pypi);
    }
    let generated = [("requirements.txt", "kit-py==1.4.0\n"), ("requirements.in", "kit-py<1.5\n")];
    let doubt = ProjectFolder::new(&generated).doubt("requirements.txt:", "kit-py", Pypi);
    assert!(doubt.contains("requirements.in"), "{doubt}");
    let marked = ProjectFolder::new(&[("requirements.txt", "\u{feff}kit-py>=1.4,<1.5\n")]);
    assert!(marked.read("requirements.txt:", "kit-py", Pypi).is_ok());
}

#[test]
fn finds_poetry_tables_that_hold_no_range() {
    for entry in [
        "[tool.poetry.dependencies]\nkit = [{ git = \"https://h/k\", python = \"<3.11\" }, { version = \"^1\" }]",
        "[tool.poetry.group.dev.dependencies]\nkit = { git = \"https://h/k\" }",
    ] {
        let project = ProjectFolder::new(&[("pyproject.toml", entry)]);
        let file = project.folder.path().join("pyproject.toml");
        let place =
            RequirementPlace { file: &file, key_path: "", package: "kit", registry: Pypi, style: UPPER };
        assert_eq!(requiring_key_paths(&place).len(), 1, "{entry}");
    }
}

#[test]
fn reads_poetry_tables() {
    let table = |entry: &str| format!("[tool.poetry.dependencies]\npython = \"^3.9\"\nKit_Py = {entry}\n");
    for (entry, range) in [
        ("\"^1.4\"", "^1.4"),
        ("\">=1.4,<1.5\"", ">=1.4,<1.5"),
        ("{ version = \"~1.4\", extras = [\"x\"], optional = true, python = \"^3.9\" }", "~1.4"),
    ] {
        let project = ProjectFolder::new(&[("pyproject.toml", &table(entry))]);
        let found = project.read("pyproject.toml:tool.poetry.dependencies", "kit-py", Pypi).unwrap();
        assert_eq!(found.range.to_string(), range);
        assert!(found.range.contains(&PackageVersion::parse(Pypi, "1.4.2").unwrap()));
        let file = project.folder.path().join("pyproject.toml");
        let key_path = "tool.poetry.dependencies";
        let place =
            RequirementPlace { file: &file, key_path, package: "kit-py", registry: Pypi, style: UPPER };
        assert_eq!(requiring_key_paths(&RequirementPlace { key_path: "", ..place }), [key_path]);
        let release = PackageVersion::parse(Pypi, "1.7.0").unwrap();
        let wider = found.range.with_release(UPPER, &release, None).unwrap();
        let changed = file_text_with_range(&place, &wider, &[]).unwrap();
        assert_eq!(changed, table(entry).replace(range, &wider.to_string()));
        assert!(wider.to_string().ends_with("<1.7.1"), "{wider}");
    }
    for (entry, word) in [
        ("{ git = \"https://host/kit\" }", "`git = https://host/kit`"),
        ("{ version = \"^1\", git = \"https://host/kit\" }", "git"),
        ("{ version = \"^1\", source = \"corp\" }", "corp"),
        ("\"^1 || ^2\"", "||"),
        ("\"latest\"", "latest"),
    ] {
        let project = ProjectFolder::new(&[("pyproject.toml", &table(entry))]);
        let doubt = project.doubt("pyproject.toml:tool.poetry.dependencies", "kit-py", Pypi);
        assert!(doubt.contains(word), "{entry}: {doubt}");
    }
}

#[test]
fn names_the_indexes_that_a_project_searches() {
    let uv = "[project]\ndependencies = [\"kit>=1,<2\"]\n[[tool.uv.index]]\nname = \"Corp\"\nurl = \"https://corp/simple\"\n";
    let explicit = format!("{uv}explicit = true\n");
    let named = format!("{explicit}[tool.uv.sources]\nkit = {{ index = \"corp\" }}\n");
    let poetry = "[tool.poetry.dependencies]\nkit = { version = \"^1\", source = \"corp\" }\n[[tool.poetry.source]]\nname = \"corp\"\nurl = \"https://corp/simple\"\npriority = \"explicit\"\n";
    let options = "--extra-index-url https://corp/simple\nkit>=1,<2\n";
    let npmrc = "@s:registry=https://corp/simple\n";
    let scoped = "{\"dependencies\": {\"@s/kit\": \"^1\"}}";
    let cargo = "[source.crates-io]\nreplace-with = \"corp\"\n[source.corp]\nregistry = \"sparse+https://corp/simple/\"\n";
    for (files, location, package, registry, is_declared) in [
        (vec![("pyproject.toml", uv)], "pyproject.toml:project.dependencies", "kit", Pypi, true),
        (vec![("pyproject.toml", &*explicit)], "pyproject.toml:project.dependencies", "kit", Pypi, false),
        (vec![("pyproject.toml", &*named)], "pyproject.toml:project.dependencies", "kit", Pypi, true),
        (vec![("pyproject.toml", poetry)], "pyproject.toml:tool.poetry.dependencies", "kit", Pypi, true),
        (vec![("requirements.txt", options)], "requirements.txt:", "kit", Pypi, true),
        (vec![("package.json", scoped), (".npmrc", npmrc)], "package.json:dependencies", "@s/kit", Npm, true),
        (
            vec![("Cargo.toml", "[dependencies]\nkit = \"1\"\n"), (".cargo/config.toml", cargo)],
            "Cargo.toml:dependencies",
            "kit",
            Crates,
            true,
        ),
    ] {
        let project = ProjectFolder::new(&files);
        let found = project.read(location, package, registry).unwrap();
        let index = |address: &str| PackageIndex::new(registry, address).unwrap();
        assert_eq!(found.other_index(&index("https://elsewhere/simple")).is_some(), is_declared, "{files:?}");
        assert_eq!(found.other_index(&index("https://user:pw@CORP/simple/")), None, "{files:?}");
    }
}

#[test]
fn public_index_is_read_from_the_users_mirror() {
    for (registry, public) in [
        (Pypi, "https://pypi.org/simple"),
        (Npm, "https://registry.npmjs.org/"),
        (Crates, "sparse+https://index.crates.io/"),
    ] {
        let mirror = PackageIndex::new(registry, "https://mirror.example/x/").unwrap();
        assert!(mirror.serves(public) && !mirror.serves("https://mirror.example/y/") && !mirror.serves("x"));
    }
}

#[test]
fn replaces_digests_with_the_version() {
    let text = "other==1 --hash=sha256:00\nkit==1.4.0 ; python_version > '3' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb  # why\n";
    let project = ProjectFolder::new(&[("requirements.txt", text)]);
    assert!(project.read("requirements.txt:", "kit", Pypi).unwrap().has_hashes);
    let file = project.folder.path().join("requirements.txt");
    let place = RequirementPlace { file: &file, key_path: "", package: "kit", registry: Pypi, style: UPPER };
    let next = VersionRange::parse(Pypi, "==1.7.0").unwrap();
    let digests = ["sha256:cc", "sha256:dd", "sha256:ee"].map(str::to_owned);
    let changed = file_text_with_range(&place, &next, &digests).unwrap();
    let expected = "other==1 --hash=sha256:00\nkit==1.7.0 ; python_version > '3' \\\n    --hash=sha256:cc \\\n    --hash=sha256:dd \\\n    --hash=sha256:ee  # why\n";
    assert_eq!(changed, expected);
    let refused = file_text_with_range(&place, &next, &[]).unwrap_err().to_string();
    assert!(refused.contains("digests"), "{refused}");
}

#[test]
fn doubts_options_and_markers_that_are_not_read() {
    for (line, word) in [
        ("kit==1.4.0 --hash sha256:aa", "--hash"),
        ("kit==1.4.0 --no-binary", "--no-binary"),
        ("kit==1.4.0 \\\n  ; python_version > '3'", "another line"),
    ] {
        let project = ProjectFolder::new(&[("requirements.txt", line)]);
        let doubt = project.doubt("requirements.txt:", "kit", Pypi);
        assert!(doubt.contains(word), "{line}: {doubt}");
    }
    let project = ProjectFolder::new(&[("requirements.txt", "kit==1.4.0 --config-settings=\"x=y\"\n")]);
    assert!(!project.read("requirements.txt:", "kit", Pypi).unwrap().has_hashes);
}

#[test]
fn refuses_settings_that_cannot_be_read() {
    let text = "[project]\ndependencies = [\"kit>=1,<2\"]\n";
    let project = ProjectFolder::new(&[("pyproject.toml", text), ("uv.toml", "[")]);
    let doubt = project.doubt("pyproject.toml:project.dependencies", "kit", Pypi);
    assert!(doubt.contains("uv.toml"), "{doubt}");
}

#[cfg(unix)]
#[test]
fn reads_no_file_outside_of_the_repository() {
    let outside = ProjectFolder::new(&[("other.txt", "kit<1.5\n"), ("Cargo.toml", ""), (".npmrc", "")]);
    let outside_path = outside.folder.path();
    let absolute = format!("kit>=1,<2\n-r {}/other.txt\n", outside_path.display());
    let workspace = format!(
        "[package]\nname = \"x\"\nworkspace = \"{}\"\n[dependencies]\nkit = \"1\"\n",
        outside_path.display()
    );
    for (name, text, link, target, location, registry) in [
        ("requirements.txt", &*absolute, "unused", "other.txt", "requirements.txt:", Pypi),
        ("requirements.txt", "kit>=1,<2\n-c c.txt\n", "c.txt", "other.txt", "requirements.txt:", Pypi),
        ("requirements.txt", "kit>=1,<2\n", "requirements.in", "other.txt", "requirements.txt:", Pypi),
        ("package.json", &*package_json("^1"), ".npmrc", ".npmrc", "package.json:dependencies", Npm),
        ("Cargo.toml", &*workspace, "unused", "other.txt", "Cargo.toml:dependencies", Crates),
    ] {
        let project = ProjectFolder::new(&[(name, text)]);
        std::os::unix::fs::symlink(outside_path.join(target), project.folder.path().join(link)).unwrap();
        let doubt = project.doubt(location, "kit", registry);
        assert!(doubt.contains("it is outside of the repository"), "{link}: {doubt}");
    }
    let project = ProjectFolder::new(&[("unused", "")]);
    let link = project.folder.path().join("requirements.txt");
    std::os::unix::fs::symlink(outside_path.join("other.txt"), link).unwrap();
    let refused = project.read("requirements.txt:", "kit", Pypi).unwrap_err().to_string();
    assert!(refused.contains("it is outside of the repository"), "{refused}");
    let base = [
        ("base/other.txt", "other>=1\n"),
        ("in/requirements.txt", "kit>=1,<2\n-r ../base/other.txt\n-r o.txt\n"),
    ];
    let project = ProjectFolder::new(&base);
    let link = project.folder.path().join("in/o.txt");
    std::os::unix::fs::symlink(project.folder.path().join("base/other.txt"), link).unwrap();
    project.read("in/requirements.txt:", "kit", Pypi).unwrap();
}

#[cfg(unix)]
#[test]
fn finds_workspace_members_behind_links() {
    let outside = ProjectFolder::new(&[("package.json", "{\"name\": \"other\"}")]);
    let member = "{\"name\": \"kit\"}";
    for (pattern, link, target, word) in [
        ("packages/*", "packages/k", Some("vendor/kit"), "packages/k/package.json"),
        ("packages/*", "packages/k", None, "it is outside of the repository"),
        ("packages/*", "packages", Some("vendor"), "symbolic link packages"),
    ] {
        let root = format!("{{\"workspaces\": [\"{pattern}\"], \"dependencies\": {{\"kit\": \"^1.0.0\"}}}}");
        let project = ProjectFolder::new(&[("package.json", &root), ("vendor/kit/package.json", member)]);
        let link = project.folder.path().join(link);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let target = target.map(|target| project.folder.path().join(target));
        let target = target.unwrap_or_else(|| outside.folder.path().to_owned());
        std::os::unix::fs::symlink(target, link).unwrap();
        let doubt = project.doubt("package.json:dependencies", "kit", Npm);
        assert!(doubt.contains(word), "{doubt}");
    }
}

#[test]
fn reads_settings_that_hide_young_releases() {
    let days = |days: i64| Some(ReleaseCutoff::Age(jiff::SignedDuration::from_hours(24 * days)));
    let time = |text: &str| Some(ReleaseCutoff::Time(text.parse().unwrap()));
    for (file, text, expected) in [
        ("uv.toml", "exclude-newer = \"7 days\"", days(7)),
        ("uv.toml", "exclude-newer = \"P7D\"", days(7)),
        ("uv.toml", "exclude-newer = \"1 week\" # why", days(7)),
        ("uv.toml", "exclude-newer = \"2024-05-02\"", time("2024-05-02T00:00:00Z")),
        ("uv.toml", "exclude-newer = \"2024-05-02T03:00:00+01:00\"", time("2024-05-02T02:00:00Z")),
        ("uv.toml", "exclude-newer = 2024-05-02T02:00:00Z", time("2024-05-02T02:00:00Z")),
        ("uv.toml", "exclude-newer = false", None),
        ("poetry.toml", "[solver]\nmin-release-age = 3", days(3)),
        ("poetry.toml", "[solver]\nmin-release-age = 3\nmin-release-age-exclude = \"a, Kit\"", None),
        (".npmrc", "before=2024-05-02", time("2024-05-02T00:00:00Z")),
        (".npmrc", "min-release-age = 3", days(3)),
        (".npmrc", "minimum-release-age=1440", days(1)),
        (".npmrc", "minimum-release-age=1440\nminimum-release-age-exclude[]=kit", None),
        ("pnpm-workspace.yaml", "minimumReleaseAge: 1440\nminimumReleaseAgeExclude: [kit@1.2.3]", days(1)),
        ("pnpm-workspace.yaml", "minimumReleaseAge: 1440\nminimumReleaseAgeExclude: ['k*', '!kit']", days(1)),
        ("pnpm-workspace.yaml", "minimumReleaseAge: 1440\nminimumReleaseAgeExclude: ['k*']", None),
        (".yarnrc.yml", "npmMinimalAgeGate: 1440", days(1)),
        (".yarnrc.yml", "npmMinimalAgeGate: \"3d\"", days(3)),
        (".yarnrc.yml", "npmMinimalAgeGate: 3d\nnpmPreapprovedPackages: [kit]", None),
        ("bunfig.toml", "[install]\nminimumReleaseAge = 86400", days(1)),
        (".cargo/config.toml", "[registry]\nglobal-min-publish-age = \"14 days\"", days(14)),
    ] {
        let (location, registry) = match file {
            "uv.toml" | "poetry.toml" => ("pyproject.toml:project.dependencies", Pypi),
            ".cargo/config.toml" => ("Cargo.toml:dependencies", Crates),
            _ => ("package.json:dependencies", Npm),
        };
        let files = [
            ("pyproject.toml", "[project]\ndependencies = [\"kit>=1,<2\"]\n"),
            ("package.json", &*package_json("^1")),
            ("Cargo.toml", "[dependencies]\nkit = \"1\"\n"),
            (file, text),
        ];
        let found = ProjectFolder::new(&files).read(location, "kit", registry).unwrap();
        let limit = found.age_limits.first();
        assert_eq!(limit.map(|limit| limit.cutoff), expected, "{file} {text}");
        assert!(limit.is_none_or(|limit| limit.declared_by.contains(file)), "{limit:?}");
    }
    let scoped = ProjectFolder::new(&[
        ("package.json", "{\"dependencies\": {\"@s/kit\": \"^1\"}}"),
        (".yarnrc.yml", "npmScopes:\n  s:\n    npmMinimalAgeGate: 5d\n"),
    ]);
    let found = scoped.read("package.json:dependencies", "@s/kit", Npm).unwrap();
    assert_eq!(found.age_limits.first().map(|limit| limit.cutoff), days(5));
    let unknown = ProjectFolder::new(&[("package.json", &package_json("^1")), (".npmrc", "before=soon\n")]);
    let doubt = unknown.doubt("package.json:dependencies", "kit", Npm);
    assert!(doubt.contains("`before = soon` of .npmrc"), "{doubt}");
}

#[test]
fn doubts_indexes_that_list_files_and_tables_that_cargo_ignores() {
    let list = "[project]\ndependencies = [\"kit>=1,<2\"]\n";
    let uv =
        |more: &str| format!("{list}[[tool.uv.index]]\nname = \"f\"\nurl = \"https://pypi.org/f\"\n{more}\n");
    let named = uv("format = \"flat\"\nexplicit = true\n[tool.uv.sources]\nkit = { index = \"f\" }");
    let crates = "[dev_dependencies]\nkit = \"1\"\n[dev-dependencies]\nkit = \"2\"\n";
    for (file, text, key, registry, word) in [
        ("pyproject.toml", &*uv("format = \"flat\""), "project.dependencies", Pypi, "`format = flat`"),
        ("pyproject.toml", &*named, "project.dependencies", Pypi, "`format = flat`"),
        ("pyproject.toml", &*uv("exclude-newer = \"1 day\""), "project.dependencies", Pypi, "1 day"),
        ("Cargo.toml", crates, "dev_dependencies", Crates, "Cargo ignores `dev_dependencies`"),
        ("setup.cfg", "[options]\ninstall_requires = a>=1, kit>=1,<2\n", "", Pypi, "line of its own"),
        ("setup.cfg", "[options]\ninstall_requires = a>=1; kit>=1,<2\n", "", Pypi, "line of its own"),
    ] {
        let doubt = ProjectFolder::new(&[(file, text)]).doubt(&format!("{file}:{key}"), "kit", registry);
        assert!(doubt.contains(word), "{doubt}");
    }
    let unused = uv("format = \"flat\"\nexplicit = true");
    ProjectFolder::new(&[("pyproject.toml", &unused)])
        .read("pyproject.toml:project.dependencies", "kit", Pypi)
        .unwrap();
    let old_name = ProjectFolder::new(&[("Cargo.toml", "[build_dependencies]\nkit = \"1\"\n")]);
    old_name.read("Cargo.toml:build_dependencies", "kit", Crates).unwrap();
    for text in [
        "[options]\ninstall_requires = kit>=1,<2  # why\n",
        "[options]\ninstall_requires =\n    a>=1\n    # kit<1\n    ; kit<1\n    kit>=1,<2  # why\n",
    ] {
        let project = ProjectFolder::new(&[("setup.cfg", text)]);
        let found = project.read("setup.cfg:", "kit", Pypi).unwrap();
        assert_eq!(found.range.to_string(), ">=1,<2", "{text}");
    }
}
