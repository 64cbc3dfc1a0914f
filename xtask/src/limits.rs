//! Generates `docs/reference/limits.md`: the limits of every text that untrusted people may write. The values
//! are read from the constants in the source.
//!
//! `docs/reference/limits.toml` names the constants and the tests that exceed them. Below its tables, the
//! page lists all other constants named `MAX_…`.

mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;
use value::{ConstantValue, SourceConstant};

/// The file from which the page is generated.
const TABLE_PATH: &str = "docs/reference/limits.toml";
/// The path of the page.
#[cfg(test)]
const PAGE_PATH: &str = "docs/reference/limits.md";

#[derive(Deserialize)]
struct LimitsTable {
    input: Vec<LimitedInput>,
}

/// A text that untrusted people may write, the code that reads the text, and the text's limits.
#[derive(Deserialize)]
struct LimitedInput {
    name: String,
    by: String,
    bounds: Vec<[String; 5]>,
}

/// The texts of all sources of the workspace, and the names of all tests.
struct WorkspaceSources {
    texts: BTreeMap<String, String>,
    test_names: BTreeSet<String>,
}

impl WorkspaceSources {
    fn read(root: &Path) -> Result<Self> {
        let tracked = workspace::tracked_files(root)?.into_iter();
        let texts: BTreeMap<String, String> = tracked
            .filter(|file| file.path.starts_with("crates/") && file.path.ends_with(".rs"))
            .map(|file| (file.path, file.text))
            .collect();
        let named = |line: &str| Some(line.split_once("fn ")?.1.split_once('(')?.0.to_owned());
        let tests = texts.values().flat_map(|text| {
            let is_test =
                |line: &str| line.trim().starts_with("#[test]") || line.trim().starts_with("#[tokio::test");
            let after = move |at: usize| text.lines().skip(at + 1).take(4).find_map(named);
            text.lines()
                .enumerate()
                .filter(move |(_, line)| is_test(line))
                .filter_map(move |(at, _)| after(at))
        });
        let tests = tests.collect();
        Ok(Self { texts, test_names: tests })
    }

    /// Returns true if a test has this name, either as a function or in the table of a test program with its
    /// own harness.
    fn is_test(&self, name: &str) -> bool {
        let in_table = format!("\"{name}\",");
        self.test_names.contains(name) || self.texts.values().any(|text| text.contains(&in_table))
    }

    /// Returns the value of a constant. `constant` has the form `FILE NAME`.
    fn constant_value(&self, constant: &str) -> Result<ConstantValue> {
        let (path, name) = constant.split_once(' ').context("it is not a file and name")?;
        let text = self.texts.get(path).context("there is no such file")?;
        let mut all = value::parse_constants(text);
        if name.starts_with(|first: char| first.is_ascii_lowercase()) {
            all.push(default_field(text, name)?);
        }
        value::evaluate_constant(name, &all)
    }
}

/// Returns a field's value in the file's `Default` implementation, as if the value were a constant.
fn default_field(text: &str, name: &str) -> Result<SourceConstant> {
    let default = text.split_once("impl Default for ").context("it has no default")?.1;
    let begin = [format!(" {name}: "), format!("\n{name}: ")];
    let rest = begin.iter().find_map(|begin| default.split_once(begin.as_str()));
    let rest = rest.with_context(|| format!("its default has no {name}"))?.1;
    let end = rest.find([',', '}', '\n']).unwrap_or(rest.len());
    Ok(SourceConstant::new(name, rest.get(..end).unwrap_or_default()))
}

