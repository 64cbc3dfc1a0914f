//! Limits the size of file patterns. A pattern beyond these limits is not compiled.

/// Maximum length of a pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 1_000;
/// Maximum number of open braces. The glob compiler recurses for each open brace, and thousands of braces
/// would overflow the stack.
pub const MAX_OPEN_BRACES: usize = 16;

/// Checks the bounds of a pattern, and returns the reason if the pattern is refused.
///
/// # Errors
/// If the pattern is longer than [`MAX_PATTERN_BYTES`], or nests more than [`MAX_OPEN_BRACES`] braces.
pub fn check_bounds(pattern: &str) -> Result<(), String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "a pattern may have at most {MAX_PATTERN_BYTES} bytes, but this pattern has {}",
            pattern.len()
        ));
    }
    let mut open = 0_usize;
    for byte in pattern.bytes() {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN_BRACES {
            return Err(format!(
                "a pattern may nest at most {MAX_OPEN_BRACES} braces, but this pattern nests more"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_writes_is_not_compiled() {
        assert!(check_bounds("src/**/*.{ts,tsx,{m,c}js}").is_ok());
        assert!(check_bounds(&"{a,b}".repeat(100)).is_ok());
        assert!(check_bounds(&"{".repeat(MAX_OPEN_BRACES)).is_ok());
        assert!(check_bounds(&"{".repeat(MAX_OPEN_BRACES + 1)).unwrap_err().contains("16 braces"));
        assert!(check_bounds(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err().contains("1001"));
    }
}
