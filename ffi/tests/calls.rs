//! Every exported function, called from C with each pointer NULL, and every constant with values that are none: a status,
//! never a signal. The program is made from `include/semsynth.h`, so a new function is covered at once.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Sanitizer, compile, have, library, root, run, without_drivers};

/// A function of the header.
struct Function {
    name: String,
    returns_status: bool,
    parameters: Vec<Parameter>,
}

struct Parameter {
    /// Such as `const struct SemsynthModel *`.
    kind: String,
    name: String,
    /// Whether the comment says what NULL means.
    may_be_null: bool,
}

impl Parameter {
    fn is_pointer(&self) -> bool {
        self.kind.ends_with('*') || self.kind == "SemsynthLogFn"
    }
}

/// Reads the declarations after `extern "C" {`.
fn functions() -> Vec<Function> {
    let header = fs::read_to_string(root().join("include/semsynth.h")).unwrap();
    let declarations = header.split("extern \"C\" {").nth(1).unwrap().split("#ifdef __cplusplus").next().unwrap();
    let (mut comment, mut code, mut found) = (String::new(), String::new(), Vec::new());
    for line in declarations.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(text) = line.strip_prefix("//") {
            comment += text;
            comment.push('\n');
            continue;
        }
        code += line;
        code.push(' ');
        if !line.ends_with(';') {
            continue;
        }
        let (head, list) = code.split_once('(').unwrap();
        let list = list.trim().trim_end_matches([';', ')', ' ']);
        let at = head.rfind([' ', '*']).unwrap() + 1;
        let parameters = list.split(',').map(str::trim).filter(|text| *text != "void").map(|text| {
            let at = text.rfind([' ', '*']).unwrap() + 1;
            let name = text[at..].to_owned();
            // The lines of the parameter.
            let said = comment.split("@param").find(|part| part.split_whitespace().next() == Some(&*name));
            let said = format!("{}{}", said.unwrap_or_default(), comment.split("@param").next().unwrap_or_default());
            let may_be_null = said.contains("NULL");
            Parameter { kind: text[..at].trim().to_owned(), name, may_be_null }
        });
        let parameters = parameters.collect();
        found.push(Function {
            name: head[at..].to_owned(),
            returns_status: head.starts_with("SemsynthStatus"),
            parameters,
        });
        comment.clear();
        code.clear();
    }
    found
}

/// A valid value for a parameter.
fn value(function: &str, Parameter { kind, name, .. }: &Parameter) -> String {
    let object = kind.trim_start_matches("const ").trim_start_matches("struct ");
    match (object, name.as_str()) {
        (_, "name") if kind == "const char *" => match function {
            "semsynth_device_create" => "\"cpu\"".into(),
            "semsynth_model_find_class" => "\"facade\"".into(),
            "semsynth_style_from_preset" => "\"brick\"".into(),
            _ => "\"facades\"".into(),
        },
        (_, "path") => "\"/nonexistent\"".into(),
        (object, _) if object.ends_with("**") => format!("(void *)&{name}_out"),
        ("SemsynthCancel *", _) => "cancel".into(),
        ("SemsynthCanvas *", _) => "canvas".into(),
        ("SemsynthDevice *", _) => "device".into(),
        ("SemsynthJob *", _) => "job".into(),
        ("SemsynthModel *", _) => "model".into(),
        ("SemsynthPalette *", _) => "palette".into(),
        ("SemsynthSession *", _) => "session".into(),
        ("SemsynthStyle *", _) => "style".into(),
        ("SemsynthLogFn", _) => "NULL".into(),
        (object, _) if object.starts_with("Semsynth") && object.ends_with('*') => {
            format!("&{}", object.trim_start_matches("Semsynth").trim_end_matches(" *").to_lowercase())
        }
        ("void *", _) => "&update".into(),
        (object, _) if object.ends_with('*') => "(void *)bytes".into(),
        ("float", _) => "0.5f".into(),
        (_, "struct_size") => "sizeof update".into(),
        (_, "kind") if function == "semsynth_style_from_values" => "SEMSYNTH_STYLE_GLOBAL".into(),
        (_, "kind") => "SEMSYNTH_PALETTE_GPL".into(),
        (_, "count") => "4096".into(),
        (_, "width" | "height" | "capacity" | "length") => "64".into(),
        (_, "rows") => "1".into(),
        (_, "header_abi") => "SEMSYNTH_ABI_VERSION".into(),
        (_, "milliseconds") => "-1".into(),
        _ => "0".into(),
    }
}

const START: &str = r#"
#include "semsynth.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char pixels[3 * 64 * 64], picture[3 * 64 * 64];
static unsigned char bytes[1 << 16];

