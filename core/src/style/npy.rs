//! Reads vectors from `NumPy`'s `.npy` files.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. A magic string, the version,
//! the length of the header, the header (a Python dictionary with the keys `descr`, `fortran_order` and `shape`),
//! then the values.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

const MARK: &[u8] = b"\x93NUMPY";

/// The largest file, in bytes. A code of SEAN takes about 2 KiB.
const MAX_FILE: u64 = 1 << 20;

/// Reads a vector of little-endian 32-bit or 64-bit floats; 64-bit floats are rounded to 32 bits.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Model`] if it holds anything else; [`Error::Limit`] over 1
/// MiB.
pub(super) fn read(path: &Path) -> Result<Vec<f32>> {
    let mut bytes = Vec::new();
    // Reading a pipe or device could block forever.
    if !fs::metadata(path).map_err(Error::io(path))?.is_file() {
        return Err(Error::Model(format!("{}: this is not a regular file, expected a .npy file", path.display())));
    }
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    parse(&bytes).map_err(|error| error.context(path.display()))
}

/// As [`read`], for the content of a file.
fn parse(bytes: &[u8]) -> Result<Vec<f32>> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Limit(format!("more than the {MAX_FILE} bytes that a vector may take")));
    }
    let cut_short = || Error::Model("the file is cut short within its header".into());
    let rest = bytes.strip_prefix(MARK).ok_or_else(|| Error::Model("this is no .npy file".into()))?;
    let (&[major, minor], rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
    let (length, rest) = match (major, minor) {
        (1, 0) => rest.split_first_chunk().map(|(length, rest)| (u32::from(u16::from_le_bytes(*length)), rest)),
        (2, 0) => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length), rest)),
        _ => return Err(Error::Model(format!("version {major}.{minor} of the .npy format; 1.0 and 2.0 are read"))),
    }
    .ok_or_else(cut_short)?;
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(cut_short)?;
    let Header { descr, count } = Header::parse(header)?;
    match descr {
        "<f4" => values(data, count, |bytes| f64::from(f32::from_le_bytes(bytes))),
        "<f8" => values(data, count, f64::from_le_bytes),
        _ => Err(Error::Model(format!(
            "the values have type {descr:?}; little-endian floats are read, \"<f4\" or \"<f8\""
        ))),
    }
}

/// Goes through 64-bit floats, which hold 32-bit floats exactly.
fn values<const N: usize>(data: &[u8], count: usize, convert: impl Fn([u8; N]) -> f64) -> Result<Vec<f32>> {
    if count.checked_mul(N) != Some(data.len()) {
        return Err(Error::Model(format!(
            "{count} values of {N} bytes do not take the {} bytes after the header: the file is damaged",
            data.len()
        )));
    }
    let (chunks, _) = data.as_chunks();
    let values = chunks.iter().map(|&bytes| convert(bytes)).enumerate().map(|(at, value)| {
        let narrow = value as f32;
        if narrow.is_finite() {
            return Ok(narrow);
        }
        Err(Error::Model(format!("value {at} is {value:e}, not a finite 32-bit float")))
    });
    values.collect()
}

/// The fields of the header.
struct Header<'a> {
    descr: &'a str,
    count: usize,
}

impl<'a> Header<'a> {
    /// Parses the dictionary; its keys may be in any order.
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let text = str::from_utf8(bytes).map_err(|_| Error::Model("the header is no text".into()))?;
        let mut python = Python { rest: text };
        let (mut descr, mut order, mut shape) = (None, None, None);
        python.expect("{")?;
        while !python.take("}") {
            let key = python.string()?;
            python.expect(":")?;
            let again = match key {
                "descr" => descr.replace(python.string()?).is_some(),
                "fortran_order" => order.replace(python.boolean()?).is_some(),
                "shape" => shape.replace(python.tuple()?).is_some(),
                _ => return Err(Error::Model(format!("the header has the unknown key {}", shorten(key)))),
            };
            if again {
                return Err(Error::Model(format!("the header has the key {key:?} twice")));
            }
            if !python.take(",") {
                python.expect("}")?;
                break;
            }
        }
        if !python.rest.trim_ascii().is_empty() {
            return Err(python.fault("nothing more"));
        }
        // Row-major and column-major are the same for a vector.
        let (Some(descr), Some(_), Some(shape)) = (descr, order, shape) else {
            return Err(Error::Model("the header must have the keys descr, fortran_order and shape".into()));
        };
        let &[count] = shape.as_slice() else {
            return Err(Error::Model(format!("an array of {} sides, expected a vector", shape.len())));
        };
        Ok(Self { descr, count })
    }
}

