//! Parses the directory of a zip file strictly, and returns the names of all entries in order, including
//! duplicates. Content that programs could interpret in different ways is an error. Examples are a second
//! directory, a name that is not UTF-8, and an entry whose local name differs from the name in the directory.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// Signature of an entry in the directory, and the length of the entry's fixed part.
const DIRECTORY_ENTRY_HEADER: (&[u8], usize) = (b"PK\x01\x02", 46);
const LOCAL_FILE_HEADER: (&[u8], usize) = (b"PK\x03\x04", 30);
const END_OF_DIRECTORY_RECORD: (&[u8], usize) = (b"PK\x05\x06", 22);
/// Signature of the ZIP64 end record, which follows the entries of a very long directory.
const ZIP64_END_SIGNATURE: &[u8] = b"PK\x06\x06";
/// Flag of an entry whose name is UTF-8.
const UTF8_NAME_FLAG: u16 = 1 << 11;

/// The end of a zip file and the location of the directory, as determined by the zip library.
pub(super) struct ZipDirectoryEnd<'a> {
    /// Offset of the directory in bytes.
    pub(super) directory_offset: u64,
    /// Number of bytes before the archive.
    pub(super) prefix_length: u64,
    /// Comment at the end of the file.
    pub(super) comment: &'a [u8],
}

/// Returns the names of the entries. At most `max_entries` + 1 names are returned. If the list has this
/// length, the archive has too many entries.
pub(super) fn read_entry_names(
    file: &mut File,
    end_record: &ZipDirectoryEnd<'_>,
    max_entries: usize,
) -> Result<Vec<String>, String> {
    let failed = |error: io::Error| error.to_string();
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let end = length
        .checked_sub((END_OF_DIRECTORY_RECORD.1 + end_record.comment.len()) as u64)
        .ok_or("the end of the archive is missing")?;
    let is_end = read_bytes(file, end, END_OF_DIRECTORY_RECORD.1)
        .map_err(failed)?
        .starts_with(END_OF_DIRECTORY_RECORD.0);
    let is_second = end_record
        .comment
        .windows(END_OF_DIRECTORY_RECORD.0.len())
        .any(|window| window == END_OF_DIRECTORY_RECORD.0);
    if end_record.prefix_length != 0 || !is_end || is_second {
        return Err("the file does not consist of exactly one archive".to_owned());
    }
    let (mut names, mut at) = (Vec::new(), end_record.directory_offset);
    while at < end && names.len() <= max_entries {
        let head = read_bytes(
            file,
            at,
            DIRECTORY_ENTRY_HEADER.1.min(usize::try_from(end - at).unwrap_or(DIRECTORY_ENTRY_HEADER.1)),
        )
        .map_err(failed)?;
        if head.starts_with(ZIP64_END_SIGNATURE) {
            break;
        }
        let entry = ZipEntry::parse(&head).ok_or("the archive's directory is damaged")?;
        let name =
            read_bytes(file, at + DIRECTORY_ENTRY_HEADER.1 as u64, entry.name_length).map_err(failed)?;
        let name = entry.decode_name(name)?;
        let local =
            read_bytes(file, entry.local_header_offset, LOCAL_FILE_HEADER.1 + name.len()).map_err(failed)?;
        let same = local.starts_with(LOCAL_FILE_HEADER.0)
            && read_u16(&local, 26) == u16::try_from(name.len()).ok()
            && local.get(LOCAL_FILE_HEADER.1..) == Some(name.as_bytes());
        if !same {
            return Err(format!("the entry {name:?} has a different name in its local header"));
        }
        names.push(name);
        at += (DIRECTORY_ENTRY_HEADER.1 + entry.name_length + entry.rest_length) as u64;
    }
    Ok(names)
}

/// An entry in the directory of a zip file.
struct ZipEntry {
    is_utf8: bool,
    /// Length of the entry's name (`name`), and of all fields after the name (`rest`).
    name_length: usize,
    rest_length: usize,
    /// Offset of the entry's local header, which precedes its bytes.
    local_header_offset: u64,
}

impl ZipEntry {
    fn parse(head: &[u8]) -> Option<Self> {
        if !head.starts_with(DIRECTORY_ENTRY_HEADER.0) {
            return None;
        }
        let length = |at| read_u16(head, at).map(usize::from);
        let (low, high) = (read_u16(head, 42)?, read_u16(head, 44)?);
        Some(Self {
            is_utf8: read_u16(head, 8)? & UTF8_NAME_FLAG != 0,
            name_length: length(28)?,
            rest_length: length(30)? + length(32)?,
            local_header_offset: u64::from(low) | (u64::from(high) << 16),
        })
    }

    fn decode_name(&self, name: Vec<u8>) -> Result<String, String> {
        let is_plain = name.is_ascii() || self.is_utf8;
        let text = String::from_utf8(name).ok().filter(|_| is_plain);
        text.ok_or_else(|| "the name of an entry is not marked as UTF-8".to_owned())
    }
}

fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    let pair: [u8; 2] = bytes.get(offset..offset + 2)?.try_into().ok()?;
    Some(u16::from_le_bytes(pair))
}

fn read_bytes(file: &mut File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
