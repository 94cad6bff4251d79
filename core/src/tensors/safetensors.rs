//! The safetensors format: an 8-byte header length, a JSON header, then the tensors back to back.
//!
//! Written by hand because equal content must give equal bytes (the usual implementation writes metadata in hash
//! map order) and because duplicate names must be detected.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;

use super::source::{ReadAt, Source};
use super::{DType, Limits, METADATA_KEY, TensorData, Tensors, shorten};
use crate::error::{Error, Result};

/// Bytes of the length field before the header.
const PREFIX: u64 = 8;

/// The most bytes that a header entry takes besides its name: type, shape, offsets and punctuation.
const ENTRY_OVERHEAD: usize = 256;

impl Tensors {
    /// Reads a safetensors file held in memory.
    ///
    /// # Errors
    /// [`Error::Model`] if the bytes are not a well-formed safetensors file; [`Error::Limit`] beyond `limits`.
    pub fn from_safetensors(bytes: &[u8], limits: &Limits) -> Result<Self> {
        read(&Source::from_bytes(bytes), limits)
    }

    /// Encodes the tensors as a safetensors file. Equal content gives equal bytes, whatever the order of insertion.
    ///
    /// # Errors
    /// [`Error::Limit`] if the default [`Limits`] would reject the file.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let plan = Plan::new(self, &Limits::default())?;
        let mut bytes = Vec::with_capacity(plan.total);
        plan.write(&mut bytes).map_err(Error::io("memory"))?;
        Ok(bytes)
    }
}

// ------------------------------------------------------------------------------------------------ writing

/// A file to be written: the header, and the tensors in file order.
pub(super) struct Plan<'a> {
    header: Vec<u8>,
    order: Vec<&'a TensorData>,
    total: usize,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tensors: &'a Tensors, limits: &Limits) -> Result<Self> {
        limits.check_count(tensors.len())?;
        limits.check_metadata(&tensors.metadata)?;

        // Writing the widest elements first aligns every tensor to its element size without gaps.
        let mut order: Vec<_> = tensors.tensors.iter().collect();
        order.sort_by_key(|(name, data)| (std::cmp::Reverse(data.dtype().size()), *name));

        let mut header = serde_json::to_vec(&Header { order: &order, metadata: &tensors.metadata })
            .map_err(|e| Error::Model(format!("the header cannot be written: {e}")))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        check_header(header.len() as u64, limits)?;

        let order: Vec<_> = order.into_iter().map(|(_, data)| data).collect();
        let total = PREFIX as usize + header.len() + order.iter().map(|data| data.bytes().len()).sum::<usize>();
        limits.check_file(total as u64)?;
        Ok(Self { header, order, total })
    }

    pub(super) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        self.order.iter().try_for_each(|data| out.write_all(data.bytes()))
    }
}

struct Header<'a> {
    order: &'a [(&'a String, &'a TensorData)],
    metadata: &'a BTreeMap<String, String>,
}

#[derive(serde::Serialize)]
struct EntryOut<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl serde::Serialize for Header<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA_KEY, self.metadata)?;
        }
        let mut begin = 0;
        for (name, data) in self.order {
            let end = begin + data.bytes().len();
            let entry = EntryOut { dtype: data.dtype().name(), shape: data.shape(), data_offsets: [begin, end] };
            map.serialize_entry(name, &entry)?;
            begin = end;
        }
        map.end()
    }
}

// ------------------------------------------------------------------------------------------------ reading

fn check_header(len: u64, limits: &Limits) -> Result<()> {
    let per_tensor = limits.max_name.saturating_add(ENTRY_OVERHEAD);
    // Escaping makes quotes and control characters longer; twice the size is enough for any manifest.
    let most = limits.max_metadata.saturating_mul(2).saturating_add(limits.max_tensors.saturating_mul(per_tensor));
    if len > most as u64 {
        return Err(Error::Limit(format!("a header of {len} bytes, more than the {most} accepted")));
    }
    Ok(())
}

pub(super) fn read<R: ReadAt>(source: &Source<R>, limits: &Limits) -> Result<Tensors> {
    limits.check_file(source.len())?;
    let prefix = source.read_at(0, PREFIX, &|| "the header length".into())?;
    let header_len = prefix.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    check_header(header_len, limits)?;
    let header = source.read_at(PREFIX, header_len, &|| "the header".into())?;
    let ParsedHeader { entries, metadata } = parse_header(&header)?;

    limits.check_count(entries.len())?;
    limits.check_metadata(&metadata)?;
    let data_start = PREFIX + header_len;
    let read = |Placed { name, dtype, shape, range }| {
        let Range { start, end } = range;
        let bytes = source.read_at(data_start + start, end - start, &|| format!("tensor {}", shorten(&name)))?;
        TensorData::new(dtype, shape, bytes).map(|data| (name, data))
    };
    let placed = check_layout(entries, source.len() - data_start, limits)?;
    let tensors = placed.into_par_iter().map(read).collect::<Result<_>>()?;
    Ok(Tensors { tensors, metadata })
}

