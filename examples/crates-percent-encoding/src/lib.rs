//! Percent-encoding at compile time.

/// How a byte is written: `%` and two digits.
pub const fn encoded(byte: u8) -> [u8; 3] {
    [b'%', digit(byte >> 4), digit(byte & 15)]
}

/// Returns true if the byte must be encoded in every component of a URL.
pub const fn must_be_encoded(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric()
}

const fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'A' + value - 10,
    }
}
