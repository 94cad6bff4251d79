//! Converts checkpoints of the papers' code into models.
//!
//! A checkpoint is a list of tensors without further information. Their names and shapes determine widths, the
//! number of classes, norms and encoders. The rest (which classes, the training size, the number of upsampling
//! layers) comes from [`ImportOptions`], or from the conventions of the known data set with that number of classes.
//! Options that the tensors contradict are errors.

mod fold;
mod infer;

use super::{FORMAT, MANIFEST_KEY, Manifest, Model, Precision, Provenance};
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::network::{Architecture, BLOCKS, StyleConfig, System, Upsampling, is_unused};
use crate::nn::Statistics;
use crate::nn::modulation::Inputs;
use crate::tensors::{DType, TensorData, Tensors, unwrapped};

/// What a checkpoint does not say, or what it should be checked against.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The network; `None` detects it from the tensors.
    pub system: Option<System>,
    /// The classes; `None` uses those of the known data set with this number of classes.
    pub classes: Option<ClassTable>,
    /// Whether the last input channel holds instance edges; `None` detects it from the tensors or the data set.
    pub instance_edges: Option<bool>,
    /// How often features are upsampled; `None` detects it from the tensors or the data set.
    pub upsampling: Option<Upsampling>,
    /// Height and width the network was trained at; `None` uses the data set's usual size, or 256x256.
    pub size: Option<[usize; 2]>,
    /// Name of the model.
    pub name: String,
    /// Licence of the weights; `None` records that it is unknown.
    pub licence: Option<String>,
    /// Precision of the stored weights.
    pub precision: Precision,
}

/// How the papers' code trains on a data set for which official checkpoints exist.
struct Conventions {
    table: &'static str,
    label_channels: usize,
    instance_edges: bool,
    upsampling: Upsampling,
    size: [usize; 2],
}

/// The conventions of all known data sets.
const CONVENTIONS: [Conventions; 5] = [
    Conventions::plain("ade20k", 151),
    Conventions::plain("ade20k-shifted", 151),
    Conventions { instance_edges: true, ..Conventions::plain("coco-stuff", 183) },
    Conventions {
        instance_edges: true,
        upsampling: Upsampling::More,
        size: [256, 512],
        ..Conventions::plain("cityscapes", 35)
    },
    Conventions::plain("celebamask-hq", 19),
];

impl Conventions {
    const fn plain(table: &'static str, label_channels: usize) -> Self {
        Self { table, label_channels, instance_edges: false, upsampling: Upsampling::Normal, size: [256, 256] }
    }

    fn semantics(&self) -> usize {
        self.label_channels + usize::from(self.instance_edges)
    }
}

/// [`ImportOptions`], completed by the conventions of a known data set.
struct Hints {
    classes: Option<ClassTable>,
    /// Whether the classes were guessed from the number of channels.
    guessed: bool,
    instance_edges: Option<bool>,
    upsampling: Option<Upsampling>,
    size: Option<[usize; 2]>,
    /// The data set whose conventions apply.
    known: Option<&'static Conventions>,
}

impl Hints {
    fn new(options: &ImportOptions, tensors: &Tensors) -> Result<Self> {
        let shipped = |conventions: &&Conventions| {
            let table = ClassTable::shipped(conventions.table).ok();
            table.is_some() && options.classes == table
        };
        // The class table identifies the data set; without one, the number of input channels does.
        let known = match &options.classes {
            Some(_) => CONVENTIONS.iter().find(shipped),
            None => {
                let inputs = infer::inputs(tensors);
                CONVENTIONS.iter().find(|known| match inputs {
                    Some(Inputs::Labels(labels, _)) => known.label_channels == labels,
                    Some(Inputs::Semantics(semantics)) => known.semantics() == semantics,
                    None => false,
                })
            }
        };
        let classes = match (&options.classes, known) {
            (Some(classes), _) => Some(classes.clone()),
            (None, Some(known)) => Some(ClassTable::shipped(known.table)?),
            (None, None) => None,
        };
        let ImportOptions { instance_edges, upsampling, size, .. } = *options;
        Ok(Self { classes, guessed: options.classes.is_none(), instance_edges, upsampling, size, known })
    }

    /// The training data for the manifest, and how it was determined.
    fn data(&self, architecture: &Architecture) -> String {
        match self.known {
            None => "unknown".into(),
            Some(known) if self.guessed => {
                let Conventions { table, upsampling, size: [height, width], .. } = known;
                let doublings = match architecture {
                    Architecture::SpadeFamily(config) if config.upsampling == *upsampling => {
                        format!(", {} doublings", upsampling.doublings())
                    }
                    _ => String::new(),
                };
                format!(
                    "assumed to be {table}, by the number of classes, with its usual settings ({width}x{height}{doublings})"
                )
            }
            Some(known) => known.table.into(),
        }
    }