/// A parser for the few Python literals that headers consist of.
struct Python<'a> {
    rest: &'a str,
}

impl<'a> Python<'a> {
    /// Consumes a token, if it is next.
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        self.rest.strip_prefix(token).inspect(|rest| self.rest = rest).is_some()
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.take(token) { Ok(()) } else { Err(self.fault(&format!("`{token}`"))) }
    }

    /// A string without escapes.
    fn string(&mut self) -> Result<&'a str> {
        let quote = ["'", "\""].into_iter().find(|quote| self.take(quote));
        match quote.and_then(|quote| self.rest.split_once(quote)) {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(text)
            }
            None => Err(self.fault("a string")),
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        let value = self.take("True");
        if value || self.take("False") { Ok(value) } else { Err(self.fault("True or False")) }
    }

    /// A tuple of whole numbers; a single one needs a trailing comma.
    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut numbers = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            numbers.push(self.number()?);
            if !self.take(",") {
                if numbers.len() == 1 {
                    return Err(self.fault("`,`"));
                }
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }

    fn number(&mut self) -> Result<usize> {
        self.rest = self.rest.trim_ascii_start();
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        let number = digits.parse().map_err(|_| self.fault("a whole number"))?;
        self.rest = rest;
        Ok(number)
    }

    fn fault(&self, expected: &str) -> Error {
        Error::Model(format!("malformed header: expected {expected} at {}", shorten(self.rest.trim_ascii())))
    }
}

