//! Tests of set-up commands that download packages from the real registries of pip, npm and cargo through the
//! proxy, and of checks that then run without network access. If the program of a project is not installed,
//! the test prints this and skips the project.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A project: the program that it needs, its files, and the configuration of its checks.
struct Project {
    program: &'static str,
    files: &'static [(&'static str, &'static str)],
    configuration: &'static str,
    /// Host from which the set-up must download something.
    host: &'static str,
}

const PROJECTS: &[Project] = &[
    Project {
        program: "/usr/bin/python3",
        files: &[
            ("requirements.txt", "idna==3.10\n"),
            ("check.py", "import idna\nassert idna.encode('ä.de') == b'xn--4ca.de'\n"),
        ],
        configuration: r#"[verify]
setup = [["python3", "-m", "venv", ".venv"], [".venv/bin/pip", "install", "-r", "requirements.txt"]]
check = [[".venv/bin/python", "check.py"]]
registries = ["pypi"]
"#,
        host: "files.pythonhosted.org",
    },
    Project {
        program: "/usr/bin/npm",
        files: &[
            ("package.json", r#"{"name":"x","version":"1.0.0","dependencies":{"is-odd":"3.0.1"}}"#),
            ("check.js", "if (!require('is-odd')(3)) process.exit(1)\n"),
        ],
        configuration: r#"[verify]
setup = [["npm", "install", "--no-audit", "--no-fund"]]
check = [["node", "check.js"]]
registries = ["npm"]
"#,
        host: "registry.npmjs.org",
    },
    Project {
        program: "cargo",
        files: &[
            ("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n[dependencies]\nitoa = \"1\"\n"),
            ("src/lib.rs", "#[test]\nfn t() { assert_eq!(itoa::Buffer::new().format(7u8), \"7\") }\n"),
        ],
        configuration: r#"[verify]
setup = [["cargo", "fetch"]]
check = [["cargo", "test", "--quiet"]]
registries = ["crates"]
"#,
        host: "index.crates.io",
    },
];

/// Returns the folder of the toolchain that runs this test.
fn toolchain_folder() -> String {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    String::from_utf8(rustc.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs the network"]
fn set_ups_reach_their_registries_and_checks_need_none() {
    for project in PROJECTS {
        if project.program.starts_with('/') && !Path::new(project.program).exists() {
            println!("not tried: there is no {}", project.program);
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for (name, text) in project.files {
            std::fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            std::fs::write(tree.join(name), text).unwrap();
        }
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(arguments);
            assert!(git.current_dir(&tree).stdout(Stdio::null()).status().unwrap().success());
        };
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", "x"]);
        let configuration = folder.path().join("truing.toml");
        let programs = format!("programs = [\"{}\"]\n", toolchain_folder());
        std::fs::write(&configuration, project.configuration.to_owned() + &programs).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_truing"));
        run.args(["verify", "--format", "json"]).current_dir(&tree).env("TRUING_CONFIG", &configuration);
        run.env_remove("TRUING_SYNC_CASES").env_remove("TRUING_AIOBOTOCORE");
        let output = run.env("XDG_CACHE_HOME", folder.path().join("cache")).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(output.status.code(), Some(0), "{answer:#}");
        let reached = answer["set_up"]["reached"].as_array().unwrap();
        assert!(reached.iter().all(|one| one["refused"].is_null()), "{answer:#}");
        assert!(reached.iter().any(|one| one["host"] == project.host), "{answer:#}");
        let set_up = answer["set_up"]["commands"].as_array().unwrap().iter();
        let ms: u64 = set_up.map(|ran| ran["ms"].as_u64().unwrap()).sum();
        println!("{}: set up in {ms} ms", project.program);
    }
}