static void must(SemsynthStatus status, const char *what) {
    if (status != SEMSYNTH_STATUS_OK) {
        char text[512];
        semsynth_last_error(text, sizeof text);
        printf("failed: %s: %d %s\n", what, (int)status, text);
        exit(1);
    }
}

int main(void) {
    // What was printed is wanted after a crash too.
    setvbuf(stdout, NULL, _IONBF, 0);
    SemsynthDevice *device = NULL;
    SemsynthModel *model = NULL;
    SemsynthSession *session = NULL;
    SemsynthPalette *palette = NULL;
    SemsynthStyle *style = NULL;
    SemsynthCancel *cancel = NULL;
    SemsynthCanvas *canvas = NULL;
    SemsynthJob *job = NULL;
    void *out_out = NULL;
    SemsynthLabels labels = {0};
    SemsynthImage image = {0};
    SemsynthRequest request = {0};
    SemsynthUpdate update = {0};
    SemsynthSessionOptions sessionoptions = {0};
    SemsynthModelOptions modeloptions = {0};
    SemsynthEstimate estimate = {0};
    SemsynthDeviceInfo deviceinfo = {0};
    SemsynthModelInfo modelinfo = {0};
    SemsynthStyleInfo styleinfo = {0};
    SemsynthReport report = {0};
    SemsynthPreset preset = {0};
    SemsynthRect rect = {0, 0, 8, 8};
    SemsynthClass class = {0};
    const float values[4] = {0, 1, 2, 3};
    (void)values;
    labels.struct_size = sizeof labels, image.struct_size = sizeof image, request.struct_size = sizeof request;
    update.struct_size = sizeof update, sessionoptions.struct_size = sizeof sessionoptions;
    modeloptions.struct_size = sizeof modeloptions, estimate.struct_size = sizeof estimate;
    deviceinfo.struct_size = sizeof deviceinfo, modelinfo.struct_size = sizeof modelinfo;
    styleinfo.struct_size = sizeof styleinfo, report.struct_size = sizeof report;
    preset.struct_size = sizeof preset;
    must(semsynth_device_create("cpu", &device), "device");
    must(semsynth_model_load_builtin("facades", &model), "model");
    must(semsynth_session_create(device, model, NULL, &session), "session");
    must(semsynth_palette_create(model, &palette), "palette");
    must(semsynth_style_from_values(SEMSYNTH_STYLE_GLOBAL, values, 1, 4, &style), "style");
    must(semsynth_cancel_create(&cancel), "cancel");
    uint32_t wall = 0;
    must(semsynth_model_find_class(model, "facade", &wall), "class");
    memset(pixels, (int)wall, sizeof pixels);
    labels.data = pixels, labels.width = 64, labels.height = 64, labels.format = SEMSYNTH_FORMAT_U8;
    image.data = picture, image.width = 64, image.height = 64, image.format = SEMSYNTH_FORMAT_RGB8;
    must(semsynth_canvas_create(session, &labels, NULL, &canvas), "canvas");
    must(semsynth_synthesize_async(session, &labels, NULL, &image, &job), "job");
    must(semsynth_model_class(model, 0, &class), "class");
"#;

#[test]
fn null_and_values_that_are_no_constants_are_errors() {
    let Some(library) = library() else { return };
    if !have("cc") {
        println!("skipped: no C compiler");
        return;
    }
    let (functions, mut program) = (functions(), String::from(START));
    let symbols = fs::read_to_string(root().join("include/symbols.txt")).unwrap();
    assert_eq!(functions.len(), symbols.lines().count(), "every function of the header is called");
    let mut expected = 0;
    for function in &functions {
        let values: Vec<String> = function.parameters.iter().map(|of| value(&function.name, of)).collect();
        let pointers: Vec<usize> = (0..values.len()).filter(|&i| function.parameters[i].is_pointer()).collect();
        // Each alone, then all at once.
        let single = pointers.iter().map(|&i| vec![i]);
        for nulls in single.chain((pointers.len() > 1).then(|| pointers.clone())) {
            let arguments: Vec<&str> =
                values.iter().enumerate().map(|(i, value)| if nulls.contains(&i) { "NULL" } else { value }).collect();
            let call = format!("{}({})", function.name, arguments.join(", "));
            if function.name.ends_with("_release") && nulls.len() == values.len() {
                writeln!(program, "    must({call}, \"{}\");", function.name).unwrap();
            } else if function.returns_status {
                let names: Vec<&str> = nulls.iter().map(|&i| function.parameters[i].name.as_str()).collect();
                let nullable = nulls.iter().all(|&i| function.parameters[i].may_be_null);
                let (name, names) = (&function.name, names.join("+"));
                writeln!(program, "    printf(\"{name} {names} {nullable} %d\\n\", (int){call});").unwrap();
                expected += 1;
            } else {
                writeln!(program, "    (void){call};").unwrap();
            }
        }
    }
    // A constant in each field and parameter that takes one.
    let mut bad = |set: &str, call: &str, reset: &str| {
        for wrong in ["77u", "0x7fffffffu", "0xffffffffu"] {
            let (set, call) = (set.replace('?', wrong), call.replace('?', wrong));
            writeln!(
                program,
                "    {set} printf(\"enum {} %d\\n\", (int){call}); {reset}",
                call.replace(['"', '%'], "")
            )
            .unwrap();
        }
    };
    let synthesize = "semsynth_synthesize(session, &labels, &request, &image)";
    for field in ["border_rows", "border_columns", "statistics", "flags"] {
        bad(&format!("request.{field} = ?;"), synthesize, &format!("request.{field} = 0;"));
    }
    for field in ["format", "policy"] {
        let reset = format!("labels.{field} = {};", if field == "format" { "SEMSYNTH_FORMAT_U8" } else { "0" });
        let set = format!("labels.format = SEMSYNTH_FORMAT_RGB8; labels.{field} = ?;");
        bad(&set, synthesize, &format!("labels.format = SEMSYNTH_FORMAT_U8; {reset}"));
    }
    bad("image.format = ?;", synthesize, "image.format = SEMSYNTH_FORMAT_RGB8;");
    for field in ["precision", "flags"] {
        let call = "semsynth_session_create(device, model, &sessionoptions, (void *)&out_out)";
        bad(&format!("sessionoptions.{field} = ?;"), call, &format!("sessionoptions.{field} = 0;"));
    }
    bad("update.goal = ?;", "semsynth_canvas_update(canvas, &update, NULL, NULL, 0, NULL)", "update.goal = 0;");
    bad("", "semsynth_canvas_is_at(canvas, ?, 1, (void *)bytes)", "");
    bad("", "semsynth_palette_parse(?, bytes, 4, (void *)&out_out)", "");
    bad("", "semsynth_style_from_values(?, values, 1, 4, (void *)&out_out)", "");
    bad("", "semsynth_labels_from_colors(palette, &image, ?, 0, (void *)bytes, 4096, NULL)", "");
    bad("", "semsynth_set_log_callback(?, NULL, NULL)", "");
    bad("class.flags = (uint8_t)(?);", "semsynth_palette_create_from(&class, 1, (void *)&out_out)", "class.flags = 0;");
    // Handles that are none, or were released, and sizes that are none.
    program += r#"
    printf("enum handle %d\n", (int)semsynth_model_info((void *)bytes, &modelinfo));
    printf("enum handle %d\n", (int)semsynth_model_info((void *)device, &modelinfo));
    printf("enum handle %d\n", (int)semsynth_model_info((void *)1, &modelinfo));
    must(semsynth_job_wait(job, -1), "wait");
    must(semsynth_job_release(job), "release");
    printf("enum handle %d\n", (int)semsynth_job_cancel(job));
    printf("enum handle %d\n", (int)semsynth_job_release(job));
    for (size_t size = 0; size < 4; ++size) {
        static const size_t sizes[4] = {0, 3, 5000, (size_t)-1};
        request.struct_size = sizes[size];
        printf("enum size %d\n", (int)semsynth_synthesize(session, &labels, &request, &image));
        printf("enum size %d\n", (int)semsynth_init(&update, sizes[size]));
    }
    semsynth_canvas_release(canvas);
    semsynth_cancel_release(cancel);
    semsynth_style_release(style);
    semsynth_palette_release(palette);
    semsynth_session_release(session);
    semsynth_model_release(model);
    semsynth_device_release(device);
    puts("end");
    return 0;
}
"#;
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("calls.c");
    fs::write(&source, &program).unwrap();
    let binary = compile(&[&source], &library, Sanitizer::None, folder.path(), "calls");
    check(&run(&mut Command::new(&binary)), expected, &source);
    if let Some(binary) = common::compile_sanitized(&[&source], &library, folder.path(), "calls-asan") {
        check(&run(without_drivers(&mut Command::new(&binary))), expected, &source);
    }
}

fn check(said: &str, expected: usize, source: &Path) {
    assert!(said.ends_with("end\n"), "{said}");
    let mut nulls = 0;
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let status: i32 = match words.last().and_then(|word| word.parse().ok()) {
            Some(status) => status,
            None => continue,
        };
        if words[0] == "enum" {
            let allowed: &[i32] = match words[1] {
                "handle" => &[111],
                "size" => &[100, 113],
                _ => &[112],
            };
            assert!(allowed.contains(&status), "{line} ({})", source.display());
        } else {
            nulls += 1;
            // NULL where it is allowed is as good as any value: whatever else is wrong counts.
            let fine = if words[2] == "true" { status < 1000 } else { status == 110 };
            assert!(fine, "{line}: NULL must be an error (110)");
        }
    }
    assert_eq!(nulls, expected);
}
