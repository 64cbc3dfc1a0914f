//! The digest that an archive must have. Only SHA-256 and SHA-512 digests are used; digests of weaker hash
//! functions are ignored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

const SHA256_BYTES: usize = 32;
const SHA512_BYTES: usize = 64;

/// A digest of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArchiveDigest {
    /// SHA-256, which PyPI and crates.io use.
    Sha256([u8; SHA256_BYTES]),
    /// SHA-512, which npm uses.
    Sha512([u8; SHA512_BYTES]),
}

impl ArchiveDigest {
    /// Parses a SHA-256 digest in hexadecimal digits.
    pub fn from_sha256(hex_digits: &str) -> Option<Self> {
        hex::decode(hex_digits).ok()?.try_into().ok().map(Self::Sha256)
    }

    /// Parses a Subresource Integrity text as npm writes it: `sha512-…`. Spaces separate several digests.
    pub fn from_sri(text: &str) -> Option<Self> {
        let decoded = |prefix: &str| {
            let digest = text.split_whitespace().find_map(|one| one.strip_prefix(prefix))?;
            STANDARD.decode(digest.split('?').next()?).ok()
        };
        let sha512 = decoded("sha512-").and_then(|bytes| bytes.try_into().ok()).map(Self::Sha512);
        sha512.or_else(|| decoded("sha256-").and_then(|bytes| bytes.try_into().ok()).map(Self::Sha256))
    }

    /// Returns the name of the archive's file in a folder of archives.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Sha256(digest) => hex::encode(digest),
            Self::Sha512(digest) => format!("sha512-{}", hex::encode(digest)),
        }
    }

    /// Returns a hasher that computes the digest of downloaded bytes with the same hash function.
    pub(crate) fn hasher(&self) -> ArchiveHasher {
        match self {
            Self::Sha256(_) => ArchiveHasher::Sha256(Sha256::new()),
            Self::Sha512(_) => ArchiveHasher::Sha512(Box::new(Sha512::new())),
        }
    }
}

/// A digest that is being computed.
pub(crate) enum ArchiveHasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl ArchiveHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> ArchiveDigest {
        match self {
            Self::Sha256(hash) => ArchiveDigest::Sha256(hash.finalize().into()),
            Self::Sha512(hash) => ArchiveDigest::Sha512(hash.finalize().into()),
        }
    }
}
