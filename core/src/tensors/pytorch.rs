//! Files written by `torch.save` for a `state_dict`: the zip container and the older pickle stream.
//!
//! Tensors are converted to dense row-major order, whatever their strides. Tensors may share a storage, but no
//! tensor may unfold to more bytes than the file has, nor all of them together to more than [`MAX_SHARING`] times
//! that.

use std::collections::BTreeMap;

use super::pickle::{Pickle, TensorRef};
use super::source::{ReadAt, Source};
use super::{DType, Limits, TensorData, Tensors, shorten};
use crate::error::{Error, Result};

/// The longest pickle accepted. It only describes tensors: 4096 of them take about 2 MiB.
const MAX_PICKLE: u64 = 16 << 20;

/// The longest zip directory accepted.
const MAX_DIRECTORY: u64 = 16 << 20;

/// All tensors together may take at most this many times the size of the file, to allow for tied weights.
const MAX_SHARING: u64 = 4;

/// The magic number at the start of the older pickle stream, as a pickled `LONG1`.
const LEGACY_MAGIC: [u8; 12] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The version that follows the magic number; there never was another.
const LEGACY_VERSION: i64 = 1001;

/// Whether a file starts like the older pickle stream.
pub(super) fn is_legacy(head: &[u8]) -> bool {
    head.iter().take(32).copied().collect::<Vec<_>>().windows(LEGACY_MAGIC.len()).any(|window| window == LEGACY_MAGIC)
}

/// The position of a storage in the file.
#[derive(Clone, Copy)]
struct Extent {
    start: u64,
    len: u64,
    /// Checksum of all its bytes; `None` where the file has none.
    crc32: Option<u32>,
}

// ------------------------------------------------------------------------------------------------ zip container

pub(super) fn read_zip<R: ReadAt>(source: &Source<R>, limits: &Limits) -> Result<Tensors> {
    limits.check_file(source.len())?;
    let entries = zip_directory(source)?;
    let mut roots = entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
    let root = match (roots.next(), roots.next()) {
        (Some(root), None) => root.to_owned(),
        (None, _) => {
            return Err(Error::Model(
                "a zip archive without data.pkl: not written by torch.save (an .npz or another archive?)".into(),
            ));
        }
        (Some(_), Some(_)) => return Err(Error::Model("a zip archive with more than one data.pkl".into())),
    };
    if let Some(entry) = entries.get(&format!("{root}byteorder")) {
        let order = read_entry(source, entry, 16, "byteorder")?;
        if order.trim_ascii() != b"little" {
            return Err(big_endian());
        }
    }
    let name = format!("{root}data.pkl");
    let Some(entry) = entries.get(&name) else {
        return Err(Error::Model("data.pkl is missing".into()));
    };
    let bytes = read_entry(source, entry, MAX_PICKLE, "data.pkl")?;
    let (pickle, used) = Pickle::read(&bytes, limits)?;
    if used != bytes.len() {
        return Err(Error::Model(format!("data.pkl goes on for {} bytes after its end", bytes.len() - used)));
    }

    let tensors = pickle.tensors(limits)?;
    let mut extents = BTreeMap::new();
    for (key, (dtype, numel)) in pickle.storages()? {
        let name = format!("{root}data/{key}");
        let Some(entry) = entries.get(&name) else {
            return Err(Error::Model(format!("storage {} is missing from the archive", shorten(&name))));
        };
        let len = entry.len;
        if storage_len(dtype, numel) != Some(len) {
            let shown = shorten(&name);
            return Err(Error::Model(format!("storage {shown} has {len} bytes, expected {numel} elements of {dtype}")));
        }
        extents.insert(key.to_owned(), locate(source, entry, &name)?);
    }
    assemble(source, &tensors, &extents)
}

/// One file in a zip archive.
struct ZipEntry {
    method: u16,
    encrypted: bool,
    crc32: u32,
    packed: u64,
    len: u64,
    header: u64,
}

fn read_entry<R: ReadAt>(source: &Source<R>, entry: &ZipEntry, most: u64, name: &str) -> Result<Vec<u8>> {
    if entry.len > most {
        return Err(Error::Limit(format!("{name} has {} bytes, more than the {most} accepted", entry.len)));
    }
    let extent = locate(source, entry, name)?;
    let bytes = source.read_at(extent.start, extent.len, &|| name.to_owned())?;
    check_crc(extent, &bytes, name)?;
    Ok(bytes)
}

