//! Tests with damaged outputs of real tools. The reader reads each damaged output in its original format and
//! in the recognised format. It must not panic or exceed its limits.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use truing_reader::output::report::{MAX_DIAGNOSTICS, MAX_PROBLEMS};
use truing_reader::output::{
    DiagnosticMapping, DiagnosticReport, FileText, OutputContext, OutputFormat, map_diagnostic, read_output,
    recognize_format,
};

use super::real::{OUTPUTS, bytes};

/// Maximum size in bytes of the outputs that the tests damage. Larger outputs would take too long.
const MAX_BYTES: usize = 200_000;

/// Generates JSON values of types that the formats do not expect.
fn odd_value_strategy() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(null),
            json!(true),
            json!(-1),
            json!(0),
            json!(u64::MAX),
            json!(1e300),
            json!(""),
            json!("a/../../b"),
            json!("/etc/passwd"),
            json!("file:///a%00b"),
            json!("C:\\a\\b.py"),
            json!("\u{1b}[31m\u{202e}<!-- x -->"),
            json!([]),
            json!({}),
            json!([[[[[[[[]]]]]]]]),
        ]),
        "\\PC{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..3_000_usize).prop_map(|length| Value::from("x/".repeat(length))),
    ]
}

/// Returns the number of JSON values in `value`, including `value` itself.
fn count_values(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(count_values).sum(),
        Value::Object(all) => all.values().map(count_values).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Returns `value` with `new` instead of the nested value with the index `at`. The values are counted as in
/// `count_values`.
fn replace_value(value: Value, at: &mut usize, new: &Value) -> Value {
    if *at == 0 {
        *at = usize::MAX;
        return new.clone();
    }
    *at = at.saturating_sub(usize::from(*at != usize::MAX));
    match value {
        Value::Array(all) => all.into_iter().map(|one| replace_value(one, at, new)).collect(),
        Value::Object(all) => {
            let all: Map<String, Value> =
                all.into_iter().map(|(key, one)| (key, replace_value(one, at, new))).collect();
            Value::Object(all)
        }
        leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => leaf,
    }
}

/// Checks that a report is within the limits, and that its texts contain no control characters.
fn check_bounds(report: &DiagnosticReport) {
    assert!(report.problems.len() <= MAX_PROBLEMS && report.diagnostics.len() <= MAX_DIAGNOSTICS);
    let (file, mapping) = (FileText::new("é = 1\r\n\u{feff}x\n".as_bytes()), DiagnosticMapping::default());
    for found in report.diagnostics.iter().take(20) {
        assert!(found.path.is_safe_to_write() && !found.message.is_empty(), "{found:?}");
        assert!(!found.message.chars().any(char::is_control), "{found:?}");
        if let Ok(raw) = map_diagnostic(found, &file, &mapping) {
            assert!((1..=raw.location.end_line).contains(&raw.location.start_line), "{raw:?}");
            assert!(!raw.title.is_empty() && !raw.title.chars().any(char::is_control), "{raw:?}");
        }
    }
}

fn read_damaged(format: &str, bytes: &[u8]) {
    let roots = ["/build/tree".to_owned()];
    let input = OutputContext { roots: &roots, ..OutputContext::default() };
    let named = OutputFormat::parse(format).unwrap();
    check_bounds(&read_output(named, bytes, &input));
    if let Some(other) = recognize_format(bytes).filter(|other| *other != named) {
        check_bounds(&read_output(other, bytes, &input));
    }
}

fn small_outputs() -> Vec<(&'static str, Vec<u8>)> {
    let all = OUTPUTS.iter().map(|(name, format, _)| (*format, bytes(name)));
    all.filter(|(_, bytes)| bytes.len() <= MAX_BYTES).collect()
}

#[test]
fn most_outputs_are_damaged_and_each_is_read_as_it_is() {
    assert!(small_outputs().len() * 10 >= OUTPUTS.len() * 8, "{}", small_outputs().len());
    for (format, bytes) in small_outputs() {
        read_damaged(format, &bytes);
        // The output is cut at 39 offsets.
        for part in 1..40 {
            read_damaged(format, &bytes[..bytes.len() * part / 40]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_value_in_the_place_of_another_one_is_no_danger(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), new in odd_value_strategy(),
    ) {
        let all: Vec<(&str, Value)> = small_outputs()
            .into_iter()
            .filter_map(|(format, bytes)| Some((format, serde_json::from_slice(&bytes).ok()?)))
            .collect();
        let (format, value) = which.get(&all).clone();
        let mut place = at.index(count_values(&value));
        let damaged = replace_value(value, &mut place, &new);
        read_damaged(format, damaged.to_string().as_bytes());
    }

    #[test]
    fn bytes_in_the_place_of_others_are_no_danger(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), length in 0..60_usize,
        new in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let all = small_outputs();
        let (format, bytes) = which.get(&all);
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        read_damaged(format, &[&bytes[..start], &new, &bytes[end..]].concat());
    }

    #[test]
    fn lines_that_are_repeated_swapped_or_gone_are_no_danger(
        which in any::<prop::sample::Index>(), lines in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let all = small_outputs();
        let (format, bytes) = which.get(&all);
        let own: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let damaged: Vec<u8> = lines.iter().flat_map(|at| at.get(&own).to_vec()).collect();
        read_damaged(format, &damaged);
    }
}
