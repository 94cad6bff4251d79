//! Synthesizes a picture from a label map with the built-in model. Also builds with `default-features = false`: no
//! training, no GPU.

use semsynth::{Device, LabelMap, Model, Request, Result, Synthesizer};

fn main() -> Result<()> {
    let device = Device::best()?;
    let model = Model::builtin("facades")?;
    let labels = LabelMap::open("examples/labels/facade-1.png", model.classes())?;
    let mut synth = Synthesizer::new(&model, &device)?;
    synth.run(&labels, &Request::new())?.save("facade-1-painted.png")
}
