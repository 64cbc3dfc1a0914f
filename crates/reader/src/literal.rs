//! Finds secrets that have no recognisable format: a value after a name such as `password`, a credential in a
//! URL, or a JSON Web Token.
//!
//! No rule reports such secrets, because too many of these findings would be false. Such secrets are removed
//! only from text that other people or services can see. Code stays readable, because names, calls,
//! placeholders and ordinary words are not treated as secrets (`password = form["password"]`).

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// Minimum number of characters of a value.
const MIN_VALUE_CHARS: usize = 8;
/// Minimum number of characters of a value that a person chose, such as a password.
const MIN_PASSWORD_CHARS: usize = 6;
/// Maximum number of characters of a value. A longer text counts as data, not as a secret.
const MAX_VALUE_CHARS: usize = 512;

/// Pattern for names of secret values. A name with a further word at its end (`token_type`, `password_field`)
/// does not match, because it refers to metadata.
const SECRET_NAME_PATTERN: &str = concat!(
    r#"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key"#,
    r#"|private[_-]?key|signing[_-]?key|encryption[_-]?key|auth[_-]?key|account[_-]?key|credentials?)"#,
    r#"(?:[_-]?(?:value|text|raw|main|prod|production|dev|staging|test|old|new|[0-9]+))?"#
);
/// Pattern for names of secrets that people choose.
const PASSWORD_NAME_PATTERN: &str = "(?:password|passwd|passphrase|pwd)";
/// Pattern for the text between a name and its value in an assignment, a field or a comparison. This text may
/// contain a type annotation.
const NAME_VALUE_SEPARATOR_PATTERN: &str =
    r#"["'\x60]?\]?[ \t]*(?::[ \t]*[A-Za-z_][A-Za-z0-9_.\[\]|&<>?, ]{0,40}=|===?|!==?|=>|:=|[:=])[ \t]*"#;

/// Patterns of secrets. The group `value` matches the secret value. An invalid pattern is left out; a test
/// would detect this.
static LITERAL_PATTERNS: LazyLock<Vec<LiteralPattern>> = LazyLock::new(|| {
    let of = |pattern: &str, is_value: fn(&str) -> bool| {
        Some(LiteralPattern { pattern: Regex::new(pattern).ok()?, is_secret_value: is_value })
    };
    let marks = ["\"", "'", "\\x60"];
    let quoted = |name: &'static str, least: usize, is_value: fn(&str) -> bool| {
        marks.map(|mark| {
            let value = format!(r"(?P<value>[^{mark}\\\s]{{{least},{MAX_VALUE_CHARS}}})");
            of(
                &format!(r"(?i-u){name}{NAME_VALUE_SEPARATOR_PATTERN}(?:[bfru]{{1,2}})?{mark}{value}{mark}"),
                is_value,
            )
        })
    };
    // Format of environment variables and URL parameters: no space is next to `=`, and a space, a quote or
    // `&` ends the value.
    let attached = |name: &'static str, least: usize, is_value: fn(&str) -> bool| {
        let value = format!(r#"(?P<value>[^\s"'\x60(){{}}\[\]<>,;&$]{{{least},{MAX_VALUE_CHARS}}})"#);
        of(&format!(r#"(?im-u){name}={value}(?:[\s&"'\x60]|$)"#), is_value)
    };
    let others = [
        of(
            &format!(
                r#"(?im-u){SECRET_NAME_PATTERN}{NAME_VALUE_SEPARATOR_PATTERN}{value}[ \t\r]*(?:#.*|//.*)?$"#,
                value = format_args!(
                    r#"(?P<value>[A-Za-z0-9!#%+/=@^_~-]{{{MIN_VALUE_CHARS},{MAX_VALUE_CHARS}}})"#
                ),
            ),
            is_unquoted_secret,
        ),
        attached(SECRET_NAME_PATTERN, MIN_VALUE_CHARS, is_unquoted_secret),
        attached(PASSWORD_NAME_PATTERN, MIN_PASSWORD_CHARS, is_human_chosen_secret),
        of(r"(?i-u)\b(?:bearer|basic)[ \t]+(?P<value>[A-Za-z0-9._~+/=-]{16,512})", |value| {
            has_mixed_characters(value) && !is_placeholder(value)
        }),
        of(r"(?-u)\beyJ[A-Za-z0-9_-]{8,}\.(?P<value>[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})", |_| true),
        of(
            concat!(
                r#"(?-u)\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@"'\x60<>]{0,100}:"#,
                r#"(?P<value>[^\s/@"'\x60<>]{3,200})@[A-Za-z0-9\[]"#
            ),
            is_url_password,
        ),
    ];
    let quoted = quoted(SECRET_NAME_PATTERN, MIN_VALUE_CHARS, is_quoted_secret).into_iter().chain(quoted(
        PASSWORD_NAME_PATTERN,
        MIN_PASSWORD_CHARS,
        is_human_chosen_secret,
    ));
    quoted.chain(others).flatten().collect()
});

struct LiteralPattern {
    pattern: Regex,
    /// Returns true if the text in the group `value` is a secret, and false if it is code or a placeholder.
    is_secret_value: fn(&str) -> bool,
}

/// Returns the ranges of secret values, in no particular order.
pub(crate) fn find_secret_values(text: &[u8]) -> Vec<Range<usize>> {
    let of = |form: &'static LiteralPattern| {
        form.pattern.captures_iter(text).filter_map(|captures| {
            let value = captures.name("value")?;
            let is_value = std::str::from_utf8(value.as_bytes()).is_ok_and(form.is_secret_value);
            is_value.then(|| value.range())
        })
    };
    LITERAL_PATTERNS.iter().flat_map(of).collect()
}