/// The position of an entry's bytes, which follow its local header.
fn locate<R: ReadAt>(source: &Source<R>, entry: &ZipEntry, name: &str) -> Result<Extent> {
    let shown = shorten(name);
    if entry.method != 0 || entry.encrypted || entry.packed != entry.len {
        return Err(Error::Model(format!(
            "{shown} is compressed or encrypted, which torch.save never does: repack the archive without compression"
        )));
    }
    let local = source.read_at(entry.header, 30, &|| format!("the header of {shown}"))?;
    let mut fields = Fields(&local);
    let signature = fields.u32()?;
    fields.skip(22)?;
    let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
    if signature != 0x0403_4b50 {
        return Err(Error::Model(format!("the header of {shown} is not where the archive says: the file is damaged")));
    }
    let start = entry.header + 30 + u64::from(name_len) + u64::from(extra_len);
    if start.checked_add(entry.len).is_none_or(|end| end > source.len()) {
        return Err(Error::Model(format!("{shown} goes beyond the end of the file: it is cut short or damaged")));
    }
    // PyTorch writes 0 if it was told not to compute checksums.
    Ok(Extent { start, len: entry.len, crc32: (entry.crc32 != 0).then_some(entry.crc32) })
}

fn zip_directory<R: ReadAt>(source: &Source<R>) -> Result<BTreeMap<String, ZipEntry>> {
    const TAIL: u64 = 22;
    const LOCATOR: u64 = 20;
    let damaged = || Error::Model("the zip archive does not end in its directory: the file is cut short".into());

    let tail_at = source.len().checked_sub(TAIL).ok_or_else(damaged)?;
    let tail = source.read_at(tail_at, TAIL, &|| "the end of the archive".into())?;
    let mut fields = Fields(&tail);
    if fields.u32()? != 0x0605_4b50 || tail.last_chunk() != Some(&[0, 0]) {
        return Err(damaged());
    }
    fields.skip(6)?;
    let (mut count, mut len, mut start) =
        (u64::from(fields.u16()?), u64::from(fields.u32()?), u64::from(fields.u32()?));

    if count == 0xffff || len == 0xffff_ffff || start == 0xffff_ffff {
        let locator_at = tail_at.checked_sub(LOCATOR).ok_or_else(damaged)?;
        let locator = source.read_at(locator_at, LOCATOR, &|| "the zip64 locator".into())?;
        let mut fields = Fields(&locator);
        if fields.u32()? != 0x0706_4b50 {
            return Err(damaged());
        }
        fields.skip(4)?;
        let wide = source.read_at(fields.u64()?, 56, &|| "the zip64 end of the archive".into())?;
        let mut fields = Fields(&wide);
        if fields.u32()? != 0x0606_4b50 {
            return Err(damaged());
        }
        fields.skip(28)?;
        (count, len, start) = (fields.u64()?, fields.u64()?, fields.u64()?);
    }
    if len > MAX_DIRECTORY {
        return Err(Error::Limit(format!("a zip directory of {len} bytes, more than the {MAX_DIRECTORY} accepted")));
    }

    let directory = source.read_at(start, len, &|| "the zip directory".into())?;
    let mut fields = Fields(&directory);
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let (name, entry) = zip_entry(&mut fields)?;
        let shown = shorten(&name);
        if entries.insert(name, entry).is_some() {
            return Err(Error::Model(format!("the zip archive lists {shown} twice")));
        }
    }
    if !fields.0.is_empty() {
        return Err(Error::Model(format!("the zip directory goes on after its {count} entries: the file is damaged")));
    }
    Ok(entries)
}

