//! libsemsynth: semsynth for C, C++ and every language that can call C.
//!
//! `include/semsynth.h` is generated from the comments in this crate and is the manual. Each module holds the functions
//! of one kind of object; the modules they build on, from the lowest to the highest: `status` (codes and messages),
//! `guard` (no panic leaves), `pointers` (what callers point at), `registry` (handles), `turn` (one call at a time).
//! Nothing here decides anything about pictures: that is the package `semsynth`.
//!
//! Every function is exported under its name and begins with a guard; unit tests check both.

#![allow(unsafe_code, reason = "this crate is the boundary to C; each block says why it is sound")]
#![allow(clippy::doc_markdown, reason = "comments are those of the header, for readers of C")]
#![allow(clippy::missing_safety_doc, reason = "the header's conventions are the contract of every function")]
#![allow(unreachable_pub, reason = "functions and types are public for C, not for Rust")]

mod cancel;
mod canvas;
mod device;
mod guard;
mod image;
mod job;
mod labels;
mod library;
mod model;
mod palette;
mod pointers;
mod registry;
mod request;
mod session;
mod status;
mod style;
mod turn;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::wildcard_imports, reason = "tests")]
mod tests;
