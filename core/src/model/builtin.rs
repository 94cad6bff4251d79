//! Models that are compiled into the library; `core/models/README.md` says how they were made.

/// Names and file contents.
const MODELS: [(&str, &[u8]); 2] = [
    ("facades", include_bytes!("../../models/facades.safetensors")),
    ("terrain", include_bytes!("../../models/terrain.safetensors")),
];

pub(super) fn bytes(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}