/// Returns true if a quoted text is a secret value.
fn is_quoted_secret(text: &str) -> bool {
    has_mixed_characters(text)
        && !has_code_reference(text)
        && !is_placeholder(text)
        && !looks_like_name(text)
        && !is_path_or_url(text)
}

/// Returns true if a text without quotes is a secret value. In code, most texts without quotes are names, so
/// the conditions are stricter than for quoted texts.
fn is_unquoted_secret(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() > 1
        && !text.contains(['.', ':'])
        && is_quoted_secret(text)
}

/// Returns true if the text may be a secret that a person chose. People often choose words and add digits or
/// signs, so words are not excluded here.
fn is_human_chosen_secret(text: &str) -> bool {
    has_mixed_characters(text)
        && !has_code_reference(text)
        && !is_placeholder(text)
        && !is_path_or_url(text)
        && !text.contains(['.', '_', ':'])
}

/// Returns true if the text contains letters and also digits or signs that do not occur in words.
fn has_mixed_characters(text: &str) -> bool {
    let has = |of: fn(&u8) -> bool| text.as_bytes().iter().any(of);
    let is_sign = |byte: &u8| b"!#%^*+=@?~".contains(byte);
    has(u8::is_ascii_alphabetic) && (has(u8::is_ascii_digit) || has(is_sign))
}

/// Returns true if the text contains characters by which code or a template refers to a value.
fn has_code_reference(text: &str) -> bool {
    text.contains(['{', '}', '<', '>', '(', ')', '[', ']', '|', '*', '$', '…'])
        || text.contains("%s")
        || text.contains("%2F")
        || text.starts_with("0x")
}

/// Returns true if the text contains a word that marks a placeholder, or consists of one repeated character.
fn is_placeholder(text: &str) -> bool {
    const PLACEHOLDER_WORDS: [&str; 17] = [
        "example",
        "sample",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "your",
        "dummy",
        "fake",
        "redacted",
        "hidden",
        "foobar",
        "xxxx",
        "password",
        "secret",
        "token",
        "mytoken",
    ];
    let lower = text.to_ascii_lowercase();
    let is_one_letter = lower.bytes().all(|byte| Some(byte) == lower.bytes().next());
    is_one_letter || PLACEHOLDER_WORDS.iter().any(|word| lower.contains(word))
}

