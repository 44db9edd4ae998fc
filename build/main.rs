//! Compiles `proto/` once and derives from its descriptors whatever a record type needs: the Rust
//! struct, its registry row, reusable drafts, and its Arrow columns.

mod columns;
mod drafts;
mod encode;
mod grammar;
mod model;
mod registry;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(proto_files()?)?;
    let out_dir = env::var("OUT_DIR")?;
    let out = Path::new(&out_dir);

    prost_build::Config::new().bytes([".weir.v1.PacketBatch.data"]).compile_fds(compiler.file_descriptor_set())?;
    // Encoded by protox, since prost's own descriptor types drop the custom options.
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &descriptors)?;

    let model = model::Model::read(&descriptors)?;
    grammar::check(&model)?;
    fs::write(out.join("registry.rs"), registry::generate(&model))?;
    fs::write(out.join("encode.rs"), encode::generate(&model))?;
    fs::write(out.join("drafts.rs"), drafts::generate(&model))?;
    fs::write(out.join("columns.rs"), columns::generate(&model))?;
    Ok(())
}

/// Every file under `proto/weir/v1`, sorted so that the output does not depend on the file system.
fn proto_files() -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    for folder in ["weir/v1", "weir/v1/records"] {
        for entry in fs::read_dir(Path::new("proto").join(folder))? {
            let name = entry?.file_name().into_string().map_err(|name| format!("{name:?} is no UTF-8"))?;
            if name.ends_with(".proto") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    files.sort();
    Ok(files)
}
