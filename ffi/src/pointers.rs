//! What callers point at: texts, arrays, outputs, and structs that grow from version to version.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::slice;

use crate::status::{
    Fault, Outcome, SEMSYNTH_STATUS_BUFFER_TOO_SMALL, SEMSYNTH_STATUS_LIMIT, SEMSYNTH_STATUS_VERSION_MISMATCH,
};

/// Larger structs are none of this library's, in any version.
pub(crate) const LARGEST_STRUCT: usize = 4096;

/// A struct that begins with its size.
///
/// # Safety
///
/// The type is `repr(C)`, begins with `struct_size: usize`, and a value of zero bytes is valid.
pub(crate) unsafe trait Versioned: Copy {
    /// The name in messages.
    const NAME: &'static str;
    /// Its size in the first version that had it.
    const FIRST: usize;
}

/// Declares structs [`Versioned`].
macro_rules! versioned {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: a `repr(C)` struct of integers, floats, pointers and optional functions, led by its size.
        unsafe impl $crate::pointers::Versioned for $type {
            const NAME: &'static str = stringify!($type);
            const FIRST: usize = size_of::<$type>();
        }
    )*};
}
pub(crate) use versioned;

fn check<T>(pointer: *const T, name: &str) -> Outcome {
    if pointer.is_null() {
        return Err(Fault::null(name));
    }
    if !pointer.is_aligned() {
        return Err(Fault::argument(format!("{name} is not aligned to {} bytes", align_of::<T>())));
    }
    Ok(())
}

/// The size that a struct says it has.
///
/// # Safety
///
/// As [`read_struct`].
unsafe fn struct_size<T: Versioned>(pointer: *const T, name: &str) -> Outcome<usize> {
    check(pointer, name)?;
    // SAFETY: it is not NULL and aligned, and the caller vouches for the rest; its first field is the size.
    let size = unsafe { pointer.cast::<usize>().read() };
    if (T::FIRST..=LARGEST_STRUCT).contains(&size) {
        return Ok(size);
    }
    Err(Fault::new(
        SEMSYNTH_STATUS_VERSION_MISMATCH,
        format!("{name}: struct_size is {size}; set it to sizeof({}), or use semsynth_init", T::NAME),
    ))
}

/// Reads a struct of this or another version of the header: fields it lacks are 0, and fields that this library does
/// not know must be.
///
/// # Safety
///
/// If not NULL, `pointer` points to as many readable bytes as its first field says.
pub(crate) unsafe fn read_struct<T: Versioned>(pointer: *const T, name: &str) -> Outcome<T> {
    // SAFETY: as the caller's.
    let size = unsafe { struct_size(pointer, name)? };
    let known = size.min(size_of::<T>());
    // SAFETY: the caller vouches for `size` bytes.
    let unknown = unsafe { slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if unknown.iter().any(|&byte| byte != 0) {
        return Err(Fault::new(
            SEMSYNTH_STATUS_VERSION_MISMATCH,
            format!("{name} sets fields of a newer {} that this version of the library does not know", T::NAME),
        ));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are readable and fit; zero bytes are a valid `T`, by the contract of `Versioned`.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast(), known);
        Ok(value.assume_init())
    }
}

/// As [`read_struct`], and `None` for NULL.
///
/// # Safety
///
/// As [`read_struct`].
pub(crate) unsafe fn read_optional<T: Versioned>(pointer: *const T, name: &str) -> Outcome<Option<T>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller's.
    unsafe { read_struct(pointer, name).map(Some) }
}

/// A place for an output, checked before anything is computed.
#[derive(Clone, Copy)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    ///
    /// If not NULL, `pointer` can be written until [`write`](Self::write).
    pub(crate) unsafe fn new(pointer: *mut T, name: &str) -> Outcome<Self> {
        check(pointer, name).map(|()| Self(pointer))
    }

    /// The pointer, for arrays.
    pub(crate) fn pointer(self) -> *mut T {
        self.0
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: not NULL, aligned, and the caller of `new` vouches that it can be written.
        unsafe { self.0.write(value) }
    }
}