fn zip_entry(fields: &mut Fields) -> Result<(String, ZipEntry)> {
    if fields.u32()? != 0x0201_4b50 {
        return Err(Error::Model("the zip directory is damaged".into()));
    }
    fields.skip(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.skip(4)?;
    let crc32 = fields.u32()?;
    let (mut packed, mut len) = (u64::from(fields.u32()?), u64::from(fields.u32()?));
    let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
    fields.skip(8)?;
    let mut header = u64::from(fields.u32()?);
    let name = std::str::from_utf8(fields.take(name_len.into())?)
        .map_err(|_| Error::Model("a name in the zip directory is not UTF-8".into()))?
        .to_owned();
    let mut extra = Fields(fields.take(extra_len.into())?);
    fields.skip(comment_len.into())?;
    // The zip64 extra field holds, in this order, those of the three values that do not fit into 32 bits.
    while packed == 0xffff_ffff || len == 0xffff_ffff || header == 0xffff_ffff {
        let id = extra.u16()?;
        let size = extra.u16()?;
        let mut body = Fields(extra.take(size.into())?);
        if id == 1 {
            for value in [&mut len, &mut packed, &mut header] {
                if *value == 0xffff_ffff {
                    *value = body.u64()?;
                }
            }
            break;
        }
    }
    Ok((name, ZipEntry { method, encrypted: flags & 1 != 0, crc32, packed, len, header }))
}

/// Reads little-endian fields from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(len).ok_or_else(|| Error::Model("the zip directory ends early".into()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        self.take(len).map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.first_chunk().copied().unwrap_or([0; N]))
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

// ------------------------------------------------------------------------------------------------ pickle stream

pub(super) fn read_legacy<R: ReadAt>(source: &Source<R>, limits: &Limits) -> Result<Tensors> {
    limits.check_file(source.len())?;
    let head = source.read_at(0, source.len().min(MAX_PICKLE), &|| "the pickles at the start".into())?;
    let mut at = 0;
    let mut next = |what: &str| {
        let rest = head.get(at..).unwrap_or_default();
        let (pickle, used) = Pickle::read(rest, limits).map_err(|e| e.context(what))?;
        at += used;
        Ok::<_, Error>((pickle, at))
    };
    next("magic number")?;
    if next("format version")?.0.as_int() != Some(LEGACY_VERSION) {
        return Err(Error::Model(format!("the format version is not {LEGACY_VERSION}: the file is damaged")));
    }
    if next("system information")?.0.flag("little_endian") != Some(true) {
        return Err(big_endian());
    }
    let (content, _) = next("content")?;
    let (keys, pickles_end) = next("storage keys")?;
    let keys = keys.strings().ok_or_else(|| Error::Model("the storage keys are no list of strings".into()))?;

    let tensors = content.tensors(limits)?;
    let declared = content.storages()?;
    let mut extents = BTreeMap::new();
    let mut start = pickles_end as u64;
    for key in keys {
        let shown = shorten(&key);
        let &(dtype, numel) = declared
            .get(key.as_str())
            .ok_or_else(|| Error::Model(format!("storage {shown} belongs to no tensor, so its length is unknown")))?;
        let count = source.read_at(start, 8, &|| format!("the length of storage {shown}"))?;
        let count = count.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if count != Some(numel as u64) {
            return Err(Error::Model(format!(
                "storage {shown} has {} elements, expected {numel}: the file is damaged",
                count.unwrap_or_default()
            )));
        }
        let end = storage_len(dtype, numel).and_then(|len| len.checked_add(start + 8));
        let Some(end) = end.filter(|&end| end <= source.len()) else {
            return Err(Error::Model(format!(
                "storage {shown} with {numel} elements of {dtype} goes beyond the end of the file: it is cut short or \
                 damaged"
            )));
        };
        let extent = Extent { start: start + 8, len: end - start - 8, crc32: None };
        if extents.insert(key, extent).is_some() {
            return Err(Error::Model(format!("storage {shown} is listed twice")));
        }
        start = end;
    }
    if start != source.len() {
        return Err(Error::Model(format!("{} bytes after the last storage belong to none", source.len() - start)));
    }
    assemble(source, &tensors, &extents)
}

fn big_endian() -> Error {
    Error::Model("the file was not written on a little-endian machine; load and save it again on one".into())
}

// ------------------------------------------------------------------------------------------------ tensors

fn storage_len(dtype: DType, numel: usize) -> Option<u64> {
    dtype.byte_len(&[numel]).map(|len| len as u64)
}

fn assemble<R: ReadAt>(
    source: &Source<R>,
    refs: &BTreeMap<String, &TensorRef>,
    extents: &BTreeMap<String, Extent>,
) -> Result<Tensors> {
    let mut room = source.len().saturating_mul(MAX_SHARING);
    let mut tensors = Tensors::new();
    for (name, tensor) in refs {
        let extent = extents
            .get(&tensor.storage.key)
            .copied()
            .ok_or_else(|| Error::Model(format!("the storage of tensor {} is missing from the file", shorten(name))))?;
        let data = read_tensor(source, tensor, extent, &mut room)
            .map_err(|e| e.context(format!("tensor {}", shorten(name))))?;
        tensors.tensors.insert(name.clone(), data);
    }
    Ok(tensors)
}

fn read_tensor<R: ReadAt>(
    source: &Source<R>,
    tensor: &TensorRef,
    extent: Extent,
    room: &mut u64,
) -> Result<TensorData> {
    let TensorRef { storage, offset, shape, stride } = tensor;
    let size = storage.dtype.size();
    let len = storage.dtype.byte_len(shape).map(|len| len as u64).filter(|&len| len <= source.len());
    let (Some(len), Some(left)) = (len, len.and_then(|len| room.checked_sub(len))) else {
        return Err(Error::Model(format!(
            "shape {shape:?} takes more bytes than the file has: it repeats values; save a contiguous copy"
        )));
    };
    *room = left;
    if len == 0 {
        return TensorData::new(storage.dtype, shape.clone(), Vec::new());
    }

    let outside = || {
        let (from, to) = storage.view;
        Error::Model(format!("shape {shape:?} at {offset} with strides {stride:?} leaves its storage ({from} to {to})"))
    };
    let first = storage.view.0.checked_add(*offset).ok_or_else(outside)?;
    let last = shape
        .iter()
        .zip(stride)
        .try_fold(first, |at, (&side, &step)| at.checked_add((side - 1).checked_mul(step)?))
        .filter(|&last| last < storage.view.1)
        .ok_or_else(outside)?;

    // The stride of a side of length 1 is never used and may have any value.
    let stride: Vec<_> = shape.iter().zip(stride).map(|(&side, &step)| if side == 1 { 0 } else { step }).collect();
    // This cannot overflow: `last` is in a storage whose bytes were found in the file.
    let start = extent.start + (first * size) as u64;
    let window_len = ((last - first + 1) * size) as u64;
    let window = source.read_at(start, window_len, &|| "its storage".into())?;
    if window_len == extent.len {
        check_crc(extent, &window, "its storage")?;
    }
    let bytes =
        if window_len == len && is_row_major(shape, &stride) { window } else { gather(&window, shape, &stride, size) };
    TensorData::new(storage.dtype, shape.clone(), bytes)
}

/// Whether the strides are those of a dense row-major tensor.
fn is_row_major(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(stride).rev().all(|(&side, &step)| {
        let fits = side == 1 || step == expected;
        expected *= side;
        fits
    })
}

/// Copies a strided view into row-major order. The window starts at the first element and reaches the last one.
fn gather(window: &[u8], shape: &[usize], stride: &[usize], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * size);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    loop {
        bytes.extend_from_slice(window.get(at * size..(at + 1) * size).unwrap_or_default());
        // Counts like an odometer, innermost side first.
        let mut side = shape.len();
        loop {
            let Some(next) = side.checked_sub(1) else { return bytes };
            side = next;
            index[side] += 1;
            at += stride[side];
            if index[side] < shape[side] {
                break;
            }
            at -= stride[side] * shape[side];
            index[side] = 0;
        }
    }
}