    fn conventions(&self) -> &Conventions {
        const NONE: &Conventions = &Conventions::plain("", 0);
        self.known.unwrap_or(NONE)
    }

    /// Height and width the network was trained at.
    fn size(&self) -> [usize; 2] {
        self.size.unwrap_or(self.conventions().size)
    }

    /// The class table, for a network with `inputs` input channels.
    fn table(&self, inputs: usize) -> Result<ClassTable> {
        self.classes.clone().ok_or_else(|| {
            let names: Vec<&str> = ClassTable::shipped_names().collect();
            Error::Argument(format!(
                "the network has {inputs} input channels, which matches no known data set: give its class table in the option \
                 `classes` (your own, or a built-in one: {})",
                names.join(", ")
            ))
        })
    }

    /// Checks label channels and edges, as found in the tensors, against the options.
    fn agree(&self, labels: usize, edges: bool) -> Result<(usize, bool)> {
        if let Some(given) = self.instance_edges.filter(|&given| given != edges) {
            let found = if edges { "has a" } else { "has no" };
            return Err(Error::Argument(format!(
                "the option `instance_edges` is {given}, but the network {found} channel for them"
            )));
        }
        self.check_table(labels, edges)
    }

    /// Splits input channels into labels and instance edges where the tensors do not separate them.
    fn split(&self, semantics: usize) -> Result<(usize, bool)> {
        let channels = self.table(semantics)?.channels();
        let usual = self.known.filter(|known| known.semantics() == semantics).map(|known| known.instance_edges);
        let edges = match self.instance_edges.or(usual) {
            Some(edges) => edges,
            None if channels == semantics => false,
            None if channels + 1 == semantics => {
                return Err(Error::Argument(format!(
                    "the network has {semantics} input channels, the class table {channels} label channels: set the \
                     option `instance_edges` to true if the last channel holds edges, or to false if it is a label \
                     without a name"
                )));
            }
            None => false,
        };
        self.check_table(semantics.saturating_sub(usize::from(edges)), edges)
    }

    /// Checks the class table against the number of label channels. The table may lack the last channel, which many
    /// data sets leave unused.
    fn check_table(&self, labels: usize, edges: bool) -> Result<(usize, bool)> {
        let channels = self.table(labels + usize::from(edges))?.channels();
        if channels == labels || channels + 1 == labels {
            return Ok((labels, edges));
        }
        let more = if edges { " and one for instance edges" } else { ", none for instance edges" };
        Err(Error::Argument(format!(
            "the network has {labels} label channels{more}; the class table has {channels} (ids 0 to {}): give the table it \
             was trained with in the option `classes`, or change the option `instance_edges`",
            channels - 1
        )))
    }
}

/// Makes a model from the tensors of a generator and, for SPADE with a latent vector, of its encoder
/// (`…_net_E.pth`).
///
/// # Errors
///
/// [`Error::Argument`] if an option contradicts the tensors or a required one is missing; [`Error::Model`] naming
/// the tensor that is missing, unknown, or of the wrong shape, with the expected shape.
pub fn import_checkpoint(generator: Tensors, encoder: Option<Tensors>, options: &ImportOptions) -> Result<Model> {
    let mut tensors = cleaned(generator)?;
    let layout = infer::layout(&tensors).map_err(|error| match some_names(&tensors) {
        Some(names) => Error::Model(format!("{error}; the file holds {names}")),
        None => error,
    })?;
    if let Some(asked) = options.system {
        infer::check_system(&tensors, layout, asked)?;
    }
    if layout == infer::Layout::Pix2PixHd {
        // PyTorch before 0.4 stored running statistics of instance norms but never used them.
        drop_where(&mut tensors, |name| name.contains(".running_"));
    }
    fold::fold(&mut tensors)?;
    if let Some(encoder) = encoder {
        let latent = tensors.get("fc.weight").is_some_and(|data| data.shape().len() == 2);
        if !latent {
            return Err(Error::Argument("an encoder was given, but the network takes no latent vector".into()));
        }
        let mut encoder = cleaned(encoder)?;
        fold::fold(&mut encoder).map_err(|error| error.context("the encoder"))?;
        let names: Vec<String> = encoder.names().map(str::to_owned).collect();
        for name in names {
            if let Some(data) = encoder.remove(&name) {
                tensors.insert(&name, data).map_err(|_| {
                    Error::Model(format!(
                        "the encoder and the generator both have a tensor {name:?}: is this an encoder?"
                    ))
                })?;
            }
        }
    }
    let hints = Hints::new(options, &tensors)?;
    let architecture = infer::architecture(&tensors, layout, &hints)?;
    let classes = hints.table(architecture.semantics())?;
    let manifest = Manifest {
        format: FORMAT,
        name: options.name.clone(),
        classes,
        // pix2pix uses the statistics of the picture itself, as in training.
        statistics: if layout == infer::Layout::Pix2Pix { Statistics::Batch } else { Statistics::Running },
        native_size: hints.size(),
        value_range: [-1.0, 1.0],
        provenance: Provenance {
            program: format!("semsynth {}, imported from a PyTorch checkpoint", env!("CARGO_PKG_VERSION")),
            data: hints.data(&architecture),
            ..Provenance::default()
        },
        licence: options.licence.clone().unwrap_or_else(|| "unknown: that of the checkpoint".into()),
        presets: Vec::new(),
        architecture,
    };
    finish(tensors, manifest, options.precision)
}

