//! Tests of `truing sync init`, which creates a manifest that `truing sync decide` accepts.

use serde_json::{Value, json};

use super::server::{Files, Registry, sha1, sha256, tar_gz};

const METHOD: &str = "    def run(self):\n        return 1\n";
const HELPER: &str = "def helper(a):\n    return a\n";

fn default_registry(project: &[(&str, &str)]) -> Registry {
    let files = |address: std::net::SocketAddr| {
        let mut files = Files::new();
        let (mut page, mut lines) = (String::new(), String::new());
        for (version, value) in [("1.0.0", "1"), ("1.0.1", "2")] {
            let base =
                format!("class Base:\n{}\nclass Middle(Base):\n    pass\n", METHOD.replace('1', value));
            let python = tar_gz(
                &format!("demo-{version}"),
                &[
                    ("demo/__init__.py", "from .m import Middle\n"),
                    ("demo/m.py", &format!("{base}\n{HELPER}")),
                ],
            );
            let name = format!("demo-{version}.tar.gz");
            page += &format!("<a href=\"/files/{name}#sha256={}\">x</a>", sha256(&python));
            files.insert(format!("/files/{name}"), python);
            let source = format!("pub fn f() -> u8 {{ {value} }}\n");
            let rust = tar_gz(&format!("demo-{version}"), &[("src/a.rs", &source), ("src/b.rs", "")]);
            lines += &json!({ "name": "demo", "vers": version, "cksum": sha256(&rust) }).to_string();
            lines.push('\n');
            files.insert(format!("/dl/demo/{version}/download"), rust);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files.insert(
            "/index/config.json".to_owned(),
            json!({ "dl": format!("http://{address}/dl") }).to_string().into_bytes(),
        );
        files.insert("/index/de/mo/demo".to_owned(), lines.into_bytes());
        files
    };
    Registry::new(files, project)
}

const PYTHON: [(&str, &str); 6] = [
    ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
    ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
    ("ours/__init__.py", ""),
    (
        "ours/base.py",
        "import demo\nclass Ours(demo.Middle):\n    def run(self): ...\n    def own(self): ...\n",
    ),
    (
        "ours/m.py",
        "from .base import Ours\nclass Further(Ours):\n    def run(self): ...\ndef helper(a): ...\ndef \
         mine(): ...\n",
    ),
    (
        "tests/test_patches.py",
        "from demo.m import helper\nD = {helper: {'HASH'}, getattr(helper, 'x'): {'HASH'}}\n",
    ),
];

#[test]
fn what_a_python_project_overrides_and_copies_is_pinned() {
    let site = default_registry(&PYTHON);
    let output = site.sync(&["init", "demo"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        told,
        "./upstream.json: 2 definitions pinned as in demo 1.0.0\nnot guarded:\n  demo.m:mine  not defined \
            in demo 1.0.0, but in the project\n  demo:Middle.own  not defined in demo 1.0.0, but in the \
            project\n"
    );
    let manifest: Value = serde_json::from_str(&site.read("upstream.json")).unwrap();
    assert_eq!(manifest["demo:Middle.run"]["raw"], json!([sha1(METHOD)]));
    assert_eq!(manifest["demo:Middle.run"]["reason"], "overridden");
    assert_eq!(manifest["demo.m:helper"]["raw"], json!([sha1(HELPER)]));
    assert_eq!(manifest["demo.m:helper"]["counterpart"], "ours/m.py:helper");
    let (answer, _) = site.decide(&[]);
    assert_eq!(
        (&answer["decision"], &answer["changed"][0]["symbol"]),
        (&json!("bump"), &json!("demo:Middle.run"))
    );
    // `init` never overwrites an existing manifest.
    let again = site.sync(&["init", "demo"]);
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(2) && told.contains("already exists"), "{told}");
}

#[test]
fn a_hash_test_becomes_a_manifest() {
    let site = default_registry(&PYTHON);
    let test = site.read("tests/test_patches.py");
    for (digest, told) in [
        (sha1(HELPER), None),
        ("a".repeat(40), Some("the pinned digest differs from the definition in demo 1.0.0")),
    ] {
        site.write("tests/test_patches.py", test.replace("HASH", &digest));
        let file = format!("{digest}.json");
        let arguments =
            ["init", "demo", "--import", "tests/test_patches.py", "--output", &file, "--format", "json"];
        let answer: Value = serde_json::from_slice(&site.sync(&arguments).stdout).unwrap();
        assert_eq!((&answer["pinned"], &answer["at"]), (&json!(1), &json!("1.0.0")));
        let not_guarded = answer["not_guarded"].to_string();
        assert!(
            not_guarded.contains("line 2: getattr") && told.is_none_or(|told| not_guarded.contains(told)),
            "{answer}"
        );
        let manifest: Value = serde_json::from_str(&site.read(&file)).unwrap();
        // The row keeps the project's own digest as its only `raw` digest. A digest of the syntax tree is
        // added if the project's digest matches the release.
        let row = &manifest["demo.m:helper"];
        assert_eq!((&row["raw"], row["tree"].is_array()), (&json!([digest]), told.is_none()), "{manifest}");
    }
}

#[test]
fn the_mirrored_files_of_a_crate_are_pinned_whole() {
    let site = default_registry(&[
        ("truing.toml", "[sync.demo]\nregistry = \"crates\"\nmirror = [\"src/=theirs/\"]\n"),
        ("Cargo.toml", "[dependencies]\ndemo = \">=1.0.0, <1.0.1\"\n"),
        ("theirs/a.rs", ""),
        ("theirs/new.rs", ""),
    ]);
    let output = site.sync(&["init", "demo", "--format", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["pinned"], &answer["not_guarded"][0]["symbol"]), (&json!(1), &json!("src/new.rs")));
    assert_eq!(site.decide(&[]).0["changed"][0]["symbol"], "src/a.rs");
    let nothing = default_registry(&[
        ("truing.toml", "[sync.demo]\n"),
        ("pyproject.toml", "[project]\ndependencies = [\"demo<=1.0.0\"]\n"),
    ]);
    let output = nothing.sync(&["init", "demo"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2)
            && told.contains("nothing was found in . that overrides or copies code of demo")
            && told.contains("--import FILE.json"),
        "{told}"
    );
}

/// Returns a PyPI registry with `demo` 1.0.0, which consists of this module.
fn registry_with_module(module: &str, project: &[(&str, &str)]) -> Registry {
    let archive = tar_gz("demo-1.0.0", &[("demo/m.py", module)]);
    let page = format!("<a href=\"/files/demo-1.0.0.tar.gz#sha256={}\">x</a>", sha256(&archive));
    let files = Files::from([
        ("/files/demo-1.0.0.tar.gz".to_owned(), archive),
        ("/simple/demo/".to_owned(), page.into_bytes()),
    ]);
    Registry::new(|_| files, project)
}

#[test]
fn what_a_project_has_for_code_that_awaits_is_pinned_by_the_name_that_the_package_has() {
    let module = "class Pages:\n    def __iter__(self):\n        return 1\n\n    def \
         __enter__(self):\n        return 2\n\nclass Other(Pages):\n    pass\n\nclass Lost:\n    def \
         run(self):\n        return 3\n";
    let site = registry_with_module(
        module,
        &[
            ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
            ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
            (
                "ours/m.py",
                "from demo.m import Pages, Other\nclass AioPages(Pages):\n    def __aiter__(self): \
                 ...\n    async def __anext__(self): ...\nclass AioOther(Other, AioPages):\n    async def \
                 __aenter__(self): ...\nclass AioLost(AioPages):\n    def run(self): ...\n    def own(self): \
                 ...\n",
            ),
        ],
    );
    let output = site.sync(&["init", "demo"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: Value = serde_json::from_str(&site.read("upstream.json")).unwrap();
    let rows = manifest.as_object().unwrap();
    let counterparts: Vec<_> =
        rows.iter().map(|(symbol, row)| (symbol.as_str(), row["counterpart"].as_str().unwrap())).collect();
    assert_eq!(
        counterparts,
        [
            // `AioLost` is a copy of `Lost` with another name and another base class.
            ("demo.m:Lost.run", "ours/m.py:AioLost.run"),
            // Each definition of the package gets one counterpart, which is found by the definition's own
            // name.
            ("demo.m:Pages.__enter__", "ours/m.py:AioOther.__aenter__"),
            ("demo.m:Pages.__iter__", "ours/m.py:AioPages.__aiter__"),
        ]
    );
}

/// A row is created for every definition of the package that the project can use. For a copied class, these
/// are its methods. For a derived class, these also include properties, decorated definitions, and
/// definitions that the class inherits within the package.
#[test]
fn classes_properties_wrapped_and_inherited_definitions_are_pinned() {
    let module = "import functools\n\nclass Root:\n    def close(self):\n        return 1\n\nclass \
         Client(Root):\n    limit = 3\n\n    @property\n    def name(self):\n        return \
         'a'\n\n    @functools.cache\n    def load(self):\n        return 2\n\nclass Copied:\n    def \
         run(self):\n        return 3\n\n@functools.wraps(len)\ndef wrapped(a):\n    return a\n";
    let site = registry_with_module(
        module,
        &[
            ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
            ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
            (
                "ours/m.py",
                "from demo.m import Client\nclass AioClient(Client):\n    @property\n    def name(self): \
                 ...\n    async def load(self): ...\n    async def close(self): ...\nclass \
                 Copied:\n    async def run(self): ...\nasync def wrapped(a): ...\n",
            ),
        ],
    );
    let output = site.sync(&["init", "demo"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: Value = serde_json::from_str(&site.read("upstream.json")).unwrap();
    let row = |symbol: &str| {
        let row = &manifest[symbol];
        assert!(row.is_object(), "{symbol} is not pinned: {manifest:#}");
        row["raw"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(row("demo.m:Client.name"), sha1("    @property\n    def name(self):\n        return 'a'\n"));
    assert_eq!(
        row("demo.m:Client.load"),
        sha1("    @functools.cache\n    def load(self):\n        return 2\n")
    );
    assert_eq!(row("demo.m:Client.close"), sha1("    def close(self):\n        return 1\n"));
    assert_eq!(row("demo.m:Copied"), sha1("class Copied:\n    def run(self):\n        return 3\n"));
    assert_eq!(row("demo.m:wrapped"), sha1("@functools.wraps(len)\ndef wrapped(a):\n    return a\n"));
}

#[test]
fn names_alone_become_a_manifest() {
    let site = registry_with_module(
        "def called():\n    return 1\n",
        &[
            ("truing.toml", "[sync.demo]\n"),
            ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
            ("pins.json", "{\"demo.m:called\": []}"),
        ],
    );
    let output = site.sync(&["init", "demo", "--import", "pins.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: Value = serde_json::from_str(&site.read("upstream.json")).unwrap();
    assert_eq!(manifest["demo.m:called"]["raw"], json!([sha1("def called():\n    return 1\n")]));
}