fn check_crc(extent: Extent, bytes: &[u8], what: &str) -> Result<()> {
    if extent.crc32.is_some_and(|expected| crc32(bytes) != expected) {
        return Err(Error::Model(format!("{what} does not match its checksum: the file is damaged")));
    }
    Ok(())
}

/// The checksum of zip archives (CRC-32, reflected polynomial `0xedb88320`).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, &byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::fuzz::{Random, mutate};
    use super::*;

    // -------------------------------------------------------------------------------------------- small files

    fn text(value: &str) -> Vec<u8> {
        [b"X".as_slice(), &(value.len() as u32).to_le_bytes(), value.as_bytes()].concat()
    }

    fn int(value: i32) -> Vec<u8> {
        [b"J".as_slice(), &value.to_le_bytes()].concat()
    }

    fn ints(values: &[i32]) -> Vec<u8> {
        [b"(".to_vec(), values.iter().flat_map(|&v| int(v)).collect(), b"t".to_vec()].concat()
    }

    fn storage(kind: &str, key: &str, numel: i32) -> Vec<u8> {
        let kind = format!("ctorch\n{kind}\n");
        [b"(".to_vec(), text("storage"), kind.into(), text(key), text("cpu"), int(numel), b"tQ".to_vec()].concat()
    }

    fn view(storage: &[u8], offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
        let tail = b"\x89ccollections\nOrderedDict\n)RtR".to_vec();
        let head = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        [head, storage.to_vec(), int(offset), ints(shape), ints(stride), tail].concat()
    }

    fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let items: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [b"ccollections\nOrderedDict\n)R(".to_vec(), items, b"u".to_vec()].concat()
    }

    fn pickle(value: &[u8]) -> Vec<u8> {
        [b"\x80\x02", value, b"."].concat()
    }

    /// A file in the older format; storages are given with their number of elements.
    fn legacy(content: &[u8], storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = pickle(&LEGACY_MAGIC);
        file.extend(pickle(b"M\xe9\x03"));
        file.extend(pickle(&[b"}".to_vec(), text("little_endian"), b"\x88s".to_vec()].concat()));
        file.extend(pickle(content));
        let keys: Vec<u8> = storages.iter().flat_map(|(key, ..)| text(key)).collect();
        file.extend(pickle(&[b"](".to_vec(), keys, b"e".to_vec()].concat()));
        for (_, numel, bytes) in storages {
            file.extend(numel.to_le_bytes());
            file.extend(bytes);
        }
        file
    }

    fn zip(entries: &[(&str, Vec<u8>)], method: u16) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for (name, bytes) in entries {
            let at = file.len() as u32;
            let mut common = [0, 0].to_vec();
            common.extend(method.to_le_bytes());
            common.extend([0; 4]);
            common.extend(crc32(bytes).to_le_bytes());
            common.extend([(bytes.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
            common.extend([name.len() as u8, 0, 0, 0]);
            file.extend([b"PK\x03\x04\x14\0", common.as_slice(), name.as_bytes(), bytes].concat());
            directory.extend([b"PK\x01\x02\x14\0\x14\0", common.as_slice(), &[0; 10], &at.to_le_bytes()].concat());
            directory.extend(name.bytes());
        }
        let count = (entries.len() as u16).to_le_bytes();
        let (start, len) = ((file.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
        file.extend(directory);
        file.extend([b"PK\x05\x06\0\0\0\0", count.as_slice(), &count, &len, &start, &[0, 0]].concat());
        file
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn parse(file: &[u8]) -> Result<Tensors> {
        let source = Source::from_bytes(file);
        if is_legacy(file) { read_legacy(&source, &Limits::default()) } else { read_zip(&source, &Limits::default()) }
    }

    /// Parses the pickle in both containers, over one storage "0" with the values 0 to 11.
    fn both(content: &[u8]) -> Result<Tensors> {
        let data = floats(&(0..12u8).map(f32::from).collect::<Vec<_>>());
        let old = parse(&legacy(content, &[("0", 12, data.clone())]));
        let new = parse(&zip(&[("w/data.pkl", pickle(content)), ("w/data/0", data)], 0));
        match (old, new) {
            (Ok(old), Ok(new)) => {
                assert_eq!(old, new);
                Ok(new)
            }
            (Err(_), Err(e)) => Err(e),
            (old, new) => panic!("the containers differ: {old:?} {new:?}"),
        }
    }

    fn fault(content: &[u8]) -> String {
        both(content).unwrap_err().to_string()
    }

    // -------------------------------------------------------------------------------------------- what is read

    #[test]
    fn views_come_out_dense() {
        let store = storage("FloatStorage", "0", 12);
        let content = dict(&[
            ("plain", view(&store, 0, &[3, 4], &[4, 1])),
            ("transposed", view(&store, 0, &[4, 3], &[1, 4])),
            ("part", view(&store, 5, &[2, 2], &[4, 1])),
            ("column", view(&store, 3, &[3], &[4])),
            ("scalar", view(&store, 7, &[], &[])),
            ("none", view(&store, 0, &[0, 4], &[4, 1])),
            ("single", view(&store, 2, &[1, 2, 1], &[i32::MAX, 1, i32::MAX])),
            ("single gathered", view(&store, 2, &[1, 2, 1], &[i32::MAX, 2, i32::MAX])),
            ("repeated", view(&store, 1, &[2, 2], &[0, 1])),
        ]);
        let tensors = both(&content).unwrap();
        for (name, shape, values) in [
            ("plain", vec![3, 4], vec![0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]),
            ("transposed", vec![4, 3], vec![0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]),
            ("part", vec![2, 2], vec![5., 6., 9., 10.]),
            ("column", vec![3], vec![3., 7., 11.]),
            ("scalar", vec![], vec![7.]),
            ("none", vec![0, 4], vec![]),
            ("single", vec![1, 2, 1], vec![2., 3.]),
            ("single gathered", vec![1, 2, 1], vec![2., 4.]),
            ("repeated", vec![2, 2], vec![1., 2., 1., 2.]),
        ] {
            let data = tensors.get(name).unwrap();
            assert_eq!((data.shape(), data.to_f32()), (shape.as_slice(), values), "{name}");
        }
    }

    #[test]
    fn containers_nest_and_scalars_are_left_out() {
        let store = storage("FloatStorage", "0", 12);
        let tensor = view(&store, 0, &[1], &[1]);
        let list = [b"](".to_vec(), tensor.clone(), int(3), tensor.clone(), b"e".to_vec()].concat();
        let metadata = [b"}".to_vec(), text("_metadata"), dict(&[("", dict(&[("version", int(1))]))]), b"sb".to_vec()];
        let inner = [dict(&[("a.weight", tensor.clone())]), metadata.concat()].concat();
        // Old parameters: an object with its data and its state, or with everything in the state.
        let parameter =
            [b"ctorch.nn.parameter\nParameter\n".to_vec(), tensor.clone(), b"\x85\x81(\x88\x89}tb".to_vec()];
        let late = [b"ctorch.nn.parameter\nParameter\n)\x81(".to_vec(), tensor.clone(), b"NN\x88\x89tb".to_vec()];
        let rebuilt = [b"ctorch._utils\n_rebuild_parameter\n(".to_vec(), tensor, b"\x88}tR".to_vec()];
        let content = dict(&[
            ("epoch", int(7)),
            ("remark", text("hello")),
            ("rate", b"G\0\0\0\0\0\0\0\0".to_vec()),
            ("state_dict", inner),
            ("list", list),
            ("parameter", parameter.concat()),
            ("late", late.concat()),
            ("rebuilt", rebuilt.concat()),
        ]);
        let tensors = both(&content).unwrap();
        let names: Vec<_> = tensors.names().collect();
        assert_eq!(names, ["late", "list.0", "list.2", "parameter", "rebuilt", "state_dict.a.weight"]);
    }

    #[test]
    fn anything_but_tensors_is_refused() {
        let store = storage("FloatStorage", "0", 12);
        let view = |offset, shape: &[i32], stride: &[i32]| dict(&[("w", view(&store, offset, shape, stride))]);
        for (content, expected) in [
            (b"cos\nsystem\n(X\x02\0\0\0lstR".to_vec(), "os.system"),
            (b"X\x02\0\0\0osX\x06\0\0\0system\x93".to_vec(), "os.system"),
            (dict(&[("n", b"cnumpy.core.multiarray\nscalar\n".to_vec())]), "numpy.core.multiarray.scalar"),
            (dict(&[("q", storage("QInt8Storage", "0", 12))]), "torch.QInt8Storage"),
            (b"\x82\x01".to_vec(), "opcode 0x82"),
            (int(3), "holds an int"),
            (view(0, &[13], &[1]), "\"w\""),
            (view(1, &[12], &[1]), "\"w\""),
            (view(0, &[3, 4], &[5, 1]), "\"w\""),
            (view(-1, &[1], &[1]), "-1"),
            (view(0, &[-1], &[1]), "-1"),
            (view(0, &[1, 1], &[1]), "strides"),
            (view(0, &[1; 7], &[1; 7]), "7 sides"),
            (view(0, &[i32::MAX, i32::MAX], &[0, 0]), "repeats values"),
            (view(0, &[1000, 10], &[0, 1]), "repeats values"),
            (
                dict(&[
                    ("a", super::tests::view(&store, 0, &[1], &[1])),
                    ("a", super::tests::view(&store, 0, &[1], &[1])),
                ]),
                "\"a\" appears twice",
            ),
            (b"}q\0X\x01\0\0\0ah\0s".to_vec(), "nest deeper"),
            (b"h\x05".to_vec(), "remembered as 5"),
            (b"0".to_vec(), "stack"),
            (b"(".to_vec(), "mark"),
            (b"e".to_vec(), "mark"),
            (b"}}".to_vec(), "left over"),
        ] {
            let message = fault(&content);
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn containers_that_contradict_themselves_are_refused() {
        let data = floats(&[1.0, 2.0]);
        let content = dict(&[("w", view(&storage("FloatStorage", "0", 2), 0, &[2], &[1]))]);
        let good = || vec![("w/data.pkl", pickle(&content)), ("w/data/0", data.clone())];
        assert!(parse(&zip(&good(), 0)).is_ok());
        let with = |name, bytes: &[u8]| [good(), vec![(name, bytes.to_vec())]].concat();
        assert!(parse(&zip(&with("w/byteorder", b"little"), 0)).is_ok());
        let mut damaged = zip(&good(), 0);
        let at = damaged.windows(8).position(|w| w == data).unwrap();
        damaged[at] ^= 1;
        for (file, expected) in [
            (zip(&good(), 8), "compressed"),
            (zip(&with("w/byteorder", b"big"), 0), "little-endian"),
            (zip(&with("w/data.pkl", b""), 0), "twice"),
            (zip(&with("x/data.pkl", b""), 0), "more than one"),
            (zip(&[("a.npy", vec![])], 0), "without data.pkl"),
            (zip(&good()[..1], 0), "w/data/0"),
            (zip(&[good()[0].clone(), ("w/data/0", floats(&[1.0]))], 0), "has 4 bytes"),
            (zip(&[("w/data.pkl", [pickle(&content), vec![0]].concat()), good()[1].clone()], 0), "goes on"),
            (damaged, "checksum"),
        ] {
            let message = parse(&file).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
        for (file, expected) in [
            (legacy(&content, &[]), "missing"),
            (legacy(&content, &[("0", 1, floats(&[1.0]))]), "has 1 elements, expected 2"),
            (legacy(&content, &[("0", 2, floats(&[1.0]))]), "cut short"),
            (legacy(&content, &[("0", 2, floats(&[1.0, 2.0, 3.0]))]), "4 bytes after"),
            (legacy(&content, &[("0", 2, data.clone()), ("0", 2, data.clone())]), "listed twice"),
            (legacy(&content, &[("0", 2, data.clone()), ("1", 2, data.clone())]), "\"1\" belongs to no tensor"),
        ] {
            let message = parse(&file).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn small_pickles_cannot_take_much_memory_or_time() {
        // Each list holds the previous one twice: unfolding it would take 2^30 visits.
        let mut shared = b"]q\0".to_vec();
        for level in 0..30u8 {
            shared.extend([b"](h", [level].as_slice(), b"h", &[level], b"eq", &[level + 1]].concat());
            // Only the last one stays on the stack, under the dict made below.
        }
        let shared = [b"}X\x01\0\0\0a(".to_vec(), shared, b"ls".to_vec()].concat();
        assert!(fault(&shared).contains("shared too often"), "{}", fault(&shared));
        // A long list copied over and over by its constructor.
        let pairs = [b"](".to_vec(), b"(NNt".repeat(10_000), b"eq\x000".to_vec()].concat();
        let copies = b"ccollections\nOrderedDict\nh\0\x85R0".repeat(10_000);
        let message = fault(&[pairs, copies, b"}".to_vec()].concat());
        assert!(message.contains("more steps"), "{message}");
        assert!(fault(&b"N".repeat(3_000_000)).contains("more steps"));
        // Long keys around many tensors.
        let tensor = [view(&storage("FloatStorage", "0", 12), 0, &[1], &[1]), b"q\x010".to_vec()].concat();
        let many = [b"](".to_vec(), b"h\x01".repeat(4000), b"e".to_vec()].concat();
        let message = fault(&[tensor.clone(), dict(&[(&"k".repeat(1 << 20), many.clone())])].concat());
        assert!(message.contains("bytes long") && message.len() < 1000, "{message}");
        let message = fault(&[tensor, dict(&[("one", many.clone()), ("two", many)])].concat());
        assert!(message.contains("tensors, more than"), "{message}");
    }

    // -------------------------------------------------------------------------------------------- damage

    fn assert_consistent(file: &[u8]) -> bool {
        let Ok(tensors) = parse(file) else { return false };
        let mut total = 0;
        for (name, data) in tensors.iter() {
            assert_eq!(data.dtype().byte_len(data.shape()), Some(data.bytes().len()), "{name}");
            total += data.bytes().len();
        }
        assert!(total as u64 <= file.len() as u64 * MAX_SHARING);
        true
    }

    fn samples() -> [Vec<u8>; 2] {
        let (a, b) = (storage("FloatStorage", "0", 12), storage("LongStorage", "1", 1));
        let content = dict(&[
            ("w", view(&a, 0, &[3, 4], &[4, 1])),
            ("t", view(&a, 0, &[4, 3], &[1, 4])),
            ("n", view(&b, 0, &[], &[])),
            ("nested", dict(&[("epoch", int(3))])),
        ]);
        let (first, second) = (floats(&[1.5; 12]), 7u64.to_le_bytes().to_vec());
        let old = legacy(&content, &[("0", 12, first.clone()), ("1", 1, second.clone())]);
        let new = zip(&[("w/data.pkl", pickle(&content)), ("w/data/0", first), ("w/data/1", second)], 0);
        [old, new]
    }

    #[test]
    fn random_damage_never_panics() {
        for file in samples() {
            assert!(assert_consistent(&file));
            for len in 0..file.len() {
                assert!(parse(&file[..len]).is_err(), "cut to {len}");
            }
            for at in 0..file.len() * 8 {
                let mut damaged = file.clone();
                damaged[at / 8] ^= 1 << (at % 8);
                assert_consistent(&damaged);
            }
            let mut accepted = 0;
            mutate(&file, file.len(), 10_000, |damaged| {
                accepted += usize::from(assert_consistent(damaged));
            });
            assert!(accepted < 5_000, "{accepted}");
        }
    }

    #[test]
    fn random_opcodes_never_panic() {
        // There is no checksum before this pickle: valid opcodes in random order, wrapped in a valid file.
        let opcodes = b"N\x88\x89JKM\x8aGXU()]}t\x85\x86\x87aeushjqr\x94cQR\x81b0.l\x93\x90\x8f";
        let known = [
            b"ccollections\nOrderedDict\n".to_vec(),
            b"ctorch.nn.parameter\nParameter\n".to_vec(),
            b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(),
            b"ctorch._utils\n_rebuild_tensor\n(".to_vec(),
            b"ctorch\nSize\n".to_vec(),
            storage("FloatStorage", "0", 12),
            view(&storage("FloatStorage", "0", 12), 0, &[3], &[2]),
            text("w"),
            ints(&[2, 3]),
            int(1),
        ];
        let mut random = Random(1);
        for _ in 0..20_000 {
            let mut content = Vec::new();
            for _ in 0..random.below(24) {
                if random.below(2) == 0 {
                    content.extend(&known[random.below(known.len())]);
                } else {
                    content.push(opcodes[random.below(opcodes.len())]);
                    content.extend(vec![random.below(4) as u8; random.below(3)]);
                }
            }
            assert_consistent(&legacy(&dict(&[("w", content.clone())]), &[("0", 12, floats(&[0.0; 12]))]));
            assert_consistent(&legacy(&content, &[]));
        }
    }

    // -------------------------------------------------------------------------------------------- real files

    fn golden(name: &str) -> Option<PathBuf> {
        let shared = std::env::var_os("SEMSYNTH_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
        let path = shared.join("golden").join(name);
        if !path.is_file() {
            eprintln!("skipped: {} is missing", path.display());
            return None;
        }
        Some(path)
    }

    #[test]
    fn files_of_pytorch_hold_what_their_safetensors_twin_holds() {
        let Some(twin) = golden("spade_normal.safetensors") else {
            return;
        };
        let mut twin = Tensors::open(twin).unwrap();
        twin.tensors.retain(|name, _| !name.starts_with("io."));
        twin.metadata.clear();
        assert!(twin.len() > 100);
        for name in ["spade_normal.zip.pth", "spade_normal.legacy.pth"] {
            let Some(path) = golden(name) else { return };
            assert_eq!(Tensors::open(&path).unwrap(), twin, "{name}");
            let bytes = std::fs::read(path).unwrap();
            for step in 1..60 {
                assert!(parse(&bytes[..bytes.len() * step / 60]).is_err());
            }
            assert!(parse(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    #[test]
    fn checksums_follow_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
