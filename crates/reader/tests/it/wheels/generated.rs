//! Generates wheels of one distribution. Each wheel is the plain wheel with up to three random variations,
//! some of them invalid.

use std::path::{Path, PathBuf};

/// Contents of files in the plain wheel.
pub(super) const CORE: &str = "try:\n    from ._speed import fast\nexcept ImportError:\n    fast = \
     None\n\n\ndef turn(a):\n    return a\n";
pub(super) const EXTRA: &str = "def pinned(a):\n    return a + 1\n";
const PLAIN: [(&str, &str); 7] = [
    ("rimx/__init__.py", "LIMIT = 1\n"),
    ("rimx/core.py", CORE),
    ("rimx/extra.py", EXTRA),
    ("rimx/table.json", "{\"a\": 1}\n"),
    ("rimx-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: rimx\nVersion: 1.0\n"),
    (
        "rimx-1.0.dist-info/WHEEL",
        "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    ),
    ("rimx-1.0.dist-info/RECORD", ""),
];
const TARGETS: [&str; 4] = ["rimx/__init__.py", "rimx/core.py", "rimx/extra.py", "rimx/table.json"];
/// Alternative names for the entry of a file in a folder. pip installs an entry with such a name either as
/// the same file or as a different file.
const ALIASES: [&str; 12] = [
    "./FOLDER/FILE",
    "FOLDER//FILE",
    "FOLDER/./FILE",
    "FOLDER/FILE",
    "rimx-1.0.data/purelib/FOLDER/FILE",
    "rimx-1.0.data/platlib/FOLDER/FILE",
    "RimX-1.0.data/purelib/FOLDER/FILE",
    "rimx-1.0.data/./purelib//FOLDER/FILE",
    "./rimx-1.0.data/purelib/FOLDER/FILE",
    "other-1.0.data/purelib/FOLDER/FILE",
    "Rimx/FILE",
    "rimx-1.0.data/data/FOLDER/FILE",
];
/// Files that Python may import in place of the intended module.
const OTHERS: [&str; 20] = [
    "rimx/core.abi3.so",
    "rimx/core.so",
    "rimx/extra.cpython-311-x86_64-linux-gnu.so",
    "rimx/extra.cpython-312-x86_64-linux-gnu.so",
    "rimx/core.pyd",
    "rimx/_speed.abi3.so",
    "rimx/_speed.py",
    "rimx/__init__.abi3.so",
    "rimx.abi3.so",
    "rimx.py",
    "rimx/core/__init__.py",
    "rimx/extra/__init__.pyc",
    "rimx/core/__init__.abi3.so",
    "rimx/extra/other.py",
    "rimx/__pycache__/core.cpython-311.pyc",
    "rimx/__pycache__/__init__.cpython-312.pyc",
    "rimx/extra.pyc",
    "rimx/CORE.py",
    "rimx/\u{ff43}ore.py",
    "rimx/core.pyi",
];
const STARTS: [&str; 5] =
    ["rimx.pth", "a.pth", "sitecustomize.py", "usercustomize/__init__.py", "rimx/in.pth"];
/// Entries that pip installs outside of the package.
const ELSEWHERE: [&str; 7] = [
    "rimx-1.0.data/scripts/go",
    "rimx-1.0.data/scripts/run",
    "rimx-1.0.data/scripts/run-script.py",
    "rimx-1.0.data/headers/rimx.h",
    "rimx-1.0.data/data/share/rimx/x.txt",
    "rimx-1.0.data/data/lib/python3.11/site-packages/rimx/core.py",
    "rimx-1.0.data/data/lib/python3.12/site-packages/a.pth",
];
/// Entries that no wheel should have; pip refuses most of them.
const BAD: [&str; 13] = [
    "../rimx/core.py",
    "../../rimx.py",
    "/rimx/core.py",
    "rimx/../rimx/core.py",
    "rimx\\core.py",
    "C:/rimx/core.py",
    "other-1.0.dist-info/METADATA",
    "rimx-1.0.data/library/rimx/core.py",
    "rimx-1.0.data/core.py",
    "rimx/core.py/x.py",
    "rimx-1.0.data/purelib/rimx/core.py/x.py",
    "rimx-1.0.data/purelib/../../../core.py",
    "rimx-1.0.dist-info",
];

/// Generator of pseudo-random numbers that are the same in each run.
pub(super) struct PseudoRandom(pub(super) u64);

impl PseudoRandom {
    fn random_below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn pick_one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random_below(choices.len())]
    }
}

/// Wheel with its entries in order; a name may occur twice.
#[derive(Clone)]
pub(super) struct Wheel(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    name: String,
    text: String,
}

impl Wheel {
    pub(super) fn plain() -> Self {
        let entry = |(name, text): (&str, &str)| Entry { name: name.to_owned(), text: text.to_owned() };
        Self(PLAIN.into_iter().map(entry).collect())
    }

