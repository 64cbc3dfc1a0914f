use proptest::prelude::*;

use super::files::MAX_FILE_BYTES;
use super::*;
use truing_core::registry::PackageRegistry;

fn place<'a>(
    file: &'a str,
    key_path: &'a str,
    package: &'a str,
    registry: PackageRegistry,
    style: RangeStyle,
) -> RequirementPlace<'a> {
    RequirementPlace { file: Path::new(file), key_path, package, registry, style }
}

const UPPER: RangeStyle = RangeStyle::ExclusiveUpperNextPatch;

fn read_text(place: &RequirementPlace<'_>, text: &str) -> Result<String, String> {
    find_requirement(place, text)
        .map(|(_, requirement)| requirement.range.to_string())
        .map_err(|error| error.to_string())
}

const PYPROJECT: &str = "# ours\n[project]\ndependencies = [\n    'aiohttp',  # \
     first\n    \"Demo_Package[extra] >= 1.2.0,  < 1.2.9 ; python_version > \
     '3'\",\n]\n\n[tool.x]\ndependencies = [\"demo-package<1\"]\n";
const CARGO: &str = "[dependencies]\n# why\ndemo = { version = \"1.2\", features = [] } # end\nother = \
     '0.1'\nrenamed = { package = \"hidden\", version = \"=2.0.0\" }\nof-all = \
     { workspace = true }\n[dependencies.long]\nversion = \">=1.0.0, <1.2.9\"\n";
const PACKAGE: &str = "{\r\n\t\"name\": \"ours\", \"dependencies\": {\"@a/b\" : \"^1.2.0\",\n\"c\":\"1.0.0 \
    \"},\n  \"vendored\": { \"c\": \"1.0.0\" }\n}";

#[test]
fn the_one_requirement_of_a_package_is_found_in_each_file() {
    use PackageRegistry::{Crates, Npm, Pypi};
    for (file, at, package, registry, style, text, expected) in [
        ("pyproject.toml", "project.dependencies", "demo-package", Pypi, UPPER, PYPROJECT, ">=1.2.0,<1.2.9"),
        ("pyproject.toml", "tool.x.dependencies", "demo.package", Pypi, UPPER, PYPROJECT, "<1"),
        ("Cargo.toml", "dependencies", "demo", Crates, UPPER, CARGO, "1.2"),
        ("Cargo.toml", "dependencies", "hidden", Crates, UPPER, CARGO, "=2.0.0"),
        ("Cargo.toml", "dependencies", "long", Crates, UPPER, CARGO, ">=1.0.0, <1.2.9"),
        ("package.json", "dependencies", "@a/b", Npm, UPPER, PACKAGE, "^1.2.0"),
        ("package.json", "vendored.c", "c", Npm, RangeStyle::VendoredVersion, PACKAGE, "1.0.0"),
        ("VERSION", "", "c", Npm, RangeStyle::VendoredVersion, "\n1.0.0\n", "1.0.0"),
        ("x.toml", "tool.c", "c", Crates, RangeStyle::VendoredVersion, "[tool]\nc = '1.0.0'\n", "1.0.0"),
    ] {
        assert_eq!(
            read_text(&place(file, at, package, registry, style), text).as_deref(),
            Ok(expected),
            "{package}"
        );
    }
}

#[test]
fn a_list_of_requirements_has_one_a_line() {
    let text = "# ours\n--pre\nother==1\n  Demo_Package[x] >= 1.0, < 2.0 ; python_version > '3'  # \
         why\n                last==1 --hash=sha256:aa\n";
    let of = |package| place("requirements.txt", "", package, PackageRegistry::Pypi, UPPER);
    assert_eq!(read_text(&of("demo-package"), text).as_deref(), Ok(">=1.0,<2.0"));
    assert_eq!(read_text(&of("last"), text).as_deref(), Ok("==1"));
    let told = read_text(&of("absent"), text).unwrap_err();
    assert_eq!(told, "requirements.txt: requires `absent` 0 times; exactly one requirement is needed");
    assert!(read_text(&of("other"), &format!("{text}other<2\n")).unwrap_err().contains("2 times"));
    let wider = VersionRange::parse(PackageRegistry::Pypi, ">=1.0,<3.0").unwrap();
    let changed = replace_range_in_text(&of("demo-package"), text, &wider, &[]).unwrap();
    assert_eq!(changed, text.replace("< 2.0", "< 3.0"));
}

