//! A pickle interpreter for tensors and plain containers only.
//!
//! Pickles are programs. This interpreter runs the opcodes that `torch.save` emits for a `state_dict` and rejects
//! all other opcodes and all globals outside a short list, so a file can do no more than describe tensors. Values
//! are stored in an arena and refer to each other by index: copies cost nothing, dropping cycles cannot hang, and
//! memory is proportional to the number of opcodes read, which is bounded.

use std::collections::{BTreeMap, HashMap};

use super::{DType, Limits, shorten};
use crate::error::{Error, Result};

/// Deepest nesting of containers around a tensor.
const MAX_DEPTH: usize = 32;

type Id = usize;

/// A typed storage of the file, which holds the bytes of tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StorageRef {
    pub key: String,
    pub dtype: DType,
    /// Number of elements in the storage.
    pub numel: usize,
    /// First element that tensors may use, and one past the last; the whole storage except for views in old files.
    pub view: (usize, usize),
}

/// A strided view into a storage, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorRef {
    pub storage: StorageRef,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A float, bytes or a number beyond 64 bits: never part of the description of a tensor.
    Scalar,
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
    /// A `Parameter` that has not received its state yet.
    EmptyParameter,
}

impl Node<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a bool",
            Node::Int(_) => "an int",
            Node::Scalar => "a float, bytes or huge int",
            Node::Text(_) => "a string",
            Node::Tuple(_) => "a tuple",
            Node::List(_) => "a list",
            Node::Dict(_) => "a dict",
            Node::Global(_) => "a class or function",
            Node::Storage(_) => "a storage",
            Node::Tensor(_) => "a tensor",
            Node::EmptyParameter => "a parameter without data",
        }
    }
}

/// The only globals that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Parameter,
    Size,
    Storage(DType),
}

