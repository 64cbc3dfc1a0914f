//! Parses the part of the `Link` header (RFC 8288) that lists need: the target of the link whose relation is
//! `next`.

/// Returns the target of the `next` link in a header value, without resolving the target.
pub(super) fn next_page_url(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, after) = split_link(after);
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = after;
    }
}

/// Splits a header value before the comma that ends its first link. A comma within quotes does not end a
/// link.
fn split_link(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, char) in text.char_indices() {
        match char {
            '"' => quoted = !quoted,
            ',' if !quoted => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

/// Returns true if this parameter is a `rel` that contains `next`. One `rel` may hold several relations,
/// separated by spaces.
fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    name.trim().eq_ignore_ascii_case("rel")
        && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::next_page_url;

    #[test]
    fn the_next_page_is_found_in_every_spelling() {
        let table = [
            (
                r#"<https://x/a?page=2>; rel="next", <https://x/a?page=9>; rel="last""#,
                Some("https://x/a?page=2"),
            ),
            (
                r#"<https://x/a?page=1>; rel="prev", <https://x/a?page=3>; rel="next""#,
                Some("https://x/a?page=3"),
            ),
            (r#"<https://x/a,b;c>; title="a, <b>"; rel=next"#, Some("https://x/a,b;c")),
            (r#"</a?page=2>;REL="last NEXT""#, Some("/a?page=2")),
            (r#"<https://x/a?page=9>; rel="last""#, None),
            (r#"<https://x/next>; rel="nextish"; title="next""#, None),
            ("<https://x/a", None),
            ("rel=next", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(next_page_url(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(value in "[<>;,=\" a-zé]{0,40}") {
            let _ = next_page_url(&value);
        }
    }
}
