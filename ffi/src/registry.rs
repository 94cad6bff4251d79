//! Handles: numbers in the form of pointers, which are never dereferenced and never used twice. So a handle that was
//! released, or is of another type, is an error and not a crash.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::pointers::Out;
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_INVALID_HANDLE};

/// The type that a handle points to in C.
pub(crate) trait Handle {
    /// What it stands for.
    type Object: Any + Send + Sync;
    /// The name in messages.
    const NAME: &'static str;
}

struct Entry {
    object: Arc<dyn Any + Send + Sync>,
    owners: usize,
}

type Table = HashMap<usize, Entry>;

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

/// Handles look like addresses of the first page and the ones after it; 0 is NULL.
static NEXT: AtomicUsize = AtomicUsize::new(1);

fn reading() -> RwLockReadGuard<'static, Table> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner)
}

fn writing() -> RwLockWriteGuard<'static, Table> {
    TABLE.write().unwrap_or_else(PoisonError::into_inner)
}

fn unknown<H: Handle>() -> Fault {
    let name = H::NAME;
    Fault::new(
        SEMSYNTH_STATUS_INVALID_HANDLE,
        format!("this is no handle of a {name}: it was released before, is of another type, or never was one"),
    )
}

/// Makes a handle with one owner and writes it.
pub(crate) fn give<H: Handle>(object: H::Object, out: Out<*mut H>) {
    out.write(insert::<H>(object));
}

/// Makes a handle with one owner.
pub(crate) fn insert<H: Handle>(object: H::Object) -> *mut H {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    writing().insert(id, Entry { object: Arc::new(object), owners: 1 });
    std::ptr::without_provenance_mut(id)
}

/// What a handle stands for.
pub(crate) fn get<H: Handle>(handle: *const H) -> Outcome<Arc<H::Object>> {
    if handle.is_null() {
        return Err(Fault::null(H::NAME));
    }
    let object = reading().get(&handle.addr()).map(|entry| Arc::clone(&entry.object));
    object.and_then(|object| object.downcast().ok()).ok_or_else(unknown::<H>)
}

/// As [`get`], and `None` for NULL.
pub(crate) fn get_optional<H: Handle>(handle: *const H) -> Outcome<Option<Arc<H::Object>>> {
    if handle.is_null() { Ok(None) } else { get(handle).map(Some) }
}

/// Adds an owner.
pub(crate) fn retain<H: Handle>(handle: *const H) -> Outcome {
    if handle.is_null() {
        return Err(Fault::null(H::NAME));
    }
    match writing().get_mut(&handle.addr()) {
        Some(entry) if entry.object.is::<H::Object>() => {
            entry.owners += 1;
            Ok(())
        }
        _ => Err(unknown::<H>()),
    }
}

/// Removes an owner; the last one gets what the handle stood for. NULL is fine.
pub(crate) fn release<H: Handle>(handle: *const H) -> Outcome<Option<Arc<H::Object>>> {
    if handle.is_null() {
        return Ok(None);
    }
    let id = handle.addr();
    let removed = {
        let mut table = writing();
        match table.get_mut(&id) {
            Some(entry) if entry.object.is::<H::Object>() => entry.owners -= 1,
            _ => return Err(unknown::<H>()),
        }
        if table.get(&id).is_some_and(|entry| entry.owners == 0) { table.remove(&id) } else { None }
    };
    // Dropped by the caller, for that may take long and call back.
    Ok(removed.and_then(|entry| entry.object.downcast().ok()))
}