    pub(super) fn with_file(&self, name: &str, text: &str) -> Self {
        let mut wheel = self.clone();
        wheel.0.push(Entry { name: name.to_owned(), text: text.to_owned() });
        wheel
    }

    pub(super) fn without_file(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry.name != name).cloned().collect())
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|entry| entry.name.as_str()).collect()
    }

    pub(super) fn random(chance: &mut PseudoRandom) -> Self {
        let mut wheel = Self::plain();
        for _ in 0..chance.random_below(4) {
            wheel = wheel.vary(chance);
        }
        // In a quarter of the wheels, the entries are in reverse order, because the order decides between two
        // entries with the same path.
        if chance.random_below(4) == 0 {
            wheel.0.reverse();
        }
        wheel
    }

    /// Returns the wheel with one variation.
    fn vary(&self, chance: &mut PseudoRandom) -> Self {
        let number = chance.random_below(3);
        let (code, target) = (
            format!("NUMBER = {number}\n\n\ndef other():\n    return {number}\n"),
            chance.pick_one(&TARGETS),
        );
        let (folder, file) = target.split_once('/').unwrap();
        match chance.random_below(12) {
            0 => self.with_file(&format!("rimx/other{number}.py"), &code),
            1 => self.without_file(target).with_file(target, &code),
            2 | 3 => {
                let alias = chance.pick_one(&ALIASES).replace("FOLDER", folder).replace("FILE", file);
                self.with_file(&alias, &code)
            }
            4 | 5 => self.with_file(chance.pick_one(&OTHERS), &code),
            6 => self.with_file(chance.pick_one(&STARTS), &code),
            7 => self.without_file(target),
            8 => {
                let text = self.0.iter().find(|entry| entry.name == target).map(|entry| entry.text.clone());
                let moved = self.without_file(target);
                let library = chance.pick_one(&["purelib", "platlib"]);
                text.map_or(moved.clone(), |text| {
                    moved.with_file(&format!("rimx-1.0.data/{library}/{target}"), &text)
                })
            }
            9 => {
                let wheel = self.with_file(chance.pick_one(&ELSEWHERE), &code);
                if chance.random_below(2) == 0 {
                    wheel.with_file(
                        "rimx-1.0.dist-info/entry_points.txt",
                        "[console_scripts]\nrun = rimx.core:turn\n",
                    )
                } else {
                    wheel
                }
            }
            10 => self.with_file(chance.pick_one(&BAD), &code),
            _ => {
                let file = chance.pick_one(&["WHEEL", "METADATA", "RECORD"]);
                let name = format!("rimx-1.0.dist-info/{file}");
                let other = match (file, number) {
                    ("WHEEL", 1) => "Wheel-Version: 2.0\n",
                    ("WHEEL", 2) => "Wheel-Version: 1.9\nRoot-Is-Purelib: false\n",
                    ("METADATA", 1) => "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
                    ("METADATA", 2) => "Metadata-Version: 2.1\nName: RimX\nVersion: 1.0\n",
                    _ => return self.without_file(&name),
                };
                self.without_file(&name).with_file(&name, other)
            }
        }
    }

    /// Writes the file to this folder and returns its path.
    pub(super) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("rimx-1.0-py3-none-any.whl");
        std::fs::write(&path, self.zip(1 << 11)).unwrap();
        path
    }

    /// Returns the wheel's bytes without the flag that marks names as UTF-8.
    pub(super) fn bytes_without_utf8_flag(&self) -> Vec<u8> {
        self.zip(0)
    }

    /// Returns the bytes of a zip file. This function writes the bytes itself, because zip libraries refuse
    /// duplicate names and names that lead out of the folder.
    fn zip(&self, flags: u16) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let half = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
        for Entry { name, text } in &self.0 {
            let mut sum = flate2::Crc::new();
            sum.update(text.as_bytes());
            // The fields are the version, the flags, no compression, the date 1980-01-01, the checksum and
            // the lengths.
            let (version, start) = (half(20), bytes.len());
            let mut common = [version, flags.to_le_bytes(), half(0), half(0), half(0x21)].concat();
            common.extend([sum.sum().to_le_bytes(), word(text.len()), word(text.len())].concat());
            common.extend([half(name.len()), half(0)].concat());
            bytes.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), text.as_bytes()].concat());
            let mode = word(0o100_644 << 16);
            directory.extend([b"PK\x01\x02".as_slice(), &half(0x0314), &common, &[0; 6], &mode].concat());
            directory.extend([word(start).as_slice(), name.as_bytes()].concat());
        }
        let count = half(self.0.len());
        let end = [
            b"PK\x05\x06".as_slice(),
            &[0; 4],
            &count,
            &count,
            &word(directory.len()),
            &word(bytes.len()),
            &[0; 2],
        ];
        [bytes.as_slice(), &directory, &end.concat()].concat()
    }
}
