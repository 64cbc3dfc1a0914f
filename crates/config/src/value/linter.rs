//! Values for linters: the output format and the exit codes.

use toml::Spanned;
use toml::de::DeValue;
use truing_core::linter::{FORMATS, linter_output_format};

use super::{ConfigValue, ConfigValueError, ValueKind, requirement_error};

/// Highest exit code that a program can have.
const MAX_EXIT_CODE: i32 = 255;

/// Parses the name of an output format, in any letter case.
pub(super) fn parse_output_format(text: &str) -> Result<ConfigValue, ConfigValueError> {
    match linter_output_format(text) {
        Some(format) => Ok(ConfigValue::Text(format.to_owned())),
        None => Err(requirement_error(format_args!(
            "be a known format, not `{text}`; the known formats are `{}`",
            FORMATS.join("`, `")
        ))),
    }
}

/// Reads exit codes from the value of a key in a file.
pub(super) fn exit_codes_from_toml(value: &DeValue<'_>) -> Result<ConfigValue, ConfigValueError> {
    let code = |item: &Spanned<DeValue<'_>>| {
        let number = item.get_ref().as_integer()?;
        i32::from_str_radix(number.as_str(), number.radix()).ok()
    };
    check_exit_codes(value.as_array().and_then(|items| items.iter().map(code).collect()))
}

/// Checks exit codes and keeps each code once, in the given order. `None` means that the value is not a list
/// of integers.
pub(super) fn check_exit_codes(exit_codes: Option<Vec<i32>>) -> Result<ConfigValue, ConfigValueError> {
    let exit_codes = exit_codes.unwrap_or_default();
    if exit_codes.is_empty() || exit_codes.iter().any(|code| !(0..=MAX_EXIT_CODE).contains(code)) {
        let sample = ValueKind::ExitCodes.sample();
        return Err(requirement_error(format_args!(
            "be a list of exit codes from 0 to {MAX_EXIT_CODE}, such as {sample}"
        )));
    }
    let mut codes = Vec::new();
    for code in exit_codes {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    Ok(ConfigValue::ExitCodes(codes))
}