/// Returns true if the text consists of words that are joined by signs. Each word may end with a number of at
/// most two digits. Names in programs look like this (`utf8_decoder`).
fn looks_like_name(text: &str) -> bool {
    let is_word = |part: &str| {
        let letters = part.trim_end_matches(|letter: char| letter.is_ascii_digit());
        part.len() - letters.len() <= 2 && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    text.split(|sign: char| !sign.is_ascii_alphanumeric()).all(is_word)
}

/// Returns true for a path or a URL. Credentials in URLs have a separate pattern.
fn is_path_or_url(text: &str) -> bool {
    text.contains("://")
        || text.starts_with(['/', '.', '~', '@', '#'])
        || text.matches('/').count() > 1 && !is_base64(text)
}

fn is_base64(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

/// Returns true if the text is a password in a URL. Placeholders that are common in documentation do not
/// count.
fn is_url_password(text: &str) -> bool {
    const PLACEHOLDER_PASSWORDS: [&str; 10] =
        ["guest", "pass", "passwd", "pwd", "pw", "user", "admin", "root", "test", "postgres"];
    let lower = text.to_ascii_lowercase();
    !has_code_reference(text)
        && !is_placeholder(text)
        && !PLACEHOLDER_PASSWORDS.contains(&lower.as_str())
        && !text.starts_with('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_values(text: &str) -> Vec<&str> {
        crate::snippet::SecretRanges::new(find_secret_values(text.as_bytes()))
            .0
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    /// Joins the two parts of a test secret. In this file, each test secret is split by `·`, so that the file
    /// contains no secret.
    fn join_parts(text: &str) -> String {
        text.replace('·', "")
    }

    #[test]
    fn values_are_found_wherever_they_are_written() {
        for (text, value) in [
            ("password = \"hun·ter2abc\"", "hunter2abc"),
            ("password: str = 'cor·rect7horse'", "correct7horse"),
            ("DB_PASSWORD=hun·ter22x", "hunter22x"),
            ("mysql --password=hun·ter2 --host db", "hunter2"),
            ("password = 'hun·ter2'", "hunter2"),
            ("https://h/login?user=a&password=S3·cretly&x=1", "S3cretly"),
            ("export API_KEY=a8f·5f167f44f4964e6c998dee827110c", "a8f5f167f44f4964e6c998dee827110c"),
            ("  token: 9f8·6d081884c7d65", "9f86d081884c7d65"),
            ("+    \"client_secret\": \"Zx8·Q~abcDEFghi123\",", "Zx8Q~abcDEFghi123"),
            ("headers[\"X-Api-Key\"] = \"k3y·-4f9a2b7c\"", "k3y-4f9a2b7c"),
            ("if token == 'tok·9384abcf':", "tok9384abcf"),
            ("  12\tconst authToken = `ab12·cd34ef`;", "ab12cd34ef"),
            ("Authorization: Bearer abc·def123456ghi789", "abcdef123456ghi789"),
            ("git clone https://joe:s3·cr3tpw@example.com/x.git", "s3cr3tpw"),
            ("postgres://app:q9·Zr@db/prod", "q9Zr"),
        ] {
            assert_eq!(secret_values(&join_parts(text)), [value], "{text}");
        }
        let token =
            ["eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0.", "dBjftJeZ4CVPmB92K27uhbUJU1p1r"].concat();
        assert_eq!(secret_values(&format!("the cookie was {token}")).len(), 1);
    }

    #[test]
    fn code_prose_and_placeholders_stay_readable() {
        for text in [
            "password = form[\"password\"]",
            "password = request.POST.get('password1')",
            "token = next_token2(stream)",
            "token := tokens[i+1]",
            "let token = self.tokens.next();",
            "secret = os.environ[\"SECRET_KEY_2\"]",
            "password: \"Passwort\"",
            "<input type=\"password\" name=\"password2\">",
            "token_type = \"urn:ietf:params:oauth2\"",
            "PASSWORD=${DB_PASSWORD_2}",
            "password = \"<your-password-1>\"",
            "api_key: YOUR_API_KEY_123",
            "token: ${{ secrets.GITHUB_TOKEN }}",
            "secret = sha256(key1 + key2)",
            "access_key = settings.AWS_S3_KEY",
            "postgres://user:password@localhost/db",
            "https://user:${TOKEN}@host/x",
            "mysql://root:root@127.0.0.1",
            "def login(user, password=None, token2=None):",
            "The password has 8 characters, and a token 16.",
            "token: AccessToken2 = build()",
            "pwd = os.getcwd()",
            "CREATE_SECRET = 0x00000020",
            "amqp://guest:guest@broker:1234//",
            "&X-Amz-Credential=akid%2F20161107%2F'",
            "connect(user=user2, password=password2, port=1)",
            "connect(password=pass22)",
            "connect(\n    password=value22,\n)",
            "password = hasher2",
            "password_field = \"id_password1\"",
            "secret: utf8_decoder",
            "max_tokens=4096",
            "tokenizer = \"cl100k_base\"",
            "credentials: 'same-origin'",
            "secretName: my-secret-v2",
            "token = \"/etc/app/token1\"",
            "Authorization: Bearer ${ACCESS_TOKEN_1234}",
        ] {
            assert_eq!(secret_values(text), [""; 0], "{text}");
        }
    }
}
