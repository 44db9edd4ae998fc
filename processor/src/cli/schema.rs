//! `weir schema`: what other programs need to read the records.

use clap::Subcommand;
use weir_contract::DESCRIPTORS;

#[derive(Subcommand)]
pub enum Command {
    /// Print a schema: of all messages, or of one record type.
    Export {
        /// descriptor: a protobuf FileDescriptorSet of all messages, as protoc and Spark read it.
        #[arg(value_enum)]
        kind: Kind,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    Descriptor,
}

pub fn print(out: &mut Vec<u8>, command: &Command) -> anyhow::Result<()> {
    let Command::Export { kind: Kind::Descriptor } = command;
    out.extend_from_slice(DESCRIPTORS);
    Ok(())
}