#[test]
fn a_requirement_that_is_elsewhere_in_the_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text, package, registry, expected) in [
        (
            "pyproject.toml",
            PYPROJECT,
            "demo-package",
            PackageRegistry::Pypi,
            &["project.dependencies", "tool.x.dependencies"][..],
        ),
        (
            "pyproject.toml",
            "[dependency-groups]\ndev = [\"a<2\"]\n[project]\noptional-dependencies.x = [\"a<1\"]\n",
            "a",
            PackageRegistry::Pypi,
            &["dependency-groups.dev", "project.optional-dependencies.x"],
        ),
        (
            "Cargo.toml",
            "[features]\na = [\"b\"]\n[target.'cfg(not(windows))'.dependencies]\na = \"1\"\n",
            "a",
            PackageRegistry::Crates,
            &["target.cfg(not(windows)).dependencies"],
        ),
        ("package.json", PACKAGE, "c", PackageRegistry::Npm, &["dependencies", "vendored"]),
        ("package.json", "[", "c", PackageRegistry::Npm, &[]),
        ("Cargo.toml", "[", "c", PackageRegistry::Crates, &[]),
    ] {
        let file = folder.path().join(file);
        std::fs::write(&file, text).unwrap();
        let place =
            RequirementPlace { file: &file, key_path: "dependencies", package, registry, style: UPPER };
        assert_eq!(requiring_key_paths(&place), expected, "{package} {text}");
        for at in requiring_key_paths(&place) {
            read_requirement(&RequirementPlace { key_path: &at, ..place }).unwrap();
        }
    }
}

#[test]
fn what_is_not_there_once_is_told() {
    use PackageRegistry::{Crates, Npm, Pypi};
    let twice = "{\"dependencies\": {\"c\": \"1\", \"c\": \"2\"}}";
    let escaped = "{\"dependencies\": {\"c\": \"\\u0031\"}}";
    for (file, at, package, registry, text, told) in [
        ("pyproject.toml", "project.dependencies", "absent", Pypi, PYPROJECT, "0 times"),
        (
            "pyproject.toml",
            "project.dependencies",
            "aiohttp",
            Pypi,
            PYPROJECT,
            "specify a lower and an upper bound",
        ),
        ("pyproject.toml", "project", "aiohttp", Pypi, PYPROJECT, "0 times"),
        ("pyproject.toml", "project", "aiohttp", Pypi, "[", "is not valid TOML"),
        ("Cargo.toml", "dependencies", "of-all", Crates, CARGO, "the workspace sets the version"),
        ("Cargo.toml", "dependencies", "absent", Crates, CARGO, "0 times"),
        ("package.json", "dependencies", "c", Npm, twice, "2 times"),
        (
            "package.json",
            "dependencies",
            "c",
            Npm,
            escaped,
            "must be written as a plain string, without escapes",
        ),
        ("package.json", "dependencies.c", "c", Npm, twice, "0 times"),
        ("package.json", "dependencies", "c", Npm, "{", "is not valid JSON"),
        ("package.json", "dependencies", "c", Npm, "{\"dependencies\": {\"c\": {}}}", "is not a string"),
        (
            "package.json",
            "dependencies",
            "c",
            Npm,
            "{\"dependencies\": {\"c\": \"git+ssh://x\"}}",
            "takes the package from a git repository",
        ),
    ] {
        let error = read_text(&place(file, at, package, registry, UPPER), text).unwrap_err();
        assert!(error.contains(told), "{package}: {error}");
    }
}

