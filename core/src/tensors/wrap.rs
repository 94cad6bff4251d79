//! Names of tensors without the wrappers that programs put around a network.

use super::Tensors;
use crate::error::Result;

/// What programs call a network within a file: those that hold averaged weights first.
const WRAPPERS: [&str; 16] = [
    "G_ema",
    "ema",
    "params_ema",
    "netG_ema",
    "netG",
    "net_G",
    "G",
    "generator",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "_orig_mod",
];

/// The same tensors, without wrappers such as `state_dict.`, `netG.`, `module.` (data-parallel training) and `_orig_mod.`
/// (compiled models) around their names: until there are names for which `is_top` holds. Tensors outside of a wrapper are
/// dropped with it. Without any such name, nothing changes. The newer form of spectral norm
/// (`parametrizations.weight.original`) gets the names of the older one (`weight_orig`).
pub(crate) fn unwrapped(mut tensors: Tensors, is_top: impl Fn(&str) -> bool) -> Result<Tensors> {
    let mut prefix = String::new();
    let mut names: Vec<String> = tensors.names().map(str::to_owned).collect();
    while !names.iter().any(|name| is_top(name)) {
        let starts = |wrapper: &&str| {
            let wrapper = format!("{wrapper}.");
            names.iter().any(|name| name.starts_with(&wrapper))
        };
        let Some(wrapper) = WRAPPERS.iter().find(|wrapper| starts(wrapper)) else { return Ok(tensors) };
        let wrapper = format!("{wrapper}.");
        names = names.iter().filter_map(|name| name.strip_prefix(&wrapper)).map(str::to_owned).collect();
        prefix += &wrapper;
    }
    let older = |name: &str| -> String {
        const NEWER: [(&str, &str); 3] = [
            (".parametrizations.weight.original", ".weight_orig"),
            (".parametrizations.weight.0._u", ".weight_u"),
            (".parametrizations.weight.0._v", ".weight_v"),
        ];
        let renamed = NEWER.iter().find_map(|(newer, older)| Some(format!("{}{older}", name.strip_suffix(newer)?)));
        renamed.unwrap_or_else(|| name.into())
    };
    if prefix.is_empty() && !names.iter().any(|name| name.contains(".parametrizations.")) {
        return Ok(tensors);
    }
    let mut plain = Tensors::new();
    for name in names {
        if let Some(data) = tensors.remove(&format!("{prefix}{name}")) {
            plain.insert(older(&name), data)?;
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        let mut tensors = Tensors::new();
        for name in of {
            tensors.insert_f32(*name, vec![1], vec![0.0]).unwrap();
        }
        let is_top = |name: &str| name.starts_with("fc.");
        unwrapped(tensors, is_top).unwrap().names().map(str::to_owned).collect()
    }

    #[test]
    fn wrappers_go_and_what_is_beside_them() {
        assert_eq!(names(&["fc.weight", "module.fc.weight"]), ["fc.weight", "module.fc.weight"]);
        assert_eq!(names(&["module.fc.weight", "module.up_0.conv_0.bias"]), ["fc.weight", "up_0.conv_0.bias"]);
        assert_eq!(names(&["state_dict.netG.module.fc.weight", "state_dict.netD.x", "epoch"]), ["fc.weight"]);
        assert_eq!(names(&["_orig_mod.fc.weight", "_orig_mod.a"]), ["a", "fc.weight"]);
        assert_eq!(names(&["G_ema.fc.weight", "netG.fc.bias"]), ["fc.weight"]);
        assert_eq!(names(&["other.fc.weight"]), ["other.fc.weight"]);
    }

    #[test]
    fn the_newer_spectral_norm_has_older_names() {
        let newer = ["original", "0._u", "0._v"].map(|part| format!("module.fc.parametrizations.weight.{part}"));
        let newer: Vec<&str> = newer.iter().map(String::as_str).collect();
        assert_eq!(names(&newer), ["fc.weight_orig", "fc.weight_u", "fc.weight_v"]);
    }
}