/// A tensor whose position and size have been checked; tensors follow each other without gaps.
struct Placed {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    range: Range<u64>,
}

fn check_layout(mut entries: Vec<(String, Entry)>, data_len: u64, limits: &Limits) -> Result<Vec<Placed>> {
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut placed: Vec<Placed> = Vec::with_capacity(entries.len());
    let mut cursor = 0;
    for (name, entry) in entries {
        let shown = shorten(&name);
        limits.check_tensor(&name, entry.shape.len())?;
        let Some(dtype) = DType::from_name(&entry.dtype) else {
            return Err(Error::Model(format!("tensor {shown} has unsupported type {}", shorten(&entry.dtype))));
        };
        let [begin, end] = entry.data_offsets;
        if begin != cursor {
            let fault = if begin < cursor { "overlaps the tensor before it" } else { "leaves a gap before it" };
            return Err(Error::Model(format!("tensor {shown} {fault}: it begins at {begin}, expected {cursor}")));
        }
        if end < begin || end > data_len {
            return Err(Error::Model(format!(
                "tensor {shown} lies at bytes {begin} to {end}, outside the {data_len} bytes of data: the file is cut \
                 short or damaged"
            )));
        }
        let shape = entry.shape.iter().map(|&side| usize::try_from(side).ok()).collect::<Option<Vec<_>>>();
        let expected = shape.as_ref().and_then(|shape| dtype.byte_len(shape)).map(|bytes| bytes as u64);
        let (Some(shape), true) = (shape, expected == Some(end - begin)) else {
            return Err(Error::Model(format!(
                "tensor {shown} of type {dtype} and shape {:?} does not take the {} bytes it has",
                entry.shape,
                end - begin
            )));
        };
        placed.push(Placed { name, dtype, shape, range: begin..end });
        cursor = end;
    }
    if cursor != data_len {
        return Err(Error::Model(format!("{} bytes after the last tensor belong to none", data_len - cursor)));
    }
    Ok(placed)
}