#[test]
fn an_edit_changes_the_bounds_and_nothing_else() {
    use PackageRegistry::{Crates, Npm, Pypi};
    for (file, at, package, registry, text, range, old, new) in [
        (
            "pyproject.toml",
            "project.dependencies",
            "demo-package",
            Pypi,
            PYPROJECT,
            ">=1.3.0,<1.3.5",
            ">= 1.2.0,  < 1.2.9 ;",
            ">= 1.3.0,  < 1.3.5 ;",
        ),
        (
            "Cargo.toml",
            "dependencies",
            "demo",
            Crates,
            CARGO,
            ">=1.2.0, <1.3.5",
            "\"1.2\"",
            "\">=1.2.0, <1.3.5\"",
        ),
        ("package.json", "dependencies", "@a/b", Npm, PACKAGE, "^2.0.0", "\"^1.2.0\"", "\"^2.0.0\""),
    ] {
        let place = place(file, at, package, registry, UPPER);
        let range = VersionRange::parse(registry, range).unwrap();
        assert_eq!(replace_range_in_text(&place, text, &range, &[]).unwrap(), text.replacen(old, new, 1));
    }
    let copy = place("VERSION", "", "c", Npm, RangeStyle::VendoredVersion);
    let range = VersionRange::from_vendored_version(PackageVersion::parse(Npm, "2.0.0").unwrap());
    assert_eq!(replace_range_in_text(&copy, " 1.0.0\n\n", &range, &[]).unwrap(), " 2.0.0\n\n");
}

#[test]
fn a_requirement_keeps_its_own_manner() {
    let place = place("pyproject.toml", "d", "botocore", PackageRegistry::Pypi, UPPER);
    for written in [
        r#""botocore >=1.40.46, <NEW""#,
        r#""botocore>=1.40.46,<NEW""#,
        r#"'botocore >= 1.40.46, < NEW'"#,
        r#""botocore[crt] (>=1.40.46,<NEW) ; python_version > '3.9'""#,
        r#""""botocore >=1.40.46, <NEW""""#,
    ] {
        let [before, after] =
            ["1.40.50", "1.41.1"].map(|upper| format!("d = [{}]", written.replace("NEW", upper)));
        let range = VersionRange::parse(PackageRegistry::Pypi, ">=1.40.46,<1.41.1").unwrap();
        assert_eq!(replace_range_in_text(&place, &before, &range, &[]).unwrap(), after);
    }
}

#[test]
fn a_bound_that_is_not_there_is_added() {
    let place = place("pyproject.toml", "d", "demo", PackageRegistry::Pypi, UPPER);
    for (before, range, after) in [
        ("d = ['demo>=1.0']", ">=1.0,<1.3.5", "d = ['demo>=1.0,<1.3.5']"),
        ("d = ['demo (>=1.0, !=1.1)']", ">=1.0,<1.3.5,!=1.1", "d = ['demo (>=1.0, !=1.1, <1.3.5)']"),
        ("d = ['demo<=1.2']", ">=1.0,<1.3.5", "d = ['demo<1.3.5,>=1.0']"),
    ] {
        let range = VersionRange::parse(PackageRegistry::Pypi, range).unwrap();
        assert_eq!(replace_range_in_text(&place, before, &range, &[]).unwrap(), after);
    }
}

proptest! {
    #[test]
    fn an_edit_that_is_undone_gives_the_same_bytes(
        numbers in proptest::array::uniform4(0_u32..200), blanks in proptest::array::uniform5("[ ]{0,2}"),
        comment in "[ -~]{0,20}", registry in proptest::sample::select(&PackageRegistry::ALL[..]),
    ) {
        let [a, b, c, d] = numbers;
        let [one, two, three, four, five] = blanks;
        let (file, text, ranges) = match registry {
            PackageRegistry::Pypi => (
                "pyproject.toml",
                format!("# {comment}\nd = [{one}\"x\",\"demo{two}>={three}1.{a},{four}<{five}2.{b}\"]\n# \
                     {comment}"),
                [format!(">=1.{a},<2.{b}"), format!(">=1.{c},<2.{d}")],
            ),
            PackageRegistry::Crates => (
                "Cargo.toml",
                format!("# {comment}\n[d]\ndemo{one}={two}\"{a}.{b}\"{three}# {comment}"),
                [format!("{a}.{b}"), format!(">={c}.0.0, <{d}.0.0")],
            ),
            PackageRegistry::Npm => (
                "package.json",
                format!("{{{one}\"d\":{two}{{\"demo\"{three}:{four}\"^{a}.{b}.0\"}}{five}}}"),
                [format!("^{a}.{b}.0"), format!(">={c}.0.0 <{}.0.1", c + d)],
            ),
        };
        let place = place(file, "d", "demo", registry, UPPER);
        let [before, after] = ranges.map(|range| VersionRange::parse(registry, &range).unwrap());
        prop_assert_eq!(find_requirement(&place, &text).unwrap().1.range.to_string(), before.to_string());
        let changed = replace_range_in_text(&place, &text, &after, &[]).unwrap();
        prop_assert_eq!(find_requirement(&place, &changed).unwrap().1.range.to_string(), after.to_string());
        prop_assert_eq!(replace_range_in_text(&place, &changed, &before, &[]).unwrap(), text);
    }

    #[test]
    fn no_text_breaks_an_edit(text in "(.{0,80}|a ?\\[[ab.,_ -]{0,9}\\]?.{0,9})", at in "[a-z.]{0,6}") {
        for (file, registry) in [("a.toml", PackageRegistry::Pypi), ("a.toml", PackageRegistry::Crates), ("a.json", PackageRegistry::Npm)] {
            let range = VersionRange::parse(registry, "1.0.0").or_else(|_| VersionRange::parse(registry, "==1.0.0")).unwrap();
            let _ = replace_range_in_text(&place(file, &at, "demo", registry, UPPER), &text, &range, &[]);
        }
    }
}

