//! `weir man`: the manual pages.

use std::{fs, io, path::Path};

use clap::Command;
use clap_mangen::Man;

/// Writes a page for a command, and for those below it; the folder is made if need be.
pub fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    // Each page is found by `man`.
    command = command.disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(folder)?;
    write_pages(&command, folder)
}

/// Recursion ends with the subcommands that are declared.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    let source = concat!("weir ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("Weir").render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), with_examples(&String::from_utf8_lossy(&page)))?;
    command.get_subcommands().try_for_each(|command| write_pages(command, folder))
}

/// What stands below a command's help gets headings, and its examples keep their lines.
fn with_examples(page: &str) -> String {
    let page =
        page.replace("\n.SH EXTRA\nExamples:\n", "\n.SH EXAMPLES\n.nf\n").replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    page.replace("\nExamples:\n", "\n.SH EXAMPLES\n.nf\n")
}