/// Renders the page of limits.
pub(crate) fn render_page(root: &Path) -> Result<String> {
    let table = std::fs::read_to_string(root.join(TABLE_PATH))
        .with_context(|| format!("cannot read {TABLE_PATH}"))?;
    let table: LimitsTable = toml::from_str(&table).with_context(|| format!("{TABLE_PATH} is wrong"))?;
    let sources = WorkspaceSources::read(root)?;
    let mut page = format!(
        "# Limits\n\n<!-- Generated from {} and the constants. To update it: UPDATE_DOCS=1 cargo test -p \
        xtask -->\n\nThis page lists each text that an untrusted person may write, and the process that \
        handles the text. For each limit, a table shows what happens if a text exceeds the limit, and \
        whether a test exceeds it. Each parser uses at most 256 MiB and 2 s for a text. Limits that can \
        be configured are in [config.md](config.md). `cargo xtask fuzz bombs` generates small texts \
        that cost parsers much \
        time or memory, and prints the worst texts.\n",
        TABLE_PATH.rsplit('/').next().unwrap_or(TABLE_PATH),
    );
    let mut rendered = BTreeSet::new();
    for input in &table.input {
        write!(
            page,
            "\n## {}\n\nHandled by {}.\n\n| Limited quantity | Limit | If the limit is exceeded | Tested \
                |\n|---|---|---|---|\n",
            input.name, input.by
        )?;
        for [of, constant, unit, beyond, test] in &input.bounds {
            let value =
                sources.constant_value(constant).with_context(|| format!("{TABLE_PATH}: {constant}"))?;
            if !test.is_empty() && !sources.is_test(test) {
                bail!("{TABLE_PATH}: {of}: there is no test `{test}`");
            }
            let is_tested = if test.is_empty() { "no" } else { "yes" };
            let value = format_value(value, unit).with_context(|| format!("{TABLE_PATH}: {constant}"))?;
            writeln!(page, "| {of} | {value} | {beyond} | {is_tested} |")?;
            rendered.insert(constant.as_str());
        }
    }
    page += "\n## All other constants that are limits\n\n| Constant | Value | Meaning |\n|---|---|---|\n";
    for (path, text) in &sources.texts {
        let is_ours =
            path.contains("/src/") && !path.starts_with("crates/fakes/") && !path.contains("/tests");
        for constant in value::parse_constants(text).iter().filter(|_| is_ours) {
            let place = format!("{path} {}", constant.name);
            if constant.name.starts_with("MAX_") && !rendered.contains(place.as_str()) {
                let short = path.trim_start_matches("crates/").replace("/src/", "/");
                writeln!(
                    page,
                    "| `{short}` `{}` | `{}` | {} |",
                    constant.name,
                    constant.expression(),
                    escape_cell(&constant.doc_comment)
                )?;
            }
        }
    }
    Ok(page)
}

fn escape_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Formats a value with its unit.
fn format_value(value: ConstantValue, unit: &str) -> Result<String> {
    Ok(match (value, unit) {
        (ConstantValue::Number(bytes), "bytes") => {
            let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
            let fits = units.into_iter().find(|(by, _)| bytes >= 1 << by && bytes % (1 << by) == 0);
            fits.map_or_else(|| format!("{bytes} bytes"), |(by, unit)| format!("{} {unit}", bytes >> by))
        }
        (ConstantValue::Number(count), "count") => format_grouped(count),
        (ConstantValue::Time(time), "time") if time < Duration::from_secs(1) => {
            format!("{} ms", time.as_millis())
        }
        (ConstantValue::Time(time), "time") if time.as_secs() % 60 == 0 => {
            format!("{} min", time.as_secs() / 60)
        }
        (ConstantValue::Time(time), "time") => format!("{} s", time.as_secs_f64()),
        (value, unit) => bail!("{value:?} is not told in {unit}"),
    })
}

/// Formats a number such as `10,000`.
fn format_grouped(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(String::from_utf8_lossy);
    let all = (!head.is_empty()).then(|| head.into()).into_iter().chain(groups);
    all.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_limits_is_what_the_constants_say_and_every_test_is_there() {
        let root = workspace::workspace_root().unwrap();
        let page = render_page(&root).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(root.join(PAGE_PATH), &page).unwrap();
        }
        let written = std::fs::read_to_string(root.join(PAGE_PATH)).unwrap_or_default();
        assert!(written == page, "{PAGE_PATH}: update it: UPDATE_DOCS=1 cargo test -p xtask");
    }

    #[test]
    fn values_are_told_with_their_units() {
        for (value, unit, told) in [
            (ConstantValue::Number(64 << 20), "bytes", "64 MiB"),
            (ConstantValue::Number(1000), "bytes", "1000 bytes"),
            (ConstantValue::Number(1_234_567), "count", "1,234,567"),
            (ConstantValue::Number(64), "count", "64"),
            (ConstantValue::Time(Duration::from_millis(1500)), "time", "1.5 s"),
            (ConstantValue::Time(Duration::from_secs(120)), "time", "2 min"),
            (ConstantValue::Time(Duration::from_millis(20)), "time", "20 ms"),
        ] {
            assert_eq!(format_value(value, unit).unwrap(), told);
        }
        format_value(ConstantValue::Number(1), "time").unwrap_err();
    }

    #[test]
    fn a_field_of_a_default_is_read() {
        let text = "struct A { b: u64 }\nimpl Default for A \
             {\n fn default() -> Self { Self { b: 4 << 10, c: 1 } }\n}";
        assert_eq!(
            value::evaluate_constant("b", &[default_field(text, "b").unwrap()]).unwrap(),
            ConstantValue::Number(4 << 10)
        );
        assert!(default_field(text, "d").is_err());
    }
}