#[test]
fn a_version_in_a_python_module_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("__init__.py");
    let place = RequirementPlace {
        file: &file,
        key_path: "__version__",
        package: "ours",
        registry: PackageRegistry::Pypi,
        style: RangeStyle::VendoredVersion,
    };
    let next =
        VersionRange::from_vendored_version(PackageVersion::parse(PackageRegistry::Pypi, "1.2.4").unwrap());
    for line in ["__version__ = '1.2.3'  # it\r\n", "__version__: str=\"1.2.3\"", "__version__='1.2.3'\n"] {
        let text = format!("import a\n{line}");
        std::fs::write(&file, &text).unwrap();
        assert_eq!(read_requirement(&place).unwrap().range.to_string(), "1.2.3", "{line}");
        assert_eq!(file_text_with_range(&place, &next, &[]).unwrap(), text.replace("1.2.3", "1.2.4"));
    }
    for none in [
        "",
        " __version__ = '1.2.3'\n",
        "__version__ = f()\n",
        "__version__ == '1.2.3'\n",
        "__version__ = '1' + '2'\n",
    ] {
        std::fs::write(&file, none).unwrap();
        assert!(
            matches!(
                read_requirement(&place),
                Err(RequirementError::NotExactlyOneRequirement { count: 0, .. })
            ),
            "{none}"
        );
    }
    std::fs::write(&file, "__version__ = '1.2.3'\n".repeat(2)).unwrap();
    assert!(matches!(
        read_requirement(&place),
        Err(RequirementError::NotExactlyOneRequirement { count: 2, .. })
    ));
}

#[test]
fn a_name_or_an_extra_that_ends_in_a_sign_is_refused_before_the_parser_panics_at_it() {
    for text in ["a.", "a-", "-", "a[b.]", "a[b_", "a [b, c-]", "a[b. c]", "a[b-,c]>=1", "a[é.]", "a[.]"] {
        assert!(super::pep508::parse_requirement(text).is_err(), "{text}");
    }
    for text in ["a", "a.b-c_d", "a[b]", "a [ b , c.d ] >= 1", "a[]", "a[b]==1.*; os_name == 'a-'"] {
        assert!(super::pep508::parse_requirement(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_too_large_to_be_a_projects_own_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    // The file is sparse, so its size needs no space on the disk.
    let file = |name: &str, bytes: u64| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
        path
    };
    let project = file("pyproject.toml", MAX_FILE_BYTES + 1);
    let error = read_file(&project).unwrap_err();
    assert!(error.to_string().contains("longer than 512 KiB"), "{error}");
    assert!(read_file(&file("small.toml", MAX_FILE_BYTES)).is_ok());
    for (name, longest, told) in [
        ("pins.json", crate::manifest::MAX_MANIFEST_BYTES, "longer than 2048 KiB"),
        ("pins.toml", crate::manifest::MAX_TOML_MANIFEST_BYTES, "longer than 512 KiB"),
    ] {
        let error = crate::manifest::read_manifest(&file(name, longest + 1)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let error = crate::manifest::read_manifest(&file(name, longest)).unwrap_err();
        assert!(!error.to_string().contains("longer"), "{error}");
    }
}