fn parse_header(header: &[u8]) -> Result<ParsedHeader> {
    if header.first() != Some(&b'{') {
        return Err(Error::Model("the header does not start with '{': not a safetensors file, or damaged".into()));
    }
    serde_json::from_slice(header).map_err(|e| Error::Model(format!("malformed header: {e}")))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

struct ParsedHeader {
    entries: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for ParsedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = ParsedHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut seen = std::collections::BTreeSet::new();
                let mut header = ParsedHeader { entries: Vec::new(), metadata: BTreeMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("the name {} appears twice", shorten(&name))));
                    }
                    if name == METADATA_KEY {
                        header.metadata = map.next_value::<UniqueStrings>()?.0;
                    } else {
                        let entry = map
                            .next_value()
                            .map_err(|e| serde::de::Error::custom(format!("tensor {}: {e}", shorten(&name))))?;
                        header.entries.push((name, entry));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct UniqueStrings(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueStrings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;
        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = UniqueStrings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata as a map of strings to strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut strings = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    let shown = shorten(&key);
                    if strings.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom(format!("the metadata key {shown} appears twice")));
                    }
                }
                Ok(UniqueStrings(strings))
            }
        }
        deserializer.deserialize_map(StringsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::fuzz::mutate;
    use super::*;

    fn sample() -> Tensors {
        let mut tensors = Tensors::new();
        tensors.insert_f32("conv.weight", vec![2, 3, 1, 1], vec![0.5, -1.0, 2.0, 3.5, f32::NAN, 1e-40]).unwrap();
        tensors.insert_f16("conv.bias", vec![3], vec![1.0, 2.0, -0.5]).unwrap();
        tensors.insert("seen", TensorData::new(DType::I64, vec![], 7i64.to_le_bytes().into()).unwrap()).unwrap();
        tensors.insert("none", TensorData::new(DType::U8, vec![0, 4], vec![]).unwrap()).unwrap();
        for (key, value) in [("z", "last"), ("a", "first \"quoted\"\n"), ("manifest", "(classes: [])"), ("ü", "ß")] {
            tensors.set_metadata(key, value);
        }
        tensors
    }

    fn parse(bytes: &[u8]) -> Result<Tensors> {
        Tensors::from_safetensors(bytes, &Limits::default())
    }

    /// A file with this header and `data_len` zeros.
    fn file(header: &str, data_len: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.resize(bytes.len() + data_len, 0);
        bytes
    }

    fn fault(header: &str, data_len: usize) -> String {
        parse(&file(header, data_len)).unwrap_err().to_string()
    }

    fn header_end(bytes: &[u8]) -> usize {
        8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
    }

    /// Content that reads without error must be writable and readable again.
    fn assert_consistent(damaged: &[u8]) -> bool {
        let Ok(tensors) = parse(damaged) else { return false };
        let total: usize = tensors.iter().map(|(_, data)| data.bytes().len()).sum();
        assert_eq!(header_end(damaged) + total, damaged.len());
        for (name, data) in tensors.iter() {
            assert_eq!(data.dtype().byte_len(data.shape()), Some(data.bytes().len()), "{name}");
            assert_eq!(data.to_f32().len(), data.len());
        }
        assert_eq!(parse(&tensors.to_safetensors().unwrap()).unwrap(), tensors);
        true
    }

    #[test]
    fn round_trip_and_alignment() {
        let tensors = sample();
        let bytes = tensors.to_safetensors().unwrap();
        assert_eq!(parse(&bytes).unwrap(), tensors);
        assert_eq!(header_end(&bytes) % 8, 0);
        let nothing = Tensors::new();
        assert_eq!(parse(&nothing.to_safetensors().unwrap()).unwrap(), nothing);
    }

    #[test]
    fn other_readers_and_writers_agree() {
        let tensors = sample();
        let bytes = tensors.to_safetensors().unwrap();
        let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.len(), tensors.len());
        for (name, data) in tensors.iter() {
            let view = theirs.tensor(name).unwrap();
            assert_eq!((view.shape(), view.data()), (data.shape(), data.bytes()));
            assert_eq!(view.dtype().to_string(), data.dtype().name());
            let at = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
            assert_eq!(at % data.dtype().size(), 0, "{name} is aligned in the file");
        }
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata: BTreeMap<_, _> = header.metadata().clone().unwrap().into_iter().collect();
        assert_eq!(&metadata, tensors.metadata());

        let views: HashMap<_, _> = theirs.tensors().into_iter().collect();
        let theirs = ::safetensors::serialize(views, Some(metadata.into_iter().collect())).unwrap();
        assert_eq!(parse(&theirs).unwrap(), tensors);
    }

    #[test]
    fn the_order_of_insertion_does_not_matter() {
        let names: Vec<String> = (0..40).map(|i| format!("layer{}.weight", i * 7 % 40)).collect();
        let build = |order: &mut dyn Iterator<Item = &String>| {
            let mut tensors = Tensors::new();
            for name in order {
                let value = name.len() as f32;
                if name.len() % 2 == 0 {
                    tensors.insert_f16(name.clone(), vec![1], vec![value]).unwrap();
                } else {
                    tensors.insert_f32(name.clone(), vec![1], vec![value]).unwrap();
                }
                tensors.set_metadata(name.clone(), "x");
            }
            tensors.to_safetensors().unwrap()
        };
        assert_eq!(build(&mut names.iter()), build(&mut names.iter().rev()));
    }

    #[test]
    fn truncated_files_are_refused() {
        let bytes = sample().to_safetensors().unwrap();
        let header = header_end(&bytes);
        for len in (0..=header).chain((header..bytes.len()).step_by(37)).chain([bytes.len() - 1]) {
            assert!(parse(&bytes[..len]).is_err(), "cut to {len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(parse(&longer).unwrap_err().to_string().contains("after the last tensor"));
    }

    #[test]
    fn flipped_header_bits_never_give_nonsense() {
        let bytes = sample().to_safetensors().unwrap();
        for at in 0..header_end(&bytes) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_consistent(&damaged);
            }
        }
    }

    #[test]
    fn random_damage_never_panics() {
        let bytes = sample().to_safetensors().unwrap();
        let mut accepted = 0;
        mutate(&bytes, header_end(&bytes), 20_000, |damaged| {
            accepted += usize::from(assert_consistent(damaged));
        });
        // Damage to the data alone cannot be detected; most other damage must be.
        assert!((1..12_000).contains(&accepted), "{accepted}");
    }

    #[test]
    fn declared_sizes_are_not_believed() {
        for declared in [u64::MAX, u64::MAX - 7, 1 << 62, 1 << 40, 100_000_000, 3_000_000] {
            let mut bytes = declared.to_le_bytes().to_vec();
            bytes.extend(b"{}      ");
            assert!(parse(&bytes).is_err(), "{declared}");
        }
        let huge = u64::MAX;
        let side = u64::MAX / 4;
        for (shape, end) in
            [(format!("[{huge}]"), huge), (format!("[{side},4,4]"), 16), ("[1073741824]".into(), 1 << 32)]
        {
            let header = format!(r#"{{"big":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
            let message = fault(&header, 16);
            assert!(message.contains("big"), "{message}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let entry = |name: &str, dtype: &str, shape: &str, begin: usize, end: usize| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
        };
        let (a, b) = (entry("a", "F32", "[2]", 0, 8), entry("b", "F32", "[1]", 8, 12));
        assert!(parse(&file(&format!("{{{a},{b}}}"), 12)).is_ok());
        assert!(parse(&file(&format!("{{{b},{a}}}"), 12)).is_ok(), "any order in the header");
        let long = entry(&"n".repeat(257), "F32", "[2]", 0, 8);
        for (header, data, expected) in [
            (format!("{{{a},{b}}}"), 11, "\"b\""),
            (format!("{{{a},{b}}}"), 13, "1 bytes after"),
            (format!("{{{a},{}}}", entry("b", "F32", "[1]", 4, 8)), 8, "\"b\" overlaps"),
            (format!("{{{a},{}}}", entry("b", "F32", "[1]", 9, 13)), 13, "\"b\" leaves a gap"),
            (format!("{{{a},{}}}", entry("b", "F32", "[1]", 8, 4)), 12, "outside"),
            (format!("{{{a},{a}}}"), 8, "\"a\" appears twice"),
            (format!("{{{a},{}}}", entry("b", "F32", "[2]", 8, 12)), 12, "\"b\" of type F32 and shape [2]"),
            (format!("{{{a},{}}}", entry("b", "F8_E5M2", "[4]", 8, 12)), 12, "unsupported type \"F8_E5M2\""),
            (format!("{{{a},{}}}", entry("", "F32", "[1]", 8, 12)), 12, "not a valid tensor name"),
            (format!("{{{a},{}}}", entry("b", "F32", "[1,1,1,1,1,1,1]", 8, 12)), 12, "\"b\" has 7 sides"),
            (format!("{{{long}}}"), 8, "257 bytes long"),
            (format!("{{{a},{}}}", entry("b", "F32", "[-1]", 8, 12)), 12, "tensor \"b\""),
            (r#"{"a":{"dtype":"F32","shape":[2]}}"#.into(), 8, "data_offsets"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}"#.into(), 8, "unknown field"),
            (r#"{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}"#.into(), 8, "duplicate field"),
            (r#"{"__metadata__":{"k":1}}"#.into(), 0, "string"),
            (r#"{"__metadata__":{"k":"1","k":"2"}}"#.into(), 0, "\"k\" appears twice"),
            (r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "appears twice"),
            (" {}".into(), 0, "does not start with '{'"),
            ("{} {}".into(), 0, "trailing"),
            (String::new(), 0, "does not start with '{'"),
        ] {
            let message = fault(&header, data);
            assert!(message.contains(expected), "{header}: {message}");
        }
        let mut bytes = file(&format!("{{{a}}}"), 8);
        bytes[10] = 0xff;
        assert!(parse(&bytes).is_err(), "not UTF-8");
    }

    #[test]
    fn limits_are_kept() {
        let bytes = sample().to_safetensors().unwrap();
        let default = Limits::default();
        for limits in [
            Limits { max_file: bytes.len() as u64 - 1, ..default.clone() },
            Limits { max_metadata: 10, ..default.clone() },
            Limits { max_tensors: 3, ..default.clone() },
            Limits { max_rank: 3, ..default.clone() },
            Limits { max_name: 10, ..default.clone() },
        ] {
            assert!(matches!(Tensors::from_safetensors(&bytes, &limits), Err(Error::Limit(_))), "{limits:?}");
        }
        let mut tensors = Tensors::new();
        tensors.set_metadata("k", "x".repeat(1 << 20));
        assert!(matches!(tensors.to_safetensors(), Err(Error::Limit(_))));
        tensors.set_metadata("k", "\"".repeat((1 << 20) - 1));
        assert_eq!(parse(&tensors.to_safetensors().unwrap()).unwrap(), tensors);
    }

    fn any_tensor() -> impl Strategy<Value = TensorData> {
        (0..DType::ALL.len(), prop::collection::vec(0usize..4, 0..=6)).prop_flat_map(|(dtype, shape)| {
            let dtype = DType::ALL[dtype];
            let len = dtype.byte_len(&shape).unwrap();
            prop::collection::vec(any::<u8>(), len)
                .prop_map(move |bytes| TensorData::new(dtype, shape.clone(), bytes).unwrap())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_written_reads_back(
            content in prop::collection::btree_map("\\PC{1,20}", any_tensor(), 0..8),
            metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) {
            let tensors = Tensors { tensors: content, metadata };
            let bytes = tensors.to_safetensors().unwrap();
            prop_assert_eq!(parse(&bytes).unwrap(), tensors);
        }
    }
}