impl Global {
    fn from_name(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch.nn.parameter", "Parameter") => Self::Parameter,
            ("torch", "Size") => Self::Size,
            ("torch" | "torch.cuda", storage) => Self::Storage(match storage {
                "DoubleStorage" => DType::F64,
                "FloatStorage" => DType::F32,
                "HalfStorage" => DType::F16,
                "BFloat16Storage" => DType::BF16,
                "LongStorage" => DType::I64,
                "IntStorage" => DType::I32,
                "ShortStorage" => DType::I16,
                "CharStorage" => DType::I8,
                "ByteStorage" => DType::U8,
                "BoolStorage" => DType::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// A pickle after it has run.
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle at the start of `bytes`; also returns its length in bytes.
    pub(super) fn read(bytes: &'a [u8], limits: &Limits) -> Result<(Self, usize)> {
        let steps = limits.max_tensors.saturating_mul(256).saturating_add(1 << 16);
        let max_key = limits.max_name;
        let mut machine = Machine { bytes, steps, max_rank: limits.max_rank, max_key, ..Machine::default() };
        let root = machine.run().map_err(|e| e.context(format!("pickle, near byte {}", machine.at)))?;
        Ok((Self { nodes: machine.nodes, root }, machine.at))
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        match self.nodes.get(self.root) {
            Some(Node::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// The boolean stored under `key`, if the pickle is a dict that has it.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let Some(Node::Dict(items)) = self.nodes.get(self.root) else {
            return None;
        };
        items.iter().find_map(|&(k, v)| match (self.nodes.get(k), self.nodes.get(v)) {
            (Some(Node::Text(text)), Some(Node::Bool(value))) if *text == key => Some(*value),
            _ => None,
        })
    }

    /// The pickle as a list of strings.
    pub(super) fn strings(&self) -> Option<Vec<String>> {
        let Some(Node::List(items)) = self.nodes.get(self.root) else {
            return None;
        };
        items.iter().map(|&id| self.key(id)).collect()
    }

    fn key(&self, id: Id) -> Option<String> {
        match self.nodes.get(id)? {
            Node::Text(text) => Some((*text).to_owned()),
            Node::Int(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// Type and number of elements of all storages that the pickle refers to.
    pub(super) fn storages(&self) -> Result<BTreeMap<&str, (DType, usize)>> {
        let mut found = BTreeMap::new();
        for node in &self.nodes {
            let Node::Storage(storage) = node else { continue };
            let StorageRef { key, dtype, numel, .. } = &**storage;
            if *found.entry(key.as_str()).or_insert((*dtype, *numel)) != (*dtype, *numel) {
                return Err(malformed(format!("storage {} is described in two ways", shorten(key))));
            }
        }
        Ok(found)
    }

    /// All tensors in the nested containers, by their paths joined with dots.
    pub(super) fn tensors<'p>(&'p self, limits: &'p Limits) -> Result<BTreeMap<String, &'p TensorRef>> {
        if !matches!(self.nodes.get(self.root), Some(Node::Dict(_))) {
            let kind = self.nodes.get(self.root).map_or("nothing", Node::kind);
            return Err(Error::Model(format!("the file holds {kind}, expected a state_dict (names to tensors)")));
        }
        let budget = self.nodes.len().saturating_add(limits.max_tensors).saturating_mul(4);
        let mut walk = Walk { pickle: self, limits, budget, found: BTreeMap::new() };
        walk.visit(self.root, "", 0)?;
        Ok(walk.found)
    }
}

struct Walk<'p, 'a> {
    pickle: &'p Pickle<'a>,
    limits: &'p Limits,
    /// Remaining visits; without a limit, shared containers could unfold exponentially.
    budget: usize,
    found: BTreeMap<String, &'p TensorRef>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, id: Id, path: &str, depth: usize) -> Result<()> {
        let shown = || shorten(path);
        self.budget = self
            .budget
            .checked_sub(1)
            .ok_or_else(|| Error::Limit(format!("containers are shared too often to unfold (at {})", shown())))?;
        let Some(node) = self.pickle.nodes.get(id) else {
            return Ok(());
        };
        if let Node::Tensor(tensor) = node {
            self.limits.check_tensor(path, tensor.shape.len())?;
            if self.found.insert(path.to_owned(), tensor).is_some() {
                return Err(Error::Model(format!("the name {} appears twice", shown())));
            }
            return self.limits.check_count(self.found.len());
        }
        if !matches!(node, Node::Dict(_) | Node::List(_) | Node::Tuple(_)) {
            return Ok(()); // A step counter, a learning rate, a remark: no tensor, no concern of ours.
        }
        if depth >= MAX_DEPTH {
            return Err(Error::Limit(format!("containers nest deeper than {MAX_DEPTH} levels (at {})", shown())));
        }
        // Paths grow by one key per level, so this keeps them short without rejecting long keys of non-tensors.
        self.limits.check_tensor(if path.is_empty() { "." } else { path }, 0)?;
        let pickle = self.pickle;
        match node {
            Node::Dict(items) => {
                for &(key, value) in items {
                    let Some(key) = pickle.nodes.get(key) else { continue };
                    let joined = match key {
                        Node::Text(text) => self.join(path, text)?,
                        Node::Int(value) => self.join(path, &value.to_string())?,
                        other => {
                            let kind = other.kind();
                            return Err(Error::Model(format!("{kind} as a key in {}, expected a string", shown())));
                        }
                    };
                    self.visit(value, &joined, depth + 1)?;
                }
            }
            Node::List(items) | Node::Tuple(items) => {
                for (index, &item) in items.iter().enumerate() {
                    self.visit(item, &self.join(path, &index.to_string())?, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn join(&self, path: &str, key: &str) -> Result<String> {
        // A long key is cut to one byte or more above the limit, so it is still rejected if it names a tensor.
        let key = key.get(..key.ceil_char_boundary(self.limits.max_name.saturating_add(1))).unwrap_or(key);
        if path.len() > self.limits.max_name {
            return Err(Error::Limit(format!("the path {} is too long", shorten(path))));
        }
        Ok(if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") })
    }
}

// ------------------------------------------------------------------------------------------------ the machine

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Remaining steps; each makes at most one node.
    steps: usize,
    max_rank: usize,
    max_key: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::Model(format!("{what}: the file is damaged, or not written by torch.save"))
}

impl<'a> Machine<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or_else(|| malformed("the pickle ends early"))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.first_chunk().copied().ok_or_else(|| malformed("the pickle ends early"))
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn long_length(&mut self) -> Result<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| malformed("the pickle ends early"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&b| b == b'\n').ok_or_else(|| malformed("a line without end"))?;
        let line = self.take(len)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn text(&mut self, len: usize) -> Result<()> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| malformed("a string is not UTF-8"))?;
        self.push(Node::Text(text));
        Ok(())
    }

    /// A Python 2 string: text if it is valid UTF-8, otherwise bytes.
    fn old_text(&mut self, len: usize) -> Result<()> {
        let node = std::str::from_utf8(self.take(len)?).map_or(Node::Scalar, Node::Text);
        self.push(node);
        Ok(())
    }

    fn skip_scalar(&mut self, len: usize) -> Result<()> {
        self.take(len)?;
        self.push(Node::Scalar);
        Ok(())
    }

    /// A two's complement integer of any length.
    fn long(&mut self, len: usize) -> Result<()> {
        let bytes = self.take(len)?;
        let mut value = [if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
        let node = match value.get_mut(..len) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(value))
            }
            None => Node::Scalar,
        };
        self.push(node);
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(malformed("a mark where a value belongs"));
        }
        self.stack.pop().ok_or_else(|| malformed("the stack runs empty"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| malformed("a missing mark"))?;
        if mark > self.stack.len() {
            return Err(malformed("a mark beyond the stack"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn pop_some<const N: usize>(&mut self) -> Result<[Id; N]> {
        let mut ids = [0; N];
        for id in ids.iter_mut().rev() {
            *id = self.pop()?;
        }
        Ok(ids)
    }

    fn top(&self) -> Result<Id> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(malformed("a mark where a value belongs"));
        }
        self.stack.last().copied().ok_or_else(|| malformed("the stack runs empty"))
    }

    fn node(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    fn kind(&self, id: Id) -> &'static str {
        self.node(id).kind()
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match self.nodes.get_mut(top) {
            Some(Node::List(list)) => list.extend(items),
            _ => return Err(malformed(format!("{} where a list belongs", self.kind(top)))),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let top = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(malformed("a key without a value"));
        }
        match self.nodes.get_mut(top) {
            Some(Node::Dict(dict)) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(malformed(format!("{} where a dict belongs", self.kind(top)))),
        }
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let id = *self.memo.get(&index).ok_or_else(|| malformed(format!("nothing was remembered as {index}")))?;
        self.stack.push(id);
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let global = Global::from_name(module, name).ok_or_else(|| {
            Error::Model(format!(
                "it refers to {}, which is neither a tensor of a supported type nor a plain container; save only the \
                 state_dict: torch.save(model.state_dict(), path)",
                shorten(&format!("{module}.{name}"))
            ))
        })?;
        self.push(Node::Global(global));
        Ok(())
    }

    fn charge(&mut self, steps: usize) -> Result<()> {
        let left = self.steps.checked_sub(steps);
        self.steps = left.ok_or_else(|| Error::Limit("more steps than the accepted number of tensors needs".into()))?;
        Ok(())
    }

    fn run(&mut self) -> Result<Id> {
        loop {
            self.charge(1)?;
            match self.byte()? {
                b'.' => {
                    let root = self.pop()?;
                    if !self.stack.is_empty() {
                        return Err(malformed("values are left over at the end"));
                    }
                    return Ok(root);
                }
                0x80 => {
                    let version = self.byte()?;
                    if version > 5 {
                        return Err(malformed(format!("pickle protocol {version} is unknown")));
                    }
                }
                0x95 => drop(self.array::<8>()?), // FRAME: only of use to streaming readers.
                // Scalars.
                b'N' => self.push(Node::None),
                0x88 => self.push(Node::Bool(true)),
                0x89 => self.push(Node::Bool(false)),
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push(Node::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Node::Int(value.into()));
                }
                0x8a => {
                    let len = self.byte()?;
                    self.long(len.into())?;
                }
                0x8b => {
                    let len = self.length()?;
                    self.long(len)?;
                }
                b'G' => self.skip_scalar(8)?,
                // Text and bytes.
                b'X' => {
                    let len = self.length()?;
                    self.text(len)?;
                }
                0x8c => {
                    let len = self.byte()?;
                    self.text(len.into())?;
                }
                0x8d => {
                    let len = self.long_length()?;
                    self.text(len)?;
                }
                b'T' => {
                    let len = self.length()?;
                    self.old_text(len)?;
                }
                b'U' => {
                    let len = self.byte()?;
                    self.old_text(len.into())?;
                }
                b'B' => {
                    let len = self.length()?;
                    self.skip_scalar(len)?;
                }
                b'C' => {
                    let len = self.byte()?;
                    self.skip_scalar(len.into())?;
                }
                0x8e => {
                    let len = self.long_length()?;
                    self.skip_scalar(len)?;
                }
                // Containers; sets are read as lists.
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b')' => self.push(Node::Tuple(Vec::new())),
                b']' | 0x8f => self.push(Node::List(Vec::new())),
                b'}' => self.push(Node::Dict(Vec::new())),
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::Tuple(items));
                }
                0x85 => {
                    let items = self.pop_some::<1>()?;
                    self.push(Node::Tuple(items.into()));
                }
                0x86 => {
                    let items = self.pop_some::<2>()?;
                    self.push(Node::Tuple(items.into()));
                }
                0x87 => {
                    let items = self.pop_some::<3>()?;
                    self.push(Node::Tuple(items.into()));
                }
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Node::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let pair = self.pop_some::<2>()?;
                    self.set_items(&pair)?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?;
                }
                // Memo.
                b'h' => {
                    let index = self.byte()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index)?;
                }
                b'q' => {
                    let index = self.byte()?;
                    self.remember(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.remember(index)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                // Objects.
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let [module, name] = self.pop_some()?;
                    let (Node::Text(module), Node::Text(name)) = (self.node(module), self.node(name)) else {
                        return Err(malformed("a class without a name"));
                    };
                    let (module, name) = (*module, *name);
                    self.global(module, name)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Node::Storage(Box::new(storage)));
                }
                b'R' | 0x81 => {
                    let [callable, args] = self.pop_some()?;
                    self.call(callable, args)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                other => {
                    return Err(Error::Model(format!(
                        "opcode 0x{other:02x} is not one that torch.save writes for tensors: the file is damaged, or \
                         was saved with an unusual pickle protocol"
                    )));
                }
            }
        }
    }

    // -------------------------------------------------------------------------------------------- tensors

    fn fields(&self, id: Id, what: &str) -> Result<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) => Ok(items),
            other => Err(malformed(format!("{} as {what}, expected a tuple", other.kind()))),
        }
    }

    fn size(&self, id: Id, what: &str) -> Result<usize> {
        match self.node(id) {
            Node::Int(value) => {
                usize::try_from(*value).map_err(|_| malformed(format!("{value} as {what}, expected no less than 0")))
            }
            other => Err(malformed(format!("{} as {what}, expected an int", other.kind()))),
        }
    }

    fn sizes(&self, id: Id, what: &str) -> Result<Vec<usize>> {
        let items = self.fields(id, what)?;
        if items.len() > self.max_rank {
            let (found, most) = (items.len(), self.max_rank);
            return Err(Error::Limit(format!("a tensor with {found} sides, more than the {most} accepted")));
        }
        items.iter().map(|&item| self.size(item, what)).collect()
    }

    /// `('storage', type, key, location, elements[, view])`
    fn storage(&self, id: Id) -> Result<StorageRef> {
        let (tag, kind, key, numel, view) = match *self.fields(id, "a storage id")? {
            [tag, kind, key, _, numel] => (tag, kind, key, numel, None),
            [tag, kind, key, _, numel, view] => (tag, kind, key, numel, Some(view)),
            _ => return Err(malformed("a storage id without its five or six fields")),
        };
        if !matches!(self.node(tag), Node::Text("storage")) {
            return Err(malformed("a persistent id that is not a storage"));
        }
        let Node::Global(Global::Storage(dtype)) = *self.node(kind) else {
            return Err(malformed(format!("{} as a storage type", self.kind(kind))));
        };
        let key = match self.node(key) {
            Node::Text(text) => (*text).to_owned(),
            Node::Int(value) => value.to_string(),
            other => return Err(malformed(format!("{} as a storage key", other.kind()))),
        };
        if key.len() > self.max_key {
            return Err(malformed(format!("a storage key of {} bytes", key.len())));
        }
        let numel = self.size(numel, "the length of a storage")?;
        let view = match view.map(|id| (id, self.node(id))) {
            None | Some((_, Node::None)) => (0, numel),
            Some((id, _)) => {
                let &[_, offset, len] = self.fields(id, "a storage view")? else {
                    return Err(malformed("a storage view without its three fields"));
                };
                let offset = self.size(offset, "the offset of a storage view")?;
                let end = offset.checked_add(self.size(len, "the length of a storage view")?);
                let end = end.filter(|&end| end <= numel);
                (offset, end.ok_or_else(|| malformed(format!("a view outside of storage {}", shorten(&key))))?)
            }
        };
        Ok(StorageRef { key, dtype, numel, view })
    }

    fn call(&mut self, callable: Id, args: Id) -> Result<()> {
        let Node::Global(global) = *self.node(callable) else {
            return Err(malformed(format!("a call of {}", self.kind(callable))));
        };
        let args = self.fields(args, "the arguments of a call")?;
        let node = match (global, args) {
            (Global::OrderedDict, []) => Node::Dict(Vec::new()),
            (Global::OrderedDict, &[items]) => {
                let pairs = self.pairs(items)?;
                self.charge(pairs.len())?; // The one copy that an opcode can make.
                Node::Dict(pairs)
            }
            (Global::RebuildTensor, &[storage, offset, shape, stride])
            | (
                Global::RebuildTensorV2,
                &[storage, offset, shape, stride, _, _] | &[storage, offset, shape, stride, _, _, _],
            ) => {
                let Node::Storage(storage) = self.node(storage) else {
                    return Err(malformed(format!("a tensor on {}", self.kind(storage))));
                };
                let tensor = TensorRef {
                    storage: (**storage).clone(),
                    offset: self.size(offset, "the offset of a tensor")?,
                    shape: self.sizes(shape, "the shape of a tensor")?,
                    stride: self.sizes(stride, "the strides of a tensor")?,
                };
                if tensor.shape.len() != tensor.stride.len() {
                    return Err(malformed("a tensor with more or fewer strides than sides"));
                }
                Node::Tensor(Box::new(tensor))
            }
            (Global::Parameter, []) => Node::EmptyParameter,
            (Global::RebuildParameter | Global::Parameter, &[data, ..])
                if matches!(self.node(data), Node::Tensor(_)) =>
            {
                self.stack.push(data);
                return Ok(());
            }
            (Global::Size, &[sizes]) if matches!(self.node(sizes), Node::Tuple(_)) => {
                self.stack.push(sizes);
                return Ok(());
            }
            _ => {
                return Err(malformed(format!("{global:?} does not take {} such arguments", args.len())));
            }
        };
        self.push(node);
        Ok(())
    }

    fn pairs(&self, items: Id) -> Result<Vec<(Id, Id)>> {
        let (Node::List(items) | Node::Tuple(items)) = self.node(items) else {
            return Err(malformed("an OrderedDict made of something other than a list"));
        };
        let pair = |&item: &Id| match self.node(item) {
            Node::List(pair) | Node::Tuple(pair) => <[Id; 2]>::try_from(pair.as_slice()).ok().map(|[k, v]| (k, v)),
            _ => None,
        };
        items.iter().map(|item| pair(item).ok_or_else(|| malformed("an OrderedDict entry that is no pair"))).collect()
    }

    /// Sets the state of the object on top of the stack.
    fn build(&mut self, state: Id) -> Result<()> {
        let top = self.top()?;
        let data = match self.node(state) {
            Node::Tuple(items) => items.first().copied().filter(|&id| matches!(self.node(id), Node::Tensor(_))),
            _ => None,
        };
        match (self.node(top), self.node(state), data) {
            // `PyTorch` before 0.4 stored the tensor of a parameter as the first item of its state.
            (Node::EmptyParameter | Node::Tensor(_), Node::Tuple(_), Some(data)) => {
                let tensor = self.node(data).clone();
                if let Some(slot) = self.nodes.get_mut(top) {
                    *slot = tensor;
                }
                Ok(())
            }
            // The attributes of a dict (`_metadata`, the versions of its layers) are not among its items. The other
            // state of a tensor is whether it requires a gradient, and its hooks.
            (Node::Dict(_), Node::Dict(_), _) | (Node::Tensor(_), Node::Tuple(_), None) => Ok(()),
            (object, state, _) => Err(malformed(format!("{} as the state of {}", state.kind(), object.kind()))),
        }
    }
}
