//! Settings of the plugin.

use std::time::Duration;

use bevy_ecs::reflect::ReflectResource;
use bevy_ecs::resource::Resource;
use bevy_reflect::Reflect;
use bevy_reflect::std_traits::ReflectDefault;

/// Settings of the plugin. Insert it before [`SemSynthPlugin`](crate::SemSynthPlugin); only `anisotropy` can be changed later, for textures made after that.
#[derive(Resource, Clone, Debug, PartialEq, Eq, Reflect)]
#[reflect(Resource, Default)]
pub struct SemSynthSettings {
    /// Where to paint.
    pub device: SynthDevice,
    /// Threads that paint on the CPU, 1 or more. The default leaves one core to the app.
    pub threads: usize,
    /// How long a brush rests before its edits are brought from preview to full quality.
    pub rest: Duration,
    /// Bytes written to the GPU per frame at most, 4 MiB unless changed; at least a row.
    pub upload_budget: usize,
    /// Samples that textures take at most where they are seen at a flat angle, 1 to 16; 8 unless changed.
    pub anisotropy: u16,
    /// Bytes that the feature maps of one terrain may take. The default is no limit: with the model
    /// `facades` 32 MiB for 512x512 pixels, 129 MiB for 1024x1024; with `terrain` 21 MiB for 512x512. With less, edits are slower.
    pub canvas_memory: usize,
}

/// Where to paint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum SynthDevice {
    /// On the CPU, where edits cost only what they change.
    #[default]
    Cpu,
    /// On a GPU if there is one and the feature `gpu` is on: each edit repaints the whole terrain.
    Best,
}

impl Default for SemSynthSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            device: SynthDevice::default(),
            threads: cores.saturating_sub(1).max(1),
            rest: Duration::from_millis(150),
            upload_budget: 4 << 20,
            anisotropy: 8,
            canvas_memory: usize::MAX,
        }
    }
}