/// Quotes text from the file, truncated if it is long.
fn shorten(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{damaged, every_small_fault};
    use super::*;
    use proptest::prelude::*;

    /// A file of version 1.0, as `numpy.save` writes it.
    pub(in super::super) fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let padded = (header.len() + 11).next_multiple_of(64) - 11;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((padded as u16 + 1).to_le_bytes());
        bytes.extend(format!("{header:padded$}\n").bytes());
        bytes.extend(data);
        bytes
    }

    pub(in super::super) fn vector(values: &[f32]) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}", values.len());
        npy(&header, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
    }

    fn fault(header: &str, data: &[u8]) -> String {
        match parse(&npy(header, data)).unwrap_err() {
            Error::Model(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_what_numpy_writes() {
        // numpy.save of array([0.5, -2, 1e-45], "<f4"), byte for byte.
        let mut file = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }".to_vec();
        file.resize(127, b' ');
        file.extend(b"\n\x00\x00\x00?\x00\x00\x00\xc0\x01\x00\x00\x00");
        assert_eq!(parse(&file).unwrap(), [0.5, -2.0, 1e-45]);
        assert_eq!(vector(&[0.5, -2.0, 1e-45]), file);
        // The same header in version 2.0 of the format.
        let mut second = b"\x93NUMPY\x02\x00v\x00\x00\x00".to_vec();
        second.extend(&file[10..]);
        assert_eq!(parse(&second).unwrap(), [0.5, -2.0, 1e-45]);
    }

    #[test]
    fn reads_other_spellings() {
        let double: Vec<u8> = [0.1f64, -3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        for header in [
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
            "{\"shape\":(2,),\"descr\":\"<f8\",\"fortran_order\":True}",
            " { 'fortran_order' : False , 'descr' : '<f8' , 'shape' : ( 2 , ) } \n",
        ] {
            assert_eq!(parse(&npy(header, &double)).unwrap(), [0.1, -3.0], "{header}");
        }
        assert!(parse(&npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", &[])).unwrap().is_empty());
    }

    #[test]
    fn refuses_everything_else() {
        let with =
            |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}");
        for (header, expected) in [
            (with("'>f4'", "(1,)"), "\">f4\""),
            (with("'<f2'", "(1,)"), "\"<f2\""),
            (with("'<i4'", "(1,)"), "\"<i4\""),
            (with("'|O'", "(1,)"), "\"|O\""),
            (with("[('x', '<f4')]", "(1,)"), "expected a string"),
            (with("'<f4'", "()"), "0 sides"),
            (with("'<f4'", "(1, 1)"), "2 sides"),
            (with("'<f4'", "(1)"), "expected `,`"),
            (with("'<f4'", "(-1,)"), "a whole number at \"-1,"),
            (with("'<f4'", "(2,)"), "2 values of 4 bytes do not take the 4"),
            (with("'<f4'", "(0,)"), "0 values"),
            (with("'<f4'", "(18446744073709551615,)"), "18446744073709551615 values"),
            (with("'<f4'", "(18446744073709551616,)"), "a whole number"),
            (with("'<f4'", "(4611686018427387905,)"), "4611686018427387905 values"),
            ("{'descr': '<f4', 'shape': (1,), }".into(), "must have the keys"),
            ("{'descr': '<f4', 'descr': '<f4'}".into(), "\"descr\" twice"),
            ("{'descr': '<f4', 'more': 1}".into(), "unknown key \"more\""),
            ("{'fortran_order': 0}".into(), "True or False"),
            ("{'descr' '<f4'}".into(), "expected `:`"),
            ("{'descr': '<f4' 'shape'".into(), "expected `}`"),
            ("{'descr': '<f4".into(), "a string"),
            (with("'<f4'", "(1,)") + " and", "nothing more at \"and"),
            (String::new(), "expected `{`"),
        ] {
            let message = fault(&header, &[0; 4]);
            assert!(message.contains(expected), "{header}: {message}");
        }
        let text = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        assert!(text(b"").contains("no .npy file") && text(b"PK\x03\x04").contains("no .npy file"));
        assert!(text(b"\x93NUMPY\x03\x00\x00\x00\x00\x00").contains("version 3.0"));
        assert!(text(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").contains("cut short"));
        assert!(fault("{'descr': '\u{fc}', 'fortran_order': False, 'shape': (1,), }", &[0; 4]).contains("ü"));
        let mut broken = vector(&[1.0]);
        broken[20] = 0xff;
        assert!(text(&broken).contains("no text"));
        assert!(text(&vector(&[1.0, f32::NAN])).contains("value 1 is NaN"));
        let huge = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", &1e300f64.to_le_bytes());
        assert!(text(&huge).contains("value 0 is 1e300"));
    }

    #[test]
    fn files_are_read_within_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ACE.npy");
        assert!(matches!(read(&path), Err(Error::Io { .. })));
        std::fs::write(&path, vector(&[1.0, 2.0])).unwrap();
        assert_eq!(read(&path).unwrap(), [1.0, 2.0]);
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read(&path), Err(Error::Limit(message)) if message.contains("ACE.npy")));
        assert!(read(folder.path()).unwrap_err().to_string().contains("not a regular file"));
    }

    fn check(bytes: &[u8]) -> bool {
        match parse(bytes) {
            Ok(values) => values.iter().all(|value| value.is_finite()),
            Err(Error::Model(_) | Error::Limit(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_truncation_or_changed_byte_panics() {
        let bytes = vector(&[1.0, -2.0, 0.25]);
        assert!(check(&bytes));
        for end in 0..bytes.len() {
            assert!(!check(&bytes[..end]), "cut at {end}");
        }
        let opened = every_small_fault(&bytes).filter(|bytes| check(bytes)).count();
        assert!(opened > 0, "changes of values must be read");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn no_damage_panics(bytes in damaged(vector(&[1.0, -2.0, 0.25]))) {
            check(&bytes);
        }

        #[test]
        fn no_header_panics(header in "[{}():, '\"0-9A-Fa-f<>é]{0,40}") {
            let _ = parse(&npy(&header, &[0; 8]));
        }
    }
}
