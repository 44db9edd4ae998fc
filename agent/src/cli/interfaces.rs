//! `weir-agent interfaces`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use weir_agent::{ANY, InterfaceInfo};

/// Link types that interfaces of Linux have, by their LINKTYPE_ names.
const LINK_TYPES: &[(u16, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (9, "PPP"),
    (101, "RAW"),
    (105, "IEEE802_11"),
    (113, "LINUX_SLL"),
    (127, "IEEE802_11_RADIOTAP"),
    (276, "LINUX_SLL2"),
];

pub fn run() -> anyhow::Result<ExitCode> {
    let interfaces = weir_agent::interfaces()?;
    let header = ["INTERFACE", "STATE", "LINK TYPE", "ADDRESSES", "CAPTURE"].map(str::to_owned);
    let rows: Vec<_> = [header].into_iter().chain(interfaces.iter().map(row)).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += cells.join("  ").trim_end();
        text += "\n";
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn row(interface: &InterfaceInfo) -> [String; 5] {
    let state = match (interface.is_up, interface.is_running) {
        (false, _) => "down",
        (true, false) => "no carrier",
        (true, true) => "up",
    };
    let (link_type, capture) = match interface.try_open() {
        Ok(number) => (link_type_name(number), "yes".to_owned()),
        Err(error) => {
            let text = error.to_string();
            let prefix = format!("interface {}: ", interface.name);
            (String::from("-"), format!("no: {}", text.strip_prefix(&prefix).unwrap_or(&text)))
        }
    };
    let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
    let addresses = match interface.name.as_str() {
        ANY => "of all interfaces".to_owned(),
        _ if addresses.is_empty() => "-".to_owned(),
        _ => addresses.join(", "),
    };
    [interface.name.clone(), state.to_owned(), link_type, addresses, capture]
}

fn link_type_name(number: u16) -> String {
    let known = LINK_TYPES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