/// The first names of each group of tensors: what stands before the first dot.
fn some_names(tensors: &Tensors) -> Option<String> {
    let mut groups: Vec<&str> = tensors.names().filter_map(|name| name.split('.').next()).collect();
    groups.dedup();
    let (total, shown) = (groups.len(), groups.iter().take(12).map(|group| format!("{group}.…")).collect::<Vec<_>>());
    let more = if total > shown.len() { " and more" } else { "" };
    (total > 1).then(|| format!("{}{more}", shown.join(", ")))
}

fn drop_where(tensors: &mut Tensors, unused: impl Fn(&str) -> bool) {
    let names: Vec<String> = tensors.names().filter(|name| unused(name)).map(str::to_owned).collect();
    for name in names {
        tensors.remove(&name);
    }
}

/// Removes wrappers around the network's names, and tensors that no network uses.
fn cleaned(tensors: Tensors) -> Result<Tensors> {
    let mut tensors = unwrapped(tensors, is_top)?;
    drop_where(&mut tensors, is_unused);
    Ok(tensors)
}

/// Whether a tensor's name is one of a network of the papers' code, without a wrapper.
fn is_top(name: &str) -> bool {
    // pix2pix and pix2pixHD call their layers `model`, with numbers: `model.1.weight`, `model.model.1.…`.
    let inner = name.trim_start_matches("model.");
    let is_numbered = inner.len() < name.len() && inner.starts_with(|c: char| c.is_ascii_digit());
    let first = ["fc.", "fc_mu.", "conv_img.", "Zencoder.", "layer1.", "model1_1.", "discriminator_"];
    is_numbered
        || first.iter().any(|start| name.starts_with(start))
        || BLOCKS.iter().any(|block| name.strip_prefix(block).is_some_and(|rest| rest.starts_with('.')))
}

/// Converts the tensors to the requested precision and checks the model against its architecture.
fn finish(mut tensors: Tensors, manifest: Manifest, precision: Precision) -> Result<Model> {
    let mut model = Tensors::new();
    let names: Vec<String> = tensors.names().map(str::to_owned).collect();
    for name in names {
        let Some(data) = tensors.remove(&name) else { continue };
        let half = precision == Precision::Half && !name.contains(".running_");
        let data = match (half, data.dtype()) {
            (false, DType::F32) => data,
            (false, _) => TensorData::from_f32(data.shape().to_vec(), &data.to_f32())?,
            (true, _) => TensorData::from_f32_as_f16(data.shape().to_vec(), &data.to_f32())
                .map_err(|error| error.context(&name))?,
        };
        model.insert(name, data)?;
    }
    model.set_metadata(MANIFEST_KEY, manifest.to_ron_string()?);
    let advice = advice(&manifest.architecture);
    Model::from_tensors(model).map_err(|error| match error {
        Error::Model(message) if message.starts_with("tensor ") && !message.contains("finite") => {
            Error::Model(format!("{message} ({advice})"))
        }
        other => other,
    })
}

/// Advice for an error about a tensor that does not match the rest of the checkpoint.
fn advice(architecture: &Architecture) -> String {
    let network = architecture.describe();
    let options = match (architecture, architecture.style()) {
        (_, StyleConfig::Latent { .. }) => {
            "the `encoder` and the options `size`, `upsampling`, `instance_edges` and `classes`"
        }
        (Architecture::SpadeFamily(_), _) => "the options `upsampling`, `instance_edges` and `classes`",
        _ => "the options `instance_edges` and `classes`",
    };
    format!("the other tensors match {network}; for another network, change {options}")
}
