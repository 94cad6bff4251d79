//! Models that are part of the library.

/// Name and file content.
const MODELS: [(&str, &[u8]); 0] = [];

pub(super) fn bytes(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}
