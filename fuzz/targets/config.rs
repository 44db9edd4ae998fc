//! Any text as a configuration file: refused with a place in it, or settings that print to the same ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::config::File;
use weir_contract::Selection;
use weir_service::config::parse;

fuzz_target!(|text: &str| {
    match parse::<File>(text) {
        Ok(file) => {
            let printed = toml::to_string(&file).unwrap();
            assert_eq!(parse::<File>(&printed).unwrap(), file);
            if let Err(error) = file.decode.check() {
                assert!(!error.to_string().is_empty());
            }
            if let Some(Err(error)) = file.decode.records.as_deref().map(Selection::parse) {
                assert!(!error.to_string().is_empty());
            }
        }
        Err((line, column, what)) => {
            let of = text.split('\n').nth(line - 1).expect("a line of the file");
            assert!((1..=1 + of.chars().count()).contains(&column) && !what.is_empty(), "{line}:{column}: {what}");
        }
    }
});