/// A place for an output struct: the caller has set its size.
pub(crate) struct OutStruct<T>(*mut T, usize);

impl<T: Versioned> OutStruct<T> {
    /// # Safety
    ///
    /// If not NULL, `pointer` points to as many bytes as its first field says, and they can be written until
    /// [`write`](Self::write).
    pub(crate) unsafe fn new(pointer: *mut T, name: &str) -> Outcome<Self> {
        // SAFETY: as the caller's.
        unsafe { struct_size(pointer, name).map(|size| Self(pointer, size)) }
    }

    /// Writes the fields that the caller knows. The size stays.
    pub(crate) fn write(self, value: &T) {
        let (skip, end) = (size_of::<usize>(), self.1.min(size_of::<T>()));
        let from: *const u8 = std::ptr::from_ref(value).cast();
        // SAFETY: `end` bytes are within both structs, and the caller of `new` vouches for its own.
        unsafe { std::ptr::copy_nonoverlapping(from.add(skip), self.0.cast::<u8>().add(skip), end - skip) }
    }
}

/// A text of the caller's.
///
/// # Safety
///
/// If not NULL, `pointer` points to a text that ends with a zero byte and stays for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Outcome<&'a str> {
    check(pointer, name)?;
    // SAFETY: as the caller's.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|error| Fault::argument(format!("{name} is not UTF-8: {error}")))
}

/// An array of the caller's; NULL is fine if it is empty.
///
/// # Safety
///
/// If not NULL, `pointer` points to `len` values that stay and do not change for `'a`.
pub(crate) unsafe fn array<'a, T>(pointer: *const T, len: usize, name: &str) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check(pointer, name)?;
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Fault::argument(format!("{name}: {len} elements are more than memory can hold")));
    }
    // SAFETY: not NULL and aligned, of a possible size, and the caller vouches for the rest.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// Room for values whose number the caller chose, or a fault where the system has none.
pub(crate) fn room<T>(count: usize, name: &str) -> Outcome<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let bytes = count.saturating_mul(size_of::<T>());
        Fault::new(
            SEMSYNTH_STATUS_LIMIT,
            format!("{name} takes {bytes} bytes of memory, which the system does not give"),
        )
    })?;
    Ok(values)
}

/// Copies bytes into the caller's buffer and writes their number. With a NULL buffer and a capacity of 0, only the
/// number is written.
///
/// # Safety
///
/// `buffer`, if not NULL, has room for `capacity` bytes; `length`, if not NULL, can be written.
pub(crate) unsafe fn copy_out(bytes: &[u8], buffer: *mut u8, capacity: usize, length: *mut usize) -> Outcome {
    // SAFETY: as the caller's.
    let length = unsafe { Out::new(length, "length")? };
    if buffer.is_null() && capacity != 0 {
        return Err(Fault::null("buffer"));
    }
    length.write(bytes.len());
    if buffer.is_null() {
        return Ok(());
    }
    if capacity < bytes.len() {
        return Err(Fault::new(
            SEMSYNTH_STATUS_BUFFER_TOO_SMALL,
            format!("a buffer of {capacity} bytes is too small, {} are needed", bytes.len()),
        ));
    }
    // SAFETY: the buffer has room for `capacity` bytes, which are no fewer than these.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len()) };
    Ok(())
}

/// A text in an array of fixed size: cut between characters if it is too long, and ended by a zero byte.
pub(crate) fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let mut chars = [0; N];
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in chars.iter_mut().zip(text[..end].bytes()) {
        *to = from as c_char;
    }
    chars
}

/// The text in an array of fixed size.
pub(crate) fn text_of<const N: usize>(chars: &[c_char; N], name: &str) -> Outcome<String> {
    let bytes: Vec<u8> = chars.iter().map(|&char| char as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8(bytes).map_err(|error| Fault::argument(format!("{name} is not UTF-8: {error}")))
}
