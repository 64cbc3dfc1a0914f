//! Tests of files whose changes are not known, such as binary files.

use super::*;

#[test]
fn a_file_with_unknown_changes_is_searched_only_for_secrets() {
    let text = format!("<<<<<<< HEAD\r\n=======\r\n>>>>>>> x\r\nkey={AWS_ID}\r\n");
    let large = [b"\0".as_slice(), &vec![b'\n'; 5_000_000]].concat();
    for (content, expected) in [
        (text.clone().into_bytes(), vec!["core/aws-access-key-id:4-4"]),
        (utf16(&text), vec!["core/aws-access-key-id:4-4"]),
        (format!("\0{text}").into_bytes(), vec!["core/aws-access-key-id:4-4"]),
        // The rule for the size of new files does not apply.
        (large, vec![]),
    ] {
        let file = ChangedFile { secrets_only: true, ..changed_file("a.txt", &[ALL]) };
        let report = read(tree(&[("a.txt", content.as_slice())]).path(), vec![file]);
        assert_eq!(finding_places(&report), expected);
        assert_eq!(skip_reason(&report), Some(SkipReason::Binary));
    }
}
