//! Tests of `truing sync init` and `truing sync decide` in a project without configuration. Both commands
//! find the package in the project's own files.

use std::process::Output;

use serde_json::{Value, json};

use super::package::PINNED;
use super::server::{Files, Registry, sha1, sha256, sha512, tar_gz};

const COPY: &str = "import demo.m\nclass Ours(demo.m.Base):\n    def run(self): ...\n";
const RUN: &str = "    def run(self):\n        return 1\n";
const REQUIRES: &str = "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n";

/// Returns PyPI, npm and crates.io registries that each contain `demo`. On PyPI, 1.0.1 changes nothing and
/// 1.0.2 changes the method. On the other registries, 1.0.1 changes a file.
fn demo_registries(project: &[(&str, &str)]) -> Registry {
    let files = |address: std::net::SocketAddr| {
        let (mut files, mut page, mut lines) = (Files::new(), String::new(), String::new());
        let mut versions = serde_json::Map::new();
        for (version, value) in [("1.0.0", "1"), ("1.0.1", "1"), ("1.0.2", "2")] {
            let module = format!("{PINNED}\nclass Base:\n{}", RUN.replace('1', value));
            let archive = tar_gz(&format!("demo-{version}"), &[("demo/m.py", &module)]);
            page += &format!("<a href=\"/files/demo-{version}.tar.gz#sha256={}\">x</a>", sha256(&archive));
            files.insert(format!("/files/demo-{version}.tar.gz"), archive);
            let rust = tar_gz(
                &format!("demo-{version}"),
                &[("src/a.rs", &format!("pub fn f() -> u8 {{ {value} }}\n"))],
            );
            lines += &json!({ "name": "demo", "vers": version, "cksum": sha256(&rust) }).to_string();
            lines.push('\n');
            files.insert(format!("/dl/demo/{version}/download"), rust);
            let script = tar_gz("package", &[("a.js", &format!("exports.f = () => {value};\n"))]);
            let place = format!("http://{address}/npm/demo/-/demo-{version}.tgz");
            let dist = json!({ "tarball": place, "integrity": sha512(&script) });
            versions.insert(version.to_owned(), json!({ "version": version, "dist": dist }));
            files.insert(format!("/npm/demo/-/demo-{version}.tgz"), script);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files.insert("/npm/demo".to_owned(), json!({ "versions": versions }).to_string().into_bytes());
        let index = json!({ "dl": format!("http://{address}/dl") }).to_string();
        files.insert("/index/config.json".to_owned(), index.into_bytes());
        files.insert("/index/de/mo/demo".to_owned(), lines.into_bytes());
        files
    };
    Registry::new(files, project)
}

fn sync(site: &Registry, arguments: &[&str]) -> Output {
    site.command(&[])
        .env("PATH", std::env::var_os("PATH").unwrap())
        .arg("sync")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn assert_refused(site: &Registry, arguments: &[&str], words: &[&str]) {
    let output = sync(site, arguments);
    let told = text(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert!(words.iter().all(|word| told.contains(word)), "{arguments:?}: {told}");
}

/// Returns the JSON output of `decide`, and its exit code.
fn decide(site: &Registry, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = sync(site, &[&["decide", "demo", "--format", "json"], arguments].concat());
    let told = text(output.stderr);
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}")), output.status.code())
}

/// Returns the configuration lines that `init` prints.
fn init_config_lines(site: &Registry, arguments: &[&str]) -> String {
    let output = sync(site, &[&["init", "--format", "json"], arguments].concat());
    let told = text(output.stderr);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"));
    answer["config"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_package_of_the_project_gets_a_manifest_and_the_lines_that_make_it_a_job() {
    let site = demo_registries(&[("pyproject.toml", REQUIRES), ("ours/m.py", COPY)]);
    let git = |arguments: &[&str]| {
        let done = truing_fakes::repo::git_command(site.path()).args(arguments).status().unwrap();
        assert!(done.success());
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "git@github.com:acme/shop.git"]);
    let output = sync(&site, &["init", "demo"]);
    assert_eq!(
        text(output.stdout),
        "./upstream.json: 1 definition pinned as in demo 1.0.0\nkeep these lines in truing.toml for `truing \
         --config truing.toml sync run demo`:\n[forge.github]\n\n[sync.demo]\nregistry = \"pypi\"\npackage \
         = \"demo\"\nrepo = \"acme/shop\"\n",
        "{}",
        text(output.stderr)
    );
    let manifest: Value = serde_json::from_str(&site.read("upstream.json")).unwrap();
    assert_eq!(manifest["demo.m:Base.run"]["raw"], json!([sha1(RUN)]));
    // With the printed lines as configuration, `decide` has the same result as before, and the job is valid.
    let before = decide(&site, &["--to", "1.0.1"]);
    assert_eq!((&before.0["decision"], before.1), (&json!("relax"), Some(0)));
    std::fs::remove_file(site.path().join("upstream.json")).unwrap();
    let kept = init_config_lines(&site, &["demo"]);
    site.write("kept.toml", &kept);
    let after = decide(&site, &["--to", "1.0.1", "--config", "kept.toml"]);
    assert_eq!(before, after);
    let checked =
        site.command(&[]).args(["--config", "kept.toml", "sync", "status", "demo"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(checked.stderr));
    let again = sync(&site, &["init", "demo", "--output", "other.json", "--config", "kept.toml"]);
    assert!(!text(again.stdout).contains("keep these lines"), "a job that is configured needs none");
}

#[test]
fn what_nothing_is_pinned_of_is_decided_as_far_as_it_can_be() {
    let site = demo_registries(&[("pyproject.toml", REQUIRES), ("ours/m.py", COPY)]);
    let (answer, code) = decide(&site, &[]);
    assert_eq!(
        (&answer["decision"], &answer["to"], code),
        (&json!("ask"), &json!("1.0.2"), Some(1)),
        "{answer}"
    );
    assert!(answer["reason"].as_str().unwrap().contains("nothing is pinned"), "{answer}");
    let told = text(sync(&site, &["decide", "demo"]).stderr);
    assert!(told.contains("`truing sync init demo` finds definitions that could be"), "{told}");
    // With `--mirror`, the mirrored files are compared even without a manifest.
    let (answer, _) = decide(&site, &["--mirror", "demo/=ours/", "--to", "1.0.1"]);
    assert_eq!(answer["decision"], "relax", "{answer}");
    site.write("pins.json", json!({ "demo.m:Base.run": [sha1(RUN)] }).to_string());
    let (answer, _) = decide(&site, &["--manifest", "pins.json"]);
    assert_eq!(
        (&answer["decision"], &answer["changed"][0]["symbol"]),
        (&json!("bump"), &json!("demo.m:Base.run"))
    );
}

#[test]
fn a_job_wins_over_a_package_of_its_name_and_a_package_leads_to_its_job() {
    let site = demo_registries(&[("pyproject.toml", REQUIRES), ("ours/m.py", COPY)]);
    site.write(
        "jobs.toml",
        "[sync.demo]\npackage = \"other\"\nmanifest = \"none\"\n[sync.mine]\npackage = \"demo\"\nmirror = \
         [\"no/=ours/\"]\n",
    );
    assert_refused(&site, &["decide", "demo", "--config", "jobs.toml"], &["requires `other` 0 times"]);
    site.write(
        "jobs.toml",
        "[sync.mine]\npackage = \"demo\"\nmirror = [\"no/=ours/\"]\nmanifest = \"none\"\n",
    );
    let (answer, _) = decide(&site, &["--config", "jobs.toml"]);
    assert!(answer["reason"].as_str().unwrap().contains("nothing is pinned or mirrored"), "{answer}");
    let mirror = ["decide", "demo", "--config", "jobs.toml", "--mirror", "a/=b/"];
    assert_refused(&site, &mirror, &["for a package that no job follows", "[sync.mine]"]);
    site.write("jobs.toml", "[sync.one]\npackage = \"demo\"\n[sync.two]\npackage = \"demo\"\n");
    assert_refused(
        &site,
        &["decide", "demo", "--config", "jobs.toml"],
        &["several jobs, such as one and two"],
    );
}

#[test]
fn each_registry_is_told_by_its_files_and_the_range_by_its_form() {
    let site =
        demo_registries(&[("package.json", "{\"dependencies\": {\"demo\": \"^1.0.0\"}}"), ("lib/a.js", "")]);
    assert_refused(&site, &["init", "demo"], &["--mirror THEIRS=OURS"]);
    assert_eq!(
        init_config_lines(&site, &["demo", "--from", "1.0.0", "--mirror", "a.js=lib/a.js"]),
        "[sync.demo]\nregistry = \"npm\"\npackage = \"demo\"\nconstraint.style = \"caret\"\nmirror = \
         [\"a.js=lib/a.js\"]\n# repo = \"owner/name\"\n"
    );
    assert_eq!(decide(&site, &["--from", "1.0.0", "--to", "1.0.1"]).0["decision"], "skip");
    let site =
        demo_registries(&[("Cargo.toml", "[dev-dependencies]\ndemo = \"=1.0.0\"\n"), ("src/mine.rs", "")]);
    let kept =
        init_config_lines(&site, &["demo", "--mirror", "src/a.rs=src/mine.rs", "--output", "pins/demo.json"]);
    assert_eq!(
        kept,
        "[sync.demo]\nregistry = \"crates\"\npackage = \"demo\"\nconstraint.path \
         = \"dev-dependencies\"\nconstraint.style = \"exact\"\nmanifest = \"pins/demo.json\"\nmirror = \
         [\"src/a.rs=src/mine.rs\"]\n# repo = \"owner/name\"\n"
    );
    for (file, content) in [
        ("requirements.txt", "demo>=1.0.0,<1.0.1\n"),
        ("setup.cfg", "[options]\ninstall_requires =\n    demo >= 1.0.0, < 1.0.1\n"),
    ] {
        let site = demo_registries(&[(file, content), ("ours/m.py", COPY)]);
        assert!(init_config_lines(&site, &["demo"]).contains(&format!("constraint.file = \"{file}\"\n")));
        assert_eq!(decide(&site, &["--to", "1.0.1"]).0["spec_after"], ">=1.0.0,<1.0.2");
    }
}

#[test]
fn what_the_files_leave_open_is_told_with_the_option_that_says_it() {
    let both = [("pyproject.toml", REQUIRES), ("package.json", "{\"dependencies\": {\"demo\": \"1.0.0\"}}")];
    let site = demo_registries(&both);
    let places = "`demo` is required by pyproject.toml:project.dependencies and package.json:dependencies";
    assert_refused(&site, &["decide", "demo"], &[places, "--registry pypi"]);
    assert_eq!(decide(&site, &["--registry", "npm", "--to", "1.0.1"]).0["spec_before"], "1.0.0");
    let twice = "{\"devDependencies\": {\"demo\": \"1.0.0\"}, \"peerDependencies\": {\"demo\": \"1\"}}";
    let site = demo_registries(&[("package.json", twice)]);
    assert_refused(&site, &["decide", "demo"], &["--constraint package.json:devDependencies"]);
    let chosen = ["--constraint", "package.json:devDependencies", "--to", "1.0.1"];
    assert_eq!(decide(&site, &chosen).0["spec_before"], "1.0.0");
    // The project does not require `demo` directly, so the command needs `--from`.
    let site = demo_registries(&[("pyproject.toml", "[project]\ndependencies = [\"other\"]\n")]);
    assert_refused(
        &site,
        &["decide", "demo"],
        &[
            "there is no job `demo`",
            "and pyproject.toml does not require such a package",
            "--constraint",
            "`truing sync decide demo --from V`",
        ],
    );
    let told = text(sync(&site, &["decide", "demo", "--from", "1.0.0"]).stderr);
    assert!(told.contains("`truing sync init demo --from 1.0.0` finds definitions that could be"), "{told}");
    // The hint of one command suggests the other command. The other command must not fail with a hint that
    // suggests the first one again.
    let all_the_same = "`truing sync decide demo --from 1.0.0` compares the releases anyway";
    assert_refused(&site, &["init", "demo", "--from", "1.0.0"], &[all_the_same]);
    // The project requires a package with a similar name, so the hint asks whether that package was meant.
    for (file, requires, near) in [
        ("pyproject.toml", "[dependency-groups]\ndev = [\"Demos>1\", \"other\"]\n", "`demos`"),
        ("requirements.txt", "# demo\n-r more.txt\ndemoo==1\nfar-away==2\n", "`demoo`"),
        ("package.json", "{\"devDependencies\": {\"demos\": \"1\"}}", "`demos`"),
        ("Cargo.toml", "[target.x.dependencies]\ndem = \"1\"\ndemox = \"1\"\n", "`demox` or `dem`"),
    ] {
        let site = demo_registries(&[(file, requires)]);
        assert_refused(&site, &["decide", "demo"], &[&format!("did you mean {near}?")]);
    }
    assert_eq!(decide(&site, &["--from", "1.0.0", "--to", "1.0.1"]).0["decision"], "ask");
    assert_refused(&demo_registries(&[]), &["decide", "demo"], &["no file in . that requires packages"]);
    let broken = demo_registries(&[("pyproject.toml", "[")]);
    assert_refused(&broken, &["decide", "demo"], &["pyproject.toml is not valid TOML"]);
}

#[test]
fn a_file_that_is_not_there_is_told_before_anything_is_asked() {
    let site = demo_registries(&[("pyproject.toml", REQUIRES), ("ours/m.py", COPY)]);
    let output = sync(&site, &["init", "other", "--constraint", "nope.toml"]);
    let told = text(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("there is no file nope.toml in .") && !told.contains("http"), "{told}");
}

#[test]
fn what_is_pinned_of_another_package_does_not_count() {
    let site = demo_registries(&[("pyproject.toml", REQUIRES), ("ours/m.py", COPY)]);
    site.write("upstream.json", json!({ "other.m:Base.run": [sha1(RUN)] }).to_string());
    let output = sync(&site, &["decide", "demo", "--format", "json"]);
    let told = text(output.stderr);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"));
    assert!(answer["reason"].as_str().unwrap().contains("nothing is pinned"), "{answer}");
    assert!(told.contains("upstream.json pins nothing of demo"), "{told}");
    // The hints lead to a manifest in a file of its own.
    let init = "`truing sync init demo --output demo.json`";
    assert!(told.contains(&format!("{init} finds definitions")), "{told}");
    assert!(told.contains("`--manifest demo.json`"), "{told}");
    let then = "`truing sync decide demo --manifest demo.json`";
    assert_refused(&site, &["init", "demo"], &["upstream.json already exists", init, then]);
    let output = sync(&site, &["init", "demo", "--output", "demo.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
    assert_eq!(decide(&site, &["--manifest", "demo.json"]).0["decision"], "bump");
    let told = text(sync(&site, &["decide", "demo"]).stderr);
    assert!(told.contains("use it: `--manifest demo.json`"), "{told}");
    // A manifest that the user names with `--manifest` is used, even if the file pins nothing of `demo`.
    let (answer, _) = decide(&site, &["--manifest", "upstream.json"]);
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("belong to other packages, so the manifest guards nothing"), "{answer}");
}

#[test]
fn a_workspace_is_looked_through_with_its_members() {
    let copy = ("src/mine.rs", "");
    let members = "[workspace]\nmembers = [\"members/*\"]\n";
    let mirror = ["demo", "--mirror", "src/a.rs=src/mine.rs"];
    let site = demo_registries(&[
        ("Cargo.toml", members),
        ("members/a/Cargo.toml", "[dependencies]\ndemo = \"=1.0.0\"\n"),
        ("members/b/Cargo.toml", "[dependencies]\nother = \"1\"\n"),
        copy,
    ]);
    let kept = init_config_lines(&site, &mirror);
    assert!(kept.contains("constraint.file = \"members/a/Cargo.toml\"\n"), "{kept}");
    site.write("members/b/Cargo.toml", "[dependencies]\ndemo = \"1\"\n");
    assert_refused(&site, &["decide", "demo"], &["--constraint members/a/Cargo.toml:dependencies"]);

    let shared = format!(
        "{members}[workspace.dependencies]\ndemo = \"=1.0.0\"\n[dependencies]\ndemo.workspace = true\n"
    );
    let site = demo_registries(&[
        ("Cargo.toml", &shared),
        ("members/a/Cargo.toml", "[dependencies]\ndemo = { workspace = true }\n"),
        copy,
    ]);
    let kept = init_config_lines(&site, &mirror);
    assert!(kept.contains("constraint.path = \"workspace.dependencies\"\n"), "{kept}");
}
