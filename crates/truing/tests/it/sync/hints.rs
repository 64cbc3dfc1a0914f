//! Tests of projects with an unusual structure. For each of them, the command returns a result or prints a
//! hint.

use serde_json::json;

use super::package::PINNED;
use super::server::{Files, Registry, sha1, sha256, tar_gz};

const BASE: &str = "class Base:\n    def run(self):\n        return 1\n";

/// Returns a PyPI registry with three releases of `demo`. Release 1.0.1 changes nothing, and 1.0.2 removes
/// the class.
fn demo_registry(project: &[(&str, &str)]) -> Registry {
    let files = |_| {
        let (mut files, mut page) = (Files::new(), String::new());
        let with = format!("{PINNED}\n{BASE}");
        for (version, module) in [("1.0.0", with.as_str()), ("1.0.1", &with), ("1.0.2", PINNED)] {
            let archive = tar_gz(&format!("demo-{version}"), &[("demo/m.py", module)]);
            let name = format!("demo-{version}.tar.gz");
            page += &format!("<a href=\"/files/{name}#sha256={}\">x</a>", sha256(&archive));
            files.insert(format!("/files/{name}"), archive);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files
    };
    let manifest = json!({ "demo.m:pinned": [sha1(PINNED)] }).to_string();
    let usual = [
        ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
        ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
        ("upstream.json", manifest.as_str()),
        ("ours/m.py", "from demo.m import pinned\n"),
    ];
    Registry::new(files, &[&usual, project].concat())
}

#[test]
fn a_class_that_the_project_inherits_from_and_that_vanished_asks() {
    let site = demo_registry(&[(
        "ours/m.py",
        "from demo.m import Base\nclass Ours(Base):\n    def own(self): ...\n",
    )]);
    assert_eq!(site.decide(&["--to", "1.0.1"]).0["decision"], "relax");
    let (answer, exit) = site.decide(&["--to", "1.0.2"]);
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(reason.contains("that the project inherits from: demo.m:Base"), "{reason}");
    assert_eq!(answer["needs_classification"], false);
}

#[test]
fn a_missing_manifest_is_one_to_be_written() {
    let site = demo_registry(&[("truing.toml", "[sync.demo]\nmanifest = \"absent.json\"\n")]);
    site.assert_refused(&[], 2, &["absent.json", "sync init demo`"]);
    // The hint's command must create a manifest for the same project if a user copies the command unchanged.
    let nested = "[sync.demo]\nmanifest = \"tests/test_patches.py\"\nmirror = [\"demo/=ours/\"]\n";
    let site =
        demo_registry(&[("truing.toml", nested), ("fol/pyproject.toml", PROJECT), ("fol/ours/m.py", COPY)]);
    let file = "sync init demo --repo fol --output fol/tests/test_patches.json`";
    let then = "set the new manifest in the job: `manifest = \"tests/test_patches.json\"`";
    site.assert_refused(&["--repo", "fol"], 2, &[file, then]);
    let told = String::from_utf8(site.sync(&["decide", "demo", "--repo", "fol"]).stderr).unwrap();
    assert_eq!(told.matches("cannot be read").count(), 1, "{told}");
    let made = site.sync(&["init", "demo", "--repo", "fol", "--output", "fol/tests/test_patches.json"]);
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    site.write("truing.toml", nested.replace(".py", ".json"));
    assert_eq!(site.decide(&["--repo", "fol", "--to", "1.0.1"]).0["decision"], "relax");
    site.assert_refused(&["--repo", "nosuchdir"], 2, &["there is no folder nosuchdir"]);
}

const PROJECT: &str = "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n";
const COPY: &str = "def pinned(a): ...\n";

#[test]
fn a_file_of_jobs_that_nobody_named_is_pointed_to() {
    let site = demo_registry(&[]);
    let told = |name: &str| {
        let output = site.command(&[]).args(["sync", "decide", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(
        told("demo")
            .contains("truing.toml in this folder has such a job: use this file with `--config truing.toml`"),
        "{}",
        told("demo")
    );
    assert!(!told("other").contains("has one"));
    // The configuration file is a named pipe. The command must not read it, because the read would block
    // forever.
    let file = site.path().join("truing.toml");
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let output = site.command(&[]).args(["sync", "decide", "demo"]).output().unwrap();
    assert!(!String::from_utf8(output.stderr).unwrap().contains("has one"));
}

#[test]
fn a_project_whose_requirement_is_in_no_pyproject_is_told_to_name_its_file() {
    let site = demo_registry(&[("truing.toml", "[sync.demo]\nconstraint.file = \"absent.toml\"\n")]);
    site.assert_refused(
        &[],
        2,
        &["there is no absent.toml in .", "`constraint.file = \"requirements.txt\"`"],
    );
    let told = String::from_utf8(site.sync(&["decide", "demo"]).stderr).unwrap();
    assert!(!told.contains("in its range"), "{told}");
    // The manifest exists, so the error must concern the range.
    let site = demo_registry(&[("pyproject.toml", "[project]\ndependencies = [\"demo>=7,<8\"]\n")]);
    let told = String::from_utf8(site.sync(&["decide", "demo"]).stderr).unwrap();
    assert!(told.contains("range contains no release") && !told.contains("there is no"), "{told}");
}

#[test]
fn what_people_read_fits_a_terminal_and_repeats_nothing() {
    let methods: String =
        (0..9).map(|n| format!("    def own_method_with_a_long_name_{n}(self): ...\n")).collect();
    let ours = format!("from demo.m import Base\nclass Ours(Base):\n    def run(self): ...\n{methods}");
    let site = demo_registry(&[("ours/m.py", ours.as_str())]);
    let told = String::from_utf8(site.sync(&["init", "demo", "--output", "new.json"]).stdout).unwrap();
    assert_eq!(
        told,
        "new.json: 1 definition pinned as in demo 1.0.0\nnot guarded:\n  9 names\n      not defined in demo \
         1.0.0, but in the project (`--format json` lists them)\n"
    );
    let long = format!("def {}():\n    return 1\n", "long_name".repeat(7));
    let site = registry_requiring_module(
        ["urllib3<2", "urllib3<1"],
        [PINNED.to_owned(), format!("{PINNED}\n{long}")],
        &[],
    );
    let told = String::from_utf8(site.sync(&["decide", "demo"]).stdout).unwrap();
    assert!(told.contains("\n      added\n") && told.lines().all(|line| line.len() <= 80), "{told}");
}

#[test]
fn a_job_in_the_repositorys_own_file_is_pointed_to_where_it_belongs() {
    let site = demo_registry(&[("truing.toml", ""), (".truing.toml", "[sync.demo]\n")]);
    site.assert_refused(
        &[],
        2,
        &["there is no job `demo` in ", "truing.toml", "move the sections [sync.…] from this file to "],
    );
}

#[test]
fn a_package_that_another_one_brings_is_compared_where_its_releases_are_named() {
    let site = demo_registry(&[("pyproject.toml", "[project]\ndependencies = [\"other\"]\n")]);
    site.assert_refused(&["--to", "1.0.1"], 2, &["requires `demo` 0 times", "--from V --to V"]);
    let extra = "[project]\noptional-dependencies.fast = [\"demo>=1.0.0,<1.0.1\"]\n";
    let site_of_extra = demo_registry(&[("pyproject.toml", extra)]);
    site_of_extra.assert_refused(&[], 2, &["`constraint.path = 'project.optional-dependencies.fast'`"]);
    // Real projects also have keys with spaces, for example `target.cfg(target_os = "linux").dependencies` in
    // Cargo.toml.
    let blank = "[tool.\"of linux\"]\nlist = [\"demo>=1.0.0,<1.0.1\"]\n";
    let site_of_blank = demo_registry(&[("pyproject.toml", blank)]);
    site_of_blank.assert_refused(&[], 2, &["`constraint.path = 'tool.of linux.list'`"]);
    site_of_blank.write(
        "truing.toml",
        "[sync.demo]\nconstraint.path = 'tool.of linux.list'\nmirror = [\"demo/=ours/\"]\n",
    );
    assert_eq!(site_of_blank.decide(&["--to", "1.0.1"]).0["decision"], "relax");
    let (answer, _) = site.decide(&["--from", "1.0.0", "--to", "1.0.1"]);
    assert_eq!((&answer["decision"], &answer["spec_before"]), (&json!("relax"), &json!(null)), "{answer}");
}

#[test]
fn a_requirement_among_others_in_a_text_file_is_found() {
    let site = demo_registry(&[
        ("truing.toml", "[sync.demo]\nconstraint.file = \"requirements.txt\"\nmirror = [\"demo/=ours/\"]\n"),
        ("requirements.txt", "# ours\nother==1\ndemo>=1.0.0,<1.0.1  # followed\n"),
    ]);
    let (answer, _) = site.decide(&["--to", "1.0.1"]);
    assert_eq!(
        (&answer["decision"], &answer["spec_after"]),
        (&json!("relax"), &json!(">=1.0.0,<1.0.2")),
        "{answer}"
    );
}

#[test]
fn a_range_that_admits_what_nobody_has_looked_at_is_told() {
    let site = demo_registry(&[("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<2\"]\n")]);
    let (answer, _) = site.decide(&["--from", "1.0.0"]);
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!(answer["decision"], "skip", "{answer}");
    assert!(
        reason.contains("the range also contains releases after 1.0.2, which are not checked"),
        "{reason}"
    );
    assert!(reason.ends_with("let the range end after 1.0.2"), "{reason}");
}

#[test]
fn a_mirror_without_a_file_in_the_package_asks() {
    let site = demo_registry(&[("truing.toml", "[sync.demo]\nmirror = [\"wrong/=ours/\"]\n")]);
    let (answer, exit) = site.decide(&["--to", "1.0.1"]);
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("neither release has a mirrored file"), "{answer}");
}

#[test]
fn a_job_without_a_manifest_leaves_it_to_people_or_checks() {
    let site = demo_registry(&[("truing.toml", "[sync.demo]\nmanifest = \"none\"\n")]);
    let (answer, exit) = site.decide(&["--to", "1.0.2"]);
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("own checks"), "{answer}");
    let nothing = site.sync(&["init", "demo", "--output", "new.json"]);
    let told = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(
        told.contains("manifest = \"none\"")
            && told.contains("`mirror` of the job to the files of the package"),
        "{told}"
    );
    let site = demo_registry(&[("ours/m.py", "x = 1\n")]);
    let nothing = site.sync(&["init", "demo", "--output", "new.json"]);
    let told = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(
        told.contains("check the pairs") && !told.contains("the files of the package and their counterparts"),
        "{told}"
    );
}

/// Returns a PyPI registry with two releases of `demo`. Their metadata requires different versions of another
/// package.
fn registry_requiring(requirements: [&str; 2], project: &[(&str, &str)]) -> Registry {
    registry_requiring_module(requirements, [PINNED.to_owned(), PINNED.to_owned()], project)
}

fn registry_requiring_module(
    requirements: [&str; 2],
    modules: [String; 2],
    project: &[(&str, &str)],
) -> Registry {
    let files = |_| {
        let (mut files, mut page) = (Files::new(), String::new());
        for (version, (requirement, module)) in
            ["1.0.0", "1.0.1"].into_iter().zip(requirements.iter().zip(&modules))
        {
            let metadata = format!("Metadata-Version: 2.2\nName: demo\nRequires-Dist: {requirement}\n");
            let archive =
                tar_gz(&format!("demo-{version}"), &[("demo/m.py", module), ("PKG-INFO", &metadata)]);
            let name = format!("demo-{version}.tar.gz");
            page += &format!("<a href=\"/files/{name}#sha256={}\">x</a>", sha256(&archive));
            files.insert(format!("/files/{name}"), archive);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files
    };
    let manifest = json!({ "demo.m:pinned": [sha1(PINNED)] }).to_string();
    let usual = [
        ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
        (
            "pyproject.toml",
            "[project]\nrequires-python = \">=3.10\"\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n",
        ),
        ("upstream.json", manifest.as_str()),
        ("ours/m.py", "from demo.m import pinned\n"),
    ];
    Registry::new(files, &[&usual, project].concat())
}

#[test]
fn a_changed_requirement_asks_where_it_reaches_the_project() {
    let extra = ["awscrt==0.19; extra == 'crt'", "awscrt==0.20; extra == 'crt'"];
    let marked = ["old<2; python_version < '3.8'", "old<3; python_version < '3.8'"];
    let wider = ["urllib3>=1,<2", "urllib3>=1,<3"];
    let narrower = ["urllib3>=1,<3", "urllib3>=1,<2"];
    let asks_for_it = ("pyproject.toml", "[project]\ndependencies = [\"demo[crt]>=1.0.0,<1.0.1\"]\n");
    let imports_it = ("ours/late.py", "def f():\n    import urllib3.util\n");
    for (requirements, project, decision, why) in [
        (extra, &[][..], "relax", "of_extra"),
        (extra, &[asks_for_it], "ask", "changed"),
        (marked, &[], "relax", "of_other_python"),
        (marked, &[asks_for_it], "relax", "wider"),
        (wider, &[], "relax", "wider"),
        (wider, &[imports_it], "ask", "changed"),
        (narrower, &[], "ask", "changed"),
    ] {
        let site = registry_requiring(requirements, project);
        let (answer, _) = site.decide(&["--to", "1.0.1"]);
        assert_eq!(
            (&answer["decision"], &answer["unguarded"][0]["why"], &answer["unguarded"][0]["what"]),
            (&json!(decision), &json!(why), &json!("requirement")),
            "{requirements:?} {project:?}: {answer}"
        );
    }
    let site = registry_requiring(extra, &[]);
    let told = String::from_utf8(site.sync(&["decide", "demo"]).stdout).unwrap();
    let words = "  METADATA awscrt\n      required differently, but only for an extra that the project \
        does not use\n";
    assert!(told.contains(words), "{told}");
}

/// Two releases are compared in one step. The first one changes only the docstring of the pinned definition,
/// and the second one changes the body of another definition. The change of the docstring must not hide the
/// change of the body.
#[test]
fn several_releases_as_one_step_ask_for_a_body_beside_a_changed_docstring() {
    let told = PINNED.replace(":\n", ":\n    \"\"\"What it is.\"\"\"\n");
    assert_ne!(told, PINNED);
    let beside = |value: u8| format!("\ndef beside():\n    return {value}\n");
    let releases = [
        ("1.0.0", format!("{PINNED}{}", beside(1))),
        ("1.0.1", format!("{told}{}", beside(1))),
        ("1.0.2", format!("{told}{}", beside(2))),
    ];
    let files = |_| {
        let (mut files, mut page) = (Files::new(), String::new());
        for (version, module) in &releases {
            let archive = tar_gz(&format!("demo-{version}"), &[("demo/m.py", module)]);
            let name = format!("demo-{version}.tar.gz");
            page += &format!("<a href=\"/files/{name}#sha256={}\">x</a>", sha256(&archive));
            files.insert(format!("/files/{name}"), archive);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files
    };
    let manifest = json!({ "demo.m:pinned": [sha1(PINNED)] }).to_string();
    let site = Registry::new(
        files,
        &[
            ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
            ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
            ("upstream.json", manifest.as_str()),
            ("ours/m.py", "from demo.m import pinned\n"),
        ],
    );
    let (alone, _) = site.decide(&["--to", "1.0.1"]);
    assert_eq!(alone["decision"], "relax", "{alone}");
    let (answer, exit) = site.decide(&["--to", "1.0.2"]);
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert_eq!(answer["unguarded"][0]["symbol"], "beside", "{answer}");
}

#[test]
fn lines_of_a_requirements_file_are_shown_as_lines() {
    let site = demo_registry(&[
        ("truing.toml", "[sync.demo]\nconstraint.file = \"requirements.txt\"\nmirror = [\"demo/=ours/\"]\n"),
        ("requirements.txt", "# ours\nother==1\nmore>=2\n"),
    ]);
    // This requirements file does not require `demo`.
    let output = site.sync(&["decide", "demo", "--to", "1.0.1"]);
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(2) && !told.contains("\\n"), "{told}");
    site.write("requirements.txt", "# ours\nother==1\ndemo>=1.0.0,<1.0.1\nmore>=2\n");
    let output = site.sync(&["decide", "demo", "--to", "1.0.1"]);
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(0) && !told.contains("\\n"), "{told}");
    assert!(
        !told.contains("other==1") && !told.contains("more>=2"),
        "the other lines are none of it: {told}"
    );
}
